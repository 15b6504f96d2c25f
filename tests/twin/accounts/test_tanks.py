"""Geometry of horizontal tanks (test case T-06) and its inverse."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.accounts.tanks import fill_share, full_mass, height_fraction, volume_fraction
from twin.model.park import Tag, Tank
from twin.reference import figure


@pytest.mark.parametrize(
    ("level", "volume"),
    [(0, 0), (0.25, 0.19550), (0.50, 0.5), (0.75, 0.80450), (0.80, 0.85762), (1, 1)],
)
def test_filled_share_of_a_level_is_the_published_one(level, volume):
    assert volume_fraction(np.array(level)) == pytest.approx(volume, rel=1e-4)


def test_level_of_80_percent_volume_is_the_published_one():
    assert height_fraction(np.array(0.8)) == pytest.approx(0.745931, rel=1e-6)


def test_mass_of_six_tanks_at_their_fill_limit_is_the_published_one():
    filled = volume_fraction(height_fraction(np.full(6, 0.8)))
    assert (113 * filled * 1.425)[0] == pytest.approx(128.82, rel=1e-4)
    assert (113 * filled * 1.425).sum() == pytest.approx(772.92, rel=1e-4)


def lying(**more):
    """Return a lying tank of 113 m³ of liquid chlorine."""
    length = 113 / (np.pi / 4 * 3.0**2)
    usual = {"level": "LT", "diameter": 3.0, "length": length, "density": 1425.0}
    return Tank(id="V", scope="farm", **{"medium": "liquid_chlorine", **usual, **more})


LEVEL = Tag("LT", "acme", "farm", "level", "m", "gauge", 1.0, 0.0)
WEIGHT = Tag("WT", "acme", "farm", "mass", "t", "gauge", 1000.0, 0.0, high=150e3)


def test_mass_a_tank_of_liquid_chlorine_may_hold_is_the_published_one():
    limit = figure("chlorine.fill_limit", "fraction")
    tank = lying(fill_limit=limit)
    assert fill_share(tank) * full_mass(tank, LEVEL) == pytest.approx(128.82e3)
    # The volume governs; without its limit the filling coefficient of 1.25 kg/L does.
    assert fill_share(lying()) * full_mass(lying(), LEVEL) == pytest.approx(141.25e3)
    assert fill_share(lying(medium="caustic_32", fill_limit=0.95)) == 0.95


def test_tank_without_a_size_is_as_large_as_the_range_of_its_mass_tag():
    unknown = {"level": "", "mass": "WT", "diameter": np.nan, "length": np.nan, "density": np.nan}
    tank = lying(**unknown, fill_limit=0.9)
    assert full_mass(tank, WEIGHT) == 150e3
    assert fill_share(tank) == 0.9
    assert np.isnan(full_mass(tank, replace(WEIGHT, high=np.nan)))


def test_levels_beyond_the_tank_are_clipped_and_nan_stays_nan():
    assert volume_fraction(np.array([-0.1, 1.1])).tolist() == [0.0, 1.0]
    assert height_fraction(np.array([-0.1, 1.1])) == pytest.approx([0.0, 1.0], abs=1e-9)
    assert np.isnan(volume_fraction(np.array([np.nan]))).all()
    assert np.isnan(height_fraction(np.array([np.nan]))).all()


@settings(deadline=None)
@given(st.floats(0, 1))
def test_level_of_the_volume_of_a_level_is_that_level(level):
    assert height_fraction(volume_fraction(np.array(level))) == pytest.approx(level, abs=1e-6)


@settings(deadline=None)
@given(st.floats(0, 1))
def test_tank_is_symmetric_about_its_middle(level):
    both = volume_fraction(np.array([level, 1 - level]))
    assert both.sum() == pytest.approx(1.0)


def test_more_level_is_never_less_volume():
    volume = volume_fraction(np.linspace(0, 1, 10_001))
    assert (np.diff(volume) > 0).all()
