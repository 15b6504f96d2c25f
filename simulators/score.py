"""The score: every scenario tried, its figures against the truth, printed as tables."""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simulators.coverage import coverage, figures
from simulators.faults import show
from simulators.memory import minutes_of
from simulators.stage import learnt, make_stage, scene_of, watched_tags
from simulators.trials import LEARN_H, all_rows, bias_of_every_stream
from simulators.waves import EPOCH_US
from twin.loading import load_park
from twin.watch import advance, no_memory
from twin.windows import DAY_US

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from simulators.coverage import Coverage, Stated
    from simulators.trials import Noticed, Row
    from twin.model import Park

# A Saturday 08:00 in the park: any time will do, but the same one for all.
START_US = EPOCH_US + 98 * 7 * DAY_US + 5 * DAY_US
BIAS = 0.04
WINDOW_MINUTES = 15
POWER = 0.95  # with which the least bias is noticed
LOW, HIGH = 0.93, 0.97


class Size(NamedTuple):
    """How much is tried: seeds of each part, and weeks in which nothing happens."""

    trials: int = 3
    biases: int = 5
    weeks: int = 6
    parks: int = 100


def score(folder: str, size: Size | None = None) -> bool:
    """Print the score of a park model; return whether every goal is met."""
    size = size or Size()
    park = load_park(folder)
    began = time.monotonic()
    met = [
        print_trials(_trials(park, size.trials)),
        print_biases(_biases(park, size.biases)),
        print_weeks(_weeks(park, size.weeks)),
        print_coverage(coverage(_stated(park, size.parks)), size.parks),
    ]
    print(f"\n{time.monotonic() - began:.0f} s; goals met: {sum(met)} of {len(met)} tables")
    return all(met)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _trials(park: Park, seeds: int) -> list[list[Row]]:
    """Return the rows of every scenario, seed by seed."""
    found = []
    for seed in range(1, seeds + 1):
        _say(f"scenarios: seed {seed} of {seeds}")
        found.append(all_rows(make_stage(park, seed, START_US)))
    return found


def _biases(park: Park, seeds: int) -> list[list[Noticed]]:
    """Return how a bias of each stream is noticed, seed by seed."""
    found = []
    for seed in range(1, seeds + 1):
        _say(f"biases: seed {seed} of {seeds}")
        stage = make_stage(park, seed, START_US)
        memory = learnt(stage, LEARN_H)
        found.append(bias_of_every_stream(stage, memory, minutes=WINDOW_MINUTES))
    return found


def _weeks(park: Park, weeks: int) -> list[int]:
    """Return how many meters are named in weeks in which nothing happens."""
    return [false_namings(park, seed, days=7) for seed in range(1, weeks + 1)]


def false_namings(park: Park, seed: int, *, days: int) -> int:
    """Return how many meters are named in some days in which nothing happens."""
    stage = make_stage(park, seed, START_US)
    memory, count = no_memory(stage.watch, START_US), 0
    for day in range(days):
        _say(f"false namings: seed {seed}, day {day + 1} of {days}")
        table = minutes_of(
            stage.network,
            partial(show, scene_of(stage, "normal")),
            memory.time_us,
            memory.time_us + DAY_US,
            scan_s=30.0,
            tags=watched_tags(stage),
        )
        memory, named = advance(stage.watch, memory, table.amount, table.covered_s, table.last)
        count += len(named)
    return count


def _stated(park: Park, parks: int) -> list[Stated]:
    """Return all figures of many parks."""
    found: list[Stated] = []
    for seed in range(parks):
        if seed % 10 == 0:
            _say(f"intervals: park {seed} of {parks}")
        found += figures(park, seed, START_US)
    return found


def print_trials(seeds: Sequence[Sequence[Row]]) -> bool:
    """Print the figures of the scenarios: median, range and goal."""
    lines = [("scenario", "figure", "median", "lowest", "highest", "uom", "goal", "met")]
    for rows in zip(*seeds, strict=True):
        found = np.array([row.found for row in rows], dtype=np.float64)
        known = found[np.isfinite(found)]
        parts = (np.median(known), known.min(), known.max()) if len(known) else (np.nan,) * 3
        met = sum(bool(row.met) for row in rows)
        first = rows[0]
        lines.append(
            (first.scenario, first.figure, *(f"{part:.4g}" for part in parts), first.uom,
             first.goal, f"{met}/{len(rows)}")
        )  # fmt: skip
    _print("Scenarios", lines)
    return all(row.met for rows in seeds for row in rows)


def print_biases(seeds: Sequence[Sequence[Noticed]]) -> bool:
    """Print how a bias of each chlorine meter is noticed."""
    title = f"A bias of {BIAS:.0%} on each chlorine stream, within {WINDOW_MINUTES} min"
    lines = [("stream", "least noticed", "checkable", "named", "slowest", "suspects")]
    tried = right = 0
    for rows in zip(*seeds, strict=True):
        least = float(np.median([row.least for row in rows]))
        named = [row for row in rows if row.named]
        checkable = least <= BIAS
        tried += checkable * len(rows)
        right += checkable * len(named)
        slowest = f"{max(row.delay_s for row in named) / 60:.0f} min" if named else "-"
        suspects = f"{np.mean([row.suspects for row in named]):.1f}" if named else "-"
        lines.append(
            (rows[0].stream, f"{least:.1%}", "yes" if checkable else "no",
             f"{len(named)}/{len(rows)}", slowest, suspects)
        )  # fmt: skip
    _print(title, lines)
    print(f"  checkable: {right} of {tried} named; the goal is {POWER:.0%}")
    return right >= POWER * tried


def print_weeks(counts: Sequence[int]) -> bool:
    """Print how often a meter is named although nothing happens."""
    lines = [("weeks", "namings", "per week", "goal", "worst week")]
    mean = sum(counts) / max(len(counts), 1)
    lines.append((str(len(counts)), str(sum(counts)), f"{mean:.2f}", "<= 1", f"{max(counts)}"))
    _print("False namings", lines)
    return mean <= 1


def print_coverage(rows: Sequence[Coverage], parks: int) -> bool:
    """Print how often intervals hold the truth."""
    lines = [("figure", "intervals", "hold the truth", "median error", "of the meters alone")]
    lines += [
        (
            row.kpi,
            str(row.intervals),
            f"{row.share:.1%}",
            _share(row.error),
            _share(row.raw_error),
        )
        for row in rows
    ]
    _print(f"Intervals of 95 %, {parks} parks", lines)
    return LOW <= rows[-1].share <= HIGH


def _share(part: float) -> str:
    return "-" if np.isnan(part) else f"{part:.2%}"


def _print(title: str, lines: Iterable[tuple[str, ...]]) -> None:
    """Print a table with aligned columns."""
    rows = list(lines)
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    print(f"\n{title}")
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  " + "  ".join(cells).rstrip())
