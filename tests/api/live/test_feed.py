"""The live feed: image first, then what changed, latest wins."""

import asyncio
import json
import socket
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import uvicorn

from api.__main__ import Server
from api.app import create_app
from api.latest import events
from api.settings import ApiSettings
from tests.support.small_park import (
    END,
    FILES,
    NOW,
    PARK_TOML,
    S,
    add_cycle,
    add_tags,
    health_tag,
    serving,
)
from tests.support.waiting import until

pytest_plugins = ["tests.support.small_park"]


def parsed(event):
    lines = dict(line.split(": ", 1) for line in event.decode().strip().splitlines())
    return lines["event"], int(lines["id"]), json.loads(lines["data"])


async def test_a_slow_client_gets_the_latest_of_everything_in_one_event(database, ids, db):
    async with serving(database, poll_s=0.05, keep_alive_s=0.2) as (_, context):
        everything, one = events(context, None), events(context, ["acme/FT-1"])
        kind, _, image = parsed(await anext(everything))
        assert (kind, image["time"]) == ("image", (NOW - 300_000) // 1000)
        assert image["values"]["acme/FT-1"] == [18.0, 32, END // 1000]
        assert "idle/XS-1" not in image["values"]
        assert parsed(await anext(one))[2]["values"].keys() == {"acme/FT-1"}
        assert await anext(everything) == b": keep-alive\n\n"
        # No wake-up here: the table is looked at all the same.
        for n in range(1, 6):
            at = NOW + n * 500_000
            row = (ids["acme/FT-1"], at, n / 3.6, 0)
            late = (ids["acme/TT-1"], END - S, 0.0, 0)
            other = (ids["acme/LT-1"], at, 1.0, 128)
            await add_cycle(db, at, [row, late] + [other] * (n == 2), notify=False)
        await until(lambda: context.feed.cycle_us == NOW + 2_500_000)
        for client, tags in ((everything, {"acme/FT-1", "acme/LT-1"}), (one, {"acme/FT-1"})):
            kind, cycle_us, cycle = parsed(await anext(client))
            assert (kind, cycle_us) == ("cycle", NOW + 2_500_000)
            assert cycle["values"].keys() == tags
            assert cycle["values"]["acme/FT-1"] == [5.0, 0, (NOW + 2_500_000) // 1000]
            assert cycle["alarms"] == []


@asynccontextmanager
async def listening(url, **settings):
    """Run a real server on a free port; yields its address and the app's context."""
    app = create_app(ApiSettings(database_url=url, **settings), lambda: NOW)
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5)
    server = Server(config, app)
    with socket.create_server(("127.0.0.1", 0)) as door:
        task = asyncio.create_task(server.serve([door]))
        await until(lambda: server.started and app.state.context.feed.loaded)
        yield f"http://127.0.0.1:{door.getsockname()[1]}", app.state.context
        server.should_exit = True
        await asyncio.wait_for(task, 5)


async def next_event(chunks):
    text = b""
    async for chunk in chunks:
        text += chunk
        if text.endswith(b"\n\n"):
            return parsed(text)
    raise AssertionError("the stream ended")


async def test_live_sends_the_image_then_a_cycle_after_each_wake_up(database, ids, db):
    # So long between looks that only the wake-up can be what brings the cycle.
    async with listening(database, poll_s=30, live_clients_max=1) as (url, context):
        async with (
            httpx.AsyncClient(base_url=url) as api,
            api.stream("GET", "/api/v1/live") as live,
        ):
            assert live.headers["content-type"].startswith("text/event-stream")
            chunks = live.aiter_raw()
            assert (await next_event(chunks))[0] == "image"
            assert context.feed.clients == 1
            refused = await api.get("/api/v1/live")
            assert refused.status_code == 503
            assert "1 live clients already" in refused.json()["detail"]
            for n in (1, 2):
                await add_cycle(db, NOW + n, [(ids["acme/FT-1"], NOW + n, 10.0 * n, 0)])
                kind, cycle_us, cycle = await asyncio.wait_for(next_event(chunks), 5)
                assert (kind, cycle_us) == ("cycle", NOW + n)
                assert cycle["values"] == {"acme/FT-1": [36.0 * n, 0, NOW // 1000]}
        await until(lambda: context.feed.clients == 0)


async def test_a_host_with_too_many_live_clients_is_refused_with_the_reason(database, ids):
    async with (
        listening(database, live_clients_host_max=2) as (url, context),
        httpx.AsyncClient(base_url=url) as api,
        AsyncExitStack() as held,
    ):
        for _ in range(2):
            live = await held.enter_async_context(api.stream("GET", "/api/v1/live"))
            assert live.status_code == 200
        refused = await api.get("/api/v1/live")
        assert (refused.status_code, refused.json()["limit"]) == (429, 2)
        assert "2 live clients of 127.0.0.1" in refused.json()["detail"]
        other = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
        async with (
            httpx.AsyncClient(base_url=url, transport=other) as neighbour,
            neighbour.stream("GET", "/api/v1/live") as live,
        ):
            assert live.status_code == 200
        await held.aclose()
        await until(lambda: context.feed.clients == 0)


async def test_stopping_does_not_wait_for_live_clients(database, ids):
    async with httpx.AsyncClient() as api:
        async with listening(database) as (url, _):
            request = api.build_request("GET", f"{url}/api/v1/live")
            live = await api.send(request, stream=True)
            chunks = live.aiter_raw()
            assert (await next_event(chunks))[0] == "image"
            begin = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - begin < 3
        await live.aclose()


async def test_connections_that_were_cut_are_made_again(database, ids, db):
    async with serving(database, poll_s=0.1) as (api, context):
        generation = context.feed.generation
        await db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'parktwin-api' AND datname = current_database()"
        )
        await until(lambda: context.feed.generation > generation)
        answer = await api.get("/api/v1/history?tag=acme/TT-1")
        assert answer.status_code in (200, 503)
        assert (await api.get("/api/v1/history?tag=acme/TT-1")).status_code == 200


async def test_a_new_model_and_its_tags_are_taken_over(database, ids, db):
    async with serving(database) as (api, context):
        files = FILES | {"park.toml": PARK_TOML.replace("Demo park", "New name")}
        await db.execute("INSERT INTO model (digest, files) VALUES ('2', $1)", json.dumps(files))
        (new,) = (await add_tags(db, [health_tag("inbox", "gauge")])).values()
        await db.execute("NOTIFY park_model, '2'")
        await until(lambda: context.feed.model.version == 2)
        assert (await api.get("/api/v1/park")).json()["name"]["en"] == "New name"
        await add_cycle(db, NOW, [(new, NOW, 7.0, 0)])
        await until(lambda: context.feed.cycle_us == NOW)
        assert (await api.get("/api/v1/latest?tag=demo/ingest.inbox")).json()["items"][0][
            "value"
        ] == 7


async def test_a_late_value_is_told_with_its_quality_and_again_when_it_comes(database, ids, db):
    async with serving(database, poll_s=0.05) as (client, context):
        feed = events(context, None)
        await anext(feed)

        async def cycle(n, rows, late):
            at = NOW + n * 500_000
            await add_cycle(db, at, rows, notify=False, late=late)
            await until(lambda: context.feed.cycle_us == at)
            return parsed(await anext(feed))[2]["values"]

        async def age():
            answer = await client.get("/api/v1/latest", params={"tag": "acme/FT-1"})
            (row,) = answer.json()["items"]
            return row["age"], row["quality"]

        assert await age() == ("current", 32)
        values = await cycle(1, [], [ids["acme/FT-1"]])
        assert values == {"acme/FT-1": [18.0, 64 | 32 | 18, END // 1000]}
        assert await age() == ("late", 32)
        # Without a word the same are late; a reader that begins hears of them.
        assert await cycle(2, [], None) == {}
        fresh = parsed(await anext(events(context, ["acme/FT-1"])))[2]["values"]
        assert fresh["acme/FT-1"][1] == 64 | 32 | 18
        at = NOW + 3 * 500_000
        values = await cycle(3, [(ids["acme/FT-1"], at, 5.0, 0)], [])
        assert values["acme/FT-1"][1:] == [0, at // 1000]
        # After so long a pause the image is read anew: what is stored is beyond its gap.
        values = await cycle(2_000, [], None)
        assert values["acme/FT-1"][1] == 128 | 32 | 2
        assert await age() == ("stale", 32)
