"""Commands for a running ingest, written down and waited for."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from ingest.settings import IngestSettings
from ingest.store import Store
from twin.errors import ParkError
from twin.program import run_program

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

WAIT_S, LOOK_S = 30.0, 0.2


async def order(store: Store, kind: str, body: dict[str, Any]) -> None:
    """Write a command down and wait for its answer; raises ParkError when it was refused."""
    async with store.transaction():
        number = await store.commands.add(kind, json.dumps(body))
    for _ in range(round(WAIT_S / LOOK_S)):
        async with store.transaction():
            done, error = await store.commands.result(number)
        if done:
            if error:
                raise ParkError(error)
            print("done")
            return
        await asyncio.sleep(LOOK_S)
    print(f"ingest has not taken it yet: command {number} waits until it runs")


def run(program: str, work: Callable[[Store], Awaitable[None]]) -> int:
    """Do some work with the database; return the exit status."""

    async def connected(settings: IngestSettings) -> None:
        store = Store(settings.database_url)
        await store.open()
        try:
            await work(store)
        finally:
            await store.close()

    return run_program(program, lambda: asyncio.run(connected(IngestSettings())))
