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

from ingest.counters import Counters, data_owners, own_tags
from ingest.cycle.alarms import Alarms, StandingAlarms
from ingest.cycle.balance_monitor import BalanceMonitor, MonitorProgress
from ingest.cycle.gateways import Gateways, Health, Tally
from ingest.cycle.restatement import Aggregation
from ingest.cycle.validation import Validator
from ingest.routing.decode import Intake, decode, join
from ingest.routing.sparkplug_session import SparkplugSessions
from ingest.routing.topics import Message, TopicTable
from ingest.store.sums import bring_to_clock
from twin.accounts.network import compile_network
from twin.accounts.tanks import tags_of_tanks
from twin.arrays import I64, MINUTE_US, NEVER
from twin.errors import StoreError
from twin.model.gateways import GatewaySpec
from twin.replay import derive
from twin.series.image import Image, no_image
from twin.series.minutes import OpenMinutes, no_open_minutes
from twin.series.samples import Samples, Sorted, concatenate, sort
from twin.series.traits import traits_of
from twin.step import SLOPE_MIN_US, SLOPE_US, Memory, no_memory, restore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ingest.settings import IngestSettings
    from ingest.store import Store
    from twin.model.park import Park
    from twin.validation.assess import ValidationState

LOG = logging.getLogger("ingest.cycle.cycle")
RETRY_S = (0.2, 0.5, 1.0, 2.0)


@dataclass(frozen=True, slots=True)
class State:
    """What one cycle hands to the next."""

    image: Image
    open_minutes: OpenMinutes
    memory: Memory
    alarms: StandingAlarms
    version: int  # of what others have touched
    validation: ValidationState
    monitor: MonitorProgress
    health_due_us: int


