"""The uncertainty a ratio has because part of its time is not covered.

The ratio r of two sums over the joint time stands for the whole. Its error is the sum of the
residuals y - r x of the time that is missing, over the sum of x: the residuals of the joint time
add up to zero. How far residuals of different times are alike, the joint time tells.

References
----------
.. [1] W. G. Cochran, Sampling Techniques, 3rd ed., Wiley 1977, 2.8 and 6.4: the variance of a ratio
   and of a sample of a finite population.
.. [2] N. A. C. Cressie, Statistics for Spatial Data, revised ed., Wiley 1993, 2.4 (estimation of
   the variogram), 2.6.2 (weighted least squares) and 3.2 (the variance of a contrast by it).
.. [3] JCGM 100:2008, Guide to the expression of uncertainty in measurement, G.3: a quantile of
   Student's distribution where a variance is estimated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from twin.arrays import BOOL, F64, I64

if TYPE_CHECKING:
    from collections.abc import Sequence

C128 = NDArray[np.complex128]
# A piece of which less is covered tells nothing of the remaining part.
HALF = 0.5
# Lags of a variogram are taken together in classes, each so much longer than the one before.
CLASS_RATIO = 1.4
# Ranges of the variogram that are tried, from below one piece to twice the window.
RANGES = 12
SHORTEST = 0.7
# Degrees of freedom of the variance of a gap for each of its lengths that is covered: chosen by
# trial, such that intervals hold 95 % for noise and for slow processes alike.
FREEDOM = 4.0
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Pieces:
    """The n pieces of time some windows are made of, in time order; joint sums of U tags.

    Those that lie in one window, or in one longer piece, are a family.
    """

    window: I64  # (n,)
    family: I64  # (n,) ascending
    amount: F64  # (n, U) [SI] over the joint time
    joint_s: F64  # (n,)
    length_s: F64  # (n,) that has passed
    nested: bool  # the families are longer pieces


class Variogram(NamedTuple):
    """Half the mean square of differences at a distance: nugget + sill (1 - exp(-lag / range))."""

    nugget: F64  # (W,)
    sill: F64  # (W,)
    decay: F64  # (W, K) exp(-lag / range)


def gap_sigma(
    levels: Sequence[Pieces], over: F64, under: F64, ratio: F64, total: F64, share: F64
) -> F64:
    """Return the standard uncertainty of ratios because of the time that is not covered.

    Parameters
    ----------
    levels
        pieces of the windows, and pieces of those that are partly covered
    over, under : (W, U) float64 [SI]
        weights of both sums
    ratio : (W,) float64 [SI]
        over their joint time; NaN = no ratio
    total : (W,) float64 [SI]
        the sum below, over the joint time
    share : (W,) float64 [1]
        share of the time of the windows that is joint time

    Returns
    -------
    (W,) float64 [SI]
        0 where nothing is missing, NaN where the joint time is too short to tell

    Notes
    -----
    The variance of a contrast of residuals, missing against joint ones, by a variogram of the joint
    ones [2]_: for minutes that are missing at random it is that of a sample of a finite population
    [1]_, for an outage that of a mean over so long. Times Student's quantile over that of the
    normal distribution [3]_.
    """
    known, variance = np.nan_to_num(ratio)[:, None], np.zeros_like(ratio)
    slope = over - known * under
    for level in levels:
        if len(level.window):
            weight = slope[level.window]
            residual = np.where(weight != 0, weight * level.amount, 0.0).sum(axis=-1)
            variance += _variance(level, residual, len(ratio))
    # The sum below of the whole window, at the rate of its joint time.
    whole = np.where(total > 0, total, np.nan) / share
    return np.asarray(np.where(share >= 1, 0.0, np.sqrt(variance)) / whole)


def _variance(level: Pieces, residual: F64, windows: int) -> F64:
    """Return the variances of the residuals that are missing in the families of windows, (W,)."""
    start = np.flatnonzero(np.diff(level.family, prepend=-1))
    size = np.diff(start, append=len(level.family))
    row = np.repeat(np.arange(len(start)), size)
    at = row, np.arange(len(row)) - start[row]
    rate, covered_s, lost_s = np.zeros((3, len(start), int(size.max())))
    # A piece of which less than half is covered counts as missing.
    solid = (level.joint_s >= HALF * level.length_s) & (level.joint_s > 0)
    covered_s[at] = np.where(solid, level.joint_s, 0.0)
    lost_s[at] = level.length_s - covered_s[at]
    rate[at] = np.where(solid, residual / np.where(solid, level.joint_s, 1.0), 0.0)
    # Missing against covered time: it adds up to nothing, as the residuals do.
    lost, covered = lost_s.sum(axis=1), covered_s.sum(axis=1)
    odds = np.where(lost > 0, lost, 0.0) / np.where(covered > 0, covered, np.nan)
    contrast = lost_s - odds[:, None] * covered_s
    if level.nested:
        # So does a longer piece, where it is a member itself.
        contrast[covered < HALF * (covered + lost)] = 0.0
    there, window = covered_s > 0, level.window[start]
    variance = _of_contrast(contrast, _fit(rate, there, window, windows), window)
    variance = np.where(lost > 0, variance, 0.0) * _student(there, lost_s > 0)
    return np.bincount(window, variance, windows).astype(np.float64)


def _student(there: BOOL, lost: BOOL) -> F64:
    """Return the square of Student's quantile over the normal one, for each row of pieces."""
    nth = np.arange(there.shape[1])
    since = nth - np.maximum.accumulate(np.where(there | ~lost, nth, -1), axis=1)
    longest = np.maximum(since.max(axis=1), 1)
    freedom = np.maximum(FREEDOM * there.sum(axis=1) / longest, 1.0)
    probability = (1 + CONFIDENCE) / 2
    quantile = stdtrit(freedom, probability) / stdtrit(np.inf, probability)
    return np.asarray(quantile**2)


