"""A gateway with a credential of its own against the tags of another enterprise, route by route.

Enterprise acme attacks. Behind each attack it sends a value of its own by the same connection: once
that is stored, what came before it has been read as well.
"""

import asyncio
import contextlib
import itertools
import json
import socket
import time

import aiomqtt
import asyncpg
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from deploy.service import HOST, free_port
from ingest.wire import hj212, sparkplug
from ingest.wire.sparkplug import DataType, Metric
from simulators.load import Publisher
from tests.support.data import DATA
from tests.support.door import (
    PASSWORD,
    account,
    gateway,
    guarded_broker,
    heard,
    let_in_now,
    program,
)
from tests.support.programs import running, subscribed
from tests.support.stored import opened, query
from tests.support.waiting import until
from twin.loading import parse_park
from twin.model.gateway_rights import gateway_rights

EVIL = 66.5
OWN = itertools.count(1)
MN, OTHER_MN = "010000A8900016F000169DC0", "FFFF00A8900016F000169DC0"
ROWS = f"""
[[gateway]]
id = "edge-a"
scope = "acmepark/acme"
protocol = "sparkplug"
group = "G"
node = "A"
tags = {{ "Own" = "FT-1" }}

[[gateway]]
id = "edge-b"
scope = "acmepark/other"
protocol = "sparkplug"
group = "G"
node = "B"

[[gateway]]
id = "plc-a"
scope = "acmepark/acme"
protocol = "json"
topic = "plant/a/{{tag}}"
payload = {{ value = "v" }}

[[gateway]]
id = "plc-b"
scope = "acmepark/other"
protocol = "json"
topic = "plant/b/{{tag}}"
payload = {{ value = "v" }}

[[gateway]]
id = "wide-a"
scope = "acmepark/acme"
protocol = "json"
topic = "plant/+/{{tag}}"
payload = {{ value = "v", after = "." }}

[[gateway]]
id = "cems-a"
scope = "acmepark/acme"
protocol = "hj212"
mn = "{MN}"
password = "123456"
tags = {{ "a21022-Rtd" = "FT-1" }}
uoms = {{ a21022 = "t/h" }}

[[gateway]]
id = "cems-b"
scope = "acmepark/other"
protocol = "hj212"
mn = "{OTHER_MN}"
password = "654321"
tags = {{ "a21022-Rtd" = "FT-9" }}
uoms = {{ a21022 = "t/h" }}
"""
GATEWAYS = ("gw", "sen", "edge-a", "plc-a", "wide-a", "cems-a")
KNOWN_ID = "parktwin-ingest"


@pytest.fixture(scope="module")
async def park(services, server_database, tmp_path_factory):
    """A broker with accounts, and ingest, whose session has a name that everybody knows."""
    folder = tmp_path_factory.mktemp("besieged")
    files = {name: (DATA / "acme" / name).read_text(encoding="utf-8")
             for name in ("park.toml", "tags.csv")}  # fmt: skip
    files["park.toml"] += ROWS
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    connection = await asyncpg.connect(server_database)
    await connection.execute("DROP SCHEMA IF EXISTS park CASCADE")
    await connection.close()
    async with opened(server_database):
        pass
    model, port = parse_park(files), free_port()
    with guarded_broker(folder / "data") as broker, (folder / "log").open("w") as log:
        broker.accounts = {
            name: account(f"{who}.{name}", *rights.publish, read=rights.read, deny=rights.deny)
            for who, name in (*(("acme", name) for name in GATEWAYS), ("other", "gw-b"),
                              ("other", "edge-b"))
            if (rights := gateway_rights(model, who, name))
        }  # fmt: skip
        await let_in_now(broker, *broker.accounts.values())
        environment = {
            "PARKTWIN_DATABASE_URL": server_database,
            "PARKTWIN_MQTT_URL": broker.mqtt_url_of("ingest"),
            "PARKTWIN_PARK": str(folder),
            "PARKTWIN_CLIENT_ID": KNOWN_ID,
            "PARKTWIN_HJ212_HOST": HOST,
            "PARKTWIN_HJ212_PORT": str(port),
            "PARKTWIN_HEALTH_S": "0.5",
        }
        broker.database, broker.loggers = server_database, port
        async with running("ingest", environment, log):
            await subscribed(environment)
            yield broker


def as_gateway(park, name, **options):
    """Return a client with the credential of a gateway."""
    return gateway(park, park.accounts[name].username, **options)


