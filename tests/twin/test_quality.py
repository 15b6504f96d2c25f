"""The quality byte: severity, reason, and the simulated flag that travels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin import quality as q

BYTE = st.integers(0, 255)


def severity(code):
    return min(code // 64, 2)


@pytest.mark.parametrize(
    ("code", "expected"),
    [(q.GOOD, True), (q.SIMULATED, True), (63, True), (q.UNCERTAIN | q.OUT_OF_RANGE, True),
     (127, True), (q.BAD, False), (q.NO_DATA, False), (255, False)],
)  # fmt: skip
def test_value_is_usable_below_bad(code, expected):
    assert q.usable(np.array([code], np.uint8)).tolist() == [expected]


def test_words_of_the_wire_are_the_three_severities():
    assert q.WORDS == {"good": 0, "uncertain": 64, "bad": 128}


def test_reasons_fit_below_the_simulated_flag_and_are_different():
    reasons = [
        q.OUT_OF_RANGE, q.STALE, q.SUBSTITUTED, q.NOT_CONNECTED, q.NOT_A_NUMBER, q.FAULT,
        q.MAINTENANCE, q.CALIBRATION, q.INCOMPLETE, q.MANUAL, q.RESET,
        q.OUT_OF_SERVICE,
    ]  # fmt: skip
    assert reasons == list(range(1, 13))
    assert max(reasons) < q.SIMULATED


@settings(deadline=None)
@given(BYTE, BYTE)
def test_worse_of_two_keeps_the_severity_and_either_flag(first, second):
    pair = np.array([first], np.uint8), np.array([second], np.uint8)
    worse = int(q.worse(*pair)[0])
    assert severity(worse) == max(severity(first), severity(second))
    assert worse & q.SIMULATED == (first | second) & q.SIMULATED
    assert worse & ~q.SIMULATED in (first & ~q.SIMULATED, second & ~q.SIMULATED)
    assert worse == int(q.worse(*reversed(pair))[0])


@settings(deadline=None)
@given(st.lists(st.lists(BYTE, min_size=1, max_size=5), min_size=1, max_size=5))
def test_worst_of_a_run_is_the_worse_of_all_its_members(runs):
    starts = np.cumsum([0, *(len(run) for run in runs)])[:-1]
    got = q.worst_of(np.array([code for run in runs for code in run], np.uint8), starts)
    for run, worst in zip(runs, got.tolist(), strict=True):
        expected = np.array([0], np.uint8)
        for code in run:
            expected = q.worse(expected, np.array([code], np.uint8))
        assert worst == int(expected[0])


def test_worst_of_runs_works_along_the_last_axis():
    table = np.array([[0, 65, 32], [128, 0, 0]], np.uint8)
    assert q.worst_of(table, np.array([0, 1])).tolist() == [[0, 97], [128, 0]]
