"""The inbox's limits, and the reader that takes PUBLISH packets out of the socket's bytes."""

import asyncio
import socket
import time
from types import SimpleNamespace

import aiomqtt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.client import MQTTMessage

from ingest.counters import Counters
from ingest.routing.topics import Message
from ingest.settings import HEAD_BYTES, IngestSettings
from ingest.transport.packet_reader import PacketReader
from ingest.transport.subscriber import Inbox, Subscriber
from tests.support.waiting import until
from twin.errors import SettingsError


def inbox_of(messages_max=1000, bytes_max=1_000_000):
    counters = Counters()
    return Inbox(messages_max, bytes_max, counters), counters


def payloads(messages):
    return [message.payload for message in messages]


# --- inbox ------------------------------------------------------------------


def test_inbox_hands_out_what_came_in_order():
    inbox, counters = inbox_of()
    inbox.link = 3
    inbox.put("park/v1/a/b/c", b"one", 7, 1)
    inbox.put("park/v1/a/b/d", b"two", 0, 0)
    first, second = inbox.take(10, 1000)
    assert first[:2] == ("park/v1/a/b/c", b"one")
    assert (first.mid, first.qos, first.link) == (7, 1, 3)
    assert (second.payload, second.mid, second.qos) == (b"two", 0, 0)
    assert first.received_us > 1_700_000_000_000_000
    assert (len(inbox), inbox.bytes, counters["dropped"]) == (0, 0, 0)


def test_full_inbox_drops_and_counts_qos_0():
    inbox, counters = inbox_of(messages_max=2)
    for i in range(5):
        inbox.put("t", b"%d" % i, 0, 0)
    assert counters["dropped"] == 3
    assert payloads(inbox.take(10, 1000)) == [b"0", b"1"]


def test_inbox_is_full_when_a_message_at_qos_1_is_beyond_its_room():
    inbox, _ = inbox_of(bytes_max=10)
    calls = []
    inbox.on_room = lambda: calls.append(len(inbox))
    inbox.put("t", b"x" * 10, 1, 1)
    inbox.put("t", b"dropped", 0, 0)
    assert not inbox.full
    inbox.put("t", b"y" * 10, 2, 1)
    assert (inbox.full, inbox.bytes) == (True, 20)
    inbox.take(1, 1)
    assert (inbox.full, calls) == (True, [])
    inbox.take(1, 1)
    assert (inbox.full, calls) == (False, [0])
    inbox.put("t", b"x", 3, 1)
    inbox.take(1, 1)
    assert calls == [0]


def test_full_inbox_keeps_qos_1():
    inbox, counters = inbox_of(messages_max=2)
    for i in range(5):
        inbox.put("t", b"%d" % i, i + 1, 1)
    inbox.put("t", b"lost", 0, 0)
    assert counters["dropped"] == 1
    assert payloads(inbox.take(10, 1000)) == [b"0", b"1", b"2", b"3", b"4"]


def test_inbox_is_full_by_bytes_as_well():
    inbox, counters = inbox_of(bytes_max=10)
    inbox.put("t", b"x" * 9, 0, 0)
    inbox.put("t", b"y" * 9, 0, 0)
    inbox.put("t", b"z", 0, 0)
    assert (counters["dropped"], inbox.bytes, len(inbox)) == (1, 18, 2)
    inbox.put("t", b"w" * 9, 1, 1)
    assert (inbox.bytes, len(inbox)) == (27, 3)


def test_room_comes_back_when_messages_are_taken():
    inbox, counters = inbox_of(messages_max=1)
    inbox.put("t", b"a", 0, 0)
    inbox.take(1, 100)
    inbox.put("t", b"b", 0, 0)
    assert (payloads(inbox.take(1, 100)), counters["dropped"]) == ([b"b"], 0)


def test_take_stops_at_the_number_of_messages():
    inbox, _ = inbox_of()
    for i in range(5):
        inbox.put("t", b"%d" % i, 0, 0)
    assert payloads(inbox.take(2, 1000)) == [b"0", b"1"]
    assert (len(inbox), inbox.bytes) == (3, 3)
    assert payloads(inbox.take(0, 1000)) == []


