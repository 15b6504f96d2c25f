"""Probes, metrics and the health of the data."""

import importlib.metadata
from dataclasses import replace

from tests.support.small_park import HOUR, NOW, S, add_samples, add_tags, health_tag, serving, stamp

pytest_plugins = ["tests.support.small_park"]
FIGURES = ("health", "timeliness", "duplicate_share", "reject_share", "skew_s", "silent_gateways")
NOTHING = dict.fromkeys(FIGURES)


async def test_health_of_the_data(api):
    result = (await api.get("/api/v1/health/data")).json()
    assert result["items"] == [
        {"enterprise": "acme", "tags": 13, "fresh": 12, "stale": 0, "late": 0, "never": 1,
         "completeness": 1.0, "simulated": True, **NOTHING},
        {"enterprise": "idle", "tags": 1, "fresh": 0, "stale": 0, "late": 0, "never": 1,
         "completeness": 0.0, "simulated": False, **NOTHING},
    ]  # fmt: skip
    assert result["gateways"] == []
    assert result["ingest"]["connected"] == 1
    assert result["ingest"]["lag_s"] == 0.25
    assert result["ingest"]["samples"] == 1234
    assert result["ingest"]["rejected"] == 5
    assert result["ingest"]["dropped"] is None


async def test_health_of_each_enterprise_and_its_gateways(database, ids, db):
    figures = {"health": 0.75, "timeliness": 0.5, "duplicate_share": 0.125, "skew": -70.0}
    tags = [replace(health_tag(name, "gauge"), owner="acme", scope="demo/acme") for name in figures]
    at = await add_tags(db, tags)
    for name, value in figures.items():
        await add_samples(db, at[f"acme/ingest.{name}"], [NOW - 5 * S], [value])
    row = (stamp(NOW - HOUR), stamp(NOW), 10, 100, 1, 2, 3, 0, 2.0, 0.5, -70.0)
    for owner, name, marks in (
        ("acme", "gw1", (False, True, False)),
        ("idle", "gw9", (True, False, False)),
        ("gone", "gw7", (True, False, False)),
    ):
        await db.execute(
            f"INSERT INTO gateway VALUES ({', '.join(f'${n}' for n in range(1, 18))})",
            owner, name, f"park/v1/demo/{owner}/{name}", *row, *marks,
        )  # fmt: skip
    async with serving(database) as (api, _):
        result = (await api.get("/api/v1/health/data")).json()
    acme = result["items"][0]
    assert {key: acme[key] for key in NOTHING} == {
        "health": 0.75, "timeliness": 0.5, "duplicate_share": 0.125, "reject_share": None,
        "skew_s": -70.0, "silent_gateways": None,
    }  # fmt: skip
    # A gateway of an enterprise that the model does not have is not shown.
    assert [gateway["gateway"] for gateway in result["gateways"]] == ["gw9", "gw1"]
    gateway = result["gateways"][1]
    assert gateway["last_heard"] == "2025-06-02T10:30:20+08:00"
    assert (gateway["samples"], gateway["skew_s"], gateway["skewed"]) == (100, -70.0, True)


async def test_probes_and_metrics(api):
    alive = (await api.get("/livez")).json()
    assert alive == {"status": "alive", "version": importlib.metadata.version("parktwin")}
    ready = await api.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["checks"] == {
        "database": True, "cycle_age_s": 0.3, "broker": 1.0, "lag_s": 0.25,
        "broker_queue": None, "broker_dropped": None, "disk_used": None,
    }  # fmt: skip
    assert ready.json()["warnings"] == []
    await api.get("/api/v1/latest?tag=no/thing")
    lines = (await api.get("/metrics")).text.splitlines()
    assert "parktwin_ingest_samples_total 1234.0" in lines
    assert 'parktwin_ingest_rejected_total{reason="bad_json"} 5.0' in lines
    assert "parktwin_ingest_lag_seconds 0.25" in lines
    assert "# TYPE parktwin_ingest_connected gauge" in lines
    assert 'parktwin_api_requests_total{status="4xx"} 1.0' in lines
    assert "parktwin_api_live_clients 0.0" in lines
    assert "parktwin_api_cycle_age_seconds 0.3" in lines


async def test_not_ready_without_cycles_and_unavailable_without_a_model(database):
    async with serving(database) as (api, _):
        answer = await api.get("/readyz")
        assert answer.status_code == 503
        assert "no cycle" in answer.json()["detail"]
        assert answer.json()["checks"]["database"] is True
        for path in ("park", "scopes/demo/energy"):
            answer = await api.get(f"/api/v1/{path}")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
            assert "no park model" in answer.json()["detail"]
        assert (await api.get("/api/v1/latest")).json() == {"items": [], "next": None}


async def test_not_ready_when_the_newest_cycle_is_old(database, ids, db):
    await db.execute("UPDATE cycle SET cycle_us = cycle_us - 60000000")
    async with serving(database) as (api, _):
        answer = await api.get("/readyz")
        assert answer.status_code == 503
        assert "too old" in answer.json()["detail"]


async def test_messages_that_made_ingest_fail_are_a_warning(database, ids, db):
    at = await add_tags(db, [health_tag("rejected.crashed", "counter")])
    await add_samples(db, at["demo/ingest.rejected.crashed"], [NOW - 5 * S], [3])
    async with serving(database) as (api, _):
        ready = (await api.get("/readyz")).json()
    assert ready["warnings"] == ["3 messages made ingest fail: see `parktwin rejects`"]
