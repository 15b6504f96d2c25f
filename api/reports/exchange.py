"""The table of pairing: what could go from whom to whom, what that gains, and when it pays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.reports.document import NOTHING, ReportLine, name, table
from api.reports.replies import Reply, field, line
from api.reports.wording import joined, sentence, word

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.answers import Name
    from api.reports.document import FigureTable
    from api.reports.names import ReportNames

FLOW = (
    field("flow_t_h", "流量", "Flow", "t/h"),
    field("gain_cny", "本期收益", "Gain in the period", "CNY"),
)
BUILT = (
    field("investment_cny", "管道等投资（所列）", "Investment, as stated", "CNY"),
    field("payback_years", "静态回收期", "Simple payback", "a"),
)


def pairing(reply: Reply, names: ReportNames) -> FigureTable:
    """Return the pairs of the allocation with the greatest gain, those that gain most first."""
    lines: list[ReportLine] = []
    for pointer, row in reply.rows():
        if not row["feasible"]:
            limits = row["contradictions"]
            texts = [name(each["zh"], each["en"]) for each in limits]
            lines.append(line(name("无可行匹配", "no feasible pairs"), None, joined(*texts)))
        ends = {"start": row["start"], "end": row["end"]}
        flows = sorted(enumerate(row["flows"]), key=lambda each: -(each[1]["gain_cny"] or 0.0))
        for at, flow in flows:
            lines += _pair(reply, f"{pointer}/flows/{at}", {**flow, **ends}, names)
    if reply.problem:
        lines.append(line(name("无数据", "no data"), None, sentence(reply.problem)))
    return table(name("副产供需匹配（收益最大的方案）", "Pairs with the greatest gain"), lines)


def _pair(
    reply: Reply, pointer: str, flow: Mapping[str, Any], names: ReportNames
) -> list[ReportLine]:
    """Return the lines of one pair; one line where its figures are withheld."""
    arrow, mode = names.flow(flow["resource"], flow["need"]), word(flow["mode"])
    km = "–" if flow["distance_km"] is None else f"{flow['distance_km']:.1f} km"
    head = name(f"{arrow['zh']}（{mode['zh']}，{km}）",
                f"{arrow['en']} ({mode['en'].lower()}, {km})")  # fmt: skip
    if flow["withheld"]:
        return [line(head, None, word("withheld"))]
    fields = FLOW if flow["investment_cny"] is None else (*FLOW, *BUILT)
    remarks: dict[str, Name] = {"flow_t_h": word(flow["basis"])}
    stated = flow["basis"] == "stated"
    trusted = {**flow, "missing": [], "completeness": None, "quality": None} if stated else flow
    return [line(head, None, NOTHING), *reply.lines(pointer, trusted, fields, remarks)]
