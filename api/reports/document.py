"""The types of a report: sections of tables, rows and charts; every figure has an address."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

import orjson
from pydantic import Field
from typing_extensions import TypedDict

from api.answers import (
    HalfWidth,
    Name,
    Number,
    Rfc3339,
    Share,
    formula,
)
from api.restatements import Restatement

Kind = Literal["park", "enterprise", "industry", "shift"]


class ReportFigure(TypedDict):
    """A figure of an answer; `address` is the answer's, with a JSON pointer behind `#`."""

    number: Annotated[int, Field(description="by which the report names it; 0 = not numbered yet")]
    value: Annotated[Number, formula("the figure of the answer at `address`, in `uom`")]
    half_width: HalfWidth
    uom: str
    start: Rfc3339
    end: Rfc3339
    completeness: Annotated[Share, formula("of the figure, as in its own answer")]
    quality: int | None
    values: Annotated[str | None, Field(description="reconciled or measured")]
    missing: list[str]
    reason: str
    address: str


class ReportLine(TypedDict):
    """A line of a table: a figure, the sum of those above it, or the head of a group."""

    label: Name
    figure: ReportFigure | None
    remark: Name
    sums: Annotated[int, Field(description="how many lines above it add up to it; 0 = none")]


class FigureTable(TypedDict):
    """Figures, one a line."""

    type: Literal["figures"]
    title: Name
    lines: list[ReportLine]


class ReportRows(TypedDict):
    """Rows of words."""

    type: Literal["rows"]
    title: Name
    columns: list[Name]
    rows: list[list[Name]]


class ReportSeries(TypedDict):
    """One series of a chart; its pointers stand behind the address of the chart."""

    label: Name
    values: Annotated[list[Number], formula("the figures at `pointers`, in the uom of the chart")]
    half_widths: list[HalfWidth]
    completeness: Annotated[list[Share], formula("of the figures, as in their own answer")]
    quality: list[int | None]
    pointers: list[str]


class ReportChart(TypedDict):
    """Figures over time."""

    type: Literal["chart"]
    title: Name
    form: Literal["bars", "lines"]
    uom: str
    address: str
    starts: list[Rfc3339]
    series: list[ReportSeries]


class ReportSection(TypedDict):
    """A section of a report."""

    title: Name
    texts: list[Name]
    blocks: list[FigureTable | ReportRows | ReportChart]


class ReportDocument(TypedDict):
    """A report of a scope and a period.

    The digest is the SHA-256 of everything above it: it does not depend on language or format.
    """

    kind: Kind
    scope: str
    name: Name
    title: Name
    period: str
    start: Rfc3339
    end: Rfc3339
    closed: Annotated[bool, Field(description="the period is over, and its data are expected")]
    model: Annotated[int, Field(description="version of the park model")]
    sections: list[ReportSection]
    digest: str
    restated: Annotated[
        list[Restatement],
        Field(description="inside the period, since the last stored report of it"),
    ]
    since: Annotated[
        Rfc3339 | None,
        Field(description="time of the last stored report of it; null = all restatements"),
    ]


# What the digest is not about: it changes while the figures stay.
OUTSIDE = ("digest", "restated", "since")


def digest_of(document: ReportDocument) -> str:
    """Return the SHA-256 of the content of a report."""
    content = {name: value for name, value in document.items() if name not in OUTSIDE}
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def figures_of(document: ReportDocument) -> Iterator[tuple[ReportLine, ReportFigure]]:
    """Yield the figures of the tables of a report in their order, with their lines."""
    return figures_in(document["sections"])


def figures_in(sections: Iterable[ReportSection]) -> Iterator[tuple[ReportLine, ReportFigure]]:
    """Yield the figures of the tables of sections in their order, with their lines."""
    for section in sections:
        for block in section["blocks"]:
            if block["type"] == "figures":
                for line in block["lines"]:
                    if line["figure"] is not None:
                        yield line, line["figure"]


def finish(document: ReportDocument) -> ReportDocument:
    """Return a report with the numbers of its figures and its digest."""
    for number, (_, figure) in enumerate(figures_of(document), 1):
        figure["number"] = number
    document["digest"] = digest_of(document)
    return document


def name(zh: str, en: str) -> Name:
    """Return a text in both languages."""
    return {"zh": zh, "en": en}


def same(text: Any) -> Name:
    """Return a text that is the same in both languages."""
    return name(str(text), str(text))


NOTHING = same("")


def rows(title: Name, columns: list[Name], lines: list[list[Name]]) -> ReportRows:
    """Return rows of words."""
    return {"type": "rows", "title": title, "columns": columns, "rows": lines}


def table(title: Name, lines: list[ReportLine]) -> FigureTable:
    """Return a table of figures."""
    return {"type": "figures", "title": title, "lines": lines}


def stamp_of(document: ReportDocument) -> str:
    """Return the line by which the file of a report is known again: it stands in its properties."""
    words = (document["kind"], document["scope"], document["period"], document["digest"])
    return f"parktwin-report {' '.join(words)}"
