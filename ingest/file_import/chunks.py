"""Rows of a file as samples, by the rules of the wire, in chunks of one transaction each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest.file_import.cells import cast_or_null, flat, is_text, numbers, read_cells, valid
from ingest.file_import.clocks import offsets_of, times
from ingest.file_import.files import RECORDS, SHEET, batches
from ingest.file_import.form_guesses import guess_forms
from ingest.file_import.layout import layout_of
from ingest.file_import.loader import Chunk
from ingest.file_import.mapping import Form
from ingest.file_import.time_forms import NO_TIME, read_times
from ingest.routing.decode import Quarantined
from ingest.wire import VALUE_MAX
from twin import quality as q
from twin.arrays import BOOL, F64, I64, U8
from twin.errors import UomError
from twin.quality_vocabularies import explain, in_words, quality_of
from twin.series.samples import Samples, concatenate, no_samples, sort
from twin.series.sentinels import without_far, without_sentinels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ingest.file_import.cells import Measures
    from ingest.file_import.clocks import Clock
    from ingest.file_import.files import Source
    from ingest.file_import.layout import Positions, ValueColumn
    from ingest.file_import.mapping import Entry, FileMap
    from twin.model.park import Park, Tag

# Reasons and columns that a report lists.
REASONS = 40


@dataclass(slots=True)
class Refusals:
    """What was skipped: how many cells or rows for each reason, and the first of each."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)  # by reason and column
    first: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, reason: str, column: str, count: int, example: str) -> None:
        """Count some of a reason; those of many columns more are counted together."""
        if (reason, column) not in self.first and len(self.first) >= REASONS:
            column = "other columns"
        self.counts[reason, column] += count
        self.first.setdefault((reason, column), example)

    def merge(self, other: Refusals) -> None:
        """Add later ones."""
        for key, count in other.counts.items():
            self.add(*key, count, other.first[key])

    def lines(self) -> list[str]:
        """Return a line for each reason and column, with the first row."""
        return [
            f"skipped, {reason}{f' in {column!r}' if column else ''}: {count:,}, first"
            f" {self.first[reason, column]}"
            for (reason, column), count in self.counts.items()
        ]


@dataclass(slots=True)
class RowIntake:
    """Samples of some rows, and their rejected and quarantined cells."""

    samples: Samples = field(default_factory=no_samples)
    rows: int = 0
    refusals: Refusals = field(default_factory=Refusals)
    held: list[Quarantined] = field(default_factory=list)


# The times of the rows of a batch, by the columns they stand in and the time after them.
Times = dict[tuple[tuple[int, ...], int], I64]


