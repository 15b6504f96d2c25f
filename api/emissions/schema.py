"""The shapes of the answers about emissions, for OpenAPI."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

# Pydantic reads the annotations when the classes are made.
from api.schema import Cursor, HalfWidth, Name, Number, Share, Uint8
from api.schema_scopes import Trusted


class Limit(BaseModel):
    """What an outlet is permitted, and where the figure is from."""

    value: Annotated[float, Field(description="mg/m3, hourly mean")]
    oxygen_reference: Share
    source: str
    verified: bool


class EmissionRow(Trusted):
    """One pollutant of one outlet in one window; concentrations dry, in the reference state."""

    outlet: str
    pollutant: str
    name: Name | None
    code: Annotated[str | None, Field(description="HJ 212-2017 Annex B")]
    concentration_mg_m3: Annotated[Number, Field(description="as measured, mean of valid hours")]
    concentration_ci_mg_m3: HalfWidth
    corrected_mg_m3: Annotated[Number, Field(description="at the reference oxygen; else measured")]
    corrected_ci_mg_m3: HalfWidth
    mass_kg: Annotated[Number, Field(description="measured; sum of concentration x flow by hour")]
    mass_ci_kg: HalfWidth
    substituted_kg: Annotated[
        Number, Field(description="stands for missing hours; null = none; a rule, so no interval")
    ]
    substituted_h: float
    substituted_from_h: Annotated[float, Field(description="valid hours looked back; 0 = none")]
    stopped_h: Annotated[float, Field(description="stood still: 0 booked, not in the means")]
    suspect_h: Annotated[float, Field(description="no flow from a running plant: nothing booked")]
    hours_above: Annotated[Number, Field(description="valid hours above the limit")]
    valid: Annotated[bool, Field(description="enough valid hours: 1, 20 of a day, 25 days")]
    capture: Share
    reported_mg_m3: Annotated[Number, Field(description="by the data logger, mean of its hours")]
    reported_kg: Annotated[Number, Field(description="by the data logger, sum of its hours")]
    reported_difference: Annotated[
        Number, Field(description="reported over measured concentration - 1, hours both have")
    ]
    reported_mass_difference: Annotated[
        Number, Field(description="reported over measured mass - 1, hours both have")
    ]
    limit: Limit | None
    share_of_limit: Number


class PermitRow(BaseModel):
    """Where a yearly permit stands."""

    outlet: str
    pollutant: str
    year: int
    permit_t: float
    emitted_t: Number
    emitted_ci_t: Annotated[
        Number, Field(description="half width, 95 %; null = not known, or a part is substituted")
    ]
    measured_t: Number
    measured_ci_t: HalfWidth
    substituted_t: Number
    substituted_share: Number
    share: Annotated[Number, Field(description="emitted over permit")]
    allowance_t: Annotated[Number, Field(description="an even use of the permit until now")]
    forecast_t: Annotated[Number, Field(description="at the end of the year, at this rate")]
    days_to_exhaustion: Annotated[Number, Field(description="0 = used up, null = never or unknown")]
    completeness: Share
    quality: Uint8
    source: str
    verified: bool


MetersHalfWidth = Annotated[
    Number,
    Field(description="half width, 95 %, of what the meters add; the factors are taken as exact"),
]


class CarbonSource(BaseModel):
    """What one source emitted; scope -1 is captured and sold."""

    source: str
    scope: int
    amount: Number
    uom: str
    co2_t: Number
    co2_ci_t: MetersHalfWidth
    reason: Annotated[str, Field(description="why it is not known")]


class CarbonRow(Trusted):
    """Scope 1 and 2 of one window."""

    scope1_t: Number
    scope1_ci_t: MetersHalfWidth
    scope2_t: Number
    scope2_ci_t: MetersHalfWidth
    total_t: Number
    total_ci_t: MetersHalfWidth
    sources: list[CarbonSource]


class CarbonFactor(BaseModel):
    """A factor with its provenance."""

    of: str
    figures: dict[str, str]
    standard: str | None
    source: str | None
    note: str | None
    year: int | None
    region: str | None
    method: str | None
    confidence: str
    verified: bool


class Carbon(BaseModel):
    """Greenhouse gases of the scope; electricity by region and method."""

    region: str
    method: str
    items: list[CarbonRow]
    factors: list[CarbonFactor]
    available: list[CarbonFactor]


class Standard(BaseModel):
    """A limit of a standard, for orientation."""

    application: Name
    tier: str
    limits_mg_m3: dict[str, float]
    oxygen_reference: Share
    standard: str
    note: str | None
    confidence: str
    verified: bool


class Emissions(BaseModel):
    """The emissions of a scope."""

    scope: str
    window: str
    items: list[EmissionRow]
    permits: list[PermitRow]
    carbon: Carbon
    standards: list[Standard]
    next: Cursor
