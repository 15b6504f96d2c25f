"""By-products: a balance closes or says by how much it does not, and theory says what to expect."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from twin.byproducts.balance import (
    compile_processes,
    expected,
    surplus,
    unaccounted,
)
from twin.stoichiometry import demand
from twin.uom import from_si, parse_quantity

PARK = ("chlor-alkali", "hydrogen-chloride-synthesis", "hydrogen-peroxide",
        "vinyl-chloride-carbide", "gasification", "ammonia-from-syngas", "urea")  # fmt: skip


def t_per_h(value):
    return parse_quantity(f"{value} t/h", "mass_flow")


def kg_per_h(value):
    return from_si(float(value), "kg/h", "mass_flow")


def test_what_comes_in_and_neither_goes_out_nor_stays_is_unaccounted():
    make, use = np.array([100.0, 100.0]), np.array([60.0, 60.0])
    imported, exported = np.array([5.0, 0.0]), np.array([30.0, 30.0])
    vented, change = np.array([1.0, 0.0]), np.array([10.0, 10.0])
    assert unaccounted(make, use, imported, exported, vented, change).tolist() == [4.0, 0.0]


def test_one_unknown_term_makes_the_balance_unknown():
    one, nothing = np.ones(1), np.zeros(1)
    assert np.isnan(unaccounted(one, one, nothing, nothing, nothing, np.array([np.nan]))).all()
    assert np.isnan(unaccounted(np.array([np.nan]), one, nothing, nothing, nothing, one)).all()


def test_rates_of_the_plants_make_one_book_of_all_components():
    park = compile_processes(PARK)
    # 50 t/h of chlorine, 12 t/h of it burnt: the same hydrogen as in the ledger, from the network.
    ratio = demand("chlor-alkali")["Cl2"]
    burnt = -demand("hydrogen-chloride-synthesis")["Cl2"]
    rate = np.zeros(len(PARK))
    rate[0], rate[1] = t_per_h(50) / ratio, t_per_h(12) / burnt
    make, use = expected(park, rate)
    at = park.components.index
    assert kg_per_h(make[at("hydrogen")]) == pytest.approx(1421.516, rel=1e-6)
    assert kg_per_h(use[at("hydrogen")]) == pytest.approx(341.164, rel=1e-6)
    assert make[at("chlorine")] == pytest.approx(t_per_h(50))
    assert use[at("chlorine")] == pytest.approx(t_per_h(12))
    assert make[at("hydrogen_chloride")] == pytest.approx(rate[1])
    assert (use >= 0).all()
    assert (make >= 0).all()


def test_syngas_is_made_by_gasification_and_used_by_ammonia_and_steam_by_both():
    park = compile_processes(PARK)
    make, use = expected(park, np.eye(len(PARK)))
    assert set(park.components) >= {"chlorine", "hydrogen", "hydrogen_chloride", "caustic",
                                    "syngas", "carbon_dioxide", "steam", "ammonia"}  # fmt: skip
    at = park.components.index
    gasifier, ammonia = PARK.index("gasification"), PARK.index("ammonia-from-syngas")
    hydrogen = demand("gasification")["H2"]
    assert make[gasifier, at("syngas")] == pytest.approx(1 + hydrogen)
    assert make[gasifier, at("hydrogen")] == 0
    assert use[ammonia, at("syngas")] == pytest.approx(1.3223, abs=5e-5)
    assert make[ammonia, at("carbon_dioxide")] == pytest.approx(1.938, abs=5e-4)
    assert use[gasifier, at("steam")] > 0
    assert use[ammonia, at("steam")] > 0


def test_plant_without_a_rate_hides_only_what_it_takes_part_in():
    park = compile_processes(PARK)
    rate = np.ones(len(PARK))
    rate[PARK.index("urea")] = np.nan
    make, use = expected(park, rate)
    hidden = {c for m, c in enumerate(park.components) if np.isnan(make[m]) or np.isnan(use[m])}
    assert hidden == {"ammonia", "carbon_dioxide", "urea"}
    assert make[park.components.index("chlorine")] > 0


def test_network_without_processes_has_no_components():
    make, use = expected(compile_processes([]), np.zeros((4, 0)))
    assert make.shape == use.shape == (4, 0)


def test_only_what_is_above_use_and_permitted_vent_is_surplus():
    make, use = np.array([10.0, 10.0, 10.0, np.nan]), np.array([4.0, 12.0, 9.0, 1.0])
    result = surplus(make, use, np.array(2.0))
    np.testing.assert_array_equal(result, [4.0, 0.0, 0.0, np.nan])


@settings(deadline=None, max_examples=100)
@given(arrays(np.float64, (3, len(PARK)), elements=st.floats(0, 1e3)))
def test_what_is_made_minus_what_is_used_is_the_plain_product(rate):
    park = compile_processes(PARK)
    make, use = expected(park, rate)
    np.testing.assert_allclose(make - use, rate @ park.coefficient, atol=1e-9)
