"""Figures of the asset register: capacities, and shares of capacity, at times.

References
----------
.. [1] 聊政字〔2019〕6号, rates of conversion (膜极距改造率), of phase-out (淘汰率), of exit: read
   here as shares of capacity, not of the number of units.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import BOOL, F64
from twin.model.park import inside
from twin.targets.model import Asset
from twin.targets.retrofits import Retrofit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from twin.model.park import Electrolyser, Park

ZERO_GAP, RETIRED = "zero_gap", "retired"


def assets_of(park: Park, scope: str, kind: str, today: date) -> list[Asset]:
    """Return the assets of a kind in a scope; electrolysers are of kind membrane or potline.

    An electrolyser that gets zero-gap cells is one asset until that day and another one from it on;
    a plan whose day has passed by `today` undone counts for nothing.
    """
    begins = {row.electrolyser: row.begins(today) for row in park.rows(Retrofit)}
    cells = [part for each in park.electrolysers for part in _parts(each, begins.get(each.id))]
    every = [*cells, *park.rows(Asset)]
    return [each for each in every if each.kind == kind and inside(each.scope, scope)]


def _parts(cell: Electrolyser, begins: date | None) -> list[Asset]:
    """Return an electrolyser as assets: before and after it gets zero-gap cells."""
    asset = Asset(id=cell.id, scope=cell.scope, kind=cell.kind, capacity=cell.capacity)
    changed = replace(asset, has=(ZERO_GAP,), since=begins)
    if begins is not None:
        return [replace(asset, until=begins), changed]
    return [changed if cell.zero_gap else asset]


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
