"""The alarm engine: step tables of values and states, delays in event time, blocks of any size."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.small_alarms import GAP_S, Bench, S, alarm, bench_in, samples
from twin import quality as q
from twin.alarms.engine import NORMAL, UNACKNOWLEDGED, evaluate, input_quality
from twin.arrays import NEVER

# What the value does, and what the alarm is after it.
HIGH = [
    (0, 9.0, "normal"),
    (1, 9.999, "normal"),
    (2, 10.0, "unacknowledged"),  # at the limit is beyond it
    (3, 12.0, "unacknowledged"),
    (4, 9.5, "unacknowledged"),  # inside the deadband
    (5, 9.0, "unacknowledged"),  # at limit minus deadband is still inside
    (6, 8.999, "returned"),
    (7, 9.5, "returned"),
    (8, 10.0, "unacknowledged"),
    (9, 0.0, "returned"),
]


@pytest.mark.parametrize(("direction", "sign"), [("high", 1.0), ("low", -1.0)])
def test_alarm_comes_at_its_limit_and_goes_beyond_its_deadband(direction, sign):
    bench = Bench(alarm("PT-1", sign * 10.0, direction, deadband=1.0))
    for second, value, state in HIGH:
        bench.step([(0, second, sign * value)])
        assert bench.state == state, second


def test_a_value_that_stays_inside_the_band_gives_one_alarm_and_one_return():
    bench = Bench(alarm("PT-1", 10.0, deadband=1.0))
    values = [9.0, *[10.0, 9.2] * 50, 8.0]
    bench.step([(0, s, v) for s, v in enumerate(values)])
    assert bench.changes == [
        (0, 1.0, "normal", "unacknowledged"),
        (0, 101.0, "unacknowledged", "returned"),
    ]


@pytest.mark.parametrize(("length", "changes"), [(59, 0), (60, 2), (61, 2)])
def test_an_excursion_shorter_than_the_on_delay_is_no_alarm(length, changes):
    bench = Bench(alarm("PT-1", 10.0, on=60))
    bench.step([(0, 0, 5.0), (0, 100, 11.0), (0, 100 + length, 5.0)])
    assert len(bench.changes) == changes
    if changes:
        assert bench.changes == [
            (0, 160.0, "normal", "unacknowledged"),
            (0, 100.0 + length, "unacknowledged", "returned"),
        ]


def test_on_delay_is_over_at_its_own_time_whenever_the_next_sample_comes():
    bench = Bench(alarm("PT-1", 10.0, on=60))
    bench.step([(0, 0, 11.0)])
    bench.step([(0, 59, 12.0)])
    assert bench.state == "normal"
    assert bench.step([(0, 75, 13.0)]) == [(0, 60.0, "normal", "unacknowledged")]


def test_the_value_of_a_change_is_the_one_that_held_then():
    bench = Bench(alarm("PT-1", 10.0, on=60))
    bench.step([(0, 0, 11.0), (0, 59, 12.0)])
    _, changes = evaluate(
        bench.rules, bench.memory, samples([(0, 75, 13.0)]), np.array([NEVER]), 75 * S
    )
    assert (changes.value.tolist(), changes.quality.tolist()) == ([12.0], [q.GOOD])


def test_a_dip_below_the_limit_begins_the_on_delay_anew():
    bench = Bench(alarm("PT-1", 10.0, deadband=5.0, on=60))
    bench.step([(0, 0, 11.0), (0, 50, 9.9), (0, 51, 11.0), (0, 110, 11.0)])
    assert bench.changes == []
    assert bench.step([(0, 111, 11.0)]) == [(0, 111.0, "normal", "unacknowledged")]


def test_off_delay_holds_the_alarm_until_the_value_has_been_back_for_it():
    bench = Bench(alarm("PT-1", 10.0, deadband=1.0, off=60))
    bench.step([(0, 0, 11.0), (0, 10, 5.0), (0, 69, 9.5), (0, 70, 5.0), (0, 129, 5.0)])
    assert bench.state == "unacknowledged"
    assert bench.step([(0, 131, 5.0)]) == [(0, 130.0, "unacknowledged", "returned")]


def test_a_silent_tag_is_settled_by_the_clock_as_far_as_its_value_holds():
    bench = Bench(alarm("PT-1", 10.0, on=60), alarm("PT-1", 11.0, on=400))
    bench.step([(0, 0, 12.0)], known_s=59)
    assert bench.changes == []
    assert bench.step([], known_s=61) == [(0, 60.0, "normal", "unacknowledged")]
    assert bench.step([], known_s=9_000) == []
    # After the silence the long delay begins anew.
    assert bench.step([(0, 9_000, 12.0), (0, 9_250, 12.0)]) == []
    assert bench.step([(0, 9_400, 12.0)]) == [(1, 9_400.0, "normal", "unacknowledged")]


def test_the_clock_settles_nothing_for_a_tag_whose_samples_are_on_their_way():
    bench = Bench(alarm("PT-1", 10.0, on=60))
    bench.step([(0, 0, 12.0)])
    assert bench.step([], known_s=None, now_s=100) == []


@pytest.mark.parametrize(
    ("value", "quality"), [(5.0, q.BAD), (np.nan, q.GOOD), (99.0, q.NO_DATA | q.SIMULATED)]
)
def test_bad_input_keeps_the_state_and_marks_the_alarm(value, quality):
    bench = Bench(alarm("PT-1", 10.0), alarm("PT-1", 20.0))
    bench.step([(0, 0, 11.0, q.SIMULATED)])
    before = bench.memory.state.tolist()
    assert bench.step([(0, 1, value, quality)], known_s=400) == []
    assert bench.memory.state.tolist() == before == [UNACKNOWLEDGED, NORMAL]
    assert bench.memory.quality.tolist() == [quality] * 2
    assert bench.step([(0, 2, 5.0)]) == [(0, 2.0, "unacknowledged", "returned")]


def test_bad_values_between_good_ones_begin_a_delay_anew():
    bench = Bench(alarm("PT-1", 10.0, on=60))
    bench.step([(0, 0, 11.0), (0, 30, 11.0, q.BAD), (0, 40, 11.0), (0, 99, 11.0)])
    assert bench.changes == []
    assert bench.step([(0, 100, 11.0)]) == [(0, 100.0, "normal", "unacknowledged")]


def test_stale_input_clears_nothing_and_marks_the_alarm_bad():
    bench = Bench(alarm("PT-1", 10.0))
    assert input_quality(bench.rules, bench.memory, 0).tolist() == [q.NO_DATA]
    bench.step([(0, 0, 11.0, q.SIMULATED)])
    assert input_quality(bench.rules, bench.memory, GAP_S * S).tolist() == [q.SIMULATED]
    assert bench.step([], known_s=10_000) == []
    assert bench.state == "unacknowledged"
    marked = input_quality(bench.rules, bench.memory, GAP_S * S + 1)
    assert marked.tolist() == [q.BAD | q.STALE | q.SIMULATED]


def test_uncertain_values_are_used():
    bench = Bench(alarm("PT-1", 10.0))
    assert len(bench.step([(0, 0, 11.0, q.UNCERTAIN | q.SUBSTITUTED)])) == 1


def test_each_alarm_follows_its_own_tag_and_limit():
    bench = Bench(
        alarm("PT-1", 10.0), alarm("PT-3", 5.0, "low"), alarm("PT-1", 20.0), alarm("PT-2", 1.0),
        tags=("PT-1", "PT-2", "PT-3"),
    )  # fmt: skip
    bench.step([(0, 0, 15.0), (2, 0, 4.0), (2, 1, 6.0)])
    assert bench.changes == [
        (0, 0.0, "normal", "unacknowledged"),
        (1, 0.0, "normal", "unacknowledged"),
        (1, 1.0, "unacknowledged", "returned"),
    ]
    assert bench.memory.active.tolist() == [True, False, False, False]
    assert bench.memory.active_us.tolist() == [0, NEVER, NEVER, NEVER]


def test_a_park_without_alarms_and_a_step_without_samples_change_nothing():
    bench = Bench(tags=("PT-1",))
    assert bench.step([(0, 0, 15.0)]) == []
    bench = Bench(alarm("PT-1", 10.0))
    assert bench.step([], known_s=100) == []


def test_an_acknowledged_alarm_returns_to_normal_without_another_word():
    bench = bench_in("acknowledged")
    assert bench.step([(0, 9, 5.0)]) == [(0, 9.0, "acknowledged", "normal")]
    assert bench.step([(0, 10, 11.0)]) == [(0, 10.0, "normal", "unacknowledged")]


def test_after_an_acknowledged_alarm_the_next_return_needs_an_acknowledgement():
    bench = bench_in("acknowledged")
    bench.step([(0, 9, 5.0), (0, 10, 11.0), (0, 11, 5.0)])
    assert [after for *_, after in bench.changes[-3:]] == ["normal", "unacknowledged", "returned"]


RULES = (
    alarm("PT-1", 10.0, deadband=2.0),
    alarm("PT-1", 12.0, deadband=1.0, on=3, off=2),
    alarm("PT-2", 8.0, "low", on=2),
    alarm("PT-2", 11.0, off=400, on=5),
    alarm("PT-1", 11.0),
)
ROW = st.tuples(
    st.integers(0, 1),
    st.floats(5.0, 15.0),
    st.sampled_from([q.GOOD] * 6 + [q.UNCERTAIN, q.BAD]),
    st.sampled_from([0.25, 1.0, 1.0, 2.0, 4.0, 350.0]),
)


@settings(deadline=None, max_examples=100)
@given(st.lists(ROW, max_size=40), st.sets(st.integers(0, 40)), st.integers(1, 200))
def test_blocks_of_any_size_make_the_same_changes(rows, cuts, until):
    second, stream = 0.0, []
    for at, value, quality, pause in rows:
        second += pause
        stream.append((at, second, value, quality))
    edges = [0, *sorted(c for c in cuts if c < len(stream)), len(stream)]

    def run(edges):
        bench = Bench(*RULES, tags=("PT-1", "PT-2"))
        bench.command("shelve", at=4, now_s=0, until_s=until)
        result, end = [], second + 1000
        for start, stop in itertools.pairwise(edges):
            # Everything before the next block has come.
            known_s = stream[stop][1] - 0.125 if stop < len(stream) else end
            rows = stream[start:stop]
            known_us = np.full(2, round(known_s * S))
            bench.memory, changes = evaluate(
                bench.rules, bench.memory, samples(rows), known_us, round(known_s * S)
            )
            columns = (getattr(changes, name).tolist() for name in changes.__slots__)
            result += zip(*columns, strict=True)
        return sorted(map(str, result)), bench.memory

    whole, memory = run([0, len(stream)])
    parts, other = run(edges)
    assert parts == whole
    for name in memory.__slots__:
        assert np.array_equal(
            getattr(memory, name), getattr(other, name), equal_nan=name == "value"
        )
