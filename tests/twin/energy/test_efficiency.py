"""Current efficiency by analysis and by meters, combined, and against the model (T-01, T-02)."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.demo_park import PARK
from twin import faraday
from twin.accounts.network import compile_network
from twin.energy.circuits import Estimate
from twin.energy.efficiency import (
    CellEfficiency,
    against_model,
    below_model,
    by_meters,
    cell_efficiencies,
    combine,
    metered_cells,
    metered_efficiency,
    tags_of_meters,
)

NETWORK = compile_network(PARK)
HOUR = 3600.0
NOTHING = Estimate(np.array(np.nan), np.array(np.nan))
# T-02: 13.5 kA through 160 cells at 96 %, in an hour.
CHARGE = 13_500.0 * 160 * HOUR
MADE = {"caustic": 3094.5307, "chlorine": 2742.9581, "hydrogen": 81.232466}


def of(value, relative):
    return Estimate(np.array(value), np.array(value * relative))


def near(value, rel=1e-6):
    return pytest.approx(value, rel=rel)


def test_meters_of_what_cells_make_give_the_published_efficiency():
    for component in ("caustic", "chlorine"):
        only = {component: of(MADE[component], 0.005)}
        result = by_meters(of(CHARGE, 0.002), only)
        assert result.mean.value == near(0.96)
        assert result.mean.sigma == near(0.96 * np.hypot(0.005, 0.002))
    result = by_meters(of(CHARGE, 0.002), {name: of(made, 0.01) for name, made in MADE.items()})
    assert result.mean.value == near(0.96)
    # Two meters of 1 % for what is made; the current, and hydrogen with 0.2 % of its own.
    charge = 1 / np.sqrt(0.002**-2 + (0.01**2 + 0.002**2) ** -1)
    assert result.mean.sigma == near(0.96 * np.hypot(0.01 / np.sqrt(2), charge))
    assert (int(result.dof), bool(result.consistent)) == (2, True)
    assert result.chi2 == pytest.approx(0, abs=1e-6)


def test_without_a_meter_of_a_product_there_is_no_efficiency():
    assert np.isnan(by_meters(of(CHARGE, 0.002), {}).mean.value)
    hydrogen = {"hydrogen": of(MADE["hydrogen"], 0.01), "caustic": NOTHING}
    assert np.isnan(by_meters(of(CHARGE, 0.002), hydrogen).mean.value)


def test_estimates_are_combined_by_inverse_variance():
    # (0.96 / 3² + 0.954 / 4²) / (1 / 3² + 1 / 4²), in thousandths: sigma 12 / 5.
    result = combine([Estimate(np.array(0.96), np.array(0.003)),
                      Estimate(np.array(0.954), np.array(0.004)), NOTHING])  # fmt: skip
    assert result.mean.value == near((0.96 * 16 + 0.954 * 9) / 25)
    assert result.mean.sigma == near(0.0024)
    assert result.chi2 == near((0.006 / 0.005) ** 2)
    assert (int(result.dof), bool(result.consistent)) == (1, True)


def test_estimates_that_disagree_say_so_and_widen_the_interval():
    result = combine([of(0.96, 0.003), of(0.93, 0.003)])
    assert not result.consistent
    alone = combine([of(0.96, 0.003)])
    assert (int(alone.dof), bool(alone.consistent)) == (0, True)
    plain = 1 / np.sqrt((0.96 * 0.003) ** -2 + (0.93 * 0.003) ** -2)
    assert result.mean.sigma == near(plain * np.sqrt(result.chi2))
    assert result.mean.sigma > 3 * plain


@pytest.mark.parametrize(
    ("value", "agree", "verdict"),
    [(0.93, True, "below"), (0.958, True, "as_modelled"), (0.975, True, "above"),
     (np.nan, True, "undecided"), (0.93, False, "undecided")],
)  # fmt: skip
def test_verdict_says_whether_the_interval_holds_the_efficiency_of_the_model(value, agree, verdict):
    cell = replace(PARK.electrolysers[0], current_efficiency=0.96)
    one = Estimate(np.array([value]), np.array([0.003]))
    both = combine([one])._replace(consistent=np.array([agree]))
    assert against_model(cell, CellEfficiency(one, one, both)) == [verdict]


def test_chlorine_that_was_not_made_is_named_in_tonnes():
    """45 t/h at 96 % are 43.6 at 93 %: 1.4 t/h of efficiency, not of lost chlorine."""
    cell = replace(PARK.electrolysers[0], cells=160, current_efficiency=0.96)
    one = Estimate(np.array(0.93), np.array(0.003))
    efficiency = CellEfficiency(one, NOTHING, combine([one]))
    below = below_model(cell, efficiency, np.array(CHARGE * 16.4 / 160))
    assert below.value == near(1405.77, 1e-4)
    assert below.sigma == near(140.577, 1e-4)


def window(truth=0.93, hidden=0.0):
    """Return amounts and coverage of an hour in which the cells of Luxi run at one efficiency."""
    network = NETWORK
    amount, covered_s = np.full((2, len(network.tags)), np.nan)

    def put(name, rate):
        amount[network.index[f"luxi/{name}"]] = rate * HOUR
        covered_s[network.index[f"luxi/{name}"]] = HOUR

    for number in range(1101, 1107):
        put(f"II-{number}", 16_200.0)
    charge = 6 * 360 * 16_200.0
    seen = truth + hidden
    put("AI-1203", (1 - seen) / (1 + seen))
    put("AI-1201", 0.0)
    chlorine = charge * truth * faraday.mass_per_charge(faraday.CL2)
    put("FI-1201", chlorine)
    put("FI-1401", charge * truth * faraday.mass_per_charge(faraday.NAOH) / 0.32)
    put("FI-1501", charge * faraday.mass_per_charge(faraday.H2) / 0.0899)
    return amount, covered_s


def efficiencies(amount, covered_s):
    groups = metered_cells(NETWORK)
    meters = [metered_efficiency(NETWORK, each, amount, covered_s).mean for each in groups]
    return cell_efficiencies(NETWORK, groups, meters, amount, covered_s)


def test_analysis_and_meters_of_a_plant_agree_on_its_efficiency():
    groups = metered_cells(NETWORK)
    luxi = next(g for g in groups if g.cells[0].id == "luxi-E-1101")
    assert len(luxi.cells) == 6
    assert set(luxi.balances) == {"caustic", "chlorine", "hydrogen"}
    names = {NETWORK.tags[t].tag for t in tags_of_meters(NETWORK, luxi)}
    assert {"II-1101", "FI-1201", "FI-1401", "FI-1501"} <= names
    # Meters of other plants tell nothing of it.
    assert {NETWORK.tags[t].owner for t in tags_of_meters(NETWORK, luxi)} == {"luxi"}
    result = efficiencies(*window())["luxi-E-1103"]
    assert result.analysis.value == near(0.93)
    assert result.meters.value == near(0.93, 1e-3)
    assert result.both.mean.value == near(0.93, 1e-3)
    assert result.both.consistent
    assert result.both.mean.sigma < min(result.analysis.sigma, result.meters.sigma)
    # Of Xinfa nothing was read.
    assert np.isnan(efficiencies(*window())["xinfa-E-1101"].both.mean.value)


def test_an_analyser_that_contradicts_the_meters_is_no_efficiency_to_sign():
    result = efficiencies(*window(hidden=0.03))["luxi-E-1101"]
    cell = PARK.electrolysers[0]
    assert result.analysis.value == near(0.96)
    assert not result.both.consistent
    assert against_model(cell, CellEfficiency(*result[:2], _rows(result.both))) == ["undecided"]


def _rows(combination):
    mean = Estimate(*(np.array([each]) for each in combination.mean))
    return combination._replace(mean=mean, consistent=np.array([combination.consistent]))
