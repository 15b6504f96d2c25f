"""Tables of TOML files: their columns as fields of a class, their cells parsed by rules.

A rule is a word and its arguments, like ``tag mass_flow``, ``quantity length`` or ``above mass``;
``each above mass`` is a table of such cells, ``shared one dry wet`` is one cell for all or a table;
``some pipe road`` is a list of options, ``range fraction`` a quantity or its least, usual and most.
All problems of a file are collected, each with its line.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import MISSING, dataclass, field, fields
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, dataclass_transform
from zoneinfo import ZoneInfo

from twin.errors import UomError
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from twin.model.park import Tag

T = TypeVar("T")
PATH = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)*\Z")
YEAR_DAY = re.compile(r"(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])\Z")
CLOCK_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d\Z")
HEADER = re.compile(r"\s*\[\[?\s*([\w.-]+)\s*\]\]?")
KEY = re.compile(r"""\s*(?:"([^"]+)"|'([^']+)'|([\w-]+))\s*=""")
# Columns that every table may have; they are kept where the class of the row has them.
EVERYWHERE = ("source", "note")
FOR_ALL = ""  # the name of a shared cell that is not a table
# A list of options longer than this is no help.
FEW = 24
MONTHS = 12
POINT = (180, 90)  # the largest longitude and latitude [degrees]


class Column(NamedTuple):
    """A column of a table."""

    rule: str
    name: str = ""  # of the field it becomes
    optional: bool = True


class RowFault(NamedTuple):
    """A problem of a row that depends on other cells or rows."""

    row: object
    text: str
    column: str = ""  # empty: the row as a whole


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table as it was written, with its lines."""

    table: str
    values: Mapping[str, Any]
    line: int
    lines: Mapping[str, int]

    def line_of(self, column: str) -> int:
        """Return the line of a cell, or of the row without it."""
        return self.lines.get(column, self.line)


class Word(NamedTuple):
    """A word of rules without arguments."""

    meaning: str
    parse: Callable[[Any], Any]  # returns None for a value that does not fit


@dataclass(frozen=True, slots=True)
class Known:
    """The names that cells may refer to, and the words of one kind of file."""

    tags: Mapping[str, Tag] = field(default_factory=dict)
    names: Mapping[str, Collection[str]] = field(default_factory=dict)  # by word of the rule
    words: Mapping[str, Word] = field(default_factory=dict)


def cell(
    rule: str, *, key: str = "", default: Any = MISSING, default_factory: Any = MISSING
) -> Any:
    """Return the field of a column with a rule; `key` is its name in the file, if it is another."""
    metadata = {"rule": rule, "key": key}
    return field(default=default, default_factory=default_factory, metadata=metadata)


@dataclass_transform(frozen_default=True, field_specifiers=(cell,))
def table(cls: type[T]) -> type[T]:
    """Make a class the frozen rows of a table; fields made by `cell` are its columns."""
    return dataclass(frozen=True, slots=True)(cls)


def columns_of(cls: type[Any]) -> dict[str, Column]:
    """Return the columns of a table by their names in the file."""
    return {
        each.metadata["key"] or each.name: Column(
            each.metadata["rule"],
            each.name,
            each.default is not MISSING or each.default_factory is not MISSING,
        )
        for each in fields(cls)
        if "rule" in each.metadata
    }


def parse_row(
    values: Mapping[str, Any], cls: type[T], known: Known, wrong: Callable[[str, str], None]
) -> T | None:
    """Return a row of a table in SI, or None after `wrong` was called with each column and text."""
    columns, problems = columns_of(cls), list[str]()

    def note(column: str, text: str) -> None:
        problems.append(text)
        wrong(column, text)

    cells = parse_cells(values, columns, known, note)
    return None if problems else cls(**{columns[key].name: v for key, v in cells.items()})


def parse_cells(
    values: Mapping[str, Any],
    columns: Mapping[str, Column],
    known: Known,
    wrong: Callable[[str, str], None],
) -> dict[str, Any]:
    """Return the valid cells in SI by column; calls `wrong` with each column and text."""
    cells: dict[str, Any] = {}
    for key, value in values.items():
        if key in columns:
            try:
                cells[key] = parse_cell(columns[key].rule, value, known)
            except (UomError, ValueError) as error:
                wrong(key, f"{key}: {sentence(error)}")
        elif key not in EVERYWHERE:
            close = guess(key, columns) or f"; use one of {', '.join(columns)}"
            wrong(key, f"has no column {key!r}{close}")
    for key, column in columns.items():
        if key not in values and not column.optional:
            wrong("", f"needs {key}")
    return cells


def sentence(error: Exception) -> str:
    """Return the text of an error with its hint."""
    hint = getattr(error, "hint", "")
    return f"{error} ({hint})" if hint else str(error)


def guess(word: object, words: Iterable[str]) -> str:
    """Return ``, did you mean 'x'?`` when something close exists."""
    close = similar(str(word), words)
    return f", did you mean {close[0]!r}?" if close else ""


def similar(word: str, words: Iterable[str]) -> list[str]:
    """Return up to three words close to one: as a whole, or else in the last segment."""
    known = list(words)
    by_end = {each.rpartition("/")[2]: each for each in known}
    ends = difflib.get_close_matches(word.rpartition("/")[2], by_end)
    return difflib.get_close_matches(word, known) or [by_end[end] for end in ends]


def parse_cell(rule: str, value: Any, known: Known) -> Any:
    """Return one cell in SI; raises ValueError or UomError with the problem."""
    word, *args = rule.split()
    if word in ("each", "shared"):
        whole = word == "shared" and not isinstance(value, dict)
        return _parse_each(" ".join(args), {FOR_ALL: value} if whole else value, known)
    if word in BY_QUANTITY:
        return BY_QUANTITY[word](value, args[0])
    if word == "some":
        return _parse_some(value, args)
    if word == "tag":
        return _parse_tag(value, args, known)
    options = args if word == "one" else known.names.get(word)
    if options is not None:
        return _parse_option(word, value, options)
    meaning, parse = known.words.get(word) or WORDS[word]
    parsed = parse(value)
    if parsed is None:
        raise ValueError(f"{value!r} is not {meaning}")
    return parsed


def _scalar(value: Any) -> str:
    """Return the text of a quantity; raises ValueError for a flag, list or table."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{value!r} is not a value")  # noqa: TRY004
    return str(value)


