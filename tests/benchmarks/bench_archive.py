"""A history out of the archive: 30 days of one sample a second in 2,000 points."""

import time

import numpy as np

from deploy.archive.layout import MINUTE, SAMPLE, FileWriter
from tests.support.small_park import S, serving, stamp
from twin.arrays import DAY_US, MINUTE_US

pytest_plugins = ["tests.support.small_park"]

TAGS, DAYS, POINTS, QUESTIONS = 20, 30, 2_000, 7
BEGIN = 1_761_955_200 * S  # 2025-11-01 UTC: a month of 30 days
GOAL_S = 0.3
ADD_FILE = """
INSERT INTO archive_file (kind, start, stop, path, rows, written) VALUES ($1, $2, $3, $4, $5, now())
"""
ADD_HOURS = """
INSERT INTO hour (time, tag_id, n, amount, covered_s, min, max, last, quality)
SELECT $2::timestamptz + h * interval '1 hour', id, 3600, 3600, 3600, 0, 2, 1, 0
FROM generate_series(0, $3 - 1) AS h, unnest($1::int[]) AS id
"""


async def add_file(db, folder, kind, start_us, rows, names):
    with FileWriter(folder, kind, start_us, whole_ms=True) as writer:
        # Whole tags at a time, as the task of ingest writes them.
        for some in np.split(np.arange(len(rows["tag_id"])), 10):
            writer.add({name: column[some] for name, column in rows.items()}, names)
        writer.finish()
        writer.publish()
    span = map(stamp, kind.period(start_us))
    await db.execute(ADD_FILE, kind.table, *span, writer.path, writer.rows)


async def fill(db, folder, ids):
    """Archive a month of some tags: samples by the second, and their minutes."""
    rng = np.random.default_rng(1)
    names = {tag_id: address for address, tag_id in sorted(ids.items(), key=lambda i: i[1])[:TAGS]}
    tags = np.array(list(names))
    seconds, minutes = np.arange(0, DAY_US, S), np.arange(0, DAYS * DAY_US, MINUTE_US)
    for day in range(DAYS):
        start_us = BEGIN + day * DAY_US
        size = TAGS * len(seconds)
        time_us = np.tile(start_us + seconds, TAGS)
        rows = {
            "tag_id": np.repeat(tags, len(seconds)), "time_us": time_us,
            "value": rng.normal(5.0, 0.2, size), "quality": np.zeros(size, np.uint8),
            "received": time_us + rng.integers(100, 400, size) * 1000,
        }  # fmt: skip
        await add_file(db, folder, SAMPLE, start_us, rows, names)
    size = TAGS * len(minutes)
    rows = {name: rng.normal(5.0, 0.2, size) for name in MINUTE.columns}
    rows |= {
        "tag_id": np.repeat(tags, len(minutes)), "time_us": np.tile(BEGIN + minutes, TAGS),
        "covered_s": np.full(size, 60.0), "n": np.full(size, 60),
        "quality": np.zeros(size, np.uint8),
    }  # fmt: skip
    await add_file(db, folder, MINUTE, BEGIN, rows, names)
    await db.execute(ADD_HOURS, list(names), stamp(BEGIN), 24 * DAYS)


async def ask(database, folder, **settings):
    """Return how long a history takes, at best and in the middle [s], and its resolution."""
    span = {"from": stamp(BEGIN).isoformat(), "to": stamp(BEGIN + DAYS * DAY_US).isoformat()}
    query = {"tag": "acme/FT-1", "points": POINTS, **span}
    now_us = BEGIN + (DAYS + 1) * DAY_US
    async with serving(database, now_us, archive=folder, **settings) as (client, _):
        waits = []
        for _ in range(QUESTIONS):
            began = time.perf_counter()
            answer = await client.get("/api/v1/history", params=query)
            waits.append(time.perf_counter() - began)
            assert answer.status_code == 200, answer.text
        answer = answer.json()
        assert POINTS / 2 < len(answer["time"]) <= POINTS
        return float(np.min(waits)), float(np.median(waits)), answer["resolution"]


async def bench_history_out_of_the_archive(database, db, ids, tmp_path, report):
    await fill(db, tmp_path, ids)
    best, wait, resolution = await ask(database, tmp_path)
    report(
        f"30 days of 1 s in {POINTS:,} points, archived ({resolution})",
        f"{wait * 1e3:.0f} ms",
        f"{best * 1e3:.0f} ms at best",
        f"≤ {GOAL_S * 1e3:.0f} ms",
    )
    most = DAYS * 86_400
    best_raw, wait_raw, resolution = await ask(database, tmp_path, raw_rows_max=most)
    report(
        f"the same of all {most:,} samples ({resolution})",
        f"{wait_raw * 1e3:.0f} ms",
        f"{best_raw * 1e3:.0f} ms at best",
    )
    assert wait <= GOAL_S
