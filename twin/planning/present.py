"""The load plan of a park from its present state on: what may change, and what stays as it is.

The electrolysers and potlines of a scope that run now may change their load inside their limits.
Gaseous chlorine may be liquefied and vaporised again, hydrogen may go to users that have a
substitute, or to the vent. All other flows stay as they are: users take what they take now, road
and rail carry what they carry now.

References
----------
.. [1] T. F. O'Brien, T. V. Bommaraju, F. Hine, Handbook of Chlor-Alkali Technology, Springer, 2005:
   the line U = U0 + K j of a cell.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from twin.accounts.tanks import tags_of_tanks
from twin.arrays import DAY_S, F64, I64
from twin.chlorine.headroom import caustic_per_chlorine
from twin.chlorine.tank_farms import find_tank_farms
from twin.energy.electrolysis import zero_current_voltage
from twin.model.park import inside, scopes_above
from twin.planning.limits import CurrentLimits, FlexibleUser, limits_of
from twin.planning.problem import Demands, Lines, LoadProblem, Nodes, Sites, Units
from twin.reconciliation.uncertainty import tag_uncertainty
from twin.reference import figure
from twin.reference import load as load_reference
from twin.scenario.initial_state import reasons
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin.accounts.network import Network
    from twin.model.park import Electrolyser, Meter
    from twin.scenario.initial_state import InitialState
    from twin.scenario.network import Supply

CHLORINE, HYDROGEN = "chlorine", "hydrogen"
# What cells make and a plan balances; flows of the others follow the users, who stay as they are.
COMPONENTS = (CHLORINE, HYDROGEN, "caustic")


class LeftOut(NamedTuple):
    """An electrolyser or a place that no plan can be made for, and why."""

    name: str
    reason: str


class PlannableCells(NamedTuple):
    """An electrolyser that can be planned, with its present values."""

    spec: Electrolyser
    current: float  # [A]
    voltage: float  # [V]
    limits: CurrentLimits


@dataclass(frozen=True, slots=True)
class Doubts:
    """Standard uncertainties of what a plan is made of."""

    straight: F64  # (E,) [W] of the part of the power that is linear in load; one for all units
    gain: F64  # (E,) [1] of the power
    made: F64  # (E,) [1] of what a unit makes
    stock: F64  # (M,) [kg] of the contents of tanks
    drift: F64  # (M,) [kg/s] of the flows that stay


@dataclass(frozen=True, slots=True)
class Trips:
    """The largest user of gas at each of F tank farms of chlorine."""

    node: I64  # (F,) place of the farm among the nodes
    line: I64  # (F,) place of the user's line among the lines; -1 = it stays as it is
    user: tuple[str, ...]  # (F,) id of its stream
    flow: F64  # (F,) [kg/s] now
    caustic: I64  # (F,) place of the caustic of the absorber among the nodes; -1 = none


@dataclass(frozen=True, slots=True)
class Present:
    """A load plan's problem from the present state on."""

    problem: LoadProblem
    cells: tuple[PlannableCells, ...]
    doubts: Doubts
    trips: Trips
    tags: I64  # measured tags it was made of
    left_out: tuple[LeftOut, ...]


def plannable(
    network: Network, scope: str, value: F64
) -> tuple[tuple[PlannableCells, ...], tuple[LeftOut, ...]]:
    """Return the electrolysers inside a scope that can be planned, and those that cannot.

    Parameters
    ----------
    network : Network
        T tags
    scope : str
    value : (T,) float64 [SI]
        of the tags; NaN = no value

    Returns
    -------
    cells : tuple of PlannableCells
    left_out : tuple of LeftOut
        those without a current or voltage, and those that do not run
    """
    cells: list[PlannableCells] = []
    left_out: list[LeftOut] = []
    for spec in network.park.electrolysers:
        if not inside(spec.scope, scope):
            continue
        current = float(value[network.index[spec.current]])
        voltage = float(value[network.index[spec.voltage]]) if spec.voltage else float("nan")
        limits = limits_of(network.park, spec, current)
        standing = _zero_current(spec.kind) * spec.cells
        if np.isnan(current) or np.isnan(voltage):
            lost = spec.current if np.isnan(current) else spec.voltage or "its voltage"
            left_out.append(LeftOut(spec.id, f"{lost} has no value"))
        elif not voltage > standing or not current > 0:
            left_out.append(LeftOut(spec.id, "it does not run"))
        else:
            cells.append(PlannableCells(spec, current, voltage, limits))
    return tuple(cells), tuple(left_out)


