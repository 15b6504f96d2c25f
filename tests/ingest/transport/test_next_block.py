"""The next block is decoded while the database works, and nothing of it before its commit."""

import asyncio
import json
import time
from contextlib import asynccontextmanager

import pytest

from ingest import __main__ as program
from ingest.commands import Reload
from ingest.counters import Counters
from ingest.cycle import cycle as cycles
from ingest.cycle.cycle import Cycle
from ingest.routing.decode import Intake
from ingest.routing.topics import Message
from ingest.settings import IngestSettings
from ingest.spool import Spool
from ingest.transport.broker_status import BrokerStatus
from ingest.transport.subscriber import PORTION_MESSAGES, Inbox, NextBlock
from ingest.wire.native import Scans
from tests.support.memory_store import MemoryStore
from tests.support.waiting import until
from twin.errors import StoreError
from twin.loading import load_park
from twin.series.samples import no_samples

TOPIC = "park/v1/acmepark/acme/gw1"
TS = time.time_ns() // 1_000_000 - 3_600_000


def message(number):
    """Return a message whose time and packet id are its number."""
    payload = json.dumps({"ts": TS + number, "values": {"FT-1": number % 50}}).encode()
    return Message(TOPIC, payload, time.time_ns() // 1000, number + 1, 1, 1)


class HeldStore(MemoryStore):
    """A store whose samples are held back, and whose first transactions fail, when told so."""

    def __init__(self):
        super().__init__()
        self.held, self.open_door = asyncio.Event(), asyncio.Event()
        self.open_door.set()
        self.failures = 0

    async def open(self):
        """Stay as it is."""

    async def close(self):
        """Keep what is stored."""

    async def copy_samples(self, samples):
        if (samples.tag == 0).any():
            self.held.set()
            await self.open_door.wait()
            if self.failures:
                self.failures -= 1
                raise StoreError("away", retryable=True)
        await super().copy_samples(samples)

    @property
    def times(self):
        """The numbers of the messages that are stored, in order."""
        return [time_us // 1000 - TS for time_us in sorted(self.sample[0])]


class Broker:
    """Stands in for the subscriber: what is published comes again until it is acknowledged."""

    def __init__(self):
        self.waiting, self.acked = {}, []
        self.inbox = None

    def __call__(self, settings, counters):
        self.inbox = Inbox(settings.inbox_messages, settings.inbox_bytes, counters)
        self.inbox.link = 1
        self.status = BrokerStatus(settings)
        self.connected = True
        for each in self.waiting.values():
            self.inbox.add(each)
        return self

    def put(self, numbers):
        for number in numbers:
            self.waiting[number + 1] = message(number)
            self.inbox.add(self.waiting[number + 1])

    async def run(self):
        await asyncio.Event().wait()

    async def follow(self, topics, state_topic):
        """Bring what comes under any topic."""

    async def publish(self, *args, **more):
        return True

    def check_window(self, messages):
        """Have enough in flight."""

    def ack(self, messages):
        for each in messages:
            self.acked.append(each.mid - 1)
            del self.waiting[each.mid]


@pytest.fixture
def ingest(monkeypatch, park_folder):
    """Return what runs the program over a store and a broker in memory."""
    store, broker, decoded = HeldStore(), Broker(), []
    plain = Cycle.decode

    def decode(self, messages):
        decoded.extend(each.mid - 1 for each in messages)
        return plain(self, messages)

    monkeypatch.setattr(program, "Store", lambda *_, **__: store)
    monkeypatch.setattr(program, "Subscriber", broker)
    monkeypatch.setattr(Cycle, "decode", decode)
    monkeypatch.setattr(cycles, "RETRY_S", (0.0,))
    chosen = IngestSettings(park=park_folder, cycle_s=0.02, contact_rate=0, park_watch_s=0)

    @asynccontextmanager
    async def running():
        stop = asyncio.Event()
        task = asyncio.create_task(program.ingest(chosen, stop))
        await until(lambda: task.done() or store.cycle_us)
        if task.done():
            await task
        yield stop
        stop.set()
        await task

    return running, store, broker, decoded


async def holding(store, broker):
    """Publish one message and hold the transaction that stores it."""
    store.open_door.clear()
    broker.put([0])
    await store.held.wait()


async def test_next_block_is_decoded_while_a_transaction_is_under_way(ingest):
    running, store, broker, decoded = ingest
    async with running():
        await holding(store, broker)
        more = range(1, 2 * PORTION_MESSAGES + 1)
        broker.put(more)
        await until(lambda: decoded == [0, *more])
        assert (store.times, broker.acked) == ([], [])
        store.open_door.set()
        await until(lambda: len(broker.acked) == len(decoded))
    assert broker.acked == store.times == decoded


async def test_block_decoded_ahead_is_not_acknowledged_by_a_stop_and_comes_again(ingest):
    running, store, broker, decoded = ingest
    more = range(1, PORTION_MESSAGES + 1)
    async with running() as stop:
        await holding(store, broker)
        broker.put(more)
        await until(lambda: len(decoded) == 1 + len(more))
        stop.set()
        store.open_door.set()
    assert broker.acked == store.times == [0]
    async with running():
        await until(lambda: not broker.waiting)
    assert broker.acked == store.times == [0, *more]


async def test_stop_does_not_wait_for_what_is_decoded_ahead(ingest, monkeypatch):
    running, store, broker, decoded = ingest
    monkeypatch.setattr(program, "STOP_S", 0.0)
    async with running():
        await holding(store, broker)
        broker.put(range(1, PORTION_MESSAGES + 1))
        await until(lambda: len(decoded) == 1 + PORTION_MESSAGES)
    assert (store.times, broker.acked) == ([], [])
    assert len(broker.waiting) == 1 + PORTION_MESSAGES


async def test_cycle_that_fails_is_tried_again_before_the_block_decoded_ahead(ingest):
    running, store, broker, decoded = ingest
    async with running():
        store.failures = 1
        await holding(store, broker)
        broker.put(range(1, PORTION_MESSAGES + 1))
        await until(lambda: len(decoded) == 1 + PORTION_MESSAGES)
        store.open_door.set()
        await until(lambda: not broker.waiting)
    assert broker.acked == store.times == decoded == list(range(PORTION_MESSAGES + 1))
    assert store.correction == []


async def test_mistake_in_decoding_ahead_costs_its_message(ingest, monkeypatch):
    running, store, broker, decoded = ingest
    read = Scans.read

    def fail(self, payload):
        if payload == b"poison":
            raise ZeroDivisionError
        return read(self, payload)

    monkeypatch.setattr(Scans, "read", fail)
    async with running():
        await holding(store, broker)
        broker.waiting[5] = message(4)._replace(payload=b"poison")
        broker.inbox.add(broker.waiting[5])
        more = range(5, PORTION_MESSAGES + 5)
        broker.put(more)
        await until(lambda: len(decoded) > PORTION_MESSAGES)
        store.open_door.set()
        await until(lambda: not broker.waiting)
    assert store.times == [0, *more]
    assert [reject.reason for reject in store.rejects.rows] == ["crashed"]


@pytest.mark.parametrize(("messages", "size"), [(30, 1 << 20), (50_000, 30 * 100)])
async def test_block_holds_no_more_than_a_cycle_may_have(messages, size):
    inbox = Inbox(10**6, 10**9, Counters())
    limits = IngestSettings(cycle_messages=messages, spool_bytes=0).model_copy(
        update={"cycle_bytes": size}
    )
    spool = Spool(MemoryStore(), limits, Counters(), lambda messages: None)
    block = NextBlock(
        inbox,
        lambda taken: Intake(no_samples(), messages=taken),
        spool,
        lambda topic: topic,
        lambda gateways: True,
        limits,
    )
    task = asyncio.create_task(block.run())
    for number in range(2 * PORTION_MESSAGES):
        inbox.add(Message(TOPIC, b"x" * 100, 0, number, 1, 1))
    await until(lambda: len(inbox) == 2 * PORTION_MESSAGES - 30)
    assert len(block) == 2 * PORTION_MESSAGES
    taken = [block.take().messages for _ in range(3)]
    assert [m.mid for each in taken for m in each] == list(range(90))
    task.cancel()


async def test_block_decoded_ahead_is_stored_before_another_model_runs(ingest, monkeypatch):
    running, store, broker, decoded = ingest
    queues = []
    plain = program.CommandQueue
    monkeypatch.setattr(
        program, "CommandQueue", lambda *args: queues.append(plain(*args)) or queues[-1]
    )
    more = range(1, PORTION_MESSAGES + 1)
    async with running():
        await holding(store, broker)
        broker.put(more)
        await until(lambda: len(decoded) == 1 + len(more))
        queues[0].reload = Reload(load_park(queues[0]._settings.park))
        store.open_door.set()
        await until(lambda: len(queues) == 2 and not broker.waiting)
        assert broker.acked == store.times == decoded == [0, *more]
        broker.put([PORTION_MESSAGES + 1])
        await until(lambda: not broker.waiting)
    assert store.times == decoded == [0, *more, PORTION_MESSAGES + 1]