def _parse_each(rule: str, value: Any, known: Known) -> dict[str, Any]:
    """Return a table whose cells follow one rule; raises ValueError with all its problems."""
    if not isinstance(value, dict):
        raise ValueError(f"{value!r} is not a table")  # noqa: TRY004
    cells, problems = dict[str, Any](), list[str]()
    for name, each in value.items():
        try:
            cells[name] = parse_cell(rule, each, known)
        except (UomError, ValueError) as error:
            problems.append(f"{name}: {sentence(error)}" if name else sentence(error))
    if problems:
        raise ValueError("; ".join(problems))
    return cells


def _parse_above(value: Any, quantity: str) -> float:
    """Return a quantity above 0; raises ValueError or UomError."""
    size = parse_quantity(_scalar(value), quantity)
    if not 0 < size < float("inf"):
        raise ValueError(f"{value!r} is not above 0")
    return size


def _parse_range(value: Any, quantity: str) -> tuple[float, float, float]:
    """Return least, usual and most of a quantity; one text stands for all three."""
    texts = value if isinstance(value, list) else [value] * 3
    if len(texts) != 3:
        raise ValueError(f"{value!r} is neither one value nor the least, usual and most")
    low, usual, high = (parse_quantity(_scalar(text), quantity) for text in texts)
    if not low <= usual <= high:
        raise ValueError(f"{value!r} does not rise from the least to the most")
    return low, usual, high


def _parse_some(value: Any, options: Sequence[str]) -> tuple[str, ...]:
    """Return a list of options, also of one alone; raises ValueError."""
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise ValueError(f"the list is empty, use some of {', '.join(options)}")
    return tuple(dict.fromkeys(_parse_option("one", each, options) for each in listed))


def _parse_option(word: str, value: Any, options: Collection[str]) -> str:
    """Return a value that is one of the options; raises ValueError."""
    if isinstance(value, str) and value in options:
        return value
    close = guess(value, options)
    few = f", use one of {', '.join(options)}" if len(options) <= FEW and not close else ""
    noun = "value here" if word == "one" else word.replace("_", " ")
    article = "an" if noun[0] in "aeiou" else "a"
    raise ValueError(f"{value!r} is not {article} {noun}{close}{few}")


def _parse_tag(value: Any, quantities: list[str], known: Known) -> str:
    """Return the address of a tag that exists and measures one of `quantities`.

    A star asks for a counter, or an amount of the books: the increase of a mass is an amount,
    the mass in a tank is not.
    """
    tag = known.tags.get(value) if isinstance(value, str) else None
    if tag is None:
        raise ValueError(f"there is no tag {value!r} in tags.csv{guess(value, known.tags)}")
    if quantities and f"{tag.quantity}*" in quantities and tag.kind not in ("counter", "amount"):
        raise ValueError(f"{value!r} measures {tag.quantity} as a {tag.kind}; a counter is needed")
    plain = [q.rstrip("*") for q in quantities]
    if plain and tag.quantity not in plain:
        raise ValueError(f"{value!r} measures {tag.quantity}, not {' or '.join(plain)}")
    return str(value)


