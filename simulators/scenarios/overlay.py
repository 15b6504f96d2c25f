"""A scenario laid over the process: the same pure function of time, with other loads.

Users that trip take less chlorine, so more of it is liquefied and the tanks fill; at their limit
the surplus goes to the absorber. The excess inventory of the tanks is the only integral: a table
over the duration of the script. After it the tanks return to their usual course within a week.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simulators.process import disturbances
from simulators.process.process import (
    UNCHANGED,
    ProcessChanges,
    ProcessState,
    chunks,
    counted,
    integral_since_start,
    interpolate,
    rates,
)
from simulators.process.process import state as undisturbed
from simulators.process.vessels import inventory
from simulators.scenarios import demand
from simulators.scenarios.script import weight
from twin.accounts.tanks import fill_share
from twin.alarms.rules import AlarmSpec
from twin.arrays import F64, I64
from twin.errors import ModelError
from twin.model.park import inside
from twin.uom import compile_uom, parse_quantity

if TYPE_CHECKING:
    from simulators.process.process import Process
    from simulators.scenarios.demand import FarmNode
    from simulators.scenarios.script import Script, ScriptEvent

STEP_S = 10.0
STEPS_MAX = 1200
RAMP_STEPS = 16
CHUNK = 1440
RECOVERY_S = 7 * 86400.0
NOTHING: F64 = np.zeros((1, 0))
TINY = 1e-9  # kg/s


class FullInterval(NamedTuple):
    """An interval in which a farm is full [s since the origin]."""

    start_s: float
    stop_s: float
    lost: float  # [kg] surplus that did not fit, up to the end of this interval


@dataclass(frozen=True, slots=True)
class Overlay:
    """A script that runs from `origin_us` on; w steps, f farms, c counters."""

    process: Process
    script: Script
    origin_us: int
    farms: tuple[FarmNode, ...] = ()
    step_s: F64 = field(default_factory=lambda: np.zeros(1))  # (w,) since the origin
    # Inventory over the usual without a limit, and its rate.
    excess: F64 = field(default_factory=lambda: NOTHING)  # (w, f) [kg]
    excess_rate: F64 = field(default_factory=lambda: NOTHING)  # (w, f) [kg/s]
    full: tuple[tuple[FullInterval, ...], ...] = ()  # (f,)
    count: F64 = field(default_factory=lambda: NOTHING)  # (w, c) [SI] count over the usual


def make_overlay(process: Process, script: Script, origin_us: int) -> Overlay:
    """Lay a script over the process from `origin_us` on.

    Raises ModelError if an event does not fit the park, a stream would run backwards or a farm
    would run empty.
    """
    bare = Overlay(process, script, origin_us)
    if not script.at("process"):
        return bare
    _check(bare)
    moves = any(event.kind == "load" for event in script.events)
    farms = demand.find_farm_nodes(process.plant) if moves else ()
    step_s = _steps(script)
    overlay = replace(bare, farms=farms, step_s=step_s)
    if farms:
        excess_rate = np.concatenate([_surplus(overlay, part) for part in chunks(step_s, CHUNK)])
        excess = integral_since_start(step_s, excess_rate)
        full = tuple(
            _full_intervals(overlay, f, step_s, excess[:, f], excess_rate[:, f])
            for f in range(len(farms))
        )
        overlay = replace(overlay, excess=excess, excess_rate=excess_rate, full=full)
    count_rate = np.concatenate([_count_rate(overlay, part) for part in chunks(step_s, CHUNK)])
    return replace(overlay, count=integral_since_start(step_s, count_rate))


def state(overlay: Overlay, time_us: I64) -> ProcessState:
    """Return the truth at (n,) int64 [µs]; equal times give equal values in every run."""
    if not overlay.script.at("process"):
        return undisturbed(overlay.process, time_us)
    since_s = (time_us - overlay.origin_us) / 1e6
    truth = rates(
        overlay.process.plant, disturbances.week_time(time_us), _changes(overlay, since_s)
    )
    counters = overlay.process.plant.counters
    truth.values[:, counters] = counted(overlay.process, time_us)
    truth.values[:, counters] += interpolate(since_s, overlay.step_s, overlay.count)
    return truth


def _steps(script: Script) -> F64:
    """Return the times of the table, (w,) [s]: evenly spaced, and closer around events."""
    count = min(round(script.duration_s / STEP_S), STEPS_MAX)
    around = np.linspace(-0.5, 1.5, 2 * RAMP_STEPS + 1)
    times = [np.linspace(0.0, script.duration_s, count + 1)]
    for event in script.at("process"):
        ramp_s = event.ramp_s or 1.0
        times += [at_s + ramp_s * around for at_s in (event.start_s, event.stop_s - ramp_s)]
    every = np.unique(np.round(np.concatenate(times), 3))
    return np.asarray(every[(every >= 0) & (every <= script.duration_s)], dtype=np.float64)


def _week_s(overlay: Overlay, since_s: F64) -> F64:
    time_us = overlay.origin_us + np.round(since_s * 1e6).astype(np.int64)
    return disturbances.week_time(time_us)


def _check(overlay: Overlay) -> None:
    """Raise ModelError for events without an effect in this park."""
    plant = overlay.process.plant
    networks = [n for n in plant.networks if n.component == demand.CHLORINE]
    problems = [
        f"event {event.id}: no chlorine passes through {event.scope}"
        for event in overlay.script.events
        if event.kind == "leak"
        and not any((at := n.index(event.scope)) is not None and n.gives(at) for n in networks)
    ]
    problems += [
        f"event {event.id}: nothing in {event.scope} has an alarm on a value of its own"
        for event in overlay.script.events
        if event.kind == "upset" and not _alarmed(overlay, event)
    ]
    if problems:
        raise ModelError("the scenario does not fit the park", hint="", problems=problems)


def _changes(overlay: Overlay, since_s: F64) -> ProcessChanges:
    """Return the changes of the process at (n,) float64 [s] since the origin."""
    changes = _causes(overlay, since_s)
    if not overlay.farms:
        return changes
    plant, time_s = overlay.process.plant, _week_s(overlay, since_s)
    fixed, given = _fixed(overlay, since_s, time_s, changes)
    flow = demand.component_flow(demand.chlorine_of(plant), given)
    shape = (len(since_s), len(plant.vessels.tanks))
    fill, accumulation = np.zeros(shape), np.zeros(shape)
    chlorine = dict(fixed[demand.CHLORINE])
    usual, rise = inventory(plant.vessels, time_s)
    for f, farm in enumerate(overlay.farms):
        surplus = demand.surplus(plant, farm, given)
        excess, excess_rate, full = _excess(overlay, f, since_s, surplus, usual, rise)
        out = np.sum([flow[:, s] for s in farm.out], axis=0)
        # After the script the exports bring the farm back to its usual course.
        chlorine[farm.export] = flow[:, farm.export] + np.where(
            since_s >= overlay.script.duration_s, surplus - excess_rate, 0.0
        )
        if full.any():
            came = sum((flow[:, s] for s in farm.other), np.zeros(len(since_s)))
            piped = sum(flow[:, s] for s in farm.pipes)
            for s in farm.pipes:
                # Without a surplus the flow stays as it is.
                chlorine[s] = np.where(full, (out - came) * flow[:, s] / piped, flow[:, s])
        added = _distribute(overlay, farm, excess, excess_rate, usual, rise)
        fill[:, farm.tanks], accumulation[:, farm.tanks] = added
    return replace(
        changes, fixed=fixed | {demand.CHLORINE: chlorine}, fill=fill, accumulation=accumulation
    )


def _causes(overlay: Overlay, since_s: F64) -> ProcessChanges:
    """Return the changes that do not depend on the inventory of the tanks."""
    plant, script = overlay.process.plant, overlay.script
    cells, tags = plant.cells.electrolysers, plant.park.tags
    run, added_v, lost = (np.full((len(since_s), len(cells)), value) for value in (1.0, 0.0, 0.0))
    factor, shift = np.ones((len(since_s), len(tags))), np.zeros((len(since_s), len(tags)))
    leak: dict[str, F64] = {}
    for event in script.at("process"):
        part = weight(event, since_s)
        mine = [e for e, c in enumerate(cells) if c.id == event.scope
                or inside(c.scope, event.scope)]  # fmt: skip
        if event.kind == "load":
            load = 1 + part * (event.size - 1)
            run[:, mine] = np.minimum(run[:, mine], load[:, None])
            plain = [t for t, tag in enumerate(tags)
                     if plant.load_gain[t] > 0 and inside(tag.scope, event.scope)]  # fmt: skip
            factor[:, plain] = np.minimum(factor[:, plain], load[:, None])
        elif event.kind == "efficiency":
            lost[:, mine] += part[:, None] * event.size
        elif event.kind == "voltage":
            added_v[:, mine] += part[:, None] * event.size
        elif event.kind == "leak":
            network = demand.chlorine_of(plant)
            out = leak.setdefault(demand.CHLORINE, np.zeros((len(since_s), len(network.nodes))))
            out[:, network.index(event.scope)] += part * event.size
        elif event.kind == "upset":
            for t, value in _alarmed(overlay, event).items():
                factor[:, t] *= 1 - part
                shift[:, t] += part * value
    return ProcessChanges(
        run=run, added_v=added_v, lost=lost, factor=factor, shift=shift, leak=leak
    )


def _alarmed(overlay: Overlay, event: ScriptEvent) -> dict[int, float]:
    """Return the values to which an upset brings the alarmed tags without equation, by tag [SI]."""
    plant = overlay.process.plant
    column = {tag.address: t for t, tag in enumerate(plant.park.tags)}
    computed = {*plant.vessels.column.tolist(), *plant.cells.current_column.tolist()}
    computed |= {flow for _, flow, _, _ in plant.stream_columns}
    values: dict[int, float] = {}
    for row in plant.park.rows(AlarmSpec):
        t = column.get(row.tag, -1)
        if t < 0 or t in computed or not inside(plant.park.tags[t].scope, event.scope):
            continue
        limit = parse_quantity(row.limit, plant.park.tags[t].quantity)
        sign = 1.0 if row.direction == "high" else -1.0
        beyond = limit + sign * event.size * abs(limit)
        further = values.get(t, beyond)
        values[t] = max(beyond, further) if sign > 0 else min(beyond, further)
    return values


def _fixed(
    overlay: Overlay, since_s: F64, time_s: F64, changes: ProcessChanges
) -> tuple[demand.Fixed, ProcessState]:
    """Return the flows fixed by loads, and the state in which tanks take up the surplus."""
    plant = overlay.process.plant
    loads = [event for event in overlay.script.events if event.kind == "load"]

    def load(scope: str) -> F64 | None:
        factors = [1 + weight(event, since_s) * (event.size - 1)
                   for event in loads if inside(scope, event.scope)]  # fmt: skip
        return np.min(factors, axis=0) if factors else None

    fixed = demand.demands(plant, rates(plant, time_s, UNCHANGED), load)
    given = rates(plant, time_s, replace(changes, fixed=fixed))
    fixed[demand.CHLORINE] = demand.limit_to_supply(plant, fixed[demand.CHLORINE], given)
    return fixed, rates(plant, time_s, replace(changes, fixed=fixed))


def _surplus(overlay: Overlay, since_s: F64) -> F64:
    """Return the surplus of each farm over its usual accumulation, (n, f) [kg/s], no limit."""
    plant, time_s = overlay.process.plant, _week_s(overlay, since_s)
    _, given = _fixed(overlay, since_s, time_s, _causes(overlay, since_s))
    return np.stack([demand.surplus(plant, farm, given) for farm in overlay.farms], axis=1)


def _count_rate(overlay: Overlay, since_s: F64) -> F64:
    """Return the rate of the counters over the usual rate, (n, c) [SI/s].

    Raises ModelError if a stream runs backwards: less is made than the fixed flows need.
    """
    plant, time_s = overlay.process.plant, _week_s(overlay, since_s)
    now = rates(plant, time_s, _changes(overlay, since_s))
    least = np.nanmin(now.flow, axis=0, initial=0.0)
    if least.min(initial=0.0) < -TINY:
        stream = plant.park.streams[int(np.argmin(least))].id
        raise ModelError(
            f"scenario {overlay.script.id} lets {stream} run backwards",
            hint="let its loads change less",
        )
    return np.asarray((now.values - rates(plant, time_s).values)[:, plant.counters])


def _free_capacity(overlay: Overlay, farm: FarmNode, fill: F64, rise: F64) -> tuple[F64, F64]:
    """Return the free capacity of each tank [kg] and its rate of change [kg/s], (n, k)."""
    vessels, tanks = overlay.process.plant.vessels, list(farm.tanks)
    limit = np.array([fill_share(vessels.tanks[k]) for k in tanks])
    return (limit - fill[:, tanks]) * vessels.capacity[tanks], -rise[:, tanks]


def _excess(
    overlay: Overlay, f: int, since_s: F64, surplus: F64, fill: F64, rise: F64
) -> tuple[F64, F64, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Return the excess inventory of a farm [kg], its rate [kg/s], and whether it is full; (n,)."""
    step_s, end_s = overlay.step_s, overlay.script.duration_s
    free, free_rate = (
        each.sum(axis=1) for each in _free_capacity(overlay, overlay.farms[f], fill, rise)
    )
    excess = _hermite(step_s, overlay.excess[:, f], overlay.excess_rate[:, f], since_s)
    full = np.zeros(len(since_s), dtype=bool)
    lost = np.zeros(len(since_s))
    for interval in overlay.full[f]:
        full |= (since_s >= interval.start_s) & (since_s < interval.stop_s)
        lost = np.where(since_s >= interval.stop_s, interval.lost, lost)
    kept = overlay.excess[-1, f] - (overlay.full[f][-1].lost if overlay.full[f] else 0.0)
    past = np.clip((since_s - end_s) / RECOVERY_S, 0.0, 1.0)
    fading = kept * (1 - past) ** 2 * (1 + 2 * past)
    slope = -6 * kept * past * (1 - past) / RECOVERY_S
    after = since_s >= end_s
    held = np.where(full, free, np.where(after, np.minimum(fading, free), excess - lost))
    excess_rate = np.where(
        full, free_rate, np.where(after, np.where(fading < free, slope, free_rate), surplus)
    )
    begun = since_s >= 0
    return np.where(begun, held, 0.0), np.where(begun, excess_rate, 0.0), full


