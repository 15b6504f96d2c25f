"""Who sees what: figures above the viewer's level, and sums that would give a member away."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.small_park import FILES
from twin.disclosure import (
    DOMINANCE,
    MEMBERS_MIN,
    Viewer,
    level_of,
    spread,
    withheld,
    withheld_above,
)
from twin.errors import ModelError
from twin.loading import parse_park
from twin.model.park import inside


@pytest.mark.parametrize(
    ("viewer", "levels", "seen"),
    [
        (Viewer("public"), ["public"], True),
        (Viewer("public"), ["park"], False),
        (Viewer("park"), ["park"], True),
        (Viewer("park"), ["enterprise"], False),
        (Viewer("enterprise"), ["enterprise"], True),
        (Viewer("enterprise"), ["private"], False),
        (Viewer("private"), ["private"], True),
        (Viewer("park"), ["public", "private"], False),
        # All that is one's own, and nothing more of others.
        (Viewer("public", ("park/acme",)), ["private"], True),
        (Viewer("public", ("park/acme/unit",)), ["park"], False),
        (Viewer("public", ("park/ac",)), ["park"], False),
    ],
)
def test_viewer_sees_figures_of_his_level_and_all_of_his_own(viewer, levels, seen):
    assert viewer.sees("park/acme", *levels) is seen


def test_level_of_a_scope_is_that_of_the_nearest_row_at_or_above_it():
    text = (
        FILES["park.toml"]
        + """
[[disclosure]]
scope = "demo/acme"
level = "park"
[[disclosure]]
scope = "demo/acme/caustic/cells"
level = "private"
"""
    )
    park = parse_park(FILES | {"park.toml": text})
    paths = ("demo", "demo/acme", "demo/acme/caustic", "demo/acme/caustic/cells")
    assert [level_of(park, path) for path in paths] == ["enterprise", "park", "park", "private"]
    wrong = text + '[[disclosure]]\nscope = "demo"\nlevel = "public"\n'
    with pytest.raises(ModelError) as caught:
        parse_park(FILES | {"park.toml": wrong})
    assert "enterprise, or a scope below one" in caught.value.problems[0]


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


# --- sums of scopes, one inside the other -------------------------------------

SUMS = ["r", "r/a", "r/a/x", "r/b", "r/c"]
PLACES = [*SUMS, "r/a/y"]


def tells(size):
    """Tell whether a sum of these members gives one away."""
    parts = [each for each in size if each]
    return len(parts) < MEMBERS_MIN or max(parts) > DOMINANCE * sum(parts)


@given(
    st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from([0, 1, 2, 5, 9, 100])), max_size=14)
)
def test_no_difference_of_sums_that_are_shown_gives_a_member_away(members):
    """An attacker takes from each known sum any of those known below it, and looks at what is left.

    Scopes that overlap are one inside the other, so these are all differences of sums there are.
    """
    sizes = {f"{path}/e{n}": float(size) for n, (path, size) in enumerate(members)}
    known = [
        each
        for each in SUMS
        if any(inside(m, each) for m in sizes) and not withheld_above(each, sizes, SUMS)
    ]
    for whole in known:
        below = [each for each in known if each != whole and inside(each, whole)]
        for count in range(len(below) + 1):
            for taken in combinations(below, count):
                remains = [
                    size
                    for m, size in sizes.items()
                    if inside(m, whole) and not any(inside(m, each) for each in taken)
                ]
                assert not any(remains) or not tells(remains), (whole, taken)


def test_sum_whose_difference_from_a_known_one_is_one_member_is_linked():
    sizes = {"r/a/e1": 4.0, "r/a/e2": 5.0, "r/a/e3": 6.0, "r/b/e4": 5.0}
    # Park a may be known, and then the region less a is e4.
    assert withheld_above("r/a", sizes, SUMS) == ""
    assert withheld_above("r/b", sizes, SUMS) == "few_members"
    assert withheld_above("r", sizes, SUMS) == "linked"
    assert withheld_above("r", sizes, ["r"]) == ""
    assert withheld_above("r/a", sizes | {"r/a/e1": 400.0}, SUMS) == "one_dominates"
    # Nothing is concealed there.
    assert withheld_above("r/c", sizes, SUMS) == ""
