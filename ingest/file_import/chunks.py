"""Rows of a file as samples, by the rules of the wire, in chunks of one transaction each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ingest.file_import.cells import (
    NO_TIME,
    cast_or_null,
    flat,
    is_text,
    numbers,
    suggest,
    times,
    valid,
)
from ingest.file_import.files import batches
from ingest.file_import.loader import Chunk
from ingest.file_import.mapping import Form
from ingest.routing.decode import Quarantined
from ingest.wire import VALUE_MAX
from twin import quality as q
from twin.arrays import BOOL, F64, I64, U8
from twin.series.samples import Samples, concatenate, no_samples, sort
from twin.series.sentinels import without_far, without_sentinels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ingest.file_import.files import Source
    from ingest.file_import.mapping import Entry, FileMap
    from twin.model.park import Tag

EXAMPLES = 5


@dataclass(slots=True)
class RowIntake:
    """Samples of some rows, and their rejected and quarantined cells."""

    samples: Samples = field(default_factory=no_samples)
    rows: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    held: list[Quarantined] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reader:
    """Reader of the rows of one file, by its map."""

    topic: str  # what quarantine says they came by
    mapped: FileMap
    tags: Sequence[Tag]
    low: F64
    high: F64
    received_us: int
    future_us: int

    def read(self, batch: Any, first_row: int) -> RowIntake:
        """Return the samples of a batch of rows; `first_row` counts from 1."""
        mapped, intake = self.mapped, RowIntake(rows=batch.num_rows)
        time_us = times([batch.column(name) for name in mapped.clock.columns], mapped.clock)
        timed = time_us != NO_TIME
        if not timed.all():
            texts = [batch.column(name) for name in mapped.clock.columns]
            _refuse(intake, "bad_time", ~timed, texts, first_row)
        if mapped.tag:
            self._long(intake, batch, time_us, first_row)
        else:
            parts = [
                self._column(intake, name, entry, batch.column(name), time_us, first_row)
                for name, entry in mapped.entries.items()
            ]
            intake.samples = concatenate(*parts) if parts else no_samples()
        return intake

    def _column(
        self, intake: RowIntake, name: str, entry: Entry, column: Any, time_us: I64, first_row: int
    ) -> Samples:
        """Return the samples of one column of the wide form."""
        value, given, wrong = numbers(column, self.mapped.form)
        if wrong.any():
            _refuse(intake, "wrong_type", wrong, [column], first_row, name)
        keep = given & ~wrong & (time_us != NO_TIME)
        n = len(value)
        return self._samples(
            intake, keep, np.full(n, entry.tag), value * entry.scale + entry.shift, value,
            np.full(n, self.mapped.base, np.uint8), time_us, first_row,
        )  # fmt: skip

    def _long(self, intake: RowIntake, batch: Any, time_us: I64, first_row: int) -> None:
        """Read the rows of the long form."""
        mapped = self.mapped
        value, given, wrong = numbers(batch.column(mapped.value), mapped.form)
        if wrong.any():
            _refuse(intake, "wrong_type", wrong, [batch.column(mapped.value)], first_row)
        names = _texts(batch.column(mapped.tag)).dictionary_encode()
        words = [word.strip() for word in names.dictionary.to_pylist()]
        which = names.indices.fill_null(len(words)).to_numpy(zero_copy_only=False)
        entries = [mapped.entries.get(word) for word in words]
        table = [entry or (-1, 1.0, 0.0) for entry in entries] + [(-1, 1.0, 0.0)]
        tag, scale, shift = (np.array(column)[which] for column in zip(*table, strict=True))
        quality = np.full(len(tag), mapped.base, np.uint8)
        if mapped.quality:
            code, odd = self._qualities(batch.column(mapped.quality))
            if odd.any():
                _refuse(intake, "bad_quality", odd, [batch.column(mapped.quality)], first_row)
            quality |= code
            wrong = wrong | odd
        keep = given & ~wrong & (time_us != NO_TIME)
        split = [word.rpartition("/") for word in (*words, "")]
        keys = [(owner or mapped.enterprise, name, "unknown_tag", "") for owner, _, name in split]
        self._hold(intake, keys, keep & (tag < 0), which, value, quality, time_us)
        keep &= tag >= 0
        si = value * scale + shift
        intake.samples = self._samples(intake, keep, tag, si, value, quality, time_us, first_row)

    def _qualities(self, column: Any) -> tuple[U8, BOOL]:
        """Return the codes of a quality column, and a mask of unknown words."""
        words = _texts(column).dictionary_encode()
        codes = [self._quality(word) for word in words.dictionary.to_pylist()]
        # An empty cell says nothing against the value.
        which = words.indices.fill_null(len(codes)).to_numpy(zero_copy_only=False)
        code = np.array([*codes, q.GOOD], dtype=np.int64)[which]
        return np.maximum(code, 0).astype(np.uint8), code < 0

    def _quality(self, word: str) -> int:
        """Return the code of a word, below 0 when it is none."""
        word = word.strip()
        code = self.mapped.qualities.get(word, q.WORDS.get(word.lower(), -1))
        return int(word) if code < 0 and word.isdecimal() and int(word) <= 255 else code

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


def _refuse(
    intake: RowIntake, reason: str, rows: BOOL, columns: list[Any], first_row: int,
    name: str = "",
) -> None:  # fmt: skip
    """Count refused rows, and keep the first few for the report."""
    at = np.flatnonzero(rows)
    intake.refused[reason] += len(at)
    for row in at[: max(EXAMPLES - len(intake.examples), 0)].tolist():
        text = " ".join(str(column[row].as_py()) for column in columns)
        row_name = f"row {first_row + row}" + (f", {name}" if name else "")
        intake.examples.append(f"refused, {row_name}: {reason}: {text[:80]!r}")


# A chunk is one transaction, and a running cycle waits for it: so it takes about a second.
CHUNK_S = 1.0
FIRST_SAMPLES, LEAST_SAMPLES, CHUNK_SAMPLES = 10_000, 500, 200_000
PREVIEW_ROWS = 100


class Pace:
    """Size of the chunks [samples]: a sample each quarter of an hour makes fifteen minutes."""

    def __init__(self) -> None:
        self.samples = min(FIRST_SAMPLES, CHUNK_SAMPLES)

    def took(self, seconds: float) -> None:
        """Make the next chunks larger or smaller by the time the last one took."""
        wanted = self.samples * min(max(CHUNK_S / seconds, 1 / 2), 2)
        self.samples = min(max(int(wanted), LEAST_SAMPLES), CHUNK_SAMPLES)


def preview(source: Source, mapped: FileMap) -> Any:
    """Return the first rows of a file."""
    first = next(batches(source, mapped.columns, 0), None)
    source.misshapen.clear()
    return None if first is None else first.slice(0, PREVIEW_ROWS)


def preview_problems(source: Source, mapped: FileMap, rows: Any) -> list[str]:
    """Return the problems that most of the first rows share, each with its mend in the map."""
    if rows is None:
        return [f"{source.path}: no rows below the header"]
    problems = []
    columns = [rows.column(name) for name in mapped.clock.columns]
    failed = times(columns, mapped.clock) == NO_TIME
    if 2 * failed.sum() > len(failed):
        example = " ".join(str(column[int(failed.argmax())].as_py()) for column in columns)
        fits = " or ".join(f'format = "{form}"' for form in suggest(columns)[:2])
        problems.append(
            f"{source.place}: time {mapped.clock.columns[0]!r}: {example!r} is not of the format"
            f" {mapped.clock.form!r}" + (f"; write {fits}" if fits else "")
        )
    for name in (mapped.value,) if mapped.tag else mapped.entries:
        column = rows.column(name)
        given, wrong = numbers(column, mapped.form)[1:]
        if 2 * wrong.sum() > given.sum():
            example = str(column[int(wrong.argmax())].as_py())
            problems.append(
                f"{source.place}: column {name!r}: {example!r} is not a number{_mend(column)}"
            )
    return problems


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


def chunks(
    source: Source, reader: Reader, taken: int, pace: Pace, examples: list[str]
) -> Iterator[Chunk]:
    """Yield the rows after the first `taken` as chunks; collects the first bad cells."""
    mapped = reader.mapped
    width = 1 if mapped.tag else max(len(mapped.entries), 1)
    waiting: list[RowIntake] = []
    count, row = 0, taken + 1
    for batch in batches(source, mapped.columns, taken):
        start = 0
        while start < batch.num_rows:
            length = max(pace.samples // width, 1)
            part = batch.slice(start, max(length - count, 1))
            intake = reader.read(part, row)
            row += part.num_rows
            start += part.num_rows
            examples.extend(islice(intake.examples, max(EXAMPLES - len(examples), 0)))
            for owner, tag, reason in dict.fromkeys(one[:3] for one in intake.held):
                held = f"in quarantine as {reason}: {owner}/{tag}"
                if held not in examples and len(examples) < 2 * EXAMPLES:
                    examples.append(held)
            waiting.append(intake)
            count += part.num_rows
            if count >= length:
                yield _join(source, waiting)
                waiting, count = [], 0
    if waiting:
        yield _join(source, waiting)


def _join(source: Source, parts: list[RowIntake]) -> Chunk:
    """Return one chunk of several parts."""
    refused = sum((part.refused for part in parts), Counter())
    held = [one for part in parts for one in part.held]
    # Rows the reader had to skip belong to no chunk in particular.
    refused["bad_shape"] += len(source.misshapen)
    source.misshapen.clear()
    samples = sort(concatenate(*(part.samples for part in parts)))
    return Chunk(samples, sum(part.rows for part in parts), +refused, held)
