"""What a viewer of the catalogue may know: the figures of others, and sums that give them away.

References
----------
.. [1] A. Hundepool et al., Statistical Disclosure Control, Wiley 2012, chapter 4: the minimum
   frequency rule and the dominance rule for tables of magnitudes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import BOOL, F64, I64
from twin.byproducts.catalogue import LEVELS

if TYPE_CHECKING:
    from collections.abc import Sequence

MEMBERS_MIN = 3
DOMINANCE = 0.8
FEW, DOMINATED, LINKED = "few_members", "one_dominates", "linked"


def hidden(viewer: str, *levels: str) -> bool:
    """Tell whether quantities and prices are withheld from a viewer.

    A viewer is of a level of `LEVELS` and sees figures of this level and those before it; of
    several levels, like those of both sides of a transfer, the strictest counts.
    """
    return max(map(LEVELS.index, levels), default=0) > LEVELS.index(viewer)


def withheld(amount: F64, members: Sequence[str], concealed: Sequence[bool]) -> str:
    """Return why a sum is withheld; empty where it gives no member away.

    Parameters
    ----------
    amount : (n,) float64 [SI]      the parts of the sum; their sizes count, NaN counts as nothing
    members : (n,)                  who each part is of
    concealed : (n,)                whether the viewer may not see the part

    Returns
    -------
    str
        ``few_members`` where the concealed parts are of fewer than three members, ``one_dominates``
        where more than 80 % of them is of one, the rules of [1]_

    Notes
    -----
    The rules are held by the concealed parts alone: the others can be subtracted by who sees them.
    """
    if not any(concealed):
        return ""
    size: dict[str, float] = {}
    parts = np.abs(np.nan_to_num(amount)).tolist()
    for part, member, mine in zip(parts, members, concealed, strict=True):
        # Who gives nothing hides nobody.
        if mine and part:
            size[member] = size.get(member, 0.0) + part
    if len(size) < MEMBERS_MIN:
        return FEW
    return DOMINATED if max(size.values()) > DOMINANCE * sum(size.values()) else ""


def spread(source: BOOL, sink: BOOL, ways: tuple[I64, I64]) -> tuple[BOOL, BOOL]:
    """Return whose flows would tell those of a concealed row, because ways link them.

    Parameters
    ----------
    source, sink : (P,) and (Q,) bool   rows that are concealed
    ways : pair of (L,) int64           source and sink of each way

    Returns
    -------
    (P,) and (Q,) bool
        the concealed rows, and all that ways lead to from them, however many lie between: what a
        sink is known to take, less what others are seen to give, is what is concealed [1]_
    """
    source, sink = source.copy(), sink.copy()
    while True:
        before = int(source.sum() + sink.sum())
        linked = source[ways[0]] | sink[ways[1]]
        np.logical_or.at(source, ways[0], linked)
        np.logical_or.at(sink, ways[1], linked)
        if int(source.sum() + sink.sum()) == before:
            return source, sink
