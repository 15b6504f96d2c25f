"""Sentinels: numbers by which drivers and historians say that there is no value."""

from __future__ import annotations

from functools import cache

import numpy as np

from twin import quality as q
from twin.arrays import F64, U8
from twin.reference import load as load_reference

# A driver may have scaled a register by a power of ten before it sent it.
DECIMALS = 3
SAME = 1e-7
# Beyond its range by so many times its width a tag shows no measurement.
FAR = 10.0


@cache
def _known() -> F64:
    """Return the sentinels of the reference with up to three decimals, ascending."""
    values = [float(row["number"]) for row in load_reference("sentinels").values()]
    return np.unique([value / 10.0**n for value in values for n in range(DECIMALS + 1)])


def is_sentinel(value: float) -> bool:
    """Return whether a number, in the unit of measure it was sent in, is one of a driver."""
    known = _known()
    return bool((np.abs(known - value) <= SAME * np.abs(known)).any())


def without_sentinels(value: F64, sent: F64, low: F64, high: F64, quality: U8) -> U8:
    """Return the quality of values; sentinels, and what is far out of its range, become bad.

    Parameters
    ----------
    value, low, high : (...) float64 [u]   NaN as a bound = no bound
    sent : (...) float64                   the values as they were sent
    quality : (...) uint8                  of the values, uncertain where they are out of range

    Returns
    -------
    (...) uint8
    """
    out = np.flatnonzero((quality & ~np.uint8(q.SIMULATED)) == (q.UNCERTAIN | q.OUT_OF_RANGE))
    largest = np.flatnonzero(np.abs(sent) >= np.finfo(np.float32).max * (1 - SAME))
    if not len(out) and not len(largest):
        return quality
    width = (high - low)[out]
    with np.errstate(invalid="ignore"):
        far = np.maximum(value - high, low - value)[out] > FAR * width
    named = np.array([is_sentinel(number) for number in sent[out].tolist()], bool)
    bad = quality.copy()
    bad[out[far | named]] = quality[out[far | named]] & q.SIMULATED | q.BAD | q.OUT_OF_RANGE
    bad[largest] = quality[largest] & q.SIMULATED | q.BAD | q.NOT_A_NUMBER
    return bad
