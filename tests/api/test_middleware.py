"""What every answer passes: it is counted, and a failure of ours is a problem with a reference."""

import logging

import httpx
import pytest
from fastapi import Response
from fastapi.responses import StreamingResponse

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
    assert 'parktwin_api_requests_total{status="5xx"} 2' in lines
    assert "parktwin_api_answers_broken_total 0" in lines


async def test_a_stream_that_breaks_off_is_counted_and_not_ended_in_good_order(served):
    api, context = served
    app = api._transport.app
    strict = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=strict, base_url="http://api") as client:
        with pytest.raises(ZeroDivisionError):
            await client.get("/breaks")
    assert (context.traffic.answers["2xx"], context.traffic.broken) == (1, 1)
