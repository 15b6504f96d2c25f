"""Gross errors in the balances: monitors go on minute by minute, behind the minutes.

Their state follows from stored minutes: after a start they read those of the last hours again, and
store no detection twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import F64, MINUTE_US
from twin.reconciliation.detection import MonitorState, begin_monitor, detect
from twin.reconciliation.monitor import compile_monitor, monitored_components
from twin.reference import load as load_reference
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from ingest.store import Store
    from twin.accounts.network import Network
    from twin.reconciliation.detection import Detection, HeldBack

    HeldMinutes = tuple[HeldBack, ...]

PIECE = 60  # minutes that are read at once
NO_TAGS = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class MonitorProgress:
    """Of each monitor its state between two cycles, time and suspects of its newest detection."""

    states: tuple[MonitorState, ...]
    newest: tuple[tuple[int, int], ...]


class BalanceMonitor:
    """The monitors of the balances in the whole park, one for each component with a check."""

    def __init__(self, network: Network, store: Store) -> None:
        table = load_reference("monitor")
        self._wait_us, self._learn_us, self._hold_us = (
            round(parse_quantity(table["live"][name], "time") * 1e6)
            for name in ("wait", "learn", "hold")
        )
        self._store = store
        root = network.park.id
        components = monitored_components(network, root)
        self._models = [compile_monitor(network, root, c, len(components)) for c in components]
        self._tags = np.unique(np.concatenate([NO_TAGS, *(model.tags for model in self._models)]))

    def begin(self, now_us: int) -> MonitorProgress:
        """Return the progress before anything is known."""
        first_us = (now_us - self._learn_us) // MINUTE_US * MINUTE_US
        states = tuple(begin_monitor(model, first_us) for model in self._models)
        return MonitorProgress(states, ((0, 0),) * len(states))

    async def start(self, now_us: int, last_us: int) -> MonitorProgress:
        """Learn again from the minutes up to the last cycle; raises StoreError."""
        progress, *_ = await self._detect(self.begin(now_us), last_us)
        newest = await self._store.detections.newest()
        return replace(progress, newest=tuple(newest.get(c, (0, 0)) for c in self._components))

    async def run(self, progress: MonitorProgress, read_us: int) -> MonitorProgress:
        """Store the detections in minutes that are complete at `read_us`; raises StoreError.

        So are minutes in which tests were held back.
        A minute is read when its samples have had a while to come. What comes later than that is in
        the minutes, but the monitors do not look back.
        """
        if not self._models:
            return progress
        if read_us - progress.states[0].time_us > self._learn_us + self._wait_us + MINUTE_US:
            progress = replace(progress, states=self.begin(read_us).states)
        progress, detections, held_back = await self._detect(progress, read_us)
        newest = list(progress.newest)
        for number, each in detections:
            await self._store.detections.add(self._components[number], each)
            newest[number] = each.time_us, len(each.lines) + len(each.leaks)
        for number, minutes in held_back:
            await self._store.detections.hold(self._components[number], minutes)
        return replace(progress, newest=tuple(newest))

    def suspects(self, progress: MonitorProgress, now_us: int) -> int:
        """Return the number of meters and nodes under suspicion."""
        current = (count for at, count in progress.newest if now_us - at < self._hold_us)
        return sum(current)

    @property
    def _components(self) -> list[str]:
        return [model.balance.component for model in self._models]

    async def _detect(
        self, progress: MonitorProgress, read_us: int
    ) -> tuple[MonitorProgress, list[tuple[int, Detection]], list[tuple[int, HeldMinutes]]]:
        """Advance over the complete minutes.

        Return the detections in them, and the minutes in which tests were held back, by monitor.
        """
        states = list(progress.states)
        detections: list[tuple[int, Detection]] = []
        held_back: list[tuple[int, HeldMinutes]] = []
        while states:
            # All monitors have come equally far.
            start_us = states[0].time_us
            count = (read_us - self._wait_us - start_us) // MINUTE_US
            if count <= 0:
                break
            table = await self._minutes(start_us, min(count, PIECE))
            for number, model in enumerate(self._models):
                states[number], new = detect(model, states[number], *table)
                detections += [(number, each) for each in new]
                held_back.append((number, states[number].held_back))
        return replace(progress, states=tuple(states)), detections, held_back

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
