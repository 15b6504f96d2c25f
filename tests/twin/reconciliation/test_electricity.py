"""Electricity as a component: captive power, purchase, sale and users, and their balance."""

import numpy as np
import pytest

from tests.support.small_site import CAUSTIC, CELLS, POWER, PVC, SITE, figures, meter, site
from twin import step as cycle
from twin.accounts.accounts import FLOW_ITEMS, Account
from twin.accounts.network import tally
from twin.energy.junctions import find_remainder
from twin.quality import GOOD
from twin.reconciliation.balances import compile_balance, measure
from twin.reconciliation.closure import close_balance
from twin.reconciliation.uncertainty import left_of_mean, random_share
from twin.series.image import no_image

HOUR_S = 3600.0
MW = 1e6
# 23 MW bought and 30 made: 28 and 20 used, 4 sold, 1 lost.
SHOWN = {"IN": 23.0, "G": 30.0, "X": 4.0, "C": 28.0, "P": 20.0}


def bus(**of_incomer):
    return (
        meter("IN", SITE, role="incomer", **of_incomer),
        meter("G", POWER, role="generation"),
        meter("X", SITE, role="sold"),
        meter("C", CAUSTIC),
        meter("P", PVC),
    )


def closed(network, scope=SITE, **mw):
    """Return the balance of an hour, by stream id, and the closure."""
    balance = compile_balance(network, scope, "electricity")
    amount, covered_s = np.full((2, len(network.tags)), np.nan)
    for tag, value in mw.items():
        amount[network.index[f"site/{tag}"]] = value * MW * HOUR_S
        covered_s[network.index[f"site/{tag}"]] = HOUR_S
    level = np.full((2, len(network.tags)), np.nan)
    amounts = measure(network, balance, amount, covered_s, level)
    at = {line.id: s for s, line in enumerate(balance.lines)}
    return balance, at, close_balance(balance, amounts)


def items(network, scope, **mw):
    """Return make, use, import and export of electricity in a scope, MW."""
    amount = np.full(len(network.tags), np.nan)
    for tag, value in mw.items():
        amount[network.index[f"site/{tag}"]] = value
    totals = tally(network, amount)
    accounts = {item: Account(scope, "electricity", item) for item in FLOW_ITEMS}
    return {k: totals[network.accounts[a]] for k, a in accounts.items() if a in network.accounts}


def test_captive_power_purchase_sale_and_users_are_accounts_of_the_site():
    network = site(*bus())
    assert items(network, SITE, **SHOWN) == {"make": 30, "import": 23, "export": 4, "use": 48}
    assert items(network, "r", **SHOWN) == {"make": 30, "import": 23, "export": 4, "use": 48}
    assert items(network, POWER, **SHOWN) == {"make": 30, "export": 30}
    assert items(network, PVC, **SHOWN) == {"import": 20, "use": 20}


def test_no_scope_creates_electricity():
    """What a scope takes in and makes is what it uses, gives out, and loses: never less."""
    cells = meter("CELLS", CELLS, parent="C")
    network = site(*bus(), cells)
    readings = {**SHOWN, "CELLS": 27.0}
    lost = {"r": 2.0, SITE: 2.0, CAUSTIC: 1.0, CELLS: 0.0, PVC: 0.0, POWER: 0.0}
    for scope, expected in lost.items():
        flow = items(network, scope, **readings)
        come = flow.get("make", 0) + flow.get("import", 0)
        assert come - flow.get("use", 0) - flow.get("export", 0) == expected
    assert figures(network, "electricity", **readings)[SITE, "total"] == 19


def test_derived_tags_show_the_balance_live():
    network = site(*bus())
    image = no_image(len(network.tags))
    for tag, value in SHOWN.items():
        at = network.index[f"site/{tag}"]
        image.time_us[at], image.quality[at] = 0, GOOD
        image.value[at] = image.rate[at] = value * MW
    outcome = cycle.step(network, cycle.no_memory(network), image, 0)
    readings = dict(zip(network.tags[len(network.park.tags) :], outcome.value, strict=True))
    by_name = {
        tag.address: (value / MW, tag.quantity, tag.uom)
        for tag, value in readings.items()
        if tag.scope != "r"
    }
    # One moment has a demand, and no interval of its forecast.
    assert np.isnan(by_name.pop("site/electricity.power.demand_forecast_ci")[0])
    assert by_name == {
        "site/electricity.power.production": (30, "power", "MW"),
        "site/electricity.power.consumption": (48, "power", "MW"),
        "site/electricity.power.import": (23, "power", "MW"),
        "site/electricity.power.export": (4, "power", "MW"),
        "site/electricity.power.residual": (1, "power", "MW"),
        "site/power.electricity.power.production": (30, "power", "MW"),
        "site/electricity.power.demand": (23, "power", "MW"),
        "site/electricity.power.demand_forecast": (23, "power", "MW"),
    }


def test_what_has_no_meter_is_what_the_meters_leave_over():
    network = site(*bus())
    balance, at, closure = closed(network, **SHOWN)
    assert balance.nodes == (f"{SITE}:IN",)
    unmetered = at[f"{SITE}:IN:unmetered"]
    assert closure.estimate[unmetered] == pytest.approx(1 * MW * HOUR_S)
    assert not closure.redundant.any()


def test_more_behind_a_meter_than_through_it_is_no_negative_user():
    """The estimate of what has no meter stays at 0, and the meters share the contradiction."""
    network = site(*bus())
    _, at, closure = closed(network, **{**SHOWN, "C": 30.0})
    assert closure.estimate[at[f"{SITE}:IN:unmetered"]] == pytest.approx(0, abs=1.0)
    users = closure.estimate[[at[name] for name in ("X", "C", "P")]].sum()
    sources = closure.estimate[[at[name] for name in ("IN", "G")]].sum()
    assert users == pytest.approx(sources)


