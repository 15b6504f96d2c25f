"""Import of history: samples a second from a file to committed minutes, hours and days."""

import resource
import time

import numpy as np
import pytest

from ingest.file_import.__main__ import check, load
from ingest.file_import.chunks import CHUNK_SAMPLES
from ingest.settings import IngestSettings
from ingest.store import Store
from twin.loading import load_park
from twin.series.samples import Samples

TAGS, ROWS, EVERY_S = 100, 15_000, 5
START_S = 1_700_000_000


NAMES = [f"acme/FT-{i:05d}" for i in range(TAGS)]


def write_table(path, form, rows=ROWS, start_s=START_S):
    """Write a table with a column for each tag (wide) or a row for each value (long)."""
    rng = np.random.default_rng(1)
    with path.open("w", encoding="utf-8") as file:
        file.write("time," + (",".join(NAMES) if form == "wide" else "tag,value") + "\n")
        for at in range(rows):
            second = start_s + at * EVERY_S
            values = rng.uniform(0, 100, TAGS).round(2).astype(str).tolist()
            if form == "wide":
                file.write(f"{second}," + ",".join(values) + "\n")
            else:
                lines = zip(NAMES, values, strict=True)
                file.writelines(f"{second},{name},{value}\n" for name, value in lines)
    return path


def write_map(path, form):
    """Write the map of the table."""
    long = 'tag = "tag"\nvalue = "value"\n'
    wide = "[columns]\n" + "".join(f'"{name}" = "{name}"\n' for name in NAMES)
    what = wide if form == "wide" else long
    path.write_text('time = "time"\nformat = "s"\n' + what, encoding="utf-8")
    return path


async def copy_alone(database, park):
    """Return the rows/s of binary COPY of as many samples in chunks of the same size and order."""
    store = Store(database)
    await store.open()
    async with store.transaction():
        assert await store.find_tags(park.tags)
    per_tag = CHUNK_SAMPLES // TAGS
    flows = [at for at, tag in enumerate(park.tags) if tag.tag.startswith("FT-")][:TAGS]
    tag = np.repeat(flows, per_tag)
    spent = 0.0
    for number in range(ROWS // per_tag):
        second = START_S - 40_000_000 + (number * per_tag + np.arange(per_tag)) * EVERY_S
        time_us = np.tile(second * 1_000_000, TAGS)
        good = np.zeros(len(tag), np.uint8)
        samples = Samples(tag, time_us, np.ones(len(tag)), good, time_us)
        began = time.perf_counter()
        async with store.transaction():
            await store.copy_samples(samples)
        spent += time.perf_counter() - began
    await store.close()
    return ROWS // per_tag * len(tag) / spent


@pytest.mark.parametrize(
    ("form", "newer"), [("wide", False), ("long", False), ("wide", True)], ids=str
)
async def bench_import(database, bench_park, tmp_path, report, form, newer):
    settings = IngestSettings(database_url=database)
    park, map_path = load_park(bench_park), write_map(tmp_path / "map.toml", form)
    if newer:
        file = write_table(tmp_path / "newer.csv", form, 1000, START_S + 10_000_000)
        await load(check(park, [file], map_path), settings, time.time_ns() // 1000, again=False)
    job = check(park, [write_table(tmp_path / "history.csv", form)], map_path)
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began = time.perf_counter()
    (ticket,) = await load(job, settings, time.time_ns() // 1000, again=False)
    rate = ROWS * TAGS / (time.perf_counter() - began)
    grown_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before_mb
    assert ticket.counts["new"] == ROWS * TAGS
    alone = await copy_alone(database, park)
    report(
        f"import of {ROWS * TAGS:,} samples of {TAGS} tags, CSV, {form}"
        + (", older than what is there" if newer else ""),
        f"{rate:,.0f} samples/s",
        f"{rate / alone:.2f} of COPY alone ({alone:,.0f} rows/s), + {grown_mb:.0f} MB",
        "goal 100,000",
    )
