"""Margins of the park as tags: told every few seconds by the newest values, see `twin.margins`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin import quality as q
from twin.arrays import NEVER, SECOND_US
from twin.emissions.permits import year_of
from twin.margins import Live, YearSums, compile_margins, margin_values
from twin.reference import figure
from twin.series.samples import Samples, no_samples

if TYPE_CHECKING:
    from ingest.store import Store
    from twin.accounts.network import Network
    from twin.series.image import Image


@dataclass(frozen=True, slots=True)
class MarginProgress:
    """When margins are told again, when the sums of the year are read again, and these."""

    due_us: int
    again_us: int
    year: YearSums


class LiveMargins:
    """The margins of one park; their tags stand in the store from `first` to before `stop`."""

    def __init__(self, network: Network, store: Store, first: int) -> None:
        self._network, self._store, self._first = network, store, first
        self._margins = compile_margins(network)
        self.stop = first + len(self._margins.items)
        self._rates = self._margins.places("permit_rate")
        self._every_us, self._again_us = (
            round(figure(f"margins.{name}", "time") * SECOND_US) for name in ("every", "again")
        )

    def begin(self) -> MarginProgress:
        """Return the progress at a start: all of it is due."""
        nothing = np.zeros(len(self._rates))
        return MarginProgress(NEVER, NEVER, YearSums(nothing, nothing))

    async def run(
        self, progress: MarginProgress, image: Image, now_us: int
    ) -> tuple[MarginProgress, Samples]:
        """Return the margins of this moment, when they are due; raises StoreError."""
        if now_us < progress.due_us or not self._margins.items:
            return progress, no_samples()
        year, again_us = progress.year, progress.again_us
        if now_us >= again_us and len(self._rates):
            year, again_us = await self._read_year(now_us), now_us + self._again_us
        due_us = (now_us // self._every_us + 1) * self._every_us
        count, at_us = len(self._network.tags), now_us
        age_us = at_us - image.time_us[:count]
        usable = q.usable(image.quality[:count]) & (age_us <= self._network.traits.gap_us)
        live = Live(
            np.where(usable, image.value[:count], np.nan),
            np.where(usable, image.rate[:count], np.nan),
        )
        quality = np.where(usable, image.quality[:count], np.uint8(q.NO_DATA))
        value, mark = margin_values(self._margins, live, quality, year, now_us)
        tag = self._first + np.arange(len(value))
        # What was never known is no value; what is no longer known is a bad one.
        known = image.time_us[tag] != NEVER
        kept = (np.isfinite(value) | (known & np.isfinite(image.value[tag]))) & (
            image.time_us[tag] < now_us
        )
        time_us = np.full(int(kept.sum()), now_us)
        samples = Samples(tag[kept], time_us, value[kept], mark[kept], time_us)
        return MarginProgress(due_us, again_us, year), samples

    async def _read_year(self, now_us: int) -> YearSums:
        """Return what the live rates of permits have come to in the year; raises StoreError."""
        begin_us, _ = year_of(now_us, self._network.park.timezone)
        return YearSums(*await self._store.day_totals(self._first + self._rates, begin_us))
