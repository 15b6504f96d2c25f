"""Balances of the demonstration park: they close on the truth, and a biased meter is named."""

from dataclasses import replace

import numpy as np
import pytest

from simulators.process.process import make_process, state
from tests.support.books import true_electrolysers
from tests.support.small_region import NETWORK as SMALL
from twin.accounts.network import compile_network
from twin.arrays import HOUR_US
from twin.loading import load_park
from twin.reconciliation.balances import (
    Balance,
    Line,
    compile_balance,
    degrees_of_freedom,
    measure,
)
from twin.reconciliation.linear import reconcile
from twin.reconciliation.uncertainty import tag_uncertainty

START_US = 1_760_000_400_000_000


@pytest.fixture(scope="module")
def process():
    return make_process(load_park("deploy/parks/liaocheng"), 7)


@pytest.fixture(scope="module")
def network(process):
    """The park as it is: the electrolysers have the efficiency they truly have."""
    cells = true_electrolysers(process.plant.cells)
    return compile_network(replace(process.plant.park, electrolysers=cells))


@pytest.fixture(scope="module")
def hour(network, process):
    """Amounts of the true state over one hour, and the levels at its edges."""
    times = START_US + np.arange(0, HOUR_US + 1, 1_000_000)
    values = state(process, times).values
    # Trapezia: exact for what changes evenly, as the slow waves of the process nearly do.
    amount = ((values[1:] + values[:-1]) / 2).sum(axis=0)
    pad = np.full(len(network.tags) - values.shape[1], np.nan)
    levels = np.stack([np.concatenate([values[i], pad]) for i in (0, -1)])
    return np.concatenate([amount, pad]), levels


def read(network, hour, balance, **bias):
    amount, levels = hour[0].copy(), hour[1]
    for address, factor in bias.items():
        amount[network.index[address.replace("__", "/").replace("_", "-")]] *= factor
    covered = np.full(len(amount), 3600.0)
    return measure(network, balance, amount, covered, levels).carried()


def test_many_windows_at_once_are_each_of_them(network, hour):
    balance = compile_balance(network, "liaocheng", "chlorine")
    amount, levels = hour
    half, covered = amount / 2, np.full(len(amount), 3600.0)
    both = [np.stack(pair) for pair in ((amount, half), (covered, covered), (levels, levels[::-1]))]
    flow, sigma = measure(network, balance, *both).carried()
    for n, one in enumerate(((amount, levels), (half, levels[::-1]))):
        expected = measure(network, balance, one[0], covered, one[1]).carried()
        assert np.allclose([flow[n], sigma[n]], expected, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("scope", ["liaocheng", "liaocheng/chiping", "liaocheng/chiping/xinfa"])
def test_the_true_flows_close_every_chlorine_node(network, hour, scope):
    balance = compile_balance(network, scope, "chlorine")
    flow, sigma = read(network, hour, balance)
    assert len(balance.nodes) >= 4
    assert not np.isnan(flow).any()
    assert (sigma > 0).all()
    # The levels are read at the edges, the flows every second: what is left is the integration.
    assert np.abs(balance.incidence @ flow).max() < 1e-4 * np.abs(flow).max()


def test_truth_is_consistent_and_a_biased_meter_is_a_suspect(network, hour):
    balance = compile_balance(network, "liaocheng/chiping/xinfa", "chlorine")
    flow, sigma = read(network, hour, balance)
    assert bool(reconcile(balance.incidence, flow, sigma).consistent)
    at = [line.id for line in balance.lines].index("xinfa-cl2-main")
    biased = flow.copy()
    biased[at] *= 1.10
    result = reconcile(balance.incidence, biased, sigma)
    assert not bool(result.consistent)
    assert at in result.suspects[0]
    raw, mended = abs(biased[at] - flow[at]), abs(result.estimate[at] - flow[at])
    assert mended < raw


def test_a_scope_without_the_component_has_no_nodes():
    balance = compile_balance(SMALL, "r/west", "urea")
    assert balance.nodes == ()
    assert balance.incidence.shape == (0, 0)


def test_uncertainty_is_what_the_tag_says_else_the_usual_one(network):
    by_kind = {tag.sigma.endswith("%"): tag for tag in network.park.tags if tag.sigma}
    absolute, relative = tag_uncertainty(by_kind[True])
    assert absolute == 0.0
    assert relative == pytest.approx(float(by_kind[True].sigma.rstrip(" %")) / 100)
    absolute, relative = tag_uncertainty(by_kind[False])
    assert absolute == pytest.approx(float(by_kind[False].sigma) * by_kind[False].scale)
    assert relative == 0.0


@pytest.mark.parametrize("component", ["hydrogen_chloride", "caustic", "ammonia", "chlorine"])
def test_a_tank_holds_only_its_share_of_a_component(network, hour, component):
    balance = compile_balance(network, "liaocheng", component)
    kept = [k for line in balance.lines for k in line.tanks]
    shares = {"hydrogen_chloride": {0.31}, "caustic": {0.32, 0.5}, "ammonia": {1.0},
              "chlorine": {1.0}}  # fmt: skip
    assert set(network.tanks.share[component][kept]) <= shares[component]
    assert kept
    flow, _ = read(network, hour, balance)
    known = ~np.isnan(flow)
    for m, row in enumerate(balance.incidence):
        if known[row != 0].all():
            remaining = row[known] @ flow[known]
            assert abs(remaining) < 1e-4 * np.nanmax(np.abs(flow)), balance.nodes[m]


def chain(*measured):
    """Return a balance of a -> b -> c whose streams, from and to the outside, may be measured."""
    names = ("market", "a", "b", "c", "market")
    ends = zip(names, names[1:], measured, strict=False)
    lines = tuple(Line(f"{x}-{y}", x, y, ((0, 1.0),) * seen) for x, y, seen in ends)
    return Balance("water", ("a", "b", "c"), lines, np.zeros((3, 4)), np.zeros(4))


@pytest.mark.parametrize(
    ("measured", "checks"),
    [
        ((1, 1, 1, 1), 3),
        ((1, 0, 1, 1), 2),  # a and b have one balance together
        ((1, 0, 0, 1), 1),
        ((0, 1, 1, 1), 2),  # what comes from outside is known by the others, and nothing checks it
        ((0, 1, 1, 0), 1),
        ((0, 1, 0, 0), 0),
        ((0, 0, 0, 0), 0),
    ],
)
def test_each_balance_without_an_unmeasured_stream_is_a_check(measured, checks):
    assert degrees_of_freedom(chain(*measured)) == checks
