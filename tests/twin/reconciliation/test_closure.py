"""Balances closed: linear as they are, bilinear where an analyser shows the fraction."""

import re
from dataclasses import replace

import numpy as np
import pytest

from simulators.instruments import make_sensors, observe
from simulators.process.process import make_process
from tests.support.small_park import PARK_TOML, TAGS_CSV
from twin.accounts.cells import effective_current
from twin.accounts.network import compile_network
from twin.arrays import HOUR_S
from twin.loading import load_park, parse_park
from twin.reconciliation import closure
from twin.reconciliation.balances import Amounts, compile_balance, measure
from twin.reconciliation.closure import close_balance
from twin.reconciliation.components import reconcile_components
from twin.reconciliation.linear import reconcile, reconcile_each
from twin.reconciliation.uncertainty import left_of_mean, random_share, tag_uncertainty

# The chlorine to VCM is 98 % and analysed; a stream without a meter is, too.
PURE = 0.98
FLOW = 1.0  # [t/h]; the cells make 1.524 of chlorine
ANALYSER = "AT-77,demo/acme/caustic/cells,fraction,%,gauge,90,100,0.5,purity\n"


def with_analyser(stream="cl2-vcm"):
    toml = re.sub(rf'(id = "{stream}"\n)', r'\1fraction = "acme/AT-77"\n', PARK_TOML)
    assert toml != PARK_TOML
    park = parse_park({"park.toml": toml, "tags.csv": TAGS_CSV.rstrip("\n") + "\n" + ANALYSER})
    return compile_network(park)


PLAIN = compile_network(parse_park({"park.toml": PARK_TOML, "tags.csv": TAGS_CSV}))
ANALYSED = with_analyser()


def window(network, purity=PURE, hours=1.0, **t_per_h):
    """Return amounts, covered time and levels of a window in which everything is steady."""
    rate = {"acme/II-1": 12000.0, "acme/FT-1": FLOW, "acme/FT-3": 0.55} | t_per_h
    amount, covered = np.full(len(network.tags), np.nan), np.full(len(network.tags), np.nan)
    for address, value in rate.items():
        scale = 1.0 if "II" in address else 1000 / HOUR_S
        amount[network.index[address]] = value * scale * hours * HOUR_S
    if "acme/AT-77" in network.index and purity is not None:
        amount[network.index["acme/AT-77"]] = purity * hours * HOUR_S
    covered[~np.isnan(amount)] = hours * HOUR_S
    level = np.full((2, len(network.tags)), np.nan)
    level[:, network.tanks.tag] = 1.5
    return amount, covered, level


def closed(network, **changes):
    balance = compile_balance(network, "demo", "chlorine")
    result = measure(network, balance, *window(network, **changes))
    return balance, result, close_balance(balance, result)


def line_of(balance, name):
    return [line.id for line in balance.lines].index(name)


def test_without_an_analyser_it_is_the_linear_reconciliation():
    balance, outcome, result = closed(PLAIN)
    flow, sigma = measure(PLAIN, balance, *window(PLAIN)).carried()
    expected = reconcile(balance.incidence, flow, np.nan_to_num(sigma))
    assert result.estimate == pytest.approx(expected.estimate, rel=1e-12)
    assert result.sigma == pytest.approx(expected.sigma, rel=1e-12)
    assert (outcome.fraction == 1).all()
    assert np.isnan(result.fraction).all()
    assert result.suspects == expected.suspects
    assert result.chi2 == pytest.approx(float(expected.chi2))


def test_what_an_analysed_stream_carries_is_flow_times_fraction():
    balance, outcome, result = closed(ANALYSED)
    at = line_of(balance, "cl2-vcm")
    assert outcome.flow[at] == pytest.approx(1000)
    assert outcome.fraction[at] == pytest.approx(PURE)
    assert result.measured[at] == pytest.approx(980)
    relative = result.measured_sigma[at] / result.measured[at]
    parts = outcome.sigma[at] / outcome.flow[at], outcome.fraction_sigma[at] / outcome.fraction[at]
    assert relative == pytest.approx(np.hypot(*parts))
    assert ANALYSED.index["acme/AT-77"] in balance.tags
    assert (np.delete(outcome.fraction, at) == 1).all()