@dataclass(frozen=True, slots=True)
class Reader:
    """Reader of the rows of one file, by its map."""

    topic: str  # what quarantine says they came by
    mapped: FileMap
    layout: Positions
    names: Sequence[str]  # of the columns
    tags: Sequence[Tag]
    low: F64
    high: F64
    received_us: int
    future_us: int

    def times(self, batch: Any) -> Times:
        """Return the times of the rows of a batch, whose order tells repeated hours apart."""

        def series() -> I64:
            names = _texts(batch.column(str(self.layout.tag))).dictionary_encode().indices
            return np.asarray(names.fill_null(-1).to_numpy().astype(np.int64))

        long = self.layout.tag is not None and not self.mapped.day
        clock, of = self.mapped.clock, series if long else None
        return {
            (time, after_us): times(_columns(batch, time), clock, of, after_us)
            for time, after_us in self.layout.times
        }

    def ends_in_repeated_hour(self, batch: Any) -> bool:
        """Return whether the clocks show the time of the last row twice."""
        last = batch.slice(batch.num_rows - 1)
        clock = self.mapped.clock
        for time in {time for time, _ in self.layout.times}:
            written_us, absolute = read_times(
                _columns(last, time), clock.form, end=clock.range_end, serial=clock.serial
            )
            both_us = np.append(written_us, written_us - clock.back_us)
            if not absolute[0] and offsets_of(both_us, clock.zone).repeated.any():
                return True
        return False

    def read(self, batch: Any, timed: Times, first_row: int) -> RowIntake:
        """Return the samples of a batch of rows; `first_row` counts from 1."""
        intake = RowIntake(rows=batch.num_rows)
        untimed: set[tuple[int, ...]] = set()
        parts = []
        named = self._named(batch) if self.layout.tag is not None else None
        for series in self.layout.series:
            time_us = timed[series.time, series.after_us]
            column = batch.column(str(series.column))
            if not (time_us != NO_TIME).all():
                row_us = timed.get((series.time, 0), time_us)
                if series.time not in untimed:
                    untimed.add(series.time)
                    self._refuse_untimed(intake, batch, series, row_us, first_row)
                # Of a day in a row, the clock may not show some times.
                rows = (time_us == NO_TIME) & (row_us != NO_TIME) & valid(column)
                if rows.any():
                    columns, name = [*_columns(batch, series.time), column], series.column
                    _refuse(intake, "bad_time", rows, columns, first_row, self.names[name])
            parts.append(self._column(intake, series, column, batch, named, time_us, first_row))
        intake.samples = concatenate(*parts) if parts else no_samples()
        return intake

    def _refuse_untimed(
        self, intake: RowIntake, batch: Any, series: ValueColumn, time_us: I64, first_row: int
    ) -> None:
        """Count the rows without a time, but for those with neither a time nor a value."""
        columns = _columns(batch, series.time)
        given = [valid(column) for column in columns]
        own = [s.column for s in self.layout.series if s.time == series.time]
        given += [valid(batch.column(str(at))) for at in own]
        rows = (time_us == NO_TIME) & np.logical_or.reduce(given)
        if not rows.any():
            return
        clock, row = self.mapped.clock, int(rows.argmax())
        written = read_times([c.slice(row, 1) for c in columns], clock.form, serial=clock.serial)
        twice = f"the clocks of {clock.zone} never show it, or twice"
        why = twice if written.time_us[0] != NO_TIME else ""
        _refuse(intake, "bad_time", rows, columns, first_row, why=why)

    def _named(self, batch: Any) -> Named:
        """Return the tags that rows name."""
        mapped = self.mapped
        names = _texts(batch.column(str(self.layout.tag))).dictionary_encode()
        words = [word.strip() for word in names.dictionary.to_pylist()]
        which = names.indices.fill_null(len(words)).to_numpy(zero_copy_only=False)
        entries = [*(mapped.entries.get(word) for word in words), None]
        split = [word.rpartition("/") for word in (*words, "")]
        keys = [(owner or mapped.enterprise, name, "unknown_tag", "") for owner, _, name in split]
        uom = None
        if self.layout.uom is not None:
            uom = pc.utf8_trim_whitespace(_texts(batch.column(str(self.layout.uom))))
        return Named(entries, which, keys, uom)

    def _column(
        self, intake: RowIntake, series: ValueColumn, column: Any, batch: Any, named: Named | None,
        time_us: I64, first_row: int,
    ) -> Samples:  # fmt: skip
        """Return the samples of one column of values."""
        cells = read_cells(column, self.mapped.form)
        value, given, wrong = cells.numbers
        name = "" if named and not self.mapped.day else self.names[series.column]
        if wrong.any():
            _refuse(intake, "wrong_type", wrong, [column], first_row, name)
        keep = given & ~wrong & (time_us != NO_TIME)
        quality = np.full(len(value), self.mapped.base, np.uint8)
        if series.quality is not None:
            words = batch.column(str(series.quality))
            code, odd = self._qualities(words)
            odd &= given & ~wrong
            if odd.any():
                why = explain(self.mapped.vocabulary, str(words[int(odd.argmax())].as_py()))
                _refuse(intake, "bad_quality", odd, [words], first_row, name, why)
            quality |= code
            keep &= ~odd
        tag: Any
        scale: Any
        shift: Any
        if series.entry is not None:
            tag, scale, shift = series.entry[:3]
            tag = np.full(len(value), tag)
        else:
            assert named is not None
            tag, scale, shift = named.columns()
            unknown = keep & (tag < 0)
            self._hold(intake, named.keys, unknown, named.which, value, quality, time_us)
            keep &= ~unknown
        if cells.uom is not None or (named and named.uom is not None):
            uoms = _uoms(cells, named)
            entries = named or Named([series.entry], np.zeros(len(value), np.int64), [])
            scale, shift, odd = _own_scales(entries, uoms, scale, shift)
            odd &= keep
            if odd.any():
                why = f"{uoms[int(odd.argmax())]!r} is not a unit of measure of its tag"
                _refuse(intake, "wrong_uom", odd, [column], first_row, name, why)
                keep &= ~odd
        si = value * scale + shift
        return self._samples(intake, keep, tag, si, value, quality, time_us, first_row)

    def _qualities(self, column: Any) -> tuple[U8, BOOL]:
        """Return the codes of a quality column, and a mask of unknown words."""
        words = _texts(column).dictionary_encode()
        codes = [self._quality(word) for word in words.dictionary.to_pylist()]
        # An empty cell says nothing against the value.
        which = words.indices.fill_null(len(codes)).to_numpy(zero_copy_only=False)
        code = np.array([*codes, q.GOOD], dtype=np.int64)[which]
        return np.maximum(code, 0).astype(np.uint8), code < 0

    def meanings(self, batch: Any) -> list[str]:
        """Return what the qualities of some rows mean, in words."""
        columns = {each.quality for each in self.layout.series if each.quality is not None}
        texts = [_texts(batch.column(str(at))).drop_null().unique() for at in sorted(columns)]
        words = dict.fromkeys(word.strip() for text in texts for word in text.to_pylist())
        own = self.mapped.qualities
        return [
            f"{word} = {in_words(own[word])}" if word in own
            else explain(self.mapped.vocabulary, word)
            for word in words
        ]  # fmt: skip

    def _quality(self, word: str) -> int:
        """Return the code of a word, below 0 when it is none."""
        word = word.strip()
        own = self.mapped.qualities.get(word)
        code = quality_of(self.mapped.vocabulary, word) if own is None else own
        return -1 if code is None else code

    def _samples(
        self, intake: RowIntake, keep: BOOL, tag: I64, si: F64, value: F64,
        quality: U8, time_us: I64, first_row: int,
    ) -> Samples:  # fmt: skip
        """Return the samples that may be stored: not too large, not of the future."""
        huge = keep & (np.abs(value) > VALUE_MAX)
        if huge.any():
            _refuse(intake, "not_finite", huge, [pa.array(value)], first_row)
            keep &= ~huge
        ahead = keep & (time_us > self.received_us + self.future_us)
        if ahead.any():
            scale, shift = np.array([(t.scale, t.shift) for t in self.tags]).T
            own = (si - shift[tag]) / scale[tag]
            keys = [(t.owner, t.tag, "future", t.uom) for t in self.tags]
            self._hold(intake, keys, ahead, tag, own, quality, time_us)
            keep &= ~ahead
        rows = np.flatnonzero(keep)
        if len(rows) < len(keep):
            tag, si, quality, time_us = tag[rows], si[rows], quality[rows], time_us[rows]
            value = value[rows]
        low, high = self.low[tag], self.high[tag]
        quality = q.within(si, low, high, _known(si, quality))
        quality = without_far(si, low, high, without_sentinels(value, quality))
        return Samples(tag, time_us, si, quality, np.full(len(tag), self.received_us))

    def _hold(
        self, intake: RowIntake, keys: Sequence[tuple[str, str, str, str]], rows: BOOL,
        which: I64, value: F64, quality: U8, time_us: I64,
    ) -> None:  # fmt: skip
        """Keep samples that may not be stored, each of the key with its number."""
        columns = which, time_us, value, _known(value, quality)
        for at, *sample in zip(*(column[rows].tolist() for column in columns), strict=True):
            owner, tag, reason, uom = keys[at]
            item = Quarantined(owner, tag, reason, self.topic, *sample)
            intake.held.append(item._replace(uom=uom, received_us=self.received_us))