def _zero_current(kind: str) -> float:
    """Return the voltage of a cell at no current [V]."""
    if kind in load_reference("load_plan")["zero_current_voltage"]:
        return figure(f"load_plan.zero_current_voltage.{kind}", "voltage")
    return zero_current_voltage(kind)


def sites_of(network: Network, scope: str, cells: Sequence[PlannableCells]) -> tuple[str, ...]:
    """Return the scopes that buy the electricity of some cells: the nearest with an incomer."""
    return tuple(dict.fromkeys(_site(network, scope, each.spec.scope) for each in cells))


def incomers_of(network: Network, site: str) -> list[Meter]:
    """Return the incomers of a site."""
    return [
        meter
        for meter in network.park.meters
        if (meter.carrier, meter.role, meter.scope) == ("electricity", "incomer", site)
    ]


def _site(network: Network, scope: str, at: str) -> str:
    """Return the nearest scope around a place that has an incomer; without one the scope."""
    around = [path for path in scopes_above(at) if incomers_of(network, path)]
    return max(around, key=len, default=scope)


@dataclass(frozen=True, slots=True)
class _Choice:
    """What of the supply network a plan sees; lines are places in it."""

    nodes: tuple[int, ...]  # (M,)
    free: tuple[int, ...]  # (L,) lines that the plan may set
    cells: tuple[PlannableCells, ...]
    groups: tuple[tuple[int, ...], ...]  # (G,) free lines that serve a user together

    def place(self, m: int) -> int:
        """Return the place of a node among those of the plan, or -1."""
        return self.nodes.index(m) if m in self.nodes else -1


def compile_present(
    supply: Supply,
    start: InitialState,
    scope: str,
    cells: tuple[PlannableCells, ...],
    sites: Sites,
    *,
    interval_s: float,
    wait_s: float = 0.0,
) -> Present:
    """Return the problem of a load plan.

    Parameters
    ----------
    supply : Supply
        S lines
    start : InitialState
        the present state
    scope : str
        of the plan; flows across its boundary stay as they are
    cells : tuple of PlannableCells
        of `plannable`
    sites : Sites
        of `sites_of`; `other` is all that the site buys now, NaN = not known
    interval_s : float [s]
    wait_s : float [s]
        until the plan begins; until then all goes on as now

    Returns
    -------
    Present
        a cell is left out where a flow or a tank that its products go to is not known

    Notes
    -----
    The present power of a unit is measured; that of the zero-current voltage is proportional to its
    load, the other part to its square [1]_. At the end tanks hold no less than as now would leave,
    so that nothing is saved by making less.
    """
    choice, left_out = _choose(supply, start, scope, cells)
    units = _units(supply.network, scope, choice.cells, sites.name, interval_s)
    lines, demands = _lines(supply, start, choice, scope, sites.name)
    trips = _trips(supply, start, choice, scope)
    nodes = _nodes(supply, start, choice, trips, wait_s, interval_s * sites.price.shape[1])
    now = np.zeros(len(sites.name))
    np.add.at(now, units.site, units.linear + units.square)
    np.add.at(now, lines.site, lines.energy * lines.now)
    known = np.asarray(np.isfinite(sites.other).all(axis=1))
    unmetered = [
        LeftOut(name, "what it buys is not known: only its units count, and no limit of power")
        for name in np.array(sites.name)[~known].tolist()
    ]
    sites = replace(
        sites,
        # Without an incomer only the power of the units counts, and no limit of all.
        other=np.where(known[:, None], sites.other - now[:, None], 0.0),
        limit=np.where(known, sites.limit, np.inf),
        # What is sold already goes on; a plan does not make the site a seller.
        least=np.where(known, np.minimum(sites.other.min(axis=1), 0.0), -np.inf),
        demand_price=np.where(known, sites.demand_price, 0.0),
        excess_price=np.where(known, sites.excess_price, 0.0),
        green_least=np.where(known, sites.green_least, 0.0),
    )
    return Present(
        problem=LoadProblem(
            interval_s, max(round(DAY_S / interval_s), 1), units, nodes, lines, demands, sites
        ),
        cells=choice.cells,
        doubts=_doubts(supply, start, choice),
        trips=trips,
        tags=_tags(supply, choice),
        left_out=(*left_out, *unmetered),
    )


