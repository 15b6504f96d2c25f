"""Figures of answers: where they are, by which formula, in which unit, and what grades them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from pydantic import TypeAdapter

from api.problems import invalid
from deploy.database.times import to_us
from twin.arrays import HOUR_US, MINUTE_US, SECOND_US

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Of the points of a history; a raw one is a sample.
LENGTHS = {"raw": 1000, "minute": MINUTE_US, "hour": HOUR_US}
# Parameters that ask for the rows which have the same value of the same name.
ROW_NAMES = {"id", "tag", "scope", "product", "carrier", "component", "medium", "electrolyser"}
FORMULA, GIVEN = "x-formula", "x-given"
# Units by the end of a name, the longest first.
UNITS = {
    "kgce_per_t": "kgce/t", "kwh_per_t": "kWh/t", "kg_per_t": "kg/t", "t_per_h": "t/h",
    "cny_per_kwh": "CNY/kWh", "cny_per_m3": "CNY/m³", "cny_per_year": "CNY/a",
    "t_h_per_h": "t/h²", "mw_per_h": "MW/h",
    "mg_m3": "mg/m³", "ka_m2": "kA/m²", "v_m2_ka": "V·m²/kA", "cny_t": "CNY/t", "cny_h": "CNY/h",
    "kgce_t": "kgce/t", "t_km": "t·km", "t_h": "t/h", "gj_t": "GJ/t", "kj_per_kg": "kJ/kg",
    "t_t": "t/t", "kgce": "kgce", "tce": "tce", "mwh": "MWh", "kwh": "kWh", "mw": "MW", "gj": "GJ",
    "kg": "kg", "km": "km", "kpa": "kPa", "mpa": "MPa", "days": "d", "min": "min", "t": "t",
    "h": "h", "s": "s", "v": "V", "c": "°C",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class AnswerFigure:
    """A value of an answer with the objects it stands in, the nearest first."""

    pointer: str
    name: str
    value: Any
    row: dict[str, Any]
    rows: tuple[dict[str, Any], ...]
    formula: str | None
    given: dict[str, Any]  # values of its row that are stated or recorded, not calculated
    moment: tuple[int, int] | None = None  # [µs] that the whole answer is of

    def sibling(self, mark: str, *usual: str) -> Any:
        """Return the value of the row that grades this one, by its name, or a usual one."""
        value = self._sibling(mark, usual)
        # Columns are graded point by point.
        return value[int(self.pointer.rpartition("/")[2])] if isinstance(value, list) else value

    def _sibling(self, mark: str, usual: tuple[str, ...]) -> Any:
        names = [name for name in self.row if mark in f"{name}_"]
        for name in names:
            if f"{name}_".replace(mark, "_", 1).removesuffix("_") == self.name:
                return self.row[name]
        stems = [n for n in names if n.endswith(mark[:-1]) and n.removesuffix(mark[:-1])]
        stems = [n for n in stems if self.name.startswith(f"{n.removesuffix(mark[:-1])}_")]
        if stems:
            return self.row[max(stems, key=len)]
        return next((row[name] for name in usual for row in self.rows if name in row), None)

    @property
    def unit(self) -> str | None:
        """The unit of measure, of the row or by the name; None of a plain number."""
        if "uom" in self.row:
            return str(self.row["uom"])
        ends = [end for end in UNITS if f"_{self.name}".endswith(f"_{end}")]
        return UNITS[max(ends, key=len)] if ends else None

    @property
    def quoted(self) -> str | None:
        """The address of the figure it is quoted from, as in a report; None of its own."""
        address, pointers = self.row.get("address"), self.row.get("pointers")
        if isinstance(pointers, list):
            # A series of a chart, whose address is that of the answer.
            answer = next(str(row["address"]) for row in self.rows if "address" in row)
            address = f"{answer}#{pointers[int(self.pointer.rpartition('/')[2])]}"
        return address if isinstance(address, str) and "#" in address else None

    @property
    def window(self) -> tuple[int, int] | None:
        """Start and end [µs] of the window it is of; None of one that is of now."""
        if isinstance(self.row.get("time"), list) and "resolution" in self.row:
            resolution = self.row["resolution"]
            length_us = LENGTHS.get(resolution) or round(float(resolution[:-1]) * SECOND_US)
            start_us = self.row["time"][int(self.pointer.rpartition("/")[2])] * 1000
            return start_us, start_us + length_us
        for row in self.rows:
            ends = row.get("start"), row.get("end")
            if all(isinstance(each, str) for each in ends):
                start, end = (to_us(datetime.fromisoformat(str(each))) for each in ends)
                return start, end
        return self.moment


def split(address: str) -> tuple[str, str]:
    """Return the address of an answer and the pointer of a figure; raises Problem 422."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc or not parts.path.startswith("/api/v1/"):
        raise invalid("figure", "it is no address of an answer", hint="/api/v1/…#/items/0/…")
    if parts.path == "/api/v1/explain":
        raise invalid("figure", "an explanation is not explained")
    return parts._replace(fragment="").geturl(), parts.fragment


