"""Pollutant totals of a year over HTTP, against figures by hand: monitor, analysis, factor."""

import numpy as np
import pytest

from tests.support.small_park import rows_of, serving, stamp
from tests.support.small_totals import (
    FILES,
    NOW,
    WITH_QUOTAS,
    add_hours,
    add_year,
    at,
    enter,
)

HOURS = 121 * 24  # January to April of a leap year
REMAINING_D = 366 - 121
# 744 h x 1.0 + 696 h x 1.1 + 744 h x 0.9 + 720 h x 1.0
STACK_KG = 744.0 + 765.6 + 669.6 + 720.0
# 1 kg/h for 31 days, 1.2 for 29, 0.8 for 31, 1.0 for 26; nothing before the fifth of January.
VENT_KG = 744.0 + 835.2 + 595.2 + 624.0
TANKS_KG = 5.0 * HOURS
T3 = 3.182446305284263  # Student, 3 degrees of freedom, 97.5 %
NORMAL = 1.959963984540054


@pytest.fixture
async def totals(database, db):
    ids = await add_year(db)
    async with serving(database, NOW) as (api, _):
        yield api, ids


def of(answer, permit):
    return next(row for row in answer["permits"] if row["permit"] == permit)


async def test_a_year_of_a_monitor_against_the_annual_permit_of_its_outlet(totals):
    api, _ = totals
    answer = await rows_of(api, "p/e/totals")
    row = of(answer, "stack/VOC")
    assert (answer["year"], answer["end"]) == (2024, "2024-05-01T00:00:00+08:00")
    assert row["emitted_t"] == pytest.approx(STACK_KG / 1e3, rel=1e-9)
    assert (row["permit_t"], row["legal"]) == (10.0, False)
    assert row["share"] == pytest.approx(0.28992, rel=1e-9)
    assert row["months"]["emitted_t"][:4] == pytest.approx([0.744, 0.7656, 0.6696, 0.72])
    assert row["months"]["remaining_t"][3] == pytest.approx(10 - 2.8992)
    # Whole months are good; the year so far is as good as its months.
    assert [q for q in row["months"]["quality"][:4] if q & 0b11000000] == []
    assert row["months"]["used_quality"][-1] == row["quality"]
    assert row["months"]["allowance_t"][:2] == pytest.approx([10 * 31 / 366, 10 * 60 / 366])
    # A twelfth of 366 days is 30.5: four months of 121 days have had 33.06 % of the permit.
    assert row["allowance_t"] == pytest.approx(10 * 121 / 366, rel=1e-5)
    check_forecast(row)
    check_newest(of(await rows_of(api, "p/e/totals", rate="newest"), "stack/VOC"))
    # An outlet that people analyse alone has no row among the monitors.
    items = (await rows_of(api, "p/e/emissions", window="day"))["items"]
    assert {each["outlet"] for each in items} == {"stack"}


def check_forecast(row):
    """Hold a forecast to the mean of the months and their scatter."""
    rate = STACK_KG / HOURS  # kg/h
    forecast = STACK_KG + rate * REMAINING_D * 24
    assert row["forecast_t"] == pytest.approx(forecast / 1e3, rel=1e-5)
    assert (row["forecast_by"], row["forecast_blocks"]) == ("months", 4)
    # 0.0816 kg/h of a month of 726 h; k = 8.1 of them to come: t s sqrt(k²/4 + k) = 934 kg.
    scatter, month_h = np.std([1.0, 1.1, 0.9, 1.0], ddof=1), HOURS / 4
    k = REMAINING_D * 24 / month_h
    of_months = T3 * scatter * month_h * np.sqrt(k**2 / 4 + k)
    assert of_months == pytest.approx(933.7, abs=0.5)
    of_meters = row["emitted_half_width_t"] / row["emitted_t"] * row["forecast_t"]
    assert row["forecast_half_width_t"] == pytest.approx(
        np.hypot(of_months / 1e3, of_meters), rel=1e-4
    )
    assert (row["state"], row["reason"]) == ("within", "")
    # 7.1008 t are left, at 23.96 kg a day.
    assert row["days_to_exhaustion"] == pytest.approx((1e4 - STACK_KG) / rate / 24, rel=1e-6)
    assert 200 < row["days_to_exhaustion_first"] < row["days_to_exhaustion"] < 296.4
    assert row["days_to_exhaustion_last"] > 300


def check_newest(row):
    """Hold a forecast to the rate of the newest three months: too few for a verdict."""
    newest = (765.6 + 669.6 + 720.0) / (696 + 744 + 720)
    assert row["rate_t_per_day"] == pytest.approx(newest * 24 / 1e3, rel=1e-9)
    assert (row["forecast_blocks"], row["state"]) == (3, "undecided")
    assert row["reason"].startswith("the permit lies inside")


