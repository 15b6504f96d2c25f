"""Alarms in the cycle, against a real database: state, journal, commands, restart."""

import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg
import numpy as np
import pytest

from ingest.counters import own_tags
from ingest.cycle.cycle import Cycle
from ingest.routing.topics import Message
from ingest.settings import IngestSettings
from ingest.store import Store
from ingest.store.commands import ALARM_COMMANDS, OTHER_COMMANDS
from tests.support.data import data_text
from tests.support.demo_park import PARK
from twin import quality as q
from twin.accounts.network import compile_network
from twin.alarms.engine import evaluate, initial_alarm_state
from twin.alarms.rules import compile_rules, park_alarms
from twin.errors import ModelError, StoreError
from twin.loading import load_park
from twin.series.samples import Samples

TOPIC = "park/v1/acmepark/acme/gw1"
T0 = 1_760_000_000  # s
ALARMS = data_text("acme/alarms.toml")


def test_the_alarms_of_the_demonstration_park_fit_the_tags_of_ingest():
    tags = (*compile_network(PARK).tags, *own_tags(compile_network(PARK)))
    rules = compile_rules(park_alarms(PARK, tags), tags)
    assert {"broker-queue", "ingest-lag"} <= {alarm.id for alarm in rules.alarms}


def test_the_alarms_of_the_demonstration_park_are_quiet_while_ingest_is_well():
    tags = (*compile_network(PARK).tags, *own_tags(compile_network(PARK)))
    rules = compile_rules(park_alarms(PARK, tags), tags)
    own = [number for number, tag in enumerate(tags) if tag.tag.startswith("ingest.")]
    well = [float(tags[number].tag == "ingest.connected") for number in own]
    times = np.full(len(own), T0 * 1_000_000)
    samples = Samples(np.array(own), times, np.array(well), np.zeros(len(own), np.uint8), times)
    known = np.full(len(tags), (T0 + 200) * 1_000_000)
    memory = initial_alarm_state(len(rules.alarms))
    _, changes = evaluate(rules, memory, samples, known, int(known[0]))
    assert [rules.alarms[number].id for number in changes.alarm.tolist()] == []


class Run:
    """A cycle over the small park with alarms, second by second."""

    def __init__(self, database, folder, **settings):
        self.store = Store(database)
        self.cycle = Cycle(
            load_park(folder),
            self.store,
            IngestSettings(database_url=database, park=folder, **settings),
        )
        self.second = 0

    async def start(self, second=0):
        await self.store.open()
        await self.cycle.start((T0 + second) * 1_000_000)
        return self

    async def at(self, second, value=None, tag="FT-1", at=None, quality="good"):
        """Run the cycle of a second, with one sample of that second or of `at`."""
        messages = []
        if value is not None:
            body = {
                "ts": (T0 + (second if at is None else at)) * 1000,
                "values": {tag: {"v": value, "q": quality}},
            }
            payload = json.dumps(body).encode()
            messages = [Message(TOPIC, payload, (T0 + second) * 1_000_000, 0, 0, 0)]
        await self.cycle.run(messages, (T0 + second) * 1_000_000)


@pytest.fixture
def folder(park_folder):
    """The small park with alarms."""
    with (park_folder / "park.toml").open("a", encoding="utf-8") as file:
        file.write(ALARMS)
    return park_folder


@pytest.fixture
async def run(database, folder):
    run = await Run(database, folder).start()
    yield run
    await run.store.close()


def when(second):
    return datetime.fromtimestamp(T0, UTC) + timedelta(seconds=second)


async def command(db, kind, alarm="flow", **more):
    return await db.fetchval(
        "INSERT INTO command (kind, body) VALUES ($1, $2) RETURNING id",
        kind,
        json.dumps({"alarm": alarm, "by": "wang", **more}),
    )


async def state(db, alarm="flow"):
    return await db.fetchval("SELECT state FROM alarm WHERE alarm = $1", alarm)


async def journal(db, alarm="flow"):
    rows = await db.fetch("SELECT * FROM alarm_event WHERE alarm = $1 ORDER BY time, id", alarm)
    return [(round(r["time"].timestamp()) - T0, r["before"], r["after"], r["who"]) for r in rows]


