"""From a Sparkplug topic to the tags of an enterprise, through the whole of `decode`."""

import numpy as np
import pytest

from ingest.routing.decode import Limits, decode
from ingest.routing.topics import Message, TopicTable
from ingest.wire import WireError, sparkplug
from ingest.wire.sparkplug import DataType, Metric
from tests.support.data import data_text
from tests.support.small_edges import T, dbirth, ddeath
from tests.support.small_region import MCL, PARK
from twin import quality as q
from twin.arrays import DAY_US
from twin.errors import ModelError
from twin.loading import parse_park

ROWS = data_text("region/edges.toml")
FILES = {
    "park.toml": PARK.files["park.toml"] + ROWS,
    "tags.csv": PARK.files["tags.csv"] + f"LT-9,{MCL},level,m,gauge,0,3,0.01,level\n",
}
MODEL = parse_park(FILES)


class Host:
    """A topics, and the messages that have come to it."""

    def __init__(self):
        self.topics = TopicTable(MODEL, MODEL.tags)

    def hear(self, *messages):
        """Return the intake of (topic, payload, second)."""
        return decode(
            self.topics,
            [Message(topic, payload, (T + second * 1000) * 1000, 0, 0, 0)
             for topic, payload, second in messages],
            Limits(100_000, 300_000_000, 400 * DAY_US),
        )  # fmt: skip


def reasons(got):
    return [reject.reason for reject in got.rejects]


