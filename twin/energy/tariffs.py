"""Price tiers: what electricity costs an aluminium smelter on top, by how much it needs per tonne.

References
----------
.. [1] 关于完善电解铝行业阶梯电价政策的通知, 发改价格〔2021〕1239号.
.. [2] 关于电解铝企业用电实行阶梯电价政策的通知, 发改价格〔2013〕2530号.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from twin.arrays import BOOL, F64, I64
from twin.reference import load as load_reference
from twin.uom import parse_quantity

# Steps and points are counted to a millionth of one, far below what a meter can tell apart, so that
# the last bit of a division makes no step.
DECIMALS = 6


def aluminium_surcharge(
    intensity: F64, year: int, renewable: F64 | float = 0.0, minimum: F64 | float = 0.0
) -> F64:
    """Return the surcharge on the electricity of an aluminium smelter.

    Parameters
    ----------
    intensity : (...) float64 [J/kg]   comprehensive alternating current per molten aluminium,
                                       without desulphurisation; NaN = not known
    year : int                         of the consumption
    renewable : (...) float64 [1]      share of non-hydro renewables in it; NaN = not known
    minimum : (...) float64 [1]        share the province asks for; below it there is no relief

    Returns
    -------
    (...) float64 [CNY/J]              NaN where an argument is not known

    Notes
    -----
    Each step above the line of the year (set for 2022, 2023 and 2025) costs, and a part of a step
    counts as one; renewables above their share take a hundredth off for each full percentage point
    [1]_. Before 2022 there were two bands and no relief [2]_.
    """
    rules = load_reference("tariffs")["aluminium"]
    if aluminium_line(year) is None:
        return _banded(intensity, rules["band"])
    each = parse_quantity(rules["step"]["surcharge"], "energy_price")
    relief = _relief(rules["relief"], renewable, minimum)
    return np.asarray(_tier(intensity, year) * each * (1 - relief))


def aluminium_line(year: int) -> dict[str, Any] | None:
    """Return the row of the line that holds in a year; None before the first."""
    lines = load_reference("tariffs")["aluminium"]["line"]
    # Newest first: each line holds until the next.
    return next((row for row in reversed(lines) if row["year"] <= year), None)


class Tiers(NamedTuple):
    """Tiers and surcharges of W windows: at the figure, and at the ends of its interval."""

    tier: F64  # (3, W) steps above the line, or bands; at the figure, its least and its most
    surcharge: F64  # (3, W) [CNY/J]
    decided: BOOL  # (W,) the whole interval lies in one tier


def aluminium_tiers(
    intensity: F64,
    half_width: F64,
    years: I64,
    decisive: BOOL,
    renewable: float = 0.0,
    minimum: float = 0.0,
) -> Tiers:
    """Return the price tiers of an aluminium smelter and whether its meters decide them.

    Parameters
    ----------
    intensity, half_width : (W,) float64 [J/kg]
        as of `aluminium_surcharge`, with half its interval; NaN = not known
    years : (W,) int64
        year of each window
    decisive : (W,) bool
        whether enough of the window is covered for a verdict
    renewable, minimum : float [1]
        as of `aluminium_surcharge`

    Returns
    -------
    Tiers
    """
    ends = np.stack([intensity, intensity - half_width, intensity + half_width])
    tier, surcharge = np.full((2, *ends.shape), np.nan)
    for year in np.unique(years).tolist():
        at = years == year
        tier[:, at] = _tier(ends[:, at], year)
        surcharge[:, at] = aluminium_surcharge(ends[:, at], year, renewable, minimum)
    return Tiers(tier, surcharge, decisive & (tier[1] == tier[2]))


def _tier(intensity: F64, year: int) -> F64:
    """Return how many steps an intensity is above the line of a year, or bands; NaN = not known."""
    rules, line = load_reference("tariffs")["aluminium"], aluminium_line(year)
    if line is None:
        bands = [parse_quantity(band["above"], "intensity") for band in rules["band"]]
        count = np.sum([intensity > band for band in bands], axis=0)
        return np.where(np.isnan(intensity), np.nan, count)
    above = intensity - parse_quantity(line["value"], "intensity")
    width = parse_quantity(rules["step"]["width"], "intensity")
    return np.maximum(np.ceil(np.round(above / width, DECIMALS)), 0.0)


def _relief(rule: dict[str, Any], renewable: F64 | float, minimum: F64 | float) -> F64:
    """Return the share of the surcharge that renewables take off."""
    share = np.asarray(renewable, dtype=np.float64)
    points = np.floor(np.round((share - rule["above"]) / rule["point"], DECIMALS))
    relief = np.where(share >= minimum, np.clip(points * rule["share"], 0.0, 1.0), 0.0)
    return np.where(np.isnan(share) | np.isnan(minimum), np.nan, relief)


def _banded(intensity: F64, bands: list[dict[str, Any]]) -> F64:
    """Return the surcharge of the highest band an intensity is above."""
    surcharge = np.where(np.isnan(intensity), np.nan, 0.0)
    for band in bands:
        above = intensity > parse_quantity(band["above"], "intensity")
        surcharge = np.where(above, parse_quantity(band["surcharge"], "energy_price"), surcharge)
    return np.asarray(surcharge)