def check_analyses(row):
    """Hold a vent to its analyses, each until the next, and the scatter among them."""
    vent = next(each for each in row["sources"] if each["id"] == "vent/VOC")
    assert vent["methods"] == ["analysed"]
    assert vent["emitted_t"] == pytest.approx(VENT_KG / 1e3, rel=1e-9)
    assert vent["completeness"] == pytest.approx((HOURS - 96) / HOURS, rel=1e-5)
    assert vent["missing"] == ["e/LAB-2"]
    load = np.array([31, 29, 31, 26]) * 24 * 100  # m³ that each of four samples stands for
    scatter = T3 * np.std([10, 12, 8, 10], ddof=1) * 1e-3 * np.sqrt((load**2).sum())
    bias = NORMAL * 0.02 * VENT_KG  # the method of analysis is good to 2 %, and errs alike
    lower, upper = (
        np.hypot(scatter, bias),
        np.hypot(scatter, np.hypot(bias, NORMAL * 0.01 * VENT_KG)),
    )
    assert lower < vent["half_width_t"] * 1e3 < upper


async def test_monitor_analysis_and_factor_make_one_total_of_an_enterprise(totals):
    api, _ = totals
    answer = await rows_of(api, "p/totals")
    row = of(answer, "e-voc")
    check_analyses(row)
    total = STACK_KG + VENT_KG + TANKS_KG
    assert total == pytest.approx(20217.6)
    assert row["emitted_t"] == pytest.approx(20.2176, rel=1e-9)
    assert {m["method"]: m["emitted_t"] for m in row["methods"]} == pytest.approx(
        {"measured": 2.8992, "substituted": 0.0, "analysed": 2.7984, "factor": 14.52}
    )
    assert sum(m["share"] for m in row["methods"]) == pytest.approx(1.0)
    widths = [each["half_width_t"] for each in row["sources"]]
    assert row["emitted_half_width_t"] == pytest.approx(np.hypot.reduce(widths), rel=1e-9)
    # The factor is good to 20 %: 1.96 x 0.2 x 14.52 t, far more than its belt weigher.
    assert widths[-1] == pytest.approx(NORMAL * 0.2 * 14.52, rel=2e-3)
    # Four days without an analysis are estimated at its rate, 2798.4 kg in 2808 h, not booked.
    assert row["estimated_t"] == pytest.approx(96 * VENT_KG / 2808 / 1e3, rel=2e-4)
    assert (row["legal"], row["number"], row["substituted_share"]) == (True, "91371500MA", 0.0)
    park, enterprise = answer["scopes"]
    assert (park["scope"], enterprise["scope"]) == ("p", "p/e")
    assert park["emitted_t"] == enterprise["emitted_t"] == row["emitted_t"]
    assert (enterprise["permit_t"], enterprise["legal"], park["permit_t"]) == (60.0, True, 60.0)


async def test_a_year_without_data_names_its_inputs_and_a_coming_one_has_no_answer(totals):
    api, _ = totals
    row = of(await rows_of(api, "p/e/totals", year=2023), "e-voc")
    assert (row["state"], row["emitted_t"], row["forecast_t"]) == ("no_data", None, None)
    assert set(row["no_data"]) == {"e/AI-1", "e/FI-1", "e/FI-2", "e/LAB-2", "e/WI-3"}
    assert (await api.get("/api/v1/scopes/p/totals", params={"year": 2025})).status_code == 422


async def test_a_silent_meter_is_named_and_its_months_are_never_zero(totals, db):
    api, ids = totals
    for table in ("hour", "day"):
        await db.execute(
            f"DELETE FROM {table} WHERE tag_id = $1 AND time >= $2", ids["e/FI-2"],
            stamp(at("2024-02-15")),
        )  # fmt: skip
    row = of(await rows_of(api, "p/e/totals"), "e-voc")
    assert (row["state"], row["forecast_t"], row["days_to_exhaustion"]) == ("no_data", None, None)
    assert row["no_data"][0] == "e/LAB-2"
    assert "e/FI-2" in row["no_data"]
    assert "vent/VOC" in row["reason"]
    # What is booked stays, and is less than it was; what is left of the permit is not known.
    assert 17.4 < row["emitted_t"] < 20.2
    assert row["share"] is None
    remaining = row["months"]["remaining_t"]
    assert remaining[0] is not None
    assert remaining[3] is None
    assert row["months"]["known"][3] < 0.5


