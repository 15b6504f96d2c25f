"""One policy for missing data: what the answers say when meters are silent."""

import numpy as np
import pytest

from tests.support.small_park import (
    BEGIN,
    HOUR,
    JOULE_PER_MINUTE,
    PARK_TOML,
    S,
    add_minutes,
    change_minutes,
    roll_up,
    rows_of,
    serving,
    with_park,
)
from twin import quality as q

pytest_plugins = ["tests.support.small_park"]

HOUR_8 = {"from": "2025-06-02T08:00:00+08:00", "to": "2025-06-02T09:00:00+08:00"}
MINUTE = 60 * S
METER, MASS = "acme/JQ-1", "acme/FT-6"
KWH_PER_T = JOULE_PER_MINUTE * 60 / 3.6e6 / (6 * 3.6)


async def caustic(api, **query):
    """Return the energy row of caustic."""
    rows = (await rows_of(api, "demo/acme/energy", **HOUR_8 | query))["items"]
    return next(row for row in rows if row["product"] == "caustic")


async def target(api, **query):
    items = (await api.get("/api/v1/targets", params=HOUR_8 | query)).json()["items"]
    return next(item for item in items if item["id"] == "kwh")


async def forget(db, tag, minutes, first=0):
    """Delete the first minutes of a tag in the hour."""
    begin = BEGIN + first * MINUTE
    await change_minutes(db, tag, "", begin, begin + minutes * MINUTE)
    await roll_up(db)


async def vary(db, tag, amounts):
    """Store other amounts in the minutes of a tag in the hour."""
    await change_minutes(db, tag, "", BEGIN, BEGIN + HOUR)
    for n, amount in enumerate(amounts.tolist()):
        await add_minutes(db, tag, BEGIN + n * MINUTE, lambda _, a=amount: a, lambda _: 1.0)
    await roll_up(db)


async def test_45_of_60_minutes_missing_is_no_value_and_no_verdict(api, db, ids):
    await forget(db, ids[METER], 45)
    row, judged = await caustic(api), await target(api)
    assert (row["kwh_per_t"], row["kwh_per_t_ci"]) == (None, None)
    assert (row["kgce_per_t"], row["position"]) == (None, "undecided")
    assert row["reason"] == "not known: 25% of the time is covered by all of its tags"
    assert (row["completeness"], row["missing"]) == (0.25, [METER])
    assert row["quality"] == q.UNCERTAIN | q.INCOMPLETE | 32
    # The amounts are what was measured, each next to its completeness.
    assert row["energy_kwh"] == pytest.approx(JOULE_PER_MINUTE * 15 / 3.6e6)
    assert row["mass_t"] == pytest.approx(6 * 3.6)
    assert (row["energy_kwh_completeness"], row["mass_completeness"]) == (0.25, 1.0)
    assert (judged["value"], judged["verdict"], judged["missing"]) == (None, "undecided", [METER])
    assert judged["completeness"] == 0.25
    assert judged["reason"] == "only 25% of the time is covered by all of its tags"


async def test_where_a_quarter_is_enough_the_value_is_right_and_its_interval_wider(
    database, db, ids
):
    used = JOULE_PER_MINUTE * (1 + 0.05 * np.sin(np.arange(60)))
    await vary(db, ids[METER], used)
    whole = float(used.sum()) / 3.6e6 / (6 * 3.6)
    settings = {"value_completeness": 0.2, "verdict_completeness": 0.25}
    async with serving(database, **settings) as (api, _):
        before = await caustic(api)
        assert before["kwh_per_t"] == pytest.approx(whole)
        await forget(db, ids[METER], 45)
        row = await caustic(api)
        assert row["kwh_per_t"] == pytest.approx(float(used[45:].sum()) / 15 * 60 / 3.6e6 / 21.6)
        assert abs(row["kwh_per_t"] - whole) <= row["kwh_per_t_ci"]
        assert row["kwh_per_t_ci"] > 1.1 * before["kwh_per_t_ci"]
        assert (await target(api))["verdict"] == "met"


async def test_with_a_third_missing_there_is_a_value_and_no_verdict(api, db, ids):
    await forget(db, ids[METER], 20)
    row, judged = await caustic(api), await target(api)
    assert row["kwh_per_t"] == pytest.approx(KWH_PER_T)
    assert row["position"] == "undecided"
    assert judged["value"] == pytest.approx(KWH_PER_T)
    assert (judged["verdict"], judged["missing"]) == ("undecided", [METER])
    await forget(db, ids[METER], 0)
    day = {"window": "day", "to": "2025-06-02T10:00:00+08:00"}
    assert (await caustic(api, **day))["completeness"] == pytest.approx(130 / 630)


async def test_meters_silent_at_different_times_share_what_is_left_of_the_hour(api, db, ids):
    await forget(db, ids[METER], 10)
    await forget(db, ids[MASS], 5, first=8)
    row = await caustic(api)
    assert row["kwh_per_t"] == pytest.approx(KWH_PER_T)
    assert row["completeness"] == pytest.approx(47 / 60)
    assert row["missing"] == [METER, MASS]
    assert row["position"] == "better_than_benchmark"


async def test_half_a_minute_counts_as_half_a_minute(api, db, ids):
    begin = BEGIN, BEGIN + 10 * MINUTE
    half = f"covered_s = 30, amount = {JOULE_PER_MINUTE / 2}"
    await change_minutes(db, ids[METER], half, *begin)
    await roll_up(db)
    row = await caustic(api)
    assert row["kwh_per_t"] == pytest.approx(KWH_PER_T)
    assert row["completeness"] == pytest.approx(55 / 60)


