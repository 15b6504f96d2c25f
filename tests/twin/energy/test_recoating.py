"""Ageing of electrolysers, and the economic date of new coatings, against series with a truth."""

import numpy as np
import pytest

from twin import faraday
from twin.energy.recoating import (
    Slope,
    age,
    economic_life,
    reference_voltage,
    steady_days,
)

DAY, YEAR = 86400.0, 365.25 * 86400
U0 = 2.42
J = 6000.0
PRICE, COST = 0.5 / 3.6e6, 6e6  # CNY/J, CNY
RATE = 8.36 / 3.6  # kg/s


def test_voltage_is_brought_to_90_degrees_and_32_per_cent():
    volts = reference_voltage(np.array([3.05]), np.array([363.15]), np.array([0.32]))
    assert volts == pytest.approx([3.05])
    # A colder cell has the higher voltage, and so has one with stronger liquor.
    assert reference_voltage(np.array([3.05]), np.array([353.15]), None) == pytest.approx([2.99])
    assert reference_voltage(np.array([3.05]), None, np.array([0.33])) == pytest.approx([3.04])
    assert reference_voltage(np.array([3.05]), None, None) == pytest.approx([3.05])


def test_economic_life_is_where_the_mean_cost_is_least():
    growth = 100 * 3600.0 / YEAR  # 100 kWh/t more each year
    life = economic_life(Slope(growth, 0.1 * growth), RATE, PRICE, COST)
    a = growth * RATE * PRICE
    assert life.value == pytest.approx(np.sqrt(2 * COST / a))
    assert life.value / YEAR == pytest.approx(1.809, rel=1e-3)
    cost = COST / (t := life.value * np.linspace(0.5, 2, 301)) + a * t / 2
    assert t[np.argmin(cost)] == pytest.approx(life.value, rel=0.01)
    assert (life.low, life.high) == pytest.approx(
        (life.value / np.sqrt(1.1), life.value / np.sqrt(0.9))
    )
    assert life.reason == ""


@pytest.mark.parametrize(
    ("slope", "price", "cost", "reason"),
    [
        (Slope(1e-3, 1e-4), PRICE, np.nan, "no_recoating_cost"),
        (Slope(1e-3, 1e-4), np.nan, COST, "no_energy_price"),
        (Slope(np.nan, np.nan), PRICE, COST, "too_few_days"),
        (Slope(-1e-4, 2e-4), PRICE, COST, "no_rise_of_the_energy"),
    ],
)
def test_without_data_there_is_no_date_but_a_reason(slope, price, cost, reason):
    life = economic_life(slope, RATE, price, cost)
    assert (np.isnan(life.value), life.reason) == (True, reason)


def test_a_rise_that_may_be_none_has_no_last_date():
    life = economic_life(Slope(1e-3, 2e-3), RATE, PRICE, COST)
    assert np.isfinite(life.value)
    assert life.high == np.inf
    assert life.low < life.value


def series(seed, days=240):
    """Return the days of cells that lose 1 % of efficiency and gain 40 mV at 6 kA/m² a year."""
    rng = np.random.default_rng(seed)
    time_s = (np.arange(days) + 0.5) * DAY
    density = J * rng.uniform(0.92, 1.05, days)
    k = (0.63 + 0.04 * time_s / YEAR) / J
    efficiency = 0.96 - 0.01 * time_s / YEAR + rng.normal(0, 0.001, days)
    temperature = 361.15 + rng.normal(0, 1, days)
    volts = U0 + k * density + rng.normal(0, 0.003, days) - 0.006 * (temperature - 363.15)
    return time_s, reference_voltage(volts, temperature, None), density, efficiency


def test_slopes_of_a_series_are_those_it_was_made_with():
    aged = age(*series(2))
    assert aged.points == 240
    for slope, truth in ((aged.efficiency, -0.01), (aged.k, 0.04 / J)):
        assert abs(slope.value * YEAR - truth) <= slope.width * YEAR
        assert slope.width * YEAR < 0.1 * abs(truth)


def test_interval_of_the_date_holds_the_truth_as_often_as_it_says():
    held = []
    rise = faraday.specific_energy(
        np.array([3.05, 3.05 + 0.04]), np.array([0.96, 0.95]), faraday.NAOH
    )
    # The truth is nearly a straight line: that of 240 days.
    time_s = np.array([0.0, 240 * DAY])
    volts, efficiency = 3.05 + 0.04 * time_s / YEAR, 0.96 - 0.01 * time_s / YEAR
    mean = []
    for seed in range(300):
        days = series(seed)
        aged = age(*days)
        # At the mean load of these days.
        load = float(np.mean(days[2])) / J
        energy = faraday.specific_energy(U0 + (volts - U0) * load, efficiency, faraday.NAOH)
        truth = np.sqrt(2 * COST / (np.diff(energy)[0] / time_s[1] * RATE * PRICE))
        life = economic_life(aged.energy, RATE, PRICE, COST)
        held.append(life.low <= truth <= life.high)
        mean.append(life.value / truth)
    assert 0.92 <= np.mean(held) <= 0.98
    assert np.mean(mean) == pytest.approx(1, abs=0.01)
    assert (rise[1] - rise[0]) / 3600 == pytest.approx(49.9, abs=1)


def test_too_few_days_say_nothing_of_a_year():
    aged = age(*series(1, days=13))
    assert aged.points == 13
    assert np.isnan([*aged.energy, *aged.k, *aged.efficiency]).all()


def test_days_with_a_shutdown_or_without_data_do_not_count():
    density = np.array([6000.0, 6100, 2500, np.nan, 5900, 6000])
    covered_s = np.array([1.0, 0.8, 1, 0, 1, 0.5]) * DAY
    counts = steady_days(density, covered_s)
    assert np.isfinite(counts).tolist() == [True, True, False, False, True, False]
