"""A report as one page of HTML without anything from elsewhere, for screen and printer."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote

from api.reports.document import stamp_of
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

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from api.reports.document import (
        FigureTable,
        ReportChart,
        ReportDocument,
        ReportRows,
    )
    from api.reports.wording import Language

STYLE = """
body{font:15px/1.6 "Noto Sans CJK SC","Noto Sans SC","Source Han Sans SC","PingFang SC",
"Microsoft YaHei",sans-serif;color:#222;max-width:62em;margin:2em auto;padding:0 1em;
line-break:strict;text-align:left}
:lang(en) body,td.u{font-family:system-ui,"Segoe UI",Arial,sans-serif}
h1{font-size:1.6em;margin:0 0 .6em}h2{font-size:1.2em;margin:2em 0 .5em;
border-bottom:2px solid #0072b2}h3{font-size:1em;margin:1.2em 0 .4em}
table{border-collapse:collapse;width:100%;font-size:13px}th,td{padding:.25em .5em;
border-bottom:1px solid #ddd;text-align:left;vertical-align:top}
th{background:#eef3f7;white-space:nowrap}td.n{text-align:right;white-space:nowrap;
font-variant-numeric:tabular-nums}th.n{text-align:right}td.u{white-space:nowrap}
.f th:nth-child(2){width:24%}.f th:last-child{width:30%}tr.g td{font-weight:600;background:#f7f9fb}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2em 1em}dd{margin:0;
overflow-wrap:anywhere}svg{max-width:100%;height:auto}td{overflow-wrap:anywhere}
@media screen and (max-width:60em){table{display:block;overflow-x:auto}}
@media print{body{max-width:none;margin:0;font-size:10pt}h2{break-after:avoid}
h3{break-after:avoid}tr,svg{break-inside:avoid}thead{display:table-header-group}}
"""
# What a browser that shows it may use: its style and nothing else.
POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}';"
    " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
EXPLAIN = "/api/v1/explain?figure="
RIGHT, WHOLE = (0, 2, 3, 5), (4, 6)


def render(document: ReportDocument, language: Language, base: str = "") -> bytes:
    """Return a report as HTML; `base` stands before the addresses of explanations."""
    title = escape(title_of(document, language))
    parts = [
        (
            f'<!doctype html><html lang="{"zh-CN" if language == "zh" else "en"}"><head>'
            f'<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f'<meta name="description" content="{stamp_of(document)}"><title>{title}</title>'
            f"<style>{STYLE}</style></head><body><h1>{title}</h1><dl>"
        ),
        *(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts(document, language)),
        "</dl>",
        *_restated(document, language),
    ]
    for section in sentences(document, language):
        parts.append(f"<h2>{escape(section['heading'])}</h2>")
        parts += [f"<p>{escape(text)}</p>" for text in section["texts"]]
        for block in section["blocks"]:
            parts.append(f"<h3>{escape(block['title'][language])}</h3>")
            if block["type"] == "chart":
                parts.append(_chart(block, document, language))
            elif block["type"] == "rows":
                parts += _rows(block, language)
            else:
                parts += _figures(block, language, base)
    return "".join([*parts, "</body></html>\n"]).encode()


def _chart(block: ReportChart, document: ReportDocument, language: Language) -> str:
    return f"<figure>{svg_of(block, document, language)}</figure>"


def _rows(block: ReportRows, language: Language) -> Iterable[str]:
    head = [column[language] for column in block["columns"]]
    yield from table_of(head, [[cell[language] for cell in row] for row in block["rows"]])


def table_of(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """Yield a table of texts."""
    yield "<table><thead><tr>"
    yield from (f"<th>{escape(text)}</th>" for text in head)
    yield "</tr></thead><tbody>"
    for row in rows:
        yield f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>"
    yield "</tbody></table>"


def _figures(block: FigureTable, language: Language, base: str) -> Iterable[str]:
    yield '<table class="f"><thead><tr>'
    yield from (f"<th{_class(at)}>{escape(text)}</th>" for at, text in enumerate(COLUMNS[language]))
    yield "</tr></thead><tbody>"
    for line in lines_of(block["lines"], language):
        if line.is_head:
            span = f'<td colspan="7">{escape(line.cells[1])}</td><td>{escape(line.cells[7])}</td>'
            yield f'<tr class="g">{span}</tr>'
            continue
        link = escape(base + EXPLAIN + quote(line.address, safe=""))
        number = f'<a href="{link}">{line.cells[0]}</a>'
        cells = enumerate([number, *map(escape, line.cells[1:])])
        yield f"<tr>{''.join(f'<td{_class(at)}>{cell}</td>' for at, cell in cells)}</tr>"
    yield "</tbody></table>"


def _class(column: int) -> str:
    """Return the class of the cells of a column: of numbers, of one line, or none."""
    return ' class="n"' if column in RIGHT else ' class="u"' if column in WHOLE else ""


def _restated(document: ReportDocument, language: Language) -> Iterable[str]:
    title, text, rows = restatement(document, language)
    if rows:
        yield f"<h2>{escape(title)}</h2><p>{escape(text)}</p>"
        yield from table_of(RESTATED_COLUMNS[language], rows)