def _choose(
    supply: Supply, start: InitialState, scope: str, cells: tuple[PlannableCells, ...]
) -> tuple[_Choice, tuple[LeftOut, ...]]:
    """Return the nodes whose flows and tanks are known, the lines a plan may set, and the cells."""
    left_out: list[LeftOut] = []
    nodes: list[int] = []
    for m, (component, path) in enumerate(supply.nodes):
        if component not in COMPONENTS or not inside(path, scope):
            continue
        tanks = _kept(supply, m)
        known = start.flow[0, _touching(supply, m)], start.mass[tanks], start.most[tanks]
        if all(np.isfinite(values).all() for values in known):
            nodes.append(m)
        else:
            lost = ", ".join(reasons(supply, start, m)) or "a flow"
            left_out.append(LeftOut(path, f"{component}: {lost} has no value"))
    kept = []
    for each in cells:
        ends = [supply.edges[s].to for s in _made_by(supply, each)]
        if set(ends) <= set(nodes):
            kept.append(each)
        else:
            left_out.append(LeftOut(each.spec.id, "where its products go is not known"))
    free = [s for s in range(len(supply.lines)) if _is_free(supply, nodes, s)]
    groups: dict[tuple[str, str], list[int]] = {}
    for s in free:
        edge = supply.edges[s]
        if edge.sink == "user" and not _substitute(supply, s):
            groups.setdefault((edge.component, edge.user), []).append(s)
    # A user that one line serves leaves nothing to choose, unless it may take more and less.
    bands = _bands(supply)
    alone = {some[0] for (component, user), some in groups.items()
             if len(some) == 1 and not (component == CHLORINE and user in bands)}  # fmt: skip
    return _Choice(
        nodes=tuple(nodes),
        free=tuple(s for s in free if s not in alone),
        cells=tuple(kept),
        groups=tuple(tuple(some) for some in groups.values() if some[0] not in alone),
    ), tuple(left_out)


def _bands(supply: Supply) -> dict[str, tuple[float, float]]:
    """Return the least and most of their present chlorine that users may take, by plant."""
    rows = supply.network.park.rows(FlexibleUser)
    return {row.scope: (row.low, row.high) for row in rows}


def _touching(supply: Supply, m: int) -> list[int]:
    """Return the lines at a node."""
    return [s for s, edge in enumerate(supply.edges) if m in (edge.origin, edge.to)]


def _kept(supply: Supply, m: int) -> I64:
    """Return the tanks of a node without those that stay empty."""
    tanks = supply.tanks[m]
    return np.asarray(tanks[~supply.spare[tanks]])


def _made_by(supply: Supply, cells: PlannableCells) -> list[int]:
    """Return the lines of what an electrolyser makes, of the components that a plan balances."""
    ids = supply.loads
    return [
        s
        for s, edge in enumerate(supply.edges)
        if edge.source == "cells" and edge.component in COMPONENTS
        and cells.spec.id in [ids[i] for i in supply.makers[s].tolist()]
    ]  # fmt: skip


