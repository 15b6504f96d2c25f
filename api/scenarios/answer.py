"""What-ifs from the live image on: the initial state, and the course under each policy."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, cast
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import TypedDict

from api.answers import (
    Cursor,
    Given,
    Name,
    Number,
    Rfc3339,
    Uint8,
    formula,
    record,
)
from api.context import Context
from api.encode import HOUR, ONE, T_PER_H, TONNE, Uom, number, out, rfc3339
from api.live.image import live_values
from api.sums import read_sums
from api.windows import WindowQuery
from twin import quality as q
from twin.accounts.tanks import tags_of_tanks
from twin.arrays import F64, HOUR_S, HOUR_US, MINUTE_US, SECOND_US
from twin.chlorine.headroom import absorber_time
from twin.model.park import Scope, inside
from twin.reference import figure
from twin.scenario import scenario as s
from twin.scenario.initial_state import InitialState, find_initial_state, reasons
from twin.scenario.network import Supply, loads_of
from twin.scenario.simulation import Policy, Trajectory
from twin.uom import compile_uom

MEGAWATT = compile_uom("MW", "power")
# A counter shows no rate: it is that of so many full minutes.
RATE_US = 5 * MINUTE_US
# A load that differs by less is the present one.
SAME = 1e-6
Numbers = list[Number]
EventKind = Literal["full", "empty", "relief", "exhausted", "short", "cut"]
FromTime = TypedDict("FromTime", {"from": Rfc3339})


class DrivenStream(TypedDict):
    """A stream that follows the load of a plant."""

    stream: str
    component: str
    makes: bool
    flow_t_per_h: Annotated[Number, formula("live value of the stream")]


class ScenarioTarget(TypedDict):
    """An electrolyser, plant or unit that can change its load, and the streams that follow."""

    scope: str
    kind: str
    name: Name | None
    power_mw: Annotated[Number, formula("sum of the live powers of its meters")]
    drives: list[DrivenStream]


class ScenarioLimits(TypedDict):
    """The limits of a scenario."""

    hours: Given[float]
    steps: int
    actions: int
    load: Given[float]
    response_s: Given[float]


class ScenarioTargets(TypedDict):
    """The plants a scenario can change, and its limits."""

    items: list[ScenarioTarget]
    limits: ScenarioLimits
    next: Cursor


class StockCourse(TypedDict):
    """The tanks of one scope: at the edges of the steps, the net inflow in the steps."""

    scope: str
    component: str
    medium: str
    limit_t: Annotated[Number, formula("sum of fill limit * capacity of the tanks in use")]
    headroom_t: Annotated[
        Numbers, formula("simulated step by step from the live values: limit - inventory")
    ]
    inventory_t: Annotated[
        Numbers,
        formula("simulated step by step from the live values: inventory + net inflow * step"),
    ]
    inflow_t_per_h: Annotated[
        Numbers,
        formula(
            "simulated step by step from the live values: sum of flows in - flows out, "
            "plants at their loads"
        ),
    ]
    tanks: Annotated[
        dict[str, Numbers],
        formula("simulated step by step from the live values: inventory of each tank"),
    ]
    tankers: list[int | None] | None
    unknown: list[str]


class VentedCourse(TypedDict):
    """The flow to absorbers and vents."""

    component: str
    flow_t_per_h: Annotated[
        Numbers, formula("simulated step by step from the live values: what no tank takes")
    ]
    total_t: Annotated[Numbers, formula("sum of flow * step")]


class LostCourse(TypedDict):
    """The loss of production of the electrolysis against its present rate."""

    component: str
    total_t: Annotated[Numbers, formula("sum of (present rate - rate) * step")]


class AbsorberCourse(TypedDict):
    """The time the caustic of an absorber lasts; null = no end in sight."""

    id: str
    scope: str
    left_h: Annotated[
        Numbers,
        formula(
            "simulated step by step from the live values: caustic soda left / what the "
            "chlorine that comes uses up"
        ),
    ]


class LoadCourse(TypedDict):
    """A plant that does not run at its present load all the time."""

    scope: str
    load: Annotated[Numbers, formula("rate / present rate, with the response time of the plant")]


class ScenarioEvent(TypedDict):
    """An event that begins inside the scope."""

    kind: EventKind
    scope: str
    component: str | None
    time: Rfc3339
    after_h: Annotated[float, formula("time of the event - now")]
    sigma_h: Annotated[
        Number,
        formula("standard uncertainties of level and net flow / slope of the stock at the event"),
    ]


class PolicyCourse(TypedDict):
    """The course under one policy: the surplus is vented, or the electrolysis is cut."""

    policy: Literal["cut", "vent"]
    stocks: list[StockCourse]
    relieved: list[VentedCourse]
    lost: list[LostCourse]
    absorbers: list[AbsorberCourse]
    power_mw: Annotated[
        Numbers,
        formula(
            "simulated step by step from the live values: sum of the powers of the plants "
            "at their loads"
        ),
    ]
    power_now_mw: Annotated[Number, formula("sum of the live powers")]
    loads: list[LoadCourse]
    events: list[ScenarioEvent]


class AssumptionRow(TypedDict):
    """An assumption the result rests on."""

    key: str
    text: Name


class ScenarioAnswer(FromTime):
    """The answer; columns have one value for each of `time`, or for each step between."""

    scope: str
    step_s: Given[float]
    quality: Uint8
    missing: list[str]
    doubtful: Annotated[
        list[str], Field(description="components whose meters contradict each other")
    ]
    time: list[int]
    variants: list[PolicyCourse]
    assumptions: list[AssumptionRow]


@dataclass(frozen=True, slots=True)
class LiveState:
    """The initial state of a what-if, and the quality of the tags it is made of."""

    supply: Supply
    start: InitialState
    time_us: int
    quality: NDArray[np.uint8]  # (T,)
    value: F64  # (T,) [SI] of the tags
    rate: F64  # (T,) [SI] of gauges, and of the counters that were read


async def live_state(context: Context, supply: Supply, more: Iterable[int] = ()) -> LiveState:
    """Return the live state of a park, with the rates of more counters; raises StoreError."""
    network, feed, now_us = supply.network, context.feed, context.now_us()
    live = live_values(feed.image, feed.catalogue, network, now_us)
    rate = live.rate.copy()
    used = {*more, *supply.meters, *(tag for line in supply.lines for tag, _ in line.tags)}
    used |= {tag for feed in supply.feeds for tag, _ in feed.tags}
    counting = [tag for tag in sorted(used) if network.tags[tag].kind == "counter"]
    counters = np.array(counting, dtype=np.int64)
    expected_us = now_us - round(context.settings.minute_delay_s * SECOND_US)
    until_us = expected_us // MINUTE_US * MINUTE_US
    edges = np.arange(until_us - RATE_US, until_us + 1, MINUTE_US)
    query = WindowQuery(network, network.park.id, "minute", edges, now_us, expected_us)
    sums = await read_sums(context, query, counters)
    covered_s = sums.covered_s.sum(axis=0)
    amount = np.nansum(sums.amount, axis=0)
    rate[counters] = np.where(covered_s > 0, amount / np.maximum(covered_s, 1.0), np.nan)
    time_us = feed.cycle_us
    # Reconciling takes longer than the live feed should wait.
    start = await asyncio.to_thread(find_initial_state, supply, rate, live.value)
    return LiveState(supply, start, time_us, live.quality, live.value, rate)


def trust(state: LiveState, scope: str, trajectory: Trajectory) -> int:
    """Return the worst quality of the tags a what-if in a scope rests on."""
    supply = state.supply
    tags = {
        tag
        for line in supply.lines
        if inside(line.origin, scope) or inside(line.to, scope)
        for tag, _ in line.tags
    }
    tags |= {
        tag
        for feed in supply.feeds
        if any(inside(plant, scope) for plant in supply.edges[feed.lines[0]].ends)
        for tag, _ in feed.tags
    }
    tanks = [k for m in _stocks(supply, scope) for k in supply.tanks[m].tolist()]
    tags |= set(tags_of_tanks(supply.network.tanks, tanks).tolist())
    quality = state.quality[sorted(tags)]
    usable = quality[q.usable(quality)]
    flag = np.bitwise_or.reduce(quality & np.uint8(q.SIMULATED), initial=0)
    worst = int((usable & ~np.uint8(q.SIMULATED)).max(initial=0))
    if missing(state, scope):
        worst = max(worst, q.UNCERTAIN | q.INCOMPLETE)
    if not len(usable) or np.isnan(trajectory.mass[..., tanks]).any():
        worst = q.NO_DATA
    return worst | int(flag)


def missing(state: LiveState, scope: str) -> list[str]:
    """Return the tags, streams and tanks without a value inside a scope."""
    nodes = state.supply.nodes
    names = [
        each.name
        for each in state.start.missing
        if any(inside(nodes[m][1], scope) for m in each.nodes)
    ]
    return list(dict.fromkeys(names))


def scenario_targets(state: LiveState, scopes: Sequence[Scope]) -> list[ScenarioTarget]:
    """Return the electrolysers, plants and units that can trip or change their load."""
    park = state.supply.network.park
    rows = [_target(state, e.id, "electrolyser", None) for e in park.electrolysers]
    rows += [_target(state, each.id, each.kind, cast("Name", each.name)) for each in scopes]
    return [row for row in rows if row is not None]


def _target(state: LiveState, scope: str, kind: str, name: Name | None) -> ScenarioTarget | None:
    supply, start = state.supply, state.start
    chosen = set(loads_of(supply, scope))
    if not chosen:
        return None
    drives: list[DrivenStream] = []
    for i, edge in enumerate(supply.edges):
        makes = chosen & set(supply.makers[i].tolist())
        share = sum(
            float(part)
            for maker, part in zip(supply.makers[i].tolist(), start.parts[i], strict=True)
            if maker in chosen
        )
        if makes or supply.users[i] in chosen or supply.node_loads[i] in chosen:
            flow = number(start.flow[0, i] * (share if makes else 1), T_PER_H)
            line = supply.lines[i].id
            drives.append(
                record(DrivenStream, edge, stream=line, makes=bool(makes), flow_t_per_h=flow)
            )
    meters = [i for i, path in enumerate(supply.metered) if inside(path, scope)]
    power_mw = number(start.power[meters].sum() if meters else np.nan, MEGAWATT)
    return {"scope": scope, "kind": kind, "name": name, "power_mw": power_mw, "drives": drives}


def variant(
    state: LiveState, trajectory: Trajectory, n: int, policy: Policy, scope: str, zone: ZoneInfo
) -> PolicyCourse:
    """Return the course of scenario n inside a scope."""
    supply, start = state.supply, state.start
    components = dict.fromkeys(component for component, _ in supply.nodes)
    meters = [i for i, path in enumerate(supply.metered) if inside(path, scope)]
    watt = s.power(supply, start, trajectory)[n][:, meters].sum(axis=-1)
    relieved: list[VentedCourse] = []
    lost: list[LostCourse] = []
    for component in components:
        flow = s.vent_rate(supply, trajectory, component, scope)[n]
        if np.nan_to_num(flow, nan=1.0).any():
            total = _column(s.accumulated(trajectory, flow), TONNE)
            rate = _column(flow, T_PER_H)
            relieved.append({"component": component, "flow_t_per_h": rate, "total_t": total})
        made = s.made(supply, trajectory.line[n], component, scope)
        less = s.accumulated(trajectory, s.made(supply, start.flow[0], component, scope) - made)
        if np.nan_to_num(less, nan=1.0).any():
            lost.append({"component": component, "total_t": _column(less, TONNE)})
    return {
        "policy": "cut" if policy.cut else "vent",
        "stocks": [_stock(state, trajectory, n, m) for m in _stocks(supply, scope)],
        "relieved": relieved,
        "lost": lost,
        "absorbers": _absorbers(state, trajectory, n, scope),
        "power_mw": _column(watt, MEGAWATT),
        "power_now_mw": number(start.power[meters].sum(), MEGAWATT),
        "loads": [
            {"scope": name, "load": _column(trajectory.load[n, :, i], ONE)}
            for i, name in enumerate(supply.loads)
            if inside(_scope_of(supply, name), scope)
            and not (np.abs(trajectory.load[n, :, i] - 1) < SAME).all()
        ],
        "events": _events(state, trajectory, n, scope, zone),
    }


def _stocks(supply: Supply, scope: str) -> list[int]:
    """Return the nodes with tanks inside a scope."""
    return [
        m
        for m, (_, path) in enumerate(supply.nodes)
        if len(supply.tanks[m]) and inside(path, scope)
    ]


def _stock(state: LiveState, trajectory: Trajectory, n: int, m: int) -> StockCourse:
    """Return the course of the tanks at a node, as mass of their medium."""
    supply, start = state.supply, state.start
    tanks = supply.tanks[m]
    park = supply.network.park.tanks
    share = supply.share[tanks]
    mass = trajectory.mass[n][:, tanks] / share
    filled = ~supply.spare[tanks]
    most = start.most[tanks] / share
    count = s.tankers(supply, trajectory, m)[n]
    known = np.isfinite(count).all()
    return {
        "scope": supply.nodes[m][1],
        "component": supply.nodes[m][0],
        "medium": park[int(tanks[0])].medium,
        "limit_t": number(most[filled].sum(), TONNE),
        "headroom_t": _column(np.maximum(most - mass, 0.0)[:, filled].sum(axis=-1), TONNE),
        "inventory_t": _column(mass[:, filled].sum(axis=-1), TONNE),
        "inflow_t_per_h": _column(trajectory.stock[n][:, m] / share[0], T_PER_H),
        "tanks": {park[k].id: _column(mass[:, i], TONNE) for i, k in enumerate(tanks.tolist())},
        "tankers": count.astype(int).tolist() if known else None,
        "unknown": reasons(supply, start, m) if np.isnan(mass[:, filled]).any() else [],
    }


def _absorbers(
    state: LiveState, trajectory: Trajectory, n: int, scope: str
) -> list[AbsorberCourse]:
    """Return the time the caustic of each absorber lasts at the flow of each step."""
    supply = state.supply
    rows: list[AbsorberCourse] = []
    excess = np.asarray(figure("chlorine.absorber_excess", "fraction"))
    for k, absorber in enumerate(supply.absorbers):
        if inside(absorber.scope, scope):
            caustic = trajectory.mass[n][:-1, supply.tanks[absorber.caustic]].sum(axis=-1)
            flow = np.maximum(trajectory.vented[n][:, supply.absorber_of == k], 0.0).sum(axis=-1)
            left_h = _column(absorber_time(caustic, flow, excess), HOUR)
            rows.append(record(AbsorberCourse, absorber, left_h=left_h))
    return rows


def _events(
    state: LiveState, trajectory: Trajectory, n: int, scope: str, zone: ZoneInfo
) -> list[ScenarioEvent]:
    """Return the events inside a scope, electrolysers by their unit; each once, the first."""
    events: dict[tuple[str, str, str | None], ScenarioEvent] = {}
    for event in trajectory.events:
        at = _scope_of(state.supply, event.subject[-1])
        if event.scenario != n or not inside(at, scope):
            continue
        component = event.subject[0] if len(event.subject) > 1 else None
        time_us = state.time_us + round(event.time_s * HOUR_US / HOUR_S)
        row = record(
            ScenarioEvent,
            event,
            scope=at,
            component=component,
            time=rfc3339(time_us // 1000 * 1000, zone),
            after_h=event.time_s / HOUR_S,
            sigma_h=number(event.sigma_s, HOUR),
        )
        events.setdefault((event.kind, at, component), row)
    return list(events.values())


def _scope_of(supply: Supply, name: str) -> str:
    """Return the scope of a load: an electrolyser is in its unit."""
    cells = {e.id: e.scope for e in supply.network.park.electrolysers}
    return cells.get(name, name)


def _column(values: F64, uom: Uom) -> Numbers:
    """Return a column in its uom; what is not known, or has no end, leaves as null."""
    return cast("Numbers", out(np.asarray(values), uom).tolist())
