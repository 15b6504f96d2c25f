"""Chlorine of a scope: balance with its interval, local shares, and what tanks can take now."""

import numpy as np
import pytest

from tests.support.data import data_text
from tests.support.small_park import (
    BEGIN,
    END,
    HOUR,
    PARK_TOML,
    S,
    add_samples,
    change_minutes,
    level,
    rows_of,
    serving,
    stamp,
    with_park,
)
from twin import quality as q
from twin.accounts.vessel_shapes import cylinder_share
from twin.reference import load

pytest_plugins = ["tests.support.small_park"]
FULL = np.pi / 4 * 9 * 16 * 1.425  # t
LIMIT = 0.8 * FULL
CAUSTIC = np.pi / 4 * 4**2 * 1.34  # t in a metre of the tank at the absorber
MADE = 16e3 * 100 * 0.96 * 70.906e-3 / (2 * 96485.33212) * 3.6  # t/h
HOUR_9 = {"from": "2025-06-02T09:00:00+08:00", "to": "2025-06-02T10:00:00+08:00"}
MORE = data_text("demo/chlorine.toml")
TAGS = data_text("demo/chlorine.csv")
MEAN = {"FT-1301": 3.0, "FT-1304": 0.5, "FT-1203": 0.2, "FT-1303": 0.1, "LT-1301": 0.05,
        "LT-1401": 2.0}  # fmt: skip


LIQUEFIED = PARK_TOML.replace('mode = "internal"', 'mode = "internal"\nflow = "acme/FT-1301"')
# Everything metered, a spare tank, an absorber and hazards; and without the meter of what is
# vaporised.
FARM = with_park(LIQUEFIED + MORE, TAGS, MEAN)
UNMETERED = with_park(LIQUEFIED + MORE.replace('flow = "acme/FT-1304"\n', ""), TAGS, MEAN)


def held(metres):
    """Return what a tank holds [t]."""
    return float(cylinder_share(np.array(metres / 3))) * FULL


def near(value, rel=1e-9):
    return pytest.approx(value, rel=rel)


async def test_chlorine_balance_closes_with_the_tank(api):
    query = {"from": "2025-06-02T08:00:00+08:00"}
    answer = await rows_of(api, "demo/acme/chlorine", **query)
    first, second, running = answer["items"]
    change = held(level(BEGIN + 2 * HOUR - 60 * S)) - held(level(BEGIN + HOUR - 60 * S))
    assert second["production_t"] == pytest.approx(MADE, rel=1e-9)
    assert (second["consumption_t"], second["export_t"]) == (18.0, 3.6)
    assert (second["import_t"], second["vent_t"]) == (None, None)
    assert second["inventory_t"] == pytest.approx(held(level(BEGIN + 2 * HOUR - 60 * S)))
    assert second["inventory_change_t"] == pytest.approx(change)
    assert second["unaccounted_t"] == pytest.approx(MADE - 18 - 3.6 - change)
    assert (second["completeness"], second["quality"]) == (1.0, 32)
    # The first edge has no minute before it: the first one after it is near enough.
    assert first["inventory_change_t"] == pytest.approx(
        held(level(BEGIN + HOUR - 60 * S)) - held(level(BEGIN))
    )
    # The running hour is balanced up to the last full minute.
    assert running["inventory_t"] == pytest.approx(held(level(END - 60 * S)))
    assert answer["tanks"] == [
        {"id": "V-1", "scope": "demo/acme/caustic/store", "inventory_t": pytest.approx(held(1.5)),
         "capacity_t": pytest.approx(FULL), "fill": 0.5, "fill_limit": 0.8,
         "time": "2025-06-02T10:30:00+08:00", "quality": 32},
    ]  # fmt: skip


async def test_without_a_level_near_the_edge_the_balance_is_unknown(api, db, ids):
    edge = BEGIN + HOUR
    await change_minutes(db, ids["acme/LT-1"], "", edge - 600 * S, edge + 1200 * S + 1)
    query = {"from": "2025-06-02T08:00:00+08:00", "to": "2025-06-02T10:00:00+08:00"}
    first, second = (await rows_of(api, "demo/acme/chlorine", **query))["items"]
    assert first["inventory_t"] is not None
    await change_minutes(db, ids["acme/LT-1"], "", edge - 1200 * S, edge + 1200 * S + 1)
    first, second = (await rows_of(api, "demo/acme/chlorine", **query))["items"]
    assert (first["inventory_t"], first["unaccounted_t"]) == (None, None)
    assert second["inventory_t"] is not None
    assert second["unaccounted_t"] is None
    assert first["quality"] >= q.BAD
    assert first["production_t"] > 0


