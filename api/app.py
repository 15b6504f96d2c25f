"""The FastAPI application: routes, problems, the life of database pool and feed, the console."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from contextlib import asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

from api import (
    administration,
    alarms,
    balance,
    book,
    byproducts,
    chlorine,
    contacts,
    energy,
    gateways,
    health,
    heat,
    history,
    industry,
    latest,
    loops,
    maturity,
    meters,
    metrics,
    notifications,
    park,
    problems,
    quarantine,
    registers,
    restatements,
    retrofits,
    simulation,
    tariffs,
    unit_errors,
)
from api.access import people, record, second_factor, sessions, sign_in
from api.access.guard import Guard, Identify
from api.access.noting import NoteRequests, note_models, note_refusals
from api.baselines import bridge, forecast
from api.baselines import routes as baselines_routes
from api.calculation.pool import Calculations
from api.consumption import comparison, load
from api.consumption import routes as consumption_routes
from api.context import Context
from api.emissions import routes as emissions_routes
from api.evaluation import routes as evaluation_routes
from api.explanation import routes as explanation_routes
from api.live.feed import Feed
from api.load_plan import routes as load_plan_routes
from api.middleware import (
    AddHeaders,
    AnswerHead,
    CountAnswers,
    KeepAnswers,
    RefuseRequests,
    TrustProxies,
)
from api.monitoring import routes as monitoring_routes
from api.reports import routes as reports_routes
from api.resources import routes as resources_routes
from api.scenarios import routes as scenarios_routes
from api.store import ReadStore
from api.table import JSON
from api.targets import benchmark
from api.targets import routes as targets_routes
from api.totals import routes as totals_routes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.types import Scope

    from api.settings import ApiSettings

log = logging.getLogger("parktwin.api")

CONSOLE = Path(__file__).parent / "console" / "dist"
# Modules with routes, in the order of the documentation.
SUBJECTS = (
    park,
    latest,
    loops,
    meters,
    history,
    emissions_routes,
    totals_routes,
    alarms,
    notifications,
    energy,
    consumption_routes,
    load,
    comparison,
    monitoring_routes,
    retrofits,
    tariffs,
    baselines_routes,
    forecast,
    bridge,
    heat,
    chlorine,
    balance,
    byproducts,
    resources_routes,
    targets_routes,
    benchmark,
    maturity,
    evaluation_routes,
    industry,
    scenarios_routes,
    reports_routes,
    explanation_routes,
    load_plan_routes,
    quarantine,
    contacts,
    registers,
    restatements,
    book,
    unit_errors,
    gateways,
    health,
    metrics,
    administration,
    sessions,
    second_factor,
    sign_in,
    people,
    record,
    simulation,
)
# Answers from this length on are compressed, at the level beyond which only time is lost.
PACKED_BYTES, PACKING = 1_000, 5
NOT_BUILT = "The console is not built yet: `make setup`, or npm ci && npm run build in api/console"


def create_app(
    settings: ApiSettings,
    now_us: Callable[[], int],
    console: Path = CONSOLE,
    *,
    inline: bool = False,
) -> Api:
    """Return the application; it connects to the database when it starts.

    `inline` makes it calculate where it is asked, and not in processes of its own.
    """
    store = ReadStore(
        settings.database_url,
        pool_size=settings.pool_size,
        query_timeout_s=settings.query_timeout_s,
        archive_folder=settings.archive,
    )
    context = Context(settings, store, Feed(store, poll_s=settings.poll_s), now_us)
    calculations = None if inline else Calculations(context)
    guard = Guard(settings, now_us, context.traffic)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await store.open()
        if guard.accounts is not None:
            await guard.accounts.open()
        follower = asyncio.create_task(context.feed.run(), name="api.live.feed")
        follower.add_done_callback(_stop_after_crash)
        noting = [
            asyncio.create_task(note(guard, context), name="api.access.noting")
            for note in (note_models, note_refusals)
        ]
        try:
            yield
        finally:
            context.feed.close()
            for task in (follower, *noting):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            if calculations is not None:
                await calculations.close()
            if guard.accounts is not None:
                await guard.accounts.close()
            await store.close()

    app = Api(
        title="parktwin",
        description="The digital twin of a chemical park; all it takes are commands to ingest.",
        version="1",
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    app.add_route("/openapi.json", app.answer_document, include_in_schema=False)
    app.state.context = context
    app.state.calculations = calculations
    app.state.guard = guard
    _surround(app, context, guard)
    problems.install(app)
    for module in SUBJECTS:
        for route in module.router.routes:
            # As it was made: `include_router` would make each of them, with its schemas, once more.
            route.unique_id = route.name
            app.router.routes.append(route)
    if console.is_dir():
        app.mount("/", ConsoleFiles(directory=console, html=True), name="console")
    else:
        app.add_api_route("/", _hint, include_in_schema=False)
    return app


def _surround(app: Api, context: Context, guard: Guard) -> None:
    """Add what every request and answer passes; the last one stands outside."""
    app.add_middleware(GZipMiddleware, minimum_size=PACKED_BYTES, compresslevel=PACKING)
    if app.state.calculations is not None:
        app.add_middleware(KeepAnswers, generation=lambda: context.feed.generation)
    app.add_middleware(AnswerHead)
    app.add_middleware(NoteRequests, guard=guard, context=context)
    app.add_middleware(Identify, guard=guard)
    app.add_middleware(RefuseRequests, settings=context.settings)
    app.add_middleware(CountAnswers, traffic=context.traffic)
    app.add_middleware(AddHeaders, hsts_days=context.settings.hsts_days)
    if context.settings.proxies:
        app.add_middleware(TrustProxies, proxies=context.settings.proxies)


class ConsoleFiles(StaticFiles):
    """The files of the console; the address of each of its pages is answered by the one page."""

    _page = b""
    _written_ns = 0

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file, or the page for an address that names no file and nothing of the API."""
        is_page = path == "." or "." not in path.rpartition("/")[2]
        is_api = path.split("/", maxsplit=1)[0] == "api"
        if scope["method"] == "GET" and is_page and not is_api:
            return HTMLResponse(self._read_page())
        return await super().get_response(path, scope)

    def _read_page(self) -> bytes:
        """Return the page, which is small, and read again when it was built again."""
        assert self.directory is not None
        file = Path(self.directory) / "index.html"
        written_ns = file.stat().st_mtime_ns
        if written_ns != self._written_ns:
            self._page, self._written_ns = file.read_bytes(), written_ns
        return self._page


