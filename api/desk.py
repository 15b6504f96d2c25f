"""The API inside a program of the command line: questions to the database, orders to ingest."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson

from api.app import create_app
from api.calculation.inline import address_of, ask
from api.settings import ApiSettings
from twin.errors import ParkError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from fastapi import FastAPI

    from twin.model.park import Park

WAIT_S, LOOK_S = 30.0, 0.2


class Desk:
    """The API of this process: it calculates with the database, and no server is needed."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    @property
    def park(self) -> Park:
        """The newest park model; raises Problem before the first."""
        park: Park = self._app.state.context.model.park
        return park

    async def get(self, path: str, **query: str | int) -> Any:
        """Return an answer; raises ParkError for a problem."""
        return self._read(await ask(self._app, address_of(path, **query)))

    async def post(self, path: str, body: dict[str, Any]) -> bool:
        """Send a command and return whether it is done; raises ParkError when it was refused."""
        headers = {"content-type": "application/json"}
        answer = await ask(self._app, address_of(path), "POST", headers, orjson.dumps(body))
        command = self._read(answer)["command"]
        for _ in range(round(WAIT_S / LOOK_S)):
            outcome = await self.get(f"commands/{command}")
            if outcome["error"]:
                raise ParkError(outcome["error"])
            if outcome["done"]:
                return True
            await asyncio.sleep(LOOK_S)
        print(f"ingest has not taken it yet: command {command} waits until it runs")
        return False

    @staticmethod
    def _read(answer: Any) -> Any:
        body = orjson.loads(answer.body)
        if answer.status >= 400:
            raise ParkError(body["detail"], hint=body.get("hint", ""))
        return body


@asynccontextmanager
async def open_desk(now_us: Callable[[], int]) -> AsyncIterator[Desk]:
    """Yield the API over the database of the settings; raises StoreError."""
    app = create_app(ApiSettings(), now_us, inline=True)
    context = app.state.context
    await context.store.open()
    try:
        await context.feed.refresh(1)
        yield Desk(app)
    finally:
        await context.store.close()
