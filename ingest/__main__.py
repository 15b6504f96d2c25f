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
from typing import TYPE_CHECKING, Any

import uvloop

from deploy.database.settings import LAST_BACKUP
from deploy.logs import LogSettings, say, start_logging, suppressed
from deploy.watchdog import send_signs
from ingest.archiving.archivist import Archivist
from ingest.commands import CommandQueue, Reload
from ingest.contacts import Contacts
from ingest.cycle.cycle import Cycle
from ingest.forwarding.forwarder import Forwarder
from ingest.gateway_access import GatewayAccess
from ingest.model_folder import ModelFolder
from ingest.notification.notifier import Notifier
from ingest.settings import IngestSettings
from ingest.spool import Spool
from ingest.store import Store, open_when_ready
from ingest.transport.discovery import Discovery
from ingest.transport.hj212_listener import NONE_REFUSED, Listener
from ingest.transport.publication import Publication
from ingest.transport.subscriber import NextBlock, Subscriber
from ingest.wire import sparkplug
from twin.errors import ModelError, ParkError, StoreError
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


async def ingest(settings: IngestSettings, stop: asyncio.Event) -> None:
    """Run cycles over the model of a folder until `stop` is set; raises ParkError."""
    store = Store(settings.database_url, exclusive=True, archive_folder=settings.archive)
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        park = await _take(store, settings, stopping)
        if park is not None:
            await Writer(store, park, settings).run(stopping)
    finally:
        stopping.cancel()
        await store.close()


