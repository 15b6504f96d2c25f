"""What every answer passes: it is counted, and a failure of ours is a problem with a reference."""

import asyncio
import logging
from types import SimpleNamespace

import httpx
import pytest
from fastapi import Response
from fastapi.responses import StreamingResponse

from api.access.rights import ASKER, Person
from api.middleware import MOMENT_S, KeepAnswers
from tests.support.small_park import serving

pytest_plugins = ["tests.support.small_park"]


@pytest.fixture
async def served(database, ids):
    """The API, its context, and routes that fail in every way."""
    async with serving(database) as (api, context):
        app = api._transport.app._app
        routes = {"/fails": fail, "/breaks": break_off, "/late": fail_late}
        for path, endpoint in routes.items():
            app.add_api_route(path, endpoint)
            # Before the console, which takes all that is left.
            app.router.routes.insert(0, app.router.routes.pop())
        yield api, context


async def fail():
    raise KeyError("a secret")


async def break_off():
    async def parts():
        yield b"half"
        raise ZeroDivisionError

    return StreamingResponse(parts())


class Late(Response):
    """Fails when it is sent, before its start."""

    async def __call__(self, scope, receive, send):
        raise OverflowError


async def fail_late():
    return Late()


async def test_a_failure_is_a_problem_with_the_reference_of_its_traceback(served, caplog):
    api, _ = served
    with caplog.at_level(logging.ERROR, "parktwin.api"):
        answer = await api.get("/fails")
    problem = answer.json()
    assert (answer.status_code, problem["status"]) == (500, 500)
    assert answer.headers["content-type"] == "application/problem+json"
    assert "a secret" not in answer.text
    (record,) = caplog.records
    assert problem["reference"] in record.getMessage()
    assert record.exc_info[0] is KeyError


async def test_every_answer_is_counted_also_of_failures_outside_of_routes(served):
    api, context = served
    for path in ("/fails", "/late", "/api/v1/nothing", "/livez"):
        await api.get(path)
    assert context.traffic.answers == {"5xx": 2, "4xx": 1, "2xx": 1}
    lines = (await api.get("/metrics")).text.splitlines()
    assert 'parktwin_api_requests_total{status="5xx"} 2.0' in lines
    assert "parktwin_api_answers_broken_total 0.0" in lines


async def test_a_stream_that_breaks_off_is_counted_and_not_ended_in_good_order(served):
    api, context = served
    app = api._transport.app
    strict = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=strict, base_url="http://localhost") as client:
        with pytest.raises(ZeroDivisionError):
            await client.get("/breaks")
    assert (context.traffic.answers["2xx"], context.traffic.broken) == (1, 1)


HOSTS = [
    ("localhost", 200), ("LOCALHOST:8080", 200), ("127.0.0.1:9", 200), ("[::1]:8080", 200),
    ("10.1.2.3", 200), ("api.plant.lan:8080", 200), ("twin.example", 200),
    ("evil.example", 421), ("localhost.evil.example", 421), ("[::1", 421), ("", 421),
]  # fmt: skip


async def test_the_api_answers_for_its_own_names_and_for_addresses_only(database, ids):
    settings = {"http_host": "api.plant.lan", "hosts": "other.example, Twin.example"}
    async with serving(database, **settings) as (api, _):
        for host, status in HOSTS:
            answer = await api.get("/livez", headers={"Host": host})
            assert answer.status_code == status, host
            if status == 421:
                assert "PARKTWIN_HOSTS" in answer.json()["hint"]
    async with serving(database, hosts="*") as (api, _):
        assert (await api.get("/livez", headers={"Host": "any.example"})).status_code == 200


ORIGINS = [
    (None, 202), ("http://localhost:8080", 202), ("https://localhost:8080", 202),
    ("https://twin.example", 202),
    ("http://localhost:3000", 403), ("http://evil.example", 403), ("null", 403), ("", 403),
    ("http://twin.example.evil.example", 403),
]  # fmt: skip


async def test_only_pages_of_the_api_itself_give_orders(database, ids):
    async with serving(database, hosts="twin.example") as (api, _):
        for origin, status in ORIGINS:
            headers = {"Host": "localhost:8080"} | ({} if origin is None else {"Origin": origin})
            orders = [
                await api.post("/api/v1/rejects/replay", json={"by": "me"}, headers=headers),
                await api.delete("/api/v1/rejects", headers=headers),
            ]
            assert [answer.status_code for answer in orders] == [status, status], origin
            # What it may not order it may not read either: no answer names another origin.
            answer = await api.get("/livez", headers=headers)
            assert answer.status_code == 200
            assert "access-control-allow-origin" not in answer.headers


