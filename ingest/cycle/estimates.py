"""Reconciled flows hour by hour: stored when an hour is complete, again when it has changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import F64, HOUR_US, I64, MINUTE_US, NEVER, U8
from twin.reconciliation.estimates import compile_estimates, estimate_hours
from twin.reference import load as load_reference
from twin.series import windows as w
from twin.series.samples import Samples, concatenate, no_samples, sort
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.store import Store
    from twin.accounts.network import Network
    from twin.model.park import Tag
    from twin.series.image import Image

HOURS_AT_ONCE = 4
# A tank's level at the edge of an hour may be from a minute that is this far before it.
NEAR_US = 15 * MINUTE_US
NO_TIMES = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class EstimateProgress:
    """Where the estimates stand: hours before `done_us` are stored, those of `again` changed."""

    done_us: int
    again: frozenset[int] = frozenset()  # beginnings of hours [µs]
    due_us: int = 0  # when those are estimated


class HourlyEstimates:
    """The estimates of one park; in the store their tags stand behind those of the network."""

    def __init__(self, network: Network, store: Store) -> None:
        table = load_reference("monitor")["estimates"]
        self._wait_us, self._again_us, self._begin_us = (
            round(parse_quantity(table[name], "time") * 1e6) for name in ("wait", "again", "begin")
        )
        self._network, self._store, self._first = network, store, len(network.tags)
        self._estimates = compile_estimates(network)
        self._reads = np.zeros(len(network.tags), bool)
        self._reads[self._estimates.inputs] = self._reads[self._estimates.levels] = True

    @property
    def tags(self) -> tuple[Tag, ...]:
        """The tags of the estimates."""
        return self._estimates.tags

    def start(self, image: Image, now_us: int) -> EstimateProgress:
        """Return the progress after a start: what had changed before the stop may not be stored."""
        newest = int(image.time_us[self._first : self._first + len(self.tags)].max(initial=NEVER))
        begin = self._edges(now_us - self._begin_us, now_us)
        done_us = newest + HOUR_US if newest != NEVER else int(begin[0])
        return EstimateProgress(done_us, frozenset(e for e in begin.tolist() if e < done_us))

    async def run(
        self, progress: EstimateProgress, image: Image, read_us: int, now_us: int
    ) -> tuple[EstimateProgress, Samples, Samples]:
        """Return the samples of hours that are complete at `read_us`, and of hours that changed.

        Raises StoreError.
        """
        if not self.tags:
            return progress, no_samples(), no_samples()
        hours = self.hours(progress.done_us, read_us - self._wait_us)[:HOURS_AT_ONCE]
        new = await self.of_hours(hours, now_us)
        new = new.take(np.isfinite(new.value) & (new.time_us > image.time_us[new.tag]))
        done_us = hours[-1] + HOUR_US if hours else progress.done_us
        progress = replace(progress, done_us=done_us)
        if not progress.again or now_us < progress.due_us:
            return progress, new, no_samples()
        some = sorted(progress.again)[:HOURS_AT_ONCE]
        old = await self.of_hours(some, now_us)
        # What is not known now may have been known before.
        old = old.take(np.isfinite(old.value) | (image.time_us[old.tag] != NEVER))
        again = progress.again.difference(some)
        progress = replace(progress, again=again, due_us=now_us + self._again_us)
        ahead = old.time_us > image.time_us[old.tag]
        new = sort(concatenate(new, old.take(ahead & np.isfinite(old.value)))).samples
        return progress, new, old.take(~ahead)

    def note(
        self, progress: EstimateProgress, written: Sequence[tuple[I64, I64]]
    ) -> EstimateProgress:
        """Note the stored hours in which minutes were written or dropped: tags and times [µs]."""
        times = [NO_TIMES]
        for tag, time_us in written:
            old = np.flatnonzero((time_us < progress.done_us) & (tag < len(self._reads)))
            times.append(time_us[old[self._reads[tag[old]]]])
        touched = np.unique(np.concatenate(times))
        if not len(touched):
            return progress
        edges = self._edges(int(touched[0]), int(touched[-1]) + 1)
        hours = edges[np.unique(np.searchsorted(edges, touched, "right") - 1)]
        return replace(progress, again=progress.again.union(hours.tolist()))

    def hours(self, from_us: int, to_us: int) -> list[int]:
        """Return the beginnings of the whole hours inside an interval [µs]; none without tags."""
        if not self.tags or to_us - from_us < HOUR_US:
            return []
        edges = self._edges(from_us, to_us)
        inside = (edges[:-1] >= from_us) & (edges[1:] <= to_us)
        return [int(edge) for edge in edges[:-1][inside]]

    async def of_hours(self, hours: list[int], now_us: int) -> Samples:
        """Return the samples of some hours [µs], of all tags; raises StoreError."""
        parts = [no_samples()]
        for hour in hours:
            value, quality = estimate_hours(self._estimates, *await self._read(hour))
            count = value.shape[1]
            tag, time = np.arange(self._first, self._first + count), np.full(count, hour)
            parts.append(Samples(tag, time, value[0], quality[0], np.full(count, now_us)))
        return sort(concatenate(*parts)).samples

    async def _read(self, hour: int) -> tuple[F64, F64, F64, U8]:
        """Return amount, covered_s, levels at the edges and quality of an hour; see twin."""
        count = len(self._network.tags)
        amount, level = np.full((1, count), np.nan), np.full((1, 2, count), np.nan)
        covered_s, quality = np.zeros((1, count)), np.zeros((1, count), np.uint8)
        inputs, levels = self._estimates.inputs, self._estimates.levels
        tag, _, sums, seconds, worst = await self._store.hour_sums(inputs, hour, hour + HOUR_US)
        amount[0, tag], covered_s[0, tag] = sums, seconds
        quality[0, tag] = worst
        for edge in range(2 if len(levels) else 0):
            at_us = hour + edge * HOUR_US
            tag, time_us, *_, last = await self._store.covered_minutes(
                levels, at_us - NEAR_US, at_us
            )
            order = np.argsort(time_us, kind="stable")
            level[0, edge, tag[order]] = last[order]
        return amount, covered_s, level, quality

    def _edges(self, from_us: int, to_us: int) -> I64:
        """Return the edges of the hours around an interval on the clock of the park."""
        return w.edges("hour", from_us, max(to_us, from_us + 1), self._network.park.timezone)