def test_bilinear_estimates_close_and_agree_with_the_linear_ones_to_first_order():
    balance, outcome, result = closed(ANALYSED)
    assert balance.incidence @ result.estimate == pytest.approx(0, abs=1e-6)
    linear = reconcile(balance.incidence, result.measured, np.nan_to_num(result.measured_sigma))
    assert result.estimate == pytest.approx(linear.estimate, rel=1e-3)
    assert result.sigma == pytest.approx(linear.sigma, rel=0.02)
    assert result.chi2 == pytest.approx(float(linear.chi2), rel=0.02)
    assert result.dof == linear.dof
    assert result.residual == pytest.approx(linear.residual, nan_ok=True)
    assert result.observable.tolist() == linear.observable.tolist()
    assert result.redundant.tolist() == linear.redundant.tolist()
    assert result.detectable == pytest.approx(linear.detectable, rel=0.3, nan_ok=True)
    at = line_of(balance, "cl2-vcm")
    assert result.adjustment[at] == pytest.approx(linear.adjustment[at], rel=0.02)
    # The estimate moves flow and purity, each as far as its own uncertainty lets it.
    moved = result.fraction[at] - PURE, result.estimate[at] / result.fraction[at] - 1000
    share = outcome.fraction_sigma[at] / PURE, outcome.sigma[at] / 1000
    assert moved[0] / PURE / (moved[1] / 1000) == pytest.approx(
        (share[0] / share[1]) ** 2, rel=0.02
    )
    assert result.fraction_sigma[at] <= outcome.fraction_sigma[at]


def test_flow_or_fraction_far_off_makes_its_stream_a_suspect():
    # Over four days the tank's level hardly counts.
    balance, _, well = closed(ANALYSED, hours=100)
    assert well.consistent
    for change in ({"acme/FT-1": 1.5}, {"purity": 0.5}):
        _, _, result = closed(ANALYSED, hours=100, **change)
        assert not result.consistent
        suspects = set.union(*result.suspects)
        assert line_of(balance, "cl2-vcm") in suspects
        assert max(suspects) < len(balance.lines)


def test_analyser_without_a_value_leaves_its_stream_to_the_balances():
    balance, outcome, result = closed(ANALYSED, purity=None)
    at = line_of(balance, "cl2-vcm")
    assert np.isnan(outcome.fraction[at])
    assert np.isnan(result.measured[at])
    assert result.estimate[at] == pytest.approx(1523.87 - 550, abs=0.01)
    assert result.fraction[at] == pytest.approx(result.estimate[at] / 1000)
    assert not result.redundant[at]


def test_stream_without_a_meter_gets_its_flow_from_what_it_carries():
    network = with_analyser("cl2-store")
    balance, outcome, result = closed(network)
    at = line_of(balance, "cl2-store")
    assert np.isnan(outcome.flow[at])
    assert result.observable[at]
    assert np.isnan(result.measured[at])
    assert result.fraction[at] == pytest.approx(PURE)
    assert balance.incidence @ result.estimate == pytest.approx(0, abs=1e-6)


def test_nominal_composition_gives_way_to_the_measured_one():
    toml = PARK_TOML.replace(
        'medium = "chlorine"\nmode = "pipe"\nflow = "acme/FT-1"',
        'medium = "tail_gas"\nmode = "pipe"\nflow = "acme/FT-1"\nfraction = "acme/AT-77"',
    )
    assert toml != PARK_TOML
    csv = TAGS_CSV.rstrip("\n") + "\n" + ANALYSER
    network = compile_network(parse_park({"park.toml": toml, "tags.csv": csv}))
    balance = compile_balance(network, "demo", "chlorine")
    at = line_of(balance, "cl2-vcm")
    ((_, factor),) = balance.lines[at].tags
    assert factor == pytest.approx(0.85)  # without the analyser
    flow, _ = measure(network, balance, *window(network, purity=0.7)).carried()
    assert flow[at] == pytest.approx(700)


