"""The broker with accounts: who comes in, under which name, and what a change of that costs."""

import asyncio
import re
import ssl
import time

import aiomqtt
import pytest
import trustme
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from deploy.access import session_name
from deploy.access_lists import loaded_refusals
from deploy.broker import FOREVER_S, Session, sessions, unsafe_sessions
from deploy.broker_log import NAMES_MAX, BrokerLog
from deploy.door import check
from deploy.service import HOST
from deploy.settings import UpSettings
from tests.support.door import (
    account,
    gateway,
    guarded_broker,
    heard,
    let_in_now,
    program,
    taken_over,
)
from tests.support.waiting import until
from twin.errors import ParkError, SettingsError

OWN = "park/v1/acmepark/acme/gw"
GW = account("acme.gw.1", OWN)


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    """A broker that knows one gateway."""
    with guarded_broker(tmp_path_factory.mktemp("door")) as services:
        yield services


@pytest.fixture
async def services(broker):
    await let_in_now(broker, GW)
    return broker


def lasting(seconds):
    """Return the options of a session that lasts so long after its connection."""
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = seconds
    return {"clean_start": False, "properties": properties}


async def publish(services, payload, topic=OWN, account=GW):
    async with gateway(services, account.username) as client:
        await client.publish(topic, payload, 1)


async def refused(client):
    """Return whether the broker lets a client not in."""
    with pytest.raises(aiomqtt.MqttError) as caught:
        async with client:
            pass
    return "Not authorized" in str(caught.value)


async def test_without_an_account_nobody_comes_in_at_either_port(services):
    for port in (services.mosquitto.port, services.door.settings.mqtt_gateway_port):
        for name, password in ((None, None), (GW.username, "wrong"), ("ingest", ""), ("", "")):
            client = aiomqtt.Client(HOST, port, username=name, password=password)
            assert await refused(client), (port, name)


async def test_the_log_of_the_broker_says_who_came_in_and_who_did_not(services):
    async with gateway(services, GW.username):
        pass
    await refused(gateway(services, "acme.stranger"))
    log = services.log / "mosquitto.log"
    for text in (f"as {GW.username} (p5, c1, k60, u'{GW.username}')",
                 "Client acme.stranger disconnected, not authorised."):  # fmt: skip
        await until(lambda text=text: text in log.read_text())


async def test_what_the_broker_refuses_of_a_gateway_is_counted(services):
    def refusals():
        services.tend(time.monotonic())
        file = services.door.refusals_file
        listed = loaded_refusals(file.read_text()) if file.exists() else []
        return {each.username: each for each in listed}

    before = refusals().get(GW.username)
    count = before.messages if before else 0
    # MQTT 3.1.1 tells the gateway nothing: each message is acknowledged.
    async with gateway(services, GW.username, protocol=aiomqtt.ProtocolVersion.V311) as client:
        for qos in (0, 1, 2):
            await client.publish("park/v1/acmepark/other/gw", b"1", qos)
        await client.publish(OWN, b"2", 1)
    await until(lambda: GW.username in refusals())
    await until(lambda: refusals()[GW.username].messages == count + 3)
    refusal = refusals()[GW.username]
    assert refusal.topic == "park/v1/acmepark/other/gw"
    assert abs(time.time() - refusal.time_s) < 60
    log = (services.log / "mosquitto.log").read_text()
    assert f"as {GW.username} (p2, c1, k60, u'{GW.username}')" in log
    # Lines of packets would fill the disk.
    assert not re.search("PUBLISH|PUBACK|PINGREQ|CONNACK", log)


def test_refusals_are_read_from_the_log_of_the_broker(tmp_path):
    log = BrokerLog(tmp_path / "pipe", tmp_path / "log")
    line = "1764600000: Denied PUBLISH from {} (d0, q1, r0, m7, '{}', ... (5 bytes))\n"
    hostile = "a', ... (1 bytes))/Denied PUBLISH from x"
    text = line.format("acme.gw.1", "b") + line.format("acme.gw.1", hostile)
    # A line of a long topic is cut off.
    text += line.format("acme.gw.2", "t" * 5_000)[:999] + "\n"
    text += "1764600000: Received PUBLISH from a (d0, q0, r0, m0, 't', ... (1 bytes))\n"
    text += "1764600000: \ttopic (QoS 1)\n"
    log.take((text + "1764600000: Client a disconnected.\n").encode())
    first, second = log.refused.values()
    assert (first.username, first.messages, first.topic) == ("acme.gw.1", 2, hostile)
    assert (second.username, second.messages, second.topic) == ("acme.gw.2", 1, "t" * 200)
    assert (tmp_path / "log").read_text() == "1764600000: Client a disconnected.\n"
    log.take("".join(line.format(f"n{n}", "b") for n in range(2 * NAMES_MAX)).encode())
    assert len(log.refused) == NAMES_MAX + 1
    assert log.refused[""].messages == NAMES_MAX + 2