async def test_a_value_beyond_its_limit_is_an_alarm_in_the_cycle_that_stores_it(run, db):
    await run.at(0, 50.0)
    assert await state(db) == "normal"
    await run.at(2, 90.0, at=1)
    row = await db.fetchrow("SELECT * FROM alarm WHERE alarm = 'flow'")
    assert (row["state"], row["since"], row["active_since"]) == (
        "unacknowledged", when(1), when(1),
    )  # fmt: skip
    assert (row["priority"], row["value"]) == ("high", pytest.approx(25.0))
    assert (row["limit_value"], row["quality"], row["who"]) == (25.0, q.GOOD, None)
    assert await journal(db) == [(1, "normal", "unacknowledged", None)]
    displayed = await db.fetch("SELECT cycle_us, alarms FROM cycle WHERE alarms <> '[]'")
    assert [alarm["alarm"] for alarm in json.loads(displayed[-1]["alarms"])] == ["flow"]
    assert displayed[-1]["cycle_us"] == (T0 + 2) * 1_000_000


async def test_on_delay_is_settled_by_the_next_sample_or_by_the_clock(run, db):
    await run.at(0, 95.0)
    await run.at(59, 95.0)
    assert await state(db, "late") == "normal"
    await run.at(64, 95.0)
    assert await journal(db, "late") == [(60, "normal", "unacknowledged", None)]
    # The tag falls silent: its last value holds, and the clock settles the off-delay.
    await run.at(70, 10.0)
    await run.at(133)
    assert await state(db, "late") == "unacknowledged"
    await run.at(136)
    assert (await journal(db, "late"))[-1] == (130, "unacknowledged", "returned", None)


async def test_bad_input_keeps_the_state_and_is_shown_on_the_alarm(run, db):
    await run.at(0, 95.0)
    await run.at(1, 10.0, quality="bad")
    row = await db.fetchrow("SELECT state, quality FROM alarm WHERE alarm = 'flow'")
    assert tuple(row) == ("unacknowledged", q.BAD)
    await run.at(400)
    row = await db.fetchrow("SELECT state, quality FROM alarm WHERE alarm = 'flow'")
    assert tuple(row) == ("unacknowledged", q.BAD | q.STALE)
    assert len(await journal(db)) == 1


async def test_commands_are_taken_once_and_written_down(run, db):
    await run.at(0, 95.0)
    number = await command(db, "acknowledge")
    await run.at(1)
    row = await db.fetchrow("SELECT * FROM alarm WHERE alarm = 'flow'")
    assert (row["state"], row["who"], row["since"]) == ("acknowledged", "wang", when(1))
    done = await db.fetchrow("SELECT done, error FROM command WHERE id = $1", number)
    assert tuple(done) == (when(1), None)
    await run.at(2, 10.0)
    assert await journal(db) == [
        (0, "normal", "unacknowledged", None),
        (1, "unacknowledged", "acknowledged", "wang"),
        (2, "acknowledged", "normal", None),
    ]
    assert await db.fetchval("SELECT command FROM alarm_event WHERE who = 'wang'") == number


async def test_a_shelved_alarm_comes_back_when_its_time_is_over(run, db):
    await run.at(0, 95.0)
    await command(db, "shelve", minutes=30, reason="analyser is cleaned")
    await run.at(1)
    row = await db.fetchrow("SELECT * FROM alarm WHERE alarm = 'flow'")
    assert (row["state"], row["who"], row["reason"], row["until"]) == (
        "shelved", "wang", "analyser is cleaned", when(1801),
    )  # fmt: skip
    await run.at(1799, 95.0)
    assert await state(db) == "shelved"
    await run.at(1802)
    row = await db.fetchrow("SELECT * FROM alarm WHERE alarm = 'flow'")
    assert (row["state"], row["who"], row["until"]) == ("unacknowledged", None, None)
    assert row["active_since"] == when(0)
    await command(db, "shelve", minutes=30, reason="again")
    await command(db, "unshelve")
    await run.at(1803)
    assert [after for _, _, after, _ in (await journal(db))[-2:]] == ["shelved", "unacknowledged"]


