"""Alarm floods and the load of a period, from times of annunciations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.alarms.metrics import advance_flood, alarm_load, no_flood, stale
from twin.arrays import NEVER

S = 1_000_000
DAY = 86_400
NONE = np.zeros(0, np.int64)


def times(*seconds):
    return np.array(seconds, dtype=np.int64) * S


def floods(seconds, until):
    flood, ended = advance_flood(no_flood(), times(*seconds), until * S)
    return flood, (ended / S).tolist()


def test_flood_starts_with_the_eleventh_alarm_and_ends_when_four_are_left():
    came = range(0, 501, 50)
    assert floods(came, 499)[0].since_us == NEVER
    flood, ended = floods(came, 500)
    assert (flood.since_us, flood.count, ended) == (500 * S, 11, [])
    assert floods(came, 899)[1] == []
    flood, ended = floods(came, 900)
    assert (flood.since_us, flood.count, ended) == (NEVER, 4, [[500.0, 900.0]])


def test_the_same_flood_second_by_second():
    flood, ended = no_flood(), []
    for second in range(1000):
        came = times(second) if second % 50 == 0 and second <= 500 else NONE
        flood, over = advance_flood(flood, came, second * S)
        ended += (over / S).tolist()
        assert (flood.since_us != NEVER) == (500 <= second < 900), second
    assert ended == [[500.0, 900.0]]


def test_ten_alarms_in_ten_minutes_are_no_flood():
    flood, ended = floods(range(10), 10_000)
    assert (flood.since_us, ended) == (NEVER, [])
    # The first is just out of the window when the eleventh comes.
    assert floods([*range(10), 600], 10_000)[1] == []
    assert floods([*range(10), 599], 10_000)[1] == [[599.0, 606.0]]


def test_two_floods_are_two_and_the_last_may_still_last():
    flood, ended = floods([*range(20), *range(5000, 5020)], 5100)
    assert (flood.since_us, ended) == (5010 * S, [[10.0, 615.0]])


def test_an_annunciation_that_comes_late_counts_from_when_it_was_known():
    flood, _ = advance_flood(no_flood(), times(*range(10)), 100 * S)
    flood, ended = advance_flood(flood, times(5), 101 * S)
    assert (flood.since_us, len(ended)) == (100 * S, 0)


def test_nothing_at_all_is_no_flood():
    flood, ended = floods((), 0)
    assert (flood.count, flood.since_us, ended) == (0, NEVER, [])


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 4000), max_size=60),
    st.lists(st.integers(0, 4000), max_size=10),
)
def test_blocks_of_any_size_find_the_same_floods(came, cuts):
    came = np.sort(times(*came))
    whole, ended = advance_flood(no_flood(), came, 5000 * S)
    flood, parts = no_flood(), []
    for cut in [*sorted(cuts), 5000]:
        until = cut * S
        new = came[(came > flood.now_us) & (came <= until)]
        flood, over = advance_flood(flood, new, until)
        parts += over.tolist()
    assert parts == ended.tolist()
    assert (flood.since_us, flood.time_us.tolist()) == (whole.since_us, whole.time_us.tolist())


def test_load_counts_the_alarms_of_a_period():
    came = [*range(0, 501, 50), 3600, 3610, 3620, 3700, DAY]
    alarm = np.array([0] * 11 + [1, 1, 1, 2, 2])
    load = alarm_load(times(*came), alarm, np.array([3, 2, 0, 3]), 0, DAY * S)
    assert load.count == 15
    assert load.rate == pytest.approx(15 / 144)
    assert load.busy_share == pytest.approx(1 / 144)
    assert load.flood_share == pytest.approx(400 / DAY)
    assert load.by_alarm.tolist() == [11, 3, 1, 0]
    assert (load.top.tolist(), load.top_share) == ([0, 1, 2], 1.0)
    assert load.chattering.tolist() == [False, True, False, False]
    assert load.mix.tolist() == pytest.approx([1 / 15, 0.0, 3 / 15, 11 / 15])


def test_three_in_a_minute_chatter_and_three_in_just_more_do_not():
    two = np.zeros(3, np.int64)
    for last, chatters in ((59, True), (60, False)):
        load = alarm_load(times(0, 30, last), two, np.array([0]), 0, DAY * S)
        assert load.chattering.tolist() == [chatters]


def test_a_flood_from_before_the_period_counts_as_far_as_it_lasts_in_it():
    came = times(*range(0, 501, 50))
    load = alarm_load(came, np.zeros(11, np.int64), np.array([3]), 700 * S, 1000 * S)
    assert (load.count, load.flood_share) == (0, pytest.approx(200 / 300))
    load = alarm_load(came, np.zeros(11, np.int64), np.array([3]), 0, 700 * S)
    assert load.flood_share == pytest.approx(200 / 700)


def test_a_period_without_alarms_has_no_shares_of_them():
    load = alarm_load(NONE, NONE, np.array([3, 0]), 0, DAY * S)
    assert (load.count, load.rate, load.flood_share, load.top.tolist()) == (0, 0.0, 0.0, [])
    assert np.isnan([load.top_share, *load.mix]).all()
    assert alarm_load(NONE, NONE, NONE, 0, S).by_alarm.tolist() == []


def test_an_alarm_that_stands_for_more_than_a_day_is_stale():
    active_us = np.array([0, S, NEVER, DAY * S])
    assert stale(active_us, DAY * S + S // 2).tolist() == [True, False, False, False]