def _is_free(supply: Supply, nodes: Sequence[int], s: int) -> bool:
    """Tell if a plan may set a line: chlorine, and hydrogen to the vent or who can do without.

    Caustic soda flows from the cells to its tanks as it is made.
    """
    edge = supply.edges[s]
    if edge.origin not in nodes or edge.moved:
        return False
    if edge.to >= 0 and edge.component not in (CHLORINE, HYDROGEN):
        fresh = any(e.source == "cells" and e.to == edge.origin for e in supply.edges)
        return fresh and edge.to in nodes
    if edge.to >= 0:
        return edge.to in nodes
    if edge.component not in (CHLORINE, HYDROGEN):
        return False
    return edge.sink == "user" or (edge.sink == "relief" and edge.component == HYDROGEN)


def _substitute(supply: Supply, s: int) -> str:
    """Return the medium that a user may take instead of what a line brings, or nothing."""
    edge = supply.edges[s]
    taken = {stream.medium for stream in supply.network.park.streams if stream.to == edge.user}
    rows: dict[str, Any] = load_reference("scenario")["substitute"]
    values = load_reference("load_plan")["hydrogen_value"]
    return next(
        (
            name for name, row in rows.items()
            if row["component"] == edge.component == HYDROGEN
            and row["medium"] in taken and name in values
        ),
        "",
    )  # fmt: skip


def _units(
    network: Network,
    scope: str,
    cells: tuple[PlannableCells, ...],
    sites: tuple[str, ...],
    interval_s: float,
) -> Units:
    """Return the units of some electrolysers; loads are shares of the present current."""
    rectifier = figure("load_plan.rectifier", "fraction")
    current = np.array([each.current for each in cells])
    total = current * np.array([each.voltage for each in cells]) / rectifier
    standing = np.array([_zero_current(each.spec.kind) * each.spec.cells for each in cells])
    linear = standing * current / rectifier
    rows = [each.limits.row for each in cells]
    hold = np.array([[r.min_up, r.min_down, r.start_cost] if r else [0.0] * 3 for r in rows])
    hold = hold.reshape(len(cells), 3)
    least = np.maximum(np.ceil(hold / interval_s), 1).astype(np.int64)
    return Units(
        name=tuple(each.spec.id for each in cells),
        low=np.array([each.limits.low for each in cells]) / current,
        high=np.array([each.limits.high for each in cells]) / current,
        ramp=np.array([each.limits.ramp for each in cells]) * interval_s / current,
        stops=np.array([bool(r and r.stop) for r in rows], dtype=bool),
        least_up=least[:, 0],
        least_down=least[:, 1],
        start_cost=hold[:, 2],
        move_cost=np.full(len(cells), figure("load_plan.move_cost", "money")),
        linear=linear,
        square=total - linear,
        steady=np.array([each.spec.kind == "potline" for each in cells], dtype=bool),
        site=np.array([sites.index(_site(network, scope, e.spec.scope)) for e in cells], np.int64),
    )


