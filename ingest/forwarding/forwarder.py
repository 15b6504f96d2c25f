"""The task that sends values of outlets to an authority, and again what it has not taken.

A ``[[forward]]`` has a connection of its own, as its logger would have. One packet is under way at
a time: it is out of the queue when it was acknowledged and that is written down. A crash between
the two sends it once more, never once less.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from deploy.database.times import to_us
from ingest.beside import run_for_model
from ingest.forwarding import owed as o
from ingest.forwarding.owed import Interval, Piece
from ingest.forwarding.report import is_temporary, packet, texts, verdict
from ingest.store import Store
from ingest.wire import hj212
from twin import quality as q
from twin.arrays import DAY_US, SECOND_US, ratio
from twin.emissions.forwarding import (
    Forward,
    ForwardItem,
    TagPieces,
    forwards_of,
    instant_items,
    interval_items,
    needed_pieces,
)
from twin.emissions.validity import valid_time
from twin.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from ingest.counters import Counters
    from ingest.settings import IngestSettings
    from twin.model.park import Park, Tag

LOG = logging.getLogger("ingest.forwarding")
COLUMNS = "amount", "covered_s", "min", "max", "measured", "measured_mean"
REAL_TIME, MINUTES, HOUR, DAY = "2011", "2051", "2061", "2031"
POLL_S, READ_BYTES = 1.0, 1 << 16
# An interval without data is looked at again after so long: they may come late.
EMPTY_S = 600.0


class Forwarder:
    """All ``[[forward]]`` of a model; nothing without an address of an authority."""

    def __init__(self, settings: IngestSettings, counters: Counters) -> None:
        self.settings = settings
        self.counters = counters
        # Its transactions stand beside those of the cycles.
        self.store = Store(settings.database_url, beside=True)
        self.lock = asyncio.Lock()
        self.tags: tuple[Tag, ...] = ()
        self.zone = ZoneInfo("UTC")
        self._forwards: tuple[Forward, ...] = ()
        self._lines: list[_Line] = []
        self._changed = asyncio.Event()

    @property
    def owed(self) -> int:
        """Intervals that the authority does not have yet."""
        return sum(line.owed_count for line in self._lines)

    def follow(self, park: Park) -> None:
        """Send by another model from now on."""
        self._forwards = forwards_of(park)
        used = {address for each in self._forwards for address in each.tags}
        self.tags = tuple(tag for tag in park.tags if tag.address in used)
        self.zone = ZoneInfo(park.timezone)
        self._changed.set()

    async def run(self) -> None:
        """Send until it is cancelled."""
        try:
            await run_for_model(self._changed, self._tasks)
        finally:
            await self.store.close()

    def _tasks(self) -> list[Coroutine[Any, Any, None]]:
        self._lines = [_Line(self, each) for each in self._forwards]
        return [line.run() for line in self._lines]


@dataclass(slots=True)
class _Queue:
    """What is owed of one command."""

    until_us: int
    owed: list[Piece]
    held_s: float = 0.0  # of the monotonic clock: not tried before
    problem: str = ""


@dataclass(slots=True)
class _Link:
    """A connection to the authority."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    framer: hj212.Framer = field(default_factory=hj212.Framer)

    async def listen(self, duration_s: float) -> list[hj212.Packet]:
        """Return the packets that come within some time; raises ConnectionError at the end."""
        try:
            data = await asyncio.wait_for(self.reader.read(READ_BYTES), max(duration_s, 0.0))
        except TimeoutError:
            return []
        if not data:
            raise ConnectionError("the authority has hung up")
        packets = [item for item in self.framer.feed(data) if isinstance(item, hj212.Packet)]
        for each in packets:
            # The twin takes no orders: it says so.
            if each.wants_answer:
                self.writer.write(hj212.answer(each, "bad_cn"))
        return packets


