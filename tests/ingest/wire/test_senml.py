"""SenML in JSON and CBOR: the examples of RFC 8428, units of RFC 8798, and what must be refused."""

import json
import time

import cbor2
import kpn_senml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.wire import WireError, senml
from twin.uom import compile_uom

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


@pytest.mark.parametrize(
    ("unit", "quantity", "scale"),
    [("W", "energy", 1.0), ("kW", "energy", 1000.0), ("m3/s", "volume", 1.0), ("/", "time", 1.0),
     ("l/s", "volume", 0.001), ("Hz", "count", 1.0), ("var", "reactive_energy", 1.0),
     ("%", "time", 0.01), ("1/min", "count", 1 / 60)],
)  # fmt: skip
def test_sum_is_an_integral_in_its_unit_times_seconds(unit, quantity, scale):
    """RFC 8428 §4.2: a meter has the power in W, and the energy as its sum."""
    decoded = decode([{"n": "a", "u": unit, "v": 2, "s": 7}])
    assert (decoded.names, decoded.values) == (["a", "a.sum"], [2.0, 7.0])
    assert compile_uom(decoded.uom[1], quantity) == pytest.approx((scale, 0.0), rel=1e-12)
    assert decode([{"n": "a", "s": 7}]).uom == {}


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


# The registry of IANA: symbol, our quantity, factor to its SI unit (and shift); without a quantity
# none of ours is measured in it. RFC 8428 §12.1; RFC 8798 §2 and §3; NTU by ISO 7027-1:2016; and
# the secondary units that the CoRE working group added (ppb, ppt, VAh, mg/l, ug/l, g/l).
REGISTRY = """
m length 1; kg mass 1; g mass 0.001; s time 1; A current 1; K temperature 1; cd; mol; Hz rate 1;
rad; sr; N; Pa pressure 1; J energy 1; W power 1; C; V voltage 1; F; Ohm; S; Wb; T; H;
Cel temperature 1 273.15; lm; lx; Bq rate 1; Gy; Sv; kat; m2 area 1; m3 volume 1; l volume 0.001;
m/s speed 1; m/s2; m3/s volume_flow 1; l/s volume_flow 0.001; W/m2; cd/m2; bit; bit/s; lat; lon;
pH ph 1; dB; dBW; Bspl; count count 1; / fraction 1; % fraction 0.01; %RH fraction 0.01;
%EL fraction 0.01; EL time 1; 1/s rate 1; 1/min rate 0.016666666666666666;
beat/min rate 0.016666666666666666; beats count 1; S/m;
B; VA apparent_power 1; VAs; var reactive_power 1; vars reactive_energy 1; J/m;
kg/m3 density 1; deg; NTU;
ms time 0.001; min time 60; h time 3600; MHz rate 1e6; kW power 1000; kVA apparent_power 1000;
kvar reactive_power 1000; Ah; Wh energy 3600; kWh energy 3.6e6; varh reactive_energy 3600;
kvarh reactive_energy 3.6e6; kVAh; Wh/km; KiB; GB; Mbit/s; B/s; MB/s; mV voltage 0.001;
mA current 0.001; dBm; ug/m3 concentration 1e-9; mm/h speed 2.7777777777777776e-7;
m/h speed 2.777777777777778e-4; ppm fraction 1e-6; /100 fraction 0.01; /1000 fraction 0.001;
hPa pressure 100; mm length 0.001; cm length 0.01; km length 1000; km/h speed 0.2777777777777778;
ppb fraction 1e-9; ppt fraction 1e-12; VAh; mg/l concentration 0.001; ug/l concentration 1e-6;
g/l concentration 1
"""
UNITS = [each.split() for each in REGISTRY.split(";")]


@pytest.mark.parametrize(("unit", "measure"), [(unit, measure) for unit, *measure in UNITS])
def test_unit_of_the_registry_is_converted_or_no_quantity_of_ours_has_it(unit, measure):
    decoded = decode([{"n": "a", "v": 1, "u": unit}, {"n": "b", "v": 2}])
    if measure:
        quantity, scale, *shift = measure
        expected = float(scale), float(*shift)
        assert compile_uom(decoded.uom[0], quantity) == pytest.approx(expected, rel=1e-12)
        assert decoded.refused == []
    else:
        assert decoded.names == ["b"]
        text = f"a: no quantity of ours has the unit {unit!r}"
        assert decoded.refused == [("wrong_uom", text)]


def test_no_unit_is_known_that_the_registry_does_not_have():
    known = [*senml.UOM, *senml.SAME, *senml.NO_QUANTITY]
    assert sorted(known) == sorted(["//", *(unit for unit, *_ in UNITS)])


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
    strange = [{"n": "a", "v": 1, "u": unit} for unit in ("furlong", "x" * 1000, 7, None)]
    decoded = decode([*strange, {"n": "b", "v": 2}])
    assert decoded.names == ["b"]
    assert {reason for reason, _ in decoded.refused} == {"wrong_uom"}