def test_windows_at_once_are_each_of_them_with_an_analyser_too():
    balance = compile_balance(ANALYSED, "demo", "chlorine")
    ones = [window(ANALYSED, purity=p, hours=h) for p, h in ((0.98, 1), (0.95, 8), (None, 24))]
    both = measure(ANALYSED, balance, *[np.stack(column) for column in zip(*ones, strict=True)])
    for n, one in enumerate(ones):
        alone = measure(ANALYSED, balance, *one)
        for name in ("flow", "sigma", "fraction", "fraction_sigma"):
            assert getattr(both, name)[n] == pytest.approx(getattr(alone, name), nan_ok=True), name


def test_random_errors_average_out_and_the_others_stay():
    balance = compile_balance(PLAIN, "demo", "chlorine")
    at = line_of(balance, "cl2-vcm")
    tag = PLAIN.tags[balance.lines[at].tags[0][0]]
    share, correlation = random_share(tag)
    _, relative = tag_uncertainty(tag)
    assert 0 < share < 1
    shares = []
    for hours in (1e-6, 1.0, 24.0, 8760.0):
        result = measure(PLAIN, balance, *window(PLAIN, hours=hours))
        shares.append(result.sigma[at] / result.flow[at] / relative)
        remaining = left_of_mean(share, correlation, hours * HOUR_S)
        assert shares[-1] == pytest.approx(np.sqrt(remaining))
    assert shares[0] == pytest.approx(1, rel=1e-3)
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] == pytest.approx(np.sqrt(1 - share), rel=1e-3)


def test_error_of_a_level_that_stays_cancels_in_a_straight_tank():
    balance = compile_balance(PLAIN, "demo", "chlorine")
    stock = next(s for s, line in enumerate(balance.lines) if line.tanks)
    amount, covered, level = window(PLAIN)
    at = PLAIN.tanks.tag[0]
    absolute, relative = tag_uncertainty(PLAIN.tags[at])
    share, _ = random_share(PLAIN.tags[at])
    level[:, at] = 1.5, 1.6
    upright = replace(PLAIN, tanks=replace(PLAIN.tanks, cylinder=np.zeros(1)))
    result = measure(upright, balance, amount, covered, level)
    per_metre = PLAIN.tanks.capacity[0] / PLAIN.tanks.height[0]
    edges = (absolute + relative * level[:, at]) * per_metre
    scaling = relative * 0.1 * per_metre
    expected = np.hypot(np.hypot(*edges) * np.sqrt(share), scaling * np.sqrt(1 - share))
    assert result.sigma[stock] == pytest.approx(expected)
    lying = measure(PLAIN, balance, amount, covered, level)
    assert lying.sigma[stock] > 0
    # An error that was all random would not know that the tank is the same one.
    assert result.sigma[stock] < np.hypot(*edges)


def test_quantity_without_a_known_split_has_one_error_all_the_time():
    tag = replace(PLAIN.tags[PLAIN.index["acme/FT-1"]], quantity="count")
    assert random_share(tag) == (0.0, 0.0)


