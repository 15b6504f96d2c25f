"""A report as a Word document: styles that a clerk can edit, charts as pictures."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import docx
from docx.opc.constants import RELATIONSHIP_TYPE as RELATION_TYPE
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls, qn
from docx.shared import Cm, Pt, RGBColor

from api.reports.document import stamp_of
from api.reports.html import EXPLAIN, RIGHT
from api.reports.layout import (
    COLUMNS,
    RESTATED_COLUMNS,
    facts,
    lines_of,
    restatement,
    sentences,
    svg_of,
    title_of,
)
from api.reports.pdf import picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from api.reports.document import FigureTable, ReportDocument
    from api.reports.wording import Language

WIDTHS = {
    "zh": (1.0, 3.9, 2.4, 2.2, 1.6, 1.3, 1.7, 3.3),
    "en": (0.9, 3.3, 2.3, 2.1, 1.5, 1.5, 2.7, 3.1),
}
FONT = {"ascii": "Arial", "eastAsia": "宋体"}
HEAD_FONT = {"ascii": "Arial", "eastAsia": "黑体"}
# Of the cells of a table; what is usual takes half a centimetre of each column.
MARGINS = (
    '<w:tblCellMar><w:left w:w="57" w:type="dxa"/><w:right w:w="57" w:type="dxa"/></w:tblCellMar>'
)
CELL, CELL_ID = "Report Cell", "ReportCell"
WIDTH = 17.4
ZIP_TIME = (1980, 1, 1, 0, 0, 0)


def render(document: ReportDocument, language: Language, base: str = "") -> bytes:
    """Return a report as DOCX, the same bytes for the same report; raises ParkError like PDF."""
    text = docx.Document()
    _prepare(text, document, language)
    text.add_paragraph(title_of(document, language), style="Title")
    _texts(text, ("", ""), [list(fact) for fact in facts(document, language)])
    title, sentence, rows = restatement(document, language)
    if rows:
        text.add_heading(title, 1)
        text.add_paragraph(sentence)
        _texts(text, RESTATED_COLUMNS[language], rows)
    for section in sentences(document, language):
        text.add_heading(section["heading"], 1)
        for paragraph in section["texts"]:
            text.add_paragraph(paragraph).paragraph_format.keep_with_next = True
        for block in section["blocks"]:
            text.add_heading(block["title"][language], 2)
            if block["type"] == "chart":
                png = picture(svg_of(block, document, language))
                text.add_picture(io.BytesIO(png), width=Cm(17))
            elif block["type"] == "rows":
                head = [column[language] for column in block["columns"]]
                _texts(text, head, [[c[language] for c in row] for row in block["rows"]])
            else:
                _figures(text, block, language, base)
    content = io.BytesIO()
    text.save(content)
    return _same_times(content)


def _prepare(text: Any, document: ReportDocument, language: Language) -> None:
    """Set page, styles and properties."""
    page = text.sections[0]
    page.page_width, page.page_height = Cm(21), Cm(29.7)
    page.left_margin = page.right_margin = Cm(1.8)
    page.top_margin = page.bottom_margin = Cm(2)
    _set_font(text.styles["Normal"], FONT, 10.5)
    # Where a font lacks, programs take one with the marks of this language.
    spoken = text.styles.element.find(f".//{qn('w:lang')}")
    spoken.set(qn("w:eastAsia"), "zh-CN")
    for name, size in (("Title", 18), ("Heading 1", 14), ("Heading 2", 11)):
        _set_font(text.styles[name], HEAD_FONT, size)
    cell = text.styles.add_style(CELL, 1)
    cell.base_style = text.styles["Normal"]
    _set_font(cell, FONT, 8)
    cell.paragraph_format.space_after = Pt(0)
    footer = page.footer.paragraphs[0]
    footer.style = cell
    footer.text = f"SHA-256 {document['digest']}"
    properties = text.core_properties
    properties.title = title_of(document, language)
    properties.author = "parktwin"
    properties.comments = stamp_of(document)
    properties.language = "zh-CN" if language == "zh" else "en-GB"
    stamp = datetime.fromisoformat(document["end"]).astimezone(UTC).replace(tzinfo=None)
    properties.created = properties.modified = stamp


def _set_font(style: Any, fonts: dict[str, str], size: float) -> None:
    style.font.size = Pt(size)
    style.font.color.rgb = RGBColor(0x22, 0x22, 0x22)
    style.font.name = fonts["ascii"]
    names = style.element.rPr.rFonts
    for each in ("asciiTheme", "hAnsiTheme", "eastAsiaTheme", "cstheme"):
        names.attrib.pop(qn(f"w:{each}"), None)
    names.set(qn("w:eastAsia"), fonts["eastAsia"])


def _texts(text: Any, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Add a table of texts, its columns as wide as what is in them."""
    longest = [max(len(row[at].encode()) for row in [head, *rows]) for at in range(len(head))]
    parts = [min(max(length, 8), 60) for length in longest]
    widths = [WIDTH * part / sum(parts) for part in parts]
    lines = [_row(_cells(head, widths, bold=True), is_head=True)] if any(head) else []
    _add_table(text, widths, [*lines, *(_row(_cells(row, widths)) for row in rows)])