def efficiency():
    """Return the uncertainty of the current efficiency of one circuit: the place's and its own."""
    known = load("uncertainty")["current_efficiency"]
    return np.hypot(known["relative"], known["own"])


@FARM
async def test_interval_of_the_unaccounted_is_that_of_the_meters_at_the_fence(api):
    (row,) = (await rows_of(api, "demo/acme/chlorine", **HOUR_9))["items"]
    cells = efficiency()
    levels = np.array([level(BEGIN + n * HOUR - 60 * S) for n in (1, 2)])
    # A fifth of the variance is random and averages out with a correlation of a minute: nearly all
    # of it in the hour of a meter, nothing in a level.
    share = {q: load("uncertainty")["random"][q]["share"] for q in ("level", "current")}
    assert share == {"level": 0.2, "current": 0.2}

    def tank(h, part):
        return (held(h + 0.01 * part**0.5) - held(h - 0.01 * part**0.5)) / 2

    tanks = [tank(h, 0.2) for h in (*levels, 0.05, 0.05)]
    tanks.append(tank(levels[1], 0.8) - tank(levels[0], 0.8))
    hour = (0.8 + 0.2 * (1 - 1 / 180) / 60) ** 0.5
    meters = [MADE * np.hypot(0.002 * hour, cells)]
    meters += [flow * 0.01 * hour for flow in (18, 1.8, 0.72, 3.6)]
    width = 1.959963984540054
    assert row["unaccounted_ci_t"] == near(width * np.hypot.reduce([*meters, *tanks]))
    assert row["production_ci_t"] == near(width * meters[0])
    assert row["consumption_ci_t"] == near(width * np.hypot.reduce(meters[1:4]))
    assert row["export_ci_t"] == near(width * meters[4])
    assert row["inventory_change_ci_t"] == near(width * np.hypot.reduce(tanks))
    assert (row["import_t"], row["import_ci_t"]) == (None, None)
    # The farm's own meter is inside the fence and cancels.
    assert row["consumption_t"] == near(18 + 1.8 + 0.72)


@FARM
async def test_interval_is_null_when_a_term_is_unknown(api, db, ids):
    await db.execute("DELETE FROM hour WHERE tag_id = $1", ids["acme/FT-3"])
    (row,) = (await rows_of(api, "demo/acme/chlorine", **HOUR_9))["items"]
    assert (row["unaccounted_t"], row["unaccounted_ci_t"]) == (None, None)
    assert (row["export_t"], row["export_ci_t"]) == (None, None)
    assert row["production_ci_t"] > 0
    assert (row["k1"], row["k2"]) == (None, None)
    assert (row["k1_ci"], row["k2_ci"]) == (None, None)
    assert row["quality"] >= q.BAD
    assert row["production_t"] == near(MADE)


@FARM
async def test_local_shares_depend_on_the_boundary(api):
    hour = (0.8 + 0.2 * (1 - 1 / 180) / 60) ** 0.5
    cells = np.hypot(0.002 * hour, efficiency())
    for path, local in {"demo": 1.8, "demo/acme": 1.8, "demo/acme/caustic": 0.0}.items():
        (row,) = (await rows_of(api, f"{path}/chlorine", **HOUR_9))["items"]
        assert row["k1"] == near(local / 5.4)
        assert row["k2"] == near(1 - (5.4 - local) / MADE)
        assert row["quality"] == 32
        # What is all exported has a share of zero, whatever the meters say.
        assert (row["k1_ci"] > 0) == (local > 0)
        sold = [3.6] if local else [3.6, 1.8]
        sigma = np.hypot(0.01 * hour * np.hypot.reduce(sold), cells * sum(sold)) / MADE
        assert row["k2_ci"] == near(1.959963984540054 * sigma)
    # No tanks and no cells: neither reading has a meaning here.
    (row,) = (await rows_of(api, "demo/acme/vcm/chlorine", **HOUR_9))["items"]
    assert (row["k1"], row["k2"], row["quality"]) == (None, None, 32)
    assert (row["k1_ci"], row["k2_ci"]) == (None, None)


@UNMETERED
async def test_a_user_without_a_meter_leaves_the_shares_it_is_part_of_unknown(api):
    (row,) = (await rows_of(api, "demo/acme/chlorine", **HOUR_9))["items"]
    assert (row["k1"], row["k1_ci"]) == (None, None)
    assert row["k2"] == near(1 - 3.6 / MADE)
    assert row["k2_ci"] > 0
    (row,) = (await rows_of(api, "demo/acme/caustic/chlorine", **HOUR_9))["items"]
    assert (row["k2"], row["k2_ci"]) == (None, None)


