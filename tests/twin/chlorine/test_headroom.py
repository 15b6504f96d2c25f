"""What tanks and absorbers can still take (case T-06), and for how long."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.data import data_text
from tests.support.small_region import PARK_TOML, TAGS_CSV, problems_of
from twin.chlorine.headroom import (
    AbsorberSpec,
    absorber_time,
    headroom,
    spare_ready,
    time_left,
    user_trip,
)
from twin.loading import parse_park
from twin.reference import figure

DAY = 86400.0
INF, NAN = float("inf"), float("nan")


def near(value, rel=1e-6):
    return pytest.approx(value, rel=rel)


def test_headroom_of_a_tank_beyond_its_limit_is_nothing():
    assert headroom(np.array([100.0, 140.0, 0.0]), np.full(3, 128.0)) == near(156.0)
    farm = np.array([[100.0, 128.0], [128.0, 130.0], [100.0, np.nan]])
    result = headroom(farm, np.full(2, 128.0))
    assert result[:2] == near([28.0, 0.0])
    assert np.isnan(result[2])
    assert headroom(np.zeros(0), np.zeros(0)) == 0.0


@pytest.mark.parametrize(
    ("amount", "rate", "time"),
    [(3600, 2, 1800), (0, 2, 0), (0, -1, 0), (-5, 1, 0), (10, 0, INF), (10, -1, INF), (0, NAN, 0),
     (10, NAN, NAN), (NAN, 1, NAN), (NAN, -1, NAN)],
)  # fmt: skip
def test_time_left_is_zero_when_full_and_infinite_when_nothing_comes(amount, rate, time):
    assert time_left(np.array(amount), np.array(rate)) == pytest.approx(time, nan_ok=True)


def test_the_stock_is_compared_with_three_and_seven_days():
    assert figure("chlorine.stock_producer", "time") == near(3 * DAY)
    assert figure("chlorine.stock_user", "time") == near(7 * DAY)


def test_a_trip_fills_the_tanks_up_to_the_capacity_of_liquefaction():
    result = user_trip(
        np.array(36e3), np.array(4.0), np.array(3.0), np.array(3.0), np.array([INF, 5.0, 4.0, 3.0])
    )
    # A machine above its rated capacity goes on as it is.
    assert result.tolist() == [9e3, 18e3, 36e3, 36e3]


def test_a_trip_does_not_fill_tanks_that_are_drawn_faster_and_unknown_stays_unknown():
    assert user_trip(1e3, np.array(1.0), 9.0, 3.0, INF) == INF
    assert user_trip(0.0, np.array(4.0), 1.0, 3.0, INF) == 0
    for arrays in ((NAN, 1, 1, 1, 9), (1, NAN, 1, 1, 9), (1, 1, NAN, 1, 9), (1, 1, 1, NAN, 9)):
        assert np.isnan(user_trip(*(np.array(float(a)) for a in arrays)))


@settings(deadline=None, max_examples=100)
@given(*[st.floats(0, 100)] * 3, st.floats(0, 200))
def test_no_capacity_of_liquefaction_gives_less_time_than_one_without_end(
    inflow, draw, user, capacity
):
    result = user_trip(1e3, np.array(inflow), draw, user, capacity)
    assert result >= user_trip(1e3, np.array(inflow), draw, user, INF)


def test_absorber_lasts_as_long_as_its_caustic():
    one_tonne_an_hour = np.array([1 / 3.6, 1 / 3.6, 0.0, NAN])
    result = absorber_time(np.array([1.12817e3, 0, 1e3, 1e3]), one_tonne_an_hour, np.array(0.0))
    assert result[0] == near(3600, rel=1e-5)
    assert result[1:3].tolist() == [0.0, INF]
    assert np.isnan(result[3])
    with_excess = absorber_time(np.array(1.12817e3), one_tonne_an_hour[0], np.array(0.25))
    assert with_excess == near(3600 / 1.25, rel=1e-5)


def test_spare_tank_is_ready_when_empty_and_as_large_as_the_largest():
    filled = np.array([0.0, 0.05, 0.06, 0.02, NAN])
    result = spare_ready(filled, np.array([113.0, 113, 113, 60, 113]), np.array(113.0))
    assert result[:4].tolist() == [1, 1, 0, 0]
    assert np.isnan(result[4])


ABSORBER = data_text("region/absorber.toml")


def test_absorber_of_a_model_has_a_tank_of_caustic():
    park = parse_park({"park.toml": PARK_TOML + ABSORBER, "tags.csv": TAGS_CSV})
    assert park.rows(AbsorberSpec)[0].tank == "T-1"


@pytest.mark.parametrize(
    ("tank", "message"),
    [("T-9", "there is no tank 'T-9'"), ("V-1", "tank 'V-1' holds no caustic soda")],
)
def test_absorber_without_a_tank_of_caustic_is_a_problem_with_its_line(tank, message):
    text = PARK_TOML + ABSORBER.replace('tank = "T-1"', f'tank = "{tank}"')
    line = next(n for n, row in enumerate(text.splitlines(), start=1) if "HERE" in row)
    assert problems_of(text) == [f"park.toml:{line}: [[absorber]] A-1: {message}"]


SPARE = data_text("region/spare.toml")


def test_a_template_may_say_which_tank_is_the_spare():
    park = parse_park({"park.toml": PARK_TOML + SPARE, "tags.csv": TAGS_CSV})
    assert {tank.id for tank in park.tanks if tank.spare} == {"V-9"}
    assert (
        "is not true or false" in problems_of(PARK_TOML + SPARE.replace("= true}", '= "yes"}'))[0]
    )
