"""Carriers of energy in scopes, measured by amount, coal equivalent, cost and carbon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from api.consumption.cost import Cost, Prices, cost_of
from api.emissions.carbon import GridChoice, grid_factors
from twin.accounts.accounts import coal_entry
from twin.arrays import BOOL, F64
from twin.emissions.sources import emission_sources
from twin.energy.consumption import Basis, coal_equivalent
from twin.energy.prices import ELECTRICITY
from twin.model.meters import counted
from twin.reference import load as load_reference

if TYPE_CHECKING:
    from api.windows import WindowQuery
    from twin.accounts.network import Network

Measure = Literal["amount", "coal_equivalent", "cost", "carbon"]
MEASURES: tuple[Measure, ...] = ("amount", "coal_equivalent", "cost", "carbon")
TOTAL = "total"
NOT_ASKED = "not asked for"
NO_CARBON = "there is no carbon content of it"


@dataclass(frozen=True, slots=True)
class Consumption:
    """A carrier in a scope: weights (W, T) of the tags by measure [SI], and what is not known."""

    scope: str
    carrier: str
    quantity: str  # of its amount; empty of a total, which has none
    weight: dict[Measure, F64]
    reason: dict[Measure, str]

    @property
    def used(self) -> BOOL:
        """Which tags take part, (T,)."""
        return np.asarray(np.any([(w != 0).any(axis=0) for w in self.weight.values()], axis=0))

    @property
    def is_balance(self) -> bool:
        """Whether something is taken off: that is a balance, not an amount."""
        return any((each < 0).any() for each in self.weight.values())


def amounts_of(network: Network, scope: str) -> dict[str, F64]:
    """Return the weights of the tags in what a scope uses of each carrier, (T,)."""
    result: dict[str, F64] = {}
    for meter in counted(network.meters, scope):
        weight = result.setdefault(meter.carrier, np.zeros(len(network.tags)))
        weight[network.index[meter.tag]] += meter.sign
    return result


def consume(
    query: WindowQuery, scope: str, carrier: str, basis: Basis, prices: Prices | None
) -> Consumption:
    """Return a carrier in a scope; without prices its cost is not asked for."""
    network, shape = query.network, (len(query.edges) - 1, len(query.network.tags))
    amount = amounts_of(network, scope)[carrier]
    cost = Cost(np.zeros(shape), NOT_ASKED) if prices is None else cost_of(prices, scope, carrier)
    carbon, why = _carbon(query, scope, carrier)
    weight: dict[Measure, F64] = {
        "amount": np.broadcast_to(amount, shape),
        "coal_equivalent": _coal(query, scope, carrier, basis),
        "cost": cost.weight,
        "carbon": carbon,
    }
    reason: dict[Measure, str] = {"cost": cost.reason, "carbon": why}
    quantity = load_reference("energy")[carrier]["quantity"]
    return Consumption(scope, carrier, quantity, weight, reason)


def total_of(scope: str, parts: list[Consumption]) -> Consumption:
    """Return the sum of some carriers; they have no common amount."""
    sums = {m: np.sum([each.weight[m] for each in parts], axis=0) for m in MEASURES[1:]}
    sums["amount"] = np.zeros_like(sums["cost"])
    reason = {
        m: next((f"{each.carrier}: {each.reason[m]}" for each in parts if each.reason.get(m)), "")
        for m in MEASURES
    }
    return Consumption(scope, TOTAL, "", sums, reason)


def _coal(query: WindowQuery, scope: str, carrier: str, basis: Basis) -> F64:
    """Return the weights of the coal equivalent, (W, T)."""
    network = query.network
    weight = np.zeros((len(query.edges) - 1, len(network.tags)))
    for meter in counted(network.meters, scope):
        if meter.carrier == carrier:
            tag, factor = coal_entry(network.park, network.index, network.heats, meter)
            weight[:, tag] += meter.sign * factor
    if carrier == ELECTRICITY:
        added = coal_equivalent(np.zeros(len(weight)), np.ones(len(weight)), basis, query.years)
        weight += added[:, None] * amounts_of(network, scope)[carrier]
    return weight


def _carbon(query: WindowQuery, scope: str, carrier: str) -> tuple[F64, str]:
    """Return the weights of carbon dioxide, (W, T), and why they are not known.

    Fuels by their carbon content, bought electricity by the national factor of the year, by
    location.
    """
    shape = len(query.edges) - 1, len(query.network.tags)
    sources = {each.name: each for each in emission_sources(query.network, scope)}
    if carrier not in sources:
        return np.zeros(shape), ""
    source = sources[carrier]
    factor, reason = np.full(shape[0], source.factor), ""
    if source.kind == "electricity":
        grid = grid_factors(query, GridChoice("CN", "location", None))
        factor = np.array([each.value for each in grid])
        reason = next((each.reason for each in grid if np.isnan(each.value)), "")
    elif np.isnan(source.factor):
        reason = NO_CARBON
    return np.where(source.activity != 0, factor[:, None] * source.activity, 0.0), reason
