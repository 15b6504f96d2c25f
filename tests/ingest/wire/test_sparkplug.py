"""Sparkplug B payloads: both directions, two's complement, and a lot of nonsense."""

import gzip
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.wire import WireError, sparkplug
from ingest.wire.sparkplug import DataType, Metric, Payload
from tests.support.small_edges import compressed, dbirth

T = 1_795_332_864_000
# A negative number comes in the width of its datatype, or in that of the field.
SIGNED = [
    (DataType.INT8, 0xF4, -12),
    (DataType.INT8, 0xFFFF_FFF4, -12),
    (DataType.INT8, 0x7F, 127),
    (DataType.INT16, 0x8000, -32768),
    (DataType.INT32, 4_294_967_284, -12),
    (DataType.INT32, 0x7FFF_FFFF, 2_147_483_647),
    (DataType.INT64, 2**64 - 12, -12),
    (DataType.INT64, 2**63, -(2**63)),
    (DataType.UINT8, 0xF4, 244),
    (DataType.UINT32, 4_294_967_284, 4_294_967_284),
    (DataType.UINT64, 2**64 - 1, 2**64 - 1),
    (DataType.FLOAT, 0.5, 0.5),
    (DataType.DOUBLE, -1e300, -1e300),
    (DataType.BOOLEAN, True, 1.0),
    (DataType.BOOLEAN, False, 0.0),
]


def field(number, wire, body):
    """Return one field of a protocol buffer, made by hand."""
    head = bytes([number << 3 | wire]) if number < 16 else bytes([(number << 3 | wire) & 127 | 128,
                                                                 number >> 4])  # fmt: skip
    return head + body


def varint(value):
    out = bytearray()
    while True:
        value, digit = value >> 7, value & 127
        out.append(digit | 128 if value else digit)
        if not value:
            return bytes(out)


def chunk(number, body):
    return field(number, 2, varint(len(body)) + body)


def test_bytes_of_another_encoder_are_read():
    """The field numbers of the standard's table, written here once more by hand."""
    quality = chunk(9, chunk(1, b"Quality") + chunk(2, field(1, 0, varint(3))
                                                    + field(3, 0, varint(500))))  # fmt: skip
    metric = (
        chunk(1, b"Flow/FT-1") + field(2, 0, varint(7)) + field(3, 0, varint(T - 5))
        + field(4, 0, varint(10)) + field(5, 0, b"\x01") + chunk(8, b"\x0a\x01x") + quality
        + field(13, 1, struct.pack("<d", 36.5))
    )  # fmt: skip
    payload = (
        field(1, 0, varint(T)) + chunk(2, metric) + field(3, 0, varint(3)) + chunk(4, b"uuid")
        + chunk(5, b"body")
    )  # fmt: skip
    got = sparkplug.decode(payload)
    assert got == Payload(
        [Metric("Flow/FT-1", 36.5, 10, 7, T - 5, quality=500, historical=True)], T, 3
    )


@pytest.mark.parametrize(("datatype", "value", "number"), SIGNED)
def test_number_is_what_its_datatype_makes_of_it(datatype, value, number):
    assert sparkplug.number(value, datatype) == float(number)


@pytest.mark.parametrize(
    ("datatype", "value"),
    [(DataType.STRING, b"7"), (DataType.DATETIME, T), (DataType.FLOAT_ARRAY, b"\0\0\0\0"),
     (DataType.TEMPLATE, b""), (0, 7), (99, 7), (DataType.INT32, b"7"), (DataType.INT32, None)],
)  # fmt: skip
def test_what_is_no_number_gives_none(datatype, value):
    assert sparkplug.number(value, datatype) is None


