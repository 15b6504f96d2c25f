"""Parks side by side: tables ``[[park_indicator]]`` and ``[[benchmark_park]]``, ranks of figures.

An indicator is a figure of the closed list of targets for every park. Tags are named without their
enterprise, like ``B-TAX``: all of the enterprises of a park have to have them.

References
----------
.. [1] 关于绿色化工产业高质量发展的意见（征求意见稿）, 10: the parks of Shenxian and Chiping are to
   be raised to the level of the chemical park of Liaocheng, the benchmark.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from twin.arrays import BOOL, F64, I64
from twin.model.park import inside
from twin.model.rows import RowFault, cell, table
from twin.targets.model import KPIS, LEVELS, Target, check_figure
from twin.targets.verdicts import MET, NOT_MET, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from twin.model.park import Park


@table
class ParkIndicator:
    """A figure by which parks are compared."""

    id: str = cell("text")
    uom: str = cell("text")
    kpi: str = cell("one " + " ".join(KPIS))
    sense: str = cell("one at_most at_least")
    name: dict[str, str] = cell("name")
    product: str = cell("text", default="")
    level: str = cell("one " + " ".join(LEVELS), default="")
    part: tuple[str, ...] = cell("texts", default=())
    whole: tuple[str, ...] = cell("texts", default=())
    above: str = cell("text", default="")
    loop: str = cell("text", default="")
    asset: str = cell("text", default="")
    has: str = cell("text", default="")
    base_year: int | None = cell("number", default=None)
    source: str = cell("any", default="")
    note: str = cell("any", default="")


@table
class BenchmarkPark:
    """The park that the others of a scope are compared with."""

    scope: str = cell("scope")
    park: str = cell("scope")
    clause: str = cell("any", default="")
    source: str = cell("any", default="")
    note: str = cell("any", default="")


class Ranks(NamedTuple):
    """The best and the worst rank that the intervals of figures allow; 0 = no figure."""

    best: I64
    worst: I64


def parks_in(park: Park, scope: str) -> list[str]:
    """Return the parks at or below a scope."""
    return [each.id for each in park.scopes if each.kind == "park" and inside(each.id, scope)]


def target_of(park: Park, row: ParkIndicator, scope: str) -> tuple[Target, list[str]]:
    """Return an indicator as the figure of a park, and the tags that its enterprises lack."""
    firms = [s.id for s in park.scopes if s.kind == "enterprise" and inside(s.id, scope)]
    there = {tag.address for tag in park.tags}
    names = {column: [f"{firm.rpartition('/')[2]}/{name}" for name in getattr(row, column)
                      for firm in firms] for column in ("part", "whole")}  # fmt: skip
    lacking = [name for some in names.values() for name in some if name not in there]
    if (row.part or row.whole) and not firms:
        lacking.append(f"enterprises of {scope}")
    own = {each.name for each in fields(Target)} & {each.name for each in fields(row)}
    cells = {name: getattr(row, name) for name in own - names.keys()}
    return Target(
        scope=scope, part=tuple(names["part"]), whole=tuple(names["whole"]), **cells
    ), lacking


def check_benchmark(park: Park) -> Iterator[RowFault]:
    """Yield indicators that are no figure of a park, and benchmarks that are none of its parks."""
    tags = {tag.address: tag for tag in park.tags} if park.rows(ParkIndicator) else {}
    for row in park.rows(ParkIndicator):
        for scope in parks_in(park, park.id):
            target, lacking = target_of(park, row, scope)
            if not lacking:
                faults = check_figure(target, tags)
                yield from (RowFault(row, each.text, each.column) for each in faults)
                break
    for head in park.rows(BenchmarkPark):
        if head.park not in parks_in(park, head.scope):
            yield RowFault(head, f"is no park in {head.scope!r}", "park")


def rank(value: F64, half_width: F64, at_most: BOOL) -> Ranks:
    """Return the ranks of figures, as far as their intervals separate them.

    Parameters
    ----------
    value : (n,) float64 [u]
        NaN = not known: it has no rank, and leaves those of the others open
    half_width : (n,) float64 [u]
        of the 95 % intervals; NaN = not known
    at_most : () bool
        whether less is better

    Returns
    -------
    Ranks
        (n,) best and worst rank, from 1; equal where nobody's interval reaches into that of another
    """
    sign = np.where(at_most, 1.0, -1.0)
    low, high = (sign * value + step * half_width for step in (-1.0, 1.0))
    # One is surely better where its worst end is before the best end of the other.
    before = high[:, None] < low[None, :]
    same = (value[:, None] == value[None, :]) & (half_width[:, None] == 0) & (half_width == 0)
    np.fill_diagonal(same, val=False)
    known = np.isfinite(value)
    best = 1 + before.sum(axis=0)
    # Exact equals share the better rank.
    worst = len(value) - before.sum(axis=1) - same.sum(axis=1)
    return Ranks(np.where(known, best, 0), np.where(known, np.maximum(worst, best), 0))


def compare(gap: F64, half_width: F64, at_most: BOOL) -> NDArray[np.str_]:
    """Return how figures compare with that of the benchmark park.

    Parameters
    ----------
    gap : (n,) float64 [u]
        figure less that of the benchmark park; NaN = not known
    half_width : (n,) float64 [u]
        of the 95 % interval of the gap; NaN = not known
    at_most : () bool
        whether less is better

    Returns
    -------
    (n,) str
        ``better`` or ``worse`` where the whole interval says so, ``equal`` where both are exact and
        the same, else ``undecided``
    """
    judged = verdict(gap, np.zeros(len(gap)), at_most, half_width)
    tie = (gap == 0) & (half_width == 0)
    return np.select(
        [tie, judged == MET, judged == NOT_MET], ["equal", "better", "worse"], "undecided"
    )
