"""Consumption over HTTP: carriers, measures, cost by period, and what is not known."""

import pytest

from tests.support.small_park import PARK_TOML, rows_of, with_park

pytest_plugins = ["tests.support.small_park"]
HOURS = {"from": "2025-06-02T08:00:00+08:00", "to": "2025-06-02T10:00:00+08:00"}
TARIFF = """
[[tariff]]
id = "grid"
scope = "demo/acme"
from = 2025-01-01
to = 2025-12-31
price = "0.6 CNY/kWh"
prices = { peak = "1.0 CNY/kWh", deep_valley = "0.2 CNY/kWh" }
surcharges = { fund = "0.05 CNY/kWh" }
demand_price = "40 CNY/kW"
contracted = "46 MW"
power_factor = 0.9
captive_cost = "0.4 CNY/kWh"
sold_price = "0.3 CNY/kWh"
source = "illustrative"
[[tariff_period]]
tariff = "grid"
period = "peak"
days = "workday"
from = "09:00"
to = "11:00"
[[tariff_period]]
tariff = "grid"
period = "deep_valley"
days = "holiday"
from = "08:00"
to = "09:00"
[[tariff]]
id = "steam"
scope = "demo/acme"
carrier = "steam"
from = 2025-01-01
to = 2025-12-31
price = "200 CNY/t"
"""
# The enterprise buys 30 MW, makes 20 and sells 5; the caustic plant takes a part of what it has.
METERS = """
[[meter]]
id = "incomer"
scope = "demo/acme"
carrier = "electricity"
tag = "acme/JI-8"
role = "incomer"
reactive = "acme/XI-8"
[[meter]]
id = "generator"
scope = "demo/acme/vcm"
carrier = "electricity"
tag = "acme/JI-9"
role = "generation"
[[meter]]
id = "sold"
scope = "demo/acme"
carrier = "electricity"
tag = "acme/JI-7"
role = "sold"
"""
TAGS = """JI-8,demo/acme,power,MW,gauge,0,60,0.5 %,purchase
XI-8,demo/acme,reactive_power,Mvar,gauge,0,60,0.5 %,reactive purchase
JI-9,demo/acme/vcm,power,MW,gauge,0,60,0.5 %,generation
JI-7,demo/acme,power,MW,gauge,0,60,0.5 %,sold
"""
MEAN = {"JI-8": 30e6, "XI-8": 40e6, "JI-9": 20e6, "JI-7": 5e6}
BOUGHT = with_park(PARK_TOML + TARIFF)
SUPPLIED = with_park(PARK_TOML + METERS + TARIFF, tags=TAGS, mean=MEAN)


def lines(row):
    return {line["item"]: line for line in row["bill"]}


@BOUGHT
async def test_carriers_have_their_measures_side_by_side(api):
    answer = await rows_of(api, "demo/acme/consumption", window="hour", **HOURS)
    first = {row["carrier"]: row for row in answer["items"] if row["start"] == HOURS["from"]}
    assert first.keys() == {"electricity", "steam", "total"}
    power, steam, total = (first[name] for name in ("electricity", "steam", "total"))
    # 12.5 MW for an hour of a holiday at 0.2 and 0.05; 0.5 kg/s of steam at 200 a tonne.
    assert (power["amount"], power["uom"]) == (pytest.approx(12_500), "kWh")
    assert power["cost_cny"] == pytest.approx(12_500 * 0.25)
    assert power["coal_equivalent_kgce"] == pytest.approx(12_500 * 0.1229)
    assert (steam["amount"], steam["uom"]) == (pytest.approx(1.8), "t")
    assert steam["cost_cny"] == pytest.approx(360)
    assert total["cost_cny"] == pytest.approx(12_500 * 0.25 + 360)
    assert total["amount"] is None
    for name in ("amount_ci", "coal_equivalent_ci_kgce", "cost_ci_cny", "co2_ci_t"):
        assert power[name] > 0
    # One meter: all measures are as uncertain as its amount.
    assert power["cost_ci_cny"] / power["cost_cny"] == pytest.approx(
        power["amount_ci"] / power["amount"]
    )
    assert power["reason"] == ""
    (grid, _) = answer["tariffs"]
    assert (grid["id"], grid["verified"], grid["source"]) == ("grid", False, "illustrative")
    assert grid["prices_cny_per_kwh"] == {"peak": 1, "deep_valley": pytest.approx(0.2)}


