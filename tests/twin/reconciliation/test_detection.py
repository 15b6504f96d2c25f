"""The monitor: a meter that begins to show something else is detected, and no other one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.small_region import NETWORK
from twin import faraday
from twin.reconciliation.detection import begin_monitor, detect, detectable_bias
from twin.reconciliation.monitor import compile_monitor, observe
from twin.reconciliation.uncertainty import random_share, tag_uncertainty

MODEL = compile_monitor(NETWORK, "r", "chlorine")
IDS = [line.id for line in MODEL.balance.lines]
MINUTE = 60.0
MADE = np.array(16e3 * 160 * 0.96 * faraday.mass_per_charge(faraday.CL2))  # kg/s
# What flows as usual [kg/s]: the tail and what is sold are small.
FLOWS = {"FT-1": 0.5, "FT-5": 0.01, "FT-3": 0.25, "FT-4": 0.05}
FLOWS["FT-2"] = float(MADE) - FLOWS["FT-1"] - FLOWS["FT-5"]
STOCK = FLOWS["FT-2"] - FLOWS["FT-3"] - FLOWS["FT-4"]
COUNT = len(NETWORK.tags)
FIRST_US = 1_760_000_040_000_000


def minutes(number, *, seed=1, trip=None, bias=None, start=0, spread=1.0, leak=0.0):
    """Return amounts, cover and last values of some minutes of true flows with meters' errors.

    From minute `trip` on the user of the gas takes half; from minute 0 on `bias` says what share a
    tag shows more; the stock takes up what is left.
    """
    rng = np.random.default_rng(seed)
    constant = rng.standard_normal(COUNT) * spread
    rng = np.random.default_rng((seed, start))
    amount, last = np.full((2, number, COUNT), np.nan)
    true = {name: np.full(number, flow) for name, flow in FLOWS.items()}
    if trip is not None:
        true["FT-1"][trip:] /= 2
        true["FT-2"] = float(MADE) - true["FT-1"] - true["FT-5"] - leak
    elif leak:
        true["FT-2"] = true["FT-2"] - leak
    true["II-1"] = np.full(number, 16e3)
    for name, flow in true.items():
        t = NETWORK.index[f"alpha/{name}"]
        share, _ = random_share(NETWORK.tags[t])
        error = constant[t] * np.sqrt(1 - share) + rng.standard_normal(number) * np.sqrt(share)
        displayed = flow * (1 + tag_uncertainty(NETWORK.tags[t])[1] * error)
        amount[:, t] = displayed * MINUTE * (1 + (bias or {}).get(name, 0.0))
    taken = (true["FT-2"] - true["FT-3"] - true["FT-4"]) * MINUTE
    t = NETWORK.index["alpha/WT-1"]
    begun = (start + 1) * STOCK * MINUTE
    last[:, t] = 20e3 + begun + np.cumsum(taken) - taken[0] + 30 * rng.standard_normal(number)
    last[:, NETWORK.index["alpha/LT-2"]] = 1.2 + 0.004 * rng.standard_normal(number)
    return amount, np.full((number, COUNT), MINUTE), last


@pytest.fixture(scope="module")
def learnt():
    """State of the monitor after six quiet hours."""
    memory, named = detect(MODEL, begin_monitor(MODEL, FIRST_US), *minutes(360))
    assert named == []
    return memory


def test_a_day_without_a_change_names_nobody():
    memory = begin_monitor(MODEL, FIRST_US)
    for hour in range(24):
        memory, named = detect(MODEL, memory, *minutes(60, seed=5, start=60 * hour))
        assert named == []
    assert memory.time_us == FIRST_US + 24 * 3_600_000_000
    assert len(memory.past.flow) == 61
    assert len(memory.error) <= 6


@pytest.mark.parametrize(
    ("tag", "line"), [("FT-1", "cl2-vcm"), ("FT-2", "cl2-store"), ("II-1", "r/east")]
)
@pytest.mark.parametrize("share", [0.04, -0.04])
def test_a_biased_meter_is_named_and_the_sign_of_its_bias_is_known(learnt, tag, line, share):
    more = minutes(15, start=360, bias={tag: share})
    _, named = detect(MODEL, learnt, *more)
    first = named[0]
    assert any(name.startswith(line) for name in first.lines)
    assert first.time_us - learnt.time_us <= 5 * 60_000_000
    assert first.since_us >= learnt.time_us - 60_000_000
    # Too much of what is made is the same to the cells as too little of what they give.
    makes = [name.endswith("faraday") for name in (line, first.lines[0])]
    sign = -1 if makes[0] ^ makes[1] ^ (tag == "II-1") else 1
    flow = float(MADE) if tag == "II-1" else FLOWS[tag]
    assert first.bias == pytest.approx(sign * share * flow, rel=0.4)


def test_a_named_meter_is_learnt_anew_and_not_named_twice(learnt):
    _, named = detect(MODEL, learnt, *minutes(180, start=360, bias={"FT-1": 0.04}))
    assert len(named) == 1


def test_streams_with_one_effect_are_suspects_together_with_the_leak(learnt):
    _, named = detect(MODEL, learnt, *minutes(15, start=360, leak=0.04))
    assert {"cl2-vcm", "cl2-tail"} <= set(named[0].lines)
    assert named[0].leaks[0] == "r/east/alpha/caustic/cells"


def test_a_trip_accuses_nobody():
    # What the meters are wrong by moves with the flows.
    for seed in range(20):
        memory = begin_monitor(MODEL, FIRST_US)
        memory, named = detect(MODEL, memory, *minutes(150, seed=seed, trip=120))
        assert named == [], seed


def test_errors_that_stay_are_learnt_but_not_told_from_the_truth(learnt):
    names = [IDS[s] for s in MODEL.error_line.tolist()]
    sigma = np.sqrt(np.diag(learnt.covariance[-1]))
    assert (sigma <= 1.02).all()
    assert sigma[-1] < 0.8  # the efficiency of the cells
    assert names[-1].endswith("faraday")
    # Nothing tells the tail gas, which is far within the error of the large flows.
    assert sigma[names.index("cl2-tail")] > 0.95


def test_a_bias_from_the_beginning_on_is_within_the_uncertainty_or_is_named():
    for share, result in ((0.01, False), (0.2, True)):
        memory = begin_monitor(MODEL, FIRST_US)
        _, named = detect(MODEL, memory, *minutes(30, seed=3, spread=0.3, bias={"FT-2": share}))
        assert bool(named) == result


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(1, 59), max_size=5, unique=True), seed=st.integers(0, 99))
def test_minutes_one_by_one_or_all_at_once_are_the_same(cuts, seed):
    rows = minutes(60, seed=seed, trip=30, bias={"FT-4": 3.0})
    whole, named = detect(MODEL, begin_monitor(MODEL, FIRST_US), *rows)
    memory, result = begin_monitor(MODEL, FIRST_US), []
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), 60], strict=True):
        memory, more = detect(MODEL, memory, *(column[start:stop] for column in rows))
        result += more
    assert result == named
    for name in ("time_us", "minutes", "error", "covariance"):
        np.testing.assert_array_equal(getattr(memory, name), getattr(whole, name))
    for column, other in zip(memory.past, whole.past, strict=True):
        np.testing.assert_array_equal(column, other)


@pytest.mark.parametrize("hole", ["amount", "covered_s", "last"])
def test_what_is_not_measured_is_no_suspect_and_nobody_else_is(learnt, hole):
    amount, covered_s, last = minutes(30, start=360)
    t = NETWORK.index["alpha/FT-2"]
    if hole == "amount":
        amount[5:15, t] = np.nan
    elif hole == "covered_s":
        amount[5:15, t] /= 2
        covered_s[5:15, t] /= 2
    else:
        last[5:15] = np.nan
    memory, named = detect(MODEL, learnt, amount, covered_s, last)
    assert named == []
    assert np.isfinite(memory.covariance).all()


def test_a_meter_that_comes_back_wrong_is_named(learnt):
    amount, covered_s, last = minutes(40, start=360)
    t = NETWORK.index["alpha/FT-2"]
    amount[5:15, t] = np.nan
    amount[15:, t] *= 1.05
    _, named = detect(MODEL, learnt, amount, covered_s, last)
    assert "cl2-store" in named[0].lines


def test_nothing_at_all_is_no_reason_to_name_anybody():
    rows = np.full((30, COUNT), np.nan), np.zeros((30, COUNT)), np.full((30, COUNT), np.nan)
    memory, named = detect(MODEL, begin_monitor(MODEL, FIRST_US), *rows)
    assert named == []
    assert np.isfinite(memory.error).all()


@pytest.mark.parametrize("since", [0, 60])
def test_a_plant_that_stands_still_names_nobody_and_stops_nobody(since):
    amount, covered_s, last = minutes(240)
    amount[since:] = 0.0
    level = last[max(since - 1, 0)]
    last[since:] = level
    memory, named = detect(MODEL, begin_monitor(MODEL, FIRST_US), amount, covered_s, last)
    assert named == []
    # The meters are the same when it runs again.
    again, _ = detect(MODEL, memory, *minutes(60))
    assert np.isfinite(again.error).all()


def test_the_least_noticeable_bias_is_noticed_as_often_as_promised(learnt):
    least = detectable_bias(MODEL, learnt)
    assert np.isnan(detectable_bias(MODEL, begin_monitor(MODEL, FIRST_US))).all()
    share = float(least[IDS.index("cl2-vcm")])
    assert share < 0.02
    assert least[IDS.index("cl2-tail")] > 20 * share
    hits = 0
    for start in range(360, 3360, 30):
        more = minutes(15, seed=1, start=start, bias={"FT-1": share})
        # The tanks begin where they were, whatever the errors are drawn for.
        more[2][:, NETWORK.index["alpha/WT-1"]] += (360 - start) * STOCK * MINUTE
        _, named = detect(MODEL, learnt, *more)
        hits += any("cl2-vcm" in each.lines for each in named)
    assert hits >= 90


def test_what_is_seen_of_a_minute_is_in_kilograms():
    amount, covered_s, last = minutes(3, spread=0.0)
    seen = observe(MODEL, amount, covered_s, last)
    at = IDS.index("cl2-vcm")
    assert seen.flow[:, at] == pytest.approx(FLOWS["FT-1"] * MINUTE, rel=0.02)
    share, _ = random_share(NETWORK.tags[NETWORK.index["alpha/FT-1"]])
    assert seen.noise[0, at] == pytest.approx(share * (0.01 * seen.flow[0, at]) ** 2)
    meter = MODEL.error_line.tolist().index(at)
    assert seen.stay[0, meter] == pytest.approx((1 - share) ** 0.5 * 0.01 * seen.flow[0, at])
    assert MODEL.balance.nodes[-1].endswith("store")
    assert (seen.stock[:, -1] > 20e3).all()


def test_a_component_nobody_balances_has_nothing_to_watch():
    model = compile_monitor(NETWORK, "r/west", "urea")
    memory, named = detect(model, begin_monitor(model, FIRST_US), *minutes(20))
    assert named == []
    assert memory.minutes == 20


def detections_of(learnt, share, ramp, trials=60):
    """Return the first detections of a bias that grows to a share within some minutes."""
    t, minute = NETWORK.index["alpha/FT-1"], np.arange(90)
    for start in range(360, 360 + 90 * trials, 90):
        rows = minutes(90, start=start)
        # The tanks begin where they were, whatever the errors are drawn for.
        rows[2][:, NETWORK.index["alpha/WT-1"]] += (360 - start) * STOCK * MINUTE
        rows[0][:, t] *= 1 + share * np.clip((minute - 29) / ramp, 0, 1)
        _, named = detect(MODEL, learnt, *rows)
        yield from named[:1]


def test_a_step_is_seldom_taken_for_a_drift(learnt):
    seen = list(detections_of(learnt, 0.04, 1))
    assert len(seen) == 60
    steps = [each for each in seen if each.shape == "step"]
    assert len(steps) >= 54
    assert all(each.rate == 0 for each in steps)


@pytest.mark.parametrize(("share", "ramp"), [(0.06, 30), (0.06, 60), (-0.06, 45)])
def test_a_drift_is_mostly_told_from_a_step_with_its_onset_and_its_rate(learnt, share, ramp):
    seen = list(detections_of(learnt, share, ramp))
    drifts = [each for each in seen if each.shape == "drift"]
    assert len(drifts) >= 0.6 * len(seen) >= 30
    onset = np.median([each.since_us - learnt.time_us for each in drifts]) / 60e6
    assert onset == pytest.approx(30, abs=4)
    # Those that seem to rise fast are detected first: the rate is not too small.
    rate = np.median([each.rate for each in drifts])
    assert 0.8 < rate / (share * FLOWS["FT-1"] / (ramp * MINUTE)) < 2.0
