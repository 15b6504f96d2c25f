"""What one cycle cannot take is committed in several; who is to blame is found and rejected."""

import json

import pytest

from ingest.cycle import cycle as cycles
from ingest.store import Store
from tests.support.cycle_bench import message
from tests.support.stored import T0, TOPIC, cycling, everything, samples
from twin.arrays import DAY_US
from twin.errors import ContentError, StoreError
from twin.replay import derive

DAY_MS = DAY_US // 1000
POISON = 66.0  # in t/h, as it is sent
SOON = pytest.mark.usefixtures("soon")


class Picky(Store):
    """A store that fails when it is given the poison, and a while from when it is told so."""

    def __init__(self, url):
        super().__init__(url)
        self.error = ContentError("database: out of shared memory", retryable=True)
        self.refuses = True
        self.away = 0
        self.commits = []

    def _check(self, written):
        if self.refuses and (abs(written.value * 3.6 - POISON) < 1e-9).any():
            raise self.error

    async def copy_samples(self, samples, table="sample"):
        self._check(samples)
        await super().copy_samples(samples, table)

    async def wake_readers(self, cycle_us, *columns):
        if self.away:
            self.away -= 1
            raise StoreError("database: away", retryable=True)
        await super().wake_readers(cycle_us, *columns)
        self.commits.append(cycle_us)


@pytest.fixture
def soon(monkeypatch):
    """Let a cycle be tried again without a pause."""
    monkeypatch.setattr(cycles, "RETRY_S", (0.0,))


def block(values, poison=()):
    """Return messages of consecutive seconds, some of them poisoned."""
    return [
        message({"FT-1": POISON if at in poison else value}, T0 + at * 1000)
        for at, value in enumerate(values)
    ]


async def rejects(db):
    return [tuple(row) for row in await db.fetch(
        "SELECT reason, detail, topic, payload FROM reject ORDER BY id"
    )]  # fmt: skip


@SOON
@pytest.mark.parametrize("poison", [(), (0,), (7,), (12,), (2, 3, 11), tuple(range(13))])
async def test_messages_that_the_database_refuses_are_rejected_alone(database, park, db, poison):
    values = [float(at) for at in range(13)]
    messages = block(values, poison)
    async with cycling(database, park, kind=Picky) as cycle:
        await cycle.run(messages, T0 * 1000 + DAY_US)
        await cycle.run(block([50.0], ())[:0], T0 * 1000 + DAY_US + 1_000_000)
        assert cycle.counters["rejected.refused_by_store"] == len(poison)
        assert cycle.counters["messages"] == 13
        commits = cycle._store.commits
    assert commits == sorted(set(commits))
    kept = [(at * 1000, value) for at, value in enumerate(values) if at not in poison]
    assert [row[:2] for row in await samples(db)] == kept
    assert await rejects(db) == [
        ("refused_by_store", "database: out of shared memory", TOPIC, messages[at].payload)
        for at in poison
    ]
    straight = await everything(db)
    await db.execute("TRUNCATE sample, minute, hour, day, restatement, cycle, reject")
    async with cycling(database, park) as again:
        clean = [each for at, each in enumerate(messages) if at not in poison]
        await again.run(clean, T0 * 1000 + DAY_US)
        await again.run([], T0 * 1000 + DAY_US + 1_000_000)
    assert await everything(db) == straight


@SOON
async def test_what_the_database_will_never_take_is_not_tried_again(database, park, db):
    async with cycling(database, park, kind=Picky) as cycle:
        cycle._store.error = StoreError("database: numeric field overflow")
        await cycle.run(block([1.0, 2.0, 3.0], (1,)), T0 * 1000)
        assert cycle.counters["retries"] == 0
    assert [row[0] for row in await samples(db)] == [0, 2000]
    assert [row[0] for row in await rejects(db)] == ["refused_by_store"]


@SOON
async def test_a_database_that_is_unwell_blames_nobody(database, park, db):
    async with cycling(database, park, kind=Picky) as cycle:
        store = cycle._store
        commit_part = cycle._commit_part

        async def recover(part, total, **more):
            # An empty cycle finds the database away, and afterwards it is well.
            if not part.messages:
                store.away, store.refuses = 2, False
            return await commit_part(part, total, **more)

        cycle._commit_part = recover
        await cycle.run(block([1.0, 2.0], (1,)), T0 * 1000)
        assert cycle.counters["rejected.refused_by_store"] == 0
    assert [row[:2] for row in await samples(db)] == [(0, 1.0), (1000, POISON)]


async def test_a_message_that_crashes_the_twin_is_rejected_alone(
    database, park, db, monkeypatch, caplog
):
    def crash(network, image, memory, now_us):
        if (abs(image.value * 3.6 - POISON) < 1e-9).any():
            raise RecursionError("too deep")
        return derive(network, image, memory, now_us)

    monkeypatch.setattr(cycles, "derive", crash)
    values = [float(at) for at in range(7)]
    async with cycling(database, park) as cycle:
        await cycle.run(block(values, (6,)), T0 * 1000)
        assert cycle.counters["rejected.crashed"] == 1
    assert [row[1] for row in await samples(db)] == values[:6]
    assert [row[:2] for row in await rejects(db)] == [("crashed", "RecursionError: too deep")]
    assert "Traceback" in caplog.text


async def test_an_empty_cycle_that_crashes_is_nobodys_fault(database, park, db, monkeypatch):
    def crash(*_):
        raise ZeroDivisionError("ours")

    async with cycling(database, park) as cycle:
        monkeypatch.setattr(cycles, "derive", crash)
        with pytest.raises(ZeroDivisionError):
            await cycle.run([], T0 * 1000)
        with pytest.raises(ZeroDivisionError):
            await cycle.run(block([1.0]), T0 * 1000)
    assert await rejects(db) == []


async def test_samples_of_many_days_are_committed_in_parts(database, park, db):
    days = range(0, 120, 3)
    columns = {"tag": ["FT-1"] * 40, "ts": [T0 - day * DAY_MS for day in days],
               "value": [day / 4 for day in days]}  # fmt: skip
    body = message({}, T0)._replace(payload=json.dumps(columns).encode())
    async with cycling(database, park, kind=Picky, cycle_days=10) as cycle:
        await cycle.run([body, message({"ZZ-1": 1.0}, T0)], T0 * 1000)
        commits = cycle._store.commits
        assert cycle.counters["cycles"] == len(commits)
        assert cycle.counters["quarantined.unknown_tag"] == 1
        assert cycle.counters["late"] == 0
    assert 12 <= len(commits) <= 13
    assert commits == list(range(T0 * 1000, T0 * 1000 + len(commits)))
    assert [row[:2] for row in await samples(db)] == [
        (-day * DAY_MS, day / 4) for day in reversed(days)
    ]
