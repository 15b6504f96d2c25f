"""From rows of a file to samples, by the same rules as values that come over the wire."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ingest.file_import.cells import cast_or_null, flat, is_text, numbers
from ingest.file_import.times import NO_TIME, times
from ingest.routing.decode import Quarantined
from ingest.wire import VALUE_MAX
from twin import quality as q
from twin.arrays import BOOL, F64, I64, U8
from twin.series.samples import Samples, concatenate, no_samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.file_import.mapping import Entry, FileMap
    from twin.model.park import Tag

EXAMPLES = 5


@dataclass(slots=True)
class RowIntake:
    """What some rows came to."""

    samples: Samples = field(default_factory=no_samples)
    rows: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    held: list[Quarantined] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reader:
    """What the rows of a file are read by."""

    topic: str  # what quarantine says they came by
    mapped: FileMap
    tags: Sequence[Tag]
    low: F64
    high: F64
    received_us: int
    future_us: int

    def read(self, batch: Any, first_row: int) -> RowIntake:
        """Return what a batch of rows says; `first_row` counts from 1."""
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
        keys = [(owner or mapped.enterprise, name, "unknown_tag") for owner, _, name in split]
        self._hold(intake, keys, keep & (tag < 0), which, value, quality, time_us)
        keep &= tag >= 0
        si = value * scale + shift
        intake.samples = self._samples(intake, keep, tag, si, value, quality, time_us, first_row)

    def _qualities(self, column: Any) -> tuple[U8, BOOL]:
        """Return the codes of a quality column, and where it says nothing we know."""
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
        """Return what is kept as samples, without those that are too large or of the future."""
        huge = keep & (np.abs(value) > VALUE_MAX)
        if huge.any():
            _refuse(intake, "not_finite", huge, [pa.array(value)], first_row)
            keep &= ~huge
        ahead = keep & (time_us > self.received_us + self.future_us)
        if ahead.any():
            scale, shift = np.array([(t.scale, t.shift) for t in self.tags]).T
            own = (si - shift[tag]) / scale[tag]
            keys = [(t.owner, t.tag, "future") for t in self.tags]
            self._hold(intake, keys, ahead, tag, own, quality, time_us)
            keep &= ~ahead
        rows = np.flatnonzero(keep)
        if len(rows) < len(keep):
            tag, si, quality, time_us = tag[rows], si[rows], quality[rows], time_us[rows]
        quality = q.within(si, self.low[tag], self.high[tag], _known(si, quality))
        return Samples(tag, time_us, si, quality, np.full(len(tag), self.received_us))

    def _hold(
        self, intake: RowIntake, keys: Sequence[tuple[str, str, str]], rows: BOOL,
        which: I64, value: F64, quality: U8, time_us: I64,
    ) -> None:  # fmt: skip
        """Keep samples that may not be stored, each of the key with its number."""
        columns = which, time_us, value, _known(value, quality)
        for at, *sample in zip(*(column[rows].tolist() for column in columns), strict=True):
            owner, tag, reason = keys[at]
            item = Quarantined(owner, tag, reason, self.topic, *sample)
            intake.held.append(item._replace(received_us=self.received_us))


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
    """Count rows that are refused, and keep the first few to show."""
    at = np.flatnonzero(rows)
    intake.refused[reason] += len(at)
    for row in at[: max(EXAMPLES - len(intake.examples), 0)].tolist():
        text = " ".join(str(column[row].as_py()) for column in columns)
        row_name = f"row {first_row + row}" + (f", {name}" if name else "")
        intake.examples.append(f"refused, {row_name}: {reason}: {text[:80]!r}")