def _known(value: F64, quality: U8) -> U8:
    """Return qualities in which a value that is not there is bad."""
    none = np.isnan(value) & (quality < q.BAD)
    marked = np.where(none, quality & q.SIMULATED | q.BAD | q.NOT_A_NUMBER, quality)
    return marked.astype(np.uint8)


def _texts(column: Any) -> Any:
    column = flat(column)
    return column if is_text(column) else cast_or_null(column, pa.string())


def _told(one: Quarantined) -> str:
    return f"{one.value:g} at {np.datetime64(one.time_us, 'us')} UTC"


def _columns(batch: Any, numbers: Sequence[int]) -> list[Any]:
    return [batch.column(str(at)) for at in numbers]


class Named(NamedTuple):
    """The tags that the rows of the long form name."""

    entries: list[Entry | None]  # of each name, the last is that of none
    which: I64  # (n,) index of the name of each row
    keys: list[tuple[str, str, str, str]]  # of the quarantine of each name
    uom: Any = None  # column of the units of measure

    def columns(self) -> tuple[I64, F64, F64]:
        """Return tag, scale and shift of each row; a tag below 0 is none."""
        table = [(-1, 1.0, 0.0) if entry is None else entry[:3] for entry in self.entries]
        tag, scale, shift = (np.array(each)[self.which] for each in zip(*table, strict=True))
        return tag, scale, shift


