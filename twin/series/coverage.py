"""The policy for missing data: which time a figure uses, and when it says nothing.

1. A ratio or a balance uses the time in which every one of its inputs is covered: its joint time.
   An amount is what was measured, next to its completeness.
2. Within a minute, and in a longer piece of time that is covered but for a second, each tag is
   taken at the mean of what is covered, for as long as the tag that is covered least. Which seconds
   of a minute these are is not stored; so nothing is thrown away, a gateway that is silent for half
   a minute changes no ratio, and no threshold decides.
3. A stock is no flow: it is an input at the edges of each run of joint time, and only there.
4. The interval of a ratio is that of its meters, widened by what is not covered
   (`twin.series.gaps`).
5. Below a share of joint time there is no value, and below a larger one no verdict. The answer
   names the tags that are missing.

An estimate for the whole is made only where a method gives one, and is marked as such: by the
balances (`twin.reconciliation`), or by the rule of a standard (`twin.emissions.substitution`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import BOOL, F64, I64

if TYPE_CHECKING:
    from collections.abc import Sequence

# A piece of time that lacks no more than this is whole.
SLACK_S = 1.0
# Below this share of covered time a sum is no longer good, and its tag is missing.
COMPLETE = 0.99


def joint_time(covered_s: F64, elapsed_s: F64) -> F64:
    """Return the time in which all of some tags are covered.

    Parameters
    ----------
    covered_s : (..., U) float64 [s]   time with usable data of each tag in each piece of time
    elapsed_s : (...) float64 [s]      time of the piece that has passed

    Returns
    -------
    (...) float64 [s]
        that of the tag that is covered least, at most what has passed
    """
    return np.asarray(np.minimum(covered_s.min(axis=-1, initial=np.inf), elapsed_s))


def joint_amount(amount: F64, covered_s: F64, joint_s: F64) -> F64:
    """Return the amounts of tags over their joint time.

    Parameters
    ----------
    amount, covered_s : (..., U) float64 [SI, s]   sums of each tag in each piece of time
    joint_s : (...) float64 [s]                    of `joint_time`

    Returns
    -------
    (..., U) float64 [SI]                          0 without joint time
    """
    joint = np.broadcast_to(joint_s[..., None], covered_s.shape)
    # What is covered alike keeps its bits.
    part = np.where(joint >= covered_s, 1.0, joint / np.where(covered_s > 0, covered_s, 1.0))
    return np.where(joint > 0, amount * part, 0.0)


def whole(joint_s: F64, elapsed_s: F64) -> BOOL:
    """Tell the pieces of time that lack nothing.

    Parameters
    ----------
    joint_s, elapsed_s : (...) float64 [s]   of `joint_time`

    Returns
    -------
    (...) bool
    """
    return np.asarray(joint_s >= elapsed_s - SLACK_S)


def missing(share: F64, names: Sequence[str]) -> list[list[str]]:
    """Return the names of the tags that are missing in each window.

    Parameters
    ----------
    share : (W, U) float64 [1]   share of the time each tag is covered; NaN = nothing is expected
    names : (U,) str

    Returns
    -------
    list of list of str          the least covered first
    """
    order = np.argsort(share, axis=-1, kind="stable")
    lacks: BOOL = np.take_along_axis(share, order, axis=-1) < COMPLETE
    return [
        [names[u] for u in some[lack].tolist()] for some, lack in zip(order, lacks, strict=True)
    ]


def runs_of(joint: BOOL, window: I64) -> tuple[I64, I64]:
    """Return the first piece and the one after the last of each run of joint time in a window.

    Parameters
    ----------
    joint : (n,) bool      whether a piece is joint time; in time order, without a gap between them
    window : (n,) int64    of each piece; a run ends with its window

    Returns
    -------
    first, stop : (r,) int64
    """
    window = np.where(joint, window, -1)
    edge = np.flatnonzero(np.diff(window, prepend=-1, append=-1))
    first = edge[:-1][window[edge[:-1]] >= 0]
    return first, edge[np.searchsorted(edge, first, "right")]
