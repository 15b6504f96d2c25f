"""A park with two plants of one product and a year of days: what their energy follows is known."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from tests.support.data import data_park
from tests.support.small_book import Book, keeping
from tests.support.small_park import stamp
from twin.loading import parse_park

ZONE = ZoneInfo("Asia/Shanghai")
DAY, HOUR = 86_400_000_000, 3_600_000_000
NOW = round(datetime(2024, 11, 15, 10, tzinfo=ZONE).timestamp()) * 1_000_000
MIDNIGHT = NOW - 10 * 3_600_000_000
DAYS = 150
BEGIN = MIDNIGHT - DAYS * DAY
TOML = """
[[product]]
id = "caustic"
scope = "acmepark/acme/caustic"
tag = "acme/FT-1"

[[meter]]
scope = "acmepark/acme/caustic"
carrier = "electricity"
tag = "acme/JQ-1"
product = "caustic"

[[product]]
id = "caustic"
scope = "acmepark/other"
tag = "other/FT-9"

[[meter]]
scope = "acmepark/other"
carrier = "electricity"
tag = "other/JQ-9"
product = "caustic"

[[baseline]]
id = "caustic-power"
scope = "acmepark/acme/caustic"
carrier = "electricity"
product = "caustic"
tags = ["acme/TT-1", "acme/XS-1"]
start = 2024-06-18
until = 2024-08-27
name = { zh = "烧碱电耗", en = "Electricity of caustic soda" }

[[baseline]]
id = "never-metered"
scope = "acmepark/acme"
carrier = "steam"
tags = ["acme/TT-1"]
"""
TAGS = "JQ-9,acmepark/other,energy,kWh,counter,,,,another meter\n"
_ACME = data_park("acme")
HEAD = _ACME["park.toml"].replace(
    "[[scope]]", 'shifts = ["00:00", "08:00", "16:00"]\n\n[[scope]]', 1
)
FILES = {"park.toml": HEAD + TOML, "tags.csv": _ACME["tags.csv"] + TAGS}
PARK = parse_park(FILES)
KWH = 3.6e6
# Of the plant: MWh a day without production, MWh/t, MWh a day for each K, and the scatter.
IDLE, PER_T, PER_K, SCATTER = 40.0, 2.4, 1.5, 4.0
CHANGED, LESS = 110, 30.0  # MWh a day that it uses less from this day on


def truth(days=DAYS):
    """Return tonnes, temperatures [K] and MWh of days, and tonnes and MWh of the other plant."""
    rng = np.random.default_rng(7)
    day = np.arange(days)
    tonnes = 220 + 30 * np.sin(day / 9) + rng.normal(0, 12, days)
    kelvin = 293.15 + 8 * np.sin(day / 11) + rng.normal(0, 1, days)
    energy = IDLE + PER_T * tonnes + PER_K * (kelvin - 273.15) + rng.normal(0, SCATTER, days)
    energy[day >= CHANGED] -= LESS
    others = 100 + rng.normal(0, 5, days)
    return tonnes, kelvin, energy, others, 2.6 * others


async def add_days(db, table="day", step_us=DAY, **columns):
    """Add rows of a table of sums: name of a tag to (amount, value) of each, from `BEGIN` on."""
    for address, (amount, value) in columns.items():
        tag_id = await db.fetchval(
            "SELECT tag_id FROM tag WHERE enterprise || '/' || tag = $1", address
        )
        step_s = step_us / 1e6
        await db.executemany(
            f"INSERT INTO {table} (time, tag_id, n, amount, covered_s, min, max, last, quality)"
            " VALUES ($1, $2, 60, $3, $4, $5, $5, $5, 0)",
            [(stamp(BEGIN + at * step_us), tag_id, a, step_s, v)
             for at, (a, v) in enumerate(zip(amount.tolist(), value.tolist(), strict=True))],
        )  # fmt: skip


async def fill(db):
    """Store the days of the park."""
    tonnes, kelvin, energy, others, more = truth()
    running = np.ones(len(tonnes))
    await add_days(
        db,
        **{
            "acme/FT-1": (tonnes * 1e3, tonnes / 86.4),
            "acme/TT-1": (kelvin * 86_400, kelvin),
            "acme/XS-1": (running * 86_400, running),
            "acme/JQ-1": (energy * 1e3 * KWH, energy),
            "other/FT-9": (others * 1e3, others / 86.4),
            "other/JQ-9": (more * 1e3 * KWH, more),
        },
    )


async def fill_hours(db, mwh):
    """Store the electricity of the first plant by hours, up to the last midnight."""
    first = MIDNIGHT - len(mwh) * HOUR
    await db.execute(
        "INSERT INTO hour (time, tag_id, n, amount, covered_s, min, max, last, quality)"
        " SELECT $1::timestamptz + (nth - 1) * interval '1 h', tag_id, 60, mwh * 3.6e9, 3600,"
        " mwh, mwh, mwh, 0 FROM unnest($2::float8[]) WITH ORDINALITY u (mwh, nth), tag"
        " WHERE tag = 'JQ-1'", stamp(first), mwh.tolist(),
    )  # fmt: skip


async def fill_minutes(db, days):
    """Store minutes of 1 MWh, but for a quarter of an hour at noon of 1.5 MWh each."""
    await db.execute(
        "INSERT INTO minute (time, tag_id, n, amount, covered_s, min, max, last, quality)"
        " SELECT time, tag_id, 60, mwh * 3.6e9, 60, mwh, mwh, mwh, 0 FROM ("
        " SELECT time, 1.0 + 0.5 * ((extract(epoch FROM time)::bigint + 28800) % 86400 / 900 = 48)"
        "::int AS mwh FROM generate_series($1::timestamptz, $2, interval '1 min') AS time"
        ") m, tag WHERE tag = 'JQ-1'", stamp(MIDNIGHT - days * DAY), stamp(MIDNIGHT - 1),
    )  # fmt: skip


def keeping_baselines(database):
    """Serve the park, and an ingest that obeys its API."""
    return keeping(database, PARK, NOW)


async def order(book: Book, path, **body):
    """Send an order about a baseline and have it carried out; return its error."""
    return await book.post(f"/../scopes/{path}", json={"by": "ann", **body})
