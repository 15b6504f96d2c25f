"""Scope 1 and 2: published defaults, factors by year, and nothing made up where one is missing."""

import numpy as np
import pytest

from twin.accounts.network import compile_network
from twin.emissions import carbon
from twin.emissions.sources import emission_sources
from twin.loading import load_park
from twin.reference import load
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
    carbonate = parse_quantity(table["process"]["sodium_carbonate"]["factor"], "fraction")
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
    ("year", "region", "method"),
    [(2025, "CN-SD", "location"), (2023, "CN-SD", "location"), (2022, "CN-SD", "ets"),
     (2022, "US", "location")],
)  # fmt: skip
def test_a_missing_year_is_a_reason_and_never_another_year(year, region, method):
    factor = carbon.grid_factor(year, region, method)
    assert np.isnan(factor.value)
    assert str(year) in factor.reason
    assert region in factor.reason
    assert factor.row == {}


def test_the_reason_names_the_years_there_are():
    assert "2021, 2022" in carbon.grid_factor(2025, "CN-SD", "location").reason
    assert "none for any year" in carbon.grid_factor(2022, "XX", "location").reason


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
    at = [network.index[tag] for tag in signs]
    assert np.flatnonzero(steam.activity).tolist() == sorted(at)
    assert np.sign(steam.activity[at]).tolist() == list(signs.values())
    assert emission_sources(network, "nowhere") == []
