"""The chain of a flue-gas monitor, on the published numbers of one stack."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.emissions import flue_gas as e
from twin.reference import load
from twin.uom import QUANTITIES, compile_uom, parse_quantity

KELVIN = 273.15
MG = 1e-6
# One stack: 12 m/s through 7.07 m², 120 °C, 150 Pa below an atmosphere of 101,000 Pa, 9 % water.
WARM, PRESSURE, MOISTURE = 120 + KELVIN, 101_000 - 150, 0.09
FLOW = 12.0 * 7.07


@pytest.mark.parametrize(("state", "cubic_metres"), [("hj", 192_164.845), ("exact", 192_197.072)])
def test_flow_of_dry_gas_depends_on_what_zero_is(state, cubic_metres):
    assert pytest.approx(305_424, rel=1e-9) == FLOW * 3600
    result = e.standard_dry_flow(FLOW, WARM, PRESSURE, MOISTURE, state)
    assert result * 3600 == pytest.approx(cubic_metres, rel=1e-8)


def test_mass_takes_the_measured_concentration_and_not_the_corrected_one():
    flow = e.standard_dry_flow(FLOW, WARM, PRESSURE, MOISTURE)
    measured = 28 * MG
    assert e.mass_emitted(measured, flow, 3600.0) == pytest.approx(5.380616, rel=1e-6)
    corrected = e.oxygen_corrected(measured, 0.08, 0.06)
    assert e.mass_emitted(corrected, flow, 3600.0) == pytest.approx(6.208403, rel=1e-6)


@pytest.mark.parametrize(
    ("measured", "oxygen", "reference", "corrected"),
    [(28, 0.08, 0.06, 32.307692), (35, 0.08, 0.06, 40.384615), (35, 0.04, 0.06, 30.882353),
     (12, 0.10, 0.03, 19.636364), (20, 0.06, 0.06, 20)],
)  # fmt: skip
def test_oxygen_correction_follows_the_standard(measured, oxygen, reference, corrected):
    result = e.oxygen_corrected(measured * MG, oxygen, reference)
    assert result == pytest.approx(corrected * MG, rel=1e-7)


def test_nearly_air_is_not_representative_and_gives_no_huge_value():
    oxygen = np.array([0.1899, 0.19, 0.2095, 0.21, 0.5, np.nan])
    result = e.oxygen_corrected(np.full(6, 10 * MG), oxygen, 0.06)
    assert result[0] == pytest.approx(10 * MG * 0.15 / 0.0201)
    assert np.isnan(result[1:]).all()


def test_without_a_reference_oxygen_the_measured_value_stands():
    result = e.oxygen_corrected(np.array([2 * MG, np.nan]), np.array([0.2, np.nan]), np.nan)
    np.testing.assert_array_equal(result, [2 * MG, np.nan])


def test_volume_shares_become_masses_by_the_rounded_molar_volume():
    sulphur = parse_quantity(load("pollutants")["a21026"]["molar_mass"], "molar_mass")
    assert e.mass_concentration(10e-6, sulphur) == pytest.approx(28.571 * MG, rel=2e-5)
    assert e.mass_concentration(10e-6, sulphur) == pytest.approx(640 / 22.4 * MG, rel=1e-12)


def test_nitrogen_oxides_count_as_dioxide_by_mass_and_by_volume():
    monoxide, dioxide = e.mass_concentration(np.array([20e-6, 2e-6]), np.array([30e-3, 46e-3]))
    assert e.nitrogen_oxides(monoxide, dioxide) == pytest.approx(45.178571 * MG, rel=1e-7)
    by_volume = e.mass_concentration(22e-6, 46e-3)
    assert by_volume == pytest.approx(45.178571 * MG, rel=1e-7)


def test_mass_is_the_same_through_wet_and_through_dry_gas():
    raw = 20 * MG  # wet, as it is in the stack
    standard = e.dry(e.at_standard_state(raw, WARM, PRESSURE), MOISTURE)
    flow = e.standard_dry_flow(FLOW, WARM, PRESSURE, MOISTURE)
    assert e.mass_emitted(standard, flow, 60.0) == pytest.approx(raw * FLOW * 60, rel=1e-12)


@pytest.mark.parametrize("moisture", [-0.01, 1.0, 1.2, np.nan])
def test_moisture_that_is_no_share_gives_no_value(moisture):
    assert np.isnan(e.dry(1 * MG, moisture))
    assert np.isnan(e.standard_dry_flow(1.0, WARM, PRESSURE, moisture))


@pytest.mark.parametrize("pressure", [0.0, -150.0, np.nan])
def test_pressure_against_the_atmosphere_is_no_absolute_pressure(pressure):
    assert np.isnan(e.at_standard_state(1 * MG, WARM, pressure))


def test_an_unknown_reference_state_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="use one of hj, exact"):
        e.at_standard_state(1.0, WARM, PRESSURE, "stp")


def test_arrays_of_stacks_and_hours_are_taken_at_once():
    flow = np.ones((3, 4)) * 50
    temperature = np.full((3, 4), WARM)
    temperature[1, 2] = np.nan
    result = e.standard_dry_flow(flow, temperature, np.full(4, PRESSURE), np.full((3, 1), 0.1))
    assert result.shape == (3, 4)
    assert np.argwhere(np.isnan(result)).tolist() == [[1, 2]]
    assert e.oxygen_corrected(result, np.full(4, 0.08), np.full((3, 1), 0.06)).shape == (3, 4)


@settings(deadline=None, max_examples=100)
@given(st.floats(0, 0.189), st.floats(0, 0.189), st.floats(0, 1e-3))
def test_correcting_there_and_back_changes_nothing(oxygen, reference, value):
    there = e.oxygen_corrected(value, oxygen, reference)
    back = e.oxygen_corrected(there, reference, oxygen)
    assert back == pytest.approx(value, rel=1e-9, abs=1e-15)


def test_every_code_has_a_unit_that_fits_its_quantity():
    table = load("pollutants")
    assert {len(code) for code in table} == {6}
    for code, row in table.items():
        assert row["quantity"] in QUANTITIES, code
        assert compile_uom(row["uom"], row["quantity"])[0] > 0
        assert {"zh", "en"} <= set(row["name"])
    assert compile_uom(table["a21001"]["uom"], "concentration")[0] == pytest.approx(1e-12)
    symbols = [symbol for row in table.values() for symbol in row.get("symbols", ())]
    assert len(symbols) == len(set(symbols))


def test_every_limit_of_a_standard_is_a_concentration_of_a_known_pollutant():
    symbols = {s for row in load("pollutants").values() for s in row.get("symbols", ())}
    table = load("emission_limits")
    for row in table["limit"]:
        assert set(row["limits"]) <= symbols
        for text in (*row["limits"].values(), *row.get("low", {}).values()):
            assert 0 < parse_quantity(text, "concentration") < 1e-3
        assert row["verified"] is False
    references = [row["value"] for row in table["oxygen_reference"].values()]
    references += [row["oxygen_reference"] for row in table["limit"] if "oxygen_reference" in row]
    assert all(0 < parse_quantity(text, "fraction") < 0.19 for text in references)
