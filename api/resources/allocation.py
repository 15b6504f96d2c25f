"""Where the resources of a scope gain most, within all limits, and what the limits cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from api.answers import (
    Completeness,
    Given,
    Name,
    Number,
    Provenance,
    Uint8,
    WindowAnswer,
    WindowRow,
    formula,
    nested,
    record,
    records,
)
from api.encode import CNY_PER_H, CNY_PER_T, KM, ONE, T_PER_H, TONNE, Uom, number, out
from api.resources.catalogue import (
    Availability,
    Origin,
    Why,
    Withheld,
    concealed,
    enterprises,
)
from twin import quality as q
from twin.arrays import BOOL, F64, I64, ratio
from twin.byproducts.blending import Mixing, Qualities, mix
from twin.byproducts.catalogue import Haul, Need, open_share
from twin.byproducts.exchange import modes
from twin.byproducts.matching import Matches, match
from twin.disclosure import LINKED, Level, Viewer, spread, withheld
from twin.reference import load
from twin.uom import compile_uom, parse_quantity

if TYPE_CHECKING:
    from api.context import Context
    from api.windows import WindowQuery
    from twin.byproducts.allocation import Links

KGCE_PER_T = compile_uom("kgce/t", "intensity")
TCE = compile_uom("tce", "energy")
# A minimum that is met up to this share of it is met.
SLACK = 1e-6
T_KM = (TONNE[0] * KM[0], 0.0)
YEAR = compile_uom("year", "time")
PERCENT = compile_uom("%", "fraction")
Price = Annotated[
    Number, formula("more gain per more of it, CNY/t: dual value of the linear program")
]
Limit = Literal["availability", "maximum", "way", "purity", "impurity"]


class ResourceUse(TypedDict):
    """How much of a resource is placed."""

    resource: str
    basis: Origin
    available_t_h: Annotated[
        Number, formula("of the catalogue: by its meters, else as it is stated")
    ]
    placed_t_h: Annotated[
        Number,
        formula("sum of its flows in the allocation with the greatest gain (linear program)"),
    ]
    price_cny_t: Price
    withheld: Why


class NeedSupply(TypedDict):
    """How much a need takes; below its minimum it is no use where the minimum is not firm."""

    need: str
    taken_t_h: Annotated[
        Number, formula("sum of the flows to it in the allocation with the greatest gain")
    ]
    min_t_h: Given[Number]
    below_min: bool | None
    price_cny_t: Price
    firm_price_cny_t: Annotated[
        Number, formula("gain lost per more of a firm minimum: dual value of the linear program")
    ]
    withheld: Why


class ResourceFlow(TypedDict):
    """A flow from a resource to a need by one mode; trust is that of what there is to flow."""

    resource: str
    resource_name: Name
    need: str
    need_name: Name
    mode: str
    basis: Origin
    flow_t_h: Annotated[
        Number, formula("of the allocation with the greatest gain (linear program)")
    ]
    gain_cny_t: Annotated[
        Number,
        formula(
            "price paid - price asked - transport + disposal saved + price of carbon * "
            "carbon dioxide avoided"
        ),
    ]
    gain_cny: Annotated[Number, formula("flow * gain per tonne * hours of the window")]
    investment_cny: Given[
        Annotated[Number, Field(description="to build the way; null = it is there, or not stated")]
    ]
    payback_years: Annotated[
        Number,
        formula("investment / (gain of the window / its share of a year): simple payback"),
    ]
    distance_km: Given[Number]
    price_cny_t: Price
    withheld: Withheld
    completeness: Completeness
    quality: Uint8
    missing: list[str]


class QualityPrice(TypedDict):
    """What a limit on a mixture costs: gain per hour for a percentage point more of leeway."""

    need: str
    component: str
    code: Literal["purity", "impurity"]
    limit: Given[float]
    price_cny_h: Annotated[
        Number,
        formula(
            "gain per hour for a percentage point more of leeway: dual value of the linear program"
        ),
    ]


class Contradiction(TypedDict):
    """A limit that, with the others of the list, stands against the firm minima of a window."""

    kind: Limit
    id: str
    component: str
    zh: str
    en: str


class Shortfall(TypedDict):
    """A firm minimum that cannot be met, and by how much at least."""

    need: str
    shortfall_t_h: Annotated[
        Number, formula("least sum of what the firm minima lack (linear program)")
    ]


class AllocationRow(WindowRow):
    """The allocation with the greatest gain in a window; without one, what contradicts.

    gain: prices paid, less prices asked and transport, plus what disposal would have cost and the
    price of carbon. Avoided coal equivalent and carbon dioxide are those of what is replaced, by
    the factors in the answer.
    """

    feasible: bool
    available_t_h: Annotated[Number, formula("sum of the resources")]
    placed_t_h: Annotated[Number, formula("sum of the flows")]
    placed_t: Annotated[Number, formula("sum of the flows * hours of the window")]
    gain_cny_h: Annotated[Number, formula("sum over the flows of flow * gain per tonne")]
    gain_cny: Annotated[Number, formula("gain of an hour * hours of the window")]
    freight_cny_h: Annotated[Number, formula("sum over the flows of flow * cost of transport")]
    work_t_km: Annotated[
        Number, formula("sum over the flows of flow * distance * hours of the window")
    ]
    avoided_tce: Annotated[
        Number,
        formula(
            "sum over the components that replace something of mass * energy avoided, as in "
            "`factors`"
        ),
    ]
    avoided_co2_t: Annotated[
        Number,
        formula(
            "sum over the components that replace something of mass * carbon dioxide "
            "avoided, as in `factors`"
        ),
    ]
    withheld: Why
    resources: list[ResourceUse]
    needs: list[NeedSupply]
    flows: list[ResourceFlow]
    qualities: list[QualityPrice]
    shortfalls: list[Shortfall]
    contradictions: list[Contradiction]


class AvoidedFactor(Provenance):
    """What a tonne of a component avoids where it replaces something."""

    id: str
    name: Name
    component: str
    energy_kgce_t: Given[float]
    co2_t_t: Given[float]
    source: str
    evidence: str


class AllocationAnswer(WindowAnswer):
    """Allocations of the resources of a scope to needs that take mixtures."""

    viewer: Level
    carbon_price_cny_t: Given[float]
    items: list[AllocationRow]
    factors: list[AvoidedFactor]


@dataclass(frozen=True, slots=True)
class _Case:
    """The ways between P resources and Q needs, what flows over them bring, who may see what."""

    matches: Matches
    links: Links
    qualities: Qualities
    limits: list[tuple[int, int, str]]  # of Z qualities: need, component, code
    gain: F64  # (L,) [CNY/kg]
    energy: F64  # (L,) [J/kg] avoided
    co2: F64  # (L,) [kg/kg] avoided
    most: F64  # (W, Q) [kg/s]
    firm: F64  # (W, Q) [kg/s]
    secret_resource: list[bool]
    secret_need: list[bool]
    linked_resource: BOOL  # (P,) whose flows would tell those of a concealed row
    linked_need: BOOL  # (Q,)
    owners: list[str]

    @property
    def secret(self) -> BOOL:
        """Tell of each way whether its flow is withheld, (L,)."""
        return np.asarray(self.linked_resource[self.links.source])

    @property
    def members(self) -> list[str]:
        """Return of each way who a sum may not give away."""
        ends = zip(self.links.source.tolist(), self.links.sink.tolist(), strict=True)
        return [
            self.matches.needs[q].id if self.secret_need[q] else self.owners[p] for p, q in ends
        ]


def allocate_resources(
    context: Context, query: WindowQuery, amounts: Availability, carbon_price: float, viewer: Viewer
) -> AllocationAnswer:
    """Return the allocation of each window; the price of carbon is in CNY/kg.

    Raises Problem 422 where that takes too many values.
    """
    case = _compile(query, amounts, carbon_price, viewer)
    rows, windows = len(case.owners) + len(case.secret_need) + len(case.limits), len(amounts.rate)
    context.require_affordable(windows * (rows + len(case.gain)) * 10)
    result = mix(amounts.rate, case.most, case.firm, case.gain, case.links, case.qualities)
    columns = _totals(query, case, amounts, result) | _trust(amounts, windows)
    columns |= {
        "feasible": result.feasible,
        "resources": _uses(case, amounts, result),
        "needs": _supplies(case, result),
        "flows": _flows(query, case, amounts, result),
        "qualities": [_prices(case, result, n) for n in range(windows)],
        "shortfalls": [_shortfalls(case, result, n) for n in range(windows)],
        "contradictions": [_contradictions(case, result, n) for n in range(windows)],
    }
    return query.answer(
        AllocationAnswer,
        [query.rows(AllocationRow, columns)],
        viewer=viewer.level,
        carbon_price_cny_t=number(carbon_price, CNY_PER_T),
        factors=_factors(),
    )


def _compile(
    query: WindowQuery, amounts: Availability, carbon_price: float, viewer: Viewer
) -> _Case:
    park, resources = query.network.park, amounts.resources
    needs = park.rows(Need)
    shape = len(amounts.rate), len(needs)
    shares = np.array([open_share(needs, day) for day in query.days]).reshape(shape)
    # A way may be used where both sides are open in some window; how far, their quantities say.
    unknown = np.full(len(resources), np.nan)
    ever = np.ones(len(resources)), np.ones(len(needs))
    matches = match(resources, needs, park.rows(Haul), unknown, ever)
    links = matches.links()
    qualities, limits = matches.qualities(links)
    energy, co2 = _avoided(matches, links)
    secret = [concealed(viewer, resources), concealed(viewer, needs)]
    ends = links.source, links.sink
    linked = spread(np.array(secret[0], bool), np.array(secret[1], bool), ends)
    return _Case(
        matches=matches,
        links=links,
        qualities=qualities,
        limits=limits,
        gain=_prices_of(matches, links) + carbon_price * co2,
        energy=energy,
        co2=co2,
        most=shares * np.array([need.most for need in needs], np.float64),
        firm=np.where(shares > 0, [need.least * need.firm for need in needs], 0.0),
        secret_resource=secret[0],
        secret_need=secret[1],
        linked_resource=linked[0],
        linked_need=linked[1],
        owners=enterprises(park, resources),
    )


def _prices_of(matches: Matches, links: Links) -> F64:
    """Return what a kilogram over each way brings, (L,) [CNY/kg]."""
    paid = np.array([need.price for need in matches.needs], np.float64)
    rows = matches.resources
    cost = np.array([row.price - row.disposal_cost for row in rows], np.float64)
    return np.asarray(paid[links.sink] - cost[links.source] - links.cost)


def _avoided(matches: Matches, links: Links) -> tuple[F64, F64]:
    """Return the energy [J/kg] and carbon dioxide [kg/kg] that each way avoids, (L,)."""
    table = load("avoided")
    rows = [table.get(need.replaces, {}) for need in matches.needs]
    energy = np.array([parse_quantity(r.get("energy", "0 J/kg"), "intensity") for r in rows])
    co2 = np.array([parse_quantity(r.get("co2", "0 t/t"), "fraction") for r in rows])
    content = np.nan_to_num(matches.usual[links.source, matches.wanted[links.sink]])
    return content * energy[links.sink], content * co2[links.sink]


def _totals(
    query: WindowQuery, case: _Case, amounts: Availability, result: Mixing
) -> dict[str, Any]:
    """Return the sums of each window, and why they are withheld."""
    flow, links = result.flow, case.links
    why = [withheld(each, case.members, case.secret.tolist()) for each in flow]
    available = [withheld(each, case.owners, case.secret_resource) for each in amounts.rate]
    gone, lost = (np.array([each != "" for each in texts], bool) for texts in (why, available))

    def total(worth: F64 | float, uom: Uom, seconds: F64 | float = 1.0) -> F64:
        return np.where(gone, np.nan, out((flow * worth).sum(axis=-1) * seconds, uom))

    elapsed_s = query.elapsed_s
    distance = np.nan_to_num(links.distance)
    return {
        "available_t_h": np.where(lost, np.nan, out(amounts.rate.sum(axis=-1), T_PER_H)),
        "placed_t_h": total(1.0, T_PER_H),
        "placed_t": total(1.0, TONNE, elapsed_s),
        "gain_cny_h": total(case.gain, CNY_PER_H),
        "gain_cny": total(case.gain, ONE, elapsed_s),
        "freight_cny_h": total(links.cost, CNY_PER_H),
        "work_t_km": total(distance, T_KM, elapsed_s),
        "avoided_tce": total(case.energy, TCE, elapsed_s),
        "avoided_co2_t": total(case.co2, TONNE, elapsed_s),
        "withheld": why,
    }


def _trust(amounts: Availability, windows: int) -> dict[str, Any]:
    """Return completeness, quality and missing tags of all resources of each window."""
    grades = np.array([each["quality"] for each in amounts.trust], np.uint8)
    grades = grades.reshape(len(amounts.trust), windows).T
    shares = np.array([each["completeness"] for each in amounts.trust], np.float64)
    least = np.where(np.isnan(shares), np.inf, shares).min(axis=0, initial=np.inf)
    missing = [each["missing"] for each in amounts.trust]
    return {
        "completeness": out(np.where(np.isfinite(least), least, np.nan) + np.zeros(windows)),
        "quality": q.worst_of(grades, np.zeros(1, np.intp))[:, 0]
        if grades.shape[1]
        else np.zeros(windows, np.uint8),
        "missing": [list(dict.fromkeys(t for each in missing for t in each[n]))
                    for n in range(windows)],
    }  # fmt: skip


def _uses(case: _Case, amounts: Availability, result: Mixing) -> list[list[ResourceUse]]:
    """Return how much of each resource is placed, by window."""
    rows, linked, source = case.matches.resources, case.linked_resource, case.links.source
    return nested(
        ResourceUse,
        {"resource": [row.id for row in rows], "withheld": _why(linked)},
        {
            "basis": amounts.basis,
            "available_t_h": _seen(amounts.rate, T_PER_H, case.secret_resource),
            "placed_t_h": _seen(_ends(result.flow, source, len(rows)), T_PER_H, linked),
            "price_cny_t": _seen(result.source_price, CNY_PER_T, linked),
        },
        len(rows),
    )


def _supplies(case: _Case, result: Mixing) -> list[list[NeedSupply]]:
    """Return how much each need takes, by window."""
    needs, linked = case.matches.needs, case.linked_need
    taken = _ends(result.flow, case.links.sink, len(needs))
    least = np.where(case.most > 0, [need.least for need in needs], 0.0)
    below = (taken > 0) & (taken < least * (1 - SLACK))
    return nested(
        NeedSupply,
        {"need": [need.id for need in needs], "withheld": _why(linked)},
        {
            "taken_t_h": _seen(taken, T_PER_H, linked),
            "min_t_h": _seen(least, T_PER_H, case.secret_need),
            "below_min": np.where(linked, np.array(None), below.astype(object)),
            "price_cny_t": _seen(result.sink_price, CNY_PER_T, linked),
            "firm_price_cny_t": _seen(result.firm_price, CNY_PER_T, linked),
        },
        len(needs),
    )


def _flows(
    query: WindowQuery, case: _Case, amounts: Availability, result: Mixing
) -> list[list[ResourceFlow]]:
    """Return the ways over which something flows; of those that are withheld, that it does."""
    links, secret, matches = case.links, case.secret, case.matches
    names = [[(row.id, row.name) for row in rows] for rows in (matches.resources, matches.needs)]
    ends = [[names[0][p], names[1][q]] for p, q in zip(links.source, links.sink, strict=True)]
    mode = np.array(modes(), object)[links.mode]
    built = {(h.origin, h.to, h.mode): h.investment for h in query.network.park.rows(Haul)}
    investment = np.array(
        [built.get((origin[0], end[0], by), np.nan)
         for (origin, end), by in zip(ends, mode, strict=True)], np.float64,
    )  # fmt: skip
    gain = result.flow * case.gain
    payback_s = np.where(gain > 0, ratio(investment, gain), np.nan)
    fixed = {
        "resource": [origin[0] for origin, _ in ends],
        "resource_name": [origin[1] for origin, _ in ends],
        "need": [end[0] for _, end in ends],
        "need_name": [end[1] for _, end in ends],
        "mode": mode.tolist(),
        "gain_cny_t": _seen(case.gain, CNY_PER_T, secret).tolist(),
        "investment_cny": out(investment).tolist(),
        "distance_km": out(links.distance, KM).tolist(),
        "withheld": secret.tolist(),
    }
    windows = {
        "basis": amounts.basis[:, links.source],
        "flow_t_h": _seen(result.flow, T_PER_H, secret),
        "gain_cny": _seen(gain * query.elapsed_s[:, None], ONE, secret),
        "payback_years": _seen(payback_s, YEAR, secret),
        "price_cny_t": _seen(result.link_price, CNY_PER_T, secret),
    }
    trust = [amounts.trust[p] for p in links.source.tolist()]
    rows: list[list[ResourceFlow]] = []
    for n, some in enumerate(result.flow > 0):
        columns = fixed | {key: column[n].tolist() for key, column in windows.items()}
        columns |= {key: [each[key][n] for each in trust]
                    for key in ("completeness", "quality", "missing")}  # fmt: skip
        used = {key: [column[at] for at in np.flatnonzero(some)] for key, column in columns.items()}
        rows.append(records(ResourceFlow, int(some.sum()), used))
    return rows


def _ends(flow: F64, end: I64, count: int) -> F64:
    """Return the sum of the flows of each end of the ways, (W, count)."""
    return np.asarray(flow @ (end[:, None] == np.arange(count)))


def _seen(si: F64, uom: Uom, secret: BOOL | list[bool]) -> F64:
    """Return figures in a unit of measure; NaN where they are withheld."""
    return out(np.where(secret, np.nan, si), uom)


def _why(linked: BOOL) -> list[str]:
    return [LINKED if each else "" for each in linked.tolist()]


def _prices(case: _Case, result: Mixing, n: int) -> list[QualityPrice]:
    """Return the limits on mixtures that are made, and cost something."""
    rows: list[QualityPrice] = []
    for z, (at, component, code) in enumerate(case.limits):
        mine = case.links.sink == at
        point = result.quality_price[n, z] * result.flow[n, mine].sum() * PERCENT[0]
        if not point > 0:
            continue
        rows.append(
            {
                "need": case.matches.needs[at].id,
                "component": case.matches.components[component],
                "code": "purity" if code == "purity" else "impurity",
                "limit": _limit_of(case, at, component, code),
                "price_cny_h": None if case.linked_need[at] else number(point, CNY_PER_H),
            }
        )
    return rows


def _limit_of(case: _Case, at: int, component: int, code: str) -> float:
    purity = case.matches.needs[at].purity
    return number(purity if code == "purity" else case.matches.limit[at, component])


def _shortfalls(case: _Case, result: Mixing, n: int) -> list[Shortfall]:
    return [
        {
            "need": case.matches.needs[at].id,
            "shortfall_t_h": None
            if case.linked_need[at]
            else number(result.shortfall[n, at], T_PER_H),
        }
        for at in np.flatnonzero(result.shortfall[n] > 0).tolist()
    ]


TEXTS = {
    "availability": ("{0} 的可供量不足", "there is not enough of {0}"),
    "maximum": ("{0} 的接收上限", "{0} can take no more"),
    "way": ("{0} 的运输能力", "the way {0} has no more capacity"),
    "purity": ("{0} 对 {1} 含量的下限", "the purity of {1} that {0} asks for"),
    "impurity": ("{0} 对杂质 {1} 的限值", "the limit of {0} for {1}"),
}


def _contradictions(case: _Case, result: Mixing, n: int) -> list[Contradiction]:
    """Return the limits that stand against the firm minima of a window."""
    matches, links = case.matches, case.links
    ways = [
        f"{matches.resources[p].id} → {matches.needs[at].id} ({modes()[d]})"
        for p, at, d in zip(links.source, links.sink, links.mode, strict=True)
    ]
    held: list[tuple[Limit, str, str]] = [
        ("availability", matches.resources[p].id, "") for p in np.flatnonzero(result.source_held[n])
    ]
    held += [("maximum", matches.needs[at].id, "") for at in np.flatnonzero(result.sink_held[n])]
    held += [("way", ways[k], "") for k in np.flatnonzero(result.link_held[n])]
    for z in np.flatnonzero(result.quality_held[n]).tolist():
        at, component, code = case.limits[z]
        kind: Limit = "purity" if code == "purity" else "impurity"
        held.append((kind, matches.needs[at].id, matches.components[component]))
    return [
        {
            "kind": kind,
            "id": id_,
            "component": component,
            "zh": TEXTS[kind][0].format(id_, component),
            "en": TEXTS[kind][1].format(id_, component),
        }
        for kind, id_, component in held
    ]


def _factors() -> list[AvoidedFactor]:
    """Return the factors of what is avoided, with their provenance."""
    return [
        record(
            AvoidedFactor,
            row,
            id=name,
            energy_kgce_t=number(parse_quantity(row["energy"], "intensity"), KGCE_PER_T),
            co2_t_t=number(parse_quantity(row["co2"], "fraction"), ONE),
        )
        for name, row in load("avoided").items()
    ]
