"""The sources of greenhouse gases in a scope, as weights of its tags.

References
----------
.. [1] GB/T 32150-2015, 5.2: activity data times emission factors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from twin.accounts.accounts import Account
from twin.accounts.carriers import carrier_factor
from twin.arrays import F64
from twin.emissions import carbon
from twin.model.meters import compile_meters, counted
from twin.reconciliation.uncertainty import weights
from twin.reference import load as load_reference
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twin.accounts.network import Network

NAN = float("nan")


@dataclass(frozen=True, slots=True)
class EmissionSource:
    """A carrier of energy, a process, or what is captured and sold; of T tags."""

    name: str
    kind: Literal["fuel", "electricity", "heat", "unknown", "process", "captured"]
    quantity: str  # of its activity: energy, mass, normal_volume
    activity: F64  # (T,) [SI] the weight of each tag's amount: ``activity @ amount``
    factor: float  # [kg/SI]; NaN = not known; of bought electricity it is the grid's of a year
    row: dict[str, Any] = field(default_factory=dict)  # of the reference table

    @property
    def scope(self) -> int:
        """1 = emitted here, 2 = where it was bought, -1 = not emitted: captured here and sold."""
        return {"electricity": 2, "heat": 2, "captured": -1}.get(self.kind, 1)


def emission_sources(network: Network, scope: str) -> list[EmissionSource]:
    """Return the sources of greenhouse gases in a scope, carriers first [1]_.

    Parameters
    ----------
    network : Network
        T tags
    scope : str

    Returns
    -------
    list of Emitter
        the activity of a carrier is what comes in less what goes out; a carrier that emits nothing
        is left out, one without a carbon content is not
    """
    return [*_carriers(network, scope), *_processes(network, scope)]


def _carriers(network: Network, scope: str) -> Iterator[EmissionSource]:
    """Yield the carriers of energy the meters of a scope count."""
    net: dict[str, F64] = {}
    for meter in counted(compile_meters(network.park), scope):
        weight = net.setdefault(meter.carrier, np.zeros(len(network.tags)))
        weight[network.index[meter.tag]] += meter.sign
    table = load_reference("carbon")
    for carrier, weight in net.items():
        kind, quantity = carbon.source_of(carrier), load_reference("energy")[carrier]["quantity"]
        if kind == "heat":
            heat = weight * carrier_factor(carrier)
            factor = parse_quantity(table["heat"]["factor"], "emission_factor")
            yield EmissionSource(carrier, kind, "energy", heat, factor, table["heat"])
        elif kind == "fuel":
            factor = float(carbon.fuel(np.ones(1), **carbon.parameters("fuel", carrier))[0])
            yield EmissionSource(carrier, kind, quantity, weight, factor, table["fuel"][carrier])
        elif kind != "nothing":
            yield EmissionSource(carrier, kind, quantity, weight, NAN)


def _processes(network: Network, scope: str) -> Iterator[EmissionSource]:
    """Yield the process emissions of aluminium, and the carbon dioxide captured and sold."""
    table = load_reference("carbon")["process"]
    made = Account(scope, "aluminium", "mass")
    if made in network.accounts:
        weight, one = weights(network, {made: 1.0}), np.ones(1)
        for name, formula in (
            ("anode", carbon.anode),
            ("perfluorocarbons", carbon.perfluorocarbons),
        ):
            factor = float(formula(one, **carbon.parameters("process", name))[0])
            yield EmissionSource(name, "process", "mass", weight, factor, table[name])
    sold = Account(scope, "carbon_dioxide", "export")
    if sold in network.accounts:
        yield EmissionSource("captured", "captured", "mass", weights(network, {sold: 1.0}), 1.0)
