"""A store in memory that a cycle can be driven against, and the ways to drive it.

`test_same_numbers` holds it to the real one: the same messages leave the same rows in both.
PYTEST_DONT_REWRITE: tests import it by name.
"""

from collections import defaultdict
from contextlib import asynccontextmanager
from functools import cache, reduce
from math import isnan, nan
from operator import add, or_

import numpy as np

from deploy.database.times import TIME_MAX_US
from ingest.cycle.cycle import Cycle
from ingest.settings import IngestSettings
from ingest.store import Store
from ingest.store.alarms import AlarmTable, StoredAlarm
from ingest.store.commands import CommandTable
from ingest.store.contacts import ContactTable
from ingest.store.detections import DetectionTable
from ingest.store.gateways import GatewayTable
from ingest.store.model_problems import ModelProblemTable
from ingest.store.quarantine import QuarantineTable, RejectTable
from ingest.store.register_falls import RegisterFallTable
from ingest.store.spool import SpoolRow, SpoolTable
from ingest.store.sums import SumTable
from ingest.store.unit_errors import UnitErrorTable
from ingest.store.writers import Writers
from twin.alarms.engine import STATES
from twin.arrays import MINUTE_US, NEVER
from twin.series.minutes import Minutes
from twin.series.samples import Samples
from twin.series.windows import edges

SUMS = ("hour", "day")


@cache
def start_of(table, minute_us, zone):
    """Return the local hour or day a minute belongs to, and its end."""
    return tuple(edges(table, minute_us, minute_us + 1, zone).tolist())


class MemoryAlarms(AlarmTable):
    """Alarms that nobody looks at: they begin normal."""

    async def bring(self, names, tags, priorities, limits, now_us):
        return [StoredAlarm(STATES[0], NEVER, NEVER, NEVER, 0) for _ in names]

    async def annunciations(self, after_us):
        return np.zeros(0, np.int64)

    async def update(self, names, alarms): ...
    async def record(self, entries, cycle_us): ...
    async def show(self, names, cycle_us): ...


class NoCommands(CommandTable):
    """A table in which nobody writes a command."""

    async def about_alarms(self, limit):
        return []

    async def about_unit_errors(self):
        return None

    async def next(self):
        return None


class MemoryUnitErrors(UnitErrorTable):
    """Suspicions that nobody answers, the newest of each tag and time."""

    def __init__(self, store):
        super().__init__(store)
        self.rows = {}

    async def latest(self, tags):
        return []

    async def end_others(self, numbers):
        pass

    async def write(self, tags, columns, rows_max):
        for tag, *row in zip(tags.tolist(), *columns, strict=True):
            self.rows[tag, row[0]] = row

    async def answered(self, cycle_us):
        return []


class MemoryDetections(DetectionTable):
    """Detections by minute and component."""

    def __init__(self, store):
        super().__init__(store)
        self.rows, self.held = {}, {}

    async def newest(self):
        return {name: (row.time_us, len(row.lines) + len(row.leaks))
                for (_, name), row in sorted(self.rows.items())}  # fmt: skip

    async def add(self, component, detection):
        self.rows.setdefault((detection.time_us, component), detection)

    async def hold(self, component, minutes):
        self.held |= {(component, each.time_us): each for each in minutes}


class MemoryGateways(GatewayTable):
    """Gateways by name."""

    def __init__(self, store):
        super().__init__(store)
        self.rows = {}

    async def newest(self, limit):
        return sorted(self.rows.values(), key=lambda row: -row.last_us)[:limit]

    async def write(self, gateways):
        self.rows |= {row.name: row for row in gateways}

    async def forget(self, names):
        for name in names:
            self.rows.pop(name, None)


class NoContacts(ContactTable):
    """A table without contacts."""

    async def all(self):
        return []

    async def ids(self):
        return set()

    async def write(self, contacts):
        assert not list(contacts)

    async def take_payloads(self, is_declared):
        return []


class NoProblems(ModelProblemTable):
    """A table for the problems of a model that has none."""

    async def keep(self, problems):
        assert not problems


class MemoryRejects(RejectTable):
    """Refused payloads, all of them."""

    def __init__(self, store):
        super().__init__(store)
        self.rows = []

    async def keep(self, rejects, payload_bytes, rows, rows_at_once):
        self.rows += rejects

    async def topics(self, reasons):
        return []


