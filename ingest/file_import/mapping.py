"""MAP.toml: the tag of each column of a file, the form of its times and of its cells."""

from __future__ import annotations

import codecs
import math
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

from ingest.file_import.clocks import Clock
from ingest.file_import.time_forms import compile_form
from ingest.file_import.uoms import compile_written
from twin import quality as q
from twin.errors import UomError
from twin.model.park import AMOUNTS
from twin.model.rows import Column, Known, Word, guess, parse_cells, sentence, toml_lines
from twin.quality_vocabularies import VOCABULARIES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twin.model.park import Park, Tag

    Wrong = Callable[[str, str], None]

# Key of the map: the rule of its value, and its help.
KEYS = {
    "form": (
        "one nem12",
        "nem12: records 200 and 300 of Australian meters; they need no other key",
    ),
    "time": ("columns", "column of the time, or a list of columns that make it together"),
    "format": ("format", 'form of the time: iso (default), s, ms, us, ns, excel, "%d/%m/%Y %H:%M"'),
    "timezone": ("zone", "time zone of times without offset; default: the park's"),
    "interval": ("duration", 'length of the intervals, like "15 min"'),
    "stamp": ("one start end", "the time is the start (default) or the end of its interval"),
    "midnight": ("one start end", "00:00 is the start (default) or the end of its day"),
    "columns": ("table", "wide form: column = tag, or {tag, uom, as, time, quality}"),
    "tag": ("column", "long form: column with the name of the tag"),
    "value": ("column", "long form: column with the value"),
    "uom": ("column", "long form: column with the unit of measure"),
    "tags": ("table", "long form: name in the file = tag, or {tag, uom, as}"),
    "day": ("table", "a day in a row: {first, last} column, and {tag, uom, as} or the key `tag`"),
    "quality": ("column", "column with the quality; of several of this name the next to the right"),
    "qualities": ("qualities", "opc, opcua, validity, …; or word = good, uncertain, bad"),
    "enterprise": ("text", "enterprise of names without one"),
    "simulated": ("flag", "true marks every value as simulated"),
    "null": ("texts", "words for an absent value; an empty cell is no sample at all"),
    "words": ("words", "word = number, for states like running"),
    "sheet": ("text", "sheet of a workbook; default: the first"),
    "encoding": ("encoding", "utf-8, gb18030, utf-16, …; default: detected"),
    "delimiter": ("character", "character between columns; default: detected"),
    "decimal": ("character", 'decimal mark, "." (default) or ","'),
    "thousands": ("character", "mark between thousands"),
    "skip_rows": ("count", "lines above the header"),
    "header": ("header", "rows of the header: 1 (default), 2 joined, false: columns by number"),
    "skip_below": ("count", "lines between the header and the first row, like units"),
}
COLUMNS = {key: Column(rule) for key, (rule, _) in KEYS.items()}
ENTRY = {"tag": Column("text", optional=False), "uom": Column("text"), "as": Column("text")}
WIDE_ENTRY = ENTRY | {"time": Column("columns"), "quality": Column("column")}
DAY = {"first": Column("column", optional=False), "last": Column("column", optional=False)}
INTERVAL = "interval"
HEADER_ROWS = 4
AEST = "Etc/GMT-10"  # the time of all meters of Australia's market, without summer time
LONG_FORM = ("tag", "value", "uom", "quality", "vocabulary", "qualities", "enterprise")
# Columns of the rows that are made of the records of a file in form nem12.
NEM12 = {"time": ("time",), "tag": "tag", "value": "value", "uom": "uom", "quality": "quality"}


class Entry(NamedTuple):
    """The tag of a column, by its index in the model; ``si = value * scale + shift``."""

    tag: int
    scale: float
    shift: float
    quantity: str = ""  # of a unit of measure in a cell
    per_s: float = 1.0  # length of the interval that a value is the amount of [s]
    time: tuple[str, ...] = ()  # columns of its own
    quality: str = ""

    def scaled(self, uom: str) -> tuple[float, float]:
        """Return (scale, shift) of a unit of measure in a cell; raises UomError."""
        scale, shift = compile_written(uom, self.quantity)
        return scale / self.per_s, shift


