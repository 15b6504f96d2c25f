"""Types of the answer about pollutant totals."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from api.answers import (
    Given,
    Name,
    Number,
    Rfc3339,
    Share,
    Uint8,
    formula,
)

Method = Literal["measured", "substituted", "analysed", "factor", "reported"]
TotalState = Literal["within", "will_exceed", "exceeded", "undecided", "no_data"]


class MethodShare(TypedDict):
    """What one method makes of a total."""

    method: Method
    emitted_t: Annotated[
        float,
        formula(
            "sum over the year so far: measured and substituted hours of monitors; analysed"
            " concentration x metered flow; factor x activity; reports for days without others"
        ),
    ]
    share: Annotated[Number, formula("mass of the method over all that is booked")]


class MonthColumns(TypedDict):
    """The burn-down of a permit by the month; the last month so far."""

    start: list[Rfc3339]
    emitted_t: Annotated[list[Number], formula("booked in the month; null = nothing is known")]
    half_width_t: Annotated[
        list[Number], formula("half the 95 % interval of meters, analyses and factors")
    ]
    substituted_t: Annotated[list[Number], formula("part of it that stands for missing hours")]
    used_t: Annotated[
        list[Number],
        formula(
            "booked since the year began, to the month's end; null where `known` is below"
            " PARKTWIN_VALUE_COMPLETENESS: what nothing is known of is not in it"
        ),
    ]
    remaining_t: Annotated[list[Number], formula("permit - used")]
    allowance_t: Annotated[
        list[Number], formula("permit x share of the year that has passed: an even use")
    ]
    completeness: Annotated[list[Share], formula("share of the time known of")]
    known: Annotated[
        list[Share],
        formula(
            "share of the time since the year began, to the month's end, of the source that is"
            " known of least"
        ),
    ]
    quality: list[Uint8]
    used_quality: Annotated[list[Uint8], Field(description="of the year, to the month's end")]


class PeriodRow(TypedDict):
    """A special period of a permit (重点时段): its days that are of the year."""

    id: str
    name: Name | None
    since: str
    until: Annotated[str, Field(description="no longer from this day on")]
    limit_t: Annotated[Number, formula("limit of a day x its days of the year")]
    limit_t_per_day: Annotated[
        Number, formula("as the permit states it, or factor x permit / days of the year")
    ]
    legal: Annotated[bool, Field(description="it and its permit were compared with the document")]
    emitted_t: Annotated[Number, formula("booked in its days so far")]
    emitted_half_width_t: Annotated[
        Number, formula("the share that the half width of the year has of what is booked in it")
    ]
    forecast_t: Annotated[
        Number,
        formula(
            "emitted + estimated + mean rate x load x rest of its days, without its limit; mean of"
            " its own days that are over, of the year's before it begins"
        ),
    ]
    forecast_half_width_t: Annotated[Number, formula("as that of the year")]
    completeness: Annotated[Share, formula("share of its time so far known of")]
    state: TotalState
    source: str
    note: str


class CampaignRow(TypedDict):
    """Planned production, an overhaul or an outage that reaches into the year."""

    id: str
    name: Name | None
    scope: str
    outlets: list[str]
    since: str
    until: Annotated[str, Field(description="no longer from this day on")]
    load: Given[Number]
    verified: bool
    source: str
    note: str


class SourceRow(TypedDict):
    """One source of a total: a pollutant of an outlet, a factor or a report."""

    id: str
    scope: str
    outlet: str | None
    methods: list[Method]
    emitted_t: Annotated[Number, formula("booked in the year so far by all its methods")]
    half_width_t: Annotated[Number, formula("half the 95 % interval; substitutes count as booked")]
    completeness: Annotated[Share, formula("share of the year so far the source is known of")]
    quality: Uint8
    missing: list[str]


class TotalRow(TypedDict):
    """A pollutant of a scope in a year; `permit` is null but under one permit."""

    permit: str | None
    number: Annotated[str, Field(description="of the permit, as the authority gave it")]
    scope: str
    pollutant: str
    outlets: Annotated[list[str], Field(description="it is of; empty = all of the scope")]
    since: str | None
    until: str | None
    year: int
    permit_t: Annotated[
        Number,
        formula("permit of the year; of a scope without one the sum of those of its sources"),
    ]
    legal: Annotated[
        bool, Field(description="compared with the permit itself; else reference, no legal limit")
    ]
    emitted_t: Annotated[
        Number, formula("booked in the year so far: measured + substituted + analysed + factor"
                        " + reported; time nothing is known of is not in it")
    ]  # fmt: skip
    emitted_half_width_t: Annotated[
        Number, formula("half the 95 % interval of all sources, independent of each other;"
                        " substitutes are a rule and count as booked")
    ]  # fmt: skip
    methods: list[MethodShare]
    substituted_share: Annotated[Number, formula("substituted over emitted")]
    share: Annotated[
        Number,
        formula("emitted over permit; null where too little of the year is known of"),
    ]
    allowance_t: Annotated[Number, formula("permit x share of the year that has passed")]
    estimated_t: Annotated[
        Number,
        formula("mean rate of each source x its time that nothing is known of; never booked"),
    ]
    estimated_half_width_t: Annotated[Number, formula("by the scatter of the months or days")]
    forecast_t: Annotated[
        Number,
        formula(
            "emitted + estimated + sum over the days to come of mean rate x planned load, in"
            " special periods no more than they allow"
        ),
    ]
    curbed_t: Annotated[
        Number,
        formula("part of mean rate x planned load that special periods keep out of the forecast"),
    ]
    forecast_half_width_t: Annotated[
        Number, formula("half the 95 % interval: scatter s of n months or days of length L, Student"
                        " t x s x sqrt(k^2/n + k) with k = time to estimate / L, and the share of"
                        " the meters' error of what is booked")
    ]  # fmt: skip
    rate_t_per_day: Annotated[Number, formula("booked over time known of, of the usable blocks")]
    forecast_by: Annotated[
        Literal["months", "days"] | None,
        Field(description="blocks the rate is the mean of; days where fewer than three months are"),
    ]
    forecast_blocks: int
    days_to_exhaustion: Annotated[
        Number, formula("days until emitted + estimated + rate x time reaches the permit; null ="
                        " not within ten years, or not known")
    ]  # fmt: skip
    days_to_exhaustion_first: Annotated[Number, formula("the same of the interval's upper end")]
    days_to_exhaustion_last: Annotated[Number, formula("the same of the interval's lower end")]
    state: Annotated[
        TotalState | None,
        Field(description="by the whole interval on one side of the permit; null without a permit"),
    ]
    reason: str
    no_data: Annotated[list[str], Field(description="inputs that are missing for a forecast")]
    completeness: Annotated[Share, formula("share of the year so far known of")]
    quality: Uint8
    missing: list[str]
    months: MonthColumns
    sources: list[SourceRow]
    source: str
    note: str


class PermitTotal(TotalRow):
    """A pollutant under a permit in a year."""

    periods: Annotated[list[PeriodRow], Field(description="special periods of the permit")]


class TotalAnswer(TypedDict):
    """Pollutant totals of a scope in a year."""

    scope: str
    year: int
    start: Rfc3339
    end: Annotated[Rfc3339, Field(description="until when emissions are counted")]
    permits: list[PermitTotal]
    scopes: Annotated[
        list[TotalRow], Field(description="the scope, its parks and enterprises, by pollutant")
    ]
    campaigns: list[CampaignRow]