def _uoms(cells: Measures, named: Named | None) -> list[str | None]:
    """Return the unit of measure of each row: the one in its cell, else the one of its row."""
    n = len(cells.numbers.value)
    uoms: list[str | None] = (
        named.uom.to_pylist() if named and named.uom is not None else [None] * n
    )
    if cells.uom is not None:
        for at in np.flatnonzero(cells.uom >= 0).tolist():
            uoms[at] = cells.uoms[cells.uom[at]]
    return uoms


def _own_scales(
    named: Named, uoms: list[str | None], scale: Any, shift: Any
) -> tuple[F64, F64, BOOL]:
    """Return scale and shift by the units of measure of the rows, and a mask of wrong ones."""
    n = len(uoms)
    scale, shift = (np.broadcast_to(each, n).astype(np.float64) for each in (scale, shift))
    wrong = np.zeros(n, bool)
    known: dict[tuple[int, str], tuple[float, float] | None] = {}
    for at, (name, uom) in enumerate(zip(named.which.tolist(), uoms, strict=True)):
        entry = named.entries[name]
        if not uom or entry is None:
            continue
        if (name, uom) not in known:
            try:
                known[name, uom] = entry.scaled(uom)
            except UomError:
                known[name, uom] = None
        own = known[name, uom]
        if own is None:
            wrong[at] = True
        else:
            scale[at], shift[at] = own
    return scale, shift, wrong


def _refuse(
    intake: RowIntake, reason: str, rows: BOOL, columns: list[Any], first_row: int,
    name: str = "", why: str = "",
) -> None:  # fmt: skip
    """Count refused rows, and keep the first one for the report."""
    at = np.flatnonzero(rows)
    row = int(at[0])
    text = " ".join(str(column[row].as_py()) for column in columns)
    example = f"row {first_row + row}: {text[:80]!r}" + (f" ({why})" if why else "")
    intake.refusals.add(reason, name, len(at), example)


# A chunk is one transaction, and a running cycle waits for it: so it takes about a second.
CHUNK_S = 1.0
FIRST_SAMPLES, LEAST_SAMPLES, CHUNK_SAMPLES = 10_000, 500, 200_000
PREVIEW_ROWS = 100
# No more batches are joined for an hour that the clocks show twice.
HOUR_BATCHES = 16


class Pace:
    """Size of the chunks [samples]: a sample each quarter of an hour makes fifteen minutes."""

    def __init__(self) -> None:
        self.samples = min(FIRST_SAMPLES, CHUNK_SAMPLES)

    def took(self, seconds: float) -> None:
        """Make the next chunks larger or smaller by the time the last one took."""
        wanted = self.samples * min(max(CHUNK_S / seconds, 1 / 2), 2)
        self.samples = min(max(int(wanted), LEAST_SAMPLES), CHUNK_SAMPLES)


def reader_of(
    park: Park, mapped: FileMap, source: Source, received_us: int, future_us: int
) -> Reader:
    """Return the reader of a file; raises ModelError when its header does not fit the map."""
    low, high = np.array([(tag.low, tag.high) for tag in park.tags]).T
    layout = layout_of(mapped, source.names, source.place)
    clock = replace(mapped.clock, serial=source.kind == SHEET)
    mapped = replace(mapped, clock=clock)
    return Reader(
        f"import/{source.name}", mapped, layout, source.names, park.tags, low, high, received_us,
        future_us,
    )  # fmt: skip


def preview(source: Source, reader: Reader) -> tuple[Any, Times] | None:
    """Return the first rows of a file and their times; None without rows."""
    first = next(whole_hours(source, reader, 0), None)
    if first is None:
        return None
    rows, within = first[0].slice(0, PREVIEW_ROWS), reader.times(first[0])
    return rows, {key: each[:PREVIEW_ROWS] for key, each in within.items()}


