"""JSON of other makers, and gateways that call the tags by names of their own."""

import json

import pytest

from ingest.routing.decode import Limits, decode
from ingest.routing.topics import Message, TopicTable
from ingest.wire import WireError, json_layout
from tests.support.data import data_text
from tests.support.small_region import PARK
from twin.arrays import DAY_US
from twin.errors import ModelError
from twin.loading import parse_park
from twin.model.gateways import parse_layout

NOW_US = 1_795_332_864_000_000
FILES = PARK.files
GATEWAYS = data_text("region/gateways.toml")
TAG = next(t for t in PARK.tags if t.owner == "alpha" and t.kind == "gauge")


def park(text=GATEWAYS):
    return parse_park(FILES | {"park.toml": FILES["park.toml"] + text})


def read(document, **mapping):
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    return json_layout.decode(parse_layout(mapping), payload, NOW_US, tag="FT-1")


def intake(topic, document):
    model = park()
    payload = json.dumps(document).encode()
    return model, decode(
        TopicTable(model, model.tags),
        [Message(topic, payload, NOW_US, 0, 1, 0)],
        Limits(10_000, 300_000_000, 400 * DAY_US),
    )


@pytest.mark.parametrize(
    ("document", "mapping", "names", "time_us"),
    [
        ({"ts": 1_795_332_864, "values": {"A": 1, "B": 2}},
         {"time": "ts", "time_format": "s", "values": "values"}, ["A", "B"], NOW_US),
        ({"timestamp_ms": 1_795_332_864_000, "value": 1},
         {"time": "timestamp_ms", "value": "value"}, ["FT-1"], NOW_US),
        ({"d": {"t": "2026-11-22T15:34:24+08:00", "p": {"n": "X", "v": 1}}},
         {"time": "d.t", "time_format": "iso", "tag": "d.p.n", "value": "d.p.v"}, ["X"], NOW_US),
        ({"value": 1}, {"value": "value"}, ["FT-1"], NOW_US),
        ({"data": [{"n": "A", "v": 1, "t": NOW_US}, {"n": "B", "v": 2, "t": NOW_US}]},
         {"records": "data", "time": "t", "time_format": "us", "tag": "n", "value": "v"},
         ["A", "B"], NOW_US),
        ([{"value": 1}, {"value": 2}], {"value": "value"}, ["FT-1", "FT-1"], NOW_US),
    ],
)  # fmt: skip
def test_mapping_says_where_everything_is(document, mapping, names, time_us):
    got = read(document, **mapping)
    assert got.names == names
    assert got.values == [1.0, 2.0][: len(names)]
    assert {time for _, time in got.runs} == {time_us}


def test_quality_and_null_and_wrong_types_are_told_apart():
    got = read({"value": 1, "q": "Bad"}, value="value", quality="q")
    assert got.quality == {0: 128}
    assert read({"value": None}, value="value").quality == {0: 133}
    assert read({"value": "7"}, value="value").refused[0][0] == "wrong_type"
    assert read({"value": 1, "q": 300}, value="value", quality="q").refused[0][0] == "bad_quality"


@pytest.mark.parametrize(
    ("document", "reason"),
    [(b"{", "bad_json"), ({"x": 1}, "bad_shape"), (7, "bad_shape"),
     ({"value": 1, "t": "noon"}, "bad_time"), ({"value": 1, "t": True}, "bad_time"),
     ({"value": 1, "t": -1}, "bad_time"), ({"value": 1, "t": 1e300}, "bad_time")],
)  # fmt: skip
def test_document_that_does_not_fit_its_mapping_is_rejected(document, reason):
    with pytest.raises(WireError) as caught:
        read(document, value="value", time="t")
    assert caught.value.reason == reason


def test_iso_time_without_offset_is_no_time():
    with pytest.raises(WireError, match="is not a time"):
        read({"value": 1, "t": "2026-11-22T15:34:24"}, value="value", time="t", time_format="iso")


@pytest.mark.parametrize(
    ("topic", "document"),
    [("site/boiler/t1", {"timestamp_ms": NOW_US // 1000, "value": 7}),
     ("site/boiler/" + TAG.tag, {"timestamp_ms": NOW_US // 1000, "value": 7}),
     ("scada/out", {"ts": NOW_US // 1_000_000, "values": {TAG.tag: 7}}),
     ("park/v1/east/alpha/edge", {"ts": NOW_US // 1000, "values": {"flow one": 7}})],
)  # fmt: skip
def test_foreign_names_and_topics_lead_to_the_tag(topic, document):
    model, got = intake(topic, document)
    assert [model.tags[i].address for i in got.samples.tag] == [TAG.address]
    assert got.samples.time_us.tolist() == [NOW_US]
    assert got.samples.value[0] == 7 * TAG.scale + TAG.shift
    assert (got.rejects, got.quarantined) == ([], [])


def test_other_gateways_do_not_know_the_names_of_this_one():
    _, got = intake("park/v1/east/alpha/other", {"ts": NOW_US // 1000, "values": {"flow one": 7}})
    assert [item.tag for item in got.quarantined] == ["flow one"]


@pytest.mark.parametrize(
    ("row", "problem"),
    [('protocol = "json"\ntopic = "a/#"\npayload = {value = "v", tag = "t"}', "no #"),
     ('protocol = "json"\ntopic = "a/b"\npayload = {value = "v"}', "needs the tag"),
     ('protocol = "json"\ntopic = "a/b"\npayload = {valu = "v"}', "did you mean 'value'?"),
     ('protocol = "json"\ntopic = "a/b"\npayload = {time = "t"}', "either value or values"),
     ('protocol = "json"', "needs topic and payload"),
     ('protocol = "hj212"\nmn = "12"', "24 characters"),
     ('protocol = "sparkplug"\ngroup = "g"', "needs node"),
     ('protocol = "sparkplug"\ngroup = "g"\nnode = "a/b"', "has one of + / #"),
     ('protocol = "native"\ntags = {a = "NO-1"}', "has no such tag"),
     ('protocol = "mqtt"', "not a value here")],
)  # fmt: skip
def test_gateway_that_cannot_work_is_a_problem_with_its_line(row, problem):
    text = f'\n[[gateway]]\nid = "x"\nscope = "r/east/alpha"\n{row}\n'
    with pytest.raises(ModelError) as caught:
        park(text)
    assert len(caught.value.problems) == 1
    assert problem in caught.value.problems[0]
    assert caught.value.problems[0].startswith("park.toml:")