@dataclass(frozen=True, slots=True)
class Form:
    """The form of the cells of a file."""

    encoding: str = ""  # empty: detected
    delimiter: str = ""  # empty: detected
    decimal: str = "."
    thousands: str = ""
    skip_rows: int = 0
    header: int = 1  # rows of the header
    skip_below: int = 0
    sheet: str = ""
    records: str = ""  # nem12
    null: tuple[str, ...] = ()
    words: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Day:
    """The columns of a day in a row, each an interval."""

    first: str
    last: str
    interval_us: int


@dataclass(frozen=True, slots=True)
class FileMap:
    """A map that fits the park model."""

    form: Form
    clock: Clock
    entries: Mapping[str, Entry]  # by column in the wide form, by name of the tag in the long one
    tag: str = ""  # the columns of the long form
    value: str = ""
    uom: str = ""
    day: Day | None = None
    quality: str = ""
    qualities: Mapping[str, int] = field(default_factory=dict)
    vocabulary: str = "words"
    enterprise: str = ""
    base: int = q.GOOD  # quality of a value without another
    notes: tuple[str, ...] = ()


def parse_map(text: str, park: Park, problems: list[str]) -> tuple[FileMap | None, list[str]]:
    """Return the map of a text, or None, and the columns it needs.

    Adds every problem with its line and what mends it.
    """
    before = len(problems)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problems.append(f"1: not valid TOML: {error}")
        return None, []
    nem12 = document.get("form") == "nem12"
    long, day = nem12 or bool({"tag", "value"} & set(document)), "day" in document
    entries_key = "tags" if long else "day" if day else "columns"
    headers, lines = toml_lines(text)

    def wrong(key: str, problem: str) -> None:
        own = lines.get(("", 0, key)) or headers.get((key, 0))
        inner = lines.get((entries_key, 0, key)) or lines.get(("", 0, entries_key), 1)
        problems.append(f"{own or inner}: {problem}")

    values = parse_cells(document, COLUMNS, KNOWN, wrong)
    _check_form(document, long=long, wrong=wrong)
    if nem12:
        values = {"timezone": ZoneInfo(AEST), "qualities": "ours"} | values | NEM12
    table = values.get(entries_key, {})
    if day:
        values["day"], own = _day(values, wrong, long=long)
        table = table if long else own
    entries, notes = _entries(table, park, values, wrong, wide=not (long or day))
    named = [values.get(key) for key in ("tag", "value", "uom", "quality")] if long else table
    columns = [c for c in (*values.get("time", ()), *named) if c]
    if len(problems) > before:
        return None, columns
    if not entries and not long:
        notes.append("columns names no tag: nothing is read but the times")
    if long:
        entries = _all_names(park, values.get("enterprise", "")) | entries
    return _assemble(values, park, entries, notes), columns


def _check_form(document: Mapping[str, Any], *, long: bool, wrong: Wrong) -> None:
    """Report keys that are missing or exclude each other."""
    if document.get("form") == "nem12":
        for key in sorted({"time", "format", "tag", "value", "columns", "day"} & set(document)):
            wrong(key, f"{key}: the form nem12 says so itself; only [tags] is needed")
        return
    day = "day" in document
    if not (long or day) and "columns" not in document:
        wrong("", "columns is missing; the long form has `tag` and `value` instead")
    needed = ("time", *(("tag",) if long else ()), *(("value",) if long and not day else ()))
    for key in needed:
        if key not in document:
            wrong("", f"{key} is missing: {KEYS[key][1]}")
    if long and "columns" in document:
        wrong("columns", "`columns` is the wide form, `tag` and `value` are the long form")
    if day and {"value", "columns"} & set(document):
        wrong("day", "day: the values of a day in a row are in its columns: no `value`, `columns`")
    if document.get("stamp") == "end" and "interval" not in document:
        wrong("stamp", 'stamp: an end needs the length: add interval = "15 min"')


