"""Park, tags, latest and history: SI rows go in, the contract comes out."""

import csv
import io

import numpy as np
import pyarrow as pa
import pytest

from tests.support.small_park import (
    BEGIN,
    END,
    HEALTH,
    NETWORK,
    NOW,
    S,
    add_samples,
    serving,
    stamp,
)
from twin import quality as q

pytest_plugins = ["tests.support.small_park"]


async def test_park_is_the_model_in_use(api):
    park = (await api.get("/api/v1/park")).json()
    assert park["model"] == {"version": 1, "applied": "2025-06-02T08:00:00+08:00"}
    assert park["scopes"][0] == {
        "id": "demo", "kind": "park", "name": {"zh": "示例园区", "en": "Demo park"}, "parent": None,
        "disclosed": True,
    }  # fmt: skip
    assert park["electrolysers"][0]["capacity"] == 80.0
    assert park["tanks"][0]["capacity_t"] == pytest.approx(np.pi / 4 * 9 * 16 * 1.425)


async def test_tags_come_in_pages_and_can_be_searched(api):
    result, cursor = [], ""
    while cursor is not None:
        page = (await api.get("/api/v1/tags", params={"limit": 7, "cursor": cursor})).json()
        result += page["items"]
        cursor = page["next"]
    names = [tag["tag"] for tag in result]
    assert names == sorted(names)
    assert len(names) == len(NETWORK.tags) + len(HEALTH)
    vented = (await api.get("/api/v1/tags?q=VENTED")).json()["items"]
    assert [(t["tag"], t["low"], t["high"]) for t in vented] == [("acme/FT-4", 0.0, 9000.0)]
    inside = (await api.get("/api/v1/tags?scope=demo/idle")).json()["items"]
    assert [(t["tag"], t["low"]) for t in inside] == [("idle/XS-1", None)]


async def test_latest_is_in_the_uom_of_the_tag_and_null_before_the_first_sample(api):
    answer = await api.get("/api/v1/latest?tag=acme/TT-1&tag=acme/FT-1&tag=idle/XS-1")
    assert answer.json()["items"] == [
        {"tag": "acme/TT-1", "time": "2025-06-02T10:30:00+08:00", "value": 80.0, "uom": "degC",
         "quality": 32, "age": "current"},
        {"tag": "acme/FT-1", "time": "2025-06-02T10:30:00+08:00", "value": 18.0, "uom": "t/h",
         "quality": 32, "age": "current"},
        {"tag": "idle/XS-1", "time": None, "value": None, "uom": "", "quality": q.NO_DATA,
         "age": "current"},
    ]  # fmt: skip
    assert len((await api.get("/api/v1/latest")).json()["items"]) == len(NETWORK.tags) + len(HEALTH)


async def test_latest_of_a_past_moment_is_what_had_come_by_then(api, db, ids):
    await add_samples(db, ids["acme/TT-1"], [NOW - 3600 * S, NOW - 600 * S], [350.15, 360.15])
    await add_samples(db, ids["demo/chlorine.mass_flow.production"], [NOW - 7200 * S], [10.0])

    async def at(ago_s, *tags):
        query = {"at": stamp(NOW - ago_s * S).isoformat(), "tag": list(tags)}
        items = (await api.get("/api/v1/latest", params=query)).json()["items"]
        return [(row["value"], row["age"]) for row in items]

    assert await at(600, "acme/TT-1") == [(pytest.approx(87.0), "current")]
    assert await at(601, "acme/TT-1") == [(pytest.approx(77.0), "stale")]  # of an hour before
    assert await at(3601, "acme/TT-1") == [(None, "current")]
    # A derived value is stored when it changes.
    assert await at(10, "demo/chlorine.mass_flow.production") == [(pytest.approx(36.0), "current")]


async def test_history_is_raw_when_it_fits_and_in_buckets_when_not(api, db, ids):
    times = NOW - np.arange(2000, 0, -1) * S
    await add_samples(db, ids["idle/XS-1"], times.tolist(), (np.arange(2000) % 2).tolist())
    await add_samples(
        db, ids["demo/chlorine.mass_flow.production"], times.tolist(), [36.4 / 3.6] * 2000
    )
    query = {"tag": "demo/chlorine.mass_flow.production", "points": 2000}
    raw = (await api.get("/api/v1/history", params=query)).json()
    assert raw["resolution"] == "raw"
    assert raw["time"] == (times // 1000).tolist()
    assert set(raw["value"]) == set(raw["min"]) == set(raw["max"]) == {36.4}
    query |= {"points": 100, "from": "2025-06-02T02:00:00Z", "to": "2025-06-02T10:30:20+08:00"}
    few = (await api.get("/api/v1/history", params=query)).json()
    assert few["resolution"] == "19s"
    assert 90 <= len(few["time"]) <= 100
    assert set(few["value"]) == {36.4}
    assert set(few["quality"]) == {32}


async def test_a_long_history_comes_from_minutes_and_a_very_long_one_from_hours(database, ids, db):
    # Samples to be read raw are few here, so the hours say that it must be minutes.
    async with serving(database, raw_rows_max=100, history_points_max=100, minute_days_max=1) as (
        api, _,
    ):  # fmt: skip
        query = {"tag": "acme/TT-1", "points": 100, "from": "2025-06-02T08:00:00+08:00"}
        result = (await api.get("/api/v1/history", params=query)).json()
        assert result["resolution"] == "120s"
        assert result["time"][0] == BEGIN // 1000
        assert len(result["time"]) == 75
        assert set(result["value"]) == set(result["min"]) == {80.0}
        query["from"] = "2025-05-31T10:30:20+08:00"
        result = (await api.get("/api/v1/history", params=query)).json()
        assert result["resolution"] == "hour"
        assert len(result["time"]) == 3


async def test_buckets_of_hours_are_made_of_hours(api, db, ids):
    await db.execute(
        "UPDATE hour SET amount = covered_s * 363.15 WHERE tag_id = $1", ids["acme/TT-1"]
    )
    query = {"tag": "acme/TT-1", "points": 10, "from": "2025-05-31T10:30:20+08:00"}
    result = (await api.get("/api/v1/history", params=query)).json()
    assert result["resolution"] == "21600s"
    assert result["value"] == pytest.approx([90.0] * len(result["value"]))


async def test_history_as_csv_and_arrow(api):
    query = {"tag": "acme/TT-1", "from": "2025-06-02T02:00:00Z"}
    answer = await api.get("/api/v1/history", params=query, headers={"Accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    assert 'filename="acme-TT-1.csv"' in answer.headers["content-disposition"]
    assert list(csv.DictReader(io.StringIO(answer.text))) == [
        {"time": "2025-06-02T02:30:00.000Z", "tag": "acme/TT-1", "value": "80", "min": "80",
         "max": "80", "uom": "degC", "quality": "32"},
    ]  # fmt: skip
    kind = "application/vnd.apache.arrow.stream"
    answer = await api.get("/api/v1/history", params=query, headers={"Accept": kind})
    assert answer.headers["content-type"] == kind
    table = pa.ipc.open_stream(answer.content).read_all()
    assert table.schema.metadata[b"uom"] == b"degC"
    assert table.to_pydict() == {
        "time": [stamp(END)], "value": [80.0], "min": [80.0], "max": [80.0], "quality": [32],
    }  # fmt: skip
