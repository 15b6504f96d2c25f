"""MAP.toml: the tag of each column of a file, the form of its times and of its cells."""

from __future__ import annotations

import codecs
import math
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

from twin import quality as q
from twin.errors import UomError
from twin.model.park import AMOUNTS
from twin.model.rows import Column, Known, Word, guess, parse_cells, sentence, toml_lines
from twin.uom import compile_uom

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from twin.model.park import Park, Tag

    Wrong = Callable[[str, str], None]

# Key of the map: the rule of its value, and its help.
KEYS = {
    "time": ("texts", "column of the time, or a list of columns that make it together"),
    "format": ("text", 'form of the time: iso (default), s, ms, us, ns, excel, "%d/%m/%Y %H:%M"'),
    "timezone": ("zone", "time zone of times without offset; default: the park's"),
    "interval": ("duration", 'length of the intervals, like "15 min"'),
    "stamp": ("one start end", "the time is the start (default) or the end of its interval"),
    "midnight": ("one start end", "00:00 is the start (default) or the end of its day"),
    "columns": ("table", "wide form: column = tag, or {tag, uom, as}"),
    "tag": ("text", "long form: column with the name of the tag"),
    "value": ("text", "long form: column with the value"),
    "quality": ("text", "long form: column with the quality, if there is one"),
    "tags": ("table", "long form: name in the file = tag, or {tag, uom, as}"),
    "qualities": ("qualities", "word in the quality column = good, uncertain or bad"),
    "enterprise": ("text", "enterprise of names without one"),
    "simulated": ("flag", "true marks every value as simulated"),
    "null": ("texts", "words for an absent value; an empty cell is no sample at all"),
    "words": ("words", "word = number, for states like running"),
    "encoding": ("encoding", "utf-8, gb18030, …; default: detected"),
    "delimiter": ("character", "character between columns; default: detected"),
    "decimal": ("character", 'decimal mark, "." (default) or ","'),
    "thousands": ("character", "mark between thousands"),
    "skip_rows": ("count", "lines above the header"),
}
COLUMNS = {key: Column(rule) for key, (rule, _) in KEYS.items()}
ENTRY = {"tag": Column("text", optional=False), "uom": Column("text"), "as": Column("text")}
INTERVAL = "interval"
LONG_FORM = ("tag", "value", "quality", "qualities", "enterprise")


class Entry(NamedTuple):
    """The tag of a column, by its index in the model; ``si = value * scale + shift``."""

    tag: int
    scale: float
    shift: float


@dataclass(frozen=True, slots=True)
class Form:
    """The form of the cells of a file."""

    encoding: str = ""  # empty: detected
    delimiter: str = ""  # empty: detected
    decimal: str = "."
    thousands: str = ""
    skip_rows: int = 0
    null: tuple[str, ...] = ()
    words: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Clock:
    """The form of the times of a file."""

    columns: tuple[str, ...]
    form: str
    zone: ZoneInfo
    back_us: int = 0  # from the stamp to the start of its interval
    midnight_ends: bool = False


@dataclass(frozen=True, slots=True)
class FileMap:
    """A map that fits the park model."""

    form: Form
    clock: Clock
    entries: Mapping[str, Entry]  # by column in the wide form, by name of the tag in the long one
    tag: str = ""  # the columns of the long form
    value: str = ""
    quality: str = ""
    qualities: Mapping[str, int] = field(default_factory=dict)
    enterprise: str = ""
    base: int = q.GOOD  # quality of a value without another
    notes: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """The columns to read, each once."""
        own = (self.tag, self.value, self.quality) if self.tag else self.entries
        return list(dict.fromkeys(filter(None, (*self.clock.columns, *own))))


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
    long = "tag" in document or "value" in document
    entries_key = "tags" if long else "columns"
    headers, lines = toml_lines(text)

    def wrong(key: str, problem: str) -> None:
        own = lines.get(("", 0, key)) or headers.get((key, 0))
        inner = lines.get((entries_key, 0, key)) or lines.get(("", 0, entries_key), 1)
        problems.append(f"{own or inner}: {problem}")

    values = parse_cells(document, COLUMNS, KNOWN, wrong)
    _check_form(document, long=long, wrong=wrong)
    table = values.get(entries_key, {})
    enterprise = values.get("enterprise", "")
    entries, notes = _entries(table, park, values.get("interval", math.nan), wrong, enterprise)
    named = [values.get(key) for key in ("tag", "value", "quality")] if long else table
    columns = [c for c in (*values.get("time", ()), *named) if c]
    if len(problems) > before:
        return None, columns
    if long:
        entries = _all_names(park, enterprise) | entries
    return _assemble(values, park, entries, notes), columns


