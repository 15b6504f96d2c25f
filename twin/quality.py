"""Quality of a sample: one uint8, severity in the top two bits, reason in the low five.

Good, uncertain, bad, as in OPC UA [1]_; bad values are stored and never used. Bit 5 marks the value
of a simulator; it travels into everything derived from such a value.

References
----------
.. [1] OPC UA Part 8: Data Access, section 6.3: status codes of values.
"""

from __future__ import annotations

import numpy as np

from twin.arrays import BOOL, F64, INTP, U8

GOOD = 0
UNCERTAIN = 64
BAD = 128
SIMULATED = 32

OUT_OF_RANGE = 1
STALE = 2
SUBSTITUTED = 3
NOT_CONNECTED = 4
NOT_A_NUMBER = 5
FAULT = 6
MAINTENANCE = 7
CALIBRATION = 8
INCOMPLETE = 9
MANUAL = 10
RESET = 11  # a counter was reset or replaced: its count since the reading before is not known
OUT_OF_SERVICE = 12
RATE_OF_CHANGE = 13  # further from the value before than the tag can move in the time between
STUCK = 14  # samples come, and not a bit of them changes
UNIT_ERROR = 15  # right in another unit of measure
CLOCK_SKEW = 16  # its gateway's clock is wrong
INCONSISTENT = 17  # the balances contradict the meters it follows from
LATE = 18  # not heard of for longer than usual; of live values only, never stored
SPREAD = 24  # an amount that is known for a longer time only, spread evenly over it
FALSE_READING = 25  # a reading between two of a counter was false: zero or a sentinel
REPLACED = 26  # first reading of a meter that took the place of another

WORDS = {"good": GOOD, "uncertain": UNCERTAIN, "bad": BAD}
NO_DATA = BAD | NOT_CONNECTED

_FLAG = np.uint8(SIMULATED)


def usable(quality: U8) -> BOOL:
    """Return a mask of the usable values: good or uncertain ones.

    Parameters
    ----------
    quality : (...) uint8

    Returns
    -------
    (...) bool
    """
    return quality < BAD


def within(value: F64, low: F64, high: F64, quality: U8) -> U8:
    """Return the quality of values; a good one outside of its range becomes uncertain.

    Parameters
    ----------
    value, low, high : (...) float64 [u]   NaN as a bound = no bound
    quality : (...) uint8                  quality of the values so far

    Returns
    -------
    (...) uint8
    """
    doubtful = (quality < UNCERTAIN) & ((value < low) | (value > high))
    out = quality & _FLAG | np.uint8(UNCERTAIN | OUT_OF_RANGE)
    return np.where(doubtful, out, quality)


def worse(first: U8, second: U8) -> U8:
    """Return the worse of two qualities, element by element.

    Parameters
    ----------
    first, second : (...) uint8

    Returns
    -------
    (...) uint8   the worse severity and reason; the simulated flag of either stays
    """
    flag = (first | second) & _FLAG
    return np.asarray(np.maximum(first & ~_FLAG, second & ~_FLAG) | flag, dtype=np.uint8)


def worst_of(quality: U8, starts: INTP) -> U8:
    """Return the worst quality of each run of values.

    Parameters
    ----------
    quality : (..., n) uint8
    starts : (r,) intp   first row of each run, ascending from 0; a run ends at the next

    Returns
    -------
    (..., r) uint8       the worst severity and reason; the simulated flag of any stays
    """
    severity = np.maximum.reduceat(quality & ~_FLAG, starts, axis=-1)
    return np.asarray(severity | (np.bitwise_or.reduceat(quality, starts, axis=-1) & _FLAG))
