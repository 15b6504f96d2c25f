"""The memory of a console that stays open: 24 simulated hours at the overview, and to every page.

The clock of the page is moved on by hand. Its feed goes round cycles that were recorded before, one
in a simulated second, and its questions get the answers of their first time.
"""

import json
import time
from urllib.parse import parse_qsl, urlsplit

import httpx

from tests.benchmarks.bench_console import programs
from tests.support.browser import chromium

RECORDED = 60  # cycles
HOURS, HOUR_MS = 24, 3_600_000
GOAL = 0.05  # growth from the first hour to the last
OF_TIME = {"from", "to", "at"}
# In place of the browser's: it begins with the image, and has one recorded cycle in a second.
FEED = """
const [image, ...cycles] = EVENTS;
window.cycles = 0;
window.EventSource = class extends EventTarget {
  static OPEN = 1;
  static CLOSED = 2;
  readyState = 1;
  constructor() {
    super();
    setTimeout(() => this.send("image", image));
    const next = () => cycles[window.cycles++ % cycles.length];
    this.timer = setInterval(() => this.send("cycle", next()), 1000);
  }
  send(name, cycle) {
    const by = Date.now() - cycle.time, values = {};
    for (const [tag, [value, quality, time]] of Object.entries(cycle.values))
      values[tag] = [value, quality, time + by];
    const data = JSON.stringify({ ...cycle, values, time: cycle.time + by });
    this.dispatchEvent(new MessageEvent(name, { data }));
  }
  close() {
    clearInterval(this.timer);
    this.readyState = 2;
  }
};
"""


async def record(base):
    """Return the image of a feed and some of its cycles."""
    events = []
    async with (
        httpx.AsyncClient(base_url=base, timeout=30) as client,
        client.stream("GET", "/api/v1/live") as feed,
    ):
        async for line in feed.aiter_lines():
            if line.startswith("data: "):
                events.append(json.loads(line.removeprefix("data: ")))
            if len(events) > RECORDED:
                break
    return events


def answered_once():
    """Return a handler of requests that asks each question once, whatever its times."""
    kept = {}

    async def answer(route):
        method, url = route.request.method, urlsplit(route.request.url)
        about = [pair for pair in parse_qsl(url.query) if pair[0] not in OF_TIME]
        key = method, url.path, tuple(sorted(about))
        if key not in kept:
            answer = await route.fetch(timeout=60_000)
            kept[key] = answer.status, answer.headers, await answer.body()
        status, headers, body = kept[key]
        await route.fulfill(status=status, headers=headers, body=body)

    return answer


async def heap_of(page, session):
    """Return the JavaScript heap that is reachable [MB] and the nodes of documents."""
    for _ in range(3):
        await session.send("HeapProfiler.collectGarbage")
    used = await session.send("Runtime.getHeapUsage")
    nodes = await session.send("Memory.getDOMCounters")
    return used["usedSize"] / 1e6, nodes["nodes"]


async def go_round(page):
    """Show every page for some seconds, and the overview again."""
    rail = page.locator("[data-testid=rail] a")
    for number in [*range(1, await rail.count()), 0]:
        await rail.nth(number).click()
        await page.locator("main h2").first.wait_for()
        await page.clock.run_for(10_000)


async def bench_memory(services, database, tmp_path, report):
    async with programs(services, database, tmp_path) as (base, _), chromium() as browser:
        events = await record(base)
        page = await browser.new_page(viewport={"width": 1920, "height": 1080})
        await page.clock.install()
        await page.add_init_script(FEED.replace("EVENTS", json.dumps(events)))
        await page.route("**/api/**", answered_once())
        session = await page.context.new_cdp_session(page)
        began, heaps = time.monotonic(), []
        await page.goto(f"{base}/overview")
        await page.clock.run_for(5_000)
        await go_round(page)
        for _ in range(HOURS):
            await page.clock.run_for(HOUR_MS)
            await go_round(page)
            heaps.append(await heap_of(page, session))
        cycles = await page.evaluate("window.cycles")
    (first, nodes), (last, nodes_then) = heaps[0], heaps[-1]
    report(
        f"a console open for {HOURS} simulated hours ({cycles:,} cycles)",
        f"heap {first:.1f} MB after 1 h, {last:.1f} MB after {HOURS} h",
        f"{nodes:,} and {nodes_then:,} nodes; at most {max(heap for heap, _ in heaps):.1f} MB;"
        f" {time.monotonic() - began:.0f} s",
        f"goal growth {GOAL:.0%}",
    )
    assert last < first * (1 + GOAL)
