"""A broker with accounts: our programs come in at one port, gateways at another."""

import asyncio
import time
from contextlib import asynccontextmanager, contextmanager

import aiomqtt

from deploy.access_lists import BrokerAccount, dumped, hashed
from deploy.local import Services
from deploy.private_files import write_private
from deploy.service import HOST, free_port
from deploy.settings import UpSettings
from tests.support.waiting import until
from twin.model.gateway_rights import TopicRights

PASSWORD = "a gateway's password"  # noqa: S105


@contextmanager
def guarded_broker(folder, **settings):
    """Run a broker with accounts."""
    own = UpSettings(access="accounts", mqtt_gateway_port=free_port(), **settings)
    with Services(folder, postgres_port=None, accounts=own) as services:
        yield services


def account(username, *publish, read=(), deny=()):
    """Return an account with PASSWORD."""
    return BrokerAccount(username, hashed(PASSWORD), TopicRights(publish, read, deny))


def let_in(services, *accounts):
    """Say who comes in, as ingest does."""
    write_private(services.door.accounts_file, dumped(accounts))


async def taken_over(services):
    """Tend a broker until it has the lists that stand there."""

    async def is_done():
        services.tend(time.monotonic())
        broker = services.mosquitto
        return not (broker.has_news or services.door.has_news())

    await until(is_done, 20)
    # The signal is heard in the loop of the broker.
    await asyncio.sleep(0.1)


async def let_in_now(services, *accounts):
    """Say who comes in, and wait until it is so."""
    let_in(services, *accounts)
    await taken_over(services)


def gateway(services, username, *, password=PASSWORD, **options):
    """Return a client at the port of the gateways."""
    options = {"protocol": aiomqtt.ProtocolVersion.V5, "timeout": 2, **options}
    port = services.door.settings.mqtt_gateway_port
    return aiomqtt.Client(HOST, port, username=username, password=password, **options)


def program(services, name, **options):
    """Return a client with one of our own accounts."""
    options = {"protocol": aiomqtt.ProtocolVersion.V5, **options}
    password = services.door.passwords[name]
    return aiomqtt.Client(HOST, services.mosquitto.port, username=name, password=password,
                          **options)  # fmt: skip


@asynccontextmanager
async def heard(services, name="ingest", topic="#"):
    """Yield the list of (topic, payload) that one of our accounts hears."""
    messages = []

    async def listen(client):
        async for message in client.messages:
            messages.append((message.topic.value, message.payload))  # noqa: PERF401

    async with program(services, name) as client:
        await client.subscribe(topic, 1)
        task = asyncio.create_task(listen(client))
        yield messages
        task.cancel()
