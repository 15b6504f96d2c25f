"""Emissions over HTTP: hours are multiplied, not days; what is missing or suspect is said."""

import numpy as np
import pytest

from tests.support.small_park import (
    BEGIN,
    HOUR,
    MEAN,
    NOW,
    PARK_TOML,
    rows_of,
    serving,
    stamp,
    with_park,
)
from twin import quality as q
from twin.reconciliation.uncertainty import left_of_mean

pytest_plugins = ["tests.support.small_park"]

EIGHT = {"from": "2025-06-02T08:00:00+08:00", "to": "2025-06-02T09:00:00+08:00"}
STACK = ("AT-901", "AT-902", "FT-901", "XS-901")
# 28 mg/m³ in 10 m³/s for an hour; at 8 % oxygen, reference 6 %.
HOUR_KG, CORRECTED = 1.008, 28 * 15 / 13
WIDTH = 1.959963984540054
# Analyser and flow meter are good to 1 %, of whose variance a fifth is noise: with a memory of ten
# minutes, and of one. What is left of it in a mean of an hour:
STAYS, NOISE, FLOW_NOISE = 0.8, *(0.2 * left_of_mean(1.0, m, 3600.0) for m in (600.0, 60.0))
PART = 0.01 * np.sqrt(STAYS + NOISE)
FLOW_PART = 0.01 * np.sqrt(STAYS + FLOW_NOISE)


async def add_hours(db, ids, begin, end, concentration=28e-6):
    """Write full hours of the stack, from so many hours before 08:00 to so many."""
    values = {name: MEAN[name] for name in STACK} | {"AT-901": concentration}
    await db.executemany(
        "INSERT INTO hour (time, tag_id, n, amount, covered_s, min, max, last, quality)"
        " VALUES ($1, $2, 3600, $3, 3600, $4, $4, $4, 32)",
        [
            (stamp(BEGIN - back * HOUR), ids[f"acme/{name}"], value * 3600, value)
            for back in range(begin, end, -1)
            for name, value in values.items()
        ],
    )


async def change_hour(db, ids, hour, name, covered_s, mean):
    """Make one hour, counted from 08:00, one of fewer seconds and another mean."""
    await db.execute(
        "UPDATE hour SET covered_s = $3, amount = $3 * $4::float8 WHERE tag_id = $1 AND time = $2",
        ids[f"acme/{name}"], stamp(BEGIN + hour * HOUR), covered_s, mean,
    )  # fmt: skip


async def test_an_hour_has_its_concentrations_its_mass_and_its_limit(api):
    result = await rows_of(api, "demo/acme/emissions", **EIGHT)
    (row,) = result["items"]
    assert (row["outlet"], row["pollutant"], row["code"]) == ("boiler-stack", "SO2", "a21026")
    assert row["concentration_mg_m3"] == 28.0
    assert row["corrected_mg_m3"] == pytest.approx(CORRECTED, rel=1e-9)
    assert row["mass_kg"] == pytest.approx(HOUR_KG, rel=1e-9)
    assert (row["substituted_kg"], row["substituted_h"]) == (None, 0.0)
    assert (row["valid"], row["capture"], row["hours_above"]) == (True, 1.0, 0.0)
    assert row["limit"] == {
        "value": 35.0, "oxygen_reference": 0.06, "source": "permit of the demo", "verified": False,
    }  # fmt: skip
    assert row["share_of_limit"] == pytest.approx(CORRECTED / 35, rel=1e-9)
    assert (row["completeness"], row["quality"]) == (1.0, 32)


async def test_each_figure_of_an_hour_has_its_interval(api):
    (row,) = (await rows_of(api, "demo/acme/emissions", **EIGHT))["items"]
    assert row["concentration_ci_mg_m3"] == pytest.approx(WIDTH * PART * 28, rel=1e-9)
    assert row["mass_ci_kg"] == pytest.approx(WIDTH * np.hypot(PART, FLOW_PART) * HOUR_KG, rel=1e-9)
    # The oxygen is good to 0.1 % of the volume: 0.1 of the 13 between air and 8 %.
    oxygen = 0.1 / 13 * np.sqrt(STAYS + NOISE)
    assert row["corrected_ci_mg_m3"] == pytest.approx(
        WIDTH * np.hypot(PART, oxygen) * CORRECTED, rel=1e-3
    )