class Cycle:
    """The one writer's loop over one park model."""

    def __init__(self, park: Park, store: Store, settings: IngestSettings) -> None:
        self.counters = Counters()
        self.connected: Callable[[], bool] = lambda: False
        self.inbox_size: Callable[[], int] = lambda: 0
        self.surroundings: Callable[[], dict[str, float]] = dict
        # Of each gateway with messages in the spool: arrival of the oldest [µs].
        self.spooled_since: Callable[[], Mapping[str, int]] = dict
        self._store = store
        self._settings = settings
        self.network = compile_network(park)
        self._tags = (*self.network.tags, *own_tags(park))
        self.sparkplug = SparkplugSessions(
            park.rows(GatewaySpec),
            reorder_s=settings.sparkplug_reorder_s,
            rebirth_s=settings.sparkplug_rebirth_s,
            future_s=settings.future_s,
            host_id=settings.sparkplug_host_id,
            counters=self.counters,
        )
        self.topics = TopicTable(park, self._tags, self.sparkplug)
        self._traits = traits_of(self._tags)
        self._aggregation = Aggregation(store, self._traits, park.timezone)
        self._alarms = Alarms(park, self._tags, store, settings)
        self._validator = Validator(park, self._tags, store, settings)
        self._monitor = BalanceMonitor(self.network, store)
        self._gateways = Gateways(list(data_owners(park)), self._tags, settings)
        self._health = Health(
            self.counters, self._gateways, self._tags, len(self.network.tags), settings
        )
        progress = MonitorProgress(self._monitor.begin(0))
        nothing = no_image(len(self._tags)), no_open_minutes(len(self._tags))
        self._state = State(
            *nothing, no_memory(self.network), self._alarms.standing(), 0, self._validator.state(),
            progress, 0,
        )  # fmt: skip
        self._park = park
        self._last_cycle_us = 0
        self._read_us = np.zeros(len(self._tags), np.int64)
        self._lag_s = 0.0
        self._spent_s = 0.0

    @property
    def image(self) -> Image:
        """The newest committed sample of each tag."""
        return self._state.image

    async def start(self, now_us: int) -> None:
        """Apply the model and go on where the stored samples and minutes end; raises StoreError."""
        await bring_to_clock(self._store, self._park.timezone)
        async with self._store.transaction():
            await self._store.writers.acquire_turn()
            version = await self._store.writers.newest_version()
            await self._store.apply_model(self._park, self._tags)
            self._last_cycle_us = await self._store.last_cycle()
            samples, ends = await self._store.newest()
            image = no_image(len(self._tags))
            image.update(samples, self._traits)
            # What the broker kept for us comes now: no tag is silent before it had its chance.
            image.last_received_us[:] = now_us
            open_minutes = no_open_minutes(len(self._tags))
            await self._aggregation.restore(open_minutes, samples, ends)
            alarms = await self._alarms.start(image, now_us)
            validation = await self._validator.start(image)
            monitor = await self._monitor.start(now_us, self._last_cycle_us)
            await self._gateways.start(self._store, now_us)
        memory = no_memory(self.network)
        self._state = State(image, open_minutes, memory, alarms, version, validation, monitor, 0)

    def decode(self, messages: Sequence[Message]) -> Intake:
        """Return what messages come to; they must be given in the order in which they came."""
        return decode(
            self.topics,
            messages,
            payload_bytes=self._settings.payload_bytes,
            future_us=round(self._settings.future_s * 1e6),
            skewed=self._gateways.skewed,
            spent=self._gateways.spent,
        )

    async def run(
        self,
        messages: Sequence[Message],
        now_us: int,
        past: Samples | None = None,
        decoded: Intake | None = None,
    ) -> None:
        """Commit one cycle of messages, however long the database takes to come back.

        Samples of the `past` are stored besides, whatever is thought of them; `decoded` comes
        after `messages`.
        """
        began = time.perf_counter()
        intake = self.decode(messages)
        if decoded is not None:
            intake = join([intake, decoded])
        messages = intake.messages
        if past is not None:
            intake.historical = concatenate(intake.historical, past)
        incoming = sort(intake.samples)
        cycle_us = self._grid(now_us)
        # What still waits for us may be of any tag: nobody is silent in the time it came in.
        behind = messages and self.inbox_size()
        read_us = min(cycle_us, messages[-1].received_us) if behind else cycle_us
        self._read_us = self._read_until(read_us)
        merge_all = False
        for tries in itertools.count():
            try:
                counted, tally = await self._commit(intake, incoming, cycle_us, merge_all=merge_all)
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
        self._gateways.take(intake, tally, cycle_us)
        self.counters["messages"] += len(messages)
        self.counters["bytes"] += sum(len(message.payload) for message in messages)
        if messages:
            self._lag_s = time.time() - messages[0].received_us / 1e6
        self._spent_s = time.perf_counter() - began

    def _read_until(self, read_us: int) -> I64:
        """Return until when all that came of each tag has been read, (T,) [µs]."""
        until_us = np.full(len(self._tags), read_us)
        for gateway, since_us in self.spooled_since().items():
            of_it = self._gateways.tags_of(gateway)
            until_us[of_it] = np.minimum(until_us[of_it], since_us)
        return until_us

    def _grid(self, now_us: int) -> int:
        """Return the cycle's id: `now_us` on the epoch grid, and always later than the last one."""
        length = round(self._settings.cycle_s * 1e6)
        cycle_us = max(now_us // length * length, self._last_cycle_us + length)
        self._last_cycle_us = cycle_us
        return cycle_us

    async def _commit(
        self, intake: Intake, incoming: Sorted, cycle_us: int, *, merge_all: bool
    ) -> tuple[Counters, Tally]:
        """Commit one cycle and replace the state; returns what there is to count."""
        tally = Tally(len(self._tags))
        due = cycle_us >= self._state.health_due_us
        self._gateways.begin()
        past = sort(intake.historical)
        counted = Counters(cycles=1, samples=len(intake.samples) + len(intake.historical))
        counted["duplicates"] = incoming.duplicates + past.duplicates
        counted["corrections"] = len(incoming.superseded) + len(past.superseded)
        counted["dropped"] = len(intake.dropped)
        if incoming.duplicates:
            tally.repeat(intake.samples, incoming.samples, incoming.superseded)
        image, open_minutes = self._state.image.copy(), self._state.open_minutes.copy()
        samples = incoming.samples
        async with self._store.transaction():
            touched, version = await self._catch_up(image, open_minutes)
            fresh_rows = samples.time_us > image.time_us[samples.tag]
            validation, mended = await self._validator.answer(
                self._state.validation, cycle_us, again=merge_all
            )
            image.apply_corrections(mended, self._traits)
            counted["corrections"] += len(mended)
            validated = self._validator.validate(
                validation, samples.take(fresh_rows), samples.take(~fresh_rows)
            )
            validated.count(counted)
            await self._validator.record(validated.suspicions)
            fresh = validated.fresh
            old = concatenate(validated.old, fresh) if merge_all else validated.old
            late = await self._merge(past.samples, image, counted, tally, anywhere=True)
            late = concatenate(mended, late, await self._merge(old, image, counted, tally))
            image.update(fresh, self._traits)
            memory = await self._remembered(cycle_us) if due else self._state.memory
            derived, memory = derive(self.network, image, memory, cycle_us)
            if due:
                health = self._health.samples(image, self._gauges(cycle_us), cycle_us)
                derived = concatenate(derived, health)
            added = concatenate(fresh, derived)
            if merge_all:
                await self._store.merge_samples(derived)
            else:
                await self._store.copy_samples(added)
            image.update(derived, self._traits)
            counted["restated"] = await self._write_minutes(
                image, open_minutes, added, late, cycle_us
            )
            monitor = await self._monitor.run(self._state.monitor, int(self._read_us.min()))
            await self._keep_refused(intake, (past, incoming), cycle_us, counted)
            if due:
                await self._gateways.write(self._store, cycle_us)
            await self._wake_readers(image, (added.tag, late.tag, touched), cycle_us)
            alarms = await self._alarms.run(
                self._state.alarms, added, image, cycle_us, self._read_us
            )
        health_us = self._health.next_due_us(cycle_us) if due else self._state.health_due_us
        self._state = State(
            image, open_minutes, memory, alarms, version, validated.state, monitor, health_us
        )
        return counted, tally

    async def _wake_readers(self, image: Image, tags: Iterable[I64], cycle_us: int) -> None:
        """Leave the changed part of the image for the readers and wake them at the commit."""
        seen = np.zeros(len(self._tags), bool)
        for each in tags:
            seen[each] = True
        changed = np.flatnonzero(seen & (image.time_us != NEVER))
        columns = image.time_us[changed], image.value[changed], image.quality[changed]
        await self._store.wake_readers(cycle_us, changed, columns, self._settings.cycle_rows)

    async def _catch_up(self, image: Image, open_minutes: OpenMinutes) -> tuple[I64, int]:
        """Wait for our turn; return the tags that others have touched, read back, and version."""
        await self._store.writers.acquire_turn()
        tags, version = await self._store.writers.changes_since(self._state.version)
        if len(tags):
            await self._aggregation.read_back(image, open_minutes, tags)
        return tags, version

    async def _merge(
        self,
        old: Samples,
        image: Image,
        counted: Counters,
        tally: Tally,
        *,
        anywhere: bool = False,
    ) -> Samples:
        """Store samples that may be there already; return those that are new.

        What is not behind the image is left to it, except samples that stay out of it `anywhere`.
        """
        if not len(old):
            return old
        added, corrected = await self._store.merge_samples(old)
        counted["corrections"] += len(corrected)
        counted["duplicates"] += len(old) - len(added) - len(corrected)
        tally.repeat(old, added, corrected)
        image.apply_corrections(corrected, self._traits)
        np.maximum.at(image.last_received_us, old.tag, old.received_us)
        behind = added.take((added.time_us <= image.time_us[added.tag]) | anywhere)
        counted["late"] += len(behind)
        np.add.at(tally.late, behind.tag, 1)
        return sort(concatenate(behind, corrected)).samples

    async def _remembered(self, cycle_us: int) -> Memory:
        """Return the memory; after a start, what the stored minutes of the tanks remember."""
        memory = self._state.memory
        if memory.span_us >= SLOPE_MIN_US:
            return memory
        tanks = self.network.tanks
        tags = tags_of_tanks(tanks, np.arange(len(tanks.tag)))
        tag, time_us, mean = await self._store.minute_means(tags, cycle_us - SLOPE_US)
        times, row = np.unique(time_us, return_inverse=True)
        value = np.full((len(times), len(self.network.tags)), np.nan)
        value[row, tag] = mean
        stored = restore(self.network, times + MINUTE_US // 2, value)
        return stored if stored.span_us > memory.span_us else memory

    def _gauges(self, cycle_us: int) -> dict[str, float]:
        """Return the gauges of ingest by their names in `HEALTH`; NaN where one is unknown."""
        flood = self._state.alarms.flood
        return {
            "lag": self._lag_s,
            "cycle_duration": self._spent_s,
            "inbox": float(self.inbox_size()),
            "connected": float(self.connected()),
            "alarm_rate": float(flood.count),
            "alarm_flood": float(flood.since_us != NEVER),
            **self.surroundings(),
            "suspects": float(self._monitor.suspects(self._state.monitor, cycle_us)),
        }

    async def _write_minutes(
        self, image: Image, open_minutes: OpenMinutes, added: Samples, late: Samples, cycle_us: int
    ) -> int:
        """Aggregate what is new, and again what late samples touch; return the minutes restated."""
        plan = await self._aggregation.plan(open_minutes, added, late)
        # Before the plan is applied: only minutes that were written already are restated.
        restated = await self._aggregation.record(plan.intervals, open_minutes.open_us, cycle_us)
        close_us = self._close_us(image, open_minutes, self._read_us)
        await self._aggregation.apply(open_minutes, plan, close_us)
        return restated

    def _close_us(self, image: Image, open_minutes: OpenMinutes, read_us: I64) -> I64:
        """Return the time before which the minutes of each tag are complete, if it is silent.

        A tag that sends closes its minutes itself, live or from a backlog. One that was not heard
        of for a while is closed by the clock, but only as far as its last value holds.
        """
        settings = self._settings
        silent = image.last_received_us < read_us - round(settings.silent_s * 1e6)
        silent &= (open_minutes.time_us != NEVER) & ~self._traits.counter
        clock_us = read_us - round(settings.grace_s * 1e6)
        held_us = np.where(silent, open_minutes.time_us, 0) + self._traits.gap_us + MINUTE_US - 1
        return np.where(silent, np.minimum(clock_us, held_us) // MINUTE_US * MINUTE_US, NEVER)

    async def _keep_refused(
        self,
        intake: Intake,
        parts: Sequence[Sorted],
        cycle_us: int,
        counted: Counters,
    ) -> None:
        """Store what was refused, quarantined or superseded."""
        settings = self._settings
        for reject in intake.rejects:
            counted[f"rejected.{reject.reason}"] += 1
        for item in intake.quarantined:
            counted[f"quarantined.{item.reason}"] += 1
        if intake.rejects:
            await self._store.rejects.keep(
                intake.rejects, settings.reject_bytes, settings.reject_rows
            )
        if intake.quarantined:
            limits = settings.quarantine_rows, settings.quarantine_samples
            await self._store.quarantine.keep(intake.quarantined, cycle_us, *limits)
        for part in parts:
            await self._store.keep_corrections(part.superseded, part.superseded_by)
