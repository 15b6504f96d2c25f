"""The answers a report is made of, and the figures in them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    NamedTuple,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
)
from urllib.parse import parse_qs, urlsplit

import orjson
from typing_extensions import is_typeddict

from api.calculation.inline import ask
from api.disclosure import fields_of
from api.reports.document import (
    NOTHING,
    ReportChart,
    ReportFigure,
    ReportLine,
    ReportSeries,
    name,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from fastapi import FastAPI

    from api.answers import Name
    from api.reports.period import Span

# While the database works for one answer, others are calculated.
AT_ONCE = 3
# Digits of a figure after it has been brought to the uom of the report.
DIGITS = 12


class Field(NamedTuple):
    """A field of an answer as a report names it, `factor` times its value."""

    field: str
    label: Name
    uom: str
    factor: float = 1.0


def field(key: str, zh: str, en: str, uom: str, factor: float = 1.0) -> Field:
    """Return a field of an answer."""
    return Field(key, name(zh, en), uom, factor)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, or the reason why there is none."""

    address: str
    body: Any
    problem: str
    span: Span
    kind: Any = None  # the type its route documents

    @property
    def window(self) -> str:
        """The window it asks for; empty without one."""
        return parse_qs(urlsplit(self.address).query).get("window", [""])[0]

    def rows(self, key: str = "items") -> list[tuple[str, Any]]:
        """Return the rows of a list of the answer with their pointers."""
        node: Any = self.body
        for part in key.split("/"):
            node = node.get(part) or [] if isinstance(node, dict) else []
        return [(f"/{key}/{at}", row) for at, row in enumerate(node)]

    def formula(self, pointer: str) -> str | None:
        """Return how the figure at a pointer is calculated, by the documentation."""
        return formula_at(self.kind, pointer)

    def figure(self, pointer: str, row: Mapping[str, Any], of: Field) -> ReportFigure:
        """Return the figure of a field of a row, with what the answer says about it."""
        value, half_width = row.get(of.field), _sibling(row, of.field, "ci")
        if half_width is None:
            half_width = row.get("half_width")
        share = _sibling(row, of.field, "completeness")
        return {
            "number": 0,
            "value": _scaled(value, of.factor),
            "half_width": _scaled(half_width, abs(of.factor)),
            "uom": of.uom,
            "start": row.get("start", self.span.start),
            "end": row.get("end", self.span.end),
            "completeness": row.get("completeness") if share is None else share,
            "quality": row.get("quality"),
            "values": row.get("values"),
            "missing": list(row.get("missing", ())),
            "reason": _reason(row) if value is None else "",
            "address": f"{self.address}#{pointer}/{of.field}",
        }

    def lines(
        self,
        pointer: str,
        row: Mapping[str, Any],
        fields: Iterable[Field],
        remarks: Mapping[str, Name] | None = None,
    ) -> list[ReportLine]:
        """Return a line for each field of a row that the model can have a value of."""
        return [
            line(each.label, self.figure(pointer, row, each), (remarks or {}).get(each.field))
            for each in fields
        ]

    def chart(
        self,
        title: Name,
        of: Sequence[Field],
        *,
        form: str = "bars",
        where: Mapping[str, Any] | None = None,
        key: str = "items",
    ) -> ReportChart | None:
        """Return a chart of fields of the rows where some keys have some values; None without."""
        chosen = [
            (pointer, row)
            for pointer, row in self.rows(key)
            if all(row.get(each) == value for each, value in (where or {}).items())
        ]
        series = [_series(self, each, chosen) for each in of]
        if not any(value is not None for each in series for value in each["values"]):
            return None
        return {
            "type": "chart",
            "title": title,
            "form": "lines" if form == "lines" else "bars",
            "uom": of[0].uom,
            "address": self.address,
            "starts": [row["start"] for _, row in chosen],
            "series": series,
        }


