"""Flows over HTTP say whether they are reconciled or measured, and may be asked for either."""

from dataclasses import replace

import pytest

from tests.support.data import data_text
from tests.support.small_park import (
    BEGIN,
    HOUR,
    PARK_TOML,
    S,
    change_minutes,
    make_park,
    roll_up,
    rows_of,
    serving,
    with_park,
)
from twin import quality as q
from twin.energy.circuits import product_weights

pytest_plugins = ["tests.support.small_park"]
HOUR_9 = {"from": "2025-06-02T09:00:00+08:00", "to": "2025-06-02T10:00:00+08:00"}
# All of it is metered, and fits together but for a per cent of what goes to VCM.
MEAN = {"II-1": 160e3, "FT-1": 2.06, "FT-1301": 3.38, "FT-1304": 0.5, "FT-1203": 0.2,
        "FT-1303": 0.1, "LT-1301": 0.05, "LT-1401": 2.0, "FT-4": 1.86}  # fmt: skip
LIQUEFIED = PARK_TOML.replace('mode = "internal"', 'mode = "internal"\nflow = "acme/FT-1301"')
SOUND = with_park(LIQUEFIED + data_text("demo/chlorine.toml"), data_text("demo/chlorine.csv"), MEAN)
NET = {"production_t": 1, "consumption_t": -1, "import_t": 1, "export_t": -1, "vent_t": -1,
       "inventory_change_t": -1}  # fmt: skip
FLOWS = [name for name in NET if name != "inventory_change_t"]


async def chlorine(api, path="demo/acme", **query):
    (row,) = (await rows_of(api, f"{path}/chlorine", **HOUR_9, **query))["items"]
    return row


def net(row):
    return sum(sign * (row[name] or 0.0) for name, sign in NET.items())


@SOUND
async def test_flows_of_a_sound_balance_are_reconciled_and_close(api):
    for path in ("demo", "demo/acme", "demo/acme/caustic", "demo/acme/caustic/store"):
        row, metered = await chlorine(api, path), await chlorine(api, path, values="measured")
        assert (row["values"], metered["values"]) == ("reconciled", "measured")
        assert net(row) == pytest.approx(0, abs=1e-9)
        for name in FLOWS:
            assert (row[name] is None) == (metered[name] is None)
            width = name.replace("_t", "_ci_t")
            assert row[name] is None or 0 < row[width] < metered[width]
        # The meters are what they are.
        for name in ("unaccounted_t", "unaccounted_ci_t", "inventory_t", "completeness"):
            assert row[name] == metered[name]
    row, metered = await chlorine(api), await chlorine(api, values="measured")
    assert metered["consumption_t"] == pytest.approx((2.06 + 0.2 + 0.5) * 3.6)
    assert row["consumption_t"] != pytest.approx(metered["consumption_t"], rel=1e-5)
    assert row["consumption_t"] == pytest.approx(metered["consumption_t"], abs=0.4)
    assert (row["quality"], metered["quality"]) == (32, 32)


@SOUND
async def test_local_shares_are_those_of_the_reconciled_flows(api):
    row, metered = await chlorine(api), await chlorine(api, values="measured")
    assert row["k2"] == pytest.approx(1 - row["export_t"] / row["production_t"], rel=1e-9)
    assert row["k2_ci"] < metered["k2_ci"]
    assert row["k1"] == pytest.approx(metered["k1"], abs=metered["k1_ci"])
    assert row["k1_ci"] <= metered["k1_ci"]
    # Caustic soda has no part in the balance of chlorine.
    assert row["chlor_alkali_balance"] == metered["chlor_alkali_balance"] is not None


@SOUND
async def test_biased_meter_anywhere_leaves_all_flows_to_the_meters(api, db, ids):
    await db.execute("UPDATE hour SET amount = amount * 1.3 WHERE tag_id = $1", ids["acme/FT-1301"])
    row = await chlorine(api)
    assert row["values"] == "measured"
    assert row == await chlorine(api, values="measured")


@SOUND
async def test_silent_meter_has_a_value_where_the_balances_tell_it(api, db, ids):
    await db.execute("DELETE FROM hour WHERE tag_id = $1", ids["acme/FT-3"])
    row, metered = await chlorine(api), await chlorine(api, values="measured")
    assert (metered["export_t"], metered["k2"]) == (None, None)
    assert row["values"] == "reconciled"
    assert row["export_t"] == pytest.approx(3.6, abs=row["export_ci_t"])
    assert row["k2"] == pytest.approx(1 - row["export_t"] / row["production_t"], rel=1e-9)
    assert net(row) == pytest.approx(0, abs=1e-9)
    # It is told all the same that the meter was silent.
    assert "acme/FT-3" in row["missing"]
    assert row["completeness"] == metered["completeness"] < 1
    assert row["quality"] == q.UNCERTAIN | q.INCOMPLETE | 32