async def test_a_body_beyond_its_limit_is_refused_with_and_without_a_length(database, ids):
    async def parts():
        for _ in range(5):
            yield b" " * 1_000

    headers = {"Content-Type": "application/json"}
    async with serving(database, body_bytes=4_096) as (api, _):
        for body in (b" " * 5_000, parts()):
            answer = await api.post("/api/v1/rejects/replay", content=body, headers=headers)
            assert (answer.status_code, answer.json()["status"]) == (413, 413)
            assert "PARKTWIN_BODY_BYTES" in answer.json()["detail"]
        body = b'{"by": "me"}' + b" " * 4_000
        answer = await api.post("/api/v1/rejects/replay", content=body, headers=headers)
        assert answer.status_code == 202


async def test_every_answer_says_what_browsers_may_do_with_it(served, tmp_path):
    api, _ = served
    for path in ("/livez", "/api/v1/latest", "/api/v1/nothing", "/fails", "/api/v1/history"):
        headers = (await api.get(path)).headers
        policy = headers["content-security-policy"]
        assert "script-src 'self';" in policy, path
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["permissions-policy"].startswith("camera=()")
        assert "strict-transport-security" not in headers  # by http it would say nothing
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"


async def test_head_answers_the_headers_of_get_and_ends_a_stream(database, ids):
    async with serving(database) as (api, context):
        for path in ("/api/v1/park", "/api/v1/nothing", "/livez"):
            head, whole = await api.head(path), await api.get(path)
            assert (head.status_code, head.content) == (whole.status_code, b"")
            assert head.headers == whole.headers
        assert (await api.head("/api/v1/live")).headers["content-type"].startswith("text/event-")
        assert context.feed.clients == 0


async def test_long_answers_are_compressed_and_event_streams_are_not(database, ids):
    async with serving(database) as (api, _):
        packed = await api.get("/api/v1/park")
        plain = await api.get("/api/v1/park", headers={"Accept-Encoding": "identity"})
        assert packed.headers["content-encoding"] == "gzip"
        assert int(packed.headers["content-length"]) < len(plain.content) / 2
        assert packed.json() == plain.json()
        for path in ("/livez", "/api/v1/live"):
            assert "content-encoding" not in (await api.head(path)).headers


async def test_what_consoles_ask_alike_is_answered_once_until_it_changes():
    paths, feed = [], SimpleNamespace(generation=1)

    async def app(scope, receive, send):
        paths.append(scope["path"])
        await asyncio.sleep(0.01)
        status = 404 if scope["path"] == "/assets/gone.js" else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        for part in (b"a", b"b"):
            await send({"type": "http.response.body", "body": part, "more_body": part == b"a"})

    transport = httpx.ASGITransport(KeepAnswers(app, lambda: feed.generation))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:

        async def ask_often(path, **headers):
            paths.clear()
            answers = await asyncio.gather(*(client.get(path, headers=headers) for _ in range(5)))
            return {(answer.status_code, answer.text) for answer in answers}, len(paths)

        good = {(200, "ab")}
        for path in ("/assets/a.js", "/api/v1/tags?limit=5", "/api/v1/simulation"):
            assert await ask_often(path) == (good, 1)
        assert await ask_often("/api/v1/tags?limit=5") == (good, 0)
        assert await ask_often("/api/v1/tags?limit=6") == (good, 1)
        assert await ask_often("/assets/a.js", range="bytes=0-1") == (good, 5)
        for path in ("/api/v1/latest", "/readyz", "/metrics", "/overview"):
            assert await ask_often(path) == (good, 5)
        assert await ask_often("/assets/gone.js") == ({(404, "ab")}, 1)
        assert await ask_often("/assets/gone.js") == ({(404, "ab")}, 1)
        feed.generation += 1
        assert await ask_often("/api/v1/tags?limit=5") == (good, 1)
        await client.post("/api/v1/simulation")
        assert await ask_often("/api/v1/simulation") == (good, 1)
        await asyncio.sleep(MOMENT_S)
        assert await ask_often("/api/v1/simulation") == (good, 1)
        # What one may know is not another's to see.
        readers = [Person("", None), Person("ann", "viewer"), Person("bob", "viewer", "demo/acme")]
        for reader in readers:
            token = ASKER.set(reader)
            assert await ask_often("/api/v1/tags?limit=5") == (good, 1)
            ASKER.reset(token)
        ASKER.set(Person("eve", "viewer"))
        assert await ask_often("/api/v1/tags?limit=5") == (good, 0)
