"""`parktwin replay`: derive an interval of the past again from its stored samples."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

from deploy.database.times import TIME_MAX_US
from ingest.counters import own_tags
from ingest.cycle.estimates import HOURS_AT_ONCE, HourlyEstimates
from ingest.cycle.restatement import (
    Aggregation,
    Intervals,
    MinutePlan,
    intervals_around,
    merge_intervals,
)
from ingest.settings import IngestSettings
from ingest.store import Store
from twin.accounts.network import compile_network
from twin.arrays import MINUTE_US, NEVER
from twin.errors import ParkError
from twin.loading import load_park
from twin.program import clear_progress, program_parser, run_program, show_progress
from twin.replay import WARM_UP_US, replay
from twin.series.image import no_image
from twin.series.minutes import no_open_minutes
from twin.series.samples import Samples, concatenate, no_samples, sort
from twin.series.traits import traits_of
from twin.series.windows import local
from twin.step import no_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from twin.model.park import Park
    from twin.series.image import Image

EXAMPLES = """examples:
  parktwin replay --from 2026-03-01
      from that day, on the park's clock, to the newest sample
  parktwin replay --from 2026-03-01T06:00 --to 2026-03-02T06:00
  PARKTWIN_PARK=/etc/parktwin/my-park parktwin replay --from 2026-03-01T00:00+08:00

After a change of the model or of a formula, and after an import, derived values of the past are
not what they would be now. This computes them again. Values it replaces are kept in table
correction; minutes, hours and days are made anew where they change. Measured samples stay as they
are, and so do alarms. It may run while ingest does, if that has the same model, and it may be
interrupted and run again: what is right already is not touched.

