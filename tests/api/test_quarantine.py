"""Quarantine and rejects over HTTP: lists, and orders that a running ingest obeys."""

import json

import pytest

from ingest.commands import CommandQueue
from ingest.routing.topics import Message
from tests.support.data import written
from tests.support.small_park import FILES, NOW, outcome, serving
from tests.support.stored import cycling, turn
from twin.loading import load_park

pytest_plugins = ["tests.support.small_park"]

TOPIC = "park/v1/demo/acme/gw1"
ADOPT = {"by": "ann", "scope": "demo/acme", "quantity": "temperature", "uom": "degC"}


@pytest.fixture
async def writer(database, ids, tmp_path):
    """Ingest over the same park, with two unknown tags and three rejects."""
    folder = written(tmp_path / "model", FILES)
    bodies = [{"ts": NOW // 1000 + i, "values": {"NEW/1": i, "NEW 2": 2 * i}} for i in range(3)]
    payloads = [*(json.dumps(body).encode() for body in bodies), b"{", b"[1]", b"x" * 5000]
    async with cycling(database, load_park(folder), NOW, park=folder) as cycle:
        commands = CommandQueue(cycle._store, cycle._park, cycle.topics, cycle._settings)
        await cycle.run([Message(TOPIC, payload, NOW, 0, 1, 0) for payload in payloads], NOW)

        async def work():
            for number in range(1, 9):
                await turn(cycle, commands, NOW + number * 3_000_000)
            return commands, folder

        yield work


async def test_quarantine_is_listed_a_page_at_a_time(database, writer):
    async with serving(database) as (client, _):
        first = (await client.get("/api/v1/quarantine", params={"limit": 1})).json()
        second = (
            await client.get("/api/v1/quarantine", params={"limit": 1, "cursor": first["next"]})
        ).json()
        none = (await client.get("/api/v1/quarantine", params={"reason": "future"})).json()
    items = first["items"] + second["items"]
    assert [item["tag"] for item in items] == ["NEW 2", "NEW/1"]
    assert second["next"] is None
    assert none == {"items": [], "next": None}
    assert {key: items[0][key] for key in ("enterprise", "reason", "topic", "count", "kept")} == {
        "enterprise": "acme", "reason": "unknown_tag", "topic": TOPIC, "count": 3, "kept": 3
    }  # fmt: skip
    assert items[0]["last_value"] == 4
    assert items[0]["last_time"].endswith("+08:00")


async def test_rejects_are_listed_with_their_payload(database, writer):
    async with serving(database) as (client, _):
        page = (await client.get("/api/v1/rejects", params={"limit": 2})).json()
        others = (await client.get("/api/v1/rejects", params={"cursor": page["next"]})).json()
        json_only = (await client.get("/api/v1/rejects", params={"reason": "bad_shape"})).json()
    large, shape = page["items"]
    assert (large["reason"], large["size"], large["complete"]) == ("bad_json", 5000, False)
    assert (shape["reason"], shape["payload"], shape["complete"]) == ("bad_shape", "[1]", True)
    assert [item["payload"] for item in others["items"]] == ["{"]
    assert [item["id"] for item in json_only["items"]] == [shape["id"]]


async def test_orders_are_taken_by_ingest(database, db, writer):
    async with serving(database) as (client, _):
        base = "/api/v1/quarantine/acme"
        refused = await client.post(f"{base}/NEW/1/adopt", json=ADOPT)
        adopted = await client.post(f"{base}/NEW 2/adopt", json=ADOPT | {"high": 250.5})
        dropped = await client.request("DELETE", f"{base}/NEW/1", params={"by": "ann"})
        again = await client.post("/api/v1/rejects/replay", json={"by": "ann"})
        commands, folder = await writer()
        # A name that tags.csv cannot hold is told by the model's own check.
        assert "has blanks" in await outcome(client, refused)
        assert "has blanks" in await outcome(client, adopted)
        assert await outcome(client, dropped) is None
        assert await outcome(client, again) is None
        assert not commands.reload
        assert (folder / "tags.csv").read_text(encoding="utf-8") == FILES["tags.csv"]
        remaining = (await client.get("/api/v1/quarantine")).json()["items"]
        assert [item["tag"] for item in remaining] == ["NEW 2"]
        assert await db.fetchval("SELECT count(*) FROM quarantine_sample") == 3
        forget = await client.request("DELETE", "/api/v1/rejects", params={"reason": "bad_json"})
        await writer()
        assert await outcome(client, forget) is None
        reasons = [row["reason"] for row in (await client.get("/api/v1/rejects")).json()["items"]]
        assert reasons == ["bad_shape"]


@pytest.mark.parametrize(
    ("tag", "change", "status", "words"),
    [
        ("NOBODY", {}, 404, "tag in quarantine"),
        ("NEW/1", {"scope": "demo/nowhere"}, 404, "there is no scope"),
        ("NEW/1", {"scope": "demo"}, 422, "not one of enterprise"),
        ("NEW/1", {"uom": "kW"}, 422, "not a unit of temperature"),
        ("NEW/1", {"kind": "text"}, 422, "kind"),
        ("NEW/1", {"by": ""}, 422, "by"),
    ],
)
async def test_order_that_cannot_be_right_is_refused_at_once(
    database, writer, tag, change, status, words
):
    async with serving(database) as (client, _):
        answer = await client.post(f"/api/v1/quarantine/acme/{tag}/adopt", json=ADOPT | change)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in json.dumps(answer.json())
