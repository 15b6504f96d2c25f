"""Connections that last too long or are too many, and orders without end, beside a neighbour."""

import asyncio
import json
import resource
import sys
import time
from collections import Counter

import httpx
import pytest

from tests.support import slow
from tests.support.attack import SLACK, attacked_park
from tests.support.waiting import until

REQUEST_S = ANSWER_S = 5
MOST = 1_000
CLOSED = 'parktwin_api_connections_closed_total{reason="%s"}'
WAYS = ("nothing", "head", "body")
READERS = 20  # who take nothing of their answers


async def hold(park, ways, longest_s=90):
    """Let slow clients hold connections, in a process of their own; return how that went."""
    port = int(park.environment["PARKTWIN_HTTP_PORT"])
    settings = {"port": port, "ways": ways, "longest_s": longest_s}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", slow.__name__, json.dumps(settings), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(out)


def most_connections():
    """Return how many connections one process may have here."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 500


@pytest.mark.parametrize("count", [1_500, pytest.param(10_000, marks=pytest.mark.long)])
async def test_slow_clients_are_closed_in_time_and_hold_nobody_up(
    services, database, park_folder, tmp_path, count
):
    few = {"request_s": REQUEST_S, "answer_s": ANSWER_S, "connections_max": MOST,
           "connections_host_max": 600, "live_clients_max": 500}  # fmt: skip
    count = min(count, most_connections())
    ways = [WAYS[n % len(WAYS)] for n in range(count)]
    async with attacked_park(services, database, park_folder, tmp_path, **few) as park:
        async with park.witness() as seen:
            result = await hold(park, ["answer"] * READERS + ways)
        print(result)
        assert result["held"] == 0
        # Since the last of them was connected; of many it takes a while until they are accepted.
        accepted_s = count / 2_000
        assert result["last_s"] - result["connected_s"] < (REQUEST_S + accepted_s + 3) * SLACK
        await until(lambda: is_calm(park))
        # A byte that begins no request ends its connection at once.
        reasons = ("slow", "crowded", "refused", "stalled", "invalid")
        closed = [await park.metric(CLOSED % each) or 0 for each in reasons]
        assert sum(closed) >= count
        assert closed[1] >= count - MOST
        assert closed[3] == READERS
        seen.require(stored_s=3.0, feed_s=1.0, livez_s=1.0, ingest_mb=400, api_mb=400)
        assert seen.failed == []
    assert "Traceback" not in (tmp_path / "programs.log").read_text()


async def is_calm(park):
    return await park.metric("parktwin_api_connections") < 20


@pytest.mark.parametrize("seconds", [4, pytest.param(30, marks=pytest.mark.long)])
async def test_orders_without_end_are_refused_and_hold_nobody_up(
    services, database, park_folder, tmp_path, seconds
):
    async with attacked_park(services, database, park_folder, tmp_path, orders_minute=30) as park:
        statuses = Counter()

        async def order(client, end_s):
            while time.monotonic() < end_s:
                answer = await client.post("/api/v1/rejects/replay", json={"by": "eve"})
                statuses[answer.status_code] += 1

        async with (
            park.witness() as seen,
            httpx.AsyncClient(base_url=park.base_url, timeout=20) as client,
        ):
            end_s = time.monotonic() + seconds
            await asyncio.gather(*(order(client, end_s) for _ in range(16)))
        print(statuses)
        assert set(statuses) == {202, 429}
        assert 30 <= statuses[202] <= 30 + (seconds + 5) * SLACK * 30 / 60
        assert statuses[429] > 0
        assert await park.metric('parktwin_api_limited_total{limit="orders"}') == statuses[429]
        seen.require(stored_s=3.0, feed_s=1.0, livez_s=0.5, ingest_mb=400, api_mb=400)
