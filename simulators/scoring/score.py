"""The score: every scenario and every figure of the twin against the truth, in one table."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache, partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from simulators.instruments.faults import readings
from simulators.process.disturbances import EPOCH_US
from simulators.scenarios.script import scenario_names
from simulators.scoring.coverage import coverage
from simulators.scoring.figures import figures
from simulators.scoring.harness import make_harness, monitored_tags, quiet_memory, scene_of
from simulators.scoring.pipeline import minutes_of
from simulators.scoring.trials import BIAS, bias_of_every_stream, run_trial
from simulators.scoring.window import TRIP, compile_park
from twin.arrays import DAY_S, DAY_US
from twin.errors import ModelError
from twin.loading import load_park
from twin.reconciliation.detection import begin_monitor, detect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from simulators.scoring.coverage import Coverage
    from simulators.scoring.figures import StatedFigure
    from simulators.scoring.trials import BiasTrial, TrialFigure
    from simulators.scoring.window import CompiledPark

# A Saturday 08:00 in the park: an arbitrary time, the same for all.
START_US = EPOCH_US + 98 * 7 * DAY_US + 5 * DAY_US
LEARN_H = 12.0
WINDOW_MINUTES = 15
POWER = 0.95  # probability of detection of the least bias
LOW, HIGH = 0.93, 0.97
PARKS_AT_ONCE = 5
LEFT_OUT = "left out"
DAY_SEEDS = 10_000  # The parks of a day have other seeds than those of an hour, from here on.


class ScoreSize(NamedTuple):
    """The number of seeds of each part of the score."""

    trials: int = 3  # of all scenarios
    biases: int = 5  # of a bias of each meter
    weeks: int = 6  # without an event
    parks: int = 400  # of figures over an hour
    days: int = 100  # of figures over a day


class ScoreLine(NamedTuple):
    """A line of the table."""

    of: str  # scenario or figure of the twin
    figure: str
    value: str
    goal: str
    met: bool | None  # None = no goal


def score(folder: str, size: ScoreSize | None = None) -> bool:
    """Print the score of a park model; return whether every goal is met.

    Scenarios that do not fit the park are left out, and listed. Raises ParkError if the folder is
    no park model.
    """
    size = size or ScoreSize()
    tried, misfits = _sort_out(_known(folder))
    for line in misfits:
        print(f"{line.of}: {line.figure}: {line.value}", file=sys.stderr)
    # The longest tasks come first.
    weeks, days, trials, biases, hours = _work(
        folder,
        (_false_detections, range(1, size.weeks + 1)),
        (_days, _some(size.days)),
        (partial(_trials, tried), range(1, size.trials + 1)),
        (_biases, range(1, size.biases + 1)),
        (_hours, _some(size.parks)),
    )
    hourly, daily = ([stated for some in parks for stated in some] for parks in (hours, days))
    lines = [
        *trial_lines(trials),
        *misfits,
        *bias_lines(biases),
        *week_lines(weeks),
        *coverage_lines(
            [
                *coverage(hourly + daily),
                coverage(hourly)[-1]._replace(kpi="all, over an hour"),
                coverage(daily)[-1]._replace(kpi="all, over a day"),
            ]
        ),
    ]
    print_lines(lines)
    return all(line.met is not False for line in lines)


def _work(folder: str, *parts: tuple[Callable[..., Any], Sequence[Any]]) -> list[list[Any]]:
    """Return the results of each part for its seeds, from all processors; print the progress."""
    began = time.monotonic()
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        tasks = [[pool.submit(work, folder, seed) for seed in seeds] for work, seeds in parts]
        every = [task for part in tasks for task in part]
        for done, _ in enumerate(as_completed(every), start=1):
            spent_s = time.monotonic() - began
            print(f"{done} of {len(every)} done, {spent_s:.0f} s", file=sys.stderr, flush=True)
    return [[task.result() for task in part] for part in tasks]


@cache
def _known(folder: str) -> CompiledPark:
    """Return the compiled park of a folder, read once in each process."""
    return compile_park(load_park(folder))


def _sort_out(known: CompiledPark) -> tuple[list[str], list[ScoreLine]]:
    """Return the scenarios that fit a park, and a line for each part left out of the score."""
    harness = make_harness(known.park, 1, START_US)
    fitting, misfits = list[str](), list[ScoreLine]()
    for name in scenario_names():
        try:
            scene_of(harness, name)
            fitting.append(name)
        except ModelError as error:
            misfits.append(ScoreLine(name, LEFT_OUT, (*error.problems, error.message)[0], "", None))
    if known.trip is None:
        misfits.append(ScoreLine("time to full after a trip", LEFT_OUT, f"needs {TRIP}", "", None))
    return fitting, misfits


def _trials(names: Sequence[str], folder: str, seed: int) -> list[tuple[str, TrialFigure]]:
    """Return the figures of the trials of some scenarios, with their names."""
    harness = make_harness(_known(folder).park, seed, START_US)
    memory = quiet_memory(harness, LEARN_H)
    return [(name, figure) for name in names for figure in run_trial(harness, memory, name)]


def _biases(folder: str, seed: int) -> list[BiasTrial]:
    """Return the detection of a bias of each stream."""
    harness = make_harness(_known(folder).park, seed, START_US)
    return bias_of_every_stream(harness, quiet_memory(harness, LEARN_H), minutes=WINDOW_MINUTES)


def _false_detections(folder: str, seed: int) -> int:
    """Return the number of detections in a week without an event."""
    harness = make_harness(_known(folder).park, seed, START_US)
    memory, count = begin_monitor(harness.monitor, START_US), 0
    scene, tags = scene_of(harness, "normal"), monitored_tags(harness)
    for _ in range(7):
        table = minutes_of(
            harness.network, partial(readings, scene), memory.time_us, memory.time_us + DAY_US,
            scan_s=30.0, tags=tags,
        )  # fmt: skip
        memory, detections = detect(
            harness.monitor, memory, table.amount, table.covered_s, table.last
        )
        count += len(detections)
    return count


def _some(parks: int) -> list[range]:
    """Return the seeds of a number of parks, in blocks."""
    firsts = range(0, parks, PARKS_AT_ONCE)
    return [range(first, min(first + PARKS_AT_ONCE, parks)) for first in firsts]


def _hours(folder: str, seeds: Sequence[int]) -> list[list[StatedFigure]]:
    """Return all figures of an hour of parks."""
    return [figures(_known(folder), seed) for seed in seeds]


def _days(folder: str, seeds: Sequence[int]) -> list[list[StatedFigure]]:
    """Return all figures of a day of parks."""
    return [figures(_known(folder), seed + DAY_SEEDS, DAY_S) for seed in seeds]


def trial_lines(seeds: Sequence[Sequence[tuple[str, TrialFigure]]]) -> Iterator[ScoreLine]:
    """Yield the lines of the scenarios: median and range over seeds."""
    for named in zip(*seeds, strict=True):
        (scenario, first), rows = named[0], [row for _, row in named]
        value = np.array([row.value for row in rows], dtype=np.float64)
        known = np.sort(value[np.isfinite(value)])
        text = f"{np.median(known):.4g}" if len(known) else "never"
        if len(known) and known[0] < known[-1]:
            text += f" ({known[0]:.4g}..{known[-1]:.4g})"
        uom = "" if first.uom == "1" else f" {first.uom}"
        met = None if not first.goal else all(row.met for row in rows)
        yield ScoreLine(scenario, first.figure, text + uom, first.goal, met)


def bias_lines(seeds: Sequence[Sequence[BiasTrial]]) -> Iterator[ScoreLine]:
    """Yield the lines of a bias of each chlorine meter."""
    of = f"a bias of {BIAS.size:.0%}"
    tried = right = 0
    for rows in zip(*seeds, strict=True):
        least = float(np.median([row.least for row in rows]))
        detected = [row for row in rows if row.detected]
        text = f"not checkable below {least:.1%}" if np.isfinite(least) else "not checkable"
        if least <= BIAS.size:
            tried, right = tried + len(rows), right + len(detected)
            text = f"detected {len(detected)}/{len(rows)}"
            if detected:
                slowest = max(row.delay_s for row in detected) / 60
                suspects = np.mean([row.suspects for row in detected])
                text += f" within {slowest:.0f} min, {suspects:.1f} suspects"
        yield ScoreLine(of, rows[0].stream, text, "", None)
    share = right / max(tried, 1)
    goal = f">= {POWER:.0%} within {WINDOW_MINUTES} min"
    # A park without a checkable stream has no goal.
    met = None if seeds and not tried else share >= POWER
    yield ScoreLine(of, "checkable streams detected", f"{right} of {tried}", goal, met)


def week_lines(counts: Sequence[int]) -> Iterator[ScoreLine]:
    """Yield the line of false detections per week."""
    mean = sum(counts) / max(len(counts), 1)
    text = f"{mean:.2f} in {len(counts)} weeks, at most {max(counts, default=0)}"
    yield ScoreLine("nothing happens", "false detections per week", text, "<= 1", mean <= 1)


def coverage_lines(rows: Sequence[Coverage]) -> Iterator[ScoreLine]:
    """Yield the lines of coverage and errors.

    A goal is missed where the interval of the share lies outside it.
    """
    for row in rows:
        held = f"{row.share:.1%} ({row.low:.1%}..{row.high:.1%}) of {row.intervals}"
        error = f"median error {_percent(row.raw)}, reconciled {_percent(row.reconciled)}"
        met = row.low <= HIGH and row.high >= LOW if row.intervals else None
        yield ScoreLine(row.kpi, "interval holds the truth", f"{held}; {error}", "95 +- 2 %", met)


def _percent(part: float) -> str:
    return "-" if np.isnan(part) else f"{part:.2%}"


def print_lines(lines: Sequence[ScoreLine]) -> None:
    """Print the table and the number of goals met."""
    goals = [line.met for line in lines if line.met is not None]
    head = ("scenario or figure", "", "found", "goal", "met")
    rows = [head, *((*line[:4], {None: "", True: "yes", False: "NO"}[line.met]) for line in lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(map(str.ljust, row, widths)).rstrip())
    print(f"\n{sum(goals)} of {len(goals)} goals met")