def _day(
    values: Mapping[str, Any], wrong: Wrong, *, long: bool
) -> tuple[Day | None, dict[str, Any]]:
    """Return the columns of a day in a row, and the entry of its one tag in the form of a table."""

    def wrong_day(_: str, problem: str) -> None:
        wrong("day", f"day: {problem}")

    table = values.get("day", {})
    cells = {key: value for key, value in table.items() if key in DAY}
    entry = {key: value for key, value in table.items() if key not in DAY}
    columns = parse_cells(cells, DAY, KNOWN, wrong_day)
    if long and entry:
        wrong_day("", f"the column `tag` names the tags: write {', '.join(entry)} into [tags]")
    if not long and "tag" not in entry:
        wrong_day("", "needs tag, or the key `tag` with the column of the names")
    if "interval" not in values:
        wrong_day("", 'needs the length of its columns: add interval = "15 min"')
    if len(columns) < len(DAY) or "interval" not in values:
        return None, {}
    interval_us = round(values["interval"] * 1e6)
    return Day(columns["first"], columns["last"], interval_us), {columns["first"]: entry}


def _assemble(
    values: dict[str, Any], park: Park, entries: dict[str, Entry], notes: list[str]
) -> FileMap:
    """Return the map of checked values."""
    # The first column of a day in a row is its first interval, whatever the header calls it.
    end = values.get("stamp") == "end" and "day" not in values
    qualities = values.get("qualities", {})
    if isinstance(qualities, str):
        values |= {"vocabulary": qualities, "qualities": {}}
    values |= {"records": values.get("form", "")}
    return FileMap(
        form=Form(**{name: values[name] for name in Form.__slots__ if name in values}),
        clock=Clock(
            values["time"],
            values.get("format", "iso"),
            values.get("timezone", ZoneInfo(park.timezone)),
            round(values["interval"] * 1e6) if end else 0,
            values.get("midnight") == "end",
            end,
        ),
        entries=entries,
        day=values.get("day"),
        base=q.SIMULATED if values.get("simulated") else q.GOOD,
        notes=tuple(notes),
        **{name: values[name] for name in LONG_FORM if name in values},
    )


def _entries(
    table: dict[str, Any], park: Park, values: Mapping[str, Any], wrong: Wrong, *, wide: bool
) -> tuple[dict[str, Entry], list[str]]:
    """Return the entries of `columns` or `tags`, and notes for the user."""
    seconds, enterprise = values.get("interval", math.nan), values.get("enterprise", "")
    index = {tag.address: at for at, tag in enumerate(park.tags)}
    entries: dict[str, Entry] = {}
    notes: list[str] = []
    taken: dict[int, str] = {}
    for name, written in table.items():

        def wrong_entry(_: str, problem: str, name: str = name) -> None:
            wrong(name, f"{name}: {problem}")

        row = {"tag": written} if isinstance(written, str) else written
        if not isinstance(row, dict):
            wrong_entry("", 'write a tag, or a table like {tag = "acme/JI-1", uom = "kWh"}')
            continue
        cells = parse_cells(row, WIDE_ENTRY if wide else ENTRY, KNOWN, wrong_entry)
        if "tag" not in cells:
            continue
        address = cells["tag"]
        at = index.get(address, index.get(f"{enterprise}/{address}"))
        if at is None:
            wrong_entry("", f"the park model has no tag {address!r}{guess(address, index)}")
            continue
        if at in taken:
            wrong_entry("", f"tag {address!r} is taken by {taken[at]!r} already")
        taken[at] = name
        try:
            entries[name] = _entry(at, park.tags[at], cells, seconds)
        except (ValueError, UomError) as error:
            wrong_entry("", sentence(error))
            continue
        notes += _notes(name, park.tags[at], cells, seconds)
    return entries, notes


