"""Scope 1 and 2: published defaults, factors by year, and nothing made up where one is missing."""

import numpy as np
import pytest

from twin.accounts.network import compile_network
from twin.emissions import carbon
from twin.emissions.sources import emission_sources
from twin.loading import load_park
from twin.reference import load
from twin.stoichiometry import composition, molar_mass
from twin.uom import parse_quantity

KWH = 3.6e6
TONNE = 1e3


@pytest.mark.parametrize(("region", "co2"), [("CN-SD", 8.2048), ("CN", 6.86848)])
def test_a_tonne_of_aluminium_buys_its_electricity_with_the_factor_of_the_year(region, co2):
    factor = carbon.grid_factor(2022, region, "location")
    emitted = 12_800 * KWH * factor.value
    assert emitted / TONNE == pytest.approx(co2, rel=1e-9)
    assert factor.reason == ""
    assert factor.row["confidence"] == "H"


def test_anodes_and_anode_effects_emit_the_published_defaults():
    made = carbon.anode(TONNE, **carbon.parameters("process", "anode"))
    assert made / TONNE == pytest.approx(1.50304, rel=1e-9)
    warm = carbon.perfluorocarbons(TONNE, **carbon.parameters("process", "perfluorocarbons"))
    assert warm / TONNE == pytest.approx(0.25228, rel=1e-9)


def test_carbonates_and_bought_heat_emit_by_their_factors():
    table = load("carbon")
    carbonate = carbon.material(table["material"]["sodium_carbonate"])
    assert carbonate == pytest.approx(44.009 / 105.988, rel=2e-5)
    heat = parse_quantity(table["heat"]["factor"], "emission_factor")
    assert parse_quantity("1 GJ", "energy") * heat == pytest.approx(110.0)


def test_burned_carbon_becomes_44_twelfths_of_its_mass():
    assert carbon.fuel(12.0, 1.0, 1.0, 1.0) == pytest.approx(44.0)
    half = carbon.fuel(np.array([12.0, 24.0, np.nan]), 1.0, 1.0, 0.5)
    np.testing.assert_allclose(half, [22.0, 44.0, np.nan])


@pytest.mark.parametrize(
    ("name", "amount", "co2"),
    [("coal", TONNE, 1980.4), ("natural_gas", 1000.0, 1996.5), ("coke", TONNE, 3048.2)],
)
def test_default_fuels_emit_what_their_figures_multiply_to(name, amount, co2):
    emitted = carbon.fuel(amount, **carbon.parameters("fuel", name))
    assert emitted == pytest.approx(co2, rel=1e-4)


@pytest.mark.parametrize(
    ("year", "region", "method", "kwh", "of"),
    [(2025, "CN-SD", "location", 0.6410, 2022), (2026, "CN", "location", 0.5306, 2023),
     (2022, "CN", "location", 0.5366, 2022), (2030, "CN", "ets", 0.5703, 2022),
     (2018, "CN", "location", 0.5568, 2021)],
)  # fmt: skip
def test_the_newest_published_factor_stands_in_for_a_year_without_one(
    year, region, method, kwh, of
):
    factor = carbon.grid_factor(year, region, method)
    assert factor.value * KWH == pytest.approx(kwh, rel=1e-12)
    assert factor.row["year"] == of
    assert factor.stands_in is (year != of)
    assert (str(year) in factor.reason) is (year != of)


@pytest.mark.parametrize(("region", "method"), [("CN-SD", "ets"), ("US", "location")])
def test_a_region_and_method_without_any_factor_have_a_reason(region, method):
    factor = carbon.grid_factor(2022, region, method)
    assert np.isnan(factor.value)
    assert (factor.row, factor.stands_in) == ({}, False)
    assert f"no {method} factor of {region} is published for 2022, nor for any" in factor.reason


def test_the_factor_of_the_market_is_that_of_the_country():
    factor = carbon.market_factor(2025, "CN-SD")
    assert factor.value * KWH == pytest.approx(0.5856, rel=1e-12)
    assert (factor.row["region"], factor.row["year"], factor.stands_in) == ("CN", 2022, True)