def _hermite(step_s: F64, value: F64, slope: F64, at_s: F64) -> F64:
    """Return the cubic Hermite interpolation of values and slopes at some times, (n,)."""
    i = np.clip(np.searchsorted(step_s, at_s, side="right") - 1, 0, len(step_s) - 2)
    length = step_s[i + 1] - step_s[i]
    u = np.clip((at_s - step_s[i]) / length, 0.0, 1.0)
    return np.asarray(
        (1 + 2 * u) * (1 - u) ** 2 * value[i]
        + u * (1 - u) ** 2 * length * slope[i]
        + u**2 * (3 - 2 * u) * value[i + 1]
        - u**2 * (1 - u) * length * slope[i + 1]
    )


def _distribute(
    overlay: Overlay, farm: FarmNode, excess: F64, excess_rate: F64, fill: F64, rise: F64
) -> tuple[F64, F64]:
    """Return excess fill [1] and accumulation [kg/s] of each tank, (n, k).

    An excess is shared by free capacity, a deficit by inventory.
    """
    capacity = overlay.process.plant.vessels.capacity[list(farm.tanks)]
    free, free_rate = _free_capacity(overlay, farm, fill, rise)
    mass, rising = fill[:, farm.tanks] * capacity, rise[:, farm.tanks]
    fills = (excess >= 0)[:, None]
    size, change = np.where(fills, free, mass), np.where(fills, free_rate, rising)
    total = size.sum(axis=1)[:, None]
    share = size / total
    turn = (change - share * change.sum(axis=1)[:, None]) / total
    whole = excess[:, None]
    return whole * share / capacity, excess_rate[:, None] * share + whole * turn