@SOUND
async def test_without_a_check_flows_are_measured(api, db, ids):
    # Of each of both balances one meter is silent: the others tell it, and nothing checks them.
    for tag in ("FT-3", "FT-1203"):
        await db.execute("DELETE FROM hour WHERE tag_id = $1", ids[f"acme/{tag}"])
    row = await chlorine(api)
    assert row["values"] == "measured"
    assert row["export_t"] is None


@SOUND
async def test_byproducts_say_what_they_stand_on(api):
    (row,) = (await rows_of(api, "demo/acme/byproducts", **HOUR_9))["items"]
    (metered,) = (await rows_of(api, "demo/acme/byproducts", **HOUR_9, values="measured"))["items"]
    assert (row["values"], metered["values"]) == ("reconciled", "measured")
    assert row["make_t"] == pytest.approx(row["vent_t"])
    assert metered["make_t"] != pytest.approx(metered["vent_t"], rel=1e-6)
    assert row["make_ci_t"] < metered["make_ci_t"]


@SOUND
async def test_balances_that_cost_too_much_leave_flows_measured(database, ids):
    async with serving(database) as (api, context):
        context.settings.calculation_values_max = 100
        assert (await chlorine(api))["values"] == "measured"


# The product of the plant is the chlorine it liquefies, which the balances check.
LIQUID = "acme/FT-1301"
INTENSITY = """
[[target]]
id = "liquid"
scope = "demo/acme/caustic"
product = "caustic"
value = 900
uom = "kWh/t"
kpi = "electricity_intensity"
sense = "at_most"
source = "a policy"
[[target]]
id = "local"
scope = "demo/acme"
value = 50
uom = "%"
kpi = "local_share_of_chlorine"
sense = "at_least"
source = "a policy"
"""
CHECKED = with_park(
    LIQUEFIED.replace('tag = "acme/FT-6"', f'tag = "{LIQUID}"')
    + data_text("demo/chlorine.toml") + INTENSITY,
    data_text("demo/chlorine.csv"),
    MEAN,
)  # fmt: skip


async def energy(api, **query):
    rows = (await rows_of(api, "demo/acme/caustic/energy", **HOUR_9, **query))["items"]
    return next(row for row in rows if row["product"] == "caustic")


@CHECKED
async def test_energy_per_tonne_is_that_of_the_reconciled_mass(api):
    row, metered = await energy(api), await energy(api, values="measured")
    assert (row["values"], metered["values"]) == ("reconciled", "measured")
    assert metered["mass_t"] == pytest.approx(3.38 * 3.6)
    assert row["mass_t"] == pytest.approx(metered["mass_t"], rel=0.02)
    assert row["mass_t"] != pytest.approx(metered["mass_t"], rel=1e-6)
    for name, amount in (("kwh_per_t", "energy_kwh"), ("kgce_per_t", "energy_kgce")):
        assert row[name] == pytest.approx(row[amount] / row["mass_t"], rel=1e-9)
        assert metered[name] == pytest.approx(metered[amount] / metered["mass_t"], rel=1e-9)
        assert 0 < row[f"{name}_ci"] < metered[f"{name}_ci"]
        assert row[amount] == metered[amount]
    assert (row["completeness"], row["quality"]) == (metered["completeness"], metered["quality"])


@CHECKED
async def test_energy_per_tonne_is_known_while_the_meter_of_the_product_is_silent(api, db, ids):
    whole = await energy(api)
    await db.execute("DELETE FROM hour WHERE tag_id = $1", ids[LIQUID])
    row, metered = await energy(api), await energy(api, values="measured")
    assert (metered["mass_t"], metered["kwh_per_t"]) == (None, None)
    assert row["values"] == "reconciled"
    assert row["kwh_per_t"] == pytest.approx(whole["kwh_per_t"], abs=row["kwh_per_t_ci"])
    assert row["missing"] == [LIQUID]
    assert row["quality"] == q.UNCERTAIN | q.INCOMPLETE | 32


@CHECKED
async def test_energy_per_tonne_is_measured_where_a_meter_of_the_park_errs(api, db, ids):
    await db.execute("UPDATE hour SET amount = amount * 1.3 WHERE tag_id = $1", ids["acme/FT-1"])
    assert await energy(api) == await energy(api, values="measured")


@CHECKED
async def test_energy_per_tonne_is_measured_while_its_electricity_has_a_hole(api, db, ids):
    await change_minutes(db, ids["acme/JQ-1"], "", BEGIN + HOUR, BEGIN + HOUR + 1200 * S)
    await roll_up(db)
    row = await energy(api)
    assert row["values"] == "measured"
    assert row["kwh_per_t"] is not None
    assert row == await energy(api, values="measured")