def moment_of(address: str) -> tuple[int, int] | None:
    """Return the moment [µs] that newest samples are asked for, as a window; None = now."""
    text = dict(parse_qsl(urlsplit(address).query)).get("at")
    if text is None:
        return None
    moment_us = to_us(datetime.fromisoformat(text))
    return moment_us, moment_us + 1


def figures_at(kind: Any, answer: Any, pointer: str) -> list[AnswerFigure]:
    """Return the figure at a pointer into an answer of a kind, or all with a value below it.

    Raises Problem 422 for a pointer that leads nowhere.
    """
    schema = _schema(kind)
    document = schema.get("$defs", {})
    node, rows = answer, (answer,) if isinstance(answer, dict) else ()
    at = _Place(schema, None)
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        child = _child(node, name)
        if child is None:
            raise invalid("figure", f"the answer has nothing at {pointer!r}")
        at, node = at.child(document, name, node), child[0]
        if isinstance(node, dict):
            rows = (node, *rows)
    if isinstance(node, dict | list):
        return list(_below(document, at, pointer, node, rows))
    return [_figure(document, at, pointer, node, rows)]


@cache
def _schema(kind: Any) -> dict[str, Any]:
    return TypeAdapter(kind).json_schema(mode="serialization")


def _child(node: Any, name: str) -> tuple[Any] | None:
    if isinstance(node, dict) and name in node:
        return (node[name],)
    if isinstance(node, list) and name.isdecimal() and int(name) < len(node):
        return (node[int(name)],)
    return None


@dataclass(frozen=True, slots=True)
class _Place:
    """The schema of a value, and its formula when it has one."""

    schema: dict[str, Any]
    formula: str | None
    name: str = ""
    parent: dict[str, Any] | None = None

    def child(self, document: dict[str, Any], name: str, node: Any) -> _Place:
        """Return the place of a part of the value."""
        kinds = list(_kinds(document, self.schema))
        if isinstance(node, list):
            item: dict[str, Any] = next((k["items"] for k in kinds if "items" in k), {})
            return _Place(item, formula_of(item) or self.formula, self.name, self.parent)
        for kind in kinds:
            if name in kind.get("properties", {}):
                own = kind["properties"][name]
                return _Place(own, formula_of(own), name, kind)
        more: Any = next(
            (k["additionalProperties"] for k in kinds if "additionalProperties" in k), {}
        )
        more = more if isinstance(more, dict) else {}
        return _Place(more, formula_of(more) or self.formula, name, None)


def formula_of(schema: dict[str, Any]) -> str | None:
    """Return the formula a schema of the OpenAPI document states."""
    for each in (schema, *schema.get("anyOf", [])):
        if FORMULA in each:
            return str(each[FORMULA])
    return None


def _kinds(document: dict[str, Any], schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the alternatives of a schema, references followed."""
    if "$ref" in schema:
        schema = document[schema["$ref"].rpartition("/")[2]]
    yield schema
    for each in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from _kinds(document, each)


def _below(
    document: dict[str, Any], at: _Place, pointer: str, node: Any, rows: tuple[dict[str, Any], ...]
) -> Iterator[AnswerFigure]:
    """Yield the figures below a node that have a formula and a value."""
    children = node.items() if isinstance(node, dict) else enumerate(node)
    for key, child in children:
        name = str(key)
        inner = at.child(document, name, node)
        path = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
        if isinstance(child, dict | list):
            nearer = (child, *rows) if isinstance(child, dict) else rows
            yield from _below(document, inner, path, child, nearer)
        elif inner.formula is not None and _is_number(child):
            yield _figure(document, inner, path, child, rows)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _figure(
    document: dict[str, Any], at: _Place, pointer: str, value: Any, rows: tuple[dict[str, Any], ...]
) -> AnswerFigure:
    fields = (at.parent or {}).get("properties", {})
    row = rows[0] if rows else {}
    given = {
        name: row[name]
        for name, schema in fields.items()
        if any(GIVEN in kind for kind in _kinds(document, schema)) and row.get(name) is not None
    }
    return AnswerFigure(pointer, at.name, value, row, rows, at.formula, given)


def narrowed(address: str, row: dict[str, Any], parameters: Iterable[str]) -> str | None:
    """Return the address of one row of an answer: of its window, and of what else names it.

    None where the parameters of the route tell it from no other row.
    """
    parts = urlsplit(address)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    names = ROW_NAMES & {*parameters}
    own = {name: row[name] for name in names if isinstance(row.get(name), str) and row[name]}
    if {"start", "end"} <= row.keys() and {"window", "from", "to"} & query.keys():
        own |= {"from": row["start"], "to": row["end"]}
    own = {name: value for name, value in own.items() if query.get(name) != value}
    return parts._replace(query=urlencode(query | own)).geturl() if own else None


def value_at(answer: Any, pointer: str) -> Any:
    """Return a value of an answer; None where there is none."""
    node = answer
    for token in pointer.split("/")[1:]:
        child = _child(node, token.replace("~1", "/").replace("~0", "~"))
        if child is None:
            return None
        node = child[0]
    return node