@FARM
async def test_a_hole_in_a_meter_of_the_shares_alone_is_not_good(api, db, ids):
    # Inside the plant, the flow to the vaporiser is in none of the accounts of the enterprise's
    # fence but in the first reading.
    await db.execute(
        "UPDATE hour SET covered_s = covered_s / 2 WHERE tag_id = $1", ids["acme/FT-1304"]
    )
    (row,) = (await rows_of(api, "demo/acme/caustic/chlorine", **HOUR_9))["items"]
    assert row["completeness"] < 1
    assert row["quality"] == q.UNCERTAIN | q.INCOMPLETE | 32


@FARM
async def test_without_production_the_shares_are_null_and_not_infinite(api, db, ids):
    for tag in ("II-1", "FT-3", "FT-1304"):
        await db.execute("UPDATE hour SET amount = 0 WHERE tag_id = $1", ids[f"acme/{tag}"])
    (row,) = (await rows_of(api, "demo/acme/chlorine", **HOUR_9))["items"]
    assert (row["production_t"], row["k1"], row["k2"]) == (0.0, None, None)
    assert (row["k1_ci"], row["k2_ci"]) == (None, None)


@FARM
async def test_room_in_the_tanks_follows_from_the_live_values(api):
    answer = await rows_of(api, "demo/acme/chlorine")
    room, filling = LIMIT - held(1.5), (3 - 1.5) * 3.6
    now = answer["now"]
    assert now == {
        "headroom_t": near(room),
        "filling_t_per_h": near(filling),
        "headroom_h": near(room / filling),
        "stock_days": near((held(1.5) + held(0.05)) / MADE / 24),
        "stock_of": "production",
        "stock_limit_days": 3.0,
        "minutes_to_full_on_trip": near(room / (filling + 18) * 60),
        "largest_user": "cl2-vcm",
        "largest_user_t_per_h": near(18),
        "spare_tank_ready": True,
        "absorbers": [
            {
                "id": "A-1", "scope": "demo/acme/caustic", "caustic_t": near(CAUSTIC * 2 * 0.32),
                "chlorine_t_per_h": near(0.36), "absorber_min": now["absorbers"][0]["absorber_min"],
                "quality": 32,
            }
        ],
        "quality": 32,
    }  # fmt: skip
    caustic = now["absorbers"][0]["caustic_t"]
    minutes = caustic / (0.36 * 2 * 39.99711 / 70.906) * 60
    assert now["absorbers"][0]["absorber_min"] == near(minutes, rel=1e-6)


@FARM
async def test_room_at_a_past_moment_follows_from_the_values_of_that_moment(api, db, ids):
    then = END - 1800 * S
    for name, value in {"FT-1301": 3.5, "FT-1304": 0.5, "FT-1203": 0.2, "FT-1303": 0.1}.items():
        await add_samples(db, ids[f"acme/{name}"], [then], [value])
    await add_samples(db, ids["acme/LT-1"], [then], [1.2])
    await add_samples(db, ids["acme/LT-1301"], [then], [0.05])
    answer = await rows_of(api, "demo/acme/chlorine", at=stamp(then).isoformat())
    now, room = answer["now"], LIMIT - held(1.2)
    assert now["headroom_t"] == near(room)
    tank, spare = answer["tanks"]
    assert (tank["inventory_t"], tank["time"]) == (near(held(1.2)), "2025-06-02T10:00:00+08:00")
    assert spare["inventory_t"] == near(held(0.05))
    later = await rows_of(api, "demo/acme/chlorine", at=stamp(END - 60 * S).isoformat())
    assert later["now"]["headroom_t"] is None
    assert later["tanks"][0]["quality"] == q.BAD | q.STALE | 32
    figure = f"/api/v1/scopes/demo/acme/chlorine?at={stamp(then).isoformat()[:19]}Z#/now/headroom_t"
    explained = (await api.get("/api/v1/explain", params={"figure": figure})).json()["items"][0]
    assert explained["value"] == near(room)
    assert [row["tag"] for row in explained["inputs"]] == ["acme/LT-1"]


@FARM
async def test_legal_level_and_live_figure_stand_apart(api, db, ids):
    store, plant = (await rows_of(api, "demo/acme/chlorine"))["hazards"]
    maximum = {"s": near(41.2), "r": near(247.2), "level": 1, "verified": False}
    assert store["design_maximum"] == maximum
    live = (held(1.5) + held(0.05)) / 5 * 4 * 1.5
    assert store["live"] == {"r_equivalent": near(live), "quality": 32}
    assert (store["name"]["en"], store["persons"]) == ("Liquid-chlorine tank farm", 60)
    # Hydrogen is in no tank: what there is of it now is not known. Below S = 1 there is no level.
    assert plant["design_maximum"]["s"] == near(0.82)
    assert plant["design_maximum"]["level"] == 0
    assert plant["live"]["r_equivalent"] is None
    assert plant["name"] is None
    assert [
        h["id"] for h in (await rows_of(api, "demo/acme/caustic/store/chlorine"))["hazards"]
    ] == ["H-1"]