def scan(**values):
    return json.dumps({"ts": int(time.time() * 1000), "values": values}).encode()


async def stored(park, tag, value):
    """Return whether a tag has ever had a value."""
    statement = "SELECT 1 FROM sample_named WHERE enterprise || '/' || tag = $1 AND value = $2"
    return await query(park.database, statement, tag, value)


async def prove_read(park, client):
    """Wait until what came before by the connection of gateway `gw` was read."""
    value = next(OWN) / 8
    await client.publish("park/v1/acmepark/acme/gw", scan(**{"FT-1": value}), 1)
    await until(lambda: stored(park, "acme/FT-1", value))


async def require_untouched(park):
    """Fail if a value of the attacks is one of enterprise other, or of acme."""
    for tag in ("other/FT-9", "acme/FT-1"):
        assert not await stored(park, tag, EVIL), tag


async def kept_out(park, reason, tag=None):
    """Return whether something of acme is in quarantine for a reason."""
    return await query(
        park.database,
        "SELECT 1 FROM quarantine WHERE enterprise = 'acme' AND reason = $1"
        " AND ($2::text IS NULL OR tag = $2)", reason, tag,
    )  # fmt: skip


async def rejected(park, reason, topic):
    return await query(
        park.database, "SELECT 1 FROM reject WHERE reason = $1 AND topic = $2", reason, topic
    )


TOPICS = [
    "park/v1/acmepark/other/gw-b",
    "park/v1/acmepark/other/gw",
    "park/v1/acmepark/acme/../other/gw-b",
    "park/v1/acmepark/acme/gw/../../other/gw-b",
    "park/v1/acmepark//gw-b",
    "park/v1/acmepark/other/gw-b/",
    "/park/v1/acmepark/other/gw-b",
    "park/v1/acmepark/acme/gw/",
    "PARK/v1/acmepark/other/gw-b",
    "park/v1/acmepark/OTHER/gw-b",
    "park/v1/acmepark/\u043ether/gw-b",
    "park/v1/acmepark/other\u200b/gw-b",
    "park/v1/otherpark/other/gw-b",
    "park/v2/acmepark/other/gw-b",
    "senml/v1/acmepark/other/gw-b",
    "hj212/v1/acmepark/other/cems-b",
    "hj212/v1/-/-/10.0.0.1:5000",
    "plant/b/FT-9",
    "plant/a/FT-9",
    "spBv1.0/G/NBIRTH/B",
    "spBv1.0/G/NDATA/B",
    "spBv1.0/G/NDEATH/B",
    "spBv1.0/G/NCMD/B",
    "spBv1.0/STATE/parktwin",
    "twin/v1/acmepark/other/mass_flow.production",
    "$share/group/park/v1/acmepark/other/gw-b",
    "$SYS/broker/clients/connected",
    "$CONTROL/dynamic-security/v1",
]


@pytest.mark.parametrize("retain", [False, True], ids=["passing", "retained"])
async def test_no_topic_but_its_own_leaves_the_broker(park, retain):
    async with heard(park, "park") as messages, as_gateway(park, "gw") as client:
        for topic in TOPICS:
            await client.publish(topic, scan(**{"FT-9": EVIL, "FT-1": EVIL}), 1, retain)
        await prove_read(park, client)
    assert [each for each in messages if str(EVIL).encode() in each[1]] == []
    async with heard(park, "park") as messages:
        await asyncio.sleep(0.2)
    assert [each for each in messages if str(EVIL).encode() in each[1]] == []
    await require_untouched(park)


async def test_an_alias_of_a_topic_is_held_to_the_rights_of_the_topic(park):
    async with heard(park, "park") as messages, as_gateway(park, "gw") as client:
        for topic in ("park/v1/acmepark/other/gw-b", ""):
            alias = Properties(PacketTypes.PUBLISH)
            alias.TopicAlias = 1
            await client.publish(topic, scan(**{"FT-9": EVIL}), 1, properties=alias)
        await prove_read(park, client)
    assert [each for each in messages if str(EVIL).encode() in each[1]] == []


@pytest.mark.parametrize("topic", ["park/v1/+/other/gw-b", "park/v1/#", "#", "+"])
async def test_a_wildcard_in_the_topic_of_a_message_ends_the_connection(park, topic):
    own = park.accounts["gw"].username
    port = park.door.settings.mqtt_gateway_port
    publisher = Publisher(HOST, port, own, PASSWORD)
    with contextlib.suppress(OSError):
        await asyncio.to_thread(publisher.publish, topic, [scan(**{"FT-9": EVIL})])
        # A connection that goes on would answer.
        assert not await asyncio.to_thread(publisher.collect, 2.0)
    publisher.sock.close()
    async with as_gateway(park, "gw") as client:
        await prove_read(park, client)
    await require_untouched(park)


