"""The shapes of the answers about scopes, for OpenAPI."""

from __future__ import annotations

from typing import Annotated

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


class _Row(BaseModel):
    """A window."""

    start: Rfc3339
    end: Rfc3339


class Trusted(_Row):
    """How far a row can be trusted."""

    completeness: Share
    quality: Uint8


class EnergyRow(Trusted):
    """Energy of one product, or of all together (``total``), in one window."""

    product: str
    mass_t: Number
    energy_kwh: Number
    energy_kgce: Number
    kwh_per_t: Number
    kwh_per_t_ci: HalfWidth
    kgce_per_t: Number
    kgce_per_t_ci: HalfWidth
    position: Annotated[str | None, Field(description="against benchmark and baseline")]


class Factor(BaseModel):
    """Electricity in coal equivalent, with its provenance; the year of an equal value."""

    year: int | None
    kgce_per_kwh: float
    standard: str
    confidence: str
    verified: bool
    note: str


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
    basis: str
    items: list[EnergyRow]
    electricity: list[Factor]
    references: list[Reference]
    next: Cursor


class ElectrolyserRow(Trusted):
    """An electrolyser in one window; voltage and current density are weighted by the charge.

    method: ``dc_meter``, or ``minute_means`` where the energy is the sum of the products of the
    mean voltage and the mean current of each minute.
    """

    electrolyser: str
    kind: str
    cell_voltage_v: Number
    cell_voltage_ci_v: HalfWidth
    current_density_ka_m2: Number
    current_density_ci_ka_m2: HalfWidth
    product_t: Number
    product_ci_t: HalfWidth
    dc_kwh_per_t: Number
    dc_kwh_per_t_ci: HalfWidth
    method: str | None
    k_v_m2_ka: Number
    k_ci_v_m2_ka: Annotated[Number, Field(description="half width, 95 %, at this U0")]


class StandingVoltage(BaseModel):
    """The voltage at no current that K counts from."""

    kind: str
    v: float
    source: str
    confidence: str
    verified: bool


class Electrolysers(BaseModel):
    """The electrolysers of a scope."""

    scope: str
    window: str
    items: list[ElectrolyserRow]
    standing_voltage: list[StandingVoltage]
    next: Cursor


class ReconciledStream(BaseModel):
    """A stream before and after reconciliation; null = not measured, or not to be known.

    Where the model names an analyser, `fraction` is the mass fraction of the component it shows.
    """

    id: str
    from_: str = Field(alias="from")
    to: str
    measured_t: Number
    measured_sigma_t: Number
    estimate_t: Number
    sigma_t: Number
    detectable_t: Number
    fraction: Number
    fraction_estimate: Number
    fraction_sigma: Number
    adjustment: Number
    observable: bool
    redundant: bool


class NodeResidual(BaseModel):
    """What a node's measured flows leave over."""

    node: str
    residual_t: Number


class BalanceRow(Trusted):
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


class NamedStream(BaseModel):
    """A stream whose meter may have begun to show something else.

    `:faraday` are the cells of a place, `:stock` its tanks. Without ends the stream is not in the
    model any more.
    """

    id: str
    from_: str | None = Field(alias="from")
    to: str | None


class Naming(BaseModel):
    """What the watch over the balances has noticed; streams and leaks cannot be told apart.

    The most suspect stream is the first, bias is what it shows too much. A naming is current for
    some hours: that long the meters are under suspicion.
    """

    time: Rfc3339
    since: Rfc3339
    streams: list[NamedStream]
    leaks: list[str]
    bias_t_h: float
    test: float
    current: bool


class NamingPage(BaseModel):
    """Whom the balances of a scope have named."""

    scope: str
    items: list[Naming]
    next: Cursor
