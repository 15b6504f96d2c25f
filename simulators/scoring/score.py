"""The score: every scenario and every figure of the twin against the truth, in one table.

References
----------
.. [1] W. G. Cochran, Sampling Techniques, 3rd ed., Wiley 1977, chapter 9A: clusters of unequal
   sizes. All intervals of a park share the errors that stay, so a park is one cluster.
.. [2] E. B. Wilson, Probable inference, the law of succession, and statistical inference, Journal
   of the American Statistical Association 22, 1927, 209-212, doi:10.1080/01621459.1927.10502953.
"""

from __future__ import annotations

import re
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache, partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from simulators.process.disturbances import EPOCH_US
from simulators.scenarios.script import scenario_names
from simulators.scoring.figures import TRIP, compile_park, figures
from simulators.scoring.harness import (
    false_detections,
    make_harness,
    quiet_memory,
    scene_of,
)
from simulators.scoring.trials import BIAS, bias_of_every_stream, run_trial
from twin.arrays import DAY_S, DAY_US, F64, HOUR_S
from twin.errors import ModelError
from twin.loading import load_park
from twin.reconciliation.chi_square import quantile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from simulators.scoring.figures import CompiledPark, StatedFigure
    from simulators.scoring.losses import Loss
    from simulators.scoring.trials import BiasTrial, TrialFigure

CONFIDENCE = 0.95
# A Saturday 08:00 in the park: an arbitrary time, the same for all.
START_US = EPOCH_US + 98 * 7 * DAY_US + 5 * DAY_US
LEARN_H = 12.0
WINDOW_MINUTES = 15
POWER = 0.95  # probability of detection of the least bias
LOW, HIGH = 0.93, 0.97
PARKS_AT_ONCE = 5
LEFT_OUT = "left out"
RATIO = re.compile("per mass|local share|footprint|alkali")
DAY_SEEDS = 10_000  # The parks of a day have other seeds than those of an hour, from here on.


class ScoreSize(NamedTuple):
    """The number of seeds of each part of the score."""

    trials: int = 3  # of all scenarios
    biases: int = 5  # of a bias of each meter
    weeks: int = 6  # without an event
    parks: int = 400  # of figures over an hour
    days: int = 100  # of figures over a day
    lossy: int = 100  # of figures with lost samples over an hour, and with outages over a day


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
    weeks, days, outages, trials, biases, hours, lossy = _work(
        folder,
        (_false_detections, range(1, size.weeks + 1)),
        (partial(_figures, DAY_S, "none"), _blocks(DAY_SEEDS, size.days)),
        (partial(_figures, DAY_S, "outages"), _blocks(2 * DAY_SEEDS, size.lossy)),
        (partial(_trials, tried), range(1, size.trials + 1)),
        (_biases, range(1, size.biases + 1)),
        (partial(_figures, HOUR_S, "none"), _blocks(0, size.parks)),
        (partial(_figures, HOUR_S, "samples"), _blocks(3 * DAY_SEEDS, size.lossy)),
    )
    hourly, daily, silent, lost = (
        [stated for some in parks for stated in some] for parks in (hours, days, outages, lossy)
    )
    lines = [
        *trial_lines(trials),
        *misfits,
        *bias_lines(biases),
        *week_lines(weeks),
        *coverage_lines(coverage(hourly + daily)),
        *coverage_lines([coverage(hourly)[-1]._replace(kpi="all, over an hour")]),
        *coverage_lines([coverage(daily)[-1]._replace(kpi="all, over a day")]),
        *coverage_lines([coverage(lost)[-1]._replace(kpi="all, 10 % of samples lost")]),
        *coverage_lines([coverage(silent)[-1]._replace(kpi="all, outages of hours in a day")]),
        *coverage_lines([coverage(_ratios(silent))[-1]._replace(kpi="ratios, outages of hours")]),
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
    """Return the number of detections in a week without an event, of all components."""
    harness = make_harness(_known(folder).park, seed, START_US)
    return sum(false_detections(harness, days=7, scan_s=30.0).values())


def _blocks(first: int, parks: int) -> list[range]:
    """Return the seeds of a number of parks, in blocks."""
    stop = first + parks
    return [
        range(seed, min(seed + PARKS_AT_ONCE, stop)) for seed in range(first, stop, PARKS_AT_ONCE)
    ]


def _figures(
    length_s: float, loss: Loss, folder: str, seeds: Sequence[int]
) -> list[list[StatedFigure]]:
    """Return all figures of parks over a time [s] in which some samples are lost."""
    return [figures(_known(folder), seed, length_s, loss) for seed in seeds]


def _ratios(parks: Sequence[Sequence[StatedFigure]]) -> list[list[StatedFigure]]:
    """Return the figures that are ratios: those a gap makes wider."""
    return [[each for each in park if RATIO.search(each.kpi)] for park in parks]


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


class Coverage(NamedTuple):
    """The coverage of one kind of figure over all parks."""

    kpi: str
    intervals: int
    share: float  # [1] of the intervals that hold the truth
    low: float  # of the interval of that share
    high: float
    raw: float  # median of |value - truth| / |truth| by the meters alone; NaN where truth is zero
    reconciled: float  # the same of the reconciled value


def coverage(parks: Sequence[Sequence[StatedFigure]]) -> list[Coverage]:
    """Return the coverage of each kind of figure, and of all together as the last row."""
    names = dict.fromkeys(s.kpi for park in parks for s in park)
    rows = [(s.kpi, number, *s[1:]) for number, park in enumerate(parks) for s in park]
    kpi = np.array([row[0] for row in rows])
    table = np.array([row[1:] for row in rows], dtype=np.float64).reshape(-1, 6)
    return [_covered(name, table[kpi == name]) for name in names] + [_covered("all", table)]


def _covered(kpi: str, table: F64) -> Coverage:
    """Return the coverage of rows of park, value, width, truth, raw and reconciled, (n, 6)."""
    table = table[np.isfinite(table[:, 1:4]).all(axis=1) & (table[:, 2] > 0)]
    park, value, width, truth, raw, reconciled = table.T
    inside = np.abs(value - truth) <= width
    some = np.abs(truth) > width
    return Coverage(
        kpi,
        len(table),
        *_share(park, inside),
        *(_median(np.abs(each[some] / truth[some] - 1)) for each in (raw, reconciled)),
    )


def _median(error: F64) -> float:
    known = error[np.isfinite(error)]
    return float(np.median(known)) if len(known) else np.nan


def _share(park: F64, inside: F64) -> tuple[float, float, float]:
    """Return a share and its interval [2]_ at the effective number of samples of parks [1]_."""
    if not len(park):
        return np.nan, np.nan, np.nan
    _, cluster = np.unique(park, return_inverse=True)
    size, held = np.bincount(cluster), np.bincount(cluster, inside)
    share, parks = float(inside.mean()), len(size)
    variance = ((held - share * size) ** 2).sum() / len(park) ** 2 * parks / max(parks - 1, 1)
    worth = share * (1 - share) / variance if variance > 0 else float(parks)
    worth = min(worth, float(len(park)))
    z2 = float(quantile(CONFIDENCE, 1)) / worth
    middle = (share + z2 / 2) / (1 + z2)
    half = np.sqrt(z2 * (share * (1 - share) + z2 / 4)) / (1 + z2)
    return share, float(middle - half), float(middle + half)
