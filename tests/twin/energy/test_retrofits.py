"""Savings of zero-gap cells: what is possible by the voltage, promised, and measured, by hand."""

import numpy as np
import pytest

from twin.energy.retrofits import (
    CellState,
    Measured,
    Possible,
    cell_state,
    judge_promise,
    measured_saving,
    possible_saving,
    saving_of_drop,
)

KWH_PER_T = 3600.0  # J/kg
# F / M(NaOH) = 96485.33212 C/mol / 39.997 g/mol: 670.1 kWh per tonne and volt.
PER_VOLT = 96485.33212 / 39.99711 / 3.6
KA = 1e-3  # V m2/kA in SI
OLD = CellState(30, 6000.0, Measured(0.17 * KA, 0.0), Measured(0.96, 0.0))


def test_saving_of_180_mv_is_that_of_faradays_law():
    # 0.18 V * 670.1 / 0.96 = 125.6 kWh/t: half of the 252 that an article claims.
    assert saving_of_drop(0.18, 0.96) / KWH_PER_T == pytest.approx(0.18 * PER_VOLT / 0.96, rel=1e-5)
    assert saving_of_drop(0.18, 0.96) / KWH_PER_T == pytest.approx(125.6, abs=0.1)


def test_possible_saving_is_the_difference_of_two_voltage_lines():
    # K 0.17 beside 0.14 and 0.10 V m2/kA at 6 kA/m2: 0.18 and 0.42 V.
    possible = possible_saving(OLD, 0.0)
    assert possible.least == pytest.approx(saving_of_drop(0.18, 0.96))
    assert possible.most == pytest.approx(saving_of_drop(0.42, 0.96))
    # The range of U0 alone, 2.40 to 2.45 V.
    assert possible.width == pytest.approx(saving_of_drop(0.025, 0.96))
    # A meter good to 0.5 % of 2.42 + 0.17 * 6 = 3.44 V, and days that scatter by 1 % of the CE.
    worn = OLD._replace(efficiency=Measured(0.96, 0.0096))
    volts = np.hypot(0.025, 0.005 * 3.44)
    assert possible_saving(worn, 0.005).width == pytest.approx(
        np.hypot(saving_of_drop(volts, 0.96), 0.01 * possible.most)
    )


@pytest.mark.parametrize(
    ("promised", "drop", "verdict"),
    [
        (120, 0.18, ("plausible", "")),
        (252, 0.18, ("implausible", "not_what_its_voltage_drop_saves")),
        (120, np.nan, ("plausible", "")),
        (310, np.nan, ("undecided", "within_the_interval")),
        (350, np.nan, ("implausible", "more_than_zero_gap_cells_can_save")),
        (350, 0.5, ("implausible", "more_than_zero_gap_cells_can_save")),
        (np.nan, 0.18, ("undecided", "no_promise")),
    ],
)
def test_promise_is_held_against_its_drop_and_the_best_cells(promised, drop, verdict):
    # At most 0.42 V: 293 kWh/t; the interval is that of U0, 17 kWh/t.
    possible = possible_saving(OLD, 0.0)
    assert judge_promise(promised * KWH_PER_T, drop, 0.96, possible) == verdict


def test_promise_beside_cells_of_unknown_state_is_undecided_unless_faraday_refuses_it():
    unknown = Possible(np.nan, np.nan, np.nan)
    assert judge_promise(120 * KWH_PER_T, 0.18, 0.96, unknown) == ("undecided", "too_few_days")
    assert judge_promise(252 * KWH_PER_T, 0.18, 0.96, unknown)[0] == "implausible"
    blind = possible_saving(OLD, np.nan)
    assert judge_promise(120 * KWH_PER_T, 0.18, 0.96, blind) == (
        "undecided", "meter_of_unknown_error",
    )  # fmt: skip


def test_measured_saving_is_at_equal_load():
    # Before 0.17 at 6, after 0.12 at 4 kA/m2: at 5 kA/m2 it is 0.25 V, whatever the loads were.
    after = CellState(30, 4000.0, Measured(0.12 * KA, 0.0), Measured(0.96, 0.0))
    saved = measured_saving(OLD, after)
    assert saved.value == pytest.approx(saving_of_drop(0.25, 0.96))
    assert saved.width == 0.0
    # A K that is known to 0.002 V m2/kA is 10 mV at 5 kA/m2.
    doubtful = after._replace(k=Measured(0.12 * KA, 0.002 * KA))
    assert measured_saving(OLD, doubtful).width == pytest.approx(saving_of_drop(0.01, 0.96))


def test_state_is_the_mean_of_days_with_students_interval():
    density = np.full(20, 5000.0)
    voltage = 2.42 + 0.15 * KA * density + np.tile([0.01, -0.01], 10)
    state = cell_state(voltage, density, np.full(20, 0.95))
    assert (state.days, state.k.value) == (20, pytest.approx(0.15 * KA))
    # t of 19 degrees of freedom is 2.0930; s = 0.01 * sqrt(20/19) V.
    assert state.k.width * 5000 == pytest.approx(2.0930 * 0.01 / 19**0.5, rel=1e-4)
    assert np.isnan(cell_state(voltage[:13], density[:13], np.full(13, 0.95)).k.value)
