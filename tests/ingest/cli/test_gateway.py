"""`parktwin gateway try`: how a payload would be read, or why it would not."""

import io
import json

import pytest

from ingest.cli import gateway
from tests.support.data import data_park

NOW_MS = 1_795_332_864_000
ROW = """
[[gateway]]
id = "neuron"
scope = "p/a"
protocol = "json"
topic = "neuron/plc"
payload = "neuron-tags"
tags = { "flow 1" = "FT-1" }
"""
TAGS = [
    {"name": "flow 1", "value": 36},
    {"name": "TT-1", "error": 2014},
    {"name": "new", "value": 1},
]
NEURON = {"timestamp": NOW_MS, "node": "plc", "tags": TAGS}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Return a function that tries a document in the park of the codecs, at a known time."""
    for name, text in data_park("codecs").items():
        (tmp_path / name).write_text(text + ROW * (name == "park.toml"), encoding="utf-8")
    monkeypatch.setattr(gateway.time, "time_ns", lambda: NOW_MS * 1_000_000)

    def attempt(document, *options):
        payload = document if isinstance(document, bytes) else json.dumps(document).encode()
        stdin = io.TextIOWrapper(io.BytesIO(payload))
        monkeypatch.setattr(gateway.sys, "stdin", stdin)
        status = gateway.main(["try", "-", "--park", str(tmp_path), *options])
        captured = capsys.readouterr()
        return status, captured.out.splitlines() or captured.err.splitlines()

    return attempt


def test_each_value_is_displayed_as_it_would_be_stored(run):
    status, lines = run(NEURON, "--topic", "neuron/plc")
    assert (status, lines[0]) == (0, "gateway a/neuron")
    assert [line.split("  ")[0].strip() for line in lines[1:]] == ["NAME", "flow 1", "TT-1", "new"]
    assert "a/FT-1" in lines[2]
    assert "2026-11-22 07:34:24.000 UTC" in lines[2]
    assert lines[2].split()[6:] == ["36", "t/h", "10", "kg/s", "good"]
    assert lines[3].split()[5:] == ["no", "value", "bad,", "fault"]
    assert lines[4].endswith("not stored, unknown_tag")


def test_payload_that_nobody_declared_is_told_its_presets(run):
    status, lines = run(NEURON, "--topic", "other/plc")
    assert status == 1
    assert lines[0].startswith("refused: bad_topic: ")
    assert lines[1].startswith("presets that read it: neuron-tags")


@pytest.mark.parametrize(
    ("options", "value"),
    [(("--payload", "flat"), "36 t/h"), (("--payload", '{ time = "ts", values = "." }'), "36 t/h"),
     (("--gateway", "json", "--topic", "x/FT-1"), None)],
)  # fmt: skip
def test_payload_is_read_by_what_is_named(run, options, value):
    status, lines = run({"ts": NOW_MS, "FT-1": 36}, *options)
    assert (status, any("a/FT-1" in line and value in line for line in lines)) == (
        (0, True) if value else (1, False)
    )


def test_quality_of_another_system_is_said_in_words(run):
    layout = '{ tag = "n", value = "v", quality = "q", qualities = "opc" }'
    status, lines = run([{"n": "FT-1", "v": 36, "q": 24}, {"n": "TT-1", "v": 1, "q": "good"}],
                        "--payload", layout)  # fmt: skip
    assert status == 0
    assert lines[1].endswith("bad, not connected (opc 24 = bad, communication failure)")
    assert lines[2].endswith("  good")


def test_name_that_several_enterprises_have_is_told(monkeypatch, capsys):
    stdin = io.TextIOWrapper(io.BytesIO(b'{"ts": 1795332864000, "FI-1305": 2.5}'))
    monkeypatch.setattr(gateway.sys, "stdin", stdin)
    assert gateway.main(["try", "-", "--payload", "flat"]) == 1
    assert "not stored, a tag of xinfa, luxi, huaxiang: name a gateway" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("document", "topic", "reason"),
    [
        ({"ts": NOW_MS // 1000, "values": {"FT-1": 1}}, "park/v1/p/a/g", "ts is in ms, not s"),
        ({"r": [{"t": {"ms": NOW_MS}, "v": 1, "q": 192}]}, "x/FT-1", "without its vocabulary"),
        ({"ts": NOW_MS + 10**7, "values": {"FT-1": 1}}, "park/v1/p/a/g", "not stored, future"),
        ({"ts": NOW_MS, "values": {"FT-1": 1}, "uom": {"FT-1": "degC"}}, "park/v1/p/a/g",
         "not stored, wrong_uom"),
        (b"\xff", "park/v1/p/a/g", "bad_json"),
        ({"ts": NOW_MS, "values": {}}, "park/v1/p/b/g", "unknown_enterprise"),
    ],
)  # fmt: skip
def test_what_would_not_be_stored_has_its_reason(run, document, topic, reason):
    status, lines = run(document, "--topic", topic)
    assert status == 1
    assert any(reason in line for line in lines)
    assert not any("presets" in line for line in lines)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [(("--payload", "neuron"), "no preset 'neuron', did you mean 'neuron-"),
     (("--payload", "{ value"), "--payload: "), (("--payload", "{ values = 7 }"), "values: 7"),
     (("--gateway", "none"), "the model has no gateway 'none'; it has json, cems, edge, neuron")],
)  # fmt: skip
def test_what_is_named_wrongly_is_a_sentence(run, options, sentence):
    status, lines = run(NEURON, *options)
    assert status in {1, 2}
    assert any(sentence in line for line in lines)


def test_file_that_is_missing_is_a_sentence(capsys):
    assert gateway.main(["try", "nowhere.json"]) == 2
    assert "nowhere.json: No such file" in capsys.readouterr().err
