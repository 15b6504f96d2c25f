"""The archived past as others change and read it: starts, imports, answers, readers meanwhile."""

import asyncio

import pyarrow.parquet
import pytest

from api.store import ReadStore
from deploy.database.times import stamp
from tests.support.small_archive import DAY_US, NOW_US, archive, archiving, living, noise, tell
from tests.support.small_history import END_MS, WIDE, rows_of, run_import, text_of
from tests.support.stored import T0, message
from twin.errors import OccupiedError

AGE = {"archive_sample_days": 2}
DAY_MS = 86_400_000


async def newest(cycle, tag="FT-1"):
    """Return the newest value of a tag as a start reads it, in t/h."""
    at = next(n for n, each in enumerate(cycle.tags) if each.tag == tag)
    image = cycle.image
    return image.time_us[at], round(float(image.value[at]) * 3.6, 6)


async def test_start_knows_the_newest_sample_of_a_silent_tag(database, db, park, tmp_path):
    begin_us = NOW_US - 5 * DAY_US
    async with living(database, park, tmp_path) as cycle:
        await tell(cycle, 5, [1.0, 2.0, 3.0])
        await archive(database, tmp_path, **AGE)
    async with living(database, park, tmp_path) as cycle:
        assert await newest(cycle) == (begin_us + 40_000_000, 3.0)
        # What is late for the archived day is not the newest, a correction of the newest is.
        await tell(cycle, 5, [0.5], every_s=1)
        body = {"ts": T0 - 5 * DAY_MS + 40_000, "values": {"FT-1": 4.0}}
        await cycle.run([message(body)], NOW_US)
        assert await newest(cycle) == (begin_us + 40_000_000, 4.0)
    for _ in range(2):
        async with living(database, park, tmp_path) as cycle:
            assert await newest(cycle) == (begin_us + 40_000_000, 4.0)
        await archive(database, tmp_path, **AGE)
    # A start looks around the newest sample of each tag: that is no reason to write a file anew.
    async with living(database, park, tmp_path) as cycle:
        pass
    assert await archive(database, tmp_path, **AGE) == 0
    assert await db.fetchval("SELECT rows FROM archive_file") == 3


async def test_import_over_an_archived_day_adds_and_corrects_what_differs(
    database, db, park, tmp_path, write
):
    rows, table, folder = rows_of(1), write("map.toml", WIDE), tmp_path / "archive"
    later = END_MS + 40 * DAY_MS
    await run_import(database, park, [write("a.csv", text_of(rows))], table)
    count = await db.fetchval("SELECT count(*) FROM sample")
    hours = await db.fetch("SELECT * FROM hour ORDER BY tag_id, time")
    assert await archive(database, folder, later * 1000) == 1
    assert await db.fetchval("SELECT count(*) FROM sample") == 0
    path = write("b.csv", text_of([(*rows[0][:1], rows[0][1] + 1.0, *rows[0][2:]), *rows[1:]]))
    (counts,) = await run_import(database, park, [path], table, later, folder=folder)
    assert (counts["corrections"], counts["new"]) == (1, 0)
    assert await db.fetchval("SELECT count(*) FROM correction") == 1
    changed = await db.fetch("SELECT * FROM hour ORDER BY tag_id, time")
    assert len(changed) == len(hours)
    assert sum(one != other for one, other in zip(changed, hours, strict=True)) == 1
    assert await archive(database, folder, later * 1000) == 1
    assert await db.fetchval("SELECT rows FROM archive_file") == count


async def test_marked_samples_of_an_archived_day_are_rescaled(database, db, park, tmp_path):
    async with living(database, park, tmp_path) as cycle:
        await tell(cycle, 5, noise(10))
        tag_id = await db.fetchval("SELECT tag_id FROM tag WHERE tag = 'FT-1'")
        await db.execute(
            "UPDATE sample SET quality = 79 WHERE tag_id = $1 AND extract(second FROM time) < 30",
            tag_id,
        )
        marked = await db.fetchval("SELECT count(*) FROM sample WHERE quality = 79")
        await archive(database, tmp_path, **AGE)
        span = stamp(NOW_US - 6 * DAY_US), stamp(NOW_US)
        async with cycle._store.transaction():
            rows = await cycle._store.unit_errors.correct(
                tag_id, *span, 1000, stamp(NOW_US), 2.0, 0.0, 0.0, 1e9
            )
    assert len(rows) == marked > 0
    assert await db.fetchval("SELECT count(*) FROM sample WHERE tag_id = $1", tag_id) == marked
    assert await db.fetchval("SELECT count(*) FROM correction") == marked


async def test_readings_around_a_replaced_meter_are_those_of_the_archive(
    database, db, park, tmp_path
):
    async with living(database, park, tmp_path) as cycle:
        await tell(cycle, 9, [1.0, 2.0, 3.0], tag="JQ-1")
        await tell(cycle, 5, [4.0, 5.0], tag="JQ-1")
        await archive(database, tmp_path, **AGE)
        at = next(n for n, each in enumerate(cycle.tags) if each.tag == "JQ-1")
        async with cycle._store.transaction():
            around = await cycle._store.register_falls.readings_around(at, NOW_US - 7 * DAY_US)
    assert {side: row["value"] / 3.6e6 for side, row in around.items()} == {
        "before": 3.0, "after": 4.0
    }  # fmt: skip


