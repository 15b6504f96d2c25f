"""Published values of Faraday's law (test cases T-01, T-02, T-03 and T-24 of the domain notes)."""

import numpy as np
import pytest

from twin import faraday
from twin.uom import from_si, parse_quantity

EXACT = {"rel": 1e-6}
GRAM_PER_AH = 3.6e6  # (kg/C) -> (g/Ah)
J_PER_KG = 3.6e6 / 1000  # one kWh/t


@pytest.mark.parametrize(
    ("species", "grams"),
    [(faraday.NAOH, 1.4923470), (faraday.CL2, 1.3228000), (faraday.H2, 0.03760762),
     (faraday.AL, 0.33557273)],
)  # fmt: skip
def test_mass_per_charge_is_the_published_one(species, grams):
    assert faraday.mass_per_charge(species) * GRAM_PER_AH == pytest.approx(grams, **EXACT)


@pytest.mark.parametrize(
    ("species", "kwh_per_t_volt"), [(faraday.NAOH, 670.08544), (faraday.AL, 2979.97994)]
)
def test_energy_of_one_volt_is_the_published_one(species, kwh_per_t_volt):
    energy = faraday.specific_energy(np.array(1.0), np.array(1.0), species)
    assert energy / J_PER_KG == pytest.approx(kwh_per_t_volt, **EXACT)


def test_electrolyser_of_160_cells_makes_what_t_02_says():
    ampere = parse_quantity("13.5 kA", "current") * 160.0
    caustic = ampere * 0.96 * faraday.mass_per_charge(faraday.NAOH)
    chlorine = ampere * 0.96 * faraday.mass_per_charge(faraday.CL2)
    hydrogen = ampere * faraday.mass_per_charge(faraday.H2)
    assert from_si(caustic, "t/h", "mass_flow") == pytest.approx(3.0945307, **EXACT)
    assert from_si(chlorine, "t/h", "mass_flow") == pytest.approx(2.7429581, **EXACT)
    assert from_si(hydrogen, "kg/h", "mass_flow") == pytest.approx(81.232466, **EXACT)
    assert ampere * 3.0 == pytest.approx(6.480e6)
    assert ampere * 3.0 / caustic / J_PER_KG == pytest.approx(2094.0170, **EXACT)


@pytest.mark.parametrize(
    ("species", "voltage", "efficiency", "kwh_per_t"),
    [
        (faraday.NAOH, 2.90, 0.96, 2024.2164),
        (faraday.NAOH, 3.05, 0.95, 2151.3269),
        (faraday.NAOH, 3.20, 0.95, 2257.1299),
        (faraday.NAOH, 2.90, 0.96 * 0.98, 2065.5270),  # AC, the rectifier's 0.98 included
        (faraday.AL, 3.95, 0.93, 12_656.904),
        (faraday.AL, 3.95, 0.93 * 0.985, 12_849.649),
        (faraday.NAOH, 0.18, 0.96, 125.6410),  # what 0.18 V more costs
    ],
)
def test_energy_by_cell_voltage_is_the_published_one(species, voltage, efficiency, kwh_per_t):
    energy = faraday.specific_energy(np.array(voltage), np.array(efficiency), species)
    assert energy / J_PER_KG == pytest.approx(kwh_per_t, **EXACT)


def test_products_of_50_t_h_of_chlorine_are_those_of_t_24():
    current = parse_quantity("50 t/h", "mass_flow") / faraday.mass_per_charge(faraday.CL2)
    caustic = current * faraday.mass_per_charge(faraday.NAOH)
    hydrogen = from_si(current * faraday.mass_per_charge(faraday.H2), "kg/h", "mass_flow")
    assert from_si(caustic, "t/h", "mass_flow") == pytest.approx(56.4086, **EXACT)
    assert hydrogen == pytest.approx(1421.516, **EXACT)
    # Less the synthesis of hydrogen chloride from 12 t/h, and 1 t/h for others.
    vent = hydrogen - 12_000 * faraday.H2[0] / faraday.CL2[0] - 1000
    assert vent == pytest.approx(80.352, rel=1e-4)


def test_cells_that_make_nothing_have_no_specific_energy():
    efficiency = np.array([0, -0.1, np.nan, 0.96])
    energy = faraday.specific_energy(np.array(3.0), efficiency, faraday.NAOH)
    assert np.isnan(energy).tolist() == [True, True, True, False]
