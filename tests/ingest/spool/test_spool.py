"""Shares of gateways when ingest is behind, and what waits in the spool: in order, once each."""

import json

import pytest

from ingest.counters import Counters
from ingest.routing.decode import Intake
from ingest.routing.topics import Message, TopicTable
from ingest.settings import IngestSettings
from ingest.spool import ROW_BYTES, ROW_MESSAGES, TURN_BYTES, Spool
from ingest.transport.subscriber import FIRST_MESSAGES, PORTION_MESSAGES, Inbox, NextBlock
from tests.support.memory_store import MemoryStore
from tests.support.stored import T0, cycling, message, opened
from twin.errors import StoreError
from twin.series.samples import no_samples

MINUTE_MS = 60_000


class AwayStore(MemoryStore):
    """A store whose transactions fail; the first may have committed all the same."""

    failures = 0

    def transaction(self):
        if self.failures:
            self.failures -= 1
            raise StoreError("away", retryable=True)
        return super().transaction()


class Intakes:
    """The inbox, the next block and the spool of a program, without its cycle."""

    def __init__(self, store=None, **settings):
        self.store = store or AwayStore()
        self.counters, self.acked = Counters(), []
        chosen = IngestSettings(**{"cycle_messages": 100, **settings})
        self.spool = Spool(self.store, chosen, self.counters, self.acked.extend)
        self.inbox = Inbox(10**6, 10**9, self.counters)
        self.block = NextBlock(
            self.inbox,
            lambda messages: Intake(no_samples(), messages=messages),
            self.spool,
            lambda topic: topic,
            lambda gateways: not self.heard <= set(gateways),
            chosen,
        )
        self.sent = 0
        self.heard = {"quiet"}

    def send(self, gateway, count, size=10):
        for _ in range(count):
            self.sent += 1
            self.inbox.add(Message(gateway, b"x" * size, self.sent, self.sent % 65_535 + 1, 1, 1))

    async def cycle(self):
        """Return what one cycle decodes, as (gateway, arrival)."""
        decoded = self.block.take()
        messages = await self.spool.turn(*self.block.unused)
        await self.spool.done()
        return [(m.topic, m.received_us) for m in (*messages, *decoded.messages)]

    async def cycles(self):
        """Return what comes until nothing waits."""
        result = []
        while len(self.inbox) or self.spool.waiting:
            result += await self.cycle()
        return result


def of(gateway, decoded):
    return [at for name, at in decoded if name == gateway]


async def test_who_sends_more_than_a_share_waits_and_nobody_else_does():
    intakes = Intakes()
    intakes.send("flood", 300)
    intakes.send("calm", 3)
    first = await intakes.cycle()
    assert of("calm", first) == [301, 302, 303]
    assert of("flood", first) == list(range(1, 101))
    assert (intakes.spool.waiting, len(intakes.inbox)) == ({"flood": 101}, 0)
    assert intakes.counters["spooled"] == len(intakes.acked) == 200


async def test_newer_messages_of_a_gateway_go_behind_those_in_the_spool():
    intakes = Intakes(cycle_messages=PORTION_MESSAGES)
    intakes.send("flood", 4 * ROW_MESSAGES)
    decoded = await intakes.cycle()
    assert set(intakes.spool.waiting) == {"flood"}
    for _ in range(3):
        intakes.send("flood", 10)
        intakes.send("calm", 10)
        more = await intakes.cycle()
        assert len(of("calm", more)) == 10
        decoded += more
    decoded += await intakes.cycles()
    for gateway in ("flood", "calm"):
        assert of(gateway, decoded) == sorted(of(gateway, decoded))
    assert len(decoded) == len(set(decoded)) == 4 * ROW_MESSAGES + 60
    intakes.send("flood", 5)
    assert len(await intakes.cycle()) == 5
    assert intakes.store.spool.kept == {}


async def test_gateways_in_the_spool_take_turns():
    intakes = Intakes(cycle_messages=PORTION_MESSAGES)
    intakes.send("first", 6 * ROW_MESSAGES)
    intakes.send("second", 2 * ROW_MESSAGES)
    await intakes.cycle()
    heard = [{name for name, _ in await intakes.cycle()} for _ in range(4)]
    assert heard[:2] == heard[2:]
    assert sorted(heard[:2], key=min) == [{"first"}, {"second"}]


async def test_nothing_is_spooled_while_the_next_cycle_can_take_it():
    intakes = Intakes()
    intakes.send("a", 200)
    assert len(await intakes.cycles()) == 200
    assert (intakes.counters["spooled"], intakes.acked) == (0, [])


async def test_large_messages_are_shared_out_by_their_bytes():
    intakes = Intakes(cycle_bytes=1 << 20)
    intakes.send("large", 12, 250_000)
    intakes.send("calm", 1)
    assert of("calm", await intakes.cycle()) == [13]
    assert len(intakes.acked) == 12 - 5
    sizes = [row.size for row, _ in intakes.store.spool.kept.values()]
    assert max(sizes, default=0) <= ROW_BYTES + 250_000


@pytest.mark.parametrize("spool_bytes", [0, 50_000])
async def test_full_spool_leaves_the_rest_in_the_inbox_in_order(spool_bytes):
    intakes = Intakes(cycle_messages=PORTION_MESSAGES, spool_bytes=spool_bytes)
    decoded = []
    for _ in range(4):
        intakes.send("flood", 2 * ROW_MESSAGES)
        decoded += await intakes.cycle()
    assert len(intakes.inbox) > ROW_MESSAGES
    decoded += await intakes.cycles()
    assert decoded == [("flood", number + 1) for number in range(8 * ROW_MESSAGES)]
    assert bool(intakes.acked) == bool(spool_bytes)


