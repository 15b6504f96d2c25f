"""Load tests on a real broker."""

import asyncio
import json
import time
from dataclasses import replace

from deploy.database.settings import mqtt_address
from simulators import load
from tests.support.listening import hearing
from tests.support.waiting import until
from twin.loading import parse_park


def broker(services):
    return mqtt_address(services.mqtt_url)


async def test_load_is_what_its_model_knows_and_every_message_is_acknowledged(services):
    test = load.LoadTest(tags=250, rate_hz=20, batch=100, qos=1)
    reports, done = [], load.LoadResult()
    start_ms = time.time_ns() // 1_000_000
    async with hearing(services, load.TOPIC) as (heard, _):
        await asyncio.to_thread(
            load.run, broker(services), test, start_ms, 1.5, done, reports.append
        )
        await until(lambda: len(heard) >= done.sent)
    assert (done.sent, done.acked, done.samples) == (90, 90, 30 * 250)
    assert len(reports) == 1
    tags = {tag.tag for tag in parse_park(load.park_files(250)).tags}
    scans = [json.loads(payload) for _, payload in heard]
    assert {name for scan in scans for name in scan["values"]} == tags == set(test.names)
    assert all(scan["simulated"] for scan in scans)
    assert sorted({scan["ts"] - start_ms for scan in scans}) == [50 * n for n in range(30)]
    at = scans[0]["ts"] / 1000
    assert list(scans[0]["values"].values()) == load.values(test, at)[:100].tolist()
    assert (load.values(test, at) != load.values(replace(test, seed=2), at)).any()


async def test_load_at_qos_0_ends_when_the_broker_has_read_it(services):
    test = load.LoadTest(tags=100, rate_hz=50, batch=1, qos=0)
    done = load.LoadResult()
    async with hearing(services, load.TOPIC) as (heard, _):
        await asyncio.to_thread(load.run, broker(services), test, 0, 0.2, done, print)
        await until(lambda: len(heard) >= done.sent)
    # How many turns of the tags there are in the time is the machine's affair.
    assert done.acked == done.sent == len(heard) >= test.tags
    assert len(heard) % test.tags == 0
