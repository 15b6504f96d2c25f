"""Energy, chlorine and by-products are sums of amounts, and say how far to trust them."""

import numpy as np
import pytest
from small_park import BEGIN, END, HOUR, S, level, roll_up, rows_of, stamp

from api import schema_scopes
from twin import quality as q
from twin.tanks import volume_fraction

pytest_plugins = ["small_park"]


@pytest.mark.parametrize(
    ("window", "rows"), [("minute", 151), ("hour", 3), ("shift", 1), ("day", 1)]
)
async def test_energy_is_the_ratio_of_the_sums_of_its_samples(api, db, window, rows):
    query = {"window": window, "from": "2025-06-02T08:00:00+08:00"}
    found = await rows_of(api, "demo/acme/energy", **query)
    schema_scopes.Energy.model_validate(found)
    assert len(found["items"]) == rows
    sums = dict(
        await db.fetch(
            "SELECT enterprise || '/' || tag, sum(amount) FROM minute"
            " JOIN tag USING (tag_id) GROUP BY 1"
        )
    )
    total = {
        key: sum(row[key] for row in found["items"] if row[key] is not None)
        for key in ("mass_t", "energy_kwh", "energy_kgce")
    }
    steam_t = sums["acme/FT-5"] / 1000
    kwh = sums["acme/JQ-1"] / 3.6e6
    assert total["mass_t"] == pytest.approx(sums["acme/FT-6"] / 1000, rel=1e-9)
    assert total["energy_kwh"] == pytest.approx(kwh, rel=1e-9)
    assert total["energy_kgce"] == pytest.approx(0.1229 * kwh + 128.6 * steam_t, rel=1e-9)
    row = found["items"][0]
    assert row["product"] == "caustic"
    assert row["kwh_per_t"] == pytest.approx(row["energy_kwh"] / row["mass_t"], rel=1e-9)
    assert row["kgce_per_t"] == pytest.approx(row["energy_kgce"] / row["mass_t"], rel=1e-9)
    assert found["references"][0]["benchmark"] == 315
    assert found["references"][0]["verified"] is False


async def test_completeness_counts_only_the_time_that_has_passed(api):
    query = {"from": "2025-06-02T09:00:00+08:00", "to": "2025-06-02T12:00:00+08:00"}
    full, running, future = (await rows_of(api, "demo/acme/energy", **query))["items"]
    assert (full["completeness"], full["quality"]) == (1.0, 32)
    assert (running["completeness"], running["quality"]) == (1.0, 32)
    assert running["end"] == "2025-06-02T11:00:00+08:00"
    assert future["completeness"] is None
    assert future["mass_t"] is None


async def test_missing_data_is_null_and_no_production_is_not_infinity(api, db, ids):
    product, steam = ids["acme/FT-6"], ids["acme/FT-5"]
    await db.execute("UPDATE minute SET amount = 0 WHERE tag_id = $1", product)
    await db.execute(
        "DELETE FROM minute WHERE tag_id = $1 AND time >= $2", steam, stamp(BEGIN + HOUR)
    )
    await db.execute(
        "DELETE FROM minute WHERE tag_id = $1 AND time >= $2", product, stamp(BEGIN + 1.5 * HOUR)
    )
    await roll_up(db)
    query = {"from": "2025-06-02T08:00:00+08:00", "to": "2025-06-02T10:00:00+08:00"}
    first, second = (await rows_of(api, "demo/acme/energy", **query))["items"]
    assert (first["mass_t"], first["kwh_per_t"], first["kgce_per_t"]) == (0.0, None, None)
    assert first["energy_kwh"] > 0
    assert (first["completeness"], first["quality"]) == (1.0, 32)
    # No steam at all: the comprehensive energy is not known, however much electricity there is.
    assert second["energy_kgce"] is None
    assert second["energy_kwh"] > 0
    assert second["completeness"] == 0.5
    assert second["quality"] == q.NO_DATA | 32


async def test_a_hole_makes_the_sum_uncertain(api, db, ids):
    await db.execute(
        "UPDATE minute SET covered_s = 0, amount = 0, quality = 164"
        " WHERE tag_id = $1 AND time = $2",
        ids["acme/FT-6"], stamp(BEGIN),
    )  # fmt: skip
    query = {
        "window": "minute",
        "from": "2025-06-02T08:00:00+08:00",
        "to": "2025-06-02T08:02:00+08:00",
    }
    hole, whole = (await rows_of(api, "demo/acme/energy", **query))["items"]
    assert hole["mass_t"] is None
    assert hole["quality"] == q.NO_DATA | 32
    assert whole["quality"] == 32
    await db.execute("UPDATE hour SET covered_s = 3540 WHERE tag_id = $1", ids["acme/FT-6"])
    row = (await rows_of(api, "demo/acme/energy", **query | {"window": "hour"}))["items"][0]
    assert row["completeness"] == pytest.approx(1 - 1 / 60 / 3)
    await db.execute("UPDATE hour SET covered_s = 1800 WHERE tag_id = $1", ids["acme/FT-6"])
    row = (await rows_of(api, "demo/acme/energy", **query | {"window": "hour"}))["items"][0]
    assert row["quality"] == q.UNCERTAIN | q.INCOMPLETE | 32


