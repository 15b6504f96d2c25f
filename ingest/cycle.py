"""The cycle: drain, decode, step, commit; then, and only then, acknowledge.

One cycle is one transaction. Everything a cycle changes in memory is drafted on copies that replace
the old state after the commit, so that a failed cycle can simply be tried again.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ingest.counters import HEALTH, Counters, health_tags
from ingest.decode import Directory, Intake, Message, Samples, decode
from ingest.image import Image, no_image
from ingest.late import Stretches, hours_of, join, refold, resume, stretches, widen
from twin.errors import StoreError
from twin.minutes import KIND_CODES, MINUTE_US, NEVER, Minutes, Tail, fold, no_tail
from twin.network import compile_network
from twin.step import SLOPE_MIN_US, SLOPE_US, Memory, no_memory, recall, step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ingest.settings import IngestSettings
    from ingest.store import Store
    from twin.model import Park

LOG = logging.getLogger("ingest.cycle")
I64 = NDArray[np.int64]
RETRY_S = (0.2, 0.5, 1.0, 2.0)


@dataclass(frozen=True, slots=True)
class State:
    """What one cycle hands to the next."""

    image: Image
    tail: Tail
    memory: Memory


@dataclass(frozen=True, slots=True)
class Sorted:
    """A cycle's samples by tag, then time, once each; and those that a later one superseded."""

    samples: Samples
    superseded: Samples
    superseded_by: I64  # received time of what came instead
    duplicates: int


