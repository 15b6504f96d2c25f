"""Waiting for a condition, by polling."""

import asyncio
import time


async def until(condition, seconds=20.0):
    """Wait until a condition holds; fail after some seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"it did not happen within {seconds:g} s"
        await asyncio.sleep(0.02)
