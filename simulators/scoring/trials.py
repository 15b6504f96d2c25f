"""Trials of the scenarios: the results of the twin for each, against the truth."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simulators.gateways.delivery import FOREVER_US, Outbox, clock_times
from simulators.gateways.gateways import make_gateways
from simulators.instruments.faults import readings
from simulators.scenarios.script import Event
from simulators.scenarios.truth import truths
from simulators.scoring.harness import SCAN_S, biased, run_monitor, scene_of
from simulators.scoring.pipeline import in_si, minutes_of, samples_of
from twin import quality as q
from twin.accounts.network import compile_network
from twin.alarms.engine import UNACKNOWLEDGED, evaluate
from twin.alarms.engine import initial_alarm_state as no_alarms
from twin.alarms.metrics import advance_flood, no_flood
from twin.alarms.rules import compile_rules, park_alarms
from twin.arrays import DAY_S, F64, HOUR_S, I64, MINUTE_S, MINUTE_US, NEVER
from twin.chlorine.figures import cathode_efficiency
from twin.chlorine.tank_farms import find_tank_farms, forecast
from twin.energy.circuits import MAIN
from twin.energy.electrolysis import ageing
from twin.errors import ModelError
from twin.model.park import inside
from twin.reconciliation.detection import begin_monitor, detect, detectable_bias
from twin.reconciliation.uncertainty import half_width, sum_sigma
from twin.series.samples import concatenate, sort
from twin.validation.rules import CheckSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from simulators.instruments.faults import Scene
    from simulators.scenarios.truth import Truth
    from simulators.scoring.harness import Harness
    from simulators.scoring.pipeline import MinuteTable
    from twin.accounts.network import Network
    from twin.model.park import Electrolyser, Park
    from twin.reconciliation.detection import MonitorState
    from twin.series.samples import Sorted

# A forecast announces events of this shift.
AHEAD_S = 8 * HOUR_S
# A forecast is announced after it has held for some minutes.
STEADY_MINUTES = 5
NAN = float("nan")
HOUR_MINUTES = 60
REASON = np.uint8(q.SIMULATED - 1)
# Relative rounding error of a sum in another order.
EXACT = 1e-9
Figures = list[tuple[str, float, str, str, bool]]  # of one scenario, without its name


# The bias that is tried at every meter, from one minute to the next.
BIAS = Event("bias", "bias", "", "", 0.0, 2 * HOUR_S, size=0.04, relative=True, ramp_s=MINUTE_S)


class TrialFigure(NamedTuple):
    """One figure of a trial and its goal."""

    scenario: str
    figure: str
    value: float  # NaN = never
    uom: str
    goal: str
    met: bool


class BiasTrial(NamedTuple):
    """A bias of the meter of one stream, and its detection."""

    stream: str
    least: float  # [1] least detectable bias within the longest window
    delay_s: float  # NaN = no detection within the trial
    detected: bool  # the stream is among the suspects of the first detection
    suspects: int


def normal(harness: Harness) -> list[TrialFigure]:
    """Return detections, flags and alarms in a day without an event."""
    scene = scene_of(harness, "normal")
    days = scene.overlay.script.duration_s / DAY_S
    stop_us = harness.start_us + round(days * DAY_S) * 1_000_000
    table = minutes_of(
        harness.network, partial(readings, scene), harness.start_us, stop_us, scan_s=2 * SCAN_S
    )
    memory = begin_monitor(harness.monitor, harness.start_us)
    _, detections = detect(harness.monitor, memory, table.amount, table.covered_s, table.last)
    flags = [key for key in table.flags if key[1] != q.OUT_OF_RANGE]
    came_us = _alarms(harness, scene, stop_us, 2 * SCAN_S)
    return [
        TrialFigure(
            "normal", "meters detected", len(detections) / days, "1/d", "0", not detections
        ),
        TrialFigure("normal", "tags flagged", len(flags) / days, "1/d", "0", not flags),
        TrialFigure("normal", "alarms raised", len(came_us) / days, "1/d", "0", not len(came_us)),
    ]


def _alarms(harness: Harness, scene: Scene, stop_us: int, scan_s: float) -> I64:
    """Return the times at which alarms are raised from the start on, (n,) int64 [µs]."""
    tags = harness.network.tags
    rules = compile_rules(park_alarms(harness.park, tags[: len(harness.park.tags)]), tags)
    times = np.arange(harness.start_us, stop_us, round(scan_s * 1e6))
    values = readings(scene, times)
    values[:, np.setdiff1d(np.arange(values.shape[1]), rules.tag)] = np.nan
    samples = sort(samples_of(harness.network, times, values)).samples
    known_us = np.full(len(tags), NEVER)
    _, changes = evaluate(rules, no_alarms(len(rules.tag)), samples, known_us, stop_us)
    return np.asarray(changes.time_us[changes.after == UNACKNOWLEDGED])


def user_trip(harness: Harness, memory: MonitorState) -> list[TrialFigure]:
    """Compare the forecast of full tanks with the truth; a trip must cause no detection."""
    name = "chlorine-user-trip"
    scene = scene_of(harness, name)
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
    _, detections = run_monitor(harness, scene, memory, 3 * 60)
    return [
        TrialFigure(name, "announced before full", before, "min", ">= 10", bool(before >= 10)),
        TrialFigure(name, "time to full, when announced", error[at] * 100, "%", "+-5",
            bool(abs(error[at]) <= 0.05)),
        TrialFigure(name, "time to full, worst until then", worst * 100, "%", "+-5", worst <= 0.05),
        TrialFigure(name, "meters detected", len(detections), "1", "0", not detections),
    ]  # fmt: skip


def bias_of_every_stream(
    harness: Harness,
    memory: MonitorState,
    *,
    minutes: int,
    bias: Event = BIAS,
    streams: Iterable[str] = (),
) -> list[BiasTrial]:
    """Return the detection of a bias of each chlorine meter, one after the other.

    The bias begins at the time of `memory`; without `streams` all lines with one meter are tried.
    """
    rows = []
    least = detectable_bias(harness.monitor, memory)
    wanted = set(streams) or {line.id for line in harness.monitor.balance.lines}
    for s, line in enumerate(harness.monitor.balance.lines):
        if len(line.tags) != 1 or line.id not in wanted:
            continue
        tag = harness.network.tags[line.tags[0][0]]
        scene = biased(harness, bias, tag, memory.time_us)
        _, detections = run_monitor(harness, scene, memory, minutes)
        first = detections[0] if detections else None
        rows.append(
            BiasTrial(
                line.id,
                float(least[s]),
                (first.time_us - memory.time_us) / 1e6 if first else NAN,
                first is not None and line.id in first.lines,
                len(first.lines) if first else 0,
            )
        )
    return rows


def meter_bias(harness: Harness, memory: MonitorState) -> list[TrialFigure]:
    """Return the detection of the bias in the scenario."""
    scene = scene_of(harness, "meter-bias")
    (bias,), (truth,) = scene.overlay.script.events, truths(scene.overlay)
    (trial,) = bias_of_every_stream(harness, memory, minutes=15, bias=bias, streams=[truth.stream])
    delay = trial.delay_s / MINUTE_S if trial.detected else NAN
    return [
        TrialFigure("meter-bias", "detected after", delay, "min", "<= 15", delay <= 15),
        TrialFigure("meter-bias", "suspects detected", trial.suspects, "1", "", trial.suspects > 0),
    ]


def leak(harness: Harness, memory: MonitorState) -> list[TrialFigure]:
    """Return the detection of the leak in the scenario."""
    scene = scene_of(harness, "leak")
    truth = truths(scene.overlay)[0]
    minutes = round((truth.start_us - memory.time_us) / MINUTE_US) + 30
    _, detections = run_monitor(harness, scene, memory, minutes)
    right = [n for n in detections if n.time_us > truth.start_us and truth.scope in n.leaks]
    delay = (right[0].time_us - truth.start_us) / MINUTE_US if right else NAN
    wrong = len(detections) - len(right)
    return [
        TrialFigure("leak", "node detected after", delay, "min", "<= 15", delay <= 15),
        TrialFigure("leak", "detected wrongly", wrong, "1", "0", wrong == 0),
    ]


def alarm_flood(harness: Harness) -> list[TrialFigure]:
    """Return the detection of the flood and the number of its alarms."""
    scene = scene_of(harness, "alarm-flood")
    (truth,) = truths(scene.overlay)
    stop_us = truth.stop_us + 10 * MINUTE_US
    came_us = _alarms(harness, scene, stop_us, SCAN_S / 2)
    flood, ended = advance_flood(no_flood(), came_us, stop_us)
    starts = [start for start, _ in ended.tolist()]
    starts += [flood.since_us] if flood.since_us != NEVER else []
    delay = (starts[0] - truth.start_us) / 1e6 if starts else NAN
    before = int((came_us < truth.start_us).sum())
    right = len(starts) == 1 and delay >= 0
    return [
        TrialFigure(
            "alarm-flood", "flood seen after", delay, "s", "<= 600", right and delay <= 600
        ),
        TrialFigure(
            "alarm-flood", "alarms in it", len(came_us) - before, "1", "> 10", len(came_us) > 10
        ),
        TrialFigure("alarm-flood", "alarms before", before, "1", "0", before == 0),
    ]


def gateway_outage(harness: Harness) -> list[TrialFigure]:
    """Return lost and repeated samples after an outage in which the gateway buffers.

    Samples arrive out of order, some twice, and with a clock that is late.
    """
    name = "gateway-outage"
    arrived, times, breaks = _arrived(harness, scene_of(harness, name))
    lost = len(times) * len(harness.park.tags) - len(arrived.samples)
    counts = [
        ("samples lost", lost, "0", lost == 0),
        ("samples kept twice", max(-lost, 0), "0", lost >= 0),
        ("doubles dropped", arrived.duplicates, "> 0", arrived.duplicates > 0),
        ("connections broken", breaks, "> 1", breaks > 1),
    ]
    return [TrialFigure(name, figure, x, "1", goal, met) for figure, x, goal, met in counts]


def silent_gateway(harness: Harness) -> list[TrialFigure]:
    """Return lost samples and gaps of a dead gateway, and of the others."""
    name = "silent-gateway"
    scene = scene_of(harness, name)
    (dead,) = truths(scene.overlay)
    arrived, times, _ = _arrived(harness, scene)
    silent = np.array([inside(tag.scope, dead.scope) for tag in harness.park.tags])
    unsent = (times >= dead.start_us) & (times < dead.stop_us)
    lost = len(times) * len(silent) - len(arrived.samples)
    read = int(unsent.sum() * silent.sum())
    longest_us = np.zeros(len(silent))
    pause_us = np.diff(arrived.samples.time_us)
    same = np.diff(arrived.samples.tag) == 0
    np.maximum.at(longest_us, arrived.samples.tag[1:][same], pause_us[same])
    holes = longest_us > np.array([tag.gap_s for tag in harness.park.tags]) * 1e6
    missed, others = int((holes & silent).sum()), int((holes & ~silent).sum())
    counts = [
        ("samples lost", lost, f"the {read} it read", lost == read),
        ("its tags with a hole", missed, f"{silent.sum()}", missed == silent.sum()),
        ("other tags with a hole", others, "0", others == 0),
    ]
    return [TrialFigure(name, figure, x, "1", goal, met) for figure, x, goal, met in counts]


def _arrived(harness: Harness, scene: Scene) -> tuple[Sorted, I64, int]:
    """Return the samples that arrive in the end, the times of all scans, and lost connections."""
    script = scene.overlay.script
    gateways = make_gateways(harness.park, script.gateways, script.at("gateway"))
    step_us = round(SCAN_S / 2 * 1e6)
    stop_us = harness.start_us + round(script.duration_s) * 1_000_000
    times = np.arange(harness.start_us, stop_us, step_us)
    scans = readings(scene, times)
    parts, breaks = [], 0
    for gateway in gateways:
        outbox = Outbox(gateway, harness.sensors.seed, harness.start_us)
        outbox.scan(times, step_us)
        outbox.close()
        for sending in outbox.take(FOREVER_US - 1):
            breaks += not sending.scans
            at = (sending.times_us - harness.start_us) // step_us
            values = np.full((len(at), len(harness.park.tags)), np.nan)
            values[:, gateway.columns] = scans[at][:, gateway.columns]
            clock_us = clock_times(gateway, harness.start_us, sending.times_us)
            parts.append(samples_of(harness.network, clock_us, values))
    return sort(concatenate(*parts)), times, breaks


def membrane_ageing(harness: Harness) -> list[TrialFigure]:
    """Return circuit, voltage and efficiency of ageing membranes by months of hourly values.

    The aged circuit is the one of the efficiency event of the scenario, the others are in the
    scope of its second voltage event.
    """
    scene = scene_of(harness, "membrane-ageing")
    rows = truths(scene.overlay)
    (lost,) = (row for row in rows if row.kind == "efficiency")
    one, others = sorted((row for row in rows if row.kind == "voltage"),
                         key=lambda row: row.scope != lost.scope)  # fmt: skip
    cells = [e for e in harness.park.electrolysers if inside(e.scope, others.scope)]
    tags = harness.network.index
    times = np.arange(one.start_us, one.stop_us, 3 * round(HOUR_S * 1e6))
    value = in_si(harness.park, readings(scene, times))
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
    made = value[:, tags[_product_tag(harness.park, cells)]]
    lost_pct = 100 * _efficiency_lost(made, (current * count).sum(axis=1))
    true_pct = (lost.size or 0.0) / len(cells)
    name = "membrane-ageing"
    return [
        TrialFigure(name, "the circuit found", float(right), "1", "1", right),
        TrialFigure(name, "voltage it has gained", grown * 1e3, "mV", f"{true:.0f}+-5",
                    abs(grown * 1e3 - true) <= 5),
        TrialFigure(name, "efficiency the plant has lost", lost_pct, "%", f"{true_pct:.2f}+-0.1",
                    abs(lost_pct - true_pct) <= 0.1),
    ]  # fmt: skip


def _product_tag(park: Park, cells: Sequence[Electrolyser]) -> str:
    """Return the tag of the product of some electrolysers; raises ModelError without one."""
    for product in park.products:
        if all(MAIN[e.kind] == product.id and inside(e.scope, product.scope) for e in cells):
            return product.tag
    raise ModelError(
        "no product is weighed over the electrolysers of the scenario",
        hint="add a [[product]] over them, or choose others in its voltage event",
    )


def _efficiency_lost(caustic: F64, current: F64) -> float:
    """Return the fall of the current efficiency [1] of a plant over some times.

    `caustic` (n,) is [kg/s], `current` (n,) [A] the sum over all cells.
    """
    efficiency = cathode_efficiency(caustic, current, np.ones(len(caustic)))
    line = ageing(np.linspace(0.0, 1.0, len(efficiency)), efficiency)
    return float(-line.slope)


def flagged(
    harness: Harness, name: str, reason: dict[str, int], limit_s: float
) -> list[TrialFigure]:
    """Return the delay of the flag of faulty instruments, with the reason code of each kind [s]."""
    scene = scene_of(harness, name)
    tags = harness.network.index
    rows = [row for row in truths(scene.overlay) if row.kind in reason]
    minutes = (max(row.start_us for row in rows) - harness.start_us) // MINUTE_US
    stop_us = harness.start_us + (minutes + round(2 * limit_s / MINUTE_S)) * MINUTE_US
    table = _minutes(harness.network, scene, rows, harness.start_us, stop_us)
    figures = []
    for row in rows:
        at_us = table.flags.get((tags[row.tag], reason[row.kind]))
        early = at_us is not None and at_us < row.start_us
        delay = NAN if at_us is None else (at_us - row.start_us) / 1e6
        met = not early and delay <= limit_s
        figure = f"{row.tag} flagged after"
        figures.append(TrialFigure(name, figure, delay, "s", f"<= {limit_s:.0f}", met))
    return figures


def cems_fault(harness: Harness) -> list[TrialFigure]:
    """Return the delays of flags and gaps of analysers that stick or are silent [s]."""
    name = "cems-fault"
    return [*flagged(harness, name, {"stuck": q.STUCK}, 35 * MINUTE_S), *silent(harness, name)]


def silent(harness: Harness, name: str) -> list[TrialFigure]:
    """Return the delay of the first gap of instruments that send nothing [s]."""
    scene = scene_of(harness, name)
    figures = []
    for row in [row for row in truths(scene.overlay) if row.kind == "dropout"]:
        t = harness.network.index[row.tag]
        around = row.start_us - 30 * MINUTE_US, row.start_us + 30 * MINUTE_US
        table = _minutes(harness.network, scene, [row], *around, scan_s=SCAN_S)
        holes = np.flatnonzero(table.covered_s[:, t] < MINUTE_S)
        at_us = table.edge_us[holes[0]] + table.covered_s[holes[0], t] * 1e6 if len(holes) else NAN
        delay, gap = (at_us - row.start_us) / 1e6, harness.park.tags[t].gap_s
        met = 0 <= delay <= gap + SCAN_S
        figures.append(
            TrialFigure(name, f"{row.tag} a hole after", delay, "s", f"gap {gap:.0f}", bool(met))
        )
    return figures


def counter_reset(harness: Harness) -> list[TrialFigure]:
    """Return the flags of resets and rollovers of counters, and the errors of the counts."""
    name = "counter-reset"
    scene = scene_of(harness, name)
    rows = truths(scene.overlay)
    faulty, faultless = _with_and_without(harness, scene, rows, _knowing_registers(harness, scene))
    blind, _ = _with_and_without(harness, scene, rows)
    scan = SCAN_S / scene.overlay.script.duration_s
    figures: Figures = []
    for row in rows:
        t = harness.network.index[row.tag]
        error, lost = (_counted_wrongly(table, faultless, t) for table in (faulty, blind))
        marked, turns = (
            table.edge_us[:-1][(table.quality[:, t] & REASON) > 0] for table in (faulty, blind)
        )
        wrongly = f"{row.tag} counted wrongly"
        if row.kind == "rollover":
            figures += [
                (f"{row.tag} taken for resets", len(marked), "1", "0", not len(marked)),
                (wrongly, error * 100, "%", "0", abs(error) < EXACT),
                (f"{wrongly}, register unknown", lost * 100, "%", "one scan a turn",
                 0 < abs(lost) <= len(turns) * scan),
            ]  # fmt: skip
            continue
        right = marked[:1].tolist() == [(row.start_us - 1) // MINUTE_US * MINUTE_US]
        delay = (marked[0] + MINUTE_US - row.start_us) / 1e6 if right else NAN
        figures += [
            (f"{row.tag} seen after", delay, "s", "<= 60", right),
            (wrongly, error * 100, "%", "one scan", abs(error) <= scan),
        ]
    return [TrialFigure(name, *line) for line in figures]


def worn_instruments(harness: Harness, memory: MonitorState) -> list[TrialFigure]:
    """Return changes of hourly means by worn instruments, flags and detections."""
    name = "worn-instruments"
    scene = scene_of(harness, name)
    rows = truths(scene.overlay)
    tables = _with_and_without(harness, scene, rows)
    figures: Figures = []
    for row in rows:
        if row.kind == "spike":
            figures += _spikes(harness, row, *tables)
        elif row.kind != "drift":
            figures += _hours(harness, row, *tables)
    figures += _detections(harness, scene, rows, memory)
    return [TrialFigure(name, *line) for line in figures]


def _spikes(harness: Harness, row: Truth, faulty: MinuteTable, faultless: MinuteTable) -> Figures:
    """Return the flags of spikes, and their effect: flagged samples count in the minutes."""
    t = harness.network.index[row.tag]
    hit = faulty.amount[:, t] != faultless.amount[:, t]
    marked = (faulty.quality[:, t] & REASON) == q.RATE_OF_CHANGE
    share, wrong = (hit & marked).sum() / hit.sum(), int((marked & ~hit).sum())
    moved = np.abs(_moved(harness, row, faulty, faultless)[0]).max()
    return [
        (f"{row.tag} spikes flagged", share * 100, "%", "100", share == 1),
        (f"{row.tag} minutes flagged beside", wrong, "1", "0", wrong == 0),
        (f"{row.tag} hour moved by them", moved * 100, "%", "", True),
    ]


def _detections(
    harness: Harness, scene: Scene, rows: Sequence[Truth], memory: MonitorState
) -> Figures:
    """Return the delay of the detection of the drift, and the number of other detections."""
    (drift,) = (row for row in rows if row.kind == "drift")
    (level,) = (row for row in rows if row.kind == "quantised" and _lines(harness, row))
    _, detections = run_monitor(
        harness, scene, memory, (drift.stop_us - memory.time_us) // MINUTE_US
    )
    right = [
        n for n in detections if n.time_us > drift.start_us and _lines(harness, drift) & {*n.lines}
    ]
    coarse = [n for n in detections if n not in right and _lines(harness, level) & {*n.lines}]
    delay = (right[0].time_us - drift.start_us) / MINUTE_US if right else NAN
    # The detection must come before half of the drift, after a quarter of its effect.
    half = (drift.stop_us - drift.start_us) / MINUTE_US / 2
    wrong = len(detections) - len(right) - len(coarse)
    return [
        (f"{drift.tag} detected after", delay, "min", f"<= {half:.0f}", delay <= half),
        (f"{level.tag} detected", len(coarse), "1", "", True),
        ("detected wrongly", wrong, "1", "0", wrong == 0),
    ]


def _lines(harness: Harness, row: Truth) -> set[str]:
    """Return the lines of the monitored balance that use a faulty tag."""
    t, tank_tag = harness.network.index[row.tag], harness.network.tanks.tag
    return {
        line.id
        for line in harness.monitor.balance.lines
        if any(t == tag for tag, _ in line.tags) or any(t == tank_tag[k] for k in line.tanks)
    }


def _hours(harness: Harness, row: Truth, faulty: MinuteTable, faultless: MinuteTable) -> Figures:
    """Return the changes of hourly means by a fault, and their completeness or stuck share."""
    t = harness.network.index[row.tag]
    moved, width = _moved(harness, row, faulty, faultless)
    worst = int(np.argmax(np.abs(moved) / width))
    goal = f"+-{width[worst] * 100:.2g}"
    met = bool((np.abs(moved) <= width).all())
    since = slice((row.start_us - faulty.start_us) // MINUTE_US, None)
    stuck = ((faulty.quality[since, t] & REASON) == q.STUCK).mean()
    covered = faulty.covered_s[since, t].mean() / MINUTE_S
    figures: Figures = [(f"{row.tag} hour moved", moved[worst] * 100, "%", goal, met)]
    if row.kind == "dropout":
        figures.append((f"{row.tag} complete", covered * 100, "%", "", True))
    elif any(c.stuck_s < np.inf for c in harness.park.rows(CheckSpec) if c.tag == row.tag):
        figures.append((f"{row.tag} taken for stuck", stuck * 100, "%", "", True))
    return figures


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


def _counted_wrongly(faulty: MinuteTable, faultless: MinuteTable, t: int) -> float:
    """Return the relative error of the count of a counter [1]."""
    return float(np.nansum(faulty.amount[:, t]) / np.nansum(faultless.amount[:, t]) - 1)


def _knowing_registers(harness: Harness, scene: Scene) -> Network:
    """Return the network of a model with the range of the counters that roll over."""
    sizes = {e.tag: e.size for e in scene.overlay.script.events if e.kind == "rollover"}
    park = harness.park
    tags = [replace(tag, high=sizes.get(tag.address, tag.high)) for tag in park.tags]
    return compile_network(replace(park, tags=tuple(tags)))


def _with_and_without(
    harness: Harness, scene: Scene, rows: Sequence[Truth], network: Network | None = None
) -> tuple[MinuteTable, MinuteTable]:
    """Return the minutes of faulty tags with and without their faults."""
    stop_us = harness.start_us + round(scene.overlay.script.duration_s) * 1_000_000
    faultless = scene_of(harness, "normal")
    return (
        _minutes(network or harness.network, scene, rows, harness.start_us, stop_us),
        _minutes(harness.network, faultless, rows, harness.start_us, stop_us),
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


def all_trials(
    harness: Harness, memory: MonitorState
) -> dict[str, Callable[[], list[TrialFigure]]]:
    """Return the trial of each scenario by its name, as a function without arguments."""
    return {
        "alarm-flood": partial(alarm_flood, harness),
        "cems-fault": partial(cems_fault, harness),
        "chlorine-user-trip": partial(user_trip, harness, memory),
        "counter-reset": partial(counter_reset, harness),
        "gateway-outage": partial(gateway_outage, harness),
        "leak": partial(leak, harness, memory),
        "membrane-ageing": partial(membrane_ageing, harness),
        "meter-bias": partial(meter_bias, harness, memory),
        "normal": partial(normal, harness),
        "silent-gateway": partial(silent_gateway, harness),
        "unit-error": partial(flagged, harness, "unit-error", {"unit": q.UNIT_ERROR}, 60.0),
        "worn-instruments": partial(worn_instruments, harness, memory),
    }
