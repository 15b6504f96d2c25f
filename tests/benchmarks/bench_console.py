"""The console under load: 200 live feeds and a burst of 100 page loads beside 20,000 samples/s."""

import asyncio
import json
import multiprocessing
import time
from collections import deque
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

import httpx
import numpy as np
import uvloop

from deploy.service import HOST, free_port
from tests.support import load
from tests.support.browser import chromium
from tests.support.programs import is_ready, running
from tests.support.waiting import until
from twin.loading import load_park

PARK = "deploy/parks/liaocheng"
ENTERPRISE = "xinfa"
FEEDS, LOADS = 200, 100
RATE_HZ = 20_000
SECONDS = 40
AT_ONCE = 6  # connections of one browser
GOAL_S = 1.0
PAINT_GOAL_S, VALUE_GOAL_S, LOAD_GOAL_KB = 0.5, 2.0, 250
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
LOADED = """
[...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
  .reduce((sum, entry) => sum + entry.transferSize, 0)
"""


async def questions_of_a_load(base):
    """Return what a browser asks when the overview is opened, in its order."""
    requests = []
    async with chromium() as browser:
        page = await browser.new_page()
        page.on("request", lambda request: requests.append((request.method, request.url)))
        await page.goto(f"{base}/overview")
        await page.locator("[data-testid=live-value][data-time]").first.wait_for()
        await page.wait_for_timeout(3_000)
    return [url for method, url in requests if method == "GET" and not url.endswith("/live")]


async def follow(port, number, until_s, cycles):
    """Read a live feed from an address of its own."""
    address = f"127.0.{1 + number // 200}.{1 + number % 200}"
    reader, writer = await asyncio.open_connection(HOST, port, local_addr=(address, 0))
    writer.write(f"GET /api/v1/live HTTP/1.1\r\nHost: {HOST}:{port}\r\n\r\n".encode())
    count = 0
    while (remaining_s := until_s - time.monotonic()) > 0:
        try:
            content = await asyncio.wait_for(reader.read(1 << 20), remaining_s)
        except TimeoutError:
            break
        if not content:
            break
        count += content.count(b"event: cycle")
    cycles.append(count)
    writer.close()


async def read_answer(reader):
    """Read an answer of HTTP/1.1; return its status. A client library would take longer than us."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
    if b"content-length" in fields:
        await reader.readexactly(int(fields[b"content-length"]))
    else:
        while size := int(await reader.readuntil(b"\r\n"), 16):
            await reader.readexactly(size + 2)
        await reader.readexactly(2)
    return int(head.split(b" ", 2)[1])


async def open_page(port, number, urls, outcomes):
    """Ask what a browser asks, by so many connections as it makes, from an address of its own."""
    waiting = deque(urls)

    async def ask_in_turn():
        address = f"127.0.8.{1 + number}", 0
        reader, writer = await asyncio.open_connection(HOST, port, local_addr=address)
        while waiting:
            url = waiting.popleft()
            question = urlsplit(url)._replace(scheme="", netloc="").geturl()
            lines = f"GET {question} HTTP/1.1", f"Host: {HOST}:{port}", "Accept-Encoding: gzip"
            began = time.monotonic()
            writer.write("\r\n".join([*lines, "", ""]).encode())
            status = await read_answer(reader)
            outcomes.append((time.monotonic() - began, status, url))
        writer.close()

    await asyncio.gather(*(ask_in_turn() for _ in range(AT_ONCE)))


def crowd(port, urls, seconds, result):
    """Follow feeds for some seconds, and open pages in their midst; a process of its own."""

    async def run():
        cycles, outcomes = [], []
        end = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for number in range(FEEDS):
                group.create_task(follow(port, number, end, cycles))
            await asyncio.sleep(seconds / 2)
            began = time.monotonic()
            await asyncio.gather(*(open_page(port, n, urls, outcomes) for n in range(LOADS)))
            lasted_s = time.monotonic() - began
        return cycles, outcomes, lasted_s

    result.put(uvloop.run(run()))


def publish(services, seconds):
    """Publish the newest of all gauges of an enterprise, again and again, as fast as is asked."""
    park = load_park(PARK)
    tags = [t for t in park.tags if t.owner == ENTERPRISE and t.source == "measured"
            and t.kind == "gauge" and t.low is not None]  # fmt: skip
    values = {tag.tag: float((tag.low + tag.high) / 2) for tag in tags}
    rate = RATE_HZ // len(values)
    written, begin_ms = json.dumps(values).encode(), int(time.time() * 1000)
    payloads = (
        b'{"ts": %d, "values": %b}' % (begin_ms + n * 1000 // rate, written)
        for n in range(rate * seconds)
    )
    topic = f"park/v1/{park.id}/{ENTERPRISE}/load"
    return load.publish_in_background(
        services.mosquitto.port, topic, payloads, rate=rate, block=max(rate // 100, 1), qos=0
    )


@asynccontextmanager
async def programs(services, database, tmp_path):
    """The programs of the park of the demonstration; yields the console's address and a client."""
    port = free_port()
    environment = {"PARKTWIN_DATABASE_URL": database, "PARKTWIN_MQTT_URL": services.mqtt_url,
                   "PARKTWIN_PARK": PARK, "PARKTWIN_CLIENT_ID": "bench-console",
                   "PARKTWIN_SESSION_EXPIRY_S": "60", "PARKTWIN_HTTP_PORT": str(port),
                   "PARKTWIN_HISTORY_H": "6", "OPENBLAS_NUM_THREADS": "1"}  # fmt: skip
    base = f"http://{HOST}:{port}"
    with (tmp_path / "programs.log").open("w") as log:
        async with (
            running("ingest", environment, log),
            running("api", environment, log),
            running("simulators", environment, log),
            httpx.AsyncClient(base_url=base, timeout=20) as client,
        ):
            await until(partial(is_ready, client), 300)
            yield base, client


