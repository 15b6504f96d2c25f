"""The figures of a report as CSV: one a row, with all that is said about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.reports.document import stamp_of
from api.reports.wording import MISSING_ALL, quality_text, remark_text
from api.table import MARK, write_csv

if TYPE_CHECKING:
    from collections.abc import Iterator

    from api.reports.document import ReportChart, ReportDocument, ReportLine
    from api.reports.wording import Language

HEAD = (
    "section", "table", "group", "indicator", "value", "half_width_95", "uom", "start", "end",
    "completeness", "quality", "basis", "remark", "address",
)  # fmt: skip


def render(document: ReportDocument, language: Language, _base: str = "") -> bytes:
    """Return the figures of a report, those of its charts as well; the last row is its stamp."""
    rows = [*_rows(document, language), [stamp_of(document)]]
    return (MARK + write_csv(HEAD, rows)).encode()


def _rows(document: ReportDocument, language: Language) -> Iterator[list[Any]]:
    for section in document["sections"]:
        for block in section["blocks"]:
            names = [section["title"][language], block["title"][language]]
            if block["type"] == "figures":
                yield from ([*names, *row] for row in _lines(block["lines"], language))
            elif block["type"] == "chart":
                end = document["end"]
                yield from ([*names, *row] for row in _points(block, end, language))


def _lines(lines: list[ReportLine], language: Language) -> Iterator[list[Any]]:
    group = ""
    for line in lines:
        figure, label = line["figure"], line["label"][language]
        if figure is None:
            group = label
            continue
        yield [
            group, label, figure["value"], figure["half_width"], figure["uom"],
            figure["start"], figure["end"], figure["completeness"],
            quality_text(figure["quality"], language, is_known=figure["value"] is not None),
            figure["values"] or "",
            remark_text(figure, line["remark"], language, MISSING_ALL), figure["address"],
        ]  # fmt: skip


def _points(chart: ReportChart, end: str, language: Language) -> Iterator[list[Any]]:
    ends = [*chart["starts"][1:], end]
    for series in chart["series"]:
        for at, (start, stop) in enumerate(zip(chart["starts"], ends, strict=True)):
            yield [
                "", series["label"][language], series["values"][at],
                series["half_widths"][at], chart["uom"], start, stop,
                series["completeness"][at],
                quality_text(series["quality"][at], language,
                             is_known=series["values"][at] is not None),
                "", "", f"{chart['address']}#{series['pointers'][at]}",
            ]  # fmt: skip
