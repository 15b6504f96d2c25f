"""Figures of the twin with their intervals, against the truth."""

import numpy as np
import pytest

from simulators.scoring.figures import (
    StatedFigure,
    compile_park,
    figures,
    make_window,
    true_stream_mass,
)
from simulators.scoring.score import coverage
from tests.support.demo_park import PARK
from twin.arrays import DAY_S

HCL = "hydrogen_chloride"


@pytest.fixture(scope="module")
def known():
    return compile_park(PARK)


def test_what_is_called_the_truth_closes_every_balance(known):
    hour = make_window(known, 1)
    assert {"chlorine", "caustic", "hydrogen", "hydrogen_chloride", "ammonia"} <= set(hour.closed)
    for component, (balance, _, _) in hour.closed.items():
        truth = np.array([true_stream_mass(hour, component, line) for line in balance.lines])
        remaining = np.abs(balance.incidence @ truth) / (np.abs(balance.incidence) @ np.abs(truth))
        assert remaining.max() < 1e-5, component


def test_intervals_hold_the_truth_about_as_often_as_they_say(known):
    rows = {row.kpi: row for row in coverage([figures(known, seed) for seed in range(3)])}
    whole = rows["all"]
    assert whole.intervals > 1200
    assert 0.85 < whole.share < 1
    assert whole.low < whole.share < whole.high
    for figure in ("chlorine made", "hydrogen made", "local share K1", "ammonia stored",
                   "caustic electricity per mass", "time to full after a trip", "SO2 emitted",
                   "SO2 corrected", "COD concentration", "hydrogen vented", "hydrogen unaccounted",
                   "chlorine made, reconciled", "hydrogen vented, reconciled",
                   "ammonia stored, reconciled", "local share K2, reconciled",
                   "caustic of each circuit", "caustic direct current per mass",
                   "cell voltage of each caustic circuit", "K of each caustic circuit",
                   "current density of each caustic circuit"):  # fmt: skip
        assert rows[figure].intervals >= 6, figure
    # Reconciliation brings the flows nearer to the truth than their meters are.
    some = [rows[f"{name} by each meter, reconciled"] for name in ("chlorine", "caustic", HCL)]
    assert np.mean([row.reconciled / row.raw for row in some]) < 0.95


def test_with_a_tenth_of_the_samples_lost_intervals_hold_the_truth_as_before(known):
    whole = coverage([figures(known, seed, loss="samples") for seed in range(3)])[-1]
    assert whole.intervals > 1200
    assert 0.85 < whole.share < 1


def test_in_an_outage_of_hours_ratios_are_wider_and_hold_the_truth_of_the_whole_day(known):
    """Seed 7 has outages of all three enterprises."""
    sound, silent = (
        {s.kpi: s for s in figures(known, 7, DAY_S, loss)} for loss in ("none", "outages")
    )
    # Reconciled ones are estimates of the whole day.
    measured = [kpi for kpi in silent if not kpi.endswith("reconciled")]
    ratios = [kpi for kpi in measured if "per mass" in kpi or "local share" in kpi]
    both = [(sound[kpi], silent[kpi]) for kpi in ratios if np.isfinite(silent[kpi].width)]
    assert len(both) >= 5
    for before, after in both:
        assert after.width >= before.width
        assert after.truth == pytest.approx(before.truth)
        assert abs(after.value - after.truth) < 2 * after.width
    assert sum(after.width > 1.01 * before.width for before, after in both) >= 3


def stated(inside):
    return StatedFigure("x", 1.0, 0.1, 1.0 if inside else 2.0, 1.0, float("nan"))


def test_the_interval_of_a_share_counts_parks_not_intervals():
    alone = coverage([[stated(n % 20 > 0)] for n in range(400)])[0]
    alike = coverage([[stated(n % 20 > 0)] * 5 for n in range(400)])[0]
    assert alone.share == alike.share == 0.95
    # Wilson's interval of 380 of 400.
    assert (alone.low, alone.high) == pytest.approx((0.92412, 0.96743), abs=2e-4)
    assert (alike.low, alike.high) == pytest.approx((alone.low, alone.high), rel=1e-12)
    apart = coverage([[stated((n + k) % 20 > 0) for k in range(5)] for n in range(400)])[0]
    assert alone.low < apart.low < 0.95 < apart.high < alone.high


def test_a_figure_that_says_nothing_is_not_counted():
    nothing = StatedFigure("x", 1.0, 0.0, 1.0, 1.0, float("nan"))
    row = coverage([[nothing, stated(inside=True)], [nothing]])[0]
    assert (row.intervals, row.share) == (1, 1.0)
