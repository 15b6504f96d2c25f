"""The replay command over a real database: history as the new model would have written it."""

import asyncio
import os
import sys
from functools import partial

import numpy as np
import pytest

from deploy.database.migrations import WRITER_LOCK
from ingest.cli import replay
from ingest.routing.topics import Message
from ingest.store import Store
from ingest.wire import native
from tests.support.data import written
from tests.support.small_archive import archive, bring_back
from tests.support.small_region import PARK_TOML, TAGS_CSV
from tests.support.stored import cycling, opened
from tests.support.waiting import until
from twin.accounts.network import compile_network
from twin.arrays import DAY_US
from twin.errors import ParkError
from twin.loading import parse_park

S = 1_000_000
BEGIN = 1_763_784_000 * S
EVERY_US = 30 * S
SCANS = 100
CYCLE_S = EVERY_US / S
FILES = {"park.toml": PARK_TOML, "tags.csv": TAGS_CSV}
OLD = parse_park(FILES)
# Cells that are worth less, and a tank that nobody had written down.
NEW_FILES = {
    "park.toml": PARK_TOML.replace("current_efficiency = 0.96", "current_efficiency = 0.93")
    + '\n[[tank]]\nid = "V-9"\nscope = "r/east/alpha/vcm"\nmedium = "hydrochloric_acid_31"\n'
    'mass = "alpha/WT-9"\n',
    "tags.csv": TAGS_CSV,
}
TANK_CSV = "WT-9,r/east/alpha/vcm,mass,t,gauge,0,150,0.1,acid\n"
OLD_FILES = FILES | {"tags.csv": TAGS_CSV + TANK_CSV}
NEW_FILES["tags.csv"] += TANK_CSV
OLD, NEW = parse_park(OLD_FILES), parse_park(NEW_FILES)
TABLES = ("sample", "minute", "hour", "day")
MEASURED = len(OLD.tags)


