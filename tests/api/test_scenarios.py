"""What-ifs over HTTP, on a park with one electrolyser, one user of chlorine and one tank."""

import numpy as np
import pytest

from tests.support.small_park import MEAN, NETWORK, NOW, add_cycle, add_samples, serving
from twin.accounts.tanks import tank_mass
from twin.faraday import CL2, mass_per_charge

pytest_plugins = ["tests.support.small_park"]

T_H = 1000 / 3600
VCM = {"scope": "demo/acme/vcm", "load": 0}
FLOWS = {"FT-1": 0.4, "FT-3": 0.05}  # kg/s
MADE = MEAN["II-1"] * 100 * 0.96 * mass_per_charge(CL2)


def room():
    """Return the headroom of the tank at 1.5 m and what it holds [kg]."""
    value = np.full(len(NETWORK.tags), np.nan)
    value[NETWORK.index["acme/LT-1"]] = 1.5
    mass = tank_mass(NETWORK.tanks, value)[0]
    return 0.8 * NETWORK.tanks.capacity[0] - mass, mass


@pytest.fixture
async def site(database, ids, db):
    """The API over live flows that close: 0.4 kg/s of chlorine to VCM, 0.05 sold, the rest kept."""
    at = NOW - 100_000
    for tag, flow in FLOWS.items():
        await add_samples(db, ids[f"acme/{tag}"], [at], [flow])
    await add_cycle(db, at, [])
    async with serving(database) as (client, _):
        yield client


async def ask(api, **question):
    answer = await api.post("/api/v1/scenarios", json=question)
    assert answer.status_code == 200, answer.text
    return answer.json()


def event(variant, kind):
    return next((e for e in variant["events"] if e["kind"] == kind), None)


async def test_catalogue_names_what_can_be_asked_and_what_follows_it(site):
    result = (await site.get("/api/v1/scenarios")).json()
    items = {item["scope"]: item for item in result["items"]}
    assert items["E-1"]["kind"] == "electrolyser"
    assert "demo/idle" not in items
    (driven,) = items["demo/acme/vcm"]["drives"]
    assert driven["stream"] == "cl2-vcm"
    assert driven["makes"] is False
    assert driven["flow_t_per_h"] == pytest.approx(0.4 / T_H)
    # A counter's rate is that of the last full minutes.
    assert items["demo/acme/caustic"]["power_mw"] == pytest.approx(12.5)
    assert result["limits"] == {"hours": 72, "steps": 2000, "actions": 20, "load": 1.2,
                               "response_s": 600}  # fmt: skip


async def test_trip_of_the_user_fills_the_tank_and_names_the_time(site):
    body = await ask(site, scope="demo/acme", hours=48, actions=[VCM])
    assert len(body["time"]) == 48 * 12 + 1
    assert body["step_s"] == 300
    assert body["time"][0] == (NOW - 100_000) // 1000
    assert body["from"] == "2025-06-02T10:30:19.900+08:00"
    assert (body["missing"], body["doubtful"]) == ([], ["hydrogen"])
    assert body["quality"] == 32
    assert {"present_flows", "absorber"} <= {each["key"] for each in body["assumptions"]}
    vent, cut = body["variants"]
    assert (vent["policy"], cut["policy"]) == ("vent", "cut")
    (stock,) = vent["stocks"]
    assert stock["scope"] == "demo/acme/caustic/store"
    headroom, mass = room()
    assert stock["headroom_t"][0] == pytest.approx(headroom / 1000)
    assert stock["inventory_t"][0] == pytest.approx(mass / 1000)
    rate = stock["inflow_t_per_h"][0] * T_H
    assert rate == pytest.approx(MADE - 0.05)
    full = event(vent, "full")
    assert full["after_h"] == pytest.approx(headroom / rate / 3600)
    assert 0 < full["sigma_h"] < 0.1 * full["after_h"]
    assert full["scope"] == stock["scope"]
    assert stock["inventory_t"][-1] == pytest.approx(stock["limit_t"])
    assert stock["tankers"][-1] == np.ceil(rate * (48 * 3600 - full["after_h"] * 3600) / 25_000)


async def test_cutting_the_electrolysis_sheds_power_instead_of_chlorine(site):
    body = await ask(site, hours=48, actions=[VCM], response_s=1200)
    vent, cut = body["variants"]
    gone = {v["policy"]: next(r for r in v["relieved"] if r["component"] == "chlorine")
            for v in (vent, cut)}  # fmt: skip
    assert gone["vent"]["total_t"][-1] > 5 * gone["cut"]["total_t"][-1] > 0
    assert vent["power_mw"][-1] == pytest.approx(vent["power_now_mw"])
    assert cut["power_mw"][-1] == pytest.approx(12.5 * 0.05 / MADE)
    assert {row["component"] for row in cut["lost"]} >= {"chlorine", "hydrogen"}
    assert event(cut, "cut")["scope"] == "demo/acme/caustic/cells"
    assert vent["lost"] == []
    (load,) = [row["load"] for row in cut["loads"] if row["scope"] == "E-1"]
    assert load[0] == 1.0
    assert load[-1] == pytest.approx(0.05 / MADE)


async def test_nothing_to_do_shows_the_present_going_on(site):
    body = await ask(site, hours=1, actions=[])
    for variant in body["variants"]:
        assert variant["loads"] == []
        (stock,) = variant["stocks"]
        assert np.ptp(stock["inflow_t_per_h"]) == 0


async def test_unknown_flow_leaves_no_number_and_is_named(database, ids, db):
    await add_samples(db, ids["acme/FT-3"], [NOW - 200_000], [1.0], quality=132)
    async with serving(database) as (api, _):
        body = await ask(api, hours=2, actions=[VCM])
    assert body["missing"] == ["acme/FT-3"]
    (stock,) = body["variants"][0]["stocks"]
    assert stock["unknown"] == ["acme/FT-3"]
    assert stock["inventory_t"][1:] == [None] * (len(body["time"]) - 1)
    assert event(body["variants"][0], "full") is None
    assert body["quality"] & 192 == 128


QUESTIONS = [
    ({"actions": [{"scope": "demo/acme/vcn", "load": 0}]}, 404, "demo/acme/vcm"),
    ({"actions": [{"scope": "demo/idle", "load": 0}]}, 422, "/api/v1/scenarios"),
    ({"actions": [VCM], "scope": "demo/nowhere"}, 404, "/api/v1/park"),
    ({"actions": [VCM], "hours": 73}, 422, ""),
    ({"actions": [VCM], "hours": 6, "step_s": 1}, 422, "longer"),
    ({"actions": [VCM] * 21}, 422, ""),
    ({"actions": [VCM | {"load": 1.5}]}, 422, ""),
    ({"actions": [VCM | {"start": 2, "stop": 1}]}, 422, ""),
    ({"actions": [VCM], "hour": 6}, 422, ""),
    ({"hours": 6}, 422, ""),
]


@pytest.mark.parametrize(("question", "status", "hint"), QUESTIONS)
async def test_question_beyond_the_limits_is_a_problem_with_a_hint(api, question, status, hint):
    answer = await api.post("/api/v1/scenarios", json=question)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert hint in answer.json().get("hint", "")
    if status == 422:
        assert answer.json()["errors"][0]["in"] == "body"
