"""Evaluation of enterprises (亩均效益评价): scores, ranks and classes of a year."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, NamedTuple, cast

import numpy as np
from fastapi import APIRouter, Query
from pydantic import Field
from typing_extensions import TypedDict

from api.answers import (
    Cursor,
    Given,
    Name,
    Number,
    Provenance,
    Rfc3339,
    Share,
    Uint8,
    formula,
    record,
)
from api.calculation.pool import LongCalculationRoute
from api.context import AppContext, Context
from api.encode import number, rfc3339
from api.evaluation.figures import Figure, read_figures
from api.problems import RESPONSES
from api.windows import ScopePath, WindowQuery, parse_query
from twin.arrays import BOOL, F64
from twin.evaluation.model import NOT_RATED, Evaluated, EvaluationClass, Rule, evaluated, rules
from twin.evaluation.score import (
    Classes,
    Scores,
    classify_by_rank,
    classify_by_score,
    mean_benchmark,
    rate,
)
from twin.model.park import inside
from twin.series.windows import local
from twin.uom import compile_uom

if TYPE_CHECKING:
    from collections.abc import Sequence

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES, route_class=LongCalculationRoute)

CNY_PER_KWH = compile_uom("CNY/kWh", "energy_price")
CNY_PER_M3 = compile_uom("CNY/m^3", "volume_price")
NO_SCORE = "no score: not all indicators have a value and a benchmark"
TOO_LITTLE = "undecided: too little of the year is covered for a verdict"
CROSSED = (
    "undecided: intervals, or scores that are not known, reach over the limit of a class, or there"
    " is nobody to be ranked with"
)
NO_BENCHMARK = "no data: no enterprise has a figure of last year, whose mean is the benchmark"


class IndicatorFigure(TypedDict):
    """An indicator of an enterprise; null = not known."""

    id: str
    value: Annotated[
        Number,
        formula("numerator / denominator of the indicator over the year: sums of their tags"),
    ]
    half_width: Annotated[
        Number, formula("of the 95 % interval: uncertainties of numerator and denominator")
    ]
    uom: str
    benchmark: Annotated[
        Number, formula("stated, or times the mean of all enterprises of last year")
    ]
    benchmark_half_width: Annotated[Number, formula("of the 95 % interval of the mean")]
    points: Annotated[Number, formula("weight * min(value / benchmark, cap) * 100")]
    completeness: Annotated[
        Share, formula("share of the time that has passed, covered by both inputs")
    ]
    quality: Uint8
    missing: Annotated[list[str], Field(description="tags with gaps, the least covered first")]
    reason: Annotated[str, Field(description="why there are no points: which input has no data")]


EnterpriseClass = TypedDict(
    "EnterpriseClass",
    {
        "scope": str,
        "name": Name,
        "class": Annotated[str | None, Field(description="null = undecided; T = not rated")],
        "possible": Annotated[list[str], Field(description="classes that the intervals allow")],
        "rank": Annotated[int | None, Field(description="among those with a score; ties share it")],
        "score": Annotated[Number, formula("sum of the points + bonus - malus")],
        "score_min": Annotated[Number, formula("score at the lower ends of all intervals")],
        "score_max": Annotated[Number, formula("score at the upper ends of all intervals")],
        "bonus": Given[float],
        "malus": Given[float],
        "vetoes": list[str],
        "not_rated": Annotated[str, Field(description="why not; empty = it is rated")],
        "electricity_cny_per_kwh": Given[
            Annotated[Number, Field(description="what the class adds")]
        ],
        "water_cny_per_m3": Given[Annotated[Number, Field(description="what the class adds")]],
        "reason": Annotated[str, Field(description="why there is no class")],
        "indicators": list[IndicatorFigure],
    },
)
EnterpriseClass.__doc__ = "Score, rank and class of one enterprise, and what they follow from."


class IndicatorRule(TypedDict):
    """An indicator as the park model states it."""

    id: str
    name: Name | None
    over: str
    under: str
    uom: str
    weight: Given[float]
    cap: Given[Annotated[Number, Field(description="null = none")]]
    benchmark: Given[Number]
    times_mean: Given[Annotated[Number, Field(description="the benchmark, in means of last year")]]
    source: str
    note: str


class ClassRule(TypedDict):
    """A class as the park model states it, and what it means."""

    id: str
    name: Name | None
    until: Given[
        Annotated[Number, Field(description="share of the ranks; null where scores decide")]
    ]
    least: Given[
        Annotated[Number, Field(description="score; null where ranks decide, or of the last")]
    ]
    electricity_cny_per_kwh: Given[Annotated[Number, Field(description="on top of the price")]]
    water_cny_per_m3: Given[Annotated[Number, Field(description="on top of the price")]]
    source: str
    note: str


class EvaluationRow(Provenance):
    """A rule, and the enterprises by it, the best score first."""

    id: str
    scope: str
    name: Name | None
    by: Annotated[str, Field(description="rank or score")]
    basis: Annotated[str, Field(description="of electricity in energy: equivalent or equal")]
    pollutants: Given[
        Annotated[dict[str, float], Field(description="what a kilogram of each counts")]
    ]
    since: Annotated[int, Field(description="year from which the rule holds")]
    clause: str
    source: str
    note: str
    indicators: list[IndicatorRule]
    classes: list[ClassRule]
    enterprises: list[EnterpriseClass]


class EvaluationAnswer(TypedDict):
    """The evaluations of a scope in a year."""

    scope: str
    year: int
    start: Rfc3339
    end: Rfc3339
    complete: Annotated[bool, Field(description="the year is over; else figures are at its pace")]
    items: list[EvaluationRow]
    next: Cursor


class Benchmarks(NamedTuple):
    """What the indicators of enterprises are compared with, (E, I), in their uom."""

    value: F64  # NaN = not known
    half_width: F64


@router.get("/{path:path}/evaluation")
async def read_evaluation(
    context: AppContext,
    path: ScopePath,
    year: Annotated[
        int | None, Query(ge=1973, le=2198, description="of the figures; default: this year")
    ] = None,
) -> EvaluationAnswer:
    """Return scores and classes of the enterprises of a scope by the rules of the park model."""
    context.require_scope(path)
    wanted = year or local(context.now_us(), context.zone).year
    query = _query(context, path, wanted)
    items = [
        await _evaluate(context, query, rule, wanted)
        for rule in rules(context.model.park, path, wanted)
    ]
    start_us, end_us = query.edges.tolist()
    return {
        "scope": path,
        "year": wanted,
        "start": rfc3339(start_us, query.zone),
        "end": rfc3339(end_us, query.zone),
        "complete": end_us <= query.expected_us,
        "items": items,
        "next": None,
    }


def _query(context: Context, path: str, year: int) -> WindowQuery:
    """Return the query of one window, a year on the clock of the park."""
    start, stop = (datetime(each, 1, 1, tzinfo=context.zone) for each in (year, year + 1))
    query = parse_query(context, path, "month", start, stop)
    return replace(query, window="day", edges=query.edges[[0, -1]])


async def _evaluate(context: Context, query: WindowQuery, rule: Rule, year: int) -> EvaluationRow:
    """Return the enterprises of a rule with their scores and classes in a year."""
    park, path = context.model.park, query.scope
    states = [evaluated(park, rule, each.id, year) for each in rule.enterprises]
    figures = await read_figures(context, query, rule, rule.indicators)
    benchmarks = await _benchmarks(context, path, rule, states, year)
    value, width = (
        np.array([[getattr(each, name) for each in row] for row in figures])
        for name in ("value", "half_width")
    )
    weight, cap = (
        np.array([getattr(row, name) for row in rule.indicators]) for name in ("weight", "cap")
    )
    extra = np.array([state.bonus - state.malus for state in states])
    scores = rate(value, width, *benchmarks, weight, cap, extra)
    decisive = np.array([all(each.decisive for each in row) for row in figures])
    # A verdict needs enough of every input, also one on those it is ranked with.
    low, high = (np.where(decisive, end, np.nan) for end in (scores.low, scores.high))
    scores = scores._replace(low=low, high=high)
    classes = _classify(rule, states, scores)
    rows = []
    for e, scope in enumerate(rule.enterprises):
        if inside(scope.id, path) or inside(path, scope.id):
            indicators = _indicators(rule, e, figures[e], benchmarks, scores)
            rows.append(_enterprise(rule, e, states[e], scores, classes, indicators))
    best_first = np.argsort(-np.nan_to_num([row["score"] for row in rows], nan=-np.inf))
    return record(
        EvaluationRow,
        rule.head,
        since=rule.head.year,
        indicators=[record(IndicatorRule, row) for row in rule.indicators],
        classes=[_class_rule(rule, row) for row in rule.classes],
        enterprises=[rows[e] for e in best_first.tolist()],
    )


async def _benchmarks(
    context: Context, path: str, rule: Rule, states: Sequence[Evaluated], year: int
) -> Benchmarks:
    """Return what each enterprise is compared with: fixed, of its industry, or last year's mean."""
    count = len(rule.enterprises)
    value = np.tile([row.benchmark for row in rule.indicators], (count, 1))
    width = np.zeros_like(value)
    by_mean = [i for i, row in enumerate(rule.indicators) if not np.isnan(row.times_mean)]
    if by_mean:
        indicators = [rule.indicators[i] for i in by_mean]
        query = _query(context, path, year - 1)
        figures = await read_figures(context, query, rule, indicators)
        park = context.model.park
        rated = [not evaluated(park, rule, s.id, year - 1).not_rated for s in rule.enterprises]
        known, known_width = (
            np.array([[getattr(each, name) for each in row] for row in figures])[rated]
            for name in ("value", "half_width")
        )
        times = np.array([row.times_mean for row in indicators])
        value[:, by_mean], width[:, by_mean] = mean_benchmark(known, known_width, times)
    for e, state in enumerate(states):
        for i, row in enumerate(rule.indicators):
            if row.id in state.benchmarks:
                value[e, i], width[e, i] = state.benchmarks[row.id], 0.0
    return Benchmarks(value, width)


