"""A start takes as long after 400 days of samples as after 20: it looks where the newest are."""

import time

from api.store import ReadStore
from tests.support.attack import SLACK
from tests.support.stored import T0, cycling

DAY_MS = 86_400_000
# Two samples a day of each tag, and their minutes, hours and days. One in five tags has none of the
# last 200 days.
FILL = """
WITH s AS (SELECT tag_id, to_timestamp($1 / 1000.0) - day * interval '1 day' - half * interval '9 h'
        AS time FROM tag, generate_series($2::int, $3::int) day, generate_series(0, 1) half
    WHERE source = 'measured' AND (tag_id % 5 < 4 OR day > 200)),
wrote AS (INSERT INTO sample SELECT time, 1, time, tag_id, 0 FROM s),
minutes AS (INSERT INTO minute SELECT time, 60, 60, 1, 1, 1, tag_id, 1, 0 FROM s),
hours AS (INSERT INTO hour SELECT time, 60, 60, 1, 1, 1, tag_id, 1, 0 FROM s),
days AS (INSERT INTO day SELECT date_trunc('day', time, 'Asia/Shanghai'), 60, 60, 1, 1, 1, tag_id,
    1, 0 FROM s ON CONFLICT DO NOTHING)
INSERT INTO newest SELECT tag_id, max(time)::date FROM s GROUP BY 1
ON CONFLICT (tag_id) DO UPDATE SET day = greatest(newest.day, excluded.day)
"""


async def start_s(database, park):
    """Return how long ingest takes to its first committed cycle, and the API to its image [s]."""
    began = time.perf_counter()
    async with cycling(database, park) as cycle:
        await cycle.run([], T0 * 1000)
    started = time.perf_counter()
    store = ReadStore(database, pool_size=2, query_timeout_s=30)
    await store.open()
    _, image, *_ = await store.image()
    await store.close()
    assert len(image["tag_id"]) > 3
    return started - began, time.perf_counter() - started


async def test_a_start_is_as_fast_after_400_days_as_after_20(database, db, park):
    async with cycling(database, park, (T0 - 500 * DAY_MS) * 1000):
        pass
    times = {}
    for first, last in ((0, 20), (21, 400)):
        await db.execute(FILL, float(T0 - 120_000), first, last)
        # Ingest ran until an hour ago.
        before_us = (T0 - 3_600_000) * 1000
        async with cycling(database, park, before_us, clock_trusted=True) as cycle:
            await cycle.run([], (T0 - 3_600_000) * 1000)
        times[last] = [min(each) for each in zip(*[await start_s(database, park) for _ in range(3)],
                                                 strict=True)]  # fmt: skip
    print(times)
    for few, many in zip(times[20], times[400], strict=True):
        assert many <= (1.5 * few + 0.5) * SLACK, times


async def test_where_the_newest_samples_were_deleted_older_ones_are_found(database, db, park):
    async with cycling(database, park):
        pass
    await db.execute(FILL, float(T0), 0, 9)
    await db.execute("DELETE FROM sample WHERE time > to_timestamp($1) AND tag_id % 2 = 0",
                     T0 / 1000 - 5 * 86_400)  # fmt: skip
    rows = await db.fetch("SELECT * FROM newest_samples(ARRAY(SELECT tag_id FROM tag))")
    truth = await db.fetch("SELECT tag_id, max(time) FROM sample GROUP BY 1")
    assert {row["tag_id"]: row["time"] for row in rows} == {row[0]: row[1] for row in truth}
    assert len(rows) == len(truth) > 3
