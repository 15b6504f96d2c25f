"""Trials of the scenarios: the results of the twin for each, against the truth."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simulators.gateways.delivery import FOREVER_US, Outbox, clock_times
from simulators.gateways.gateways import make_gateways
from simulators.instruments import make_sensors, readings
from simulators.process.process import make_process
from simulators.scenarios.overlay import truths
from simulators.scenarios.script import ScriptEvent
from simulators.scoring.harness import (
    SCAN_S,
    biased,
    in_si,
    minutes_of,
    monitors_of,
    quiet_memory,
    run_monitor,
    samples_of,
    scene_of,
)
from twin import quality as q
from twin.accounts.accounts import SIGNS, Account
from twin.accounts.network import compile_network
from twin.accounts.tanks import tags_of_tanks, tank_mass
from twin.alarms.engine import UNACKNOWLEDGED, evaluate
from twin.alarms.engine import initial_alarm_state as no_alarms
from twin.alarms.metrics import advance_flood, no_flood
from twin.alarms.rules import compile_rules, park_alarms
from twin.arrays import (
    BOOL,
    DAY_S,
    F64,
    HOUR_S,
    HOUR_US,
    I64,
    MINUTE_S,
    MINUTE_US,
    NEVER,
    SECOND_US,
)
from twin.chlorine.figures import cathode_efficiency
from twin.chlorine.tank_farms import find_tank_farms, forecast
from twin.energy.circuits import MAIN
from twin.energy.efficiency import cell_efficiencies, metered_cells, metered_efficiency
from twin.energy.electrolysis import ageing
from twin.errors import ModelError
from twin.model.park import inside
from twin.reconciliation.detection import begin_monitor, detect, detectable_bias
from twin.reconciliation.uncertainty import half_width, stored_sigma, sum_sigma, weights
from twin.series.samples import concatenate, sort
from twin.uom import compile_uom
from twin.validation.rules import CheckSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from simulators.instruments import Scene
    from simulators.scenarios.overlay import Truth
    from simulators.scoring.harness import Harness, MinuteTable
    from twin.accounts.network import Network
    from twin.model.park import Electrolyser, Park
    from twin.reconciliation.detection import MonitorState
    from twin.series.samples import Sorted

# A forecast announces events of this shift.
AHEAD_S = 8 * HOUR_S
# A forecast is announced after it has held for some minutes.
STEADY_MINUTES = 5
# A hold-up of pipes and vessels, of streams that go by pipe, and how long a monitor learns before.
HELD_S = 3 * MINUTE_S
PIPED = ("pipe", "internal")
QUIET_H = 6.0
NAN = float("nan")
HOUR_MINUTES = 60
T_PER_H, _ = compile_uom("t/h", "mass_flow")
REASON = np.uint8(q.SIMULATED - 1)
# Relative rounding error of a sum in another order.
EXACT = 1e-9
# The bias that is tried at every meter, from one minute to the next.
BIAS = ScriptEvent(
    "bias", "bias", "", "", 0.0, 2 * HOUR_S, size=0.04, relative=True, ramp_s=MINUTE_S
)


class TrialFigure(NamedTuple):
    """One figure of a trial and its goal."""

    figure: str
    value: float  # NaN = never
    uom: str
    goal: str
    met: bool


class Trial(NamedTuple):
    """A scenario in the harness, and the memory of the monitor at its start."""

    harness: Harness
    scene: Scene
    memory: MonitorState


class BiasTrial(NamedTuple):
    """A bias of the meter of one stream, and its detection."""

    stream: str
    least: float  # [1] least detectable bias within the longest window
    delay_s: float  # NaN = no detection within the trial
    detected: bool  # the stream is among the suspects of the first detection
    suspects: int


def normal(trial: Trial) -> Iterator[TrialFigure]:
    """Yield detections, flags and alarms in a day without an event."""
    harness, scene = trial.harness, trial.scene
    days = scene.overlay.script.duration_s / DAY_S
    stop_us = harness.start_us + round(days * DAY_S) * SECOND_US
    table = minutes_of(
        harness.network, partial(readings, scene), harness.start_us, stop_us, scan_s=2 * SCAN_S
    )
    sums = table.amount, table.covered_s, table.last
    detections = [
        detection
        for monitor in harness.monitors.values()
        for detection in detect(monitor, begin_monitor(monitor, harness.start_us), *sums)[1]
    ]
    flags = [key for key in table.flags if key[1] != q.OUT_OF_RANGE]
    came_us = _alarms(trial, stop_us, 2 * SCAN_S)
    counts = {
        "meters detected": len(detections),
        "tags flagged": len(flags),
        "alarms raised": len(came_us),
    }
    for figure, count in counts.items():
        yield TrialFigure(figure, count / days, "1/d", "0", not count)


def _alarms(trial: Trial, stop_us: int, scan_s: float) -> I64:
    """Return the times at which alarms are raised from the start on, (n,) int64 [µs]."""
    harness = trial.harness
    tags = harness.network.tags
    rules = compile_rules(park_alarms(harness.park, tags[: len(harness.park.tags)]), tags)
    times = np.arange(harness.start_us, stop_us, round(scan_s * 1e6))
    values = readings(trial.scene, times)
    values[:, np.setdiff1d(np.arange(values.shape[1]), rules.tag)] = np.nan
    samples = sort(samples_of(harness.network, times, values)).samples
    known_us = np.full(len(tags), NEVER)
    _, changes = evaluate(rules, no_alarms(len(rules.tag)), samples, known_us, stop_us)
    return np.asarray(changes.time_us[changes.after == UNACKNOWLEDGED])


def chlorine_user_trip(trial: Trial) -> Iterator[TrialFigure]:
    """Compare the forecast of full tanks with the truth; a trip must cause no detection."""
    harness, scene = trial.harness, trial.scene
    rows = truths(scene.overlay)
    trip = next(row for row in rows if row.kind == "load")
    full = next(row for row in rows if row.kind == "full" and row.start_us > trip.start_us)
    times = np.arange(trip.start_us, full.start_us, MINUTE_US)
    value = np.full((len(times), len(harness.network.tags)), np.nan)
    value[:, : len(harness.park.tags)] = in_si(harness.park, readings(scene, times))
    farms = find_tank_farms(harness.network, full.scope)
    ahead_s = np.array([forecast(harness.network, farms, row).full_s for row in value])
    steady = np.convolve(ahead_s < AHEAD_S, np.ones(STEADY_MINUTES), "valid") == STEADY_MINUTES
    at = int(np.argmax(steady)) + STEADY_MINUTES - 1 if steady.any() else len(times) - 1
    remaining_s = (full.start_us - times) / 1e6
    # Errors are shares of the time that remained at the announcement.
    error = (ahead_s - remaining_s) / remaining_s[at]
    announced = np.abs(error[at:][remaining_s[at:] >= 10 * MINUTE_S])
    worst = float(announced.max()) if steady.any() and len(announced) else NAN
    before = remaining_s[at] / MINUTE_S if steady.any() else NAN
    _, detections = run_monitor(harness, scene, trial.memory, 3 * 60)
    first = error[at]
    yield TrialFigure("announced before full", before, "min", ">= 10", bool(before >= 10))
    yield TrialFigure("time to full, when announced", first * 100, "%", "+-5", abs(first) <= 0.05)
    yield TrialFigure("time to full, worst until then", worst * 100, "%", "+-5", worst <= 0.05)
    yield TrialFigure("meters detected", len(detections), "1", "0", not detections)


def bias_of_every_stream(
    harness: Harness,
    memory: MonitorState,
    *,
    minutes: int,
    bias: ScriptEvent = BIAS,
    streams: Iterable[str] = (),
    component: str = "chlorine",
) -> list[BiasTrial]:
    """Return the detection of a bias of each meter of a component, one after the other.

    The bias begins at the time of `memory`; without `streams` all lines with one meter are tried.
    """
    rows = []
    monitor = harness.monitors[component]
    least = detectable_bias(monitor, memory)
    wanted = set(streams) or {line.id for line in monitor.balance.lines}
    for s, line in enumerate(monitor.balance.lines):
        if len(line.tags) != 1 or line.id not in wanted:
            continue
        tag = harness.network.tags[line.tags[0][0]]
        scene = biased(harness, bias, tag, memory.time_us)
        _, detections = run_monitor(harness, scene, memory, minutes, component=component)
        first = detections[0] if detections else None
        delay_s = (first.time_us - memory.time_us) / 1e6 if first else NAN
        suspects = first.lines if first else ()
        detected = line.id in suspects
        rows.append(BiasTrial(line.id, float(least[s]), delay_s, detected, len(suspects)))
    return rows


def load_ramp(trial: Trial) -> Iterator[TrialFigure]:
    """Yield detections while the load falls and rises, and what pipes hold is minutes of a flow.

    The model says so; the same without that is a figure without a goal.
    """
    park = trial.harness.park
    held = trial.scene.overlay.script.id
    streams = tuple(
        replace(s, hold_up_s=HELD_S) if s.flow and s.mode in PIPED else s for s in park.streams
    )
    process = make_process(replace(park, streams=streams), trial.harness.sensors.seed)
    late = replace(
        trial.harness, process=process, sensors=make_sensors(process, trial.harness.sensors.seed)
    )
    for figure, harness, goal in (
        (
            "meters detected",
            replace(late, monitors=monitors_of(compile_network(process.plant.park))),
            "0",
        ),
        ("without the hold-up in the model", late, ""),
    ):
        memory = quiet_memory(harness, QUIET_H)
        scene = scene_of(harness, held)
        minutes = round(scene.overlay.script.duration_s / MINUTE_S)
        after, detections = run_monitor(harness, scene, memory, minutes)
        yield TrialFigure(figure, len(detections), "1", goal, not detections or not goal)
        if goal:
            yield from _held_back(trial, after)


def _held_back(trial: Trial, after: MonitorState) -> Iterator[TrialFigure]:
    """Yield for how long tests were held back in a ramp, and after its flows had come to rest."""
    (ramp,) = trial.scene.overlay.script.at("process")
    origin_us = trial.scene.overlay.origin_us
    since_s = np.array([(each.time_us - origin_us) / 1e6 for each in after.held_back])
    down = since_s[since_s < ramp.start_s + 2 * ramp.ramp_s]
    last = (down.max() - ramp.start_s - ramp.ramp_s) / MINUTE_S if len(down) else 0.0
    limit = (15 * MINUTE_S + HELD_S) / MINUTE_S
    yield TrialFigure("minutes held back", len(since_s), "1", "> 0", len(since_s) > 0)
    yield TrialFigure("tests back after the ramp", last, "min", f"<= {limit:.0f}", last <= limit)


def meter_bias(trial: Trial) -> Iterator[TrialFigure]:
    """Yield the detection of the bias in the scenario."""
    overlay = trial.scene.overlay
    (bias,), (truth,) = overlay.script.events, truths(overlay)
    (bias_trial,) = bias_of_every_stream(
        trial.harness, trial.memory, minutes=15, bias=bias, streams=[truth.stream]
    )
    delay = bias_trial.delay_s / MINUTE_S if bias_trial.detected else NAN
    yield TrialFigure("detected after", delay, "min", "<= 15", delay <= 15)
    yield TrialFigure("suspects detected", bias_trial.suspects, "1", "", bias_trial.suspects > 0)


def leak(trial: Trial) -> Iterator[TrialFigure]:
    """Yield the detection of the leak in the scenario."""
    truth = truths(trial.scene.overlay)[0]
    minutes = round((truth.start_us - trial.memory.time_us) / MINUTE_US) + 30
    _, detections = run_monitor(trial.harness, trial.scene, trial.memory, minutes)
    right = [n for n in detections if n.time_us > truth.start_us and truth.scope in n.leaks]
    delay = (right[0].time_us - truth.start_us) / MINUTE_US if right else NAN
    wrong = len(detections) - len(right)
    yield TrialFigure("node detected after", delay, "min", "<= 15", delay <= 15)
    yield TrialFigure("detected wrongly", wrong, "1", "0", wrong == 0)


def alarm_flood(trial: Trial) -> Iterator[TrialFigure]:
    """Yield the detection of the flood and the number of its alarms."""
    (truth,) = truths(trial.scene.overlay)
    stop_us = truth.stop_us + 10 * MINUTE_US
    came_us = _alarms(trial, stop_us, SCAN_S / 2)
    flood, ended = advance_flood(no_flood(), came_us, stop_us)
    starts = [start for start, _ in ended.tolist()]
    starts += [flood.since_us] if flood.since_us != NEVER else []
    delay = (starts[0] - truth.start_us) / 1e6 if starts else NAN
    before = int((came_us < truth.start_us).sum())
    right = len(starts) == 1 and 0 <= delay <= 600
    yield TrialFigure("flood seen after", delay, "s", "<= 600", right)
    yield TrialFigure("alarms in it", len(came_us) - before, "1", "> 10", len(came_us) > 10)
    yield TrialFigure("alarms before", before, "1", "0", before == 0)


def gateway_outage(trial: Trial) -> Iterator[TrialFigure]:
    """Yield lost and repeated samples after an outage in which the gateway buffers.

    Samples arrive out of order, some twice, and with a clock that is late.
    """
    arrived, times, breaks = _arrived(trial)
    lost = len(times) * int(_measured(trial).sum()) - len(arrived.samples)
    doubles = arrived.duplicates
    yield TrialFigure("samples lost", lost, "1", "0", lost == 0)
    yield TrialFigure("samples kept twice", max(-lost, 0), "1", "0", lost >= 0)
    yield TrialFigure("doubles dropped", doubles, "1", "> 0", doubles > 0)
    yield TrialFigure("connections broken", breaks, "1", "> 1", breaks > 1)


def _measured(trial: Trial) -> BOOL:
    """Return which tags have an instrument, (T,); people enter the others."""
    return np.array([tag.source != "manual" for tag in trial.harness.park.tags])


def silent_gateway(trial: Trial) -> Iterator[TrialFigure]:
    """Yield lost samples and gaps of a dead gateway, and of the others."""
    tags = trial.harness.park.tags
    (dead,) = truths(trial.scene.overlay)
    arrived, times, _ = _arrived(trial)
    measured = _measured(trial)
    silent = measured & np.array([inside(tag.scope, dead.scope) for tag in tags])
    unsent = (times >= dead.start_us) & (times < dead.stop_us)
    lost = len(times) * int(measured.sum()) - len(arrived.samples)
    read = int(unsent.sum() * silent.sum())
    longest_us = np.zeros(len(silent))
    pause_us = np.diff(arrived.samples.time_us)
    same = np.diff(arrived.samples.tag) == 0
    np.maximum.at(longest_us, arrived.samples.tag[1:][same], pause_us[same])
    gap = longest_us > np.array([tag.gap_s for tag in tags]) * 1e6
    missed, others, size = (int(mask.sum()) for mask in (gap & silent, gap & ~silent, silent))
    yield TrialFigure("samples lost", lost, "1", f"the {read} it read", lost == read)
    yield TrialFigure("its tags with a gap", missed, "1", f"{size}", missed == size)
    yield TrialFigure("other tags with a gap", others, "1", "0", others == 0)


def _arrived(trial: Trial) -> tuple[Sorted, I64, int]:
    """Return the samples that arrive in the end, the times of all scans, and lost connections."""
    harness, script = trial.harness, trial.scene.overlay.script
    gateways = make_gateways(harness.park, script.gateways, script.at("gateway"))
    step_us = round(SCAN_S / 2 * 1e6)
    stop_us = harness.start_us + round(script.duration_s) * SECOND_US
    times = np.arange(harness.start_us, stop_us, step_us)
    scans = readings(trial.scene, times)
    parts, breaks = [], 0
    for gateway in gateways:
        outbox = Outbox(gateway, harness.sensors.seed, harness.start_us)
        outbox.scan(times, step_us)
        outbox.close()
        for transmission in outbox.take(FOREVER_US - 1):
            breaks += not transmission.scans
            at = (transmission.times_us - harness.start_us) // step_us
            values = np.full((len(at), len(harness.park.tags)), np.nan)
            values[:, gateway.columns] = scans[at][:, gateway.columns]
            clock_us = clock_times(gateway, harness.start_us, transmission.times_us)
            parts.append(samples_of(harness.network, clock_us, values))
    return sort(concatenate(*parts)), times, breaks


def membrane_ageing(trial: Trial) -> Iterator[TrialFigure]:
    """Yield circuit, voltage and efficiency of ageing membranes by months of hourly values.

    The aged circuit is the one of the efficiency event of the scenario, the others are in the
    scope of its second voltage event.
    """
    park, tags = trial.harness.park, trial.harness.network.index
    rows = truths(trial.scene.overlay)
    (lost,) = (row for row in rows if row.kind == "efficiency")
    one, others = sorted((row for row in rows if row.kind == "voltage"),
                         key=lambda row: row.scope != lost.scope)  # fmt: skip
    cells = [e for e in park.electrolysers if inside(e.scope, others.scope)]
    times = np.arange(one.start_us, one.stop_us, 3 * round(HOUR_S * 1e6))
    value = in_si(park, readings(trial.scene, times))
    current, volts = (
        value[:, [tags[name] for name in names]]
        for names in ([e.current for e in cells], [e.voltage for e in cells])
    )
    count = np.array([e.cells for e in cells])
    # The voltage at the mean current, as the voltage is linear in the load.
    line = [np.polyfit(i / i.mean() - 1, u, 1)[0] for i, u in zip(current.T, volts.T, strict=True)]
    steady = (volts - (current / current.mean(axis=0) - 1) * np.array(line)) / count
    rise = ageing((times - times[0]) / 1e6, steady.T)
    length_s = (one.stop_us - one.start_us) / 1e6
    worst = int(np.argmax(rise.slope))
    right = cells[worst].id == one.scope
    grown = float(rise.slope[worst] * length_s)
    true = (one.size or 0.0) + (others.size or 0.0) * length_s * 1e6 / (
        others.stop_us - others.start_us
    )
    made = value[:, tags[_product_tag(park, cells)]]
    efficiency = cathode_efficiency(made, (current * count).sum(axis=1), np.ones(len(made)))
    lost_pct = -100 * float(ageing(np.linspace(0.0, 1.0, len(efficiency)), efficiency).slope)
    true_pct = (lost.size or 0.0) / len(cells)
    gained_mv = grown * 1e3
    yield TrialFigure("the circuit found", float(right), "1", "1", right)
    yield TrialFigure(
        "voltage it has gained", gained_mv, "mV", f"{true:.0f}+-5", abs(gained_mv - true) <= 5
    )
    yield TrialFigure("efficiency the plant has lost", lost_pct, "%", f"{true_pct:.2f}+-0.1",
                      abs(lost_pct - true_pct) <= 0.1)  # fmt: skip


def ce_decay(trial: Trial) -> Iterator[TrialFigure]:
    """Yield whether a loss of current efficiency is named as such, and not as lost chlorine.

    It is named when an hour's efficiency lies below that of the first by more than both intervals.
    """
    harness, scene = trial.harness, trial.scene
    (lost,) = truths(scene.overlay)
    hours = round(scene.overlay.script.duration_s / HOUR_S)
    stop_us = harness.start_us + hours * HOUR_US
    table = minutes_of(
        harness.network, partial(readings, scene), harness.start_us, stop_us, scan_s=2 * SCAN_S
    )
    sums = table.amount, table.covered_s, table.last
    detections = [
        detection
        for monitor in harness.monitors.values()
        for detection in detect(monitor, begin_monitor(monitor, harness.start_us), *sums)[1]
    ]
    amount, covered_s = (
        np.nansum(column.reshape(hours, HOUR_MINUTES, -1), axis=1)
        for column in (table.amount, table.covered_s)
    )
    cells = [c for c in harness.park.electrolysers if inside(c.scope, lost.scope)]
    groups = metered_cells(harness.network)
    meters = [metered_efficiency(harness.network, each, amount, covered_s).mean for each in groups]
    means = cell_efficiencies(harness.network, groups, meters, amount, covered_s)
    value, sigma = means[cells[0].id].both.mean
    lower = value[0] - value > half_width(np.hypot(sigma, sigma[0]))
    delay_us = (np.argmax(lower) + 1) * HOUR_US - (lost.start_us - harness.start_us)
    delay = delay_us / MINUTE_US if lower.any() else NAN
    half = (lost.stop_us - lost.start_us) / MINUTE_US / 2
    true = harness.process.plant.cells.efficiency[[c in cells for c in harness.park.electrolysers]]
    last = float(true.mean()) - (lost.size or 0.0) / 100 * (1 - HOUR_US / 2 / (
        lost.stop_us - lost.start_us))  # fmt: skip
    width = float(half_width(sigma[-1]))
    off = float(value[-1]) - last
    yield TrialFigure("named as efficiency after", delay, "min", f"<= {half:.0f}", delay <= half)
    yield TrialFigure("efficiency in the last hour, off", off * 100, "%", f"+-{width * 100:.2f}",
                      abs(off) <= width)  # fmt: skip
    yield TrialFigure("detected wrongly", len(detections), "1", "0", not detections)
    yield from _unaccounted(trial, table, cells[0].scope)


def _unaccounted(trial: Trial, table: MinuteTable, scope: str) -> Iterator[TrialFigure]:
    """Yield what the enterprise of a scope cannot account for of its chlorine in the last hour.

    With the analysis of its cells it must be within its interval.
    """
    park, hour = trial.harness.park, slice(-HOUR_MINUTES, None)
    home = next(s.id for s in park.scopes if s.kind == "enterprise" and inside(scope, s.id))
    blind = replace(
        park, electrolysers=tuple(replace(c, oxygen="", hydrogen="") for c in park.electrolysers)
    )
    amount, covered_s = (
        np.nansum(column[hour], axis=0) for column in (table.amount, table.covered_s)
    )
    edges = table.last[[-HOUR_MINUTES - 1, -1]]
    for network, name in (
        (trial.harness.network, "unaccounted"),
        (compile_network(blind), "unaccounted by the constant of the model"),
    ):
        tags = [network.index[t.address] for t in network.tags]
        at = [trial.harness.network.index[t.address] for t in network.tags]
        mine = np.full((2, len(tags)), np.nan)
        mine[:, tags] = np.stack([amount[at], covered_s[at]])
        level = np.full((2, len(tags)), np.nan)
        level[:, tags] = edges[:, at]
        terms = {Account(home, "chlorine", item): sign for item, sign in SIGNS.items()}
        weight = weights(network, terms)
        tanks = network.tanks.scopes[home, "chlorine"]
        before, after = tank_mass(network.tanks, level)[:, tanks]
        stored = float((after - before) @ network.tanks.share["chlorine"][tanks])
        used = weight != 0
        rate = (float(weight[used] @ mine[0, used]) - stored) / HOUR_S / T_PER_H
        sigma = np.hypot(
            sum_sigma(network, "chlorine", weight, *mine),
            stored_sigma(network, "chlorine", tanks, level),
        )
        width = float(half_width(sigma)) / HOUR_S / T_PER_H
        goal = f"+-{width:.2f}" if network is trial.harness.network else ""
        yield TrialFigure(name, rate, "t/h", goal, not goal or abs(rate) <= width)


def _product_tag(park: Park, cells: Sequence[Electrolyser]) -> str:
    """Return the tag of the product of some electrolysers; raises ModelError without one."""
    for product in park.products:
        if all(MAIN[e.kind] == product.id and inside(e.scope, product.scope) for e in cells):
            return product.tag
    raise ModelError(
        "no product is weighed over the electrolysers of the scenario",
        hint="add a [[product]] over them, or choose others in its voltage event",
    )


def flagged(trial: Trial, reason: dict[str, int], limit_s: float) -> Iterator[TrialFigure]:
    """Yield the delay of the flag of faulty instruments, with the reason code of each kind [s]."""
    harness = trial.harness
    rows = [row for row in truths(trial.scene.overlay) if row.kind in reason]
    minutes = (max(row.start_us for row in rows) - harness.start_us) // MINUTE_US
    stop_us = harness.start_us + (minutes + round(2 * limit_s / MINUTE_S)) * MINUTE_US
    table = _minutes(harness.network, trial.scene, rows, harness.start_us, stop_us)
    for row in rows:
        at_us = table.flags.get((harness.network.index[row.tag], reason[row.kind]))
        early = at_us is not None and at_us < row.start_us
        delay = NAN if at_us is None else (at_us - row.start_us) / 1e6
        met = not early and delay <= limit_s
        yield TrialFigure(f"{row.tag} flagged after", delay, "s", f"<= {limit_s:.0f}", met)


def cems_fault(trial: Trial) -> Iterator[TrialFigure]:
    """Yield the delays of flags and gaps of analysers that stick or are silent [s]."""
    yield from flagged(trial, {"stuck": q.STUCK}, 35 * MINUTE_S)
    network = trial.harness.network
    for row in [row for row in truths(trial.scene.overlay) if row.kind == "dropout"]:
        t = network.index[row.tag]
        around = row.start_us - 30 * MINUTE_US, row.start_us + 30 * MINUTE_US
        table = _minutes(network, trial.scene, [row], *around, scan_s=SCAN_S)
        gaps = np.flatnonzero(table.covered_s[:, t] < MINUTE_S)
        at_us = table.edge_us[gaps[0]] + table.covered_s[gaps[0], t] * 1e6 if len(gaps) else NAN
        delay, gap_s = (at_us - row.start_us) / 1e6, network.tags[t].gap_s
        met = bool(0 <= delay <= gap_s + SCAN_S)
        yield TrialFigure(f"{row.tag} a gap after", delay, "s", f"gap {gap_s:.0f}", met)


def unit_error(trial: Trial) -> Iterator[TrialFigure]:
    """Yield the delay of the flag of values in another unit of measure [s]."""
    yield from flagged(trial, {"unit": q.UNIT_ERROR}, MINUTE_S)


def counter_reset(trial: Trial) -> Iterator[TrialFigure]:
    """Yield the flags of resets and rollovers of counters, and the errors of the counts."""
    rows = truths(trial.scene.overlay)
    faulty, faultless = _with_and_without(trial, rows, _knowing_registers(trial))
    blind, _ = _with_and_without(trial, rows)
    scan = SCAN_S / trial.scene.overlay.script.duration_s
    for row in rows:
        t = trial.harness.network.index[row.tag]
        error, lost = (
            float(np.nansum(table.amount[:, t]) / np.nansum(faultless.amount[:, t]) - 1)
            for table in (faulty, blind)
        )
        marked, turns = (
            table.edge_us[:-1][(table.quality[:, t] & REASON) > 0] for table in (faulty, blind)
        )
        wrongly, count = f"{row.tag} counted wrongly", len(marked)
        if row.kind == "rollover":
            blind_met = 0 < abs(lost) <= len(turns) * scan
            yield TrialFigure(f"{row.tag} taken for resets", count, "1", "0", not count)
            yield TrialFigure(wrongly, error * 100, "%", "0", abs(error) < EXACT)
            yield TrialFigure(
                f"{wrongly}, register unknown", lost * 100, "%", "one scan a turn", blind_met
            )
            continue
        right = marked[:1].tolist() == [(row.start_us - 1) // MINUTE_US * MINUTE_US]
        delay = (marked[0] + MINUTE_US - row.start_us) / 1e6 if right else NAN
        yield TrialFigure(f"{row.tag} seen after", delay, "s", "<= 60", right)
        yield TrialFigure(wrongly, error * 100, "%", "one scan", abs(error) <= scan)


def worn_instruments(trial: Trial) -> Iterator[TrialFigure]:
    """Yield changes of hourly means by worn instruments, flags and detections."""
    rows = truths(trial.scene.overlay)
    tables = _with_and_without(trial, rows)
    for row in rows:
        if row.kind == "spike":
            yield from _spikes(trial.harness, row, *tables)
        elif row.kind != "drift":
            yield from _hours(trial.harness, row, *tables)
    yield from _detections(trial, rows)


def _spikes(
    harness: Harness, row: Truth, faulty: MinuteTable, faultless: MinuteTable
) -> Iterator[TrialFigure]:
    """Yield the flags of spikes, and their effect: flagged samples count in the minutes."""
    t = harness.network.index[row.tag]
    hit = faulty.amount[:, t] != faultless.amount[:, t]
    marked = (faulty.quality[:, t] & REASON) == q.RATE_OF_CHANGE
    share, wrong = (hit & marked).sum() / hit.sum(), int((marked & ~hit).sum())
    moved = np.abs(_moved(harness, row, faulty, faultless)[0]).max()
    yield TrialFigure(f"{row.tag} spikes flagged", share * 100, "%", "100", share == 1)
    yield TrialFigure(f"{row.tag} minutes flagged beside", wrong, "1", "0", wrong == 0)
    yield TrialFigure(f"{row.tag} hour moved by them", moved * 100, "%", "", met=True)


def _detections(trial: Trial, rows: Sequence[Truth]) -> Iterator[TrialFigure]:
    """Yield the delay of the detection of the drift, and the number of other detections."""
    harness, memory = trial.harness, trial.memory
    (drift,) = (row for row in rows if row.kind == "drift")
    (level,) = (row for row in rows if row.kind == "quantised" and _lines(harness, row))
    minutes = (drift.stop_us - memory.time_us) // MINUTE_US
    _, detections = run_monitor(harness, trial.scene, memory, minutes)
    drifting, stepping = (_lines(harness, row) for row in (drift, level))
    right = [n for n in detections if n.time_us > drift.start_us and drifting & {*n.lines}]
    coarse = [n for n in detections if n not in right and stepping & {*n.lines}]
    delay = (right[0].time_us - drift.start_us) / MINUTE_US if right else NAN
    # The detection must come before half of the drift, after a quarter of its effect.
    half = (drift.stop_us - drift.start_us) / MINUTE_US / 2
    wrong = len(detections) - len(right) - len(coarse)
    yield TrialFigure(f"{drift.tag} detected after", delay, "min", f"<= {half:.0f}", delay <= half)
    yield TrialFigure(f"{level.tag} detected", len(coarse), "1", "", met=True)
    yield TrialFigure("detected wrongly", wrong, "1", "0", wrong == 0)


def _lines(harness: Harness, row: Truth) -> set[str]:
    """Return the lines of the monitored balance that use a faulty tag."""
    t, tanks = harness.network.index[row.tag], harness.network.tanks
    return {
        line.id
        for line in harness.monitors["chlorine"].balance.lines
        if any(t == tag for tag, _ in line.tags) or t in tags_of_tanks(tanks, line.tanks)
    }


def _hours(
    harness: Harness, row: Truth, faulty: MinuteTable, faultless: MinuteTable
) -> Iterator[TrialFigure]:
    """Yield the changes of hourly means by a fault, and their completeness or stuck share."""
    t = harness.network.index[row.tag]
    moved, width = _moved(harness, row, faulty, faultless)
    worst = int(np.argmax(np.abs(moved) / width))
    goal = f"+-{width[worst] * 100:.2g}"
    met = bool((np.abs(moved) <= width).all())
    since = slice((row.start_us - faulty.start_us) // MINUTE_US, None)
    stuck = ((faulty.quality[since, t] & REASON) == q.STUCK).mean()
    covered = faulty.covered_s[since, t].mean() / MINUTE_S
    yield TrialFigure(f"{row.tag} hour moved", moved[worst] * 100, "%", goal, met)
    if row.kind == "dropout":
        yield TrialFigure(f"{row.tag} complete", covered * 100, "%", "", met=True)
    elif any(c.stuck_s < np.inf for c in harness.park.rows(CheckSpec) if c.tag == row.tag):
        yield TrialFigure(f"{row.tag} taken for stuck", stuck * 100, "%", "", met=True)


def _moved(
    harness: Harness, row: Truth, faulty: MinuteTable, faultless: MinuteTable
) -> tuple[F64, F64]:
    """Return relative change of the mean of each hour by a fault, and half its interval, (h,)."""
    t, tags = harness.network.index[row.tag], len(harness.network.tags)
    since = slice((row.start_us - faulty.start_us) // MINUTE_US, None)
    amount, covered_s, usual, usual_s = (
        np.nansum(column[since].reshape(-1, HOUR_MINUTES, tags), axis=1)
        for table in (faulty, faultless)
        for column in (table.amount, table.covered_s)
    )
    moved = amount[:, t] / covered_s[:, t] / (usual[:, t] / usual_s[:, t]) - 1
    sigma = sum_sigma(harness.network, "", np.eye(tags)[t], amount, covered_s)
    return moved, half_width(sigma) / amount[:, t]


def _knowing_registers(trial: Trial) -> Network:
    """Return the network of a model with the range of the counters that roll over."""
    park, events = trial.harness.park, trial.scene.overlay.script.events
    sizes = {e.tag: e.size for e in events if e.kind == "rollover"}
    tags = [replace(tag, high=sizes.get(tag.address, tag.high)) for tag in park.tags]
    return compile_network(replace(park, tags=tuple(tags)))


def _with_and_without(
    trial: Trial, rows: Sequence[Truth], network: Network | None = None
) -> tuple[MinuteTable, MinuteTable]:
    """Return the minutes of faulty tags with and without their faults."""
    harness = trial.harness
    start_us = harness.start_us
    stop_us = start_us + round(trial.scene.overlay.script.duration_s) * SECOND_US
    return (
        _minutes(network or harness.network, trial.scene, rows, start_us, stop_us),
        _minutes(harness.network, scene_of(harness, "normal"), rows, start_us, stop_us),
    )


def _minutes(
    network: Network,
    scene: Scene,
    rows: Sequence[Truth],
    start_us: int,
    stop_us: int,
    scan_s: float = SCAN_S / 2,
) -> MinuteTable:
    """Return the minutes of the tags of some rows of the truth."""
    tags = np.array([network.index[row.tag] for row in rows])
    return minutes_of(
        network, partial(readings, scene), start_us, stop_us, scan_s=scan_s, tags=tags
    )


TRIALS: dict[str, Callable[[Trial], Iterator[TrialFigure]]] = {
    trial.__name__.replace("_", "-"): trial
    for trial in (
        *(
            alarm_flood,
            ce_decay,
            cems_fault,
            chlorine_user_trip,
            counter_reset,
            gateway_outage,
            leak,
        ),
        *(
            load_ramp,
            membrane_ageing,
            meter_bias,
            normal,
            silent_gateway,
            unit_error,
            worn_instruments,
        ),
    )
}


def run_trial(harness: Harness, memory: MonitorState, name: str) -> list[TrialFigure]:
    """Return the figures of a scenario; raises ModelError if it does not fit the park."""
    return list(TRIALS[name](Trial(harness, scene_of(harness, name), memory)))
