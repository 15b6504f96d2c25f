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
from twin.model.gateways import GatewaySpec, filters
from twin.model.layouts import parse_layout

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


def values_of(got):
    return dict(zip(got.names, got.values, strict=True))


def test_time_stands_outside_of_the_records():
    layout = {"records": "d.tags", "time": "/d.timestamp", "tag": "name", "value": "value"}
    tags = [{"name": "FI-1", "value": 2.5}, {"name": "FI-2", "value": 3}]
    got = read({"d": {"timestamp": NOW_US // 1000, "tags": tags}}, **layout)
    assert (values_of(got), got.runs) == ({"FI-1": 2.5, "FI-2": 3}, [(1, NOW_US)] * 2)
    layout["time"] = "../timestamp"
    got = read({"d": {"timestamp": NOW_US // 1000, "tags": tags}}, **layout)
    assert got.runs == [(1, NOW_US)] * 2


def test_record_in_error_costs_only_itself():
    records = [
        {"n": "A", "v": 1}, {"n": "B", "err": 2014}, {"n": "C", "v": 3, "err": 0}, 7, None,
        {"n": ["D"], "v": 1}, {"n": "E", "v": "x"}, {"n": "F", "v": 6, "err": "old"},
    ]  # fmt: skip
    got = read(records, tag="n", value="v")
    assert values_of(got) == {"A": 1, "C": 3, "F": 6}
    reasons = [reason for reason, _ in got.refused]
    assert sorted(reasons) == ["bad_name", "bad_shape", "bad_shape", "bad_shape", "wrong_type"]
    got = read(records, tag="n", value="v", error="err")
    assert got.quality == {1: 128 | 6, 3: 128 | 6}
    assert [str(value) for value in got.values] == ["1.0", "nan", "3.0", "6.0"]


def test_record_without_its_time_costs_only_itself():
    records = [{"n": "A", "v": 1, "t": NOW_US // 1000}, {"n": "B", "v": 2}, {"n": "C", "t": True}]
    got = read(records, tag="n", value="v", time="t")
    assert (values_of(got), len(got.refused)) == ({"A": 1}, 2)


@pytest.mark.parametrize(
    ("sent", "form", "zone"),
    [
        ("2026-11-22 15:34:24", "iso", "Asia/Shanghai"),
        ("2026-11-22T15:34:24.000", "iso", "Asia/Shanghai"),
        ("2026-11-22T07:34:24Z", "iso", None),
        ("2026-11-22T15:34:24+08:00", "iso", "Europe/Berlin"),
        ("22.11.2026 15:34:24", "%d.%m.%Y %H:%M:%S", "Asia/Shanghai"),
        ("2026/11/22 07:34:24 +0000", "%Y/%m/%d %H:%M:%S %z", None),
        ({"timeInSeconds": 1_795_332_864, "offsetInNanos": 0}, "s+ns", None),
        ({"seconds": 1_795_332_864}, "s+ns", None),
        (1_795_332_864_000_000_000, "ns", None),
    ],
)
def test_time_is_read_as_it_is_declared(sent, form, zone):
    layout = {"value": "v", "time": "t", "time_format": form} | ({"timezone": zone} if zone else {})
    assert read({"v": 1, "t": sent}, **layout).runs == [(1, NOW_US)]


def test_hour_that_the_clock_shows_twice_is_the_one_near_the_arrival():
    layout = parse_layout({"value": "v", "time": "t", "time_format": "iso",
                           "timezone": "Europe/Berlin"})  # fmt: skip
    payload = json.dumps({"v": 1, "t": "2026-10-25T02:30:00"}).encode()
    for utc in (1_792_888_200, 1_792_891_800):
        got = json_layout.decode(layout, payload, (utc + 1) * 1_000_000, tag="A")
        assert got.runs == [(1, utc * 1_000_000)]


@pytest.mark.parametrize(
    ("sent", "form", "mend"),
    [(1_795_332_864, "ms", 'time_format = "s"'), (1_795_332_864_000, "s", 'time_format = "ms"'),
     (1_795_332_864_000, "ns", 'time_format = "ms"'), ("1795332864000", "ms", "not a number of ms"),
     ("2026-11-22T15:34:24", "iso", "say the timezone"), (0, "s", "from 1971 to 2200")],
)  # fmt: skip
def test_time_in_another_form_is_refused_with_the_mend(sent, form, mend):
    with pytest.raises(WireError, match=mend) as caught:
        read({"v": 1, "t": sent}, value="v", time="t", time_format=form)
    assert caught.value.reason == "bad_time"


def test_texts_are_numbers_where_the_layout_says_so():
    assert read({"v": "391.100"}, value="v", texts="number").values == [391.1]
    assert read({"v": " -1e3 "}, value="v", texts="number").values == [-1000]
    for text in ("", "1,5", "0x10", "nan", "1_000"):
        assert read({"v": text}, value="v", texts="number").refused[0][0] == "wrong_type"
    assert read({"v": "ON"}, value="v", words={"ON": 1, "OFF": 0}).values == [1]
    assert read({"values": {"A": "x", "B": 1}}, values="values", texts="ignore").names == ["B"]
    time = str(NOW_US // 1000)
    assert read({"v": 1, "t": time}, value="v", time="t", texts="number").runs == [(1, NOW_US)]


@pytest.mark.parametrize(
    ("payload", "options", "value"),
    [(b"2.5", {}, 2.5), (b" 2.5\n", {}, 2.5), (b"true", {}, 1.0),
     (b"on", {"words": {"on": 1}}, 1.0),
     (b'"2.5"', {"texts": "number"}, 2.5), (b"+2.5", {"texts": "number"}, 2.5)],
)  # fmt: skip
def test_bare_value_is_that_of_the_tag_in_the_topic(payload, options, value):
    got = read(payload, value=".", **options)
    assert (values_of(got), got.runs) == ({"FT-1": value}, [(1, NOW_US)])


def test_flat_object_has_a_tag_in_every_key_but_its_time():
    got = read({"ts": NOW_US // 1000, "FI-1": 2.5, "FI-2": 3, "host": 7, "q": "good"},
               time="ts", values=".", ignore=["host"], quality="q")  # fmt: skip
    assert (values_of(got), got.runs) == ({"FI-1": 2.5, "FI-2": 3}, [(2, NOW_US)])


def test_objects_inside_give_names_with_dots():
    document = {"a": {"b": 1, "c": {"d": 2}}, "ENERGY": {"Power": 3}}
    assert values_of(read(document, values=".")) == {"a.b": 1, "a.c.d": 2, "ENERGY.Power": 3}
    assert values_of(read(document, values=".", ignore="a")) == {"ENERGY.Power": 3}
    assert set(values_of(read(document, values="a", prefix="{tag}"))) == {"FT-1.b", "FT-1.c.d"}
    deep = json.loads('{"k":' * 30 + "1" + "}" * 30)
    assert [reason for reason, _ in read(deep, values=".").refused] == ["bad_shape"]
    long = {"k" * 900: {"k" * 900: {str(at): at for at in range(5_000)}}}
    assert [reason for reason, _ in read(long, values=".").refused] == ["bad_shape"]


def test_members_of_an_object_are_records_named_by_their_keys():
    document = {"FI-1": {"value": 2.5, "quality": 192}, "FI-2": {"value": 3, "quality": 24}}
    got = read(document, records="*", tag="*", value="value", quality="quality", qualities="opc")
    assert (values_of(got), got.quality) == ({"FI-1": 2.5, "FI-2": 3}, {1: 132})


@pytest.mark.parametrize(
    ("qualities", "sent", "code"),
    [("bool", True, 0), ("bool", False, 128), ("opc", 192, 0), ("opc", 216, 10), ("opc", 24, 132),
     ("opc", 0, 128), ("validity", 1, 0), ("validity", 0, 128), ("validity", 100, 0),
     ("opcua", "BadSensorFailure", 134), ("opcua", 0x80000000, 128), ("words", "GOOD", 0),
     ("ours", 65, 65)],
)  # fmt: skip
def test_quality_is_read_by_its_vocabulary(qualities, sent, code):
    got = read({"v": 1, "q": sent}, value="v", quality="q", qualities=qualities)
    assert (got.values, got.quality.get(0, 0), got.refused) == ([1.0], code, [])


@pytest.mark.parametrize(
    ("error", "quality"),
    [("no error", 0), ("", 0), (None, 0), (0, 0), (False, 0), ("OK", 0), (2014, 134), ("E91", 134),
     (True, 134), ({"code": 7}, 134)],
)  # fmt: skip
def test_error_that_says_that_there_is_none_is_none(error, quality):
    document = {"value": "391.100", "error": error, "timestamp": "2026-11-22T15:34:24+0800"}
    layout = {"value": "value", "texts": "number", "time": "timestamp", "time_format": "iso"}
    got = read(document, error="error", **layout)
    assert (got.values, got.quality.get(0, 0), got.runs) == ([391.1], quality, [(1, NOW_US)])


@pytest.mark.parametrize(
    ("document", "time_us"),
    [({"ts": NOW_US // 1_000_000, "v": 1}, NOW_US), ({"t": NOW_US // 1000, "v": 1}, NOW_US),
     ({"t": NOW_US, "v": 1}, NOW_US), ({"t": NOW_US * 1000, "v": 1}, NOW_US),
     ({"t": "2026-11-22T07:34:24Z", "v": 1}, NOW_US), ({"v": 1}, NOW_US)],
)  # fmt: skip
def test_time_may_have_several_names_and_forms_or_be_absent(document, time_us):
    got = read(document, time="ts|t|", time_format="any", value="v")
    assert got.runs == [(1, time_us)]
    for wrong in ("noon", True, 7, None, "2026-11-22T07:34:24"):
        with pytest.raises(WireError) as caught:
            read({"t": wrong, "v": 1}, time="ts|t|", time_format="any", value="v")
        assert caught.value.reason == "bad_time"


def test_unit_that_is_sent_is_that_of_the_value():
    records = [{"n": "A", "v": 1, "u": "kg/s"}, {"n": "B", "v": 2, "u": None}, {"n": "C", "v": 3}]
    assert read(records, tag="n", value="v", uom="u").uom == {0: "kg/s"}


def test_records_are_in_every_list_on_the_way():
    document = [{"entries": [{"alias": "A", "values": [{"v": 1}, {"v": 2}]}, {"alias": "B"}]},
                {"entries": [{"alias": "C", "values": {"v": 3}}]}]  # fmt: skip
    got = read(document, records="entries.values", tag="../alias", value="v")
    assert (got.names, got.values) == (["A", "A", "C"], [1, 2, 3])
    assert [reason for reason, _ in got.refused] == ["bad_shape"]


@pytest.mark.parametrize("sent", [0, 1, 64, 192, "192", True])
def test_number_without_a_vocabulary_is_no_quality(sent):
    got = read({"v": 1, "q": sent}, value="v", quality="q")
    assert (got.values, [reason for reason, _ in got.refused]) == ([], ["bad_quality"])
    assert "without its vocabulary" in got.refused[0][1]


TAIL = """
[[gateway]]
id = "umh"
scope = "r/east/alpha"
protocol = "json"
topic = "umh/v1/+/_historian/{tag+}"
payload = "umh"
tags = { "flows/one" = "II-1" }
"""


def test_tag_may_be_all_that_a_topic_ends_with():
    model = park(GATEWAYS + TAIL)
    assert "umh/v1/+/_historian/#" in filters(model.rows(GatewaySpec))
    topics = TopicTable(model, model.tags)
    for topic, name in (("flows/one", "flows/one"), (TAG.tag, TAG.tag)):
        route = topics.route(f"umh/v1/plant7/_historian/{topic}")
        got = route.codec(json.dumps({"timestamp_ms": NOW_US // 1000, "value": 7}).encode(), NOW_US)
        assert got.names == [name]
        assert model.tags[route.names[name]].address == TAG.address
    with pytest.raises(WireError, match="topics are"):
        topics.route("umh/v1/plant7/_historian")


def row_of(name, topic):
    return f"""
[[gateway]]
id = "{name}"
scope = "r/east/alpha"
protocol = "json"
topic = "{topic}"
payload = {{ tag = "n", value = "v" }}
"""


@pytest.mark.parametrize(
    ("first", "second", "fits"),
    [("a/b", "a/b", False), ("a/+", "a/b", False), ("a/b", "a/+", True), ("a/b", "a/c", True),
     ("a/{tag}", "a/+", False), ("+/b", "a/+", False), ("a/b/c", "a/{tag+}", True),
     ("a/{tag+}", "a/b/c", False), ("a/{tag+}", "+/b", False), ("a/b", "a/b/{tag+}", True)],
)  # fmt: skip
def test_gateway_that_another_one_leaves_nothing_is_named(first, second, fits):
    text = row_of("one", first) + row_of("two", second)
    if fits:
        read = filters(park(text).rows(GatewaySpec))
        # A broker sends a message for each filter that fits.
        assert not {"a/b", "a/+"} <= set(read)
        assert not {"a/b/c", "a/#"} <= set(read)
        return
    with pytest.raises(ModelError) as caught:
        park(text)
    (problem,) = caught.value.problems
    assert f"has messages of {first!r}, which one reads" in problem


def retained(topic, document, **message):
    model = park(GATEWAYS + row_of("undated", "now/out"))
    payload = json.dumps(document).encode()
    return decode(
        TopicTable(model, model.tags),
        [Message(topic, payload, NOW_US, 0, 1, 0, **message)],
        Limits(10_000, 300_000_000, 400 * DAY_US),
    )


def test_retained_message_without_a_time_is_not_stored_as_of_now():
    document = {"n": TAG.tag, "v": 7}
    assert len(retained("now/out", document).samples) == 1
    got = retained("now/out", document, retained=True)
    assert (len(got.samples), [each.reason for each in got.rejects]) == (0, ["no_time"])
    dated = {"timestamp_ms": NOW_US // 1000 - 5, "value": 7}
    assert len(retained("site/boiler/t1", dated, retained=True).samples) == 1


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
     ('protocol = "json"\ntopic = "a/b"\npayload = "neuron"', "no preset 'neuron'"),
     ('protocol = "json"\ntopic = "a/b{tag}"\npayload = "number"', "once"),
     ('protocol = "json"\ntopic = "{tag+}/b"\npayload = "number"', "at the end"),
     ('protocol = "json"\ntopic = "a/b"\npayload = "tasmota"', "prefix needs {tag}"),
     ('protocol = "json"\ntopic = "a/b"\npayload = {value = "a..b", tag = "t"}', "not a path"),
     ('protocol = "json"\ntopic = "a/b"\npayload = {value = "v", tag = "*"}', "`records` has"),
     ('protocol = "json"\ntopic = "a/b"\npayload = {value = "v", tag = "t", time_format = "h"}',
      "is none of s, ms"),
     ('protocol = "json"\ntopic = "a/b"\npayload = {value = "v", tag = "t", time_format = "%H"}',
      "does not say year"),
     ('protocol = "json"\ntopic = "a/b"\npayload = {value = "v", tag = "t", time_format = "%F"}',
      "time_format: "),
     ('protocol = "json"\ntopic = "a/b"\npayload = {value = "v", tag = "t", time_format = "%x"}',
      "say the timezone"),
     ('protocol = "json"\ntopic = "a/b"\npayload = {value = "v", tag = "t", qualities = "da"}',
      "use one of words"),
     ('protocol = "json"', "needs topic and payload"),
     ('protocol = "hj212"\nmn = "1;2"', "no blank and none of"),
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


def test_two_gateways_with_one_mn_are_a_problem():
    row = '\n[[gateway]]\nid = "{}"\nscope = "r/east/alpha"\nprotocol = "hj212"\nmn = "{}"\n'
    stations = ["010000a8900016f000169dc0", "ABHJ00000000000080011128", "A110000_0001", "ZX00001",
                "XXTHGY91320000000000000A", "81700000000013", "2019031801100018"]  # fmt: skip
    assert park("".join(row.format(f"x{n}", mn) for n, mn in enumerate(stations)))
    with pytest.raises(ModelError) as caught:
        park("".join(row.format(name, "81700000000013") for name in ("a", "b")))
    assert "mn 81700000000013 is that of a already" in caught.value.problems[0]
