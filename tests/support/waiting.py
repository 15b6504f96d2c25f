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
