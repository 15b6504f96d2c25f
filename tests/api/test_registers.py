"""Falls of registers over HTTP: in the health of the data, answered by an ingest that obeys."""

import pytest

from ingest.commands import CommandQueue
from tests.support.small_park import FILES, NOW, outcome, serving
from tests.support.stored import cycling, message, turn
from twin.loading import parse_park

pytest_plugins = ["tests.support.small_park"]

MINUTE = 60_000_000
COUNTER = "acme/JQ-9"
MODEL = FILES | {"tags.csv": FILES["tags.csv"] + "JQ-9,demo/acme,energy,kWh,counter,,,,\n"}
KWH = 3.6e6


@pytest.fixture
async def obeying(database, ids):
    """Ingest over the park whose meter was replaced: a fall from 999,400 to 420,000 kWh."""
    async with cycling(database, parse_park(MODEL), NOW, future_s=3600) as cycle:
        commands = CommandQueue(cycle._store, cycle._park, cycle.topics, cycle._settings)
        for minute, value in enumerate([999_400.0, 420_000.0, 420_020.0, 420_020.0]):
            at_us = NOW + minute * MINUTE
            body = {"ts": at_us // 1000, "values": {"JQ-9": value}}
            await cycle.run([message(body, "park/v1/demo/acme/gw1", at_us // 1000)], at_us)

        async def obey():
            for nth in range(4):
                await turn(cycle, commands, NOW + 4 * MINUTE + nth * 3_000_000)

        yield obey


async def counted(db):
    return await db.fetchval(
        "SELECT sum(amount) FROM minute JOIN tag USING (tag_id) WHERE tag = 'JQ-9'"
    ) / KWH  # fmt: skip


async def test_replaced_meter_is_listed_entered_and_counted(database, db, obeying):
    async with serving(database) as (client, _):
        (fall,) = (await client.get("/api/v1/registers/falls")).json()["items"]
        assert (fall["tag"], fall["before"], fall["after"]) == (COUNTER, 999_400.0, 420_000.0)
        health = (await client.get("/api/v1/health/data")).json()
        assert health["register_falls"] == [fall]
        assert await counted(db) == pytest.approx(20.0)
        body = {"by": "ann", "tag": COUNTER, "time": fall["since"], "last": 999_460.0,
                "first": 420_000.0}  # fmt: skip
        sent = await client.post("/api/v1/registers/replace", json=body)
        assert sent.status_code == 202
        await obeying()
        assert await outcome(client, sent) is None
        assert await counted(db) == pytest.approx(80.0)
        assert (await client.get("/api/v1/registers/falls")).json()["items"] == []


async def test_fall_is_dismissed_once(database, db, obeying):
    async with serving(database) as (client, _):
        (fall,) = (await client.get("/api/v1/registers/falls")).json()["items"]
        url = f"/api/v1/registers/falls/{fall['id']}/dismiss"
        assert (await client.post(url, json={"by": "ann"})).status_code == 202
        await obeying()
        assert (await client.post(url, json={"by": "ann"})).status_code == 409
        assert (await client.get("/api/v1/registers/falls")).json()["items"] == []
        missing = await client.post("/api/v1/registers/falls/999/dismiss", json={"by": "ann"})
        assert missing.status_code == 404
        body = {"by": "ann", "tag": "acme/FT-5", "time": fall["since"], "last": 1, "first": 2}
        assert (await client.post("/api/v1/registers/replace", json=body)).status_code == 404