@BOUGHT
async def test_cost_follows_the_period_and_the_kind_of_day(api):
    answer = await rows_of(
        api, "demo/acme/consumption", window="quarter_hour", carrier="electricity", **HOURS
    )
    costs = [row["cost_cny"] for row in answer["items"]]
    # 2 June 2025 is a holiday: no peak from 9 on, but a deep valley before.
    assert costs == [pytest.approx(3_125 * 0.25)] * 4 + [pytest.approx(3_125 * 0.65)] * 4
    bill = lines(answer["items"][0])
    assert bill["deep_valley"]["kwh"] == pytest.approx(3_125)
    assert bill["surcharge"]["cny"] == pytest.approx(3_125 * 0.05)
    assert "total" not in bill


@with_park(
    PARK_TOML
    + TARIFF.replace('scope = "demo/acme"', 'scope = "demo/idle"')
    + """
[[book]]
tag = "idle/B-POWER"
period = "month"
[[meter]]
id = "office"
scope = "demo/idle"
carrier = "electricity"
tag = "idle/B-POWER"
""",
    tags="B-POWER,demo/idle,energy,kWh,amount,0,,,offices by the books\n",
)
async def test_offline_meter_counts_by_the_hours_its_amount_is_spread_over(api, db, ids):
    # 10 kWh an hour, as ingest spreads what people enter.
    await db.execute(
        "INSERT INTO hour (time, tag_id, n, amount, covered_s, min, max, last, quality)"
        " SELECT t, $1, 0, 3.6e7, 3600, 0, 0, 0, 88"
        " FROM generate_series('2025-06-02T00:00+08'::timestamptz, '2025-06-02T23:00+08', '1 h') t",
        ids["idle/B-POWER"],
    )
    answer = await rows_of(api, "demo/idle/consumption", window="hour", **HOURS)
    first, second = answer["items"]
    assert first["amount"] == pytest.approx(10)
    # A deep valley of a holiday, then flat.
    assert first["cost_cny"] == pytest.approx(10 * 0.25)
    assert second["cost_cny"] == pytest.approx(10 * 0.65)
    assert second["co2_t"] > 0


@BOUGHT
async def test_only_the_measures_and_carriers_that_were_wanted_are_calculated(api):
    answer = await rows_of(
        api, "demo/acme/consumption", window="hour", carrier="steam", measure="amount", **HOURS
    )
    assert {row["carrier"] for row in answer["items"]} == {"steam"}
    assert all(row["cost_cny"] is row["co2_t"] is None for row in answer["items"])
    assert answer["tariffs"] == []
    wrong = await api.get("/api/v1/scopes/demo/acme/consumption", params={"carrier": "steem"})
    assert wrong.status_code == 404
    assert "steam" in wrong.json()["hint"]


async def test_without_a_tariff_the_cost_is_null_with_a_reason(api):
    answer = await rows_of(api, "demo/consumption", by="children", window="hour", **HOURS)
    power = next(row for row in answer["items"] if row["carrier"] == "electricity")
    assert power["scope"] == "demo/acme"
    assert power["amount"] == pytest.approx(12_500)
    assert (power["cost_cny"], power["cost_ci_cny"]) == (None, None)
    assert power["reason"] == "cost: no tariff holds"


@SUPPLIED
async def test_supply_and_its_parts_add_up(api):
    query = HOURS | {"window": "hour", "carrier": "electricity"}
    whole = (await rows_of(api, "demo/acme/consumption", **query))["items"][1]
    # From 9 to 10: 30 MWh at 0.65, 20 MWh made at 0.4, 5 MWh sold at 0.3.
    assert whole["cost_cny"] == pytest.approx(30_000 * 0.65 + 20_000 * 0.4 - 5_000 * 0.3)
    bill = lines(whole)
    assert bill["own_power"]["cny"] == pytest.approx(8_000)
    assert bill["sold_power"]["cny"] == pytest.approx(-1_500)
    assert whole["cost_cny"] == pytest.approx(sum(line["cny"] for line in bill.values()))
    part = (await rows_of(api, "demo/acme/caustic/consumption", **query))["items"][1]
    # The plant takes 12.5 of the 45 MW at their common price.
    assert part["cost_cny"] == pytest.approx(whole["cost_cny"] * 12.5 / 45)
    assert part["bill"] == []


