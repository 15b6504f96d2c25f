"""The shapes of the answers about by-products, for OpenAPI."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

# Pydantic reads the annotations when the classes are made.
from api.schema import Cursor, HalfWidth, Name, Number
from api.schema_scopes import Trusted

Relief = Annotated[Number, Field(description="more placed per more capacity, kg/kg")]
Price = Annotated[Number, Field(description="more gain per more capacity, CNY/t")]


class ByproductRow(Trusted):
    """The balance of one medium in one window."""

    medium: str
    make_t: Number
    make_ci_t: HalfWidth
    use_t: Number
    use_ci_t: HalfWidth
    import_t: Number
    import_ci_t: HalfWidth
    export_t: Number
    export_ci_t: HalfWidth
    vent_t: Number
    vent_ci_t: HalfWidth
    inventory_change_t: Number
    inventory_change_ci_t: HalfWidth
    unaccounted_t: Number
    unaccounted_ci_t: HalfWidth


class Byproducts(BaseModel):
    """The by-product balances of a scope."""

    scope: str
    window: str
    items: list[ByproductRow]
    next: Cursor


class Source(BaseModel):
    """A place that offers a by-product; basis: metered, balance or unknown."""

    scope: str
    medium: str
    byproducts: list[str]
    basis: str


class Sink(BaseModel):
    """Who could take a by-product."""

    id: str
    scope: str
    medium: str
    name: Name | None
    capacity_t_h: Number
    value_cny_t: Number
    source: str
    note: str


class Link(BaseModel):
    """A way from a source to a sink; cost_basis: link or mode."""

    id: str
    from_: str = Field(alias="from")
    to: str
    medium: str
    mode: str
    capacity_t_h: Number
    distance_km: Number
    cost_cny_t: Number
    cost_basis: str
    source: str
    note: str


class Transport(BaseModel):
    """What a mode of transport costs where a link says nothing, with provenance."""

    mode: str
    name: Name
    fixed_cny_t: float
    per_distance_cny_t_km: float
    source: str
    confidence: str
    evidence: str
    verified: bool


class SourceFlow(BaseModel):
    """What a place has to spare, and what of it finds no sink."""

    scope: str
    surplus_t_h: Number
    unplaced_t_h: Number


class SinkFlow(BaseModel):
    """What a sink would take, and whether its capacity holds anything back."""

    id: str
    taken_t_h: Number
    free_t_h: Number
    relief: Relief
    price_cny_t: Price


class LinkFlow(BaseModel):
    """What would go over a link, and whether its capacity holds anything back."""

    id: str
    flow_t_h: Number
    relief: Relief
    price_cny_t: Price


class Work(BaseModel):
    """Transport work of a mode in the window."""

    mode: str
    t_km: Number


class SymbiosisRow(Trusted):
    """The allocation of the mean surplus of a window; without one, the reason."""

    medium: str
    surplus_t_h: Number
    placed_t_h: Number
    unplaced_t_h: Number
    freight_cny_h: Number
    gain_cny_h: Number
    work: list[Work]
    sources: list[SourceFlow]
    sinks: list[SinkFlow]
    links: list[LinkFlow]
    reason: str


class Symbiosis(BaseModel):
    """Who could use the by-products of a scope: greatest use first, then greatest gain."""

    scope: str
    window: str
    items: list[SymbiosisRow]
    sources: list[Source]
    sinks: list[Sink]
    links: list[Link]
    transport: list[Transport]
    next: Cursor
