"""Times of scans, and of messages: pure functions of the seed and the times of their scans.

No values are stored. A message that is late, or waits for the end of an outage, is held as the
times of its scans; its values are made when it goes out.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from twin.arrays import DAY_US, I64

if TYPE_CHECKING:
    from simulators.gateways.gateways import SimulatedGateway
    from simulators.scenarios.script import ScriptEvent

STREAM = 5  # of the random generator; instruments have other streams
FOREVER_US = 1 << 62
BLOCK = 240  # scans that are made at once
PAST_SCANS_PER_MESSAGE = 60
MESSAGE_BYTES = 200_000
VALUE_BYTES = 45  # greatest size without the name, in any format
BACKLOG_US = DAY_US  # Live scans older than this are dropped after an outage.


class Transmission(NamedTuple):
    """A message and the time it goes out; one without scans is a loss of the connection."""

    due_us: int
    first_us: int  # time of the first scan
    copy: int = 0
    scans: int = 0
    step_us: int = 0

    @property
    def times_us(self) -> I64:
        """The times of its scans, (n,) int64 [µs]."""
        return self.first_us + self.step_us * np.arange(self.scans)

    @property
    def complete_us(self) -> int:
        """The time of its last scan."""
        return self.first_us + self.step_us * (self.scans - 1)

    @property
    def historical(self) -> bool:
        """Whether messages with later scans may have gone out before it."""
        return self.due_us > self.complete_us


NOTHING = Transmission(0, 0)


def clock_times(gateway: SimulatedGateway, origin_us: int, time_us: I64) -> I64:
    """Return the times on the clock of a gateway, (n,) int64 [µs], at true times."""
    shift = np.zeros(len(time_us))
    for event in gateway.events:
        if event.kind == "skew":
            since_s = (time_us - origin_us) / 1e6
            shift += np.where((since_s >= event.start_s) & (since_s < event.stop_s), event.size, 0)
    return time_us + np.round(shift * 1e6).astype(np.int64)


def active_events(
    gateway: SimulatedGateway, kind: str, origin_us: int, time_us: int
) -> list[ScriptEvent]:
    """Return the events of a kind that affect a gateway at a time."""
    since_s = (time_us - origin_us) / 1e6
    return [e for e in gateway.events if e.kind == kind and e.start_s <= since_s < e.stop_s]


def transmissions(
    gateway: SimulatedGateway, seed: int, origin_us: int, message: Transmission
) -> list[Transmission]:
    """Return the transmissions of a complete message: none, one or two."""
    complete_us = message.complete_us
    if active_events(gateway, "silence", origin_us, complete_us):
        return []
    times = [complete_us]
    reorder, duplicate = (
        active_events(gateway, kind, origin_us, complete_us) for kind in ("reorder", "duplicate")
    )
    if reorder or duplicate:
        counter = [0, gateway.number, STREAM, message.first_us]
        draws = np.random.Generator(np.random.Philox(key=seed, counter=counter)).random(4)
        held, late, twice, later = draws.tolist()
        if reorder and held < reorder[0].size:
            times[0] += round(late * reorder[0].every_s * 1e6)
        if duplicate and twice < duplicate[0].size:
            times.append(times[0] + round(later * duplicate[0].every_s * 1e6))
    for copy, due_us in enumerate(times):
        # One outage may end in another one.
        while outages := active_events(gateway, "outage", origin_us, times[copy]):
            times[copy] = origin_us + math.ceil(max(e.stop_s for e in outages) * 1e6)
        assert times[copy] >= due_us
    return [message._replace(due_us=due_us, copy=copy) for copy, due_us in enumerate(times)]


def connection_losses(
    gateway: SimulatedGateway, origin_us: int, after_us: int, until_us: int
) -> list[int]:
    """Return the times in (after, until] at which the connection breaks [µs]."""
    times = set()
    for event in gateway.events:
        start_us, stop_us = (origin_us + round(s * 1e6) for s in (event.start_s, event.stop_s))
        if event.kind == "outage":
            times.add(start_us)
        elif event.kind == "storm":
            step_us = max(round(event.size * 1e6), 1)
            skipped = max(-(-(after_us - start_us) // step_us), 0)
            first_us = start_us + skipped * step_us
            times.update(range(first_us, min(stop_us, until_us + 1), step_us))
    return sorted(time_us for time_us in times if after_us < time_us <= until_us)


@dataclass(slots=True)
class Outbox:
    """The queue of one gateway: the message that is being filled, and those that wait."""

    gateway: SimulatedGateway
    seed: int
    origin_us: int
    _open: Transmission = NOTHING
    _waiting: list[Transmission] = field(default_factory=list)
    _lost_us: int = -1

    def __len__(self) -> int:
        return len(self._waiting) + (self._open.scans > 0)

    def scan(self, time_us: I64, step_us: int, batch: int = 0) -> None:
        """Append scans at (n,) int64 [µs], `step_us` apart, to messages of `batch` scans."""
        batch = batch or self.gateway.batch
        for at_us in time_us.tolist():
            message = self._open
            follows = (step_us, at_us) == (message.step_us, message.complete_us + step_us)
            if message.scans and not follows:
                self.close()
            first_us = self._open.first_us if self._open.scans else at_us
            self._open = Transmission(0, first_us, 0, self._open.scans + 1, step_us)
            # Messages begin on a fixed grid, so that they do not depend on the start of a run.
            if (at_us // step_us + 1) % batch == 0:
                self.close()

    def close(self) -> None:
        """Queue the open message as complete."""
        if self._open.scans:
            for transmission in transmissions(self.gateway, self.seed, self.origin_us, self._open):
                heapq.heappush(self._waiting, transmission)
        self._open = NOTHING

    def take(self, until_us: int, most: int = FOREVER_US) -> list[Transmission]:
        """Remove and return transmissions due up to a time, oldest first, of about `most` scans."""
        if self._lost_us < 0:
            self._lost_us = self.origin_us - 1
        if until_us < FOREVER_US:
            for lost_us in connection_losses(self.gateway, self.origin_us, self._lost_us, until_us):
                heapq.heappush(self._waiting, Transmission(lost_us, -1))
            self._lost_us = max(self._lost_us, until_us)
        taken = []
        while self._waiting and self._waiting[0].due_us <= until_us and most > 0:
            taken.append(heapq.heappop(self._waiting))
            most -= max(taken[-1].scans, 1)
        return taken


@dataclass(slots=True)
class GatewayProgress:
    """The progress of a gateway; `done_us` is the time of its newest scan."""

    done_us: int
    messages: int = 0
    samples: int = 0
    skipped_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """The times of scans [µs]: a coarse grid up to `history_until_us`, then a fine one."""

    interval_us: int
    history_interval_us: int
    history_until_us: int
    end_us: int | None = None


def due(schedule: Schedule, progress: GatewayProgress, now_us: int) -> I64:
    """Return the next times to publish, (n,) int64 [µs], oldest first.

    Moves `progress` over an outage that is longer than `BACKLOG_US`.
    """
    done = progress.done_us
    history = done < schedule.history_until_us
    if not history and done < now_us - BACKLOG_US:
        progress.skipped_s += (now_us - BACKLOG_US - done) / 1e6
        done = progress.done_us = now_us - BACKLOG_US
    step = schedule.history_interval_us if history else schedule.interval_us
    last = min(now_us, schedule.history_until_us) if history else now_us
    if schedule.end_us is not None:
        last = min(last, schedule.end_us)
    first = (done // step + 1) * step
    return np.arange(first, min(last + 1, first + BLOCK * step), step, dtype=np.int64)


def finished(schedule: Schedule, progress: GatewayProgress) -> bool:
    """Return whether the schedule has an end and no further scan before it."""
    if schedule.end_us is None:
        return False
    history = progress.done_us < schedule.history_until_us
    step = schedule.history_interval_us if history else schedule.interval_us
    return (progress.done_us // step + 1) * step > schedule.end_us


def fill(
    schedule: Schedule, box: Outbox, progress: GatewayProgress, now_us: int
) -> list[Transmission]:
    """Return the next transmissions of a gateway; in the past its clock is that of the scans."""
    history = progress.done_us < schedule.history_until_us
    due_now = box.take(progress.done_us if history else now_us, BLOCK)
    if due_now:
        return due_now
    times = due(schedule, progress, now_us)
    if len(times):
        step_us = schedule.history_interval_us if history else schedule.interval_us
        box.scan(times, step_us, _past_batch(box.gateway) if history else 0)
        progress.done_us = int(times[-1])
    elif finished(schedule, progress):
        # Late and interrupted transmissions go out at the end as well.
        box.close()
        return box.take(FOREVER_US, BLOCK)
    return box.take(progress.done_us if history else now_us, BLOCK)


def _past_batch(gateway: SimulatedGateway) -> int:
    """Return the number of scans of the past in a message."""
    scan_bytes = sum(len(name) + VALUE_BYTES for name in gateway.names)
    fitting = max(MESSAGE_BYTES // scan_bytes, 1)
    return max(min(PAST_SCANS_PER_MESSAGE, fitting), gateway.batch)