@CHECKED
async def test_targets_say_what_they_stand_on(api):
    async def targets(**query):
        answer = await api.get("/api/v1/targets", params=HOUR_9 | query)
        return {item["id"]: item for item in answer.json()["items"]}

    reached, metered = await targets(), await targets(values="measured")
    assert {reached[name]["values"] for name in ("liquid", "local")} == {"reconciled"}
    assert {metered[name]["values"] for name in ("liquid", "local")} == {"measured"}
    row, flows = await energy(api), await chlorine(api)
    assert reached["liquid"]["value"] == pytest.approx(row["kwh_per_t"], rel=1e-9)
    assert reached["liquid"]["half_width"] == pytest.approx(row["kwh_per_t_ci"], rel=1e-9)
    assert reached["local"]["value"] == pytest.approx(100 * flows["k2"], rel=1e-9)
    assert reached["local"]["half_width"] < metered["local"]["half_width"]


# Caustic soda leaves the cells through a meter that shows a per cent more than they make.
CAUSTIC = """
[[stream]]
id = "naoh"
from = "demo/acme/caustic/cells"
to = "market"
medium = "caustic_32"
mode = "pipe"
flow = "acme/FT-6"
[[carbon]]
id = "kiln"
scope = "demo/acme/caustic"
tag = "acme/FT-1"
material = "limestone"
purity = 0.95
"""
SOLD = make_park(
    LIQUEFIED + data_text("demo/chlorine.toml") + CAUSTIC, data_text("demo/chlorine.csv"), MEAN
)
(CELL,) = SOLD.network.park.electrolysers
MADE = product_weights(SOLD.network, CELL)[SOLD.network.index["acme/II-1"]] * MEAN["II-1"]
SOLD = replace(SOLD, mean=SOLD.mean | {"FT-6": 1.01 * MADE / 0.32})
WITH_CAUSTIC = pytest.mark.parametrize("small", [SOLD], indirect=True, ids=[""])


@WITH_CAUSTIC
async def test_product_of_an_electrolyser_that_a_balance_checks_is_reconciled(api, db, ids):
    async def product(**query):
        answer = await rows_of(api, "demo/acme/electrolysers", **HOUR_9, **query)
        return answer["items"][0]

    row, metered = await product(), await product(values="measured")
    assert (row["values"], metered["values"]) == ("reconciled", "measured")
    assert metered["product_t"] == pytest.approx(3.6 * MADE)
    assert 1 < row["product_t"] / metered["product_t"] < 1.01
    assert row["product_ci_t"] < metered["product_ci_t"]
    await db.execute("UPDATE hour SET amount = amount * 1.3 WHERE tag_id = $1", ids["acme/FT-6"])
    assert await product() == await product(values="measured")


@WITH_CAUSTIC
async def test_carbon_and_footprints_follow_the_reconciled_flows(api, db, ids):
    async def carbon(**query):
        answer = (await rows_of(api, "demo/acme/emissions", **HOUR_9, **query))["carbon"]
        (row,) = answer["items"]
        return row, {source["source"]: source for source in row["sources"]}

    async def footprint(**query):
        answer = await rows_of(
            api, "demo/acme/emissions/products", window="hour", **HOUR_9, **query
        )
        return answer["items"][0]

    (row, sources), (metered, others) = await carbon(), await carbon(values="measured")
    kiln, other = sources["kiln"], others["kiln"]
    assert (kiln["values"], other["values"]) == ("reconciled", "measured")
    assert sources["electricity"]["values"] == "measured"
    flows = await chlorine(api)
    assert flows["values"] == "reconciled"
    assert kiln["amount"] == pytest.approx(other["amount"], rel=0.02)
    assert kiln["amount"] != other["amount"]
    assert kiln["co2_t"] / other["co2_t"] == pytest.approx(kiln["amount"] / other["amount"])
    assert kiln["co2_ci_t"] < other["co2_ci_t"]
    assert row["scope1_t"] == pytest.approx(kiln["co2_t"])
    assert row["scope1_ci_t"] == pytest.approx(kiln["co2_ci_t"])
    assert row["total_ci_t"] < metered["total_ci_t"]

    made, weighed = await footprint(), await footprint(values="measured")
    assert (made["values"], weighed["values"]) == ("reconciled", "measured")
    assert made["kg_per_t"] == pytest.approx(weighed["kg_per_t"], rel=0.02)
    assert made["kg_per_t"] != weighed["kg_per_t"]
    await db.execute("UPDATE hour SET amount = amount * 1.3 WHERE tag_id = $1", ids["acme/FT-1"])
    assert (await carbon())[1]["kiln"]["values"] == "measured"


async def test_unknown_values_are_refused(api):
    response = await api.get("/api/v1/scopes/demo/acme/chlorine", params={"values": "guessed"})
    assert response.status_code == 422