def _lines(
    supply: Supply, start: InitialState, choice: _Choice, scope: str, sites: tuple[str, ...]
) -> tuple[Lines, Demands]:
    """Return the lines that a plan may set, and the users that several of them serve."""
    free, now = list(choice.free), np.maximum(start.flow[0], 0.0)
    edges = [supply.edges[s] for s in free]
    group = np.full(len(free), -1)
    for g, some in enumerate(choice.groups):
        group[[free.index(s) for s in some]] = g
    values = load_reference("load_plan")["hydrogen_value"]
    worth = [
        parse_quantity(values[name]["value"], "mass_price") if name else 0.0
        for name in (_substitute(supply, s) for s in free)
    ]
    liquefied = [
        e.component == CHLORINE and e.to >= 0
        and len(supply.tanks[e.to]) > 0 and not len(supply.tanks[e.origin])
        for e in edges
    ]  # fmt: skip
    at = [_site(supply.network, scope, supply.nodes[e.origin][1]) for e in edges]
    vent = np.array([e.sink == "relief" for e in edges], dtype=bool)
    lines = Lines(
        name=tuple(supply.lines[s].id for s in free),
        origin=np.array([choice.place(e.origin) for e in edges], np.int64),
        to=np.array([choice.place(e.to) for e in edges], np.int64),
        low=np.zeros(len(free)),
        high=np.where(vent, np.inf, np.maximum(supply.capacity[free], now[free])),
        now=start.flow[0, free],
        energy=np.array(liquefied) * figure("load_plan.liquefaction", "intensity"),
        value=np.array(worth),
        group=group,
        site=np.array([sites.index(a) if a in sites else 0 for a in at], np.int64),
    )
    total = [float(start.flow[0, list(some)].sum()) for some in choice.groups]
    names = [(supply.edges[some[0]].component, supply.edges[some[0]].user)
             for some in choice.groups]  # fmt: skip
    bands = _bands(supply)
    band = [bands.get(user, (1.0, 1.0)) if component == CHLORINE else (1.0, 1.0)
            for component, user in names]  # fmt: skip
    low, high = np.array(band).reshape(len(names), 2).T
    return lines, Demands(tuple(names), np.array(total), low, high)


def _made(supply: Supply, start: InitialState, choice: _Choice) -> F64:
    """Return what each cell makes at each node at its present load, (M, E) [kg/s]."""
    made = np.zeros((len(choice.nodes), len(choice.cells)))
    for e, each in enumerate(choice.cells):
        for s in _made_by(supply, each):
            makers = [supply.loads[i] for i in supply.makers[s].tolist()]
            part = start.parts[s][makers.index(each.spec.id)]
            made[choice.place(supply.edges[s].to), e] += start.flow[0, s] * part
    return made


def _net(supply: Supply, choice: _Choice, flow: F64, *, free: bool) -> F64:
    """Return in less out at each node, (..., M) [kg/s], of all flows (..., S) or those not free."""
    net = np.zeros((*flow.shape[:-1], len(choice.nodes)))
    for s, edge in enumerate(supply.edges):
        if s in choice.free and not free:
            continue
        for m, sign in ((edge.to, 1.0), (edge.origin, -1.0)):
            if (position := choice.place(m)) >= 0:
                net[..., position] += sign * flow[..., s]
    return net


def _nodes(
    supply: Supply, start: InitialState, choice: _Choice, trips: Trips, wait_s: float, plan_s: float
) -> Nodes:
    """Return the nodes of a plan with their tanks."""
    made = _made(supply, start, choice)
    kept = [_kept(supply, m) for m in choice.nodes]
    tank = np.array([len(tanks) > 0 for tanks in kept], dtype=bool)
    drift = np.where(tank, _net(supply, choice, start.flow[0], free=True), 0.0)
    most = np.array([start.most[tanks].sum() for tanks in kept])
    held = np.array([start.mass[tanks].sum() for tanks in kept]) + drift * wait_s
    response = figure("scenario.policy.response", "time")
    reserve, least = np.zeros(len(kept)), most * figure("load_plan.tank_least", "fraction")
    reserve[trips.node] = np.nan_to_num(trips.flow) * response
    need = float(caustic_per_chlorine(figure("chlorine.absorber_excess", "fraction"))) * response
    for absorber in supply.absorbers:
        near = supply.absorber_of == supply.absorbers.index(absorber)
        farms = [f for f, m in enumerate(trips.node.tolist()) if near[choice.nodes[m]]]
        if (position := choice.place(absorber.caustic)) >= 0 and farms:
            least[position] = max(least[position], float(trips.flow[farms].max()) * need)
    # Tanks that are below already need not be filled at once.
    least = np.minimum(least, held)
    end = np.clip(held + drift * plan_s, least, np.maximum(most - reserve, least))
    return Nodes(
        name=tuple(supply.nodes[m] for m in choice.nodes),
        made=made,
        net=_net(supply, choice, start.flow[0], free=False) - made.sum(axis=1),
        tank=tank,
        stock=held,
        least=least,
        most=most,
        reserve=reserve,
        end=end,
    )


