"""What all formats of a report share: its texts in one language, as sections of plain cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from api.reports.charts import draw
from api.reports.period import FINER
from api.reports.wording import (
    MISSING_MAX,
    interval_text,
    quality_text,
    remark_text,
    share_text,
    time_text,
    uom_text,
    value_text,
)

if TYPE_CHECKING:
    from api.reports.document import ReportChart, ReportDocument, ReportLine
    from api.reports.wording import Language

COLUMNS = {
    "zh": ("编号", "指标", "数值", "95% 区间", "单位", "完整率", "质量", "说明"),
    "en": ("No.", "Indicator", "Value", "± 95 %", "Unit", "Complete", "Quality", "Remarks"),
}
FACTS = {
    "zh": {"scope": "范围", "period": "期间", "state": "状态", "model": "园区模型版本",
           "digest": "内容摘要（SHA-256）"},
    "en": {"scope": "Scope", "period": "Period", "state": "State", "model": "Park model version",
           "digest": "Digest of the content (SHA-256)"},
}  # fmt: skip
STATES = {
    "zh": {True: "期间已结束，内容可逐字节重现", False: "期间尚未结束，数值仍会变化"},
    "en": {True: "closed: the content can be made again bit for bit",
           False: "the period goes on: figures will change"},
}  # fmt: skip
RESTATED = {
    "zh": ("数据重算", "自{since}以来，本期间内有 {count} 个位号的数据重算{first}：",
           "上一份存档报告（{}）", "期间开始"),
    "en": ("Restatements", "Since {since}, the sums of {count} tags were made anew{first}:",
           "the last stored report of it ({})", "the period began"),
}  # fmt: skip
# Rows of a file; all of them are in the answer as JSON.
RESTATED_MAX = 10
RESTATED_FIRST = {"zh": f"，列出前 {RESTATED_MAX} 个", "en": f"; the first {RESTATED_MAX}"}
RESTATED_COLUMNS = {
    "zh": ("位号", "次数", "时段", "最近重算"),
    "en": ("Tag", "Times", "Time", "Last made anew"),
}
NUMBERS = (*"一二三四五六七八九十", "十一", "十二")


class PlainLine(NamedTuple):
    """A line of a table of figures in one language; `sums` as in `ReportLine`."""

    cells: tuple[str, ...]  # by `COLUMNS`; of a head only the second
    address: str
    is_head: bool


def lines_of(lines: list[ReportLine], language: Language) -> list[PlainLine]:
    """Return the lines of a table of figures; tags that lack stand once in a run of lines."""
    result, lacking = [], list[str]()
    for each in lines:
        figure = each["figure"]
        known = figure is not None and figure["missing"] == lacking
        result.append(_line(each, language, 0 if known else MISSING_MAX))
        lacking = figure["missing"] if figure is not None else []
    return result


def _line(each: ReportLine, language: Language, most: int) -> PlainLine:
    figure, label = each["figure"], each["label"][language]
    if figure is None:
        remark = each["remark"][language]
        return PlainLine(("", label, "", "", "", "", "", remark), "", is_head=True)
    cells = (
        str(figure["number"]),
        label,
        value_text(figure, language),
        interval_text(figure),
        uom_text(figure["uom"], language),
        share_text(figure["completeness"]),
        quality_text(figure["quality"], language, is_known=figure["value"] is not None),
        remark_text(figure, each["remark"], language, most),
    )
    return PlainLine(cells, figure["address"], is_head=False)


def heading(number: int, title: str, language: Language) -> str:
    """Return the heading of a section with its number."""
    return f"{NUMBERS[number - 1]}、{title}" if language == "zh" else f"{number}. {title}"


def facts(document: ReportDocument, language: Language) -> list[tuple[str, str]]:
    """Return what the head of a report says: label and text."""
    words = FACTS[language]
    ends = f"{time_text(document['start'])} – {time_text(document['end'])}"
    name = document["name"][language]
    comma = "，" if language == "zh" else ", "
    pair = ("（", "）") if language == "zh" else (" (", ")")
    return [
        (words["scope"], f"{name}{comma}{document['scope']}"),
        (words["period"], f"{document['period']}{pair[0]}{ends}{pair[1]}"),
        (words["state"], STATES[language][document["closed"]]),
        (words["model"], str(document["model"])),
        (words["digest"], document["digest"]),
    ]


def restatement(document: ReportDocument, language: Language) -> tuple[str, str, list[list[str]]]:
    """Return title, sentence and rows about restated sums; rows are tag, times, and from when."""
    title, text, stored, begun = RESTATED[language]
    since = begun if document["since"] is None else stored.format(time_text(document["since"]))
    rows = [
        [each["tag"], str(each["times"]),
         f"{time_text(each['start'])} – {time_text(each['end'])}", time_text(each["last"])]
        for each in document["restated"]
    ]  # fmt: skip
    first = RESTATED_FIRST[language] if len(rows) > RESTATED_MAX else ""
    return title, text.format(since=since, count=len(rows), first=first), rows[:RESTATED_MAX]


def svg_of(chart: ReportChart, document: ReportDocument, language: Language) -> str:
    """Return a chart as SVG."""
    return draw(chart, FINER[window_of(document)], language)


def window_of(document: ReportDocument) -> str:
    """Return the window of the period of a report."""
    text = document["period"]
    if "/" in text:
        return "shift"
    if "Q" in text.upper() or "季" in text:
        return "quarter"
    return {4: "year", 7: "month"}.get(len(text), "day")


def title_of(document: ReportDocument, language: Language) -> str:
    """Return the title of a report."""
    gap = "" if language == "zh" else " · "
    return f"{document['name'][language]}{gap}{document['title'][language]} {document['period']}"


def sentences(document: ReportDocument, language: Language) -> list[dict[str, Any]]:
    """Return the sections of a report in one language: heading, texts and blocks."""
    return [
        {
            "heading": heading(number, section["title"][language], language),
            "texts": [text[language] for text in section["texts"]],
            "blocks": section["blocks"],
        }
        for number, section in enumerate(document["sections"], 1)
    ]