class Api(FastAPI):
    """The application; its OpenAPI document has problems, and no titles made of names."""

    @cached_property
    def document(self) -> bytes:
        """The OpenAPI document as JSON, written once: it has a megabyte."""
        return orjson.dumps(self.openapi())

    async def answer_document(self, _: Request) -> Response:
        """Return the OpenAPI document."""
        return Response(self.document, media_type=JSON)

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI 3.1 document."""
        document = super().openapi()
        document["components"]["schemas"]["Problem"] = problems.PROBLEM
        _untitle([document["components"], document["paths"]])
        return document


def _untitle(node: Any) -> None:
    """Remove the titles pydantic derives from names: they repeat them."""
    children = node.values() if isinstance(node, dict) else node
    for child in children if isinstance(node, dict | list) else ():
        if isinstance(child, dict) and isinstance(child.get("title"), str):
            del child["title"]
        _untitle(child)


async def _hint() -> PlainTextResponse:
    return PlainTextResponse(NOT_BUILT)


def _stop_after_crash(task: asyncio.Task[Any]) -> None:
    # Without its feed the image would look alive and stand still: whoever supervises us restarts.
    if not task.cancelled() and task.exception() is not None:
        log.critical("the live feed crashed", exc_info=task.exception())
        signal.raise_signal(signal.SIGTERM)