def _full_intervals(
    overlay: Overlay, f: int, step_s: F64, excess: F64, excess_rate: F64
) -> tuple[FullInterval, ...]:
    """Return the intervals in which a farm is full; raises ModelError if it runs empty."""
    fill, rise = inventory(overlay.process.plant.vessels, _week_s(overlay, step_s))
    farm = overlay.farms[f]
    free, free_rate = (each.sum(axis=1) for each in _free_capacity(overlay, farm, fill, rise))
    beyond = excess - free
    lost = np.maximum.accumulate(np.maximum(beyond, 0.0))
    held = (fill[:, farm.tanks] * overlay.process.plant.vessels.capacity[list(farm.tanks)]).sum(1)
    if (excess - lost < -held).any():
        at = step_s[np.argmax(excess - lost < -held)] / 3600
        raise ModelError(
            f"scenario {overlay.script.id} empties the tanks of {farm.scope} after {at:.1f} h",
            hint="let its loads change less, or not so long",
        )
    rising = np.diff(lost) > 0
    starts = np.flatnonzero(rising & ~np.append(False, rising[:-1]))
    stops = np.flatnonzero(rising & ~np.append(rising[1:], False)) + 1
    intervals = []
    for i, j in zip(starts.tolist(), stops.tolist(), strict=True):
        part = (lost[i] - beyond[i]) / (beyond[i + 1] - beyond[i])
        start_s = step_s[i] + part * (step_s[i + 1] - step_s[i])
        stop_s = float(step_s[j])
        # The farm is full until the surplus turns into a shortage.
        net = excess_rate - free_rate
        if j + 1 < len(step_s) and net[j] > 0 >= net[j + 1]:
            stop_s += net[j] / (net[j] - net[j + 1]) * (step_s[j + 1] - step_s[j])
        at = np.array([stop_s])
        fill, rise = inventory(overlay.process.plant.vessels, _week_s(overlay, at))
        remaining = _free_capacity(overlay, farm, fill, rise)[0].sum()
        most = float(_hermite(step_s, excess, excess_rate, at)[0] - remaining)
        intervals.append(FullInterval(float(start_s), stop_s, most))
    return tuple(intervals)


