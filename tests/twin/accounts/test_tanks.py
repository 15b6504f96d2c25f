"""Geometry of horizontal tanks (test case T-06) and its inverse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.accounts.tanks import height_fraction, volume_fraction


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