def preview_problems(source: Source, reader: Reader) -> list[str]:
    """Return the problems that most of the first rows share, each with its mend in the map."""
    rows = preview(source, reader)
    if rows is None:
        what = "no days of records 200 and 300" if source.kind == RECORDS else "no rows"
        uneven = f"; this does not fit: {source.misshapen[0]!r}" if source.misshapen else ""
        return [f"{source.label}: {what} below the header{uneven}"]
    source.misshapen.clear()
    batch, timed = rows
    mapped, problems = reader.mapped, []
    for time in dict.fromkeys(time for time, _ in reader.layout.times):
        columns = _columns(batch, time)
        given = np.logical_and.reduce([valid(column) for column in columns])
        failed = given & (timed[time, 0] == NO_TIME)
        if 2 * failed.sum() > given.sum() or not given.any():
            at = int(failed.argmax())
            example = " ".join(str(column[at].as_py()) for column in columns)
            problem = _time_problem(mapped.clock, guess_forms(columns, 0.9))
            name = reader.names[time[0]]
            problems.append(f"{source.place}: time {name!r}: {example!r} {problem}")
    for series in reader.layout.series:
        column = batch.column(str(series.column))
        given, wrong = numbers(column, mapped.form)[1:3]
        if 2 * wrong.sum() > given.sum():
            example = str(column[int(wrong.argmax())].as_py())
            name = reader.names[series.column]
            problems.append(
                f"{source.place}: column {name!r}: {example!r} is not a number{_mend(column)}"
            )
    return problems


def _time_problem(clock: Clock, forms: list[str]) -> str:
    """Return what is wrong with times that are in some of the forms."""
    if clock.form in forms:
        return (
            f"is a time that the clocks of {clock.zone} show twice or never, and the order of the"
            " rows does not tell which it is; name another `timezone`"
        )
    fits = " or ".join(f'format = "{form}"' for form in forms[:2])
    return f"is not of the format {clock.form!r}" + (f"; write {fits}" if fits else "")


def _mend(column: Any) -> str:
    """Return the setting of the map that would make numbers of most texts of a column."""
    for keys, form in (
        ('decimal = ","', Form(decimal=",")),
        ('thousands = ","', Form(thousands=",")),
        ('decimal = "," and thousands = "."', Form(decimal=",", thousands=".")),
    ):
        if 2 * numbers(column, form).wrong.sum() <= valid(column).sum():
            return f"; write {keys}"
    return "; name its words in `words` or `null`"


def whole_hours(source: Source, reader: Reader, taken: int) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Yield batches with the rows of each that are taken, never cut in an hour shown twice.

    So the order of the rows tells its two passages apart, wherever an import goes on.
    """
    waiting: list[pa.RecordBatch] = []
    for batch in batches(source, reader.layout.columns):
        waiting.append(batch)
        if len(waiting) < HOUR_BATCHES and reader.ends_in_repeated_hour(batch):
            continue
        joined = batch if len(waiting) == 1 else pa.concat_batches(waiting)
        waiting = []
        skipped = min(taken, joined.num_rows)
        taken -= skipped
        if skipped < joined.num_rows:
            yield joined, skipped
    if waiting:
        joined = pa.concat_batches(waiting)
        if taken < joined.num_rows:
            yield joined, taken


def chunks(
    source: Source, reader: Reader, taken: int, pace: Pace, refusals: Refusals
) -> Iterator[Chunk]:
    """Yield the rows after the first `taken` as chunks; collects what is refused."""
    width = 1 if reader.layout.tag is not None else max(len(reader.layout.series), 1)
    waiting: list[RowIntake] = []
    count, row = 0, taken + 1
    for batch, skipped in whole_hours(source, reader, taken):
        timed, start = reader.times(batch), skipped
        while start < batch.num_rows:
            length = max(pace.samples // width, 1)
            size = max(length - count, 1)
            part = batch.slice(start, size)
            within = {key: each[start : start + size] for key, each in timed.items()}
            intake = reader.read(part, within, row)
            row += part.num_rows
            start += part.num_rows
            refusals.merge(intake.refusals)
            for one in intake.held:
                refusals.add(
                    f"{one.reason} (quarantine)", f"{one.enterprise}/{one.tag}", 1, _told(one)
                )
            waiting.append(intake)
            count += part.num_rows
            if count >= length:
                yield _join(source, waiting, refusals)
                waiting, count = [], 0
    if waiting:
        yield _join(source, waiting, refusals)


def _join(source: Source, parts: list[RowIntake], refusals: Refusals) -> Chunk:
    """Return one chunk of several parts."""
    refused: Counter[str] = Counter()
    for part in parts:
        for (reason, _), count in part.refusals.counts.items():
            refused[reason] += count
    held = [one for part in parts for one in part.held]
    # Rows the reader had to skip belong to no chunk in particular.
    if source.misshapen:
        refused["bad_shape"] += len(source.misshapen)
        refusals.add("bad_shape", "", len(source.misshapen), repr(source.misshapen[0]))
        source.misshapen.clear()
    samples = sort(concatenate(*(part.samples for part in parts)))
    return Chunk(samples, sum(part.rows for part in parts), +refused, held)
