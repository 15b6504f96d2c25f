"""Tariffs and bills: a month computed by hand, with all periods, a holiday and a season change."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.small_region import HEAD, problems_of
from twin.energy.bills import (
    basic_charge,
    charge_periods,
    power_factor,
    power_factor_share,
    rates_of,
)
from twin.energy.calendar import DAYS, day_kind
from twin.energy.prices import PERIODS, make_schedule, periods_of_day, whole_hours
from twin.loading import parse_park
from twin.series.windows import edges

MWH = 3.6e9
TAGS = "tag,scope,quantity,uom,kind,low,high,sigma,description\nJ,r,power,MW,gauge,0,100,,\n"
# Summer ends on October 15. In summer the peak is 14-22 with the critical peak 18-20 in it, the
# valley 0-8; then the peak is 16-22. On holidays 10-14 is deep valley, all the year.
TARIFF = """
[[tariff]]
id = "grid"
scope = "r"
from = 2026-01-01
to = 2026-12-31
price = "0.60 CNY/kWh"
surcharges = { fund = "0.03 CNY/kWh", balancing = "0.02 CNY/kWh" }
demand_price = "40 CNY/kW"
contracted = "10 MW"
excess_over = 1.05
excess_factor = 2
power_factor = 0.9
captive_cost = "0.35 CNY/kWh"
captive_surcharge = "0.05 CNY/kWh"
sold_price = "0.25 CNY/kWh"
[tariff.prices]
critical_peak = "1.2 CNY/kWh"
peak = "0.9 CNY/kWh"
valley = "0.3 CNY/kWh"
deep_valley = "0.1 CNY/kWh"
[[tariff_period]]
tariff = "grid"
period = "valley"
from = "00:00"
to = "08:00"
[[tariff_period]]
tariff = "grid"
period = "deep_valley"
days = "holiday"
from = "10:00"
to = "14:00"
[[tariff_period]]
tariff = "grid"
period = "peak"
dates = ["05-01", "10-15"]
from = "14:00"
to = "18:00"
[[tariff_period]]
tariff = "grid"
period = "critical_peak"
dates = ["05-01", "10-15"]
from = "18:00"
to = "20:00"
[[tariff_period]]
tariff = "grid"
period = "peak"
dates = ["05-01", "10-15"]
from = "20:00"
to = "22:00"
[[tariff_period]]
tariff = "grid"
period = "peak"
dates = ["10-16", "04-30"]
from = "16:00"
to = "22:00"
"""
PARK = parse_park({"park.toml": HEAD + TARIFF, "tags.csv": TAGS})
OCTOBER = [
    round(datetime(2026, month, 1, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()) * 1_000_000
    for month in (10, 11)
]


def month(window="hour"):
    """Return the starts of the intervals of October and their schedule."""
    cells = edges(window, *OCTOBER, "Asia/Shanghai")
    return cells[:-1], make_schedule(PARK, "r", "electricity", cells[:-1].tolist())


def test_october_2026_has_seven_holidays_and_a_moved_working_day():
    days = [date(2026, 10, day) for day in range(1, 32)]
    kinds = [DAYS[day_kind(day)] for day in days]
    assert kinds[:7] == ["holiday"] * 7
    # Of the weekend days after them (10, 11, 17, 18, 24, 25, 31) Saturday the 10th is worked.
    assert kinds[9] == "workday"
    assert kinds.count("weekend") == 6
    # Announced or not, statutory holidays of the next year are known by the lunar calendar.
    assert DAYS[day_kind(date(2027, 2, 6))] == "holiday"
    assert DAYS[day_kind(date(2026, 10, 12), holidays=[date(2026, 10, 12)])] == "holiday"
    assert DAYS[day_kind(date(2026, 10, 1), workdays=[date(2026, 10, 1)])] == "workday"


@pytest.mark.parametrize("window", ["hour", "minute"])
def test_month_by_hand_with_all_periods_a_holiday_and_a_season_change(window):
    starts, schedule = month(window)
    step_h = 1.0 if window == "hour" else 1 / 60
    bought = np.full(len(starts), 8 * MWH * step_h)  # 8 MW all the time
    charges = charge_periods(schedule, bought, np.zeros(len(starts), np.int64), 1)
    energy = dict(zip(PERIODS, (charges.energy[0] / MWH).tolist(), strict=True))
    # Hours. Critical peak: 2 on 15 days. Peak: 6 on 15 days of summer, 6 on 16 days after.
    # Valley: 8 on 31 days. Deep valley: 4 on 7 holidays. Flat: what is left of 744 h.
    hours = {"critical_peak": 30, "peak": 186, "valley": 248, "deep_valley": 28, "flat": 252}
    assert sum(hours.values()) == 31 * 24
    assert energy == {name: pytest.approx(8 * h) for name, h in hours.items()}
    # 8,000 kW: 288,000 + 1,339,200 + 595,200 + 22,400 + 1,209,600 CNY, and 0.05 on 5,952 MWh.
    charge = dict(zip(PERIODS, charges.charge[0].tolist(), strict=True))
    assert charge == {
        "critical_peak": pytest.approx(288_000), "peak": pytest.approx(1_339_200),
        "valley": pytest.approx(595_200), "deep_valley": pytest.approx(22_400),
        "flat": pytest.approx(1_209_600),
    }  # fmt: skip
    assert charges.surcharge[0] == pytest.approx(297_600)
    assert (bought * rates_of(schedule).bought).sum() == pytest.approx(3_454_400 + 297_600)


def test_own_power_costs_its_making_and_a_surcharge_on_what_is_used():
    starts, schedule = month()
    rates, made, sold = rates_of(schedule), np.zeros(len(starts)), np.zeros(len(starts))
    made[:10], sold[:10] = 5 * MWH, 2 * MWH
    cost = np.nansum(made * rates.made + sold * rates.sold)
    # 50 MWh at 0.35, 30 MWh used at 0.05, 20 MWh sold at 0.25.
    assert cost == pytest.approx(17_500 + 1_500 - 5_000)


def test_basic_charge_by_demand_contract_and_capacity():
    (tariff,) = month()[1].tariffs
    # Below the contract the contract is billed; 10.5 MW are allowed, what is above counts twice.
    demand = np.array([8e6, 10.2e6, 12e6])
    assert basic_charge(tariff, demand) == pytest.approx(
        [10_000 * 40, 10_200 * 40, (12_000 + 1_500) * 40]
    )
    # By capacity 63 MVA cost 63 000 kVA x 26, whatever the demand is.
    by_demand = TARIFF[TARIFF.index("demand_price") : TARIFF.index("power_factor")]
    capacity = 'capacity_price = "26 CNY/kVA"\ncapacity = "63 MVA"\n'
    other = parse_park({"park.toml": HEAD + TARIFF.replace(by_demand, capacity), "tags.csv": TAGS})
    (fixed,) = make_schedule(other, "r", "electricity", [OCTOBER[0]]).tariffs
    assert basic_charge(fixed, demand) == pytest.approx([1_638_000] * 3)
    # Without a basic charge nothing is billed.
    plain = parse_park(
        {"park.toml": HEAD + '[[tariff]]\nid = "x"\nscope = "r"\nfrom = 2026-01-01\n'
         'to = 2026-12-31\nprice = "0.5 CNY/kWh"\n', "tags.csv": TAGS}
    )  # fmt: skip
    (row,) = make_schedule(plain, "r", "electricity", [OCTOBER[0]]).tariffs
    assert basic_charge(row, demand).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("factor", "share"),
    [(0.90, 0), (0.93, -0.0045), (0.97, -0.0075), (0.894, 0.005), (0.80, 0.05), (0.70, 0.10),
     (0.66, 0.14), (0.60, 0.25)],
    ids=["standard", "rebate", "most", "rounded", "below", "0.7", "steeper", "steepest"],
)  # fmt: skip
def test_power_factor_adds_by_the_table_of_its_standard(factor, share):
    active = np.array([1000.0])
    reactive = active * np.tan(np.arccos(factor))
    assert power_factor(active, reactive) == pytest.approx([factor])
    assert power_factor_share(0.9, power_factor(active, reactive)) == pytest.approx([share])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), zone=st.sampled_from(["Asia/Shanghai", "Europe/Berlin"]))
def test_cost_of_a_month_is_that_of_its_days_and_periods_part_the_time(seed, zone):
    # In Berlin the clock goes back on 25 October 2026: the month has 745 hours.
    park = parse_park({"park.toml": HEAD.replace("Asia/Shanghai", zone) + TARIFF, "tags.csv": TAGS})
    begin, end = (
        round(datetime(2026, m, 1, tzinfo=ZoneInfo(zone)).timestamp()) * 1_000_000 for m in (10, 11)
    )
    cells = edges("quarter_hour", begin, end, zone)
    days = edges("day", begin, end, zone)
    schedule = make_schedule(park, "r", "electricity", cells[:-1].tolist())
    assert len(cells) - 1 == (745 if zone == "Europe/Berlin" else 744) * 4
    bought = np.random.default_rng(seed).uniform(0, MWH, len(cells) - 1)
    day = np.searchsorted(days, cells[:-1], "right") - 1
    whole = charge_periods(schedule, bought, np.zeros(len(bought), np.int64), 1)
    parts = charge_periods(schedule, bought, day, len(days) - 1)
    assert parts.charge.sum(axis=0) == pytest.approx(whole.charge[0], rel=1e-9)
    assert parts.energy.sum() == pytest.approx(bought.sum(), rel=1e-9)
    length = np.diff(cells) / 3.6e9
    hours = charge_periods(schedule, length, day, len(days) - 1).energy.sum(axis=1)
    assert hours == pytest.approx(np.diff(days) / 3.6e9)


def test_period_over_midnight_and_half_hours_are_parts_of_the_day():
    night = TARIFF.replace('from = "00:00"\nto = "08:00"', 'from = "23:30"\nto = "08:00"')
    park = parse_park({"park.toml": HEAD + night, "tags.csv": TAGS})
    rows = park.tables[next(t for t in park.tables if t.__name__ == "TariffPeriod")]
    minutes = periods_of_day(rows, (3, 1), "workday")
    valley = PERIODS.index("valley")
    assert (minutes[1410:] == valley).all()
    assert (minutes[:480] == valley).all()
    assert (minutes == valley).sum() == 510
    assert (whole_hours(PARK, "r"), whole_hours(park, "r")) == (True, False)


def test_time_outside_of_the_tariff_has_no_price():
    moment = round(datetime(2027, 1, 5, tzinfo=UTC).timestamp()) * 1_000_000
    schedule = make_schedule(PARK, "r", "electricity", [moment])
    assert schedule.tariff.tolist() == [-1]
    assert np.isnan(schedule.price).all()


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('from = "16:00"', 'from = "07:00"', "holds at the same time as valley"),
        ('period = "valley"', 'period = "vally"', "did you mean 'valley'"),
        ('["05-01", "10-15"]', '["05-01", "13-15"]', "a list of two days of the year"),
        ("to = 2026-12-31", "to = 2025-12-31", "is before from"),
        ('price = "0.60 CNY/kWh"', 'price = "0.60 CNY/t"', "is not a unit of energy_price"),
        ("power_factor = 0.9", "power_factor = 0.7", "none of the standards"),
        ("excess_over = 1.05", 'capacity_price = "20 CNY/kVA"', "not by both"),
        ('tariff = "grid"', 'tariff = "grd"', "there is no tariff 'grd'"),
        ('to = "08:00"', 'to = "25:00"', "is not a time like"),
    ],
    ids=["overlap", "word", "season", "order", "price", "standard", "basic", "tariff", "clock"],
)  # fmt: skip
def test_wrong_tariff_is_refused_with_its_line(old, new, problem):
    named = problems_of(HEAD + TARIFF.replace(old, new, 1), TAGS)
    assert any(problem in each and "park.toml:" in each for each in named), named


def test_two_tariffs_of_one_scope_do_not_hold_at_once():
    again = TARIFF.partition("[[tariff_period]]")[0].replace('"grid"', '"other"')
    (problem,) = problems_of(HEAD + TARIFF + again, TAGS)
    assert "begins before grid has ended" in problem
