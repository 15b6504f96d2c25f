"""Types of the answer about targets."""

from __future__ import annotations

from typing import Annotated, Literal

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
    Verdict,
    formula,
)
from api.reconciled import Basis

Sense = Literal["at_most", "at_least"]
State = Literal["met", "not_met", "undecided", "no_data"]


class GapAmount(TypedDict):
    """The shortfall as an amount of the time of the value, or as a capacity."""

    value: Annotated[float, formula("shortfall * the amount, or capacity, it is a share of")]
    uom: str
    factor: Annotated[str, Field(description="what it is converted with; empty = the unit itself")]


class TargetPace(TypedDict):
    """A straight line through the values of the last months or days."""

    window: Annotated[str, Field(description="month or day")]
    points: Annotated[int, Field(description="windows with a value")]
    per_year: Annotated[
        float,
        formula("slope of the least-squares line through the values of the windows * 365.25 d"),
    ]
    half_width: Annotated[float, formula("of the 95 % interval of the slope, Student's t")]
    needed_per_year: Annotated[
        Number, formula("(limit - value) / time to the due date; null = met, or past")
    ]


class Outlook(TypedDict):
    """What the figure comes to at the due date, at its pace or by the asset register."""

    on: str
    value: Annotated[float, formula("value of the line at the due date, or of the asset register")]
    half_width: Annotated[float, formula("of the 95 % interval of one window")]
    will_be_met: Literal["yes", "no", "undecided"]


class Contribution(TypedDict):
    """What one enterprise, or asset, is of the two sums of a figure."""

    member: str
    numerator_share: Annotated[Number, formula("its part of the numerator / the numerator")]
    denominator_share: Annotated[Number, formula("its part of the denominator / the denominator")]


class Move(TypedDict):
    """What one enterprise, or asset, made of the change of a figure."""

    member: str
    numerator: Annotated[float, formula("change of the figure by the numerator of the member")]
    denominator: Annotated[float, formula("change of the figure by the denominator of the member")]


class Change(TypedDict):
    """What moved the measured figure from a window to the next with values: an exact sum."""

    before_start: Rfc3339
    before_end: Rfc3339
    after_start: Rfc3339
    after_end: Rfc3339
    before: Annotated[float, formula("value of the figure in the window before")]
    after: Annotated[float, formula("value of the figure in the window after")]
    change: Annotated[float, formula("after - before")]
    moves: list[Move]


class TargetRow(Provenance):
    """A target and the value reached; null = not to be known from the tags."""

    id: str
    scope: str
    name: Name | None
    kpi: str | None
    product: str | None
    sense: Sense | None
    goal: Given[Number]
    uom: str
    tolerance: Given[float]
    limit: Annotated[Number, formula("goal and tolerance: the value must be clear of it")]
    level: Annotated[str | None, Field(description="what the goal is: a benchmark, a quota, …")]
    year: Annotated[int | None, Field(description="the goal holds from the end of this year")]
    base_year: int | None
    due_on: Annotated[str | None, Field(description="day by which the goal is to be reached")]
    due: Annotated[bool | None, Field(description="that day is over")]
    start: Rfc3339
    end: Rfc3339
    value: Annotated[
        Number, formula("the figure of `kpi` over its time, by the formula of its own route")
    ]
    half_width: Annotated[
        Number, formula("of the 95 % interval, as of its own route; null = taken as exact")
    ]
    verdict: Verdict | None
    state: Annotated[State, Field(description="the verdict; no_data where there is no value")]
    no_data: Annotated[
        list[str], Field(description="inputs that are missing where there is no value or no goal")
    ]
    below: Annotated[list[str], Field(description="products that certainly miss their level")]
    shortfall: Annotated[Number, formula("limit - value, in the sense that counts; 0 = met")]
    gap: Annotated[list[GapAmount], Field(description="the shortfall as amounts; empty = met")]
    pace: TargetPace | None
    forecast: Outlook | None
    moved: Annotated[Change | None, Field(description="null without two windows with values")]
    outlook_reason: Annotated[str, Field(description="why there is no pace or forecast")]
    parts: Annotated[list[Contribution], Field(description="empty = not known by member")]
    reason: str
    source: str
    clause: str
    basis: Annotated[str, Field(description="what the figure counts, of several readings")]
    boundary: str
    note: str
    completeness: Annotated[Share, formula("share of the time covered by all its tags")]
    quality: Uint8
    values: Annotated[
        Basis | None,
        Field(description="what product, or flows, in the value stand on; null without a value"),
    ]
    missing: Annotated[list[str], Field(description="tags with gaps, the least covered first")]


class TargetAnswer(TypedDict):
    """The targets of a scope."""

    scope: str
    items: list[TargetRow]
    next: Cursor
