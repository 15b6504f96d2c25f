"""The price tiers of aluminium (test case T-08)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.energy import tariffs
from twin.uom import parse_quantity

KWH_PER_T = parse_quantity("1 kWh/t", "intensity")
PRICE = parse_quantity("1 CNY/kWh", "energy_price")


def surcharge(kwh_per_t, year=2025, **shares):
    """Return the surcharge in CNY/kWh."""
    return tariffs.aluminium_surcharge(np.asarray(kwh_per_t) * KWH_PER_T, year, **shares) / PRICE


@pytest.mark.parametrize(
    ("kwh_per_t", "expected"),
    [(13_290, 0), (13_300, 0), (13_301, 0.01), (13_320, 0.01), (13_321, 0.02), (13_500, 0.10)],
)
def test_surcharge_is_that_of_t_08(kwh_per_t, expected):
    assert surcharge(kwh_per_t) == pytest.approx(expected, rel=1e-6, abs=1e-15)
    # The same figure as a ratio of sums is the same step.
    summed = np.full(7, kwh_per_t / 7).sum() * 1e3 / 1e3
    assert surcharge(summed) == pytest.approx(expected, rel=1e-6, abs=1e-15)


def test_renewables_take_their_part_off_the_surcharge():
    assert surcharge(13_500, renewable=0.20) == pytest.approx(0.095, rel=1e-6)
    assert surcharge(13_500, renewable=0.15) == pytest.approx(0.10)
    assert surcharge(13_500, renewable=0.10) == pytest.approx(0.10)
    # A point that is not full does not count, nor does a share below the province's own minimum.
    assert surcharge(13_500, renewable=0.1699) == pytest.approx(0.099)
    assert surcharge(13_500, renewable=0.20, minimum=0.21) == pytest.approx(0.10)
    assert surcharge(13_500, renewable=0.20, minimum=0.20) == pytest.approx(0.095)
    assert surcharge(13_500, renewable=1.0) == pytest.approx(0.015)


@pytest.mark.parametrize(
    ("year", "line"),
    [(2022, 13_650), (2023, 13_450), (2024, 13_450), (2025, 13_300), (2030, 13_300)],
)
def test_line_of_a_year_holds_until_the_next_one(year, line):
    assert surcharge([line, line + 1], year) == pytest.approx([0, 0.01])


def test_before_2022_the_older_bands_hold():
    result = surcharge([13_700, 13_701, 13_800, 13_801, 15_000], 2021, renewable=0.5)
    assert result == pytest.approx([0, 0.02, 0.02, 0.08, 0.08])
    assert np.isnan(surcharge(np.nan, 2021))


def test_surcharge_of_nothing_known_is_unknown():
    assert np.isnan(surcharge([[np.nan], [np.nan]])).tolist() == [[True], [True]]
    assert np.isnan(surcharge(13_500, renewable=np.nan))
    assert np.isnan(surcharge(13_500, renewable=0.2, minimum=np.nan))
    shares = np.array([0.1, 0.2, np.nan])
    result = surcharge([[13_500], [13_300]], renewable=shares)
    assert result.shape == (2, 3)
    assert result[:, :2] == pytest.approx(np.array([[0.10, 0.095], [0, 0]]))


@settings(deadline=None, max_examples=100)
@given(steps=st.integers(0, 200), part=st.sampled_from([0.0, 0.05, 0.5, 0.95]))
def test_part_of_a_step_counts_as_a_step_however_it_is_rounded(steps, part):
    result = surcharge(13_300 + 20 * (steps + part))
    assert result == pytest.approx(0.01 * (steps + (part > 0)))


def test_interval_that_crosses_a_tier_leaves_it_undecided_between_two():
    value = np.array([13_310.0, 13_310.0, 13_310.0, 13_290.0, np.nan, 13_310.0])
    width = np.array([5.0, 11.0, np.nan, 20.0, 1.0, 5.0])
    decisive = np.array([True, True, True, True, True, False])
    years = np.full(6, 2025)
    result = tariffs.aluminium_tiers(value * KWH_PER_T, width * KWH_PER_T, years, decisive)
    # One step from 13,300 to 13,320: 13,305 to 13,315 lies in it, 13,299 to 13,321 in three.
    assert result.tier[:, :2].T.tolist() == [[1, 1, 1], [1, 0, 2]]
    assert result.tier[:, 3].tolist() == [0, 0, 1]
    assert result.decided.tolist() == [True, False, False, False, False, False]
    assert result.surcharge[:, 1] / PRICE == pytest.approx([0.01, 0, 0.02], abs=1e-15)


def test_each_window_has_the_line_of_its_year():
    value = np.full(3, 13_500.0) * KWH_PER_T
    years, sure = np.array([2021, 2023, 2025]), np.ones(3, bool)
    result = tariffs.aluminium_tiers(value, np.zeros(3), years, sure)
    assert result.tier[0].tolist() == [0, 3, 10]
    assert result.surcharge[0] / PRICE == pytest.approx([0, 0.03, 0.10])
