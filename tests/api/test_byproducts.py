"""By-products over HTTP: their balances, and where what is left could go."""

import numpy as np
import pytest

from tests.support.small_park import BEGIN, HOUR, roll_up, rows_of, stamp
from twin.reconciliation.uncertainty import efficiency_uncertainty, left_of_mean

pytest_plugins = ["tests.support.small_park"]
QUERY = {
    "window": "hour",
    "from": "2025-06-02T08:00:00+08:00",
    "to": "2025-06-02T09:00:00+08:00",
}
VENTED = 0.1 * 0.08994 * 3.6  # t/h


async def test_byproducts_are_balanced_and_scopes_without_any_are_empty(api):
    result = await rows_of(api, "demo/acme/byproducts", **QUERY)
    (row,) = result["items"]
    made = 16e3 * 100 * 2.01588e-3 / (2 * 96485.33212) * 3.6
    assert row["medium"] == "hydrogen"
    assert row["make_t"] == pytest.approx(made)
    assert row["vent_t"] == pytest.approx(VENTED)
    assert row["unaccounted_t"] == pytest.approx(made - VENTED)
    assert (row["inventory_change_t"], row["inventory_change_ci_t"]) == (None, None)
    remaining = np.sqrt(left_of_mean(0.2, 60.0, 3600.0))
    common, _ = efficiency_uncertainty("hydrogen")
    cells, vent = np.hypot(0.002 * remaining, common), 0.01 * remaining
    width = 1.959963984540054
    assert row["make_ci_t"] == pytest.approx(width * cells * made, rel=1e-9)
    assert row["vent_ci_t"] == pytest.approx(width * vent * VENTED, rel=1e-9)
    assert row["unaccounted_ci_t"] == pytest.approx(
        width * np.hypot(cells * made, vent * VENTED), rel=1e-9
    )
    assert (row["use_t"], row["use_ci_t"]) == (None, None)
    assert (await rows_of(api, "demo/idle/byproducts"))["items"] == []
    assert (await rows_of(api, "demo/idle/energy"))["items"] == []
    empty = await rows_of(api, "demo/idle/chlorine")
    assert (empty["items"], empty["tanks"]) == ([], [])


async def test_vented_hydrogen_goes_where_it_is_of_use_until_the_limits_bind(api):
    result = await rows_of(api, "demo/symbiosis", **QUERY)
    (row,) = result["items"]
    assert (row["medium"], row["reason"]) == ("hydrogen", "")
    assert (row["completeness"], row["quality"]) == (1.0, 32)
    assert row["surplus_t_h"] == pytest.approx(VENTED, rel=1e-9)
    assert row["placed_t_h"] == pytest.approx(0.03)
    assert row["unplaced_t_h"] == pytest.approx(VENTED - 0.03)
    assert row["sources"] == [
        {"scope": "demo/acme/caustic/cells", "surplus_t_h": pytest.approx(VENTED),
         "unplaced_t_h": pytest.approx(VENTED - 0.03)},
    ]  # fmt: skip
    vcm, idle = row["sinks"]
    assert (vcm["taken_t_h"], vcm["free_t_h"], vcm["relief"]) == (pytest.approx(0.02), 0, 1)
    assert idle["taken_t_h"] == pytest.approx(0.01)
    assert idle["free_t_h"] is None  # without limit
    assert [link["flow_t_h"] for link in row["links"]] == pytest.approx([0.02, 0.01])
    assert [link["relief"] for link in row["links"]] == pytest.approx([0, 1], abs=1e-6)
    # By the default of the modes: 0.1 CNY/t/km over 2 km; 15 CNY/t and 0.5 CNY/t/km over 30 km.
    assert row["freight_cny_h"] == pytest.approx(0.02 * 0.2 + 0.01 * 30)
    assert row["gain_cny_h"] == pytest.approx(0.02 * 6000 - row["freight_cny_h"])
    assert {w["mode"]: w["t_km"] for w in row["work"]} == {
        "pipe": pytest.approx(0.04), "rail": 0, "road": pytest.approx(0.3),
    }  # fmt: skip


async def test_what_was_computed_with_is_told_with_its_provenance(api):
    result = await rows_of(api, "demo/symbiosis", **QUERY)
    assert result["sources"] == [
        {"scope": "demo/acme/caustic/cells", "medium": "hydrogen", "byproducts": ["hydrogen"],
         "basis": "metered"},
    ]  # fmt: skip
    vcm, idle = result["sinks"]
    assert (vcm["capacity_t_h"], vcm["value_cny_t"], vcm["note"]) == (0.02, 6000, "illustrative")
    assert vcm["name"]["en"] == "Hydrogen for VCM"
    assert (idle["capacity_t_h"], idle["value_cny_t"], idle["name"]) == (None, 0, None)
    pipe, road = result["links"]
    assert (pipe["cost_cny_t"], pipe["cost_basis"]) == (pytest.approx(0.2), "mode")
    assert (road["from"], road["to"], road["distance_km"]) == (
        "demo/acme/caustic/cells", "demo/idle", 30,
    )  # fmt: skip
    assert {row["mode"] for row in result["transport"]} == {"pipe", "rail", "road"}
    for row in result["transport"]:
        assert (row["confidence"], row["verified"]) == ("L", False)
        assert "illustrative" in row["source"]


async def test_window_without_data_has_no_allocation_and_says_why(api, db, ids):
    await db.execute(
        "DELETE FROM minute WHERE tag_id = $1 AND time >= $2",
        ids["acme/FT-4"], stamp(BEGIN + HOUR),
    )  # fmt: skip
    await roll_up(db)
    query = QUERY | {"to": "2025-06-02T10:00:00+08:00"}
    first, second = (await rows_of(api, "demo/symbiosis", **query))["items"]
    assert first["placed_t_h"] == pytest.approx(0.03)
    assert second["placed_t_h"] is None
    assert second["links"][0]["flow_t_h"] is None
    assert "not known" in second["reason"]
    assert second["quality"] >= 128


async def test_half_a_window_gives_the_mean_rate_of_what_was_seen(api, db, ids):
    await db.execute(
        "DELETE FROM minute WHERE tag_id = $1 AND time >= $2",
        ids["acme/FT-4"], stamp(BEGIN + HOUR // 2),
    )  # fmt: skip
    await roll_up(db)
    (row,) = (await rows_of(api, "demo/symbiosis", **QUERY))["items"]
    assert row["surplus_t_h"] == pytest.approx(VENTED)
    assert row["completeness"] == 0.5
    assert row["quality"] & 64


async def test_scope_without_byproducts_is_empty_and_an_unknown_medium_is_a_problem(api):
    result = await rows_of(api, "demo/idle/symbiosis")
    assert (result["items"], result["sources"], result["links"]) == ([], [], [])
    assert (await rows_of(api, "demo/symbiosis", medium="hydrogen"))["window"] == "day"
    answer = await api.get("/api/v1/scopes/demo/symbiosis", params={"medium": "hydrogem"})
    assert answer.status_code == 404
    assert "hydrogen" in answer.json()["hint"]