@dataclass(frozen=True, slots=True)
class Truth:
    """A condition from start to stop; texts are empty where they do not apply."""

    id: str
    kind: str
    tag: str
    stream: str
    scope: str
    start_us: int
    stop_us: int
    size: float | None
    uom: str


def truths(overlay: Overlay) -> tuple[Truth, ...]:
    """Return the events of a scenario, and the intervals in which tank farms are full."""
    rows = [_of_event(overlay, event) for event in overlay.script.events]
    for farm, intervals in zip(overlay.farms, overlay.full, strict=True):
        before = 0.0
        for interval in intervals:
            # The surplus that went to the absorber.
            size = (interval.lost - before) / compile_uom("t", "mass")[0]
            times = _us(overlay, interval.start_s), _us(overlay, interval.stop_s)
            rows.append(Truth(f"{farm.scope}:full", "full", "", "", farm.scope, *times, size, "t"))
            before = interval.lost
    return tuple(rows)


def encode(rows: tuple[Truth, ...]) -> bytes:
    """Encode rows of truth as JSON."""
    return json.dumps([asdict(row) for row in rows], indent=1).encode() + b"\n"


def _of_event(overlay: Overlay, event: ScriptEvent) -> Truth:
    park = overlay.process.plant.park
    size, _, uom = event.size_text.partition(" ")
    return Truth(
        id=event.id,
        kind=event.kind,
        tag=event.tag,
        stream=next((s.id for s in park.streams if event.tag and s.flow == event.tag), ""),
        scope=event.scope,
        start_us=_us(overlay, event.start_s),
        stop_us=_us(overlay, event.stop_s),
        size=float(size) if size else None,
        uom=uom or event.uom,
    )


def _us(overlay: Overlay, since_s: float) -> int:
    return overlay.origin_us + round(float(since_s) * 1e6)
