"""The sections of the report of an industry: quartiles of those who make a product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.reports.document import ReportLine, ReportSection, name, rows, same, table
from api.reports.replies import Field, Reply
from api.reports.sections import group, missing_reply, section
from api.reports.wording import sentence, share_text

if TYPE_CHECKING:
    from collections.abc import Mapping


INDICATORS = {
    "mass_t": name("产量", "Output"),
    "energy_kwh": name("电力消费量", "Electricity used"),
    "energy_kgce": name("综合能耗（当量值）", "Comprehensive energy"),
    "kwh_per_t": name("单位产品电耗", "Electricity per tonne"),
    "kgce_per_t": name("单位产品综合能耗", "Energy per tonne"),
}
QUARTILES = {
    "minimum": name("最小值", "Least"),
    "lower_quartile": name("下四分位数", "Lower quartile"),
    "median": name("中位数", "Median"),
    "upper_quartile": name("上四分位数", "Upper quartile"),
    "maximum": name("最大值", "Greatest"),
    "whole": name("合计或加权平均", "All together, per tonne their mean"),
}
MEDIAN = "median"
# Amounts of a month in units that can be read.
LARGE = {"kWh": ("MWh", 1e-3), "kgce": ("tce", 1e-3)}


def boundary(reply: Reply) -> ReportSection:
    """Return who is in it, how far the data reach, and what is told of whom."""
    lines = [
        [INDICATORS[row["indicator"]], same(row["members"]), same(row["known"]),
         same(share_text(row["completeness"])), sentence(row["reason"])]
        for _, row in reply.rows()
    ]  # fmt: skip
    return section(
        name("范围、期间与数据质量", "Scope, period and quality of the data"),
        [
            rows(
                name("企业数与数据覆盖情况", "Enterprises, and how far the data reach"),
                [name("指标", "Indicator"), name("企业数", "Enterprises"),
                 name("有数值的企业数", "With a value"), name("最低完整率", "Least completeness"),
                 name("说明", "Remark")],
                lines,
            )
        ],
        name(
            "本报告不列企业名称。有数值的企业少于三家，或一家占比超过 80% 时不公布；少于五家时"
            "只公布中位数。",
            "No enterprise is named. Of fewer than three with a value, or where one has more than"
            " 80 %, nothing is told; of fewer than five the median alone.",
        ),
    )  # fmt: skip


def spread(reply: Reply, finer: Reply) -> ReportSection:
    """Return the quartiles of each indicator, and the medians over the period."""
    lines: list[ReportLine] = []
    for pointer, row in reply.rows():
        lines += group(INDICATORS[row["indicator"]], reply.lines(pointer, row, _fields(row)))
    charts = [
        finer.chart(
            INDICATORS[key], [Field(MEDIAN, QUARTILES[MEDIAN], uom)], form="lines",
            where={"indicator": key},
        )
        for key, uom in (("kwh_per_t", "kWh/t"), ("kgce_per_t", "kgce/t"))
    ]  # fmt: skip
    return section(
        name("行业分布", "Spread of the industry"),
        [
            table(name("各指标的四分位数", "Quartiles of the indicators"),
                  lines + missing_reply(reply)),
            *charts,
        ],
    )  # fmt: skip


def _fields(row: Mapping[str, Any]) -> list[Field]:
    """Return what is told of an indicator; the median with the reason where nothing is."""
    known = [key for key in QUARTILES if row[key] is not None]
    uom, factor = LARGE.get(row["uom"], (row["uom"], 1.0))
    return [Field(key, QUARTILES[key], uom, factor) for key in known or [MEDIAN]]