@SUPPLIED
async def test_month_has_basic_charge_power_factor_and_total(api):
    query = HOURS | {"window": "month", "carrier": "electricity"}
    (row,) = (await rows_of(api, "demo/acme/consumption", **query))["items"]
    bill = lines(row)
    # 2.5 h of 30 MW and 40 Mvar: cos φ 0.6, 25 % on top; 46 MW are billed.
    assert bill["basic"]["kw"] == pytest.approx(30_000)
    assert bill["basic"]["cny"] == pytest.approx(46_000 * 40)
    assert bill["power_factor"]["power_factor"] == pytest.approx(0.6)
    energy = 30_000 * (1 * 0.2 + 1.5 * 0.6)
    assert bill["power_factor"]["cny"] == pytest.approx(0.25 * (energy + 1_840_000))
    assert bill["total"]["cny"] == pytest.approx(
        sum(line["cny"] for item, line in bill.items() if item != "total")
    )
    assert bill["total"]["cny_ci"] > 0
    assert row["completeness"] < 0.1


@SUPPLIED
async def test_demand_stands_beside_the_contract_and_the_running_quarter_is_forecast(api):
    answer = await rows_of(api, "demo/acme/demand", **HOURS)
    (row,) = answer["items"]
    assert row["max_demand_kw"] == pytest.approx(30_000)
    assert row["at"] == "2025-06-02T08:00:00+08:00"
    assert (row["contracted_kw"], row["headroom_kw"]) == (46_000, pytest.approx(16_000))
    # Ten quarters of 33 hours are known: too few to say that the month has no larger one.
    assert row["verdict"] == "undecided"
    running = answer["running"]
    # The newest minute that is stored is 10:29.
    assert (running["start"][11:16], running["end"][11:16]) == ("10:15", "10:30")
    assert running["forecast_kw"] == pytest.approx(30_000)
    assert 0 < running["forecast_ci_kw"] < 400
    assert running["headroom_kw"] == pytest.approx(16_000)
    assert running["verdict"] == "met"


@SUPPLIED
async def test_demand_above_the_contract_is_certain_whatever_is_missing(api, db, ids):
    # 47 MW for one quarter of an hour.
    await db.execute(
        "UPDATE minute SET amount = amount * 47 / 30 WHERE tag_id = $1"
        " AND time >= '2025-06-02T09:15:00+08' AND time < '2025-06-02T09:30:00+08'",
        ids["acme/JI-8"],
    )
    (row,) = (await rows_of(api, "demo/acme/demand", **HOURS))["items"]
    assert row["max_demand_kw"] == pytest.approx(47_000)
    assert row["at"] == "2025-06-02T09:15:00+08:00"
    assert row["verdict"] == "not_met"
    curve = await rows_of(api, "demo/acme/load-curve", **HOURS)
    assert [row["power_kw"] for row in curve["items"]] == [pytest.approx(30_000)] * 5 + [
        pytest.approx(47_000)
    ] + [pytest.approx(30_000)] * 2
    assert curve["max_kw"] == pytest.approx(47_000)
    assert curve["mean_kw"] == pytest.approx((7 * 30_000 + 47_000) / 8)
    assert curve["load_factor"] == pytest.approx((7 * 30 + 47) / 8 / 47)
    # One of eight quarters: 47 MW for the first eighth of the duration curve.
    points = {point["share"]: point["power_kw"] for point in curve["duration"]}
    assert (points[0.12], points[0.13]) == (pytest.approx(47_000), pytest.approx(30_000))


