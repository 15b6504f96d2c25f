"""Lateness: what is usual is learnt, an outage is not."""

import numpy as np
import pytest

from tests.support.demo_park import FOLDER
from twin.accounts.accounts import Account
from twin.accounts.network import compile_network
from twin.loading import load_park
from twin.step import derived_late
from twin.validation.lateness import late, learn, no_intervals, patience_s

ONE = np.zeros(1, np.intp)


def taught(*intervals_s):
    intervals = no_intervals(1)
    for interval_s in intervals_s:
        intervals = learn(intervals, ONE, np.array([float(interval_s)]))
    return intervals


def is_late(intervals, silent_s):
    return bool(late(intervals, np.array([float(silent_s)]))[0])


@pytest.mark.parametrize(
    ("usual_s", "patience"), [(0.5, 5.0), (1.0, 5.0), (10.0, 30.0), (3600.0, 10800.0)]
)
def test_late_is_three_usual_intervals_and_five_seconds_at_least(usual_s, patience):
    intervals = taught(*[usual_s] * 5)
    assert not is_late(intervals, patience)
    assert is_late(intervals, patience + 0.001)


def test_nothing_is_late_before_its_interval_is_known():
    assert not is_late(no_intervals(1), 1e6)
    assert not is_late(taught(1, 1), 1e6)
    assert is_late(taught(1, 1, 1), 6)
    assert not is_late(taught(1, 1, 1), np.nan)


def test_an_outage_teaches_no_patience():
    # Three hours count as the 6 s after which the tag was late: the usual 2 s go half way there.
    intervals = taught(*[2] * 10, 3 * 3600)
    assert intervals.usual_s[0] == pytest.approx(4.0)
    for _ in range(200):
        intervals = learn(intervals, ONE, np.array([2.0]))
    assert patience_s(intervals.usual_s)[0] == pytest.approx(6.0, rel=0.05)


def test_a_source_that_slows_down_is_followed():
    intervals = taught(*[2] * 10)
    falsely = 0
    for _ in range(20):
        falsely += is_late(intervals, 60)
        intervals = learn(intervals, ONE, np.array([60.0]))
    assert falsely <= 5
    assert not is_late(intervals, 60)


@pytest.mark.parametrize("seed", range(3))
def test_a_tag_that_sends_on_change_is_hardly_ever_late(seed):
    rng = np.random.default_rng(seed)
    intervals, falsely, sent = no_intervals(1), 0, 5_000
    for interval_s in rng.exponential(10.0, sent):
        falsely += is_late(intervals, interval_s)
        intervals = learn(intervals, ONE, np.array([interval_s]))
    assert falsely / sent < 0.002


def test_a_sum_is_late_when_one_of_its_tags_is():
    network = compile_network(load_park(FOLDER))
    mark = np.zeros(len(network.tags), bool)
    assert not derived_late(network, mark).any()
    chlorine = network.entries(Account("liaocheng/chiping", "chlorine", "use"))
    mark[network.entry_tag[chlorine][0]] = True
    named = [network.tags[len(network.park.tags) + at].address for at in
             np.flatnonzero(derived_late(network, mark))]  # fmt: skip
    owners = {name.partition("/")[0] for name in named}
    assert owners <= {"xinfa", "chiping", "liaocheng"}
    assert "chiping/chlorine.mass_flow.consumption" in named
    assert "liaocheng/chlorine.mass_flow.residual" in named
    assert not any("electricity" in name for name in named)