def _number(value: Any) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _texts(value: Any) -> tuple[str, ...] | None:
    listed = [value] if isinstance(value, str) else value
    fits = isinstance(listed, list) and listed and all(isinstance(v, str) and v for v in listed)
    return tuple(listed) if fits else None


def _month_shares(value: Any) -> tuple[float, ...] | None:
    fits = isinstance(value, list) and len(value) == MONTHS
    return tuple(map(float, value)) if fits and all(map(_not_negative, value)) else None


def _not_negative(value: Any) -> bool:
    number = _number(value)
    return number is not None and 0 <= number < float("inf")


def _point(value: Any) -> tuple[float, ...] | None:
    numbers = [_number(each) for each in value] if isinstance(value, list) else []
    if len(numbers) != len(POINT):
        return None
    inner = (n is not None and abs(n) <= most for n, most in zip(numbers, POINT, strict=True))
    return tuple(map(float, value)) if all(inner) else None


def _zone(value: Any) -> ZoneInfo | None:
    try:
        return ZoneInfo(value)
    except (KeyError, ValueError, OSError, TypeError):
        return None


def _duration(value: Any) -> float | None:
    seconds = parse_quantity(_scalar(value), "time")
    return seconds if seconds > 0 else None


def _clock_times(value: Any) -> tuple[str, ...] | None:
    if not isinstance(value, list):
        return None
    for each in value:
        if not (isinstance(each, str) and CLOCK_TIME.match(each)):
            raise ValueError(f"{each!r} is not a time like 08:00")
    return tuple(value)


def _clock(value: Any) -> int | None:
    """Return the minute of the day of a time; the end of the day is 24:00."""
    fits = isinstance(value, str) and (CLOCK_TIME.match(value) or value == "24:00")
    return int(value[:2]) * 60 + int(value[3:]) if fits else None


def _season(value: Any) -> tuple[tuple[int, int], ...] | None:
    ends = value if isinstance(value, list) else []
    fits = len(ends) == 2 and all(isinstance(day, str) and YEAR_DAY.match(day) for day in ends)
    return tuple((int(day[:2]), int(day[3:])) for day in ends) if fits else None


def _dates(value: Any) -> tuple[date, ...] | None:
    fits = isinstance(value, list) and all(isinstance(each, date) for each in value)
    return tuple(value) if fits else None


def is_rows(content: Any) -> bool:
    """Return whether something is an array of tables."""
    return isinstance(content, list) and all(isinstance(row, dict) for row in content)


def _if(fits: Callable[[Any], bool]) -> Callable[[Any], Any]:
    return lambda value: value if fits(value) else None


BY_QUANTITY: dict[str, Callable[[Any, str], Any]] = {
    "quantity": lambda value, quantity: parse_quantity(_scalar(value), quantity),
    "above": _parse_above,
    "range": _parse_range,
}
WORDS = {
    "text": Word("a text", _if(lambda v: isinstance(v, str) and v != "")),
    "any": Word("a value", lambda v: None if isinstance(v, dict | list) else str(v)),
    "path": Word(
        "a path of [a-z0-9-]+ segments joined by /",
        _if(lambda v: isinstance(v, str) and PATH.match(v) is not None),
    ),
    "number": Word("a number", _number),
    "share": Word(
        "a number above 0 and not above 1",
        _if(lambda v: _number(v) is not None and 0 < v <= 1),
    ),
    "count": Word("a number, 0 or more", _count),
    "flag": Word("true or false", _if(lambda v: isinstance(v, bool))),
    "date": Word("a date like 2020-05-01", _if(lambda v: isinstance(v, date))),
    "table": Word("a table", _if(lambda v: isinstance(v, dict))),
    "layout": Word("a table, or the name of a preset", _if(lambda v: isinstance(v, dict | str))),
    "name": Word(
        "a table with zh and en", _if(lambda v: isinstance(v, dict) and {"zh", "en"} <= set(v))
    ),
    "rows": Word("an array of tables", _if(is_rows)),
    "texts": Word("a text or a list of texts", _texts),
    "months": Word("a list of twelve numbers, 0 or more", _month_shares),
    "point": Word("a place like [115.98, 36.45]: longitude and latitude in degrees", _point),
    "zone": Word("an IANA time zone like Asia/Shanghai", _zone),
    "duration": Word('a duration like "15 min"', _duration),
    "times": Word('a list of times like ["00:00", "08:00"]', _clock_times),
    "clock": Word('a time like "08:00" or "24:00"', _clock),
    "season": Word('a list of two days of the year like ["06-01", "08-31"]', _season),
    "dates": Word("a list of dates like [2027-02-05]", _dates),
    "character": Word("one character", _if(lambda v: isinstance(v, str) and len(v) == 1)),
}


