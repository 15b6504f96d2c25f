"""Reactions in the units of a park, derived from its streams and the twin's chemistry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from twin.accounts.carriers import carrier_factor
from twin.accounts.heat import state_heat, state_of
from twin.model.park import OUTSIDE, inside
from twin.reference import load as load_reference
from twin.stoichiometry import compile_reactions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from twin.model.park import Park

# Reactions by the components that end in a unit, the leading one first. Any substitution by
# chlorine leaves one hydrogen chloride for each chlorine.
CHEMISTRY = {
    ("chlorine", "hydrogen"): ("hydrogen-chloride-synthesis",),
    ("chlorine",): ("methyl-chloride-chlorination",),
    ("chlorine", "caustic"): ("hypochlorite",),
    ("hydrogen_chloride", "caustic"): (
        "glycerol-hydrochlorination",
        "dichlorohydrin-saponification",
    ),
    ("ammonia", "carbon_dioxide"): ("urea",),
}
# The supply of these follows the demand; the production of any other component is shared out.
DEMAND_DRIVEN = ("sodium_chloride", "steam", "water")
TURBINE = 0.45  # electricity of a captive plant over the heat of its boilers
POWER, FUEL = "electricity", "coal"


@dataclass(frozen=True, slots=True)
class Reaction:
    """Production or need of a component in a unit, in proportion to a driver."""

    scope: str
    component: str
    makes: bool
    ratio: float  # [kg/kg], [kg/J] of electricity
    driver: str  # a component, or electricity
    at: str  # scope that uses the driver, makes a demand-driven one, or meters electricity


@dataclass(frozen=True, slots=True)
class UsualFlows:
    """Usual flows of one component by the scope they enter and leave [kg/s]."""

    into: Mapping[str, float]
    out: Mapping[str, float]


def find_reactions(
    park: Park,
    usual: Mapping[str, UsualFlows],
    makers: Mapping[str, set[str]],
    power: Mapping[str, float],
) -> tuple[Reaction, ...]:
    """Return the reactions in the units of a park.

    `usual` has the usual flows by component, `makers` the scopes of the electrolysers that make it,
    `power` the usual electricity [W] by the scope of a captive plant.
    """
    reactions = [*_chemistry(usual), *_boilers(park, usual, power)]
    explained = {(r.scope, r.component) for r in reactions} | {
        (scope, component) for component, scopes in makers.items() for scope in scopes
    }
    return tuple(reactions + list(_proportions(park, usual, explained)))


def order_components(
    components: set[str], reactions: tuple[Reaction, ...]
) -> tuple[list[str], tuple[Reaction, ...]]:
    """Return components after those that drive them, and the reactions without cycles.

    A cycle of drivers is cut by leaving out the reaction at its first component.
    """
    remaining, order = sorted(components), list[str]()
    while remaining:
        waits = {r.component for r in reactions
                 if r.driver in remaining and r.driver != r.component}  # fmt: skip
        ready = [c for c in remaining if c not in waits] or remaining[:1]
        remaining = [c for c in remaining if c not in ready]
        order += ready
    rank = {c: i for i, c in enumerate([POWER, *order])}
    return order, tuple(r for r in reactions if rank[r.driver] <= rank[r.component])


def _takes(usual: Mapping[str, UsualFlows]) -> dict[str, set[str]]:
    """Return the components that end at each scope, without the demand-driven ones."""
    scopes = {scope for flows in usual.values() for scope in flows.into} - set(OUTSIDE)
    return {
        scope: {c for c, flows in usual.items()
                if c not in DEMAND_DRIVEN and scope in flows.into and scope not in flows.out}
        for scope in scopes
    }  # fmt: skip


def _chemistry(usual: Mapping[str, UsualFlows]) -> Iterator[Reaction]:
    """Yield the reactions of units that take the components of a known recipe."""
    for scope, takes in sorted(_takes(usual).items()):
        key = next((key for key in CHEMISTRY if set(key) == takes), None)
        if key is None:
            continue
        for component, ratio in _yields(CHEMISTRY[key], key[0]).items():
            makes = ratio > 0
            if component in usual and component != key[0]:
                streams = usual[component].out if makes else usual[component].into
                if scope in streams:
                    yield Reaction(scope, component, makes, abs(ratio), key[0], scope)


def _yields(names: tuple[str, ...], driver: str) -> dict[str, float]:
    """Return production (> 0) and need (< 0) of reactions by component [kg/kg of the driver]."""
    table = load_reference("reactions")
    rows = {name: table["reaction"][name] for name in names}
    reactions = compile_reactions({n: (r["equation"], r["product"]) for n, r in rows.items()})
    mass = dict(zip(reactions.species, reactions.mass.sum(axis=0).tolist(), strict=True))
    known = {c: mass[f] for f, c in table["components"]["formula"].items() if f in mass}
    return {c: m / -known[driver] for c, m in known.items()}


def _boilers(
    park: Park, usual: Mapping[str, UsualFlows], power: Mapping[str, float]
) -> Iterator[Reaction]:
    """Yield the need of boilers for coal, in proportion to their steam and electricity."""
    none = UsualFlows({}, {})
    coal, steam = usual.get(FUEL, none), usual.get("steam", none)
    for scope in sorted(set(coal.into) - set(OUTSIDE)):
        state = state_of(park, "", (scope,))
        each = state_heat(state) if state else carrier_factor("steam")
        heat = {("steam", scope): each} if scope in steam.out else {}
        heat |= {(POWER, plant): 1 / TURBINE for plant in power if inside(scope, plant)}
        size = {key: power[key[1]] if key[0] == POWER else steam.out[key[1]] for key in heat}
        whole = sum(heat[key] * size[key] for key in heat)
        for (driver, at), each in heat.items():
            yield Reaction(scope, FUEL, False, coal.into[scope] * each / whole, driver, at)


def _proportions(
    park: Park, usual: Mapping[str, UsualFlows], explained: set[tuple[str, str]]
) -> Iterator[Reaction]:
    """Yield production without a known reaction, in its usual proportion to a driver.

    The driver is the greatest inflow of the unit, else that of its plant.
    """
    parents = {s.id: s.id.rpartition("/")[0] for s in park.scopes if s.kind == "unit"}
    takes = _takes(usual)
    for component, flows in usual.items():
        for scope in sorted(set(flows.out) - set(flows.into) - set(OUTSIDE)):
            if (scope, component) in explained or component in DEMAND_DRIVEN:
                continue
            near = [(c, scope) for c in takes.get(scope, ()) if c != component]
            if not near and scope in parents:
                near = [(c, at) for at in takes if inside(at, parents[scope]) for c in takes[at]]
            if near:
                driver, at = max(near, key=lambda one: usual[one[0]].into[one[1]])
                ratio = flows.out[scope] / usual[driver].into[at]
                yield Reaction(scope, component, True, ratio, driver, at)
