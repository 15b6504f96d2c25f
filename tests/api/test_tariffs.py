"""Price tiers over HTTP: decided by accurate meters, undecided by usual ones."""

import pytest

from tests.support.small_park import PARK_TOML, rows_of, with_park

pytest_plugins = ["tests.support.small_park"]
HOUR_9 = {"from": "2025-06-02T09:00:00+08:00", "to": "2025-06-02T10:00:00+08:00"}
HOUR_9_ROWS = HOUR_9 | {"window": "hour"}
TOML = (
    PARK_TOML
    + """
[[product]]
id = "aluminium"
scope = "demo/idle"
tag = "acme/WI-1"

[[meter]]
scope = "demo/idle"
carrier = "electricity"
tag = "acme/PI-1"
product = "aluminium"
"""
)
# 1 t/h; the power in MW is the consumption in MWh/t.
TAGS = """WI-1,demo/acme,mass_flow,t/h,gauge,0,100,{sigma} %,aluminium
PI-1,demo/acme,power,MW,gauge,0,100,{sigma} %,electricity of the potline
"""


def smelter(mwh_per_t, sigma):
    """Return the mark of a park with a smelter and the accuracy of its two meters in per cent."""
    return with_park(TOML, TAGS.format(sigma=sigma), {"WI-1": 1 / 3.6, "PI-1": mwh_per_t * 1e6})


@smelter(13.310, 0.01)
async def test_tier_surcharge_and_cost_of_a_year_follow_from_accurate_meters(api):
    answer = await rows_of(api, "demo/idle/tariffs", **HOUR_9_ROWS)
    (row,) = answer["items"]
    assert row["kwh_per_t"] == pytest.approx(13_310, rel=1e-9)
    # Two meters of 0.01 %: 13,310 * 0.0001 * sqrt(2) * 1.96 = 3.7 kWh/t at most, less than 10.
    assert 1 < row["kwh_per_t_ci"] < 3.7
    assert (row["line_kwh_per_t"], row["tier"], row["reason"]) == (13_300, 1, "")
    assert row["surcharge_cny_per_kwh"] == pytest.approx(0.01)
    assert row["electricity_kwh"] == pytest.approx(13_310)
    # 13,310 kW for 8,760 h at 0.01 CNY/kWh.
    assert row["cny_per_year"] == pytest.approx(13_310 * 8_760 * 0.01)
    assert row["cny_per_year_min"] < row["cny_per_year"] < row["cny_per_year_max"]
    (line,) = answer["lines"]
    assert (line["year"], line["kwh_per_t"], line["verified"]) == (2025, 13_300, False)
    assert line["standard"] == "发改价格〔2021〕1239号"
    query = HOUR_9_ROWS | {"renewable": 0.25}
    (row,) = (await rows_of(api, "demo/idle/tariffs", **query))["items"]
    assert row["surcharge_cny_per_kwh"] == pytest.approx(0.009)


@smelter(13.310, 0.2)
async def test_tier_is_undecided_where_the_interval_of_the_meters_crosses_one(api):
    (row,) = (await rows_of(api, "demo/idle/tariffs", **HOUR_9_ROWS))["items"]
    assert (row["tier"], row["surcharge_cny_per_kwh"], row["cny_per_year"]) == (None, None, None)
    assert row["tier_min"] == 0
    assert row["tier_max"] >= 2
    assert row["cny_per_year_min"] == 0 < row["cny_per_year_max"]
    assert "reaches over the edge of a tier" in row["reason"]


@smelter(13.310, 0.01)
async def test_time_without_aluminium_data_has_no_tier_and_a_reason(api):
    query = {"from": "2025-05-01T00:00:00+08:00", "to": "2025-05-01T01:00:00+08:00"}
    (row,) = (await rows_of(api, "demo/idle/tariffs", **query, window="hour"))["items"]
    assert (row["tier"], row["tier_min"], row["cny_per_year_max"]) == (None, None, None)
    assert row["reason"].startswith("not known")
    assert row["quality"] >= 128


async def test_scope_without_aluminium_has_no_rows(api):
    assert (await rows_of(api, "demo/tariffs"))["items"] == []
