"""Rows of book data as people write them, checked: all problems at once, each with row and column.

A row names tag, period and value; unit, evidence, note and reason may be empty. Nothing of a set of
rows is taken while one of them has a problem.
"""

from __future__ import annotations

import csv
import hashlib
import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from twin.arrays import DAY_S, HOUR_US
from twin.book.model import AMOUNT, book_tags
from twin.book.periods import Period, label, parse_period
from twin.errors import UomError
from twin.model.rows import guess, sentence
from twin.uom import compile_uom

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from twin.book.model import BookTag
    from twin.model.park import Park, Tag

NEEDED = ("tag", "period", "value")
COLUMNS = (*NEEDED, "uom", "evidence", "note", "reason")
# Names of columns in Chinese tables.
CHINESE = {
    "点位": "tag", "期间": "period", "数值": "value", "单位": "uom", "依据": "evidence",
    "备注": "note", "更正原因": "reason",
}  # fmt: skip
# Rows of one file or order, and characters of one cell.
ROWS_MAX, TEXT_CHARACTERS = 1_000, 400
# So many problems stand in one sentence.
PROBLEMS_TOLD = 5
# Hours of all periods of one file or order: each becomes a row.
HOURS_MAX = 1_000_000
VALUE_MAX = 1e30
DATE = "date"
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
# Of digits and signs as Chinese keyboards write them.
HALF_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
NUMBER = re.compile(r"[+-]?(\d{1,3}(,\d{3})+|\d+)?(\.\d*)?([eE][+-]?\d+)?")
# The same value in another unit of measure differs by its rounding.
SAME = 1e-9
EPOCH = date(1970, 1, 1)


class BookProblem(NamedTuple):
    """What is wrong with a row: its number in the file, the column, the sentence."""

    row: int
    column: str
    text: str

    def __str__(self) -> str:
        """Return the problem as one line."""
        return f"row {self.row}{', ' if self.column else ''}{self.column}: {self.text}"


class BookRow(NamedTuple):
    """One row as it was written: its number in the file, and its cells by column."""

    number: int
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BookEntry:
    """One value of a tag and a period."""

    row: int
    tag: Tag
    period: Period
    value: float  # [SI]
    entered: float  # in `uom`
    uom: str
    evidence: str
    note: str
    reason: str  # of a correction


@dataclass(frozen=True, slots=True)
class Version:
    """The newest version of a value that is in the book already."""

    number: int  # of the row in the database
    address: str
    period: Period
    version: int
    value: float  # [SI]
    confirmed: bool


def decode(content: bytes) -> str:
    """Return the text of a file: UTF-8, UTF-16 with its mark, or GB 18030; raises ValueError."""
    encodings = ["utf-16"] if content[:2] in UTF_16_MARKS else ["utf-8-sig", "gb18030"]
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ValueError("it is no text in UTF-8, UTF-16 or GB 18030")