def test_the_session_of_ingest_has_a_name_that_nobody_guesses(tmp_path):
    name = session_name(tmp_path)
    assert re.fullmatch(r"parktwin-ingest-[0-9a-f]{16}", name)
    assert session_name(tmp_path) == name
    assert (tmp_path / "session").stat().st_mode & 0o777 == 0o600
    # A broker of before may hold messages for the name of before.
    former = tmp_path / "former/services/mnt/mosquitto"
    former.mkdir(parents=True)
    (former / "mosquitto.db").touch()
    assert session_name(tmp_path / "former") == "parktwin-ingest"


async def test_a_new_credential_is_good_without_a_restart_and_a_revoked_one_ends(services):
    pid, reloads = services.mosquitto.pid, services.mosquitto.reloads
    new = account("acme.new.2", "park/v1/acmepark/acme/new")
    assert await refused(gateway(services, new.username))
    async with heard(services) as messages, gateway(services, GW.username) as former:
        await let_in_now(services, GW, new)
        async with gateway(services, new.username) as client:
            await client.publish(new.rights.publish[0], b"1", 1)
            # Those who are there stay.
            await former.publish(OWN, b"2", 1)
            await until(lambda: len(messages) == 2)
            await let_in_now(services, GW)
            with pytest.raises(aiomqtt.MqttError):
                await client.publish(new.rights.publish[0], b"3", 1)
        await former.publish(OWN, b"4", 1)
        await until(lambda: messages[2:] == [(OWN, b"4")])
    assert await refused(gateway(services, new.username))
    assert (services.mosquitto.pid, services.mosquitto.reloads) == (pid, reloads + 2)


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_a_session_that_is_away_misses_nothing_over_a_change(services, is_restarted):
    options = {"identifier": "lasting", **lasting(600)}
    async with program(services, "ingest", **options) as ingest:
        await ingest.subscribe("park/v1/#", 1)
    await publish(services, b"before")
    if is_restarted:
        services.mosquitto.stop()
        services.mosquitto.start()
    pid = services.mosquitto.pid
    for number in range(2):
        await let_in_now(services, GW, account(f"acme.more.{number}"))
        await publish(services, b"after")
    # Mosquitto would forget what the session may read, if it were to read its lists anew.
    assert services.mosquitto.pid != pid
    async with program(services, "ingest", **options) as ingest:
        payloads = [(await anext(ingest.messages)).payload for _ in range(3)]
    assert payloads == [b"before", b"after", b"after"]
    async with program(services, "ingest", identifier="lasting", clean_start=True):
        pass


async def test_the_session_of_a_revoked_gateway_leaves_the_broker_sound(services):
    edge = account("acme.edge.3", OWN, read=("c",))
    await let_in_now(services, GW, edge)
    async with gateway(services, edge.username, **lasting(1)) as client:
        await client.subscribe("c", 1)
    pid = services.mosquitto.pid
    await let_in_now(services, GW)
    assert services.mosquitto.pid != pid
    pid = services.mosquitto.pid
    await asyncio.sleep(2.5)
    async with heard(services) as messages:
        await publish(services, b"x")
        await until(lambda: messages)
    assert services.mosquitto.pid == pid


async def test_sessions_that_a_change_must_not_meet_are_told_from_the_file(services, tmp_path):
    options = {"identifier": "told", **lasting(600)}
    async with program(services, "ingest", **options), gateway(services, GW.username):
        services.tend(1e9)
        file = services.mosquitto.file
        await until(lambda: Session("told", "ingest", 600, is_connected=True) in sessions(file))
        assert not unsafe_sessions(file, {"ingest"}, {"ingest"})
        # Its account is gone.
        assert unsafe_sessions(file, (), ()) == {"told"}
    old = program(services, "park", identifier="old", protocol=aiomqtt.ProtocolVersion.V311,
                  clean_session=False)  # fmt: skip
    async with old:
        pass
    services.tend(2e9)
    away = Session("old", "park", FOREVER_S, is_connected=False)
    await until(lambda: away in sessions(file))
    assert unsafe_sessions(file, {"ingest", "park"}, {"park"}) == {"old", "told"}
    assert unsafe_sessions(file, {"ingest", "park"}, ()) == {"told"}
    (tmp_path / "other").write_bytes(b"another form")
    assert unsafe_sessions(tmp_path / "other", (), ())
    for name, identifier in (("ingest", "told"), ("park", "old")):
        async with program(services, name, identifier=identifier, clean_start=True):
            pass


