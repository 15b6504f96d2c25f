"""`parktwin api`: serve the twin over HTTP."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from typing import TYPE_CHECKING

import uvicorn

from api.access.accounts import ADMINISTRATOR
from api.access.guard import check_access
from api.app import create_app
from api.connections import BoundedProtocol, Connections, allow_files
from api.settings import ApiSettings
from api.tls import Certificate
from deploy.logs import LogSettings, say, start_logging
from deploy.watchdog import send_signs
from twin.errors import SettingsError, StoreError
from twin.program import program_parser, run_program

if TYPE_CHECKING:
    import socket

    from api.app import Api

EXAMPLES = """examples:
  parktwin api                                   serve on http://127.0.0.1:8080
  PARKTWIN_ACCESS=accounts PARKTWIN_HTTP_TLS_CERT=twin.pem PARKTWIN_HTTP_TLS_KEY=twin.key \\
      parktwin api --host 0.0.0.0 --port 443     for the whole network
  PARKTWIN_DATABASE_URL=postgresql://park@db/park parktwin api

environment:
"""
STOP_S = 5
# The schema may not be there yet.
INVITE_S = 2.0


class Server(uvicorn.Server):
    """Lets the live feeds end first, or stopping would wait for browsers."""

    def __init__(
        self, config: uvicorn.Config, app: Api, certificate: Certificate | None = None
    ) -> None:
        super().__init__(config)
        self._state = app.state
        context = app.state.context
        app.state.connections = Connections(context.settings, context.traffic)
        self._certificate = certificate
        self._tasks: list[asyncio.Task[None]] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start; called by uvicorn."""
        watching = self._state.connections.watch()
        self._tasks.append(asyncio.create_task(send_signs(), name="signs"))
        self._tasks.append(asyncio.create_task(watching, name="connections"))
        await super().startup(sockets)
        if self._state.guard.accounts is not None:
            self._tasks.append(asyncio.create_task(self._invite(), name="invitation"))
        if self._certificate is not None:
            self._tasks.append(asyncio.create_task(self._certificate.follow(), name="certificate"))
        self._state.calculations.warm()

    async def _invite(self) -> None:
        """Print the way in for the first administrator, once there is a database."""
        while True:
            try:
                secret = await self._state.guard.accounts.first_invitation()
            except StoreError:
                await asyncio.sleep(INVITE_S)
                continue
            if secret is not None:
                scheme = "https" if self.config.is_ssl else "http"
                url = f"{scheme}://{self.config.host}:{self.config.port}"
                print(
                    "parktwin api: no administrator has come in yet; this link sets the password of"
                    f" `{ADMINISTRATOR}`, once:\n  {url}/login?invitation={secret}",
                    flush=True,
                )
            return

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop; called by uvicorn."""
        self._state.context.feed.close()
        await super().shutdown(sockets)


def main(argv: list[str] | None = None) -> int:
    """Serve until stopped; return the exit status."""
    about = "Serve the twin over HTTP: REST, live feed, console."
    epilog = f"{EXAMPLES}{ApiSettings.help()}\n{LogSettings.help()}"
    parser = program_parser("parktwin api", about, epilog)
    parser.add_argument("--host", help="address to listen on (PARKTWIN_HTTP_HOST)")
    parser.add_argument("--port", type=int, help="port to listen on (PARKTWIN_HTTP_PORT)")
    parser.add_argument("--openapi", action="store_true", help="print /openapi.json and end")
    options = parser.parse_args(argv)
    if options.openapi:
        return run_program("parktwin api", _print_openapi)
    given = {"http_host": options.host, "http_port": options.port}
    overrides = {name: value for name, value in given.items() if value is not None}

    def work() -> int:
        start_logging("api")
        return _serve(ApiSettings(**overrides))

    return run_program("parktwin api", work, say=say)


def _print_openapi() -> None:
    """Print the OpenAPI document; it needs no database."""
    document = create_app(ApiSettings(), lambda: 0).openapi()
    print(json.dumps(document, indent=1, ensure_ascii=False))


def _serve(settings: ApiSettings) -> int:
    """Serve until a signal; return 0, or 1 when the app did not start; raises SettingsError."""
    check_access(settings)
    app = create_app(settings, now_us=lambda: time.time_ns() // 1000)
    allow_files(settings.connections_max)
    # The document takes a third of a second: not while others are served.
    _ = app.document
    certificate = None
    if settings.http_tls_cert is not None and settings.http_tls_key is not None:
        certificate = Certificate(settings.http_tls_cert, settings.http_tls_key)
    config = uvicorn.Config(
        app,
        http=BoundedProtocol,
        host=settings.http_host,
        port=settings.http_port,
        log_config=None,
        access_log=False,
        # Which proxies are believed, the app knows.
        proxy_headers=False,
        ssl_context_factory=(lambda *_: certificate.context) if certificate else None,
        timeout_graceful_shutdown=STOP_S,
    )
    server = Server(config, app, certificate)
    # uvicorn stops in good order and then raises the signal again: an end like any other.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        server.run()
    except KeyboardInterrupt:
        return 0
    except SystemExit:
        raise SettingsError(
            f"cannot listen on {settings.http_host}:{settings.http_port}",
            hint="another program uses it; choose another port with --port",
            retryable=True,
        ) from None
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