def test_field_that_must_be_understood_refuses_the_pack_it_may_change():
    """RFC 8428 §12.2: such a field is needed to process the pack."""
    with pytest.raises(WireError, match="torque_") as caught:
        decode([{"n": "b", "v": 2}, {"n": "a", "v": 1, "torque_": 3}])
    assert caught.value.reason == "must_understand"
    assert decode([{"n": "b", "v": 2, "torque": 3}]).names == ["b"]


@pytest.mark.parametrize("version", [1, 5, 10, 16, 26])
def test_version_is_a_set_of_features_and_secondary_units_are_one(version):
    """RFC 9100 §2 and §3."""
    assert decode([{"bver": version, "n": "a", "v": 1, "u": "kW"}]).names == ["a"]


@pytest.mark.parametrize("version", [11, 27, 42, 58, 2**52 + 10, 10.5, "10", None, True])
def test_version_with_a_feature_that_we_lack_refuses_the_pack(version):
    with pytest.raises(WireError) as caught:
        decode([{"bver": version, "n": "a", "v": 1}])
    assert caught.value.reason == "bad_version"


# --- what other encoders of CBOR send ---------------------------------------

S = NOW_US // 1_000_000
TAG = cbor2.CBORTag


def cbor(*records, around=None, canonical=False):
    pack = list(records) if around is None else TAG(around, list(records))
    return senml.decode(cbor2.dumps(pack, canonical=canonical), NOW_US)


