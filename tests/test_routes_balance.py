"""The reconciled balance over HTTP: estimates close, what is not measured is found, errors show."""

import pytest
import small_park
from small_park import rows_of

from api import schema_scopes
from twin.loading import parse_park
from twin.network import compile_network

pytest_plugins = ["small_park"]
HOUR = {"from": "2025-06-02T09:00:00+08:00", "to": "2025-06-02T10:00:00+08:00"}


@pytest.fixture
def analysed(monkeypatch):
    """The small park with an analyser in the chlorine to VCM, which shows 98 %."""
    flow = 'flow = "acme/FT-1"\n'
    files = {
        "park.toml": small_park.PARK_TOML.replace(flow, flow + 'fraction = "acme/AT-77"\n'),
        "tags.csv": small_park.TAGS_CSV
        + "AT-77,demo/acme/vcm,fraction,%,gauge,90,100,0.5,purity\n",
    }
    monkeypatch.setattr(small_park, "FILES", files)
    monkeypatch.setattr(small_park, "NETWORK", compile_network(parse_park(files)))
    monkeypatch.setattr(small_park, "MEAN", small_park.MEAN | {"AT-77": 0.98})


async def test_measured_purity_is_reconciled_together_with_the_flow(analysed, api, db, ids):
    found = await rows_of(api, "demo/acme/balance", **HOUR)
    schema_scopes.BalancePage.model_validate(found)
    (row,) = found["items"]
    streams = {stream["id"]: stream for stream in row["streams"]}
    vcm = streams.pop("cl2-vcm")
    assert vcm["fraction"] == pytest.approx(0.98)
    assert vcm["measured_t"] == pytest.approx(5 * 3.6 * 0.98)
    assert 0 < vcm["fraction_sigma"] < 0.005
    assert vcm["fraction_estimate"] != vcm["fraction"]
    assert all(s["fraction"] is None and s["fraction_estimate"] is None for s in streams.values())
    left = sum(
        (s["to"] == "demo/acme/caustic/cells") * s["estimate_t"]
        - (s["from"] == "demo/acme/caustic/cells") * s["estimate_t"]
        for s in row["streams"]
    )
    assert left == pytest.approx(0, abs=1e-9 * vcm["estimate_t"])
    await db.execute("DELETE FROM hour WHERE tag_id = $1", ids["acme/AT-77"])
    (row,) = (await rows_of(api, "demo/acme/balance", **HOUR))["items"]
    vcm = next(stream for stream in row["streams"] if stream["id"] == "cl2-vcm")
    assert (vcm["fraction"], vcm["measured_t"]) == (None, None)
    assert vcm["estimate_t"] is not None
    assert row["completeness"] < 1


async def test_estimates_close_every_balance_and_find_what_is_not_measured(api):
    found = await rows_of(api, "demo/acme/balance", **HOUR)
    schema_scopes.BalancePage.model_validate(found)
    (row,) = found["items"]
    streams = {stream["id"]: stream for stream in row["streams"]}
    assert streams["cl2-store"]["measured_t"] is None
    assert streams["cl2-store"]["observable"] is True
    for node in (residual["node"] for residual in row["residuals"]):
        balance = sum(
            (s["to"] == node) * s["estimate_t"] - (s["from"] == node) * s["estimate_t"]
            for s in row["streams"]
        )
        assert balance == pytest.approx(0, abs=1e-9 * max(s["estimate_t"] for s in row["streams"]))
    assert row["completeness"] == 1.0
    assert row["quality"] == 32


async def test_a_meter_far_off_makes_the_balance_inconsistent_and_names_suspects(api, db, ids):
    before = (await rows_of(api, "demo/acme/balance", **HOUR))["items"][0]
    await db.execute("UPDATE hour SET amount = amount * 3 WHERE tag_id = $1", ids["acme/FT-1"])
    row = (await rows_of(api, "demo/acme/balance", **HOUR))["items"][0]
    assert row["chi2"] > max(before["chi2"], row["chi2_critical"])
    assert row["consistent"] is False
    assert any("cl2-vcm" in suspects for suspects in row["suspects"])


async def test_a_meter_with_a_hole_is_estimated_and_never_accused(api, db, ids):
    await db.execute(
        "UPDATE hour SET amount = amount / 2, covered_s = covered_s / 2 WHERE tag_id = $1",
        ids["acme/FT-3"],
    )
    row = (await rows_of(api, "demo/acme/balance", **HOUR))["items"][0]
    stream = next(s for s in row["streams"] if s["id"] == "cl2-market")
    assert stream["measured_t"] is None
    assert row["suspects"] == []
    assert row["completeness"] < 1.0
    assert row["quality"] & 0b11011111 == 64 + 9  # uncertain, incomplete


async def test_unknown_component_is_a_problem_with_a_hint(api):
    answer = await api.get("/api/v1/scopes/demo/acme/balance", params={"component": "chlorin"})
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert "chlorine" in answer.json()["hint"]


async def test_a_scope_without_nodes_says_so_and_shows_no_number(api):
    row = (await rows_of(api, "demo/idle/balance", **HOUR))["items"][0]
    assert row["streams"] == []
    assert row["reason"] != ""
    assert row["quality"] >= 128
