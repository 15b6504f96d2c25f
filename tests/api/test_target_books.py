"""Targets about figures of the books: value, gap, pace, forecast and what moved them, by hand."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tests.support.small_book import FILES, keeping
from twin.errors import ModelError
from twin.loading import parse_park

pytest_plugins = ["tests.support.small_park"]
NOW = round(datetime(2024, 11, 15, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()) * 1_000_000
TARGETS = """
[[book]]
tag = "acme/USED"
period = "month"

[[book]]
tag = "other/USED"
period = "month"

[[book]]
tag = "other/MADE"
period = "month"

[[book]]
tag = "acme/BUILT"
period = "year"

[[asset]]
id = "old"
scope = "acmepark/acme"
kind = "gasifier"
capacity = "10 kt/year"
until = 2025-06-30

[[asset]]
id = "new"
scope = "acmepark/acme"
kind = "gasifier"
capacity = "30 kt/year"
has = ["clean"]

[[target]]
id = "use"
scope = "acmepark"
value = 80
uom = "%"
kpi = "ratio"
part = ["acme/USED", "other/USED"]
whole = ["acme/MADE", "other/MADE"]
sense = "at_least"
due = 2025-12-31
source = "a policy"
clause = "3"
basis = "by mass"
boundary = "the park"

[[target]]
id = "revenue"
scope = "acmepark"
value = 1.5
uom = "亿元/year"
kpi = "amount"
part = ["acme/REVENUE"]
sense = "at_least"
year = 2023

[[target]]
id = "large"
scope = "acmepark"
value = 2
uom = "家"
kpi = "count"
part = ["acme/REVENUE"]
above = "2000 万元"
sense = "at_least"

[[target]]
id = "per-land"
scope = "acmepark"
value = 10
uom = "万元/亩"
kpi = "ratio"
part = ["acme/REVENUE"]
whole = ["acme/LAND"]
sense = "at_least"

[[target]]
id = "land"
scope = "acmepark"
value = 18
uom = "亩"
kpi = "amount"
part = ["acme/LAND"]
sense = "at_most"

[[target]]
id = "built"
scope = "acmepark"
value = 80
uom = "%"
kpi = "ratio"
part = ["acme/BUILT"]
whole = ["acme/LAND"]
sense = "at_least"

[[target]]
id = "rise"
scope = "acmepark"
value = 30
uom = "%"
kpi = "rise"
part = ["acme/REVENUE"]
whole = ["acme/MADE"]
base_year = 2018
sense = "at_least"

[[target]]
id = "clean"
scope = "acmepark"
value = 100
uom = "%"
kpi = "asset_share"
asset = "gasifier"
has = "clean"
sense = "at_least"
year = 2025

[[target]]
id = "gone"
scope = "acmepark"
value = 70
uom = "%"
kpi = "asset_share"
asset = "gasifier"
has = "retired"
sense = "at_least"
due = 2024-10-31

[[target]]
id = "nowhere"
scope = "acmepark"
value = 1
uom = "kt/year"
kpi = "asset_capacity"
asset = "blast furnace"
sense = "at_most"

