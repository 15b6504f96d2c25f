"""Minutes are a pure function of the set of samples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.series import S, samples_at, series
from twin import quality as q
from twin.arrays import MINUTE_US, NEVER
from twin.series.minutes import Minutes, aggregate, no_open_minutes

GAUGE, COUNTER, STATE = KINDS = ("gauge", "counter", "state")


def run(kind, times_s, values, qualities=None, close_s=None, blocks=1, gap_s=300, high=np.nan):
    """Aggregate samples of one tag in some blocks."""
    open_minutes, traits = no_open_minutes(1), series(kind, gap_s=gap_s, high=high)
    samples = samples_at(times_s, values, qualities)
    out = []
    parts = np.array_split(np.arange(len(samples)), blocks)
    for i, part in enumerate(parts):
        close = close_s * S if close_s is not None and i == len(parts) - 1 else NEVER
        out.append(aggregate(open_minutes, traits, samples.take(part), close))
    return Minutes(*(np.concatenate([getattr(o, n) for o in out]) for n in Minutes.__slots__))


def test_gauge_holds_its_value_until_the_next_sample():
    rows = run(GAUGE, [0, 30, 60], [10.0, 20.0, 5.0], close_s=120)
    assert rows.time_us.tolist() == [0, MINUTE_US]
    assert rows.amount.tolist() == [30 * 10.0 + 30 * 20.0, 60 * 5.0]
    assert rows.covered_us.tolist() == [60 * S, 60 * S]
    assert rows.n.tolist() == [2, 1]
    assert (rows.min.tolist(), rows.max.tolist()) == ([10.0, 5.0], [20.0, 5.0])
    assert rows.last.tolist() == [20.0, 5.0]
    assert rows.quality.tolist() == [q.GOOD, q.GOOD]


def test_gap_limit_ends_the_hold_and_silent_minutes_have_no_row():
    rows = run(GAUGE, [0], [10.0], close_s=600, gap_s=90)
    assert rows.time_us.tolist() == [0, MINUTE_US]
    assert rows.covered_us.tolist() == [60 * S, 30 * S]
    assert rows.quality.tolist() == [q.GOOD, q.UNCERTAIN | q.INCOMPLETE]


def test_bad_sample_ends_the_hold_and_is_not_used():
    rows = run(GAUGE, [0, 20, 40], [10.0, 99.0, 10.0], [q.GOOD, q.BAD, q.GOOD], close_s=60)
    assert rows.amount.tolist() == [400.0]
    assert rows.covered_us.tolist() == [40 * S]
    assert rows.n.tolist() == [3]
    assert rows.max.tolist() == [10.0]
    assert rows.quality.tolist() == [q.UNCERTAIN | q.INCOMPLETE]


def test_simulated_flag_reaches_the_minute():
    rows = run(GAUGE, [0], [1.0], [q.GOOD | q.SIMULATED], close_s=60)
    assert rows.quality.tolist() == [q.SIMULATED]


def test_counter_spreads_its_increase_and_survives_a_reset():
    rows = run(COUNTER, [0, 120, 180, 240], [100.0, 160.0, 10.0, 30.0])
    assert rows.time_us.tolist() == [0, MINUTE_US, 2 * MINUTE_US, 3 * MINUTE_US]
    assert rows.amount == pytest.approx([30.0, 30.0, 10.0, 20.0])


def test_reset_is_uncertain_in_every_minute_it_may_lie_in():
    rows = run(COUNTER, [0, 60, 180, 240], [100.0, 160.0, 10.0, 30.0])
    lost = q.UNCERTAIN | q.RESET
    assert rows.quality.tolist() == [q.GOOD, lost, lost, q.GOOD]
    assert rows.amount.tolist() == [60.0, 5.0, 5.0, 20.0]


def test_register_that_rolls_over_goes_on_counting():
    rows = run(COUNTER, [0, 60, 120], [960.0, 990.0, 20.0], high=1000.0)
    assert rows.amount.tolist() == [30.0, 30.0]
    assert rows.quality.tolist() == [q.GOOD, q.GOOD]


@pytest.mark.parametrize(
    ("last", "new", "rise"),
    [
        (900.0, 100.0, 200.0),
        (1000.0, 0.0, 0.0),
        (899.0, 100.0, None),  # not near enough to the top
        (900.0, 101.0, None),  # not near enough to zero
        (1001.0, 50.0, None),  # a register cannot show more than it has
        (950.0, -1.0, 1.0),  # nothing is counted below zero: the reading is false
    ],
)
def test_rollover_is_a_fall_from_near_the_top_to_near_zero(last, new, rise):
    after = 951.0 if new < 0 else new + 0.5
    rows = run(COUNTER, [0, 60, 120], [last, new, after], high=1000.0)
    covered = rows.covered_us > 0
    if rise is None:
        assert rows.amount[covered].tolist() == [0.5]
    else:
        assert rows.amount[covered].sum() == rise + (0.5 if new >= 0 else 0)


def test_increase_is_as_good_as_the_worse_of_its_two_readings():
    doubtful = q.UNCERTAIN | q.OUT_OF_RANGE
    rows = run(COUNTER, [0, 60, 120, 180], [1.0, 2.0, 3.0, 4.0], [0, doubtful, q.SIMULATED, 0])
    assert rows.quality.tolist() == [doubtful, doubtful | q.SIMULATED, q.SIMULATED]


def test_counter_that_goes_on_is_not_closed_and_one_that_ends_is():
    rows = run(COUNTER, [0, 60, 90], [1.0, 2.0, 3.0])
    assert rows.time_us.tolist() == [0]
    rows = run(COUNTER, [0, 60, 90], [1.0, 2.0, 3.0], close_s=300)
    assert rows.time_us.tolist() == [0, MINUTE_US]
    assert rows.amount.tolist() == [1.0, 1.0]
    assert rows.covered_us.tolist() == [60 * S, 30 * S]
    assert rows.n.tolist() == [1, 2]


def test_counter_ignores_a_bad_reading_between_two_good_ones():
    rows = run(COUNTER, [0, 30, 60], [100.0, 0.0, 160.0], [q.GOOD, q.BAD, q.GOOD])
    assert rows.amount.tolist() == [60.0]


def test_state_counts_the_seconds_it_is_on():
    rows = run(STATE, [0, 15, 45], [1.0, 0.0, 3.0], close_s=60)
    assert rows.amount.tolist() == [30.0]


@settings(max_examples=150, deadline=None)
@given(data=st.data(), kind=st.sampled_from(KINDS))
def test_blocks_and_closes_change_no_bit(data, kind):
    high = data.draw(st.sampled_from([np.nan, 5e5]))
    times = sorted(data.draw(st.sets(st.integers(0, 1500), min_size=1, max_size=40)))
    values = data.draw(st.lists(st.floats(-1e6, 1e6), min_size=len(times), max_size=len(times)))
    quality = data.draw(
        st.lists(
            st.sampled_from([q.GOOD, q.UNCERTAIN, q.BAD]), min_size=len(times), max_size=len(times)
        )
    )
    whole = run(kind, times, values, quality, close_s=1800, high=high)
    blocks = data.draw(st.integers(1, len(times)))
    parts = run(kind, times, values, quality, close_s=1800, blocks=blocks, high=high)
    for name in Minutes.__slots__:
        assert getattr(whole, name).tobytes() == getattr(parts, name).tobytes(), name


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_closing_on_the_way_changes_no_bit(data):
    times = sorted(data.draw(st.sets(st.integers(0, 1500), min_size=1, max_size=40)))
    values = data.draw(st.lists(st.floats(-1e6, 1e6), min_size=len(times), max_size=len(times)))
    whole = run(GAUGE, times, values, close_s=1800)
    open_minutes, traits, out = no_open_minutes(1), series(GAUGE), []
    samples = samples_at(times, values)
    for close in range(60, 1860, 60):
        now = samples.take((samples.time_us >= (close - 60) * S) & (samples.time_us < close * S))
        out.append(aggregate(open_minutes, traits, now, close * S))
    for name in Minutes.__slots__:
        parts = np.concatenate([getattr(o, name) for o in out])
        assert getattr(whole, name).tobytes() == parts.tobytes(), name


@pytest.mark.parametrize("blocks", [1, 2, 7])
def test_zeros_of_different_sign_give_the_same_bits_in_any_blocks(blocks):
    values = [0.0, -0.0, -0.0, 0.0, 0.0, -0.0, 0.0]
    rows = run(GAUGE, range(7), values, close_s=60, blocks=blocks)
    assert np.signbit(np.append(rows.min, rows.max)).tolist() == [False, False]
