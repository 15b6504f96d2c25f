"""Scores and classes by hand: the rule published for Huai'an in 2024, ties, gaps, intervals."""

import numpy as np
import pytest

from twin.evaluation.score import (
    Scores,
    classify_by_rank,
    classify_by_score,
    mean_benchmark,
    rate,
)

# Tax per mu 45 %, sales per mu 35 %, tax per energy 20 %.
WEIGHT = np.array([0.45, 0.35, 0.20])
NO_CAP = np.full(3, np.inf)
# A to 20 %, B to 60 %, C to 95 %, D.
LIMITS = np.array([0.20, 0.60, 0.95, 1.0])


def exact(score):
    """Return scores that have no interval."""
    score = np.array(score, dtype=float)
    return Scores(score[:, None], score, score, score)


def classes(scores, rated=None, vetoed=None, limits=LIMITS):
    """Return the best and the worst class of each enterprise, as letters."""
    count = len(scores.score)
    rated = np.ones(count, bool) if rated is None else np.array(rated)
    vetoed = np.zeros(count, bool) if vetoed is None else np.array(vetoed)
    result = classify_by_rank(scores, rated, vetoed, limits)
    pairs = zip(result.best.tolist(), result.worst.tolist(), strict=True)
    return ["ABCD"[best] if best == worst else "ABCD"[best : worst + 1] for best, worst in pairs]


def test_published_rule_of_huaian_gives_the_scores_computed_by_hand():
    # Last year's means of the county: 12 and 200 (万元 per mu), 1.5 (万元 per tce).
    last_year = np.array([[10.0, 150.0, 1.0], [14.0, 250.0, 2.0]])
    benchmark, width = mean_benchmark(last_year, np.zeros((2, 3)), np.full(3, 2.0))
    # Twice the means.
    assert benchmark.tolist() == [24.0, 400.0, 3.0]
    assert width.tolist() == [0.0, 0.0, 0.0]
    value = np.array([[24.0, 400.0, 3.0], [12.0, 300.0, 1.5], [36.0, 100.0, 0.3]])
    extra = np.array([0.0, 3.0, -2.0])
    zero, every = np.zeros((3, 3)), np.tile(benchmark, (3, 1))
    scores = rate(value, zero, every, zero, WEIGHT, NO_CAP, extra)
    # 45 * 1 + 35 * 1 + 20 * 1 = 100
    # 45 * 12/24 + 35 * 300/400 + 20 * 1.5/3 + 3 = 22.5 + 26.25 + 10 + 3 = 61.75
    # 45 * 36/24 + 35 * 100/400 + 20 * 0.3/3 - 2 = 67.5 + 8.75 + 2 - 2 = 76.25
    assert scores.score == pytest.approx([100.0, 61.75, 76.25])
    assert scores.points[1] == pytest.approx([22.5, 26.25, 10.0])
    assert scores.low == pytest.approx(scores.high)


def test_cap_limits_what_one_indicator_counts():
    value, zero, one = np.array([[36.0, 100.0, 0.3]]), np.zeros((1, 3)), np.ones(3)
    benchmark = np.array([[24.0, 400.0, 3.0]])
    # 45 * min(1.5, 1.2) + 8.75 + 2 = 54 + 10.75
    scores = rate(value, zero, benchmark, zero, WEIGHT, 1.2 * one, np.zeros(1))
    assert scores.score == pytest.approx([64.75])
    # Above the cap an interval changes nothing: 33.6/24 and 38.4/24 are both above 1.2.
    sure = rate(value, np.array([[2.4, 0, 0]]), benchmark, zero, WEIGHT, 1.2 * one, np.zeros(1))
    assert (sure.low.item(), sure.high.item()) == pytest.approx((64.75, 64.75))


def test_interval_of_a_score_is_that_of_its_indicators_and_its_benchmark():
    value, benchmark = np.array([[12.0]]), np.array([[24.0]])
    widths = np.array([[1.2]]), np.array([[1.8]])
    scores = rate(value, widths[0], benchmark, widths[1], np.ones(1), np.ones(1), np.zeros(1))
    # 50 +- 100 * hypot(1.2/24, 12/24 * 1.8/24) = 100 * hypot(0.05, 0.0375) = 6.25
    assert (scores.low.item(), scores.high.item()) == pytest.approx((43.75, 56.25))


def test_of_twenty_enterprises_four_are_a_eight_b_seven_c_and_one_d():
    score = np.arange(20.0) * 5
    result = classes(exact(score[::-1]))
    assert result == ["A"] * 4 + ["B"] * 8 + ["C"] * 7 + ["D"]
    # The order in the table makes no difference.
    assert classes(exact(score)) == result[::-1]


