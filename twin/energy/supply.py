"""Supply of a scope with electricity: what is bought, made and sold, and what a part costs.

References
----------
.. [1] GB/T 32150-2015, 5.2: bought, own and sold electricity are accounted apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import F64, ratio
from twin.energy.prices import ELECTRICITY
from twin.model.meters import counts
from twin.model.park import inside

if TYPE_CHECKING:
    from twin.accounts.network import Network
    from twin.energy.bills import Rates
    from twin.model.park import Meter


@dataclass(frozen=True, slots=True)
class PowerSupply:
    """The meters of a supply, and their weights of T tags; own use is bought + made - sold."""

    incomers: tuple[Meter, ...]
    bought: F64  # (T,)
    made: F64  # (T,)
    sold: F64  # (T,)

    @property
    def is_bought_only(self) -> bool:
        """Whether nothing is made or sold: every use has the price of what is bought."""
        return not (self.made.any() or self.sold.any())

    @property
    def is_known(self) -> bool:
        """Whether what is made has passed no counted meter: then what is bought has its own."""
        return not (self.bought < 0).any()


def supply_of(network: Network, scope: str) -> PowerSupply:
    """Return the supply of a scope.

    Parameters
    ----------
    network : Network
        T tags
    scope : str
        one with a tariff

    Returns
    -------
    PowerSupply
        bought is what counts in the scope but what is sold, made what its generators give, those
        behind another one not added again
    """
    trees = network.meters
    bought, made, sold = np.zeros((3, len(network.tags)))
    incomers = []
    for at, meter in enumerate(trees.meters):
        mine = meter.carrier == ELECTRICITY and meter.basis != "DC" and inside(meter.scope, scope)
        if not mine:
            continue
        tag = network.index[meter.tag]
        behind = any(
            trees.meters[o].role == "generation" and inside(trees.meters[o].scope, scope)
            for o in trees.above[at]
        )
        if meter.role == "generation" and not behind:
            made[tag] += 1.0
        if meter.role == "sold":
            sold[tag] += 1.0
        elif counts(trees, at, scope):
            bought[tag] += meter.sign
            incomers.append(meter)
    return PowerSupply(tuple(incomers), bought, made, sold)


def supply_cost(supply: PowerSupply, rates: Rates, amount: F64) -> F64:
    """Return what a supply costs in some intervals, without basic charge and power factor.

    Parameters
    ----------
    supply : PowerSupply
    rates : Rates                   (C,) [CNY/J]
    amount : (C, T) float64 [J]     of the tags; those without weight may be NaN

    Returns
    -------
    (C,) float64 [CNY]
    """
    parts = (supply.bought, rates.bought), (supply.made, rates.made), (supply.sold, rates.sold)
    return sum(
        (_weigh(weight, amount) * rate for weight, rate in parts if weight.any()),
        np.zeros(len(amount)),
    )


def mixed_rate(supply: PowerSupply, rates: Rates, amount: F64) -> F64:
    """Return what a unit of the electricity that a supply uses costs in each interval.

    Parameters
    ----------
    supply, rates, amount
        as of `supply_cost`

    Returns
    -------
    (C,) float64 [CNY/J]
        the price of what is bought where nothing is made or sold; NaN where nothing is used

    Notes
    -----
    All users behind the supply share bought and own power of the interval in one proportion, so
    what they cost adds up to what the supply costs.
    """
    if supply.is_bought_only:
        return rates.bought
    used = _weigh(supply.bought + supply.made - supply.sold, amount)
    return ratio(supply_cost(supply, rates, amount), used)


def _weigh(weight: F64, amount: F64) -> F64:
    """Return a weighted sum of tags in each interval, (C,)."""
    used = weight != 0
    return np.asarray(amount[:, used] @ weight[used])
