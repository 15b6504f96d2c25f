"""Green power that covers bought electricity: contracts and certificates of ``[[green_power]]``.

References
----------
.. [1] WRI and WBCSD, GHG Protocol Scope 2 Guidance, 2015, chapter 6: contracts count in the
   market-based method alone; what they do not cover takes the residual mix.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

import numpy as np

from twin.arrays import F64, I64, SECOND_US
from twin.model.park import inside
from twin.model.rows import RowFault, cell, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twin.model.park import Park

NAN = float("nan")


@table
class GreenPower:
    """Green power bought for a scope in a period, both days included.

    By the energy of the period, by its share of all that is bought, or by a meter of deliveries.
    """

    id: str = cell("text")
    scope: str = cell("scope")
    kind: Literal["certificate", "contract"] = cell("one certificate contract")
    first: date = cell("date", key="from")
    last: date = cell("date", key="to")
    energy: float = cell("above energy", default=NAN)
    share: float = cell("share", default=NAN)
    tag: str = cell("tag power energy*", default="")
    premium: float = cell("quantity energy_price", default=NAN)  # on top of the tariff
    source: str = cell("any", default="")
    note: str = cell("any", default="")


@dataclass(frozen=True, slots=True)
class GreenCover:
    """What the rows of one scope cover of its bought electricity in W windows."""

    energy: F64  # (W,) [J] stated for the windows, without meters
    share: F64  # (W,) [1] of all that is bought, at most 1
    tags: dict[str, F64]  # (W,) [1] share of each window in which a meter's deliveries count


def check_green_power(park: Park) -> Iterator[RowFault]:
    """Yield rows whose period ends before it begins, and those without one amount."""
    for row in park.rows(GreenPower):
        if row.last < row.first:
            yield RowFault(row, "is before from", "to")
        stated = [not np.isnan(row.energy), not np.isnan(row.share), bool(row.tag)]
        if sum(stated) != 1:
            yield RowFault(row, "needs one of energy, share and tag")
        if row.tag and not np.isnan(row.premium):
            yield RowFault(row, "a premium is of a stated energy or share", "premium")


def green_scopes(park: Park, scope: str) -> list[str]:
    """Return the scopes with green power inside a scope, and those around it, outermost first."""
    rows = {row.scope for row in park.rows(GreenPower)}
    return sorted(s for s in rows if inside(s, scope) or inside(scope, s))


def green_cover(park: Park, scope: str, edges: I64, until_us: int) -> GreenCover:
    """Return what the rows of one scope cover in some windows.

    Parameters
    ----------
    park : Park
    scope : str
        of the rows; those of other scopes do not count
    edges : (W+1,) int64 [µs]
        of the windows
    until_us : int [µs]
        the end of what is counted: the last window may not be over

    Returns
    -------
    GreenCover
        the energy of a period is spread evenly over it [1]_
    """
    zone = ZoneInfo(park.timezone)
    cover = GreenCover(np.zeros(len(edges) - 1), np.zeros(len(edges) - 1), {})
    starts, stops = edges[:-1], np.minimum(edges[1:], until_us)
    for row in park.rows(GreenPower):
        if row.scope != scope:
            continue
        begin, end = _midnight(row.first, zone), _midnight(row.last + timedelta(days=1), zone)
        common = np.maximum(np.minimum(stops, end) - np.maximum(starts, begin), 0)
        part = common / np.maximum(stops - starts, 1)
        if row.tag:
            cover.tags[row.tag] = np.minimum(cover.tags.get(row.tag, 0.0) + part, 1.0)
        elif np.isnan(row.share):
            cover.energy[:] += row.energy * common / (end - begin)
        else:
            cover.share[:] = np.minimum(cover.share + row.share * part, 1.0)
    return cover


def _midnight(day: date, zone: ZoneInfo) -> int:
    """Return the first moment of a day [µs]."""
    return round(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) * SECOND_US


def covered_energy(cover: GreenCover, bought: F64, delivered: F64) -> F64:
    """Return the bought electricity that green power covers: never more than there is.

    Parameters
    ----------
    cover : GreenCover
    bought : (W,) float64 [J]
        electricity bought for the scope of the cover
    delivered : (W,) float64 [J]
        what the meters of its rows counted

    Returns
    -------
    (W,) float64 [J]
        NaN where a part is not known [1]_
    """
    stated = cover.energy + cover.share * bought + delivered
    return np.minimum(stated, np.maximum(bought, 0.0))


def green_premium(
    park: Park, scope: str, edges: I64, until_us: int, bought: F64
) -> tuple[F64, F64]:
    """Return the green power with a premium of the rows of one scope, and what that costs.

    Parameters
    ----------
    park, scope, edges, until_us
        as of `green_cover`
    bought : (W,) float64 [J]
        electricity bought for the scope; no more has a premium

    Returns
    -------
    energy : (W,) float64 [J]
    cost : (W,) float64 [CNY]
    """
    zone = ZoneInfo(park.timezone)
    energy, cost = np.zeros((2, len(edges) - 1))
    starts, stops = edges[:-1], np.minimum(edges[1:], until_us)
    for row in park.rows(GreenPower):
        if row.scope != scope or np.isnan(row.premium):
            continue
        begin, end = _midnight(row.first, zone), _midnight(row.last + timedelta(days=1), zone)
        common = np.maximum(np.minimum(stops, end) - np.maximum(starts, begin), 0)
        if np.isnan(row.share):
            part = row.energy * common / (end - begin)
        else:
            part = row.share * bought * common / np.maximum(stops - starts, 1)
        energy, cost = energy + part, cost + part * row.premium
    used = np.where(energy > bought, np.maximum(bought, 0.0) / np.maximum(energy, 1.0), 1.0)
    return energy * used, cost * used
