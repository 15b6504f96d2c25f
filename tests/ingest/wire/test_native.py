"""Our own JSON: its three forms, single values refused, and nothing but WireError for the rest."""

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest.routing.topics import Names
from ingest.wire import TIME_MS_MAX, TIME_MS_MIN, VALUE_MAX, WireError, native
from twin import quality as q

TS = 1_760_000_000_000
NAMES = st.text(st.characters(codec="utf-8"), max_size=8)
FINITE = st.floats(-1e100, 1e100)
TIMES = st.integers(TIME_MS_MIN, TIME_MS_MAX)


def decode(document):
    return native.decode(json.dumps(document).encode())


def reason_of(payload):
    with pytest.raises(WireError) as caught:
        native.decode(payload if isinstance(payload, bytes) else json.dumps(payload).encode())
    assert caught.value.detail
    return caught.value.reason


def test_scan_is_one_time_and_many_values():
    got = decode({"ts": TS, "values": {"FT-1201": 36.4, "PT-7": {"v": 1.2, "q": "uncertain"}}})
    assert (got.names, got.values) == (["FT-1201", "PT-7"], [36.4, 1.2])
    assert got.runs == [(2, TS * 1000)]
    assert got.quality == {1: q.UNCERTAIN}
    assert (got.uom, got.simulated, got.refused) == ({}, False, [])


def test_array_is_a_run_for_each_scan():
    got = decode([{"ts": TS, "values": {"A": 1, "B": 2}}, {"ts": TS + 1, "values": {"A": 3}}])
    assert (got.names, got.values) == (["A", "B", "A"], [1.0, 2.0, 3.0])
    assert got.runs == [(2, TS * 1000), (1, (TS + 1) * 1000)]


def test_columns_are_a_run_for_each_value():
    got = decode({"tag": ["A", "B", "A"], "ts": [TS, TS, TS + 1], "value": [1, 2.5, None],
                  "quality": ["good", 65, "uncertain"]})  # fmt: skip
    assert got.names == ["A", "B", "A"]
    assert got.values[:2] == [1.0, 2.5]
    assert got.runs == [(1, TS * 1000), (1, TS * 1000), (1, (TS + 1) * 1000)]
    assert got.quality == {1: 65, 2: q.BAD | q.NOT_A_NUMBER}


def test_columns_without_quality_are_good():
    assert decode({"tag": ["A"], "ts": [TS], "value": [1]}).quality == {}


@pytest.mark.parametrize(
    "empty", [[], {"ts": TS, "values": {}}, {"tag": [], "ts": [], "value": []}]
)
def test_payload_without_values_is_fine(empty):
    got = decode(empty)
    assert (got.names, got.refused, sum(n for n, _ in got.runs)) == ([], [], 0)


@pytest.mark.parametrize(
    ("word", "code"),
    [("good", 0), ("uncertain", 64), ("bad", 128), (0, 0), (200, 200), (255, 255)],
)
def test_quality_is_a_word_or_a_code(word, code):
    assert decode({"ts": TS, "values": {"A": {"v": 1, "q": word}}}).quality.get(0, 0) == code


@pytest.mark.parametrize("missing", [None, {"v": None}, {"v": None, "q": "good"}, {}, {"q": 64}])
def test_null_is_the_knowledge_that_there_is_no_value(missing):
    got = decode({"ts": TS, "values": {"A": missing}})
    assert np.isnan(got.values).tolist() == [True]
    assert got.quality == {0: q.BAD | q.NOT_A_NUMBER}


def test_unit_of_the_message_belongs_to_the_tags_it_names():
    got = decode({"ts": TS, "values": {"A": 1, "B": {"v": 2}}, "uom": {"B": "kg/s", "C": "t/h"}})
    assert got.uom == {1: "kg/s"}
    columns = {"tag": ["B", "A", "B"], "ts": [TS] * 3, "value": [1, 2, 3], "uom": {"B": "kg/s"}}
    assert decode(columns).uom == {0: "kg/s", 2: "kg/s"}


def test_simulated_is_said_by_true_only():
    for body, expected in ((True, True), (False, False), (1, False), ("yes", False)):
        assert decode({"ts": TS, "values": {}, "simulated": body}).simulated is expected
    assert decode({"tag": [], "ts": [], "value": [], "simulated": True}).simulated


