"""What accounts cost who looks: the same questions with and without, in turns, in one process."""

import asyncio
import time
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import numpy as np
import uvicorn

from api.access.guard import SESSION
from api.app import create_app
from api.settings import ApiSettings
from deploy.service import HOST, free_port
from tests.support.small_park import NOW, S, add_cycle
from tests.support.waiting import until

pytest_plugins = ["tests.support.small_park"]

WAYS = ("demo", "accounts")
BLOCKS, QUESTIONS, CYCLES = 8, 400, 60
GOAL = 1.10


@asynccontextmanager
async def served(database, access):
    """Serve the small park; yields a client that has come in where there are accounts."""
    app = create_app(ApiSettings(database_url=database, access=access), lambda: NOW, inline=True)
    port = free_port()
    config = uvicorn.Config(app, host=HOST, port=port, log_level="warning")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started and app.state.context.feed.loaded)
    accounts, cookies = app.state.guard.accounts, {}
    if accounts is not None:
        if not await accounts.rows("SELECT FROM account"):
            await accounts.add("ann", "operator", "", "bench")
        cookies[SESSION] = await accounts.issue("session", "ann", timedelta(hours=1))
    url = f"http://{HOST}:{port}"
    async with httpx.AsyncClient(base_url=url, cookies=cookies, timeout=10) as client:
        yield client
    app.state.context.feed.close()
    server.should_exit = True
    await task


async def ask(client):
    """Return how long each question took [s]."""
    waits = []
    for _ in range(QUESTIONS):
        begin = time.perf_counter()
        answer = await client.get("/api/v1/latest")
        waits.append(time.perf_counter() - begin)
        assert answer.status_code == 200
    return waits


async def follow(client, db, tag_id, cycles):
    """Return how long after its commit each cycle came by the live feed [s]."""
    waits = []
    async with client.stream("GET", "/api/v1/live") as answer:
        lines = answer.aiter_lines()
        await until_event(lines, "image")
        for _ in range(CYCLES):
            cycle_us = next(cycles)
            begin = time.perf_counter()
            await add_cycle(db, cycle_us, [(tag_id, cycle_us, float(cycle_us % 7), 0)])
            await until_event(lines, "cycle")
            waits.append(time.perf_counter() - begin)
    return waits


async def until_event(lines, kind):
    while await anext(lines) != f"event: {kind}":
        pass
    while await anext(lines):
        pass


async def bench_accounts_beside_none(database, db, ids, report):
    cycles = iter(range(NOW, NOW + 100_000 * S, S))
    waits = {(way, what): [] for way in WAYS for what in ("latest", "feed")}
    for block in range(BLOCKS + 1):
        # Who goes first changes, and the first block is for warmth.
        for way in WAYS[:: 1 if block % 2 else -1]:
            async with served(database, way) as client:
                latest = await ask(client)
                feed = await follow(client, db, ids["acme/FT-1"], cycles)
            if block:
                waits[way, "latest"].append(np.percentile(latest, 95))
                waits[way, "feed"].append(np.percentile(feed, 95))
    ratios = {}
    for what in ("latest", "feed"):
        without, with_accounts = (float(np.median(waits[way, what])) for way in WAYS)
        ratios[what] = with_accounts / without
        report(
            f"p95 of {what}, with accounts",
            f"{with_accounts * 1e3:.2f} ms",
            f"{without * 1e3:.2f} ms without: {ratios[what]:.2f}",
            f"≤ {GOAL:.2f}",
        )
    assert max(ratios.values()) <= GOAL, ratios
