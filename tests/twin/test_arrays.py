"""Runs of equal values, and what is known last in each."""

import numpy as np
import pytest

from twin.arrays import last_known, latest, runs


@pytest.mark.parametrize(
    ("keys", "first", "last"),
    [
        ([[]], [], []),
        ([[7]], [0], [0]),
        ([[1, 1, 2, 2, 2, 1]], [0, 2, 5], [1, 4, 5]),
        ([[1, 1, 1, 2], [5, 6, 6, 6]], [0, 1, 3], [0, 2, 3]),
    ],
)
def test_runs_are_where_no_key_changes(keys, first, last):
    got = runs(*(np.array(key, dtype=np.int64) for key in keys))
    assert [np.flatnonzero(mask).tolist() for mask in got] == [first, last]
    assert [len(mask) for mask in got] == [len(keys[0])] * 2


def test_the_last_known_value_of_a_run_is_not_that_of_another():
    value = np.array([1.0, np.nan, np.nan, np.nan, 4.0, 5.0, np.nan])
    got = last_known(value, np.array([0, 2, 4, 6]))
    assert np.array_equal(got, [1.0, np.nan, 5.0, np.nan], equal_nan=True)


def test_latest_is_the_last_marked_row_so_far():
    marked = np.array([False, True, False, False, True])
    assert latest(marked).tolist() == [-1, 1, 1, 1, 4]
    assert latest(marked[:0]).tolist() == []
