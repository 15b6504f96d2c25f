"""What the host sends over its connection, by the assertions of Sparkplug 3.0: STATE and commands.

One life is recorded: a connection that is lost, a second one, a denial of our state, a request for
a birth, and a stop.
"""

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass

import pytest

from ingest.__main__ import _ask
from ingest.counters import Counters
from ingest.routing.sparkplug_session import SparkplugSessions
from ingest.settings import IngestSettings
from ingest.transport.subscriber import Subscriber
from ingest.wire import sparkplug
from tests.support.recording_broker import Packet, recording_broker
from tests.support.small_edges import row
from tests.support.waiting import until

HOST = "host-7"
STATE = f"spBv1.0/STATE/{HOST}"
NCMD = "spBv1.0/G/NCMD/N"


@dataclass
class Life:
    """What was recorded; times are milliseconds of our clock."""

    packets: list[Packet]
    began_ms: int
    stopping_ms: int
    ended_ms: int

    def __post_init__(self):
        starts = [i for i, packet in enumerate(self.packets) if packet.kind == "CONNECT"]
        ends = [*starts[1:], len(self.packets)]
        self.connections = [self.packets[i:j] for i, j in zip(starts, ends, strict=True)]
        self.wills = [connection[0] for connection in self.connections]
        states = [[p for p in connection if p.kind == "PUBLISH" and p.topics == [STATE]]
                  for connection in self.connections]  # fmt: skip
        self.births = [each[0] for each in states]
        self.again, self.death = states[1][1:]
        self.commands = [p for p in self.packets if p.topics == [NCMD] and p.kind == "PUBLISH"]


def document(packet):
    return json.loads(packet.payload.decode())


def state_of(packet):
    """Return online and timestamp; there is nothing else in it."""
    content = document(packet)
    assert content.keys() == {"online", "timestamp"}
    assert isinstance(content["timestamp"], int)
    return content["online"], content["timestamp"]


def now_ms():
    return time.time_ns() // 1_000_000