def test_take_stops_at_the_message_that_fills_its_bytes():
    inbox, _ = inbox_of()
    for _ in range(5):
        inbox.put("t", b"x" * 10, 0, 0)
    assert [len(inbox.take(100, limit)) for limit in (1, 10, 11, 100)] == [1, 1, 2, 1]
    assert inbox.bytes == 0


def test_message_larger_than_a_cycle_is_taken_alone():
    inbox, _ = inbox_of()
    inbox.put("t", b"x" * 500, 1, 1)
    inbox.put("t", b"y", 2, 1)
    assert [len(m) for m in payloads(inbox.take(10, 100))] == [500]


def test_arrived_is_set_while_something_waits():
    inbox, _ = inbox_of()
    assert not inbox.arrived.is_set()
    inbox.put("t", b"a", 0, 0)
    inbox.put("t", b"b", 0, 0)
    inbox.take(1, 100)
    assert inbox.arrived.is_set()
    inbox.take(1, 100)
    assert not inbox.arrived.is_set()


def test_message_of_the_client_comes_the_same_way():
    inbox, _ = inbox_of()
    message = MQTTMessage(mid=9, topic=b"park/v1/a/b/c")
    message.payload, message.qos = b"two", 2
    inbox.put_nowait(aiomqtt.Message._from_paho_message(message))
    (got,) = inbox.take(1, 100)
    assert (got.topic, got.payload, got.mid, got.qos) == ("park/v1/a/b/c", b"two", 9, 2)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 1))),
    st.integers(1, 5),
    st.integers(1, 60),
)
def test_inbox_loses_nothing_but_what_it_counts(arrivals, messages_max, bytes_max):
    inbox, counters = inbox_of(messages_max, bytes_max)
    for number, (size, qos) in enumerate(arrivals):
        inbox.put(str(number), b"x" * size, number, qos)
    taken = []
    while block := inbox.take(3, 40):
        taken += block
    assert len(taken) + counters["dropped"] == len(arrivals)
    numbers = [int(message.topic) for message in taken]
    assert numbers == sorted(numbers)
    assert {n for n, (_, qos) in enumerate(arrivals) if qos} <= set(numbers)
    assert inbox.bytes == 0


# --- reader -----------------------------------------------------------------


def length_of(size):
    """Return MQTT's variable byte integer."""
    out = bytearray()
    while True:
        size, digit = divmod(size, 128)
        out.append(digit | (128 if size else 0))
        if not size:
            return bytes(out)


def publish(topic, payload, qos=0, mid=0, properties=b"", *, dup=False, retain=False):
    name = topic.encode()
    body = len(name).to_bytes(2, "big") + name + (mid.to_bytes(2, "big") if qos else b"")
    body += length_of(len(properties)) + properties + payload
    kind = 0x30 | qos << 1 | (8 if dup else 0) | (1 if retain else 0)
    return bytes([kind]) + length_of(len(body)) + body


PINGREQ, PINGRESP = b"\xc0\x00", b"\xd0\x00"
SUBACK = b"\x90\x04\x00\x01\x00\x01"
EXPIRY = b"\x02\x00\x00\x00\x3c"
USER = b"\x26\x00\x01a\x00\x01b" * 40  # more than 127 bytes: a length of two digits


class Paho:
    """What the reader needs of paho: it takes all packets that wait for it."""

    def __init__(self):
        self.reader = None
        self.packets = b""
        self.closed = 0

    def socket(self):
        return self.reader

    def loop_read(self):
        while True:
            try:
                chunk = self.reader.recv(3)
            except BlockingIOError:
                return
            if not chunk:
                self.closed += 1
                return
            self.packets += chunk


PAYLOAD_BYTES = 1 << 20


@pytest.fixture
def wire():
    """The broker's end of a socket, and the reader at ours."""
    broker, ours = socket.socketpair()
    ours.setblocking(False)
    paho, (inbox, counters) = Paho(), inbox_of()
    paho.reader = PacketReader(ours, paho, inbox, PAYLOAD_BYTES)
    yield SimpleNamespace(
        broker=broker, paho=paho, reader=paho.reader, inbox=inbox, counters=counters
    )
    broker.close()
    ours.close()


def got(wire):
    return [(m.topic, m.payload, m.mid, m.qos) for m in wire.inbox.take(1000, 1 << 30)]


