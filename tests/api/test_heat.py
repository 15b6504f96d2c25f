"""Heat over HTTP: boilers, nodes of steam, late data, and what meters rest on."""

import numpy as np
import pytest

from tests.support.small_park import (
    BEGIN,
    HOUR,
    PARK_TOML,
    change_minutes,
    roll_up,
    rows_of,
    with_park,
)
from twin import quality as q

pytest_plugins = ["tests.support.small_park"]

TWO_HOURS = {"from": "2025-06-02T08:00:00+08:00", "to": "2025-06-02T10:00:00+08:00"}
BOILERS, HEADER, DRYER = (f"demo/acme/{name}" for name in ("boilers", "header", "dryer"))
SCOPES = "".join(
    f'[[scope]]\nid = "{path}"\nkind = "plant"\nname = {{ zh = "示例", en = "Demo" }}\n'
    for path in (BOILERS, HEADER, DRYER)
)
HEAT = f"""{SCOPES}
[[steam]]
id = "lp"
scope = "{BOILERS}"
pressure = "1.0 MPa"
pressure_tag = "acme/PT-50"

[[steam]]
id = "lp-header"
scope = "{HEADER}"
pressure = "1.0 MPa"
pressure_tag = "acme/PT-50"

[[heating_value]]
carrier = "coal"
scope = "demo/acme"
value = "5000 kcal/kg"

[[meter]]
id = "coal"
scope = "{BOILERS}"
carrier = "coal"
tag = "acme/WT-50"

[[meter]]
id = "made"
scope = "{BOILERS}"
carrier = "steam"
tag = "acme/FT-50"
direction = "out"

[[stream]]
id = "made"
from = "{BOILERS}"
to = "{HEADER}"
medium = "steam"
mode = "pipe"
flow = "acme/FT-50"
steam = "lp"

[[stream]]
id = "used"
from = "{HEADER}"
to = "{DRYER}"
medium = "steam"
mode = "pipe"
flow = "acme/FT-51"
"""
TAGS = f"""FT-50,{BOILERS},mass_flow,t/h,gauge,,,1 %,steam made
FT-51,{HEADER},mass_flow,t/h,gauge,,,1 %,steam used
PT-50,{HEADER},pressure,MPa,gauge,,,0.005,pressure of the header
WT-50,{BOILERS},mass_flow,t/h,gauge,,,0.5 %,coal
"""
# 36 t/h of steam, 35.1 t/h used, 5.0 t/h of coal; the header at 1.5 MPa above the atmosphere.
MEAN = {"FT-50": 10.0, "FT-51": 9.75, "PT-50": 1.5e6, "WT-50": 5 / 3.6}
WITH_HEAT = with_park(PARK_TOML + HEAT, TAGS, MEAN)
BY_TABLE = HEAT[HEAT.index("[[meter]]") :].replace('\nsteam = "lp"\n', "\n")
# Saturated steam of 1.6 and of 1.1 MPa, by the tables, less water of 20 °C.
HELD, NOMINAL = 2792.9e3 - 84e3, 2780.7e3 - 84e3
COAL = 5000 * 4186.8


@WITH_HEAT
async def test_a_boiler_house_delivers_what_its_steam_holds_at_its_pressure(api):
    answer = await rows_of(api, f"{BOILERS}/heat", **TWO_HOURS)
    for row in answer["items"]:
        supplied, delivered = row["supplied_kgce"], row["delivered_kgce"]
        assert supplied == pytest.approx(5000 * COAL / 29_307_600, rel=1e-6)
        assert delivered == pytest.approx(36_000 * HELD * 0.03412e-6, rel=1e-4)
        assert row["efficiency"] == pytest.approx(delivered / supplied)
        assert 0.90 < row["efficiency"] < 0.95
        assert 0 < row["efficiency_ci"] < 0.03
        assert (row["verdict"], row["completeness"], row["quality"]) == ("plausible", 1.0, 32)
    assert [row["scope"] for row in answer["items"]] == [BOILERS] * 2
    (state,) = answer["steam"]
    assert state["enthalpy_kj_per_kg"] == pytest.approx(2780.7, abs=0.1)
    assert state["base_kj_per_kg"] == 84
    assert state["kgce_per_t"] == pytest.approx(92.01, abs=0.01)
    assert (state["method"], state["reference"], state["verified"]) == (
        "IAPWS-IF97", "water_20c", False,
    )  # fmt: skip
    assert {(m["meter"], m["basis"], m["of"]) for m in answer["meters"]} == {
        ("coal", "heating_value", "by hand"), ("made", "enthalpy", "lp"),
    }  # fmt: skip