class Cycle:
    """The one writer's loop over one park model."""

    def __init__(self, park: Park, store: Store, settings: IngestSettings) -> None:
        self.counters = Counters()
        self.connected: Callable[[], bool] = lambda: False
        self.inbox_size: Callable[[], int] = lambda: 0
        self._store = store
        self._settings = settings
        self._zone = park.timezone
        self._network = compile_network(park)
        health = health_tags(park.id, park.gap_s)
        self._tags = (*self._network.tags, *health)
        self._derived_at = len(park.tags)
        self._health_at = len(self._network.tags)
        self._directory = Directory(park, self._tags)
        self._kind = np.array([KIND_CODES[tag.kind] for tag in self._tags], dtype=np.int64)
        self._counter = self._kind == KIND_CODES["counter"]
        self._gap_us = np.array([round(tag.gap_s * 1e6) for tag in self._tags], dtype=np.int64)
        self._state = State(
            no_image(len(self._tags)), no_tail(len(self._tags)), no_memory(self._network)
        )
        self._park = park
        self._health_due_us = 0
        self._last_cycle_us = 0
        self._lag_s = 0.0
        self._spent_s = 0.0

    async def start(self, now_us: int) -> None:
        """Apply the model and go on where the stored samples and minutes end; raises StoreError."""
        async with self._store.transaction():
            await self._store.apply_model(self._park, self._tags)
            self._last_cycle_us = await self._store.last_cycle()
            samples, ends = await self._store.newest()
            image = no_image(len(self._tags))
            image.forward(samples, self._counter)
            # What the broker kept for us comes now: no tag is silent before it had its chance.
            image.heard_us[:] = now_us
            tail = no_tail(len(self._tags))
            minutes = await resume(self._store, self._kind, self._gap_us, tail, samples, ends)
            nothing = np.zeros(0, np.int64)
            await self._store.write_minutes(minutes, self._zone, (nothing, nothing))
        self._state = State(image, tail, no_memory(self._network))

    async def run(self, messages: Sequence[Message], now_us: int) -> None:
        """Commit one cycle of messages, however long the database takes to come back."""
        began = time.perf_counter()
        settings = self._settings
        intake = decode(
            self._directory,
            messages,
            payload_bytes=settings.payload_bytes,
            future_us=round(settings.future_s * 1e6),
        )
        incoming = sort(intake.samples)
        cycle_us = self._grid(now_us)
        merge_all = False
        for tries in itertools.count():
            try:
                counted = await self._commit(intake, incoming, cycle_us, merge_all=merge_all)
            except StoreError as error:
                if not error.retryable:
                    raise
                # Some of these samples may be stored: by somebody else, or by a commit whose answer
                # was lost. Look at each of them.
                merge_all = True
                self.counters["retries"] += 1
                LOG.warning("%s; the cycle is tried again", error.message)
                await self._store.close()
                await asyncio.sleep(RETRY_S[min(tries, len(RETRY_S) - 1)])
            else:
                break
        self.counters.update(counted)
        self.counters["messages"] += len(messages)
        self.counters["bytes"] += sum(len(message.payload) for message in messages)
        if messages:
            self._lag_s = time.time() - messages[0].received_us / 1e6
        self._spent_s = time.perf_counter() - began

    def _grid(self, now_us: int) -> int:
        """Return the cycle's id: `now_us` on the epoch grid, and always later than the last one."""
        length = round(self._settings.cycle_s * 1e6)
        cycle_us = max(now_us // length * length, self._last_cycle_us + length)
        self._last_cycle_us = cycle_us
        return cycle_us

    async def _commit(
        self, intake: Intake, incoming: Sorted, cycle_us: int, *, merge_all: bool
    ) -> Counters:
        """Commit one cycle and replace the state; returns what there is to count."""
        counted = Counters(cycles=1, samples=len(intake.samples))
        counted["duplicates"] = incoming.duplicates
        counted["corrections"] = len(incoming.superseded)
        image, tail = self._state.image.copy(), self._state.tail.copy()
        samples = incoming.samples
        fresh_rows = samples.time_us > image.time_us[samples.tag]
        fresh = samples.take(fresh_rows)
        old = samples if merge_all else samples.take(~fresh_rows)
        async with self._store.transaction():
            late = await self._merge(old, image, counted) if len(old) else old
            image.forward(fresh, self._counter)
            derived, memory = self._derive(image, await self._remembered(cycle_us), cycle_us)
            if merge_all:
                await self._store.merge_samples(derived)
            else:
                await self._store.copy_samples(concatenate(fresh, derived))
            image.forward(derived, self._counter)
            added = concatenate(fresh, derived)
            await self._write_minutes(image, tail, added, late, cycle_us, counted)
            await self._keep_refused(intake, incoming, cycle_us, counted)
            changed = np.unique(np.concatenate([added.tag, late.tag]))
            columns = image.time_us[changed], image.value[changed], image.quality[changed]
            await self._store.wake_readers(cycle_us, changed, columns, self._settings.cycle_rows)
        self._state = State(image, tail, memory)
        return counted

    async def _merge(self, old: Samples, image: Image, counted: Counters) -> Samples:
        """Store samples that may be there already; return those behind the image that are new."""
        added, corrected = await self._store.merge_samples(old)
        counted["corrections"] += len(corrected)
        counted["duplicates"] += len(old) - len(added) - len(corrected)
        image.correct(corrected, self._counter)
        np.maximum.at(image.heard_us, old.tag, old.received_us)
        behind = added.take(added.time_us <= image.time_us[added.tag])
        counted["late"] += len(behind)
        return sort(concatenate(behind, corrected)).samples

    async def _remembered(self, cycle_us: int) -> Memory:
        """Return the memory; after a start, what the stored minutes of the tanks remember."""
        memory = self._state.memory
        if memory.span_us >= SLOPE_MIN_US or cycle_us < self._health_due_us:
            return memory
        tags = np.unique(self._network.tank_tag)
        tag, time_us, mean = await self._store.minute_means(tags, cycle_us - SLOPE_US)
        times, row = np.unique(time_us, return_inverse=True)
        value = np.full((len(times), self._health_at), np.nan)
        value[row, tag] = mean
        stored = recall(self._network, times + MINUTE_US // 2, value)
        return stored if stored.span_us > memory.span_us else memory

    def _derive(self, image: Image, memory: Memory, cycle_us: int) -> tuple[Samples, Memory]:
        """Return the derived values that changed, and our own health when it is due."""
        outcome = step(self._network, memory, image.view(self._health_at), cycle_us)
        tag = np.arange(self._derived_at, self._health_at)
        value, quality = outcome.value, outcome.quality
        known = image.time_us[tag] != NEVER
        same = (value == image.value[tag]) | (np.isnan(value) & np.isnan(image.value[tag]))
        same &= quality == image.quality[tag]
        # A value that stays is stored often enough that it never looks stale.
        due = cycle_us - image.time_us[tag] >= self._gap_us[tag] // 2
        moved = np.where(known, ~same | due, ~np.isnan(value))
        tag, value, quality = tag[moved], value[moved], quality[moved]
        if cycle_us >= self._health_due_us:
            self._health_due_us = cycle_us + round(self._settings.health_s * 1e6)
            gauges = {
                "lag": self._lag_s,
                "cycle_duration": self._spent_s,
                "inbox": float(self.inbox_size()),
                "connected": float(self.connected()),
            }
            health = [gauges.get(name, float(self.counters[name])) for name in HEALTH]
            tag = np.concatenate([tag, np.arange(self._health_at, len(self._tags))])
            value = np.concatenate([value, health])
            quality = np.concatenate([quality, np.zeros(len(HEALTH), np.uint8)])
        times = np.full(len(tag), cycle_us)
        # The clock was set back: what is in the image already cannot be written again.
        later = times > image.time_us[tag]
        return Samples(tag, times, value, quality, times).take(later), outcome.memory

    async def _write_minutes(
        self,
        image: Image,
        tail: Tail,
        added: Samples,
        late: Samples,
        cycle_us: int,
        counted: Counters,
    ) -> None:
        """Fold what is new, fold again what late samples touch, write both."""
        close_us = self._close_us(image, tail, cycle_us)
        # A new sample in a minute that is closed already, and everything late, is read back.
        first = np.append(True, added.tag[1:] != added.tag[:-1])[: len(added)]
        at = added.tag[first]
        closed = at[added.time_us[first] < tail.open_us[at]]
        again = np.isin(added.tag, closed)
        touched = sort(concatenate(late, added.take(again))).samples
        rows: list[Minutes] = []
        also = (np.zeros(0, np.int64), np.zeros(0, np.int64))
        known = touched.take(tail.open_us[touched.tag] != NEVER)
        if len(known):
            wanted = stretches(known.tag, known.time_us, self._gap_us, tail.open_us, closed)
            wanted = join(await widen(self._store, self._kind, tail.open_us, wanted))
            await self._store.drop_minutes(wanted.tag, wanted.start, wanted.stop)
            also = hours_of(wanted, tail.open_us)
            counted["restated"] += await self._record(wanted, tail, cycle_us)
            reread = np.isin(added.tag, wanted.tag[wanted.open])
            rows.append(await refold(self._store, self._kind, self._gap_us, tail, wanted))
            added = added.take(~reread)
        rows.append(
            fold(
                tail,
                self._kind,
                self._gap_us,
                added.tag,
                added.time_us,
                added.value,
                added.quality,
                close_us,
            )
        )
        minutes = rows[0] if len(rows) == 1 else Minutes(
            *(np.concatenate([getattr(r, n) for r in rows]) for n in Minutes.__slots__)
        )  # fmt: skip
        await self._store.write_minutes(minutes, self._zone, also)

    async def _record(self, wanted: Stretches, tail: Tail, cycle_us: int) -> int:
        """Record the stretches in which minutes were written already."""
        stop = np.minimum(wanted.stop, tail.open_us[wanted.tag])
        written = wanted.start < stop
        if written.any():
            await self._store.record_restatements(
                wanted.tag[written], wanted.start[written], stop[written], cycle_us
            )
        return int(((stop - wanted.start)[written] // MINUTE_US).sum())

    def _close_us(self, image: Image, tail: Tail, cycle_us: int) -> I64:
        """Return the time before which the minutes of each tag are complete, if it is silent.

        A tag that sends closes its minutes itself, live or from a backlog. One that was not heard
        of for a while is closed by the clock, but only as far as its last value holds.
        """
        settings = self._settings
        silent = image.heard_us < cycle_us - round(settings.silent_s * 1e6)
        silent &= tail.time_us != NEVER
        clock_us = cycle_us - round(settings.grace_s * 1e6)
        held_us = np.where(silent, tail.time_us, 0) + self._gap_us + MINUTE_US - 1
        return np.where(silent, np.minimum(clock_us, held_us) // MINUTE_US * MINUTE_US, NEVER)

    async def _keep_refused(
        self, intake: Intake, incoming: Sorted, cycle_us: int, counted: Counters
    ) -> None:
        """Store what was refused, quarantined or superseded."""
        settings = self._settings
        for reject in intake.rejects:
            counted[f"rejected.{reject.reason}"] += 1
        for item in intake.quarantined:
            counted[f"quarantined.{item.reason}"] += 1
        if intake.rejects:
            await self._store.keep_rejects(
                intake.rejects, settings.reject_bytes, settings.reject_rows
            )
        if intake.quarantined:
            await self._store.keep_quarantined(
                intake.quarantined, cycle_us, settings.quarantine_rows
            )
        if len(incoming.superseded):
            await self._store.keep_corrections(incoming.superseded, incoming.superseded_by)


def concatenate(*parts: Samples) -> Samples:
    """Return samples one after the other."""
    return Samples(*(np.concatenate([getattr(p, n) for p in parts]) for n in Samples.__slots__))


def sort(samples: Samples) -> Sorted:
    """Return samples by tag, then time; of the same tag and time the last to arrive wins."""
    # Sort is stable so that equal times keep the order of arrival.
    samples = samples.take(np.lexsort((samples.time_us, samples.tag)))
    same = (samples.tag[1:] == samples.tag[:-1]) & (samples.time_us[1:] == samples.time_us[:-1])
    if not same.any():
        return Sorted(samples, samples.take(slice(0, 0)), np.zeros(0, np.int64), 0)
    beaten = np.append(same, False)
    value, later = samples.value[:-1], samples.value[1:]
    equal = (value == later) | (np.isnan(value) & np.isnan(later))
    superseded = np.append(same & ~equal, False)
    return Sorted(
        samples.take(~beaten),
        samples.take(superseded),
        samples.received_us[np.flatnonzero(superseded) + 1],
        int(beaten.sum() - superseded.sum()),
    )
