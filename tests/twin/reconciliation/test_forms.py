"""The public functions take measurements as people write them, and say what does not fit."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from tests.twin.reconciliation.test_nonlinear import PAI_SOLUTION, pai
from tests.twin.reconciliation.test_published import network
from twin.reconciliation import reconcile, reconcile_components, reconcile_nonlinear

A = [[1, -1, -1, 0, 0, 0], [0, 1, 0, -1, 0, 0], [0, 0, 1, 0, -1, 0], [0, 0, 0, 1, 1, -1]]
FLOW = [101.91, 64.45, 34.65, 64.2, 36.44, 98.88]
NODE, FLOWS, FRACTIONS = [[1, -1, -1]], [100, 60, 39], [[0.3, 0.7], [0.1, 0.9], [0.6, 0.4]]


def test_one_sigma_stands_for_all_meters():
    expected = reconcile(A, FLOW, [2.0] * 6)
    for sigma in (2, np.float64(2), np.diag([4.0] * 6)):
        result = reconcile(A, FLOW, sigma)
        assert result.estimate == pytest.approx(expected.estimate)
        assert result.chi2 == pytest.approx(expected.chi2)
    nonlinear = reconcile_nonlinear(lambda x: np.asarray(A) @ x, lambda x: A, FLOW, 2)
    assert nonlinear.estimate == pytest.approx(expected.estimate)


def test_what_an_array_masks_is_not_measured_nor_is_none():
    flow = list(FLOW)
    flow[3] = np.nan
    expected = reconcile(A, flow, 1).estimate
    flow[3] = None
    assert reconcile(A, flow, 1).estimate == pytest.approx(expected)
    masked = np.ma.masked_array(FLOW, mask=np.arange(6) == 3)
    assert reconcile(A, masked, 1).estimate == pytest.approx(expected)
    rounded = np.ma.masked_array(np.round(FLOW).astype(int), mask=np.arange(6) == 3)
    assert np.isfinite(reconcile(A, rounded, 1).estimate).all()


def test_balances_without_their_derivatives_and_without_a_start_have_the_published_solution():
    result = reconcile_nonlinear(pai, None, [4.4, 5.5, 1.7, 1.6, 5, None, None, None], 1)
    assert result.reason == ""
    assert result.estimate == pytest.approx(PAI_SOLUTION, rel=2e-4)


def test_balances_of_one_time_may_be_a_list():
    result = reconcile_nonlinear(
        lambda x: [x[0] - x[1] - x[2], x[1] - x[3], x[2] - x[4], x[3] + x[4] - x[5]],
        None, FLOW, 1, start=50,
    )  # fmt: skip
    assert result.estimate == pytest.approx(reconcile(A, FLOW, 1).estimate, rel=1e-8)


def test_uncertainties_of_fractions_may_be_those_of_each_component_or_of_all():
    whole = reconcile_components(NODE, FLOWS, FRACTIONS, [1.0] * 3, [[0.01, 0.02]] * 3)
    parts = reconcile_components(csr_array(np.array(NODE)), FLOWS, FRACTIONS, 1, [0.01, 0.02])
    assert parts.flow == pytest.approx(whole.flow)
    assert parts.fraction == pytest.approx(whole.fraction)
    same = reconcile_components(NODE, FLOWS, FRACTIONS, 1, 0.01)
    each = reconcile_components(NODE, FLOWS, FRACTIONS, [1.0] * 3, [[0.01, 0.01]] * 3)
    assert same.flow == pytest.approx(each.flow)


# Rao, Narasimhan, Ind. Eng. Chem. Res. 35, 1996: only one flow, and three of four fractions of
# every stream are measured. Per cent by mass.
ANALYSES = [
    [0.41, 0.86, 0.32, 0.1, 9.6, 12.4, 22, 8.1, 22.4, 23, 47.5, 34.9],
    [2.58, 2.63, 2.88, 2.94, 3.64, 4.1, 3.52, 4.38, 4, 4.82, 2.56, 3.5],
    [4, 4.38, 4.5, 4.5, 11.8, 12.8, 12.2, 13.2, 12.4, 14.8, 10.2, 12.2],
]


def test_analyses_and_one_flow_tell_all_flows_of_a_published_network():
    incidence, *_ = network("rao-1996-twelve")
    flow = [695] + [None] * 11
    fraction = np.column_stack([*np.array(ANALYSES) / 100, np.full(12, np.nan)])
    sigma = np.maximum(0.01 * fraction, 1e-4)
    result = reconcile_components(incidence, flow, fraction, 0, sigma, normalised=True)
    assert result.result.reason == ""
    # By scipy's SLSQP.
    assert result.result.chi2 == pytest.approx(610.6023137555621, rel=1e-8)
    assert result.flow == pytest.approx(
        [695, 721.747, 705.517, 689.223, 26.747, 16.294, 16.23, 10.452, 21.38, 5.15, 5.777, 10.927],
        abs=6e-4,
    )


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: reconcile(A, FLOW, [1, 1]), "sigma must have shape"),
        (lambda: reconcile(A, FLOW[:5], 1), "flow must have shape"),
        (lambda: reconcile(np.transpose(A), FLOW, 1), "flow must have shape"),
        (lambda: reconcile([1, -1, -1], FLOWS, 1), "incidence must be a finite"),
        (lambda: reconcile(A, FLOW, 1, confidence=95), "between 0 and 1"),
        (lambda: reconcile_nonlinear(pai, None, [1] * 8, [1] * 5), "sigma must have shape"),
        (lambda: reconcile_nonlinear(pai, None, [1] * 8, 1, start=[1, 2]), "start must have shape"),
        (lambda: reconcile_nonlinear(pai, lambda _: A, [1] * 8, 1), "jacobian must return"),
        (lambda: reconcile_nonlinear(np.sum, None, [1] * 8, 1), "constraint must return"),
        (lambda: reconcile_components(NODE, FLOWS, FRACTIONS, 1, [1] * 5), "sigma must have shape"),
        (lambda: reconcile_components(NODE, FLOWS, FLOWS, 1, 1), "does not fit fraction"),
    ],
)
def test_what_does_not_fit_is_said(call, text):
    with pytest.raises(ValueError, match=text):
        call()
