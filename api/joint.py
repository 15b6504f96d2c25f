"""Sums over the time in which all of some tags are covered: what ratios and balances are made of.

The rule is in `twin.series.coverage`. Rows of the coarsest table that lack nothing are used as they
are, and the others are looked up in finer ones, down to minutes. Where that is more than a
calculation may read, a row that lacks something counts as not covered: less time, the same value.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from api.encode import out
from api.sums import SumCells, Sums, fill_cells, read_rows
from twin.arrays import BOOL, F64, I64, MINUTE_US, SECOND_US, U8, ratio
from twin.reconciliation.uncertainty import half_width
from twin.series import windows as w
from twin.series.coverage import joint_amount, joint_time, missing, runs_of, whole
from twin.series.gaps import HALF, Pieces, gap_sigma

if TYPE_CHECKING:
    from collections.abc import Sequence

    from api.context import Context

FINER = {"day": "hour", "hour": "minute"}
# A window in fewer pieces says too little of its gaps: all of it is looked up in finer ones.
PIECES_MIN = 48
# Ranges of time of one query; those that lie closest are read as one.
RANGES_MAX = 64


@dataclass(frozen=True, slots=True)
class JointCells:
    """The m pieces of time that windows are made of, in time order, without a gap between them."""

    start_us: I64  # (m,)
    stop_us: I64  # (m,)
    window: I64  # (m,)
    joint_s: F64  # (m,)
    length_s: F64  # (m,) that has passed
    amount: F64  # (m, U)


@dataclass(frozen=True, slots=True)
class Runs:
    """The r runs of joint time, each in one window, and the sums of tags over them."""

    sums: Sums
    window: I64  # (r,)
    start_us: I64  # (r,)
    stop_us: I64  # (r,)


@dataclass(frozen=True, slots=True)
class Joint:
    """Sums of U tags over their joint time in W windows, and how far they stand for the windows."""

    sums: Sums  # over the joint time
    levels: tuple[Pieces, ...]
    cells: JointCells
    share: F64  # (W,) of the time that has passed, which is joint; NaN = none has passed
    missing: list[list[str]]  # of each window
    enough: BOOL  # (W,) for a value
    decisive: BOOL  # (W,) for a verdict

    def ratio(self, component: str, over: F64, under: F64) -> tuple[F64, F64]:
        """Return a ratio of two weighted sums and the half width of its interval [SI], (W,).

        The weights are those of all tags, (T,) or (W, T); NaN throughout = not known. NaN where too
        little is covered.
        """
        sums, shape = self.sums, (len(self.share), len(self.sums.tags))
        total = sums.weigh(under)
        value = np.where(self.enough, ratio(sums.weigh(over), total), np.nan)
        upper, lower = (np.broadcast_to(each[..., sums.tags], shape) for each in (over, under))
        gaps = half_width(gap_sigma(self.levels, upper, lower, value, total, self.share))
        width = np.hypot(sums.ratio_ci(component, over, under), gaps)
        return value, np.where(np.isnan(value), np.nan, width)

    def rate(self, weight: F64) -> tuple[F64, F64]:
        """Return the mean rate of a weighted sum and the half width of its interval [SI/s], (W,).

        The weights are those of all tags, (T,). NaN where too little is covered.
        """
        sums, joint_s = self.sums, self.sums.covered_s[:, 0]
        value = np.where(self.enough, ratio(sums.weigh(weight), joint_s), np.nan)
        # A rate is a ratio to a sum that counts the seconds.
        levels = [
            replace(each, amount=np.column_stack([each.amount, each.joint_s]))
            for each in self.levels
        ]
        over = np.tile(np.append(weight[sums.tags], 0.0), (len(value), 1))
        under = np.zeros_like(over)
        under[:, -1] = 1.0
        gaps = half_width(gap_sigma(levels, over, under, value, joint_s, self.share))
        width = np.hypot(ratio(sums.ci("", weight), joint_s), gaps)
        return value, np.where(np.isnan(value), np.nan, width)

    def enough_sums(self) -> Sums:
        """Return the sums; without amounts in windows of which too little is covered."""
        amount = np.where(self.enough[:, None], self.sums.amount, np.nan)
        return replace(self.sums, amount=amount)

    def width(self, component: str, value: F64, slope: F64) -> F64:
        """Return the half width of the interval of an intensity [SI], (W,).

        `slope` (W, T) is its derivative by each amount. An intensity stays the same where all
        amounts grow alike, as a ratio does.
        """
        part, nothing = slope[:, self.sums.tags], np.zeros((len(value), len(self.sums.tags)))
        one = np.where(np.isnan(value), np.nan, 1.0)
        gaps = half_width(gap_sigma(self.levels, part, nothing, value, one, self.share))
        width = np.hypot(self.sums.ci(component, slope), gaps)
        return np.where(np.isnan(value), np.nan, width)

    def runs(self) -> Runs:
        """Return the runs of joint time; a minute that is covered by half counts as a whole."""
        cells, windows = self.cells, len(self.share)
        solid = (cells.joint_s > 0) & (cells.joint_s >= HALF * cells.length_s)
        part = cells.length_s[solid] / cells.joint_s[solid]
        at, amount = cells.window[solid], np.zeros_like(self.sums.amount)
        np.add.at(amount, at, cells.amount[solid] * part[:, None])
        covered_s = np.bincount(at, cells.length_s[solid], windows).astype(np.float64)
        amount[covered_s == 0] = np.nan
        covered = np.repeat(covered_s[:, None], amount.shape[1], axis=1)
        first, stop = runs_of(solid, cells.window)
        return Runs(
            replace(self.sums, amount=amount, covered_s=covered),
            cells.window[first],
            cells.start_us[first],
            cells.stop_us[stop - 1],
        )

    def reasons(self, value: F64) -> list[str]:
        """Return why a ratio or balance has no value, for each window; empty where it has one."""
        return [
            f"not known: {share:.0%} of the time is covered by all of its tags" if lacks else ""
            for share, lacks in zip(
                np.nan_to_num(self.share).tolist(),
                (np.isnan(value) & ~self.enough).tolist(),
                strict=True,
            )
        ]

    def trust(self, known: BOOL, ends: U8 | None = None) -> dict[str, Any]:
        """Return completeness, quality and missing tags (W,) of figures of the joint time.

        `known` and `ends` are as of `Sums.trust`.
        """
        quality = self.sums.quality
        if ends is not None:
            quality = np.column_stack([quality, ends[:-1], ends[1:]])
        return {
            "completeness": out(self.share),
            "quality": w.grade(quality, self.share, known),
            "missing": self.missing,
        }


class _Level(NamedTuple):
    """The n cells of a group of tags at one level of reading, in time order."""

    cells: SumCells
    at: I64  # (n,) cells that were read of it
    parent: I64  # (n,) cell of the level above
    window: I64  # (n,)
    joint_s: F64  # (n,)
    amount: F64  # (n, U)
    length_s: F64  # (n,) that has passed
    direct: BOOL  # (n,) the family is the window, not the cell above


class _Finer(NamedTuple):
    """The cells of a finer table inside some cells."""

    cells: SumCells
    parent: I64  # the cell each is a part of


async def read_joint(context: Context, sums: Sums, groups: Sequence[I64]) -> list[Joint]:
    """Return the sums of groups of tags over the joint time of each; raises StoreError.

    A group has positions in the network, sorted, of tags of the sums.
    """
    windows, columns = len(sums.amount), [np.searchsorted(sums.tags, group) for group in groups]
    cells, affordable = sums.cells, context.settings.calculation_values_max
    levels = [[_first(sums, column)] for column in columns]
    while cells.table in FINER:
        wanted = [_lacking(each[-1], windows) for each in levels]
        at = _union([each[-1].at[some] for each, some in zip(levels, wanted, strict=True)])
        used = _union([c for c, some in zip(columns, wanted, strict=True) if some.any()])
        ranges = _ranges(cells, at)
        span_us = int(np.sum(ranges[1] - ranges[0]))
        affordable -= span_us // w.SHORTEST_US[FINER[cells.table]] * len(used)
        if not len(at) or affordable < 0:
            break
        finer = await _read_finer(context, sums, cells, at, used, ranges)
        for each, column, some in zip(levels, columns, wanted, strict=True):
            each.append(_below(sums, finer, column, each[-1], some))
        cells = finer.cells
    return [
        _join(context, sums, column, each) for column, each in zip(columns, levels, strict=True)
    ]


def _union(parts: Sequence[I64]) -> I64:
    return np.unique(np.concatenate([np.zeros(0, np.int64), *parts]))


def _first(sums: Sums, column: I64) -> _Level:
    """Return the cells of the sums themselves."""
    at = np.arange(len(sums.cells.start_us))
    window = np.searchsorted(sums.query.edges, sums.cells.start_us, "right") - 1
    return _level(sums, sums.cells, column, at, at, window, np.ones(len(at), bool))


def _below(sums: Sums, finer: _Finer, column: I64, level: _Level, some: BOOL) -> _Level:
    """Return the cells inside some cells of a level."""
    at = np.flatnonzero(np.isin(finer.parent, level.at[some]))
    parent = np.searchsorted(level.at, finer.parent[at])
    direct = _few(level, len(sums.amount))[parent]
    return _level(sums, finer.cells, column, at, parent, level.window[parent], direct)


def _level(
    sums: Sums, cells: SumCells, column: I64, at: I64, parent: I64, window: I64, direct: BOOL
) -> _Level:
    # As far as it is expected in the database.
    until_us = np.minimum(cells.stop_us, sums.query.expected_us // MINUTE_US * MINUTE_US)
    length_s = (np.maximum(until_us - cells.start_us, 0) / SECOND_US)[at]
    amount, covered_s = (each[at][:, column] for each in (cells.amount, cells.covered_s))
    joint_s = joint_time(covered_s, length_s)
    joint = joint_amount(amount, covered_s, joint_s)
    return _Level(cells, at, parent, window, joint_s, joint, length_s, direct)


def _few(level: _Level, windows: int) -> BOOL:
    """Tell the cells that make up a window with few others, (n,)."""
    pieces = np.bincount(level.window[level.direct], minlength=windows)
    return level.direct & (pieces[level.window] < PIECES_MIN)


def _lacking(level: _Level, windows: int) -> BOOL:
    """Tell the cells that are to be read from a finer table, (n,)."""
    lacks = ~whole(level.joint_s, level.length_s)
    partly = np.bincount(level.window[lacks], minlength=windows) > 0
    partly &= np.bincount(level.window, level.joint_s > 0, windows) > 0
    few = _few(level, windows) & partly[level.window]
    return np.where(few, level.length_s > 0, lacks & (level.joint_s > 0))


def _ranges(cells: SumCells, at: I64) -> tuple[I64, I64]:
    """Return starts and stops [µs] of a few ranges of time that hold some cells."""
    if not len(at):
        return at, at
    start, stop = cells.start_us[at], cells.stop_us[at]
    gap = start[1:] - stop[:-1]
    apart = np.sort(np.argsort(gap, kind="stable")[::-1][: RANGES_MAX - 1])
    apart = apart[gap[apart] > 0]
    return start[np.append(0, apart + 1)], stop[np.append(apart, len(at) - 1)]


async def _read_finer(
    context: Context, sums: Sums, cells: SumCells, at: I64, used: I64, ranges: tuple[I64, I64]
) -> _Finer:
    """Return the cells of the next finer table inside some cells, with the sums of used columns."""
    table = FINER[cells.table]
    step_us = w.SHORTEST_US[table]
    count = -(-(cells.stop_us[at] - cells.start_us[at]) // step_us)
    parent = np.repeat(at, count)
    nth = np.arange(len(parent)) - np.repeat(np.cumsum(count) - count, count)
    start_us = cells.start_us[parent] + nth * step_us
    stop_us = np.minimum(start_us + step_us, cells.stop_us[parent])
    tags = sums.tags[used]
    rows = await read_rows(
        context, sums.network, tags, lambda ids: context.store.parts(table, ids, *ranges)
    )
    some = fill_cells(table, start_us, stop_us, tags, rows)
    amount, covered_s = np.zeros((2, len(start_us), len(sums.tags)))
    amount[:, used], covered_s[:, used] = some.amount, some.covered_s
    return _Finer(SumCells(table, start_us, stop_us, amount, covered_s), parent)


def _join(context: Context, sums: Sums, column: I64, levels: list[_Level]) -> Joint:
    """Return the joint sums of a group from its cells, the finest last."""
    query, windows, pieces = sums.query, len(sums.amount), list[Pieces]()
    whole_cells = list[JointCells]()
    below: _Level | None = None
    for each in reversed(levels):
        level, split = _add_up(each, below)
        inner = split & _few(level, windows)
        pieces += _pieces(level, level.direct & ~inner, level.window, nested=False)
        pieces += _pieces(level, ~level.direct, level.parent, nested=True)
        whole_cells.append(_leaves(level, ~split & (level.length_s > 0)))
        below = level
    first = below
    assert first is not None, "a group has cells"
    joint_s = np.bincount(first.window, first.joint_s, windows).astype(np.float64)
    amount = np.zeros((windows, len(column)))
    np.add.at(amount, first.window, first.amount)
    amount[joint_s == 0] = np.nan
    covered_s = np.repeat(joint_s[:, None], len(column), axis=1)
    tags, elapsed_s = sums.tags[column], query.elapsed_s
    shares = w.shares(sums.covered_s[:, column], elapsed_s)
    # What came between two queries makes no more of it than the first one saw.
    share = joint_s / np.where(elapsed_s > 0, elapsed_s, np.nan)
    share = np.minimum(share, shares.min(axis=-1, initial=1.0))
    names = [sums.network.tags[tag].address for tag in tags.tolist()]
    quality = sums.quality[:, column]
    return Joint(
        replace(sums, tags=tags, amount=amount, covered_s=covered_s, quality=quality),
        tuple(pieces),
        _in_order(whole_cells),
        share,
        missing(shares, names),
        share >= context.settings.value_completeness,
        share >= context.settings.verdict_completeness,
    )


def _add_up(level: _Level, below: _Level | None) -> tuple[_Level, BOOL]:
    """Return the cells as the sums of those below, and which have some.

    A longer one that lacks something and was not looked up is not covered.
    """
    joint_s, amount = level.joint_s.copy(), level.amount.copy()
    split = np.zeros(len(level.at), bool)
    if below is not None:
        split[below.parent] = True
        joint_s[split] = 0.0
        amount[split] = 0.0
        np.add.at(joint_s, below.parent, below.joint_s)
        np.add.at(amount, below.parent, below.amount)
    if level.cells.table in FINER:
        lost = ~split & ~whole(level.joint_s, level.length_s)
        joint_s[lost] = 0.0
        amount[lost] = 0.0
    return level._replace(joint_s=joint_s, amount=amount), split


def _leaves(level: _Level, some: BOOL) -> JointCells:
    """Return the cells that have none below."""
    at, cells = level.at[some], level.cells
    return JointCells(
        cells.start_us[at],
        cells.stop_us[at],
        level.window[some],
        level.joint_s[some],
        level.length_s[some],
        level.amount[some],
    )


def _in_order(parts: list[JointCells]) -> JointCells:
    """Return cells of several tables in time order."""
    order = np.argsort(np.concatenate([part.start_us for part in parts]), kind="stable")
    names = JointCells.__slots__
    columns = (np.concatenate([getattr(part, name) for part in parts])[order] for name in names)
    return JointCells(*columns)


def _pieces(level: _Level, some: BOOL, family: I64, *, nested: bool) -> list[Pieces]:
    """Return some cells as pieces of time; those that have not begun are none."""
    some = some & (level.length_s > 0)
    if not some.any():
        return []
    amount, joint_s, length_s = level.amount[some], level.joint_s[some], level.length_s[some]
    return [Pieces(level.window[some], family[some], amount, joint_s, length_s, nested)]
