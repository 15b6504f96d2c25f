"""The time figures use where data are missing."""

import numpy as np

from twin.series.coverage import joint_amount, joint_time, missing, runs_of, whole


def test_joint_time_is_that_of_the_least_covered_tag_and_has_passed():
    covered = np.array([[60.0, 30.0, 45.0], [60.0, 60.0, 60.0], [0.0, 60.0, 60.0]])
    elapsed = np.array([60.0, 20.0, 60.0])
    assert joint_time(covered, elapsed).tolist() == [30.0, 20.0, 0.0]
    assert joint_time(np.zeros((1, 0)), np.array([60.0])).tolist() == [60.0]


def test_amounts_of_the_joint_time_are_at_the_mean_of_what_is_covered():
    covered = np.array([[60.0, 30.0], [60.0, 0.0], [45.0, 45.0]])
    amount = np.array([[6.0, 9.0], [6.0, 0.0], [0.3, 0.7]])
    result = joint_amount(amount, covered, joint_time(covered, np.full(3, 60.0)))
    # A gateway that is silent for both leaves the very sums.
    assert result.tolist() == [[3.0, 9.0], [0.0, 0.0], [0.3, 0.7]]


def test_an_hour_that_lacks_a_second_is_whole():
    assert whole(np.array([3599.0, 3598.9, 0.0]), np.array([3600.0, 3600.0, 0.0])).tolist() == [
        True, False, True,
    ]  # fmt: skip


def test_the_least_covered_tag_is_named_first_and_what_has_not_passed_lacks_nothing():
    share = np.array([[0.995, 0.5, 0.0], [np.nan, np.nan, np.nan]])
    assert missing(share, ["a", "b", "c"]) == [["c", "b"], []]


def test_runs_of_joint_time_end_with_a_gap_and_with_their_window():
    joint = np.array([1, 1, 0, 1, 1, 1, 0, 0, 1], bool)
    window = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2])
    first, stop = runs_of(joint, window)
    assert first.tolist() == [0, 3, 4, 8]
    assert stop.tolist() == [2, 4, 6, 9]
    first, stop = runs_of(np.zeros(3, bool), np.zeros(3, np.int64))
    assert (len(first), len(stop)) == (0, 0)