settings, from the environment: PARKTWIN_DATABASE_URL, PARKTWIN_PARK, PARKTWIN_CYCLE_S
"""
# A chunk is one transaction; its length follows the number of samples in it.
CHUNK_SAMPLES = 200_000
CHUNK_US = (MINUTE_US, 360 * MINUTE_US)


@dataclass(slots=True)
class Progress:
    """Progress of a replay."""

    done_us: int
    cycles: int = 0
    added: int = 0
    corrected: int = 0
    minutes: int = 0  # that had been written before and are not what they were

    def text(self) -> str:
        """Return the counts as a sentence."""
        return (
            f"{self.added + self.corrected:,} samples changed ({self.added:,} new,"
            f" {self.corrected:,} corrected), {self.minutes:,} minutes restated"
        )


class Replay:
    """A replay of one park model over one database."""

    def __init__(self, park: Park, store: Store, cycle_us: int) -> None:
        self._park = park
        self._store = store
        self._cycle_us = cycle_us
        self._network = network = compile_network(park)
        self._count, self._measured = len(network.tags), len(park.tags)
        self._tags = (*network.tags, *own_tags(network))
        self._traits = traits_of(self._tags)
        self._aggregation = Aggregation(store, self._traits, park.timezone)
        self._estimates = HourlyEstimates(network, store)

    async def run(
        self, from_us: int, to_us: int | None, report: Callable[[Progress, float], None]
    ) -> Progress:
        """Derive everything in [from, to) again, chunk by chunk; raises StoreError."""
        length = self._cycle_us
        at = begin = (from_us - WARM_UP_US) // length * length
        image, stop = await self._begin(begin, from_us, to_us)
        memory, width = no_memory(self._network), CHUNK_US[0]
        progress = Progress(from_us)
        while at < stop:
            until = min((at + width) // length * length, stop)
            cycles = np.arange(at, until, length)
            # A sample takes part from the first cycle that is not before it.
            async with self._store.transaction():
                tags = np.arange(self._measured)
                samples = await self._store.samples_between(tags, at - length, until - length)
            result = replay(self._network, image, memory, samples, cycles)
            async with self._store.transaction():
                await self._store.writers.acquire_turn(alone=True)
                await self._store.sums.require_clock(self._park.timezone)
                await self._write(image, result.samples, max(at, from_us), until, progress)
            image, memory, at = result.image, result.memory, until
            progress.done_us, progress.cycles = at, progress.cycles + len(cycles)
            report(progress, (at - begin) / (stop - begin))
            if 2 * len(samples) < CHUNK_SAMPLES:
                width = min(2 * width, CHUNK_US[1])
            elif len(samples) > CHUNK_SAMPLES:
                width = max(width // 2, CHUNK_US[0])
        await self._estimate(from_us, stop, progress)
        return progress

    async def _estimate(self, from_us: int, stop_us: int, progress: Progress) -> None:
        """Estimate the flows of the hours inside [from, stop) again; raises StoreError."""
        hours = self._estimates.hours(from_us, stop_us)
        for first in range(0, len(hours), HOURS_AT_ONCE):
            async with self._store.transaction():
                await self._store.writers.acquire_turn(alone=True)
                now_us = await self._store.now_us()
                some = hours[first : first + HOURS_AT_ONCE]
                samples = await self._estimates.of_hours(some, now_us)
                tags = np.unique(samples.tag)
                stored = await self._store.samples_between(tags, some[0] - 1, some[-1])
                known = np.isfinite(samples.value) | np.isin(samples.tag, stored.tag)
                samples = samples.take(known)
                added, corrected = await self._store.merge_samples(samples)
                await self._count_changes(added, corrected, now_us, progress)

    async def _begin(self, begin: int, from_us: int, to_us: int | None) -> tuple[Image, int]:
        """Apply the model; return the image before the first cycle, and the time to stop [µs]."""
        store, length = self._store, self._cycle_us
        async with store.transaction():
            await store.writers.acquire_turn(alone=True)
            live = not await store.writers.is_only_one()
            if live and await store.model_digest() != self._park.digest:
                raise ParkError(
                    "ingest is running with another model",
                    hint="start it again with this one, or stop it, and then replay",
                )
            await store.apply_model(self._park, self._tags)
            await self._refuse_former(from_us, to_us)
            newest, _ = await store.newest(np.arange(self._measured))
            before = await store.newest_before(np.arange(self._count), begin - length + 1)
            last_cycle = await store.last_cycle()
        image = no_image(self._count)
        image.update(before, self._network.traits)
        # Beyond the newest sample there is nothing to derive from, and ingest is where it is.
        last = -(-newest.time_us.max(initial=begin - length) // length) * length
        last = min(last, last_cycle // length * length) if live else last
        stop = int(last) + length
        return image, stop if to_us is None else min(stop, -(-to_us // length) * length)

    async def _refuse_former(self, from_us: int, to_us: int | None) -> None:
        """Raise ParkError where a tag was another series: of what it is now, nothing is known."""
        tags, stop_us = np.arange(self._measured), TIME_MAX_US if to_us is None else to_us
        former = await self._store.former_series(tags, from_us, stop_us)
        if former is None:
            return
        address, end_us = former
        end = local(end_us, ZoneInfo(self._park.timezone)).isoformat()
        raise ParkError(
            f"until {end} there are samples of {address}, and none of what that tag is now",
            hint=f"derive from then on, --from {end}, or before it with the model of that time",
        )

    async def _write(
        self, image: Image, derived: Samples, first: int, until: int, progress: Progress
    ) -> None:
        """Store the derived samples of a chunk, correct those stored with another value, count."""
        if first >= until:
            return
        tags = np.arange(self._measured, self._count)
        stored = await self._store.samples_between(tags, first - 1, until - 1)
        held = _held(image, derived, stored, self._measured)
        now_us = await self._store.now_us()
        rows = sort(concatenate(derived.take(derived.time_us >= first), held)).samples
        rows = replace(rows, received_us=np.full(len(rows), now_us))
        added, corrected = await self._store.merge_samples(rows)
        await self._count_changes(added, corrected, now_us, progress)

    async def _count_changes(
        self, added: Samples, corrected: Samples, now_us: int, progress: Progress
    ) -> None:
        """Aggregate what has changed again, and count it."""
        touched = sort(concatenate(added, corrected)).samples
        progress.minutes += await self._restate(touched, now_us) if len(touched) else 0
        progress.added += len(added)
        progress.corrected += len(corrected)

    async def _restate(self, touched: Samples, now_us: int) -> int:
        """Aggregate the minutes of changed samples again; return the number of those rewritten.

        A tag's minutes end before that of its newest sample: ingest aggregates that one in its
        next cycle or at its next start.
        """
        newest, ends = await self._store.newest(tags=np.unique(touched.tag))
        until = ends.copy()
        until[newest.tag] = np.maximum(ends[newest.tag], newest.time_us // MINUTE_US * MINUTE_US)
        nothing = np.zeros(0, np.int64)
        gap_us = self._traits.gap_us
        around = intervals_around(touched.tag, touched.time_us, gap_us, until, nothing)
        # Their newest sample or their open minute is not what a running cycle has in memory.
        await self._store.writers.mark_changed(around.tag[around.open])
        stop = np.where(around.open, until[around.tag], around.stop)
        # Between the last minute and what is new, the value before still holds.
        beyond = (stop > ends[around.tag]) & (ends[around.tag] != NEVER)
        start = np.where(beyond, np.minimum(around.start, ends[around.tag]), around.start)
        real = start < stop
        if not real.any():
            return 0
        tag, start, stop = around.tag[real], start[real], stop[real]
        intervals = merge_intervals(Intervals(tag, start, stop, np.zeros(len(tag), bool)))
        plan = MinutePlan(no_samples(), intervals)
        await self._aggregation.apply(no_open_minutes(len(self._tags)), plan, NEVER)
        return await self._aggregation.record(intervals, ends, now_us)


def _held(image: Image, derived: Samples, stored: Samples, measured: int) -> Samples:
    """Return the derived values in force at the times of stored samples.

    A value holds until the next derived sample; the image has those before the first.
    """
    if not len(stored):
        return stored
    tag = np.arange(measured, len(image.time_us))
    times = np.concatenate([derived.time_us, stored.time_us])
    origin = int(times.min()) - 1
    span = int(times.max()) - origin + 1
    start = np.full(len(tag), origin)
    before = Samples(tag, start, image.value[tag], image.quality[tag], start)
    known = sort(concatenate(before, derived)).samples
    at = np.searchsorted(
        known.tag * span + (known.time_us - origin),
        stored.tag * span + (stored.time_us - origin),
        side="right",
    )
    return replace(stored, value=known.value[at - 1], quality=known.quality[at - 1])


def _time(text: str, zone: ZoneInfo) -> int:
    """Return a time in µs, on the clock of the park if it has no offset; raises ParkError."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ParkError(str(error)) from None
    local = time if time.tzinfo else time.replace(tzinfo=zone)
    return round(local.timestamp() * 1_000_000)


