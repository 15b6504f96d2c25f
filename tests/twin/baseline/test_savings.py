"""Savings of a recorded plant against another calculation; dates of changes by simulation."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tests.support.data import data_text
from twin.baseline.acceptance import judge
from twin.baseline.model import fit_baseline
from twin.baseline.regression import dependent_p_values, fit_linear
from twin.baseline.savings import find_changes, save

STEEL = SimpleNamespace(variables=("kvarh",), form="linear", frequency="day")
QUARTER = 91


@pytest.fixture(scope="module")
def steel():
    """Energy and reactive energy of 168 days of a steel works."""
    rows = [line for line in data_text("steel_days.csv").splitlines() if line[0] not in "#k"]
    return np.array([line.split(",") for line in rows], dtype=float)


@pytest.fixture(scope="module")
def model(steel):
    """The line of its first 13 weeks."""
    quarter, every = steel[:QUARTER], np.ones(QUARTER, bool)
    return fit_baseline(STEEL, quarter[:, 0], quarter[:, 1:], every, 0)


def columns(part):
    return np.column_stack([np.ones(len(part)), part[:, 1]])


def test_model_of_a_steel_works_is_that_of_statsmodels(model):
    # statsmodels 0.15.0, OLS: params, bse, pvalues, rsquared, rsquared_adj, durbin_watson.
    assert model.coefficient == pytest.approx([377.51515949650485, 2.1535389249962718], rel=1e-11)
    assert np.sqrt(np.diag(model.covariance)) == pytest.approx(
        [101.3759872483368, 0.06360391963918816], rel=1e-11
    )
    # Residuals that follow each other make them larger: 64 days are worth 91 of these.
    assert model.p_value[0] == pytest.approx(2.9e-3, rel=0.1)
    assert model.r2 == pytest.approx(0.9279587890178969, rel=1e-12)
    assert model.adjusted_r2 == pytest.approx(0.9271493372091092, rel=1e-12)
    assert model.cv_rmse == pytest.approx(0.15784296919585888, rel=1e-12)
    assert model.durbin_watson == pytest.approx(1.6307949963765567, rel=1e-12)
    assert abs(model.nmbe) < 1e-12
    assert all(each.met for each in judge(model, "day"))
    # As the model of a month it misses the limit of CV(RMSE), and of nothing else.
    assert [each.statistic for each in judge(model, "month") if not each.met] == ["cv_rmse"]


def test_p_values_of_a_steel_works_are_those_of_statsmodels(steel):
    fit = fit_linear(columns(steel[:QUARTER]), steel[:QUARTER, 0])
    assert fit.p_value == pytest.approx([3.436004649536159e-4, 1.271293341716444e-52], rel=1e-8)
    assert fit.f_p_value == pytest.approx(1.271293341716487e-52, rel=1e-8)
    independent = replace(fit, correlation=0.0)
    assert dependent_p_values(independent) == pytest.approx(fit.p_value, rel=1e-12)


def test_prediction_interval_and_the_interval_of_a_saving_are_those_of_statsmodels(steel, model):
    alone = replace(model, correlation=0.0)
    after = steel[QUARTER:]
    # obs_ci_upper of the first two days.
    for at, (value, upper) in enumerate(
        [(3338.6311813663788, 4372.202918879614), (4712.589015514, 5749.579865109527)]
    ):
        day = after[at : at + 1]
        one = save(alone, columns(day), day[:, 0])
        assert one.expected == pytest.approx(value, rel=1e-11)
        assert one.half_width == pytest.approx(upper - value, rel=1e-10)
    saving = save(alone, columns(after), after[:, 0])
    assert saving.expected == pytest.approx(226373.7500504643, rel=1e-11)
    assert saving.saved == pytest.approx(226373.7500504643 - 192864, rel=1e-10)
    assert (saving.half_width / alone.quantile) ** 2 == pytest.approx(38634849.59079033, rel=1e-10)
    # Residuals with a correlation of 0.177 leave fewer days, and a wider interval.
    wider = save(model, columns(after), after[:, 0])
    assert model.correlation == pytest.approx(0.1772914022244462, rel=1e-10)
    assert wider.half_width / saving.half_width == pytest.approx(
        (1.1772914 / 0.8227086) ** 0.5, rel=0.01
    )


def test_interval_of_a_saving_has_the_true_one_in_95_of_100_plants():
    rng, inside, plants = np.random.default_rng(3), 0, 300
    every = np.ones(60, bool)
    for _ in range(plants):
        x = rng.uniform(80, 120, 90)
        y = 50 + 2 * x + rng.normal(0, 6, 90)
        y[60:] -= 4
        own = fit_baseline(STEEL, y[:60], x[:60, None], every, 0)
        saving = save(own, np.column_stack([np.ones(30), x[60:]]), y[60:])
        inside += abs(saving.saved - 120) <= saving.half_width
    assert 0.92 <= inside / plants <= 0.99


@pytest.mark.parametrize(("correlation", "most"), [(0.0, 0.08), (0.5, 0.14)])
def test_series_without_a_change_has_one_in_about_five_of_a_hundred(correlation, most):
    rng, wrong = np.random.default_rng(5), 0
    for _ in range(200):
        noise = rng.normal(size=160)
        for at in range(1, 160):
            noise[at] += correlation * noise[at - 1]
        wrong += bool(find_changes(noise[100:]))
    assert wrong / 200 <= most


def test_date_of_a_change_lies_in_its_interval():
    rng, dated, covered = np.random.default_rng(8), 0, 0
    for _ in range(200):
        series = rng.normal(size=60)
        series[35:] += 2.0
        changes = find_changes(series)
        if len(changes) == 1:
            dated += 1
            covered += changes[0].first <= 35 <= changes[0].last
    assert dated > 170
    assert covered / dated > 0.92


def test_two_changes_are_told_apart_and_a_short_series_has_none():
    series = np.concatenate([np.zeros(40), np.full(40, 5.0), np.full(40, 2.0)])
    series += np.random.default_rng(2).normal(0, 1, 120)
    changes = find_changes(series)
    assert [abs(change.at - true) <= 2 for change, true in zip(changes, (40, 80), strict=True)]
    assert changes[0].after - changes[0].before == pytest.approx(5, abs=0.6)
    assert find_changes(series[35:45]) == []


def test_variable_without_a_say_is_dropped_with_its_reason():
    rng = np.random.default_rng(4)
    x = np.column_stack([rng.uniform(80, 120, 60), rng.normal(size=60), np.full(60, 3.0)])
    x = np.column_stack([x, 2 * x[:, 0] + 1])
    y = 50 + 2 * x[:, 0] + rng.normal(0, 3, 60)
    row = SimpleNamespace(variables=("mass", "noise", "fixed", "same"), form="linear")
    model = fit_baseline(row, y, x, np.ones(60, bool), 0)
    assert model.variables == ("constant", "mass")
    assert list(model.dropped) == ["fixed", "same", "noise"]
    assert "above 0.1" in model.dropped["noise"]
    with pytest.raises(ValueError, match="too few"):
        fit_baseline(row, y, x, np.arange(60) < 2, 0)
