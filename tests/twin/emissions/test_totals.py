"""A year against its permit: forecast, exhaustion, states; and the tables it is made of."""

import numpy as np
import pytest

from tests.support.small_totals import FILES
from twin.arrays import DAY_S
from twin.emissions.releases import mass_per_amount, scatter_half_width, standing
from twin.emissions.totals import AHEAD_DAYS, BlockRate, DaysAhead, judge, pace_of, year_total
from twin.errors import ModelError
from twin.loading import parse_park


def rate_of(*tonnes_a_day, days=30):
    """Return the rate of one source, of blocks of so many days."""
    mass = np.array([[each * 1e3 * days for each in tonnes_a_day]])
    length_s = np.full(len(tonnes_a_day), days * DAY_S)
    return pace_of(mass, length_s[None], length_s, np.ones(len(tonnes_a_day), bool))


def ahead(days, load=1.0):
    """Return the days to come of one source, so many of them in the year."""
    edge_s = DAY_S * np.arange(AHEAD_DAYS + 1.0)
    planned = np.ones((1, AHEAD_DAYS))
    return DaysAhead(edge_s, planned, planned * load, days)


def test_an_even_rate_uses_what_remains_to_the_day():
    # 60 t in the 60 days of January and February 2024, 306 to come: 366 t, the day of exhaustion
    # is the last of the leap year; a year of 365 days would end a day before.
    leap, plain = (
        year_total(np.array([60e3]), 0.0, np.zeros(1), ahead(days), rate_of(1, 1, 1), 366e3)
        for days in (306, 305)
    )
    assert (leap.forecast, leap.forecast_half_width) == pytest.approx((366e3, 0.0), abs=1e-6)
    assert plain.forecast == pytest.approx(365e3)
    assert leap.exhausted_in_s == pytest.approx((306 * DAY_S,) * 3)
    assert judge(leap, 366.01e3, known=True) == "within"
    assert judge(leap, 365.9e3, known=True) == "will_exceed"


def test_blocks_that_scatter_widen_the_forecast_and_the_days_to_exhaustion():
    pace = rate_of(0.9, 1.0, 1.1)
    total = year_total(np.array([90e3]), 0.0, np.zeros(1), ahead(60), pace, 150e3)
    # s = 0.1 t/d x 30 d = 3 t; two blocks to come after three: 4.303 x 3 x sqrt(4/3 + 2) = 23.6 t.
    assert total.forecast == pytest.approx(150e3)
    assert total.forecast_half_width == pytest.approx(4.302652730 * 3e3 * np.sqrt(4 / 3 + 2))
    middle, first, last = total.exhausted_in_s
    assert first < middle < last
    assert middle == pytest.approx(60 * DAY_S)
    assert judge(total, 150e3, known=True) == "undecided"


def test_time_without_data_is_estimated_and_widens_without_being_booked():
    pace = rate_of(1, 1.2, 0.8)
    whole = year_total(np.array([90e3]), 0.0, np.zeros(1), ahead(30), pace, 200e3)
    holes = year_total(np.array([60e3]), 0.0, np.array([30 * DAY_S]), ahead(30), pace, 200e3)
    assert (holes.booked, holes.estimated) == (60e3, pytest.approx(30e3))
    assert holes.forecast == pytest.approx(whole.forecast)
    assert holes.forecast_half_width > 1.4 * whole.forecast_half_width
    assert judge(holes, 50e3, known=False) == "exceeded"
    assert judge(holes, 100e3, known=False) == "no_data"


def test_two_blocks_and_no_uncertainty_have_no_interval():
    two = year_total(np.array([2e3]), 0.0, np.zeros(1), ahead(1), rate_of(1, 1), 10e3)
    assert np.isfinite(two.forecast)
    assert np.isnan(two.forecast_half_width)
    unknown = year_total(np.array([3e3]), np.nan, np.zeros(1), ahead(1), rate_of(1, 1, 1), 10e3)
    assert judge(two, 10e3, known=True) == judge(unknown, 1.0, known=True) == "undecided"
    nothing = pace_of(*np.zeros((2, 1, 3)), np.ones(3), np.zeros(3, bool))
    assert isinstance(nothing, BlockRate)
    assert np.isnan(nothing.rate).all()


def test_an_analysis_stands_until_the_next_and_no_longer_than_it_holds():
    times = np.array([10, 20]) * 1_000_000
    at = standing(times, 15.0, np.array([9, 10, 19, 20, 34, 35]) * 1_000_000)
    assert at.tolist() == [-1, 0, 0, 1, 1, -1]
    assert standing(np.zeros(0, np.int64), 15.0, times).tolist() == [-1, -1]
    assert np.isnan(scatter_half_width(np.array([1.0]), np.ones((1, 1)))).all()


SECOND = """[[permit]]
id = "other"
scope = "p/e"
pollutant = "VOC"
amount = "1 t"
since = 2027-06-01

"""


def model(old, new):
    return parse_park({**FILES, "park.toml": FILES["park.toml"].replace(old, new)})


def test_a_factor_is_a_mass_over_an_amount_of_its_tag():
    park = parse_park(FILES)
    (row,) = (each for table, rows in park.tables.items() for each in rows
              if table.__name__ == "EmissionFactor")  # fmt: skip
    assert mass_per_amount(row, park.tags[-1]) == pytest.approx(5e-4)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('factor = "0.5 kg/t"', 'factor = "0.5 kg/m^3"', "no mass over an amount"),
        ('activity = "e/WI-3"', 'activity = "e/AI-1"', "adds up to no amount"),
        ('outlet = "vent"', 'outlet = "vents"', "there is no outlet 'vents', did you mean 'vent'?"),
        ('outlet = "vent"', 'outlet = "stack"', "VOC has a monitor at 'stack'"),
        ('flow = "e/FI-2"', "", "has no flow of water"),
        ('scope = "p/e"\npollutant = "VOC"\namount', 'scope = "p/f"\npollutant = "VOC"\namount',
         "nothing in it emits 'VOC'"),
        ("until = 2028-01-01", "until = 2022-01-01", "is not after `since`"),
        ("[[permit]]", SECOND + "[[permit]]", "in force at the same time"),
    ],
    ids=["factor", "activity", "outlet", "monitor", "flow", "pollutant", "dates", "overlap"],
)  # fmt: skip
def test_tables_that_contradict_each_other_are_refused(old, new, problem):
    with pytest.raises(ModelError) as error:
        model(old, new)
    assert problem in "\n".join(error.value.problems)