class MemoryQuarantine(QuarantineTable):
    """Quarantined samples, all of them."""

    def __init__(self, store):
        super().__init__(store)
        self.rows = []

    async def keep(self, quarantined, now_us, rows, samples):
        self.rows += quarantined

    async def keys(self, reason, enterprise=None, tag=None):
        return []

    async def newest_id(self):
        return 0


class MemoryRegisterFalls(RegisterFallTable):
    """Falls of counters by tag and time; nobody answers."""

    def __init__(self, store):
        super().__init__(store)
        self.rows = {}

    async def add(self, falls):
        self.rows |= {(fall.tag, fall.time_us): fall for fall in falls}

    async def renew(self, tag, start, stop, falls):
        for t, a, b in zip(tag.tolist(), start.tolist(), stop.tolist(), strict=True):
            self.rows = {k: v for k, v in self.rows.items() if k[0] != t or not a <= k[1] < b}
        await self.add(falls)


class MemorySpool(SpoolTable):
    """Spooled messages by row."""

    def __init__(self, store):
        super().__init__(store)
        self.kept = {}

    async def rows(self):
        return [row for row, _ in self.kept.values()]

    async def add(self, gateway, messages):
        number = max(self.kept, default=0) + 1
        size = sum(len(message.payload) for message in messages)
        row = SpoolRow(number, gateway, messages[0].received_us, len(messages), size)
        self.kept[number] = row, list(messages)
        return row

    async def messages(self, numbers):
        return [message for number in sorted(numbers) for message in self.kept[number][1]]

    async def forget(self, numbers):
        for number in numbers:
            self.kept.pop(number, None)


class MemorySums(SumTable):
    """Sums that are on the right clock."""

    async def begin_rebuild(self, zone):
        return False


class OneWriter(Writers):
    """Turns of the only writer."""

    async def acquire_turn(self, *, alone=False): ...

    async def newest_version(self):
        return 0

    async def changes_since(self, version):
        return np.zeros(0, np.int64), version


