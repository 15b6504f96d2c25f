"""`parktwin ingest`: from the broker into the database, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import math
import shutil
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, TypeVar

import uvloop

from deploy.watchdog import send_signs
from ingest.commands import CommandQueue
from ingest.cycle.cycle import Cycle
from ingest.settings import IngestSettings
from ingest.spool import Spool
from ingest.store import Store, open_when_ready
from ingest.transport.hj212_listener import Listener
from ingest.transport.publication import Publication
from ingest.transport.subscriber import NextBlock, Subscriber
from ingest.wire import sparkplug
from twin.loading import load_park
from twin.model.gateways import GatewaySpec, filters
from twin.program import program_parser, run_program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ingest.routing.decode import Intake
    from ingest.routing.sparkplug_session import SparkplugSessions
    from ingest.routing.topics import Message
    from twin.model.park import Park

T = TypeVar("T")

LOG = logging.getLogger("ingest")
IDLE_S = 0.5
STOP_S = 3.0
# Of mallopt(3): free memory that is kept, and the size from which a block is mapped on its own.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
KEEP_BYTES = 256 << 20, 32 << 20
EXAMPLES = """examples:
  parktwin ingest
  PARKTWIN_PARK=/etc/parktwin/my-park PARKTWIN_MQTT_URL=mqtt://broker:1883 parktwin ingest

