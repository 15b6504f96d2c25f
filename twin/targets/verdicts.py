"""Verdicts: a figure against its goal, as certain as the interval of the figure allows.

References
----------
.. [1] 聊政字〔2019〕6号 (Liaocheng municipal government, 2019): dated targets for electricity per
   tonne of aluminium, local use of liquid chlorine, zero-gap conversion and others.
.. [2] JCGM 106:2012, Evaluation of measurement data: the role of measurement uncertainty in
   conformity assessment, section 8: a decision needs the whole coverage interval on one side.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from twin.arrays import BOOL, F64, I8

NOT_MET, MET, UNDECIDED = 0, 1, 2
WORDS = ("not_met", "met", "undecided")


def verdict(
    value: F64,
    goal: F64,
    at_most: BOOL,
    half_width: F64 | float = 0.0,
    *,
    decisive: ArrayLike = True,
) -> I8:
    """Judge if goals are met.

    Parameters
    ----------
    value : (...) float64 [u]
        figure that was reached; NaN = not known
    goal : (...) float64 [u]
        goal with its tolerance, in the unit of the value
    at_most : (...) bool
        whether the goal is a cap; else it is a floor
    half_width : (...) float64 [u], optional
        half of the value's confidence interval; 0 = taken as exact
    decisive : (...) bool, optional
        whether enough of the time is covered for a verdict

    Returns
    -------
    (...) int8
        MET, NOT_MET, or UNDECIDED where the value is not known, too little of the time is covered
        or the goal lies inside the interval of the value [2]_. A value that equals the goal and is
        exact meets it.
    """
    room = np.where(at_most, goal - value, value - goal)
    clear = np.where(room >= half_width, MET, np.where(room < -half_width, NOT_MET, UNDECIDED))
    known = ~(np.isnan(room) | np.isnan(half_width)) & np.asarray(decisive, dtype=bool)
    return np.where(known, clear, UNDECIDED).astype(np.int8)


def shortfall(value: F64, goal: F64, at_most: BOOL) -> F64:
    """Return the distance of a figure from its goal, on the wrong side.

    Parameters
    ----------
    value, goal, at_most
        as of `verdict`

    Returns
    -------
    (...) float64 [u]
        0 where the goal is met, NaN where the value is not known [1]_
    """
    return np.asarray(np.maximum(np.where(at_most, value - goal, goal - value), 0.0))