def test_equal_scores_share_the_better_rank_and_so_their_class():
    score = np.arange(20.0)[::-1]
    score[4] = score[3]
    scores = exact(score + np.where(np.arange(20) == 4, 1e-13, 0.0))
    result = classify_by_rank(scores, np.ones(20, bool), np.zeros(20, bool), LIMITS)
    assert result.rank[:7].tolist() == [1, 2, 3, 4, 4, 6, 7]
    # 3.5/20 for both; the next is the sixth, (6 - 0.5)/20.
    assert classes(scores)[:6] == ["A", "A", "A", "A", "A", "B"]


def test_single_enterprise_has_no_class_by_rank_but_one_by_score():
    assert classes(exact([70.0])) == ["ABCD"]
    assert classes(exact([70.0]), vetoed=[True]) == ["D"]
    least = np.array([80.0, 60.0, 40.0, -np.inf])
    result = classify_by_score(exact([70.0]), np.array([True]), np.array([False]), least)
    assert (result.rank.item(), result.best.item(), result.worst.item()) == (1, 1, 1)


def test_veto_is_the_last_class_and_the_last_rank():
    # 5 enterprises: 0.1 A, 0.3 and 0.5 B, 0.7 and 0.9 C.
    assert classes(exact([90, 80, 70, 60, 50])) == ["A", "B", "B", "C", "C"]
    vetoed = [True, False, False, False, False]
    assert classes(exact([90, 80, 70, 60, 50]), vetoed=vetoed) == ["D", "A", "B", "B", "C"]


def test_enterprise_that_is_not_rated_has_no_part_in_the_ranks():
    rated = np.array([False, True, True])
    result = classify_by_rank(exact([99, 50, 40]), rated, np.zeros(3, bool), LIMITS)
    assert result.rank.tolist() == [0, 1, 2]
    # 0.25 and 0.75 of two.
    assert (result.best[1:].tolist(), result.worst[1:].tolist()) == ([1, 2], [1, 2])


def test_interval_that_crosses_a_class_limit_leaves_it_undecided_between_a_and_b():
    score = np.arange(20.0)[::-1] * 5
    low, high = score.copy(), score.copy()
    # The fourth, 80, may be below the fifth, 75; so the fifth may be the fourth.
    low[3] = 74.0
    result = classes(Scores(score[:, None], score, low, high))
    assert result[:6] == ["A", "A", "A", "AB", "AB", "B"]
    assert result[6:] == ["B"] * 6 + ["C"] * 7 + ["D"]


def test_score_that_is_not_known_leaves_open_who_stands_at_a_limit_and_nobody_else():
    score = np.arange(20.0)[::-1]
    score[10] = np.nan
    result = classify_by_rank(exact(score), np.ones(20, bool), np.zeros(20, bool), LIMITS)
    assert result.rank[[9, 10, 11]].tolist() == [10, 0, 11]
    letters = classes(exact(score))
    assert letters[:4] == ["A", "A", "A", "AB"]
    assert letters[10] == "ABCD"
    # Of the 19 others, the 12th and the 19th may each be one further down.
    assert [letters[n] for n in (11, 12, 18, 19)] == ["B", "BC", "C", "CD"]


def test_score_limits_decide_by_the_interval():
    score = np.array([80.0, 79.0, 61.0, 30.0, np.nan])
    width = np.array([0.0, 2.0, 0.5, 1.0, 0.0])
    scores = Scores(score[:, None], score, score - width, score + width)
    least = np.array([80.0, 60.0, 40.0, -np.inf])
    rated, vetoed = np.ones(5, bool), np.zeros(5, bool)
    result = classify_by_score(scores, rated, vetoed, least)
    assert result.best.tolist() == [0, 0, 1, 3, 0]
    assert result.worst.tolist() == [0, 1, 1, 3, 3]


def test_unknown_interval_of_a_known_score_decides_nothing():
    score = np.array([80.0, 20.0])
    unknown = np.full(2, np.nan)
    assert classes(Scores(score[:, None], score, unknown, unknown)) == ["BC", "BC"]


def test_mean_of_last_year_leaves_out_who_has_no_figure():
    value = np.array([[10.0, np.nan], [14.0, np.nan], [np.nan, np.nan]])
    width = np.array([[3.0, 0.0], [4.0, 0.0], [np.nan, 0.0]])
    benchmark, half = mean_benchmark(value, width, np.array([2.0, 2.0]))
    assert benchmark[0] == 24.0
    # Twice the root of 9 + 16, of two.
    assert half[0] == pytest.approx(5.0)
    assert np.isnan(benchmark[1])
