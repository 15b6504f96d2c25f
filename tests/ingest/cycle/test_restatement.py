"""Which intervals of minutes a late sample touches (aggregation itself is in test_cycle)."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.database.times import TIME_MAX_US
from ingest.cycle.restatement import Intervals, hours_of, intervals_around, merge_intervals
from twin.arrays import HOUR_US, MINUTE_US

S = 1_000_000
GAP_US = np.array([300 * S, 90 * S])
NONE = np.zeros(0, np.int64)
OPEN_US = np.array([60 * MINUTE_US, 60 * MINUTE_US])


def touched(samples, open_us=OPEN_US, newer=NONE):
    """Return (tag, first minute, minute of the stop or None) for (tag, second) samples."""
    tag, second = np.array(samples, dtype=np.int64).reshape(-1, 2).T
    got = intervals_around(tag, second * S, GAP_US, open_us, newer)
    return rows(got)


def rows(got):
    return [
        (tag, start // MINUTE_US, None if reaches else stop // MINUTE_US)
        for tag, start, stop, reaches in zip(
            *(column.tolist() for column in (got.tag, got.start, got.stop, got.open)), strict=True
        )
    ]


def made(table):
    """Return intervals of (tag, first minute, stop minute, open) rows."""
    tag, start, stop, reaches = np.array(table, dtype=np.int64).reshape(-1, 4).T
    stop = np.where(reaches, TIME_MAX_US, stop * MINUTE_US)
    return Intervals(tag, start * MINUTE_US, stop, reaches.astype(bool))


def test_sample_touches_its_minute_and_those_its_value_holds():
    assert touched([(0, 0)]) == [(0, 0, 5)]
    assert touched([(0, 30)]) == [(0, 0, 6)]
    assert touched([(1, 60)]) == [(1, 1, 3)]


def test_intervals_that_meet_are_one_and_others_stay_apart():
    assert touched([(1, 0), (1, 120)]) == [(1, 0, 4)]
    assert touched([(1, 0), (1, 180)]) == [(1, 0, 2), (1, 3, 5)]
    assert touched([(1, 0), (1, 10), (1, 20)]) == [(1, 0, 2)]


def test_tags_are_never_mixed():
    assert touched([(0, 0), (1, 0)]) == [(0, 0, 5), (1, 0, 2)]


def test_interval_that_reaches_the_open_minute_has_no_stop():
    assert touched([(0, 55 * 60)]) == [(0, 55, 60)]
    assert touched([(0, 55 * 60 + 1)]) == [(0, 55, None)]
    assert touched([(1, 59 * 60), (1, 70 * 60)]) == [(1, 59, None), (1, 60, None)]


def test_tag_with_its_newest_sample_in_the_interval_is_read_again():
    assert touched([(0, 0), (1, 0)], newer=np.array([1])) == [(0, 0, 5), (1, 0, None)]


def test_merging_makes_one_of_intervals_that_meet():
    got = merge_intervals(
        made([(1, 5, 9, 0), (0, 0, 5, 0), (0, 5, 7, 0), (0, 9, 10, 0), (1, 3, 6, 0)])
    )
    assert rows(got) == [(0, 0, 7), (0, 9, 10), (1, 3, 9)]


def test_merging_stays_open_when_one_is():
    got = merge_intervals(made([(0, 0, 5, 0), (0, 4, 0, 1), (0, 8, 9, 0)]))
    assert rows(got) == [(0, 0, None)]
    assert got.stop.tolist() == [TIME_MAX_US]


SECONDS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 50 * 60)), min_size=1, max_size=20)


@settings(deadline=None)
@given(SECONDS)
def test_intervals_cover_every_minute_a_sample_can_change_and_do_not_meet(samples):
    result = touched(sorted(samples))
    for tag, second in samples:
        last = second + int(GAP_US[tag]) // S
        assert any(
            t == tag and start * 60 <= second and last <= stop * 60 for t, start, stop in result
        )
    for (tag, _, stop), (other, start, _) in pairwise(result):
        assert (tag, stop) < (other, start)


TABLE = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(1, 10)), min_size=1, max_size=12
)


@settings(deadline=None)
@given(TABLE)
def test_merging_covers_the_same_minutes_once(table):
    def minutes(result):
        return [(tag, m) for tag, start, stop in result for m in range(start, stop)]

    wanted = made([(tag, start, start + length, 0) for tag, start, length in table])
    joined = minutes(rows(merge_intervals(wanted)))
    assert set(joined) == set(minutes(rows(wanted)))
    assert len(joined) == len(set(joined))
    assert rows(merge_intervals(merge_intervals(wanted))) == rows(merge_intervals(wanted))


def test_hours_of_a_interval_name_each_hour_it_touches():
    wanted = made([(0, 50, 190, 0), (1, 30, 0, 1)])
    tag, time_us = hours_of(wanted, np.array([0, 100 * MINUTE_US]))
    named = {(t, at // HOUR_US) for t, at in zip(tag.tolist(), time_us.tolist(), strict=True)}
    assert named >= {(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)}
    assert {at for t, at in named if t == 0} == {0, 1, 2, 3}
