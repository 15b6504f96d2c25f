"""The cycle: drain, decode, step, commit; then, and only then, acknowledge.

One cycle is one transaction. Everything a cycle changes in memory is drafted on copies that replace
the old state after the commit, so that a failed cycle can simply be tried again. Samples of many
days are committed in several cycles. What the database or the twin cannot take is halved until the
message to blame is alone, and that is stored as a reject.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ingest.counters import Counters, data_owners, own_tags
from ingest.cycle.alarms import Alarms, StandingAlarms
from ingest.cycle.balance_monitor import BalanceMonitor, MonitorProgress
from ingest.cycle.estimates import EstimateProgress, HourlyEstimates
from ingest.cycle.gateways import Gateways, Health, Tally
from ingest.cycle.lateness import Lateness, LatenessState
from ingest.cycle.margins import LiveMargins, MarginProgress
from ingest.cycle.parts import by_days, by_messages
from ingest.cycle.restatement import Aggregation
from ingest.cycle.validation import Validator
from ingest.routing.decode import Intake, Reject, crashed, decode, join, limits_of
from ingest.routing.sparkplug_session import SparkplugSessions
from ingest.routing.topics import Message, TopicTable
from ingest.store.sums import bring_to_clock
from twin.accounts.network import compile_network
from twin.accounts.tanks import tags_of_tanks
from twin.arrays import I64, MINUTE_US, NEVER, SECOND_US
from twin.errors import ContentError, ParkError, StoreError
from twin.model.gateways import GatewaySpec
from twin.replay import derive
from twin.series.counters import mark_falls
from twin.series.image import Image, no_image
from twin.series.minutes import OpenMinutes, no_open_minutes
from twin.series.samples import Samples, concatenate, no_samples, sort
from twin.series.traits import traits_of
from twin.step import SLOPE_MIN_US, SLOPE_US, Memory, no_memory, restore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

    from ingest.settings import IngestSettings
    from ingest.store import Store
    from twin.model.park import Park
    from twin.series.samples import Sorted
    from twin.validation.assess import ValidationState

T = TypeVar("T")

LOG = logging.getLogger("ingest.cycle.cycle")
RETRY_S = (0.2, 0.5, 1.0, 2.0)
# So many times the database may find the same cycle too much before the cycle is halved.
TRIES = 2
# A step of the clock by less is followed without a word.
CLOCK_STEP_US = SECOND_US
# Where samples that operators release are said to have come from.
RELEASED = "quarantine"


@dataclass(frozen=True, slots=True)
class State:
    """What one cycle hands to the next."""

    image: Image
    open_minutes: OpenMinutes
    waiting: Samples  # stored readings of counters whose many minutes come in the next cycles
    memory: Memory
    alarms: StandingAlarms
    version: int  # of what others have touched
    validation: ValidationState
    monitor: MonitorProgress
    estimates: EstimateProgress
    lateness: LatenessState
    health_due_us: int
    margins: MarginProgress


class Cycle:
    """The one writer's loop over one park model."""

    def __init__(
        self,
        park: Park,
        store: Store,
        settings: IngestSettings,
        former: Cycle | None = None,
    ) -> None:
        """With a `former` cycle over another model, what is not of a model goes on from there."""
        self.counters: Counters = Counters() if former is None else former.counters
        self.connected: Callable[[], bool] = lambda: False
        self.inbox_size: Callable[[], int] = lambda: 0
        self.surroundings: Callable[[], dict[str, float]] = dict
        # Of each gateway with messages in the spool: arrival of the oldest [µs].
        self.spooled_since: Callable[[], Mapping[str, int]] = dict
        self._park = park
        self._store = store
        self._settings = settings
        self.network = compile_network(park)
        self._estimates = HourlyEstimates(self.network, store)
        self.tags = (*self.network.tags, *own_tags(self.network))
        self.sparkplug: SparkplugSessions = (
            former.sparkplug if former is not None else _sessions(settings, self.counters)
        )
        self.sparkplug.follow(park.rows(GatewaySpec))
        self.topics = TopicTable(park, self.tags, self.sparkplug)
        self._traits = traits_of(self.tags)
        self._aggregation = Aggregation(store, self._traits, park.timezone)
        self._alarms = Alarms(park, self.tags, store, settings)
        self._validator = Validator(park, self.tags, store, settings)
        self._monitor = BalanceMonitor(self.network, store)
        self._gateways = self._no_gateways()
        self._go_on = former is not None
        if former is not None:
            self._gateways.take_over(former._gateways)  # noqa: SLF001
        behind = len(self.network.tags) + len(self._estimates.tags)
        self._margins = LiveMargins(self.network, store, behind)
        first = self._margins.stop
        self._health = Health(self.counters, self._gateways, self.tags, first, settings)
        self._lateness = Lateness(self.network, self.tags, settings.gateways_max)
        progress = self._monitor.begin(0)
        nothing = no_image(len(self.tags)), no_open_minutes(len(self.tags)), no_samples()
        self._state = State(
            *nothing, no_memory(self.network), self._alarms.standing(), 0, self._validator.state(),
            progress, EstimateProgress(0), self._lateness.state(), 0, self._margins.begin(),
        )  # fmt: skip
        self._limits = limits_of(settings)
        self._own = np.flatnonzero([tag.source == "derived" for tag in self.tags])
        # Of a commit that has not been answered.
        self._sent: tuple[State, Counters, Tally] | None = None
        self._last_cycle_us: int = 0 if former is None else former._last_cycle_us  # noqa: SLF001
        self._read_us = np.zeros(len(self.tags), np.int64)
        self._now_us = 0
        self._lag_s = 0.0
        self._spent_s = 0.0

    @property
    def image(self) -> Image:
        """The newest committed sample of each tag."""
        return self._state.image

    @property
    def has_run(self) -> bool:
        """Whether a cycle has ever been stored."""
        return self._last_cycle_us > 0

    async def start(self, now_us: int) -> None:
        """Apply the model and go on where the stored samples and minutes end.

        Raises StoreError, and ParkError for a clock that is behind them.

        What was derived for times after `now_us` is taken back: the clock was set back.
        """
        await bring_to_clock(self._store, self._park.timezone)
        async with self._store.transaction():
            await self._store.writers.acquire_turn()
            version = await self._store.writers.newest_version()
            await self._store.apply_model(self._park, self.tags)
            self._last_cycle_us = max(await self._store.last_cycle(), self._last_cycle_us)
            samples, ends = await self._store.newest()
            self._require_clock(samples, now_us)
            if await self._store.take_back(self._own, now_us, self._park.timezone):
                samples, ends = await self._store.newest()
            image = no_image(len(self.tags))
            image.update(samples, self._traits)
            # What the broker kept for us comes now: no tag is silent before it had its chance.
            image.last_received_us[:] = now_us
            open_minutes = no_open_minutes(len(self.tags))
            await self._aggregation.restore(open_minutes, samples, ends)
            alarms = await self._alarms.start(image, now_us)
            validation = await self._validator.start(image)
            monitor = await self._monitor.start(now_us, self._last_cycle_us)
            estimates = self._estimates.start(image, now_us)
            if not self._go_on:
                await self._gateways.write(self._store, now_us)
                # The clock that has measured the gateways until now may not be that of today.
                self._gateways = self._health.gateways = self._no_gateways()
                await self._gateways.start(self._store, now_us)
        memory = no_memory(self.network)
        self._state = State(
            image,
            open_minutes,
            no_samples(),
            memory,
            alarms,
            version,
            validation,
            monitor,
            estimates,
            self._lateness.state(),
            0,
            self._margins.begin(),
        )
        self._now_us = now_us
        self._go_on = False

    def _require_clock(self, samples: Samples, now_us: int) -> None:
        """Raise ParkError when the clock is behind what gateways have sent before.

        Minutes, and all that the twin derived, would be taken back from that time on.
        """
        latest_us = now_us + round(self._settings.future_s * 1e6)
        later = samples.take(samples.time_us > latest_us)
        measured = [tag for tag in later.tag.tolist() if self.tags[tag].source == "measured"]
        if measured and not self._settings.clock_trusted:
            now, newest = (
                datetime.fromtimestamp(time_us / 1e6, UTC).isoformat(timespec="seconds")
                for time_us in (now_us, int(later.time_us.max()))
            )
            raise ParkError(
                f"the clock of this machine says {now}, and samples of {len(measured)} tags are"
                f" stored until {newest}",
                hint="set the clock right; if it was ahead before and is right now,"
                " PARKTWIN_CLOCK_TRUSTED=1 at one start takes back what it made",
                retryable=True,
            )

    async def resume(self, now_us: int) -> None:
        """Start in place of another cycle, however long the database takes to come back.

        Raises ParkError when the model cannot run on what is stored.
        """
        await self._until_stored(lambda _: self.start(now_us), forever=True)

    def _no_gateways(self) -> Gateways:
        return Gateways(list(data_owners(self._park)), self.tags, self._settings)

    def is_heard_besides(self, gateways: Collection[str]) -> bool:
        """Return whether a gateway that is none of some is heard."""
        return self._gateways.is_heard_besides(gateways)

    def decode(self, messages: Sequence[Message]) -> Intake:
        """Return what messages come to; they must be given in the order in which they came."""
        return decode(
            self.topics,
            messages,
            self._limits,
            skewed=self._gateways.skewed,
            spent=self._gateways.spent,
        )

    async def run(
        self,
        messages: Sequence[Message],
        now_us: int,
        past: Samples | None = None,
        decoded: Intake | None = None,
    ) -> Intake:
        """Commit messages, however long the database takes to come back; return what they came to.

        Samples of the `past` are stored besides, whatever is thought of them; `decoded` comes
        after `messages`.
        """
        began = time.perf_counter()
        await self._follow_clock(now_us)
        intake = self.decode(messages)
        if decoded is not None:
            intake = join([intake, decoded])
        messages = intake.messages
        # What still waits for us may be of any tag: nobody is silent in the time it came in.
        behind = messages and self.inbox_size()
        read_us = min(self._now_us, messages[-1].received_us) if behind else self._now_us
        self._read_us = self._read_until(read_us)
        self.counters["dropped"] += len(intake.dropped)
        if past is not None and len(past):
            intake = join([intake, _released(past, now_us)])
        tally = await self._commit_parts(intake)
        self._gateways.take(intake, tally, self._now_us)
        self.counters["messages"] += len(messages)
        self.counters["bytes"] += sum(len(message.payload) for message in messages)
        if messages:
            self._lag_s = time.time() - messages[0].received_us / 1e6
        self._spent_s = time.perf_counter() - began
        return intake

    def _read_until(self, read_us: int) -> I64:
        """Return until when all that came of each tag has been read, (T,) [µs]."""
        until_us = np.full(len(self.tags), read_us)
        for gateway, since_us in self.spooled_since().items():
            of_it = self._gateways.tags_of(gateway)
            until_us[of_it] = np.minimum(until_us[of_it], since_us)
        return until_us

    async def _follow_clock(self, now_us: int) -> None:
        """Note the time on the epoch grid; after a step back, read all that follows from it."""
        length = round(self._settings.cycle_s * 1e6)
        if now_us < self._now_us - CLOCK_STEP_US:
            LOG.warning("the clock was set back by %.1f s", (self._now_us - now_us) * 1e-6)
            self.counters["clock_set_back"] += 1
            await self.resume(now_us)
        self._now_us = now_us // length * length

    async def _commit_parts(self, intake: Intake) -> Tally:
        """Commit an intake in one cycle or more; adds what was refused on the way to its rejects.

        What no cycle can take is halved, until one message is left, and that is rejected.
        """
        total = Tally(len(self.tags))
        parts, merge_all = deque(by_days(intake, self._settings.cycle_days)), False
        while parts:
            part = parts.popleft()
            try:
                merge_all |= await self._commit_part(part, total, merge_all=merge_all)
            except Exception as error:
                if not part.messages:
                    raise
                merge_all = True
                # What befalls an empty cycle, too, is nobody's fault.
                was_away = await self._commit_part(Intake(no_samples()), total)
                parts.extendleft(reversed([part] if was_away else _narrow(part, error)))
            else:
                if not part.messages:
                    intake.rejects = [*intake.rejects, *part.rejects]
        return total

    async def _commit_part(self, part: Intake, total: Tally, *, merge_all: bool = False) -> bool:
        """Commit one cycle and count; returns whether it took several tries.

        Raises what the twin raises, and StoreError when the database does not take it.
        """
        # Readers take cycles in the order of their ids, even when the clock was set back.
        cycle_us = self._last_cycle_us = max(self._now_us, self._last_cycle_us + 1)
        (counted, tally), again = await self._until_stored(
            lambda again: self._commit(part, cycle_us, merge_all=merge_all or again),
            forever=not part.messages,
        )
        self.counters.update(counted)
        total.add(tally)
        return again

    async def _until_stored(
        self, work: Callable[[bool], Awaitable[T]], *, forever: bool
    ) -> tuple[T, bool]:
        """Return what work comes to, and whether it was done again, while the database is away.

        When the database has found it too much a few times, raises ContentError, unless `forever`.
        """
        refused = 0
        for tries in itertools.count():
            try:
                # Some samples may be stored at a second try: by somebody else, or by a commit whose
                # answer was lost.
                return await work(tries > 0), tries > 0
            except StoreError as error:
                refused += isinstance(error, ContentError)
                if not error.retryable or (refused == TRIES and not forever):
                    raise
                self.counters["retries"] += 1
                LOG.warning("%s; the cycle is tried again", error.message)
                await self._store.close()
                await asyncio.sleep(RETRY_S[min(tries, len(RETRY_S) - 1)])
        raise AssertionError

    async def _commit(
        self, intake: Intake, cycle_us: int, *, merge_all: bool
    ) -> tuple[Counters, Tally]:
        """Commit one cycle and replace the state; returns what there is to count."""
        if self._sent is None or not await self._is_stored(cycle_us):
            self._sent = None
            async with self._store.transaction():
                self._sent = await self._write(intake, cycle_us, merge_all=merge_all)
        (self._state, counted, tally), self._sent = self._sent, None
        self._gateways.settle()
        return counted, tally

    async def _is_stored(self, cycle_us: int) -> bool:
        """Return whether a cycle was committed by a try whose answer was lost."""
        async with self._store.transaction():
            return await self._store.last_cycle() == cycle_us

    async def _write(
        self, intake: Intake, cycle_us: int, *, merge_all: bool
    ) -> tuple[State, Counters, Tally]:
        """Write one cycle; returns the state after its commit, and what there is to count then."""
        now_us = self._now_us
        tally = Tally(len(self.tags))
        due = self._is_health_due(now_us)
        self._gateways.begin()
        incoming, past = sort(intake.samples), sort(intake.historical)
        counted = Counters(cycles=1, samples=len(intake.samples) + len(intake.historical))
        counted["duplicates"] = incoming.duplicates + past.duplicates
        counted["corrections"] = len(incoming.superseded) + len(past.superseded)
        if incoming.duplicates:
            tally.repeat(intake.samples, incoming.samples, incoming.superseded)
        image, open_minutes = self._state.image.copy(), self._state.open_minutes.copy()
        samples = incoming.samples
        touched, version = await self._catch_up(image, open_minutes)
        fresh_rows = samples.time_us > image.time_us[samples.tag]
        validation, mended = await self._validator.answer(
            self._state.validation, cycle_us, again=merge_all
        )
        image.apply_corrections(mended, self._traits)
        counted["corrections"] += len(mended)
        validated = self._validator.validate(
            validation,
            mark_falls(image, self._traits, samples.take(fresh_rows)),
            samples.take(~fresh_rows),
        )
        validated.count(counted)
        await self._validator.record(validated.suspicions)
        fresh = validated.fresh
        old = concatenate(validated.old, fresh) if merge_all else validated.old
        history = self._validator.judge_range(past.samples)
        late = await self._merge(history, image, counted, tally, anywhere=True)
        late = concatenate(mended, late, await self._merge(old, image, counted, tally))
        image.update(fresh, self._traits)
        derived, changed, memory, estimates, margins = await self._derive(image, now_us, due=due)
        late = concatenate(late, changed)
        added = concatenate(fresh, derived)
        if merge_all:
            await self._store.merge_samples(derived)
        else:
            await self._store.copy_samples(added)
        image.update(derived, self._traits)
        counted["restated"], waiting, written = await self._write_minutes(
            image, open_minutes, added, late, now_us
        )
        estimates = self._estimates.note(estimates, written)
        monitor = await self._monitor.run(self._state.monitor, int(self._read_us.min()))
        await self._keep_refused(intake, (past, incoming), now_us, counted)
        if due:
            await self._gateways.write(self._store, now_us)
        lateness = self._lateness.run(
            self._state.lateness, self._state.image, image, self._gateways, self._read_us
        )
        changed_tags = added.tag, late.tag, touched
        await self._wake_readers(image, changed_tags, lateness, cycle_us)
        alarms = await self._alarms.run(
            self._state.alarms, added, image, cycle_us, now_us, self._read_us
        )
        health_us = self._health.next_due_us(now_us) if due else self._state.health_due_us
        state = State(
            image, open_minutes, waiting, memory, alarms, version, validated.state, monitor,
            estimates, lateness, health_us, margins,
        )  # fmt: skip
        return state, counted, tally

    def _is_health_due(self, now_us: int) -> bool:
        # A gateway that falls silent, or is heard again, is told at once.
        silent = self._gateways.silent(int(self._read_us.min()))
        heard_anew = bool((silent != self._state.lateness.silent).any())
        return heard_anew or now_us >= self._state.health_due_us

    async def _wake_readers(
        self, image: Image, tags: Iterable[I64], lateness: LatenessState, cycle_us: int
    ) -> None:
        """Leave the changed part of the image for the readers and wake them at the commit."""
        seen = np.zeros(len(self.tags), bool)
        for each in tags:
            seen[each] = True
        changed = np.flatnonzero(seen & (image.time_us != NEVER))
        columns = image.time_us[changed], image.value[changed], image.quality[changed]
        late = np.flatnonzero(lateness.late) if lateness.changed else None
        await self._store.wake_readers(cycle_us, changed, columns, late, self._settings.cycle_rows)

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

    async def _derive(
        self, image: Image, now_us: int, *, due: bool
    ) -> tuple[Samples, Samples, Memory, EstimateProgress, MarginProgress]:
        """Return the derived samples of this moment, and those of the past that were changed."""
        memory = await self._remembered(now_us) if due else self._state.memory
        derived, memory = derive(self.network, image, memory, now_us)
        estimates, hourly, again = await self._estimates.run(
            self._state.estimates, image, int(self._read_us.min()), now_us
        )
        added, corrected = await self._store.merge_samples(again)
        image.apply_corrections(corrected, self._traits)
        margins, present = await self._margins.run(self._state.margins, image, now_us)
        derived = concatenate(derived, hourly, present)
        if due:
            late = self._state.lateness.late
            health = self._health.samples(image, late, self._gauges(now_us), now_us)
            derived = concatenate(derived, health)
        return derived, concatenate(added, corrected), memory, estimates, margins

    async def _remembered(self, now_us: int) -> Memory:
        """Return the memory; after a start, what stored minutes of tanks and incomers tell."""
        memory = self._state.memory
        if memory.span_us >= SLOPE_MIN_US:
            return memory
        tanks = self.network.tanks
        of_tanks = tags_of_tanks(tanks, np.arange(len(tanks.tag)))
        tags = np.union1d(of_tanks, self.network.incomers.tag)
        tag, time_us, mean = await self._store.minute_means(tags, now_us - SLOPE_US)
        times, row = np.unique(time_us, return_inverse=True)
        value = np.full((len(times), len(self.network.tags)), np.nan)
        value[row, tag] = mean
        stored = restore(self.network, times + MINUTE_US // 2, value)
        return stored if stored.span_us > memory.span_us else memory

    def _gauges(self, now_us: int) -> dict[str, float]:
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
            "suspects": float(self._monitor.suspects(self._state.monitor, now_us)),
        }

    async def _write_minutes(
        self, image: Image, open_minutes: OpenMinutes, added: Samples, late: Samples, now_us: int
    ) -> tuple[int, Samples, list[tuple[I64, I64]]]:
        """Aggregate what is new, and again what late samples touch.

        Returns the number of minutes restated, the samples that wait for the next cycles, and what
        was written as `Aggregation.apply` does.
        """
        added, waiting = self._aggregation.ready(open_minutes, self._state.waiting, added)
        plan = await self._aggregation.plan(open_minutes, added, late)
        # Before the plan is applied: only minutes that were written already are restated.
        restated = await self._aggregation.record(plan.intervals, open_minutes.open_us, now_us)
        close_us = self._close_us(image, open_minutes, self._read_us)
        written = await self._aggregation.apply(open_minutes, plan, close_us)
        return restated, waiting, written

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
        now_us: int,
        counted: Counters,
    ) -> None:
        """Store what was refused, quarantined or superseded."""
        settings = self._settings
        for reject in intake.rejects:
            counted[f"rejected.{reject.reason}"] += 1
        for item in intake.quarantined:
            counted[f"quarantined.{item.reason}"] += 1
        if intake.rejects:
            bounds = settings.reject_bytes, settings.reject_rows, settings.reject_rows_at_once
            await self._store.rejects.keep(intake.rejects, *bounds)
        if intake.quarantined:
            limits = settings.quarantine_rows, settings.quarantine_samples
            await self._store.quarantine.keep(intake.quarantined, now_us, *limits)
        for part in parts:
            await self._store.keep_corrections(part.superseded, part.superseded_by)