SMALL = FILES["park.toml"]
OVER = {
    **FILES,
    "park.toml": SMALL.replace('annual = { VOC = "10 t" }', 'annual = { VOC = "2 t" }'),
}
FULL = {
    **FILES,
    "park.toml": SMALL.replace('annual = { VOC = "10 t" }', 'annual = { VOC = "7 t" }'),
}


@pytest.mark.parametrize(("files", "state"), [(OVER, "exceeded"), (FULL, "will_exceed")],
                         ids=["exceeded", "will exceed"])  # fmt: skip
async def test_a_permit_is_exceeded_or_will_be_by_the_whole_interval(database, db, files, state):
    ids = await add_year(db, files)
    async with serving(database, NOW) as (api, _):
        row = of(await rows_of(api, "p/e/totals"), "stack/VOC")
        assert row["state"] == state
        # Nothing of the months of winter: what is booked proves it all the same, or nothing does.
        for table in ("hour", "day"):
            await db.execute(f"DELETE FROM {table} WHERE tag_id = $1 AND time < $2",
                             ids["e/FI-1"], stamp(at("2024-03-01")))  # fmt: skip
        row = of(await rows_of(api, "p/e/totals"), "stack/VOC")
        kept = (669.6 + 720.0) / 1e3
        assert row["emitted_t"] == pytest.approx(kept, rel=1e-9)
        assert row["completeness"] == pytest.approx(61 / 121, rel=1e-4)
        assert (row["state"], row["forecast_by"]) == ("will_exceed", "days")


PLANNED = """
[[campaign]]
id = "stop"
scope = "p/e"
outlets = ["stack"]
load = 0
since = 2024-06-01
until = 2024-06-11

[[permit_period]]
id = "winter"
permit = "e-voc"
since = 2024-11-15
until = 2025-03-16
factor = "70 %"

[[permit_period]]
id = "spring"
permit = "stack/VOC"
since = 2024-04-01
until = 2024-05-11
daily = "20 kg"
"""


async def test_a_year_with_an_overhaul_and_special_periods_by_hand(database, db):
    await add_year(db, {**FILES, "park.toml": SMALL + PLANNED})
    async with serving(database, NOW) as (api, _):
        answer = await rows_of(api, "p/e/totals")
    stack, whole = of(answer, "stack/VOC"), of(answer, "e-voc")
    # April is no part of the mean rate: 23.947 kg a day by January to March.
    daily = (744.0 + 765.6 + 669.6) / 91
    assert stack["rate_t_per_day"] == pytest.approx(daily / 1e3, rel=1e-9)
    # Ten days of May at 20 kg, ten of June with none, 47 at the common factor of the enterprise.
    vent = (744.0 + 835.2 + 0.8 * 27 * 24) / 87
    total = daily + vent + 120.0
    factor = 0.7 * 60_000 / 366 / total
    ahead = daily * (REMAINING_D - 10 - 10 - 47 * (1 - factor)) + 200
    assert stack["forecast_t"] == pytest.approx((STACK_KG + ahead) / 1e3, rel=1e-5)
    assert stack["curbed_t"] == pytest.approx(
        (10 * (daily - 20) + 47 * daily * (1 - factor)) / 1e3, rel=1e-5
    )
    (spring,) = stack["periods"]
    # 720 kg went out in April, and ten days more at its own 24 kg a day: 800 kg are allowed.
    assert (spring["limit_t"], spring["emitted_t"]) == pytest.approx((0.8, 0.72))
    assert spring["forecast_t"] == pytest.approx(0.96, rel=1e-5)
    assert (spring["state"], spring["legal"], spring["completeness"]) == ("will_exceed", False, 1.0)
    (winter,) = whole["periods"]
    assert winter["limit_t"] == pytest.approx(47 * 0.7 * 60 / 366)
    assert winter["emitted_t"] is None
    assert winter["forecast_t"] == pytest.approx(47 * total / 1e3, rel=1e-5)
    (stop,) = answer["campaigns"]
    assert (stop["id"], stop["load"], stop["since"]) == ("stop", 0.0, "2024-06-01")


REPORTED = {
    "park.toml": SMALL
    + """
[[book]]
tag = "e/B-VOC"
period = "month"

[[emission_report]]
id = "stack-report"
scope = "p/e"
outlet = "stack"
pollutant = "VOC"
tag = "e/B-VOC"
""",
    "tags.csv": FILES["tags.csv"] + "B-VOC,p/e,mass,t,amount,0,100,,VOC as reported\n",
}


