"""The section of energy performance: what moved the energy, and where baselines expect it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.calculation.inline import address_of
from api.reports.document import ReportLine, ReportSection, name, rows, same, table
from api.reports.period import FINER
from api.reports.replies import Field, Reply, field, line
from api.reports.sections import group, missing_reply, section, with_sum
from api.reports.wording import joined, sentence, word
from twin.baseline.model import FREQUENCIES, Baseline
from twin.model.park import inside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from api.answers import Name
    from api.reports.document import FigureTable, ReportRows
    from api.reports.period import Span
    from api.reports.sections import Block, Replies
    from twin.model.park import Park

BRIDGES = {
    "bridge.electricity": name("电力", "Electricity"),
    "bridge.electricity_cost": name("电费", "Cost of electricity"),
    "bridge.coal_equivalent": name("综合能耗", "Comprehensive energy"),
}
BEFORE = name("上期平均每日能耗", "A mean day of the period before")
AFTER = name("本期平均每日能耗", "A mean day of this period")
CHANGE = name("变化", "Change")
EFFECTS = {
    "volume": name("产量", "Volume made"),
    "mix": name("装置间产量分配", "Share of each plant"),
    "intensity": name("单耗", "Energy per tonne"),
    "load": name("负荷（固定能耗分摊）", "Load: idle energy spread over it"),
    "conditions": name("工况（温度、品位等）", "Conditions, like temperature and grade"),
    "price": name("电价（费率与用电时段）", "Price, by tariff and hours of use"),
    "started_or_stopped": name("开停车", "Started or stopped"),
    "other": name("不归属产品的能耗", "Energy of no product"),
}
FINDINGS_MAX, CHANGES_MAX = 8, 5
BASELINE = (
    field("actual_mwh", "实际能耗", "Actual energy", "MWh"),
    field("expected_mwh", "基准期望能耗", "Energy the baseline expects", "MWh"),
    field("enpi", "绩效参数 EnPI（实际/期望）", "EnPI: actual / expected", "1"),
    field("saved_mwh", "节能量", "Saved", "MWh"),
)
CUSUM = (field("cusum_mwh", "累计偏差", "Cumulated deviation", "MWh"),)
LEVEL = name("每时段能耗变化", "Change of a window")


def questions_of_performance(
    path: str, span: Span, before: Span, baselines: Sequence[Baseline]
) -> dict[str, str]:
    """Return the addresses about energy performance: against the period before and baselines."""
    ends = {"from_": span.start, "to": span.end}
    since = {"base_from": before.start, "base_to": before.end}
    addresses = {
        key: address_of(f"scopes/{path}/bridge", measure=key.partition(".")[2], **ends, **since)
        for key in BRIDGES
    }
    for row in baselines:
        window = max(FINER[span.window], row.frequency, key=FREQUENCIES.index)
        own = f"scopes/{row.scope}/baselines/{row.id}"
        addresses[f"baseline.{row.id}"] = address_of(own, window=window, **ends)
    return addresses


def baselines_of(park: Park, path: str) -> list[Baseline]:
    """Return the baselines of a scope and all below it."""
    return [row for row in park.rows(Baseline) if inside(row.scope, path)]


def performance(replies: Replies, baselines: Sequence[Baseline]) -> ReportSection:
    """Return what moved the energy since the period before, and EnPI and CUSUM by baseline."""
    blocks: list[Block | None] = [_bridge(replies), _findings(replies)]
    lines: list[ReportLine] = []
    charts: list[Block | None] = []
    for row in baselines:
        reply = replies[f"baseline.{row.id}"]
        lines += _against(reply, _title(row))
        title = name(f"{_title(row)['zh']}：实际与期望之差的累计（CUSUM）",
                     f"{_title(row)['en']}: cumulated actual less expected (CUSUM)")  # fmt: skip
        charts.append(reply.chart(title, CUSUM, form="lines"))
    blocks += [table(name("与能源基准对照", "Against the energy baselines"), lines), *charts]
    return section(
        name("能源绩效与变化原因", "Energy performance, and what moved it"),
        blocks,
        name("与上一同类期间比较，均按平均每日计；各项之和等于变化。",
             "Compared with the period of the same kind before, each by its mean day; the parts "
             "add up to the change."),
    )  # fmt: skip


def _title(row: Baseline) -> Name:
    return name(row.name["zh"], row.name["en"]) if row.name else same(row.id)


def _bridge(replies: Replies) -> FigureTable:
    lines: list[ReportLine] = []
    for key, title in BRIDGES.items():
        reply = replies[key]
        lines += missing_reply(reply)
        if not reply.body:
            continue
        body = reply.body
        uom = body["uom"].replace("/day", "/d")
        base = {**body, "start": body["base_start"], "end": body["base_end"]}
        entries = [
            line(BEFORE, reply.figure("", base, Field("before", BEFORE, uom))),
            line(AFTER, reply.figure("", body, Field("after", AFTER, uom))),
        ]
        if body["change"] is None:
            # One line says why there is no bridge.
            entries = []
        parts = []
        for pointer, part in reply.rows("parts"):
            label = EFFECTS.get(part["effect"]) or word(part["effect"])
            known = {**part, "completeness": body["completeness"], "quality": body["quality"],
                     "half_width": part["ci"]}  # fmt: skip
            # An effect that the period did not have is no line.
            if part["value"]:
                of = Field("value", label, uom)
                parts.append(line(label, reply.figure(pointer, known, of)))
        change = line(CHANGE, reply.figure("", body, Field("change", CHANGE, uom)))
        lines += group(title, [*entries, *(with_sum(parts, change) if parts else [change])])
    return table(name("能耗变化的构成（每日）", "What moved the energy of a mean day"), lines)


def _findings(replies: Replies) -> ReportRows:
    """Return what the intervals decide, in words."""
    lines = [
        [title, name(row["zh"], row["en"])]
        for key, title in BRIDGES.items()
        for _, row in replies[key].rows("findings")[:FINDINGS_MAX]
    ]
    return rows(
        name("结论（95% 区间不含零）", "Findings whose 95 % interval excludes zero"),
        [name("能源", "Energy"), name("结论", "Finding")],
        lines,
    )


def _against(reply: Reply, title: Name) -> list[ReportLine]:
    """Return the energy of a period against a baseline, and when its level changed."""
    if not reply.body:
        return [line(title, None, sentence(reply.problem))]
    body = reply.body
    total = body["total"]
    state = name(f"模型第 {body['version']} 版", f"version {body['version']} of the model")
    taken = word("accepted" if body["accepted"] else "not_accepted")
    verdict = word(total["verdict"])
    remarks = {"expected_mwh": joined(state, taken), "saved_mwh": verdict}
    if total["verdict"] == "undecided":
        remarks["saved_mwh"] = joined(verdict, sentence(total["reason"]))
    lines = reply.lines("/total", total, BASELINE, remarks)
    for pointer, change in reply.rows("changes")[:CHANGES_MAX]:
        known = {**change, "end": body["items"][-1]["end"],
                 "completeness": total["completeness"], "quality": total["quality"]}  # fmt: skip
        since = change["start"][:10]
        label = name(f"自 {since} 起{LEVEL['zh']}", f"{LEVEL['en']}, from {since} on")
        of = Field("change_mwh", label, "MWh")
        lines.append(line(label, reply.figure(pointer, known, of)))
    return group(title, lines)