@pytest.mark.parametrize(
    ("value", "reason"),
    [("36.4", "wrong_type"), ([1], "wrong_type"), ({"v": "x"}, "wrong_type"),
     ({"v": [1]}, "wrong_type"), ({"v": 1, "q": "fine"}, "bad_quality"),
     ({"v": 1, "q": 256}, "bad_quality"), ({"v": 1, "q": -1}, "bad_quality"),
     ({"v": 1, "q": 1.5}, "bad_quality"), ({"v": 1, "q": True}, "bad_quality"),
     ({"v": 1, "q": None}, "bad_quality")],
)  # fmt: skip
def test_wrong_value_is_refused_alone(value, reason):
    got = decode({"ts": TS, "values": {"A": 1.0, "X": value, "B": {"v": 2.0, "q": 64}}})
    assert (got.names, got.values, got.runs) == (["A", "B"], [1.0, 2.0], [(2, TS * 1000)])
    assert got.quality == {1: 64}
    ((text, detail),) = got.refused
    assert text == reason
    assert detail.startswith("X: ")


def test_name_in_a_column_that_is_no_text_is_refused_alone():
    got = decode({"tag": ["A", 7, None], "ts": [TS] * 3, "value": [1, 2, 3]})
    assert got.names == ["A"]
    assert [count for count, _ in got.runs] == [1, 0, 0]
    assert [reason for reason, _ in got.refused] == ["bad_name", "bad_name"]


def test_number_beyond_all_measure_is_infinite():
    got = decode({"ts": TS, "values": {"A": VALUE_MAX, "B": -1e151, "C": 1e149}})
    assert got.values == [np.inf, np.inf, 1e149]


@pytest.mark.parametrize(
    "payload",
    [b"", b"nonsense", b"{", b"\xff\xfe\x00", b'{"ts":1,"values":{"\xff":1}}', b"[" * 100_000,
     b'{"ts":1,"values":{"A":1e400}', b"1" * 5000],
)  # fmt: skip
def test_what_is_not_json_is_refused(payload):
    assert reason_of(payload) == "bad_json"


@pytest.mark.parametrize("number", ["1e400", "-1e400", "NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("form", [
    '{"ts": TS, "values": {"A": 1, "B": NUMBER, "C": 3}}',
    '[{"ts": TS, "values": {"A": 1, "B": {"v": NUMBER}, "C": 3}}]',
    '{"tag": ["A", "B", "C"], "ts": [TS, TS, TS], "value": [1, NUMBER, 3]}',
])  # fmt: skip
def test_a_number_that_is_not_finite_costs_itself(form, number):
    payload = form.replace("NUMBER", number).replace("TS", str(TS))
    assert native.decode(payload.encode()).values == [1, np.inf, 3]