async def test_over_many_hours_noise_averages_out_and_the_rest_stays(api, db, ids):
    await add_hours(db, ids, 40, 0)
    day = await rows_of(api, "demo/acme/emissions", window="day", **EIGHT)
    (row,) = day["items"]
    hours = 10  # eight before, and two that are full
    assert row["mass_kg"] == pytest.approx(hours * HOUR_KG, rel=1e-9)
    part = 0.01 * np.sqrt(2 * STAYS + (NOISE + FLOW_NOISE) / hours)
    assert row["mass_ci_kg"] == pytest.approx(WIDTH * part * hours * HOUR_KG, rel=1e-9)
    part = 0.01 * np.sqrt(STAYS + NOISE / hours)
    assert row["concentration_ci_mg_m3"] == pytest.approx(WIDTH * part * 28, rel=1e-9)
    (permit,) = day["permits"]
    part = 0.01 * np.sqrt(2 * STAYS + (NOISE + FLOW_NOISE) / 42)
    assert permit["measured_ci_t"] == pytest.approx(WIDTH * part * 42 * HOUR_KG / 1e3, rel=1e-9)
    assert permit["emitted_ci_t"] == permit["measured_ci_t"]


@pytest.mark.parametrize(
    ("corrected", "verdict"), [(34.0, "met"), (34.8, "undecided"), (36.0, "not_met")]
)
async def test_a_mean_is_within_its_limit_only_with_its_whole_interval(
    api, db, ids, corrected, verdict
):
    # The limit is 35 mg/m3, the mean good to 1.9 %; 15/13 brings it to the reference oxygen.
    await change_hour(db, ids, 0, "AT-901", 3600.0, corrected * 13 / 15 * 1e-6)
    answer = await rows_of(api, "demo/acme/emissions", **EIGHT)
    assert answer["items"][0]["corrected_mg_m3"] == pytest.approx(corrected, rel=1e-9)
    assert answer["items"][0]["verdict"] == verdict


PERMITS = [
    with_park(PARK_TOML.replace('SO2 = "1 t"', f'SO2 = "{kg} kg"')).args[1][0]
    for kg in (2.1, 2.0, 1.9)
]


@pytest.mark.parametrize(
    ("small", "verdict"),
    list(zip(PERMITS, ("met", "undecided", "not_met"), strict=True)),
    indirect=["small"],
    ids=["met", "undecided", "not met"],
)
async def test_a_permit_is_used_up_only_where_the_whole_interval_is_above_it(
    database, ids, verdict
):
    query = EIGHT | {"window": "day"}
    async with serving(database, value_completeness=0, verdict_completeness=1e-4) as (api, _):
        (permit,) = (await rows_of(api, "demo/acme/emissions", **query))["permits"]
    assert permit["emitted_t"] == pytest.approx(2 * HOUR_KG / 1e3, rel=1e-9)
    assert permit["verdict"] == verdict
    # Two hours of a year prove that a permit is exceeded, and never that it is met.
    async with serving(database) as (api, _):
        (permit,) = (await rows_of(api, "demo/acme/emissions", **query))["permits"]
    assert permit["verdict"] == ("not_met" if verdict == "not_met" else "undecided")


DRAIN = with_park(
    PARK_TOML.replace('kind = "stack"', 'kind = "drain"').replace(
        'oxygen = "acme/AT-902"\noxygen_reference = 0.06\n', ""
    )
)


@DRAIN
async def test_water_is_weighted_by_a_flow_that_is_uncertain_too(api, db, ids):
    await change_hour(db, ids, 0, "AT-901", 3600.0, 60e-6)
    await change_hour(db, ids, 0, "FT-901", 3600.0, 2.0)
    (row,) = (await rows_of(api, "demo/acme/emissions", window="shift", **EIGHT))["items"]
    load = np.array([60 * 2, 28 * 10])
    mean = load.sum() / 12
    assert row["concentration_mg_m3"] == pytest.approx(mean, rel=1e-9)
    # A flow meter that is always too high by as much weighs all hours alike; its noise does not.
    far = (np.array([60, 28]) - mean) * [2, 10]
    variance = STAYS * load.sum() ** 2 + NOISE * (load**2).sum() + FLOW_NOISE * (far**2).sum()
    assert row["concentration_ci_mg_m3"] == pytest.approx(
        WIDTH * 0.01 * np.sqrt(variance) / 12, rel=1e-6
    )


