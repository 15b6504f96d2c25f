"""Quality of a sample: one uint8, severity in the top two bits, reason in the low five.

OPC UA Part 8 §6.3 in spirit: good, uncertain, bad; bad values are stored and never used. Bit 5 says
that the value came from a simulator; it travels into everything derived from such a value.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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

WORDS = {"good": GOOD, "uncertain": UNCERTAIN, "bad": BAD}
NO_DATA = BAD | NOT_CONNECTED

U8 = NDArray[np.uint8]
_FLAG = np.uint8(SIMULATED)


def usable(quality: U8) -> NDArray[np.bool_]:
    """Return where a value may be used: good or uncertain."""
    return quality < BAD


def worse(first: U8, second: U8) -> U8:
    """Return the worse of two qualities, element by element; the simulated flag of either stays."""
    flag = (first | second) & _FLAG
    return np.asarray(np.maximum(first & ~_FLAG, second & ~_FLAG) | flag, dtype=np.uint8)


def worst_of(quality: U8, starts: NDArray[np.intp]) -> U8:
    """Return the worst quality of each run of `quality` that begins at `starts`."""
    severity = np.maximum.reduceat(quality & ~_FLAG, starts, axis=-1)
    return np.asarray(severity | (np.bitwise_or.reduceat(quality, starts, axis=-1) & _FLAG))
