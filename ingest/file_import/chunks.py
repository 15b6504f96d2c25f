"""A file as chunks: samples sorted by tag and time, ready to be stored in one transaction each."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any

from ingest.file_import.cells import numbers, valid
from ingest.file_import.files import batches
from ingest.file_import.loader import Chunk
from ingest.file_import.mapping import Form
from ingest.file_import.rows import EXAMPLES
from ingest.file_import.times import NO_TIME, suggest, times
from twin.series.samples import concatenate, sort

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingest.file_import.files import Source
    from ingest.file_import.mapping import FileMap
    from ingest.file_import.rows import Reader, RowIntake

# A chunk is one transaction, and a running cycle waits for it: so it takes about a second.
CHUNK_S = 1.0
FIRST_SAMPLES, LEAST_SAMPLES, CHUNK_SAMPLES = 10_000, 500, 200_000
PREVIEW_ROWS = 100


class Pace:
    """How many samples a chunk has: a sample in a quarter of an hour makes fifteen minutes."""

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
    """Return what most of the first rows of a file are not, and what the map should say."""
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
    """Return what would make numbers of most texts of a column."""
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