settings, from the environment:
"""


async def ingest(settings: IngestSettings, stop: asyncio.Event) -> bool:
    """Run cycles until `stop` is set; True when the model is to be read again; raises ParkError."""
    store = Store(settings.database_url, exclusive=True)
    park = await _take(store, settings, stop)
    if park is None:
        return False
    cycle = Cycle(park, store, settings)
    subscriber = Subscriber(
        settings,
        cycle.counters,
        filters(park.rows(GatewaySpec)),
        state_topic=sparkplug.state_topic(settings.sparkplug_host_id) if cycle.sparkplug else "",
    )
    subscriber.on_connection = lambda: cycle.sparkplug.reconnected(time.time_ns() // 1000)
    cycle.connected = lambda: subscriber.connected
    listener = Listener(park, settings, subscriber.inbox.add, cycle.counters)

    def ack(messages: Sequence[Message], refused: Mapping[tuple[int, int], str]) -> None:
        subscriber.ack(messages)
        listener.ack(messages, refused)

    spool = Spool(store, settings, cycle.counters, lambda messages: ack(messages, {}))
    cycle.surroundings = lambda: {
        **subscriber.status.gauges(),
        "spool": float(len(spool)),
        "disk_used": _disk_used(settings.data),
    }
    cycle.spooled_since = lambda: spool.waiting
    next_block = NextBlock(
        subscriber.inbox, cycle.decode, spool, cycle.topics.order, cycle.is_heard_besides, settings
    )
    cycle.inbox_size = lambda: len(next_block)
    publication = Publication(cycle.network, settings.publish_s)
    if not await _start(cycle, store, stop):
        return False
    commands = CommandQueue(store, cycle.topics, settings)
    await commands.start()
    await spool.start()
    if settings.hj212_port:
        await listener.start()
    LOG.info("%s: %d tags, model %s", park.id, len(park.tags), park.digest[:12])
    connection = asyncio.create_task(subscriber.run(), name="subscriber")
    decoding = asyncio.create_task(next_block.run(), name="decoding")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        while not (stopping.done() or connection.done() or decoding.done() or commands.reload):
            began = time.monotonic()
            now_us = time.time_ns() // 1000
            run = _share(cycle, commands, spool, next_block, now_us)
            done = await _finish(asyncio.create_task(run, name="cycle"), stopping)
            if done is None:
                break
            subscriber.check_window(done[0])
            ack(*done)
            await _ask(cycle.sparkplug, subscriber, now_us)
            if subscriber.connected:
                await publication.publish(cycle.image, subscriber.publish, now_us)
            await _pause(began + settings.cycle_s, next_block, spool, stopping)
        await asyncio.gather(*(task for task in (connection, decoding) if task.done()))
    finally:
        await listener.stop()
        for task in (connection, decoding, stopping):
            task.cancel()
        await asyncio.wait({connection, decoding, stopping})
        await store.close()
    return commands.reload and not stop.is_set()


async def _take(store: Store, settings: IngestSettings, stop: asyncio.Event) -> Park | None:
    """Open the store and return the park model; None when `stop` is set before."""
    park = load_park(settings.park)
    opening = asyncio.create_task(open_when_ready(store), name="opening")
    if not await _finishes(opening, stop):
        return None
    # While this ingest waited for another one, the model may have become a different one.
    return load_park(settings.park) if opening.result() else park


async def _start(cycle: Cycle, store: Store, stop: asyncio.Event) -> bool:
    """Start the cycle, which may sum years again; False when `stop` is set before."""
    starting = asyncio.create_task(cycle.start(time.time_ns() // 1000), name="start")
    if await _finishes(starting, stop):
        return True
    await store.close()
    return False


async def _finishes(task: asyncio.Task[Any], stop: asyncio.Event) -> bool:
    """Wait for a task and raise its error; False when `stop` is set before, which ends the task."""
    stopping = asyncio.create_task(stop.wait(), name="stop")
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if task.done():
        await task
        return True
    task.cancel()
    await asyncio.wait({task})
    return False


def _disk_used(folder: Path | None) -> float:
    """Return the used share of the disk of a folder [1]; NaN where there is none to look at."""
    if folder is None or not folder.exists():
        return math.nan
    usage = shutil.disk_usage(folder)
    return 1.0 - usage.free / usage.total


async def _share(
    cycle: Cycle, commands: CommandQueue, spool: Spool, next_block: NextBlock, now_us: int
) -> tuple[Sequence[Message], dict[tuple[int, int], str]]:
    """Run a cycle in which the next block and the spool have their shares.

    Returns the messages of the block, and the reasons of those of which nothing was kept.
    """
    began = time.monotonic()
    decoded = next_block.take()
    spooled = await spool.turn(*next_block.unused)
    intake = await _turn(cycle, commands, decoded, now_us, spooled)
    await spool.done()
    next_block.follow(len(spooled) + len(decoded.messages), time.monotonic() - began)
    return decoded.messages, intake.refused


async def _turn(
    cycle: Cycle,
    commands: CommandQueue,
    decoded: Intake,
    now_us: int,
    spooled: Sequence[Message] = (),
) -> Intake:
    """Run a cycle with what has come, what was spooled and what commands bring back."""
    block = await commands.take(now_us)
    intake = await cycle.run([*block.messages, *spooled], now_us, block.samples, decoded)
    await commands.done()
    return intake


async def _finish(run: asyncio.Task[T], stopping: asyncio.Task[Any]) -> T | None:
    """Wait for a cycle and return its result; None when it does not end before we must."""
    await asyncio.wait({run, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not run.done():
        # The database may be away for long: what is not committed will come again.
        await asyncio.wait({run}, timeout=STOP_S)
    if not run.done():
        run.cancel()
        return None
    return await run


async def _ask(sessions: SparkplugSessions, subscriber: Subscriber, now_us: int) -> None:
    """Ask edge nodes for what they must say again; who cannot be asked now is asked later."""
    if not subscriber.connected:
        return
    if sessions.denied:
        sessions.denied = not await subscriber.announce()
    for topic, payload in sessions.requests(now_us):
        if not await subscriber.publish(topic, payload):
            break


async def _pause(
    due: float, next_block: NextBlock, spool: Spool, stopping: asyncio.Task[Any]
) -> None:
    """Wait until the next cycle is due, and a little longer while nothing comes.

    A spool that holds what is not stored yet keeps the broker from going on: that is due at once.
    """
    if not spool.grows:
        await asyncio.wait({stopping}, timeout=max(due - time.monotonic(), 0.0))
    if not len(next_block) and not spool.waiting and not stopping.done():
        arrival = asyncio.create_task(next_block.inbox.arrived.wait())
        await asyncio.wait({arrival, stopping}, timeout=IDLE_S, return_when=asyncio.FIRST_COMPLETED)
        arrival.cancel()


def _keep_memory() -> None:
    """Keep what a cycle frees, as the next one needs it again: new pages cost more than the work.

    Where the C library is not GNU's, there is nothing to be told.
    """
    with contextlib.suppress(AttributeError, OSError):
        library = ctypes.CDLL(None)
        library.mallopt(TRIM_THRESHOLD, KEEP_BYTES[0])
        library.mallopt(MMAP_THRESHOLD, KEEP_BYTES[1])


async def _main(settings: IngestSettings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    signs = asyncio.create_task(send_signs(), name="signs")
    while await ingest(settings, stop):
        LOG.info("the park model is read again")
    signs.cancel()


def main(argv: list[str] | None = None) -> int:
    """Run ingest; return 0 after a clean stop."""
    about = "Take samples from the broker and commit them to TimescaleDB."
    program_parser("parktwin ingest", about, EXAMPLES + IngestSettings.help()).parse_args(argv)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    _keep_memory()
    return run_program("parktwin ingest", lambda: uvloop.run(_main(IngestSettings())))


if __name__ == "__main__":
    sys.exit(main())
