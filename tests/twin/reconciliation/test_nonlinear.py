"""Reconciliation under balances that are not linear: published answers, and what must hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from tests.support.small_networks import A_PARK, CASES, PARK_TRUTH, S_PARK, Y_PARK, arrays, without
from twin.reconciliation.least_squares import CONTRADICTORY, UNFIT
from twin.reconciliation.linear import UNCHECKED, Reconciliation, reconcile
from twin.reconciliation.nonlinear import UNSETTLED, reconcile_nonlinear


def linear(incidence, accumulation=0.0):
    """Return linear balances in the form of any others."""
    return (
        lambda x: x @ incidence.T - accumulation,
        lambda x: np.broadcast_to(incidence, (*x.shape[:-1], *incidence.shape)),
    )


# Pai, Fisher: Application of Broyden's method to reconciliation of nonlinearly constrained data,
# AIChE Journal 34, 1988, 873-876: five measured and three unmeasured quantities.
PAI_CONSTANTS = np.array([255.8, -111.2, 33.57, 0.0, 0.0, 126.6])
PAI_MEASURED = np.array([4.4, 5.5, 1.7, 1.6, 5.0, np.nan, np.nan, np.nan])
PAI_SOLUTION = [4.5124, 5.5819, 1.9260, 1.4560, 4.8545, 11.070, 0.61467, 2.0504]


def pai(x):
    a, b, c, d, e, u, v, w = np.moveaxis(x, -1, 0)
    rows = [
        0.5 * a**2 - 0.7 * b + c * u + b**2 * u * v + 2 * c * w**2,
        a - 2 * b + 3 * a * c - 2 * b * u - b * v * w,
        c * u - a + 3 * b + a * v - c * np.sqrt(w),
        d - a - c**2 + v + 3 * w,
        e - 2 * c * v * w,
        2 * a + b * c * u + v - w,
    ]
    return np.stack(rows, axis=-1) - PAI_CONSTANTS


def numeric(constraint, step=1e-6):
    """Return the derivatives of a function by central differences."""

    def jacobian(x):
        size = step * np.eye(x.shape[-1])
        return np.stack([(constraint(x + h) - constraint(x - h)) / (2 * step) for h in size], -1)

    return jacobian


# Swartz: Data reconciliation for generalized flowsheet applications, 1989, after Romagnoli,
# Sánchez: Data Processing and Reconciliation for Chemical Process Operations, 2000, example 5.4:
# a stream A heated by B, C and D; flows and temperatures, 2 % and 0.75 K.
STREAMS = ["A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8", "B1", "B2", "B3", "C1", "C2", "D1", "D2"]
NO = np.nan
FLOWS = [1000, NO, 401.7, NO, NO, 552.7, NO, NO, 253.2, NO, NO, 308.1, NO, NO, 680.1]
KELVIN = [466.33, NO, 481.78, 530.09, 616.31, NO, 619, 614.92, 618.11, NO, NO, 694.99, NO, 667.84,
          558.34]  # fmt: skip
ENTHALPY = np.array(
    8 * [[-6.8909, 0.0991, 1.1081e-4]]
    + 3 * [[-14.8538, 0.1333, 7.539e-5]]
    + 2 * [[-28.2807, 0.1385, 9.043e-5]]
    + 2 * [[-11.4172, 0.1229, 7.94e-5]]
)
MASS = ["A1-A2", "B2-B3", "A2-A3-A6", "A3-A4", "B1-B2", "A4-A5", "C1-C2", "A5+A7-A8", "A6-A7",
        "D1-D2"]  # fmt: skip
HEAT = ["A1-A2+B2-B3", "A3-A4+B1-B2", "A4-A5+C1-C2", "A5+A7-A8", "A6-A7+D1-D2"]
SPLIT = ["A2-A3", "A2-A6"]


def signs(rows):
    return np.array(
        [[(f"+{s}" in f"+{row}") * 1.0 - (f"-{s}" in row) for s in STREAMS] for row in rows]
    )


def swartz(x):
    flow, kelvin = x[..., :15], x[..., 15:]
    enthalpy = ENTHALPY[:, 0] + ENTHALPY[:, 1] * kelvin + ENTHALPY[:, 2] * kelvin**2
    parts = [flow @ signs(MASS).T, (flow * enthalpy) @ signs(HEAT).T, kelvin @ signs(SPLIT).T]
    return np.concatenate(parts, axis=-1)


SWARTZ_MEASURED = np.array(FLOWS + KELVIN)
SWARTZ_SIGMA = np.concatenate([0.02 * np.array(FLOWS), np.full(15, 0.75)])
SWARTZ_START = np.where(np.isnan(SWARTZ_MEASURED), [500.0] * 15 + [550.0] * 15, SWARTZ_MEASURED)


def solved_another_way(constraint, measured, sigma, start):
    """Return the least-squares solution by a general minimiser."""
    seen = ~np.isnan(measured)
    size = np.abs(start)

    def misfit(z):
        return np.sum(((z * size - measured)[seen] / sigma[seen]) ** 2)

    result = minimize(
        misfit,
        start / size,
        jac=lambda z: (
            np.where(
                seen,
                2 * (z * size - np.where(seen, measured, 0)) / np.where(seen, sigma, 1) ** 2,
                0,
            )
            * size
        ),
        constraints={
            "type": "eq",
            "fun": lambda z: constraint(z * size),
            "jac": lambda z: numeric(constraint)(z * size) * size,
        },
        method="SLSQP",
        options={"maxiter": 100, "ftol": 1e-11},
    )
    return result.x * size, result.fun


@pytest.mark.parametrize("name", CASES)
def test_linear_balances_give_all_the_numbers_of_the_linear_case(name):
    incidence, flow, sigma = arrays(CASES[name])
    missing = [flow, without(flow, 2), without(flow, 1, 3)]
    for measured in missing:
        expected = reconcile(incidence, measured, sigma)
        result = reconcile_nonlinear(*linear(incidence), measured, sigma)
        for field in Reconciliation.__slots__:
            if field in ("suspects", "leaks", "reason"):
                assert getattr(result, field) == getattr(expected, field), field
            else:
                assert getattr(result, field) == pytest.approx(
                    getattr(expected, field), rel=1e-8, abs=1e-9, nan_ok=True
                ), field


def test_linear_balances_of_many_times_share_one_structure():
    rng = np.random.default_rng(3)
    flow = PARK_TRUTH + S_PARK * rng.normal(size=(2, 30, 10))
    stored = rng.normal(size=(30, 3)) * 0.1
    expected = reconcile(A_PARK, flow, S_PARK, accumulation=stored)
    result = reconcile_nonlinear(*linear(A_PARK, stored), flow, S_PARK)
    assert result.estimate == pytest.approx(expected.estimate, rel=1e-9)
    assert result.chi2 == pytest.approx(expected.chi2, rel=1e-9)
    assert result.dof == 3
    assert result.observable.shape == (10,)
    assert result.suspects == expected.suspects


def test_pai_and_fishers_problem_has_the_published_solution():
    for start in ([8, 0.7, 1.8], [1, 1, 1], [30, 3, 5]):
        result = reconcile_nonlinear(
            pai, numeric(pai), PAI_MEASURED, np.ones(8), start=np.array([*PAI_MEASURED[:5], *start])
        )
        assert result.estimate == pytest.approx(PAI_SOLUTION, rel=5e-5)
        assert np.abs(pai(result.estimate)).max() < 1e-9 * 255.8
    assert result.dof == 3
    assert result.reason == ""
    assert result.redundant.tolist() == [True] * 5 + [False] * 3
    assert result.observable.all()
    other, misfit = solved_another_way(pai, PAI_MEASURED, np.ones(8), np.array(PAI_SOLUTION))
    assert result.estimate == pytest.approx(other, rel=1e-6)
    assert result.chi2 == pytest.approx(misfit, rel=1e-6)


def test_swartzs_heat_exchangers_have_the_published_flows():
    measured, sigma, start = SWARTZ_MEASURED, SWARTZ_SIGMA, SWARTZ_START
    result = reconcile_nonlinear(swartz, numeric(swartz, 1e-4), measured, sigma, start=start)
    flow = dict(zip(STREAMS, result.estimate, strict=False))
    published = {"A1": 963.63, "A3": 407.86, "A6": 555.77, "B1": 253.20, "C1": 308.10, "D1": 689.42}
    assert {name: flow[name] for name in published} == pytest.approx(published, abs=0.02)
    assert result.estimate[15 + 10] == pytest.approx(486.51, abs=0.02)  # B3, seen by its heat only
    other, misfit = solved_another_way(swartz, measured, sigma, result.estimate * 1.01)
    assert result.estimate == pytest.approx(other, rel=1e-5)
    assert result.chi2 == pytest.approx(misfit, rel=1e-5)
    assert result.observable.all()


@pytest.mark.parametrize("zero", [0.0, 273.15, 200.0])
def test_swartzs_problem_needs_no_start_on_any_scale_of_temperature(zero):
    # An enthalpy that is a square in the temperature has two roots: only one is near the others.
    shift = np.repeat([0.0, zero], 15)
    expected = reconcile_nonlinear(
        swartz, numeric(swartz, 1e-4), SWARTZ_MEASURED, SWARTZ_SIGMA, start=SWARTZ_START
    )

    def shifted(x):
        return swartz(x + shift)

    result = reconcile_nonlinear(
        shifted, numeric(shifted, 1e-4), SWARTZ_MEASURED - shift, SWARTZ_SIGMA
    )
    assert result.reason == ""
    assert result.estimate + shift == pytest.approx(expected.estimate, rel=1e-6)
    assert result.sigma == pytest.approx(expected.sigma, rel=1e-4)
    assert result.chi2 == pytest.approx(expected.chi2, rel=1e-6)


def test_swartzs_problem_is_solved_for_other_readings_without_a_start():
    rng = np.random.default_rng(6)
    truth = reconcile_nonlinear(
        swartz, numeric(swartz, 1e-4), SWARTZ_MEASURED, SWARTZ_SIGMA, start=SWARTZ_START
    ).estimate
    measured = truth + SWARTZ_SIGMA * rng.normal(size=(12, 30))
    known, unknown = (
        reconcile_nonlinear(swartz, numeric(swartz, 1e-4), measured, SWARTZ_SIGMA, start=start)
        for start in (truth, None)
    )
    assert (unknown.reason == "").all()
    assert unknown.estimate == pytest.approx(known.estimate, rel=1e-6)


def test_pai_and_fishers_problem_needs_no_start():
    result = reconcile_nonlinear(pai, numeric(pai), PAI_MEASURED, np.ones(8))
    other, misfit = solved_another_way(pai, PAI_MEASURED, np.ones(8), np.array(PAI_SOLUTION))
    assert result.estimate == pytest.approx(other, rel=1e-6)
    assert result.chi2 == pytest.approx(misfit, rel=1e-6)


@pytest.mark.parametrize("start", [0.0, 1.0, 100.0, 1000.0, 1e6])
def test_a_start_of_ones_is_no_promise_to_swartzs_problem(start):
    # From ones a temperature of -2600 K closes the balances as well as the 486 K of the others.
    result = reconcile_nonlinear(
        swartz, numeric(swartz, 1e-4), SWARTZ_MEASURED, SWARTZ_SIGMA, start=np.full(30, start)
    )
    expected = reconcile_nonlinear(
        swartz, numeric(swartz, 1e-4), SWARTZ_MEASURED, SWARTZ_SIGMA, start=SWARTZ_START
    )
    assert result.reason == ""
    assert result.estimate == pytest.approx(expected.estimate, rel=1e-6)


@pytest.mark.parametrize("unmeasured", [[5, 6, 7], [2, 6, 7], [0, 1, 4]])
def test_a_start_that_is_thirty_times_off_leads_to_the_least_adjustments(unmeasured):
    # Of 60 such starts 17 ended where the adjustments are a thousand times the least, as solved.
    rng = np.random.default_rng(11)
    truth = np.array(PAI_SOLUTION)
    sigma = 0.03 * truth
    measured = truth + sigma * rng.normal(size=8)
    measured[unmeasured] = np.nan
    with np.errstate(invalid="ignore"):  # the minimiser tries negative numbers under the root
        expected, misfit = solved_another_way(pai, measured, sigma, truth)
    start = truth * 10 ** rng.uniform(-1.5, 1.5, (20, 8))
    result = reconcile_nonlinear(pai, numeric(pai), np.tile(measured, (20, 1)), sigma, start=start)
    assert (result.reason == "").all()
    assert result.estimate == pytest.approx(np.tile(expected, (20, 1)), rel=1e-6)
    assert result.chi2 == pytest.approx(np.full(20, misfit), rel=1e-6)


def test_start_that_leads_nowhere_is_no_end():
    # From a negative u the root has no value; from the size of the measurement it has.
    def root(x):
        return (x[..., 0] - np.sqrt(x[..., 1]))[..., None]

    def slope(x):
        return np.stack([np.ones(x.shape[:-1]), -0.5 / np.sqrt(x[..., 1])], -1)[..., None, :]

    measured, sigma = np.array([3.0, np.nan]), np.array([0.01, np.nan])
    result = reconcile_nonlinear(root, slope, measured, sigma, start=np.array([3.0, -5.0]))
    assert result.estimate == pytest.approx([3.0, 9.0])


def test_nearest_point_is_found_among_several_that_are_stationary():
    def circle(x):
        return (x[..., 0] ** 2 + x[..., 1] ** 2 - 25)[..., None]

    measured = np.array([[3.1, 4.2], [-0.1, 6.0], [0.2, 0.1]])
    result = reconcile_nonlinear(circle, lambda x: 2 * x[..., None, :], measured, np.ones(2))
    length = np.linalg.norm(measured, axis=-1, keepdims=True)
    assert result.estimate == pytest.approx(5 * measured / length, rel=1e-6)


def test_uncertainty_of_the_estimates_is_their_scatter():
    rng = np.random.default_rng(5)
    sigma = np.full(8, 0.02)
    truth = reconcile_nonlinear(pai, numeric(pai), PAI_MEASURED, sigma).estimate
    measured = truth + np.where(np.isnan(PAI_MEASURED), np.nan, 1) * rng.normal(
        scale=0.02, size=(600, 8)
    )
    result = reconcile_nonlinear(pai, numeric(pai), measured, sigma, start=truth)
    scatter = (result.estimate - truth).std(axis=0)
    assert scatter == pytest.approx(result.sigma.mean(axis=0), rel=0.1)
    assert result.chi2.mean() == pytest.approx(3, rel=0.1)
    assert (result.chi2 > result.chi2_critical).mean() == pytest.approx(0.05, abs=0.03)
    assert (~result.consistent).mean() <= 0.07


def product(x):
    """Two flows times their fractions make a third."""
    return (x[..., 0] * x[..., 1] + x[..., 2] * x[..., 3] - x[..., 4])[..., None]


def product_slope(x):
    return np.stack([x[..., 1], x[..., 0], x[..., 3], x[..., 2], -np.ones(x.shape[:-1])], -1)[
        ..., None, :
    ]


TRUTH = np.array([10.0, 0.5, 4.0, 0.25, 6.0])
SIGMA = np.array([0.1, 0.01, 0.08, 0.005, 0.03])


@st.composite
def readings(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = TRUTH + draw(st.sampled_from([0.1, 1.0, 5.0])) * SIGMA * rng.normal(size=(3, 5))
    values[rng.random((3, 5)) < draw(st.sampled_from([0, 0.2, 0.6]))] = np.nan
    return values


@settings(deadline=None, max_examples=60)
@given(readings())
def test_solution_closes_the_balance_and_is_stationary(measured):
    result = reconcile_nonlinear(product, product_slope, measured, SIGMA)
    for x, y, dof, seen, reason in zip(
        result.estimate, measured, np.broadcast_to(result.dof, 3),
        np.broadcast_to(result.observable, (3, 5)), result.reason, strict=True,
    ):  # fmt: skip
        if reason == UNSETTLED:  # Two unmeasured factors that begin alike have no negative product.
            assert np.isnan(y[2:4]).all() or np.isnan(y[:2]).all()
            assert np.isnan(x).all()
            continue
        assert (np.isnan(x) == ~seen).all()
        if not seen.all():
            continue
        assert product(x) == pytest.approx(0, abs=1e-9 * 6)
        pull = np.nan_to_num((y - x) / SIGMA**2)
        slope = product_slope(x)[0]
        force = pull @ slope / (slope @ slope)
        assert pull == pytest.approx(force * slope, rel=1e-5, abs=1e-5 * np.abs(pull).max() + 1e-9)
        assert dof == (not np.isnan(y).any())


@settings(deadline=None, max_examples=30)
@given(readings())
def test_every_time_is_reconciled_as_if_alone(measured):
    whole = reconcile_nonlinear(product, product_slope, measured, SIGMA)
    for t, values in enumerate(measured):
        alone = reconcile_nonlinear(product, product_slope, values, SIGMA)
        for field in ("estimate", "sigma", "adjustment", "residual", "chi2", "bias", "leak"):
            result = getattr(whole, field)[t]
            assert result == pytest.approx(
                getattr(alone, field), rel=1e-6, abs=1e-9, nan_ok=True
            ), field
        assert whole.reason[t] == alone.reason
        assert whole.suspects[t] == alone.suspects


def test_residual_is_that_of_the_measurements_in_the_balance_itself():
    measured = TRUTH + np.array([0.2, 0, 0, 0.01, 0])
    result = reconcile_nonlinear(product, product_slope, measured, SIGMA)
    assert result.residual == pytest.approx(product(measured))
    assert np.isnan(
        reconcile_nonlinear(product, product_slope, without(measured, 2), SIGMA).residual
    ).all()


def test_biased_meter_is_found_and_sized_in_a_product():
    # A second balance tells the flow from its fraction.
    def both(x):
        return np.concatenate([product(x), (x[..., 0] - x[..., 5])[..., None]], axis=-1)

    measured = np.array([*TRUTH, 10.0])
    measured[1] += 0.1
    result = reconcile_nonlinear(both, numeric(both), measured, np.array([*SIGMA, 0.1]))
    assert not result.consistent
    assert 1 in result.suspects[0]
    assert result.bias[1] == pytest.approx(0.1, rel=0.02)


def test_covariance_of_meters_is_taken_into_account():
    rng = np.random.default_rng(7)
    root = np.diag(SIGMA) + 0.3 * np.diag(SIGMA) @ rng.normal(size=(5, 5))
    covariance = root @ root.T
    measured = TRUTH + root @ rng.normal(size=5)
    result = reconcile_nonlinear(product, product_slope, measured, covariance)
    force = np.linalg.solve(covariance, measured - result.estimate)
    slope = product_slope(result.estimate)[0]
    assert force == pytest.approx(force @ slope / (slope @ slope) * slope, rel=1e-5, abs=1e-6)
    plain = reconcile_nonlinear(product, product_slope, measured, SIGMA)
    same = reconcile_nonlinear(product, product_slope, measured, np.diag(SIGMA**2))
    assert same.estimate == pytest.approx(plain.estimate, rel=1e-9)
    assert same.detectable == pytest.approx(plain.detectable, rel=1e-9)


def test_known_exactly_is_never_adjusted():
    sigma = np.where(np.arange(5) == 1, 0.0, SIGMA)
    result = reconcile_nonlinear(product, product_slope, TRUTH * 1.01, sigma)
    assert result.estimate[1] == TRUTH[1] * 1.01
    assert result.sigma[1] == 0
    assert product(result.estimate) == pytest.approx(0, abs=1e-9)


def test_step_that_leaves_the_domain_is_shortened():
    # x = sqrt(u): the full first step goes to a negative u.
    def root(x):
        return (x[..., 0] - np.sqrt(x[..., 1]))[..., None]

    def slope(x):
        return np.stack([np.ones(x.shape[:-1]), -0.5 / np.sqrt(x[..., 1])], -1)[..., None, :]

    measured, sigma = np.array([0.2, np.nan]), np.array([0.01, np.nan])
    result = reconcile_nonlinear(root, slope, measured, sigma, start=np.array([0.2, 9.0]))
    assert result.estimate == pytest.approx([0.2, 0.04])
    assert result.reason == UNCHECKED


def test_balance_without_a_solution_gives_no_number_and_says_why():
    def never(x):
        return (x[..., 0] ** 2 + 1)[..., None]

    measured = np.array([[1.0], [np.nan], [-3.0]])
    result = reconcile_nonlinear(never, lambda x: 2 * x[..., None, :], measured, np.ones(1))
    assert np.isnan(result.estimate).all()
    assert np.isnan(result.chi2).all()
    assert not result.consistent.any()
    assert result.reason.tolist() == [UNSETTLED] * 3
    assert result.suspects == [[], [], []]
    alone = reconcile_nonlinear(never, lambda x: 2 * x[..., None, :], measured[0], np.ones(1))
    assert (alone.reason, alone.suspects) == (UNSETTLED, [])
    assert np.isnan(alone.chi2)


def test_time_that_converges_is_not_spoiled_by_one_that_does_not():
    def circle(x):
        return (x[..., 0] ** 2 + x[..., 1] ** 2 - 1)[..., None]

    measured = np.array([[0.6, 0.81], [0.0, 2.0], [np.nan, 2.0]])
    result = reconcile_nonlinear(
        circle, lambda x: 2 * x[..., None, :], measured, np.array([0.1, 0])
    )
    assert circle(result.estimate[0]) == pytest.approx(0, abs=1e-9)
    assert result.reason[0] == ""
    assert np.isnan(result.estimate[1:]).all()
    assert all(result.reason[1:] != "")


def test_exact_values_that_do_not_close_contradict_each_other():
    result = reconcile_nonlinear(*linear(np.array([[1.0, -1.0]])), np.array([5.0, 6]), np.zeros(2))
    assert result.reason == CONTRADICTORY
    assert np.isnan(result.estimate).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_hopeless_values_count_as_not_measured(value):
    measured = TRUTH.copy()
    measured[4] = value
    expected = reconcile_nonlinear(product, product_slope, without(TRUTH, 5), SIGMA)
    result = reconcile_nonlinear(product, product_slope, measured, SIGMA)
    assert result.estimate == pytest.approx(expected.estimate)
    assert result.estimate[4] == pytest.approx(6)


def test_nothing_measured_or_no_time_at_all_is_no_error():
    nothing = reconcile_nonlinear(product, product_slope, np.full(5, np.nan), SIGMA)
    assert np.isnan(nothing.estimate).all()
    assert nothing.reason == UNCHECKED
    never = reconcile_nonlinear(product, product_slope, np.zeros((0, 5)), SIGMA)
    assert never.estimate.shape == (0, 5)
    assert never.suspects == []


def test_matrix_that_is_no_covariance_gives_no_number_and_says_why():
    result = reconcile_nonlinear(product, product_slope, TRUTH, np.triu(np.ones((5, 5))))
    assert result.reason == UNFIT
    assert np.isnan(result.estimate).all()


def test_wrong_shapes_are_refused_at_once():
    for measured, sigma, start in [
        (np.float64(1), SIGMA, None),
        (TRUTH, SIGMA[:4], None),
        (TRUTH, SIGMA, np.ones(4)),
        (TRUTH[:4], SIGMA[:4], None),
    ]:
        with pytest.raises((ValueError, IndexError)):
            reconcile_nonlinear(product, product_slope, measured, sigma, start=start)
    with pytest.raises(ValueError, match="confidence"):
        reconcile_nonlinear(product, product_slope, TRUTH, SIGMA, confidence=1.0)


def test_inputs_are_left_as_they_are():
    measured = without(Y_PARK, 5)
    before = measured.copy()
    reconcile_nonlinear(*linear(A_PARK), measured, S_PARK)
    np.testing.assert_array_equal(measured, before)
