"""Trials of the scenarios: what the twin says of each, against what truly happened."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simulators.gateways.delivery import FOREVER_US, Outbox, written
from simulators.gateways.gateways import make_gateways
from simulators.instruments.faults import show
from simulators.scenarios.script import Event
from simulators.scenarios.truth import truths
from simulators.scoring.harness import SCAN_S, biased, scene_of, watch_on
from simulators.scoring.pipeline import in_si, minutes_of, samples_of
from twin import quality as q
from twin.accounts.network import compile_network
from twin.alarms.engine import UNACKNOWLEDGED, evaluate
from twin.alarms.engine import no_memory as no_alarms
from twin.alarms.metrics import advance, no_flood
from twin.alarms.rules import compile_rules, park_alarms
from twin.arrays import DAY_S, F64, HOUR_S, I64, MINUTE_S, MINUTE_US, NEVER
from twin.chlorine.figures import cathode_efficiency
from twin.chlorine.tank_farms import find_farms, foresee
from twin.energy.circuits import MAIN
from twin.energy.electrolysis import ageing
from twin.errors import ModelError
from twin.model.park import inside
from twin.reconciliation.monitor import advance as advance_watch
from twin.reconciliation.monitor import no_memory as no_watch
from twin.reconciliation.monitor import noticeable
from twin.reconciliation.uncertainty import half_width, sum_sigma
from twin.series.samples import concatenate, sort

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from simulators.instruments.faults import Scene
    from simulators.scenarios.truth import Truth
    from simulators.scoring.harness import Stage
    from simulators.scoring.pipeline import Table
    from twin.accounts.network import Network
    from twin.model.park import Electrolyser, Park
    from twin.reconciliation.monitor import Memory
    from twin.series.samples import Sorted

# What is announced is what happens in this shift, if nobody does anything.
AHEAD_S = 8 * HOUR_S
# What is announced has been so for some minutes.
STEADY_MINUTES = 5
NAN = float("nan")
HOUR_MINUTES = 60
REASON = np.uint8(q.SIMULATED - 1)
# What adding up in another order may change, as a share.
EXACT = 1e-9
Found = list[tuple[str, float, str, str, bool]]  # rows of one scenario


# Any meter may show so much more from one minute to the next.
BIAS = Event("bias", "bias", "", "", 0.0, 2 * HOUR_S, size=0.04, relative=True, ramp_s=MINUTE_S)


class Row(NamedTuple):
    """One line of the score."""

    scenario: str
    figure: str
    found: float  # NaN = it was not found
    uom: str
    goal: str
    met: bool


class Noticed(NamedTuple):
    """A bias of one stream, and how it was noticed."""

    stream: str
    least: float  # [1] least bias that is noticed within the longest window
    delay_s: float  # NaN = not within the trial
    named: bool  # whether the stream is among the suspects that were named first
    suspects: int


def normal(stage: Stage) -> list[Row]:
    """Count what is said in a day in which nothing happens."""
    scene = scene_of(stage, "normal")
    days = scene.overlay.script.duration_s / DAY_S
    stop_us = stage.start_us + round(days * DAY_S) * 1_000_000
    table = minutes_of(
        stage.network, partial(show, scene), stage.start_us, stop_us, scan_s=2 * SCAN_S
    )
    memory = no_watch(stage.watch, stage.start_us)
    _, named = advance_watch(stage.watch, memory, table.amount, table.covered_s, table.last)
    doubts = [key for key in table.doubts if key[1] != q.OUT_OF_RANGE]
    came_us = _alarms(stage, scene, stop_us, 2 * SCAN_S)
    return [
        Row("normal", "meters named", len(named) / days, "1/d", "0", not named),
        Row("normal", "tags doubted", len(doubts) / days, "1/d", "0", not doubts),
        Row("normal", "alarms raised", len(came_us) / days, "1/d", "0", not len(came_us)),
    ]


def _alarms(stage: Stage, scene: Scene, stop_us: int, scan_s: float) -> I64:
    """Return when alarms are raised from the start on, (n,) [µs]."""
    tags = stage.network.tags
    rules = compile_rules(park_alarms(stage.park, tags[: len(stage.park.tags)]), tags)
    times = np.arange(stage.start_us, stop_us, round(scan_s * 1e6))
    shown = show(scene, times)
    shown[:, np.setdiff1d(np.arange(shown.shape[1]), rules.tag)] = np.nan
    samples = sort(samples_of(stage.network, times, shown)).samples
    known_us = np.full(len(tags), NEVER)
    _, changes = evaluate(rules, no_alarms(len(rules.tag)), samples, known_us, stop_us)
    return np.asarray(changes.time_us[changes.after == UNACKNOWLEDGED])


def user_trip(stage: Stage, memory: Memory) -> list[Row]:
    """Compare when the tanks are said to be full with when they are; a trip accuses no meter."""
    name = "chlorine-user-trip"
    scene = scene_of(stage, name)
    rows = truths(scene.overlay)
    trip = next(row for row in rows if row.kind == "load")
    full = next(row for row in rows if row.kind == "full" and row.start_us > trip.start_us)
    times = np.arange(trip.start_us, full.start_us, MINUTE_US)
    value = np.full((len(times), len(stage.network.tags)), np.nan)
    value[:, : len(stage.park.tags)] = in_si(stage.park, show(scene, times))
    farms = find_farms(stage.network, full.scope)
    ahead_s = np.array([foresee(stage.network, farms, row).full_s for row in value])
    steady = np.convolve(ahead_s < AHEAD_S, np.ones(STEADY_MINUTES), "valid") == STEADY_MINUTES
    at = int(np.argmax(steady)) + STEADY_MINUTES - 1 if steady.any() else len(times) - 1
    left_s = (full.start_us - times) / 1e6
    # Errors are shares of the time that was left when it was announced.
    error = (ahead_s - left_s) / left_s[at]
    said = np.abs(error[at:][left_s[at:] >= 10 * MINUTE_S])
    worst = float(said.max()) if steady.any() and len(said) else NAN
    before = left_s[at] / MINUTE_S if steady.any() else NAN
    _, named = watch_on(stage, scene, memory, 3 * 60)
    return [
        Row(name, "announced before full", before, "min", ">= 10", bool(before >= 10)),
        Row(name, "time to full, when announced", error[at] * 100, "%", "+-5",
            bool(abs(error[at]) <= 0.05)),
        Row(name, "time to full, worst until then", worst * 100, "%", "+-5", worst <= 0.05),
        Row(name, "meters named", len(named), "1", "0", not named),
    ]  # fmt: skip


def bias_of_every_stream(
    stage: Stage, memory: Memory, *, minutes: int, bias: Event = BIAS, streams: Iterable[str] = ()
) -> list[Noticed]:
    """Return how a bias of each chlorine meter, one after the other, is noticed.

    The bias begins where the monitor has got to; without `streams` all lines with one meter are
    tried.
    """
    rows = []
    least = noticeable(stage.watch, memory)
    wanted = set(streams) or {line.id for line in stage.watch.balance.lines}
    for s, line in enumerate(stage.watch.balance.lines):
        if len(line.tags) != 1 or line.id not in wanted:
            continue
        tag = stage.network.tags[line.tags[0][0]]
        scene = biased(stage, bias, tag, memory.time_us)
        _, named = watch_on(stage, scene, memory, minutes)
        first = named[0] if named else None
        rows.append(
            Noticed(
                line.id,
                float(least[s]),
                (first.time_us - memory.time_us) / 1e6 if first else NAN,
                first is not None and line.id in first.lines,
                len(first.lines) if first else 0,
            )
        )
    return rows


def meter_bias(stage: Stage, memory: Memory) -> list[Row]:
    """Try the bias of the script."""
    scene = scene_of(stage, "meter-bias")
    (bias,), (truth,) = scene.overlay.script.events, truths(scene.overlay)
    (found,) = bias_of_every_stream(stage, memory, minutes=15, bias=bias, streams=[truth.stream])
    delay = found.delay_s / MINUTE_S if found.named else NAN
    return [
        Row("meter-bias", "named after", delay, "min", "<= 15", delay <= 15),
        Row("meter-bias", "suspects named", found.suspects, "1", "", found.suspects > 0),
    ]


def leak(stage: Stage, memory: Memory) -> list[Row]:
    """Look for the leak."""
    scene = scene_of(stage, "leak")
    truth = truths(scene.overlay)[0]
    minutes = round((truth.start_us - memory.time_us) / MINUTE_US) + 30
    _, named = watch_on(stage, scene, memory, minutes)
    right = [n for n in named if n.time_us > truth.start_us and truth.scope in n.leaks]
    delay = (right[0].time_us - truth.start_us) / MINUTE_US if right else NAN
    wrong = len(named) - len(right)
    return [
        Row("leak", "place named after", delay, "min", "<= 15", delay <= 15),
        Row("leak", "named wrongly", wrong, "1", "0", wrong == 0),
    ]


def alarm_flood(stage: Stage) -> list[Row]:
    """Return whether the flood is seen, and how many alarms it has."""
    scene = scene_of(stage, "alarm-flood")
    (truth,) = truths(scene.overlay)
    stop_us = truth.stop_us + 10 * MINUTE_US
    came_us = _alarms(stage, scene, stop_us, SCAN_S / 2)
    flood, ended = advance(no_flood(), came_us, stop_us)
    starts = [start for start, _ in ended.tolist()]
    starts += [flood.since_us] if flood.since_us != NEVER else []
    delay = (starts[0] - truth.start_us) / 1e6 if starts else NAN
    before = int((came_us < truth.start_us).sum())
    right = len(starts) == 1 and delay >= 0
    return [
        Row("alarm-flood", "flood seen after", delay, "s", "<= 600", right and delay <= 600),
        Row("alarm-flood", "alarms in it", len(came_us) - before, "1", "> 10", len(came_us) > 10),
        Row("alarm-flood", "alarms before", before, "1", "0", before == 0),
    ]


def gateway_outage(stage: Stage) -> list[Row]:
    """Return what is lost and what comes twice when a gateway keeps and sends again.

    It is all that comes in the end: out of order, some of it twice, by a clock that is late.
    """
    name = "gateway-outage"
    found, times, breaks = _arrived(stage, scene_of(stage, name))
    lost = len(times) * len(stage.park.tags) - len(found.samples)
    said = [
        ("samples lost", lost, "0", lost == 0),
        ("samples kept twice", max(-lost, 0), "0", lost >= 0),
        ("doubles dropped", found.duplicates, "> 0", found.duplicates > 0),
        ("connections broken", breaks, "> 1", breaks > 1),
    ]
    return [Row(name, figure, x, "1", goal, met) for figure, x, goal, met in said]


def silent_gateway(stage: Stage) -> list[Row]:
    """Return whether what a dead gateway did not send is missing, and nothing else."""
    name = "silent-gateway"
    scene = scene_of(stage, name)
    (dead,) = truths(scene.overlay)
    found, times, _ = _arrived(stage, scene)
    silent = np.array([inside(tag.scope, dead.scope) for tag in stage.park.tags])
    unsent = (times >= dead.start_us) & (times < dead.stop_us)
    lost = len(times) * len(silent) - len(found.samples)
    read = int(unsent.sum() * silent.sum())
    longest_us = np.zeros(len(silent))
    pause_us = np.diff(found.samples.time_us)
    same = np.diff(found.samples.tag) == 0
    np.maximum.at(longest_us, found.samples.tag[1:][same], pause_us[same])
    holes = longest_us > np.array([tag.gap_s for tag in stage.park.tags]) * 1e6
    missed, others = int((holes & silent).sum()), int((holes & ~silent).sum())
    said = [
        ("samples lost", lost, f"the {read} it read", lost == read),
        ("its tags with a hole", missed, f"{silent.sum()}", missed == silent.sum()),
        ("other tags with a hole", others, "0", others == 0),
    ]
    return [Row(name, figure, x, "1", goal, met) for figure, x, goal, met in said]


def _arrived(stage: Stage, scene: Scene) -> tuple[Sorted, I64, int]:
    """Return the samples that arrive in the end, the times of all scans, and broken connections."""
    script = scene.overlay.script
    gateways = make_gateways(stage.park, script.gateways, script.at("gateway"))
    step_us = round(SCAN_S / 2 * 1e6)
    stop_us = stage.start_us + round(script.duration_s) * 1_000_000
    times = np.arange(stage.start_us, stop_us, step_us)
    shown = show(scene, times)
    parts, breaks = [], 0
    for gateway in gateways:
        outbox = Outbox(gateway, stage.sensors.seed, stage.start_us)
        outbox.scan(times, step_us)
        outbox.close()
        for sending in outbox.take(FOREVER_US - 1):
            breaks += not sending.scans
            at = (sending.times_us - stage.start_us) // step_us
            values = np.full((len(at), len(stage.park.tags)), np.nan)
            values[:, gateway.columns] = shown[at][:, gateway.columns]
            clock_us = written(gateway, stage.start_us, sending.times_us)
            parts.append(samples_of(stage.network, clock_us, values))
    return sort(concatenate(*parts)), times, breaks


def membrane_ageing(stage: Stage) -> list[Row]:
    """Return what is found of the ageing of membranes in months of hourly means.

    The circuit is the one that loses efficiency in the scenario, the others those of the scope in
    which the voltage of all rises.
    """
    scene = scene_of(stage, "membrane-ageing")
    rows = truths(scene.overlay)
    (lost,) = (row for row in rows if row.kind == "efficiency")
    one, others = sorted((row for row in rows if row.kind == "voltage"),
                         key=lambda row: row.scope != lost.scope)  # fmt: skip
    cells = [e for e in stage.park.electrolysers if inside(e.scope, others.scope)]
    tags = stage.network.index
    times = np.arange(one.start_us, one.stop_us, 3 * round(HOUR_S * 1e6))
    value = in_si(stage.park, show(scene, times))
    current, volts = (
        value[:, [tags[name] for name in names]]
        for names in ([e.current for e in cells], [e.voltage for e in cells])
    )
    count = np.array([e.cells for e in cells])
    # The voltage at the mean current: what the load does to it is the slope of its line.
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
    made = value[:, tags[_product_tag(stage.park, cells)]]
    fallen = _efficiency_lost(made, (current * count).sum(axis=1))
    true_lost = (lost.size or 0.0) / len(cells)
    name = "membrane-ageing"
    return [
        Row(name, "the circuit found", float(right), "1", "1", right),
        Row(name, "voltage it has gained", grown * 1e3, "mV", f"{true:.0f}+-5",
            abs(grown * 1e3 - true) <= 5),
        Row(name, "efficiency the plant has lost", fallen * 100, "%", f"{true_lost:.2f}+-0.1",
            abs(fallen * 100 - true_lost) <= 0.1),
    ]  # fmt: skip


def _product_tag(park: Park, cells: Sequence[Electrolyser]) -> str:
    """Return the tag that weighs what some electrolysers make; raises ModelError."""
    for product in park.products:
        if all(MAIN[e.kind] == product.id and inside(e.scope, product.scope) for e in cells):
            return product.tag
    raise ModelError(
        "no product is weighed over the electrolysers of the scenario",
        hint="add a [[product]] over them, or choose others in its voltage event",
    )


def _efficiency_lost(caustic: F64, current: F64) -> float:
    """Return by how much the current efficiency of a plant has fallen over some times.

    `caustic` (n,) is [kg/s], `current` (n,) [A] the sum over all cells.
    """
    efficiency = cathode_efficiency(caustic, current, np.ones(len(caustic)))
    line = ageing(np.linspace(0.0, 1.0, len(efficiency)), efficiency)
    return float(-line.slope)


def doubted(stage: Stage, name: str, reason: dict[str, int], limit_s: float) -> list[Row]:
    """Return how soon faulty instruments are doubted, for the right reason by kind of fault."""
    scene = scene_of(stage, name)
    tags = stage.network.index
    rows = [row for row in truths(scene.overlay) if row.kind in reason]
    minutes = (max(row.start_us for row in rows) - stage.start_us) // MINUTE_US
    stop_us = stage.start_us + (minutes + round(2 * limit_s / MINUTE_S)) * MINUTE_US
    table = _minutes(stage.network, scene, rows, stage.start_us, stop_us)
    found = []
    for row in rows:
        at_us = table.doubts.get((tags[row.tag], reason[row.kind]))
        early = at_us is not None and at_us < row.start_us
        delay = NAN if at_us is None else (at_us - row.start_us) / 1e6
        met = not early and delay <= limit_s
        figure = f"{row.tag} doubted after"
        found.append(Row(name, figure, delay, "s", f"<= {limit_s:.0f}", met))
    return found


def cems_fault(stage: Stage) -> list[Row]:
    """Return how soon analysers are doubted that send the same value, or nothing."""
    name = "cems-fault"
    return [*doubted(stage, name, {"stuck": q.STUCK}, 35 * MINUTE_S), *silent(stage, name)]


def silent(stage: Stage, name: str) -> list[Row]:
    """Return how soon an instrument that says nothing is known to."""
    scene = scene_of(stage, name)
    found = []
    for row in [row for row in truths(scene.overlay) if row.kind == "dropout"]:
        t = stage.network.index[row.tag]
        around = row.start_us - 30 * MINUTE_US, row.start_us + 30 * MINUTE_US
        table = _minutes(stage.network, scene, [row], *around, scan_s=SCAN_S)
        holes = np.flatnonzero(table.covered_s[:, t] < MINUTE_S)
        at_us = table.edge_us[holes[0]] + table.covered_s[holes[0], t] * 1e6 if len(holes) else NAN
        delay, gap = (at_us - row.start_us) / 1e6, stage.park.tags[t].gap_s
        met = 0 <= delay <= gap + SCAN_S
        found.append(Row(name, f"{row.tag} a hole after", delay, "s", f"gap {gap:.0f}", bool(met)))
    return found


def counter_reset(stage: Stage) -> list[Row]:
    """Return whether resets are told from rollovers, and what is counted wrongly."""
    name = "counter-reset"
    scene = scene_of(stage, name)
    rows = truths(scene.overlay)
    shown, sound = _with_and_without(stage, scene, rows, _knowing_registers(stage, scene))
    blind, _ = _with_and_without(stage, scene, rows)
    scan = SCAN_S / scene.overlay.script.duration_s
    found: Found = []
    for row in rows:
        t = stage.network.index[row.tag]
        error, lost = (_counted_wrongly(table, sound, t) for table in (shown, blind))
        marked, turns = (
            table.edge_us[:-1][(table.quality[:, t] & REASON) > 0] for table in (shown, blind)
        )
        wrongly = f"{row.tag} counted wrongly"
        if row.kind == "rollover":
            found += [
                (f"{row.tag} taken for resets", len(marked), "1", "0", not len(marked)),
                (wrongly, error * 100, "%", "0", abs(error) < EXACT),
                (f"{wrongly}, register unknown", lost * 100, "%", "one scan a turn",
                 0 < abs(lost) <= len(turns) * scan),
            ]  # fmt: skip
            continue
        right = marked[:1].tolist() == [(row.start_us - 1) // MINUTE_US * MINUTE_US]
        delay = (marked[0] + MINUTE_US - row.start_us) / 1e6 if right else NAN
        found += [
            (f"{row.tag} seen after", delay, "s", "<= 60", right),
            (wrongly, error * 100, "%", "one scan", abs(error) <= scan),
        ]
    return [Row(name, *line) for line in found]


def worn_instruments(stage: Stage, memory: Memory) -> list[Row]:
    """Return what becomes of the hours of worn instruments, and whom the watch names."""
    name = "worn-instruments"
    scene = scene_of(stage, name)
    rows = truths(scene.overlay)
    tables = _with_and_without(stage, scene, rows)
    found: Found = []
    for row in rows:
        if row.kind == "spike":
            found += _spikes(stage, row, *tables)
        elif row.kind != "drift":
            found += _hours(stage, row, *tables)
    found += _named(stage, scene, rows, memory)
    return [Row(name, *line) for line in found]


def _spikes(stage: Stage, row: Truth, shown: Table, sound: Table) -> Found:
    """Return which spikes are doubted, and what they cost: what is doubted counts all the same."""
    t = stage.network.index[row.tag]
    hit = shown.amount[:, t] != sound.amount[:, t]
    doubt = (shown.quality[:, t] & REASON) == q.RATE_OF_CHANGE
    share, wrong = (hit & doubt).sum() / hit.sum(), int((doubt & ~hit).sum())
    moved = np.abs(_moved(stage, row, shown, sound)[0]).max()
    return [
        (f"{row.tag} spikes doubted", share * 100, "%", "100", share == 1),
        (f"{row.tag} minutes doubted beside", wrong, "1", "0", wrong == 0),
        (f"{row.tag} hour moved by them", moved * 100, "%", "", True),
    ]


def _named(stage: Stage, scene: Scene, rows: Sequence[Truth], memory: Memory) -> Found:
    """Return when the meter that drifts is named, how often the coarse level, and who else."""
    (drift,) = (row for row in rows if row.kind == "drift")
    (level,) = (row for row in rows if row.kind == "quantised" and _lines(stage, row))
    _, named = watch_on(stage, scene, memory, (drift.stop_us - memory.time_us) // MINUTE_US)
    right = [n for n in named if n.time_us > drift.start_us and _lines(stage, drift) & {*n.lines}]
    coarse = [n for n in named if n not in right and _lines(stage, level) & {*n.lines}]
    delay = (right[0].time_us - drift.start_us) / MINUTE_US if right else NAN
    # Until half of the time it has cost a quarter of what it would.
    half = (drift.stop_us - drift.start_us) / MINUTE_US / 2
    wrong = len(named) - len(right) - len(coarse)
    return [
        (f"{drift.tag} named after", delay, "min", f"<= {half:.0f}", delay <= half),
        (f"{level.tag} named", len(coarse), "1", "", True),
        ("named wrongly", wrong, "1", "0", wrong == 0),
    ]


def _lines(stage: Stage, row: Truth) -> set[str]:
    """Return the lines of the watched balance a faulty tag has a part in."""
    t, tank_tag = stage.network.index[row.tag], stage.network.tank_tag
    return {
        line.id
        for line in stage.watch.balance.lines
        if any(t == tag for tag, _ in line.tags) or any(t == tank_tag[k] for k in line.tanks)
    }


def _hours(stage: Stage, row: Truth, shown: Table, sound: Table) -> Found:
    """Return how far a fault moves the means of hours; how complete they are, or how doubtful."""
    t = stage.network.index[row.tag]
    moved, width = _moved(stage, row, shown, sound)
    worst = int(np.argmax(np.abs(moved) / width))
    goal = f"+-{width[worst] * 100:.2g}"
    met = bool((np.abs(moved) <= width).all())
    since = slice((row.start_us - shown.start_us) // MINUTE_US, None)
    stuck = ((shown.quality[since, t] & REASON) == q.STUCK).mean()
    covered = shown.covered_s[since, t].mean() / MINUTE_S
    found: Found = [(f"{row.tag} hour moved", moved[worst] * 100, "%", goal, met)]
    if row.kind == "dropout":
        found.append((f"{row.tag} complete", covered * 100, "%", "", True))
    elif any("stuck" in c for c in stage.park.tables["check"] if c["tag"] == row.tag):
        found.append((f"{row.tag} taken for stuck", stuck * 100, "%", "", True))
    return found


def _moved(stage: Stage, row: Truth, shown: Table, sound: Table) -> tuple[F64, F64]:
    """Return by how much a fault moves the mean of each hour of a tag, and half the interval, (h,).

    Both are shares of the mean.
    """
    t, tags = stage.network.index[row.tag], len(stage.network.tags)
    since = slice((row.start_us - shown.start_us) // MINUTE_US, None)
    amount, covered_s, usual, usual_s = (
        np.nansum(column[since].reshape(-1, HOUR_MINUTES, tags), axis=1)
        for table in (shown, sound)
        for column in (table.amount, table.covered_s)
    )
    moved = amount[:, t] / covered_s[:, t] / (usual[:, t] / usual_s[:, t]) - 1
    sigma = sum_sigma(stage.network, "", np.eye(tags)[t], amount, covered_s)
    return moved, half_width(sigma) / amount[:, t]


def _counted_wrongly(shown: Table, sound: Table, t: int) -> float:
    """Return what a counter has counted more than there was, as a share."""
    return float(np.nansum(shown.amount[:, t]) / np.nansum(sound.amount[:, t]) - 1)


def _knowing_registers(stage: Stage, scene: Scene) -> Network:
    """Return the network of a model that knows the registers which roll over."""
    sizes = {e.tag: e.size for e in scene.overlay.script.events if e.kind == "rollover"}
    park = stage.park
    tags = [replace(tag, high=sizes.get(tag.address, tag.high)) for tag in park.tags]
    return compile_network(replace(park, tags=tuple(tags)))


def _with_and_without(
    stage: Stage, scene: Scene, rows: Sequence[Truth], network: Network | None = None
) -> tuple[Table, Table]:
    """Return the minutes of faulty tags as they are, and as they would be without the faults."""
    stop_us = stage.start_us + round(scene.overlay.script.duration_s) * 1_000_000
    sound = scene_of(stage, "normal")
    return (
        _minutes(network or stage.network, scene, rows, stage.start_us, stop_us),
        _minutes(stage.network, sound, rows, stage.start_us, stop_us),
    )


def _minutes(
    network: Network,
    scene: Scene,
    rows: Sequence[Truth],
    start_us: int,
    stop_us: int,
    scan_s: float = SCAN_S / 2,
) -> Table:
    """Return the minutes of the tags some rows of the truth are about."""
    tags = np.array([network.index[row.tag] for row in rows])
    return minutes_of(network, partial(show, scene), start_us, stop_us, scan_s=scan_s, tags=tags)


def all_trials(stage: Stage, memory: Memory) -> dict[str, Callable[[], list[Row]]]:
    """Return the trial of each scenario by its name, not yet run."""
    return {
        "alarm-flood": partial(alarm_flood, stage),
        "cems-fault": partial(cems_fault, stage),
        "chlorine-user-trip": partial(user_trip, stage, memory),
        "counter-reset": partial(counter_reset, stage),
        "gateway-outage": partial(gateway_outage, stage),
        "leak": partial(leak, stage, memory),
        "membrane-ageing": partial(membrane_ageing, stage),
        "meter-bias": partial(meter_bias, stage, memory),
        "normal": partial(normal, stage),
        "silent-gateway": partial(silent_gateway, stage),
        "unit-slip": partial(doubted, stage, "unit-slip", {"unit": q.UNIT_SLIP}, 60.0),
        "worn-instruments": partial(worn_instruments, stage, memory),
    }
