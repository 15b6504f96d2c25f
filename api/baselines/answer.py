"""Types of the answers and orders about energy baselines."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from api.answers import (
    Cursor,
    Given,
    Name,
    Number,
    Rfc3339,
    Share,
    Uint8,
    Whole,
    WindowAnswer,
    WindowRow,
    formula,
)
from api.commands import CommandBody
from api.parameters import Text, Time, Value

Interval = Annotated[Number, Field(description="half width, 95 %; null = not known")]
# Energy of a year of the whole park is far below.
ENERGY_MAX_MWH = 1e12


class BaselineVariable(TypedDict):
    """A candidate of a model: what the energy depends on, or why it is not in the model."""

    variable: Annotated[str, Field(description="constant, a product, or the address of a tag")]
    kept: bool
    reason: Annotated[str, Field(description="why it is not in the model; empty where it is")]
    uom: Annotated[str, Field(description="of the variable; empty of the constant")]
    mwh_per_uom: Annotated[
        Number,
        formula("least squares over the windows of the base period: energy per unit of measure"),
    ]
    mwh_per_uom_ci: Annotated[
        Interval, formula("half width, 95 %: standard error of the coefficient * quantile of t")
    ]
    p_value: Annotated[Number, formula("that it explains nothing; two-sided")]
    low: Annotated[Number, formula("least value in the base period, in its uom")]
    high: Annotated[Number, formula("greatest value in the base period, in its uom")]


class BaselineRule(TypedDict):
    """A statistic of a model against the limit of its rule, with the provenance of that."""

    statistic: Literal["cv_rmse", "nmbe", "r2", "p_value", "points"]
    value: Annotated[Number, formula("the statistic of the fit that the rule is about")]
    limit: Given[Number]
    sense: Literal["at_most", "at_least"]
    met: bool
    standard: str
    note: str
    confidence: Annotated[str, Field(description="H, M or L")]
    verified: bool


class BaselineVersion(TypedDict):
    """One version of a fitted model; none is ever changed."""

    version: int
    start: Annotated[Rfc3339, Field(description="of the base period")]
    end: Rfc3339
    points: Annotated[int, Field(description="windows that count")]
    left_out: Annotated[int, Field(description="windows that are not covered enough")]
    accepted: bool
    rejected_for: Annotated[list[str], Field(description="statistics whose rule is not met")]
    r2: Annotated[Number, formula("1 − squares of residuals / squares about the mean")]
    adjusted_r2: Annotated[Number, formula("1 - (1 - R²) (n - 1) / (n - k - 1)")]
    cv_rmse: Annotated[Number, formula("√(squares of residuals / (n − p)) / mean energy")]
    nmbe: Annotated[Number, formula("sum of residuals / (n − p) / mean energy")]
    f_p_value: Annotated[
        Number, formula("chance of the F statistic of the regression where nothing is explained")
    ]
    durbin_watson: Annotated[
        Number,
        formula("sum of squared differences of neighbouring residuals / sum of squared residuals"),
    ]
    correlation: Annotated[Number, formula("of a residual with the one before it")]
    mean_mwh: Annotated[Number, formula("mean energy of a window of the base period")]
    rmse_mwh: Annotated[Number, formula("root of the sum of squared residuals / (n - k - 1)")]
    quality: Uint8
    digest: Annotated[str, Field(description="SHA-256 of what was fitted")]
    reason: Annotated[str, Field(description="why it was fitted")]
    fitted: Rfc3339
    fitted_by: str


class BaselineRow(TypedDict):
    """A baseline of the model, its newest version with all its statistics, and the others."""

    id: str
    scope: str
    name: Name | None
    carrier: str
    product: str | None
    frequency: Literal["hour", "day", "month"]
    form: Literal["linear", "proportional"]
    accepted: Annotated[bool | None, Field(description="null before the first fit")]
    reason: Annotated[str, Field(description="why there is no model, or none that is accepted")]
    variables: list[BaselineVariable]
    rules: list[BaselineRule]
    versions: Annotated[list[BaselineVersion], Field(description="the newest first")]


class BaselineList(TypedDict):
    """The energy baselines of a scope and all below it."""

    items: list[BaselineRow]
    next: Cursor


class BaselineWindowRow(WindowRow):
    """Energy of one window against what its baseline expects.

    Figures are of the windows of the model that count: covered enough, and with variables like
    those of the base period. Energy above what is expected makes EnPI larger than 1 and the saving
    negative.
    """

    counted: Annotated[int, Field(description="windows of the model that count")]
    left_out: Annotated[int, Field(description="windows that are not covered enough, or not over")]
    outside: Annotated[int, Field(description="windows whose variables the base period never had")]
    actual_mwh: Annotated[Number, formula("energy by the meters, of the windows that count")]
    expected_mwh: Annotated[
        Number, formula("coefficients of the model · its variables, and adjustments")
    ]
    expected_ci_mwh: Annotated[
        Number, formula("half of the prediction interval, 95 %: the energy of a like plant")
    ]
    adjustment_mwh: Annotated[Number, formula("non-routine adjustments, evenly over their time")]
    enpi: Annotated[Number, formula("actual / expected energy")]
    enpi_ci: Annotated[Interval, formula("half width, 95 %: of expected energy, through the ratio")]
    saved_mwh: Annotated[Number, formula("expected − actual energy")]
    saved_ci_mwh: Annotated[Interval, formula("half width, 95 %: of expected energy")]
    cusum_mwh: Annotated[
        Number, formula("sum of actual − expected energy from the first window up to this one")
    ]
    reason: Annotated[str, Field(description="why there is no figure")]


class BaselineTotal(TypedDict):
    """The whole range against the baseline, and whether that is a saving."""

    start: Rfc3339
    end: Rfc3339
    counted: int
    left_out: int
    outside: int
    completeness: Annotated[Share, formula("share of the windows that are over")]
    quality: Uint8
    actual_mwh: Annotated[Number, formula("sum of the windows as measured")]
    expected_mwh: Annotated[Number, formula("sum of the windows by the model")]
    enpi: Annotated[Number, formula("actual / expected energy")]
    enpi_ci: Annotated[Interval, formula("half width, 95 %: of expected energy, through the ratio")]
    saved_mwh: Annotated[Number, formula("expected − actual energy, adjustments included")]
    saved_ci_mwh: Annotated[
        Number, formula("half width, 95 %: errors of the coefficients and scatter of windows")
    ]
    saved_share: Annotated[Number, formula("saved / expected energy")]
    verdict: Literal["saved", "used_more", "undecided"]
    reason: Annotated[str, Field(description="why nothing is decided")]


class BaselineChange(TypedDict):
    """A change of energy against the model: from when on, and by how much."""

    start: Annotated[Rfc3339, Field(description="window it begins with")]
    end: Annotated[Rfc3339, Field(description="of the range that was looked at")]
    earliest: Annotated[Rfc3339, Field(description="95 %: not before this window")]
    latest: Annotated[Rfc3339, Field(description="95 %: not after this window")]
    change_mwh: Annotated[
        Number, formula("mean of actual − expected after it less that before it, of a window")
    ]
    change_ci_mwh: Annotated[
        Number, formula("half width, 95 %: standard error of the change * quantile of t")
    ]
    change_share: Annotated[Number, formula("change / mean expected energy of a window")]


class BaselineAdjustment(Whole):
    """A non-routine adjustment that touches the range, in its newest version."""

    id: int
    version: int
    start: Rfc3339
    end: Rfc3339
    amount_mwh: Given[
        Annotated[Number, Field(description="added to what is expected; 0 = taken back")]
    ]
    reason: str
    evidence: str
    recorded: Rfc3339
    recorded_by: str


class BaselineAnswer(WindowAnswer):
    """A baseline over a range of time: actual and expected energy, savings, changes."""

    baseline: str
    version: int
    accepted: bool
    total: BaselineTotal
    items: list[BaselineWindowRow]
    changes: list[BaselineChange]
    adjustments: list[BaselineAdjustment]


class FitBody(CommandBody):
    """An order to fit a baseline; without a period that of `park.toml`, else the last days."""

    start: Annotated[Time | None, Field(description="of the base period")] = None
    end: Annotated[Time | None, Field(description="of the base period, not included")] = None
    reason: Annotated[Text, Field(description="why it is fitted anew")] = ""


class AdjustBody(CommandBody):
    """An order to adjust what a baseline expects: an event that no variable has."""

    start: Time
    end: Annotated[Time, Field(description="not included")]
    amount_mwh: Annotated[
        Value, Field(ge=-ENERGY_MAX_MWH, le=ENERGY_MAX_MWH, description="0 takes one back")
    ]
    reason: Annotated[Text, Field(min_length=1)]
    evidence: Annotated[Text, Field(description="document, or SHA-256 of a file")] = ""