def _entry(at: int, tag: Tag, cell: dict[str, Any], seconds: float) -> Entry:
    """Return one entry; raises ValueError or UomError."""
    how = cell.get("as")
    own = {key: cell[key] for key in ("time", "quality") if key in cell}
    if tag.source == "manual":
        raise ValueError(f"{tag.address} is book data: use `parktwin book import`")
    if how is None:
        scale, shift = compile_written(cell.get("uom", tag.uom), tag.quantity)
        return Entry(at, scale, shift, tag.quantity, **own)
    if how != INTERVAL:
        raise ValueError(f"as = {how!r}: {INTERVAL!r} is all there is, an amount for each interval")
    if tag.kind != "gauge" or tag.quantity not in AMOUNTS:
        raise ValueError(
            f"an amount of an interval becomes a mean rate, and {tag.address} is a {tag.kind} of"
            f" {tag.quantity}; name a gauge of {' or '.join(AMOUNTS)}"
        )
    if "uom" not in cell:
        raise ValueError('as = "interval" needs the uom of the amount, like uom = "kWh"')
    if math.isnan(seconds):
        raise ValueError('as = "interval" needs the length: add interval = "15 min" to the map')
    if tag.gap_s < seconds:
        raise ValueError(
            f"a value of {tag.address} holds for {_minutes(tag.gap_s)} only and its interval is"
            f' {_minutes(seconds)}; add to park.toml: [[gap]] tag = "{tag.address}"'
            f' gap = "{_minutes(seconds)}"'
        )
    amount = AMOUNTS[tag.quantity]
    scale, shift = compile_written(cell["uom"], amount)
    return Entry(at, scale / seconds, shift, amount, seconds, **own)


def _notes(name: str, tag: Tag, cell: dict[str, str], seconds: float) -> list[str]:
    """Return notes about an entry that is valid but perhaps not intended."""
    if cell.get("as") == INTERVAL and tag.gap_s > seconds:
        text = f"{name}: where an interval is missing, {tag.address} holds the one before for up to"
        return [f"{text} {_minutes(tag.gap_s)}"]
    if "as" not in cell and tag.kind != "counter" and tag.gap_s < seconds:
        text = f"{name}: a value of {tag.address} holds for {_minutes(tag.gap_s)} of each"
        return [f"{text} {_minutes(seconds)}; [[gap]] in park.toml says for how long it should"]
    return []


def _all_names(park: Park, enterprise: str) -> dict[str, Entry]:
    """Return an entry in the tag's own uom for every name the long form may use without a word."""
    entries = {
        tag.address: Entry(at, tag.scale, tag.shift, tag.quantity)
        for at, tag in enumerate(park.tags)
    }
    own = {tag.tag: entries[tag.address] for tag in park.tags if tag.owner == enterprise}
    return entries | own


def _encoding(value: Any) -> str | None:
    try:
        "".encode(value)  # those that are none of texts, like base64, refuse it
        return codecs.lookup(value).name
    except (LookupError, TypeError, ValueError):
        return None


def _column(value: Any) -> str | None:
    """Return the name of a column, or its number as a name."""
    number = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return str(value) if number or (isinstance(value, str) and value) else None


def _columns(value: Any) -> tuple[str, ...] | None:
    names = [_column(each) for each in (value if isinstance(value, list) else [value])]
    return tuple(name for name in names if name) if names and all(names) else None


def _qualities(value: Any) -> str | dict[str, int] | None:
    if isinstance(value, str):
        return value if value in VOCABULARIES else None
    fits = isinstance(value, dict) and set(value.values()) <= set(q.WORDS)
    return {word: q.WORDS[name] for word, name in value.items()} if fits else None


def _header(value: Any) -> int | None:
    return int(value) if isinstance(value, int) and 0 <= value <= HEADER_ROWS else None


def _format(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    compile_form(value)
    return value


def _words(value: Any) -> dict[str, float] | None:
    fits = isinstance(value, dict) and all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in value.values()
    )
    return {word: float(number) for word, number in value.items()} if fits else None


KNOWN = Known(
    words={
        "column": Word("the name or the number of a column", _column),
        "columns": Word("the name or the number of a column, or a list of them", _columns),
        "encoding": Word("an encoding like gb18030", _encoding),
        "format": Word('a form of times like "%d/%m/%Y %H:%M"', _format),
        "header": Word(f"false or a number of rows, 1 to {HEADER_ROWS}", _header),
        "qualities": Word(
            f'one of {", ".join(VOCABULARIES)}, or a table like {{"192" = "good"}} of good,'
            " uncertain, bad",
            _qualities,
        ),
        "words": Word("a table of word = number", _words),
    }
)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:g} min"