def test_with_a_stated_loss_the_balance_checks_every_meter():
    network = site(*bus(loss=0.02))
    _, at, closure = closed(network, **SHOWN)
    meters = [at[name] for name in ("IN", "G", "X", "C", "P")]
    assert closure.redundant[meters].all()
    assert bool(closure.consistent)
    # 2 % of 53 MW expected, 1 MW seen: within the stated width of the loss.
    assert closure.estimate[at[f"{SITE}:IN:loss"]] / (MW * HOUR_S) == pytest.approx(1.0, abs=0.06)


def test_a_feeder_that_shows_a_fifth_too_little_is_named():
    network = site(
        *bus(loss=0.01)[:3],
        meter("C", CAUSTIC, loss=0.01),
        meter("P", PVC),
        meter("CELLS", CELLS, parent="C"),
    )
    readings = {**SHOWN, "C": 22.0, "CELLS": 27.8}
    _, at, closure = closed(network, **readings)
    assert not bool(closure.consistent)
    assert at["C"] in closure.suspects[0]


def test_gross_generation_stands_behind_what_a_power_plant_sends_out():
    """33 MW at the generators, 30 sent out: the plant uses 3 itself."""
    network = site(*bus(), meter("G-1", POWER, role="generation", parent="G"))
    readings = {**SHOWN, "G-1": 33.0}
    assert items(network, POWER, **readings) == {"make": 33, "export": 30}
    assert items(network, SITE, **readings)["make"] == 33
    assert figures(network, "electricity", **readings)[POWER, "total"] == -30
    balance, at, closure = closed(network, **readings)
    assert len(balance.nodes) == 2
    own = at[f"{POWER}:G-1:unmetered"]
    assert closure.estimate[own] == pytest.approx(3 * MW * HOUR_S)


def test_direct_current_behind_its_rectifier_is_a_check_and_no_use():
    network = site(*bus(), meter("DC", CELLS, parent="C", basis="DC", product="caustic"))
    readings = {**SHOWN, "DC": 27.5}
    assert items(network, CAUSTIC, **readings)["use"] == 28
    balance, at, closure = closed(network, CAUSTIC, **readings)
    assert balance.nodes == (f"{CAUSTIC}:C",)
    assert closure.estimate[at[f"{CAUSTIC}:C:unmetered"]] == pytest.approx(0.5 * MW * HOUR_S)


def test_meters_without_a_relation_have_no_balance():
    network = site(meter("C", CAUSTIC), meter("P", PVC))
    assert network.junctions == ()
    assert compile_balance(network, SITE, "electricity").nodes == ()
    assert not any(tag.source == "derived" for tag in network.tags)


# --- what meters leave over ---------------------------------------------------


def remainder_of(network, **mw):
    amount, covered_s = np.full((2, 1, len(network.tags)), np.nan)
    for tag, value in mw.items():
        amount[:, network.index[f"site/{tag}"]] = value * MW * HOUR_S
        covered_s[:, network.index[f"site/{tag}"]] = HOUR_S
    (junction,) = network.junctions
    return find_remainder(network, junction, amount, covered_s)


@pytest.mark.parametrize(
    ("sigma", "loss", "readings", "verdict"),
    [
        ("0.1 %", {}, SHOWN, "remainder"),
        ("2 %", {}, SHOWN, "closed"),
        ("0.1 %", {}, {**SHOWN, "C": 30.0}, "excess"),
        ("0.1 %", {"loss": 0.02}, SHOWN, "closed"),
        ("0.1 %", {"loss": 0.02}, {**SHOWN, "C": 24.0}, "remainder"),
        ("0.1 %", {}, {"IN": 23.0}, "unknown"),
    ],
)
def test_the_remainder_behind_an_incomer_has_an_interval(sigma, loss, readings, verdict):
    network = site(*bus(**loss), sigma=sigma)
    result = remainder_of(network, **readings)
    assert result.verdict.tolist() == [verdict]
    if verdict == "unknown":
        return
    hour = MW * HOUR_S
    expected = readings["IN"] + readings["G"] - readings["X"] - readings["C"] - readings["P"]
    assert result.remainder / hour == pytest.approx([expected], abs=1e-9)
    # The errors of five meters, independent, each with what an hour leaves of its noise.
    part = left_of_mean(*random_share(network.tags[network.index["site/IN"]]), HOUR_S)
    width = 1.959963984540054 * float(sigma[:-2]) / 100 * np.sqrt(part)
    size = np.sqrt(sum(value**2 for value in readings.values()))
    assert result.remainder_ci / hour == pytest.approx([width * size])
    assert result.share == pytest.approx([expected / 53])


def test_a_feeder_of_20_mw_leaves_3_of_23():
    network = site(meter("IN", SITE, role="incomer"), meter("C", CAUSTIC, parent="IN"))
    result = remainder_of(network, IN=23.0, C=20.0)
    hour = MW * HOUR_S
    assert result.remainder / hour == pytest.approx([3.0])
    assert result.verdict.tolist() == ["remainder"]


def test_a_meter_without_a_stated_uncertainty_is_not_exact():
    ours = remainder_of(site(*bus(), sigma=""), **SHOWN)
    usual = remainder_of(site(*bus(), sigma="0.5 %"), **SHOWN)
    assert ours.remainder_ci > 0
    assert ours.remainder_ci == pytest.approx(usual.remainder_ci)