[[target]]
id = "quota"
scope = "acmepark/acme"
uom = "kgce/t"
kpi = "energy_intensity"
product = "caustic"
level = "quota_2"
sense = "at_most"
"""
TAGS = """USED,acmepark/acme,mass,t,amount,0,,,waste used
BUILT,acmepark/acme,area,亩,gauge,0,10000,,land with buildings
USED,acmepark/other,mass,t,amount,0,,,waste used
MADE,acmepark/other,mass,t,amount,0,,,waste made
"""
MODEL = {"park.toml": FILES["park.toml"] + TARGETS, "tags.csv": FILES["tags.csv"] + TAGS}
ROWS = """tag,period,value,uom
acme/USED,2024-07,60,t
acme/USED,2024-08,62,t
acme/USED,2024-09,64,t
acme/USED,2024-10,66,t
other/USED,2024-07,10,t
other/USED,2024-08,10,t
other/USED,2024-09,10,t
other/USED,2024-10,12,t
acme/MADE,2024-07,80,t
acme/MADE,2024-08,80,t
acme/MADE,2024-09,80,t
acme/MADE,2024-10,80,t
other/MADE,2024-07,20,t
other/MADE,2024-08,20,t
other/MADE,2024-09,20,t
other/MADE,2024-10,24,t
acme/REVENUE,2024-09,1000,万元
acme/REVENUE,2024-10,1034,万元
acme/LAND,2024,20,亩
acme/BUILT,2024,15,亩
"""
AUTUMN = {"from": "2024-09-01T00:00:00+08:00", "to": "2024-11-01T00:00:00+08:00"}


@pytest.fixture
async def items(database):
    async with keeping(database, parse_park(MODEL), NOW) as book:
        assert await book.post("/csv", content=ROWS.encode(), params={
            "by": "ann", "confirm": "true"}) is None  # fmt: skip

        async def read(**query):
            answer = await book.client.get("/api/v1/targets", params=query)
            assert answer.status_code == 200, answer.text
            return {item["id"]: item for item in answer.json()["items"]}

        yield read


async def test_ratio_of_the_books_has_state_gap_pace_forecast_and_what_moved_it(items):
    row = (await items(**AUTUMN))["use"]
    # 64 + 66 + 10 + 12 of 80 + 80 + 20 + 24.
    assert row["value"] == pytest.approx(100 * 152 / 204)
    assert (row["state"], row["verdict"]) == ("not_met", "not_met")
    assert 0 < row["half_width"] < 1
    assert (row["completeness"], row["due_on"], row["due"]) == (1.0, "2025-12-31", False)
    (gap,) = row["gap"]
    assert (gap["uom"], gap["value"]) == ("t", pytest.approx(0.8 * 204 - 152))
    # 70, 72, 74 and 75 % of four months, rising.
    pace = row["pace"]
    assert (pace["window"], pace["points"]) == ("month", 4)
    # Middles of July to October in days, and a line of least squares; the weights are nearly alike.
    days = np.array([15.5, 46.5, 77.0, 107.5])
    slope, level = np.polyfit(days, [70, 72, 74, 75], 1)
    assert pace["per_year"] == pytest.approx(slope * 365.25, rel=0.01)
    assert pace["half_width"] > 0
    # From the value of the range at the middle of November to the end of next year.
    assert pace["needed_per_year"] == pytest.approx((80 - row["value"]) / (412 / 365.25), rel=1e-3)
    assert row["forecast"]["on"] == "2025-12-31"
    # The year ends 549 days after the first of July.
    assert row["forecast"]["value"] == pytest.approx(level + slope * 549, rel=0.002)
    low = row["forecast"]["value"] - row["forecast"]["half_width"]
    assert (row["forecast"]["will_be_met"] == "yes") == (low >= 80)
    moved = row["moved"]
    assert (moved["before"], moved["after"]) == (pytest.approx(74), pytest.approx(75))
    by = {each["member"]: (each["numerator"], each["denominator"]) for each in moved["moves"]}
    # By the day: October has 31. The numerator counts by the mean of 1/under before and after.
    september, october = (74 / 30, 100 / 30), (78 / 31, 104 / 31)
    per = 100 * (1 / september[1] + 1 / october[1]) / 2
    mean = 100 * (september[0] + october[0]) / 2 / (september[1] * october[1])
    assert by["acme"] == (
        pytest.approx((66 / 31 - 64 / 30) * per), pytest.approx(-(80 / 31 - 80 / 30) * mean),
    )  # fmt: skip
    assert by["other"] == (
        pytest.approx((12 / 31 - 10 / 30) * per), pytest.approx(-(24 / 31 - 20 / 30) * mean),
    )  # fmt: skip
    assert sum(map(sum, by.values())) == pytest.approx(moved["change"])
    assert (row["clause"], row["basis"], row["boundary"]) == ("3", "by mass", "the park")


async def test_amount_is_that_of_a_year_at_the_pace_of_its_time(items):
    rows = await items(**AUTUMN)
    pace = (1000 + 1034) * 365.25 / 61
    assert rows["revenue"]["value"] == pytest.approx(pace / 1e4)
    assert (rows["revenue"]["state"], rows["revenue"]["forecast"]) == ("not_met", None)
    assert (
        "past" in rows["revenue"]["outlook_reason"] or "three" in rows["revenue"]["outlook_reason"]
    )
    assert rows["per-land"]["value"] == pytest.approx(pace / 20)
    assert rows["per-land"]["state"] == "met"
    assert (rows["large"]["value"], rows["large"]["state"]) == (1, "not_met")


async def test_state_is_its_mean_and_no_amount_that_grows_with_time(items):
    rows = await items(**AUTUMN)
    assert (rows["land"]["value"], rows["land"]["state"]) == (pytest.approx(20), "not_met")
    assert (rows["land"]["shortfall"], rows["land"]["gap"]) == (pytest.approx(2), [])
    assert rows["built"]["value"] == pytest.approx(75)
    (gap,) = rows["built"]["gap"]
    assert (gap["value"], gap["uom"]) == (pytest.approx(1), "亩")
    # One value of a year is no trend.
    assert rows["land"]["pace"] is None


async def test_books_are_asked_for_the_twelve_months_they_have(items):
    row = (await items())["use"]
    assert (row["start"], row["end"]) == (
        "2023-11-01T00:00:00+08:00", "2024-11-01T00:00:00+08:00",
    )  # fmt: skip
    # Four months of twelve are too few for a value.
    assert (row["value"], row["state"]) == (None, "no_data")
    assert set(row["no_data"]) == {"acme/USED", "other/USED", "acme/MADE", "other/MADE"}


async def test_missing_input_is_named_and_is_no_zero(items):
    rows = await items(**AUTUMN)
    assert (rows["rise"]["value"], rows["rise"]["state"]) == (None, "no_data")
    assert set(rows["rise"]["no_data"]) == {"acme/REVENUE in 2018", "acme/MADE in 2018"}
    assert rows["nowhere"]["no_data"] == ["[[asset]] of kind 'blast furnace' in acmepark"]
    assert rows["quota"]["goal"] is None
    assert "not known" in rows["quota"]["reason"]
    assert rows["quota"]["no_data"] == [
        "quota_2 of caustic: the table of GB 21257-2024 is not known", "acme/POWER-BILL",
    ]  # fmt: skip


async def test_register_says_what_stands_on_the_due_day(items):
    rows = await items(**AUTUMN)
    clean, gone = rows["clean"], rows["gone"]
    assert (clean["value"], clean["state"]) == (pytest.approx(75), "not_met")
    assert clean["gap"] == [{"value": pytest.approx(10), "uom": "kt/year", "factor": ""}]
    assert clean["forecast"] == {
        "on": "2025-12-31", "value": 100.0, "half_width": 0.0, "will_be_met": "yes",
    }  # fmt: skip
    assert (gone["value"], gone["state"], gone["due"], gone["forecast"]) == (
        0.0, "not_met", True, None,
    )  # fmt: skip


async def test_no_trend_is_computed_where_none_is_asked_for(items):
    row = (await items(trend="none", **AUTUMN))["use"]
    assert (row["pace"], row["forecast"], row["moved"]) == (None, None, None)


@pytest.mark.parametrize(
    ("row", "problem"),
    [('kpi = "ratio"\nuom = "%"\npart = "acme/USE"\nwhole = "acme/MADE"', "did you mean"),
     ('kpi = "ratio"\nuom = "%"\npart = ["acme/USED", "acme/LAND"]\nwhole = "acme/MADE"', "added"),
     ('kpi = "ratio"\nuom = "kg/t"\npart = "acme/REVENUE"\nwhole = "acme/LAND"', "uom"),
     ('kpi = "count"\nuom = "1"\npart = "acme/REVENUE"\nabove = "3 t"', "above"),
     ('kpi = "asset_share"\nuom = "%"\nasset = "x"', "needs has"),
     ('kpi = "ratio"\nuom = "%"\npart = "acme/USED"\nwhole = "acme/MADE"\nlevel = "baseline"',
      "level")],
)  # fmt: skip
def test_target_of_the_books_that_cannot_be_computed_is_a_problem_at_load(row, problem):
    head = '\n[[target]]\nid = "x"\nscope = "acmepark"\nvalue = 1\nsense = "at_least"\n'
    with pytest.raises(ModelError) as caught:
        parse_park(MODEL | {"park.toml": MODEL["park.toml"] + head + row + "\n"})
    assert len(caught.value.problems) == 1
    assert problem in caught.value.problems[0]