@given(st.sampled_from([*sparkplug.BITS]), st.data())
def test_whole_numbers_survive_both_directions(datatype, data):
    bits = sparkplug.BITS[datatype]
    value = data.draw(st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
    (metric,) = sparkplug.decode(sparkplug.data(T, [Metric("x", value, datatype)], 1)).metrics
    assert sparkplug.number(metric.value, datatype) == float(value)


METRICS = st.builds(
    Metric,
    name=st.text(min_size=1, max_size=12),
    value=st.floats(allow_nan=False),
    datatype=st.just(DataType.DOUBLE),
    alias=st.none() | st.integers(0, 2**64 - 1),
    time_ms=st.none() | st.integers(0, 2**64 - 1),
    quality=st.none() | st.sampled_from([0, 192, 500]),
    null=st.just(False),
    historical=st.booleans(),
    transient=st.booleans(),
    members=st.just(()),
)


@given(st.lists(METRICS, min_size=1, max_size=5), st.none() | st.integers(0, 255))
def test_birth_says_everything_again(metrics, seq):
    payload = Payload(metrics, T, seq)
    assert sparkplug.decode(sparkplug.encode(payload)) == payload


def test_data_leave_out_what_the_birth_has_said():
    metrics = [Metric("a", 1.5, DataType.DOUBLE, alias=3), Metric("b", 2, DataType.INT32)]
    got = sparkplug.decode(sparkplug.data(T, metrics, 9))
    assert got == Payload([Metric("", 1.5, 0, 3, T), Metric("b", 2, 0, None, T)], T, 9)


def test_node_birth_has_its_session_and_death_has_nothing_else():
    birth = sparkplug.decode(sparkplug.nbirth(T, [Metric("a", 1, DataType.INT8)], bd_seq=4))
    assert [(m.name, m.value) for m in birth.metrics] == [
        ("bdSeq", 4), ("Node Control/Rebirth", False), ("a", 1),
    ]  # fmt: skip
    assert (birth.time_ms, birth.seq) == (T, 0)
    death = sparkplug.decode(sparkplug.ndeath(4))
    assert (death.time_ms, death.seq) == (None, None)
    assert [(m.name, m.value) for m in death.metrics] == [("bdSeq", 4)]


def test_rebirth_is_a_command_with_one_true_metric():
    (metric,) = sparkplug.decode(sparkplug.rebirth(T)).metrics
    assert (metric.name, metric.value, metric.datatype) == ("Node Control/Rebirth", True, 11)


def test_null_has_no_value_and_says_so():
    (metric,) = sparkplug.decode(dbirth(T, [Metric("a", None, DataType.INT32)], 1)).metrics
    assert (metric.null, metric.value) == (True, None)


def test_state_is_json_with_online_and_timestamp():
    assert sparkplug.state(T, online=True) == b'{"online":true,"timestamp":%d}' % T
    assert sparkplug.state_topic("h") == "spBv1.0/STATE/h"
    assert sparkplug.is_offline(sparkplug.state(T, online=False))
    for other in (
        sparkplug.state(T, online=True),
        b"OFFLINE",
        b"",
        b"[]",
        b'{"online": 0}',
        b"\xff",
    ):
        assert not sparkplug.is_offline(other)


@pytest.mark.parametrize(
    "payload",
    [b"", b"{}", b"\xff", b"\x08", b"\x12\xff", b'{"ts": 1, "values": {}}', b"\x3a\x00"],
)  # fmt: skip
def test_bytes_that_are_no_payload_are_refused(payload):
    with pytest.raises(WireError) as caught:
        sparkplug.decode(payload)
    assert caught.value.reason == "bad_protobuf"


def reason_of(payload):
    """Return why some bytes are refused; nothing when they are a payload."""
    try:
        sparkplug.decode(payload)
    except WireError as error:
        return error.reason
    return None


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_payload_or_a_wire_error(payload):
    assert reason_of(payload) in (None, "bad_protobuf", "too_large")


@given(st.binary(max_size=40), st.integers(0, 60))
def test_damaged_payload_gives_a_payload_or_a_wire_error(dirt, at):
    payload = sparkplug.nbirth(T, [Metric("a", 1.0, DataType.DOUBLE, alias=1, quality=0)], 1)
    assert reason_of(payload[:at] + dirt + payload[at:]) in (None, "bad_protobuf")


@pytest.mark.parametrize("metric", [Metric("a", "x", DataType.DOUBLE), Metric("a", 1, 77),
                                    Metric("a", 1, DataType.INT8, alias=-1)])  # fmt: skip
def test_what_cannot_be_said_is_a_value_error(metric):
    with pytest.raises(ValueError, match=r".+"):
        dbirth(T, [metric], 1)


# --- compressed payloads ----------------------------------------------------

BIRTH = sparkplug.nbirth(T, [Metric("FT-1", 2.5, DataType.DOUBLE, alias=1)], 3)


def raw_deflate(payload):
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(payload) + packer.flush()


@pytest.mark.parametrize("algorithm", ["GZIP", "DEFLATE", "gzip", ""])
def test_compressed_birth_is_read_like_the_one_inside_it(algorithm):
    payload = compressed(BIRTH, algorithm)
    assert sparkplug.decode(payload) == sparkplug.decode(BIRTH)


def test_compressed_body_without_a_head_of_its_own_is_bare_deflate():
    payload = compressed(b"", "DEFLATE", body=raw_deflate(BIRTH))
    assert sparkplug.decode(payload) == sparkplug.decode(BIRTH)


def test_time_and_sequence_may_stand_outside_the_compressed_body():
    inner = sparkplug.encode(Payload([Metric("a", 1.0, DataType.DOUBLE)]))
    got = sparkplug.decode(compressed(inner, timestamp=T, seq=9))
    assert (got.time_ms, got.seq, got.metrics[0].name) == (T, 9, "a")
    inner = sparkplug.encode(Payload([Metric("a", 1.0, DataType.DOUBLE)], T - 1, 8))
    got = sparkplug.decode(compressed(inner, timestamp=T, seq=9))
    assert (got.time_ms, got.seq) == (T - 1, 8)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (compressed(b"\0" * 10_000_000), "too_large"),
        (compressed(b"\0" * 10_000_000, "DEFLATE"), "too_large"),
        (compressed(b"", body=raw_deflate(b"\0" * 10_000_000)), "too_large"),
        (compressed(b"", body=gzip.compress(BIRTH)[:-12]), "bad_protobuf"),
        (compressed(b"", body=gzip.compress(BIRTH) * 2), "bad_protobuf"),
        (compressed(b"", body=b""), "bad_protobuf"),
        (compressed(b"", body=b"nonsense"), "bad_protobuf"),
        (compressed(b"nonsense"), "bad_protobuf"),
        (compressed(BIRTH, "LZ4", body=b"x"), "bad_protobuf"),
        (compressed(compressed(BIRTH)), "bad_protobuf"),
    ],
    # Not the bytes: a pack of gzip has the second in it.
    ids=[
        "zeros",
        "deflated zeros",
        "bare zeros",
        "cut",
        "twice",
        "empty",
        "nonsense",
        "nonsense inside",
        "unknown algorithm",
        "compressed again",
    ],
)
def test_compressed_body_that_is_none_or_too_large_is_refused(payload, reason):
    with pytest.raises(WireError) as caught:
        sparkplug.decode(payload)
    assert caught.value.reason == reason


