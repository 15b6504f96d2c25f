"""Campaigns and special periods of permits: their days, their limits, and a year with them."""

from datetime import date

import numpy as np
import pytest

from tests.support.small_totals import FILES
from twin.arrays import DAY_S
from twin.emissions.periods import (
    Campaign,
    PermitPeriod,
    curbed_load,
    period_rate,
    planned_load,
)
from twin.emissions.permits import Permit
from twin.emissions.totals import BlockRate, DaysAhead, year_total
from twin.errors import ModelError
from twin.loading import parse_park

FIRST = date(2026, 11, 1)


def campaign(since, until, load):
    return Campaign("c", "p/e", load, date(2026, 11, since), date(2026, 11, until))


def test_days_of_campaigns_multiply_and_end_before_their_last_day():
    load = planned_load([campaign(2, 4, 0.5), campaign(3, 5, 0.0)], FIRST, 5)
    assert load.tolist() == [1.0, 0.5, 0.0, 0.0, 1.0]


def test_the_least_limit_of_a_day_counts_while_the_permit_is_in_force():
    permit = Permit("x", "p/e", "VOC", 3650.0, until=date(2026, 11, 5))
    rows = [
        PermitPeriod("a", "x", date(2026, 11, 2), date(2026, 11, 9), factor=0.7),
        PermitPeriod("b", "x", date(2026, 11, 3), date(2026, 11, 4), daily=5.0),
    ]
    allowed = period_rate(rows, permit, FIRST, 6, 365 * DAY_S) * DAY_S
    assert allowed == pytest.approx([np.inf, 7.0, 5.0, 7.0, np.inf, np.inf])


def test_sources_that_exceed_a_limit_together_are_curbed_by_one_factor():
    load = curbed_load(np.array([3.0, 1.0]), np.ones((2, 3)), np.array([np.inf, 2.0, 8.0]))
    assert load.tolist() == [[1.0, 0.5, 1.0]] * 2
    assert (curbed_load(np.array([np.nan]), np.ones((1, 1)), np.zeros(1)) == 1).all()


def test_a_year_goes_on_as_it_is_planned_and_allowed():
    # 1 kg a day; of ten days to come two stand still, and in four only half may go out.
    planned = np.array([[1, 1, 0, 0, 1, 1, 1, 1, 1, 1.0]])
    allowed = np.array([[1, 1, 0, 0, 0.5, 0.5, 0.5, 0.5, 1, 1.0]])
    days = DaysAhead(DAY_S * np.arange(11.0), planned, allowed, 10)
    pace = BlockRate(np.array([1.0 / DAY_S]), 4, DAY_S, 0.1)
    total = year_total(np.array([100.0]), 0.0, np.zeros(1), days, pace, 103.0)
    assert total.forecast == pytest.approx(106.0)
    assert days.curbed(pace.rate) == pytest.approx(2.0)
    assert total.forecast_half_width == pytest.approx(float(pace.half_width(6 * DAY_S)))
    # 102 kg after four days, and half a kilogram a day from then on.
    assert total.exhausted_in_s[0] == pytest.approx(6 * DAY_S)


ROWS = """
[[campaign]]
id = "stop"
scope = "p/e"
outlets = ["stack"]
load = 0
since = 2024-06-01
until = 2024-06-11

[[permit_period]]
id = "smog"
permit = "e-voc"
since = 2024-11-15
until = 2025-03-15
factor = "70 %"
"""


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('["stack"]', '["stak"]', "has no outlet 'stak', did you mean 'stack'?"),
        ('permit = "e-voc"', 'permit = "e-vox"', "no permit 'e-vox', did you mean 'e-voc'?"),
        ("load = 0", 'load = "-10 %"', "is below 0"),
        ('factor = "70 %"', "", "needs either `daily` or `factor`"),
        ('factor = "70 %"', 'factor = "70 %"\ndaily = "1 t"', "needs either"),
        ("until = 2024-06-11", "until = 2024-06-01", "is not after `since`"),
    ],
    ids=["outlet", "permit", "load", "neither", "both", "dates"],
)
def test_rows_that_say_nothing_or_too_much_are_refused(old, new, problem):
    text = FILES["park.toml"] + ROWS
    parse_park({**FILES, "park.toml": text})
    with pytest.raises(ModelError) as error:
        parse_park({**FILES, "park.toml": text.replace(old, new)})
    assert problem in "\n".join(error.value.problems)
