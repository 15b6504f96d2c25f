"""Gateways: what each has sent, how its clock runs, when it was last heard; the health of data.

They come and go, so they are rows of a table and no tags. Their number is bounded: the one that has
been silent for longest makes room. What a gateway has sent is known after the commit, and written
with the next health of ingest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ingest.counters import DATA_HEALTH, HEALTH
from ingest.store.gateways import COUNTS, GatewayRecord
from twin import quality as q
from twin.arrays import BOOL, DAY_US, F64, FOREVER, I64, MINUTE_US, NEVER
from twin.series.samples import Samples
from twin.validation.gateway_health import clock_skew, data_health
from twin.validation.lateness import ENOUGH, late, learn, no_intervals

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ingest.counters import Counters
    from ingest.routing.decode import Intake
    from ingest.settings import IngestSettings
    from ingest.store import Store
    from twin.model.park import Tag
    from twin.series.image import Image

MESSAGES, SAMPLES, REJECTED, DUPLICATES, LATE, DROPPED = range(len(COUNTS))
# A clock is measured by the quickest message of a minute; a quarter of an hour of them counts.
WINDOW_US = MINUTE_US
WINDOWS = 16
# Shares of what came late, twice or in vain are those of about the last ten minutes.
RECENT_US = 600_000_000
# What a gateway's usual pause is multiplied by before another may take its row.
PAUSES = 2.0


class Tally:
    """Repeated and late samples of each of T tags, (T,)."""

    def __init__(self, tags: int) -> None:
        self.repeated, self.late = np.zeros((2, tags), np.int64)

    def repeat(self, came: Samples, *stayed: Samples) -> None:
        """Count samples that were stored already, by tag."""
        self.repeated[:] += np.bincount(came.tag, minlength=len(self.repeated))
        for samples in stayed:
            self.repeated[:] -= np.bincount(samples.tag, minlength=len(self.repeated))

    def add(self, other: Tally) -> None:
        """Add what another tally has counted."""
        self.repeated += other.repeated
        self.late += other.late


@dataclass(slots=True)
class _Table:
    """Gateways as columns, (G,); a free row has no gateway."""

    heard_us: I64
    first_us: I64
    owner: I64  # place of the enterprise; -1 = none with tags
    count: I64  # (G, 6)
    recent: F64  # (G, 6)
    room: F64  # samples it may still send
    begin_us: I64  # of the window in which a clock is measured
    lowest_s: F64  # in it: smallest time from newest sample to arrival
    longest_s: F64  # longest pause
    latest_us: I64  # time of the newest sample
    step_s: F64  # and its longest step from the newest before
    newest_us: I64  # time of the newest sample of all windows
    minima_s: F64  # (G, 16) of the windows before
    pauses_s: F64  # (G, 16)
    steps_s: F64  # (G, 16)
    delay_s: F64
    skew_s: F64
    pause_s: F64
    marks: BOOL  # (G, 3) silent, skewed, runaway, as they were written
    stale: BOOL  # what was written is no longer true

    def clear(self, at: int, burst: float) -> None:
        """Make a row free."""
        for name, value in zip(self.__slots__, _free_row(burst), strict=True):
            getattr(self, name)[at] = value


def _free_row(burst: float) -> tuple[Any, ...]:
    """Return a free row of `_Table`."""
    none, ring = np.nan, np.full(WINDOWS, np.nan)
    return (
        NEVER, NEVER, -1, np.zeros(len(COUNTS), np.int64), np.zeros(len(COUNTS)), burst, NEVER,
        np.inf, none, NEVER, none, NEVER, ring, ring, ring, none, none, none, np.zeros(3, bool),
        False,
    )  # fmt: skip


class Gateways:
    """All known gateways; `skewed` ones have wrong clocks, `spent` ones exceed their rate."""

    def __init__(
        self, owners: Sequence[str], tags: Sequence[Tag], settings: IngestSettings
    ) -> None:
        self.skewed: frozenset[str] = frozenset()
        self.spent: frozenset[str] = frozenset()
        self._owners = {owner: at for at, owner in enumerate(owners)}
        measured = [self._owners.get(t.owner, -1) if t.source == "measured" else -1 for t in tags]
        self._owner_of_tag = np.array(measured, dtype=np.int64)
        self._settings = settings
        row = map(np.asarray, _free_row(settings.gateway_burst))
        self._table = _Table(*(np.tile(v, (settings.gateways_max, *[1] * v.ndim)) for v in row))
        self._index = {"": -1}
        self._names = [""] * settings.gateways_max
        self._topics = [""] * settings.gateways_max
        self._free = list(range(settings.gateways_max))[::-1]
        self._sender = np.full(len(tags), -1)
        self._pauses = no_intervals(settings.gateways_max)
        self._gone: set[str] = set()
        self._written: tuple[BOOL, BOOL, set[str]] | None = None  # until the commit
        self._started_us = self._now_us = NEVER

    async def start(self, store: Store, now_us: int) -> None:
        """Read the gateways that were heard before; raises StoreError."""
        self._started_us = self._now_us = now_us
        table = self._table
        for row in await store.gateways.newest(self._settings.gateways_max):
            at = self._enter(row.name, row.topic)
            table.first_us[at], table.heard_us[at] = row.first_us, min(row.last_us, now_us)
            table.count[at] = row.counts
            table.pause_s[at] = self._pauses.usual_s[at] = row.pause_s
            self._pauses.seen[at] = 0 if np.isnan(row.pause_s) else ENOUGH
            table.marks[at] = row.silent, row.skewed, row.runaway

    def take_over(self, former: Gateways) -> None:
        """Go on with the gateways known over other tags, and with the measures of their clocks."""
        self.skewed, self.spent = former.skewed, former.spent
        self._table, self._index = former._table, former._index
        self._names, self._topics, self._free = former._names, former._topics, former._free
        self._gone, self._pauses = former._gone, former._pauses
        self._started_us, self._now_us = former._started_us, former._now_us
        owners = [self._owners.get(name.partition("/")[0], -1) for name in self._names]
        self._table.owner[:] = owners

    def take(self, intake: Intake, tally: Tally, cycle_us: int) -> None:
        """Count the messages and samples of a committed cycle."""
        table, settings = self._table, self._settings
        passed_us = max(cycle_us - self._now_us, 0)
        self._now_us = cycle_us
        index, full = self._index, False
        sent = zip(intake.senders, intake.messages, strict=True)
        topics = {name: message.topic for name, message in sent}
        for name, topic in topics.items():
            if name in index and name:
                self._topics[index[name]] = topic
            elif name and not full:
                full = self._enter(name, topic) < 0
        at = np.array([index.get(name, -1) for name in intake.senders], dtype=np.int64)
        added = self._added(at, intake, tally)
        self._hear(at, intake)
        table.stale |= added.any(axis=1)
        table.count += added
        table.recent *= np.exp(-passed_us / RECENT_US)
        table.recent += added
        if settings.gateway_rate:
            room = table.room + settings.gateway_rate * passed_us * 1e-6
            room = np.minimum(room, settings.gateway_burst) - added[:, SAMPLES]
            table.room[:] = np.maximum(room, -settings.gateway_burst)
            self.spent = self._named(table.room < 0)
        if settings.skew_limit_s:
            self.skewed = self._named(np.abs(table.skew_s) > settings.skew_limit_s)

    def is_heard_besides(self, names: Collection[str]) -> bool:
        """Return whether a gateway that is none of some is heard, as of the last cycle."""
        heard = (self._table.heard_us != NEVER) & ~self._is_gone(self._now_us)
        return any(self._names[at] not in names for at in np.flatnonzero(heard).tolist())

    def silent_tags(self, silent: BOOL) -> BOOL:
        """Return which tags nobody sends now, (T,): their gateway is silent, or all that may be."""
        owners = np.flatnonzero(np.bincount(self._table.owner[~silent & self._known] + 1) > 0) - 1
        nobody = (self._owner_of_tag >= 0) & ~np.isin(self._owner_of_tag, owners)
        nobody &= np.isin(self._owner_of_tag, self._table.owner[silent])
        return np.where(self._sender >= 0, silent[self._sender], nobody)

    def tags_of(self, name: str) -> BOOL:
        """Return which tags may be those of a gateway, (T,): it sent them last, or nobody yet."""
        unknown = (self._sender < 0) & (self._owner_of_tag >= 0)
        at = self._index.get(name, -1)
        return unknown | (self._sender == at) if at >= 0 else unknown

    def begin(self) -> None:
        """Drop the marks of a cycle whose commit failed."""
        self._written = None

    def settle(self) -> None:
        """Keep the marks of a cycle: it is committed."""
        if self._written is not None:
            rows, marks, gone = self._written
            self._table.stale &= ~rows
            self._table.marks[:] = marks
            self._gone -= gone
            self._written = None

    def _named(self, wanted: BOOL) -> frozenset[str]:
        return frozenset(self._names[at] for at in np.flatnonzero(wanted).tolist())

    def _enter(self, name: str, topic: str) -> int:
        """Return the row of a new gateway; -1 when all rows are taken by gateways still heard."""
        if not self._free:
            oldest = int(np.argmin(self._table.heard_us))
            if not self._is_gone(self._now_us)[oldest]:
                return -1
            self._forget(oldest)
        at = self._free.pop()
        self._index[name] = at
        self._names[at], self._topics[at] = name, topic
        self._table.owner[at] = self._owners.get(name.partition("/")[0], -1)
        self._gone.discard(name)
        return at

    def _forget(self, at: int) -> None:
        """Free the row of a gateway."""
        del self._index[self._names[at]]
        self._gone.add(self._names[at])
        self._names[at] = self._topics[at] = ""
        self._table.clear(at, self._settings.gateway_burst)
        self._sender[self._sender == at] = -1
        self._pauses.usual_s[at], self._pauses.seen[at] = np.nan, 0
        self._free.append(at)

    def _added(self, at: I64, intake: Intake, tally: Tally) -> I64:
        """Return the counts of each gateway, (G, 6), in the order of COUNTS."""
        size = len(self._names)
        added = np.zeros((size, len(COUNTS)), np.int64)

        def add(what: int, rows: I64, weights: I64 | None = None) -> None:
            known = rows >= 0
            weights = None if weights is None else weights[known]
            added[:, what] = np.bincount(rows[known], weights, size).astype(np.int64)

        source = at[intake.origin]
        self._sender[intake.samples.tag] = source
        add(MESSAGES, at)
        add(SAMPLES, source)
        refused = [reject.gateway for reject in intake.rejects]
        for what, names in ((REJECTED, refused), (DROPPED, intake.dropped)):
            if names:
                add(what, np.array([self._index.get(name, -1) for name in names], dtype=np.int64))
        # A tag is sent by one gateway as a rule: what was late or twice was its.
        for what, by_tag in ((DUPLICATES, tally.repeated), (LATE, tally.late)):
            tags = np.flatnonzero(by_tag)
            if len(tags):
                add(what, self._sender[tags], by_tag[tags])
        return added

    def _hear(self, at: I64, intake: Intake) -> None:
        """Note the arrival of messages, and measure the clocks of their gateways."""
        table, size = self._table, len(self._names)
        known = at >= 0
        at = at[known]
        if not len(at):
            return
        received_us = np.array([message.received_us for message in intake.messages])[known]
        newest_us = intake.newest_us[known]
        first_us, last_us = np.full(size, FOREVER), np.full(size, NEVER)
        np.minimum.at(first_us, at, received_us)
        np.maximum.at(last_us, at, received_us)
        timed = newest_us != NEVER
        np.minimum.at(table.lowest_s, at[timed], (received_us - newest_us)[timed] * 1e-6)
        self._follow_newest(at[timed], newest_us[timed])
        heard = np.flatnonzero(last_us != NEVER)
        new = heard[table.heard_us[heard] == NEVER]
        table.first_us[new] = first_us[new]
        old = heard[table.heard_us[heard] != NEVER]
        pause_s = (first_us[old] - table.heard_us[old]) * 1e-6
        # A message that is brought back was heard before: that is no pause.
        pause_s = np.where(pause_s >= 0, pause_s, np.nan)
        paused = pause_s > 0
        self._pauses = learn(self._pauses, old[paused], pause_s[paused])
        table.longest_s[old] = np.fmax(table.longest_s[old], pause_s)
        table.heard_us[heard] = np.maximum(table.heard_us[heard], last_us[heard])
        fresh = heard[table.begin_us[heard] == NEVER]
        table.begin_us[fresh] = first_us[fresh]
        full = table.heard_us[heard] - table.begin_us[heard] >= WINDOW_US
        self._close_window(heard[full & np.isfinite(table.lowest_s[heard])])

    def _follow_newest(self, at: I64, newest_us: I64) -> None:
        """Note the steps of the newest times of gateways; `at` are those of some messages."""
        table = self._table
        came_us = np.full(len(self._names), NEVER)
        np.maximum.at(came_us, at, newest_us)
        np.maximum(table.latest_us, came_us, out=table.latest_us)
        on = came_us > table.newest_us
        steps = on & (table.newest_us != NEVER)
        step_s = (came_us[steps] - table.newest_us[steps]) * 1e-6
        table.step_s[steps] = np.fmax(table.step_s[steps], step_s)
        table.newest_us[on] = came_us[on]

    def _close_window(self, at: I64) -> None:
        """Close the window of some gateways: its quickest message measures the clock."""
        table = self._table
        for ring, value in (
            (table.minima_s, table.lowest_s),
            (table.pauses_s, table.longest_s),
            (table.steps_s, table.step_s),
        ):
            ring[at, 1:] = ring[at, :-1]
            ring[at, 0] = value[at]
        # A time that does not go on may be one of a clock that was ahead.
        still = at[np.isnan(table.step_s[at])]
        table.newest_us[still] = table.latest_us[still]
        table.begin_us[at], table.lowest_s[at], table.longest_s[at] = (
            table.heard_us[at], np.inf, np.nan,
        )  # fmt: skip
        table.latest_us[at], table.step_s[at] = NEVER, np.nan
        table.delay_s[at], table.skew_s[at] = clock_skew(table.minima_s[at], table.steps_s[at])
        known = at[~np.isnan(table.pauses_s[at]).all(axis=1)]
        table.pause_s[known] = np.nanmedian(table.pauses_s[known], axis=1)

    @property
    def _known(self) -> BOOL:
        """Which rows have a gateway that was heard, (G,)."""
        return np.asarray(self._table.heard_us != NEVER)

    def silent(self, now_us: int) -> BOOL:
        """Return the gateways that are silent, as a mask (G,): who sent once or twice never is."""
        return np.asarray(self._known & late(self._pauses, self._silence_s(now_us)))

    def _is_gone(self, now_us: int) -> BOOL:
        """Return the gateways that are silent for so long that others may take their rows, (G,)."""
        patience_s = np.fmax(self._settings.gateway_silent_s, PAUSES * self._table.pause_s)
        return np.asarray(self._known & (self._silence_s(now_us) > patience_s))

    def _silence_s(self, now_us: int) -> F64:
        # What the broker kept for us comes now: none is silent before it had its chance.
        since_us = np.maximum(self._table.heard_us, self._started_us)
        return np.asarray((now_us - since_us) * 1e-6)

    def health(self, image: Image, tags_late: BOOL, gap_us: I64, now_us: int) -> F64:
        """Return the values of the health tags of the enterprises, in their order."""
        table, count = self._table, len(self._owners)
        known = table.owner >= 0
        owner = table.owner[known]

        def total(values: Any) -> F64:
            return np.bincount(owner, values[known], count).astype(np.float64)

        there, silent = total(self._known), total(self.silent(now_us))
        recent = {name: total(table.recent[:, at]) for at, name in enumerate(COUNTS)}
        samples = np.maximum(recent["samples"], np.finfo(float).tiny)
        late = np.minimum(recent["late"] / samples, 1.0)
        timeliness = (there - silent) / np.maximum(there, 1.0) * (1.0 - late)
        duplicates = np.minimum(recent["duplicates"] / samples, 1.0)
        rejects = recent["rejected"] / np.maximum(recent["rejected"] + samples, samples)
        worst = np.zeros(count)
        order = np.argsort(np.abs(np.nan_to_num(table.skew_s[known])))
        worst[owner[order]] = np.nan_to_num(table.skew_s[known])[order]
        holds = q.usable(image.quality) & (now_us - image.time_us <= gap_us)
        holds &= image.time_us != NEVER
        measured = self._owner_of_tag >= 0
        tags = np.bincount(self._owner_of_tag[measured], minlength=count)
        fresh = np.bincount(self._owner_of_tag[measured & holds], minlength=count)
        completeness = fresh / np.maximum(tags, 1)
        behind = np.bincount(self._owner_of_tag[measured & tags_late], minlength=count)
        late_share = behind / np.maximum(tags, 1)
        score = data_health(
            timeliness, completeness, duplicates, rejects, worst, self._settings.skew_limit_s
        )
        columns = {
            "timeliness": timeliness, "completeness": completeness, "duplicate_share": duplicates,
            "skew": worst, "reject_share": rejects, "health": score, "silent_gateways": silent,
            "late_share": late_share,
        }  # fmt: skip
        return np.stack([columns[name] for name in DATA_HEALTH], axis=1).ravel()

    async def write(self, store: Store, now_us: int) -> None:
        """Write the gateways that have changed; raises StoreError."""
        table = self._table
        forget_us = now_us - round(self._settings.gateway_forget_days * DAY_US)
        for at in np.flatnonzero((table.heard_us != NEVER) & (table.heard_us < forget_us)).tolist():
            self._forget(at)
        marks = np.stack([self.silent(now_us), *map(self._marked, (self.skewed, self.spent))], 1)
        wanted = (table.stale | (marks != table.marks).any(axis=1)) & self._known
        rows = np.flatnonzero(wanted)
        if self._gone:
            await store.gateways.forget(self._gone)
        if len(rows):
            await store.gateways.write([self._row(at, marks[at]) for at in rows.tolist()])
        self._written = wanted, marks, set(self._gone)

    def _row(self, at: int, marks: BOOL) -> GatewayRecord:
        """Return one gateway as it is stored."""
        table = self._table
        silent, skewed, runaway = marks.tolist()
        return GatewayRecord(
            self._names[at], self._topics[at],
            int(table.first_us[at]), int(table.heard_us[at]), tuple(table.count[at].tolist()),
            float(table.pause_s[at]), float(table.delay_s[at]), float(table.skew_s[at]),
            silent, skewed, runaway,
        )  # fmt: skip

    def _marked(self, names: frozenset[str]) -> BOOL:
        return np.array([name in names for name in self._names])


class Health:
    """Samples of the tags from `first` on, which ingest adds to those of the network."""

    def __init__(
        self,
        counters: Counters,
        gateways: Gateways,
        tags: Sequence[Tag],
        first: int,
        settings: IngestSettings,
    ) -> None:
        self._counters = counters
        self.gateways = gateways
        self._tag = np.arange(first, len(tags))
        self._gap_us = np.array([round(tag.gap_s * 1e6) for tag in tags], dtype=np.int64)
        self._every_us = round(settings.health_s * 1e6)

    def next_due_us(self, cycle_us: int) -> int:
        """Return when health is due after a cycle that has stored it [µs]."""
        return cycle_us + self._every_us

    def samples(
        self, image: Image, late: BOOL, gauges: Mapping[str, float], cycle_us: int
    ) -> Samples:
        """Return one sample of each own tag at `cycle_us` [µs]; `gauges` have the names of GAUGES.

        A tag has none while its value is unknown, and when the clock was set back behind its newest
        sample in the image.
        """
        own = [gauges.get(name, float(self._counters[name])) for name in HEALTH]
        value = np.append(own, self.gateways.health(image, late, self._gap_us, cycle_us))
        times = np.full(len(self._tag), cycle_us)
        samples = Samples(self._tag, times, value, np.zeros(len(times), np.uint8), times)
        return samples.take((times > image.time_us[self._tag]) & ~np.isnan(value))
