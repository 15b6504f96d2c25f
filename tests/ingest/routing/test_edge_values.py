"""What Sparkplug edge nodes say, and what their deaths end."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.wire import TIME_MS_MAX, WireError, sparkplug
from ingest.wire.sparkplug import DataType, Metric
from tests.support.small_edges import BORN, Host, T, at_us, dbirth, ddeath, refusal, rows
from twin import quality as q


def value_of(metric, **settings):
    """Return rows and refusals of one metric that a birth has just declared."""
    host = Host(**settings)
    host.born()
    host.hear("DBIRTH", dbirth(T, [Metric("x", None, metric.datatype, alias=9)], 1),
              device="D")  # fmt: skip
    got = host.hear("DDATA", sparkplug.data(T + 1, [metric], 2), 1, device="D")
    return rows(got), [reason for reason, _ in got.refused], host


# --- deaths -----------------------------------------------------------------


def with_device(**settings):
    host = Host(**settings)
    host.born()
    device = [Metric("x", 1, DataType.INT32, alias=1), Metric("s", b"", DataType.STRING)]
    host.hear("DBIRTH", dbirth(T, device, 1), device="D")
    return host


def test_death_of_a_node_ends_its_values_and_those_of_its_devices():
    host = with_device()
    got = host.hear("NDEATH", sparkplug.ndeath(7), 60)
    assert [(name, ms, code) for name, ms, _, code in rows(got)] == [
        ("/Area/FT-1", 60_000, q.BAD | q.NOT_CONNECTED),
        ("/LT-1", 60_000, q.BAD | q.NOT_CONNECTED),
        ("D/x", 60_000, q.BAD | q.NOT_CONNECTED),
    ]
    assert all(math.isnan(value) for value in got.values)
    assert host.asked(1000) == []
    assert refusal(host, "NDATA", sparkplug.data(T, BORN, 2), 1001) == "no_birth"
    assert refusal(host, "NDEATH", sparkplug.ndeath(7), 1001) == "stale_death"
    assert host.asked(1002) == ["spBv1.0/G/NCMD/N"]


@pytest.mark.parametrize("payload", [sparkplug.ndeath(6), sparkplug.ndeath(8),
                                     ddeath(T, 1)])  # fmt: skip
def test_death_of_another_session_is_ignored(payload):
    host = Host()
    host.born()
    assert refusal(host, "NDEATH", payload, 1) == "stale_death"
    assert host.said(1, 2, alias=1).names == ["Area/FT-1"]


def death_by_alias(bd_seq, alias, datatype=DataType.INT64):
    """Return a death that does not name its number."""
    return sparkplug.data(T, [Metric(sparkplug.BD_SEQ, bd_seq, datatype, alias)], None)


def born_with(host, *metrics, name=sparkplug.BD_SEQ, bd_seq=7, alias=0):
    own = [Metric(name, bd_seq, DataType.UINT64, alias)] if name else []
    host.hear("NBIRTH", dbirth(T, [*own, *BORN, *metrics], 0))
    return host


def test_death_whose_number_comes_by_alias_only_ends_the_values():
    host = born_with(Host())
    assert refusal(host, "NDEATH", death_by_alias(6, 0), 1) == "stale_death"
    assert len(rows(host.hear("NDEATH", death_by_alias(7, 0), 2))) == 2


def test_death_whose_number_has_an_alias_that_the_birth_did_not_tell_ends_the_values():
    host = born_with(Host(), alias=None)
    assert refusal(host, "NDEATH", death_by_alias(6, 99), 1) == "stale_death"
    assert len(rows(host.hear("NDEATH", death_by_alias(7, 99), 2))) == 2


def test_death_of_a_node_whose_birth_has_no_number_ends_the_values():
    for payload in (sparkplug.ndeath(3), ddeath(T, None)):
        host = born_with(Host(), name="")
        assert len(rows(host.hear("NDEATH", payload, 1))) == 2


@pytest.mark.parametrize("name", ["bdSeq", "Node Control/Rebirth", "Node Control/Scan Rate",
                                  "Node Info/Uptime", "Properties/Version"])  # fmt: skip
def test_metric_of_the_protocol_that_comes_by_alias_only_is_no_value(name):
    host = born_with(Host(), name=name, alias=8)
    got = host.said(1, 1, value=1, alias=8)
    assert (rows(got), got.refused, host.asked(100)) == ([], [], [])


def test_old_will_behind_the_new_birth_is_ignored():
    host = Host()
    host.born(bd_seq=255)
    host.born(5, bd_seq=0)
    assert refusal(host, "NDEATH", sparkplug.ndeath(255), 6) == "stale_death"
    assert len(rows(host.hear("NDEATH", sparkplug.ndeath(0), 7))) == 2


def test_death_of_a_device_is_its_own_at_the_time_the_node_says():
    host = with_device()
    got = host.hear("DDEATH", ddeath(T + 5000, 2), 6, device="D")
    assert [each[:2] for each in rows(got)] == [("D/x", 5000)]
    payload = sparkplug.data(T, [Metric("", 1, 3, alias=1)], 3)
    assert refusal(host, "DDATA", payload, 7, device="D") == "no_birth"
    assert refusal(host, "DDEATH", ddeath(T, 4), 7, device="D") == "stale_death"
    assert host.said(5, 8, alias=1).names == ["Area/FT-1"]
    assert host.asked(8) == ["spBv1.0/G/NCMD/N"]


def test_device_that_was_not_born_again_ends_with_its_node():
    host = with_device()
    host.born(5)
    assert refusal(host, "DDATA", sparkplug.data(T, [], 1), 6, device="D") == "no_birth"
    assert "D/x" in host.hear("NDEATH", sparkplug.ndeath(7), 9).names


def test_death_is_later_than_anything_said_though_clocks_differ():
    host = Host()
    host.born()
    host.said(1, 100, alias=1)
    got = host.hear("NDEATH", sparkplug.ndeath(7), 60)
    assert {time_us for _, time_us in got.runs} == {at_us(100) + 1}


def test_time_that_is_a_mistake_does_not_move_the_death():
    host = Host()
    host.born()
    payload = sparkplug.data(T, [Metric("LT-1", 1, 3, time_ms=T + 10**9)], 1)
    assert rows(host.hear("NDATA", payload, 1))[0][1] == 10**9
    assert {at for _, at in host.hear("NDEATH", sparkplug.ndeath(7), 2).runs} == {at_us(2)}


def test_birth_brings_a_value_back_whenever_it_was_captured():
    host = Host()
    host.born(0)
    host.hear("NDEATH", sparkplug.ndeath(7), 60)
    old = Metric("LT-1", 5, DataType.INT32, time_ms=T - 9000)
    again = host.hear("NBIRTH", sparkplug.nbirth(T + 70_000, [old], 8), 70)
    assert rows(again) == [("LT-1", -9000, 5.0, q.GOOD), ("LT-1", 70_000, 5.0, q.GOOD)]
    # Who lives on need not be confirmed.
    host.hear("NDATA", sparkplug.data(T + 71_000, [Metric("LT-1", 6, 3)], 1), 71)
    young = Metric("LT-1", 6, DataType.INT32, time_ms=T + 71_000)
    assert len(rows(host.hear("NBIRTH", sparkplug.nbirth(T + 72_000, [young], 8), 72))) == 1
    host.hear("NDEATH", sparkplug.ndeath(8), 80)
    # The clock of the node is behind ours.
    behind = host.hear("NBIRTH", sparkplug.nbirth(T + 75_000, [old], 9), 81)
    assert behind.runs == [(1, at_us(-9)), (1, at_us(80) + 1)]


def test_first_birth_that_we_see_may_follow_a_death_before_our_start():
    host = Host()
    old = Metric("LT-1", 5, DataType.INT32, time_ms=T - 9000)
    first = host.hear("NBIRTH", sparkplug.nbirth(T, [old], 8), 1)
    assert [each[1] for each in rows(first)] == [-9000, 0]
    again = host.hear("NBIRTH", sparkplug.nbirth(T + 2000, [old], 8), 2)
    assert [each[1] for each in rows(again)] == [-9000]


# --- values -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "value", "code"),
    [
        (Metric("x", 4, DataType.INT16), 4.0, q.GOOD),
        (Metric("x", -4, DataType.INT64), -4.0, q.GOOD),
        (Metric("x", value=True, datatype=DataType.BOOLEAN), 1.0, q.GOOD),
        (Metric("x", 4, DataType.INT16, quality=192), 4.0, q.GOOD),
        (Metric("x", 4, DataType.INT16, quality=0), 4.0, q.BAD),
        (Metric("x", 4, DataType.INT16, quality=500), 4.0, q.UNCERTAIN | q.STALE),
        (Metric("x", None, DataType.INT16), None, q.BAD | q.NOT_A_NUMBER),
        (Metric("x", 4, DataType.INT16, null=True), None, q.BAD | q.NOT_A_NUMBER),
        (Metric("x", math.nan, DataType.FLOAT), None, q.BAD | q.NOT_A_NUMBER),
    ],
)
def test_value_and_quality_of_a_metric(metric, value, code):
    ((_, _, got, got_code),), refused, _ = value_of(metric)
    assert (None if math.isnan(got) else got, got_code, refused) == (value, code, [])


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (Metric("x", b"7", DataType.STRING), "wrong_type"),
        (Metric("x", T, DataType.DATETIME), "wrong_type"),
        (Metric("x", b"", DataType.DATASET), "wrong_type"),
        (Metric("x", b"", DataType.TEMPLATE), "wrong_type"),
        (Metric("x", b"", DataType.BYTES), "wrong_type"),
        (Metric("x", b"", DataType.FLOAT_ARRAY), "wrong_type"),
        (Metric("x", None, DataType.STRING), "wrong_type"),
        (Metric("x", 4, DataType.INT16, quality=191), "bad_quality"),
        (Metric("x" * 500, 4, DataType.INT16), "bad_name"),
        (Metric("x", 4, DataType.INT16, time_ms=TIME_MS_MAX + 1), "bad_time"),
    ],
)
def test_what_is_no_value_is_refused_alone(metric, reason):
    got, refused, host = value_of(metric)
    assert (got, refused) == ([], [reason])
    payload = sparkplug.data(T, [Metric("LT-1", 1, 3)], 3)
    assert len(rows(host.hear("NDATA", payload))) == 1
    assert host.asked(100) == []


def test_transient_metric_is_counted_and_not_a_value():
    got, refused, host = value_of(Metric("x", 4, DataType.INT16, transient=True))
    assert (got, refused, host.sessions.counters["transient"]) == ([], [], 1)


def test_historical_value_is_marked_by_its_position():
    host = Host()
    host.born()
    metrics = [Metric("LT-1", 1, 3), Metric("LT-1", 2, 3, time_ms=T - 5, historical=True)]
    got = host.hear("NDATA", sparkplug.data(T, metrics, 1))
    assert ([each[2] for each in rows(got)], got.historical) == ([1.0, 2.0], {1})


def test_quality_is_read_from_any_integer_field():
    host = Host()
    host.born()
    for code, quality in ((0, q.BAD), (192, q.GOOD), (500, q.UNCERTAIN | q.STALE)):
        message = sparkplug._Message(timestamp=T, seq=1)
        metric = message.metrics.add(name=b"LT-1", int_value=4)
        metric.properties.keys.append(b"Quality")
        metric.properties.values.add(type=8, long_value=code)
        ((_, _, value, got),) = rows(host.hear("NDATA", message.SerializeToString()))
        assert (value, got) == (4.0, quality)


def test_members_of_a_template_have_its_time_where_they_have_none_and_may_come_alone():
    speed = Metric("Speed", 5, DataType.INT16, alias=21)
    members = speed, Metric("Name", b"P", DataType.STRING), Metric("On", 1, 3, time_ms=T - 2)
    pump = Metric("Pump", b"", DataType.TEMPLATE, 20, T - 1, members=members)
    host = born_with(Host(), pump)
    alone = pump._replace(members=(speed._replace(name="", value=-6),))
    got = host.hear("NDATA", sparkplug.data(T, [alone], 1))
    assert rows(got) == [("Pump/Speed", -1, -6.0, q.GOOD)]
    whole = host.hear("NDATA", sparkplug.encode(sparkplug.Payload([pump], T, 2), birth=False))
    assert rows(whole) == [("Pump/Speed", -1, 5.0, q.GOOD), ("Pump/On", -2, 1.0, q.GOOD)]
    assert [reason for reason, _ in whole.refused] == ["wrong_type"]
    null = pump._replace(members=(members[0],))
    payload = sparkplug._Message.FromString(sparkplug.data(T, [null], 3))
    payload.metrics[0].is_null = True
    ended = rows(host.hear("NDATA", payload.SerializeToString()))
    assert [code for *_, code in ended] == [q.BAD | q.NOT_A_NUMBER]
    stale = pump._replace(quality=500, members=(speed, speed._replace(quality=192)))
    got = rows(host.hear("NDATA", sparkplug.data(T, [stale], 4)))
    assert [code for *_, code in got] == [q.UNCERTAIN | q.STALE, q.GOOD]
    assert "/Pump/Speed" in host.hear("NDEATH", sparkplug.ndeath(7), 9).names


def test_time_is_that_of_the_metric_else_of_the_message():
    host = Host()
    host.born()
    metrics = [Metric("LT-1", 1, 3, time_ms=T + 1), Metric("LT-1", 2, 3), Metric("LT-1", 3, 3,
               time_ms=0)]  # fmt: skip
    payload = sparkplug.Payload(metrics, T + 9, 1)
    got = host.hear("NDATA", sparkplug.encode(payload, birth=False))
    assert [each[1] for each in rows(got)] == [1, 9, 9]
    payload = sparkplug.Payload(metrics, None, 2)
    got = host.hear("NDATA", sparkplug.encode(payload, birth=False))
    assert [each[1] for each in rows(got)] == [1]
    assert [reason for reason, _ in got.refused] == ["bad_time", "bad_time"]


def test_message_whose_own_time_is_none_is_refused():
    host = Host()
    host.born()
    payload = sparkplug.Payload([Metric("LT-1", 1, 3)], TIME_MS_MAX + 1, 1)
    assert refusal(host, "NDATA", sparkplug.encode(payload, birth=False)) == "bad_time"


KINDS = st.sampled_from(["NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH"])
ODD = st.builds(
    Metric,
    name=st.sampled_from(["", "LT-1", "bdSeq", "x", "Node Control/Rebirth"]),
    value=st.none() | st.integers(-(2**31), 2**31 - 1),
    datatype=st.sampled_from([1, 3, 4, 8]),
    alias=st.none() | st.integers(0, 3) | st.just(2**64 - 1),
    time_ms=st.none() | st.sampled_from([0, 1, T, TIME_MS_MAX, TIME_MS_MAX + 1, 2**64 - 1]),
    quality=st.none() | st.sampled_from([0, 192, 500, 7, 2**32 - 1]),
    null=st.booleans(),
    historical=st.booleans(),
    transient=st.booleans(),
    members=st.just(()),
)
PAYLOADS = st.builds(
    lambda metrics, time_ms, seq, birth: sparkplug.encode(
        sparkplug.Payload(metrics, time_ms, seq), birth=birth
    ),
    st.lists(ODD, max_size=4),
    st.none() | st.sampled_from([0, T, TIME_MS_MAX + 1, 2**64 - 1]),
    st.none() | st.integers(0, 300) | st.just(2**64 - 1),
    st.booleans(),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(KINDS, PAYLOADS | st.binary(max_size=30)), max_size=12))
def test_nothing_but_wire_errors_comes_of_any_messages(messages):
    host = Host()
    host.born()
    for second, (kind, payload) in enumerate(messages):
        try:
            got = host.hear(kind, payload, second, device="D" if kind[0] == "D" else None)
        except WireError:
            continue
        assert all(0 < at < 2**63 and count > 0 for count, at in got.runs)
        assert len(rows(got)) == len(got.values)
        assert len(host.asked(second)) <= 1
    # Whatever was said, a birth puts it right.
    host.born(100)
    assert host.said(1, 101, alias=1).names == ["Area/FT-1"]
    assert host.asked(200) == []