@pytest.mark.parametrize(
    ("ts", "mend"),
    [(TS // 1000, "in s it is 2025-10-09 08:53 UTC: ts is in ms, not s"),
     (TS / 1000, "not s"), (TS * 1000, "not us"), (TS * 1_000_000, "not ns"), (0, "1971")],
)  # fmt: skip
def test_time_in_another_unit_is_refused_with_the_mend(ts, mend):
    payload = json.dumps({"ts": ts, "values": {"A": 1}}).encode()
    assert native.Scans(INDEX).read(payload) is None
    with pytest.raises(WireError, match=mend) as caught:
        native.decode(payload)
    assert caught.value.reason == "bad_time"


def test_scan_or_row_without_a_time_costs_only_itself():
    got = decode([{"ts": TS, "values": {"A": 1}}, {"ts": TS // 1000, "values": {"A": 2}}])
    assert (got.values, [reason for reason, _ in got.refused]) == ([1.0], ["bad_time"])
    got = decode({"tag": ["A", "A"], "ts": [None, TS], "value": [1, 2]})
    assert (got.values, [reason for reason, _ in got.refused]) == ([2.0], ["bad_time"])


@pytest.mark.parametrize("word", ["Good", "GOOD", " good ", "ok", "良好"])
def test_good_is_good_however_it_is_written(word):
    got = decode({"ts": TS, "values": {"A": {"v": 1, "q": word}}})
    assert (got.values, got.quality, got.refused) == ([1.0], {}, [])


@pytest.mark.parametrize("number", [b"1e400", b"NaN"])
def test_a_time_that_is_not_finite_is_no_time(number):
    assert reason_of(b'{"ts":%b,"values":{}}' % number) == "bad_time"


@pytest.mark.parametrize(
    "document",
    [None, 5, "text", True, {}, {"ts": TS}, {"ts": TS, "values": [1]}, [1, 2], [None], [[]],
     [{"ts": TS, "values": {}}, {"ts": TS}], {"ts": TS, "values": {}, "uom": ["kg/s"]},
     {"tag": "A", "ts": TS, "value": 1}, {"tag": ["A"], "ts": [TS]},
     {"tag": ["A"], "ts": [TS], "value": [1, 2]}, {"tag": ["A"], "ts": [TS], "value": {"A": 1}},
     {"tag": ["A"], "ts": [TS], "value": [1], "quality": None},
     {"tag": ["A"], "ts": [TS], "value": [1], "quality": []},
     {"tag": ["A"], "ts": [TS], "value": [1], "uom": "kg/s"}],
)  # fmt: skip
def test_other_shapes_are_refused(document):
    assert reason_of(document) == "bad_shape"


@pytest.mark.parametrize("ts", [None, "now", -1, TIME_MS_MAX + 1, 1e30, True, [TS], {}])
def test_wrong_time_is_refused(ts):
    assert reason_of({"ts": ts, "values": {"A": 1}}) == "bad_time"
    assert reason_of({"tag": ["A"], "ts": [ts], "value": [1]}) == "bad_time"


def test_time_in_fractions_of_a_millisecond_is_kept_to_the_microsecond():
    assert decode({"ts": TS + 0.125, "values": {"A": 1}}).runs == [(1, TS * 1000 + 125)]


def test_plain_scan_takes_the_short_way_and_everything_else_the_long_one():
    plain = json.dumps({"ts": TS, "values": {"A": 1.5}, "simulated": True}).encode()
    scan = native.decode_scan(plain)
    assert (scan.ts, scan.values, scan.simulated) == (TS, {"A": 1.5}, True)
    for other in (
        {"ts": TS, "values": {"A": None}},
        {"ts": TS, "values": {"A": {"v": 1}}},
        {"ts": TS, "values": {"A": 1}, "uom": {"A": "kg/s"}},
        {"ts": -1, "values": {"A": 1}},
        {"ts": TIME_MS_MAX + 1, "values": {"A": 1}},
        [{"ts": TS, "values": {"A": 1}}],
        {"tag": ["A"], "ts": [TS], "value": [1]},
    ):
        assert native.decode_scan(json.dumps(other).encode()) is None


@pytest.mark.parametrize(
    "payload",
    [
        b'{"ts":1,"values":{"\xff":1}}',
        b'{"ts":1,"values":{},"more":' + b"[" * 100_000,
        b'{"ts":1,"values":{},"more":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"\xff",
        b"",
    ],
)
def test_short_way_leaves_broken_payloads_to_the_long_one(payload):
    assert native.decode_scan(payload) is None


SCANS = st.lists(
    st.tuples(TIMES, st.dictionaries(NAMES, FINITE, max_size=4)), min_size=1, max_size=4
)


@settings(deadline=None)
@given(SCANS, st.booleans())
def test_what_is_encoded_is_decoded(scans, simulated):
    got = native.decode(native.encode_scans(scans, simulated=simulated))
    assert got.names == [name for _, values in scans for name in values]
    assert got.values == [value for _, values in scans for value in values.values()]
    assert got.runs == [(len(values), ts * 1000) for ts, values in scans]
    assert (got.simulated, got.quality, got.refused) == (simulated, {}, [])


@settings(deadline=None)
@given(TIMES, st.dictionaries(NAMES, FINITE, max_size=5), st.booleans())
def test_short_way_and_long_way_say_the_same(ts, values, simulated):
    payload = native.encode(ts, values, simulated=simulated)
    scan, got = native.decode_scan(payload), native.decode(payload)
    assert (list(scan.values), list(scan.values.values())) == (got.names, got.values)
    assert [(len(scan.values), scan.ts * 1000)] == got.runs
    assert scan.simulated is got.simulated is simulated


def attempt(payload):
    """Decode by both ways; anything but WireError is a crash of ingest."""
    try:
        scan = native.decode_scan(payload)
        got = native.decode(payload)
    except WireError:
        return
    assert sum(count for count, _ in got.runs) == len(got.names) == len(got.values)
    assert all(0 <= time_us <= TIME_MS_MAX * 1000 for _, time_us in got.runs)
    assert all(0 <= code <= 255 for code in got.quality.values())
    "".join(got.names).encode()
    if scan is not None:
        assert list(scan.values) == got.names


@settings(deadline=None)
@given(st.binary(max_size=200))
@example(b'{"ts":1,"values":{"\xff":1}}')
def test_random_bytes_are_decoded_or_refused(payload):
    attempt(payload)


SEEDS = [
    native.encode(TS, {"FT-1201": 36.4, "PT-7": 1e-9}, simulated=True),
    json.dumps([{"ts": TS, "values": {"A": {"v": None, "q": "bad"}}, "uom": {"A": "t"}}]).encode(),
    json.dumps({"tag": ["A"], "ts": [TS], "value": [1], "quality": [64]}).encode(),
]


@settings(deadline=None)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 3), st.binary(max_size=4)), max_size=6),
)
def test_mutated_json_is_decoded_or_refused(payload, edits):
    for at, cut, put in edits:
        payload = payload[:at] + put + payload[at + cut :]
    attempt(payload)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["ts", "values", "tag", "value", "quality", "uom", "v", "q", "x"]), inner
    ),
    max_leaves=12,
)  # fmt: skip


