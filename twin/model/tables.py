"""The tables of ``park.toml``: their rows with the lines they came from, cells checked."""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from twin.errors import UomError
from twin.model.columns import COLUMNS
from twin.model.park import OUTSIDE, Tag
from twin.reference import load as load_reference
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PATH = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)*\Z")

EVERYWHERE = ("source", "note")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table and where it stands."""

    table: str
    values: dict[str, Any]
    line: int
    lines: dict[str, int]


@dataclass(frozen=True, slots=True)
class Known:
    """What the cells of a row may refer to."""

    scopes: Mapping[str, str]
    tags: Mapping[str, Tag]


def toml_lines(text: str) -> tuple[dict[tuple[str, int], int], dict[tuple[str, int, str], int]]:
    """Return the lines of the table headers and of the keys: (table, nth) and (table, nth, key)."""
    headers: dict[tuple[str, int], int] = {}
    keys: dict[tuple[str, int, str], int] = {}
    counts: dict[str, int] = {}
    table, nth, quoted = "", 0, ""
    for number, line in enumerate(text.splitlines(), start=1):
        if quoted:
            quoted = "" if quoted in line else quoted
            continue
        header = re.match(r"\s*\[\[?\s*([\w.-]+)\s*\]\]?", line)
        key = re.match(r"\s*([\w-]+)\s*=", line)
        if header:
            table = header[1]
            nth = counts.get(table, -1) + 1
            counts[table] = nth
            headers[table, nth] = number
        elif key:
            keys.setdefault((table, nth, key[1]), number)
        for mark in ('"""', "'''"):
            if line.count(mark) == 1:
                quoted = mark
    return headers, keys


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


def _expand(
    use: dict[str, Any], template: dict[str, Any] | None, line: int, problems: list[str]
) -> Iterator[Row]:
    """Yield the rows of a template, filled in; they stand where the ``[[use]]`` stands."""
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
    for table, rows in template.items():
        if table in ("id", "params", *EVERYWHERE):
            continue
        if table not in (*COLUMNS, "tag") or not _is_rows(rows):
            problems.append(
                f"park.toml:{line}: template {template['id']!r}: unknown table"
                f" [[template.{table}]]{_guess(table, (*COLUMNS, 'tag'))}"
            )
            continue
        for row in rows:
            yield Row(table, _fill(row, params), line, {})


def read_rows(text: str, problems: list[str]) -> tuple[dict[str, Any], list[Row]]:
    """Return the ``[park]`` table and all rows, templates expanded; raises TOMLDecodeError."""
    document = tomllib.loads(text)
    headers, keys = toml_lines(text)
    rows: list[Row] = []
    templates = {
        str(t.get("id")): t
        for t in (document["template"] if _is_rows(document.get("template")) else [])
    }
    for table, content in document.items():
        if table in ("park", "template"):
            continue
        if table not in COLUMNS and table != "use":
            line = headers.get((table, 0), 1)
            problems.append(f"park.toml:{line}: unknown table [[{table}]]{_guess(table, COLUMNS)}")
            continue
        if not _is_rows(content):
            problems.append(
                f"park.toml:{headers.get((table, 0), 1)}: write [[{table}]], not [{table}]"
            )
            continue
        for nth, values in enumerate(content):
            line = headers.get((table, nth), 1)
            if table == "use":
                rows.extend(
                    _expand(values, templates.get(str(values.get("template"))), line, problems)
                )
                continue
            lines = {k: keys.get((table, nth, k), line) for k in values}
            rows.append(Row(table, values, line, lines))
    park = document.get("park", {})
    return (park if isinstance(park, dict) else {}), rows


def _is_rows(content: Any) -> bool:
    """Return whether something is an array of tables."""
    return isinstance(content, list) and all(isinstance(row, dict) for row in content)


