"""Sustained ingest and latency on real services, all on this machine; ratios within one run."""

import asyncio
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import asyncpg
import httpx
import numpy as np
import pytest

from deploy.service import free_port
from ingest.store import Store
from tests.support import load
from twin.series.samples import Samples

TOPIC = "park/v1/bench/acme/gw"
TAGS = [f"FT-{i:05d}" for i in range(1000)]
SECONDS = 12


@pytest.fixture(scope="module", autouse=True)
def session(services):
    """End the broker's session of ingest, else it keeps what other benchmarks publish."""
    yield
    load.Publisher(load.HOST, services.mosquitto.port, client_id="bench").sock.close()


def start(module, services, database, park, **more):
    environment = {
        **os.environ,
        "PARKTWIN_DATABASE_URL": database,
        "PARKTWIN_MQTT_URL": services.mqtt_url,
        "PARKTWIN_PARK": str(park),
        # One session for all: a second one would make the broker keep every message twice.
        "PARKTWIN_CLIENT_ID": "bench",
        "PARKTWIN_HEALTH_S": "0.5",
        **more,
    }
    return subprocess.Popen(
        [sys.executable, "-m", module], env=environment, stderr=subprocess.DEVNULL
    )


def stop(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def health(db, name):
    """Return the newest (seconds, value) of one of ingest's own tags."""
    row = await db.fetchrow(
        "SELECT extract(epoch FROM time)::float8 AS t, value FROM sample WHERE tag_id ="
        " (SELECT tag_id FROM tag WHERE tag = $1) ORDER BY time DESC LIMIT 1",
        f"ingest.{name}",
    )
    return (row["t"], row["value"]) if row else (0.0, 0.0)


async def connected(db):
    for _ in range(100):
        if (await health(db, "connected"))[1] == 1.0:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("ingest did not connect")


async def sustain(db, services, payloads, per_message, rate):
    """Publish `rate` messages a second; return (samples/s committed, s behind at the end, s)."""
    before = (await health(db, "samples"))[1]
    process, result = load.publish_in_background(
        services.mosquitto.port, TOPIC, payloads, rate=rate, block=max(int(rate / 100), 1)
    )
    await asyncio.sleep(2.0)
    first = await health(db, "samples")
    sent, acked, seconds = await asyncio.to_thread(result.get)
    last = await health(db, "samples")
    process.join()
    assert sent == acked == len(payloads)
    wanted = before + len(payloads) * per_message
    ended = time.monotonic()
    while (await health(db, "samples"))[1] < wanted:
        assert time.monotonic() - ended < 120, "samples were lost"
        await asyncio.sleep(0.1)
    # Ingest tells its count every half second: that much of the delay is the telling.
    behind = max(time.monotonic() - ended - 1.0, 0.0)
    return (last[1] - first[1]) / (last[0] - first[0]), behind, seconds


async def copy_alone(database, tags):
    """Return the rows/s of binary COPY into the same hypertable, 50,000 a batch, sorted."""
    store = Store(database)
    await store.open()
    ids = await asyncpg.connect(database)
    rows = await ids.fetch("SELECT tag_id FROM park.tag WHERE tag LIKE 'FT-%' ORDER BY tag_id")
    await ids.close()
    store.tag_id = np.array([row["tag_id"] for row in rows])
    per_tag = 50_000 // len(tags)
    spent = written = 0.0
    for batch in range(30):
        tag = np.repeat(np.arange(len(tags)), per_tag)
        base = 1_500_000_000_000_000 + batch * per_tag * 20_000
        time_us = np.tile(np.arange(per_tag) * 20_000 + base, len(tags))
        samples = Samples(tag, time_us, np.ones(len(tag)), np.zeros(len(tag), np.uint8), time_us)
        began = time.perf_counter()
        async with store.transaction():
            await store.copy_samples(samples)
        spent += time.perf_counter() - began
        written += len(tag)
    await store.close()
    return written / spent


@pytest.mark.parametrize(
    ("per_message", "rates", "goal"),
    [(100, (2000, 2500, 3000), 200_000), (1, (20_000, 30_000, 35_000), 30_000)],
    ids=["scans of 100", "single values"],
)
async def bench_sustained_ingest(
    services, database, db, bench_park, report, per_message, rates, goal
):
    ingest = start("ingest", services, database, bench_park)
    try:
        await connected(db)
        best = 0.0
        for number, rate in enumerate(rates):
            start_ms = int(time.time() * 1000) - 3_600_000 * (3 - number)
            payloads = list(
                load.scan_payloads(TAGS, start_ms, 20, rate * SECONDS,
                                   values_per_message=per_message)
            )  # fmt: skip
            got, behind, seconds = await sustain(db, services, payloads, per_message, rate)
            offered = len(payloads) * per_message / seconds
            report(f"  {per_message} values/message, offered {offered:,.0f} samples/s",
                   f"{got:,.0f} samples/s", f"{behind:.1f} s behind at the end")  # fmt: skip
            if behind < 2.0:
                best = max(best, got)
    finally:
        stop(ingest)
    alone = await copy_alone(database, TAGS)
    unit = "samples" if per_message > 1 else "messages"
    report(
        f"sustained ingest, QoS 1, {per_message} values a message",
        f"{best:,.0f} {unit}/s",
        f"{best / alone:.2f} of COPY alone ({alone:,.0f} rows/s)",
        f"goal {goal:,}" + (" and 0.6" if per_message > 1 else ""),
    )


def _listen(base, seconds, result):
    """Collect how long ago each sample was published when its event arrived."""
    delays = []
    end = time.time() + seconds
    with httpx.stream("GET", f"{base}/api/v1/live", timeout=30) as stream:
        name = ""
        for line in stream.iter_lines():
            if line.startswith("event:"):
                name = line[6:].strip()
            elif line.startswith("data:") and name == "cycle":
                now = time.time() * 1000
                values = json.loads(line[5:])["values"]
                delays += [now - v[2] for k, v in values.items() if k.startswith("acme/FT-")]
            if time.time() > end:
                break
    result.put(delays)


async def bench_latency(services, database, db, bench_park, report):
    port = free_port()
    ingest = start("ingest", services, database, bench_park)
    api = start("api", services, database, bench_park, PARKTWIN_HTTP_PORT=str(port))
    try:
        await connected(db)
        base = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient() as client:
            for _ in range(100):
                try:
                    if (await client.get(f"{base}/livez")).status_code == 200:
                        break
                except httpx.TransportError:
                    await asyncio.sleep(0.1)
        result = multiprocessing.get_context("spawn").Queue()
        listener = multiprocessing.get_context("spawn").Process(
            target=_listen, args=(base, SECONDS, result)
        )
        listener.start()
        await asyncio.sleep(1.5)
        broker = load.HOST, services.mosquitto.port
        publisher = load.Publisher(*broker, client_id="latency", window=20_000)
        began = time.time()
        number = 0
        while time.time() - began < SECONDS - 1:
            # 10,000 tags twice a second: no value hides behind a newer one of its own tag.
            part = number % 100
            values = {f"FT-{part * 100 + i:05d}": float(number % 97) for i in range(100)}
            body = {"ts": int(time.time() * 1000), "values": values}
            publisher.publish(TOPIC, [json.dumps(body).encode()])
            number += 1
            await asyncio.sleep(max(began + number / 200 - time.time(), 0))
        publisher.drain()
        publisher.sock.close()
        delays = np.array(await asyncio.to_thread(result.get))
        listener.join()
    finally:
        stop(api)
        stop(ingest)
    p50, p99 = np.percentile(delays, [50, 99])
    report(
        "published → console event at 20,000 samples/s",
        f"p99 {p99:.0f} ms",
        f"p50 {p50:.0f} ms, {len(delays):,} values seen",
        "goal 1,000 ms at cycle_s 0.5",
    )
