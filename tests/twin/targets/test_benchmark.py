"""Ranks of parks where intervals separate them, and indicators that are no figure of any park."""

import numpy as np
import pytest

from tests.support.small_evaluation import files
from twin.errors import ModelError
from twin.loading import parse_park
from twin.targets.benchmark import ParkIndicator, compare, parks_in, rank, target_of

NAN = float("nan")


@pytest.mark.parametrize(
    ("value", "width", "at_most", "best", "worst"),
    [
        ([10, 20, 30], [1, 1, 1], True, [1, 2, 3], [1, 2, 3]),
        ([10, 20, 30], [1, 1, 1], False, [3, 2, 1], [3, 2, 1]),
        # 10 ± 6 and 20 ± 6 overlap: both may be first or second.
        ([10, 20, 40], [6, 6, 1], True, [1, 1, 3], [2, 2, 3]),
        # Exact equals share the better rank.
        ([10, 10, 40], [0, 0, 0], True, [1, 1, 3], [1, 1, 3]),
        # Of one that is not known nobody can say where it stands.
        ([10, NAN, 40], [0, 0, 0], True, [1, 0, 2], [2, 0, 3]),
        ([10, 20, 40], [0, NAN, 0], True, [1, 1, 2], [2, 3, 3]),
    ],
)
def test_rank_stands_where_intervals_separate_figures(value, width, at_most, best, worst):
    ranks = rank(np.array(value, float), np.array(width, float), np.array(at_most))
    assert (ranks.best.tolist(), ranks.worst.tolist()) == (best, worst)


HEAD = """
[[park_indicator]]
id = "x"
name = { zh = "税", en = "Tax" }
sense = "at_least"
"""


def test_indicator_of_tags_is_that_of_all_enterprises_of_a_park():
    row = 'uom = "万元/亩"\nkpi = "ratio"\npart = "B-TAX"\nwhole = "B-LAND"\n'
    park = parse_park(files(more=HEAD + row))
    (indicator,) = park.rows(ParkIndicator)
    assert parks_in(park, "acmepark") == ["acmepark"]
    target, lacking = target_of(park, indicator, "acmepark")
    assert target.part == ("acme/B-TAX", "other/B-TAX", "third/B-TAX")
    assert (target.whole[0], target.sense, lacking) == ("acme/B-LAND", "at_least", [])
    other = ParkIndicator(
        id="y", uom="t", kpi="amount", sense="at_most", name={}, part=("B-NOTHING",)
    )
    assert target_of(park, other, "acmepark")[1] == [
        "acme/B-NOTHING", "other/B-NOTHING", "third/B-NOTHING",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (HEAD + 'uom = "kg"\nkpi = "ratio"\npart = "B-TAX"\nwhole = "B-LAND"', "uom"),
        (HEAD + 'uom = "%"\nkpi = "ratio"\npart = "B-TAX"', "needs whole"),
        ('[[benchmark_park]]\nscope = "acmepark"\npark = "acmepark/acme"', "is no park in"),
    ],
)
def test_indicator_or_benchmark_that_cannot_be_is_a_problem_at_load(rows, problem):
    with pytest.raises(ModelError) as caught:
        parse_park(files(more=rows + "\n"))
    assert len(caught.value.problems) == 1
    assert problem in caught.value.problems[0]


def test_exact_equals_are_neither_better_nor_worse():
    gap = np.array([0.0, 2.0, -2.0, 0.0, 2.0, np.nan])
    width = np.array([0.0, 0.0, 1.0, 1.0, 3.0, 0.0])
    words = ["equal", "better", "worse", "undecided", "undecided", "undecided"]
    assert compare(gap, width, np.array(False)).tolist() == words
