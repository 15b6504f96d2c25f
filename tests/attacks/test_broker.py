"""The broker: what it drops, what it cannot save, and what its sudden end costs."""

import asyncio
import json
import signal
import time

import httpx
import pytest

from deploy.local import QueueLimit, Services
from tests.support import load
from tests.support.attack import attacked_park
from tests.support.stored import TOPIC, query
from tests.support.waiting import until

QUEUE = QueueLimit(bytes=10_000_000, messages=2_000)


@pytest.fixture
def small_broker(tmp_path):
    """A broker that queues no more than `QUEUE`."""
    with Services(tmp_path / "broker", postgres_port=None, queue=QUEUE) as own:
        yield own


def messages(count, start_ms):
    """Yield messages of one value, a millisecond apart."""
    for number in range(count):
        yield json.dumps({"ts": start_ms + number, "values": {"FT-1": number % 50}}).encode()


async def send(services, count):
    """Publish messages at QoS 1; return how many were acknowledged."""
    start_ms = int(time.time() * 1000) - 60_000
    payloads = list(messages(count, start_ms))
    process, result = load.publish_in_background(services.mosquitto.port, TOPIC, payloads)
    _, acked, _ = await asyncio.to_thread(result.get)
    process.join()
    return acked


async def test_what_the_broker_acknowledges_and_drops_is_counted_and_announced(
    small_broker, database, park_folder, tmp_path
):
    with (park_folder / "park.toml").open("a", encoding="utf-8") as model:
        model.write('[[alarm]]\nid = "queue"\ntag = "acmepark/ingest.broker_queue"\n'
                    'limit = "50 %"\ndirection = "high"\npriority = "high"\n')  # fmt: skip
    limits = {"broker_queue_bytes": QUEUE.bytes, "broker_queue_messages": QUEUE.messages}
    async with attacked_park(
        small_broker, database, park_folder, tmp_path,
        receive_max=100, health_s=0.2, cycle_s=1, cycle_messages=100, **limits,
    ) as park:  # fmt: skip

        async def is_annunciated():
            return await query(database, "SELECT 1 FROM park.alarm_event WHERE alarm = 'queue'")

        # Not a whole queue: ingest works it off slowly; the alarm comes before anything is lost.
        assert await send(small_broker, QUEUE.messages * 3 // 4) == QUEUE.messages * 3 // 4
        await until(is_annunciated, 10)
        assert await park.metric("parktwin_ingest_broker_dropped_total") == 0
        park.processes["ingest"].send_signal(signal.SIGSTOP)
        assert await send(small_broker, QUEUE.messages * 2) == QUEUE.messages * 2
        park.processes["ingest"].send_signal(signal.SIGCONT)

        async def is_counted():
            return (await park.metric("parktwin_ingest_broker_dropped_total") or 0) > 0

        await until(is_counted, 10)
        async with httpx.AsyncClient(base_url=park.base_url) as client:
            ready = (await client.get("/readyz")).json()
            data = (await client.get("/api/v1/health/data")).json()
        assert any("has dropped" in warning for warning in ready["warnings"]), ready
        assert data["ingest"]["broker_dropped"] == await park.metric(
            "parktwin_ingest_broker_dropped_total"
        )