@settings(deadline=None)
@given(JSON)
def test_any_document_is_decoded_or_refused(document):
    attempt(json.dumps(document).encode())


NAMES_OF_A_SCAN = [f"FT-{at}" for at in range(8)]
INDEX = Names({name: at for at, name in enumerate(NAMES_OF_A_SCAN)} | {"alias": 0, "FT-8": 8})


def values_of(scans, payload):
    """Return what is read, as what a look at each name gives it."""
    got = scans.read(payload)
    expected = native.decode_scan(payload)
    assert (got is None) is (expected is None)
    if got is None:
        return None
    read = list(zip(got.names, got.values, strict=True))
    assert sorted(read) == sorted(expected.values.items())
    assert list(got.tags) == [INDEX[name] for name in got.names]
    assert (got.ts, got.simulated) == (expected.ts, expected.simulated)
    return read


def scan_of(names, first=0.5):
    return {"ts": TS, "values": {name: first + at for at, name in enumerate(names)}}


def test_scan_whose_names_came_twice_is_read_by_its_form():
    scans = native.Scans(INDEX)
    for number in range(4):
        assert values_of(scans, json.dumps(scan_of(NAMES_OF_A_SCAN, number)).encode())
        assert len(scans._forms) == (number >= 1)


@pytest.mark.parametrize(
    "other",
    [
        scan_of(NAMES_OF_A_SCAN[:-1]),
        scan_of([*NAMES_OF_A_SCAN, "FT-8"]),
        scan_of([NAMES_OF_A_SCAN[0], *NAMES_OF_A_SCAN[:0:-1]]),
        scan_of([*NAMES_OF_A_SCAN[:-1], "ZZ-1"]),
        scan_of(NAMES_OF_A_SCAN) | {"simulated": True},
        scan_of(NAMES_OF_A_SCAN) | {"uom": {"FT-1": "kg/s"}},
        scan_of(NAMES_OF_A_SCAN) | {"ts": -1},
        scan_of(NAMES_OF_A_SCAN) | {"values": dict.fromkeys(NAMES_OF_A_SCAN)},
        scan_of(NAMES_OF_A_SCAN) | {"values": [1.0] * 8},
    ],
)
def test_scan_of_another_form_is_read_by_its_names(other):
    scans = native.Scans(INDEX)
    usual = json.dumps(scan_of(NAMES_OF_A_SCAN)).encode()
    for payload in (usual, usual, json.dumps(other).encode(), usual):
        values_of(scans, payload)
    twice = usual.replace(b'{"FT-0"', b'{"FT-0": 7, "FT-0"')
    assert values_of(scans, twice) == values_of(scans, usual)


def test_of_two_names_of_one_tag_the_last_one_sent_wins():
    scans = native.Scans(INDEX)
    others = NAMES_OF_A_SCAN[1:]
    first, second = [*others, "FT-0", "alias"], [*others, "alias", "FT-0"]
    for names in (first, first, first, second):
        assert [n for n, _ in values_of(scans, json.dumps(scan_of(names)).encode())] == names


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\n", "中文"])
def test_any_name_can_come_again_and_again(name):
    scans = native.Scans(INDEX)
    payload = json.dumps(scan_of([*NAMES_OF_A_SCAN, name])).encode()
    assert all(values_of(scans, payload) for _ in range(3))


def test_names_that_are_remembered_have_an_end(monkeypatch):
    monkeypatch.setattr(native, "NAMES_MAX", 20)
    monkeypatch.setattr(native, "FIRSTS_MAX", 4)
    scans = native.Scans(INDEX)
    for number in range(30):
        payload = json.dumps(scan_of([f"N-{number // 3}-{at}" for at in range(8)])).encode()
        assert values_of(scans, payload)
    assert (len(scans._forms), len(scans._before)) == (2, 2)