@WITH_HEAT
async def test_a_header_shows_the_steam_and_the_heat_that_is_lost_there(api):
    (row, _) = (await rows_of(api, "demo/acme/heat", **TWO_HOURS))["nodes"]
    assert row["scope"] == HEADER
    assert (row["steam_in_t"], row["steam_out_t"]) == pytest.approx((36.0, 35.1))
    assert row["heat_in_gj"] == pytest.approx(36_000 * HELD / 1e9, rel=1e-4)
    assert row["difference_gj"] == pytest.approx(900 * HELD / 1e9, rel=1e-4)
    assert 0 < row["difference_ci_gj"] < 3
    assert row["unmetered"] == []


@WITH_HEAT
async def test_late_pressure_changes_the_heat_of_the_past(api, db, ids):
    """Heat follows from the minutes of today: what came late takes part at once."""
    await change_minutes(db, ids["acme/PT-50"], "", BEGIN + HOUR)
    await roll_up(db)
    first, second = (await rows_of(api, f"{BOILERS}/heat", **TWO_HOURS))["items"]
    assert first["delivered_kgce"] == pytest.approx(36_000 * HELD * 0.03412e-6, rel=1e-4)
    assert (first["quality"], second["quality"]) == (32, q.UNCERTAIN | q.INCOMPLETE | 32)
    assert second["delivered_kgce"] == pytest.approx(36_000 * NOMINAL * 0.03412e-6, rel=1e-4)
    assert second["completeness"] == 1.0
    hole = "covered_s = 0, amount = 0, quality = 164"
    await change_minutes(db, ids["acme/FT-50"], hole, BEGIN + HOUR)
    await roll_up(db)
    _, second = (await rows_of(api, f"{BOILERS}/heat", **TWO_HOURS))["items"]
    assert (second["delivered_kgce"], second["verdict"]) == (None, "undecided")


@WITH_HEAT
async def test_heat_adds_up_over_minutes_and_in_the_total_of_the_scope(api):
    hours = (await rows_of(api, f"{BOILERS}/heat", **TWO_HOURS))["items"]
    query = TWO_HOURS | {"window": "minute"}
    minutes = (await rows_of(api, f"{BOILERS}/heat", **query))["items"]
    assert len(minutes) == 120
    for name in ("supplied_kgce", "delivered_kgce"):
        total = sum(row[name] for row in minutes)
        assert total == pytest.approx(sum(row[name] for row in hours), rel=1e-9)
    energy = (await rows_of(api, f"{BOILERS}/energy", **TWO_HOURS))["items"]
    kept = [row["supplied_kgce"] - row["delivered_kgce"] for row in hours]
    assert [row["energy_kgce"] for row in energy if row["product"] == "total"] == pytest.approx(
        kept
    )


@with_park(PARK_TOML + SCOPES + BY_TABLE, TAGS, MEAN)
async def test_steam_by_the_table_beside_its_fuel_is_seen_to_create_energy(api):
    answer = await rows_of(api, f"{BOILERS}/heat", **TWO_HOURS)
    row = answer["items"][0]
    assert row["efficiency"] == pytest.approx(36 * 128.6 / (5000 * 0.7143), rel=1e-6)
    assert row["verdict"] == "creates_energy"
    assert {m["basis"] for m in answer["meters"]} == {"table"}
    node = (await rows_of(api, "demo/acme/heat", **TWO_HOURS))["nodes"][0]
    assert node["steam_in_t"] == pytest.approx(36.0)
    assert node["heat_in_gj"] is None


@WITH_HEAT
async def test_carbon_counts_coal_by_its_measured_heating_value(api):
    carbon = (await rows_of(api, f"{BOILERS}/emissions", **TWO_HOURS))["carbon"]
    sources = {source["source"]: source for source in carbon["items"][0]["sources"]}
    heat = 5000 * COAL / 1e9
    assert (sources["coal"]["uom"], sources["coal"]["amount"]) == ("GJ", pytest.approx(heat))
    assert sources["coal"]["co2_t"] == pytest.approx(heat * 25.8 * 44 / 12 / 1000)
    assert sources["steam"]["amount"] == pytest.approx(-36_000 * HELD / 1e9, rel=1e-4)
    assert np.isfinite(sources["steam"]["co2_ci_t"])
