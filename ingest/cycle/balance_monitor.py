"""Gross errors in the balances: the monitor goes on minute by minute, behind the minutes.

Its state follows from stored minutes: after a start it reads those of the last hours again, and
stores no detection twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from twin.accounts.tanks import tags_of_tanks
from twin.arrays import F64, MINUTE_US
from twin.reconciliation.detection import MonitorState, begin_monitor, detect
from twin.reconciliation.monitor import compile_monitor
from twin.reference import load as load_reference
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from ingest.store import Store
    from twin.accounts.network import Network
    from twin.reconciliation.detection import Detection

PIECE = 60  # minutes that are read at once


@dataclass(frozen=True, slots=True)
class MonitorProgress:
    """State of the monitor between two cycles, time and suspects of its newest detection."""

    state: MonitorState
    time_us: int = 0
    suspects: int = 0


class BalanceMonitor:
    """The monitor of the balances of one component in the whole park."""

    def __init__(self, network: Network, store: Store) -> None:
        table = load_reference("monitor")
        self._component = table["live"]["component"]
        self._wait_us, self._learn_us, self._hold_us = (
            round(parse_quantity(table["live"][name], "time") * 1e6)
            for name in ("wait", "learn", "hold")
        )
        self._store = store
        self._model = compile_monitor(network, network.park.id, self._component)
        tanks = tags_of_tanks(network.tanks, self._model.tanks)
        self._tags = np.unique(np.concatenate([self._model.balance.tags, tanks]))

    def begin(self, now_us: int) -> MonitorState:
        """Return the state before anything is known."""
        return begin_monitor(self._model, (now_us - self._learn_us) // MINUTE_US * MINUTE_US)

    async def start(self, now_us: int, last_us: int) -> MonitorProgress:
        """Learn again from the minutes up to the last cycle; raises StoreError."""
        newest = await self._store.detections.newest(self._component)
        state, _ = await self._detect(self.begin(now_us), last_us)
        return MonitorProgress(state, *newest) if newest else MonitorProgress(state)

    async def run(self, progress: MonitorProgress, read_us: int) -> MonitorProgress:
        """Store the detections in minutes that are complete at `read_us`; raises StoreError.

        A minute is read when its samples have had a while to come. What comes later than that is in
        the minutes, but the monitor does not look back.
        """
        state = progress.state
        if read_us - state.time_us > self._learn_us + self._wait_us + MINUTE_US:
            state = self.begin(read_us)
        state, detections = await self._detect(state, read_us)
        for each in detections:
            await self._store.detections.add(self._component, each)
        if not detections:
            return replace(progress, state=state)
        newest = detections[-1]
        return MonitorProgress(state, newest.time_us, len(newest.lines) + len(newest.leaks))

    def suspects(self, progress: MonitorProgress, now_us: int) -> int:
        """Return the number of meters and nodes under suspicion."""
        return progress.suspects if now_us - progress.time_us < self._hold_us else 0

    async def _detect(
        self, state: MonitorState, read_us: int
    ) -> tuple[MonitorState, list[Detection]]:
        """Advance over the complete minutes after the state; return the detections in them."""
        detections: list[Detection] = []
        while self._model.members:
            count = (read_us - self._wait_us - state.time_us) // MINUTE_US
            if count <= 0:
                break
            table = await self._minutes(state.time_us, min(count, PIECE))
            state, new = detect(self._model, state, *table)
            detections += new
        return state, detections

    async def _minutes(self, start_us: int, count: int) -> tuple[F64, F64, F64]:
        """Return amounts, covered seconds and last values of some minutes, (count, T)."""
        shape = count, len(self._store.tag_id)
        amount, last = np.full((2, *shape), np.nan)
        covered_s = np.zeros(shape)
        stop_us = start_us + count * MINUTE_US
        tag, time_us, *values = await self._store.covered_minutes(self._tags, start_us, stop_us)
        at = (time_us - start_us) // MINUTE_US, tag
        for column, value in zip((amount, covered_s, last), values, strict=True):
            column[at] = value
        return amount, covered_s, last