def formula_at(kind: Any, pointer: str) -> str | None:
    """Return the formula of the figure at a pointer into an answer of a kind; None without one.

    It is read off the types, as the OpenAPI document is made of them: a schema takes far longer.
    """
    text = None
    for token in pointer.split("/")[1:]:
        within, named = None, False
        for part in _parts(kind):
            if get_origin(part) is list and token.isdecimal():
                (within,) = get_args(part)
            elif get_origin(part) is dict:
                within = get_args(part)[1]
            elif is_typeddict(get_origin(part) or part) and token in fields_of(part):
                within, named = fields_of(part)[token], True
        # What is in a list of figures has the formula of the list.
        own = next(_formulas(within), None)
        kind, text = within, own if named else own or text
    return text


def _parts(hint: Any) -> Iterator[Any]:
    """Yield the types that a type may stand for, without their notes."""
    origin = get_origin(hint)
    if origin in (Annotated, NotRequired, Required):
        yield from _parts(get_args(hint)[0])
    elif origin in (Union, UnionType):
        for each in get_args(hint):
            yield from _parts(each)
    else:
        yield hint


def _formulas(hint: Any) -> Iterator[str]:
    """Yield the formulas in the notes of a type, the last one first."""
    origin = get_origin(hint)
    if origin is Annotated:
        inner, *notes = get_args(hint)
        for note in reversed(notes):
            extra = getattr(note, "json_schema_extra", None)
            if isinstance(extra, dict) and "x-formula" in extra:
                yield str(extra["x-formula"])
        yield from _formulas(inner)
    elif origin in (Union, UnionType, NotRequired, Required):
        for each in get_args(hint):
            yield from _formulas(each)


def _series(reply: Reply, of: Field, chosen: Sequence[tuple[str, Any]]) -> ReportSeries:
    figures = [reply.figure(pointer, row, of) for pointer, row in chosen]
    return {
        "label": of.label,
        "values": [each["value"] for each in figures],
        "half_widths": [each["half_width"] for each in figures],
        "completeness": [each["completeness"] for each in figures],
        "quality": [each["quality"] for each in figures],
        "pointers": [each["address"].partition("#")[2] for each in figures],
    }


def _sibling(row: Mapping[str, Any], key: str, what: str) -> Any:
    """Return what belongs to a field: `mass_ci_kg` to `mass_kg`, `k1_ci` to `k1`."""
    words = key.split("_")
    for stop in range(len(words), 0, -1):
        for tail in (words[stop:], ()):
            other = "_".join([*words[:stop], what, *tail])
            if other in row:
                return row[other]
    return None


def _scaled(value: Any, factor: float) -> float | None:
    return None if value is None else float(f"{value * factor:.{DIGITS}g}")


def _reason(row: Mapping[str, Any]) -> str:
    """Return why a row has no value: its own words, or the inputs it lacks."""
    reason = row.get("reason") or ""
    lacking = [each for each in row.get("no_data", ()) if each not in reason]
    return "; ".join([each for each in (reason, *lacking) if each])


def line(label: Name, figure: ReportFigure | None, remark: Name | None = None) -> ReportLine:
    """Return a line of a table; without a figure it is the head of a group."""
    return {"label": label, "figure": figure, "remark": remark or NOTHING, "sums": 0}


async def read_replies(app: FastAPI, span: Span, addresses: Mapping[str, str]) -> dict[str, Reply]:
    """Return the answers at some addresses, by the same keys; equal addresses are asked once."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def reply_at(address: str) -> Reply:
        async with turns:
            return await read_reply(app, span, address)

    different = list(dict.fromkeys(addresses.values()))
    replies = dict(zip(different, await asyncio.gather(*map(reply_at, different)), strict=True))
    return {key: replies[address] for key, address in addresses.items()}


async def read_reply(app: FastAPI, span: Span, address: str) -> Reply:
    """Return the answer at an address."""
    answer = await ask(app, address)
    body = orjson.loads(answer.body)
    failed = answer.status != 200
    problem = str(body.get("detail", answer.status)) if failed else ""
    return Reply(address, {} if failed else body, problem, span, answer.kind)