@pytest.mark.parametrize(
    ("name", "mass", "dioxide"),
    [("limestone", 100.087, 1), ("dolomite", 184.401, 2), ("magnesite", 84.314, 1),
     ("sodium_carbonate", 105.988, 1), ("sodium_bicarbonate", 84.006, 1), ("siderite", 115.854, 1)],
)  # fmt: skip
def test_carbonates_give_off_the_dioxide_of_their_formula(name, mass, dioxide):
    factor = carbon.material(load("carbon")["material"][name])
    assert factor == pytest.approx(dioxide * 44.009 / mass, rel=2e-5)


@pytest.mark.parametrize(
    ("name", "formula"),
    [("urea", "CH4N2O"), ("methanol", "CH4O"), ("ammonium_bicarbonate", "NH5CO3"),
     ("dimethyl_ether", "C2H6O"), ("formaldehyde", "CH2O"), ("acetic_acid", "C2H4O2"),
     ("acetylene", "C2H2"), ("vinyl_chloride", "C2H3Cl"), ("pvc", "C2H3Cl"),
     ("chloromethane", "CH3Cl"), ("dichloromethane", "CH2Cl2"), ("chloroform", "CHCl3"),
     ("epichlorohydrin", "C3H5ClO"), ("caprolactam", "C6H11NO")],
)  # fmt: skip
def test_products_bind_the_carbon_of_their_formula(name, formula):
    atoms = composition(formula)["C"]
    expected = atoms * molar_mass("C") / molar_mass(formula) * 44 / 12
    assert carbon.material(load("carbon")["material"][name]) == pytest.approx(expected, rel=5e-5)


def test_methods_of_one_year_differ():
    result = {
        method: carbon.grid_factor(2022, "CN", method).value * KWH
        for method in ("location", "market", "fossil", "ets")
    }
    assert result == pytest.approx(
        {"location": 0.5366, "market": 0.5856, "fossil": 0.8325, "ets": 0.5703}
    )


def test_captured_carbon_dioxide_is_subtracted_and_an_unknown_term_is_not_zero():
    result = carbon.footprint(
        np.array([100.0, np.nan]), np.array([20.0, 20.0]), np.array([50.0, 50.0]), 5.0, 30.0
    )
    np.testing.assert_array_equal(result.scope1, [90.0, np.nan])
    np.testing.assert_array_equal(result.scope2, [55.0, 55.0])
    np.testing.assert_array_equal(result.total, [145.0, np.nan])


def test_every_carrier_of_energy_is_accounted_for_or_said_to_be_unknown():
    result = {carrier: carbon.source_of(carrier) for carrier in load("energy")}
    assert result["electricity"] == "electricity"
    assert result["coal"] == "fuel"
    assert result["steam"] == "heat"
    assert result["hydrogen"] == "nothing"
    assert {carrier for carrier, source in result.items() if source == "unknown"} <= {
        "crude_benzene", "methanol", "producer_gas", "pressure_gasification_gas", "water_gas",
        "calcium_carbide",
    }  # fmt: skip
    named = {*load("carbon")["fuel"], *load("carbon")["heat"]["carriers"]}
    assert named <= set(load("energy"))


def test_each_factor_of_the_grid_stands_once():
    keys = [(row["year"], row["region"], row["method"]) for row in load("carbon")["grid"]]
    assert len(keys) == len(set(keys))


def test_a_scope_emits_what_comes_in_less_what_goes_out():
    demo = load_park("deploy/parks/liaocheng")
    network = compile_network(demo)
    result = {e.name: e for e in emission_sources(network, "liaocheng")}
    coal, steam, anode = result["coal"], result["steam"], result["anode"]
    assert (coal.scope, steam.scope, anode.scope) == (1, 2, 1)
    # GB/T 2589 and GB/T 32151.10 by their default figures, as by `carbon.fuel`.
    assert coal.factor == pytest.approx(carbon.fuel(1.0, **carbon.parameters("fuel", "coal")))
    assert np.isnan(result["electricity"].factor)
    signs = {m.tag: 1 if m.direction == "in" else -1 for m in demo.meters if m.carrier == "steam"}
    # The steam of Luxi and Xinfa has the pressure of the header, that of Huaxiang a nominal one.
    heats = dict(zip(network.heats.flow.tolist(), network.heats.tag.tolist(), strict=True))
    at = [heats.get(network.index[tag], network.index[tag]) for tag in signs]
    assert np.flatnonzero(steam.activity).tolist() == sorted(at)
    assert np.sign(steam.activity[at]).tolist() == list(signs.values())
    assert emission_sources(network, "nowhere") == []
