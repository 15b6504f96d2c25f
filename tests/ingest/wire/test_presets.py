"""Presets read what docs/presets.md says they read, and a payload leads to its preset."""

import json

import numpy as np
import pytest

from ingest.wire import json_layout
from ingest.wire.presets import guess
from tests.support.presets import EXAMPLES
from twin import quality as q
from twin.model.layouts import PRESETS, parse_layout

NOW_US = 1_795_332_864_000_000
ARRIVAL_US = NOW_US + 700_000
ERROR, CUT_OFF = q.BAD | q.FAULT, q.BAD | q.NOT_CONNECTED
EXPECTED = {
    "neuron-tags": {"FI-1": 2.5, "FI-2": (None, ERROR)},
    "neuron-values": {"FI-1": 2.5, "FI-2": (None, ERROR)},
    "kepware": {"Line1.PLC.FI-1": 2.5, "Line1.PLC.FI-2": (0.0, q.BAD)},
    "telegraf": {"FI-1": 2.5, "FI-2": 3.0},
    "telegraf-batch": {"FI-1": 2.5},
    "thingsboard-gateway": {"Meter A.power": 42.0, "Meter B.power": 44.0},
    "thingsboard-device": {"FI-1": 2.5, "FI-2": 3.0},
    "sitewise": {"/plant7/FI-1": 2.5},
    "sitewise-entries": {"/plant7/FI-1": 2.5, "/plant7/FI-2": (3.0, q.UNCERTAIN)},
    "sitewise-notification": {"p": 2.5},
    "opcua-pubsub": {"FI-1": 2.5, "FI-2": (0.0, CUT_OFF)},
    "opc-publisher": {"nsu=http://plant7/;s=FI-1": 2.5},
    "umh": {"FI-1": 2.5},
    "umh-group": {"FI-1": 2.5, "FI-2": 3.0},
    "name-value": {"FI-1": 2.5, "FI-2": 3.0},
    "flat": {"FI-1": 2.5, "FI-2": 3.0},
    "tasmota": {"pump-7.ENERGY.Total": 151.3, "pump-7.ENERGY.Power": 420.0},
    "zigbee2mqtt": {"pump-7.state": 1.0, "pump-7.temperature": 21.4, "pump-7.linkquality": 120.0},
    "number": {"FI-1": 2.5},
}  # fmt: skip
NEURON = {"timestamp": 1_795_332_864_000, "node": "modbus", "group": "flows"}
UNDATED = {"zigbee2mqtt", "number"}


def tag_of(topic):
    return topic.removesuffix("/SENSOR").rpartition("/")[2]


def read(name, **changes):
    topic, payload = EXAMPLES[name]
    layout = parse_layout({"preset": name, "timezone": "UTC"} | changes)
    return json_layout.decode(layout, payload, ARRIVAL_US, tag=tag_of(topic))


def test_every_preset_has_an_example():
    assert set(EXAMPLES) == set(EXPECTED) == set(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_preset_reads_its_documented_example(name):
    got = read(name)
    values = {
        tag: (None if np.isnan(value) else value, got.quality.get(at, 0))
        for at, (tag, value) in enumerate(zip(got.names, got.values, strict=True))
    }
    wanted = {tag: v if isinstance(v, tuple) else (v, 0) for tag, v in EXPECTED[name].items()}
    assert (values, got.refused) == (wanted, [])
    assert {t for _, t in got.runs} - {NOW_US + 2_000_000} == {
        ARRIVAL_US if name in UNDATED else NOW_US
    }


@pytest.mark.parametrize("name", PRESETS)
def test_payload_leads_to_its_preset_first(name):
    topic, payload = EXAMPLES[name]
    assert guess(topic, payload)[0] == name


@pytest.mark.parametrize(
    ("name", "changes", "names"),
    [
        ("kepware", {"after": "."}, {"FI-1", "FI-2"}),
        ("neuron-tags", {"prefix": ["/node", "/group"]},
         {"modbus.flows.FI-1", "modbus.flows.FI-2"}),
        ("telegraf", {"prefix": "name"}, {"opcua.FI-1", "opcua.FI-2"}),
        ("telegraf", {"prefix": "tags.host", "ignore": ["FI-2"]}, {"edge-1.FI-1"}),
        ("opc-publisher", {"after": "s="}, {"FI-1"}),
        ("tasmota", {"prefix": ""}, {"ENERGY.Total", "ENERGY.Power"}),
    ],
)  # fmt: skip
def test_preset_can_be_changed_key_by_key(name, changes, names):
    assert set(read(name, **changes).names) == names


@pytest.mark.parametrize(
    ("topic", "document", "first"),
    [
        ("plant/x", {"timestamp": "2026-11-22T07:34:24Z", "FI-1": 1}, "flat"),
        ("plant/x", {"time": 1_795_332_864, "FI-1": 1}, "flat"),
        ("plant/x", {"Time": "2026-11-22T07:34:24", "FI-1": 1}, "flat"),
        ("plant/x", {"FI-1": 1}, "flat"),
        ("plant/x", [{"tag": "FI-1", "val": 1, "ts": 1_795_332_864}], "name-value"),
        ("plant/x", {"id": "FI-1", "value": 1, "quality": "bad"}, "name-value"),
        ("plant/x", {"ts": 1_795_332_864_000, "values": {"FI-1": 1}}, "thingsboard-device"),
        ("plant/x", {"timestamp_ms": 1_795_332_864_000, "value": 1}, "umh"),
        ("neuron/a", NEURON | {"values": {"FI-1": 1}, "errors": {"FI-2": 2014}}, "neuron-values"),
        ("neuron/a", NEURON | {"tags": [{"name": "FI-1", "value": 1}]}, "neuron-tags"),
        ("plant/FI-1", 2.5, "number"),
    ],
)
def test_payload_of_nobody_in_particular_leads_to_what_reads_it_best(topic, document, first):
    assert guess(topic, json.dumps(document).encode())[0] == first


def test_quality_of_a_list_of_names_and_values_counts_where_it_is_sent():
    records = [
        {"name": "A", "value": 1}, {"name": "B", "value": 2, "quality": "bad"},
        {"name": "C", "value": 3, "q": 192}, {"name": "D", "value": 4, "unit": "kg/s"},
    ]  # fmt: skip
    payload = json.dumps(records).encode()
    got = json_layout.decode(parse_layout("name-value"), payload, ARRIVAL_US)
    assert (got.names, got.quality, got.uom) == (["A", "B", "D"], {1: q.BAD}, {2: "kg/s"})
    assert [reason for reason, _ in got.refused] == ["bad_quality"]


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"{}", b'{"a": "b"}', b"\xff\x00", b"null"])
def test_payload_without_a_number_fits_no_preset(payload):
    assert guess("a/b", payload) == []


def test_preset_that_is_misspelt_is_a_problem_with_a_guess():
    with pytest.raises(ValueError, match="did you mean 'neuron-tags'"):
        parse_layout("neuron-tag")
    assert parse_layout("number") == parse_layout({"preset": "number"})
    assert json.loads(EXAMPLES["flat"][1])["ts"] * 1000 == NOW_US
