"""Trials of the scenarios in which instruments fail: what the twin makes of what they show."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from simulators.instruments.faults import show
from simulators.scenarios.truth import truths
from simulators.scoring.harness import SCAN_S, scene_of, watch_on
from simulators.scoring.pipeline import minutes_of
from simulators.scoring.trials import NAN, Row
from twin import quality as q
from twin.accounts.network import compile_network
from twin.arrays import F64, MINUTE_S, MINUTE_US
from twin.reconciliation.uncertainty import half_width, spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulators.instruments.faults import Scene
    from simulators.scenarios.truth import Truth
    from simulators.scoring.harness import Stage
    from simulators.scoring.pipeline import Table
    from twin.accounts.network import Network
    from twin.reconciliation.monitor import Memory

HOUR_MINUTES = 60
REASON = np.uint8(q.SIMULATED - 1)
# What adding up in another order may change, as a share.
EXACT = 1e-9
Found = list[tuple[str, float, str, str, bool]]  # rows of one scenario


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
    sigma = spread(stage.network, "", np.eye(tags)[t], amount, covered_s)
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
