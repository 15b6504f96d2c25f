"""Single electrolysers: their figures, and the intervals that the errors of their meters make."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.small_region import NETWORK
from twin.accounts.accounts import cell_factor
from twin.accounts.network import compile_network
from twin.energy.circuits import Pair, circuit, own_meter
from twin.energy.electrolysis import zero_current_voltage
from twin.reconciliation.uncertainty import (
    efficiency_uncertainty,
    left_of_mean,
)

HOUR = 3600.0
CURRENT, VOLT, AREA = 16e3, 488.0, 2.7
METERS = {"EI-1": ("voltage", "0.5 %"), "JI-1": ("power", "0.2 %"), "EI-2": ("voltage", "")}


def network(voltage="alpha/EI-1", meter=""):
    """Return the small region with meters of its electrolyser."""
    park = NETWORK.park
    (cell,) = (c for c in park.electrolysers if c.current == "alpha/II-1")
    like = NETWORK.tags[NETWORK.index["alpha/II-1"]]
    tags = [replace(like, tag=n, quantity=q, sigma=s) for n, (q, s) in METERS.items()]
    (own,) = (m for m in park.meters if m.tag == own_meter(park, cell))
    meters = [m for m in park.meters if m is not own]
    if meter:
        meters.append(replace(own, tag=meter))
    cells = tuple(
        replace(c, voltage=voltage, area=AREA) if c is cell else c for c in park.electrolysers
    )
    return compile_network(
        replace(park, tags=(*park.tags, *tags), meters=tuple(meters), electrolysers=cells)
    )


def found(of, current=CURRENT, volt=VOLT, power=1.01 * CURRENT * VOLT):
    """Return the figures of an hour that is all the same."""
    (cell,) = (c for c in of.park.electrolysers if c.current == "alpha/II-1")
    amount, covered_s = np.full((2, len(of.tags)), np.nan)
    for name, value in {"II-1": current, "EI-1": volt, "EI-2": volt, "JI-1": power}.items():
        amount[of.index[f"alpha/{name}"]] = value * HOUR
        covered_s[of.index[f"alpha/{name}"]] = HOUR
    pair = Pair(*(np.array(each * HOUR) for each in (current, current * volt, current**2)))
    return cell, circuit(of, cell, pair, amount, covered_s)


# What of a variance is left after an hour, with a memory of a minute: errors are 1 sigma.
LEFT = np.sqrt(left_of_mean(0.2, 60.0, HOUR))
I_PART, U_PART, P_PART = 0.002 * LEFT, 0.005 * LEFT, 0.002 * LEFT
EFFICIENCY = np.hypot(*efficiency_uncertainty("caustic"))


def test_each_figure_has_the_errors_of_the_meters_it_is_made_of():
    cell, of = found(network())
    made = cell_factor(cell)["caustic"] * CURRENT * HOUR
    assert of.voltage == pytest.approx((VOLT / cell.cells, U_PART * VOLT / cell.cells))
    assert of.density == pytest.approx((CURRENT / AREA, I_PART * CURRENT / AREA))
    assert of.product == pytest.approx((made, made * np.hypot(I_PART, EFFICIENCY)))
    # The current that is shown too high makes too much energy and too much product.
    energy = CURRENT * VOLT * HOUR / made
    assert of.energy == pytest.approx((energy, energy * np.hypot(U_PART, EFFICIENCY)))


def test_k_is_as_uncertain_as_a_changed_voltage_and_density_make_it():
    cell, of = found(network())
    u0 = zero_current_voltage(cell.kind)
    k = (VOLT / cell.cells - u0) / (CURRENT / AREA)
    assert of.k.value == pytest.approx(k)
    by_voltage = found(network(), volt=VOLT * (1 + U_PART))[1].k.value - k
    by_current = found(network(), current=CURRENT * (1 + I_PART))[1].k.value - k
    assert of.k.sigma == pytest.approx(np.hypot(by_voltage, by_current), rel=2e-3)
    # What is left above the standing voltage is small: an error of the voltage weighs more.
    assert of.k.sigma / k > 3 * U_PART


def test_a_meter_of_its_own_brings_its_error_and_that_of_the_current():
    known = network(meter="alpha/JI-1")
    cell, of = found(known)
    assert own_meter(known.park, cell) == "alpha/JI-1"
    energy = 1.01 * CURRENT * VOLT / (cell_factor(cell)["caustic"] * CURRENT)
    part = np.hypot(P_PART, np.hypot(I_PART, EFFICIENCY))
    assert of.energy == pytest.approx((energy, energy * part))


def test_nothing_is_said_of_a_meter_of_which_nothing_is_known():
    _, of = found(network(voltage="alpha/EI-2"))
    assert of.voltage.value > 0
    assert np.isnan([of.voltage.sigma, of.energy.sigma, of.k.sigma]).all()
    assert of.density.sigma > 0
    _, of = found(network(voltage=""))
    assert np.isnan([*of.voltage, *of.energy, *of.k]).all()
    assert of.product.sigma > 0


def test_without_current_there_is_no_figure_but_the_product():
    _, of = found(network(), current=0.0)
    assert of.product.value == 0
    assert np.isnan([*of.voltage, *of.density, *of.energy, *of.k]).all()
