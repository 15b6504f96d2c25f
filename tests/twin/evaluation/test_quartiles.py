"""Quartiles of an industry by hand, and how far the intervals of members move them."""

import numpy as np
import pytest

from twin.evaluation.quartiles import quartiles


def test_quartiles_of_four_members_lie_between_them():
    # Places 0, 0.75, 1.5, 2.25 and 3 among 10, 20, 40 and 80.
    value, half_width = quartiles(
        np.array([40.0, 10.0, 80.0, 20.0]), np.array([4.0, 1.0, 8.0, 2.0])
    )
    assert value == pytest.approx([10, 17.5, 30, 50, 80])
    # Each end is ten per cent away, and so is every quartile.
    assert half_width == pytest.approx([1, 1.75, 3, 5, 8])


def test_an_interval_that_reaches_over_others_widens_what_it_can_move():
    _, half_width = quartiles(np.array([10.0, 20.0, 30.0]), np.array([15.0, 0.0, 0.0]))
    # The first may be 25, then the least is 20; the median may be 25, the greatest stays.
    assert half_width == pytest.approx([15, 7.5, 5, 2.5, 0])


def test_one_member_without_an_interval_leaves_none():
    value, half_width = quartiles(np.array([10.0, 20.0, 30.0]), np.array([1.0, np.nan, 1.0]))
    assert value[2] == 20
    assert np.isnan(half_width).all()
