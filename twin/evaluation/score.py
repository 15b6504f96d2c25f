"""Scores, ranks and classes of enterprises, with the interval of what they are made of.

References
----------
.. [1] 山东省“亩产效益”评价 (evaluation of industrial enterprises above designated size, since
   2019-12-10): five indicators, classes A to D. The formula is the usual one of the provinces and
   unverified: domain knowledge, not read in a notice of Liaocheng.
.. [2] 淮安市 2024: tax per mu 45 %, sales per mu 35 %, tax per energy 20 %; benchmarks of about
   twice last year's mean; A to 20 %, B to 60 %, C to 95 %, D; T not rated. A secondary source.
.. [3] JCGM 106:2012, Evaluation of measurement data: the role of measurement uncertainty in
   conformity assessment, section 8: a decision needs the whole interval on one side of a limit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from twin.arrays import BOOL, F64, I64

HUNDRED = 100.0
MIDDLE = 0.5
# Scores are compared to so many decimals: the last bit of a division makes no rank.
DECIMALS = 9


class Scores(NamedTuple):
    """Points and scores of E enterprises by I indicators; NaN = not known."""

    points: F64  # (E, I)
    score: F64  # (E,)
    low: F64  # (E,) lower end of its interval
    high: F64  # (E,)


class Classes(NamedTuple):
    """Ranks and classes of E enterprises; classes count from 0, the best."""

    rank: I64  # (E,) of the score, from 1; 0 = none
    best: I64  # (E,) class, at the best that the intervals allow
    worst: I64  # (E,)


def mean_benchmark(value: F64, half_width: F64, times: F64) -> tuple[F64, F64]:
    """Return benchmarks that are some times the mean of last year's figures.

    Parameters
    ----------
    value, half_width : (E, I) float64 [u]
        figures of last year and half their intervals; NaN = not known, not in the mean
    times : (I,) float64 [1]

    Returns
    -------
    benchmark, half_width : (I,) float64 [u]
        NaN where no enterprise has a figure; the figures are in error independently [2]_
    """
    known = ~np.isnan(value)
    count = known.sum(axis=0)
    each = times / np.where(count > 0, count, np.nan)
    width = np.sqrt(np.where(known, half_width**2, 0.0).sum(axis=0))
    return each * np.where(known, value, 0.0).sum(axis=0), each * width


def rate(
    value: F64,
    half_width: F64,
    benchmark: F64,
    benchmark_half_width: F64,
    weight: F64,
    cap: F64,
    extra: F64,
) -> Scores:
    """Return the scores of enterprises: Σ weight · min(value / benchmark, cap) · 100 + extra.

    Parameters
    ----------
    value, half_width : (E, I) float64 [u]
        indicators and half their 95 % intervals; NaN = not known
    benchmark, benchmark_half_width : (E, I) float64 [u]
        what each is compared with, > 0, by the rule of the enterprise
    weight, cap : (I,) float64 [1]
        weights, 1 together; the most that a ratio counts, infinity = all of it
    extra : (E,) float64 [1]
        bonus less malus, in points

    Returns
    -------
    Scores
        of an enterprise without one of its indicators there is no score [1]_. The ends are those of
        all indicators together, as if all were wrong in one direction: some have a meter in common.
    """
    known = np.where(benchmark > 0, benchmark, np.nan)
    share = value / known
    width = np.hypot(half_width / known, share * benchmark_half_width / known)
    each = HUNDRED * weight
    points, low, high = (
        each * np.minimum(end, cap) for end in (share, share - width, share + width)
    )
    return Scores(points, *(part.sum(axis=-1) + extra for part in (points, low, high)))


def classify_by_rank(scores: Scores, rated: BOOL, vetoed: BOOL, limits: F64) -> Classes:
    """Return the classes of enterprises by their share of the ranks.

    Parameters
    ----------
    scores : Scores
        of E enterprises
    rated, vetoed : (E,) bool
        which have a rank; which of them are in the last class whatever they score, and last
    limits : (C,) float64 [1]
        share of the ranks up to which each class reaches, the last 1

    Returns
    -------
    Classes
        the r-th of n lies at (r − ½) / n: so of 20 enterprises the first 4 are within 20 %. Equal
        scores share the better rank. The best and the worst rank follow from who is surely better
        and who may be [3]_; one without a score may be anywhere. A single enterprise has no share.
    """
    low, high, score = (
        np.round(part, DECIMALS) for part in (scores.low, scores.high, scores.score)
    )
    open_ = np.isnan(low) | np.isnan(high)
    low, high = np.where(open_, -np.inf, low), np.where(open_, np.inf, high)
    low, high, score = (np.where(vetoed, -np.inf, part) for part in (low, high, score))
    count = int(rated.sum())

    def behind(better: BOOL) -> I64:
        other = better & rated[:, None] & ~np.eye(len(rated), dtype=bool)
        return np.asarray(1 + other.sum(axis=0), dtype=np.int64)

    rank = behind(score[:, None] > score)
    best, worst = behind(low[:, None] > high), behind(high[:, None] > low)
    first, last = (_class_at((each - MIDDLE) / max(count, 1), limits) for each in (best, worst))
    if count == 1:
        first, last = np.zeros_like(first), np.full_like(last, len(limits) - 1)
    rank = np.where(rated & ~np.isnan(score), rank, 0)
    return _settled(Classes(rank, first, last), vetoed, limits)


def classify_by_score(scores: Scores, rated: BOOL, vetoed: BOOL, least: F64) -> Classes:
    """Return the classes of enterprises by limits of their scores.

    Parameters
    ----------
    scores, rated, vetoed
        as of `classify_by_rank`
    least : (C,) float64 [1]
        the least score of each class, falling, the last minus infinity

    Returns
    -------
    Classes
        the interval of a score decides which are possible [3]_
    """
    low, high = (np.round(part, DECIMALS) for part in (scores.low, scores.high))
    open_ = np.isnan(low) | np.isnan(high)
    low, high = np.where(open_, -np.inf, low), np.where(open_, np.inf, high)
    best, worst = (_class_at(-end, -least) for end in (high, low))
    rank = classify_by_rank(scores, rated, vetoed, np.ones(1)).rank
    return _settled(Classes(rank, best, worst), vetoed, least)


def _class_at(position: F64, limits: F64) -> I64:
    """Return the first class that reaches a position, up to the decimals that count."""
    return np.asarray(np.searchsorted(np.round(limits, DECIMALS), np.round(position, DECIMALS)))


def _settled(classes: Classes, vetoed: BOOL, limits: F64) -> Classes:
    """Return classes with the vetoed in the last one."""
    last = len(limits) - 1
    best, worst = (
        np.where(vetoed, last, np.minimum(c, last)) for c in (classes.best, classes.worst)
    )
    return Classes(classes.rank, best, worst)
