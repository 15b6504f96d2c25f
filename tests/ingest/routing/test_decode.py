"""From messages to samples: topics, names, units of measure, first quality, order of arrival."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.counters import REASONS, health_tags
from ingest.routing.decode import Intake, Limits, Reject, decode, join
from ingest.routing.topics import Message, TopicTable
from ingest.wire import WireError, hj212
from tests.support.data import data_park
from tests.support.small_region import PARK
from twin import quality as q
from twin.arrays import DAY_US
from twin.errors import UomError
from twin.loading import parse_park
from twin.series.samples import Samples
from twin.uom import compile_uom

LOGGER_MN, LOGGER_TOPIC = "A110000_0001", "hj212/v1/p/a/cems"
LOGGER = """
[park]
id = "p"
kind = "park"
name = {zh = "示例", en = "Demo"}
timezone = "Asia/Shanghai"
[[scope]]
id = "p/a"
kind = "enterprise"
name = {zh = "示例", en = "Demo"}
[[gateway]]
id = "cems"
scope = "p/a"
protocol = "hj212"
mn = "A110000_0001"
tags = {"2051.a21022-Avg" = "AT-1", "2051.a21024-Avg" = "AT-1"}
"""
TS = 1_760_000_000_000
ALPHA = "park/v1/east/alpha/gw"
BETA = "park/v1/west/beta/gw"
TAGS = (*PARK.tags, *health_tags(PARK.id, PARK.gap_s))
DIRECTORY = TopicTable(PARK, TAGS)
LIMITS = Limits(10_000, 300_000_000, 400 * DAY_US)
INDEX = {tag.address: i for i, tag in enumerate(TAGS)}


def message(body, topic=ALPHA, received_ms=TS):
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Message(topic, payload, received_ms * 1000, 0, 1, 0)


def intake(*messages):
    return decode(DIRECTORY, messages, LIMITS)


def rows(got):
    """Return the samples as (address, ms after TS, SI value, quality)."""
    samples = got.samples
    return [
        (TAGS[tag].address, time // 1000 - TS, value, quality)
        for tag, time, value, quality in zip(
            samples.tag.tolist(), samples.time_us.tolist(), samples.value.tolist(),
            samples.quality.tolist(), strict=True,
        )
    ]  # fmt: skip


def scan(values, ts=TS, **more):
    return {"ts": ts, "values": values, **more}


@pytest.mark.parametrize(
    ("topic", "owner"),
    [
        ("park/v1/east/alpha/gw", "alpha"),
        ("park/v1/east/alpha/any other gateway", "alpha"),
        ("park/v1/west/beta/gw", "beta"),
        ("park/v1/east/east/gw", "east"),
        ("park/v1/r/r/gw", "r"),
    ],
)
def test_topic_leads_to_its_enterprise(topic, owner):
    assert DIRECTORY.route(topic).owner == owner


@pytest.mark.parametrize(
    "topic",
    ["", "park", "park/v1/east/alpha", "park/v1/east/alpha/gw/more", "park/v2/east/alpha/gw",
     "Park/v1/east/alpha/gw", "/park/v1/east/alpha"],
)  # fmt: skip
def test_topic_of_another_form_is_bad(topic):
    with pytest.raises(WireError) as caught:
        DIRECTORY.route(topic)
    assert caught.value.reason == "bad_topic"


@pytest.mark.parametrize(
    "topic", ["park/v1/west/alpha/gw", "park/v1/east/gamma/gw", "park/v1/east/caustic/gw"]
)
def test_enterprise_must_stand_in_its_own_park(topic):
    with pytest.raises(WireError) as caught:
        DIRECTORY.route(topic)
    assert caught.value.reason == "unknown_enterprise"
    assert topic.split("/")[3] in caught.value.detail


def test_values_are_si_and_have_the_times_of_their_messages():
    got = intake(message(scan({"II-1": 13.5, "FT-1": 36.0, "LT-2": 1.5}), received_ms=TS + 7))
    assert rows(got) == [
        ("alpha/II-1", 0, 13_500.0, q.GOOD),
        ("alpha/FT-1", 0, pytest.approx(10.0), q.GOOD),
        ("alpha/LT-2", 0, 1.5, q.GOOD),
    ]
    assert set(got.samples.received_us.tolist()) == {(TS + 7) * 1000}
    assert (got.rejects, got.quarantined) == ([], [])


def test_unit_of_the_message_wins_over_that_of_the_tag():
    columns = {"tag": ["FT-1", "FT-1", "LT-2"], "ts": [TS] * 3, "value": [1, 2, 300],
               "uom": {"FT-1": "kg/s", "LT-2": "cm"}}  # fmt: skip
    got = intake(message(scan({"FT-1": 2.5}, uom={"FT-1": "kg/s"})), message(columns))
    assert [row[2] for row in rows(got)] == pytest.approx([2.5, 1, 2, 3])


def test_wrong_unit_refuses_its_value_alone():
    got = intake(message(scan({"II-1": 1, "FT-1": 2, "FT-2": 3}, uom={"FT-1": "kW"})))
    assert [row[0] for row in rows(got)] == ["alpha/II-1", "alpha/FT-2"]
    (reject,) = got.rejects
    assert reject.reason == "wrong_uom"
    assert "'kW' is not a unit of mass_flow" in reject.detail


def test_thousands_of_wrong_units_cost_their_sender_values_and_nobody_time():
    """To find out that a unit is none takes a fraction of a millisecond."""
    compile_uom.cache_clear()
    same = message([scan({"FT-1": 1.0}, TS + i, uom={"FT-1": "K"}) for i in range(100)])
    wrong = [scan({"FT-2": 1.0}, TS + i, uom={"FT-2": f"x{i}"}) for i in range(150)]
    right = scan({"FT-2": 1.0}, TS + 200, uom={"FT-2": "kg/s"})
    limits = Limits(100_000, LIMITS.future_us, LIMITS.past_us)
    got = decode(DIRECTORY, [same, message([*wrong, right]), message(right)], limits)
    assert compile_uom.cache_info().misses <= 1 + 100 + 1
    assert len(got.rejects) == 100 + 150 + 1
    assert got.rejects[-1].detail == "'kg/s' comes after 100 wrong units of its message"
    # The next message is another sender's, or the same one's who has mended it.
    assert [each[2] for each in rows(got)] == [1.0]


def test_out_of_range_is_uncertain_and_stored():
    got = intake(message(scan({"FT-1": -0.1, "FT-2": 100.1, "FT-3": 0, "FT-4": 100})))
    doubtful = q.UNCERTAIN | q.OUT_OF_RANGE
    assert [row[3] for row in rows(got)] == [doubtful, doubtful, q.GOOD, q.GOOD]


@pytest.mark.parametrize("sent", [0, q.MANUAL, q.SUBSTITUTED, q.STALE, q.SIMULATED | q.MANUAL])
def test_out_of_range_is_the_reason_whatever_was_sent(sent):
    got = intake(message(scan({"FT-1": {"v": 200, "q": sent}})))
    flag = sent & q.SIMULATED
    assert [row[3] for row in rows(got)] == [q.UNCERTAIN | q.OUT_OF_RANGE | flag]


def test_out_of_range_makes_no_bad_value_better():
    got = intake(message(scan({"FT-1": {"v": 200, "q": "bad"}, "FT-2": {"v": 200, "q": 71}})))
    assert [row[3] for row in rows(got)] == [q.BAD, 71]


def test_simulated_flag_is_on_every_value_of_its_message_only():
    got = intake(
        message(scan({"FT-1": 1, "FT-2": {"v": 2, "q": "uncertain"}}, simulated=True)),
        message(scan({"FT-3": 3}, simulated=True)),
        message(scan({"FT-4": 4})),
    )
    assert [row[3] for row in rows(got)] == [32, 96, 32, 0]


def test_unknown_tags_are_quarantined_under_the_enterprise_of_their_topic():
    got = intake(
        message(scan({"FT-1": 1.0, "ZZ-1": 7.0, "FT-2": 2.0})), message(scan({"FT-1": 5.0}), BETA)
    )
    assert [row[0] for row in rows(got)] == ["alpha/FT-1", "alpha/FT-2"]
    assert [item[:4] for item in got.quarantined] == [
        ("alpha", "ZZ-1", "unknown_tag", ALPHA),
        ("beta", "FT-1", "unknown_tag", BETA),
    ]
    assert [(item.time_us, item.value) for item in got.quarantined] == [
        (TS * 1000, 7.0),
        (TS * 1000, 5.0),
    ]


def test_derived_and_health_tags_cannot_be_written():
    got = intake(message(scan({"ingest.lag": 1.0}), "park/v1/r/r/gw"))
    assert [item.reason for item in got.quarantined] == ["unknown_tag"]
    assert len(got.samples) == 0


def test_future_begins_after_five_minutes():
    bodies = [scan({"FT-1": i}, ts=TS + at) for i, at in enumerate((300_000, 300_001))]
    got = intake(*(message(body) for body in bodies))
    assert [row[1] for row in rows(got)] == [300_000]
    assert [(i.enterprise, i.tag, i.reason, i.value) for i in got.quarantined] == [
        ("alpha", "FT-1", "future", 1.0)
    ]


def test_unknown_tag_from_the_future_is_an_unknown_tag():
    got = intake(message(scan({"ZZ-1": 1}, ts=TS + 10**9)))
    assert [item.reason for item in got.quarantined] == ["unknown_tag"]


def test_the_past_begins_after_four_hundred_days():
    begin = TS - 400 * DAY_US // 1000
    body = [scan({"FT-1": 1, "ZZ-1": 2}, ts=begin - 1), scan({"FT-1": 3}, ts=begin)]
    got = intake(message(body))
    assert [row[1] for row in rows(got)] == [begin - TS]
    assert [(i.tag, i.reason, i.time_us) for i in got.quarantined] == [
        ("FT-1", "past", (begin - 1) * 1000),
        ("ZZ-1", "past", (begin - 1) * 1000),
    ]


def test_a_message_that_makes_a_codec_fail_is_refused_alone(monkeypatch, caplog):
    def fail(payload, received_us, **_):
        raise ZeroDivisionError("poison")

    monkeypatch.setattr("ingest.routing.topics.senml.decode", fail)
    messages = [message(scan({"FT-1": 1})), message(b"[]", topic=ALPHA.replace("park", "senml", 1)),
                message(scan({"FT-2": 2}))]  # fmt: skip
    got = decode(TopicTable(PARK, TAGS), messages, LIMITS)
    assert got.origin.tolist() == [0, 2]
    (reject,) = got.rejects
    assert reject[:2] == ("crashed", "ZeroDivisionError: poison")
    assert (reject.message, reject.gateway) == (messages[1], "alpha/gw")
    assert "Traceback" in caplog.text


def test_a_message_that_cannot_be_sifted_is_refused_alone(monkeypatch):
    def fail(uom, quantity):
        raise RecursionError("poison") if uom == "poison" else UomError("unknown")

    monkeypatch.setattr("ingest.routing.decode.compile_uom", fail)
    bodies = [scan({"FT-1": at}, ts=TS + at) for at in range(9)]
    bodies[4]["uom"] = {"FT-1": "poison"}
    bodies[7]["uom"] = {"FT-1": "other"}
    messages = [message(body) for body in bodies]
    got = intake(*messages)
    assert got.origin.tolist() == [0, 1, 2, 3, 5, 6, 8]
    assert [(r.reason, r.message) for r in got.rejects] == [
        ("crashed", messages[4]),
        ("wrong_uom", messages[7]),
    ]
    assert list(got.messages) == messages


def test_null_is_a_bad_sample_without_value():
    ((address, _, value, quality),) = rows(intake(message(scan({"FT-1": None}))))
    assert address == "alpha/FT-1"
    assert np.isnan(value)
    assert quality == q.BAD | q.NOT_A_NUMBER


def test_value_beyond_all_measure_is_refused_alone():
    got = intake(message(scan({"FT-1": 1e200, "FT-2": 2})), message(scan({"FT-3": {"v": -1e151}})))
    assert [row[0] for row in rows(got)] == ["alpha/FT-2"]
    assert [reject.reason for reject in got.rejects] == ["not_finite", "not_finite"]


def test_payload_beyond_the_limit_is_refused_unread():
    got = intake(message(b"[" + b" " * 9_998 + b"]"), message(b" " * 10_001))
    assert [reject.reason for reject in got.rejects] == ["too_large"]


def test_refusals_keep_their_message_and_stop_no_other():
    broken, foreign = message(b"{"), message(scan({"FT-1": 1}), "park/v1/east/gamma/gw")
    half = message(scan({"FT-1": "x", "FT-2": 2}))
    got = intake(broken, message(scan({"FT-3": 3})), foreign, half)
    assert [(r.reason, r.message) for r in got.rejects] == [
        ("bad_json", broken), ("unknown_enterprise", foreign), ("wrong_type", half),
    ]  # fmt: skip
    assert [row[0] for row in rows(got)] == ["alpha/FT-3", "alpha/FT-2"]


@pytest.mark.parametrize(
    "payload", [b'{"ts":1,"values":{"\xff":1}}', b'{"ts":1,"values":{},"x":' + b"[" * 5_000]
)
def test_one_broken_message_does_not_take_the_others_with_it(payload):
    got = intake(message(scan({"FT-1": 1})), message(payload), message(scan({"FT-2": 2})))
    assert [row[0] for row in rows(got)] == ["alpha/FT-1", "alpha/FT-2"]
    assert [reject.reason for reject in got.rejects] == ["bad_json"]


def test_order_of_arrival_is_kept_over_all_forms():
    got = intake(
        message(scan({"FT-3": 1, "FT-1": 2}, ts=TS + 5)),
        message({"tag": ["FT-2", "FT-1"], "ts": [TS + 9, TS + 5], "value": [3, 4]}),
        message([scan({"FT-1": 5}, ts=TS + 5), scan({"FT-1": {"v": 6}}, ts=TS)]),
        message(scan({"FT-1": 7}, ts=TS + 5)),
    )
    values = [round(value * 3.6, 6) for _, _, value, _ in rows(got)]
    assert values == [1, 2, 3, 4, 5, 6, 7]
    assert [row[1] for row in rows(got)] == [5, 5, 9, 5, 5, 0, 5]


def test_no_messages_are_no_samples():
    got = intake()
    assert (len(got.samples), got.rejects, got.quarantined) == (0, [], [])


NAMES = st.sampled_from(["II-1", "FT-1", "LT-2", "ZZ-1"])
VALUES = st.none() | st.floats(-1e3, 1e3) | st.just("x") | st.just(1e200)
BODIES = st.builds(
    lambda values, at, mark: scan(values, ts=TS + at, simulated=mark),
    st.dictionaries(NAMES, VALUES), st.sampled_from([0, -5, 10**9]), st.booleans(),
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(st.tuples(BODIES, st.sampled_from([ALPHA, BETA, "park/v1/x"])), max_size=6))
def test_every_value_is_stored_quarantined_or_rejected(bodies):
    got = intake(*(message(body, topic) for body, topic in bodies))
    lost = sum(reject.reason == "bad_topic" for reject in got.rejects)
    refused = len(got.rejects) - lost
    sent = sum(len(body["values"]) for body, topic in bodies if topic != "park/v1/x")
    assert len(got.samples) + len(got.quarantined) + refused == sent
    assert lost == sum(topic == "park/v1/x" for _, topic in bodies)
    known = {reason for reasons in REASONS.values() for reason in reasons}
    assert {r.reason for r in got.rejects} | {i.reason for i in got.quarantined} <= known


SCANS = st.builds(
    scan,
    st.dictionaries(st.sampled_from(["FT-1", "FT-2", "II-1", "ZZ-1"]), st.floats(0, 100)),
    st.integers(TS, TS + 1000),
)
SENT = st.builds(message, SCANS, st.sampled_from([ALPHA, BETA, "park/v1/east/nobody/gw", "x/y"]))


@settings(deadline=None)
@given(sent=st.lists(SENT, max_size=20), cuts=st.lists(st.integers(0, 20), max_size=4))
def test_portions_joined_are_what_the_whole_block_is(sent, cuts):
    edges = [0, *sorted(cuts), 20]
    joined = join([intake(*sent[a:b]) for a, b in pairwise(edges)])
    whole = intake(*sent)
    for name in Intake.__slots__:
        one, other = getattr(whole, name), getattr(joined, name)
        if isinstance(one, Samples):
            one, other = ([getattr(x, c) for c in Samples.__slots__] for x in (one, other))
        assert repr(list(one)) == repr(list(other)), name


def packet(cp, *, flag=4, end=b"\r\n", **more):
    whole = hj212.Packet("20261122080005123", "31", "2051", "", LOGGER_MN, flag, cp, **more)
    return hj212.encode(whole)[:-2] + end


@pytest.mark.parametrize("together", [True, False])
def test_parts_of_a_logger_that_come_in_several_messages_have_one_time(together):
    model = parse_park(data_park("codecs") | {"park.toml": LOGGER})
    topics = TopicTable(model, model.tags)
    now_ms = 1_795_306_205_123
    parts = [("DataTime=20261122080000;a21022-Avg=1.8,a21022-Flag=N", 1), ("a21024-Avg=2", 2)]
    messages = [message(packet(cp, flag=6, pnum=2, pno=number, end=b""), LOGGER_TOPIC, now_ms)
                for cp, number in parts]  # fmt: skip
    blocks = [messages] if together else [[each] for each in messages]
    got = join([decode(topics, block, LIMITS) for block in blocks])
    assert (got.rejects, got.refused) == ([], {})
    assert got.samples.value.tolist() == [pytest.approx(1.8e-6), pytest.approx(2e-6)]
    assert set(got.samples.time_us.tolist()) == {1_795_305_600_000_000}


def test_messages_of_which_nothing_is_kept_are_told_with_the_reason():
    model = parse_park(data_park("codecs") | {"park.toml": LOGGER})
    topics = TopicTable(model, model.tags)
    cps = ("DataTime=20261122080000;a21022-Avg=1", "DataTime=x;a21022-Avg=1", "",
           "DataTime=20261122080000;a21022-Avg=1;b-SampleTime=x,b-Avg=2",
           "DataTime=20261122080000;a99-Avg=2")  # fmt: skip
    messages = [message(packet(cp), LOGGER_TOPIC, 1_795_306_205_123)._replace(mid=mid)
                for mid, cp in enumerate(cps)]  # fmt: skip
    got = decode(topics, messages, LIMITS)
    assert got.refused == {(0, 1): "bad_time"}
    late = Reject("refused_by_store", "", messages[0])
    assert replace(got, rejects=[late]).refused == {(0, 0): "refused_by_store"}
    assert [reject.reason for reject in got.rejects] == ["bad_time", "bad_time"]
    assert [item.tag for item in got.quarantined] == ["2051.a99-Avg"]
