"""Published networks: the estimates are those of an independent computation."""

import tomllib

import numpy as np
import pytest
from scipy.linalg import null_space
from scipy.optimize import minimize

from tests.support.data import data_text
from twin.reconciliation.components import reconcile_components
from twin.reconciliation.linear import reconcile
from twin.reconciliation.nonlinear import reconcile_nonlinear

NETWORKS = tomllib.loads(data_text("published.toml"))
NO = np.nan


def network(name):
    """Return incidence, flow and sigma of a network."""
    case = NETWORKS[name]
    flow = np.array(case["flow"], float)
    incidence = np.zeros((len(case["nodes"]), len(flow)))
    for row, streams in zip(incidence, case["nodes"], strict=True):
        row[np.abs(streams) - 1] = np.sign(streams)
    if "sigma" in case:
        return incidence, flow, np.array(case["sigma"], float)
    spread = np.sqrt(case["variance"]) if "variance" in case else case["relative"] * flow
    return incidence, flow, spread


def projected(incidence, flow, sigma):
    """Return estimates and chi2 by least squares in the flows that close the balances.

    Estimates that other flows with the same chi2 differ in are NaN.
    """
    closing = null_space(incidence)
    seen = ~np.isnan(flow)
    free = closing[seen] / sigma[seen, None]
    part = np.linalg.lstsq(free, flow[seen] / sigma[seen], rcond=1e-12)[0]
    estimate = closing @ part
    hidden = closing @ null_space(free, rcond=1e-10)
    chi2 = (((flow - estimate)[seen] / sigma[seen]) ** 2).sum()
    return np.where(np.abs(hidden).max(axis=1, initial=0) > 1e-9, NO, estimate), chi2


