"""The score: every scenario and every figure of the twin against the truth, in one table."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache, partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from simulators.instruments.faults import show
from simulators.process.disturbances import EPOCH_US
from simulators.scenarios.script import names
from simulators.scoring.coverage import coverage
from simulators.scoring.figures import figures
from simulators.scoring.harness import learnt, make_stage, scene_of, watched_tags
from simulators.scoring.pipeline import minutes_of
from simulators.scoring.trials import BIAS, all_trials, bias_of_every_stream
from simulators.scoring.window import TRIP, know
from twin.arrays import DAY_S, DAY_US
from twin.errors import ModelError
from twin.loading import load_park
from twin.reconciliation.monitor import advance, no_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from simulators.scoring.coverage import Coverage
    from simulators.scoring.figures import Stated
    from simulators.scoring.trials import Noticed, Row
    from simulators.scoring.window import Known

# A Saturday 08:00 in the park: any time will do, but the same one for all.
START_US = EPOCH_US + 98 * 7 * DAY_US + 5 * DAY_US
LEARN_H = 12.0
WINDOW_MINUTES = 15
POWER = 0.95  # with which the least bias is noticed
LOW, HIGH = 0.93, 0.97
PARKS_AT_ONCE = 5
LEFT_OUT = "left out"
OTHERS = 10_000  # From this seed on parks are others than those of an hour.


class Size(NamedTuple):
    """How much is tried: seeds of each part, and weeks in which nothing happens."""

    trials: int = 3
    biases: int = 5
    weeks: int = 6
    parks: int = 400  # over an hour
    days: int = 100  # and over a day


class Line(NamedTuple):
    """A line of the table."""

    of: str  # scenario or figure of the twin
    figure: str
    found: str
    goal: str
    met: bool | None  # None = no goal


def score(folder: str, size: Size | None = None) -> bool:
    """Print the score of a park model; return whether every goal is met."""
    size = size or Size()
    tried, misfits = _sort_out(_known(folder))
    for line in misfits:
        print(f"{line.of}: {line.figure}: {line.found}", file=sys.stderr)
    # What takes longest comes first.
    weeks, days, trials, biases, hours = _work(
        folder,
        (_false_namings, range(1, size.weeks + 1)),
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
    """Return what each part has for its seeds, on all processors, and say how far it is."""
    began = time.monotonic()
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        tasks = [[pool.submit(work, folder, seed) for seed in seeds] for work, seeds in parts]
        every = [task for part in tasks for task in part]
        for done, _ in enumerate(as_completed(every), start=1):
            spent_s = time.monotonic() - began
            print(f"{done} of {len(every)} done, {spent_s:.0f} s", file=sys.stderr, flush=True)
    return [[task.result() for task in part] for part in tasks]


@cache
def _known(folder: str) -> Known:
    """Return the park of a folder, read once in each process."""
    return know(load_park(folder))


def _sort_out(known: Known) -> tuple[list[str], list[Line]]:
    """Return the scenarios that fit a park, and a line for what is left out of the score."""
    stage = make_stage(known.park, 1, START_US)
    fitting, misfits = list[str](), list[Line]()
    for name in names():
        try:
            scene_of(stage, name)
            fitting.append(name)
        except ModelError as error:
            misfits.append(Line(name, LEFT_OUT, (*error.problems, error.message)[0], "", None))
    if known.trip is None:
        misfits.append(Line("time to full after a trip", LEFT_OUT, f"needs {TRIP}", "", None))
    return fitting, misfits


def _trials(names: Sequence[str], folder: str, seed: int) -> list[Row]:
    """Return the rows of some scenarios."""
    stage = make_stage(_known(folder).park, seed, START_US)
    trials = all_trials(stage, learnt(stage, LEARN_H))
    return [row for name in names for row in trials[name]()]


def _biases(folder: str, seed: int) -> list[Noticed]:
    """Return how a bias of each stream is noticed."""
    stage = make_stage(_known(folder).park, seed, START_US)
    return bias_of_every_stream(stage, learnt(stage, LEARN_H), minutes=WINDOW_MINUTES)


def _false_namings(folder: str, seed: int) -> int:
    """Return how many meters are named in a week in which nothing happens."""
    stage = make_stage(_known(folder).park, seed, START_US)
    memory, count = no_memory(stage.watch, START_US), 0
    scene, tags = scene_of(stage, "normal"), watched_tags(stage)
    for _ in range(7):
        table = minutes_of(
            stage.network, partial(show, scene), memory.time_us, memory.time_us + DAY_US,
            scan_s=30.0, tags=tags,
        )  # fmt: skip
        memory, named = advance(stage.watch, memory, table.amount, table.covered_s, table.last)
        count += len(named)
    return count


def _some(parks: int) -> list[range]:
    """Return the seeds of so many parks, some at once."""
    firsts = range(0, parks, PARKS_AT_ONCE)
    return [range(first, min(first + PARKS_AT_ONCE, parks)) for first in firsts]


def _hours(folder: str, seeds: Sequence[int]) -> list[list[Stated]]:
    """Return all figures of an hour of some parks."""
    return [figures(_known(folder), seed) for seed in seeds]


def _days(folder: str, seeds: Sequence[int]) -> list[list[Stated]]:
    """Return all figures of a day of other parks."""
    return [figures(_known(folder), seed + OTHERS, DAY_S) for seed in seeds]


def trial_lines(seeds: Sequence[Sequence[Row]]) -> Iterator[Line]:
    """Yield the figures of the scenarios: median and range."""
    for rows in zip(*seeds, strict=True):
        found = np.array([row.found for row in rows], dtype=np.float64)
        known = np.sort(found[np.isfinite(found)])
        text = f"{np.median(known):.4g}" if len(known) else "never"
        if len(known) and known[0] < known[-1]:
            text += f" ({known[0]:.4g}..{known[-1]:.4g})"
        first = rows[0]
        uom = "" if first.uom == "1" else f" {first.uom}"
        met = None if not first.goal else all(row.met for row in rows)
        yield Line(first.scenario, first.figure, text + uom, first.goal, met)


def bias_lines(seeds: Sequence[Sequence[Noticed]]) -> Iterator[Line]:
    """Yield how a bias of each chlorine meter is noticed."""
    of = f"a bias of {BIAS.size:.0%}"
    tried = right = 0
    for rows in zip(*seeds, strict=True):
        least = float(np.median([row.least for row in rows]))
        named = [row for row in rows if row.named]
        text = f"not checkable below {least:.1%}" if np.isfinite(least) else "not checkable"
        if least <= BIAS.size:
            tried, right = tried + len(rows), right + len(named)
            text = f"named {len(named)}/{len(rows)}"
            if named:
                slowest = max(row.delay_s for row in named) / 60
                suspects = np.mean([row.suspects for row in named])
                text += f" within {slowest:.0f} min, {suspects:.1f} suspects"
        yield Line(of, rows[0].stream, text, "", None)
    share = right / max(tried, 1)
    goal = f">= {POWER:.0%} within {WINDOW_MINUTES} min"
    # Of a park without a checkable stream nothing is demanded.
    met = None if seeds and not tried else share >= POWER
    yield Line(of, "checkable streams named", f"{right} of {tried}", goal, met)


def week_lines(counts: Sequence[int]) -> Iterator[Line]:
    """Yield how often a meter is named although nothing happens."""
    mean = sum(counts) / max(len(counts), 1)
    text = f"{mean:.2f} in {len(counts)} weeks, at most {max(counts, default=0)}"
    yield Line("nothing happens", "false namings per week", text, "<= 1", mean <= 1)


def coverage_lines(rows: Sequence[Coverage]) -> Iterator[Line]:
    """Yield how often intervals hold the truth, and how far off the figures are.

    A goal is missed where the interval of the share lies outside it.
    """
    for row in rows:
        held = f"{row.share:.1%} ({row.low:.1%}..{row.high:.1%}) of {row.intervals}"
        error = f"median error {_percent(row.raw)}, reconciled {_percent(row.reconciled)}"
        met = row.low <= HIGH and row.high >= LOW if row.intervals else None
        yield Line(row.kpi, "interval holds the truth", f"{held}; {error}", "95 +- 2 %", met)


def _percent(part: float) -> str:
    return "-" if np.isnan(part) else f"{part:.2%}"


def print_lines(lines: Sequence[Line]) -> None:
    """Print the table, and how many goals are met."""
    goals = [line.met for line in lines if line.met is not None]
    head = ("scenario or figure", "", "found", "goal", "met")
    rows = [head, *((*line[:4], {None: "", True: "yes", False: "NO"}[line.met]) for line in lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(map(str.ljust, row, widths)).rstrip())
    print(f"\n{sum(goals)} of {len(goals)} goals met")