MIXED = (
    publish("park/v1/a/b/c", b'{"ts":1}')
    + SUBACK
    + publish("park/v1/a/b/c", b"x" * 300, qos=1, mid=258, properties=EXPIRY)
    + PINGRESP
    + publish("园区", b"", qos=1, mid=65_535, properties=USER, dup=True, retain=True)
    + publish("t", b"two", qos=2, mid=5)
)
EXPECTED = [
    ("park/v1/a/b/c", b'{"ts":1}', 0, 0),
    ("park/v1/a/b/c", b"x" * 300, 258, 1),
    ("园区", b"", 65_535, 1),
]
OTHERS = SUBACK + PINGRESP + publish("t", b"two", qos=2, mid=5)


@pytest.mark.parametrize("properties", [b"", EXPIRY, USER], ids=["none", "expiry", "long"])
@pytest.mark.parametrize("qos", [0, 1])
def test_publish_is_taken_without_its_properties(wire, qos, properties):
    wire.broker.sendall(publish("a/b", b"payload", qos, 513 if qos else 0, properties))
    wire.reader.read()
    assert got(wire) == [("a/b", b"payload", 513 if qos else 0, qos)]
    assert wire.paho.packets == b""


def test_retained_message_is_marked_by_its_flag(wire):
    wire.broker.sendall(publish("a", b"1", retain=True) + publish("a", b"2", qos=1, mid=3))
    wire.reader.read()
    assert [m.retained for m in wire.inbox.take(10, 100)] == [True, False]


def test_block_of_packets_is_sorted_out(wire):
    wire.broker.sendall(MIXED)
    wire.reader.read()
    assert got(wire) == EXPECTED
    assert wire.paho.packets == OTHERS
    assert wire.reader.pending() == 0


def test_packets_split_anywhere_are_the_same(wire):
    for at in range(len(MIXED) + 1):
        for part in (MIXED[:at], MIXED[at:]):
            if part:
                wire.broker.sendall(part)
            wire.reader.read()
        assert got(wire) == EXPECTED, at
        assert wire.paho.packets == OTHERS, at
        wire.paho.packets = b""


def test_packets_byte_by_byte_are_the_same(wire):
    for at in range(len(MIXED)):
        wire.broker.sendall(MIXED[at : at + 1])
        wire.reader.read()
    assert got(wire) == EXPECTED
    assert wire.paho.packets == OTHERS


def test_large_payload_comes_through(wire):
    payload = bytes(range(256)) * 800
    packet = publish("a", payload, qos=1, mid=1)
    for at in range(0, len(packet), 50_000):
        wire.broker.sendall(packet[at : at + 50_000])
        wire.reader.read()
    assert got(wire) == [("a", payload, 1, 1)]


class Pieces:
    """A socket whose bytes come in pieces."""

    def __init__(self, data, size):
        self.pieces = [data[at : at + size] for at in range(0, len(data), size)][::-1]

    def recv(self, size):
        if not self.pieces:
            raise BlockingIOError
        return self.pieces.pop()


def read_all(wire, data, payload_bytes, size=1 << 16):
    """Read bytes in pieces; return the seconds it took."""
    wire.inbox = inbox_of(bytes_max=1 << 30)[0]
    sock = Pieces(data, size)
    wire.paho.reader = reader = PacketReader(sock, wire.paho, wire.inbox, payload_bytes)
    began = time.perf_counter()
    while sock.pieces:
        reader.read()
    return time.perf_counter() - began


def test_time_of_a_large_packet_grows_with_its_size(wire):
    payload = bytes(40 << 20)
    packets = publish("a", payload, qos=1, mid=1) + publish("b", b"after", qos=1, mid=2)
    # Copied with each piece, it takes 9 s.
    assert read_all(wire, packets, payload_bytes=1 << 30) < 2.0
    assert got(wire) == [("a", payload, 1, 1), ("b", b"after", 2, 1)]


