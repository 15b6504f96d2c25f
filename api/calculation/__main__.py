"""A process that answers requests of the API which calculate: one a time, from pipe to pipe.

It is started by `api.calculation.pool`, and ends with the pipe it reads from.
"""

from __future__ import annotations

import asyncio
import os
import signal
import string
import sys
from contextlib import suppress
from typing import BinaryIO
from urllib.parse import quote

import orjson

from api.access.rights import ASKER, Person
from api.app import create_app
from api.calculation.inline import ask
from api.calculation.pool import HEADERS
from api.settings import ApiSettings
from deploy.logs import start_logging
from twin.errors import StoreError

# Who publishes, stores and looks comes before who calculates.
NICE = 10


def main() -> None:
    """Answer requests until the pipe ends."""
    # Ctrl-C reaches the whole group: the API ends its processes itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICE)
    start_logging("api")
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
        query = quote(head["query"].encode("latin-1"), safe=string.punctuation.replace("#", ""))
        address = f"{quote(head['path'])}?{query}"
        person = head.get("person")
        ASKER.set(None if person is None else Person(head["by"], *person))
        answer = await ask(app, address, head["method"], head["headers"], body)
        headers = {name: value for name, value in answer.headers.items() if name in HEADERS}
        start = {"status": answer.status, "headers": headers, "size": len(answer.body)}
        sink.write(orjson.dumps(start) + b"\n")
        sink.write(answer.body)
        sink.flush()


if __name__ == "__main__":
    main()
