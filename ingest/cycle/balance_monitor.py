"""Who the balances name: the watch over them goes on minute by minute, behind the minutes.

What the watch remembers follows from stored minutes: after a start it looks at those of the last
hours again, without naming anybody twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

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
class Named:
    """What the watch remembers between two cycles, and whom it has named last."""

    memory: MonitorState
    time_us: int = 0
    suspects: int = 0


class Namings:
    """The watch over one component in the whole park."""

    def __init__(self, network: Network, store: Store) -> None:
        table = load_reference("monitor")
        self._component = table["live"]["component"]
        self._wait_us, self._learn_us, self._hold_us = (
            round(parse_quantity(table["live"][name], "time") * 1e6)
            for name in ("wait", "learn", "hold")
        )
        self._store = store
        self._model = compile_monitor(network, network.park.id, self._component)
        tanks = network.tanks.tag[self._model.tanks]
        self._tags = np.unique(np.concatenate([self._model.balance.tags, tanks]))

    def memory(self, now_us: int) -> MonitorState:
        """Return what is remembered before anything is known."""
        return begin_monitor(self._model, (now_us - self._learn_us) // MINUTE_US * MINUTE_US)

    async def start(self, now_us: int, last_us: int) -> Named:
        """Learn again what was learnt before the last cycle; raises StoreError."""
        newest = await self._store.detections.newest(self._component)
        memory, _ = await self._look(self.memory(now_us), last_us)
        return Named(memory, *newest) if newest else Named(memory)

    async def run(self, named: Named, read_us: int) -> Named:
        """Look at the minutes that are complete by now, and store who is named in them.

        A minute is looked at when its samples have had a while to come. What comes later than that
        is in the minutes, but the watch does not look back.
        """
        memory = named.memory
        if read_us - memory.time_us > self._learn_us + self._wait_us + MINUTE_US:
            memory = self.memory(read_us)
        memory, found = await self._look(memory, read_us)
        for each in found:
            await self._store.detections.add(self._component, each)
        if found:
            return Named(memory, found[-1].time_us, len(found[-1].lines) + len(found[-1].leaks))
        return replace(named, memory=memory)

    def suspects(self, named: Named, now_us: int) -> int:
        """Return how many meters and places are under suspicion."""
        return named.suspects if now_us - named.time_us < self._hold_us else 0

    async def _look(
        self, memory: MonitorState, read_us: int
    ) -> tuple[MonitorState, list[Detection]]:
        """Advance over the minutes from where the memory is."""
        namings: list[Detection] = []
        while self._model.members:
            count = (read_us - self._wait_us - memory.time_us) // MINUTE_US
            if count <= 0:
                break
            table = await self._minutes(memory.time_us, min(count, PIECE))
            memory, found = detect(self._model, memory, *table)
            namings += found
        return memory, namings

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
