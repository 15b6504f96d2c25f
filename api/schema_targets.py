"""The shape of the answer about targets, for OpenAPI."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

# Pydantic reads the annotations when the classes are made.
from api.schema import (  # noqa: TC001
    Cursor,
    Name,
    Number,
    Rfc3339,
    Share,
    Uint8,
)


class Target(BaseModel):
    """A target and where the scope stands; null = not to be known from the tags."""

    id: str
    scope: str
    name: Name | None
    kpi: str | None
    product: str | None
    sense: Literal["at_most", "at_least"] | None
    goal: float
    uom: str
    year: Annotated[int | None, Field(description="the goal holds from the end of this year")]
    due: Annotated[bool | None, Field(description="that year is over")]
    start: Rfc3339
    end: Rfc3339
    value: Number
    half_width: Annotated[Number, Field(description="of the 95 % interval; null = taken as exact")]
    verdict: Literal["met", "not_met", "undecided"] | None
    shortfall: Number
    reason: str
    source: str
    note: str
    confidence: str
    verified: bool
    completeness: Share
    quality: Uint8


class Targets(BaseModel):
    """The targets of a scope."""

    scope: str
    items: list[Target]
    next: Cursor
