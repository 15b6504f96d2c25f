"""Findings about energy in words, in two languages, of figures whose interval excludes 0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from api.answers import (
    formula,
)
from twin.arrays import DAY_S
from twin.baseline.bridge import EFFECTS, idle_load
from twin.reference import load

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from api.energy import AgeingRow
    from twin.baseline.model import Baseline, BaselineModel
    from twin.model.park import Park

FINDINGS_MAX = 20
MONTH_DAYS = 365.25 / 12
MWH = 3.6e9
WORDS = {
    "volume": ("产量", "the volume made"),
    "mix": ("装置间产量分配", "the share of this plant in the product"),
    "intensity": ("单耗", "its energy per tonne"),
    "load": ("负荷（固定能耗分摊）", "its load, by the idle energy spread over it,"),
    "conditions": ("工况（温度、品位等）", "its conditions, like temperature and grade,"),
    "price": ("电价（费率与用电时段）", "the price it pays, by tariff and hours of use,"),
    "started_or_stopped": ("开停车", "its start or stop"),
}
MEASURES = {
    "electricity": ("电耗", "electricity"),
    "coal_equivalent": ("综合能耗", "comprehensive energy"),
    "electricity_cost": ("电费", "cost of electricity"),
}


class Finding(TypedDict):
    """A finding in words; its figure excludes 0 with its interval of 95 %."""

    kind: Literal["effect", "ageing", "idle_load"]
    scope: str
    subject: Annotated[str, Field(description="effect, electrolyser, or baseline")]
    zh: str
    en: str
    value: Annotated[float, formula("the figure of its kind, as in the answer it is of")]
    ci: Annotated[float, formula("half width, 95 %")]
    uom: str


class Effect(NamedTuple):
    """An effect on a product of a plant, and how much it is [uom]."""

    scope: str
    product: str
    name: str
    value: float
    ci: float
    before: float


def effect_findings(park: Park, measure: str, uom: str, effects: Iterable[Effect]) -> list[Finding]:
    """Return the findings of effects that are sure, the largest first."""
    least = load("baselines")["finding"]["share"]
    sure = [
        each
        for each in effects
        if abs(each.value) > each.ci and abs(each.value) >= least * each.before
    ]
    sure.sort(key=lambda each: -abs(each.value))
    return [_effect(park, measure, uom, each) for each in sure[:FINDINGS_MAX]]


def _effect(park: Park, measure: str, uom: str, effect: Effect) -> Finding:
    zh, en = _names(park, effect.scope)
    (cause_zh, cause_en), (energy_zh, energy_en) = WORDS[effect.name], MEASURES[measure]
    size, share = _stated(abs(effect.value), 3), ""
    moved = ("增加", "raised") if effect.value > 0 else ("减少", "lowered")
    if effect.before > 0:
        share = f"{effect.value / effect.before:+.1%}"
    width = f"±{_stated(effect.ci, 2)}"
    return {
        "kind": "effect",
        "scope": effect.scope,
        "subject": effect.name,
        "zh": f"{zh}（{effect.product}）：{cause_zh}使{energy_zh}{moved[0]} {size} {_zh(uom)}"
        f"（{share or '新开'}，{width}）",
        "en": f"{en} ({effect.product}): {cause_en} {moved[1]} its {energy_en} by {size} {uom}"
        f" ({share or 'new'}, {width})",
        "value": effect.value,
        "ci": effect.ci,
        "uom": uom,
    }


def ageing_findings(
    rows: Sequence[AgeingRow], scopes: dict[str, str], made_t: dict[str, float], years: float
) -> list[Finding]:
    """Return what ageing of electrolysers costs since the period before, where it is sure.

    `made_t` is what each makes in a day, `years` lie between the middles of the periods.
    """
    findings: list[Finding] = []
    for row in rows:
        slope, width = row["dc_kwh_per_t_per_year"], row["dc_kwh_per_t_per_year_ci"]
        cell = row["electrolyser"]
        made = made_t.get(cell, float("nan"))
        if slope is None or width is None or not abs(slope) > width or not made > 0:
            continue
        monthly = [each * years * made * MONTH_DAYS / 1000 for each in (slope, width)]
        moved = ("上升", "rose") if slope > 0 else ("下降", "fell")
        per_tonne, cost = (
            f"{_stated(abs(slope * years), 3)} kWh/t",
            f"{_stated(monthly[0], 3, '+')} MWh",
        )
        k = f"{_stated(row['k_per_year_v_m2_ka'] or 0.0, 3, '+')} V·m²/kA"
        findings.append({
            "kind": "ageing",
            "scope": scopes[cell],
            "subject": cell,
            "zh": f"电解槽 {cell} 老化：K 值每年 {k}，直流电耗较基期{moved[0]} {per_tonne}，"
            f"每月 {cost}（±{_stated(monthly[1], 2)}）",
            "en": f"{cell} ages: its K moves by {k} a year, its direct current per tonne {moved[1]}"
            f" by {per_tonne} since the period before: {cost} a month (±{_stated(monthly[1], 2)})",
            "value": monthly[0],
            "ci": monthly[1],
            "uom": "MWh/month",
        })  # fmt: skip
    return findings


def idle_findings(
    park: Park, models: Iterable[tuple[Baseline, BaselineModel, float]]
) -> list[Finding]:
    """Return idle loads of plants by their baselines, with the length of their windows [s]."""
    findings: list[Finding] = []
    for row, model, length_s in models:
        idle = idle_load(model)
        if idle is None or not idle[0] > idle[1]:
            continue
        value, width = (each / MWH * DAY_S / length_s for each in idle)
        zh, en = _names(park, row.scope)
        share = f"{idle[0] / model.mean:.1%}"
        size, around = _stated(value, 3), f"±{_stated(width, 2)}"
        findings.append({
            "kind": "idle_load",
            "scope": row.scope,
            "subject": row.id,
            "zh": f"{zh}：与产量无关的固定能耗 {size} MWh/日，占 {share}（{around}）",
            "en": f"{en}: {size} MWh a day follow no production, {share} of its energy ({around})",
            "value": value,
            "ci": width,
            "uom": "MWh/day",
        })  # fmt: skip
    return findings


def _stated(value: float, digits: int, sign: str = "") -> str:
    """Return a figure with so many digits that count, and no exponent: ``8,240``, ``0.0412``."""
    rounded = float(f"{value:.{digits}g}")
    after = max(digits - 1 - int(np.floor(np.log10(abs(rounded)))), 0) if rounded else 0
    text = f"{rounded:{sign},.{after}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _zh(uom: str) -> str:
    """Return a unit of an answer as Chinese texts write it."""
    return uom.replace("/day", "/日").replace("/month", "/月").replace("CNY", "元")


def _names(park: Park, scope: str) -> tuple[str, str]:
    """Return the names of a scope in both languages."""
    named = park.scope(scope)
    name = named.name if named else {}
    return name.get("zh", scope), name.get("en", scope)


def effects_of(
    scope: str, product: str, before: float, values: Sequence[float], widths: Sequence[float]
) -> list[Effect]:
    """Return the effects on a member in the order of `EFFECTS`."""
    pairs = zip(EFFECTS, values, widths, strict=True)
    return [Effect(scope, product, name, value, width, before) for name, value, width in pairs
            if np.isfinite(value) and np.isfinite(width)]  # fmt: skip