async def test_the_running_hour_is_not_valid_before_its_45th_minute(api, database, db, ids):
    query = {"from": "2025-06-02T10:00:00+08:00", "to": "2025-06-02T11:00:00+08:00"}
    (row,) = (await rows_of(api, "demo/acme/emissions", **query))["items"]
    assert (row["valid"], row["mass_kg"], row["substituted_kg"]) == (False, None, None)
    assert row["concentration_mg_m3"] == 28.0
    assert row["quality"] >= q.BAD
    for name in STACK:
        await change_hour(db, ids, 2, name, 2700.0, MEAN[name])
    async with serving(database, now=NOW + 15 * 60_000_000) as (client, _):
        (row,) = (await rows_of(client, "demo/acme/emissions", **query))["items"]
    assert row["valid"] is True
    assert row["mass_kg"] == pytest.approx(HOUR_KG * 0.75, rel=1e-9)


async def test_hour_that_was_summed_without_its_minutes_is_valid_by_its_samples(api, db, ids):
    """Hours of before have no count of measured minutes: twelve samples are twelve minutes."""
    await db.execute(
        "UPDATE hour SET n = 12 WHERE tag_id = $1 AND time = $2", ids["acme/AT-901"], stamp(BEGIN)
    )
    (row,) = (await rows_of(api, "demo/acme/emissions", **EIGHT))["items"]
    assert (row["valid"], row["mass_kg"], row["concentration_mg_m3"]) == (False, None, 28.0)


async def test_a_sum_of_hourly_products_is_not_the_product_of_the_means(api, db, ids):
    await change_hour(db, ids, 0, "AT-901", 3600.0, 60e-6)
    await change_hour(db, ids, 0, "FT-901", 3600.0, 2.0)
    (row,) = (await rows_of(api, "demo/acme/emissions", window="shift", **EIGHT))["items"]
    assert row["mass_kg"] == pytest.approx(60e-6 * 2 * 3600 + HOUR_KG, rel=1e-9)
    assert row["concentration_mg_m3"] == pytest.approx(44.0)
    assert row["hours_above"] == 1.0


async def test_a_missing_hour_is_substituted_apart_and_by_the_largest_before_it(api, db, ids):
    await add_hours(db, ids, 40, 20)
    await add_hours(db, ids, 20, 19, concentration=60e-6)
    await add_hours(db, ids, 19, 0)
    await change_hour(db, ids, 0, "AT-901", 1800.0, 28e-6)
    first, second = (
        await rows_of(api, "demo/acme/emissions", **EIGHT | {"to": "2025-06-02T10:00:00+08:00"})
    )["items"]
    assert (first["valid"], first["mass_kg"], first["capture"]) == (False, None, 0.0)
    assert first["substituted_kg"] == pytest.approx(60e-6 * 10 * 3600, rel=1e-9)
    assert (first["substituted_h"], first["substituted_from_h"]) == (1.0, 180.0)
    assert (second["valid"], second["substituted_kg"]) == (True, None)
    day = await rows_of(api, "demo/acme/emissions", window="day", **EIGHT)
    (row,) = day["items"]
    assert row["valid"] is False  # ten hours so far
    assert row["mass_kg"] == pytest.approx(9 * HOUR_KG, rel=1e-9)
    assert row["capture"] == pytest.approx(0.9)
    (permit,) = day["permits"]
    assert permit["substituted_t"] == pytest.approx(2.16e-3, rel=1e-9)
    # What stands for an hour is a rule and no measurement: it has no interval, nor has the sum.
    assert permit["emitted_ci_t"] is None
    assert 0 < permit["measured_ci_t"] < 0.03 * permit["measured_t"]
    assert 0 < row["mass_ci_kg"] < 0.03 * row["mass_kg"]


async def test_below_three_quarters_of_capture_nothing_is_substituted(api, db, ids):
    await change_hour(db, ids, 1, "AT-901", 0.0, 0.0)
    query = {"from": "2025-06-02T09:00:00+08:00", "to": "2025-06-02T10:00:00+08:00"}
    (row,) = (await rows_of(api, "demo/acme/emissions", **query))["items"]
    assert (row["mass_kg"], row["substituted_kg"], row["concentration_mg_m3"]) == (None,) * 3
    assert (row["mass_ci_kg"], row["concentration_ci_mg_m3"]) == (None,) * 2
    assert row["quality"] == q.NO_DATA | q.SIMULATED