@pytest.mark.parametrize("name", NETWORKS)
def test_published_networks_have_the_estimates_of_a_projection(name):
    incidence, flow, sigma = network(name)
    rng = np.random.default_rng(5)
    readings = np.tile(flow, (30, 1))
    readings[10:20][rng.random((10, len(flow))) < 0.15] = NO
    readings[20:][rng.random((10, len(flow))) < 0.4] = NO
    result = reconcile(incidence, readings, sigma)
    for n, values in enumerate(readings):
        estimate, chi2 = projected(incidence, values, sigma)
        assert result.estimate[n] == pytest.approx(estimate, rel=1e-8, abs=1e-9, nan_ok=True)
        assert result.chi2[n] == pytest.approx(chi2, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", NETWORKS)
def test_units_a_thousand_million_apart_change_no_estimate(name):
    incidence, flow, sigma = network(name)
    expected, chi2 = projected(incidence, flow, sigma)
    unit = 10.0 ** np.random.default_rng(6).integers(-3, 7, len(flow))
    linear = incidence / unit
    results = [
        reconcile(linear, flow * unit, sigma * unit),
        reconcile_nonlinear(
            lambda x: x @ linear.T,
            lambda x: np.broadcast_to(linear, (*x.shape[:-1], *linear.shape)),
            flow * unit, sigma * unit,
        ),
    ]  # fmt: skip
    for result in results:
        assert result.estimate / unit == pytest.approx(expected, rel=1e-6)
        assert result.chi2 == pytest.approx(chi2, rel=1e-6)


def test_a_meter_known_exactly_is_not_adjusted_in_a_published_network():
    incidence, flow, sigma = network("serth-1986")
    exact = [7, 20]
    sigma[exact] = 0
    nearly, _ = projected(incidence, flow, np.where(sigma > 0, sigma, 1e-6))
    result = reconcile(incidence, flow, sigma)
    assert result.estimate[exact] == pytest.approx(flow[exact], rel=1e-12)
    assert result.estimate == pytest.approx(nearly, rel=1e-6)


# Flows and grades of the same flotation circuit and plant, some of both not measured.
MANDEL = (
    [230, 21, NO, 35, NO, 15, 159, NO, NO, NO, 115, 44],
    [[0.728, 0.708, 0.730, 0.739, NO, 0.846, NO, 0.541, 0.675, NO, 0.452, 1.412]],
)
ALHAJ = (
    [NO, 27, 22, NO, 20, 24, 14, 10, 10, 4, NO, 7, 3, 10, 5, 5],
    [
        [3.5, 3.58, 2.5, 4.6, 2.29, 2.5, 2.8, 2.08, 2.5, NO, 8.34, 3.4, 11.8, 5.92, 8.34, 3.5],
        [3, 3.13, 3.5, 4.8, 3.37, 3.37, 3.1, 3.74, 3, NO, 1.52, 4.2, NO, 2.76, 1.52, 4],
    ],
)  # fmt: skip


def bilinear(incidence, flow, grade, sigma, start):
    """Return flows, grades and chi2 by a general minimiser, then Newton's method."""
    streams, kinds = grade.shape
    measured, sigma = np.concatenate([flow, grade.T.ravel()]), np.concatenate(sigma)
    seen, size = ~np.isnan(measured), np.abs(start)
    weight = np.where(seen, (size / sigma) ** 2, 0.0)
    goal = np.where(seen, measured / size, 0.0)

    def balances(z):
        x = (z * size).reshape(kinds + 1, streams)
        return np.concatenate([incidence @ part for part in (x[0], *(x[0] * x[1:]))])

    def slope(z):
        x = (z * size).reshape(kinds + 1, streams)
        rows = np.zeros((kinds + 1, len(incidence), kinds + 1, streams))
        rows[0, :, 0] = incidence
        for kind in range(1, kinds + 1):
            rows[kind, :, 0], rows[kind, :, kind] = incidence * x[kind], incidence * x[0]
        return rows.reshape(-1, len(size)) * size

    z = minimize(
        lambda z: weight @ (z - goal) ** 2, start / size, jac=lambda z: 2 * weight * (z - goal),
        constraints={"type": "eq", "fun": balances, "jac": slope},
        method="SLSQP", options={"maxiter": 500, "ftol": 1e-13},
    ).x  # fmt: skip
    force = np.linalg.lstsq(slope(z).T, -2 * weight * (z - goal), rcond=None)[0]
    for _ in range(20):
        rows = slope(z)
        curve = np.diag(2 * weight)
        for n, unit in enumerate(1e-4 * np.eye(len(z))):  # the balances are of second degree
            curve[n] += (slope(z + unit) - slope(z - unit)).T @ force / 2e-4
        zero = np.zeros((len(rows), len(rows)))
        gap = np.concatenate([2 * weight * (z - goal) + rows.T @ force, balances(z)])
        change = np.linalg.lstsq(np.block([[curve, rows.T], [rows, zero]]), -gap, rcond=1e-13)[0]
        z, force = z + change[: len(z)], force + change[len(z) :]
    assert np.abs(change[: len(z)]).max() < 1e-9
    assert np.abs(balances(z)).max() < 1e-9 * np.abs(size).max()
    x = (z * size).reshape(kinds + 1, streams)
    return x[0], x[1:].T, weight @ (z - goal) ** 2


@pytest.mark.parametrize(("name", "case"), [("mandel-1998", MANDEL), ("alhaj-dibo-2008", ALHAJ)])
@pytest.mark.parametrize(("tonne", "percent"), [(1, 1), (1e6, 1e-3), (1e-3, 1e6)])
def test_circuits_with_unmeasured_flows_and_grades_have_the_solution_of_a_minimiser(
    name, case, tonne, percent
):
    incidence, nominal, _ = network(name)
    flow, grade = np.array(case[0], float), np.array(case[1], float).T
    usual = np.nanmean(grade)
    sigma_flow, sigma_grade = 0.03 * nominal, np.full(grade.shape, 0.1 * usual)
    known = np.where(np.isnan(flow), nominal, flow)
    begin = np.concatenate([known, np.nan_to_num(grade, nan=usual).T.ravel()])
    sigma = sigma_flow, sigma_grade.T.ravel()
    expected = bilinear(incidence, flow, grade, sigma, begin)
    result = reconcile_components(
        incidence, flow * tonne, grade * percent, sigma_flow * tonne, sigma_grade * percent
    )
    assert result.result.reason == ""
    assert not np.isnan(result.flow).any()
    assert result.flow / tonne == pytest.approx(expected[0], rel=1e-6)
    assert result.fraction / percent == pytest.approx(expected[1], rel=1e-6)
    assert result.result.chi2 == pytest.approx(expected[2], rel=1e-6)
