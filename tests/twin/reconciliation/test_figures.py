"""Figures on reconciled streams: their accounts close, their intervals count what is shared."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from tests.support.small_region import ALPHA, CAUSTIC, CELLS, NETWORK, STORE
from twin.accounts.accounts import FLOW_ITEMS, SIGNS, Account
from twin.arrays import HOUR_S
from twin.reconciliation.balances import Amounts, Balance, Line, compile_balance, measure
from twin.reconciliation.closure import close_balance
from twin.reconciliation.figures import reconcile_figures, stream_weights
from twin.reconciliation.uncertainty import weights

NO_RATIO = np.zeros((0, 2, 0))


def chain(seen, sigma):
    """Return a -> b -> c, all of them metered from and to the outside, and its amounts."""
    names = ("market", "a", "b", "c", "market")
    ends = pairwise(names)
    lines = tuple(Line(f"{x}-{y}", x, y, ((n, 1.0),)) for n, (x, y) in enumerate(ends))
    incidence = np.array([[1, -1, 0, 0], [0, 1, -1, 0], [0, 0, 1, -1]], dtype=np.float64)
    flow = np.array(seen, dtype=np.float64)
    one = np.ones_like(flow)
    amounts = Amounts(flow, np.broadcast_to(sigma, flow.shape) * one, one, one * 0)
    return Balance("water", ("a", "b", "c"), lines, incidence, np.full(4, -np.inf)), amounts


def test_meters_in_a_row_are_one_flow_known_by_all_of_them():
    balance, amounts = chain([10.2, 9.8, 10.0, 10.0], 0.2)
    row = np.array([[0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, -1.0]])
    result = reconcile_figures(balance, amounts, row, NO_RATIO.reshape(0, 2, 4))
    # One flow of 10 ± 0.1 four times: in the sum of two it is the same, in the difference not.
    assert result.value == pytest.approx([10.0, 20.0, 0.0], abs=1e-12)
    assert result.sigma == pytest.approx([0.1, 0.2, 0.0], abs=1e-7)
    assert result.stands


def test_ratio_of_what_the_balances_make_the_same_is_exact():
    balance, amounts = chain([[10.2, 9.8, 10.0, 10.0], [0.0, 0.0, 0.0, 0.0]], 0.2)
    first, last = np.eye(4)[[0, 3]]
    result = reconcile_figures(balance, amounts, np.eye(4)[:1], np.array([[first, last]]))
    assert result.value[0, 1] == pytest.approx(1.0)
    assert result.sigma[0, 1] == pytest.approx(0.0, abs=1e-7)
    assert np.isnan(result.value[1, 1])
    assert result.stands.tolist() == [True, True]


def test_ratio_has_the_interval_of_its_derivatives():
    """Of a split into two, with a meter on each stream."""
    lines = (Line("in", "market", "a"), Line("x", "a", "u"), Line("y", "a", "v"))
    incidence, flow = np.array([[1.0, -1.0, -1.0]]), np.array([10.0, 6.0, 4.0])
    sigma = np.array([0.3, 0.2, 0.1])
    balance = Balance("water", ("a",), lines, incidence, np.full(3, -np.inf))
    amounts = Amounts(flow, sigma, np.ones(3), np.zeros(3))
    pair = np.array([[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]])
    result = reconcile_figures(balance, amounts, np.eye(3), pair)
    cov = np.diag(sigma**2)
    gain = cov @ incidence.T / (incidence @ cov @ incidence.T)
    after = cov - gain @ incidence @ cov
    slope = np.array([-0.6, 1.0, 0.0]) / 10
    assert result.sigma[:3] == pytest.approx(np.sqrt(np.diag(after)))
    assert result.value[3] == pytest.approx(0.6)
    assert result.sigma[3] == pytest.approx(np.sqrt(slope @ after @ slope))


def test_biased_meter_leaves_the_figures_to_the_meters():
    balance, amounts = chain([[10.0, 10.0, 10.0, 10.0], [12.0, 10.0, 10.0, 10.0]], 0.1)
    result = reconcile_figures(balance, amounts, np.eye(4), NO_RATIO.reshape(0, 2, 4))
    assert result.stands.tolist() == [True, False]


def test_silent_meter_is_told_by_the_others_and_nothing_stands_on_one_alone():
    lost = np.nan
    balance, amounts = chain([[10.2, lost, 10.0, lost], [10.2, lost, lost, lost]], 0.1)
    result = reconcile_figures(balance, amounts, np.eye(4), NO_RATIO.reshape(0, 2, 4))
    assert result.value[0] == pytest.approx([10.1] * 4)
    # One meter tells all flows, and no other one checks it.
    assert result.stands.tolist() == [True, False]


def test_a_sum_that_is_no_sum_of_whole_streams_is_not_told():
    balance, _ = chain([0.0] * 4, 1.0)
    both = replace(balance.lines[0], tags=((0, 2.0), (4, 4.0)))
    tanks = replace(balance.lines[3], tags=(), tanks=(0, 1))
    balance = replace(balance, lines=(both, *balance.lines[1:3], tanks))

    def streams_of(weight, tanks=()):
        return stream_weights(balance, np.array(weight, dtype=np.float64), tanks).tolist()

    nothing = pytest.approx([np.nan] * 4, nan_ok=True)
    assert streams_of([2, -3, 0, 0, 4, 0], [1, 0]) == [1, -3, 0, 1]
    assert streams_of([2, 0, 0, 0, 2, 0]) == nothing  # its two meters count differently
    assert streams_of([0, 0, 0, 0, 0, 1]) == nothing  # a meter of no stream of the balance
    assert streams_of([0, np.nan, 0, 0, 0, 0]) == nothing
    assert streams_of([0] * 6, [1]) == nothing  # one tank of two


@pytest.mark.parametrize("seed", range(5))
def test_reconciled_flows_less_the_change_of_stock_close_at_the_scope_of_each_node(seed):
    rng, count = np.random.default_rng(seed), len(NETWORK.tags)
    balance = compile_balance(NETWORK, "r", "chlorine")
    amount, covered = rng.uniform(1, 3, count) * HOUR_S, np.full(count, HOUR_S)
    for tag, factor in (pair for line in balance.lines for pair in line.tags):
        amount[tag] = rng.uniform(1.0, 2.0) * HOUR_S / factor
    level = np.tile(rng.uniform(0.8, 1.2, count), (2, 1))
    level[1] += 0.01
    amounts = measure(NETWORK, balance, amount, covered, level)
    closed = 0
    for scope in balance.nodes:
        items = [i for i in FLOW_ITEMS if Account(scope, "chlorine", i) in NETWORK.accounts]
        rows = [stream_weights(balance, weights(NETWORK, {Account(scope, "chlorine", i): 1.0}))
                for i in items]  # fmt: skip
        signs = [SIGNS[i] for i in items]
        tanks = NETWORK.tanks.scopes.get((scope, "chlorine"))
        if tanks is not None:
            rows.append(stream_weights(balance, np.zeros(count), tanks.tolist()))
            signs.append(-1.0)
        at = np.abs(balance.incidence[balance.nodes.index(scope)]) > 0
        if not all(line.tags or line.tanks for s, line in enumerate(balance.lines) if at[s]):
            continue
        assert np.isfinite(rows).all(), scope
        result = reconcile_figures(
            balance, amounts, np.array(rows), np.zeros((0, 2, len(balance.lines)))
        )
        assert result.value @ signs == pytest.approx(0, abs=1e-9 * np.abs(result.value).max())
        closed += 1
    assert closed >= 2
    assert {ALPHA, CAUSTIC, CELLS, STORE} & set(balance.nodes)


def test_sums_change_no_estimate_and_no_test():
    balance = compile_balance(NETWORK, "r", "chlorine")
    rng, count = np.random.default_rng(1), len(NETWORK.tags)
    amount, covered = rng.uniform(1, 2, (3, count)) * HOUR_S, np.full((3, count), HOUR_S)
    amounts = measure(NETWORK, balance, amount, covered, np.full((3, 2, count), 1.0))
    closure, streams = close_balance(balance, amounts), len(balance.lines)
    result = reconcile_figures(balance, amounts, np.eye(streams), np.zeros((0, 2, streams)))
    known = np.broadcast_to(closure.observable, result.value.shape)
    assert result.value[known] == pytest.approx(closure.estimate[known], rel=1e-9, abs=1e-6)
    assert result.sigma[known] == pytest.approx(closure.sigma[known], rel=1e-9, abs=1e-6)