class Writer:
    """The parts of ingest: connections, inbox and spool live on when a changed model runs."""

    def __init__(self, store: Store, park: Park, settings: IngestSettings) -> None:
        self._store, self._settings = store, settings
        self._park = park
        self._folder = ModelFolder(settings.park, settings.park_watch_s)
        self._cycle = Cycle(park, store, settings)
        counters = self._cycle.counters
        self._subscriber = Subscriber(settings, counters)
        self._listener = Listener(park, settings, self._subscriber.inbox.add, counters)
        self._spool = Spool(store, settings, counters, self._ack)
        self._subscriber.on_connection = lambda: self._cycle.sparkplug.reconnected(_now_us())
        self._contacts = Contacts(settings, counters)
        self._forwarder = Forwarder(settings, counters)
        self._notifier = Notifier(settings, counters)
        self._access = (
            GatewayAccess(settings, settings.gateway_access) if settings.gateway_access else None
        )
        self._discovery = Discovery(settings, self._contacts.hear_foreign, counters)
        # What is wrong with the model of the folder, until that is written down: at the start
        # nothing, whatever a former process found.
        self._problems: Sequence[str] | None = ()

    def _ack(
        self,
        messages: Sequence[Message],
        refused: Mapping[tuple[int, int], str] = NONE_REFUSED,
    ) -> None:
        self._subscriber.ack(messages)
        self._listener.ack(messages, refused)

    async def run(self, stopping: asyncio.Task[Any]) -> None:
        """Run cycles until `stopping` is done; raises ParkError."""
        # It may sum years again.
        start = asyncio.create_task(self._cycle.start(_now_us()), name="start")
        if not await _finishes(start, stopping):
            return
        self._subscriber.has_session = self._cycle.has_run
        await self._contacts.start(self._store)
        await self._follow(self._cycle)
        await self._spool.start()
        if self._settings.hj212_port:
            await self._listener.start()
        beside = [asyncio.create_task(self._subscriber.run(), name="subscriber")]
        if self._settings.contact_rate:
            beside.append(asyncio.create_task(self._discovery.run(), name="discovery"))
        if self._settings.forward_to:
            beside.append(asyncio.create_task(self._forwarder.run(), name="forwarder"))
        beside.append(asyncio.create_task(self._notifier.run(), name="notifier"))
        if self._settings.archive is not None:
            archivist = Archivist(self._settings, self._cycle.counters, _now_us)
            beside.append(asyncio.create_task(archivist.run(), name="archivist"))
        if self._access is not None:
            beside.append(asyncio.create_task(self._access.run(), name="access"))
        try:
            while not any(task.done() for task in (stopping, self._decoding, *beside)):
                due = time.monotonic() + self._settings.cycle_s
                if not await self._turn(stopping):
                    break
                await _pause(due, self._next_block, self._spool, stopping)
            ended = [task for task in (self._decoding, *beside) if task.done()]
            await asyncio.gather(*(task for task in ended if not task.cancelled()))
        finally:
            await self._listener.stop()
            for task in (self._decoding, *beside):
                task.cancel()
            await asyncio.wait({self._decoding, *beside})

    async def _follow(self, cycle: Cycle) -> None:
        """Let all parts read by the model of a cycle that has started."""
        settings, spool, park = self._settings, self._spool, self._park
        self._cycle = cycle
        self._forwarder.follow(park)
        self._notifier.follow(park, cycle.tags)
        if self._access is not None:
            self._access.follow(park)
        self._next_block = next_block = NextBlock(
            self._subscriber.inbox, cycle.decode, spool, cycle.topics.order,
            cycle.is_heard_besides, settings,
        )  # fmt: skip
        cycle.connected = lambda: self._subscriber.connected
        cycle.surroundings = lambda: {
            **self._subscriber.status.gauges(),
            "broker_refused": self._access.refused if self._access else float("nan"),
            "spool": float(len(spool)),
            "disk_used": _disk_used(settings.data),
            "backup_age": _backup_age(settings.data),
            "forward_owed": float(self._forwarder.owed),
            "notify_owed": float(self._notifier.owed),
            "log_suppressed": float(suppressed()),
        }
        cycle.spooled_since = lambda: spool.waiting
        cycle.inbox_size = lambda: len(next_block)
        self._publication = Publication(cycle.network, settings.publish_s)
        self._commands = CommandQueue(self._store, park, cycle.topics, settings)
        await self._commands.start()
        self._contacts.follow(cycle.topics, park)
        self._listener.follow(park)
        state_topic = sparkplug.state_topic(settings.sparkplug_host_id) if cycle.sparkplug else ""
        await self._subscriber.follow(filters(park.rows(GatewaySpec)), state_topic)
        self._decoding = asyncio.create_task(next_block.run(), name="decoding")
        LOG.info("%s: %d tags, model %s", park.id, len(park.tags), park.digest[:12])

    async def _turn(self, stopping: asyncio.Task[Any]) -> bool:
        """Run a cycle and do what is due after it; False when we must stop before its end."""
        now_us = _now_us()
        if not await self._cycle_ends(now_us, stopping):
            return False
        await self._contacts.write(self._store, now_us)
        await _ask(self._cycle.sparkplug, self._subscriber, now_us)
        if self._subscriber.connected:
            publish = self._subscriber.publish
            await self._publication.publish(self._cycle.image, publish, now_us)
        wanted = self._commands.reload or await self._changed()
        await self._write_problems()
        return wanted is None or await self._replace_model(wanted, stopping)

    async def _cycle_ends(self, now_us: int, stopping: asyncio.Task[Any]) -> bool:
        """Run a cycle and acknowledge what came in it; False when we must stop before its end."""
        run = asyncio.create_task(self._share(now_us), name="cycle")
        await asyncio.wait({run, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not run.done():
            # The database may be away for long: what is not committed will come again.
            await asyncio.wait({run}, timeout=STOP_S)
        if not run.done():
            run.cancel()
            return False
        messages, intake = await run
        self._subscriber.check_window(messages)
        self._ack(messages, intake.refused)
        self._contacts.hear_refused(intake)
        return True

    async def _share(self, now_us: int) -> tuple[Sequence[Message], Intake]:
        """Run a cycle in which the next block and the spool have their shares.

        Returns the messages of the block, and what all of the cycle came to.
        """
        began = time.monotonic()
        decoded = self._next_block.take()
        spooled = await self._spool.turn(*self._next_block.unused)
        brought = await self._commands.take(now_us)
        messages = [*brought.messages, *spooled]
        intake = await self._cycle.run(messages, now_us, brought.samples, decoded)
        await self._commands.done()
        await self._spool.done()
        self._next_block.follow(len(spooled) + len(decoded.messages), time.monotonic() - began)
        return decoded.messages, intake

    async def _changed(self) -> Reload | None:
        """Return the model of the folder when another one stands there; a wrong one is noted."""
        if not await self._folder.look(time.monotonic()):
            return None
        try:
            park = await self._folder.read()
        except ModelError as error:
            self._note(error)
            return None
        if park.digest != self._park.digest:
            return Reload(park)
        self._note(None)
        return None

    async def _replace_model(self, wanted: Reload, stopping: asyncio.Task[Any]) -> bool:
        """Run by another model from now on, or by the former one when it cannot run.

        Returns False when we must stop before.
        """
        began, former, error = time.monotonic(), self._cycle, None
        self._decoding.cancel()
        # What is decoded has the tags of the former model.
        if not await self._cycle_ends(_now_us(), stopping):
            return False
        wanted = self._commands.reload or wanted
        try:
            cycle = await asyncio.to_thread(Cycle, wanted.park, self._store, self._settings, former)
            resume = asyncio.create_task(cycle.resume(_now_us()), name="resume")
            if not await _finishes(resume, stopping):
                return False
            self._park = wanted.park
        except ParkError as refused:
            if isinstance(refused, StoreError):
                raise
            error, cycle = refused, former
            cycle.sparkplug.follow(self._park.rows(GatewaySpec))
            await cycle.resume(_now_us())
        await self._follow(cycle)
        self._note(error)
        await self._write_problems()
        if wanted.command:
            await self._commands.answer(wanted.command, str(error) if error else None, _now_us())
        LOG.info("no cycle ran for %.0f ms", (time.monotonic() - began) * 1e3)
        return True

    def _note(self, error: ParkError | None) -> None:
        """Note what is wrong with the model of the folder; None: nothing."""
        self._problems = () if error is None else error.problems or (str(error),)
        if error is not None:
            listed = "; ".join(self._problems)
            LOG.error("%s, and the former one runs on: %s", error.message, listed)

    async def _write_problems(self) -> None:
        """Let readers know what was noted; later while the database is away."""
        if self._problems is None:
            return
        try:
            async with self._store.transaction():
                await self._store.model_problems.keep(self._problems)
        except StoreError as error:
            if not error.retryable:
                raise
        else:
            self._problems = None


async def _take(store: Store, settings: IngestSettings, stopping: asyncio.Task[Any]) -> Park | None:
    """Open the store and return the park model; None when we must stop before."""
    park = load_park(settings.park)
    opening = asyncio.create_task(open_when_ready(store), name="opening")
    if not await _finishes(opening, stopping):
        return None
    # While this ingest waited for another one, the model may have become a different one.
    return load_park(settings.park) if opening.result() else park


async def _finishes(task: asyncio.Task[Any], stopping: asyncio.Task[Any]) -> bool:
    """Wait for a task and raise its error; False when we must stop before, which ends it."""
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
        return True
    task.cancel()
    await asyncio.wait({task})
    return False


def _now_us() -> int:
    return time.time_ns() // 1000


def _disk_used(folder: Path | None) -> float:
    """Return the used share of the disk of a folder [1]; NaN where there is none to look at."""
    if folder is None or not folder.exists():
        return math.nan
    usage = shutil.disk_usage(folder)
    return 1.0 - usage.free / usage.total


def _backup_age(data: Path | None) -> float:
    """Return the time since the newest backup of a data folder [s]; NaN where there is none."""
    try:
        return math.nan if data is None else time.time() - (data / LAST_BACKUP).stat().st_mtime
    except OSError:
        return math.nan


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
    signs = asyncio.create_task(send_signs(settings.alive_file), name="signs")
    await ingest(settings, stop)
    signs.cancel()


def main(argv: list[str] | None = None) -> int:
    """Run ingest; return 0 after a clean stop."""
    about = "Take samples from the broker and commit them to TimescaleDB."
    epilog = f"{EXAMPLES}{IngestSettings.help()}\n{LogSettings.help()}"
    program_parser("parktwin ingest", about, epilog).parse_args(argv)

    def work() -> None:
        start_logging("ingest")
        _keep_memory()
        uvloop.run(_main(IngestSettings()))

    return run_program("parktwin ingest", work, say=say)


if __name__ == "__main__":
    sys.exit(main())
