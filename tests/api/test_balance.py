"""The reconciled balance over HTTP: estimates close, what is not measured is found, errors show."""

from dataclasses import replace

import pytest

from tests.api.test_values import LIQUEFIED, MEAN
from tests.support.data import data_text
from tests.support.small_park import (
    BEGIN,
    NOW,
    PARK_TOML,
    S,
    change_minutes,
    rows_of,
    stamp,
    with_park,
)
from tests.support.small_park import HOUR as HOUR_US
from twin.reconciliation.closure import close_balance

pytest_plugins = ["tests.support.small_park"]
HOUR = {"from": "2025-06-02T09:00:00+08:00", "to": "2025-06-02T10:00:00+08:00"}


FLOW = 'flow = "acme/FT-1"\n'
# An analyser in the chlorine to VCM, which shows 98 %.
ANALYSED = with_park(
    PARK_TOML.replace(FLOW, FLOW + 'fraction = "acme/AT-77"\n'),
    tags="AT-77,demo/acme/vcm,fraction,%,gauge,90,100,0.5,purity\n",
    mean={"AT-77": 0.98},
)


@ANALYSED
async def test_measured_purity_is_reconciled_together_with_the_flow(api, db, ids):
    result = await rows_of(api, "demo/acme/balance", **HOUR)
    (row,) = result["items"]
    streams = {stream["id"]: stream for stream in row["streams"]}
    vcm = streams.pop("cl2-vcm")
    assert vcm["fraction"] == pytest.approx(0.98)
    assert vcm["measured_t"] == pytest.approx(5 * 3.6 * 0.98)
    assert 0 < vcm["fraction_sigma"] < 0.005
    assert vcm["fraction_estimate"] != vcm["fraction"]
    assert all(s["fraction"] is None and s["fraction_estimate"] is None for s in streams.values())
    remaining = sum(
        (s["to"] == "demo/acme/caustic/cells") * s["estimate_t"]
        - (s["from"] == "demo/acme/caustic/cells") * s["estimate_t"]
        for s in row["streams"]
    )
    assert remaining == pytest.approx(0, abs=1e-9 * vcm["estimate_t"])
    await db.execute("DELETE FROM hour WHERE tag_id = $1", ids["acme/AT-77"])
    (row,) = (await rows_of(api, "demo/acme/balance", **HOUR))["items"]
    vcm = next(stream for stream in row["streams"] if stream["id"] == "cl2-vcm")
    assert (vcm["fraction"], vcm["measured_t"]) == (None, None)
    assert vcm["estimate_t"] is not None
    assert row["completeness"] < 1


async def test_estimates_close_every_balance_and_find_what_is_not_measured(api):
    result = await rows_of(api, "demo/acme/balance", **HOUR)
    (row,) = result["items"]
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
    summary = [result[name] for name in ("passed_share", "completeness", "unobservable")]
    assert summary == [float(row["consistent"]), 1.0, []]


async def test_a_meter_far_off_makes_the_balance_inconsistent_and_names_suspects(api, db, ids):
    before = (await rows_of(api, "demo/acme/balance", **HOUR))["items"][0]
    await db.execute("UPDATE hour SET amount = amount * 3 WHERE tag_id = $1", ids["acme/FT-1"])
    result = await rows_of(api, "demo/acme/balance", **HOUR)
    row = result["items"][0]
    assert result["passed_share"] == 0.0
    assert row["chi2"] > max(before["chi2"], row["chi2_limit"])
    assert row["consistent"] is False
    assert any("cl2-vcm" in suspects for suspects in row["suspects"])
    # One balance alone has no two nodes between which a stream could be missing.
    assert row["missing_streams"] == []


@with_park(
    LIQUEFIED.replace(FLOW, FLOW + 'hold_up = "30 min"\n') + data_text("demo/chlorine.toml"),
    data_text("demo/chlorine.csv"),
    MEAN,
)
async def test_a_balance_is_held_back_while_its_pipes_may_hold_what_speaks_against_it(api, db, ids):
    await db.execute("UPDATE hour SET amount = amount * 1.5 WHERE tag_id = $1", ids["acme/FT-1"])
    row = (await rows_of(api, "demo/acme/balance", **HOUR))["items"][0]
    assert (row["consistent"], row["reason"], row["held_back"]) == (False, "", [])
    assert row["suspects"]
    last_us = BEGIN + 2 * HOUR_US - 60 * S
    await change_minutes(db, ids["acme/FT-1"], "amount = amount * 3", last_us, last_us + 60 * S)
    row = (await rows_of(api, "demo/acme/balance", **HOUR))["items"][0]
    assert row["held_back"] == ["cl2-vcm"]
    assert row["reason"] == "not steady, held back"
    assert row["suspects"] == row["missing_streams"] == []
    # What is far more than they can hold is no matter of pipes.
    await db.execute("UPDATE hour SET amount = amount * 4 WHERE tag_id = $1", ids["acme/FT-1"])
    row = (await rows_of(api, "demo/acme/balance", **HOUR))["items"][0]
    assert row["held_back"] == []
    assert any("cl2-vcm" in suspects for suspects in row["suspects"])


