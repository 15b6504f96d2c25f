"""The shapes of the answers about scopes, for OpenAPI."""

from __future__ import annotations

from pydantic import BaseModel, Field

# Pydantic reads the annotations when the classes are made.
from api.schema import Cursor, Name, Number, Rfc3339, Share, Uint8  # noqa: TC001


class _Row(BaseModel):
    """A window."""

    start: Rfc3339
    end: Rfc3339


class _Trusted(_Row):
    """How far a row can be trusted."""

    completeness: Share
    quality: Uint8


class EnergyRow(_Trusted):
    """Energy of one product in one window."""

    product: str
    mass_t: Number
    energy_kwh: Number
    energy_kgce: Number
    kwh_per_t: Number
    kgce_per_t: Number


class Reference(BaseModel):
    """A benchmark (标杆) and a baseline (基准) with their provenance."""

    product: str
    index: str
    benchmark: float
    baseline: float
    standard: str
    edition: str
    confidence: str
    name: Name
    verified: bool


class Energy(BaseModel):
    """Energy per tonne of product."""

    scope: str
    window: str
    items: list[EnergyRow]
    references: list[Reference]
    next: Cursor


class ChlorineRow(_Trusted):
    """The chlorine balance of one window; inventory at its end."""

    production_t: Number
    consumption_t: Number
    import_t: Number
    export_t: Number
    vent_t: Number
    inventory_t: Number
    inventory_change_t: Number
    unaccounted_t: Number


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


class Chlorine(BaseModel):
    """The chlorine balance of a scope."""

    scope: str
    window: str
    items: list[ChlorineRow]
    tanks: list[TankState]
    next: Cursor


class ByproductRow(_Trusted):
    """The balance of one medium in one window."""

    medium: str
    make_t: Number
    use_t: Number
    import_t: Number
    export_t: Number
    vent_t: Number
    inventory_change_t: Number
    unaccounted_t: Number


class Byproducts(BaseModel):
    """The by-product balances of a scope."""

    scope: str
    window: str
    items: list[ByproductRow]
    next: Cursor


class ReconciledStream(BaseModel):
    """A stream before and after reconciliation; null = not measured, or not to be known."""

    id: str
    from_: str = Field(alias="from")
    to: str
    measured_t: Number
    measured_sigma_t: Number
    estimate_t: Number
    sigma_t: Number
    detectable_t: Number
    adjustment: Number
    observable: bool
    redundant: bool


class NodeResidual(BaseModel):
    """What a node's measured flows leave over."""

    node: str
    residual_t: Number


class BalanceRow(_Trusted):
    """The reconciled balance of one window."""

    component: str
    consistent: bool
    chi2: Number
    chi2_critical: float
    dof: int
    reason: str
    residuals: list[NodeResidual]
    streams: list[ReconciledStream]
    suspects: list[list[str]]


class BalancePage(BaseModel):
    """The reconciled balances of a scope."""

    scope: str
    window: str
    items: list[BalanceRow]
    next: Cursor