def test_chi2_of_the_simulated_park_is_about_its_degrees_of_freedom():
    park = load_park("deploy/parks/liaocheng")
    network = compile_network(park)
    balance = compile_balance(network, park.id, "chlorine")
    scale, shift = np.array([(tag.scale, tag.shift) for tag in park.tags]).T
    times = 1_760_000_400_000_000 + np.arange(-1, 60) * 60_000_000
    amount, covered = np.full((2, len(network.tags)), np.nan)
    level = np.full((2, len(network.tags)), np.nan)
    covered[:] = HOUR_S
    ratio = []
    # What stays of a meter's errors is drawn once: only other parks tell how great it is.
    for seed in range(5):
        displayed = observe(make_sensors(make_process(park, seed), seed), times) * scale + shift
        amount[: len(scale)] = displayed[1:].mean(axis=0) * HOUR_S
        effective, _ = effective_current(network.cells, amount / HOUR_S)
        amount[network.cells.effective] = effective * HOUR_S
        level[:, : len(scale)] = displayed[0], displayed[-1]
        result = close_balance(balance, measure(network, balance, amount, covered, level))
        assert result.reason == ""
        assert np.isfinite(result.estimate).all()
        known = ~np.isnan(result.fraction)
        assert known.sum() == 3
        assert (np.abs(result.fraction[known] - 0.85) < 0.1).all()
        ratio.append(result.chi2 / result.dof)
    assert result.dof == 15
    assert 0.4 < np.mean(ratio) < 1.8


def test_windows_at_once_are_closed_as_each_would_be_with_quantities_of_its_own():
    network = compile_network(load_park("deploy/parks/liaocheng"))
    balance = compile_balance(network, "liaocheng", "chlorine")
    # Quantities of their own have no bounds.
    balance = replace(balance, lower=np.full(len(balance.lines), -np.inf))
    rng = np.random.default_rng(3)
    analysed = [line.fraction is not None for line in balance.lines]
    shape = 12, len(analysed)
    flow = rng.uniform(1e3, 5e4, shape)
    # From tight to far off, with holes, and with a plant that stands.
    sigma = flow * 10.0 ** rng.uniform(-3, -0.5, shape)
    flow[rng.random(shape) < 0.1] = np.nan
    flow[5, 1] = sigma[5, 1] = 0
    fraction = np.where(analysed, rng.uniform(0.5, 1, shape), 1.0)
    fraction[3, analysed] = np.nan
    fraction_sigma = np.where(analysed, 0.02 * fraction, 0.0)
    result = close_balance(balance, Amounts(flow, sigma, fraction, fraction_sigma))
    for n in range(len(flow)):
        expected = reconcile_components(
            balance.incidence, flow[n], fraction[n][:, None], sigma[n], fraction_sigma[n][:, None],
            total=False,
        )  # fmt: skip
        near = {"rel": 1e-5, "abs": 1e-5, "nan_ok": True}
        assert result.estimate[n] == pytest.approx(expected.carried[:, 0], **near)
        assert result.sigma[n] == pytest.approx(expected.carried_sigma[:, 0], **near)
        assert result.residual[n] == pytest.approx(expected.residual[:, 0], **near)
        assert result.chi2[n] == pytest.approx(float(expected.result.chi2), **near)
        assert result.fraction[n][analysed] == pytest.approx(expected.fraction[analysed, 0], **near)
        assert result.fraction_sigma[n][analysed] == pytest.approx(
            expected.fraction_sigma[analysed, 0], **near
        )
        assert result.adjustment[n] == pytest.approx(expected.result.adjustment[: shape[1]], **near)
        assert (result.dof[n], result.consistent[n]) == (
            expected.result.dof,
            expected.result.consistent,
        )
        alone = close_balance(balance, Amounts(flow[n], sigma[n], fraction[n], fraction_sigma[n]))
        assert result.suspects[n] == alone.suspects
        assert result.reason[n] == alone.reason


def test_a_day_of_minutes_is_solved_in_a_few_passes():
    balance = compile_balance(ANALYSED, "demo", "chlorine")
    one = measure(ANALYSED, balance, *window(ANALYSED))
    day = Amounts(*(np.tile(getattr(one, name), (1440, 1)) for name in Amounts.__slots__))
    with pytest.MonkeyPatch.context() as patch:
        passes = []
        patch.setattr(
            closure,
            "reconcile_each",
            lambda *a, **bounds: passes.append(len(a[1])) or reconcile_each(*a, **bounds),
        )
        result = close_balance(balance, day)
    assert passes[-1] == 1440
    assert len(passes) < 8
    assert result.estimate[0] == pytest.approx(close_balance(balance, one).estimate)
