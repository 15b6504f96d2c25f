"""Who sees what: figures above the viewer's level, and sums that would give a member away."""

import numpy as np
import pytest

from twin.byproducts.disclosure import hidden, spread, withheld


@pytest.mark.parametrize(
    ("viewer", "levels", "verdict"),
    [
        ("public", ["public"], False),
        ("public", ["park"], True),
        ("park", ["park"], False),
        ("park", ["private"], True),
        ("private", ["private"], False),
        ("park", ["public", "private"], True),
    ],
)
def test_figures_above_the_level_of_the_viewer_are_withheld(viewer, levels, verdict):
    assert hidden(viewer, *levels) is verdict


@pytest.mark.parametrize(
    ("amount", "members", "concealed", "why"),
    [
        ([5, 5, 5], "abc", [False] * 3, ""),
        # What everybody may see can be subtracted from the sum: what is left is one part.
        ([5, 5, 5], "abc", [True, False, False], "few_members"),
        ([5, 5, 5], "abc", [True, True, False], "few_members"),
        # Two entries of one enterprise are one member.
        ([5, 5, 5], "aab", [True] * 3, "few_members"),
        ([5, 5, 5], "abc", [True] * 3, ""),
        ([81, 10, 9], "abc", [True] * 3, "one_dominates"),
        ([80, 10, 10], "abc", [True] * 3, ""),
        ([41, 40, 10, 9], "aabc", [True] * 4, "one_dominates"),
        ([np.nan, 10, 9], "abc", [True] * 3, "few_members"),
        # Who gives nothing hides nobody, and that nobody gives anything is told neither.
        ([0, 10, 9, 5], "abcd", [True, True, True, False], "few_members"),
        ([0, 0, 0, 7], "abcd", [True, True, True, False], "few_members"),
    ],
)
def test_sum_of_few_or_of_one_large_member_is_withheld(amount, members, concealed, why):
    assert withheld(np.array(amount, np.float64), list(members), concealed) == why


def test_concealment_spreads_along_ways_and_no_further():
    # 0 gives to 0 and 1, 1 to 1, 2 to 2: of these 0 is concealed; the last pair stands apart.
    source = np.array([True, False, False])
    ways = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2])
    sources, sinks = spread(source, np.zeros(3, bool), ways)
    assert (sources.tolist(), sinks.tolist()) == ([True, True, False], [True, True, False])
    assert source.tolist() == [True, False, False]
    nothing = spread(np.zeros(3, bool), np.zeros(3, bool), ways)
    assert not np.any(nothing)
