"""Requests as bytes: what is no request is refused, and a head has an end."""

import asyncio
from types import SimpleNamespace

import pytest
import uvicorn

from api.connections import HEAD_BYTES, BoundedProtocol, Connections
from api.middleware import Traffic
from api.settings import ApiSettings
from deploy.service import HOST, free_port
from tests.support.waiting import until

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
LONG = b"x" * (HEAD_BYTES + 1)
REFUSED = b"HTTP/1.1 400 Bad Request"


class Echo:
    """An application that answers with the body of each request."""

    def __init__(self):
        self.state = SimpleNamespace(connections=Connections(ApiSettings(), Traffic()))

    async def __call__(self, scope, receive, send):
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def port():
    config = uvicorn.Config(
        Echo(), http=BoundedProtocol, host=HOST, port=free_port(), log_level="warning",
        lifespan="off",
    )  # fmt: skip
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    yield config.port
    server.should_exit = True
    await serving


async def exchange(port, parts):
    """Send bytes in parts and return what came until the server closed, or went silent."""
    reader, writer = await asyncio.open_connection(HOST, port)
    answer = b""
    try:
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0.01)
        async with asyncio.timeout(0.5):
            while piece := await reader.read(65_536):
                answer += piece
    except (TimeoutError, ConnectionResetError):
        pass
    finally:
        writer.close()
    return answer


@pytest.mark.parametrize(
    "parts",
    [
        [GET + b"X-Long: " + LONG + b"\r\n\r\n"],
        [GET, *([b"X-Many: 1\r\n" * 1_000] * 10)],
        [GET + b"X-Endless: ", *([b"x" * 10_000] * 8)],
        [b"GET /" + LONG + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"],
        [CHUNKED + b"\r\n0\r\nX-After: " + LONG + b"\r\n\r\n"],
        [CHUNKED + b"\r\n1;", *([b"x" * 10_000] * 8)],
        [CHUNKED + b"Content-Length: 4\r\n\r\n0\r\n\r\n"],
        [GET + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx"],
        [GET + b"X-Two: 1\rX-Lines: 2\r\n\r\n"],
        [b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n"],
        [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
    ],
    ids=["line", "lines", "endless line", "address", "trailer", "extension", "two lengths",
         "other length", "bare return", "byte of an address", "TLS"],
)  # fmt: skip
async def test_head_that_is_too_long_or_ambiguous_is_refused_and_the_connection_closed(port, parts):
    assert (await exchange(port, parts)).startswith(REFUSED)


async def test_requests_in_one_piece_are_answered_in_their_order(port):
    one = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b"
    answer = await exchange(port, [b"".join(one % (len(body), body) for body in (b"a", b"bb"))])
    answers = answer.split(b"HTTP/1.1 200 OK")[1:]
    assert [each.partition(b"\r\n\r\n")[2] for each in answers] == [b"a", b"bb"]


async def test_long_body_is_no_long_head(port):
    body = b"x" * (3 * HEAD_BYTES)
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
    answer = await exchange(port, [head + body[:10], body[10:]])
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(body)