async def test_a_will_is_held_to_the_rights_of_its_client(park):
    async with heard(park, "park") as messages:
        for topic in ("park/v1/acmepark/other/gw-b", "spBv1.0/G/NDEATH/B",
                      "park/v1/acmepark/acme/gw"):  # fmt: skip
            will = aiomqtt.Will(topic, b"gone", 1, retain=True)
            with contextlib.suppress(aiomqtt.MqttError):
                async with as_gateway(park, "gw", will=will) as client:
                    # The connection is lost, and the broker speaks for it.
                    client._client.socket().shutdown(socket.SHUT_RDWR)
                    await asyncio.sleep(0.1)
        await until(lambda: messages)
        await asyncio.sleep(0.2)
    assert [each for each in messages if each[1] == b"gone"] == [
        ("park/v1/acmepark/acme/gw", b"gone")
    ]
    async with program(park, "park") as client:
        await client.publish("park/v1/acmepark/acme/gw", b"", 1, retain=True)


async def test_nothing_of_others_is_read(park):
    async with program(park, "park") as owner:
        await owner.publish("park/v1/acmepark/other/kept", scan(**{"FT-9": 1.0}), 1, retain=True)
        try:
            async with as_gateway(park, "gw") as spy, as_gateway(park, "edge-a") as edge:
                for topic in ("#", "+/#", "park/v1/#", "park/v1/acmepark/other/gw-b", "twin/v1/#",
                              "$SYS/#", "$share/group/#", "$share/group/park/v1/#",
                              "spBv1.0/#"):  # fmt: skip
                    await spy.subscribe(topic, 1)
                    await edge.subscribe(topic, 1)
                async with as_gateway(park, "gw-b") as other:
                    await other.publish("park/v1/acmepark/other/gw-b", scan(**{"FT-9": 2.0}), 1)
                await owner.publish("spBv1.0/G/NCMD/B", b"for B", 1)
                await owner.publish("spBv1.0/G/NCMD/A", b"for A", 1)
                await prove_read(park, spy)
                await asyncio.sleep(0.2)
                topics = set()
                while len(edge.messages):
                    topics.add((await anext(edge.messages)).topic.value)
                assert len(spy.messages) == 0
                assert topics <= {"spBv1.0/G/NCMD/A", "spBv1.0/STATE/parktwin"}
                assert "spBv1.0/G/NCMD/A" in topics
        finally:
            await owner.publish("park/v1/acmepark/other/kept", b"", 1, retain=True)


async def test_the_client_id_of_ingest_or_of_another_gateway_ends_nobodys_connection(park):
    counts = "SELECT max(value) FROM sample_named WHERE tag = ANY($1)"
    ends = ["ingest.reconnects", "ingest.taken_over"]
    before = await query(park.database, counts, ends)
    other = park.accounts["gw-b"].username
    async with as_gateway(park, "gw-b") as client:
        for name in (KNOWN_ID, f"{KNOWN_ID}-contacts", other):
            async with as_gateway(park, "gw", identifier=name, clean_start=True) as attacker:
                await prove_read(park, attacker)
        await client.publish("park/v1/acmepark/other/gw-b", scan(**{"FT-9": 3.0}), 1)
        await until(lambda: stored(park, "other/FT-9", 3.0))
    await asyncio.sleep(1.0)
    assert await query(park.database, counts, ends) == before


# --- where the payload says whose a value is ---------------------------------


async def test_a_name_of_another_enterprise_in_native_json_goes_to_quarantine(park):
    async with as_gateway(park, "gw") as client:
        values = {"FT-9": EVIL, "other/FT-9": EVIL, "acmepark/other/FT-9": EVIL, "other.FT-1": EVIL}
        await client.publish("park/v1/acmepark/acme/gw", scan(**values), 1)
        await prove_read(park, client)
    await require_untouched(park)
    assert await kept_out(park, "unknown_tag", "FT-9")
    for name in ("other/FT-9", "acmepark/other/FT-9", "other.FT-1"):
        assert await kept_out(park, "other_enterprise", name), name


