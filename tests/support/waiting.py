"""Waiting for a condition, by polling."""

import asyncio
import inspect
import time


async def until(condition, seconds=20.0):
    """Wait until a condition holds and return its value; fail after some seconds.

    A coroutine function asks somebody else, who is asked less often.
    """
    end = time.monotonic() + seconds
    while True:
        value = condition()
        pause = 0.2 if inspect.isawaitable(value) else 0.02
        value = await value if inspect.isawaitable(value) else value
        if value:
            return value
        assert time.monotonic() < end, f"it did not happen within {seconds:g} s"
        await asyncio.sleep(pause)


async def until_returns(wanted, fetch, seconds=30.0):
    """Wait until a coroutine function returns a value; fail after some seconds."""
    end = time.monotonic() + seconds
    while (got := await fetch()) != wanted:
        assert time.monotonic() < end, f"{got} is not {wanted}"
        await asyncio.sleep(0.1)


async def until_still(count, polls=5):
    """Wait until a count is above 0 and the same for some polls."""
    same, last = 0, 0
    while same < polls:
        await asyncio.sleep(0.02)
        same = same + 1 if count() == last > 0 else 0
        last = count()