async def test_who_reads_while_it_is_archived_sees_each_sample_once(database, db, park, tmp_path):
    days = (9, 8, 7, 6, 5)
    async with living(database, park, tmp_path) as cycle:
        for days_ago in days:
            await tell(cycle, days_ago, noise(200, days_ago))
    tag_id = await db.fetchval("SELECT tag_id FROM tag WHERE tag = 'FT-1'")
    store = ReadStore(database, pool_size=2, query_timeout_s=10, archive_folder=tmp_path)
    await store.open()
    seen = []
    async with archiving(database, tmp_path, **AGE) as archivist:
        work = asyncio.create_task(archivist.archive_due())
        while not work.done():
            rows = await store.samples(tag_id, NOW_US - 10 * DAY_US, NOW_US, 10_000)
            seen.append(len(rows["time_us"]))
        assert await work == len(days)
    await store.close()
    assert set(seen) == {200 * len(days)}
    assert len(seen) > len(days)


async def test_one_program_archives_at_a_time(database, db, park, tmp_path):
    async with living(database, park, tmp_path) as cycle:
        await tell(cycle, 5, noise(10))
    async with archiving(database, tmp_path, **AGE) as one, archiving(database, tmp_path) as other:
        async with one._store.transaction():
            assert await one._files.occupy()
        with pytest.raises(OccupiedError, match="another program writes the archive"):
            await other.archive_due()
        assert await one.archive_due() == 1


async def test_files_are_deleted_when_they_are_kept_no_longer(database, db, park, tmp_path):
    async with living(database, park, tmp_path) as cycle:
        await tell(cycle, 20, noise(10))
        await tell(cycle, 5, noise(10))
    assert await archive(database, tmp_path, **AGE, archive_keep_days=10) == 2
    (file,) = tmp_path.rglob("*.parquet")
    assert await db.fetchval("SELECT path FROM archive_file") == str(file.relative_to(tmp_path))
    # Hours outlive their samples.
    assert await db.fetchval("SELECT count(*) FROM hour WHERE n > 0") >= 2


async def test_classes_that_are_omitted_leave_the_database_and_come_into_no_file(
    database, db, park, tmp_path
):
    async with living(database, park, tmp_path, NOW_US - 5 * DAY_US) as cycle:
        await tell(cycle, 0, noise(10), now_us=NOW_US - 5 * DAY_US)
    derived = "SELECT count(*) FROM sample JOIN tag USING (tag_id) WHERE source = 'derived'"
    omitted = await db.fetchval(derived)
    async with archiving(database, tmp_path, **AGE, archive_omit="derived,health") as archivist:
        assert await archivist.archive_due() == 1
        counters = archivist._counters
    assert (counters["archived"], counters["archive_omitted"]) == (10, omitted)
    assert omitted > 0
    assert await db.fetchval("SELECT count(*) FROM sample") == 0
    (file,) = tmp_path.rglob("*.parquet")
    assert set(pyarrow.parquet.read_table(file)["tag"].to_pylist()) == {"acme/FT-1"}
    # What they were last is known all the same.
    known = "SELECT count(*) FROM newest_samples(ARRAY(SELECT tag_id FROM newest))"
    assert await db.fetchval(known) == await db.fetchval("SELECT count(*) FROM newest")


async def test_times_to_the_microsecond_stay_what_they_are(database, db, park, tmp_path):
    async with living(database, park, tmp_path) as cycle:
        await tell(cycle, 5, noise(10))
        await db.execute("UPDATE sample SET time = time + interval '7 us' WHERE received < now()")
        times = [row[0] for row in await db.fetch("SELECT time FROM sample ORDER BY 1 LIMIT 10")]
        await archive(database, tmp_path, **AGE)
    (file,) = tmp_path.rglob("*.parquet")
    assert pyarrow.parquet.read_table(file)["time"].to_pylist() == times


async def test_rows_nobody_counted_are_not_dropped(database, db, park, tmp_path):
    """Somebody writes by hand while a file is written."""
    async with living(database, park, tmp_path) as cycle:
        await tell(cycle, 5, noise(10))
    async with archiving(database, tmp_path, **AGE) as archivist:
        write = archivist._write

        async def disturbed(work):
            file = await write(work)
            await db.execute("INSERT INTO sample SELECT time + interval '1 s', value, received,"
                             " tag_id, quality FROM sample WHERE time < to_timestamp($1)",
                             (T0 - DAY_MS) / 1e3)  # fmt: skip
            return file

        archivist._write = disturbed
        await archivist.archive_due()
        archivist._write = write
        await archivist.archive_due()
    assert await db.fetchval("SELECT rows FROM archive_file") == 20
    old = "SELECT count(*) FROM sample WHERE time < to_timestamp($1)"
    assert await db.fetchval(old, (T0 - DAY_MS) / 1e3) == 0