async def _main(settings: IngestSettings, from_: str, to: str | None) -> Progress:
    park = load_park(settings.park)
    zone = ZoneInfo(park.timezone)
    from_us, to_us = _time(from_, zone), None if to is None else _time(to, zone)
    if to_us is not None and to_us <= from_us:
        raise ParkError("--to is not after --from")

    def report(progress: Progress, share: float) -> None:
        done = datetime.fromtimestamp(progress.done_us / 1e6, zone)
        show_progress(share, f"{done:%Y-%m-%d %H:%M}  {progress.text()}")

    store = Store(settings.database_url, archive_folder=settings.archive)
    await store.open()
    try:
        cycle_us = round(settings.cycle_s * 1e6)
        return await Replay(park, store, cycle_us).run(from_us, to_us, report)
    finally:
        clear_progress()
        await store.close()


def main(argv: list[str] | None = None) -> int:
    """Run a replay; return 0 when it is complete."""
    purpose = "Derive an interval of the past again from its stored samples."
    parser = program_parser("parktwin replay", purpose, EXAMPLES)
    about = "time like 2026-03-01 or 2026-03-01T06:00+08:00; without offset, on the park's clock"
    parser.add_argument("--from", dest="from_", required=True, metavar="TIME", help=about)
    parser.add_argument("--to", metavar="TIME", help="up to before it (default: the newest sample)")
    options = parser.parse_args(argv)

    def work() -> None:
        progress = asyncio.run(_main(IngestSettings(), options.from_, options.to))
        print(f"parktwin replay: {progress.cycles:,} cycles, {progress.text()}")

    return run_program("parktwin replay", work, stopped="stopped; run it again to go on")


if __name__ == "__main__":
    sys.exit(main())
