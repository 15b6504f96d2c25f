"""Price tiers: what electricity costs an aluminium smelter on top, by how much it needs per tonne.

References
----------
.. [1] 关于完善电解铝行业阶梯电价政策的通知, 发改价格〔2021〕1239号.
.. [2] 关于电解铝企业用电实行阶梯电价政策的通知, 发改价格〔2013〕2530号.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from twin.arrays import F64
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
    # Newest first: each line holds until the next.
    line = next((row for row in reversed(rules["line"]) if row["year"] <= year), None)
    if line is None:
        return _banded(intensity, rules["band"])
    step = rules["step"]
    above = intensity - parse_quantity(line["value"], "intensity")
    steps = np.ceil(np.round(above / parse_quantity(step["width"], "intensity"), DECIMALS))
    surcharge = np.maximum(steps, 0.0) * parse_quantity(step["surcharge"], "energy_price")
    return np.asarray(surcharge * (1 - _relief(rules["relief"], renewable, minimum)))


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
