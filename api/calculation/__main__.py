"""A process that answers requests of the API which calculate: one a time, from pipe to pipe.

It is started by `api.calculation.pool`, and ends with the pipe it reads from.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson

from api.app import create_app
from api.calculation.pool import HEADERS
from api.settings import ApiSettings
from twin.errors import StoreError

if TYPE_CHECKING:
    from fastapi import FastAPI

# Who publishes, stores and looks comes before who calculates.
NICE = 10

log = logging.getLogger("parktwin.api")


def main() -> None:
    """Answer requests until the pipe ends."""
    # Ctrl-C reaches the whole group: the API ends its processes itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICE)
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as sink:
        # What a library prints must not stand between the answers.
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        asyncio.run(_serve(sys.stdin.buffer, sink))


async def _serve(source: BinaryIO, sink: BinaryIO) -> None:
    settings = ApiSettings(**orjson.loads(source.readline()))
    now_us = 0
    app = create_app(settings, lambda: now_us, inline=True)
    context = app.state.context
    await context.store.open()
    # While nothing is asked the loop goes on: a connection that is lost is noticed.
    while line := await asyncio.to_thread(source.readline):
        head = orjson.loads(line)
        now_us = head["now_us"]
        body = await asyncio.to_thread(source.read, head["size"])
        # Without a database the routes say so.
        with suppress(StoreError):
            await context.feed.refresh(head["version"])
        start, content = await _answer(app, head, body)
        names = ((name.decode(), value.decode()) for name, value in start["headers"])
        headers = {name: value for name, value in names if name in HEADERS}
        answer = {"status": start["status"], "headers": headers, "size": len(content)}
        sink.write(orjson.dumps(answer) + b"\n")
        sink.write(content)
        sink.flush()


async def _answer(app: FastAPI, head: dict[str, Any], body: bytes) -> tuple[Any, bytes]:
    """Return the start and the body of the app's answer to a request."""
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": head["method"],
        "scheme": "http",
        "path": head["path"],
        "query_string": head["query"].encode("latin-1"),
        "root_path": "",
        "headers": [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in head["headers"].items()
        ],
    }
    messages: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        messages.append(message)

    try:
        await app(scope, receive, send)
    except Exception:
        # It has been answered with 500.
        log.exception("%s %s failed", head["method"], head["path"])
    return messages[0], b"".join(message.get("body", b"") for message in messages[1:])


if __name__ == "__main__":
    main()
