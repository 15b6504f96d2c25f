"""Files with recorded history, the ways to import them, and the same values sent live."""

import json

import numpy as np

from ingest.file_import.__main__ import check, load
from ingest.routing.topics import Message
from ingest.settings import IngestSettings
from tests.support.stored import T0, TOPIC, cycling
from twin.loading import load_park

HOUR_MS = 3_600_000
WIDE = """
time = "t"
format = "ms"
[columns]
FT-1 = "acme/FT-1"
JQ-1 = "acme/JQ-1"
XS-1 = "acme/XS-1"
"""


END_MS = T0 + 3 * HOUR_MS


async def run_import(
    database, park, paths, map_path, now_ms=T0 + 24 * HOUR_MS, *, again=False, folder=None
):
    """Import files and return the counts of each; `folder` is that of the archive."""
    settings = IngestSettings(database_url=database, archive=folder)
    job = check(park, paths, map_path)
    return [t.counts for t in await load(job, settings, now_ms * 1000, again=again)]


async def empty(db):
    await db.execute(
        "TRUNCATE sample, minute, hour, day, restatement, cycle, import, touched, correction"
    )


def rows_of(seed, count=400, span_s=5400):
    """Return rows (time, flow, energy, state) in order; not every row has every value."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.choice(span_s * 10, count, replace=False)) * 100 + T0
    energy = np.cumsum(rng.uniform(0, 1, count))
    return [
        (int(t), float(rng.uniform(0, 50)), float(energy[i]) if i % 3 else None,
         int(rng.integers(0, 2)) if i % 5 == 0 else None)
        for i, t in enumerate(times)
    ]  # fmt: skip


def text_of(rows):
    """Return rows as a table with a column for each tag."""
    lines = ["t,FT-1,JQ-1,XS-1"]
    lines += [",".join("" if cell is None else repr(cell) for cell in row) for row in rows]
    return "\n".join(lines) + "\n"


def messages_of(rows):
    """Return the same rows as messages of a gateway."""
    result = []
    for t, *cells in rows:
        values = {
            tag: v for tag, v in zip(("FT-1", "JQ-1", "XS-1"), cells, strict=True) if v is not None
        }
        payload = json.dumps({"ts": t, "values": values}).encode()
        result.append(Message(TOPIC, payload, t * 1000 + 500_000, 0, 0, 0))
    return result


async def live(database, park, rows, end_ms, block=37):
    """Send rows through cycles, as a gateway would, and let the clock close the last minutes."""
    sent = messages_of(rows)
    async with cycling(database, park, rows[0][0] * 1000) as cycle:
        for i in range(0, len(sent), block):
            await cycle.run(sent[i : i + block], sent[min(i + block, len(sent)) - 1].received_us)
        await cycle.run([], end_ms * 1000)


STEEL = """
time = "date"
format = "%d/%m/%Y %H:%M"
stamp = "end"
midnight = "end"
interval = "15 min"
[columns]
"Usage_kWh" = {tag = "acme/JT-1", uom = "kWh", as = "interval"}
"""
METER = "JT-1,acmepark/acme,power,kW,gauge,0,1000,1 %,mean power\n"
GAP = '\n[[gap]]\ntag = "acme/JT-1"\ngap = "15 min"\n'


def with_meter(folder, gap=GAP):
    """Add a power tag to a park; its value holds for a quarter of an hour."""
    for name, more in (("tags.csv", METER), ("park.toml", gap)):
        with (folder / name).open("a", encoding="utf-8") as file:
            file.write(more)
    return load_park(folder)


def steel(days):
    """Return a table as meters write it: each quarter by its end, the day's last as 00:00."""
    rng = np.random.default_rng(5)
    lines, sums = ["\ufeffdate,Usage_kWh,Load_Type"], {}
    for day in range(1, days + 1):
        amounts = rng.uniform(0, 90, 96).round(2).tolist()
        sums[f"2018-01-{day:02d}"] = sum(amounts)
        for at, amount in enumerate(amounts, start=1):
            clock = f"{at // 4 % 24:02d}:{at % 4 * 15:02d}"
            lines.append(f"{day:02d}/01/2018 {clock},{amount:g},Light_Load")
    return "\r\n".join(lines), sums