async def test_a_stream_the_model_lacks_is_named_with_its_flow(api, monkeypatch):
    def closed(balance, amounts):
        closure = close_balance(balance, amounts)
        return replace(closure, missing=[[(0, 0, 1500.0)] for _ in closure.missing])

    monkeypatch.setattr("api.balance.close_balance", closed)
    row = (await rows_of(api, "demo/acme/balance", **HOUR))["items"][0]
    node = row["residuals"][0]["node"]
    assert row["missing_streams"] == [{"from": node, "to": node, "flow_t": 1.5, "flow_kwh": None}]


async def test_a_meter_with_a_hole_is_estimated_and_never_accused(api, db, ids):
    await db.execute(
        "UPDATE hour SET amount = amount / 2, covered_s = covered_s / 2 WHERE tag_id = $1",
        ids["acme/FT-3"],
    )
    row = (await rows_of(api, "demo/acme/balance", **HOUR))["items"][0]
    stream = next(s for s in row["streams"] if s["id"] == "cl2-market")
    assert stream["measured_t"] is None
    assert not any("cl2-market" in suspects for suspects in row["suspects"])
    assert row["completeness"] < 1.0
    assert row["quality"] & 0b11011111 == 64 + 9  # uncertain, incomplete


async def test_flow_of_a_meter_that_shows_one_way_only_is_not_negative(api, db, ids):
    # More goes to VCM than the cells make: without its meter the sale would have to flow back.
    await db.execute("UPDATE hour SET covered_s = 0 WHERE tag_id = $1", ids["acme/FT-3"])
    row = (await rows_of(api, "demo/acme/balance", **HOUR))["items"][0]
    streams = {stream["id"]: stream for stream in row["streams"]}
    assert [name for name, stream in streams.items() if stream["bounded"]] == ["cl2-market"]
    assert streams["cl2-market"]["estimate_t"] == 0
    assert not row["consistent"]
    assert "cl2-vcm" in row["suspects"][0]


async def test_unknown_component_is_a_problem_with_a_hint(api):
    answer = await api.get("/api/v1/scopes/demo/acme/balance", params={"component": "chlorin"})
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert "chlorine" in answer.json()["hint"]


async def test_a_scope_without_nodes_says_so_and_shows_no_number(api):
    result = await rows_of(api, "demo/idle/balance", **HOUR)
    row = result["items"][0]
    assert (result["passed_share"], result["completeness"]) == (None, 0.0)
    assert row["streams"] == []
    assert row["reason"] != ""
    assert row["quality"] >= 128


CELLS, STORE, VCM = (f"demo/acme/{unit}" for unit in ("caustic/cells", "caustic/store", "vcm"))


async def name(db, hours, streams, leaks=(), component="chlorine"):
    """Store what was noticed some hours ago."""
    time_us = NOW - hours * HOUR_US
    times = stamp(time_us), stamp(time_us - 240 * S)
    await db.execute(
        "INSERT INTO detection (time, since, component, streams, leaks, bias, test, shape, rate)"
        " VALUES ($1, $2, $3, $4, $5, $6, 6.5, 'drift', $7)",
        *times, component, streams, leaks, 1 / 3.6, 0.25 / 3.6 / 3600,
    )  # fmt: skip


