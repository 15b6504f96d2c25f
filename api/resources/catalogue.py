"""What the catalogue holds, and how much of each resource there is in windows of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import TypedDict

from api.answers import (
    Given,
    HalfWidth,
    Name,
    Number,
    Rfc3339,
    WindowAnswer,
    WindowRow,
    formula,
    record,
    records,
)
from api.encode import CNY_PER_T, KM, T_PER_H, TONNE, number, out, rfc3339
from api.joint import Joint, read_joint
from api.reconciled import Basis, ReconciledAmount, read_amounts
from api.sums import NO_TAGS, read_sums
from twin import quality as q
from twin.arrays import F64, ratio
from twin.byproducts.catalogue import Need, Resource, meter_weight, open_share, resources_of
from twin.disclosure import Level, Viewer, withheld
from twin.model.park import owner_of
from twin.reconciliation.uncertainty import half_width
from twin.uom import compile_uom

if TYPE_CHECKING:
    from collections.abc import Sequence

    from api.context import Context
    from api.windows import WindowQuery
    from twin.model.park import Park

KPA = compile_uom("kPa", "pressure")
CELSIUS = compile_uom("degC", "temperature")
GJ_PER_T = compile_uom("GJ/t", "intensity")

Origin = Literal["reconciled", "measured", "stated"]
Withheld = Annotated[
    bool, Field(description="quantities and prices are above the viewer's level, and null")
]
Why = Annotated[
    str,
    Field(
        description="why a figure is withheld: few_members or one_dominates of a sum, linked: it"
        " would tell what a concealed one gives or takes; else empty"
    ),
]
Span = TypedDict("Span", {"from": str | None, "to": str | None})


class ContentRow(TypedDict):
    """A component of a resource: least, usual and most, fractions by mass."""

    component: str
    min: Given[float]
    typical: Given[float]
    max: Given[float]


class ResourceRow(Span):
    """A resource as its enterprise states it."""

    id: str
    scope: str
    enterprise: str
    name: Name
    category: str
    phase: str
    composition: list[ContentRow]
    status: Annotated[str, Field(description="product or waste by GB 34330")]
    disposition: Annotated[str, Field(description="what becomes of it today")]
    cas: str
    code: str
    waste_code: str
    hazards: list[str]
    approvals: list[str]
    temperature_c: Given[Number]
    pressure_kpa: Given[Number]
    heating_value_gj_t: Given[Number]
    typical_t_h: Given[Number]
    design_t_h: Given[Number]
    months: Given[Annotated[list[float] | None, Field(description="shares of typical, by month")]]
    storage_t: Given[Number]
    price_cny_t: Given[Number]
    disposal_cost_cny_t: Given[Number]
    modes: list[str]
    location: Given[list[float]]
    measured: list[str]
    used: list[str]
    contact: str
    confidentiality: Level
    withheld: Withheld
    standard: str
    evidence: str
    source: str
    note: str


class ImpurityRow(TypedDict):
    """The most of an impurity that is taken, a fraction by mass."""

    component: str
    max: Given[float]


class NeedRow(Span):
    """What somebody could take, and under which terms."""

    id: str
    scope: str
    name: Name
    industry: str
    component: str
    purity: Given[float]
    impurities: list[ImpurityRow]
    phases: list[str]
    temperature_c: Given[Number]
    pressure_kpa: Given[Number]
    min_t_h: Given[Number]
    max_t_h: Given[Number]
    firm: bool
    mixtures: Annotated[bool, Field(description="whether resources that do not fit alone may mix")]
    months: Given[Annotated[list[float] | None, Field(description="shares of max, by month")]]
    modes: list[str]
    accepts: list[str]
    waste_codes: list[str]
    approvals: list[str]
    distance_max_km: Given[Number]
    price_cny_t: Given[Number]
    replaces: str
    location: Given[list[float]]
    contact: str
    confidentiality: Level
    withheld: Withheld
    source: str
    note: str


class AvailabilityRow(WindowRow):
    """How much of a resource there is in a window: by its meters, else as it is stated.

    What is measured is the mean of the joint time of its meters, not below 0; what is reconciled
    that of the whole window, by the closed balances. `completeness` is that of the meters, null
    where there are none.
    """

    resource: str
    basis: Origin
    available_t_h: Annotated[
        Number,
        formula(
            "sum of the amounts of its meters / their joint time, not below 0; without "
            "meters as it is stated for the month"
        ),
    ]
    available_ci_t_h: HalfWidth
    stated_t_h: Given[Number]
    withheld: Withheld
    reason: Annotated[str, Field(description="why the meters do not tell")]


class CategoryTotal(TypedDict):
    """What there is of a category in a window, in all; null where that gives a member away."""

    start: Rfc3339
    category: str
    resources: int
    available_t_h: Annotated[Number, formula("sum of what is available of its resources")]
    withheld: Why


class CatalogueAnswer(WindowAnswer):
    """The resource catalogue of a scope, and the needs it might serve."""

    viewer: Level
    items: list[AvailabilityRow]
    totals: list[CategoryTotal]
    resources: list[ResourceRow]
    needs: list[NeedRow]


@dataclass(frozen=True, slots=True)
class Availability:
    """Rates of R resources in W windows, and how far to trust them."""

    resources: tuple[Resource, ...]
    rate: F64  # (W, R) [kg/s]
    width: F64  # (W, R) [kg/s] half the interval; NaN = not known
    stated: F64  # (W, R) [kg/s]
    basis: NDArray[np.str_]  # (W, R)
    trust: list[dict[str, Any]]  # columns (W,) of each resource


async def read_availability(context: Context, query: WindowQuery, values: Basis) -> Availability:
    """Return how much there is of the resources of a scope; raises StoreError."""
    network, resources = query.network, resources_of(query.network.park, query.scope)
    weights = [meter_weight(network, row, row.measured, row.used) for row in resources]
    groups = [np.flatnonzero(weight) for weight in weights]
    sums = await read_sums(context, query, np.unique(np.concatenate([NO_TAGS, *groups])))
    joints = iter(await read_joint(context, sums, [group for group in groups if len(group)]))
    wanted = {row.id: weight for row, weight in zip(resources, weights, strict=True)}
    closed = await read_amounts(context, query, values, wanted)
    shape = len(query.edges) - 1, len(resources)
    typical = np.array([row.typical for row in resources], np.float64)
    shares = np.array([open_share(resources, day) for day in query.days]).reshape(shape)
    stated = shares * typical
    rate, width = stated.copy(), np.full(shape, np.nan)
    basis, trust = np.full(shape, "stated", "U10"), list[dict[str, Any]]()
    for r, (row, weight) in enumerate(zip(resources, weights, strict=True)):
        if not weight.any():
            trust.append(_as_stated(shape[0]))
            continue
        flow = _flow(next(joints), weight, closed[row.id], query.elapsed_s)
        known = ~np.isnan(flow.rate)
        # Outside of its period nothing is on offer, whatever flows.
        offered = np.where(shares[:, r] > 0, np.maximum(flow.rate, 0.0), 0.0)
        rate[:, r] = np.where(known, offered, stated[:, r])
        width[:, r] = flow.width
        basis[:, r] = np.where(known, flow.basis, "stated")
        trust.append(flow.trust)
    return Availability(resources, rate, width, stated, basis, trust)


class _Flow(NamedTuple):
    """The flow of a resource by its meters, (W,) each."""

    rate: F64  # [kg/s] NaN = not known
    width: F64  # [kg/s]
    basis: NDArray[np.str_]
    trust: dict[str, Any]


def _flow(joint: Joint, weight: F64, closed: ReconciledAmount, elapsed_s: F64) -> _Flow:
    """Return the flow by the closed balances where they stand, else by its own meters."""
    stands = closed.stands & (elapsed_s > 0)
    mean, half = joint.rate(weight)
    rate = np.where(stands, ratio(closed.value, elapsed_s), mean)
    width = np.where(stands, ratio(half_width(closed.sigma), elapsed_s), half)
    known = ~np.isnan(rate)
    trust = joint.trust(known)
    graded = np.where(stands, q.worse(trust["quality"], closed.quality), trust["quality"])
    trust["quality"] = np.where(known, graded, np.uint8(q.UNCERTAIN))
    trust["reason"] = [
        "" if there else why for there, why in zip(known.tolist(), joint.reasons(mean), strict=True)
    ]
    return _Flow(rate, width, np.where(stands, "reconciled", "measured"), trust)


def _as_stated(windows: int) -> dict[str, Any]:
    return {
        "completeness": np.full(windows, np.nan),
        "quality": np.full(windows, q.UNCERTAIN, np.uint8),
        "missing": [list[str]() for _ in range(windows)],
        "reason": "",
    }


def concealed(viewer: Viewer, rows: Sequence[Resource | Need]) -> list[bool]:
    """Tell of each row whether its quantities and prices are withheld."""
    return [not viewer.sees(row.scope, row.confidentiality) for row in rows]


def enterprises(park: Park, rows: Sequence[Resource]) -> list[str]:
    """Return the enterprise of each resource: the member that a sum may not give away."""
    kinds = {scope.id: scope.kind for scope in park.scopes}
    return [owner_of(row.scope, kinds) for row in rows]


def catalogue_answer(query: WindowQuery, amounts: Availability, viewer: Viewer) -> CatalogueAnswer:
    """Return the catalogue as a viewer sees it."""
    park, resources = query.network.park, amounts.resources
    secret = concealed(viewer, resources)
    owners = enterprises(park, resources)
    needs = park.rows(Need)
    rows = [
        query.rows(
            AvailabilityRow,
            {
                "resource": row.id,
                "basis": amounts.basis[:, r],
                "available_t_h": _visible(amounts.rate[:, r], secret=secret[r]),
                "available_ci_t_h": _visible(amounts.width[:, r], secret=secret[r]),
                "stated_t_h": _visible(amounts.stated[:, r], secret=secret[r]),
                "withheld": secret[r],
                **amounts.trust[r],
            },
        )
        for r, row in enumerate(resources)
    ]
    return query.answer(
        CatalogueAnswer,
        rows,
        viewer=viewer.level,
        totals=_totals(query, amounts, owners, secret),
        resources=[
            resource_row(row, owner, secret=mine)
            for row, owner, mine in zip(resources, owners, secret, strict=True)
        ],
        needs=[
            need_row(row, secret=mine)
            for row, mine in zip(needs, concealed(viewer, needs), strict=True)
        ],
    )


def _visible(rate: F64, *, secret: bool) -> F64:
    return np.full(rate.shape, np.nan) if secret else out(rate, T_PER_H)


def _totals(
    query: WindowQuery, amounts: Availability, owners: list[str], secret: list[bool]
) -> list[CategoryTotal]:
    """Return the sums by category of each window, unless they give a member away."""
    categories = np.array([row.category for row in amounts.resources], object)
    totals: list[CategoryTotal] = []
    for category in dict.fromkeys(categories.tolist()):
        at = np.flatnonzero(categories == category).tolist()
        parts = amounts.rate[:, at]
        whose, which = [owners[r] for r in at], [secret[r] for r in at]
        why = [withheld(each, whose, which) for each in parts]
        lost = np.array([each != "" for each in why])
        columns = {
            "start": [rfc3339(edge, query.zone) for edge in query.edges[:-1].tolist()],
            "category": category,
            "resources": len(at),
            "available_t_h": out(np.where(lost, np.nan, parts.sum(axis=-1)), T_PER_H),
            "withheld": why,
        }
        totals += records(CategoryTotal, len(parts), columns)
    return totals


def _figure(si: float, uom: tuple[Any, Any], *, secret: bool = False) -> float | None:
    """Return a figure in a unit of measure; None where it is withheld or not stated."""
    return None if secret or not np.isfinite(si) else number(si, uom)


def _terms(row: Resource | Need, *, secret: bool) -> dict[str, Any]:
    """Return the cells that resources and needs have alike."""
    return {
        "from": row.first.isoformat() if row.first else None,
        "to": row.last.isoformat() if row.last else None,
        "temperature_c": _figure(row.temperature, CELSIUS),
        "pressure_kpa": _figure(row.pressure, KPA),
        "months": None if secret else list(row.months),
        "price_cny_t": _figure(row.price, CNY_PER_T, secret=secret),
        "modes": list(row.modes),
        "approvals": list(row.approvals),
        "location": list(row.location),
        "withheld": secret,
    }


def resource_row(row: Resource, enterprise: str, *, secret: bool) -> ResourceRow:
    """Return a resource as a viewer sees it."""
    names = ("min", "typical", "max")
    return record(
        ResourceRow,
        row,
        enterprise=enterprise,
        composition=[
            record(ContentRow, dict(zip(names, map(number, shares), strict=True)), component=name)
            for name, shares in row.composition.items()
        ],
        heating_value_gj_t=_figure(row.heating_value, GJ_PER_T),
        typical_t_h=_figure(row.typical, T_PER_H, secret=secret),
        design_t_h=_figure(row.design, T_PER_H, secret=secret),
        storage_t=_figure(row.storage, TONNE, secret=secret),
        disposal_cost_cny_t=_figure(row.disposal_cost, CNY_PER_T, secret=secret),
        hazards=list(row.hazards),
        measured=list(row.measured),
        used=list(row.used),
        **_terms(row, secret=secret),
    )


def need_row(row: Need, *, secret: bool) -> NeedRow:
    """Return a need as a viewer sees it."""
    return record(
        NeedRow,
        row,
        impurities=[
            record(ImpurityRow, {}, component=name, max=number(most))
            for name, most in row.impurities.items()
        ],
        purity=number(row.purity),
        phases=list(row.phases),
        min_t_h=_figure(row.least, T_PER_H, secret=secret),
        max_t_h=_figure(row.most, T_PER_H, secret=secret),
        accepts=list(row.accepts),
        waste_codes=list(row.waste_codes),
        distance_max_km=_figure(row.distance, KM),
        **_terms(row, secret=secret),
    )
