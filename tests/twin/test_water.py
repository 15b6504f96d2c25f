"""Enthalpy of steam and water against the verification tables of IAPWS-IF97."""

import numpy as np
import pytest

from twin.water import steam_enthalpy, water_enthalpy

MPA = 1e6


@pytest.mark.parametrize(
    ("pressure", "temperature", "expected"),
    [
        # Table 15 of IAPWS R7-97(2012), region 2.
        (0.0035, 300.0, 2549.91145), (0.0035, 700.0, 3335.68375), (30.0, 700.0, 2631.49474),
        # Superheated steam of a power plant, and of a turbine's extraction.
        (9.8, 813.15, 3478.951), (3.0, 573.15, 2994.349),
    ],
)  # fmt: skip
def test_superheated_steam_has_the_enthalpy_of_the_tables(pressure, temperature, expected):
    result = steam_enthalpy(np.array(pressure * MPA), np.array(temperature))
    assert result / 1e3 == pytest.approx(expected, rel=1e-6)


def test_saturated_steam_has_the_enthalpy_of_the_boiling_curve():
    pressure = np.array([0.101325, 1.1, 10.0]) * MPA
    result = steam_enthalpy(pressure, np.full(3, np.nan)) / 1e3
    assert result == pytest.approx([2675.6, 2780.7, 2725.5], abs=0.15)
    wet = steam_enthalpy(pressure, np.full(3, np.nan), 0.95) / 1e3
    assert wet[1] == pytest.approx(0.95 * 2780.67 + 0.05 * 781.20, abs=0.02)


def test_steam_a_little_colder_than_it_boils_is_no_water():
    pressure = np.full(3, 1.1 * MPA)
    # It boils at 184.07 °C.
    result = steam_enthalpy(pressure, np.array([183.9, 184.0, 184.3]) + 273.15) / 1e3
    assert result == pytest.approx([2780.7, 2780.7, 2781.3], abs=0.5)


def test_water_has_the_enthalpy_of_the_boiling_curve():
    result = water_enthalpy(np.array([20.0, 80.0, 120.0]) + 273.15) / 1e3
    assert result == pytest.approx([83.92, 334.95, 503.78], abs=0.05)


def test_beyond_the_formulation_there_is_no_enthalpy():
    pressure = np.array([1.1e6, np.nan, 0.0, 2e8])
    temperature = np.array([1200.0, 500.0, 500.0, 500.0])
    assert np.isnan(steam_enthalpy(pressure, temperature)).all()
    assert np.isnan(water_enthalpy(np.array([200.0, 700.0, np.nan]))).all()