async def test_a_report_stands_for_days_without_a_monitor_and_for_no_others(database, db):
    ids = await add_year(db, REPORTED)
    # The books say 30 kg a day of January and February; the monitor begins with February.
    await add_hours(db, ids["e/B-VOC"], at("2024-01-01"), at("2024-03-01"), 30.0 / 86400)
    for table in ("hour", "day"):
        await db.execute(f"DELETE FROM {table} WHERE tag_id = $1 AND time < $2",
                         ids["e/AI-1"], stamp(at("2024-02-01")))  # fmt: skip
    async with serving(database, NOW) as (api, _):
        row = of(await rows_of(api, "p/e/totals"), "stack/VOC")
    by = {each["method"]: each["emitted_t"] for each in row["methods"]}
    assert by == pytest.approx({"measured": 2.1552, "substituted": 0.0, "reported": 0.93})
    assert row["months"]["emitted_t"][:2] == pytest.approx([0.93, 0.7656])
    assert (row["completeness"], row["missing"]) == (1.0, [])
    assert row["forecast_by"] == "months"


async def test_the_ledger_shows_entries_with_evidence_and_what_the_meters_say(database, db):
    ids = await add_year(db, WITH_QUOTAS)
    for tag, tonnes in {"D": 2.0, "V": 1.6, "A": 1.4, "ADV": 3.0, "1": 1.0}.items():
        await enter(db, ids[f"e/B-{tag}"], "2024-04-01", tonnes)
    # A later approval of less is a draft: what was approved stands.
    await enter(db, ids["e/B-A"], "2024-04-02", 1.2, confirmed=False)
    async with serving(database, NOW) as (api, _):
        answer = await rows_of(api, "p/totals/ledger")
        other = await rows_of(api, "p/f/totals/ledger")
    (row,) = answer["reductions"]
    assert (row["status"], row["approved_t"], row["drawn_t"], row["available_t"]) == (
        "approved", 1.4, 1.0, 0.4,
    )  # fmt: skip
    entry = row["entries"][2]
    assert (entry["tag"], entry["amount_t"], entry["drafts"]) == ("e/B-A", 1.4, 1)
    assert (entry["evidence"], entry["recorded_by"], entry["confirmed_by"]) == (
        "sha256:ab", "ann", "bob",
    )  # fmt: skip
    # 1.1 kg/h in February and 0.9 in March: 0.2 kg/h x 8766 h = 1.7532 t a year.
    metered = row["metered"]
    assert metered["before_t_per_year"] == pytest.approx(1.1 * 8.766, rel=1e-9)
    assert metered["reduction_t_per_year"] == pytest.approx(1.7532, rel=1e-6)
    # Each rate is good to 1.4 % by analyser and flow meter, as if the two erred apart.
    assert metered["half_width_t"] == pytest.approx(
        NORMAL * 0.01 * np.sqrt(2 * 0.8) * np.hypot(1.1, 0.9) * 8.766, rel=0.02
    )
    assert (metered["claim"], metered["verdict"]) == ("approved", "supported")
    plant, _ = answer["projects"]
    (cover,) = plant["covers"]
    assert (cover["ratio"], cover["ratio_verified"], cover["needed_t"]) == (2.0, False, 4.0)
    assert (cover["drawn_t"], cover["advanced_t"], cover["state"]) == (1.0, 3.0, "in_advance")
    (advance,) = answer["advances"]
    assert (advance["outstanding_t"], advance["due"], advance["overdue"]) == (
        3.0,
        "2024-06-30",
        False,
    )
    assert {rule["id"]: rule["verified"] for rule in answer["rules"]} == {
        "own_first": True, "pre_spending": True,
    }  # fmt: skip
    assert [each["id"] for each in other["projects"]] == ["other"]
    assert [each["id"] for each in other["draws"]] == ["for-other"]
    assert other["reductions"] == []


PACE = """
[[target]]
id = "pace"
scope = "p/e"
kpi = "permit_pace"
permit = "stack/VOC"
value = 100
uom = "%"
sense = "at_most"
"""


async def test_a_target_may_be_the_pace_of_a_permit(database, db):
    await add_year(db, {**FILES, "park.toml": SMALL + PACE})
    async with serving(database, NOW) as (api, _):
        query = {"from": "2024-03-01T00:00:00+08:00", "to": "2024-04-01T00:00:00+08:00"}
        answer = (await api.get("/api/v1/targets", params=query)).json()
    (item,) = answer["items"]
    # 0.9 kg/h for 365.25 days of 24 h are 7.889 t, of 10 t.
    assert item["value"] == pytest.approx(78.894, rel=1e-6)
    assert item["half_width"] == pytest.approx(NORMAL * 0.01 * np.sqrt(1.6) * 78.894, rel=0.02)
    assert (item["state"], item["completeness"]) == ("met", 1.0)
