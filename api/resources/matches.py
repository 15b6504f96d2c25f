"""Which resource fits which need, and every reason why others do not."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from api.answers import (
    Given,
    Number,
    formula,
    record,
)
from api.encode import CNY_PER_T, KM, number
from twin.byproducts.exchange import modes
from twin.byproducts.matching import Matches
from twin.disclosure import Level

Fit = Annotated[
    Literal["fits", "mixture", "no"],
    Field(description="fits alone, may be a part of a mixture, or does not fit"),
]


class MatchMode(TypedDict):
    """A mode of transport that is open between a resource and a need."""

    mode: str
    distance_km: Given[Number]
    cost_cny_t: Annotated[
        Number, formula("fixed cost + cost per kilometre * distance, of the link or of the mode")
    ]


class MatchReason(TypedDict):
    """Why a resource does not fit a need; the subject is a component, an approval or a mode."""

    code: str
    subject: str
    zh: str
    en: str


class MatchRow(TypedDict):
    """A resource against a need; as a part of a mixture it may fit where alone it does not."""

    resource: str
    need: str
    verdict: Fit
    modes: Annotated[list[MatchMode], Field(description="open ones, the cheapest first")]
    reasons: list[MatchReason]


class MatchAnswer(TypedDict):
    """Resources of a scope against all needs of the park, as they are stated for one day."""

    scope: str
    day: str
    viewer: Level
    items: list[MatchRow]
    next: None


def match_rows(matches: Matches) -> list[MatchRow]:
    """Return one row for each resource and need, those that fit first."""
    rows = [
        _row(matches, p, q)
        for p in range(len(matches.resources))
        for q in range(len(matches.needs))
    ]
    order = ("fits", "mixture", "no")
    return sorted(rows, key=lambda row: (order.index(row["verdict"]), len(row["reasons"])))


def _row(matches: Matches, p: int, q: int) -> MatchRow:
    usable = np.flatnonzero(matches.open[p, q]).tolist()
    usable.sort(key=lambda d: matches.cost[p, q, d])
    verdict: Fit = "no"
    if usable:
        verdict = "fits" if matches.alone[p, q] else "mixture"
    return {
        "resource": matches.resources[p].id,
        "need": matches.needs[q].id,
        "verdict": verdict,
        "modes": [
            {
                "mode": modes()[d],
                "distance_km": number(matches.distance[p, q, d], KM),
                "cost_cny_t": number(matches.cost[p, q, d], CNY_PER_T),
            }
            for d in usable
        ],
        "reasons": [record(MatchReason, each) for each in matches.reasons(p, q)],
    }