SOLD = (
    PARK_TOML
    + """
[[meter]]
scope = "demo/acme/caustic"
carrier = "electricity"
tag = "acme/JI-3"
direction = "out"
"""
)


@with_park(SOLD, "JI-3,demo/acme/caustic,power,MW,gauge,0,60,0.2 %,sold\n", {"JI-3": 2e6})
async def test_what_comes_in_less_what_goes_out_is_a_balance_of_the_joint_time(api, db, ids):
    net = JOULE_PER_MINUTE - 2e6 * 60
    row = await caustic(api)
    assert row["energy_kwh"] == pytest.approx(net * 60 / 3.6e6)
    # Half of what is sold is not seen: what is used does not grow by it.
    await forget(db, ids["acme/JI-3"], 30)
    row = await caustic(api)
    assert row["energy_kwh"] == pytest.approx(net * 30 / 3.6e6)
    assert row["energy_kwh_completeness"] == 0.5
    assert row["kwh_per_t"] == pytest.approx(net * 60 / 3.6e6 / 21.6)


async def test_hours_too_many_to_look_into_count_as_not_covered(database, db, ids):
    await forget(db, ids[METER], 1)
    query = {"to": "2025-06-02T10:00:00+08:00"}
    async with serving(database) as (api, context):
        assert (await caustic(api, **query))["completeness"] == pytest.approx(59 / 60)
        context.settings.calculation_values_max = 100
        row = await caustic(api, **query)
        assert (row["completeness"], row["kwh_per_t"]) == (0.0, None)


MADE = 16e3 * 100 * 0.96 * 70.906e-3 / (2 * 96485.33212) * 3.6  # t/h
USED, SOLD_T = 5.0 * 3.6, 1.0 * 3.6


async def chlorine(api, path="demo/acme", **query):
    (row,) = (await rows_of(api, f"{path}/chlorine", **HOUR_8 | query))["items"]
    return row


async def test_a_balance_is_that_of_the_joint_time_with_what_the_tank_took_up_in_it(api, db, ids):
    whole = await chlorine(api)
    await forget(db, ids["acme/FT-1"], 24, first=12)
    row = await chlorine(api)
    # Flows are what was measured, the change of the inventory that of the whole hour.
    assert row["production_t"] == pytest.approx(MADE)
    assert row["consumption_t"] == pytest.approx(USED * 0.6)
    assert (row["production_completeness"], row["consumption_completeness"]) == (1.0, 0.6)
    assert row["inventory_change_t"] == whole["inventory_change_t"]
    assert row["completeness"] == pytest.approx(0.6)
    assert row["missing"] == ["acme/FT-1"]
    # The level rises evenly: of 36 minutes in two runs the tank took up six tenths, but for the
    # curve of its wall. The difference of the sums of the hour would be 7.2 t off.
    expected = whole["unaccounted_t"] * 0.6
    assert row["unaccounted_t"] == pytest.approx(expected, abs=0.2)
    assert row["unaccounted_ci_t"] > 0
    await forget(db, ids["acme/FT-1"], 40)
    row = await chlorine(api)
    assert (row["unaccounted_t"], row["unaccounted_ci_t"]) == (None, None)
    assert row["reason"] == "not known: 33% of the time is covered by all of its tags"


async def test_a_tank_without_a_level_at_an_edge_of_the_joint_time_leaves_it_unknown(api, db, ids):
    await forget(db, ids["acme/FT-1"], 10, first=20)
    await forget(db, ids["acme/LT-1"], 50, first=5)
    row = await chlorine(api)
    assert row["unaccounted_t"] is None
    assert "tanks" in row["reason"]
    assert row["inventory_change_t"] is not None


async def test_local_shares_are_those_of_the_joint_time(api, db, ids):
    before = await chlorine(api)
    await forget(db, ids["acme/FT-3"], 12)
    row = await chlorine(api)
    assert row["k2"] == pytest.approx(before["k2"])
    assert row["k2_completeness"] == pytest.approx(0.8)
    assert row["k2_ci"] >= before["k2_ci"]
    await forget(db, ids["acme/FT-3"], 40)
    row = await chlorine(api)
    assert (row["k2"], row["k2_ci"]) == (None, None)
    assert row["k2_completeness"] == pytest.approx(1 / 3)


async def test_a_byproduct_is_balanced_and_offered_by_the_joint_time(api, db, ids):
    (before,) = (await rows_of(api, "demo/acme/byproducts", **HOUR_8))["items"]
    (offer,) = (await rows_of(api, "demo/symbiosis", **HOUR_8, window="hour"))["items"]
    await forget(db, ids["acme/FT-4"], 20)
    (row,) = (await rows_of(api, "demo/acme/byproducts", **HOUR_8))["items"]
    assert row["vent_t"] == pytest.approx(before["vent_t"] * 2 / 3)
    assert row["unaccounted_t"] == pytest.approx(before["unaccounted_t"] * 2 / 3)
    assert row["completeness"] == pytest.approx(2 / 3)
    (after,) = (await rows_of(api, "demo/symbiosis", **HOUR_8, window="hour"))["items"]
    assert after["surplus_t_h"] == pytest.approx(offer["surplus_t_h"])
    await forget(db, ids["acme/FT-4"], 40)
    (after,) = (await rows_of(api, "demo/symbiosis", **HOUR_8, window="hour"))["items"]
    assert (after["surplus_t_h"], after["missing"]) == (None, ["acme/FT-4"])
    assert after["reason"] == "not known: 33% of the time is covered by all of its tags"
