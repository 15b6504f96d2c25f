"""SenML in JSON and CBOR: the examples of RFC 8428, units of RFC 8798, and what must be refused."""

import json

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.wire import WireError, senml
from twin.errors import UomError
from twin.uom import QUANTITIES, compile_uom

NOW_US = 1_795_332_864_000_000


def decode(pack):
    return senml.decode(json.dumps(pack).encode(), NOW_US)


def times(decoded):
    return [time_us for count, time_us in decoded.runs for _ in range(count)]


def test_base_fields_hold_for_all_records_that_follow():
    """RFC 8428 §5.1.2: several measurements of one device, relative to a base time."""
    decoded = decode(
        [
            {"bn": "urn:dev:ow:10e2073a0108006:", "bt": 1.276020076001e9, "bu": "A", "bver": 5,
             "n": "voltage", "u": "V", "v": 120.1},
            {"n": "current", "t": -5, "v": 1.2},
            {"n": "current", "t": -4, "v": 1.3},
            {"n": "current", "v": 1.7},
        ]
    )  # fmt: skip
    assert decoded.names == ["voltage", "current", "current", "current"]
    assert decoded.values == [120.1, 1.2, 1.3, 1.7]
    assert times(decoded) == [
        1276020076001000, 1276020071001000, 1276020072001000, 1276020076001000,
    ]  # fmt: skip
    assert decoded.uom == {0: "V", 1: "A", 2: "A", 3: "A"}


def test_cbor_example_of_the_standard_reads_like_its_json():
    """RFC 8428 §6: the labels of CBOR are numbers."""
    pack = bytes.fromhex(
        "87a721781b75726e3a6465763a6f773a3130653230373361303130383030363a22fb41d303a15b00106223"
        "614120050067766f6c7461676501615602fb405e066666666666a3006763757272656e74062402fb3ff3333333333333"
        "a3006763757272656e74062302fb3ff4cccccccccccda3006763757272656e74062202fb3ff6666666666666a300"
        "6763757272656e74062102f93e00a3006763757272656e74062002fb3ff999999999999aa3006763757272656e740600"
        "02fb3ffb333333333333"
    )
    decoded = senml.decode(pack, NOW_US)
    assert decoded.names == ["voltage", *["current"] * 6]
    assert decoded.values == [120.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7]
    assert times(decoded)[1] == 1276020071001000


def test_small_times_count_from_the_moment_of_arrival():
    decoded = decode(
        [{"n": "a", "v": 1}, {"n": "a", "t": -10.5, "v": 2}, {"n": "a", "t": 3, "v": 3}]
    )
    assert times(decoded) == [NOW_US, NOW_US - 10_500_000, NOW_US + 3_000_000]


def test_base_value_and_base_sum_are_added():
    decoded = decode([{"bv": 10, "bs": 100, "n": "a", "v": 1}, {"n": "b", "s": 5}])
    assert (decoded.names, decoded.values) == (["a", "b"], [11.0, 105.0])


def test_sum_beside_a_value_is_a_series_of_its_own():
    decoded = decode([{"n": "FT-1", "v": 1, "s": 500, "u": "kg"}])
    assert (decoded.names, decoded.values) == (["FT-1", "FT-1.sum"], [1.0, 500.0])


def test_bool_is_one_or_zero_and_text_and_data_are_refused_alone():
    decoded = decode(
        [{"n": "on", "vb": True}, {"n": "off", "vb": False}, {"n": "t", "vs": "x"},
         {"n": "d", "vd": "aGk"}, {"n": "v", "v": "7"}, {"n": "b", "v": True}]
    )  # fmt: skip
    assert decoded.values == [1.0, 0.0]
    assert [reason for reason, _ in decoded.refused] == ["wrong_type"] * 4


def test_last_part_of_the_name_is_the_tag():
    names = ["urn:dev:ow:10e2:FT-1201", "luxi/caustic/FT-1201", "FT-1201", "urn:dev:FT-1201:"]
    assert decode([{"n": n, "v": 1} for n in names]).names == ["FT-1201"] * 4
    assert decode([{"v": 1}]).refused[0][0] == "bad_name"