async def test_standing_still_is_zero_and_a_dead_meter_is_suspect(api, db, ids):
    await change_hour(db, ids, 0, "FT-901", 3600.0, 0.1)
    (suspect,) = (await rows_of(api, "demo/acme/emissions", **EIGHT))["items"]
    assert (suspect["mass_kg"], suspect["suspect_h"], suspect["valid"]) == (None, 1.0, False)
    assert suspect["quality"] >= q.BAD
    await change_hour(db, ids, 0, "XS-901", 3600.0, 0.0)
    (still,) = (await rows_of(api, "demo/acme/emissions", **EIGHT))["items"]
    assert (still["mass_kg"], still["stopped_h"], still["suspect_h"]) == (0.0, 1.0, 0.0)
    assert (still["mass_ci_kg"], suspect["mass_ci_kg"]) == (0.0, None)
    assert (still["concentration_mg_m3"], still["capture"], still["valid"]) == (None, None, True)


async def test_days_and_months_need_their_hours_and_days(api, db, ids):
    await add_hours(db, ids, 8 + 24 * 32, 0)
    query = {"from": "2025-05-01T00:00:00+08:00", "to": "2025-06-02T00:00:00+08:00"}
    may, june = (await rows_of(api, "demo/acme/emissions", window="month", **query))["items"]
    assert (may["valid"], june["valid"]) == (True, False)
    assert may["mass_kg"] == pytest.approx(31 * 24 * HOUR_KG, rel=1e-9)
    await db.execute(
        "DELETE FROM hour WHERE time >= $1 AND time < $2",
        stamp(BEGIN - (8 + 24 * 8) * HOUR), stamp(BEGIN - (8 + 24) * HOUR - 1),
    )  # fmt: skip
    may, _ = (await rows_of(api, "demo/acme/emissions", window="month", **query))["items"]
    assert may["valid"] is False
    days = await rows_of(api, "demo/acme/emissions", window="day", **query)
    assert [row["valid"] for row in days["items"]] == [True] * 24 + [False] * 7 + [True]


async def test_the_permit_shows_the_year_so_far_and_where_it_leads(api, db, ids):
    await add_hours(db, ids, 100, 0)
    result = await rows_of(api, "demo/acme/emissions", **EIGHT)
    (row,) = result["permits"]
    hours = 101  # what was asked ends at nine
    assert (row["year"], row["permit_t"]) == (2025, 1.0)
    assert row["measured_t"] == pytest.approx(hours * HOUR_KG / 1e3, rel=1e-9)
    assert (row["substituted_t"], row["substituted_share"]) == (0.0, 0.0)
    assert row["share"] == pytest.approx(row["emitted_t"])
    elapsed_h = 152 * 24 + 9
    assert row["completeness"] == pytest.approx(hours / elapsed_h, rel=1e-9)
    assert row["allowance_t"] == pytest.approx(elapsed_h / 8760)
    rest_h = 8760 - elapsed_h
    assert row["forecast_t"] == pytest.approx((hours + rest_h) * HOUR_KG / 1e3, rel=1e-9)
    assert row["days_to_exhaustion"] == pytest.approx((1e3 / HOUR_KG - hours) / 24, rel=1e-9)
    assert row["quality"] == q.UNCERTAIN | q.INCOMPLETE | q.SIMULATED


async def test_a_year_without_a_factor_takes_the_newest_published_one_and_says_so(api):
    carbon = (await rows_of(api, "demo/acme/emissions", **EIGHT))["carbon"]
    (row,) = carbon["items"]
    power = next(s for s in row["sources"] if s["source"] == "electricity")
    # 12.5 MWh in 2025 by the factor of 2023.
    assert power["co2_t"] == pytest.approx(12.5 * 0.5306, rel=1e-9)
    assert (power["factor_year"], power["factor_stands_in"]) == (2023, True)
    assert "no location factor of CN is published for 2025" in power["reason"]
    assert "2023 stands in" in power["reason"]
    assert {f["year"] for f in carbon["available"] if f["region"] == "CN-SD"} == {2021, 2022}
    assert row["total_t"] == row["scope2_t"] > power["co2_t"]