@FARM
async def test_a_value_that_is_too_old_says_nothing_about_now(db, ids, database):
    old = END - 10 * 60 * S
    await db.execute(
        "UPDATE sample SET time = $1 WHERE tag_id = $2", stamp(old), ids["acme/FT-1301"]
    )
    await db.execute("UPDATE sample SET quality = 160 WHERE tag_id = $1", ids["acme/LT-1401"])
    async with serving(database) as (api, _):
        now = (await rows_of(api, "demo/acme/chlorine"))["now"]
    unknown = ("filling_t_per_h", "headroom_h", "minutes_to_full_on_trip")
    assert [now[name] for name in unknown] == [None] * 3
    assert now["headroom_t"] == near(LIMIT - held(1.5))
    assert now["quality"] == q.BAD | q.STALE | 32
    absorber = now["absorbers"][0]
    assert absorber["caustic_t"] is absorber["absorber_min"] is None
    assert absorber["quality"] == 160


@FARM
async def test_tanks_that_do_not_fill_have_no_end_and_full_ones_no_time(db, ids, database):
    await db.execute("UPDATE sample SET value = 1 WHERE tag_id = $1", ids["acme/FT-1301"])
    await db.execute("UPDATE sample SET value = 0 WHERE tag_id = $1", ids["acme/FT-1303"])
    async with serving(database) as (api, _):
        now = (await rows_of(api, "demo/acme/chlorine"))["now"]
    assert now["headroom_h"] is None
    assert now["filling_t_per_h"] == near(-1.8)
    assert now["minutes_to_full_on_trip"] > 0
    assert now["absorbers"][0]["absorber_min"] is None
    assert now["absorbers"][0]["chlorine_t_per_h"] == 0
    await db.execute("UPDATE sample SET value = 2.5 WHERE tag_id = $1", ids["acme/LT-1"])
    await db.execute("UPDATE sample SET value = 2.5 WHERE tag_id = $1", ids["acme/LT-1301"])
    async with serving(database) as (api, _):
        now = (await rows_of(api, "demo/acme/chlorine"))["now"]
    assert (now["headroom_t"], now["headroom_h"], now["minutes_to_full_on_trip"]) == (0, 0, 0)
    assert now["spare_tank_ready"] is False


async def test_what_the_model_does_not_have_is_null_and_not_nothing(api):
    now = (await rows_of(api, "demo/acme/chlorine"))["now"]
    # The inflow has no meter, and no tank is called a spare.
    unknown = ("headroom_h", "filling_t_per_h", "minutes_to_full_on_trip", "spare_tank_ready")
    assert [now[name] for name in unknown] == [None] * 4
    assert now["headroom_t"] == near(LIMIT - held(1.5))
    assert now["stock_days"] == near(held(1.5) / MADE / 24)
    answer = await rows_of(api, "demo/idle/chlorine")
    assert (answer["items"], answer["tanks"], answer["hazards"]) == ([], [], [])
    assert answer["now"].pop("absorbers") == []
    assert answer["now"].pop("quality") == q.NO_DATA
    assert set(answer["now"].values()) == {None}
    figures = {figure["id"]: figure for figure in answer["references"]}
    assert (figures["local_share"]["value"], figures["local_share"]["uom"]) == (85.0, "%")
    assert figures["local_share"]["verified"] is True
    assert (figures["stock_producer"]["value"], figures["stock_user"]["value"]) == (3.0, 7.0)
    assert figures["fill_limit"]["verified"] is False


async def test_chlor_alkali_balance_leaves_out_what_is_sold_by_road_and_vented(api):
    # 5 kg/s go to VCM by pipe, 1 kg/s to the market by road; 6 kg/s of caustic soda are made.
    owed = 6 * 70.906 / (2 * 39.997)
    for path in ("demo/acme", "demo/acme/caustic"):
        (row,) = (await rows_of(api, f"{path}/chlorine", **HOUR_9))["items"]
        assert row["chlor_alkali_balance"] == near(5 / owed, rel=1e-4)
        hour = (0.8 + 0.2 * (1 - 1 / 180) / 60) ** 0.5
        width = 1.959963984540054 * 0.01 * 2**0.5 * hour
        assert row["chlor_alkali_balance_ci"] == near(width * 5 / owed, rel=1e-4)
    (row,) = (await rows_of(api, "demo/acme/vcm/chlorine", **HOUR_9))["items"]
    assert (row["chlor_alkali_balance"], row["chlor_alkali_balance_ci"]) == (None, None)
