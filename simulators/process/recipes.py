"""What units make of what they take: told from the streams, by the twin's own chemistry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from twin.accounts.carriers import carrier_factor
from twin.model.park import OUTSIDE, inside
from twin.reference import load as load_reference
from twin.stoichiometry import compile_reactions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from twin.model.park import Park

# What a unit takes, the component first that the others follow, and what happens to it there. Any
# substitution by chlorine leaves one hydrogen chloride for each chlorine.
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
# As much of these is made or bought as is drawn; of anything else users get what there is.
DRAWN = ("sodium_chloride", "steam")
TURBINE = 0.4  # electricity of a captive plant over its heat
POWER, FUEL = "electricity", "coal"


@dataclass(frozen=True, slots=True)
class Reaction:
    """What a unit makes or needs of a component, for each unit of what drives it."""

    scope: str
    component: str
    makes: bool
    ratio: float  # [kg/kg], [kg/J] of electricity
    driver: str  # a component, or electricity
    at: str  # the scope that takes the driver, or makes it where it is drawn; of power its meter


@dataclass(frozen=True, slots=True)
class Usual:
    """Usual flows of one component at the scopes where streams begin and end, [kg/s]."""

    into: Mapping[str, float]
    out: Mapping[str, float]

    def ends(self, scope: str) -> bool:
        """Return whether the component comes to a scope and does not leave it."""
        return scope in self.into and scope not in self.out


def find_reactions(
    park: Park,
    usual: Mapping[str, Usual],
    makers: Mapping[str, set[str]],
    power: Mapping[str, float],
) -> tuple[Reaction, ...]:
    """Return what happens in the units of a park.

    `usual` is by component, `makers` the scopes where electrolysers make it; `power` is the usual
    electricity [W] by the scope of a captive plant.
    """
    found = [*_chemistry(usual), *_boilers(usual, power)]
    explained = {(r.scope, r.component) for r in found} | {
        (scope, component) for component, scopes in makers.items() for scope in scopes
    }
    return tuple(found + list(_proportions(park, usual, explained)))


def in_order(
    components: set[str], reactions: tuple[Reaction, ...]
) -> tuple[list[str], tuple[Reaction, ...]]:
    """Return components after those that drive them, and the reactions.

    What is made in a circle is given where the circle begins: a reaction is left out there.
    """
    left, found = sorted(components), list[str]()
    while left:
        waits = {r.component for r in reactions if r.driver in left and r.driver != r.component}
        ready = [c for c in left if c not in waits] or left[:1]
        left = [c for c in left if c not in ready]
        found += ready
    place = {c: i for i, c in enumerate([POWER, *found])}
    return found, tuple(r for r in reactions if place[r.driver] <= place[r.component])


def _takes(usual: Mapping[str, Usual]) -> dict[str, set[str]]:
    """Return the components that end at each scope, utilities apart."""
    scopes = {scope for flows in usual.values() for scope in flows.into} - set(OUTSIDE)
    return {
        scope: {c for c, flows in usual.items() if c not in DRAWN and flows.ends(scope)}
        for scope in scopes
    }


def _chemistry(usual: Mapping[str, Usual]) -> Iterator[Reaction]:
    """Yield what the units do of which the reaction is known."""
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
    """Return what reactions make (> 0) and need (< 0) for each kg of the driver, by component."""
    table = load_reference("reactions")
    rows = {name: table["reaction"][name] for name in names}
    reactions = compile_reactions({n: (r["equation"], r["product"]) for n, r in rows.items()})
    mass = dict(zip(reactions.species, reactions.mass.sum(axis=0).tolist(), strict=True))
    known = {c: mass[f] for f, c in table["components"]["formula"].items() if f in mass}
    return {c: m / -known[driver] for c, m in known.items()}


def _boilers(usual: Mapping[str, Usual], power: Mapping[str, float]) -> Iterator[Reaction]:
    """Yield the coal that boilers need for the steam and the electricity they make."""
    none = Usual({}, {})
    coal, steam = usual.get(FUEL, none), usual.get("steam", none)
    for scope in sorted(set(coal.into) - set(OUTSIDE)):
        heat = {("steam", scope): carrier_factor("steam")} if scope in steam.out else {}
        heat |= {(POWER, plant): 1 / TURBINE for plant in power if inside(scope, plant)}
        size = {key: power[key[1]] if key[0] == POWER else steam.out[key[1]] for key in heat}
        whole = sum(heat[key] * size[key] for key in heat)
        for (driver, at), each in heat.items():
            yield Reaction(scope, FUEL, False, coal.into[scope] * each / whole, driver, at)


def _proportions(
    park: Park, usual: Mapping[str, Usual], explained: set[tuple[str, str]]
) -> Iterator[Reaction]:
    """Yield what comes of a unit that nothing else explains: in its usual proportion.

    To what the unit itself takes most of, else to what its plant takes.
    """
    parents = {s.id: s.id.rpartition("/")[0] for s in park.scopes if s.kind == "unit"}
    takes = _takes(usual)
    for component, flows in usual.items():
        for scope in sorted(set(flows.out) - set(flows.into) - set(OUTSIDE)):
            if (scope, component) in explained or component in DRAWN:
                continue
            near = [(c, scope) for c in takes.get(scope, ()) if c != component]
            if not near and scope in parents:
                near = [(c, at) for at in takes if inside(at, parents[scope]) for c in takes[at]]
            if near:
                driver, at = max(near, key=lambda one: usual[one[0]].into[one[1]])
                ratio = flows.out[scope] / usual[driver].into[at]
                yield Reaction(scope, component, True, ratio, driver, at)
