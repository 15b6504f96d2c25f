"""Single electrolysers over windows: voltage, density, product, energy and K, and their errors.

References
----------
.. [1] T. F. O'Brien, T. V. Bommaraju, F. Hine, Handbook of Chlor-Alkali Technology, Springer, 2005:
   energy by voltage and current efficiency; the line U = U0 + K j of membrane cells.
.. [2] JCGM 100:2008, Guide to the expression of uncertainty in measurement, 5.1.6: relative
   uncertainties of products and quotients add up in squares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from twin.accounts.accounts import cell_entries
from twin.arrays import F64, ratio
from twin.energy.consumption import intensity
from twin.energy.electrolysis import k_factor, zero_current_voltage
from twin.model.park import inside
from twin.reconciliation.uncertainty import (
    cell_uncertainty,
    errors_of,
    left_of_mean,
    sum_sigma,
)

if TYPE_CHECKING:
    from twin.accounts.network import Network
    from twin.model.park import Electrolyser, Park

# What the energy of an electrolyser is counted by.
MAIN = {"membrane": "caustic", "potline": "aluminium"}


class Estimate(NamedTuple):
    """A figure and its standard uncertainty, (...) each; NaN = not known."""

    value: F64
    sigma: F64


@dataclass(frozen=True, slots=True)
class Pair:
    """Integrals of current and voltage of an electrolyser over windows, (...) each."""

    charge: F64  # [C]
    energy: F64  # [J] of current times voltage
    square: F64  # [A²·s] of the current squared


@dataclass(frozen=True, slots=True)
class Circuit:
    """Figures of an electrolyser over windows; voltage and density are weighted by the charge."""

    voltage: Estimate  # [V] of a cell
    density: Estimate  # [A/m²]
    product: Estimate  # [kg] of `MAIN`
    energy: Estimate  # [J/kg] direct current
    k: Estimate  # [V·m²/A]


def own_meter(park: Park, cell: Electrolyser) -> str:
    """Return the direct-current meter that sees this electrolyser and no other, or nothing."""
    for meter in park.meters:
        if meter.basis == "DC" and meter.carrier == "electricity":
            seen = [each.id for each in park.electrolysers if inside(each.scope, meter.scope)]
            if seen == [cell.id]:
                return meter.tag
    return ""


def product_weights(network: Network, cell: Electrolyser) -> F64:
    """Return the weights of the tags in what an electrolyser makes of `MAIN`.

    Parameters
    ----------
    network : Network
        T tags
    cell : Electrolyser

    Returns
    -------
    (T,) float64 [kg/SI]
    """
    tag, factor = cell_entries(cell, network.index, network.effective)[MAIN[cell.kind]]
    made = np.zeros(len(network.tags))
    made[tag] = factor
    return made


def circuit(
    network: Network, cell: Electrolyser, pair: Pair, amount: F64, covered_s: F64
) -> Circuit:
    """Return the figures of an electrolyser, and how uncertain they are.

    Parameters
    ----------
    network : Network
        T tags
    cell : Electrolyser
    pair : Pair
        SI, of the moments that have current and voltage
    amount, covered_s : (..., T) float64 [SI, s]
        sums of each tag over the windows; NaN = no value

    Returns
    -------
    Circuit
        SI; the energy is that of a meter of its own, else of the pair. An uncertainty is NaN where
        nothing is known of that of a tag.

    Notes
    -----
    Energy is that of the voltage and the current efficiency, K the slope of the voltage line [1]_.
    Of first order [2]_: the error of the current has no part in a mean that is weighted by the
    charge, nor in the energy of the pair over what its charge makes. The standing voltage K counts
    from is a convention and has none.
    """
    component, at = MAIN[cell.kind], network.index[cell.current]
    tag, factor = cell_entries(cell, network.index, network.effective)[component]
    made = product_weights(network, cell)
    mass = amount[..., tag] * factor
    product = Estimate(mass, sum_sigma(network, component, made, amount, covered_s))
    charge = np.where(pair.charge > 0, pair.charge, np.nan)
    voltage = voltage_part = energy = energy_part = np.full(charge.shape, np.nan)
    if cell.voltage:
        voltage = pair.energy / charge / cell.cells
        voltage_part = mean_uncertainty(network, cell.voltage, amount, covered_s)
        # Means of either tag: the effective current may be covered for less time than the other.
        mean, line = (ratio(amount[..., each], covered_s[..., each]) for each in (tag, at))
        energy = intensity(pair.energy, pair.charge * factor * ratio(mean, line))
        efficiency_part = np.hypot(*cell_uncertainty(network, component)[cell.id])
        energy_part = np.hypot(voltage_part, efficiency_part)
    if meter := own_meter(network.park, cell):
        energy = intensity(amount[..., network.index[meter]], mass)
        mass_part = ratio(product.sigma, mass)
        energy_part = np.hypot(mean_uncertainty(network, meter, amount, covered_s), mass_part)
    density = pair.square / charge / cell.area
    density_sigma = density * mean_uncertainty(network, cell.current, amount, covered_s)
    k = k_factor(voltage, density, zero_current_voltage(cell.kind))
    k_sigma = np.hypot(voltage * voltage_part, k * density_sigma) / density
    return Circuit(
        Estimate(voltage, voltage * voltage_part),
        Estimate(density, density_sigma),
        product,
        Estimate(energy, energy * energy_part),
        Estimate(k, k_sigma),
    )


def mean_uncertainty(network: Network, address: str, amount: F64, covered_s: F64) -> F64:
    """Return the relative standard uncertainty of the mean of a tag.

    Parameters
    ----------
    network : Network
        T tags
    address : str
    amount, covered_s : (..., T) float64 [SI, s]
        sums over windows

    Returns
    -------
    (...) float64 [1]
        NaN where nothing is known of the error of the tag
    """
    tag = network.index[address]
    absolute, relative, share, correlation_s = (
        float(column[0]) for column in errors_of(network, np.array([tag]))
    )
    covered = covered_s[..., tag]
    some = np.where(amount[..., tag] > 0, amount[..., tag], np.nan)
    size = np.hypot(absolute * covered / some, relative)
    # A tag of which nothing is said is not exact.
    size = np.where(absolute + relative > 0, size, np.nan)
    return np.asarray(size * np.sqrt(left_of_mean(share, correlation_s, covered)))
