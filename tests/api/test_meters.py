"""Meters behind meters over HTTP: the remainder with its interval, and electricity as a balance."""

import numpy as np
import pytest

from tests.support.small_park import PARK_TOML, rows_of, with_park
from twin.reconciliation.uncertainty import left_of_mean

pytest_plugins = ["tests.support.small_park"]
HOUR = {"from": "2025-06-02T09:00:00+08:00", "to": "2025-06-02T10:00:00+08:00"}
BUS = """
[[meter]]
id = "incomer"
scope = "demo/acme"
carrier = "electricity"
tag = "acme/JI-8"
role = "incomer"
[[meter]]
id = "to-vcm"
scope = "demo/acme/vcm"
carrier = "electricity"
tag = "acme/JI-9"
parent = "incomer"
"""
TAGS = """JI-8,demo/acme,power,MW,gauge,0,60,0.5 %,purchase
JI-9,demo/acme/vcm,power,MW,gauge,0,60,0.5 %,power to VCM
"""
# What the caustic plant takes is a counter of its own, outside of this tree.
TOML = PARK_TOML.replace('tag = "acme/JQ-1"', 'tag = "acme/JQ-1"\nparent = "market"')
METERED = with_park(TOML + BUS, tags=TAGS, mean={"JI-8": 23e6, "JI-9": 20e6})
LOSSES = with_park(
    TOML + BUS.replace('role = "incomer"', 'role = "incomer"\nloss = 0.1'),
    tags=TAGS,
    mean={"JI-8": 23e6, "JI-9": 20e6},
)
WIDTH = 1.959963984540054 * 0.005 * np.sqrt(left_of_mean(0.2, 60.0, 3600.0))


@METERED
async def test_what_meters_leave_over_is_stated_with_its_interval(api):
    for path in ("demo", "demo/acme"):
        (row,) = (await rows_of(api, f"{path}/meters", **HOUR))["items"]
        assert (row["sources"], row["users"]) == (["incomer"], ["to-vcm"])
        assert (row["carrier"], row["uom"], row["scope"]) == ("electricity", "kWh", "demo/acme")
        assert row["supplied"] == pytest.approx(23_000)
        assert row["metered"] == pytest.approx(20_000)
        assert row["remainder"] == pytest.approx(3_000)
        assert row["remainder_ci"] == pytest.approx(WIDTH * np.hypot(23_000, 20_000))
        assert row["share"] == pytest.approx(3 / 23)
        assert (row["verdict"], row["loss"], row["completeness"]) == ("remainder", None, 1.0)
    assert (await rows_of(api, "demo/acme/vcm/meters", **HOUR))["items"] == []


@METERED
async def test_a_meter_without_data_leaves_the_remainder_unknown(api, db, ids):
    for table in ("hour", "minute"):
        await db.execute(f"DELETE FROM {table} WHERE tag_id = $1", ids["acme/JI-9"])
    (row,) = (await rows_of(api, "demo/acme/meters", **HOUR))["items"]
    assert (row["remainder"], row["remainder_ci"], row["verdict"]) == (None, None, "unknown")
    assert row["missing"] == ["acme/JI-9"]


@METERED
async def test_electricity_is_a_component_of_the_balance(api):
    result = await rows_of(api, "demo/acme/balance", component="electricity", **HOUR)
    (row,) = result["items"]
    streams = {stream["id"]: stream for stream in row["streams"]}
    node = "demo/acme:incomer"
    assert row["residuals"] == [{"node": node, "residual_t": None, "residual_kwh": None}]
    assert streams["incomer"]["measured_kwh"] == pytest.approx(23_000)
    assert streams["incomer"]["measured_t"] is None
    assert (streams["incomer"]["from"], streams["incomer"]["to"]) == ("market", node)
    unmetered = streams[f"{node}:unmetered"]
    assert unmetered["measured_kwh"] is None
    assert unmetered["estimate_kwh"] == pytest.approx(3_000)
    assert unmetered["sigma_kwh"] * 1.959963984540054 == pytest.approx(
        WIDTH * np.hypot(23_000, 20_000)
    )


@LOSSES
async def test_a_stated_loss_lets_the_balance_check_the_meters(api):
    result = await rows_of(api, "demo/acme/balance", component="electricity", **HOUR)
    (row,) = result["items"]
    streams = {stream["id"]: stream for stream in row["streams"]}
    assert streams["incomer"]["redundant"]
    assert streams["to-vcm"]["redundant"]
    assert row["consistent"]
    (junction,) = (await rows_of(api, "demo/acme/meters", **HOUR))["items"]
    assert (junction["loss"], junction["verdict"]) == (0.1, "closed")


@METERED
async def test_totals_count_the_incomer_once(api):
    result = await rows_of(api, "demo/acme/energy", **HOUR)
    total = next(row for row in result["items"] if row["product"] == "total")
    result = await rows_of(api, "demo/acme/caustic/energy", **HOUR)
    caustic = next(row for row in result["items"] if row["product"] == "total")
    assert total["energy_kwh"] == pytest.approx(23_000 + caustic["energy_kwh"])
