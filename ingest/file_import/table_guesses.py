"""What the first rows of a file say about it: header, columns, numbers, units of measure."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from ingest.file_import.cells import numbers, read_cells
from ingest.file_import.files import (
    CSV,
    HEAD_BYTES,
    PARQUET,
    SHEET,
    batches,
    head_of,
    open_sources,
    sheet_rows,
)
from ingest.file_import.form_guesses import guess_forms
from ingest.file_import.mapping import Form
from ingest.file_import.nem12 import is_nem12
from ingest.file_import.text_files import SEP, delimiter_of, fitted, join_names, text_of
from ingest.file_import.uoms import pint_spelling
from twin.errors import ParkError
from twin.uom import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ingest.file_import.files import Source

ROWS = 20_000
# Lines that are looked at for the header.
ABOVE = 40
# A column is of numbers when so many of its cells are.
MOST = 0.9
BRACKETS = re.compile(r"^(.*?)\s*[\[(（【]\s*([^\])）】]+?)\s*[\])）】]\s*$")
SUFFIX = re.compile(r"^(.*?)[\s_,/]+([^\s_,/]+(?:/[A-Za-z]+)?)$")
FORMS = (
    Form(), Form(decimal=","), Form(thousands=","), Form(decimal=",", thousands="."),
    Form(decimal=",", thousands=" "), Form(thousands=" "), Form(thousands="'"),
)  # fmt: skip
CLOCK_TEXT = re.compile(r"\d{1,2}:\d\d(:\d\d)?(\.\d+)?(\s*[AaPp]\.?[Mm]\.?)?$")
TIME_NAME = re.compile(r"(?i)time|date|zeit|datum|stamp|时间|日期|时刻|^t$|^ts$|hora|fecha|heure")


@dataclass(frozen=True, slots=True)
class Grid:
    """The first rows of a file as texts, header and all."""

    source: Source
    rows: list[list[str | None]]
    nem12: bool = False
    whole: bool = True  # no row of the file is missing
    sheet: str = ""


@dataclass(slots=True, eq=False)
class Guess:
    """A column: its name, its cells, and what they may be."""

    number: int
    name: str
    cells: Any
    uom: str = ""
    base: str = ""  # the name without the unit of measure
    forms: list[str] = field(default_factory=list)
    numeric: bool = False
    in_cells: bool = False  # the unit of measure stands in the cells
    clock: bool = False  # times of day without a date

    @property
    def key(self) -> str:
        """What the map calls the column."""
        return self.name or str(self.number + 1)


@dataclass(frozen=True, slots=True)
class TableGuess:
    """The columns of a file, and where its header is."""

    grid: Grid
    skip_rows: int
    header: int
    skip_below: int
    form: Form  # of its numbers
    columns: list[Guess]
    names: list[str]


def read_grids(path: Path) -> Iterator[Grid]:
    """Yield the first rows of a file, of each sheet, or of the first table of a .zip.

    Raises ParkError.
    """
    source = open_sources(path, Form())[0][0]
    for sheet in source.sheets:
        rows = list(islice(sheet_rows(source, Form(sheet=sheet)), ROWS))
        yield Grid(source, rows, whole=len(rows) < ROWS, sheet=sheet)
    if source.kind != SHEET:
        yield _read_grid(source)


def _read_grid(source: Source) -> Grid:
    if source.kind == PARQUET:
        batch = next(batches(source, range(len(source.names))), None)
        columns = [] if batch is None else [_as_texts(column) for column in batch.columns]
        return Grid(source, [list(source.names), *map(list, zip(*columns, strict=True))])
    head = head_of(source)
    text = text_of(head, source.encoding)
    whole = len(head) < HEAD_BYTES
    if not whole:
        text = text[: text.rfind("\n") + 1]
    sep = SEP.match(text)
    lines = io.StringIO(text[sep.end() :] if sep else text, newline="")
    source.delimiter = sep[1] if sep else best_delimiter(lines.getvalue())
    reader = csv.reader(lines, delimiter=source.delimiter)
    try:
        rows = [[cell or None for cell in row] for row in islice(reader, ROWS)]
    except csv.Error as error:
        raise ParkError(f"{source.label}: {error}", hint="is it a table of texts?") from None
    return Grid(source, rows, is_nem12(text), whole and len(rows) < ROWS)


def best_delimiter(text: str) -> str:
    """Return the delimiter of a table that may have other lines above it."""
    tail = text.splitlines(keepends=True)[ABOVE : 2 * ABOVE]
    return delimiter_of("".join(tail) or text)


def _as_texts(column: Any) -> list[str | None]:
    try:
        return list(pc.cast(column, pa.string()).to_pylist())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return [None] * len(column)


def read_table(grid: Grid) -> TableGuess | None:
    """Return the columns of a grid, or None when no row of it has a time and a number."""
    first = next((at for at in range(min(len(grid.rows), ABOVE)) if _is_data(grid.rows, at)), None)
    if first is None:
        return None
    above = [at for at in range(first) if any(grid.rows[at])]
    below = 0
    for nth in (1, 2):
        # A row of units of measure, perhaps with one more below it, under a row of names.
        named = grid.rows[above[-nth - 1]] if len(above) > nth else []
        if 2 * sum(map(bool, named)) > len(grid.rows[first]) and _are_uoms(grid.rows[above[-nth]]):
            below, above = first - above[-nth], above[:-nth]
            break
    header, begin = _header(grid.rows, above, first - below)
    skip = begin if header else first
    if not header:
        skip, below = first, 0
    data = [row for row in grid.rows[first:] if any(row)]
    names = fitted(join_names(grid.rows[skip : skip + header]), data)
    units = grid.rows[first - below] if below else []
    width = len(names)
    padded = [(*row, *[None] * (width - len(row)))[:width] for row in data]
    arrays = [pa.array([_given(c) for c in column], pa.string()) for column in zip(*padded)]  # noqa: B905
    form = _number_form(arrays)
    columns = [
        _column(at, name, cells, form, units[at] if at < len(units) else None)
        for at, (name, cells) in enumerate(zip(names, arrays, strict=True))
    ]
    return TableGuess(grid, skip, header, below, form, columns, names)


def _given(cell: str | None) -> str | None:
    return (cell or "").strip() or None


def _is_data(rows: Sequence[Sequence[str | None]], at: int) -> bool:
    """Return whether a row and those after it have a time and a number each."""
    some = [row for row in rows[at : at + 4] if any(row)][:3]
    return bool(some) and bool(any(rows[at])) and all(map(_has_time_and_number, some))


def _has_time_and_number(row: Sequence[str | None]) -> bool:
    cells = [cell.strip() for cell in row if cell and cell.strip()]
    times = [cell for cell in cells if _is_time(cell)]
    return len(cells) > 1 and bool(times) and any(_is_number(c) for c in cells if c != times[0])


@lru_cache(maxsize=65_536)
def _is_time(cell: str) -> bool:
    return bool(guess_forms([pa.array([cell])]))


@lru_cache(maxsize=65_536)
def _is_number(cell: str) -> bool:
    return any(not numbers(pa.array([cell]), form).wrong[0] for form in FORMS)


def _are_uoms(row: Sequence[str | None]) -> bool:
    """Return whether most cells of a row are units of measure, and none is anything longer."""
    cells = [cell.strip(" []()") for cell in row if cell and cell.strip(" []()")]
    known = [cell for cell in cells if quantities_of(cell)]
    return bool(known) and 2 * len(known) >= len(cells) and max(map(len, cells)) <= 12


def _header(rows: Sequence[Sequence[str | None]], above: list[int], first: int) -> tuple[int, int]:
    """Return how many rows the header has, and the first of them."""
    if not above:
        return 0, first
    last = above[-1]
    cells = [cell for cell in rows[last] if cell]
    upper = rows[last - 1] if last - 1 in above else []
    # A second row is part of the header where the first one cannot name all columns.
    blank = len(cells) < len(rows[first]) and any(
        up and not (rows[last][at] if at < len(rows[last]) else None) for at, up in enumerate(upper)
    )
    repeated = len(set(cells)) < len(cells) and sum(map(bool, upper)) > 1
    return (2, last - 1) if upper and (blank or repeated) else (1, last)


@lru_cache(maxsize=4096)
def quantities_of(uom: str) -> tuple[str, ...]:
    """Return the quantities that a text is a unit of measure of."""
    if not uom or uom.isdecimal():
        return ()
    return tuple(name for name in QUANTITIES if pint_spelling(uom, name) is not None)


def _number_form(arrays: Sequence[Any]) -> Form:
    """Return the form that reads most cells as numbers, the plainest of equals."""
    cells = pa.concat_arrays([array.slice(0, 500) for array in arrays]).drop_null()
    if not len(cells):
        return Form()
    return min(FORMS, key=lambda form: (numbers(cells, form).wrong.sum(), FORMS.index(form)))


def _column(number: int, name: str, cells: Any, form: Form, uom: str | None) -> Guess:
    """Return what a column may be."""
    guess = Guess(number, name, cells, base=name)
    given = cells.drop_null()
    if not len(given):
        return guess
    first = given.slice(0, 200)
    guess.clock = all(CLOCK_TEXT.match(cell) for cell in first.to_pylist())
    read = read_cells(given, form)
    wrong = read.numbers.wrong.sum()
    guess.numeric = bool(wrong <= (1 - MOST) * len(given)) and not guess.clock
    # A number is a time where it is called one or nothing, or comes first.
    timed = not guess.numeric or number == 0 or not name or TIME_NAME.search(name)
    guess.forms = guess_forms([given], MOST) if timed and not guess.clock else []
    if guess.forms:
        guess.numeric = False
        return guess
    guess.in_cells = bool(read.uoms) and guess.numeric
    if guess.in_cells:
        known = Counter(
            read.uoms[at] for at in (read.uom if read.uom is not None else []) if at >= 0
        )
        guess.uom = known.most_common(1)[0][0]
    elif uom and quantities_of(uom.strip(" []()")):
        guess.uom = uom.strip(" []()")
    else:
        guess.base, guess.uom = split_uom(name)
    return guess


def split_uom(name: str) -> tuple[str, str]:
    """Return the name of a column without its unit of measure, and that unit."""
    bracketed = BRACKETS.match(name)
    if bracketed and quantities_of(bracketed[2]):
        return bracketed[1] or name, bracketed[2]
    suffix = SUFFIX.match(name)
    if suffix and len(suffix[2]) > 1 and quantities_of(suffix[2]):
        return suffix[1], suffix[2]
    return name, name if len(name) > 1 and quantities_of(name) else ""


def is_text_file(grid: Grid) -> bool:
    """Return whether encoding and delimiter mean something for a file."""
    return grid.source.kind == CSV
