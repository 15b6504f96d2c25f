"""ingest and simulators at a broker that speaks TLS only."""

import asyncio
import gc
import logging
import os
from types import SimpleNamespace

import pytest
import trustme

from deploy.database.settings import BrokerFiles, mqtt_address
from deploy.service import HOST
from ingest.counters import Counters
from ingest.settings import IngestSettings
from ingest.transport.subscriber import Subscriber
from simulators import __main__ as simulators
from simulators.gateways.publisher import MqttLink
from tests.support.door import account, gateway, guarded_broker, heard, let_in_now
from tests.support.waiting import until
from twin.errors import SettingsError

TOPIC = "park/v1/acmepark/acme/gw"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A certificate of the broker, one of a client, and the authority of both."""
    folder, authority = tmp_path_factory.mktemp("certificates"), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    for name, issued in (("broker", authority.issue_cert(HOST)),
                         ("client", authority.issue_cert("ingest@park.example"))):  # fmt: skip
        issued.private_key_and_cert_chain_pem.write_to_path(folder / f"{name}.pem")
    trustme.CA().cert_pem.write_to_path(folder / "other.pem")
    return folder


@pytest.fixture(scope="module")
async def broker(files, tmp_path_factory):
    """A broker that asks for a certificate as well."""
    own = {"mqtt_tls_cert": files / "broker.pem", "mqtt_tls_key": files / "broker.pem",
           "mqtt_tls_ca": files / "ca.pem"}  # fmt: skip
    with guarded_broker(tmp_path_factory.mktemp("broker"), **own) as services:
        await let_in_now(services, account("acme.gw.1", TOPIC))
        yield services


def url(broker, name):
    port = broker.door.settings.mqtt_gateway_port
    return f"mqtts://{name}:{broker.door.passwords[name]}@{HOST}:{port}"


def client_files(files, ca="ca.pem"):
    client = files / "client.pem"
    return {"mqtt_ca": files / ca, "mqtt_cert": client, "mqtt_key": client}


async def test_ingest_reads_by_tls_what_is_larger_than_one_of_its_records(broker, files):
    settings = IngestSettings(mqtt_url=url(broker, "ingest"), **client_files(files))
    subscriber = Subscriber(settings, Counters())
    task = asyncio.create_task(subscriber.run())
    try:
        await until(lambda: subscriber.connected)
        context = mqtt_address(settings.mqtt_url, settings.broker_files)["tls_context"]
        payloads = [os.urandom(size) for size in (1, 20_000, 100_000, 3, 200_000)]
        async with gateway(broker, "acme.gw.1", tls_context=context) as client:
            for payload in payloads * 5:
                await client.publish(TOPIC, payload, 1)
        await until(lambda: len(subscriber.inbox) == 25)
        messages = subscriber.inbox.take(25, 1 << 30)
        assert [message.payload for message in messages] == payloads * 5
        subscriber.ack(messages)
    finally:
        task.cancel()


# paho leaves the socket of a handshake that fails to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_broker_that_nobody_vouches_for_is_not_talked_to(broker, files, caplog):
    # A record would keep it beyond this test.
    caplog.set_level(logging.CRITICAL, "ingest.transport.subscriber")
    settings = IngestSettings(mqtt_url=url(broker, "ingest"), **client_files(files, "other.pem"))
    assert not await is_connected(settings)
    gc.collect()


async def is_connected(settings):
    """Return whether ingest is connected after two attempts."""
    counters = Counters()
    subscriber = Subscriber(settings, counters)
    task = asyncio.create_task(subscriber.run())
    await until(lambda: counters["reconnects"] >= 2)
    result = subscriber.connected
    task.cancel()
    await asyncio.wait({task})
    return result


def test_files_that_are_none_are_one_sentence(files):
    settings = IngestSettings(mqtt_url="mqtts://broker", mqtt_ca=files / "none.pem")
    with pytest.raises(SettingsError, match="certificates for the broker cannot be used"):
        mqtt_address(settings.mqtt_url, settings.broker_files)


async def test_a_simulated_gateway_publishes_by_tls(broker, files):
    own = client_files(files).values()
    address = SimpleNamespace(mqtt=url(broker, "simulators"), files=BrokerFiles(*own), qos=1)
    link = MqttLink(address, SimpleNamespace(edge=None))
    async with heard(broker) as messages:
        await link.open()
        await link.send([(TOPIC, b"1"), (TOPIC, b"2")])
        await link.close()
        await until(lambda: len(messages) == 2)
    assert messages == [(TOPIC, b"1"), (TOPIC, b"2")]


async def test_load_is_published_by_tls(broker, files):
    words = ["--mqtt", url(broker, "simulators"), "--duration", "1", "--load", "20"]
    for option, path in client_files(files).items():
        words += [f"--{option.replace('_', '-')}", str(path)]
    async with heard(broker) as messages:
        assert await asyncio.to_thread(simulators.main, words) == 0
        await until(lambda: messages)