def rows(got):
    return [
        (MODEL.tags[tag].address, time // 1000 - T, round(float(value), 6), quality)
        for tag, time, value, quality in zip(
            *(getattr(got.samples, name).tolist() for name in ("tag", "time_us", "value",
                                                               "quality")),
            strict=True,
        )
    ]  # fmt: skip


METRICS = [
    Metric("Cells/Current", 13.5, DataType.DOUBLE, alias=1),
    Metric("Cells/FT-1", 36, DataType.INT32, alias=2),
    Metric("Cells/unknown", 36, DataType.INT32, alias=3),
]
NBIRTH = ("spBv1.0/G/NBIRTH/N", sparkplug.nbirth(T, METRICS, 1), 0)
LEVEL = [Metric("level", 1.5, DataType.FLOAT, alias=4)]
DBIRTH = ("spBv1.0/G/DBIRTH/N/D", dbirth(T, LEVEL, 1), 0)


def test_names_of_the_row_come_first_then_what_follows_the_last_slash():
    got = Host().hear(NBIRTH)
    assert rows(got) == [("alpha/II-1", 0, 13_500.0, 0), ("alpha/FT-1", 0, 10.0, 0)]
    assert [(each.enterprise, each.tag, each.reason) for each in got.quarantined] == [
        ("alpha", "Cells/unknown", "unknown_tag")
    ]
    assert got.rejects == []


def test_device_with_a_row_of_its_own_may_belong_to_another_enterprise():
    assert rows(Host().hear(NBIRTH, DBIRTH))[2:] == [("beta/LT-9", 0, 1.5, 0)]


def test_messages_of_a_node_have_one_order_whoever_owns_its_devices():
    topics = TopicTable(MODEL, MODEL.tags)
    names = {topics.order(topic) for topic, _, _ in (NBIRTH, DBIRTH)}
    assert names == {"alpha/N"}
    assert topics.route(DBIRTH[0]).gateway == "beta/N"


def test_device_without_a_row_is_read_like_its_node():
    payload = dbirth(T, [Metric("Cells/Current", 1, DataType.INT8)], 1)
    got = Host().hear(NBIRTH, ("spBv1.0/G/DBIRTH/N/other", payload, 0))
    assert rows(got)[2:] == [("alpha/II-1", 0, 1000.0, 0)]


def test_node_of_which_only_a_device_has_a_row_writes_nothing_but_is_followed():
    host = Host()
    got = host.hear(
        ("spBv1.0/G/NBIRTH/M", sparkplug.nbirth(T, [Metric("FT-1", 1, DataType.INT8)], 1), 0),
        ("spBv1.0/G/DBIRTH/M/D", dbirth(T, [Metric("FT-2", 36, DataType.INT8)], 1), 0),
        ("spBv1.0/G/DBIRTH/M/E", dbirth(T, [Metric("FT-3", 1, DataType.INT8)], 2), 0),
        ("spBv1.0/G/DDATA/M/D", sparkplug.data(T + 9, [Metric("FT-2", 36, DataType.INT8)], 3), 0),
    )
    assert [each[0] for each in rows(got)] == ["alpha/FT-2", "alpha/FT-2"]
    assert [each.tag for each in got.quarantined] == ["FT-1", "FT-3"]
    assert got.rejects == []
    topics = [topic for topic, _ in host.topics._sessions.requests(T * 1000 + 60_000_000)]
    assert topics == ["spBv1.0/G/NCMD/N"]


def test_death_of_a_node_ends_the_tags_of_every_enterprise():
    got = Host().hear(NBIRTH, DBIRTH, ("spBv1.0/G/NDEATH/N", sparkplug.ndeath(1), 60))
    ends = [each for each in rows(got) if each[1] == 60_000]
    assert [each[0] for each in ends] == ["alpha/II-1", "alpha/FT-1", "beta/LT-9"]
    assert {each[3] for each in ends} == {q.BAD | q.NOT_CONNECTED}
    assert np.isnan(got.samples.value[-3:]).all()
    # What is no tag has nothing to lose: only the birth made the unknown one known.
    assert len(got.quarantined) == 1


def test_death_of_a_device_ends_its_tags_alone():
    got = Host().hear(NBIRTH, DBIRTH, ("spBv1.0/G/DDEATH/N/D", ddeath(T + 9000, 2), 9))
    assert [each[:2] for each in rows(got) if each[1]] == [("beta/LT-9", 9000)]


def test_quality_and_range_meet_in_one_byte():
    metrics = [Metric("II-1", 99.0, DataType.DOUBLE), Metric("FT-1", 1.0, 10, quality=500)]
    got = Host().hear(("spBv1.0/G/NBIRTH/N", sparkplug.nbirth(T, metrics, 1), 0))
    assert [each[3] for each in rows(got)] == [q.UNCERTAIN | q.OUT_OF_RANGE, q.UNCERTAIN | q.STALE]


def test_historical_samples_stand_apart():
    metrics = [Metric("FT-1", 36, 3, historical=True), Metric("FT-2", 36, 3)]
    births = [Metric(name, 0, 3) for name in ("FT-1", "FT-2")]
    got = Host().hear(
        ("spBv1.0/G/NBIRTH/N", sparkplug.nbirth(T, births, 1), 0),
        ("spBv1.0/G/NDATA/N", sparkplug.data(T + 5, metrics, 1), 1),
    )
    assert [each[:2] for each in rows(got)] == [
        ("alpha/FT-1", 0), ("alpha/FT-2", 0), ("alpha/FT-2", 5),
    ]  # fmt: skip
    assert [MODEL.tags[tag].tag for tag in got.historical.tag] == ["FT-1"]
    assert got.historical.time_us.tolist() == [(T + 5) * 1000]


@pytest.mark.parametrize(
    "topic",
    ["spBv1.0/STATE/parktwin", "spBv1.0/STATE/other", "spBv1.0/STATE", "spBv1.0/G/NCMD/N",
     "spBv1.0/G/DCMD/N/D", "spBv1.0/unknown/NCMD/unknown"],
)  # fmt: skip
@pytest.mark.parametrize("payload", [b"", b'{"online":false,"timestamp":1}', sparkplug.rebirth(T)])
def test_states_and_commands_are_nobodys_samples(topic, payload):
    got = Host().hear((topic, payload, 0))
    assert (len(got.samples), got.rejects, got.quarantined) == (0, [], [])


@pytest.mark.parametrize(
    ("topic", "reason"),
    [("spBv1.0/G/NDATA/unknown", "unknown_gateway"), ("spBv1.0/other/NDATA/N", "unknown_gateway"),
     ("spBv1.0/other/DBIRTH/N/D", "unknown_gateway"), ("spBv1.0", "bad_topic"),
     ("spBv1.0/G", "bad_topic"), ("spBv1.0/G/NDATA", "bad_topic"), ("spBv1.0/G/N/N", "bad_topic"),
     ("spBv1.0/G/NDATA/N/D", "bad_topic"), ("spBv1.0/G/DDATA/N", "bad_topic"),
     ("spBv1.0/G/DDATA/N/", "bad_topic"), ("spBv1.0/G/DDATA/N/D/x", "bad_topic"),
     ("spBv2.0/G/NDATA/N", "bad_topic")],
)  # fmt: skip
def test_topic_that_leads_nowhere_is_rejected(topic, reason):
    host = Host()
    assert reasons(host.hear((topic, sparkplug.data(T, [], 1), 0))) == [reason]
    with pytest.raises(WireError):
        host.topics.route(topic)


def test_route_of_a_topic_is_found_once():
    topics = Host().topics
    assert topics.route(NBIRTH[0]) is topics.route(NBIRTH[0])


def test_two_rows_of_one_edge_are_a_problem_with_its_line():
    again = ROWS.partition("\n\n")[0].replace('"node"', '"again"')
    with pytest.raises(ModelError) as caught:
        parse_park(FILES | {"park.toml": FILES["park.toml"] + again})
    (problem,) = caught.value.problems
    assert "[[gateway]] again: G/N is node already" in problem
