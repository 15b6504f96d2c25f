"""The sources of greenhouse gases in a scope, as weights of its tags; the table ``[[carbon]]``.

References
----------
.. [1] GB/T 32150-2015, 5.2: activity data times emission factors.
.. [2] GB/T 32151.10-2015, emissions of processes: the carbon of raw materials less the carbon of
   products; carbonates by their factors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from twin.accounts.accounts import Account
from twin.accounts.carriers import carrier_factor
from twin.accounts.heat import heat_entry
from twin.arrays import F64
from twin.emissions import carbon
from twin.model.meters import counted
from twin.model.park import inside
from twin.model.rows import RowFault, cell, guess, table
from twin.reconciliation.uncertainty import weights
from twin.reference import load as load_reference
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twin.accounts.network import Network
    from twin.model.park import Meter, Park

NAN = float("nan")


@table
class CarbonFlow:
    """A material that carries carbon into a scope, or out of it in a product.

    Its figure is that of the material in ``carbon.toml``, or its own `carbon_content` or `factor`.
    `scope` is the smallest one that also has what the carbon came from, or went to.
    """

    id: str = cell("text")
    scope: str = cell("scope")
    tag: str = cell("tag mass_flow mass*")
    material: str = cell("text")
    fate: Literal["emitted", "bound"] = cell("one emitted bound", default="emitted")
    purity: float = cell("share", default=1.0)
    carbon_content: float = cell("quantity fraction", default=NAN)
    factor: float = cell("quantity fraction", default=NAN)
    name: dict[str, str] | None = cell("name", default=None)
    source: str = cell("any", default="")
    note: str = cell("any", default="")


Kind = Literal[
    "fuel", "electricity", "heat", "unknown", "process", "received", "captured", "product"
]


@dataclass(frozen=True, slots=True)
class EmissionSource:
    """A carrier of energy, a process, or carbon that leaves in what is sold; of T tags."""

    name: str
    kind: Kind
    quantity: str  # of its activity: energy, mass, normal_volume
    activity: F64  # (T,) [SI] the weight of each tag's amount: ``activity @ amount``
    sold: F64  # (T,) [SI] what of it was sold, by meters that show it
    factor: float  # [kg/SI]; NaN = not known; of bought electricity it is the grid's of a year
    row: dict[str, Any] = field(default_factory=dict)  # of the reference table

    @property
    def scope(self) -> int:
        """1 = emitted here, 2 = where it was bought, -1 = not emitted: sold in something."""
        return {"electricity": 2, "heat": 2, "captured": -1, "product": -1}.get(self.kind, 1)

    @property
    def weight(self) -> F64:
        """The emission per amount of each tag, (T,) [kg/SI]; NaN with an unknown factor."""
        sign = -1.0 if self.scope == -1 else 1.0
        return np.where(self.activity != 0, sign * self.factor * self.activity, 0.0)


def emission_sources(network: Network, scope: str) -> list[EmissionSource]:
    """Return the sources of greenhouse gases in a scope, carriers first [1]_.

    Parameters
    ----------
    network : Network
        T tags
    scope : str

    Returns
    -------
    list of EmissionSource
        the activity of a carrier is what comes in less what goes out; a carrier that emits nothing
        is left out, one without a carbon content is not
    """
    return [
        *_carriers(network, scope),
        *_processes(network, scope),
        *_materials(network, scope),
        *_dioxide(network, scope),
    ]


def _carriers(network: Network, scope: str) -> Iterator[EmissionSource]:
    """Yield the carriers of energy the meters of a scope count."""
    meters: dict[str, list[Meter]] = {}
    for meter in counted(network.meters, scope):
        meters.setdefault(meter.carrier, []).append(meter)
    table = load_reference("carbon")
    for carrier, counting in meters.items():
        kind, quantity = carbon.source_of(carrier), load_reference("energy")[carrier]["quantity"]
        entries = [heat_entry(network.park, network.index, network.heats, m) for m in counting]
        # Bought heat, and a fuel with a measured heating value, are known by their heat.
        by_heat = kind == "heat" or (kind == "fuel" and any(entries))
        net, sold = np.zeros((2, len(network.tags)))
        for meter, entry in zip(counting, entries, strict=True):
            at, unit = network.index[meter.tag], 1.0
            if by_heat:
                at, unit = entry or (at, carrier_factor(carrier))
            net[at] += meter.sign * unit
            sold[at] += unit if meter.role == "sold" else 0.0
        if by_heat:
            quantity = "energy"
        if kind == "heat":
            factor = parse_quantity(table["heat"]["factor"], "emission_factor")
            yield EmissionSource(carrier, kind, quantity, net, sold, factor, table["heat"])
        elif kind == "fuel":
            figures = carbon.parameters("fuel", carrier)
            figures["heating_value"] = 1.0 if by_heat else figures["heating_value"]
            factor = float(carbon.fuel(np.ones(1), **figures)[0])
            yield EmissionSource(carrier, kind, quantity, net, sold, factor, table["fuel"][carrier])
        elif kind != "nothing":
            yield EmissionSource(carrier, kind, quantity, net, sold, NAN)


def _of_mass(
    name: str, kind: Kind, activity: F64, factor: float, row: dict[str, Any]
) -> EmissionSource:
    """Return a source that is known by a mass, and no part of which is sold."""
    return EmissionSource(name, kind, "mass", activity, np.zeros_like(activity), factor, row)


def _processes(network: Network, scope: str) -> Iterator[EmissionSource]:
    """Yield the process emissions of aluminium."""
    table = load_reference("carbon")["process"]
    made = Account(scope, "aluminium", "mass")
    if made in network.accounts:
        weight, one = weights(network, {made: 1.0}), np.ones(1)
        for name, formula in (
            ("anode", carbon.anode),
            ("perfluorocarbons", carbon.perfluorocarbons),
        ):
            factor = float(formula(one, **carbon.parameters("process", name))[0])
            yield _of_mass(name, "process", weight, factor, table[name])


def _materials(network: Network, scope: str) -> Iterator[EmissionSource]:
    """Yield the carbon of raw materials, and that bound in products [2]_."""
    for flow in network.park.rows(CarbonFlow):
        if inside(flow.scope, scope):
            yield carbon_source(network, flow)


def carbon_source(network: Network, flow: CarbonFlow) -> EmissionSource:
    """Return the source that a row of the model is.

    Parameters
    ----------
    network : Network
        T tags
    flow : CarbonFlow

    Returns
    -------
    EmissionSource
        of a process, or what a product binds [2]_
    """
    activity = np.zeros(len(network.tags))
    activity[network.index[flow.tag]] = flow.purity
    factor, row = _figure_of(flow)
    kind: Kind = "product" if flow.fate == "bound" else "process"
    return _of_mass(flow.id, kind, activity, factor, row)


def _figure_of(flow: CarbonFlow) -> tuple[float, dict[str, Any]]:
    """Return the carbon dioxide per mass of a material, and where that is from."""
    stated = {"carbon_content": flow.carbon_content, "factor": flow.factor}
    own = {name: f"{value:.6g} t/t" for name, value in stated.items() if not np.isnan(value)}
    if own:
        provenance = {"source": flow.source or "park.toml", "confidence": "M", "verified": False}
        row = {**own, **provenance, "note": flow.note or None}
    else:
        row = load_reference("carbon")["material"][flow.material]
    return carbon.material(row), row | {"material": flow.material, "purity": f"{flow.purity:.4g}"}


def _dioxide(network: Network, scope: str) -> Iterator[EmissionSource]:
    """Yield the carbon dioxide that comes in as a raw material, and what is captured and sold."""
    crossing: dict[Kind, Account] = {
        "received": Account(scope, "carbon_dioxide", "import"),
        "captured": Account(scope, "carbon_dioxide", "export"),
    }
    for kind, account in crossing.items():
        if account in network.accounts:
            yield _of_mass(kind, kind, weights(network, {account: 1.0}), 1.0, {})


def check_carbon(park: Park) -> Iterator[RowFault]:
    """Yield materials whose carbon is not known, or known twice."""
    known = load_reference("carbon")["material"]
    for flow in park.rows(CarbonFlow):
        stated = [figure for figure in (flow.carbon_content, flow.factor) if not np.isnan(figure)]
        if len(stated) > 1:
            yield RowFault(flow, "has carbon_content and factor; one of them is enough")
        elif not stated and flow.material not in known:
            close = guess(flow.material, known) or f"; known are {', '.join(known)}"
            text = f"carbon.toml has no material {flow.material!r}{close}; else give carbon_content"
            yield RowFault(flow, text, "material")
