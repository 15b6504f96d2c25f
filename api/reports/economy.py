"""Sections of what costs and what binds: consumption, demand, permits by month, benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.reports.document import NOTHING, ReportLine, ReportSection, name, rows, same, table
from api.reports.names import dotted
from api.reports.replies import Field, Reply, field, line
from api.reports.sections import group, having, missing_reply, section, with_sum
from api.reports.wording import joined, listed, sentence, time_text, word

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from api.answers import Name
    from api.reports.document import FigureTable, ReportRows
    from api.reports.names import ReportNames
    from api.reports.sections import Replies

MEASURES = (
    field("coal_equivalent_kgce", "折标准煤（当量值）", "Coal equivalent", "tce", 1e-3),
    field("cost_cny", "能源费用", "Cost", "CNY"),
    field("co2_t", "二氧化碳排放", "Carbon dioxide", "tCO₂"),
)
COST = MEASURES[1]
DEMAND = (
    field("max_demand_kw", "最大需量", "Largest demand", "kW"),
    field("contracted_kw", "合同需量", "Contracted demand", "kW"),
    field("headroom_kw", "余量", "Headroom", "kW"),
)
PERMIT = field("permit_t", "年许可排放量", "Permit of the year", "t")
USED = field("used_t", "年初至今累计", "Used since the year began", "t")
BURN_DOWN = (
    field("emitted_t", "本月排放量", "Emitted in the month", "t"),
    field("substituted_t", "其中替代数据", "Of it substituted", "t"),
    USED,
    field("allowance_t", "按时间进度的许可量", "Permit by the time that has passed", "t"),
    field("remaining_t", "剩余许可量", "Remaining of the permit", "t"),
)
TOTAL = "total"
OWN_POWER = "own_power"
PRICED_OWN = name("含自发自用电量的计价", "own power is priced as well")
NET = name("净值：自产多于计量的消费", "net: more was made than meters of users show")
TOO_LITTLE = "too little of the year so far is known"
UNKNOWN_MONTH = "nothing is known of this month"
UNKNOWN = "nothing is known of the year so far"


def costs(replies: Replies, names: ReportNames) -> ReportSection:
    """Return consumption with its cost by carrier, bills, and the demand against the contract."""
    reply = replies["consumption"]
    one = len({row["start"] for _, row in reply.rows()}) == 1
    chart = None
    if not one:
        chart = reply.chart(name("各月能源费用", "Cost by month"), [COST], where={"carrier": TOTAL})
    return section(
        name("能源费用与需量", "Cost of energy and demand"),
        [
            table(name("各能源品种的消费与费用", "Consumption and cost by carrier"),
                  _carriers(reply, with_month=not one) + missing_reply(reply)),
            chart,
            table(name("电费账单", "Bills of electricity"),
                  _bills(reply, names, with_month=not one)),
            _demand(replies["demand"]) if "demand" in replies else None,
        ],
    )  # fmt: skip


def _head(row: Mapping[str, Any], text: Name, *, with_month: bool) -> Name:
    if not with_month:
        return text
    month = row["start"][:7]
    return dotted([same(month), text])


def _carriers(reply: Reply, *, with_month: bool) -> list[ReportLine]:
    lines: list[ReportLine] = []
    for pointer, row in reply.rows():
        if with_month and row["carrier"] != TOTAL:
            continue
        large = row["uom"] == "kWh"
        uom, factor = ("MWh", 1e-3) if large else (row["uom"], 1.0)
        amount = Field("amount", name("消费量", "Amount"), uom, factor)
        fields = having(row, (amount, *MEASURES) if row["uom"] else MEASURES)
        if not row["completeness"]:
            # The cost of nothing measured is 0, and means nothing.
            fields = [each for each in fields if row[each.field] is None]
        head = _head(row, word(row["carrier"]), with_month=with_month)
        own = any(each["item"] == OWN_POWER and each["cny"] for each in row["bill"])
        remarks = {
            "amount": NET if (row["amount"] or 0.0) < 0 else NOTHING,
            "cost_cny": PRICED_OWN if own else NOTHING,
        }
        lines += group(head, reply.lines(pointer, row, fields, remarks))
    return lines


def _bills(reply: Reply, names: ReportNames, *, with_month: bool) -> list[ReportLine]:
    """Return the items of the bills with their amounts of money."""
    lines: list[ReportLine] = []
    for pointer, row in reply.rows():
        entries: dict[str, list[ReportLine]] = {}
        for at, each in enumerate(row["bill"] if row["completeness"] else ()):
            known = {**each, "start": row["start"], "end": row["end"],
                     "completeness": row["completeness"], "quality": row["quality"]}  # fmt: skip
            figure = reply.figure(f"{pointer}/bill/{at}", known, Field("cny", NOTHING, "CNY"))
            entries.setdefault(each["supply"], []).append(line(word(each["item"]), figure))
        for supply, items in entries.items():
            # The last item is their total.
            summed = with_sum(items[:-1], items[-1])
            lines += group(_head(row, names.scope(supply), with_month=with_month), summed)
    return lines


def _demand(reply: Reply) -> FigureTable:
    lines: list[ReportLine] = []
    for pointer, row in reply.rows():
        moment = time_text(row["at"]) if row["at"] else ""
        at = name(f"出现于 {moment}", f"at {moment}") if moment else NOTHING
        verdict = word(row["verdict"]) if row["verdict"] else NOTHING
        remarks = {"max_demand_kw": at, "headroom_kw": verdict}
        fields = [each for each in DEMAND if row[each.field] is not None]
        lines += group(same(row["start"][:7]), reply.lines(pointer, row, fields, remarks))
    return table(
        name("最大需量与合同", "Largest demand against the contract"), lines + missing_reply(reply)
    )


def burn_down(reply: Reply, names: ReportNames) -> list[FigureTable | ReportRows]:
    """Return what was used of each permit up to the last month of a period."""
    lines: list[ReportLine] = []
    unknown: list[Name] = []
    for pointer, row in reply.rows("permits"):
        months = row["months"]
        at = _last_month(months["start"], reply.span.end)
        if at is None:
            continue
        one = {key: column[at] for key, column in months.items()}
        one |= {"end": reply.span.end, "reason": UNKNOWN_MONTH}
        head = names.permit(row["scope"], row["outlets"], row["pollutant"], row["year"])
        if all(value is None for value in months["emitted_t"][: at + 1]):
            unknown.append(head)
            continue
        # Without the use there is nothing that remains.
        used = [each for each in BURN_DOWN[1:] if one[each.field] is not None or each is USED]
        entries = [
            _of_month(reply, f"{pointer}/months", at, one, each) for each in (BURN_DOWN[0], *used)
        ]
        legal = NOTHING if row["legal"] else name("参考值，非法定限值", "reference, no legal limit")
        # Quality and completeness of the row are those of the year so far.
        stated = reply.figure(pointer, {"permit_t": row["permit_t"]}, PERMIT)
        lines += group(head, [line(PERMIT.label, stated, legal), *entries])
    return [
        table(
            name("许可排放量按月使用情况（截至期末月）", "Use of the permits up to the last month"),
            lines + missing_reply(reply),
        ),
        rows(
            name("没有数据的许可", "Permits of which nothing is known"),
            [name("许可", "Permits"), name("原因", "Reason")],
            [[listed(unknown), sentence(UNKNOWN)]] if unknown else [],
        ),
    ]


def _last_month(starts: Sequence[str], end: str) -> int | None:
    """Return the number of the last month that begins before an end; None without any."""
    before = [at for at, start in enumerate(starts) if start < end]
    return before[-1] if before else None


def _of_month(reply: Reply, pointer: str, at: int, one: Mapping[str, Any], of: Field) -> ReportLine:
    """Return the line of a column of months."""
    completeness, quality = one["completeness"], one["quality"]
    reason = one["reason"]
    if of.field in ("used_t", "remaining_t"):
        completeness, quality, reason = one["known"], one["used_quality"], TOO_LITTLE
    if of.field == "allowance_t":
        # What the calendar alone allows is not measured.
        completeness = quality = None
    trusted = {**one, "completeness": completeness, "quality": quality, "reason": reason}
    figure = reply.figure(pointer, trusted, of)
    figure["half_width"] = one["half_width_t"] if of.field == "emitted_t" else None
    figure["address"] += f"/{at}"
    return line(of.label, figure)


def benchmark(reply: Reply, names: ReportNames) -> list[FigureTable | ReportRows]:
    """Return the indicators of parks side by side, and those without a value."""
    lines: list[ReportLine] = []
    unknown: list[list[Name]] = []
    for pointer, row in reply.rows():
        entries = []
        without: dict[str, list[Name]] = {}
        for at, each in enumerate(row["parks"]):
            label = names.scope(each["scope"])
            if each["value"] is None:
                without.setdefault(each["reason"], []).append(label)
                continue
            # Of one park alone it would say nothing.
            placed = each["rank"] if len(row["parks"]) > 1 else None
            rank = name(f"第 {placed} 位", f"rank {placed}") if placed else NOTHING
            against = f"{each['compared']}_than_park" if each["compared"] else ""
            remark = joined(word(against) if against else NOTHING, rank)
            of = Field("value", label, row["uom"])
            entries += reply.lines(f"{pointer}/parks/{at}", each, [of], {"value": remark})
        lines += group(row["name"], entries)
        unknown += [[row["name"], listed(labels), sentence(reason)]
                    for reason, labels in without.items()]  # fmt: skip
    return [
        table(name("与标杆园区对照", "Against the benchmark park"), lines + missing_reply(reply)),
        rows(name("本期没有数值的指标", "Indicators without a value in this period"),
             [name("指标", "Indicator"), name("园区", "Park"), name("原因", "Reason")], unknown),
    ]  # fmt: skip
