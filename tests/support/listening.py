"""A listener on the broker."""

import asyncio
from contextlib import asynccontextmanager, suppress

import aiomqtt


@asynccontextmanager
async def hearing(services, topic, **session):
    """Collect the messages of a topic."""
    heard = []
    client = aiomqtt.Client(
        "127.0.0.1", services.mosquitto.port, protocol=aiomqtt.ProtocolVersion.V5, **session
    )

    async def listen():
        with suppress(aiomqtt.MqttError):
            async for message in client.messages:
                heard.append((message.topic.value, message.payload))  # noqa: PERF401

    async with client:
        await client.subscribe(topic, 1)
        task = asyncio.create_task(listen())
        yield heard, client
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