def _classify(rule: Rule, states: Sequence[Evaluated], scores: Scores) -> Classes:
    """Return the classes of all enterprises by the limits of the rule."""
    rated: BOOL = np.array([not state.not_rated for state in states])
    vetoed: BOOL = np.array([bool(state.vetoes) for state in states])
    if rule.head.by == "rank":
        limits = np.array([float(row.until) for row in rule.classes])
        return classify_by_rank(scores, rated, vetoed, limits)
    least = np.array([float(row.least) for row in rule.classes])
    return classify_by_score(scores, rated, vetoed, least)


def _enterprise(
    rule: Rule,
    e: int,
    state: Evaluated,
    scores: Scores,
    classes: Classes,
    indicators: list[IndicatorFigure],
) -> EnterpriseClass:
    """Return the row of an enterprise."""
    possible = rule.classes[int(classes.best[e]) : int(classes.worst[e]) + 1]
    names = [NOT_RATED] if state.not_rated else [each.id for each in possible]
    row = possible[0] if len(possible) == 1 and not state.not_rated else None
    score = float(scores.score[e])
    return {
        "scope": rule.enterprises[e].id,
        "name": cast("Name", rule.enterprises[e].name),
        "class": names[0] if len(names) == 1 else None,
        "possible": names,
        "rank": int(classes.rank[e]) or None,
        "score": number(score),
        "score_min": number(scores.low[e]),
        "score_max": number(scores.high[e]),
        "bonus": float(state.bonus),
        "malus": float(state.malus),
        "vetoes": list(state.vetoes),
        "not_rated": state.not_rated,
        "electricity_cny_per_kwh": number(row.electricity, CNY_PER_KWH) if row else None,
        "water_cny_per_m3": number(row.water, CNY_PER_M3) if row else None,
        "reason": "" if len(names) == 1 else _reason(score, float(scores.low[e]), indicators),
        "indicators": indicators,
    }