def _figures(text: Any, block: FigureTable, language: Language, base: str) -> None:
    """Add a table of figures; the number of each leads to its explanation."""
    widths = WIDTHS[language]
    lines = [_row(_cells(COLUMNS[language], widths, bold=True, right=RIGHT), is_head=True)]
    for line in lines_of(block["lines"], language):
        if line.is_head:
            head = _cell(line.cells[1], sum(widths[:-1]), bold=True, span=len(widths) - 1)
            cells = [head, _cell(line.cells[-1], widths[-1], bold=True)]
        else:
            cells = _cells(line.cells, widths, right=RIGHT)
            address = base + EXPLAIN + quote(line.address, safe="")
            relation = text.part.relate_to(address, RELATION_TYPE.HYPERLINK, is_external=True)
            cells[0] = _cell(line.cells[0], widths[0], right=True, link=relation)
        lines.append(_row(cells))
    _add_table(text, widths, lines)


def _add_table(text: Any, widths: Sequence[float], rows: Sequence[str]) -> None:
    """Add a table of rows as XML: what python-docx does for each cell takes seconds."""
    grid = "".join(f'<w:gridCol w:w="{_twips(width)}"/>' for width in widths)
    table = parse_xml(
        f'<w:tbl {nsdecls("w", "r")}><w:tblPr><w:tblStyle w:val="TableGrid"/>'
        f'<w:tblW w:w="{_twips(sum(widths))}" w:type="dxa"/><w:tblLayout w:type="fixed"/>{MARGINS}'
        f"</w:tblPr>"
        f"<w:tblGrid>{grid}</w:tblGrid>{''.join(rows)}</w:tbl>"
    )
    body = text.element.body
    body.insert(len(body) - 1, table)
    text.add_paragraph()


def _twips(width_cm: float) -> int:
    return round(width_cm * 567)


def _row(cells: Sequence[str], *, is_head: bool = False) -> str:
    head = "<w:tblHeader/>" if is_head else ""
    return f"<w:tr><w:trPr><w:cantSplit/>{head}</w:trPr>{''.join(cells)}</w:tr>"


def _cells(
    texts: Sequence[str], widths: Sequence[float], *, bold: bool = False, right: Sequence[int] = ()
) -> list[str]:
    return [
        _cell(text, width, bold=bold, right=at in right)
        for at, (text, width) in enumerate(zip(texts, widths, strict=True))
    ]


def _cell(
    text: str, width: float, *, bold: bool = False, right: bool = False, link: str = "",
    span: int = 1,
) -> str:  # fmt: skip
    """Return a cell as XML; `link` is the relation to an address, and a bold one a head."""
    marks = "<w:b/>" if bold else '<w:color w:val="00507E"/>' if link else ""
    run = f'<w:r><w:rPr>{marks}</w:rPr><w:t xml:space="preserve">{escape(text)}</w:t></w:r>'
    if link:
        run = f'<w:hyperlink r:id="{link}">{run}</w:hyperlink>'
    spans = f'<w:gridSpan w:val="{span}"/>' if span > 1 else ""
    side = '<w:jc w:val="right"/>' if right else ""
    # A head stands on the page of what follows.
    keep = "<w:keepNext/>" if bold else ""
    return (
        f'<w:tc><w:tcPr><w:tcW w:w="{_twips(width)}" w:type="dxa"/>{spans}</w:tcPr><w:p><w:pPr>'
        f'<w:pStyle w:val="{CELL_ID}"/>{keep}{side}</w:pPr>{run}</w:p></w:tc>'
    )


def _same_times(content: io.BytesIO) -> bytes:
    """Return a package with the same time for each of its files."""
    result = io.BytesIO()
    with zipfile.ZipFile(content) as old, zipfile.ZipFile(result, "w") as new:
        for item in old.infolist():
            entry = zipfile.ZipInfo(item.filename, ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(entry, old.read(item))
    return result.getvalue()
