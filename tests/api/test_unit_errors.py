"""Suspected unit errors over HTTP: in the health of the data, dismissed, rescaled by an ingest."""

import json

import pytest

from tests.support.cycle_bench import flow
from tests.support.small_park import FILES, NOW, outcome, serving, stamp
from tests.support.stored import cycling, message
from twin import quality as q
from twin.loading import parse_park

pytest_plugins = ["tests.support.small_park"]

S = 1_000_000
STEADY, WRONG = 600, 60


@pytest.fixture
async def writer(database, ids):
    """Ingest over the same park, whose steam steps from 18 to 5 t/h: perhaps another unit."""
    async with cycling(database, parse_park(FILES), NOW, future_s=3600) as cycle:

        async def send(first, count, level):
            last_us = NOW + (first + count - 1) * 2 * S
            bodies = [
                {"ts": NOW // 1000 + i * 2000, "values": {"FT-5": flow(i, level)}}
                for i in range(first, first + count)
            ]
            sent = [message(body, "park/v1/demo/acme/gw1", last_us // 1000) for body in bodies]
            await cycle.run(sent, last_us + S)

        for first in range(0, STEADY, 100):
            await send(first, 100, 18.0)
        await send(STEADY, WRONG, 5.0)
        yield send


async def suspected(client):
    return (await client.get("/api/v1/health/data")).json()["unit_errors"]


async def stored(db):
    """Return mean [t/h] and qualities of the samples since the step, and of their minutes."""
    since = stamp(NOW + STEADY * 2 * S)
    columns = []
    for table, value in (("sample", "value"), ("minute", "amount / covered_s")):
        row = await db.fetchrow(
            f"SELECT avg({value}) * 3.6 AS mean, array_agg(DISTINCT quality) AS quality"
            f" FROM {table} JOIN tag USING (tag_id) WHERE tag = 'FT-5' AND time >= $1",
            since,
        )
        columns.append((round(row["mean"], 1), row["quality"]))
    return columns


async def test_step_is_in_the_health_of_the_data_and_dismissed(database, db, writer):
    suspect = q.UNCERTAIN | q.UNIT_ERROR
    async with serving(database) as (client, _):
        (error,) = await suspected(client)
        assert error["tag"] == "acme/FT-5"
        assert (error["state"], error["samples"], error["uom"]) == ("open", WRONG, "t/h")
        assert error["since"] == "2025-06-02T10:50:20+08:00"
        assert error["factor"] == pytest.approx(1 / 3.6)
        assert error["expected"] == pytest.approx(18.0, rel=0.01)
        assert error["value"] == pytest.approx(5.0, rel=0.02)
        assert await stored(db) == [(5.0, [suspect]), (5.0, [suspect])]
        path = f"/api/v1/unit-errors/{error['id']}"
        answer = await client.post(f"{path}/dismiss", json={"by": "ann", "reason": "half load"})
        await writer(STEADY + WRONG, 60, 5.0)
        assert await outcome(client, answer) is None
        assert await stored(db) == [(5.0, [q.GOOD]), (5.0, [q.GOOD])]
        assert await suspected(client) == []
        again = await client.post(f"{path}/rescale", json={"by": "ann"})
        assert (again.status_code, again.json()["detail"]) == (
            409, "it has been answered already: dismiss"
        )  # fmt: skip
    body = json.loads(await db.fetchval("SELECT body FROM command"))
    assert (body["by"], body["reason"]) == ("ann", "half load")


async def test_other_unit_is_rescaled(database, db, writer):
    async with serving(database) as (client, _):
        (error,) = await suspected(client)
        path = f"/api/v1/unit-errors/{error['id']}/rescale"
        answer = await client.post(path, json={"by": "ann", "factor": 3.6})
        await writer(STEADY + WRONG, 60, 18.0)
        assert await outcome(client, answer) is None
        assert await stored(db) == [(18.0, [q.GOOD]), (18.0, [q.GOOD])]
        assert await suspected(client) == []


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("999/dismiss", {"by": "ann"}, 404),
        ("0/dismiss", {"by": "ann"}, 422),
        ("1/dismiss", {"by": ""}, 422),
        ("1/rescale", {"by": "ann", "factor": "x"}, 422),
        ("1/rescale", {"by": "ann", "factor": 1e12}, 422),
    ],
)
async def test_answer_that_cannot_be_right_is_refused_at_once(api, path, body, status):
    answer = await api.post(f"/api/v1/unit-errors/{path}", json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
