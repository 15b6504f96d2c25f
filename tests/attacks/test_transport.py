"""Attacks on the way into ingest: messages of any size, at any rate."""

import asyncio
import time

import pytest

from simulators.load import Publisher
from tests.support.attack import attacked_park
from tests.support.load import HOST, publish_in_background, scan_payloads
from tests.support.stored import TOPIC, query
from tests.support.waiting import until

QUIET = "park/v1/acmepark/other/quiet"


def publish(port, payload, count, topic=TOPIC):
    """Publish a payload at QoS 1 again and again; return how many were acknowledged."""
    publisher = Publisher(HOST, port, client_id="large", window=100)
    for _ in range(count):
        publisher.publish(topic, [payload])
    publisher.drain()
    publisher.sock.close()
    return publisher.acked


def flood(park, messages):
    """Publish single values of one gateway as fast as the broker takes them."""
    start_ms = int(time.time() * 1000) - messages
    payloads = scan_payloads(["FT-1"], start_ms, 1, messages, values_per_message=1)
    return publish_in_background(park.mqtt_port, TOPIC, payloads, block=200)


async def ended(flooding):
    """Wait for the end of a flood; return how many messages were acknowledged."""
    process, result = flooding
    _, acked, seconds = await asyncio.to_thread(result.get)
    process.join()
    print(f"{acked / seconds:,.0f} messages/s for {seconds:.1f} s")
    return acked


async def all_stored(park, messages, seconds=120):
    """Wait until so many samples of the flood are stored; there are no more then."""
    statement = "SELECT count(*), count(DISTINCT time) FROM sample_named WHERE tag = 'FT-1'"

    async def enough():
        ((count, _),) = await query(park.database, statement)
        return count >= messages

    began = time.monotonic()
    await until(enough, seconds)
    print(f"stored {time.monotonic() - began:.1f} s later")
    assert await query(park.database, statement) == [(messages, messages)]
    assert await query(park.database, "SELECT count(*) FROM correction") == [(0,)]
    await until(lambda: is_empty(park))


async def is_empty(park):
    return await query(park.database, "SELECT count(*) FROM spool") == [(0,)]


async def spooled(park):
    """Return whether messages wait in the spool."""
    return not await is_empty(park)


@pytest.mark.parametrize(
    "messages", [100_000, pytest.param(500_000, marks=pytest.mark.long)], ids=["short", "long"]
)
async def test_flood_of_one_gateway_keeps_nobody_out(
    services, database, park_folder, tmp_path, messages
):
    async with attacked_park(services, database, park_folder, tmp_path) as park:
        async with park.witness() as seen:
            assert await ended(flood(park, messages)) == messages
            await all_stored(park, messages)
        seen.require(stored_s=3.0, feed_s=1.0, ingest_mb=300)


async def test_killing_ingest_with_a_full_spool_loses_nothing(
    services, database, park_folder, tmp_path
):
    # Blocks of a cycle are so small that most of the flood is above its share.
    few = {"cycle_messages": 1_000}
    async with attacked_park(services, database, park_folder, tmp_path, **few) as park:
        # Without another gateway that is heard nobody would be kept waiting.
        publish(
            park.mqtt_port, b'{"ts": %d, "values": {"FT-9": 1}}' % (time.time() * 1000), 1, QUIET
        )
        await until(lambda: query(database, "SELECT FROM gateway WHERE gateway = 'quiet'"), 20)
        flooding = flood(park, 30_000)
        for _ in range(2):
            await until(lambda: spooled(park), 60)
            park.processes["ingest"].kill()
            park.processes["ingest"].wait()
            park.start("ingest")
        assert await ended(flooding) == 30_000
        await all_stored(park, 30_000)


async def test_memory_is_bounded_while_large_messages_come(
    services, database, park_folder, tmp_path
):
    async with attacked_park(services, database, park_folder, tmp_path) as park:
        async with park.witness() as seen:
            acked = await asyncio.to_thread(publish, park.mqtt_port, b"x" * 250_000, 2_000)
            await asyncio.sleep(2)
        assert acked == 2_000
        seen.require(ingest_mb=400)
