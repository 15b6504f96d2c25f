"""Regression held to certified values, and to what its tests and factors mean."""

import numpy as np
import pytest

from twin.baseline.regression import dependence, fit_linear, inflation_factors, quantile

# NIST Statistical Reference Datasets, Norris: calibration of an ozone monitor.
NORRIS = np.array([
    [0.2, 0.1], [337.4, 338.8], [118.2, 118.1], [884.6, 888.0], [10.1, 9.2], [226.5, 228.1],
    [666.3, 668.5], [996.3, 998.5], [448.6, 449.1], [777.0, 778.9], [558.2, 559.2], [0.4, 0.3],
    [0.6, 0.1], [775.5, 778.1], [666.9, 668.8], [338.0, 339.3], [447.5, 448.9], [11.6, 10.8],
    [556.0, 557.7], [228.1, 228.3], [995.8, 998.0], [887.6, 888.8], [120.2, 119.6], [0.3, 0.3],
    [0.3, 0.6], [556.8, 557.6], [339.1, 339.3], [887.2, 888.0], [999.0, 998.5], [779.0, 778.9],
    [11.1, 10.2], [118.3, 117.6], [229.2, 228.9], [669.1, 668.4], [448.9, 449.2], [0.5, 0.2],
])  # fmt: skip
# Longley: sixteen years of employment by six variables that are nearly made of each other.
LONGLEY = np.array([
    [60323, 83.0, 234289, 2356, 1590, 107608, 1947],
    [61122, 88.5, 259426, 2325, 1456, 108632, 1948],
    [60171, 88.2, 258054, 3682, 1616, 109773, 1949],
    [61187, 89.5, 284599, 3351, 1650, 110929, 1950],
    [63221, 96.2, 328975, 2099, 3099, 112075, 1951],
    [63639, 98.1, 346999, 1932, 3594, 113270, 1952],
    [64989, 99.0, 365385, 1870, 3547, 115094, 1953],
    [63761, 100.0, 363112, 3578, 3350, 116219, 1954],
    [66019, 101.2, 397469, 2904, 3048, 117388, 1955],
    [67857, 104.6, 419180, 2822, 2857, 118734, 1956],
    [68169, 108.4, 442769, 2936, 2798, 120445, 1957],
    [66513, 110.8, 444546, 4681, 2637, 121950, 1958],
    [68655, 112.6, 482704, 3813, 2552, 123366, 1959],
    [69564, 114.2, 502601, 3931, 2514, 125368, 1960],
    [69331, 115.7, 518173, 4806, 2572, 127852, 1961],
    [70551, 116.9, 554894, 4007, 2827, 130081, 1962],
])  # fmt: skip


def with_constant(x):
    return np.column_stack([np.ones(len(x)), x])


def test_norris_has_its_certified_coefficients_errors_and_tests():
    fit = fit_linear(with_constant(NORRIS[:, 0]), NORRIS[:, 1])
    assert fit.coefficient == pytest.approx([-0.262323073774029, 1.00211681802045], rel=1e-11)
    assert fit.sigma == pytest.approx([0.232818234301152, 0.429796848199937e-3], rel=1e-11)
    assert fit.rmse == pytest.approx(0.884796396144373, rel=1e-11)
    assert fit.r2 == pytest.approx(0.999993745883712, rel=1e-14)
    # F = 5436385.54079785 at 1 and 34 degrees of freedom.
    assert fit.f_p_value < 1e-80
    assert fit.p_value[0] == pytest.approx(0.2677, abs=1e-3)


def test_longley_has_its_certified_values_although_its_columns_are_alike():
    fit = fit_linear(with_constant(LONGLEY[:, 1:]), LONGLEY[:, 0].astype(float))
    assert fit.coefficient == pytest.approx(
        [-3482258.63459582, 15.0618722713733, -0.358191792925910e-1, -2.02022980381683,
         -1.03322686717359, -0.511041056535807e-1, 1829.15146461355], rel=1e-8,
    )  # fmt: skip
    assert fit.sigma == pytest.approx(
        [890420.383607373, 84.9149257747669, 0.334910077722432e-1, 0.488399681651699,
         0.214274163161675, 0.226073200069370, 455.478499142212], rel=1e-8,
    )  # fmt: skip
    assert fit.rmse == pytest.approx(304.854073561965, rel=1e-9)
    assert fit.r2 == pytest.approx(0.995479004577296, rel=1e-11)
    # F = 330.285339234588 at 6 and 9 degrees of freedom.
    assert fit.f_p_value == pytest.approx(4.984e-10, rel=1e-3)
    # Factors as in the literature: 135.5 of the deflator, 1788.5 of GNP, 3.6 of the armed forces.
    assert inflation_factors(LONGLEY[:, 1:])[[0, 1, 3]] == pytest.approx(
        [135.53, 1788.51, 3.59], rel=1e-3
    )


def test_coefficients_of_a_column_that_others_make_are_not_decided():
    x = with_constant(np.column_stack([np.arange(9.0), 2 * np.arange(9.0) + 3]))
    assert fit_linear(x, np.arange(9.0) ** 2 + 1) is None
    assert fit_linear(x[:2, :2], np.array([1.0, 2.0])) is None
    assert fit_linear(x[:, :2], np.ones(9)) is None


def test_residuals_that_follow_each_other_leave_fewer_degrees_of_freedom():
    assert dependence(-0.3) == 1.0
    assert dependence(0.5) == pytest.approx(3.0)
    # 60 days at ρ = 0.5 are 20 independent ones: 18 degrees of freedom.
    assert quantile(60, 2, 0.5) == pytest.approx(2.10092, abs=1e-5)
    assert quantile(60, 2, 0.0) == pytest.approx(2.00172, abs=1e-5)