def digest_of(content: bytes) -> str:
    """Return what names a file by its content, like ``sha256:9f86d0…``."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def with_evidence(rows: Sequence[BookRow], content: bytes) -> list[BookRow]:
    """Return rows with the digest of their file as evidence where they have none."""
    digest = digest_of(content)
    return [
        row if row.cells.get("evidence") else BookRow(row.number, {**row.cells, "evidence": digest})
        for row in rows
    ]


def read_table(text: str) -> tuple[list[BookRow], list[BookProblem]]:
    """Return the rows of a CSV text with a header, and what is wrong with its shape."""
    lines = text.splitlines(keepends=True)
    marks = ",;\t"
    delimiter = max(marks, key=lines[0].count) if lines else ","
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        cells = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        return [], [BookProblem(reader.line_num, "", f"it is no CSV: {error}")]
    return rows_of(cells)


def rows_of(
    cells: Sequence[tuple[int, Sequence[str]]],
) -> tuple[list[BookRow], list[BookProblem]]:
    """Return the rows of numbered lines of cells, of which the first has the names of columns."""
    full = [(number, [cell.strip() for cell in row]) for number, row in cells]
    full = [(number, row) for number, row in full if any(row) and not row[0].startswith("#")]
    if not full:
        return [], [BookProblem(1, "", f"there is nothing in it: the columns are {_columns()}")]
    head, names = full[0][0], [CHINESE.get(name, name) for name in full[0][1]]
    while names and not names[-1]:
        names.pop()
    problems = [
        BookProblem(head, name, f"is no column{guess(name, COLUMNS)}: they are {_columns()}")
        for name in names
        if name not in COLUMNS
    ]
    problems += [BookProblem(head, name, "the column stands twice")
                 for name in COLUMNS if names.count(name) > 1]  # fmt: skip
    problems += [BookProblem(head, name, "the column is missing")
                 for name in NEEDED if name not in names]  # fmt: skip
    rows = []
    for number, row in full[1:]:
        if any(row[len(names) :]):
            problems.append(BookProblem(number, "", f"it has more than {len(names)} cells"))
        rows.append(BookRow(number, dict(zip(names, row, strict=False))))
    return rows, problems


def _columns() -> str:
    return ",".join(COLUMNS)


def sentence_of(problems: Sequence[BookProblem]) -> str:
    """Return the first problems as one sentence, with the number of the others."""
    more = len(problems) - PROBLEMS_TOLD
    texts = [*map(str, problems[:PROBLEMS_TOLD]), *([f"{more} more"] if more > 0 else [])]
    return "; ".join(texts)


def read_entries(
    rows: Sequence[BookRow], park: Park, now_us: int
) -> tuple[list[BookEntry], list[BookProblem]]:
    """Return the valid rows as entries, and every problem of the others."""
    if len(rows) > ROWS_MAX:
        text = f"{len(rows)} rows; {ROWS_MAX} are the limit of one file: divide it"
        return [], [BookProblem(rows[ROWS_MAX].number, "", text)]
    tags, booked, zone = {t.address: t for t in park.tags}, book_tags(park), ZoneInfo(park.timezone)
    entries: list[BookEntry] = []
    problems: list[BookProblem] = []
    seen: dict[tuple[str, Period], int] = {}
    for row in rows:
        cells = _Cells(row, problems)
        tag = cells.tag(tags, booked)
        if tag is None:
            continue
        period = cells.period(tag, booked[tag.address], zone, now_us)
        entered, uom, value = cells.value(tag)
        if cells.is_wrong or period is None:
            continue
        first = seen.setdefault((tag.address, period), row.number)
        if first != row.number:
            cells.wrong("period", f"{tag.address} has a value of it in row {first} already")
            continue
        texts = (cells.text(name) for name in ("evidence", "note", "reason"))
        entries.append(BookEntry(row.number, tag, period, value, entered, uom, *texts))
    hours = sum(entry.period.stop_us - entry.period.start_us for entry in entries) // HOUR_US
    if hours > HOURS_MAX:
        text = f"its periods have {hours} hours; {HOURS_MAX} are the limit of one file: divide it"
        problems.append(BookProblem(entries[0].row, "period", text))
    return entries, problems


class _Cells:
    """The cells of one row; what is wrong with them goes to the problems."""

    def __init__(self, row: BookRow, problems: list[BookProblem]) -> None:
        self.is_wrong = False
        self._row = row
        self._problems = problems
        for name, cell in row.cells.items():
            if len(cell) > TEXT_CHARACTERS or "\0" in cell:
                self.wrong(name, f"longer than {TEXT_CHARACTERS} characters, or with a NUL")
        for name in NEEDED:
            if not self.text(name):
                self.wrong(name, "is empty")

    def text(self, name: str) -> str:
        return self._row.cells.get(name, "").strip()

    def wrong(self, column: str, text: str) -> None:
        self.is_wrong = True
        self._problems.append(BookProblem(self._row.number, column, text))

    def tag(self, tags: Mapping[str, Tag], booked: Mapping[str, BookTag]) -> Tag | None:
        address = self.text("tag")
        if address and address not in tags:
            self.wrong("tag", f"the park has no tag {address!r}{guess(address, booked)}")
        elif address and address not in booked:
            self.wrong("tag", f"{address!r} is no tag of the books: park.toml needs its [[book]]")
        return tags[address] if address in booked else None

    def period(self, tag: Tag, row: BookTag, zone: ZoneInfo, now_us: int) -> Period | None:
        text = self.text("period")
        if not text:
            return None
        try:
            period = parse_period(text, row.period, zone)
        except ValueError as error:
            self.wrong("period", str(error))
            return None
        if tag.kind == AMOUNT and period.stop_us > now_us:
            self.wrong("period", f"{text!r} is not over yet, and its amount is not known before")
        elif period.start_us > now_us:
            self.wrong("period", f"{text!r} has not begun yet")
        return period

    def value(self, tag: Tag) -> tuple[float, str, float]:
        """Return the value as entered, its unit of measure, and the value [SI]."""
        text, uom = self.text("value").translate(HALF_WIDTH), self.text("uom") or tag.uom
        nothing = math.nan, uom, math.nan
        if not text:
            return nothing
        try:
            scale, shift = compile_uom(uom, tag.quantity)
        except UomError as error:
            self.wrong("uom", sentence(error))
            return nothing
        try:
            entered = days_of(text) if tag.quantity == DATE else number_of(text)
        except ValueError as error:
            self.wrong("value", str(error))
            return nothing
        if tag.quantity == DATE:
            uom, scale = "day", DAY_S
        value = entered * scale + shift
        for bound, word, beyond in ((tag.low, "below low", value < tag.low),
                                    (tag.high, "above high", value > tag.high)):  # fmt: skip
            if beyond:
                limit = (bound - tag.shift) / tag.scale
                self.wrong("value", f"{text} {uom} is {word} of its tag, {limit:.10g} {tag.uom}")
        return entered, uom, value


def number_of(text: str) -> float:
    """Return the number that a text is, thousands apart or not.

    Parameters
    ----------
    text : str

    Returns
    -------
    float [u]    in the unit it was written for

    Raises
    ------
    ValueError
        It is no number, or too large for a value.
    """
    text = text.replace("−", "-")
    if not NUMBER.fullmatch(text) or not any(map(str.isdigit, text)):
        raise ValueError(f"{text!r} is no number: write it like 1234.5; the unit goes into uom")
    value = float(text.replace(",", ""))
    if not abs(value) <= VALUE_MAX:
        raise ValueError(f"{text!r} is too large")
    return value


def days_of(text: str) -> float:
    """Return a date as days since 1970-01-01.

    Parameters
    ----------
    text : str   like ``2027-03-01``

    Returns
    -------
    float [day]

    Raises
    ------
    ValueError
        It is no date.
    """
    try:
        return float((date.fromisoformat(text) - EPOCH).days)
    except ValueError as error:
        raise ValueError(f"{text!r} is no date: write it like 2027-03-01") from error


def date_of(value: float) -> str:
    """Return a value of quantity date as a date.

    Parameters
    ----------
    value : float [s]

    Returns
    -------
    str          like ``2027-03-01``
    """
    return str((datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=value)).date())


def compare_with_book(
    entries: Sequence[BookEntry], known: Iterable[Version], zone: ZoneInfo
) -> tuple[list[BookEntry], list[BookProblem]]:
    """Return the entries that are new to the book, and every contradiction with it.

    `known` has the newest version of each value of their tags. What is there already with the
    same value is left out; another value needs a reason, and is a correction then.
    """
    by_tag: dict[str, list[Version]] = {}
    for version in known:
        by_tag.setdefault(version.address, []).append(version)
    new: list[BookEntry] = []
    problems: list[BookProblem] = []
    for entry in entries:
        others = by_tag.get(entry.tag.address, [])
        same = next((each for each in others if each.period == entry.period), None)
        problem = _contradiction(entry, same, others, zone)
        if problem:
            problems.append(BookProblem(entry.row, *problem))
        elif same is None or not is_same(entry, same):
            new.append(entry)
    return new, problems


def is_same(entry: BookEntry, version: Version) -> bool:
    """Return whether an entry says what the book says already."""
    return math.isclose(entry.value, version.value, rel_tol=SAME, abs_tol=SAME)


def _contradiction(
    entry: BookEntry, same: Version | None, others: Sequence[Version], zone: ZoneInfo
) -> tuple[str, str] | None:
    """Return column and text of what speaks against an entry; None when nothing does."""
    if same is None:
        start, stop = entry.period
        over = [
            p for p in (each.period for each in others) if p.start_us < stop and start < p.stop_us
        ]
        if over:
            return "period", f"it overlaps {label(over[0], zone)}, which is in the book"
        if entry.reason:
            return "reason", "there is no value of this period to correct: leave it empty"
    elif not is_same(entry, same) and not entry.reason:
        tag, state = entry.tag, "confirmed" if same.confirmed else "a draft"
        stored = (same.value - tag.shift) / tag.scale
        stands = date_of(same.value) if tag.quantity == DATE else f"{stored:.10g} {tag.uom}"
        return (
            "value",
            f"{stands} is in the book ({state}, id {same.number}): a correction needs a reason",
        )
    return None
