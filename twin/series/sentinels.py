"""Sentinels: numbers by which drivers and historians say that there is no value.

They are those of ``twin/reference/sentinels.toml``, most of them the not implemented values of
SunSpec [1]_.

References
----------
.. [1] SunSpec Alliance: SunSpec Device Information Model Specification.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from twin import quality as q
from twin.arrays import BOOL, F64, U8
from twin.reference import load as load_reference

# A driver may have scaled a register by a power of ten before it sent it.
DECIMALS = 3
SAME = 1e-7
# Beyond its range by so many times its width a tag shows no measurement.
FAR = 10.0
# The largest number of 32 bits is 3.4028e38, and some send it with two digits.
LARGEST = 3.4e38
_FLAG = np.uint8(q.SIMULATED)


@cache
def _known() -> F64:
    """Return the sentinels of the reference with up to three decimals, ascending."""
    values = [float(row["number"]) for row in load_reference("sentinels").values()]
    return np.unique([value / 10.0**n for value in values for n in range(DECIMALS + 1)])


def is_sentinel(value: float) -> bool:
    """Return whether a number is one that drivers send for no value.

    Parameters
    ----------
    value : float [u]     in the unit of measure it was sent in

    Returns
    -------
    bool
    """
    known = _known()
    return bool((np.abs(known - value) <= SAME * np.abs(known)).any())


def without_sentinels(sent: F64, quality: U8) -> U8:
    """Return the quality of values; sentinels out of their range become bad.

    Parameters
    ----------
    sent : (n,) float64 [u]   values as they were sent
    quality : (n,) uint8      theirs, uncertain where they are out of range

    Returns
    -------
    (n,) uint8
    """
    out = np.flatnonzero(_are_outside(quality))
    largest = np.flatnonzero(np.abs(sent) >= LARGEST)
    if not len(out) and not len(largest):
        return quality
    named = out[[is_sentinel(number) for number in sent[out].tolist()]]
    bad = quality.copy()
    bad[named] = quality[named] & _FLAG | np.uint8(q.BAD | q.OUT_OF_RANGE)
    bad[largest] = quality[largest] & _FLAG | np.uint8(q.BAD | q.NOT_A_NUMBER)
    return bad


def without_far(value: F64, low: F64, high: F64, quality: U8) -> U8:
    """Return the quality of values; those far out of their range become bad.

    Parameters
    ----------
    value, low, high : (n,) float64 [u]   NaN as a bound = no bound
    quality : (n,) uint8                  of the values, uncertain where they are out of range

    Returns
    -------
    (n,) uint8
    """
    far = _are_outside(quality)
    if not far.any():
        return quality
    far &= np.maximum(value - high, low - value) > FAR * (high - low)
    return np.where(far, quality & _FLAG | np.uint8(q.BAD | q.OUT_OF_RANGE), quality)


def _are_outside(quality: U8) -> BOOL:
    """Return which values are out of their range, and nothing worse."""
    return np.asarray((quality & ~_FLAG) == np.uint8(q.UNCERTAIN | q.OUT_OF_RANGE))
