"""The program: its options, its clock, and its sentences about what is wrong."""

import pytest

from deploy.database.settings import mqtt_address
from deploy.service import free_port
from simulators import __main__ as program
from twin.errors import SettingsError
from twin.loading import parse_park
from twin.model.gateways import GatewaySpec

NOW_US = 1_763_791_200_000_000
S_US = 1_000_000


def test_load_and_other_formats_write_the_model_they_need(tmp_path, capsys):
    folder = tmp_path / "load"
    assert program.main(["--load", "30", "--write-park", str(folder)]) == 0
    assert len(parse_park({p.name: p.read_text() for p in folder.iterdir()}).tags) == 30
    assert program.main(["--load", "30", "--write-park", str(folder)]) == 2
    assert "is not empty" in capsys.readouterr().err
    edges = tmp_path / "edges"
    assert program.main(["--format", "sparkplug", "--write-park", str(edges)]) == 0
    park = parse_park({p.name: p.read_text(encoding="utf-8") for p in edges.iterdir()})
    assert {row.protocol for row in park.rows(GatewaySpec)} == {"sparkplug"}
    assert program.main(["--format", "sparkplug", "--duration", "1"]) == 2
    assert "--write-park" in capsys.readouterr().err
    loggers = str(tmp_path / "loggers")
    assert program.main(["--format", "hj212-tcp", "--write-park", loggers]) == 0
    assert program.main(["--format", "hj212-tcp", "--park", loggers]) == 2
    assert "--hj212 HOST:PORT" in capsys.readouterr().err


def test_load_without_a_broker_is_one_clear_sentence(capsys):
    url = f"mqtt://127.0.0.1:{free_port()}"
    assert program.main(["--mqtt", url, "--load", "10", "--duration", "1"]) == 1
    assert "is it running?" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--batch", "0"], ["--rate", "2000"], ["--load", "0"],
                                       ["--format", "xml"], ["--qos", "2"]])  # fmt: skip
def test_option_out_of_its_range_is_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        program.main(arguments)
    assert arguments[0] in capsys.readouterr().err


@pytest.mark.parametrize("duration", [60.0, None])
def test_a_faster_clock_starts_in_the_past_and_never_passes_now(duration):
    start_us, clock = program._clock(0.0, 60.0, duration, NOW_US)
    assert start_us < NOW_US
    assert clock(NOW_US) == start_us
    assert clock(NOW_US + S_US) == start_us + 60 * S_US
    week = NOW_US + 7 * 86_400 * S_US
    assert clock(week) == week


def test_a_wrong_address_is_one_clear_sentence(capsys):
    with pytest.raises(SettingsError):
        mqtt_address("http://broker.example")
    assert program.main(["--mqtt", "nonsense"]) == 2
    assert "mqtt://host:1883" in capsys.readouterr().err


def test_a_missing_park_is_one_clear_sentence(capsys, tmp_path):
    assert program.main(["--park", str(tmp_path)]) == 2
    assert "is not a park model" in capsys.readouterr().err