async def test_a_region_without_any_factor_leaves_scope_2_unknown(api):
    query = EIGHT | {"region": "CN-SD", "method": "fossil"}
    (row,) = (await rows_of(api, "demo/acme/emissions", **query))["carbon"]["items"]
    assert (row["scope2_t"], row["total_t"], row["total_ci_t"]) == (None, None, None)
    power = next(s for s in row["sources"] if s["source"] == "electricity")
    assert power["co2_t"] is power["co2_ci_t"] is power["factor_year"] is None
    assert "nor for any other year" in power["reason"]


async def test_a_year_that_is_chosen_is_used_and_shown(api):
    query = EIGHT | {"factor_year": 2022, "region": "CN-SD"}
    carbon = (await rows_of(api, "demo/acme/emissions", **query))["carbon"]
    (row,) = carbon["items"]
    kwh = 7.5e8 * 60 / 3.6e6
    steam_gj = 0.5 * 3600 * 0.1286 * 29.3076e-3
    sources = {s["source"]: s for s in row["sources"]}
    assert sources["electricity"]["amount"] == pytest.approx(kwh / 1e3)
    assert sources["electricity"]["co2_t"] == pytest.approx(kwh * 0.6410 / 1e3, rel=1e-9)
    assert sources["steam"]["amount"] == pytest.approx(steam_gj, rel=1e-6)
    assert row["scope2_t"] == pytest.approx(kwh * 0.6410 / 1e3 + steam_gj * 0.11, rel=1e-6)
    assert (row["scope1_t"], row["completeness"], row["quality"]) == (0.0, 1.0, 32)
    # Nothing burns here: there is no meter whose error could be told.
    assert row["scope1_ci_t"] is None
    power, steam = sources["electricity"], sources["steam"]
    assert 0 < power["co2_ci_t"] < 0.03 * power["co2_t"]
    both = np.hypot(power["co2_ci_t"], steam["co2_ci_t"])
    assert row["scope2_ci_t"] == row["total_ci_t"] == pytest.approx(both, rel=1e-9)
    factor = next(f for f in carbon["factors"] if f["of"] == "electricity")
    assert (factor["year"], factor["region"], factor["figures"]["factor"]) == (
        2022, "CN-SD", "0.6410 kg/kWh",
    )  # fmt: skip


async def test_a_meter_without_data_makes_its_scope_unknown(api, db, ids):
    await db.execute("DELETE FROM hour WHERE tag_id = $1", ids["acme/JQ-1"])
    query = EIGHT | {"factor_year": 2022}
    (row,) = (await rows_of(api, "demo/acme/emissions", **query))["carbon"]["items"]
    assert (row["scope1_t"], row["scope2_t"], row["completeness"]) == (0.0, None, 0.5)
    assert row["quality"] == q.NO_DATA | q.SIMULATED


async def test_a_scope_without_outlets_and_meters_answers_with_nothing(api):
    result = await rows_of(api, "demo/idle/emissions")
    assert (result["items"], result["permits"], result["carbon"]["items"]) == ([], [], [])
    assert result["standards"] == []


async def test_standards_are_shown_for_what_the_outlets_emit_and_as_unverified(api):
    result = (await rows_of(api, "demo/emissions", **EIGHT))["standards"]
    assert result
    assert all(set(row["limits_mg_m3"]) == {"SO2"} for row in result)
    assert not any(row["verified"] for row in result)


async def test_a_minute_is_too_short_and_ten_years_are_too_long(api):
    answer = await api.get("/api/v1/scopes/demo/emissions", params={"window": "minute"})
    assert answer.status_code == 422
    query = {"window": "month", "from": "2015-01-01T00:00:00+08:00"}
    answer = await api.get("/api/v1/scopes/demo/emissions", params=query)
    assert answer.status_code == 422
    assert "1,500 are the limit" in answer.text


async def test_the_future_is_empty_and_no_fault(api):
    query = {"from": "2025-06-03T00:00:00+08:00", "to": "2025-06-03T02:00:00+08:00"}
    for row in (await rows_of(api, "demo/acme/emissions", **query))["items"]:
        assert (row["mass_kg"], row["valid"], row["completeness"]) == (None, False, None)