def test_every_unit_of_the_registry_is_one_of_ours():
    """Each unit converts into at least one of our quantities, or is known to measure none."""
    others = {"cd", "rad", "sr", "deg", "mol", "N", "F", "S", "Wb", "T", "H", "lm", "lx", "kat",
              "S/m", "J/m", "m/s2", "W/m2", "cd/m2", "Ohm", "C", "As", "Ah",
              "Gy", "Sv"}  # fmt: skip

    def fits(uom):
        for quantity in QUANTITIES:
            try:
                compile_uom(uom, quantity)
            except UomError:
                continue
            return True
        return False

    homeless = [u for u in [*senml.UOM, *senml.SAME] if not fits(senml.UOM.get(u, u))]
    assert set(homeless) <= others


@pytest.mark.parametrize(
    ("unit", "quantity", "scale"),
    [("Cel", "temperature", 1.0), ("kWh", "energy", 3.6e6), ("m3/s", "volume_flow", 1.0),
     ("/100", "fraction", 0.01), ("ppm", "fraction", 1e-6), ("kW", "power", 1e3),
     ("l/s", "volume_flow", 1e-3), ("hPa", "pressure", 100.0), ("/", "fraction", 1.0),
     ("ug/m3", "concentration", 1e-9), ("min", "time", 60.0), ("/1000", "fraction", 1e-3)],
)  # fmt: skip
def test_units_convert_as_the_registry_says(unit, quantity, scale):
    decoded = decode([{"n": "a", "v": 1, "u": unit}])
    assert compile_uom(decoded.uom[0], quantity)[0] == pytest.approx(scale, rel=1e-12)


def test_unknown_unit_is_refused_with_its_record_only():
    decoded = decode([{"n": "a", "v": 1, "u": "furlong"}, {"n": "b", "v": 2}])
    assert decoded.names == ["b"]
    assert decoded.refused[0][0] == "wrong_uom"


def test_field_that_must_be_understood_refuses_its_record():
    decoded = decode([{"n": "a", "v": 1, "torque_": 3}, {"n": "b", "v": 2, "torque": 3}])
    assert decoded.names == ["b"]
    assert decoded.refused[0][0] == "must_understand"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [(b"", "bad_json"), (b"[", "bad_json"), (b"[1]", "bad_shape"), (b"\xa1\x00\x01", "bad_shape"),
     (b'[{"bver":11,"n":"a","v":1}]', "bad_version"), (b"\x9f" * 100_000, "bad_cbor"),
     (b"\x9b" + b"\xff" * 8, "bad_cbor"), (b"\x9a\xff\xff\xff\xff", "bad_cbor"),
     (b"\xc2\x5b" + b"\xff" * 8, "bad_cbor"), (b"[" * 100_000, "bad_json")],
)  # fmt: skip
def test_what_is_no_pack_is_an_error_of_the_sender(payload, reason):
    with pytest.raises(WireError) as caught:
        senml.decode(payload, NOW_US)
    assert caught.value.reason == reason


@pytest.mark.parametrize("bad", [1e30, float("nan"), "x", None, True])
def test_time_that_is_none_is_refused_alone(bad):
    pack = cbor2.dumps([{0: "a", 2: 1, 6: bad}, {0: "b", 2: 2}])
    decoded = senml.decode(pack, NOW_US)
    assert (decoded.names, decoded.refused[0][0]) == (["b"], "bad_time")


@settings(deadline=None, max_examples=50)
@given(
    st.integers(10**15, 4 * 10**15).map(lambda ms: ms // 1000 * 1000),
    st.dictionaries(st.from_regex(r"\A[A-Z]{2}-[0-9]{1,4}\Z"), st.floats(-1e9, 1e9), min_size=1),
    st.booleans(),
)
def test_what_is_encoded_decodes_to_the_same(time_us, values, cbor):
    pack = senml.encode_scans([(time_us, values)], base_name="urn:dev:x:", cbor=cbor)
    decoded = senml.decode(pack, NOW_US)
    assert dict(zip(decoded.names, decoded.values, strict=True)) == values
    assert set(times(decoded)) == {time_us}


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_result_or_a_wire_error(payload):
    try:
        decoded = senml.decode(payload, NOW_US)
    except WireError:
        return
    assert len(decoded.names) == len(decoded.values) == sum(count for count, _ in decoded.runs)
