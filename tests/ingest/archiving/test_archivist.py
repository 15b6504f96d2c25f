"""Rows on their way into the archive: what is due, each step interrupted, what comes late."""

from functools import partial

import numpy as np
import pytest

from deploy.archive.layout import MINUTE
from deploy.archive.manifest import unite
from tests.support.small_archive import archive, archiving, living, noise, tell
from tests.support.stored import T0, everything, message

AGE = {"archive_sample_days": 2}


async def hot(db, table="sample"):
    return await db.fetchval(f"SELECT count(*) FROM {table}")


async def all_samples(cycle):
    """Return (tag, time, value, quality) of all measured samples, wherever they are."""
    store = cycle._store
    tags = np.flatnonzero([tag.source == "measured" for tag in cycle.tags])
    async with store.transaction():
        rows = await store.samples_between(tags, 0, 2 * T0 * 1000)
    columns = (rows.tag, rows.time_us, rows.value, rows.quality)
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


async def all_minutes(cycle):
    """Return all minutes of measured tags, wherever they are."""
    store = cycle._store
    tags = store.tag_id[np.flatnonzero([tag.source == "measured" for tag in cycle.tags])]
    span = 0, 2 * T0 * 1000
    async with store.transaction():
        hot = await store.archive_files.stored(MINUTE, tags.tolist(), *span)
        rows = unite(hot, await store.archive.read(MINUTE, tags, *span))
    return sorted(zip(*(rows[name].tolist() for name in MINUTE.names), strict=True), key=str)


async def test_old_samples_go_into_a_file_of_each_day_and_are_read_as_before(
    database, db, park, tmp_path
):
    async with living(database, park, tmp_path) as cycle:
        for days_ago in (5, 4, 1):
            await tell(cycle, days_ago, noise(100, days_ago))
        before, count = await all_samples(cycle), await hot(db)
        assert await archive(database, tmp_path, **AGE) == 2
        assert await hot(db) == count - 200
        assert await all_samples(cycle) == before
    files = sorted(path.name for path in (tmp_path / "sample").rglob("*"))
    assert len([name for name in files if name.endswith(".parquet")]) == 2
    assert not [name for name in files if name.endswith(".partial")]
    rows = await db.fetch("SELECT * FROM archive_file")
    assert [row["rows"] for row in rows] == [100, 100]
    assert await archive(database, tmp_path, **AGE) == 0


def interrupt(broken, name):
    if name == broken:
        raise OSError(name)


STEPS = ("begin", "write", "verify", "announce", "publish", "settle", "drop")


@pytest.mark.parametrize("broken", STEPS)
async def test_interrupted_before_any_step_nothing_is_lost_or_twice(
    database, db, park, tmp_path, broken
):
    async with living(database, park, tmp_path) as cycle:
        await tell(cycle, 5, noise(50))
        before = await all_samples(cycle)
        async with archiving(database, tmp_path, **AGE) as archivist:
            archivist.step = partial(interrupt, broken)
            with pytest.raises(OSError, match=broken):
                await archivist.archive_due()
        assert await all_samples(cycle) == before
        # Late for the day, between the two tries.
        await tell(cycle, 5, [7.0], every_s=1, tag="TT-1")
        before = await all_samples(cycle)
        await archive(database, tmp_path, **AGE)
        assert await all_samples(cycle) == before
        assert await db.fetchval("SELECT rows FROM archive_file") == 51
        assert await db.fetchval("SELECT changes = merged FROM archive_file")
        oldest = await db.fetchval("SELECT min(time) FROM sample WHERE received < to_timestamp($1)",
                                   T0 / 1000)  # fmt: skip
        assert oldest is None


async def test_what_is_written_meanwhile_is_not_dropped(database, db, park, tmp_path):
    async with living(database, park, tmp_path) as cycle:
        await tell(cycle, 5, noise(50))
        async with archiving(database, tmp_path, **AGE) as archivist:
            write = archivist._write

            async def disturbed(work):
                file = await write(work)
                await tell(cycle, 5, [1.5], tag="TT-1")
                return file

            archivist._write = disturbed
            await archivist.archive_due()
            assert len(await all_samples(cycle)) == 51
            assert await db.fetchval("SELECT written IS NULL FROM archive_file")
        await archive(database, tmp_path, **AGE)
        assert len(await all_samples(cycle)) == 51
        assert await db.fetchval("SELECT rows FROM archive_file") == 51


async def life(database, db, park, folder, days, ages):
    """Return what is stored of late and corrected samples; with ages, of archived days."""
    await db.execute("TRUNCATE sample, minute, hour, day, restatement, cycle, touched, correction,"
                     " newest, register_fall")  # fmt: skip
    flow, energy = noise(200), np.cumsum(np.abs(noise(200, 2)))
    begin = T0 - days * 86_400_000
    late = [
        {"ts": begin + 10_000, "values": {"FT-1": 99.0}},
        {"ts": begin + 20_000, "values": {"FT-1": 98.0, "JQ-1": float(energy[1]) + 0.1}},
        {"ts": begin + 610_000, "values": {"JQ-1": float(energy[30] + energy[31]) / 2}},
        {"ts": begin + 40_000, "values": {"FT-1": float(flow[2])}},
        {"ts": begin + 9_000_000, "values": {"FT-1": 12.0, "XS-1": 1}},
    ]
    results = []
    async with living(database, park, folder) as cycle:
        await tell(cycle, days, flow)
        await tell(cycle, days, energy, tag="JQ-1")
        await tell(cycle, 1, flow)
        for body in ([], late):
            if body:
                await cycle.run([message(body)], T0 * 1000)
            for _ in range(2):
                results += [await all_samples(cycle), await all_minutes(cycle)]
                if ages:
                    await archive(database, folder, **ages)
        sums = await everything(db)
    kept = ("tag_id, time, old_value, old_quality", "tag_id, start, stop")
    for table, names in zip(("correction", "restatement"), kept, strict=True):
        rows = await db.fetch(f"SELECT {names} FROM {table} ORDER BY 1, 2, 3")
        results.append([tuple(row) for row in rows])
    return [*results, sums["hour"], sums["day"]]


@pytest.mark.parametrize(("days", "minute_days"), [(6, 400), (200, 100)])
async def test_late_and_corrected_samples_of_archived_days_come_to_what_they_would_have(
    database, db, park, tmp_path, days, minute_days
):
    """The same messages, with the archive between them and without, leave the same rows."""
    without = await life(database, db, park, tmp_path, days, {})
    ages = {**AGE, "archive_minute_days": minute_days}
    with_it = await life(database, db, park, tmp_path, days, ages)
    assert len(without[-4]) == 2
    assert len(without[-3]) >= 2
    for name, one, other in zip(range(20), with_it, without, strict=False):
        assert one == other, name
    kinds = await db.fetch("SELECT kind, changes = merged AS same, rows FROM archive_file")
    assert len({row["kind"] for row in kinds}) == 1 + (days > minute_days)
    assert all(row["same"] for row in kinds)
    old = "SELECT count(*) FROM sample WHERE time < to_timestamp($1)"
    assert await db.fetchval(old, T0 / 1000 - 3 * 86_400) == 0
    assert await db.fetchval("SELECT count(*) FROM archive_withdrawn") == 0