def toml_lines(text: str) -> tuple[dict[tuple[str, int], int], dict[tuple[str, int, str], int]]:
    """Return the lines of the table headers and of the keys: (table, nth) and (table, nth, key)."""
    headers: dict[tuple[str, int], int] = {}
    keys: dict[tuple[str, int, str], int] = {}
    counts: dict[str, int] = {}
    name, nth, quoted = "", 0, ""
    for number, line in enumerate(text.splitlines(), start=1):
        if quoted:
            quoted = "" if quoted in line else quoted
            continue
        header, key = HEADER.match(line), KEY.match(line)
        if header:
            name = header[1]
            nth = counts.get(name, -1) + 1
            counts[name] = nth
            headers[name, nth] = number
            # [resource.composition] is a cell of the last [[resource]].
            outer, _, column = name.rpartition(".")
            if outer in counts:
                keys.setdefault((outer, counts[outer], column), number)
        elif key:
            keys.setdefault((name, nth, key[1] or key[2] or key[3]), number)
        for mark in ('"""', "'''"):
            if line.count(mark) == 1:
                quoted = mark
    return headers, keys


def read_rows(
    document: Mapping[str, Any], text: str, tables: Sequence[str], problems: list[str]
) -> list[Row]:
    """Return the rows of the named tables of a park model, templates expanded."""
    headers, keys = toml_lines(text)
    rows: list[Row] = []
    templates = document.get("template", [])
    by_id = {str(t.get("id")): t for t in (templates if is_rows(templates) else [])}
    for name, content in document.items():
        if name in ("park", "template"):
            continue
        line = headers.get((name, 0), 1)
        if name not in (*tables, "use"):
            problems.append(f"park.toml:{line}: unknown table [[{name}]]{guess(name, tables)}")
            continue
        if not is_rows(content):
            problems.append(f"park.toml:{line}: write [[{name}]], not [{name}]")
            continue
        for nth, values in enumerate(content):
            line = headers.get((name, nth), 1)
            if name == "use":
                template = by_id.get(str(values.get("template")))
                rows.extend(_expand(values, template, line, (*tables, "tag"), problems))
            else:
                lines = {k: keys.get((name, nth, k), line) for k in values}
                rows.append(Row(name, values, line, lines))
    return rows


def _expand(
    use: dict[str, Any],
    template: dict[str, Any] | None,
    line: int,
    tables: Sequence[str],
    problems: list[str],
) -> Iterator[Row]:
    """Yield the rows of a template, filled in; their line is that of the ``[[use]]``."""
    if template is None:
        problems.append(f"park.toml:{line}: there is no template {use.get('template')!r}")
        return
    params = use.get("with", {})
    names = template.get("params", [])
    if not isinstance(params, dict) or not isinstance(names, list):
        problems.append(f"park.toml:{line}: `with` is a table and `params` a list of names")
        return
    missing = [name for name in names if name not in params]
    if missing:
        problems.append(
            f"park.toml:{line}: template {template['id']!r} needs {', '.join(missing)} in `with`"
        )
        return
    for name, rows in template.items():
        if name in ("id", "params", *EVERYWHERE):
            continue
        if name not in tables or not is_rows(rows):
            problems.append(
                f"park.toml:{line}: template {template['id']!r}: unknown table"
                f" [[template.{name}]]{guess(name, tables)}"
            )
            continue
        for row in rows:
            yield Row(name, _fill(row, params), line, {})


def _fill(value: Any, params: Mapping[str, str]) -> Any:
    """Return `value` with every ``{param}`` in its texts replaced; a flag stays a flag."""
    if isinstance(value, str):
        whole = params.get(value[1:-1]) if value == f"{{{value[1:-1]}}}" else None
        if isinstance(whole, bool):
            return whole
        for name, text in params.items():
            value = value.replace("{" + name + "}", str(text))
        return value
    if isinstance(value, dict):
        return {k: _fill(v, params) for k, v in value.items()}
    if isinstance(value, list):
        return [_fill(v, params) for v in value]
    return value
