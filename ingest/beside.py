"""Tasks beside the cycles that work for the rows of a model until another model runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence


async def run_for_model(
    changed: asyncio.Event, lines: Callable[[], Sequence[Coroutine[Any, Any, None]]]
) -> None:
    """Run what `lines` returns, and begin anew whenever the model has changed."""
    while True:
        changed.clear()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(line) for line in lines()]
            await changed.wait()
            for task in tasks:
                task.cancel()