class _Line:
    """One ``[[forward]]`` and its connection."""

    def __init__(self, forwarder: Forwarder, forward: Forward) -> None:
        self._all = forwarder
        self._forward = forward
        self._settings = forwarder.settings
        self._queues: dict[str, _Queue] = {}
        self._waiting: dict[Interval, float] = {}
        self._sent_us = 0  # of the newest QN
        self._instant_s = -np.inf  # of the monotonic clock: the newest real-time data
        index = {tag.address: at for at, tag in enumerate(forwarder.tags)}
        self._at = np.array([index[address] for address in forward.tags], dtype=np.int64)
        self._complained = ""

    @property
    def owed_count(self) -> int:
        """Intervals that are owed."""
        return sum(
            len(self._intervals(cn, piece))
            for cn, queue in self._queues.items()
            for piece in queue.owed
        )

    def _intervals(self, cn: str, piece: Piece) -> list[Interval]:
        return o.intervals(cn, self._forward.spec.minutes, piece, self._all.zone.key)

    async def run(self) -> None:
        """Connect and send, again and again."""
        while True:
            try:
                if not self._queues:
                    await self._restore(_now_us())
                await self._extend(_now_us())
                await self._talk()
            except (OSError, TimeoutError) as error:
                self._all.counters["forward.disconnected"] += 1
                self._complain(f"{self._settings.forward_to}: {error or type(error).__name__}")
            except StoreError as error:
                if not error.retryable:
                    raise
            await asyncio.sleep(self._settings.forward_retry_s)

    def _complain(self, problem: str) -> None:
        """Write a problem to the log when it is another one than before."""
        if problem and problem != self._complained:
            LOG.warning("%s is not sent: %s; it is tried again", self._forward.spec.outlet, problem)
        self._complained = problem

    async def _restore(self, now_us: int) -> None:
        """Read what is owed; who is new owes nothing of the past."""
        spec = self._forward.spec
        async with self._all.lock, self._all.store.transaction():
            if not await self._all.store.find_tags(self._all.tags):
                raise StoreError("the tags of the model are not there yet", retryable=True)
            rows = await self._all.store.forwards.rows(spec.mn)
        for cn in (MINUTES, HOUR, DAY):
            new = o.begin(cn, spec.minutes, now_us, self._all.zone.key), list[Piece]()
            self._queues[cn] = _Queue(*rows.get(cn, new))

    async def _talk(self) -> None:
        """Send over one connection until it ends."""
        settings = self._settings
        host, _, port = settings.forward_to.rpartition(":")
        opening = asyncio.open_connection(host, int(port))
        reader, writer = await asyncio.wait_for(opening, settings.forward_timeout_s)
        link = _Link(reader, writer)
        self._complain("")
        try:
            while True:
                await self._extend(_now_us())
                await self._send_instant(link)
                queues = {cn: queue.owed for cn, queue in self._queues.items()}
                minutes, zone = self._forward.spec.minutes, self._all.zone.key
                until = {cn: queue.until_us for cn, queue in self._queues.items()}
                job = o.choose(queues, until, minutes, zone, self._is_free)
                if job is None:
                    await link.listen(POLL_S)
                    continue
                interval, is_live = job
                await self._send_interval(link, interval)
                if not is_live:
                    await asyncio.sleep(1.0 / settings.forward_rate)
        finally:
            writer.close()

    def _is_free(self, interval: Interval) -> bool:
        now_s = time.monotonic()
        held = max(self._queues[interval.cn].held_s, self._waiting.get(interval, 0.0))
        return held <= now_s

    async def _extend(self, now_us: int) -> None:
        """Owe what is complete since the last look, and no more what is too old."""
        settings, spec, zone = self._settings, self._forward.spec, self._all.zone.key
        due_us = now_us - round(settings.forward_delay_s * SECOND_US)
        oldest_us = now_us - round(settings.forward_days * DAY_US)
        for cn, queue in self._queues.items():
            until = max(o.begin(cn, spec.minutes, due_us, zone), queue.until_us)
            oldest = o.begin(cn, spec.minutes, oldest_us, zone)
            owed = o.add(queue.owed, (queue.until_us, until))
            kept = o.remove(owed, (0, oldest))
            if until == queue.until_us and kept == queue.owed:
                continue
            old = [piece for each in owed for piece in [(each[0], min(each[1], oldest))]
                   if piece[0] < piece[1]]  # fmt: skip
            lost = sum(len(self._intervals(cn, piece)) for piece in old)
            queue.until_us, queue.owed = until, kept
            self._waiting = {k: v for k, v in self._waiting.items() if k.start_us >= oldest_us}
            await self._keep(cn, lost=lost)

    async def _keep(self, cn: str, *, sent: int = 0, refused: int = 0, lost: int = 0) -> None:
        """Write down what is owed of a command."""
        queue, counters = self._queues[cn], self._all.counters
        key, counts = (self._forward.spec.mn, cn), (sent, refused, lost)
        async with self._all.lock, self._all.store.transaction():
            await self._all.store.forwards.keep(
                key, queue.until_us, queue.owed, counts, queue.problem
            )
        for name, count in zip(("sent", "refused", "lost"), counts, strict=True):
            counters[f"forward.{name}"] += count

    async def _send_interval(self, link: _Link, interval: Interval) -> None:
        """Send an interval and take it off what is owed, or hold it back for a while."""
        items = await self._items(interval)
        if items is None:
            self._waiting[interval] = time.monotonic() + EMPTY_S
            return
        queue, problem = self._queues[interval.cn], ""
        for cp in texts(items, interval.start_us, self._all.zone):
            problem = problem or await self._ask(link, interval.cn, cp)
        queue.problem = problem
        self._complain(f"{interval.cn}: {problem}" if problem else "")
        if problem:
            settings = self._settings
            pause_s = settings.forward_retry_s if is_temporary(problem) else settings.forward_hold_s
            queue.held_s = time.monotonic() + pause_s
            await self._keep(interval.cn, refused=1)
            return
        queue.owed = o.remove(queue.owed, (interval.start_us, interval.stop_us))
        await self._keep(interval.cn, sent=1)

    async def _send_instant(self, link: _Link) -> None:
        """Send the newest values when they are due; they are never sent later."""
        now_s, now_us = time.monotonic(), _now_us()
        if now_s - self._instant_s < self._settings.forward_realtime_s:
            return
        self._instant_s = now_s
        async with self._all.lock, self._all.store.transaction():
            samples, _ = await self._all.store.newest(self._at)
        value = dict.fromkeys(self._forward.tags, np.nan)
        quality = dict.fromkeys(self._forward.tags, q.NO_DATA)
        newest_us = 0
        for tag, time_us, number, code in zip(
            samples.tag.tolist(), samples.time_us.tolist(), samples.value.tolist(),
            samples.quality.tolist(), strict=True,
        ):  # fmt: skip
            known = self._all.tags[tag]
            if now_us - time_us <= known.gap_s * SECOND_US:
                value[known.address], quality[known.address] = number, code
                newest_us = max(newest_us, time_us)
        if not newest_us or self._is_withheld(list(quality.values())):
            return
        for cp in texts(instant_items(self._forward, value, quality), newest_us, self._all.zone):
            problem = await self._ask(link, REAL_TIME, cp)
            self._all.counters["forward.refused" if problem else "forward.sent"] += 1

    def _is_withheld(self, qualities: Sequence[int]) -> bool:
        """Return whether values are simulated and may not go to an authority."""
        simulated = any(code & q.SIMULATED for code in qualities)
        if simulated and not self._forward.spec.simulated:
            self._all.counters["forward.simulated"] += 1
            self._complain("its values are simulated")
            return True
        return False

    async def _items(self, interval: Interval) -> list[ForwardItem] | None:
        """Return the items of an interval; None while there are no data that may be sent."""
        _, start_us, stop_us = interval
        table = "minute" if interval.cn == MINUTES else "hour"
        async with self._all.lock, self._all.store.transaction():
            rows = await self._all.store.forwards.sums(table, self._at, start_us, stop_us)
        if not rows or self._is_withheld([row["quality"] for row in rows]):
            return None
        edges = [start_us, stop_us]
        if interval.cn == DAY:
            edges = [each.start_us for each in self._intervals(HOUR, (start_us, stop_us))] + [
                stop_us
            ]
        duration_s = np.diff(edges) / SECOND_US
        pieces = self._pieces(rows, edges)
        if all(np.isnan(pieces[each].mean).all() for each in self._forward.outlet.measured_by):
            return None
        least = needed_pieces(day=interval.cn == DAY)
        return interval_items(self._forward, pieces, duration_s, least)

    def _pieces(self, rows: Sequence[Any], edges: Sequence[int]) -> Mapping[str, TagPieces]:
        """Return what is stored of each tag in pieces of time."""
        ids = self._all.store.tag_id[self._at].tolist()
        names, outlet = dict(zip(ids, self._forward.tags, strict=True)), self._forward.outlet
        count = len(edges) - 1
        columns = {name: np.full((len(ids), count), np.nan) for name in COLUMNS}
        quality = np.full((len(ids), count), q.NO_DATA, np.uint8)
        for row in rows:
            at = (
                ids.index(row["tag_id"]),
                int(np.searchsorted(edges, to_us(row["time"]), "right")) - 1,
            )
            for name, column in columns.items():
                column[at] = np.nan if row[name] is None else row[name]
            quality[at] = row["quality"]
        covered_s = np.nan_to_num(columns["covered_s"])
        mean = ratio(columns["amount"], covered_s)
        valid_s = covered_s
        if outlet.kind == "stack":
            measured = np.nan_to_num(columns["measured"])
            valid_s = valid_time(measured, covered_s, outlet.interval_s)
            own = columns["measured_mean"]
            mean = np.where(np.isnan(own), mean, own)
        return {
            names[each]: TagPieces(
                mean[u], valid_s[u], columns["min"][u], columns["max"][u], quality[u]
            )
            for u, each in enumerate(ids)
        }

    async def _ask(self, link: _Link, cn: str, cp: str) -> str:
        """Send a packet and return the problem of its answer; raises TimeoutError without one."""
        now_us = max(_now_us(), self._sent_us + SECOND_US // 1000)
        self._sent_us = now_us
        sent = packet(self._forward, cn, cp, now_us, self._all.zone)
        content = hj212.encode(sent)
        for _ in range(self._settings.forward_tries):
            link.writer.write(content)
            await link.writer.drain()
            until_s = time.monotonic() + self._settings.forward_timeout_s
            while (remaining_s := until_s - time.monotonic()) > 0:
                for answer in await link.listen(remaining_s):
                    outcome = verdict(answer) if answer.qn == sent.qn else None
                    if outcome is not None:
                        return outcome
        raise TimeoutError(f"no answer to {cn}")


def _now_us() -> int:
    return time.time_ns() // 1000
