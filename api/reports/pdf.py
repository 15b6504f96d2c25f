"""A report as PDF, and its charts as PNG, both set by Typst with a font of the machine."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson
import typst

from api.reports.document import stamp_of
from api.reports.html import EXPLAIN
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
from twin.errors import ParkError

if TYPE_CHECKING:
    from api.reports.document import FigureTable, ReportChart, ReportDocument, ReportRows
    from api.reports.wording import Language

TEMPLATE = Path(__file__).with_name("report.typ")
FONTS = ("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Zen Hei")
PPI = 180


@cache
def _fonts() -> typst.Fonts:
    """Return the fonts of the machine; raises ParkError where none has Chinese."""
    fonts = typst.Fonts()
    if not set(FONTS) & set(fonts.families()):
        raise ParkError(
            "no font with Chinese characters is installed",
            hint="apt-get install fonts-noto-cjk, or put Noto Sans SC into ~/.local/share/fonts",
        )
    return fonts


def render(document: ReportDocument, language: Language, base: str = "") -> bytes:
    """Return a report as PDF; raises ParkError without a Chinese font."""
    title, text, rows = restatement(document, language)
    head = list(RESTATED_COLUMNS[language])
    content = {
        "language": language,
        "title": title_of(document, language),
        "period": document["period"],
        "digest": document["digest"],
        "stamp": stamp_of(document),
        "columns": COLUMNS[language],
        "facts": facts(document, language),
        "restated": {"title": title, "text": text, "head": head, "rows": rows},
        "sections": [
            {**section, "blocks": [_block(b, document, language, base) for b in section["blocks"]]}
            for section in sentences(document, language)
        ],
    }
    stamp = datetime.fromisoformat(document["end"])
    pages = typst.compile(
        TEMPLATE.read_bytes(),
        font_paths=_fonts(),
        format="pdf",
        sys_inputs={"report": orjson.dumps(content).decode()},
        timestamp=stamp,
    )
    assert isinstance(pages, bytes)
    return pages


def _block(
    block: FigureTable | ReportRows | ReportChart,
    document: ReportDocument,
    language: Language,
    base: str,
) -> dict[str, Any]:
    common = {"type": block["type"], "title": block["title"][language]}
    if block["type"] == "chart":
        return {**common, "svg": svg_of(block, document, language)}
    if block["type"] == "rows":
        head = [column[language] for column in block["columns"]]
        return {**common, "head": head, "rows": [[c[language] for c in r] for r in block["rows"]]}
    lines = [
        {"cells": line.cells, "address": base + EXPLAIN + quote(line.address, safe=""),
         "head": line.is_head}
        for line in lines_of(block["lines"], language)
    ]  # fmt: skip
    return {**common, "lines": lines}


def picture(svg: str) -> bytes:
    """Return a chart as PNG; raises ParkError without a Chinese font."""
    source = (
        "#set page(width: auto, height: auto, margin: 0pt)\n"
        '#image(bytes(sys.inputs.svg), format: "svg")'
    )
    png = typst.compile(
        source.encode(), font_paths=_fonts(), format="png", ppi=PPI, sys_inputs={"svg": svg}
    )
    assert isinstance(png, bytes)
    return png
