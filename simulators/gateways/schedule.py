"""The schedule of a gateway: the past at full speed, then the present."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulators.gateways.delivery import FOREVER_US
from simulators.gateways.encoding import BLOCK
from twin.arrays import DAY_US, I64

if TYPE_CHECKING:
    from simulators.gateways.delivery import Outbox, Transmission
    from simulators.gateways.gateways import SimulatedGateway

PAST_SCANS_PER_MESSAGE = 60
MESSAGE_BYTES = 200_000
VALUE_BYTES = 45  # greatest size without the name, in any format
BACKLOG_US = DAY_US  # Live scans older than this are dropped after an outage.


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
