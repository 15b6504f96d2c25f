"""`parktwin api`: serve the twin over HTTP."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from typing import TYPE_CHECKING

import uvicorn
from pydantic import ValidationError

from api.app import create_app
from api.settings import ApiSettings, settings_help

if TYPE_CHECKING:
    import socket

    from api.context import World

EXAMPLES = """examples:
  parktwin api                                   serve on http://127.0.0.1:8080
  parktwin api --host 0.0.0.0 --port 80          for the whole network
  PARKTWIN_DATABASE_URL=postgresql://park@db/park parktwin api

environment:
"""
STOP_S = 5


class Server(uvicorn.Server):
    """Lets the live feeds end first, or stopping would wait for browsers."""

    def __init__(self, config: uvicorn.Config, world: World) -> None:
        super().__init__(config)
        self._world = world

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop; called by uvicorn."""
        self._world.feed.close()
        await super().shutdown(sockets)


def main(argv: list[str] | None = None) -> int:
    """Serve until stopped; return 0, or 1 when it could not start."""
    parser = argparse.ArgumentParser(
        prog="parktwin api",
        description="Serve the twin over HTTP: REST, live feed, console.",
        epilog=EXAMPLES + settings_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", help="address to listen on (PARKTWIN_HTTP_HOST)")
    parser.add_argument("--port", type=int, help="port to listen on (PARKTWIN_HTTP_PORT)")
    options = parser.parse_args(argv)
    given = {"http_host": options.host, "http_port": options.port}
    try:
        settings = ApiSettings(**{k: v for k, v in given.items() if v is not None})
    except ValidationError as error:
        for one in error.errors():
            name = "PARKTWIN_" + str(one["loc"][0]).upper() if one["loc"] else "settings"
            print(f"parktwin api: {name}: {one['msg']}", file=sys.stderr)
        return 1
    app = create_app(settings, now_us=lambda: time.time_ns() // 1000)
    config = uvicorn.Config(
        app,
        host=settings.http_host,
        port=settings.http_port,
        log_level="info",
        access_log=False,
        timeout_graceful_shutdown=STOP_S,
    )
    server = Server(config, app.state.world)
    # uvicorn stops in good order and then raises the signal again: an end like any other.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        server.run()
    except KeyboardInterrupt:
        return 0
    except SystemExit:
        print(
            f"parktwin api: cannot listen on {settings.http_host}:{settings.http_port}"
            " — another program uses it; choose another port with --port",
            file=sys.stderr,
        )
        return 1
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
