"""Who sends without being in the model is listed, with what it seems to say, and within bounds."""

import json

import pytest

from ingest.contacts import Contacts
from ingest.counters import Counters
from ingest.routing.decode import Limits, decode
from ingest.routing.topics import NOBODY, Message, TopicTable
from ingest.settings import IngestSettings
from ingest.wire import hj212, sparkplug
from tests.support.data import data_park
from tests.support.stored import opened
from twin.arrays import DAY_US
from twin.loading import parse_park

FILES = data_park("acme")
PARK = parse_park(FILES)
NOW_US = 1_795_332_864_000_000
S = 1_000_000
LIMITS = Limits(1 << 18, 300 * S, 400 * DAY_US)
MN = "010000A8900016F000169DC0"


def make(park=PARK, **settings):
    counters = Counters()
    contacts = Contacts(IngestSettings(**settings), counters)
    topics = TopicTable(park, park.tags)
    contacts.follow(topics, park)
    return contacts, topics, counters


def message(topic, body, at_us=NOW_US):
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Message(topic, payload, at_us, 0, 1, 0)


def hear(made, *messages):
    contacts, topics, _ = made
    contacts.hear_refused(decode(topics, messages, LIMITS))
    return list(contacts._contacts.values())


def scan(**values):
    return {"ts": NOW_US // 1000, "values": values}


def test_gateway_of_an_unknown_enterprise_is_listed_with_names_and_ranges():
    topic = "park/v1/acmepark/newcomer/gw"
    heard = hear(
        made := make(),
        message(topic, scan(FT=1.5) | {"uom": {"FT": "t/h"}}),
        message(topic, scan(FT=99.0)),  # within the same second: counted, not read
        message(topic, scan(FT=-2.0, TT=None), NOW_US + 2 * S),
    )
    (contact,) = heard
    assert (contact.address, contact.protocol, contact.count) == (topic, "native", 3)
    assert contact.reason == "unknown_enterprise"
    assert contact.names["FT"]._replace(uom="") == ("FT", -2.0, -2.0, 1.5, 2, "")
    assert contact.names["TT"][:4] == ("TT", None, None, None)
    assert json.loads(contact.payload)["values"] == {"FT": -2.0, "TT": None}
    assert contact.last_us - contact.first_us == 2 * S
    made[0].follow(made[1], PARK)
    assert hear(made) == [contact]


def test_gateway_without_a_row_whose_tags_are_unknown_is_one_contact():
    topic = "park/v1/acmepark/acme/gw9"
    (contact,) = hear(make(), message(topic, scan(ZZ=1.0, YY=2.0, **{"FT-1": 3.0})))
    assert contact.reason == "unknown_gateway"
    assert set(contact.names) == {"ZZ", "YY", "FT-1"}


def test_known_gateway_and_known_tags_are_no_contact():
    row = '\n[[gateway]]\nid = "gw9"\nscope = "acmepark/acme"\nprotocol = "native"\n'
    park = parse_park(FILES | {"park.toml": FILES["park.toml"] + row})
    topic = "park/v1/acmepark/acme/gw9"
    assert hear(make(park), message(topic, scan(ZZ=1.0))) == []
    assert hear(make(), message(topic, scan(**{"FT-1": 1.0}))) == []
    assert hear(make(), message(topic, b"{")) == []


def test_unknown_edge_node_is_one_contact_with_the_metrics_of_its_birth():
    metrics = [
        sparkplug.Metric("Header/FT-1", 1.5, sparkplug.DataType.DOUBLE, alias=1),
        sparkplug.Metric("text", b"x", sparkplug.DataType.STRING, alias=2),
    ]
    ms = NOW_US // 1000
    (contact,) = hear(
        make(),
        message("spBv1.0/G/NBIRTH/Edge 3", sparkplug.nbirth(ms, metrics[:1], 1)),
        message("spBv1.0/G/DDATA/Edge 3/dev", sparkplug.data(ms, metrics[:1], 1), NOW_US + 2 * S),
    )
    assert (contact.address, contact.protocol) == ("spBv1.0/G/Edge 3", "sparkplug")
    assert list(contact.names) == ["Header/FT-1"]
    assert contact.count == 2


def test_unknown_data_logger_is_one_contact_whatever_port_it_calls_from():
    cp = "DataTime=20261122080000;a21022-Rtd=1.8,a21022-Flag=N"
    packet = hj212.encode(hj212.Packet("20261122080005123", "31", "2011", "", MN, 5, cp))
    (contact,) = hear(
        make(), *(message(f"{NOBODY}/10.0.0.1:{port}", packet) for port in (5001, 5002))
    )
    assert (contact.address, contact.protocol, contact.mn) == (f"{NOBODY}/{MN}", "hj212", MN)
    assert contact.names["a21022-Rtd"].value == pytest.approx(1.8)
    row = f'\n[[gateway]]\nid = "c"\nscope = "acmepark/acme"\nprotocol = "hj212"\nmn = "{MN}"\n'
    park = parse_park(FILES | {"park.toml": FILES["park.toml"] + row})
    made = make()
    hear(made, message(f"{NOBODY}/10.0.0.1:5001", packet))
    made[0].follow(TopicTable(park, park.tags), park)
    assert hear(made) == []


def test_contacts_and_their_names_are_bounded_and_what_found_no_room_is_counted():
    made = make(contacts_max=2, contact_names=3)
    names = {f"T{i}": float(i) for i in range(5)}
    heard = hear(made, *(message(f"park/v1/acmepark/e{i}/g", scan(**names)) for i in range(4)))
    assert [contact.address for contact in heard] == [f"park/v1/acmepark/e{i}/g" for i in (0, 1)]
    assert [len(contact.names) for contact in heard] == [3, 3]
    assert [contact.unlisted for contact in heard] == [2, 2]
    assert (made[2]["contacts.full"], made[2]["contacts.names"]) == (2, 4)
    later = message("park/v1/acmepark/e9/g", scan(**names), NOW_US + 400 * S)
    assert {contact.address for contact in hear(made, later)} == {
        "park/v1/acmepark/e1/g",
        "park/v1/acmepark/e9/g",
    }


@pytest.mark.parametrize(
    "topic", ["twin/v1/acmepark/x", "park/v1/acmepark/acme/g", "spBv1.0/a/b", "hj212/v1/x"]
)
def test_topics_of_ours_are_not_foreign(topic):
    contacts, topics, _ = make()
    assert not topics.is_foreign(topic)
    contacts.hear_foreign(message(topic, {"v": 1}))
    assert contacts._contacts == {}


async def test_contacts_are_stored_and_go_on_after_a_restart_unless_an_operator_dropped_them(
    database, db
):
    made = make()
    hostile = message("park/v1/acmepark/ne\0w/g", scan(**{"a\0b": 1.0, "ü": 2.0}))
    hear(made, hostile, message("park/v1/acmepark/second/g", scan(FT=1.0)))
    async with opened(database) as store:
        await made[0].write(store, NOW_US)
        again = make()
        await again[0].start(store)
        assert hear(again)[0].names["a\\0b"].value == 1.0
        assert {c.address for c in hear(again)} == {c.address for c in hear(made)}
        await db.execute("DELETE FROM contact WHERE address LIKE '%second%'")
        (contact,) = hear(again, hostile)[:1]
        assert contact.count == 2
        await again[0].write(store, NOW_US + 60 * S)
        assert [row["count"] for row in await db.fetch("SELECT count FROM contact")] == [2]
        third = hear(again, message("park/v1/acmepark/third/g", scan(FT=1.0)))[-1]
        assert third.id == 3


def foreign(made, *sent):
    """Let a look at all topics bring payloads, one a second."""
    for at, (topic, body) in enumerate(sent):
        made[0].hear_foreign(message(topic, body, NOW_US + at * S))
    return list(made[0]._contacts.values())


def test_payload_of_another_maker_is_read_by_the_preset_that_fits():
    body = {"timestamp": NOW_US // 1000, "node": "n", "tags": [{"name": "TI-1", "value": 85.2}]}
    (contact,) = foreign(make(), ("neuron/boiler", body))
    assert (contact.address, contact.protocol, contact.reason) == (
        "neuron/boiler", "json", "unknown_topic",
    )  # fmt: skip
    assert contact.presets[0] == "neuron-tags"
    assert contact.names["TI-1"].value == 85.2


def test_topics_that_end_with_the_name_are_one_contact():
    heard = foreign(make(), *((f"plant7/flows/FI-{i}", 1.5 + i) for i in range(5)))
    assert [(c.address, c.presets[0], c.count) for c in heard] == [
        ("plant7/flows/{tag}", "number", 5)
    ]
    assert {name: h.value for name, h in heard[0].names.items()} == {
        f"FI-{i}": 1.5 + i for i in range(5)
    }


def test_device_in_the_middle_of_a_topic_is_part_of_the_names():
    body = {"Time": "2026-11-22T08:00:00", "ENERGY": {"Power": 12}}
    (contact,) = foreign(make(), ("tele/pump1/SENSOR", body), ("tele/pump2/SENSOR", body))
    assert contact.address == "tele/{tag}/SENSOR"
    assert set(contact.names) == {"pump1.ENERGY.Power", "pump2.ENERGY.Power"}


def test_payload_that_nothing_reads_is_listed_all_the_same():
    (contact,) = foreign(make(), ("x/y", b"\xff\x00 nothing"), ("x/y", b"{"))
    assert (contact.protocol, list(contact.presets), contact.count) == ("", [], 2)
    assert contact.payload == b"{"


def test_guesses_are_within_their_budget_however_many_topics_there_are():
    made = make(contacts_max=10_000)
    for number in range(1_000):
        made[0].hear_foreign(message(f"flood/{number}/x/{number}/y", {"values": 1}))
    assert len(made[0]._contacts) <= 60
