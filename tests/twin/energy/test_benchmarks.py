"""Between benchmark and baseline (test case T-07)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin import reference
from twin.energy import benchmarks
from twin.uom import from_si, parse_quantity

UNIT = parse_quantity("1 kgce/t", "intensity")
CAUSTIC = benchmarks.find_marks("caustic", "kgce_per_t")


@pytest.mark.parametrize(
    ("kgce_per_t", "where"),
    [(308.675, "better_than_benchmark"), (315.0, "better_than_benchmark"), (315.001, "between"),
     (350.0, "between"), (350.001, "worse_than_baseline"), (358.12, "worse_than_baseline"),
     (np.nan, "unknown")],
)  # fmt: skip
def test_caustic_stands_where_t_07_says(kgce_per_t, where):
    assert benchmarks.position(kgce_per_t * UNIT, CAUSTIC) == where


def test_sum_that_is_the_benchmark_but_for_its_last_bit_meets_it():
    # From Python 3.12 on its own sum makes up for what it rounds.
    total = np.cumsum(np.full(3150, 0.1))[-1] * UNIT
    assert total != 315.0 * UNIT
    assert benchmarks.position(np.array([total]), CAUSTIC).tolist() == ["better_than_benchmark"]


def test_first_row_of_a_product_is_what_it_is_compared_with():
    ammonia = benchmarks.find_marks("ammonia", "kgce_per_t")
    assert (ammonia.benchmark / UNIT, ammonia.baseline / UNIT) == pytest.approx((1350, 1550))
    aluminium = benchmarks.find_marks("aluminium", "kwh_per_t")
    assert from_si(aluminium.benchmark, "kWh/t", "intensity") == pytest.approx(13_000)
    assert benchmarks.find_marks("aluminium", "kgce_per_t") is None
    ethylene = benchmarks.find_marks("ethylene", "kgoe_per_t")
    assert ethylene.benchmark / UNIT == pytest.approx(590 * 1.4286, rel=1e-4)


def test_unknown_figures_are_absent_and_compared_with_nothing():
    rows = reference.load("benchmarks")["benchmark"]
    unknown = {row["product"] for row in rows if "benchmark" not in row}
    assert unknown == {"pvc", "urea", "ethylene_glycol"}
    assert all(benchmarks.find_marks(product, "kgce_per_t") is None for product in unknown)


def test_every_benchmark_is_below_its_baseline():
    rows = [row for row in reference.load("benchmarks")["benchmark"] if "benchmark" in row]
    assert [row["product"] for row in rows if not row["benchmark"] < row["baseline"]] == []
    assert len(rows) == 22


def test_a_mark_inside_the_interval_of_a_figure_decides_nothing():
    value, half = np.array([312.0, 312.0, 333.0, 355.0, 355.0, 333.0]), [2, 4, 10, 4, 6, np.nan]
    result = benchmarks.position(value * UNIT, CAUSTIC, np.array(half) * UNIT)
    assert result.tolist() == [
        "better_than_benchmark", "undecided", "between", "worse_than_baseline", "undecided",
        "undecided",
    ]  # fmt: skip


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=9))
def test_position_never_gets_better_with_more_energy(values):
    order = ("better_than_benchmark", "between", "worse_than_baseline")
    marks = benchmarks.Marks(benchmark=-30.0, baseline=-10.0)
    result = benchmarks.position(np.sort(values), marks)
    assert np.all(np.diff([order.index(each) for each in result.tolist()]) >= 0)


@pytest.mark.parametrize(
    ("grade", "kgce"),
    [(0.32, 315), (0.45, 420), (0.5, 420), (0.99, 620), (0.2, 315), (np.nan, 315)],
)
def test_the_grade_of_caustic_soda_chooses_its_benchmark(grade, kgce):
    marks = benchmarks.find_marks("caustic", "kgce_per_t", grade)
    assert from_si(marks.benchmark, "kgce/t", "intensity") == pytest.approx(kgce)
    other = benchmarks.find_marks("ammonia", "kgce_per_t", grade)
    assert other == benchmarks.find_marks("ammonia", "kgce_per_t")


def test_level_of_a_quota_is_that_of_the_grade_and_not_a_number_until_it_is_entered(monkeypatch):
    unknown = benchmarks.find_level("caustic", "quota_2")
    assert (np.isnan(unknown.goal), unknown.standard) == (True, "GB 21257-2024")
    assert benchmarks.find_level("gold", "quota_2") is None
    assert (
        benchmarks.find_level("caustic", "baseline", 0.5).goal
        == benchmarks.find_marks("caustic", "kgce_per_t", 0.5).baseline
    )
    rows = [{"product": "caustic", "index": "kgce_per_t", "standard": "x", "grade": grade,
             "quota_2": level} for grade, level in ((0.3, 330.0), (0.45, 430.0))]  # fmt: skip
    monkeypatch.setattr(benchmarks, "load_reference", lambda _: {"quota": rows})
    ratio = (
        benchmarks.find_level("caustic", "quota_2", 0.5).goal
        / benchmarks.find_level("caustic", "quota_2", 0.32).goal
    )
    assert ratio == pytest.approx(430 / 330)
