"""A report as a workbook: a sheet a section, native charts, formulas where a sum is shown."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import xlsxwriter

from api.reports.document import stamp_of
from api.reports.html import EXPLAIN
from api.reports.layout import (
    COLUMNS,
    RESTATED_COLUMNS,
    facts,
    lines_of,
    restatement,
    sentences,
    title_of,
    window_of,
)
from api.reports.period import FINER
from api.reports.wording import MISSING_ALL, decimals_of, moment_text, remark_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from api.reports.document import FigureTable, ReportChart, ReportDocument, ReportRows
    from api.reports.wording import Language

WIDTHS = (8, 38, 16, 14, 12, 10, 14, 60)
SUM = {"zh": "各时段之和", "en": "Sum of the above"}
TIME = {"zh": "时段", "en": "Time"}
CHART_ROWS, NAME_MAX = 16, 31
A4 = 9
COVER_WIDTHS = (34, 12, 40, 40)
LINE_POINTS = 15
CHINESE_FROM = 0x2E80
PLUS_MINUS = '"±"'
# Amounts add up over time, ratios do not.
ADDABLE = {"t", "kWh", "tce", "kg", "tCO₂", "GJ"}


class _Book:
    """A workbook under way: its formats, and the row at which each sheet goes on."""

    def __init__(self, document: ReportDocument, language: Language, base: str) -> None:
        self.content = io.BytesIO()
        self.book = xlsxwriter.Workbook(self.content, {"in_memory": True})
        made = datetime.fromisoformat(document["end"]).astimezone(UTC).replace(tzinfo=None)
        self.book.set_properties(
            {"title": title_of(document, language), "created": made,
             "comments": stamp_of(document)}
        )  # fmt: skip
        self.document, self.language, self.base = document, language, base
        self.head = self.book.add_format({"bold": True, "bg_color": "#eef3f7", "bottom": 1})
        self.title = self.book.add_format({"bold": True, "font_size": 13})
        self.group = self.book.add_format({"bold": True, "bg_color": "#f7f9fb"})
        self.top = self.book.add_format({"valign": "top"})
        self.wrap = self.book.add_format({"text_wrap": True, "valign": "top"})
        self.percent = self.book.add_format({"num_format": "0.0%", "valign": "top"})
        self.link = self.book.add_format({"font_color": "#00507e", "underline": 1})
        self._numbers: dict[str, Any] = {}

    def number(self, decimals: int, sign: str = "") -> Any:
        """Return the format of numbers with some decimals, and a sign before them."""
        form = sign + "#,##0" + ("." + "0" * decimals if decimals else "")
        if form not in self._numbers:
            self._numbers[form] = self.book.add_format({"num_format": form, "valign": "top"})
        return self._numbers[form]

    def sheet(self, name: str, widths: Sequence[int]) -> Any:
        """Return a new sheet; on paper it is as wide as a page."""
        sheet = self.book.add_worksheet(name)
        for column, width in enumerate(widths):
            sheet.set_column(column, column, width)
        sheet.set_paper(A4)
        sheet.set_landscape()
        sheet.fit_to_pages(1, 0)
        return sheet


def render(document: ReportDocument, language: Language, base: str = "") -> bytes:
    """Return a report as XLSX, the same bytes for the same report."""
    book = _Book(document, language, base)
    _cover(book)
    for section in sentences(document, language):
        heading = section["heading"].replace("/", " ").replace(":", " ")
        sheet = book.sheet(heading[:NAME_MAX], WIDTHS)
        sheet.write_string(0, 0, section["heading"], book.title)
        row = 2
        for text in section["texts"]:
            sheet.merge_range(row, 0, row, len(WIDTHS) - 1, text, book.wrap)
            _grow(sheet, row, [(text, sum(WIDTHS))])
            row += 2
        for block in section["blocks"]:
            sheet.write_string(row, 0, block["title"][language], book.title)
            row = WRITE[block["type"]](book, sheet, row + 1, block) + 1
    book.book.close()
    return book.content.getvalue()


def _cover(book: _Book) -> None:
    document, language = book.document, book.language
    sheet = book.sheet({"zh": "说明", "en": "About"}[language], COVER_WIDTHS)
    sheet.write_string(0, 0, title_of(document, language), book.title)
    row = 2
    for label, text in facts(document, language):
        sheet.write_string(row, 0, label)
        sheet.write_string(row, 1, text)
        row += 1
    title, text, rows = restatement(document, language)
    if rows:
        sheet.write_string(row + 1, 0, title, book.title)
        sheet.write_string(row + 2, 0, text)
        _texts(book, sheet, row + 3, RESTATED_COLUMNS[language], rows, COVER_WIDTHS)


def _texts(
    book: _Book, sheet: Any, row: int, head: Sequence[str], rows: Sequence[Sequence[str]],
    widths: Sequence[int], first: int = 0,
) -> int:  # fmt: skip
    """Write a table of texts from a column on; return the row below it."""
    for at, text in enumerate(head, first):
        sheet.write_string(row, at, text, book.head)
    for cells in rows:
        row += 1
        # The last one has the rest of the row, another one only its column.
        *inner, last = enumerate(cells, first)
        for at, text in inner:
            sheet.write_string(row, at, text, book.wrap)
        sheet.write_string(row, last[0], last[1], book.top)
        _grow(sheet, row, [(text, widths[at]) for at, text in inner])
    return row + 1


def _grow(sheet: Any, row: int, cells: Iterable[tuple[str, int]]) -> None:
    """Make a row as high as its wrapped texts in columns of some width; not all programs do."""
    lines = max((-(-_width(text) // width) for text, width in cells), default=1)
    if lines > 1:
        sheet.set_row(row, LINE_POINTS * lines)


def _width(text: str) -> int:
    """Return how wide a text is in digits: a Chinese character has two."""
    return sum(1 + (ord(character) >= CHINESE_FROM) for character in text)


def _rows(book: _Book, sheet: Any, row: int, block: ReportRows) -> int:
    language = book.language
    head = [column[language] for column in block["columns"]]
    texts = [[c[language] for c in r] for r in block["rows"]]
    # The first column has room for numbers only.
    return _texts(book, sheet, row, head, texts, WIDTHS, 1 if len(head) < len(WIDTHS) else 0)


def _figures(book: _Book, sheet: Any, row: int, block: FigureTable) -> int:
    """Write a table of figures, numbers as numbers and a sum as its formula."""
    for at, text in enumerate(COLUMNS[book.language]):
        sheet.write_string(row, at, text, book.head)
    for each, line in zip(block["lines"], lines_of(block["lines"], book.language), strict=True):
        row += 1
        figure = each["figure"]
        if figure is None:
            for at in range(len(WIDTHS)):
                sheet.write_string(row, at, line.cells[at], book.group)
            continue
        address = book.base + EXPLAIN + quote(line.address, safe="")
        # A workbook knows no address without a host.
        if book.base:
            sheet.write_url(row, 0, address, book.link, line.cells[0])
        else:
            sheet.write_number(row, 0, figure["number"], book.top)
        sheet.write_string(row, 1, line.cells[1], book.wrap)
        value = figure["value"]
        if value is None:
            sheet.write_string(row, 2, line.cells[2], book.top)
        else:
            form = book.number(decimals_of(value, figure["half_width"]))
            if each["sums"]:
                sheet.write_formula(row, 2, f"=SUM(C{row + 1 - each['sums']}:C{row})", form, value)
            else:
                sheet.write_number(row, 2, value, form)
            if figure["half_width"] is not None:
                sign = book.number(decimals_of(value, figure["half_width"]), PLUS_MINUS)
                sheet.write_number(row, 3, figure["half_width"], sign)
        sheet.write_string(row, 4, line.cells[4], book.top)
        if figure["completeness"] is not None:
            sheet.write_number(row, 5, figure["completeness"], book.percent)
        sheet.write_string(row, 6, line.cells[6], book.top)
        remark = remark_text(figure, each["remark"], book.language, MISSING_ALL)
        sheet.write_string(row, 7, remark, book.wrap)
        _grow(sheet, row, [(remark, WIDTHS[7]), (line.cells[1], WIDTHS[1])])
    return row + 1


def _chart(book: _Book, sheet: Any, row: int, block: ReportChart) -> int:
    """Write the data of a chart, their sums where they add up, and the chart beside them."""
    language, window = book.language, FINER[window_of(book.document)]
    first, count = row + 1, len(block["starts"])
    sheet.write_string(row, 1, TIME[language], book.head)
    for at, start in enumerate(block["starts"], first):
        sheet.write_string(at, 1, moment_text(start, window))
    kind = {"bars": "column", "lines": "line"}[block["form"]]
    chart = book.book.add_chart({"type": kind})
    for column, series in enumerate(block["series"], 2):
        sheet.write_string(row, column, f"{series['label'][language]} [{block['uom']}]", book.head)
        for at, value in enumerate(series["values"], first):
            if value is not None:
                sheet.write_number(at, column, value, book.number(decimals_of(value, None)))
        known = [value for value in series["values"] if value is not None]
        if block["uom"] in ADDABLE and known:
            letter = chr(ord("A") + column)
            formula = f"=SUM({letter}{first + 1}:{letter}{first + count})"
            sheet.write_formula(first + count, column, formula, book.number(1), sum(known))
        name = sheet.get_name()
        chart.add_series(
            {
                "name": [name, row, column],
                "categories": [name, first, 1, first + count - 1, 1],
                "values": [name, first, column, first + count - 1, column],
            }
        )
    if block["uom"] in ADDABLE:
        sheet.write_string(first + count, 1, SUM[language], book.head)
    axis = {"name": block["uom"], "major_gridlines": {"visible": True}}
    lowest = min(v for each in block["series"] for v in each["values"] if v is not None)
    # Bars begin at zero.
    chart.set_y_axis(axis | {"min": 0} if kind == "column" and lowest >= 0 else axis)
    chart.set_legend({"position": "top"})
    chart.set_size({"width": 720, "height": 280})
    sheet.insert_chart(row, len(block["series"]) + 3, chart)
    return max(first + count + 1, row + CHART_ROWS)


WRITE: dict[str, Callable[[_Book, Any, int, Any], int]] = {
    "figures": _figures,
    "rows": _rows,
    "chart": _chart,
}