async def open_once(browser, base):
    """Return when the overview was painted and had a value [s], and what came for it [kB]."""
    page = await (await browser.new_context()).new_page()
    await page.goto(f"{base}/overview")
    await page.locator("[data-testid=live-value][data-time]").first.wait_for()
    value_s = await page.evaluate("performance.now()") / 1000
    painted_ms = await page.evaluate(PAINTED)
    await page.wait_for_timeout(1_000)
    loaded = await page.evaluate(LOADED)
    await page.context.close()
    return painted_ms / 1000, value_s, loaded / 1000


async def bench_first_paint(services, database, tmp_path, report):
    async with programs(services, database, tmp_path) as (base, _), chromium() as browser:
        # A person who comes first waits for a process that calculates; the figure is of the usual.
        opened = [await open_once(browser, base) for _ in range(6)][1:]
    painted, valued, loaded = np.median(opened, axis=0)
    slowest = np.max(opened, axis=0)
    report(
        "the overview, opened with an empty cache",
        f"painted {painted:.2f} s, first value {valued:.2f} s, {loaded:.0f} kB",
        f"slowest {slowest[0]:.2f} s and {slowest[1]:.2f} s",
        f"goal {PAINT_GOAL_S:g} s, {VALUE_GOAL_S:g} s, {LOAD_GOAL_KB} kB",
    )


async def bench_crowd(services, database, tmp_path, report):
    async with programs(services, database, tmp_path) as (base, client):
        urls = await questions_of_a_load(base)

        async def is_settled():
            return (await client.get("/readyz")).json()["checks"]["lag_s"] < 1

        await until(is_settled, 120)  # the simulated past has been stored
        publisher, _ = publish(services, SECONDS)
        spawn = multiprocessing.get_context("spawn")
        result = spawn.Queue()
        port = urlsplit(base).port
        people = spawn.Process(target=crowd, args=(port, urls, SECONDS, result))
        people.start()
        lags, began = [], time.monotonic()
        answer = asyncio.create_task(asyncio.to_thread(result.get))
        while not answer.done():
            checks = (await client.get("/readyz")).json()["checks"]
            lags.append((time.monotonic() - began, checks["lag_s"]))
            await asyncio.sleep(1)
        cycles, outcomes, lasted_s = await answer
        people.join()
        publisher.join()
    # Half of the time there are feeds only: what the burst adds is seen against it.
    before, during = (
        max(lag for at, lag in lags if (at > SECONDS / 2) == is_late) for is_late in (False, True)
    )
    spent, codes, _ = zip(*outcomes, strict=True)
    p50, p95 = np.percentile(spent, [50, 95])
    failed = sum(code >= 500 for code in codes)
    report(
        f"{LOADS} page loads at once ({len(urls)} questions each), {FEEDS} feeds, {RATE_HZ:,}/s",
        f"p95 {p95:.2f} s, {failed} of {len(codes):,} refused",
        f"p50 {p50:.2f} s, all {lasted_s:.1f} s; ingest at most {before:.1f} s behind before it,"
        f" {during:.1f} s during it; feeds {min(cycles)} to {max(cycles)} cycles",
        f"goal p95 {GOAL_S:g} s, none refused",
    )