@pytest.mark.parametrize("size", [1, 1000, 1 << 16, 1 << 18])
@pytest.mark.parametrize("excess", [0, 1, 300_000])
def test_of_too_large_a_packet_the_head_is_kept_and_the_next_one_is_whole(wire, size, excess):
    payload = bytes(range(256)) * 40
    topic, fill = "t" * 65_535, bytes(HEAD_BYTES - 65_535 - 5 - 5)
    large = publish(topic, payload + fill + bytes(excess), qos=1, mid=7, properties=EXPIRY)
    packets = large + PINGRESP + publish("b", b"after", qos=1, mid=2)
    read_all(wire, packets, len(payload), size)
    first, second = wire.inbox.take(10, 1 << 30)
    assert (first.topic, first.mid, first.qos) == (topic, 7, 1)
    assert first.payload.startswith(payload)
    assert len(first.payload) + first.cut == len(payload + fill) + excess
    assert (first.cut > 0) == (excess > 0)
    assert len(first.payload) <= len(payload + fill)
    assert (second.payload, wire.paho.packets) == (b"after", PINGRESP)


async def test_full_inbox_stops_the_reader_until_there_is_room(wire):
    wire.inbox = wire.reader._inbox = inbox_of(bytes_max=1000)[0]
    wire.reader.listen()
    wire.broker.sendall(publish("t", b"x" * 1000, 1, 1) + publish("t", b"y", 1, 2))
    await until(lambda: wire.inbox.full)
    wire.broker.sendall(publish("t", b"z", 1, 3))
    await asyncio.sleep(0.05)
    assert len(wire.inbox) == 2
    # The broker's answer to a ping stands behind what is not read: paho gets one from us.
    wire.reader.send(PINGREQ)
    await until(lambda: wire.paho.packets)
    assert (wire.paho.packets, wire.broker.recv(10)) == (PINGRESP, PINGREQ)
    assert [row[2] for row in got(wire)] == [1, 2]
    await until(lambda: len(wire.inbox))
    assert [row[2] for row in got(wire)] == [3]
    asyncio.get_running_loop().remove_reader(wire.reader.fileno())


async def test_reader_of_an_earlier_connection_stays_stopped(wire):
    wire.inbox.full, wire.inbox.on_room = True, wire.reader.listen
    wire.paho.socket = lambda: None
    wire.inbox.take(1, 1)
    wire.broker.sendall(publish("t", b"x", 1, 1))
    await asyncio.sleep(0.05)
    assert (wire.inbox.full, len(wire.inbox)) == (False, 0)


async def test_a_pong_is_the_brokers_while_the_reader_reads(wire):
    wire.reader.send(PINGREQ)
    await asyncio.sleep(0)
    assert (wire.paho.packets, wire.broker.recv(10)) == (b"", PINGREQ)


def test_many_messages_of_one_block_keep_their_order(wire):
    wire.broker.sendall(b"".join(publish(f"t/{i % 3}", b"%d" % i, 1, i + 1) for i in range(500)))
    wire.reader.read()
    assert [(topic, int(payload), mid) for topic, payload, mid, _ in got(wire)] == [
        (f"t/{i % 3}", i, i + 1) for i in range(500)
    ]


def test_nothing_to_read_is_nothing(wire):
    wire.reader.read()
    assert (got(wire), wire.paho.packets, wire.paho.closed) == ([], b"", 0)
    with pytest.raises(BlockingIOError):
        wire.reader.recv(10)


def test_end_of_the_connection_is_told_to_paho_once(wire):
    wire.broker.sendall(publish("t", b"last", 1, 1) + PINGRESP + b"\x30\x7f")
    wire.reader.read()
    wire.broker.close()
    wire.reader.read()
    assert [row[1] for row in got(wire)] == [b"last"]
    assert (wire.paho.packets, wire.paho.closed) == (PINGRESP, 1)


def test_broken_connection_is_an_end_as_well(wire):
    class Broken:
        def recv(self, size):
            raise ConnectionResetError

    reader = wire.paho.reader = PacketReader(Broken(), wire.paho, wire.inbox, PAYLOAD_BYTES)
    reader.read()
    assert wire.paho.closed == 1


def test_topic_that_is_not_utf_8_is_no_crash(wire):
    wire.broker.sendall(publish("t", b"x").replace(b"\x00\x01t", b"\x00\x01\xff"))
    wire.reader.read()
    assert [row[:2] for row in got(wire)] == [("\N{REPLACEMENT CHARACTER}", b"x")]


