"""The memory of a console that stays open: 24 simulated hours at the overview, and to every page.

The clock of the page is moved on by hand. Its feed goes round cycles that were recorded before, and
its questions get the answers of their first time.
"""

import json
import time

import httpx
import numpy as np

from tests.benchmarks.bench_console import programs
from tests.support.browser import chromium
from tests.support.waiting import until

RECORDED = 60  # cycles
HOURS, HOUR_MS = 24, 3_600_000
CYCLE_MS = 10_000
GOAL = 0.05  # growth from the first hour to the last
COMPILED = ("code", "native")  # functions are compiled as they are called more often
# In place of what the browser has: timers that `advance` calls, one feed, and kept answers.
CLOCK = """
const [image, ...cycles] = EVENTS;
const begin = Date.now(), timers = new Map(), answers = new Map(), channel = new MessageChannel();
let now = begin, last = 0;
window.cycles = 0;
window.Date = class extends Date {
  constructor(...given) {
    super(...(given.length > 0 ? given : [now]));
  }
  static now() {
    return now;
  }
};
performance.now = () => now - begin;
const add = (call, ms = 0, every = null) => {
  timers.set(++last, { at: now + Math.max(1, ms), call, every });
  return last;
};
window.setTimeout = (call, ms, ...given) => add(() => call(...given), ms);
window.setInterval = (call, ms, ...given) => add(() => call(...given), ms, Math.max(1, ms));
window.requestAnimationFrame = (call) => add(() => call(now - begin), 16);
window.clearTimeout = (id) => timers.delete(id);
window.clearInterval = window.cancelAnimationFrame = window.clearTimeout;
const pause = () =>
  new Promise((done) => {
    channel.port1.onmessage = done;
    channel.port2.postMessage(null);
  });
window.advance = async (ms) => {
  const end = now + ms;
  let paused = now;
  for (;;) {
    const [id, next] = [...timers].reduce((a, b) => (b[1].at < a[1].at ? b : a));
    if (next.at > end) break;
    now = Math.max(now, next.at);
    if (next.every === null) timers.delete(id);
    else next.at += next.every;
    next.call();
    await null;
    if (now - paused < 1000) continue;
    paused = now;
    await pause();
  }
  now = end;
};
window.EventSource = class extends EventTarget {
  static OPEN = 1;
  static CLOSED = 2;
  readyState = 1;
  constructor() {
    super();
    const next = () => cycles[window.cycles++ % cycles.length];
    setTimeout(() => this.send("image", image));
    this.timer = setInterval(() => this.send("cycle", next()), CYCLE_MS);
  }
  send(name, cycle) {
    const by = now - cycle.time, values = {};
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
const ask = window.fetch;
window.fetch = async (request) => {
  const url = new URL(request.url ?? request, location.href);
  for (const name of ["from", "to", "at"]) url.searchParams.delete(name);
  const key = `${request.method} ${url}`;
  if (!answers.has(key)) {
    const answer = await ask(request);
    answers.set(key, [await answer.text(), { status: answer.status, headers: answer.headers }]);
  }
  return new Response(...answers.get(key));
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


async def heap_of(page, session):
    """Return the JavaScript heap that is reachable [MB] and the nodes of documents."""
    for _ in range(3):
        await session.send("HeapProfiler.collectGarbage")
    used = await session.send("Runtime.getHeapUsage")
    nodes = await session.send("Memory.getDOMCounters")
    return used["usedSize"] / 1e6, nodes["nodes"]


async def objects_of(session):
    """Return what the objects of the page take [MB]: the heap without what V8 has compiled."""
    pieces = []
    session.on("HeapProfiler.addHeapSnapshotChunk", lambda event: pieces.append(event["chunk"]))
    await session.send("HeapProfiler.takeHeapSnapshot", {"reportProgress": False})
    await until(lambda: pieces and pieces[-1].endswith("]}"), 60)
    heap = json.loads("".join(pieces))
    fields = heap["snapshot"]["meta"]["node_fields"]
    nodes = np.reshape(heap["nodes"], (-1, len(fields)))
    kinds = np.array(heap["snapshot"]["meta"]["node_types"][0])
    kind, size = nodes[:, fields.index("type")], nodes[:, fields.index("self_size")]
    return size[~np.isin(kinds[kind], COMPILED)].sum() / 1e6


async def advance(page, ms):
    """Let simulated time pass."""
    await page.evaluate("(ms) => window.advance(ms)", ms)


async def go_round(page):
    """Show every page for some seconds, and the overview again."""
    rail = page.locator("[data-testid=rail] a")
    for number in [*range(1, await rail.count()), 0]:
        await rail.nth(number).click()
        await page.locator("main h2").first.wait_for()
        await advance(page, 10_000)


async def bench_memory(services, database, tmp_path, report):
    async with programs(services, database, tmp_path) as (base, _), chromium() as browser:
        clock = CLOCK.replace("EVENTS", json.dumps(await record(base)))
        page = await browser.new_page(viewport={"width": 1920, "height": 1080})
        await page.add_init_script(f"{{{clock.replace('CYCLE_MS', str(CYCLE_MS))}}}")
        session = await page.context.new_cdp_session(page)
        began, heaps, objects = time.monotonic(), [], []
        await page.goto(f"{base}/overview")
        await advance(page, 5_000)
        await go_round(page)
        for hour in range(HOURS):
            await advance(page, HOUR_MS)
            await go_round(page)
            heaps.append(await heap_of(page, session))
            if hour in (0, HOURS - 1):
                other = await page.context.new_cdp_session(page)
                objects.append(await objects_of(other))
                await other.detach()
        cycles = await page.evaluate("window.cycles")
    heap, nodes = np.transpose(heaps)
    report(
        f"a console open for {HOURS} simulated hours ({cycles:,} cycles)",
        f"objects {objects[0]:.2f} MB after 1 h, {objects[-1]:.2f} MB after {HOURS} h",
        f"with compiled code by the hour {' '.join(f'{each:.1f}' for each in heap)};"
        f" {nodes.min():.0f} to {nodes.max():.0f} nodes; {time.monotonic() - began:.0f} s",
        f"goal growth {GOAL:.0%}",
    )
    assert cycles > HOURS * HOUR_MS / CYCLE_MS
    assert objects[-1] < objects[0] * (1 + GOAL)
