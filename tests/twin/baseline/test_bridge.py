"""The bridge of energy: hand arithmetic, exact sums, and what a model says of an intensity."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.baseline.bridge import PlantRates, bridge, idle_load, logarithmic_mean, split_intensity
from twin.baseline.model import fit_baseline

ROW = SimpleNamespace(variables=("mass", "heat"), made=("mass",), form="linear")
POSITIVE = st.floats(0.1, 1e6)
NO = np.zeros(2)


def rates(energy, mass, other=0.0):
    return PlantRates(np.array(energy), np.array(mass), float(sum(energy)) + other)


def test_parts_are_those_of_the_formula_by_hand():
    # Two plants of one product; twice as much is made, all of it more in the second one.
    before, after = (
        rates([100.0, 60.0], [50.0, 20.0], 7.0),
        rates([100.0, 243.0], [50.0, 90.0], 9.0),
    )
    effects, other = bridge(before, after, np.array([0, 0]), NO, NO, NO)
    weight = [100.0, (243 - 60) / np.log(243 / 60)]
    assert effects[0] == pytest.approx(np.array(weight) * np.log(2))
    assert effects[1] == pytest.approx(
        [100 * np.log((50 / 140) / (50 / 70)), weight[1] * np.log((90 / 140) / (20 / 70))]
    )
    assert effects[2] == pytest.approx([0.0, weight[1] * np.log(2.7 / 3.0)], abs=1e-12)
    assert not effects[3:].any()
    assert other == pytest.approx(2.0)
    assert effects.sum() + other == pytest.approx(after.total - before.total)


def test_products_are_not_added_and_a_plant_that_starts_is_a_part_of_its_own():
    before, after = rates([100.0, 0.0], [50.0, 0.0]), rates([110.0, 30.0], [55.0, 10.0])
    effects, _ = bridge(before, after, np.array([0, 1]), NO, NO, NO)
    assert effects[:, 0] == pytest.approx([10, 0, 0, 0, 0, 0, 0])
    assert effects[:, 1] == pytest.approx([0, 0, 0, 0, 0, 0, 30])


def test_a_price_is_a_part_of_a_cost_by_hand():
    # 100 kWh at 0.50 become 120 kWh at 0.60 for the same mass: 50 to 72 in money.
    before, after = rates([50.0], [10.0]), rates([72.0], [10.0])
    no = np.zeros(1)
    effects, other = bridge(before, after, np.array([0]), no, no, np.array([np.log(1.2)]))
    # Both factors rise by a fifth, so that each has half of the 22.
    assert effects[:, 0] == pytest.approx([0, 0, 11, 0, 0, 11, 0])
    assert other == pytest.approx(0)


@given(*[st.lists(st.tuples(POSITIVE, POSITIVE), min_size=3, max_size=3)] * 2)
def test_parts_always_add_up_to_the_change(first, second):
    before, after = (rates(*map(list, zip(*each, strict=True)), 3.0) for each in (first, second))
    log = np.array([0.1, -0.2, 0.0])
    effects, other = bridge(before, after, np.array([0, 0, 1]), log, -log / 2, log / 3)
    size = before.total + after.total
    assert effects.sum() + other == pytest.approx(after.total - before.total, abs=1e-9 * size)


def test_logarithmic_mean_lies_between_its_arguments_and_is_one_of_equal_ones():
    assert logarithmic_mean(np.array([2.0, np.e]), np.array([2.0, 1.0])) == pytest.approx(
        [2.0, np.e - 1]
    )


@pytest.fixture(scope="module")
def model():
    """Energy 30 + 2 a unit of mass + 0.5 a unit of heat."""
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.uniform(80, 120, 400), rng.uniform(0, 20, 400)])
    y = 30 + x @ [2.0, 0.5] + rng.normal(0, 0.3, 400)
    return fit_baseline(ROW, y, x, np.ones(400, bool), 0)


def test_model_tells_load_from_conditions(model):
    # At half the mass the same idle energy is twice as much of a tonne; heat stays.
    split = split_intensity(ROW, model, np.array([1, 100, 10.0]), np.array([1, 50, 10.0]))
    true = np.log((2 + 35 / 50) / (2 + 35 / 100))
    assert split.load == pytest.approx(true, abs=3 * split.load_sigma)
    assert split.conditions == pytest.approx(0, abs=1e-12)
    assert 0 < split.load_sigma < 0.01
    warm = split_intensity(ROW, model, np.array([1, 100, 10.0]), np.array([1, 100, 20.0]))
    assert (warm.load, warm.conditions) == pytest.approx((0, np.log(2.4 / 2.35)), abs=2e-3)
    both = split_intensity(ROW, model, np.array([1, 100, 10.0]), np.array([1, 50, 20.0]))
    assert both.load + both.conditions == pytest.approx(np.log(2.8 / 2.35), abs=2e-3)
    assert split_intensity(ROW, model, np.array([1, 0, 10.0]), np.array([1, 50, 10.0])) is None


def test_idle_load_is_the_constant_of_a_line_in_the_mass_alone(model):
    assert idle_load(model) is None
    rng = np.random.default_rng(1)
    mass = rng.uniform(80, 120, 200)
    row = SimpleNamespace(variables=("mass",), made=("mass",), form="linear")
    energy = 30 + 2 * mass + rng.normal(0, 1, 200)
    alone = fit_baseline(row, energy, mass[:, None], np.ones(200, bool), 0)
    value, width = idle_load(alone)
    assert abs(value - 30) < width < 3
    assert idle_load(replace(alone, variables=("mass",))) is None