def test_everything_else_of_the_socket_is_the_sockets(wire):
    assert wire.reader.fileno() >= 0
    assert wire.reader.getsockname() is not None


# --- acknowledgement --------------------------------------------------------


class Queue:
    """The two calls of paho by which acknowledgements leave."""

    def __init__(self):
        self.sent = []
        self.acked = []

    def _packet_queue(self, command, packet, mid, qos):
        self.sent.append((command, packet))

    def ack(self, mid, qos):
        self.acked.append((mid, qos))


def message(mid, qos, link=1):
    return Message("t", b"", 0, mid, qos, link)


@pytest.fixture
def subscriber(monkeypatch):
    monkeypatch.delenv("PARKTWIN_MQTT_URL", raising=False)
    subscriber = Subscriber(IngestSettings(), Counters())
    subscriber.inbox.link = 1
    subscriber._client = SimpleNamespace(_client=Queue())
    return subscriber


def test_acknowledgements_of_a_block_leave_in_one_piece(subscriber):
    subscriber.ack([message(1, 1), message(0, 0), message(258, 1), message(9, 2)])
    queue = subscriber._client._client
    assert queue.sent == [(0x40, b"\x40\x02\x00\x01" + b"\x40\x02\x01\x02")]
    assert queue.acked == [(9, 2)]


def test_message_of_an_earlier_connection_is_not_acknowledged(subscriber):
    subscriber.ack([message(1, 1, link=0), message(2, 2, link=0)])
    assert (subscriber._client._client.sent, subscriber._client._client.acked) == ([], [])


@pytest.mark.parametrize("lost", [False, True])
async def test_subscription_waits_for_its_answer_as_long_as_there_is_a_connection(subscriber, lost):
    answer = asyncio.Event()
    client = SimpleNamespace(_disconnected=asyncio.get_running_loop().create_future())

    async def subscribe(_topics, *, timeout):  # noqa: ASYNC109, as aiomqtt has it
        await asyncio.wait_for(answer.wait(), timeout)

    client.subscribe = subscribe
    asking = asyncio.create_task(subscriber._subscribe(client))
    await asyncio.sleep(0)
    if lost:
        client._disconnected.set_exception(aiomqtt.MqttError("lost"))
        with pytest.raises(aiomqtt.MqttError, match="lost"):
            await asking
    else:
        answer.set()
        await asking


def test_acknowledgement_without_a_connection_is_none(subscriber):
    queue, subscriber._client = subscriber._client._client, None
    subscriber.ack([message(1, 1)])
    assert queue.sent == []


@pytest.mark.parametrize("url", ["127.0.0.1:1883", "http://broker:1883", "mqtt://", ""])
async def test_address_that_is_no_brokers_is_said(url):
    with pytest.raises(SettingsError) as caught:
        await Subscriber(IngestSettings(mqtt_url=url), Counters()).run()
    assert "PARKTWIN_MQTT_URL" in caught.value.message
    assert "mqtt://" in caught.value.hint


def test_inbox_must_hold_more_than_what_can_be_in_flight():
    with pytest.raises(SettingsError, match="PARKTWIN_INBOX_MESSAGES must"):
        IngestSettings(inbox_messages=100, receive_max=100)
    assert IngestSettings(inbox_messages=101, receive_max=100).inbox_messages == 101


def test_packet_must_have_room_for_a_payload():
    with pytest.raises(SettingsError, match="PARKTWIN_PACKET_BYTES must"):
        IngestSettings(payload_bytes=1 << 20, packet_bytes=(1 << 20) + HEAD_BYTES - 1)
    fits = IngestSettings(payload_bytes=1 << 20, packet_bytes=(1 << 20) + HEAD_BYTES)
    assert fits.packet_bytes > fits.payload_bytes


def test_a_broker_that_holds_messages_back_is_warned_of_once(subscriber, caplog):
    for cycle in range(80):
        subscriber.check_window([message(i + 1, 1) for i in range(20 if cycle else 7)])
    warnings = [r.getMessage() for r in caplog.records if "in flight" in r.getMessage()]
    assert len(warnings) == 1
    assert "exactly 20 messages" in warnings[0]


def test_an_idle_broker_is_not_warned_of(subscriber, caplog):
    for _ in range(80):
        subscriber.check_window([])
    assert caplog.records == []