async def test_lists_that_cannot_be_read_let_no_gateway_in(services, capsys):
    services.door.accounts_file.write_text("{")
    await taken_over(services)
    assert await refused(gateway(services, GW.username))
    assert "so no gateway comes in" in capsys.readouterr().err
    async with program(services, "ingest"):
        pass


# --- certificates ------------------------------------------------------------


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def write_certificate(authority, folder, name=HOST):
    """Write a new certificate of the broker; return the settings that name it."""
    issued = authority.issue_cert(name)
    cert, key = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return {"mqtt_tls_cert": cert, "mqtt_tls_key": key}


def trusting(authority, *, with_certificate=False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    if with_certificate:
        authority.issue_cert("gateway@acme.example").configure_cert(context)
    return context


async def serial(services, context):
    """Return the certificate that the broker has now."""
    port = services.door.settings.mqtt_gateway_port
    _, writer = await asyncio.open_connection(HOST, port, ssl=context)
    number = writer.get_extra_info("peercert")["serialNumber"]
    writer.close()
    return number


async def test_a_certificate_is_read_anew_while_gateways_are_connected(authority, tmp_path, capsys):
    settings = write_certificate(authority, tmp_path)
    context = trusting(authority)
    with guarded_broker(tmp_path / "data", **settings) as services:
        await let_in_now(services, GW)
        pid, first = services.mosquitto.pid, await serial(services, context)
        with pytest.raises(ssl.SSLCertVerificationError):
            await serial(services, trusting(trustme.CA()))
        with pytest.raises(aiomqtt.MqttError):
            await publish(services, b"in the clear")
        async with heard(services) as messages:
            async with gateway(services, GW.username, tls_context=context) as client:
                write_certificate(authority, tmp_path)
                await taken_over(services)
                assert await serial(services, context) != first
                await client.publish(OWN, b"still there", 1)
                # A key that does not fit is not taken.
                second = await serial(services, context)
                (tmp_path / "key.pem").write_bytes(
                    authority.issue_cert(HOST).private_key_pem.bytes()
                )
                await taken_over(services)
                assert await serial(services, context) == second
            await until(lambda: messages == [(OWN, b"still there")])
        assert services.mosquitto.pid == pid
    assert "cannot be used" in capsys.readouterr().err


async def test_client_certificates_are_asked_for_besides_passwords(authority, tmp_path):
    settings = write_certificate(authority, tmp_path)
    authorities = tmp_path / "clients.pem"
    authority.cert_pem.write_to_path(authorities)
    with guarded_broker(tmp_path / "data", **settings, mqtt_tls_ca=authorities) as services:
        await let_in_now(services, GW)
        known = trusting(authority, with_certificate=True)
        async with gateway(services, GW.username, tls_context=known) as client:
            await client.publish(OWN, b"1", 1)
        assert await refused(gateway(services, GW.username, password="", tls_context=known))
        with pytest.raises(aiomqtt.MqttError):
            async with gateway(services, GW.username, tls_context=trusting(authority)):
                pass
        # Authorities are read at a start: the broker gets one.
        other, pid = trustme.CA(), services.mosquitto.pid
        other.cert_pem.write_to_path(authorities)
        await taken_over(services)
        assert services.mosquitto.pid != pid
        with pytest.raises(aiomqtt.MqttError):
            async with gateway(services, GW.username, tls_context=known):
                pass


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"mqtt_host": "192.0.2.1"}, "without a certificate passwords would be read"),
        ({"mqtt_tls_cert": "c.pem"}, "needs its key"),
        ({"mqtt_tls_key": "k.pem"}, "needs its key"),
        ({"mqtt_tls_ca": "a.pem"}, "need a certificate of the broker"),
    ],
)
def test_a_door_that_would_not_be_shut_is_not_opened(settings, text):
    with pytest.raises(SettingsError, match=text):
        check(UpSettings(access="accounts", **settings))
    check(UpSettings(access="accounts", mqtt_host="::1"))


def test_a_certificate_that_is_none_is_one_sentence(tmp_path):
    cert = tmp_path / "cert.pem"
    cert.write_text("nonsense")
    for path, text in ((cert, "the certificate of the broker cannot be used"),
                       (tmp_path / "none", "No such file")):  # fmt: skip
        settings = {"mqtt_tls_cert": path, "mqtt_tls_key": cert}
        broker = guarded_broker(tmp_path / "data", **settings)
        with pytest.raises(ParkError, match=text), broker:
            pass
