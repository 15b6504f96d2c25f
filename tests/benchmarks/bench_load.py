"""What `parktwin simulate` can publish from one core, so that a benchmark of ingest is one."""

import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from deploy.database.settings import mqtt_address
from simulators import load
from simulators.gateways import publisher
from simulators.gateways.delivery import GatewayProgress, Schedule
from simulators.gateways.gateways import make_gateways
from simulators.instruments import make_sensors, observe
from simulators.process.process import make_process
from twin.loading import load_park

LIAOCHENG = Path(__file__).parents[2] / "deploy" / "parks" / "liaocheng"
S = 1_000_000
DAYS = 5


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize(("batch", "goal"), [(100, "goal 200,000"), (1, "")])
def bench_load(services, report, batch, goal, qos):
    done = load.LoadResult()
    what = load.LoadTest(tags=10_000, rate_hz=1000, batch=batch, qos=qos)
    broker = mqtt_address(services.mqtt_url)
    load.run(broker, what, time.time_ns() // 1_000_000, 5.0, done, lambda _: None)
    assert done.acked == done.sent
    began = time.perf_counter()
    count = sum(len(list(load.payloads(what, what.names, turn))) for turn in range(20))
    bare = count / (time.perf_counter() - began)
    report(
        f"load, QoS {qos}, {batch} values a message",
        f"{done.samples / done.seconds:,.0f} samples/s",
        f"{done.sent / done.seconds / bare:.2f} of writing the JSON alone",
        goal,
    )


async def bench_history(services, report):
    park = load_park(LIAOCHENG)
    instruments = partial(observe, make_sensors(make_process(park, 1), 1))
    now_us = time.time_ns() // 1000 // (60 * S) * 60 * S
    schedule = Schedule(60 * S, 60 * S, now_us, end_us=now_us)
    run = publisher.PublishSettings(
        services.mqtt_url, ("127.0.0.1", 0), schedule, 1, 0, lambda: now_us, lambda *_: None
    )
    total = GatewayProgress(now_us - DAYS * 86_400 * S)
    began = time.perf_counter()
    await publisher.run(run, make_gateways(park), total, instruments)
    spent = time.perf_counter() - began
    tags = sum(tag.source == "measured" for tag in park.tags)
    assert total.samples == DAYS * 1440 * tags
    began = time.perf_counter()
    instruments(now_us + 60 * S * np.arange(480))
    bare = 480 * tags / (time.perf_counter() - began)
    rate = total.samples / spent
    report(f"history, {DAYS} days of {tags} tags at 60 s", f"{rate:,.0f} samples/s",
           f"{rate / bare:.2f} of making the values alone")  # fmt: skip
