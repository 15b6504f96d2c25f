"""Which values of the live image are late: told to the readers, stored nowhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import BOOL, I64, NEVER, SECOND_US
from twin.step import derived_late
from twin.validation.lateness import UsualIntervals, late, learn, no_intervals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.cycle.gateways import Gateways
    from twin.accounts.network import Network
    from twin.model.park import Tag
    from twin.series.image import Image

# Readers that begin hear of all late tags after so long at most.
REPEAT_US = 10 * SECOND_US


@dataclass(frozen=True, slots=True)
class LatenessState:
    """What is known of the tags between two cycles, (T,) each."""

    intervals: UsualIntervals
    late: BOOL
    silent: BOOL  # (G,) gateways
    due_us: int  # when the readers are to hear it again
    changed: bool  # since the cycle before


class Lateness:
    """The lateness of the tags of one park model."""

    def __init__(self, network: Network, tags: Sequence[Tag], gateways: int) -> None:
        self._network = network
        # What people enter has no usual interval.
        self._live = np.array([t.source == "measured" and t.kind != "amount" for t in tags])
        self._gateways = gateways

    def state(self) -> LatenessState:
        """Return the state before anything has come."""
        tags = len(self._live)
        silent = np.zeros(self._gateways, bool)
        return LatenessState(no_intervals(tags), np.zeros(tags, bool), silent, 0, changed=True)

    def run(
        self, state: LatenessState, before: Image, image: Image, gateways: Gateways, read_us: I64
    ) -> LatenessState:
        """Return the state after a cycle; `read_us` (T,) is until when all that came was read."""
        intervals = state.intervals
        came = self._live & (image.last_received_us > before.last_received_us)
        came &= before.last_received_us != NEVER
        at = np.flatnonzero(came)
        if len(at):
            interval_us = image.last_received_us[at] - before.last_received_us[at]
            intervals = learn(intervals, at, interval_us.astype(np.float64) * 1e-6)
        seen = self._live & (image.time_us != NEVER)
        silent_s = np.where(seen, (read_us - image.last_received_us) * 1e-6, np.nan)
        silent = gateways.silent(int(read_us.min()))
        mark = late(intervals, silent_s) | (gateways.silent_tags(silent) & seen & ~came)
        measured = len(self._network.park.tags)
        changed = bool((mark[:measured] != state.late[:measured]).any())
        if changed:
            derived = derived_late(self._network, mark[: len(self._network.tags)])
            mark[measured : measured + len(derived)] = derived
        else:
            mark = state.late
        now_us = int(read_us.max())
        # The first word after a start is due at once, even that nothing is late.
        first = state.due_us == 0
        tell = changed or first or (now_us >= state.due_us and bool(mark.any()))
        due_us = now_us + REPEAT_US if tell else state.due_us
        return LatenessState(intervals, mark, silent, due_us, tell)
