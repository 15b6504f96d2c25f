"""Limits of the load of electrolysers and potlines: ``[[load_limits]]``, or the usual ones.

References
----------
.. [1] T. F. O'Brien, T. V. Bommaraju, F. Hine, Handbook of Chlor-Alkali Technology, Springer, 2005:
   range of the current density of membrane cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.arrays import HOUR_S
from twin.model.rows import RowFault, cell, table
from twin.reference import load as load_reference
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twin.model.park import Electrolyser, Park

NAN = float("nan")


@table
class LoadLimits:
    """The currents an electrolyser or potline may be run at; what is left out is the usual."""

    electrolyser: str = cell("text")
    low: float = cell("above current", default=NAN)
    high: float = cell("above current", default=NAN)
    ramp: float = cell("above current", default=NAN)  # most change in an hour
    stop: bool = cell("flag", default=False)
    min_up: float = cell("quantity time", default=0.0)
    min_down: float = cell("quantity time", default=0.0)
    start_cost: float = cell("quantity money", default=0.0)
    source: str = cell("any", default="")
    note: str = cell("any", default="")


@table
class FlexibleUser:
    """A plant that may take its chlorine at other hours: as much in a day, inside a band."""

    scope: str = cell("scope")
    low: float = cell("share")  # of what it takes now
    high: float = cell("number")
    source: str = cell("any", default="")
    note: str = cell("any", default="")


@dataclass(frozen=True, slots=True)
class CurrentLimits:
    """The limits of an electrolyser that holds a current now."""

    low: float  # [A]
    high: float  # [A]
    ramp: float  # [A/s]
    row: LoadLimits | None  # of the model; None = the usual ones


def check_load_limits(park: Park) -> Iterator[RowFault]:
    """Yield rows of no electrolyser, and limits that leave no current."""
    known = {e.id for e in park.electrolysers}
    for row in park.rows(LoadLimits):
        if row.electrolyser not in known:
            yield RowFault(row, f"there is no electrolyser {row.electrolyser!r}", "electrolyser")
        if row.low > row.high:
            yield RowFault(row, "is above high", "low")
        if min(row.min_up, row.min_down, row.start_cost) < 0:
            yield RowFault(row, "has a time or cost below zero")


def check_flexible_users(park: Park) -> Iterator[RowFault]:
    """Yield bands without the present use, and plants that no chlorine alone goes to."""
    media = load_reference("media")
    for row in park.rows(FlexibleUser):
        if not row.low <= 1 <= row.high or row.low == row.high:
            yield RowFault(row, "the present use is 1: low is below it, high above it", "high")
        taken = [s.medium for s in park.streams if s.to == row.scope]
        parts = [set(media.get(each, {}).get("composition", {})) for each in taken]
        if not any("chlorine" in each for each in parts):
            yield RowFault(row, f"no stream of chlorine goes to {row.scope}", "scope")
        if any("hydrogen" in each for each in parts):
            text = "it takes hydrogen as well, which would have to follow: it cannot be planned"
            yield RowFault(row, text, "scope")


def limits_of(park: Park, electrolyser: Electrolyser, current: float) -> CurrentLimits:
    """Return the limits of an electrolyser at its present current.

    Parameters
    ----------
    park : Park
    electrolyser : Electrolyser
    current : float [A]

    Returns
    -------
    CurrentLimits
        those of the model; what it leaves out by the reference table: a current density of
        membrane cells [1]_, a share of the present current of potlines, and no more than at present
        where neither is known
    """
    row = next((r for r in park.rows(LoadLimits) if r.electrolyser == electrolyser.id), None)
    usual: dict[str, Any] = load_reference("load_plan")["limits"][electrolyser.kind]
    if "low_density" in usual:
        low, high = (
            parse_quantity(usual[name], "current_density") * electrolyser.area
            for name in ("low_density", "high_density")
        )
    else:
        low, high = (usual[name] * current for name in ("low_share", "high_share"))
    low, high = (current if np.isnan(each) else each for each in (low, high))
    ramp = usual["ramp_share"] * current
    if row is not None:
        low, high, ramp = (
            usual_ if np.isnan(own) else own
            for own, usual_ in ((row.low, low), (row.high, high), (row.ramp, ramp))
        )
    # A unit beyond its limits stays where it is until the plan moves it.
    return CurrentLimits(min(low, current), max(high, current), ramp / HOUR_S, row)
