"""The shape of the answer about the chlorine of a scope, for OpenAPI."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

# Pydantic reads the annotations when the classes are made.
from api.schema import (  # noqa: TC001
    Cursor,
    HalfWidth,
    Name,
    Number,
    Rfc3339,
    Share,
    Uint8,
)
from api.schema_scopes import Trusted


class ChlorineRow(Trusted):
    """The chlorine balance of one window; inventory at its end."""

    production_t: Number
    production_ci_t: HalfWidth
    consumption_t: Number
    consumption_ci_t: HalfWidth
    import_t: Number
    import_ci_t: HalfWidth
    export_t: Number
    export_ci_t: HalfWidth
    vent_t: Number
    vent_ci_t: HalfWidth
    inventory_t: Number
    inventory_change_t: Number
    inventory_change_ci_t: HalfWidth
    unaccounted_t: Number
    unaccounted_ci_t: HalfWidth
    k1: Annotated[Number, Field(description="liquid taken from tanks that is used in the scope")]
    k1_ci: HalfWidth
    k2: Annotated[Number, Field(description="chlorine made that does not leave as liquid")]
    k2_ci: HalfWidth


class TankState(BaseModel):
    """What a tank holds now; fill is a share of its volume."""

    id: str
    scope: str
    inventory_t: Number
    capacity_t: Number
    fill: Share
    fill_limit: float
    time: Rfc3339 | None
    quality: Uint8


class AbsorberState(BaseModel):
    """How long the caustic soda of an absorber lasts; null as well where no chlorine comes."""

    id: str
    scope: str
    caustic_t: Annotated[Number, Field(description="as 100 % NaOH")]
    chlorine_t_per_h: Number
    absorber_min: Number
    quality: Uint8


class Now(BaseModel):
    """What tanks can still take by the live values; null where that is not known.

    Times are those of the farm that is full first, and null as well while none is filling. A user
    that trips leaves its chlorine to liquefaction, for which the model has no limit: the times are
    the shortest there can be.
    """

    headroom_t: Number
    filling_t_per_h: Number
    headroom_h: Number
    stock_days: Number
    stock_of: Literal["production", "use"] | None
    stock_limit_days: Number
    minutes_to_full_on_trip: Number
    largest_user: Annotated[str | None, Field(description="id of its stream")]
    largest_user_t_per_h: Number
    spare_tank_ready: bool | None
    absorbers: list[AbsorberState]
    quality: Uint8


class DesignMaximum(BaseModel):
    """The legal figures of GB 18218, from what a unit is designed to hold; level 0 = no source."""

    s: float
    r: float
    level: Annotated[int, Field(ge=0, le=4)]
    verified: bool


class LiveEquivalent(BaseModel):
    """R of what the unit holds now: for operators, no level of a major hazard source."""

    r_equivalent: Number
    quality: Uint8


class Hazard(BaseModel):
    """A unit graded as a major hazard source (重大危险源)."""

    id: str
    scope: str
    name: Name | None
    persons: float
    design_maximum: DesignMaximum
    live: LiveEquivalent


class Figure(BaseModel):
    """A figure of the reference table of chlorine with its provenance."""

    id: str
    name: Name
    value: float
    uom: str
    source: str
    confidence: str
    verified: bool


class Chlorine(BaseModel):
    """The chlorine balance of a scope, and the state of its tanks, absorbers and hazards."""

    scope: str
    window: str
    items: list[ChlorineRow]
    tanks: list[TankState]
    now: Now
    hazards: list[Hazard]
    references: list[Figure]
    next: Cursor