def test_compressed_payload_may_be_as_large_as_one_that_is_not():
    assert sparkplug.decode(compressed(BIRTH), len(BIRTH)) == sparkplug.decode(BIRTH)
    with pytest.raises(WireError, match=f"over {len(BIRTH) - 1} bytes"):
        sparkplug.decode(compressed(BIRTH), len(BIRTH) - 1)


def test_body_of_another_kind_is_no_matter_of_ours():
    outer = sparkplug._Message(uuid=b"mine", body=gzip.compress(BIRTH), timestamp=T, seq=1)
    outer.metrics.add(name=b"a", datatype=10, double_value=1.0)
    assert [m.name for m in sparkplug.decode(outer.SerializeToString()).metrics] == ["a"]


# --- names and templates ----------------------------------------------------


def test_name_in_another_encoding_costs_neither_its_metric_nor_the_birth():
    names = ["温度", "Füllstand °C"]
    metrics = [Metric(name, 1.0, DataType.DOUBLE) for name in names]
    payload = dbirth(T, metrics, 1) + chunk(2, chunk(1, "Druck °C".encode("latin-1")))
    assert [m.name for m in sparkplug.decode(payload).metrics] == [*names, "Druck \\xb0C"]


def test_template_has_members_and_its_definition_is_no_metric():
    member = Metric("Speed", 5.0, DataType.DOUBLE, time_ms=T)
    pump = Metric("Pump", b"", DataType.TEMPLATE, 7, T, members=(member,))
    payload = dbirth(T, [pump], 1)
    assert sparkplug.decode(payload).metrics == [pump]
    template = chunk(2, chunk(1, b"Speed")) + field(5, 0, b"\x01")
    definition = chunk(2, chunk(1, b"_types_/Pump") + chunk(18, template))
    assert sparkplug.decode(payload + definition).metrics == [pump]


def test_payload_of_more_metrics_than_any_node_has_is_refused():
    for empty in (chunk(2, b"") * 30_000, chunk(2, chunk(18, chunk(2, b"") * 30_000))):
        with pytest.raises(WireError, match="metrics, at most") as caught:
            sparkplug.decode(empty)
        assert caught.value.reason == "too_large"


def test_templates_inside_templates_have_an_end():
    deep = b""
    for _ in range(200):
        deep = chunk(18, chunk(2, deep))
    assert reason_of(chunk(2, deep)) == "bad_protobuf"