def _guess(word: str, words: Any) -> str:
    """Return ``, did you mean x?`` when something close exists."""
    close = difflib.get_close_matches(str(word), list(words), n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def parse_row(row: Row, known: Known, problems: list[str]) -> dict[str, Any] | None:
    """Return the row's values in SI, or None after adding every problem of its cells."""
    columns = COLUMNS[row.table]
    values: dict[str, Any] = {}
    before = len(problems)
    for key, value in row.values.items():
        if key in columns:
            try:
                values[key] = parse_cell(columns[key].lstrip("?"), value, known)
            except (UomError, ValueError) as error:
                hint = getattr(error, "hint", "")
                problems.append(
                    f"park.toml:{row.lines.get(key, row.line)}: [[{row.table}]] {key}: {error}"
                    + (f" ({hint})" if hint else "")
                )
        elif key in EVERYWHERE:
            values[key] = value
        else:
            problems.append(
                f"park.toml:{row.lines.get(key, row.line)}: [[{row.table}]] has no column {key!r}"
                + _guess(key, columns)
            )
    for key, rule in columns.items():
        if key not in row.values and not rule.startswith("?"):
            problems.append(f"park.toml:{row.line}: [[{row.table}]] needs {key}")
    return values if len(problems) == before else None


def parse_cell(rule: str, value: Any, known: Known) -> Any:
    """Return one cell in SI; raises ValueError or UomError with what is wrong."""
    word, *args = rule.split()
    if not isinstance(value, str | bool | int | float | date | dict):
        raise ValueError(f"{value!r} is not a value")  # noqa: TRY004
    if word == "quantity":
        return parse_quantity(str(value), args[0])
    if word == "tag":
        return _parse_tag(value, args, known)
    if word == "one":
        options: tuple[str, ...] = tuple(args)
    elif word == "medium":
        options = tuple(load_reference("media"))
    elif word == "carrier":
        options = tuple(load_reference("energy"))
    elif word == "scope":
        options = tuple(known.scopes)
    elif word == "place":
        options = (*known.scopes, *OUTSIDE)
    else:
        return _parse_plain(word, value)
    if not isinstance(value, str) or value not in options:
        guess = _guess(str(value), options)
        few = f", use one of {', '.join(options)}" if len(options) <= 6 and not guess else ""
        raise ValueError(
            f"{value!r} is not a {word if word != 'one' else 'value here'}{guess}{few}"
        )
    return value


def _parse_tag(value: Any, quantities: list[str], known: Known) -> str:
    """Return the address of a tag that exists and measures one of `quantities`."""
    tag = known.tags.get(value) if isinstance(value, str) else None
    if tag is None:
        raise ValueError(f"there is no tag {value!r} in tags.csv{_guess(value, known.tags)}")
    if quantities and f"{tag.quantity}*" in quantities and tag.kind != "counter":
        raise ValueError(f"{value!r} measures {tag.quantity} as a {tag.kind}; a counter is needed")
    plain = [q.rstrip("*") for q in quantities]
    if plain and tag.quantity not in plain:
        raise ValueError(f"{value!r} measures {tag.quantity}, not {' or '.join(plain)}")
    return str(value)


def _parse_plain(word: str, value: Any) -> Any:
    """Return a cell that refers to nothing; raises ValueError."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = {
        "text": isinstance(value, str) and value != "",
        "path": isinstance(value, str) and PATH.match(value) is not None,
        "number": number,
        "share": number and 0 < value <= 1,
        "flag": isinstance(value, bool),
        "date": isinstance(value, date),
        "table": isinstance(value, dict),
        "name": isinstance(value, dict) and {"zh", "en"} <= set(value),
    }[word]
    if not fits:
        wanted = {
            "text": "a text",
            "path": "a path of [a-z0-9-]+ segments joined by /",
            "number": "a number",
            "share": "a number above 0 and not above 1",
            "flag": "true or false",
            "date": "a date like 2020-05-01",
            "table": "a table",
            "name": "a table with zh and en",
        }[word]
        raise ValueError(f"{value!r} is not {wanted}")
    return value