WRONG = [
    ("explode", "flow", {}, "there is no command 'explode'"),
    ("acknowledge", "flow", {}, "acknowledge: the alarm is normal"),
    ("acknowledge", "nobody", {}, "there is no alarm 'nobody'"),
    ("acknowledge", "flow", {"by": " "}, "`by` says who"),
    ("shelve", "detector", {"minutes": 5, "reason": "x"}, "may not be shelved"),
    ("shelve", "flow", {"minutes": 0, "reason": "x"}, "`minutes` is a number above 0"),
    ("shelve", "flow", {"minutes": 481, "reason": "x"}, "not above 480"),
    ("shelve", "flow", {"minutes": "5", "reason": "x"}, "got `str` - at `$.minutes`"),
    ("shelve", "flow", {"minutes": 5}, "`reason` says why"),
]


async def test_a_command_that_makes_no_sense_gets_a_reason_and_is_not_lost(run, db):
    numbers = [await command(db, kind, alarm, **more) for kind, alarm, more, _ in WRONG]
    odd = await db.fetchval("INSERT INTO command (kind, body) VALUES ('shelve', '[]') RETURNING id")
    good = await command(db, "shelve", minutes=5, reason="x" * 300)
    await run.at(0)
    rows = {r["id"]: r for r in await db.fetch("SELECT * FROM command")}
    assert all(row["done"] == when(0) for row in rows.values())
    for number, (*_, text) in zip(numbers, WRONG, strict=True):
        assert text in rows[number]["error"]
    assert "Expected `object`, got `array`" in rows[odd]["error"]
    assert rows[good]["error"] is None
    assert await db.fetchval("SELECT length(reason) FROM alarm WHERE alarm = 'flow'") == 200


async def test_a_cycle_takes_so_many_commands_and_the_next_the_rest(database, folder, db):
    run = await Run(database, folder, command_rows=2).start()
    for _ in range(3):
        await command(db, "acknowledge")
    await run.at(0)
    assert await db.fetchval("SELECT count(*) FROM command WHERE done IS NULL") == 1
    await run.at(1)
    assert await db.fetchval("SELECT count(*) FROM command WHERE done IS NULL") == 0
    await run.store.close()


async def test_alarms_go_on_where_they_stood_after_a_restart(database, folder, db):
    run = await Run(database, folder).start()
    await run.at(0, 95.0)
    await run.at(1, 150.0, tag="TT-1")
    await command(db, "acknowledge")
    await run.at(2)
    await command(db, "shelve", "late", minutes=10, reason="x")
    await run.at(3)
    before = await db.fetch("SELECT * FROM alarm ORDER BY alarm")
    await run.store.close()
    run = await Run(database, folder).start(5)
    assert await db.fetch("SELECT * FROM alarm ORDER BY alarm") == before
    await run.at(6, 10.0)
    assert (await journal(db))[-1] == (6, "acknowledged", "normal", None)
    await run.at(610)
    assert await state(db, "late") == "normal"
    assert await state(db, "detector") == "unacknowledged"
    await run.store.close()


async def test_an_alarm_that_is_gone_from_the_model_ends_in_the_journal(database, folder, db):
    run = await Run(database, folder).start()
    await run.at(0, 95.0)
    await run.store.close()
    toml = (folder / "park.toml").read_text(encoding="utf-8").replace('id = "flow"', 'id = "new"')
    (folder / "park.toml").write_text(toml, encoding="utf-8")
    run = await Run(database, folder).start(5)
    assert await state(db) is None
    assert (await journal(db))[-1] == (5, "unacknowledged", "normal", None)
    assert await state(db, "new") == "normal"
    await run.at(6)
    # The newest value is beyond the limit of the new alarm.
    assert await journal(db, "new") == [(0, "normal", "unacknowledged", None)]
    await run.store.close()