async def test_chlorine_balance_closes_with_the_tank(api):
    query = {"from": "2025-06-02T08:00:00+08:00"}
    found = await rows_of(api, "demo/acme/chlorine", **query)
    schema_scopes.Chlorine.model_validate(found)
    first, second, running = found["items"]
    made = 16e3 * 100 * 0.96 * 70.906e-3 / (2 * 96485.33212) * 3.6
    full = np.pi / 4 * 9 * 16 * 1.425

    def held(metres):
        return float(volume_fraction(np.array([metres / 3]))[0] * full)

    change = held(level(BEGIN + 2 * HOUR - 60 * S)) - held(level(BEGIN + HOUR - 60 * S))
    assert second["production_t"] == pytest.approx(made, rel=1e-9)
    assert (second["consumption_t"], second["export_t"]) == (18.0, 3.6)
    assert (second["import_t"], second["vent_t"]) == (None, None)
    assert second["inventory_t"] == pytest.approx(held(level(BEGIN + 2 * HOUR - 60 * S)))
    assert second["inventory_change_t"] == pytest.approx(change)
    assert second["unaccounted_t"] == pytest.approx(made - 18 - 3.6 - change)
    assert (second["completeness"], second["quality"]) == (1.0, 32)
    # The first edge has no minute before it: the first one after it is near enough.
    assert first["inventory_change_t"] == pytest.approx(
        held(level(BEGIN + HOUR - 60 * S)) - held(level(BEGIN))
    )
    # The running hour is balanced up to the last full minute.
    assert running["inventory_t"] == pytest.approx(held(level(END - 60 * S)))
    assert found["tanks"] == [
        {"id": "V-1", "scope": "demo/acme/caustic/store", "inventory_t": pytest.approx(held(1.5)),
         "capacity_t": pytest.approx(full), "fill": 0.5, "fill_limit": 0.8,
         "time": "2025-06-02T10:30:00+08:00", "quality": 32},
    ]  # fmt: skip


async def test_without_a_level_near_the_edge_the_balance_is_unknown(api, db, ids):
    edge = BEGIN + HOUR
    await db.execute(
        "DELETE FROM minute WHERE tag_id = $1 AND time BETWEEN $2 AND $3",
        ids["acme/LT-1"], stamp(edge - 10 * 60 * S), stamp(edge + 20 * 60 * S),
    )  # fmt: skip
    query = {"from": "2025-06-02T08:00:00+08:00", "to": "2025-06-02T10:00:00+08:00"}
    first, second = (await rows_of(api, "demo/acme/chlorine", **query))["items"]
    assert first["inventory_t"] is not None
    await db.execute(
        "DELETE FROM minute WHERE tag_id = $1 AND time BETWEEN $2 AND $3",
        ids["acme/LT-1"], stamp(edge - 20 * 60 * S), stamp(edge + 20 * 60 * S),
    )  # fmt: skip
    first, second = (await rows_of(api, "demo/acme/chlorine", **query))["items"]
    assert (first["inventory_t"], first["unaccounted_t"]) == (None, None)
    assert second["inventory_t"] is not None
    assert second["unaccounted_t"] is None
    assert first["quality"] >= q.BAD
    assert first["production_t"] > 0


async def test_byproducts_are_balanced_and_scopes_without_any_are_empty(api):
    query = {"from": "2025-06-02T08:00:00+08:00", "to": "2025-06-02T09:00:00+08:00"}
    found = await rows_of(api, "demo/acme/byproducts", **query)
    schema_scopes.Byproducts.model_validate(found)
    (row,) = found["items"]
    made = 16e3 * 100 * 2.01588e-3 / (2 * 96485.33212) * 3.6
    vented = 0.1 * 0.08994 * 3.6
    assert row["medium"] == "hydrogen"
    assert row["make_t"] == pytest.approx(made)
    assert row["vent_t"] == pytest.approx(vented)
    assert row["unaccounted_t"] == pytest.approx(made - vented)
    assert row["inventory_change_t"] is None
    assert (await rows_of(api, "demo/idle/byproducts"))["items"] == []
    assert (await rows_of(api, "demo/idle/energy"))["items"] == []
    empty = await rows_of(api, "demo/idle/chlorine")
    assert (empty["items"], empty["tanks"]) == ([], [])
