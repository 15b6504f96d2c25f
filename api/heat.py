"""Heat of a scope: what plants deliver of the energy they take, and steam at its nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from fastapi import APIRouter
from pydantic import Field
from typing_extensions import TypedDict

from api.answers import (
    Given,
    HalfWidth,
    Number,
    WindowAnswer,
    WindowRow,
    formula,
    record,
)
from api.calculation.pool import CalculationRoute
from api.context import AppContext
from api.encode import TONNE, number, out
from api.joint import Joint, read_joint
from api.problems import RESPONSES
from api.sums import Sums, read_sums
from api.windows import Hourly
from twin.accounts.accounts import coal_entry
from twin.accounts.carriers import steam_factor
from twin.accounts.heat import (
    STEAM,
    HeatingValue,
    SteamContent,
    SteamState,
    base_enthalpy,
    content_of,
    heat_entry,
    state_heat,
)
from twin.arrays import F64
from twin.energy.conversion import UNDECIDED, judge
from twin.model.meters import counts
from twin.model.park import inside
from twin.reference import load as load_reference
from twin.uom import compile_uom

if TYPE_CHECKING:
    from twin.accounts.network import Network
    from twin.model.park import Meter, Stream

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES, route_class=CalculationRoute)

KGCE = compile_uom("kgce", "energy")
GJ = compile_uom("GJ", "energy")
KJ_PER_KG = compile_uom("kJ/kg", "intensity")
KGCE_PER_T = compile_uom("kgce/t", "intensity")
MPA = compile_uom("MPa", "pressure")
CELSIUS = compile_uom("degC", "temperature")
Verdict = Literal["plausible", "creates_energy", "undecided"]


class ConversionRow(WindowRow):
    """A scope with energy meters in and out, like a boiler house, in one window.

    Amounts are what was measured; the efficiency is that of the time in which all meters are
    covered.
    """

    scope: str
    supplied_kgce: Annotated[
        Number, formula("sum of the amounts of its meters in, each * its coal equivalent")
    ]
    delivered_kgce: Annotated[
        Number, formula("sum of the amounts of its meters out, each * its coal equivalent")
    ]
    efficiency: Annotated[
        Number, formula("delivered / supplied, over the joint time of all of their tags")
    ]
    efficiency_ci: HalfWidth
    verdict: Annotated[
        str | None, Field(description="plausible, creates_energy (above 1 for sure), undecided")
    ]


class SteamNodeRow(WindowRow):
    """A scope that steam enters and leaves: a header, a letdown or a turbine, in one window."""

    scope: str
    steam_in_t: Annotated[Number, formula("sum of the amounts of the steam meters in")]
    steam_out_t: Annotated[Number, formula("sum of the amounts of the steam meters out")]
    heat_in_gj: Annotated[
        Number,
        formula(
            "sum over the meters in of mass * (enthalpy by pressure and temperature - that "
            "of the reference) (IAPWS-IF97)"
        ),
    ]
    heat_out_gj: Annotated[
        Number,
        formula(
            "sum over the meters out of mass * (enthalpy by pressure and temperature - that "
            "of the reference) (IAPWS-IF97)"
        ),
    ]
    difference_gj: Annotated[
        Number, formula("heat in - heat out: heat lost there, or work of a turbine")
    ]
    difference_ci_gj: HalfWidth
    unmetered: Annotated[list[str], Field(description="its streams without a meter")]


class SteamStateRow(TypedDict):
    """A state of steam with what its heat counts from; nominal values where tags have others."""

    id: str
    scope: str
    pressure_mpa: Given[Number]
    pressure_tag: str | None
    absolute: bool
    temperature_c: Given[Annotated[Number, Field(description="null: saturated")]]
    temperature_tag: str | None
    liquid: bool
    returned: Given[float]
    reference: str
    enthalpy_kj_per_kg: Annotated[
        float, formula("enthalpy by the nominal pressure and temperature (IAPWS-IF97)")
    ]
    base_kj_per_kg: Annotated[
        float, formula("enthalpy of the reference, less what the returned condensate brings back")
    ]
    kgce_per_t: Annotated[float, formula("(enthalpy - base) * coal equivalent of heat (GB/T 2589)")]
    method: str
    confidence: Annotated[str, Field(description="of the reference")]
    verified: bool


class HeatBasis(TypedDict):
    """What the energy of a meter rests on."""

    meter: str
    tag: str
    carrier: str
    basis: Annotated[str, Field(description="enthalpy, heating_value or table")]
    of: Annotated[str, Field(description="id of the state, tag, or table of carriers")]


class HeatAnswer(WindowAnswer):
    """Heat of the scope."""

    items: list[ConversionRow]
    nodes: list[SteamNodeRow]
    steam: list[SteamStateRow]
    meters: list[HeatBasis]


@router.get("/{path:path}/heat")
async def read_heat(context: AppContext, query: Hourly) -> HeatAnswer:
    """Return what plants of a scope deliver of the energy they take, and steam at its nodes."""
    network, path = query.network, query.scope
    plants, nodes = _plants(network, path), _nodes(network, path)
    used = np.zeros(len(network.tags))
    for supplied, delivered in plants.values():
        used += np.abs(supplied) + np.abs(delivered)
    for node in nodes:
        used += sum(np.abs(weight) for weight in _flows(network, node))
    sums = await read_sums(context, query, np.flatnonzero(used))
    weights = [sum(map(np.abs, sides)) for sides in plants.values()]
    weights += [sum(map(np.abs, _flows(network, node))) for node in nodes]
    joint = await read_joint(context, sums, [np.flatnonzero(weight) for weight in weights])
    rows = [
        _conversion(sums, each, scope, *sides)
        for each, (scope, sides) in zip(joint, plants.items(), strict=False)
    ]
    meters = [m for m in network.park.meters if inside(m.scope, path) and m.basis != "DC"]
    states = [s for s in network.park.rows(SteamState) if inside(s.scope, path)]
    node_rows = [
        _node(sums, each, node) for each, node in zip(joint[len(plants) :], nodes, strict=True)
    ]
    return query.answer(
        HeatAnswer,
        rows,
        nodes=[row for window in zip(*node_rows, strict=True) for row in window],
        steam=[_state(state) for state in states],
        meters=[_basis(network, meter) for meter in meters if meter.carrier != "electricity"],
    )


def _plants(network: Network, path: str) -> dict[str, tuple[F64, F64]]:
    """Return the weights, (T,) [J/SI], of meters in and out of each scope that has both."""
    sides: dict[str, dict[str, F64]] = {}
    trees = network.meters
    for n, meter in enumerate(trees.meters):
        if inside(meter.scope, path) and counts(trees, n, meter.scope):
            at, factor = coal_entry(network.park, network.index, network.heats, meter)
            side = sides.setdefault(meter.scope, {})
            side.setdefault(meter.direction, np.zeros(len(network.tags)))[at] += factor
    both = {scope: side for scope, side in sides.items() if {"in", "out"} <= {*side}}
    return {scope: (side["in"], side["out"]) for scope, side in both.items()}


def _conversion(
    sums: Sums, joint: Joint, scope: str, supplied: F64, delivered: F64
) -> list[ConversionRow]:
    """Return the rows of one scope."""
    efficiency, ci = joint.ratio("", delivered, supplied)
    verdict = np.where(joint.decisive, judge(efficiency, ci), UNDECIDED)
    return sums.query.rows(
        ConversionRow,
        {
            "scope": scope,
            "supplied_kgce": out(sums.weigh(supplied), KGCE),
            "delivered_kgce": out(sums.weigh(delivered), KGCE),
            "efficiency": out(efficiency),
            "efficiency_ci": out(ci),
            "verdict": verdict.tolist(),
            **joint.trust(~np.isnan(efficiency)),
        },
    )


Node = tuple[str, list["Stream"], list["Stream"]]


def _nodes(network: Network, path: str) -> list[Node]:
    """Return the ends of streams in a scope that steam enters and leaves, with these streams."""
    streams = [stream for stream in network.park.streams if stream.medium == STEAM]
    ends = dict.fromkeys(end for s in streams for end in (s.origin, s.to))
    nodes = [(p, [s for s in streams if s.to == p], [s for s in streams if s.origin == p])
             for p in ends if inside(p, path)]  # fmt: skip
    return [node for node in nodes if node[1] and node[2]]


def _flows(network: Network, node: Node) -> tuple[F64, F64, F64, F64]:
    """Return the weights, (T,), of mass in and out [kg/SI] and heat in and out [J/SI] of a node."""
    weights = np.zeros((4, len(network.tags)))
    for side, streams in enumerate(node[1:]):
        for stream in streams:
            if stream.flow:
                weights[side, network.index[stream.flow]] += 1.0
                entry = heat_entry(network.park, network.index, network.heats, stream)
                if entry:
                    weights[2 + side, entry[0]] += entry[1]
    return weights[0], weights[1], weights[2], weights[3]


def _node(sums: Sums, joint: Joint, node: Node) -> list[SteamNodeRow]:
    """Return the rows of one node; a side with a stream that is not metered is not known."""
    network, flows = sums.network, _flows(sums.network, node)
    unmetered = [[s.id for s in side if not s.flow] for side in node[1:]]
    known = [np.nan if lost else 1.0 for lost in unmetered]
    # Without a state there is mass, and no heat.
    stated = [all(content_of(network.park, network.index, s) for s in side) for side in node[1:]]
    hot = [known[side] if stated[side] else np.nan for side in (0, 1)]
    steam_in, steam_out, heat_in, heat_out = (
        sums.weigh(weight) * factor for weight, factor in zip(flows, (*known, *hot), strict=True)
    )
    lost = joint.sums.weigh(flows[2] - flows[3]) * hot[0] * hot[1]
    difference = np.where(joint.enough, lost, np.nan)
    ci = np.where(np.isnan(difference), np.nan, joint.sums.ci("", flows[2] - flows[3]))
    return sums.query.rows(
        SteamNodeRow,
        {
            "scope": node[0],
            "steam_in_t": out(steam_in, TONNE),
            "steam_out_t": out(steam_out, TONNE),
            "heat_in_gj": out(heat_in, GJ),
            "heat_out_gj": out(heat_out, GJ),
            "difference_gj": out(difference, GJ),
            "difference_ci_gj": out(ci, GJ),
            "unmetered": [[*unmetered[0], *unmetered[1]]] * len(difference),
            **joint.trust(~np.isnan(difference)),
        },
    )


def _state(state: SteamState) -> SteamStateRow:
    """Return a state as it leaves."""
    base = base_enthalpy(state)
    whole = state_heat(state) + base
    row = load_reference("steam")[state.reference]
    return record(
        SteamStateRow,
        state,
        pressure_mpa=number(state.pressure, MPA),
        pressure_tag=state.pressure_tag or None,
        temperature_c=number(state.temperature, CELSIUS),
        temperature_tag=state.temperature_tag or None,
        enthalpy_kj_per_kg=number(whole, KJ_PER_KG),
        base_kj_per_kg=number(base, KJ_PER_KG),
        kgce_per_t=number(steam_factor(whole, base), KGCE_PER_T),
        method="IAPWS-IF97",
        confidence=row["confidence"],
        verified=row["verified"],
    )


def _basis(network: Network, meter: Meter) -> HeatBasis:
    """Return what the energy of a meter rests on."""
    content = content_of(network.park, network.index, meter)
    basis, of = "table", meter.carrier
    if isinstance(content, SteamContent):
        basis, of = "enthalpy", content.state.id
    elif content is not None:
        tags = [r.tag for r in network.park.rows(HeatingValue) if r.tag and r.carrier == of]
        basis, of = "heating_value", network.tags[content.tag].address if tags else "by hand"
    return {
        "meter": meter.id or meter.tag, "tag": meter.tag, "carrier": meter.carrier,
        "basis": basis, "of": of,
    }  # fmt: skip
