"""Trials of the scenarios: what the twin says of each, against what truly happened."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simulators.gateways.delivery import FOREVER_US, Outbox, written
from simulators.gateways.gateways import make_gateways
from simulators.instruments.faults import show
from simulators.scenarios.truth import truths
from simulators.scoring.harness import SCAN_S, moved, scene_of, watch_on
from simulators.scoring.pipeline import in_si, minutes_of, samples_of
from twin import quality as q
from twin.alarms.engine import UNACKNOWLEDGED, evaluate
from twin.alarms.engine import no_memory as no_alarms
from twin.alarms.metrics import advance, no_flood
from twin.alarms.rules import compile_rules, park_alarms
from twin.arrays import DAY_S, F64, HOUR_S, I64, MINUTE_S, MINUTE_US, NEVER
from twin.chlorine.figures import cathode_efficiency
from twin.chlorine.tank_farms import find_farms, foresee
from twin.energy.electrolysis import ageing
from twin.model.park import inside
from twin.reconciliation.monitor import advance as advance_watch
from twin.reconciliation.monitor import no_memory as no_watch
from twin.reconciliation.monitor import noticeable
from twin.series.samples import concatenate, sort

if TYPE_CHECKING:
    from collections.abc import Iterable

    from simulators.instruments.faults import Scene
    from simulators.scoring.harness import Stage
    from twin.reconciliation.monitor import Memory
    from twin.series.samples import Sorted

# What is announced is what happens in this shift, if nobody does anything.
AHEAD_S = 8 * HOUR_S
# What is announced has been so for some minutes.
STEADY_MINUTES = 5
NAN = float("nan")


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
    rows = {row.id: row for row in truths(scene.overlay)}
    trip = rows["vcm-trip"]
    full = next(row for row in rows.values() if row.kind == "full" and row.start_us > trip.start_us)
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
    stage: Stage, memory: Memory, *, minutes: int, streams: Iterable[str] = ()
) -> list[Noticed]:
    """Return how a bias of each chlorine meter, one after the other, is noticed."""
    rows = []
    least = noticeable(stage.watch, memory)
    wanted = set(streams) or {line.id for line in stage.watch.balance.lines}
    for s, line in enumerate(stage.watch.balance.lines):
        if len(line.tags) != 1 or line.id not in wanted:
            continue
        tag = stage.network.tags[line.tags[0][0]].address
        scene = scene_of(stage, "meter-bias", tag=tag)
        # The bias begins where the watch has got to.
        begins_us = memory.time_us - round(scene.overlay.script.events[0].start_s * 1e6)
        _, named = watch_on(stage, moved(scene, begins_us), memory, minutes)
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
    (truth,) = truths(scene.overlay)
    (found,) = bias_of_every_stream(stage, memory, minutes=15, streams=[truth.stream])
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
    """Return what is found of the ageing of membranes in months of hourly means."""
    scene = scene_of(stage, "membrane-ageing")
    rows = {row.id: row for row in truths(scene.overlay)}
    one, others = rows["circuit-voltage"], rows["others-voltage"]
    cells = [e for e in stage.park.electrolysers if e.id.startswith("luxi")]
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
    lost = _efficiency_lost(stage, value, current, count)
    true_lost = (rows["circuit-current-efficiency"].size or 0.0) / len(cells)
    name = "membrane-ageing"
    return [
        Row(name, "the circuit found", float(right), "1", "1", right),
        Row(name, "voltage it has gained", grown * 1e3, "mV", f"{true:.0f}+-5",
            abs(grown * 1e3 - true) <= 5),
        Row(name, "efficiency the plant has lost", lost * 100, "%", f"{true_lost:.2f}+-0.1",
            abs(lost * 100 - true_lost) <= 0.1),
    ]  # fmt: skip


def _efficiency_lost(stage: Stage, value: F64, current: F64, count: F64) -> float:
    """Return by how much the current efficiency of a plant has fallen from the first tenth on."""
    caustic = value[:, stage.network.index["luxi/FI-1410"]]
    efficiency = cathode_efficiency(caustic, (current * count).sum(axis=1), np.ones(len(value)))
    line = ageing(np.linspace(0.0, 1.0, len(efficiency)), efficiency)
    return float(-line.slope)