@pytest.mark.parametrize(
    ("base", "own"),
    [(TAG(1, S), 0), (TAG(1, float(S)), 0), (0, TAG(1, S)), (TAG(1, S), TAG(1, 0)),
     (TAG(0, "2026-11-22T07:34:24Z"), 0), (0, TAG(0, "2026-11-22T15:34:24+08:00")),
     (TAG(1, TAG(4, [-3, S * 1000])), 0), (TAG(4, [0, S]), 0), (TAG(5, [3, S // 8]), 0)],
)  # fmt: skip
def test_time_that_is_tagged_as_one_is_the_number_it_stands_before(base, own):
    decoded = cbor({-3: base, 0: "a", 2: 1, 6: own})
    assert (times(decoded), decoded.refused) == ([NOW_US], [])


@pytest.mark.parametrize("around", [55799, 1668546929])
def test_pack_may_say_that_it_is_cbor(around):
    assert cbor({0: "a", 2: 1}, around=around).values == [1.0]


@pytest.mark.parametrize(
    ("sent", "value"),
    [(TAG(4, [-2, 1003]), 10.03), (TAG(4, [2, -5]), -500.0), (TAG(5, [-1, 3]), 1.5),
     (TAG(30, [1, 4]), 0.25), (TAG(2, b"\x01\x00"), 256.0), (TAG(3, b"\x01\x00"), -257.0),
     (TAG(4, [-1, TAG(2, b"\x01\x00")]), 25.6), (TAG(1, 7), 7.0), (TAG(4, [-5000, 1]), 0.0)],
)  # fmt: skip
def test_number_in_any_form_of_cbor_is_read(sent, value):
    assert cbor({0: "a", 2: sent}).values == [value]


def test_half_floats_indefinite_lengths_and_labels_in_words_are_read():
    pack = bytes.fromhex("9fbf007f61616162ff02f93e00ff"
                         "a3616e61630201617405ff")  # fmt: skip
    decoded = senml.decode(pack, NOW_US)
    assert (decoded.names, decoded.values) == (["ab", "c"], [1.5, 1.0])
    assert times(decoded) == [NOW_US, NOW_US + 5_000_000]
    assert cbor({0: "a", 2: 1.5}, canonical=True).values == [1.5]


@pytest.mark.parametrize(
    "sent",
    [TAG(35, "a+"), TAG(28, []), TAG(29, 0), TAG(25, 0), TAG(258, [1]), TAG(100, 1), TAG(37, b"x"),
     TAG(4, [1]), TAG(4, [1.5, 1]), TAG(4, 7), TAG(4, [True, 1]), TAG(30, [1, 0]), TAG(999, 1),
     TAG(0, "noon"), TAG(0, "2026-11-22T07:34:24"), cbor2.undefined, {"a": [1]}, [1], b"1"],
)  # fmt: skip
def test_what_is_no_number_is_refused_alone(sent):
    decoded = cbor({0: "a", 2: sent}, {0: "b", 2: 2})
    assert (decoded.names, [reason for reason, _ in decoded.refused]) == (["b"], ["wrong_type"])


@pytest.mark.parametrize(
    "sent",
    [TAG(4, [10**9, 1]), TAG(5, [10**9, 1]), TAG(30, [2**1023, 1]), TAG(2, b"\xff" * 200_000),
     2.0**1000],
)  # fmt: skip
def test_number_too_large_to_be_one_is_not_finite(sent):
    assert cbor({0: "a", 2: sent}).values == [float("inf")]


LONG = TAG(2, b"\xff" * 200_000)


def test_numbers_of_a_hundred_thousand_digits_cost_nothing():
    """The library alone works for seconds on the first of them."""
    began = time.monotonic()
    for sent in (TAG(4, [0, LONG]), TAG(4, [LONG, 1]), TAG(5, [LONG, 1]), TAG(30, [1, LONG]),
                 TAG(1, LONG), TAG(100, LONG)):  # fmt: skip
        assert cbor({0: "a", 2: sent, 6: sent}, {0: "b", 2: 2}).names == ["b"]
    for label in (-2, 0, 1, -4):
        assert cbor({label: LONG, 2: 1}).names == []
    assert time.monotonic() - began < 1.0


def test_name_that_every_record_repeats_is_refused_before_it_fills_the_memory():
    for label in (-2, -4):
        decoded = cbor({label: "x" * 200_000, 0: "a", 2: 1}, *({0: "a", 2: 1},) * 9_000)
        assert len(decoded.refused) == 9_001
        assert sum(len(detail) for _, detail in decoded.refused) < 1_500_000


@pytest.mark.parametrize("payload", [b"[" + b"{}," * 30_000 + b"{}]", b"\x9f" + b"\xa0" * 200_000
                                     + b"\xff"])  # fmt: skip
def test_pack_of_more_records_than_any_sender_has_is_refused(payload):
    with pytest.raises(WireError) as caught:
        senml.decode(payload, NOW_US)
    assert caught.value.reason == "too_large"


def kpn_pack(name="urn:dev:kpn:", **base):
    """Return a pack of KPN's library with records in its words."""
    pack = kpn_senml.SenmlPack(name)
    for key, value in base.items():
        setattr(pack, f"base_{key}", value)
    units = kpn_senml.SenmlUnits
    for record in (
        kpn_senml.SenmlRecord(
            "TI-1", unit=units.SENML_UNIT_DEGREES_CELSIUS, value=23.5, time=S + 1
        ),
        kpn_senml.SenmlRecord("XS-1", value=True, update_time=S + 60),
        kpn_senml.SenmlRecord("JQ-1", unit=units.SENML_UNIT_WATT, sum=1100.0, time=S + 2),
        kpn_senml.SenmlRecord("FI-1", unit=units.SENML_UNIT_CUBIC_METER_PER_SECOND, value=7),
        kpn_senml.SenmlRecord("LI-1", unit=units.SENML_UNIT_RATIO, value=0.5),
    ):
        pack.add(record)
    return pack


@pytest.mark.parametrize("form", ["json", "cbor"])
@pytest.mark.parametrize("base", [{}, {"time": S}, {"value": 5, "sum": 1000, "time": S - 0.5},
                                  {"value": 5.25, "unit": "Pa"}])  # fmt: skip
def test_pack_of_kpns_library_has_the_values_that_were_put_in(form, base):
    pack = kpn_pack(**base)
    payload = pack.to_json().encode() if form == "json" else pack.to_cbor()
    decoded = senml.decode(payload, NOW_US)
    assert decoded.names == ["TI-1", "XS-1", "JQ-1", "FI-1", "LI-1"]
    assert decoded.values == [23.5, 1.0, 1100.0, 7.0, 0.5]
    unit = {1: base["unit"]} if "unit" in base else {}
    assert decoded.uom == {0: "degC", 2: "W*s", 3: "m^3/s", 4: ""} | unit
    assert decoded.refused == []
    default = round(base.get("time", S) * 1e6)
    assert times(decoded) == [NOW_US + 1_000_000, default, NOW_US + 2_000_000, default, default]


def test_packs_of_a_gateway_of_kpns_library_have_names_of_their_own():
    gateway = kpn_senml.SenmlPack("gateway:")
    for device in ("a", "b"):
        child = kpn_senml.SenmlPack(f"{device}:")
        child.add(kpn_senml.SenmlRecord(f"FI-{device}", value=1, time=S))
        gateway.add(child)
    assert senml.decode(gateway.to_cbor(), NOW_US).names == ["FI-a", "FI-b"]


def test_mark_of_byte_order_before_a_pack_is_no_part_of_it():
    assert senml.decode(b'\xef\xbb\xbf[{"n":"a","v":1}]', NOW_US).names == ["a"]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [(b"", "bad_json"), (b"[", "bad_json"), (b"[1]", "bad_shape"), (b"\xa1\x00\x01", "bad_shape"),
     (b'{"n":"a","v":1}', "bad_shape"), (b"\xc1" * 100_000, "bad_cbor"),
     (b"\xc6" * 100_000, "bad_cbor"), (b"\xd9\xd9\xf7" * 50_000, "bad_cbor"),
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