class MemoryStore(Store):
    """The store of a cycle in dictionaries; rows are keyed by tag and time."""

    def __init__(self):
        super().__init__("")
        self.alarms = MemoryAlarms(self)
        self.commands = NoCommands(self)
        self.contacts = NoContacts(self)
        self.detections = MemoryDetections(self)
        self.gateways = MemoryGateways(self)
        self.model_problems = NoProblems(self)
        self.quarantine = MemoryQuarantine(self)
        self.register_falls = MemoryRegisterFalls(self)
        self.rejects = MemoryRejects(self)
        self.spool = MemorySpool(self)
        self.sums = MemorySums(self)
        self.unit_errors = MemoryUnitErrors(self)
        self.writers = OneWriter(self)
        self.sample = defaultdict(dict)  # tag: {time: (value, quality, received)}
        self.minute = defaultdict(dict)  # tag: {time: row}
        self.hour, self.day = {}, {}
        self.correction, self.restatement = [], []
        self.cycle_us = 0

    @asynccontextmanager
    async def transaction(self):
        yield

    async def apply_model(self, park, tags):
        self.count = len(tags)
        self.tag_id = np.arange(len(tags))
        self.bounds = [(tag.low, tag.high) for tag in tags]

    async def covered_minutes(self, tags, start_us, stop_us):
        rows = [
            (t, time_us, row[1], row[2], row[5])
            for t in tags.tolist()
            for time_us, row in self.minute[t].items()
            if start_us <= time_us < stop_us and row[2] > 0
        ]
        kinds = (np.int64, np.int64, *(np.float64,) * 3)
        columns = zip(*rows, strict=True) if rows else ((),) * 5
        return tuple(np.array(c, kind) for c, kind in zip(columns, kinds, strict=True))

    async def hour_sums(self, tags, start_us, stop_us):
        columns = [], [], [], [], []
        for t in tags.tolist():
            rows = [row for time_us, row in self.minute[t].items() if start_us <= time_us < stop_us]
            if rows:
                covered = [row for row in rows if row[2] > 0]
                worst = max((row[6] & 223 for row in covered or rows), default=0)
                flag = 32 if any(row[6] & 32 for row in rows) else 0
                sums = sum(row[1] for row in rows), sum(row[2] for row in rows)
                for column, each in zip(columns, (t, start_us, *sums, worst | flag), strict=True):
                    column.append(each)
        kinds = np.int64, np.int64, np.float64, np.float64, np.uint8
        return tuple(np.array(c, kind) for c, kind in zip(columns, kinds, strict=True))

    async def day_totals(self, tags, start_us):
        amount, covered_s = np.zeros((2, len(tags)))
        for (tag, time_us), row in self.day.items():
            at = np.flatnonzero(tags == tag)
            if time_us >= start_us and len(at):
                amount[at] += row[1]
                covered_s[at] += row[2]
        return amount, covered_s

    async def minute_levels(self, tags, minutes):
        return []  # As for tags without covered minutes: levels are learnt anew.

    async def last_cycle(self):
        return self.cycle_us

    async def newest(self, tags=None):
        rows = []
        for tag in range(self.count):
            if self.sample[tag]:
                time_us = max(self.sample[tag])
                rows.append((tag, time_us, *self.sample[tag][time_us]))
        ends = [max(self.minute[tag], default=NEVER) for tag in range(self.count)]
        return samples_of(rows), np.array([e if e == NEVER else e + MINUTE_US for e in ends])

    async def take_back(self, derived, after_us, zone):
        minute_us = after_us // MINUTE_US * MINUTE_US
        for tag in range(self.count):
            self.minute[tag] = {t: row for t, row in self.minute[tag].items() if t < minute_us}
        for tag in derived.tolist():
            self.sample[tag] = {t: row for t, row in self.sample[tag].items() if t <= after_us}
        return True

    async def copy_samples(self, samples, table="sample"):
        assert table == "sample", "what is staged in the database is merged at once here"
        for tag, time_us, *row in rows_of(samples):
            assert time_us not in self.sample[tag], "a sample is there already"
            self.sample[tag][time_us] = tuple(row)

    async def merge_samples(self, samples):
        added, corrected = [], []
        for tag, time_us, value, quality, received_us in rows_of(samples):
            old = self.sample[tag].get(time_us)
            if old is None:
                added.append((tag, time_us, value, quality, received_us))
            elif not same((old[0], said(old[1])), (value, said(quality))):
                corrected.append((tag, time_us, value, quality, received_us))
                self.correction.append((tag, time_us, *old, received_us))
            else:
                continue
            self.sample[tag][time_us] = (value, quality, received_us)
        return samples_of(added), samples_of(corrected)

    async def keep_corrections(self, old, corrected_us):
        rows = zip(rows_of(old), corrected_us.tolist(), strict=True)
        self.correction.extend((*row, at) for row, at in rows)

    def _nearest(self, tag, since, until, latest, usable):
        """Return the latest or earliest sample in [since, until)."""
        low, high = self.bounds[tag]
        result = [
            t for t, (value, quality, _) in self.sample[tag].items()
            if since <= t < until
            and (not usable or (quality < 128 and quality & 223 != 75
                                and not value < low and not value > high))
        ]  # fmt: skip
        return (max if latest else min)(result, default=None)

    async def neighbours(self, tag, start, stop, reach_us):
        before, after = [], []
        for t, a, b in zip(tag.tolist(), start.tolist(), stop.tolist(), strict=True):
            earlier = self._nearest(t, a - reach_us, a, latest=True, usable=True)
            later = self._nearest(t, b, b + reach_us, latest=False, usable=True)
            before.append(a if earlier is None else earlier)
            after.append(b if later is None else later)
        return np.array(before, np.int64), np.array(after, np.int64)

    async def read_intervals(self, tag, counter, hair, start, stop, reach_us):
        rows = []
        columns = (column.tolist() for column in (tag, counter, hair, start, stop))
        for number, (t, counts, noise, a, b) in enumerate(zip(*columns, strict=True)):
            before = self._nearest(t, a - reach_us, a, latest=True, usable=counts)
            after = None
            if b < TIME_MAX_US:
                after = self._nearest(t, b, b + reach_us, latest=False, usable=counts)
            low = before if counts and before is not None else a
            high = (b + reach_us if after is None else after) if counts else b
            inside = {time for time in self.sample[t] if low <= time < high}
            wanted = inside | {before, after} - {None}
            for time in sorted(wanted):
                value, *remaining = self.sample[t][time]
                stood = self.minute[t].get(time // MINUTE_US * MINUTE_US)
                if counts and time == before and stood:
                    above = stood[5] - value
                    value = stood[5] if 0 < above <= max(noise, 1e-4 * abs(value)) else value
                rows.append((number, time, value, *remaining))
        result = samples_of(rows)
        return result.tag, result.time_us, result.value, result.quality

    async def mark_doubted(self, doubted):
        for tag, time_us in doubted:
            value, quality, received = self.sample[tag][time_us]
            if quality < 128:
                self.sample[tag][time_us] = value, quality & 32 | 75, received

    async def drop_minutes(self, tag, start, stop):
        for t, a, b in zip(tag.tolist(), start.tolist(), stop.tolist(), strict=True):
            for time_us in [time for time in self.minute[t] if a <= time < b]:
                del self.minute[t][time_us]

    async def write_minutes(self, minutes, zone, hours=None, *, new=False):
        touched = [*zip(*(column.tolist() for column in hours), strict=True)] if hours else []
        for tag, time_us, *row in zip(
            *(getattr(minutes, name).tolist() for name in Minutes.__slots__), strict=True
        ):
            row[2] *= 1e-6  # covered
            self.minute[tag][time_us] = tuple(row)
            touched.append((tag, time_us))
        for table in SUMS:
            for tag, (start, stop) in dict.fromkeys(
                (tag, start_of(table, time_us // MINUTE_US * MINUTE_US, zone))
                for tag, time_us in touched
            ):
                rows = [self.minute[tag][t] for t in sorted(self.minute[tag]) if start <= t < stop]
                if rows:
                    getattr(self, table)[tag, start] = summed(rows)
                else:
                    getattr(self, table).pop((tag, start), None)

    async def record_restatements(self, tag, start, stop, now_us):
        columns = (tag.tolist(), start.tolist(), stop.tolist())
        self.restatement.extend((now_us, *row) for row in zip(*columns, strict=True))

    async def wake_readers(self, cycle_us, tag, image, late, rows):
        self.cycle_us = cycle_us

    def samples(self, tags):
        """Return all samples of the first `tags` tags."""
        return samples_of(
            [(t, at, *self.sample[t][at]) for t in range(tags) for at in sorted(self.sample[t])]
        )

    def table(self, name, tags):
        """Return the rows of minute, hour or day of the first `tags` tags, in order, as text."""
        rows = getattr(self, name)
        if name == "minute":
            rows = {(t, time_us): row for t in rows for time_us, row in rows[t].items()}
        return [(*key, repr(rows[key])) for key in sorted(rows) if key[0] < tags]


def samples_of(rows):
    """Return columns of (tag, time, value, quality, received) rows."""
    columns = zip(*rows, strict=True) if rows else ((),) * 5
    kinds = (np.int64, np.int64, np.float64, np.uint8, np.int64)
    return Samples(*(np.array(c, kind) for c, kind in zip(columns, kinds, strict=True)))


def rows_of(samples):
    """Return (tag, time, value, quality, received) rows of columns."""
    return zip(*(getattr(samples, name).tolist() for name in Samples.__slots__), strict=True)


def said(quality):
    """Return the quality a value came with: what we doubted ourselves was good."""
    return quality & 32 if quality & 223 in (75, 77, 78, 79, 80) else quality


def same(first, second):
    """Return whether value and quality are the same; NaN is."""
    return repr(first) == repr(second)


def summed(rows):
    """Return the sum of some minutes in order, as the database makes it."""
    n, amount, covered, low, high, last, quality = zip(*rows, strict=True)
    low, high, last = ([x for x in column if not isnan(x)] for column in (low, high, last))
    used = [code & 223 for code, c in zip(quality, covered, strict=True) if c > 0]
    flag = reduce(or_, quality) & 32
    return (
        sum(n), reduce(add, amount), reduce(add, covered), min(low, default=nan),
        max(high, default=nan), last[-1] if last else nan,
        max(used or [code & 223 for code in quality]) | flag,
    )  # fmt: skip


async def started(park, store, now_us, *, watched=True, **settings):
    """Return a cycle over a store, as after a start of the program.

    The watch over balances writes no sample and no minute, and takes most of the time of a cycle
    here: where a test tells nothing of it, nobody is watched.
    """
    cycle = Cycle(park, store, IngestSettings(**settings))
    if not watched:
        cycle._monitor._models = []
    await cycle.start(now_us)
    return cycle