async def test_nothing_is_acknowledged_or_lost_while_the_database_is_away():
    intakes = Intakes()
    intakes.send("flood", 500)
    intakes.store.failures = 3
    decoded = []
    for _ in range(3):
        decoded += await intakes.cycle()
        intakes.send("flood", 10)
        assert intakes.acked == []
    decoded += await intakes.cycles()
    assert decoded == [("flood", number + 1) for number in range(530)]
    assert len(intakes.acked) == intakes.counters["spooled"] == 430


async def test_row_whose_commit_was_not_answered_is_brought_back():
    class Unanswered(AwayStore):
        lost = True

        async def lose(self):
            self.lost = False
            raise StoreError("no answer", retryable=True)

        def transaction(self):
            store, inner = self, super().transaction()

            class Transaction:
                async def __aenter__(self):
                    return await inner.__aenter__()

                async def __aexit__(self, *error):
                    await inner.__aexit__(*error)
                    if store.lost and store.spool.kept:
                        await store.lose()

            return Transaction()

    intakes = Intakes(Unanswered())
    intakes.send("flood", 300)
    decoded = await intakes.cycle()
    decoded += await intakes.cycles()
    # Some come twice, like what a broker sends again.
    assert {at for _, at in decoded} == set(range(1, 301))
    assert intakes.store.spool.kept == {}


async def test_one_turn_stores_only_so_many_bytes_of_what_is_held():
    intakes, size = Intakes(), 100_000
    for gateway in ("flood", "torrent"):
        intakes.send(gateway, 200, size)
    intakes.store.failures = 1
    decoded, stored = [], []
    while len(intakes.inbox) or intakes.spool.grows:
        before = len(intakes.acked)
        decoded += await intakes.cycle()
        stored.append(len(intakes.acked) - before)
    decoded += await intakes.cycles()
    assert sum(stored) > 300
    assert max(stored) * size < TURN_BYTES + size
    for gateway in ("flood", "torrent"):
        assert of(gateway, decoded) == sorted(of(gateway, decoded))
    assert len(decoded) == 400


async def test_gateways_that_are_all_above_their_shares_keep_nobody_waiting():
    intakes = Intakes()
    intakes.heard = {"a", "b"}
    intakes.send("a", 500)
    intakes.send("b", 500)
    assert len(await intakes.cycle()) == 100
    assert len(intakes.spool) == 0
    intakes.heard = {"a", "b", "quiet"}
    await intakes.cycle()
    assert len(intakes.spool) > 0


async def test_a_block_holds_what_the_pace_of_cycles_allows():
    intakes = Intakes(cycle_messages=50_000, cycle_s=0.5)
    limits = []
    for messages, seconds in [(10, 0.1), (20_000, 2.0), (20_000, 0.1), (50_000, 0.1), (2_000, 60)]:
        intakes.block.follow(messages, seconds)
        limits.append(intakes.block._limits[0])
    assert limits[:2] == [FIRST_MESSAGES, 6_000]
    assert limits[1] < limits[2] < limits[3] <= 50_000
    assert limits[4] == PORTION_MESSAGES


# --- the table --------------------------------------------------------------


async def test_a_new_start_goes_on_with_the_spool(database):
    async with opened(database) as store:
        before = Intakes(store)
        before.send("flood", 300)
        before.send("园区/gw", 300, 5)
        before.block.take()
        assert await before.spool.turn(0, 0) == []
        assert len(before.spool) == len(before.acked) == 500
    async with opened(database) as store:
        after = Intakes(store)
        await after.spool.start()
        assert after.spool.waiting == {"flood": 101, "园区/gw": 301}
        decoded = await after.cycles()
        assert of("flood", decoded) == list(range(101, 301))
        assert of("园区/gw", decoded) == list(range(301, 601))
        async with store.transaction():
            assert await store.spool.rows() == []


async def test_message_comes_back_as_it_was(database):
    sent = [Message("t", bytes(range(256)), T0, 7, 1, 3, 9), Message("园区", b"", T0 + 1, 0, 0, -1)]
    async with opened(database) as store, store.transaction():
        row = await store.spool.add("acme/gw", sent)
        assert await store.spool.rows() == [row]
        assert await store.spool.messages([row.number]) == sent


# --- who waits --------------------------------------------------------------


def test_order_of_a_message_is_its_gateways(park):
    topics = TopicTable(park, park.tags)
    assert topics.order("park/v1/acmepark/acme/gw1") == "acme/gw1"
    assert topics.order("park/v1/acmepark/nobody/gw1") == topics.order("nonsense") == ""


async def test_minutes_wait_for_what_is_in_the_spool_and_for_nothing_else(database, park, db):
    other = "park/v1/acmepark/other/gw9"
    async with cycling(database, park) as cycle:
        body = {"ts": T0, "values": {"FT-1": 1.0}}
        both = [message(body), message({"ts": T0, "values": {"FT-9": 1.0}}, topic=other)]
        await cycle.run(both, T0 * 1000)
        cycle.spooled_since = lambda: {"acme/gw1": (T0 + 1) * 1000}
        late_ms = T0 + 2 * MINUTE_MS
        await cycle.run([], late_ms * 1000)
        counted = await db.fetch(
            "SELECT tag, count(*) FROM minute JOIN tag USING (tag_id)"
            " WHERE source = 'measured' GROUP BY 1"
        )
        assert [row["tag"] for row in counted] == ["FT-9"]
        cycle.spooled_since = dict
        await cycle.run([], late_ms * 1000 + 1_000_000)
        assert await db.fetchval(
            "SELECT count(*) FROM minute JOIN tag USING (tag_id) WHERE tag = 'FT-1'"
        )
        assert json.loads(both[0].payload) == body
