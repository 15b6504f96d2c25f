"""What-ifs over the live image: the state they begin with, and their courses as columns."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from api.encode import in_uom, rfc3339
from api.sums import TONNE, live_values, read_sums
from twin import quality as q
from twin.arrays import F64, HOUR_S, HOUR_US, MINUTE_US, U8
from twin.chlorine.headroom import absorber_time
from twin.model.park import inside
from twin.reference import figure
from twin.scenario import scenario as s
from twin.scenario.initial_state import present, reasons
from twin.scenario.network import loads_of
from twin.uom import compile_uom

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from api.context import World
    from twin.model.park import Scope
    from twin.scenario.initial_state import Start
    from twin.scenario.network import Supply
    from twin.scenario.simulation import Course, Event, Policy

T_PER_H = compile_uom("t/h", "mass_flow")[0]
MEGAWATT = compile_uom("MW", "power")[0]
# A counter shows no rate: it is that of so many full minutes.
RATE_US = 5 * MINUTE_US
# A load that differs by less is the present one.
SAME = 1e-6


@dataclass(frozen=True, slots=True)
class Now:
    """The state a what-if begins with, and how far it can be trusted."""

    supply: Supply
    start: Start
    time_us: int
    quality: U8  # (T,)


async def now(here: World, supply: Supply) -> Now:
    """Return the live state of a park."""
    network, now_us = supply.network, here.now_us()
    live = live_values(here, network, now_us)
    rate = live.rate.copy()
    used = {*supply.meters, *(tag for line in supply.lines for tag, _ in line.tags)}
    counters = np.array(
        sorted(tag for tag in used if network.tags[tag].kind == "counter"), dtype=np.int64
    )
    until = (now_us - round(here.settings.minute_delay_s * 1e6)) // MINUTE_US * MINUTE_US
    edges = np.arange(until - RATE_US, until + 1, MINUTE_US)
    sums = await read_sums(here, network, counters, "minute", edges)
    covered_s = sums.covered_s.sum(axis=0)
    amount = np.nansum(sums.amount, axis=0)
    rate[counters] = np.where(covered_s > 0, amount / np.maximum(covered_s, 1.0), np.nan)
    time_us = here.feed.cycle_us
    # Reconciling takes longer than the live feed should wait.
    start = await asyncio.to_thread(present, supply, rate, live.value)
    return Now(supply, start, time_us, live.quality)


def trust(state: Now, scope: str, course: Course) -> int:
    """Return the worst quality of what a what-if in a scope is made of."""
    supply = state.supply
    tags = {
        tag
        for line in supply.lines
        if inside(line.origin, scope) or inside(line.to, scope)
        for tag, _ in line.tags
    }
    tanks = [k for m in _stocks(supply, scope) for k in supply.tanks[m].tolist()]
    tags |= {int(supply.network.tank_tag[k]) for k in tanks}
    found = state.quality[sorted(tags)]
    usable = found[q.usable(found)]
    flag = np.bitwise_or.reduce(found & np.uint8(q.SIMULATED), initial=0)
    worst = int((usable & ~np.uint8(q.SIMULATED)).max(initial=0))
    if missing(state, scope):
        worst = max(worst, q.UNCERTAIN | q.INCOMPLETE)
    if not len(usable) or np.isnan(course.mass[..., tanks]).any():
        worst = q.NO_DATA
    return worst | int(flag)


def missing(state: Now, scope: str) -> list[str]:
    """Return what has no value inside a scope: tags, streams, tanks."""
    nodes = state.supply.nodes
    found = [
        each.name
        for each in state.start.missing
        if any(inside(nodes[m][1], scope) for m in each.nodes)
    ]
    return list(dict.fromkeys(found))


def catalogue(state: Now, scopes: Sequence[Scope]) -> list[dict[str, Any]]:
    """Return what can be tripped or re-rated: electrolysers, plants, units."""
    park = state.supply.network.park
    rows = [_askable(state, e.id, "electrolyser", None) for e in park.electrolysers]
    rows += [_askable(state, each.id, each.kind, each.name) for each in scopes]
    return [row for row in rows if row is not None]


def _askable(
    state: Now, scope: str, kind: str, name: dict[str, str] | None
) -> dict[str, Any] | None:
    supply, start = state.supply, state.start
    chosen = set(loads_of(supply, scope))
    if not chosen:
        return None
    drives = []
    for i, edge in enumerate(supply.edges):
        makes = chosen & set(supply.makers[i].tolist())
        share = sum(
            float(part)
            for maker, part in zip(supply.makers[i].tolist(), start.parts[i], strict=True)
            if maker in chosen
        )
        if makes or supply.users[i] in chosen or supply.gates[i] in chosen:
            drives.append(
                {
                    "stream": supply.lines[i].id,
                    "component": edge.component,
                    "makes": bool(makes),
                    "flow_t_per_h": _number(start.flow[0, i] * (share if makes else 1), T_PER_H),
                }
            )
    meters = [i for i, place in enumerate(supply.metered) if inside(place, scope)]
    watt = start.power[meters].sum() if meters else np.nan
    return {
        "scope": scope,
        "kind": kind,
        "name": name,
        "power_mw": _number(watt, MEGAWATT),
        "drives": drives,
    }


def variant(
    state: Now, course: Course, n: int, policy: Policy, scope: str, zone: ZoneInfo
) -> dict[str, Any]:
    """Return the course of scenario n inside a scope."""
    supply, start = state.supply, state.start
    components = dict.fromkeys(component for component, _ in supply.nodes)
    meters = [i for i, place in enumerate(supply.metered) if inside(place, scope)]
    watt = s.power(supply, start, course)[n][:, meters].sum(axis=-1)
    relieved, lost = [], []
    for component in components:
        flow = s.relieved(supply, course, component, scope)[n]
        total = s.accumulated(course, flow)
        row = {"flow_t_per_h": _column(flow, T_PER_H), "total_t": _column(total, TONNE)}
        if np.nan_to_num(flow, nan=1.0).any():
            relieved.append({"component": component, **row})
        made = s.made(supply, course.line[n], component, scope)
        less = s.accumulated(course, s.made(supply, start.flow[0], component, scope) - made)
        if np.nan_to_num(less, nan=1.0).any():
            lost.append({"component": component, "total_t": _column(less, TONNE)})
    return {
        "policy": "cut" if policy.cut else "vent",
        "stocks": [_stock(state, course, n, m) for m in _stocks(supply, scope)],
        "relieved": relieved,
        "lost": lost,
        "absorbers": _absorbers(state, course, n, scope),
        "power_mw": _column(watt, MEGAWATT),
        "power_now_mw": _number(start.power[meters].sum(), MEGAWATT),
        "loads": [
            {"scope": name, "load": _column(course.load[n, :, i], 1.0)}
            for i, name in enumerate(supply.loads)
            if inside(_place(supply, name), scope)
            and not (np.abs(course.load[n, :, i] - 1) < SAME).all()
        ],
        "events": _events(state, course, n, scope, zone),
    }


def _stocks(supply: Supply, scope: str) -> list[int]:
    """Return the nodes with tanks inside a scope."""
    return [
        m
        for m, (_, place) in enumerate(supply.nodes)
        if len(supply.tanks[m]) and inside(place, scope)
    ]


def _stock(state: Now, course: Course, n: int, m: int) -> dict[str, Any]:
    """Return what becomes of the tanks at a node, as mass of their medium."""
    supply, start = state.supply, state.start
    tanks = supply.tanks[m]
    park = supply.network.park.tanks
    share = supply.share[tanks]
    mass = course.mass[n][:, tanks] / share
    filled = ~supply.spare[tanks]
    most = start.most[tanks] / share
    count = s.tankers(supply, course, m)[n]
    known = np.isfinite(count).all()
    return {
        "scope": supply.nodes[m][1],
        "component": supply.nodes[m][0],
        "medium": park[int(tanks[0])].medium,
        "limit_t": _number(most[filled].sum(), TONNE),
        "headroom_t": _column(np.maximum(most - mass, 0.0)[:, filled].sum(axis=-1), TONNE),
        "inventory_t": _column(mass[:, filled].sum(axis=-1), TONNE),
        "inflow_t_per_h": _column(course.stock[n][:, m] / share[0], T_PER_H),
        "tanks": {park[k].id: _column(mass[:, i], TONNE) for i, k in enumerate(tanks.tolist())},
        "tankers": count.astype(int).tolist() if known else None,
        "unknown": reasons(supply, start, m) if np.isnan(mass[:, filled]).any() else [],
    }


def _absorbers(state: Now, course: Course, n: int, scope: str) -> list[dict[str, Any]]:
    """Return how long the caustic of each absorber lasts at the flow of each step."""
    supply, rows = state.supply, []
    excess = np.asarray(figure("chlorine.absorber_excess", "fraction"))
    for number, absorber in enumerate(supply.absorbers):
        if not inside(absorber.scope, scope):
            continue
        caustic = course.mass[n][:-1, supply.tanks[absorber.caustic]].sum(axis=-1)
        flow = np.maximum(course.relief[n][:, supply.relief == number], 0.0).sum(axis=-1)
        left_s = absorber_time(caustic, flow, excess)
        row = {"id": absorber.id, "scope": absorber.scope, "left_h": _column(left_s, HOUR_S)}
        rows.append(row)
    return rows


def _events(state: Now, course: Course, n: int, scope: str, zone: ZoneInfo) -> list[dict[str, Any]]:
    """Return what begins inside a scope, electrolysers by their unit."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for event in course.events:
        place = _place(state.supply, event.subject[-1])
        if event.scenario != n or not inside(place, scope):
            continue
        component = event.subject[0] if len(event.subject) > 1 else None
        row = {"kind": event.kind, "scope": place, "component": component}
        found.setdefault(tuple(row.values()), row | _when(state, event, zone))
    return list(found.values())


def _when(state: Now, event: Event, zone: ZoneInfo) -> dict[str, Any]:
    time_us = state.time_us + round(event.time_s * HOUR_US / HOUR_S)
    return {
        "time": rfc3339(time_us // 1000 * 1000, zone),
        "after_h": event.time_s / HOUR_S,
        "sigma_h": _number(event.sigma_s, HOUR_S),
    }


def _place(supply: Supply, name: str) -> str:
    """Return the scope of a load: an electrolyser is in its unit."""
    cells = {e.id: e.scope for e in supply.network.park.electrolysers}
    return cells.get(name, name)


def _column(values: F64, scale: float) -> list[float | None]:
    """Return a column in its uom; what is not known, or has no end, is null."""
    shown = in_uom(np.asarray(values), scale, 0.0)
    return [value if np.isfinite(value) else None for value in shown.tolist()]


def _number(value: Any, scale: float) -> float | None:
    return _column(np.atleast_1d(np.float64(value)), scale)[0]