def _check_form(document: Mapping[str, Any], *, long: bool, wrong: Wrong) -> None:
    """Report keys that are missing or exclude each other."""
    if not long and "columns" not in document:
        wrong("", "columns is missing; the long form has `tag` and `value` instead")
    for key in ("time", *(("tag", "value") if long else ())):
        if key not in document:
            wrong("", f"{key} is missing: {KEYS[key][1]}")
    if long and "columns" in document:
        wrong("columns", "`columns` is the wide form, `tag` and `value` are the long form")
    if document.get("stamp") == "end" and "interval" not in document:
        wrong("stamp", 'stamp: an end needs the length: add interval = "15 min"')


def _assemble(
    values: dict[str, Any], park: Park, entries: dict[str, Entry], notes: list[str]
) -> FileMap:
    """Return the map of checked values."""
    back_s = values["interval"] if values.get("stamp") == "end" else 0.0
    return FileMap(
        form=Form(**{name: values[name] for name in Form.__slots__ if name in values}),
        clock=Clock(
            values["time"],
            values.get("format", "iso"),
            values.get("timezone", ZoneInfo(park.timezone)),
            round(back_s * 1e6),
            values.get("midnight") == "end",
        ),
        entries=entries,
        base=q.SIMULATED if values.get("simulated") else q.GOOD,
        notes=tuple(notes),
        **{name: values[name] for name in LONG_FORM if name in values},
    )


def _entries(
    table: dict[str, Any], park: Park, seconds: float, wrong: Wrong, enterprise: str
) -> tuple[dict[str, Entry], list[str]]:
    """Return the entries of `columns` or `tags`, and notes for the user."""
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
        cells = parse_cells(row, ENTRY, KNOWN, wrong_entry)
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


def _entry(at: int, tag: Tag, cell: dict[str, str], seconds: float) -> Entry:
    """Return one entry; raises ValueError or UomError."""
    how = cell.get("as")
    if how is None:
        return Entry(at, *compile_uom(cell.get("uom", tag.uom), tag.quantity))
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
    scale, shift = compile_uom(cell["uom"], AMOUNTS[tag.quantity])
    return Entry(at, scale / seconds, shift)


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
    entries = {tag.address: Entry(at, tag.scale, tag.shift) for at, tag in enumerate(park.tags)}
    own = {tag.tag: entries[tag.address] for tag in park.tags if tag.owner == enterprise}
    return entries | own


def _encoding(value: Any) -> str | None:
    try:
        return codecs.lookup(value).name
    except (LookupError, TypeError):
        return None


def _qualities(value: Any) -> dict[str, int] | None:
    fits = isinstance(value, dict) and set(value.values()) <= set(q.WORDS)
    return {word: q.WORDS[name] for word, name in value.items()} if fits else None


def _words(value: Any) -> dict[str, float] | None:
    fits = isinstance(value, dict) and all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in value.values()
    )
    return {word: float(number) for word, number in value.items()} if fits else None


KNOWN = Known(
    words={
        "encoding": Word("an encoding like gb18030", _encoding),
        "qualities": Word('a table like {"192" = "good"} of good, uncertain, bad', _qualities),
        "words": Word("a table of word = number", _words),
    }
)


def header_problems(columns: Iterable[str], names: Sequence[str], location: str) -> list[str]:
    """Return the columns that the header of a file lacks or has twice, as problems."""
    listing = ", ".join(map(repr, names[:12])) + (" and more" if len(names) > 12 else "")
    problems = []
    for column in dict.fromkeys(columns):
        if column not in names:
            problems.append(
                f"{location}: no column {column!r}{guess(column, names)}; it has {listing}"
            )
        elif names.count(column) > 1:
            problems.append(f"{location}: column {column!r} is there twice; rename one of them")
    return problems


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:g} min"
