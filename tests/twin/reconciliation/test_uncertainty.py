"""Intervals of sums and ratios: what the errors of meters make of them."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.small_region import ALPHA, CAUSTIC, NETWORK
from twin.accounts.accounts import Account, cell_factor
from twin.accounts.network import compile_network
from twin.reconciliation.balances import compile_balance, measure
from twin.reconciliation.uncertainty import (
    Errors,
    efficiency_uncertainty,
    errors_of,
    half_width,
    left_of_mean,
    parts_sigma,
    random_share,
    ratio_weight,
    stored_sigma,
    sum_sigma,
    tag_uncertainty,
    weights,
)

HOUR = 3600.0
COUNT = len(NETWORK.tags)
MADE = Account(ALPHA, "chlorine", "make")
USED = Account(ALPHA, "chlorine", "use")
SOLD = Account(ALPHA, "chlorine", "export")


def at(name):
    return NETWORK.index[f"alpha/{name}"]


def only(name):
    """Return the weights of one tag alone."""
    return (np.arange(COUNT) == at(name)).astype(float)


def sigma(weight, amount, covered_s):
    return sum_sigma(NETWORK, "chlorine", weight, amount, covered_s)


@pytest.fixture
def hour():
    amount = np.full(COUNT, np.nan)
    for name, value in {"II-1": 16e3, "FT-1": 0.5, "FT-3": 0.2, "FT-8": 1.0, "JQ-1": 2e6}.items():
        amount[at(name)] = value * HOUR
    amount[at("FT-4")], amount[at("FT-5")] = 0.05 * HOUR, 0.01 * HOUR
    return amount, np.full(COUNT, HOUR)


def test_a_sum_is_its_weights_times_the_amounts(hour):
    weight = weights(NETWORK, {USED: 1.0, SOLD: -2.0})
    used = weight != 0
    assert weight[used] @ hour[0][used] == pytest.approx((0.5 - 2 * 0.25) * HOUR)
    nothing = weights(NETWORK, {Account("nowhere", "chlorine", "make"): 1.0})
    assert not nothing.any()


def test_one_meter_keeps_what_stays_and_averages_the_rest(hour):
    tag = NETWORK.tags[at("FT-1")]
    (absolute, relative), (share, correlation_s) = tag_uncertainty(tag), random_share(tag)
    assert absolute == 0
    weight = only("FT-1")
    expected = relative * 0.5 * HOUR * np.sqrt(left_of_mean(share, correlation_s, HOUR))
    assert sigma(weight, *hour) == pytest.approx(expected, rel=1e-12)
    short = np.full(COUNT, 1e-6)
    one = sigma(weight, hour[0], short)
    assert one == pytest.approx(relative * 0.5 * HOUR, rel=1e-6)


def test_a_mean_is_left_what_its_correlation_leaves():
    share, correlation_s = 0.2, 60.0
    length_s = np.array([0.0, 30.0, 60.0, 120.0, 36000.0, np.nan])
    result = (left_of_mean(share, correlation_s, length_s) - 0.8) / share
    # ∫∫ max(1 - |s - t|, 0) ds dt / x², by hand
    assert result[:4] == pytest.approx([1, 5 / 6, 2 / 3, 5 / 12])
    assert result[4] == pytest.approx(60 / 36000, rel=1e-3)
    assert np.isnan(result[5])
    assert left_of_mean(0.0, 0.0, 3600.0) == 1
    assert (np.diff(left_of_mean(share, correlation_s, np.arange(600.0))) < 0).all()


def test_an_absolute_error_grows_with_the_time_it_is_covered(hour):
    weight = only("WT-1")
    amount, covered = hour[0].copy(), hour[1]
    amount[at("WT-1")] = 50e3 * HOUR
    result = sigma(weight, amount, covered)
    part = np.sqrt(left_of_mean(*random_share(NETWORK.tags[at("WT-1")]), HOUR))
    assert result == pytest.approx(100.0 * HOUR * part, rel=1e-12)


def test_what_is_made_has_the_error_of_the_efficiency(hour):
    weight = weights(NETWORK, {MADE: 1.0})
    made = cell_factor(NETWORK.park.electrolysers[0])["chlorine"] * 16e3 * HOUR
    result = sigma(weight, *hour)
    current = np.sqrt(left_of_mean(0.2, 60.0, HOUR)) * 0.002
    assert efficiency_uncertainty("chlorine") == (0.01, 0.002)
    assert result == pytest.approx(made * np.sqrt(0.01**2 + 0.002**2 + current**2), rel=1e-12)
    # Just what the balance of the same scope says of its stream of the cells.
    balance = compile_balance(NETWORK, ALPHA, "chlorine")
    s = [line.origin for line in balance.lines].index("electrolysers")
    level = np.full((2, COUNT), np.nan)
    assert measure(NETWORK, balance, *hour, level).carried()[1][s] == pytest.approx(
        result, rel=1e-12
    )


def test_circuits_of_a_place_share_an_error_and_have_one_of_their_own():
    cell = NETWORK.park.electrolysers[0]
    second = replace(cell, id="E-2", current="alpha/II-2")
    tags = (*NETWORK.park.tags, replace(NETWORK.tags[at("II-1")], tag="II-2"))
    network = compile_network(replace(NETWORK.park, electrolysers=(cell, second), tags=tags))
    one, other = network.index["alpha/II-1"], network.index["alpha/II-2"]
    amount, covered_s = np.zeros((2, len(network.tags)))
    amount[[one, other]], covered_s[[one, other]] = (16e3 * HOUR, 12e3 * HOUR), HOUR
    made = np.zeros((2, len(network.tags)))
    made[[0, 1], [one, other]] = cell_factor(cell)["chlorine"]
    alone = sum_sigma(network, "chlorine", made, amount, covered_s)
    together = sum_sigma(network, "chlorine", made.sum(axis=0), amount, covered_s)
    common = efficiency_uncertainty("chlorine")[0] * made @ amount
    assert together**2 - (alone**2).sum() == pytest.approx(2 * common.prod())
    # Hydrogen takes all of the current, in every circuit alike.
    assert efficiency_uncertainty("hydrogen")[1] == 0


def test_hydrogen_is_made_by_nearly_all_of_the_current(hour):
    weight = weights(NETWORK, {Account(ALPHA, "hydrogen", "make"): 1.0})
    made = cell_factor(NETWORK.park.electrolysers[0])["hydrogen"] * 16e3 * HOUR
    assert weight[at("II-1")] * hour[0][at("II-1")] == pytest.approx(made)
    own, _ = efficiency_uncertainty("hydrogen")
    assert own < efficiency_uncertainty("chlorine")[0] == efficiency_uncertainty("caustic")[0]
    result = sum_sigma(NETWORK, "hydrogen", weight, *hour)
    assert result == pytest.approx(made * np.hypot(own, 0.002), rel=0.1)
    lines = compile_balance(NETWORK, ALPHA, "hydrogen").lines
    assert {line.relative for line in lines if line.origin == "electrolysers"} <= {own}


def test_a_meter_that_stands_on_both_sides_cancels(hour):
    # What comes from the store and what is sold are both booked; their difference has one error.
    weight = weights(NETWORK, {SOLD: 1.0, Account(CAUSTIC, "chlorine", "export"): -1.0})
    one = weight[at("FT-1")] * only("FT-1")
    assert weight[at("FT-3")] == 0
    assert sigma(weight, *hour) == pytest.approx(sigma(one, *hour))


def test_a_ratio_has_the_relative_errors_of_both(hour):
    over, under = only("JQ-1"), only("FT-8")
    ratio = hour[0][at("JQ-1")] / hour[0][at("FT-8")]
    result = sigma(ratio_weight(over, under, hour[0]), *hour) / ratio
    parts = [sigma(w, *hour) / (w[w > 0] @ hour[0][w > 0]) for w in (over, under)]
    assert result == pytest.approx(np.hypot(*parts), rel=1e-12)


def test_a_ratio_of_a_sum_to_itself_is_certain(hour):
    weight = only("FT-8")
    assert sigma(ratio_weight(weight, 2 * weight, hour[0]), *hour) == 0


def test_without_production_there_is_no_interval(hour):
    over, under = only("JQ-1"), only("FT-8")
    amount = hour[0].copy()
    amount[at("FT-8")] = 0.0
    assert np.isnan(sigma(ratio_weight(over, under, amount), amount, hour[1]))


def test_what_is_not_known_spoils_only_its_own_sum(hour):
    amount = hour[0].copy()
    weight = weights(NETWORK, {USED: 1.0})
    assert np.isfinite(sigma(weight, amount, hour[1]))
    amount[at("FT-1")] = np.nan
    assert np.isnan(sigma(weight, amount, hour[1]))


def test_many_windows_at_once_are_each_of_them(hour):
    weight = weights(NETWORK, {MADE: 1.0, USED: -1.0})
    amount = np.stack([hour[0], 2 * hour[0], 0 * hour[0]])
    covered = np.stack([hour[1]] * 3)
    result = sigma(weight, amount, covered)
    alone = [sigma(weight, a, c) for a, c in zip(amount, covered, strict=True)]
    np.testing.assert_allclose(result, alone, rtol=1e-12)


def test_errors_of_tags_are_those_of_the_balances():
    error = errors_of(NETWORK, np.array([at("FT-1"), at("WT-1")]))
    assert error.relative.tolist() == [0.01, 0.0]
    assert error.absolute.tolist() == [0.0, 100.0]
    assert (error.share > 0).all()
    assert len(errors_of(NETWORK, np.zeros(0, np.int64)).share) == 0


def test_half_of_the_interval_is_two_standard_uncertainties():
    assert half_width(np.array(1.0)) == pytest.approx(1.959964, abs=1e-6)
    assert half_width(np.array([1.0, np.nan]), 0.5)[0] == pytest.approx(0.67449, abs=1e-5)


def test_a_tag_without_a_part_in_a_ratio_does_not_spoil_it(hour):
    over, under = weights(NETWORK, {USED: 1.0}), weights(NETWORK, {MADE: 1.0})
    amount, covered_s = np.stack([hour[0], hour[0]]), np.stack([hour[1], hour[1]])
    # In the second window nothing was made: there is no ratio, and the first keeps its own.
    amount[1, at("II-1")] = 0.0
    covered_s[:, np.isnan(amount[0])] = np.nan
    slope = ratio_weight(over, under, amount)
    assert (slope[:, (over == 0) & (under == 0)] == 0).all()
    alone = float(sigma(ratio_weight(over, under, hour[0]), *hour))
    assert sigma(slope, amount, covered_s) == pytest.approx([alone, np.nan], rel=1e-12, nan_ok=True)


def test_what_stays_adds_up_over_the_hours_and_noise_does_not():
    error = Errors(*np.array([[1.0, 0.0, 0.25, 600.0], [0.0, 0.1, 0.0, 0.0]]).T)
    change = np.array([[3.0, 4.0, 100.0, 2.0], [1.0, -1.0, 100.0, np.nan]])
    window = np.array([0, 0, -1, 1])
    result = parts_sigma(error, change, np.full((2, 4), HOUR), window, 3)
    # Of an hour's noise with a memory of ten minutes (1 - 1 / 18) / 6 is left; the second cancels.
    noise = 0.25 * (1 - 1 / 18) / 6 * (3**2 + 4**2)
    assert result[0] == pytest.approx(np.sqrt(0.75 * 7**2 + noise))
    assert np.isnan(result[1])
    assert result[2] == 0


def test_parts_that_are_sums_of_a_tag_have_the_error_of_the_sum():
    tag = at("FT-1")
    amount = np.where(only("FT-1") == 1, 0.5 * HOUR, np.nan)
    whole = float(sigma(only("FT-1"), amount, np.full(COUNT, HOUR)))
    error = errors_of(NETWORK, np.array([tag]))
    change = np.full((1, 1), error.relative * amount[tag])
    window, covered_s = np.zeros(1, np.int64), np.full((1, 1), HOUR)
    (result,) = parts_sigma(error, change, covered_s, window, 1)
    assert result == pytest.approx(whole, rel=1e-12)
    # A meter without a part in an hour need not have been there.
    error = errors_of(NETWORK, np.array([tag, tag]))
    change, covered_s = np.vstack([change, [[0.0]]]), np.array([[HOUR], [np.nan]])
    (result,) = parts_sigma(error, change, covered_s, window, 1)
    assert result == pytest.approx(whole, rel=1e-12)


def test_what_tanks_take_up_is_as_certain_as_in_their_balance():
    balance = compile_balance(NETWORK, ALPHA, "chlorine")
    (s,) = (s for s, line in enumerate(balance.lines) if line.tanks)
    level = np.full((2, COUNT), np.nan)
    for tank in NETWORK.tanks.tag[list(balance.lines[s].tanks)]:
        level[:, tank] = 50e3 if NETWORK.tags[tank].quantity == "mass" else (1.0, 1.2)
    nothing = np.full(COUNT, np.nan)
    expected = measure(NETWORK, balance, nothing, nothing, level).carried()[1][s]
    tanks = np.array(balance.lines[s].tanks)
    assert expected > 0
    assert stored_sigma(NETWORK, "chlorine", tanks, level) == pytest.approx(expected, rel=1e-12)
    level[1, NETWORK.tanks.tag[tanks[0]]] = np.nan
    assert np.isnan(stored_sigma(NETWORK, "chlorine", tanks, level))