def _fit(rate: F64, there: BOOL, window: I64, windows: int) -> Variogram:
    """Return the variogram of the residual rates (P, K) that are there, for each window."""
    count = rate.shape[1]
    lag = np.arange(count)
    edge = _classes(count)
    pairs, square = _differences(rate, there)
    member = (window == np.arange(windows)[:, None]).astype(np.float64)
    pairs, square = (np.add.reduceat(member @ each, edge[:-1], axis=1) for each in (pairs, square))
    half = square / np.maximum(2 * pairs, 1.0)
    middle = np.sqrt(edge[:-1] * (edge[1:] - 1.0))
    weight = pairs / middle
    decay = np.exp(-lag / np.geomspace(SHORTEST, 2 * count, RANGES)[:, None])
    rise = np.add.reduceat(1 - decay, edge[:-1], axis=1) / np.diff(edge)
    nugget, sill, error = _least_squares(weight, half, rise)
    best = np.nanargmin(np.where(np.isnan(error), np.inf, error), axis=1)
    row = np.arange(windows)
    return Variogram(nugget[row, best], sill[row, best], decay[best])


def _classes(count: int) -> I64:
    """Return the edges of classes of lags from 1 to below `count`; one empty class of lag 0."""
    edge = [1]
    while edge[-1] < count:
        edge.append(min(max(edge[-1] + 1, int(edge[-1] * CLASS_RATIO)), count))
    return np.array(edge, dtype=np.int64)


def _differences(rate: F64, there: BOOL) -> tuple[F64, F64]:
    """Return the number of pairs at each lag, and the sum of their squared differences, (P, K)."""
    count = rate.shape[1]
    marked, first, second = (
        np.fft.rfft(each, 2 * count) for each in (there.astype(np.float64), rate, rate**2)
    )

    def correlate(one: C128, other: C128) -> F64:
        return np.asarray(np.fft.irfft(np.conj(one) * other, 2 * count)[:, :count])

    square = correlate(second, marked) + correlate(marked, second) - 2 * correlate(first, first)
    return np.rint(correlate(marked, marked)), np.maximum(square, 0.0)


def _least_squares(weight: F64, half: F64, rise: F64) -> tuple[F64, F64, F64]:
    """Return nugget and sill, neither below 0, and the squared error for each range, (W, R)."""
    s0, t0 = weight.sum(axis=1)[:, None], (weight * half).sum(axis=1)[:, None]
    s1, s2, t1 = weight @ rise.T, weight @ (rise**2).T, (weight * half) @ rise.T
    with np.errstate(divide="ignore", invalid="ignore"):
        determinant = s0 * s2 - s1 * s1
        nugget, sill = (s2 * t0 - s1 * t1) / determinant, (s0 * t1 - s1 * t0) / determinant
        steep, flat = ~(nugget >= 0), ~(sill >= 0)
        only_sill, only_nugget = t1 / s2, np.broadcast_to(t0 / s0, nugget.shape)
    flat &= ~(steep & np.isfinite(only_sill) & np.isfinite(nugget))
    nugget, sill = (
        np.where(flat, only_nugget, np.where(steep, 0.0, nugget)),
        np.where(flat, 0.0, np.where(steep, only_sill, sill)),
    )
    fit = nugget**2 * s0 + 2 * nugget * sill * s1 + sill**2 * s2
    return nugget, sill, fit - 2 * (nugget * t0 + sill * t1)


def _of_contrast(contrast: F64, variogram: Variogram, window: I64) -> F64:
    """Return the variance of contrasts (P, K), (P,)."""
    count = contrast.shape[1]
    spectrum = np.fft.rfft(contrast, 2 * count)
    alike = np.fft.irfft(np.abs(spectrum) ** 2, 2 * count)[:, :count]
    alike[:, 1:] *= 2
    spread = (alike * variogram.decay[window]).sum(axis=1)
    return np.asarray(
        variogram.nugget[window] * alike[:, 0] + variogram.sill[window] * np.maximum(spread, 0.0)
    )