@SUPPLIED
async def test_power_factor_is_that_of_each_meter_and_of_all(api):
    query = HOURS | {"window": "hour"}
    items = (await rows_of(api, "demo/acme/power-factor", **query))["items"]
    row, total = items[:2]
    assert (row["meter"], total["meter"]) == ("incomer", "total")
    assert (row["active_kwh"], row["reactive_kvarh"]) == (pytest.approx(3e4), pytest.approx(4e4))
    assert row["power_factor"] == pytest.approx(0.6)
    # 0.25 % of each at 95 % and less, by cos φ · sin² φ: well below a hundredth.
    assert 0 < row["power_factor_ci"] < 0.01
    assert (row["least"], row["adjustment_share"], row["verdict"]) == (0.9, 0.25, "not_met")
    items = (await rows_of(api, "demo/acme/caustic/power-factor", **query))["items"]
    assert {row["meter"] for row in items} == {"total"}
    assert items[0]["power_factor"] is None
    assert "no meter of reactive energy" in items[0]["reason"]


@BOUGHT
async def test_standby_is_what_is_taken_in_the_hours_without_production(api, db, ids):
    # Nothing is made from 8 to 9.
    await db.execute(
        "UPDATE hour SET amount = 0 WHERE tag_id = $1 AND time = '2025-06-02T08:00:00+08'",
        ids["acme/FT-6"],
    )
    answer = await rows_of(api, "demo/acme/caustic/standby", **HOURS)
    (row,) = answer["items"]
    assert answer["products"] == ["caustic"]
    # 6 kg/s in the others, of which a twentieth is idle.
    assert answer["idle_below_t_per_h"] == pytest.approx(1.08)
    assert (row["idle_h"], row["idle_kwh"]) == (1, pytest.approx(12_500))
    assert row["idle_kw"] == pytest.approx(row["running_kw"]) == pytest.approx(12_500)
    answer = await rows_of(api, "demo/idle/standby", **HOURS)
    assert answer["items"][0]["reason"] == "nothing with a meter is made in this scope"


@BOUGHT
async def test_periods_are_compared_at_the_production_they_share(api, db, ids):
    # From 9 to 10 the same is made with 10 % less.
    await db.execute(
        "UPDATE hour SET amount = amount * 0.9 WHERE tag_id = $1"
        " AND time = '2025-06-02T09:00:00+08'",
        ids["acme/JQ-1"],
    )
    edges = [f"2025-06-02T{hour}:00:00+08:00" for hour in ("08", "09", "10")]
    query = {
        "first_from": edges[0], "first_to": edges[1],
        "second_from": edges[1], "second_to": edges[2],
    }  # fmt: skip
    answer = await rows_of(api, "demo/acme/caustic/comparison", **query)
    assert answer["first_mw"] == pytest.approx(12.5)
    assert answer["difference_mw"] == pytest.approx(-1.25)
    assert answer["difference_share"] == pytest.approx(-0.1)
    assert (answer["common_share"], answer["reason"]) == (1, "")
    # One day tells nothing of the spread between days.
    assert (answer["difference_ci_mw"], answer["verdict"]) == (None, "undecided")
    assert answer["second"]["kwh_per_t"] == pytest.approx(11_250 / 21.6)


@SUPPLIED
async def test_a_bill_of_no_data_has_no_figure_and_says_why(api, db, ids):
    night = {"from": "2025-06-02T05:00:00+08:00", "to": "2025-06-02T07:00:00+08:00"}
    answer = await rows_of(
        api, "demo/acme/consumption", **night, window="hour", carrier="electricity"
    )
    bill = [line for row in answer["items"] for line in row["bill"]]
    assert {line["item"] for line in bill} >= {"flat", "surcharge", "own_power", "sold_power"}
    assert {(line["cny"], line["kwh"], line["cny_ci"]) for line in bill} == {(None, None, None)}
    reasons = {line["item"]: line["reason"] for line in bill}
    assert reasons["flat"] == reasons["surcharge"] == "no data: acme/JI-8"
    assert (reasons["own_power"], reasons["sold_power"]) == (
        "no data: acme/JI-9", "no data: acme/JI-7",
    )  # fmt: skip
