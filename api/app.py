"""The FastAPI application: routes, problems, the life of database pool and feed, the console."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from starlette.staticfiles import StaticFiles

from api import (
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
    latest,
    meters,
    park,
    problems,
    quarantine,
    registers,
    tariffs,
    unit_errors,
)
from api.calculation.pool import Calculations
from api.context import Context
from api.emissions import routes as emissions_routes
from api.evaluation import routes as evaluation_routes
from api.live.feed import Feed
from api.middleware import AddHeaders, CountAnswers, RefuseRequests
from api.resources import routes as resources_routes
from api.scenarios import routes as scenarios_routes
from api.store import ReadStore
from api.targets import routes as targets_routes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from api.settings import ApiSettings

log = logging.getLogger("parktwin.api")

CONSOLE = Path(__file__).parent / "console" / "dist"
# Modules with routes, in the order of the documentation.
SUBJECTS = (
    park,
    latest,
    meters,
    history,
    emissions_routes,
    alarms,
    energy,
    tariffs,
    heat,
    chlorine,
    balance,
    byproducts,
    resources_routes,
    targets_routes,
    evaluation_routes,
    scenarios_routes,
    quarantine,
    contacts,
    registers,
    book,
    unit_errors,
    gateways,
    health,
)
NOT_BUILT = "The console is not built yet: `make setup`, or npm ci && npm run build in api/console"


def create_app(
    settings: ApiSettings,
    now_us: Callable[[], int],
    console: Path = CONSOLE,
    *,
    inline: bool = False,
) -> FastAPI:
    """Return the application; it connects to the database when it starts.

    `inline` makes it calculate where it is asked, and not in processes of its own.
    """
    store = ReadStore(
        settings.database_url,
        pool_size=settings.pool_size,
        query_timeout_s=settings.query_timeout_s,
    )
    context = Context(settings, store, Feed(store, poll_s=settings.poll_s), now_us)
    calculations = None if inline else Calculations(context)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await store.open()
        follower = asyncio.create_task(context.feed.run(), name="api.live.feed")
        follower.add_done_callback(_stop_after_crash)
        try:
            yield
        finally:
            context.feed.close()
            follower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await follower
            if calculations is not None:
                await calculations.close()
            await store.close()

    app = Api(
        title="parktwin",
        description="The digital twin of a chemical park; all it takes are commands to ingest.",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.context = context
    app.state.calculations = calculations
    # The last one stands outside.
    app.add_middleware(RefuseRequests, settings=settings)
    app.add_middleware(CountAnswers, traffic=context.traffic)
    app.add_middleware(AddHeaders)
    problems.install(app)
    for module in SUBJECTS:
        app.include_router(module.router)
    if console.is_dir():
        app.mount("/", StaticFiles(directory=console, html=True), name="console")
    else:
        app.add_api_route("/", _hint, include_in_schema=False)
    return app


class Api(FastAPI):
    """The application; its OpenAPI document has problems, and no titles made of names."""

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