def scans(first=0, stop=SCANS):
    """Return the messages of some scans by the time they are about."""
    result = {}
    for number in range(first, stop):
        at = BEGIN + number * EVERY_US
        wave = np.sin(np.arange(MEASURED) + number / 7) + 1.2
        values = {tag.tag: float(wave[i]) for i, tag in enumerate(OLD.tags)}
        values |= dict.fromkeys(("JQ-1", "JQ-2"), number * 1.5)
        result[at] = Message(
            "park/v1/east/alpha/gw", native.encode(at // 1000, values), at, 0, 0, 0
        )
    return result


async def live(database, park, messages, delay=lambda at: 0):
    """Run a cycle for each scan; a message comes when it is due."""
    due = {}
    for at, message in messages.items():
        due.setdefault(at + delay(at), []).append(message)
    async with cycling(database, park, min(messages), cycle_s=CYCLE_S) as cycle:
        for at in sorted({*messages, *due}):
            await cycle.run(due.get(at, []), at)


async def quiet(db):
    """Wait until the server has noticed that ingest has gone."""
    await until(lambda: db.fetchval("SELECT pg_try_advisory_xact_lock($1)", WRITER_LOCK))


async def derive_again(
    database, db, park, from_us=BEGIN, to_us=None, report=lambda *_: None, folder=None
):
    await quiet(db)
    async with opened(database, partial(Store, archive_folder=folder)) as store:
        return await replay.Replay(park, store, EVERY_US).run(from_us, to_us, report)


async def contents(db, table, *, but=""):
    """Return the rows of a table about the tags of the park, NULL for no number."""
    columns = "x.value, x.quality" if table == "sample" else (
        "n, amount, covered_s, x.min, x.max, last, x.quality"
        + ", measured, measured_mean" * (table == "hour")
    )  # fmt: skip
    rows = await db.fetch(
        f"SELECT enterprise || '/' || tag AS address, x.time, {columns} FROM {table} x"
        " JOIN tag USING (tag_id) WHERE tag NOT LIKE 'ingest.%' AND active ORDER BY 1, 2"
    )
    return [
        tuple(None if value != value else value for value in row)  # noqa: PLR0124
        for row in rows if not but or not row["address"].endswith(but)
    ]  # fmt: skip


async def assert_closed_minutes_are(db, expected):
    newest = max(row[1] for row in expected)
    closed = [row for row in await contents(db, "minute") if row[1] < newest]
    assert closed == [row for row in expected if row[1] < newest]


@pytest.fixture
async def expected(database, db):
    """What all tables hold when the new model was there from the beginning; then empties them."""
    await live(database, NEW, scans())
    result = {t: await contents(db, t) for t in TABLES}
    await db.execute("TRUNCATE sample, minute, hour, day, cycle, tag RESTART IDENTITY")
    return result


async def test_replay_of_the_same_model_changes_nothing(database, db):
    await live(database, OLD, scans())
    before = {t: await contents(db, t) for t in TABLES}
    done = await derive_again(database, db, OLD)
    assert done.cycles > SCANS
    assert (done.added, done.corrected, done.minutes) == (0, 0, 0)
    assert {t: await contents(db, t) for t in before} == before
    assert await db.fetchval("SELECT count(*) FROM correction") == 0


async def test_history_is_what_the_new_model_would_have_written(database, db, expected):
    await live(database, OLD, scans())
    first = await derive_again(database, db, NEW)
    assert first.corrected > SCANS
    assert first.added > SCANS, "the tags of the new tank have a history now"
    assert first.minutes > 40
    assert await contents(db, "sample") == expected["sample"]
    assert await db.fetchval("SELECT count(*) FROM correction") == first.corrected
    second = await derive_again(database, db, NEW)
    assert (second.added, second.corrected, second.minutes) == (0, 0, 0)

    # Ingest goes on from there, and makes the minutes that were open.
    names = tuple(
        tag.address for tag in compile_network(NEW).tags if tag.address.endswith("residual")
    )
    await live(database, NEW, scans(SCANS, SCANS + 20))
    result = {t: await contents(db, t, but=names) for t in TABLES}
    await db.execute("TRUNCATE sample, minute, hour, day, cycle, tag RESTART IDENTITY")
    await live(database, NEW, scans(0, SCANS + 20))
    for table, rows in result.items():
        assert rows == await contents(db, table, but=names), table


async def test_history_of_an_archived_time_is_what_the_new_model_would_have_written(
    database, db, expected, tmp_path
):
    ages = {"archive_sample_days": 2, "archive_minute_days": 100}
    now_us = BEGIN + 200 * DAY_US
    await live(database, OLD, scans())
    written = await archive(database, tmp_path, now_us, **ages)
    assert await contents(db, "sample") == await contents(db, "minute") == []
    first = await derive_again(database, db, NEW, folder=tmp_path)
    assert first.corrected > SCANS
    assert await archive(database, tmp_path, now_us, **ages) == written
    second = await derive_again(database, db, NEW, folder=tmp_path)
    assert (second.added, second.corrected, second.minutes) == (0, 0, 0)
    await bring_back(database, tmp_path)
    assert await contents(db, "sample") == expected["sample"]
    await assert_closed_minutes_are(db, expected["minute"])
    assert await db.fetchval("SELECT count(*) FROM correction") == first.corrected


async def test_replay_that_was_interrupted_goes_on_and_ends_the_same(database, db, expected):
    await live(database, OLD, scans())

    def interrupt(progress, share):
        if share > 0.7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await derive_again(database, db, NEW, report=interrupt)
    assert await db.fetchval("SELECT count(*) FROM correction") > 0
    assert await contents(db, "sample") != expected["sample"]
    await derive_again(database, db, NEW)
    assert await contents(db, "sample") == expected["sample"]
    await assert_closed_minutes_are(db, expected["minute"])


async def test_replay_fills_what_was_derived_without_messages_on_their_way(database, db):
    await live(database, OLD, scans())
    # Margins are told live only, like the health of ingest.
    query = (
        "SELECT tag_id, sum(amount), sum(covered_s) FROM minute JOIN tag USING (tag_id)"
        " WHERE tag NOT LIKE 'ingest.%' AND tag NOT LIKE 'margin.%' GROUP BY 1 ORDER BY 1"
    )
    whole = await db.fetch(query)
    await db.execute("TRUNCATE sample, minute, hour, day, cycle")
    outage = range(BEGIN + 50 * EVERY_US, BEGIN + 75 * EVERY_US)
    await live(database, OLD, scans(), lambda at: outage.stop - at if at in outage else 0)
    assert await db.fetch(query) != whole
    done = await derive_again(database, db, OLD, outage.start)
    assert done.added > 0
    for ours, theirs in zip(await db.fetch(query), whole, strict=True):
        assert tuple(ours) == pytest.approx(tuple(theirs), rel=1e-9)


async def test_part_of_a_history_is_replayed_and_the_rest_stays(database, db):
    await live(database, OLD, scans())
    before = await contents(db, "sample")
    from_us, to_us = BEGIN + 60 * EVERY_US, BEGIN + 80 * EVERY_US
    await derive_again(database, db, NEW, from_us, to_us)
    changed = {row[1] for row in set(await contents(db, "sample")) - set(before)}
    times = {round(time.timestamp() * S) for time in changed}
    assert times
    assert min(times) >= from_us
    assert max(times) < to_us


async def test_replay_beside_a_running_ingest_leaves_what_both_would_have_written(
    database, db, expected
):
    messages = scans()
    times = sorted(messages)
    middle = SCANS - 30
    await live(database, OLD, scans(0, middle))
    async with opened(database) as other:
        async with cycling(database, NEW, times[middle], cycle_s=CYCLE_S) as cycle:
            for at in times[middle : middle + 10]:
                await cycle.run([messages[at]], at)
            # Its last chunk reaches into the minutes the cycle has open.
            done = await replay.Replay(NEW, other, EVERY_US).run(BEGIN, None, lambda *_: None)
            assert done.corrected > middle
            for at in times[middle + 10 :]:
                await cycle.run([messages[at]], at)
        again = await replay.Replay(NEW, other, EVERY_US).run(BEGIN, None, lambda *_: None)
    assert again.corrected > 0, "the slope after the start of ingest"
    assert await contents(db, "sample") == expected["sample"]
    await assert_closed_minutes_are(db, expected["minute"])


async def test_replay_refuses_while_ingest_runs_with_another_model(database, db):
    await live(database, OLD, scans(0, 5))
    await quiet(db)
    async with opened(database), opened(database) as other:
        with pytest.raises(ParkError, match="ingest is running with another model") as refused:
            await replay.Replay(NEW, other, EVERY_US).run(BEGIN, None, lambda *_: None)
        assert "start it again" in refused.value.hint
        assert await db.fetchval("SELECT count(*) FROM model") == 1
        same = await replay.Replay(OLD, other, EVERY_US).run(BEGIN, None, lambda *_: None)
        assert same.corrected == 0


async def command(database, folder, *words):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ingest.cli.replay", *words,
        env={**os.environ, "PARKTWIN_DATABASE_URL": database, "PARKTWIN_PARK": str(folder),
             "PARKTWIN_CYCLE_S": str(CYCLE_S)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_command_says_what_it_changed_and_the_second_time_nothing(database, db, tmp_path):
    await live(database, OLD, scans())
    await quiet(db)
    folder = written(tmp_path / "park", NEW_FILES)
    status, out, err = await command(database, folder, "--from", "2025-11-22")
    assert (status, err) == (0, "")
    assert " samples changed (" in out
    assert " 0 samples changed" not in out
    status, out, _ = await command(database, folder, "--from", "2025-11-22T12:00")
    assert status == 0
    assert " 0 samples changed (0 new, 0 corrected), 0 minutes restated" in out


async def test_command_explains_a_mistake(database, tmp_path):
    folder = written(tmp_path / "park", NEW_FILES)
    status, _, err = await command(database, folder, "--from", "yesterday")
    assert status == 2
    assert "yesterday" in err
    words = ("--from", "2025-11-22", "--to", "2025-11-21")
    status, _, err = await command(database, folder, *words)
    assert (status, err) == (2, "parktwin replay: --to is not after --from\n")
    await live(database, OLD, scans(0, 5))
    async with opened(database):
        status, _, err = await command(database, folder, "--from", "2025-11-22")
    assert status == 2
    assert err.startswith("parktwin replay: ingest is running with another model — ")
