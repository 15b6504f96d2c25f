"""Reconciled flows of an hour, of every component with a check."""

import numpy as np
import pytest

from tests.support.small_region import NETWORK, STORE
from tests.support.small_site import site
from tests.twin.reconciliation.test_electricity import SHOWN, bus
from twin import quality as q
from twin.reconciliation.estimates import compile_estimates, estimate_hours

HOUR_S, MW = 3600.0, 1e6


def hour(network, mw):
    """Return the sums of an hour of powers, and no levels."""
    count = len(network.tags)
    amount, covered_s = np.full((1, count), np.nan), np.zeros((1, count))
    for tag, value in mw.items():
        amount[0, network.index[f"site/{tag}"]] = value * MW * HOUR_S
        covered_s[0, network.index[f"site/{tag}"]] = HOUR_S
    return amount, covered_s, np.full((1, 2, count), np.nan), np.zeros((1, count), np.uint8)


def test_powers_of_a_bus_whose_losses_are_stated_are_reconciled():
    network = site(*bus(loss=0.02))
    estimates = compile_estimates(network)
    names = {tag.tag: i for i, tag in enumerate(estimates.tags)}
    assert {tag.uom for tag in estimates.tags} == {"MW"}
    value, quality = estimate_hours(estimates, *hour(network, SHOWN))
    flows = {name.split(".")[-2]: value[0, i] / MW for name, i in names.items()
             if name.endswith(".reconciled")}  # fmt: skip
    assert set(flows) == {"IN", "G", "X", "C", "P", "loss"}
    inside = flows["IN"] + flows["G"] - flows["X"] - flows["C"] - flows["P"] - flows["loss"]
    assert inside == pytest.approx(0, abs=1e-9)
    for tag, power in SHOWN.items():
        (at,) = (i for name, i in names.items() if name.endswith(f".{tag}.reconciled_ci"))
        assert abs(flows[tag] - power) < 1.5 * value[0, at] / MW
    assert (quality == 0).all()


def test_where_a_user_may_have_no_meter_nothing_is_reconciled():
    assert compile_estimates(site(*bus())).tags == ()


def test_tags_of_estimates_are_unique_and_belong_to_the_place_of_their_stream():
    tags = compile_estimates(NETWORK).tags
    assert len({tag.address for tag in tags}) == len(tags) > 10
    assert {tag.source for tag in tags} == {"derived"}
    named = {tag.tag: tag.scope for tag in tags}
    assert named["caustic.store.chlorine.mass_flow.stock.reconciled"] == STORE


def test_an_hour_without_anything_has_no_flow_and_says_so():
    estimates = compile_estimates(NETWORK)
    count = len(NETWORK.tags)
    nothing = np.full((1, count), np.nan), np.zeros((1, count)), np.full((1, 2, count), np.nan)
    value, quality = estimate_hours(estimates, *nothing, np.zeros((1, count), np.uint8))
    assert np.isnan(value).all()
    assert (quality == q.NO_DATA).all()
