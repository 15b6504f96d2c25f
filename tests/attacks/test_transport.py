"""Attacks on the way into ingest: messages of any size, at any rate."""

import asyncio

from simulators.load import Publisher
from tests.support.attack import attacked_park
from tests.support.load import HOST
from tests.support.stored import TOPIC


def publish(port, payload, count):
    """Publish a payload at QoS 1 again and again; return how many were acknowledged."""
    publisher = Publisher(HOST, port, client_id="large", window=100)
    for _ in range(count):
        publisher.publish(TOPIC, [payload])
    publisher.drain()
    publisher.sock.close()
    return publisher.acked


async def test_memory_is_bounded_while_large_messages_come(
    services, database, park_folder, tmp_path
):
    async with attacked_park(services, database, park_folder, tmp_path) as park:
        async with park.witness() as seen:
            acked = await asyncio.to_thread(publish, park.mqtt_port, b"x" * 250_000, 2_000)
            await asyncio.sleep(2)
        assert acked == 2_000
        seen.require(stored_s=None, feed_s=None, ingest_mb=300)