async def test_a_failed_cycle_leaves_the_alarms_as_they_were_and_is_done_again(
    run, db, monkeypatch
):
    show = run.store.alarms.show
    failed = []

    async def fails_once(names, cycle_us):
        if not failed:
            failed.append(await state(db))
            raise asyncpg.ConnectionDoesNotExistError("gone")
        await show(names, cycle_us)

    monkeypatch.setattr(run.store.alarms, "show", fails_once)
    number = await command(db, "shelve", "late", minutes=5, reason="x")
    await run.at(0, 95.0)
    assert failed == ["normal"]
    assert await journal(db) == [(0, "normal", "unacknowledged", None)]
    assert [after for _, _, after, _ in await journal(db, "late")] == ["shelved"]
    assert await db.fetchval("SELECT error FROM command WHERE id = $1", number) is None


async def test_the_look_for_commands_is_all_that_a_quiet_cycle_asks_about_alarms(run, db):
    await run.at(0, 50.0)
    sent = []
    with run.store._connection.query_logger(lambda record: sent.append(record.query)):
        await run.at(1, 51.0)
    # Besides it there are the turn, the look for changes of others, and what readers are told.
    assert [each for each in sent if "command" in each] == [OTHER_COMMANDS, ALARM_COMMANDS]
    assert len(sent) <= 7
    await db.execute("SET enable_seqscan = off")
    plan = await db.fetch("EXPLAIN " + ALARM_COMMANDS.replace("$1", "100"))
    assert "command_pending" in str(plan)


async def test_a_flood_is_a_tag_and_the_broker_can_be_an_alarm(run, db):
    await run.at(0)
    assert await state(db, "broker") == "unacknowledged"
    run.cycle.connected = lambda: True
    for second in range(1, 12):
        await run.at(2 * second, 95.0)
        await run.at(2 * second + 1, 10.0)
    await run.at(30)
    rows = await db.fetch(
        "SELECT DISTINCT ON (tag) tag, value FROM sample_named WHERE tag LIKE 'ingest.alarm%'"
        " ORDER BY tag, time DESC"
    )
    assert [tuple(row) for row in rows] == [
        ("ingest.alarm_flood", 1.0),
        ("ingest.alarm_rate", 12.0),
    ]
    assert await state(db, "broker") == "returned"
    before = run.cycle._state.alarms.flood
    await run.start(31)
    after = run.cycle._state.alarms.flood
    assert (after.count, after.since_us) == (before.count, before.since_us)


@pytest.mark.parametrize("lost", [True, False], ids=["answer lost", "commit failed"])
async def test_a_cycle_whose_commit_is_not_answered_changes_alarms_and_rejects_once(run, db, lost):
    transaction, failed = run.store.transaction, []

    @asynccontextmanager
    async def fail_once():
        async with transaction():
            yield
            if not failed and not lost:
                failed.append(True)
                raise ConnectionResetError
        if not failed:
            failed.append(True)
            raise StoreError("its answer is lost", retryable=True)

    await run.at(0, 50.0)
    run.store.transaction = fail_once
    wrong = Message(TOPIC, b"no value", (T0 + 2) * 1_000_000, 0, 0, 0)
    body = json.dumps({"ts": (T0 + 1) * 1000, "values": {"FT-1": 90.0}}).encode()
    right = Message(TOPIC, body, (T0 + 2) * 1_000_000, 0, 0, 0)
    await run.cycle.run([wrong, right], (T0 + 2) * 1_000_000)
    assert failed
    await run.at(40, 50.0, at=3)
    await run.at(41)
    assert [after for _, _, after, _ in await journal(db)] == ["unacknowledged", "returned"]
    assert await db.fetchval("SELECT count(*) FROM reject") == 1
    assert run.cycle.counters["rejected.bad_json"] == 1
    assert run.cycle.counters["retries"] == 1


async def test_an_alarm_on_a_tag_of_ingest_that_is_not_there_is_said_at_the_start(folder, database):
    with (folder / "park.toml").open("a", encoding="utf-8") as file:
        file.write('[[alarm]]\ntag = "acmepark/ingest.luck"\nlimit = "1"\ndirection = "low"\n')
    with pytest.raises(ModelError, match="luck"):
        Run(database, folder)


async def test_a_statement_the_database_refuses_is_an_error_of_the_store(run):
    with pytest.raises(StoreError):
        async with run.store.transaction():
            await run.store.fetch("SELECT no_such_function()")
