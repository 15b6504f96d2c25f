"""The clock of the machine is set ahead and back: what follows from it comes back with it."""

import pytest

from tests.support.cycle_bench import message
from tests.support.memory_store import MemoryStore, started
from tests.support.stored import T0, cycling
from twin.arrays import SECOND_US
from twin.errors import ParkError

HOUR_S = 3600


class Machine:
    """A cycle with a clock of its own, beside gateways whose clocks are right."""

    def __init__(self, cycle):
        self.cycle = cycle
        self.second = 0
        self.ahead_s = 0

    async def run(self, seconds):
        """Run two cycles a second; two tags send once a second."""
        for _ in range(2 * seconds):
            self.second += 0.5
            at_ms, ahead_ms = T0 + int(self.second * 1000), self.ahead_s * 1000
            sent = [message({"FT-1": self.second % 50}, at_ms, after_ms=ahead_ms)]
            await self.cycle.run(sent[at_ms % 1000 :], (at_ms + ahead_ms) * 1000)

    @property
    def now_us(self):
        """The right time."""
        return (T0 + int(self.second * 1000)) * 1000

    @property
    def health_us(self):
        """The time of the newest health of ingest."""
        return int(self.cycle.image.time_us[self.cycle._health._tag].max())


@pytest.mark.parametrize("ahead_s", [HOUR_S, 24 * HOUR_S])
async def test_a_clock_set_back_restates_nothing(park, ahead_s):
    store = MemoryStore()
    machine = Machine(await started(park, store, T0 * 1000, watched=False))
    await machine.run(90)
    machine.ahead_s = ahead_s
    await machine.run(90)
    assert machine.health_us > machine.now_us + (ahead_s - 6) * SECOND_US
    # Set ahead, it has closed minutes as far as the last values held.
    store.restatement.clear()
    machine.ahead_s = 0
    await machine.run(90)
    assert len(store.restatement) <= 1
    assert machine.cycle.counters["clock_set_back"] == 1
    assert machine.now_us - 6 * SECOND_US < machine.health_us <= machine.now_us
    assert not machine.cycle._gateways.skewed
    newest = max(time for rows in store.sample.values() for time in rows)
    assert newest <= machine.now_us


async def test_readers_see_every_cycle_of_a_clock_that_is_set_back(database, park, db):
    async with cycling(database, park) as cycle:
        machine = Machine(cycle)
        await machine.run(10)
        machine.ahead_s = HOUR_S
        await machine.run(10)
        before = await db.fetchval("SELECT max(cycle_us) FROM cycle")
        machine.ahead_s = 0
        await machine.run(10)
        rows = await db.fetch(
            "SELECT cycle_us FROM cycle WHERE cycle_us > $1 ORDER BY cycle_us", before
        )
        assert [row["cycle_us"] - before for row in rows] == list(range(1, 21))
        assert cycle.counters["clock_set_back"] == 1
    # The next start goes on behind the newest cycle as well.
    async with cycling(database, park, now_us=machine.now_us) as again:
        machine.cycle = again
        await machine.run(2)
        assert await db.fetchval("SELECT max(cycle_us) FROM cycle") == before + 24
    ahead = (
        "SELECT count(*) FROM {} JOIN tag USING (tag_id)"
        " WHERE source = 'derived' AND time > to_timestamp($1)"
    )
    for table in ("sample", "minute", "hour", "day"):
        assert await db.fetchval(ahead.format(table), machine.now_us / 1e6) == 0, table


async def test_derived_values_that_are_taken_back_leave_their_hours(database, park, db):
    async with cycling(database, park) as cycle:
        machine = Machine(cycle)
        await machine.run(70)
        hours = "SELECT t.tag, h.time, n FROM hour h JOIN tag t USING (tag_id) ORDER BY 1, 2"
        right = [row for row in await db.fetch(hours) if row["tag"] == "ingest.lag"]
        machine.ahead_s = 3 * HOUR_S
        await machine.run(130)
        assert len([row for row in await db.fetch(hours) if row["tag"] == "ingest.lag"]) > 1
        machine.ahead_s = 0
        await machine.run(1)
    kept = [row for row in await db.fetch(hours) if row["tag"] == "ingest.lag"]
    assert [row["time"] for row in kept] == [row["time"] for row in right]


async def test_a_small_step_back_writes_nothing_twice(park):
    store = MemoryStore()
    cycle = await started(park, store, T0 * 1000, watched=False)
    for at_ms in (0, 500, 1000, 400, 900, 1400):
        await cycle.run([], (T0 + at_ms) * 1000)
    assert cycle.counters["clock_set_back"] == 0
    assert store.restatement == []


async def test_a_clock_that_is_behind_what_gateways_have_sent_takes_nothing_back(
    database, park, db
):
    def count(table):
        return db.fetchval(f"SELECT count(*) FROM {table}")

    async with cycling(database, park) as cycle:
        machine = Machine(cycle)
        await machine.run(150)
    before = await count("minute"), await count("sample")
    assert min(before) > 0
    day_before = machine.now_us - 24 * HOUR_S * SECOND_US
    with pytest.raises(ParkError, match="the clock of this machine says") as behind:
        async with cycling(database, park, now_us=day_before):
            pass
    assert behind.value.retryable
    assert (await count("minute"), await count("sample")) == before
    async with cycling(database, park, now_us=machine.now_us):
        pass
    assert await count("minute") >= before[0]
    async with cycling(database, park, now_us=day_before, clock_trusted=True):
        pass
    assert await count("minute") == 0


async def test_a_running_cycle_ends_where_its_clock_is_set_behind_what_gateways_have_sent(park):
    machine = Machine(await started(park, MemoryStore(), T0 * 1000, watched=False))
    await machine.run(10)
    machine.ahead_s = -24 * HOUR_S
    with pytest.raises(ParkError, match="the clock of this machine says"):
        await machine.run(10)
