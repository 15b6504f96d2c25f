"""Payloads on trial over HTTP: read as ingest reads them, and not stored."""

import base64
import json

import pytest

from ingest.wire import senml
from tests.support.small_park import NOW, with_park
from tests.support.small_park import PARK_TOML as TOML

pytest_plugins = ["tests.support.small_park"]

MS = NOW // 1000
ROW = """
[[gateway]]
id = "neuron"
scope = "demo/acme"
protocol = "json"
topic = "neuron/plc"
payload = "neuron-tags"
"""
NEURON = {"timestamp": MS, "tags": [{"name": "FT-5", "value": 18}, {"name": "no", "value": 1}]}


async def attempt(api, document, **body):
    payload = document if isinstance(document, str) else json.dumps(document)
    return await api.post("/api/v1/gateways/try", json={"payload": payload} | body)


@with_park(TOML + ROW)
async def test_payload_is_read_as_it_would_be_stored(api, db):
    before = await db.fetchval("SELECT count(*) FROM sample")
    got = (await attempt(api, NEURON, topic="neuron/plc")).json()
    value, unknown = got["items"]
    assert (got["gateway"], got["refused"], got["more"]) == ("acme/neuron", [], 0)
    assert value == {
        "name": "FT-5", "tag": "acme/FT-5", "time": "2025-06-02T10:30:20+08:00", "value": 18.0,
        "uom": "t/h", "si": 5.0, "si_uom": "kg/s", "quality": "good", "reason": "",
    }  # fmt: skip
    assert (unknown["tag"], unknown["quality"], unknown["reason"]) == ("", "", "unknown_tag")
    assert await db.fetchval("SELECT count(*) FROM sample") == before


async def test_payload_that_nobody_declared_is_told_its_presets(api):
    got = (await attempt(api, NEURON, topic="a/b")).json()
    assert (got["items"], got["presets"][0]) == ([], "neuron-tags")
    assert got["refused"][0].startswith("bad_topic: ")
    layout = {"records": "tags", "tag": "name", "value": "value", "time": "/timestamp"}
    for each in ("neuron-tags", layout):
        got = (await attempt(api, NEURON, layout=each)).json()
        assert [item["tag"] for item in got["items"]] == ["acme/FT-5", ""]


async def test_payload_that_is_no_text_is_sent_as_base64(api):
    pack = senml.encode_scans([(NOW, {"FT-5": 18.0})], cbor=True)
    text = base64.b64encode(pack).decode()
    got = (await attempt(api, text, base64=True, topic="senml/v1/demo/acme/g")).json()
    assert [item["si"] for item in got["items"]] == [5.0]


@pytest.mark.parametrize(
    ("body", "detail"),
    [({"base64": True}, "not base64"), ({"layout": "neuron"}, "there is no preset 'neuron'"),
     ({"layout": {"value": "v", "valu": 1}}, "has no column 'valu'")],
)  # fmt: skip
async def test_what_cannot_be_tried_is_a_problem(api, body, detail):
    response = await attempt(api, "{", **body)
    assert response.status_code == 422
    assert detail in response.json()["detail"]
