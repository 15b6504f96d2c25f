"""Figures of the asset register: capacities, and shares of capacity, at times.

References
----------
.. [1] 聊政字〔2019〕6号, rates of conversion (膜极距改造率), of phase-out (淘汰率), of exit: read
   here as shares of capacity, not of the number of units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import BOOL, F64
from twin.model.park import inside
from twin.targets.model import Asset

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from twin.model.park import Park

ZERO_GAP, RETIRED = "zero_gap", "retired"


def assets_of(park: Park, scope: str, kind: str) -> list[Asset]:
    """Return the assets of a kind in a scope; electrolysers are of kind membrane or potline."""
    cells = [
        Asset(
            id=each.id,
            scope=each.scope,
            kind=each.kind,
            capacity=each.capacity,
            has=(ZERO_GAP,) if each.zero_gap else (),
        )
        for each in park.electrolysers
    ]
    every = [*cells, *park.rows(Asset)]
    return [each for each in every if each.kind == kind and inside(each.scope, scope)]


def capacities(assets: Sequence[Asset], has: str, days: Sequence[date]) -> tuple[F64, F64]:
    """Return the capacity with a property, and the whole one, of each asset on some days.

    Parameters
    ----------
    assets : sequence of Asset
    has : str
        the property; ``retired`` is that of an asset past its `until`, and the whole counts all
        that ever stood; empty: any
    days : sequence of date
        W of them

    Returns
    -------
    part, whole : (W, A) float64 [kg/s]
        a capacity that is not known is NaN [1]_
    """
    capacity = np.array([each.capacity for each in assets], np.float64)
    begun = [[a.since is None or a.since <= day for a in assets] for day in days]
    over = [[a.until is not None and a.until <= day for a in assets] for day in days]
    shape = len(days), len(assets)
    old = np.array(over, bool).reshape(shape)
    there = np.array(begun, bool).reshape(shape)
    if has == RETIRED:
        return np.where(old, capacity, 0.0), np.where(there, capacity, 0.0)
    counted: BOOL = np.array([not has or has in a.has for a in assets], bool)
    there = there & ~old
    return np.where(there & counted, capacity, 0.0), np.where(there, capacity, 0.0)