async def test_who_was_named_is_listed_the_newest_first_a_page_at_a_time(api, db):
    await name(db, 9, ["cl2-market", "long-gone"])
    await name(db, 1, ["cl2-vcm", f"{CELLS}:faraday"], [CELLS])
    first = await rows_of(api, "demo/detections", limit=1)
    assert first["items"] == [
        {
            "component": "chlorine",
            "time": "2025-06-02T09:30:20+08:00",
            "since": "2025-06-02T09:26:20+08:00",
            "streams": [
                {"id": "cl2-vcm", "from": CELLS, "to": VCM},
                {"id": f"{CELLS}:faraday", "from": "electrolysers", "to": CELLS},
            ],
            "leaks": [CELLS],
            "bias_t_h": 1.0,
            "bias_mw": None,
            "shape": "drift",
            "rate_mw_per_h": None,
            "rate_t_h_per_h": 0.25,
            "test": 6.5,
            "current": True,
        }
    ]
    second = await rows_of(api, "demo/detections", limit=1, cursor=first["next"])
    (item,) = second["items"]
    assert [stream["to"] for stream in item["streams"]] == ["market", None]
    assert item["current"] is False
    assert second["next"] is None


async def test_when_tests_were_held_back_is_listed_with_the_streams_that_moved(api, db):
    await db.execute(
        "INSERT INTO held_back VALUES ('chlorine', $1, $2, 7, $3, 8.5)",
        stamp(NOW - HOUR_US), stamp(NOW - HOUR_US + 600 * S), ["cl2-vcm", f"{CELLS}:faraday"],
    )  # fmt: skip
    answer = await rows_of(api, f"{VCM}/detections")
    assert answer["items"] == []
    assert answer["held_back"] == [
        {
            "component": "chlorine",
            "since": "2025-06-02T09:30:20+08:00",
            "until": "2025-06-02T09:40:20+08:00",
            "minutes": 7,
            "streams": [
                {"id": "cl2-vcm", "from": CELLS, "to": VCM},
                {"id": f"{CELLS}:faraday", "from": "electrolysers", "to": CELLS},
            ],
            "test": 8.5,
        }
    ]
    assert (await rows_of(api, f"{STORE}/detections"))["held_back"] == []
    assert (await rows_of(api, "demo/detections", component="hydrogen"))["held_back"] == []


async def test_detections_of_all_components_are_listed_none_is_lost_between_pages(api, db):
    await name(db, 1, [f"{CELLS}:faraday"], component="hydrogen")
    await name(db, 1, [f"{CELLS}:faraday"])
    await name(db, 2, ["cl2-vcm"])
    first = await rows_of(api, "demo/detections", limit=1)
    assert {item["component"] for item in first["items"]} == {"hydrogen", "chlorine"}
    assert all(item["streams"][0]["from"] == "electrolysers" for item in first["items"])
    second = await rows_of(api, "demo/detections", limit=1, cursor=first["next"])
    assert [item["component"] for item in second["items"]] == ["chlorine"]
    assert second["next"] is None
    only = await rows_of(api, "demo/detections", component="hydrogen")
    assert [item["component"] for item in only["items"]] == ["hydrogen"]


async def test_a_detection_belongs_to_the_scopes_its_streams_touch_and_its_leaks_are_in(api, db):
    await name(db, 1, [], [CELLS])
    await name(db, 2, ["cl2-market"])
    await name(db, 3, ["cl2-vcm"])
    for scope, hours in {
        "demo": [1, 2, 3], CELLS: [1, 3], STORE: [2], VCM: [3], "demo/idle": []
    }.items():  # fmt: skip
        result = (await rows_of(api, f"{scope}/detections"))["items"]
        assert [item["time"][11:13] for item in result] == [f"{10 - ago:02}" for ago in hours], (
            scope
        )


async def test_detections_are_those_of_a_week_unless_asked_otherwise(api, db):
    await name(db, 24 * 8, ["cl2-vcm"])
    assert (await rows_of(api, "demo/detections"))["items"] == []
    month = await rows_of(api, "demo/detections", **{"from": "2025-05-02T00:00:00+08:00"})
    assert len(month["items"]) == 1
    assert (await rows_of(api, "demo/detections", component="hydrogen"))["items"] == []


async def test_queries_of_detections_that_cannot_be_answered_are_problems(api):
    for scope, query, status in (
        ("demo", {"component": "chlorin"}, 404),
        ("demo/nowhere", {}, 404),
        ("demo", {"limit": 1001}, 422),
        ("demo", {"cursor": "newest"}, 422),
        ("demo", {"from": "2026-01-01T00:00:00Z"}, 422),
    ):
        answer = await api.get(f"/api/v1/scopes/{scope}/detections", params=query)
        assert answer.status_code == status, (scope, query)
        assert answer.headers["content-type"].startswith("application/problem+json")