@pytest.fixture(scope="module")
async def life():
    began_ms = now_ms()
    async with recording_broker() as broker:
        # An access list may let us see one group only: our own state is subscribed to all the same.
        settings = IngestSettings(
            mqtt_url=f"mqtt://127.0.0.1:{broker.port}", sparkplug_host_id=HOST,
            topic_filter="park/v1/#,spBv1.0/G/#", broker_status="",
        )  # fmt: skip
        subscriber = Subscriber(settings, Counters())
        await subscriber.follow((), sparkplug.state_topic(HOST))
        sessions = SparkplugSessions([row()], host_id=HOST)
        connection = asyncio.create_task(subscriber.run())
        await until(lambda: subscriber.connected)
        await asyncio.sleep(0.01)
        broker.lose_clients()
        await until(lambda: len(broker.of("CONNECT")) == 2 and subscriber.connected)
        offline = sparkplug.state(began_ms, online=False)
        sessions.hear_state(STATE.split("/"), offline)
        await _ask(sessions, subscriber, time.time_ns() // 1000)
        await until(lambda: len(broker.of("PUBLISH")) >= 4)
        await asyncio.sleep(0.01)
        stopping_ms = now_ms()
        connection.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await connection
        await until(lambda: broker.packets[-1].kind == "DISCONNECT")
        return Life(broker.packets, began_ms, stopping_ms, now_ms())


def kinds(connection):
    """Return kinds and topics of what was sent, in order."""
    return [(packet.kind, *packet.topics) for packet in connection]


def all_of(packets, check):
    return bool(packets) and all(map(check, packets))


def is_offline(packet):
    return state_of(packet)[0] is False


def has_own_time(life):
    """Return whether each will has the time of its connection."""
    first, second = (state_of(will)[1] for will in life.wills)
    return life.began_ms <= first < second <= life.stopping_ms


def births_follow_the_wills(life):
    pairs = zip(life.wills, life.births, strict=True)
    return all(state_of(birth) == (True, state_of(will)[1]) for will, birth in pairs)


def birth_comes_first(life):
    """Return whether the birth is the first message, right behind the subscriptions."""
    return all(
        [packet.kind for packet in connection[:3]] == ["CONNECT", "SUBSCRIBE", "PUBLISH"]
        and connection[2].topics == [STATE]
        for connection in life.connections
    )


def subscribes_to_state_first(life):
    return all(
        STATE in connection[1].topics and "spBv1.0/G/#" in connection[1].topics
        for connection in life.connections
    ) and birth_comes_first(life)


def death_is_said_at_the_end(life):
    offline, time_ms = state_of(life.death)
    in_time = life.stopping_ms <= time_ms <= life.ended_ms
    last = kinds(life.connections[1])[-2:]
    return not offline and in_time and last == [("PUBLISH", STATE), ("DISCONNECT",)]


def is_republished(life):
    how = life.again.qos, life.again.retain
    return life.again.payload == life.births[1].payload and how == (1, True)


def requests(life):
    """Return the metrics of the one request for a birth."""
    (command,) = life.commands
    return sparkplug.decode(command.payload).metrics


def birth_has_qos_1(life):
    return all_of(life.births, lambda p: p.qos == 1)


def birth_is_retained(life):
    return all_of(life.births, lambda p: p.retain)


def will_is_there(life):
    return all_of(life.wills, lambda p: p.topics == [STATE])


def will_has_qos_1(life):
    return all_of(life.wills, lambda p: p.qos == 1)


def will_is_retained(life):
    return all_of(life.wills, lambda p: p.retain)


def will_says_offline(life):
    return all_of(life.wills, is_offline) and has_own_time(life)


def host_says_when_it_is_there(life):
    return birth_comes_first(life) and will_is_there(life) and death_is_said_at_the_end(life)


# Each assertion of the standard, and what of the recorded life shows it.
ASSERTIONS = {
    "tck-id-conformance-primary-host": host_says_when_it_is_there,
    "tck-id-components-ph-state": host_says_when_it_is_there,
    "tck-id-principles-birth-certificates-order": birth_comes_first,
    "tck-id-host-topic-phid-birth-message": birth_comes_first,
    "tck-id-host-topic-phid-birth-qos": birth_has_qos_1,
    "tck-id-host-topic-phid-birth-retain": birth_is_retained,
    "tck-id-host-topic-phid-birth-topic": birth_comes_first,
    "tck-id-host-topic-phid-birth-sub-required": subscribes_to_state_first,
    "tck-id-host-topic-phid-birth-required": birth_comes_first,
    "tck-id-host-topic-phid-birth-payload": births_follow_the_wills,
    "tck-id-host-topic-phid-birth-payload-timestamp": births_follow_the_wills,
    "tck-id-host-topic-phid-death-qos": lambda life: will_has_qos_1(life) and life.death.qos == 1,
    "tck-id-host-topic-phid-death-retain": lambda life: (
        will_is_retained(life) and life.death.retain
    ),
    "tck-id-host-topic-phid-death-topic": lambda life: (
        will_is_there(life) and life.death.topics == [STATE]
    ),
    "tck-id-host-topic-phid-death-required": will_is_there,
    "tck-id-host-topic-phid-death-payload": lambda life: (
        will_says_offline(life) and is_offline(life.death)
    ),
    "tck-id-host-topic-phid-death-payload-timestamp-connect": will_says_offline,
    "tck-id-host-topic-phid-death-payload-timestamp-disconnect-clean": death_is_said_at_the_end,
    "tck-id-message-flow-phid-sparkplug-subscription": subscribes_to_state_first,
    "tck-id-message-flow-phid-sparkplug-state-publish": birth_comes_first,
    "tck-id-message-flow-phid-sparkplug-state-publish-payload": births_follow_the_wills,
    "tck-id-message-flow-phid-sparkplug-state-publish-payload-timestamp": births_follow_the_wills,
    "tck-id-message-flow-hid-sparkplug-state-message-delivered": is_republished,
    "tck-id-operational-behavior-host-application-host-id": will_is_there,
    "tck-id-operational-behavior-host-application-connect-will": will_is_there,
    "tck-id-operational-behavior-host-application-connect-will-topic": will_is_there,
    "tck-id-operational-behavior-host-application-connect-will-payload": will_says_offline,
    "tck-id-operational-behavior-host-application-connect-will-qos": will_has_qos_1,
    "tck-id-operational-behavior-host-application-connect-will-retained": will_is_retained,
    "tck-id-operational-behavior-host-application-connect-birth": birth_comes_first,
    "tck-id-operational-behavior-host-application-connect-birth-topic": birth_comes_first,
    "tck-id-operational-behavior-host-application-connect-birth-payload": births_follow_the_wills,
    "tck-id-operational-behavior-host-application-connect-birth-qos": birth_has_qos_1,
    "tck-id-operational-behavior-host-application-connect-birth-retained": birth_is_retained,
    "tck-id-operational-behavior-host-application-termination": death_is_said_at_the_end,
    "tck-id-operational-behavior-host-application-death-topic": lambda life: (
        life.death.topics == [STATE]
    ),
    "tck-id-operational-behavior-host-application-death-payload": death_is_said_at_the_end,
    "tck-id-operational-behavior-host-application-death-qos": lambda life: life.death.qos == 1,
    "tck-id-operational-behavior-host-application-death-retained": lambda life: life.death.retain,
    "tck-id-operational-behavior-host-application-disconnect-intentional": death_is_said_at_the_end,
    "tck-id-operational-behavior-primary-application-state-with-multiple-servers-state": birth_comes_first,  # noqa: E501
    "tck-id-operational-behavior-primary-application-state-with-multiple-servers-state-subs": birth_comes_first,  # noqa: E501
    "tck-id-payloads-state-will-message": will_is_there,
    "tck-id-payloads-state-will-message-qos": will_has_qos_1,
    "tck-id-payloads-state-will-message-retain": will_is_retained,
    "tck-id-payloads-state-will-message-payload": will_says_offline,
    "tck-id-payloads-state-subscribe": subscribes_to_state_first,
    "tck-id-payloads-state-birth": lambda life: birth_comes_first(life) and birth_has_qos_1(life),
    "tck-id-payloads-state-birth-payload": births_follow_the_wills,
    "tck-id-topics-ncmd-topic": lambda life: len(life.commands) == 1,
    "tck-id-topics-ncmd-mqtt": lambda life: all_of(
        life.commands, lambda p: (p.qos, p.retain) == (0, False)
    ),
    "tck-id-payloads-ncmd-qos": lambda life: all_of(life.commands, lambda p: p.qos == 0),
    "tck-id-payloads-ncmd-retain": lambda life: all_of(life.commands, lambda p: not p.retain),
    "tck-id-operational-behavior-data-commands-ncmd-rebirth-name": lambda life: (
        [metric.name for metric in requests(life)] == ["Node Control/Rebirth"]
    ),
}


@pytest.mark.parametrize("assertion", ASSERTIONS)
async def test_what_the_host_sends_holds_the_assertion(life, assertion):
    assert ASSERTIONS[assertion](life)