def _reason(score: float, low: float, indicators: list[IndicatorFigure]) -> str:
    """Return why an enterprise has no class."""
    if np.isnan(score):
        return "; ".join([NO_SCORE, *dict.fromkeys(i["reason"] for i in indicators if i["reason"])])
    return TOO_LITTLE if np.isnan(low) else CROSSED


def _indicators(
    rule: Rule, e: int, figures: Sequence[Figure], benchmarks: Benchmarks, scores: Scores
) -> list[IndicatorFigure]:
    """Return the indicators of an enterprise."""
    lacking = np.isnan(benchmarks.value[e])
    return [
        {
            "id": row.id,
            "value": number(figure.value),
            "half_width": number(figure.half_width),
            "uom": row.uom,
            "benchmark": number(benchmarks.value[e, i]),
            "benchmark_half_width": number(benchmarks.half_width[e, i]),
            "points": number(scores.points[e, i]),
            "completeness": number(figure.share),
            "quality": figure.quality,
            "missing": list(figure.missing),
            "reason": figure.reason or (NO_BENCHMARK if lacking[i] else ""),
        }
        for i, (row, figure) in enumerate(zip(rule.indicators, figures, strict=True))
    ]


def _class_rule(rule: Rule, row: EvaluationClass) -> ClassRule:
    """Return a class and what it means."""
    by_rank = rule.head.by == "rank"
    return record(
        ClassRule,
        row,
        until=float(row.until) if by_rank else None,
        least=None if by_rank else float(row.least),
        electricity_cny_per_kwh=number(row.electricity, CNY_PER_KWH),
        water_cny_per_m3=number(row.water, CNY_PER_M3),
    )
