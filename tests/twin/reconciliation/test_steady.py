"""Steady state: a test of the balances waits while pipes and vessels may hold what it names."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.small_region import NETWORK, PARK
from tests.twin.reconciliation.test_detection import COUNT, FIRST_US, FLOWS, IDS, STOCK
from twin.accounts.network import compile_network
from twin.reconciliation import steady_state
from twin.reconciliation.balances import Amounts
from twin.reconciliation.closure import close_balance
from twin.reconciliation.detection import begin_monitor, detect
from twin.reconciliation.monitor import compile_monitor
from twin.reconciliation.steady import hold_back, hold_up_variance
from twin.reconciliation.uncertainty import random_share, tag_uncertainty

HELD_MIN = 3
QUIET_MIN = 240
RAMP_MIN, LENGTH_MIN, LOW = 10, 20, 0.7


def monitor(held_s):
    """Return the monitor of a region whose chlorine is held up on its way to the store.

    NaN = the model does not say how long any stream is.
    """
    others = 0.0 if np.isfinite(held_s) else np.nan
    streams = (
        replace(stream, hold_up_s=held_s if stream.id == "cl2-store" else others)
        for stream in PARK.streams
    )
    return compile_monitor(compile_network(replace(PARK, streams=tuple(streams))), "r", "chlorine")


def minutes(number, *, seed, start=0, ramp=False, dip=0, mixed=False, bias=None):
    """Return minutes in which the load falls to 70 %; the meter of the store is behind a vessel.

    A dip is a fall, and a rise so many minutes after it.

    The vessel is a pipe, or mixed; from minute 40 on `bias` says what share a tag shows more.
    """
    constant = np.random.default_rng(seed).standard_normal(COUNT)
    rng = np.random.default_rng((seed, start))
    fine = np.arange(-180, number * 6) / 6
    load = 1 - (1 - LOW) * np.clip((fine - RAMP_MIN) / LENGTH_MIN, 0, 1) * ramp
    if dip:
        load = np.where((fine >= RAMP_MIN) & (fine < RAMP_MIN + dip), LOW, 1.0)
    late = np.ones(len(load))
    for at in range(1, len(load)):
        if mixed:
            late[at] = late[at - 1] + (1 - np.exp(-1 / 6 / HELD_MIN)) * (load[at] - late[at - 1])
        else:
            late[at] = load[max(at - 6 * HELD_MIN, 0)]
    load, late = (each[180:].reshape(number, 6).mean(axis=1) for each in (load, late))
    true = {name: flow * load for name, flow in FLOWS.items()}
    true |= {name: FLOWS[name] * np.ones(number) for name in ("FT-3", "FT-4")}
    true |= {"FT-2": FLOWS["FT-2"] * late, "II-1": 16e3 * load}
    amount, last = np.full((2, number, COUNT), np.nan)
    for name, flow in true.items():
        t = NETWORK.index[f"alpha/{name}"]
        share, _ = random_share(NETWORK.tags[t])
        error = constant[t] * np.sqrt(1 - share) + rng.standard_normal(number) * np.sqrt(share)
        wrong = np.where(np.arange(number) >= 40, (bias or {}).get(name, 0.0), 0.0)
        amount[:, t] = flow * (1 + tag_uncertainty(NETWORK.tags[t])[1] * error) * 60 * (1 + wrong)
    taken = (true["FT-2"] - FLOWS["FT-3"] - FLOWS["FT-4"]) * 60
    begun = 20e3 + (start + 1) * STOCK * 60
    last[:, NETWORK.index["alpha/WT-1"]] = begun + np.cumsum(taken) - taken[0]
    last[:, NETWORK.index["alpha/LT-2"]] = 1.2 + 0.004 * rng.standard_normal(number)
    return amount, np.full((number, COUNT), 60.0), last


def run(held_s, seed, **more):
    """Return detections and held back minutes of an hour after quiet ones, in minutes of it."""
    model = monitor(held_s)
    state, before = detect(model, begin_monitor(model, FIRST_US), *minutes(QUIET_MIN, seed=seed))
    assert before == []
    after, named = detect(model, state, *minutes(60, seed=seed, start=QUIET_MIN, **more))
    return (
        [((each.time_us - state.time_us) // 60_000_000, each.lines) for each in named],
        [((each.time_us - state.time_us) // 60_000_000, each.streams) for each in after.held_back],
    )


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_a_ramp_of_the_load_accuses_nobody_where_the_hold_up_is_known(seed, mixed):
    named, _ = run(0.0, seed, ramp=True, mixed=mixed)
    assert named
    named, held = run(60.0 * HELD_MIN, seed, ramp=True, mixed=mixed)
    assert named == []
    # The tests return with the windows that begin after the ramp, a hold-up time later.
    begun, ended = held[0][0], held[-1][0]
    assert RAMP_MIN < begun <= RAMP_MIN + 5
    assert RAMP_MIN + LENGTH_MIN < ended <= RAMP_MIN + LENGTH_MIN + 15 + HELD_MIN
    assert {"cl2-vcm", "r/east/alpha/caustic/cells:faraday"} <= set(held[0][1])


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("dip", [1, 3, 6])
def test_a_load_that_falls_and_comes_back_accuses_nobody(dip, mixed):
    for seed in range(3):
        named, held = run(60.0 * HELD_MIN, seed, dip=dip, mixed=mixed)
        assert named == []
        assert held


def test_a_meter_that_errs_after_a_ramp_is_named():
    named, _ = run(60.0 * HELD_MIN, 1, ramp=True, mixed=True, bias={"FT-1": 0.12})
    ((minute, lines),) = named
    assert "cl2-vcm" in lines
    assert 40 < minute <= 55


@pytest.mark.parametrize("share", [0.02, 0.04, 0.12])
def test_a_meter_that_errs_in_a_quiet_hour_is_named_as_without_a_hold_up(share):
    for seed in range(3):
        (bare, _), *_ = run(0.0, seed, bias={"FT-1": share})[0]
        (usual, _), *_ = run(np.nan, seed, bias={"FT-1": share})[0]
        assert bare <= usual <= bare + 1
        (late, lines), *_ = run(60.0 * HELD_MIN, seed, bias={"FT-1": share})[0]
        assert "cl2-vcm" in lines
        # What a vessel holds for minutes may be the residual for as long.
        assert late <= 40 + 15


def test_a_quiet_time_holds_nothing_back():
    assert run(60.0 * HELD_MIN, 5) == ([], [])


def test_a_tenth_of_noise_is_not_steady_and_a_ramp_is():
    rng = np.random.default_rng(2)
    value = 100 + rng.standard_normal((600, 300))
    noise = steady_state(value)
    assert np.isnan(noise.ratio[:20]).all()
    assert not noise.steady[:20].any()
    assert (~noise.steady[50:]).mean() == pytest.approx(0.10, abs=0.01)
    assert np.median(noise.ratio[50:]) == pytest.approx(1.0, abs=0.1)
    value[300:320] += np.linspace(1.5, 30, 20)[:, None]
    value[320:] += 30
    moved = steady_state(value)
    assert (~moved.steady[305:325]).all()
    assert (~moved.steady[400:]).mean() == pytest.approx(0.10, abs=0.02)
    value[500:] += 5
    assert (~steady_state(value).steady[500]).mean() > 0.97


def test_series_in_parts_and_with_holes_give_the_same_and_holes_are_passed_over():
    value = np.random.default_rng(3).standard_normal((200, 4))
    whole = steady_state(value)
    first = steady_state(value[:77])
    second = steady_state(value[77:], first.filters)
    ratios = np.concatenate([first.ratio, second.ratio])
    np.testing.assert_array_equal(ratios, whole.ratio)
    (alone,) = steady_state(value[:, 2]).ratio.reshape(1, -1)
    np.testing.assert_array_equal(alone, whole.ratio[:, 2])
    holes = np.insert(value, 100, np.nan, axis=0)
    seen = steady_state(holes)
    assert np.isnan(seen.ratio[100]).all()
    assert not seen.steady[100].any()
    np.testing.assert_array_equal(np.delete(seen.ratio, 100, axis=0), whole.ratio)


def test_a_value_that_never_moves_is_steady_and_other_filters_need_their_own_limit():
    assert steady_state(np.full(60, 7.5)).steady[21:].all()
    assert steady_state([1.0, 2.0] * 40, weights=(0.1, 0.1, 0.1), critical=1.83).steady[20:].all()
    with pytest.raises(ValueError, match="give both or none"):
        steady_state(np.ones(9), critical=1.8)
    with pytest.raises(ValueError, match="three numbers between 0 and 1"):
        steady_state(np.ones(9), weights=(0.1, 0.1), critical=1.8)


def test_what_a_place_may_hold_is_a_change_times_the_hold_up_time():
    balance = monitor(180.0).balance
    change = np.zeros(len(IDS))
    change[IDS.index("cl2-store")] = 0.2
    variance = hold_up_variance(balance, change)
    ends = np.flatnonzero(balance.incidence[:, IDS.index("cl2-store")])
    assert variance[ends] == pytest.approx((180.0 * 0.2) ** 2 / 3)
    assert np.delete(variance, ends) == pytest.approx(0.0)
    # A meter behind the vessel has not seen it yet: the others at its place tell.
    change = np.zeros(len(IDS))
    change[IDS.index("cl2-vcm")] = 0.2
    cells = balance.nodes.index("r/east/alpha/caustic/cells")
    assert hold_up_variance(balance, change)[cells] == pytest.approx((180.0 * 0.2) ** 2 / 3)
    assert hold_up_variance(balance, change, 15.0) == pytest.approx(0.0)


def test_a_window_at_odds_by_less_than_its_pipes_may_hold_is_held_back():
    balance = monitor(180.0).balance
    at = {name: s for s, name in enumerate(IDS)}
    true = np.zeros(len(IDS))
    faraday = at["r/east/alpha/caustic/cells:faraday"]
    true[[faraday, at["cl2-vcm"], at["cl2-store"]]] = 60.0 * np.array([1.0, 0.4, 0.6])
    stock = next(s for name, s in at.items() if name.endswith("store:stock"))
    true[stock] = 60.0 * 0.6
    flow = np.stack([true, true])
    # The meter of the store has 12 kg more than left the cells, in a minute.
    flow[1, at["cl2-store"]] += 12.0
    flow[1, stock] += 12.0
    sigma = np.maximum(0.01 * flow, 0.05)
    ones = np.ones(flow.shape)
    amounts = Amounts(flow, sigma, ones, 0 * ones)
    closure = close_balance(balance, amounts)
    assert closure.consistent.tolist() == [True, False]
    change = np.zeros(flow.shape)
    change[:, at["cl2-vcm"]] = -0.1
    assert hold_back(balance, amounts, closure, change) == [(), ("cl2-vcm",)]
    assert hold_back(balance, amounts, closure, change / 20) == [(), ()]
    assert hold_back(balance, amounts, closure, np.full(flow.shape, np.nan)) == [(), ()]
