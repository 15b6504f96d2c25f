"""Items of the online energy monitoring as CSV and XLSX: a row each, then the statement."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import xlsxwriter

from api.monitoring.statement import is_known, number_or_nan
from api.reports.wording import quality_text, sentence, word
from api.table import MARK, write_csv
from twin.reference import load as load_reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from api.monitoring.answer import MonitoringAnswer, MonitoringCheck, MonitoringRow
    from api.reports.wording import Language

HEAD = {
    "zh": ("企业", "路径", "统一社会信用代码", "编码", "编码来源", "项目", "能源品种", "产品",
           "开始", "结束", "数值", "95%半宽", "单位", "完整率", "质量", "完整率达标", "时段已结束",
           "取值方式", "数据来源", "说明"),
    "en": ("enterprise", "scope", "credit_code", "code", "code_origin", "item", "carrier",
           "product", "start", "end", "value", "half_width_95", "uom", "completeness", "quality",
           "complete", "final", "method", "source", "remark"),
}  # fmt: skip
WORDS = {
    "zh": {"metered": "计量", "entered": "填报", "mixed": "计量与填报", "none": "无", "own": "自编",
           "met": "符合", "not_met": "不符合", "undecided": "无法判定"},
    "en": {"none": "no source", "not_met": "not met"},
}  # fmt: skip
FLAGS: dict[Language, dict[bool | None, str]] = {
    "zh": {True: "是", False: "否", None: "–"},
    "en": {True: "yes", False: "no", None: "–"},
}
SHEETS = {"zh": ("项目", "数据质量声明"), "en": ("items", "data quality")}
WIDTHS = (20, 30, 20, 8, 8, 28, 14, 14, 22, 22, 16, 12, 10, 10, 14, 10, 10, 10, 40, 60)

Cell = str | float


def render_csv(answer: MonitoringAnswer, language: Language) -> bytes:
    """Return one table: a row for each item and window, then one for each rule and enterprise."""
    rows = [*_items(answer, language), *_checks(answer, language)]
    return (MARK + write_csv(HEAD[language], rows)).encode()


def render_xlsx(answer: MonitoringAnswer, language: Language) -> bytes:
    """Return a workbook of two sheets, the same bytes for the same answer."""
    content = io.BytesIO()
    book = xlsxwriter.Workbook(content, {"in_memory": True, "strings_to_formulas": False})
    made = datetime.fromisoformat(answer["end"]).astimezone(UTC).replace(tzinfo=None)
    book.set_properties({"created": made})
    head = book.add_format({"bold": True, "bg_color": "#eef3f7", "bottom": 1})
    tables = (_items(answer, language), _checks(answer, language))
    for name, rows in zip(SHEETS[language], tables, strict=True):
        sheet = book.add_worksheet(name)
        sheet.freeze_panes(1, 0)
        for column, (width, text) in enumerate(zip(WIDTHS, HEAD[language], strict=True)):
            sheet.set_column(column, column, width)
            sheet.write_string(0, column, text, head)
        for at, cells in enumerate(rows, 1):
            _write(sheet, at, cells)
    book.close()
    return content.getvalue()


def _write(sheet: Any, row: int, cells: list[Cell]) -> None:
    for column, value in enumerate(cells):
        if isinstance(value, str):
            sheet.write_string(row, column, value)
        else:
            sheet.write_number(row, column, value)


def _items(answer: MonitoringAnswer, language: Language) -> Iterator[list[Cell]]:
    names = {each["id"]: each for each in answer["catalogue"]}
    users = {each["scope"]: each for each in answer["users"]}
    for row in answer["items"]:
        item, user = names[row["item"]], users[row["scope"]]
        yield [
            user["name"][language], row["scope"], user["credit_code"], row["code"],
            _word(item["origin"], language), item["name"][language],
            _carrier(row["carrier"], language), word(row["product"])[language] if row["product"]
            else "", row["start"], row["end"], _number(row["value"]),
            _number(row["value_ci"]) if is_known(row["value"]) else "", row["uom"],
            _number(row["completeness"]),
            quality_text(row["quality"], language, is_known=is_known(row["value"])),
            FLAGS[language][row["complete"]], FLAGS[language][row["final"]],
            _word(row["method"], language), " ".join(row["tags"]), _remark(row, language),
        ]  # fmt: skip


def _checks(answer: MonitoringAnswer, language: Language) -> Iterator[list[Cell]]:
    users = {each["scope"]: each for each in answer["users"]}
    for check in answer["statement"]:
        user = users[check["scope"]]
        yield [
            user["name"][language], check["scope"], user["credit_code"], check["code"],
            _word("own", language), check["name"][language], "", "", answer["start"],
            answer["end"], _number(check["figure"]), "", "", "", "",
            _word(check["verdict"], language), "", "", " ".join(check["tags"]),
            _limit(check, language),
        ]  # fmt: skip


def _number(value: float | None) -> Cell:
    return number_or_nan(value) if is_known(value) else ""


def _word(key: str, language: Language) -> str:
    return WORDS[language].get(key, key)


def _carrier(carrier: str, language: Language) -> str:
    return str(load_reference("energy")[carrier]["name"][language]) if carrier else ""


def _remark(row: MonitoringRow, language: Language) -> str:
    """Return why a row has no value, or which tags have gaps."""
    if row["reason"] or not row["missing"]:
        return sentence(row["reason"])[language] if row["reason"] else ""
    return {"zh": "缺：", "en": "gaps: "}[language] + " ".join(row["missing"])


def _limit(check: MonitoringCheck, language: Language) -> str:
    """Return the limit of a rule, and why nothing is known of it."""
    texts = [sentence(check["reason"])[language]] if check["reason"] else []
    if is_known(check["limit"]):
        texts.insert(0, {"zh": "限值 ", "en": "limit "}[language] + f"{check['limit']:g}")
    return {"zh": "；", "en": "; "}[language].join(texts)


RENDER: dict[str, Callable[[MonitoringAnswer, Language], bytes]] = {
    "csv": render_csv,
    "xlsx": render_xlsx,
}