def _sessions(settings: IngestSettings, counters: Counters) -> SparkplugSessions:
    """Return the sessions of no edge nodes yet."""
    return SparkplugSessions(
        (),
        reorder_s=settings.sparkplug_reorder_s,
        rebirth_s=settings.sparkplug_rebirth_s,
        future_s=settings.future_s,
        host_id=settings.sparkplug_host_id,
        payload_bytes=settings.payload_bytes,
        counters=counters,
    )


def _released(past: Samples, now_us: int) -> Intake:
    """Return samples that no message brought as those of one, so that somebody is to blame."""
    return Intake(
        no_samples(),
        historical=past,
        messages=[Message(RELEASED, b"", now_us, 0, 0, 0)],
        senders=[""],
        newest_us=np.full(1, NEVER),
        historical_origin=np.zeros(len(past), np.int64),
    )


def _narrow(part: Intake, error: Exception) -> list[Intake]:
    """Return what to commit instead of a part that failed: its halves, or a reject."""
    count = len(part.messages)
    if count > 1:
        return [by_messages(part, 0, count // 2), by_messages(part, count // 2, count)]
    message, sender = part.messages[0], part.senders[0]
    LOG.error("a message of %s is refused: %r", message.topic, error, exc_info=error)
    if isinstance(error, StoreError):
        return [Intake(no_samples(), [Reject("refused_by_store", str(error), message, sender)])]
    return [Intake(no_samples(), [crashed(error, message, sender)])]