@pytest.mark.parametrize(
    ("base", "name"),
    [("urn:dev:other:", "FT-1"), ("other/", "FT-1"), ("urn:dev:OTHER:", "FT-9"),
     ("", "senml/v1/acmepark/other/gw-b/FT-1")],
)  # fmt: skip
async def test_a_base_name_of_another_enterprise_in_senml_goes_to_quarantine(park, base, name):
    pack = [{"bn": base, "bt": time.time(), "n": name, "v": EVIL}]
    async with as_gateway(park, "sen") as client:
        await client.publish("senml/v1/acmepark/acme/sen", json.dumps(pack).encode(), 1)
        await client.publish("park/v1/acmepark/acme/sen", scan(**{"FT-1": 1.25}), 1)
        await until(lambda: kept_out(park, "other_enterprise", f"{base}{name}"))
    await require_untouched(park)


async def test_a_tag_of_another_in_a_mapped_topic_or_name_goes_to_quarantine(park):
    async with as_gateway(park, "plc-a") as client, as_gateway(park, "wide-a") as wide:
        for name in ("FT-9", "other", "other.FT-9"):
            await client.publish(f"plant/a/{name}", json.dumps({"v": EVIL}).encode(), 1)
        # Its own row cuts a name at its last dot.
        await wide.publish("plant/c/other.line.FT-1", json.dumps({"v": EVIL}).encode(), 1)
        await wide.publish("plant/b/FT-9", json.dumps({"v": EVIL}).encode(), 1)
        await until(lambda: kept_out(park, "other_enterprise", "other.line.FT-1"))
    await until(lambda: kept_out(park, "other_enterprise", "other.FT-9"))
    assert await kept_out(park, "unknown_tag", "FT-9")
    await require_untouched(park)


async def test_metrics_of_another_in_a_birth_of_ones_own_go_to_quarantine(park):
    now_ms = int(time.time() * 1000)
    names = ("FT-9", "other/FT-9", "other/FT-1", "Own")
    metrics = [Metric(name, value=2.5 if name == "Own" else EVIL, datatype=DataType.DOUBLE)
               for name in names]  # fmt: skip
    async with as_gateway(park, "edge-a") as client:
        await client.publish("spBv1.0/G/NBIRTH/A", sparkplug.nbirth(now_ms, metrics, 1))
        await until(lambda: stored(park, "acme/FT-1", 2.5))
        for node in ("B", "C"):
            await client.publish(f"spBv1.0/G/NBIRTH/{node}", sparkplug.nbirth(now_ms, metrics, 1))
        await client.publish("spBv1.0/H/NBIRTH/A", sparkplug.nbirth(now_ms, metrics, 1))
        own = Metric("Own", value=2.75, datatype=DataType.DOUBLE)
        await client.publish("spBv1.0/G/NDATA/A", sparkplug.data(now_ms + 1, [own], 1))
        await until(lambda: stored(park, "acme/FT-1", 2.75))
    for name in ("other/FT-9", "other/FT-1"):
        assert await kept_out(park, "other_enterprise", name)
    await require_untouched(park)


def packet(mn, password, value=EVIL):
    now = time.strftime("%Y%m%d%H%M%S", time.gmtime(time.time() + 8 * 3600))
    cp = f"DataTime={now};a21022-Rtd={value},a21022-Flag=N"
    return hj212.encode(hj212.Packet(f"{now}000", "31", "2011", password, mn, 5, cp))


@pytest.mark.parametrize("name", ["cems-a", "gw"])
async def test_a_packet_of_another_logger_under_a_topic_of_ones_own_is_refused(park, name):
    topic = f"hj212/v1/acmepark/acme/{name}"
    async with as_gateway(park, name) as client:
        for password in ("654321", "123456"):
            await client.publish(topic, packet(OTHER_MN, password), 1)
        await until(lambda: rejected(park, "unknown_mn", topic))
        if name == "cems-a":
            await client.publish(topic, packet(MN, "654321"), 1)
            await until(lambda: rejected(park, "bad_password", topic))
    await require_untouched(park)


async def test_the_mn_of_another_logger_needs_its_password_at_the_port(park):
    reader, writer = await asyncio.open_connection(HOST, park.loggers)
    for password in ("123456", "", "x" * 60):
        writer.write(packet(OTHER_MN, password))
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)
        assert b"QnRtn=3" in answer
    writer.close()
    async with as_gateway(park, "gw") as client:
        await prove_read(park, client)
    await require_untouched(park)
