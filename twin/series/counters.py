"""Increase of a counter between two readings of its register."""

from __future__ import annotations

import numpy as np

from twin.arrays import BOOL, F64

# A full register starts again at zero. Read often enough, it is then seen close below its top and
# next close above zero; a fall from or to anywhere else means a meter that was reset or replaced.
# A tenth of the range on both sides is far more than a register moves between two readings, and
# leaves four fifths of it in which a reset cannot be taken for a rollover.
NEAR_TOP = 0.9
NEAR_ZERO = 0.1


def increase(last: F64, new: F64, rollover: F64) -> tuple[F64, BOOL]:
    """Return the increase of counters between two readings, and mark resets of their registers.

    Parameters
    ----------
    last, new : (...) float64 [SI]   two readings, the older one first; NaN = no value
    rollover : (...) float64 [SI]    the register starts again at zero here; NaN = never

    Returns
    -------
    rise : (...) float64 [SI]   new − last; over a rollover to the top of the register, and `new`;
        after a reset `new` alone, as far as it is above zero. NaN where a reading is missing.
    reset : (...) bool          the count between `last` and the reset is lost
    """
    falls = new < last
    full = (last >= NEAR_TOP * rollover) & (last <= rollover)
    over = falls & full & (new <= NEAR_ZERO * rollover) & (new >= 0)
    reset = falls & ~over
    rise = np.where(over, rollover - last + new, new - last)
    return np.where(reset, np.maximum(new, 0.0), rise), reset