def _trips(supply: Supply, start: InitialState, choice: _Choice, scope: str) -> Trips:
    """Return the largest user of gas at each farm that the plan sees."""
    index = {line.id: s for s, line in enumerate(supply.lines)}
    rows: list[tuple[int, int, str, float, int]] = []
    for farm in find_tank_farms(supply.network, scope):
        position = choice.place(supply.nodes.index((CHLORINE, farm.scope)))
        users = [s for stream in farm.users if (s := index.get(stream.id, -1)) >= 0]
        if position < 0 or not users:
            continue
        largest = max(users, key=lambda s: float(start.flow[0, s]))
        free = choice.free.index(largest) if largest in choice.free else -1
        absorber = int(supply.absorber_of[choice.nodes[position]])
        caustic = choice.place(supply.absorbers[absorber].caustic) if absorber >= 0 else -1
        rows.append(
            (position, free, supply.lines[largest].id, float(start.flow[0, largest]), caustic)
        )
    return Trips(
        node=np.array([row[0] for row in rows], np.int64),
        line=np.array([row[1] for row in rows], np.int64),
        user=tuple(row[2] for row in rows),
        flow=np.array([row[3] for row in rows]),
        caustic=np.array([row[4] for row in rows], np.int64),
    )


def _doubts(supply: Supply, start: InitialState, choice: _Choice) -> Doubts:
    """Return the standard uncertainties of a plan's inputs."""
    tags, index = supply.network.tags, supply.network.index
    own = figure("load_plan.efficiency_sigma", "fraction")
    rows = []
    for each in choice.cells:
        meters = []
        for name, value in ((each.spec.current, each.current), (each.spec.voltage, each.voltage)):
            absolute, relative = tag_uncertainty(tags[index[name]])
            meters.append(np.hypot(absolute / value, relative))
        straight = _standing_sigma(each.spec.kind) * each.spec.cells * each.current
        rows.append([straight, np.hypot(*meters), np.hypot(meters[0], own)])
    table = np.array(rows).reshape(len(rows), 3)
    drift = _net(supply, choice, start.flow, free=True)
    return Doubts(
        straight=table[:, 0] / figure("load_plan.rectifier", "fraction"),
        gain=table[:, 1],
        made=table[:, 2],
        stock=np.array([np.sqrt((start.sigma[_kept(supply, m)] ** 2).sum()) for m in choice.nodes]),
        drift=np.sqrt(((drift[1:] - drift[0]) ** 2).sum(axis=0)),
    )


def _standing_sigma(kind: str) -> float:
    """Return the standard uncertainty of the voltage of a cell at no current [V]."""
    table = "load_plan" if kind in load_reference("load_plan")["zero_current_voltage"] else (
        "electrolysis"
    )  # fmt: skip
    row = load_reference(table)["zero_current_voltage"][kind]
    low, high = (parse_quantity(row[name], "voltage") for name in ("low", "high"))
    # Of even chance between the two [1]_.
    return float((high - low) / np.sqrt(12))


def _tags(supply: Supply, choice: _Choice) -> I64:
    """Return the places of the tags a plan is made of."""
    index = supply.network.index
    tags = {index[name] for each in choice.cells for name in (each.spec.current, each.spec.voltage)}
    for m in choice.nodes:
        tags |= {tag for s in _touching(supply, m) for tag, _ in supply.lines[s].tags}
        tags |= set(tags_of_tanks(supply.network.tanks, _kept(supply, m).tolist()).tolist())
    return np.array(sorted(tags), np.int64)
