"""Import of history: samples a second from a file to committed minutes, hours and days."""

import resource
import time

import numpy as np

from ingest.history.__main__ import check, load
from ingest.history.chunks import CHUNK_SAMPLES
from ingest.settings import IngestSettings
from ingest.store import Store
from twin.loading import load_park
from twin.samples import Samples

TAGS, ROWS, EVERY_S = 100, 15_000, 5
START_S = 1_700_000_000


def write_table(path):
    """Write a table with a column for each tag."""
    rng = np.random.default_rng(1)
    times = START_S + np.arange(ROWS) * EVERY_S
    with path.open("w", encoding="utf-8") as file:
        file.write("time," + ",".join(f"c{i}" for i in range(TAGS)) + "\n")
        for at in range(0, ROWS, 1000):
            values = rng.uniform(0, 100, (1000, TAGS)).round(2).astype(str).tolist()
            rows = zip(times[at : at + 1000].tolist(), values, strict=True)
            file.writelines(f"{second}," + ",".join(row) + "\n" for second, row in rows)


def write_map(path):
    """Write the map of the table."""
    columns = "".join(f'c{i} = "acme/FT-{i:05d}"\n' for i in range(TAGS))
    path.write_text('time = "time"\nformat = "s"\n[columns]\n' + columns, encoding="utf-8")


async def copy_alone(database, ids):
    """Return the rows/s of binary COPY of as many samples in chunks of the same size and order."""
    store = Store(database)
    await store.open()
    store.tag_id = ids
    per_tag = CHUNK_SAMPLES // TAGS
    tag = np.repeat(np.arange(TAGS), per_tag)
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


async def bench_import(database, db, bench_park, tmp_path, report):
    write_table(tmp_path / "history.csv")
    write_map(tmp_path / "map.toml")
    settings = IngestSettings(database_url=database)
    job = check(load_park(bench_park), [tmp_path / "history.csv"], tmp_path / "map.toml")
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began = time.perf_counter()
    (ticket,) = await load(job, settings, time.time_ns() // 1000, again=False)
    rate = ROWS * TAGS / (time.perf_counter() - began)
    grown_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before_mb
    assert ticket.counts["new"] == ROWS * TAGS
    rows = await db.fetch(
        "SELECT tag_id FROM tag WHERE tag LIKE 'FT-%' ORDER BY tag LIMIT $1", TAGS
    )
    alone = await copy_alone(database, np.array([row["tag_id"] for row in rows]))
    report(
        f"import of {ROWS * TAGS:,} samples of {TAGS} tags, CSV, wide",
        f"{rate:,.0f} samples/s",
        f"{rate / alone:.2f} of COPY alone ({alone:,.0f} rows/s), + {grown_mb:.0f} MB",
        "goal 100,000",
    )
