"""Scripts of scenarios: what they may say, and that all mistakes are told at once."""

import json

import numpy as np
import pytest

from simulators.scenarios.overlay import Overlay, encode, make_overlay, truths
from simulators.scenarios.script import (
    ScriptEvent,
    load_script,
    parse_script,
    scenario_names,
    weight,
)
from tests.support.demo_park import PARK, process_of
from twin.arrays import MINUTE_US
from twin.errors import ModelError

WANTED = {
    "normal", "chlorine-user-trip", "meter-bias", "leak", "cems-fault", "gateway-outage",
    "membrane-ageing", "counter-reset", "unit-error", "worn-instruments", "silent-gateway",
    "alarm-flood", "ce-decay", "load-ramp",
}  # fmt: skip
BIAS = """
duration = "2 h"
[[event]]
id = "drift"
kind = "bias"
tag = "xinfa/FI-1203"
start = "30 min"
stop = "90 min"
size = "4 %"
ramp = "10 min"
"""


def problems_of(text):
    with pytest.raises(ModelError) as caught:
        parse_script("wrong", text, PARK)
    assert caught.value.hint
    return caught.value.problems


def test_every_scenario_of_the_project_fits_the_demonstration_park():
    assert set(scenario_names()) == WANTED
    for name in scenario_names():
        script = load_script(name, PARK)
        assert script.id == name
        assert {"zh", "en"} <= set(script.name)
        assert all(0 <= e.start_s < e.stop_s <= script.duration_s for e in script.events)


def test_an_event_is_read_in_si():
    (event,) = parse_script("one", BIAS, PARK).events
    assert (event.start_s, event.stop_s, event.ramp_s) == (1800, 5400, 600)
    assert (event.size, event.relative) == (0.04, True)
    assert event.scope == "liaocheng/chiping/xinfa/caustic/chlorine-header"
    assert event.where == "sensor"


@pytest.mark.parametrize(
    ("wrong", "right", "message"),
    [
        (
            'kind = "bends"',
            'kind = "bias"',
            ":5: event drift: kind: 'bends' is not a value here, use one of load",
        ),
        ('tag = "xinfa/FI-9999"', 'tag = "xinfa/FI-1203"', ":6: event drift: tag"),
        ('size = "4 kW"', 'size = "4 %"', ":9: event drift: size"),
        ('size = "lots"', 'size = "4 %"', ":9: event drift: size"),
        ('start = "95 min"', 'start = "30 min"', "event drift: stop: must be after the start"),
        ('stop = "3 h"', 'stop = "90 min"', "within the duration"),
        ('start = "soon"', 'start = "30 min"', "write it like '3.2 s'"),
        ('ramp = "40 min"', 'ramp = "10 min"', "must fit twice"),
        ("amount = 3", 'size = "4 %"', "has no column 'amount'; use one of id, kind"),
        ('uom = "kg/h"', 'ramp = "10 min"', "uom: is what a unit error sends"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(wrong, right, message):
    (problem,) = problems_of(BIAS.replace(right, wrong))
    assert problem.startswith("wrong.toml:")
    assert message in problem


def test_all_mistakes_are_told_at_once():
    text = BIAS.replace("4 %", "4 K") + BIAS[BIAS.index("[[event]]") :] + "\n[colour]\nx = 1\n"
    result = problems_of(text.replace('"2 h"', '"3"'))
    assert len(result) >= 3
    assert "wrong.toml:20: has no column 'colour'; use one of duration" in "\n".join(result)


def test_an_id_is_there_once():
    (problem,) = problems_of(BIAS + BIAS[BIAS.index("[[event]]") :])
    assert "'drift' is there twice" in problem


@pytest.mark.parametrize(
    ("kind", "what", "message"),
    [
        ("load", 'scope = "nowhere"\nsize = "0 %"', "not a scope or electrolyser"),
        ("voltage", 'scope = "liaocheng/chiping/xinfa/pvc/vcm"\nsize = "1 mV"', "no electrolysers"),
        ("stuck", 'tag = "xinfa/FI-1203"\nsize = "1 t/h"', "a stuck has none"),
        ("reset", 'tag = "xinfa/FI-1203"', "reset is not for a gauge"),
        ("bias", 'tag = "xinfa/JQI-1001"\nsize = "4 %"', "bias is not for a counter"),
        ("unit", 'tag = "xinfa/FI-1203"', "is what a unit error sends"),
        ("unit", 'tag = "xinfa/FI-1203"\nuom = "degC"', "degC"),
        ("drift", 'tag = "xinfa/FI-1203"\nsize = "1 %"\nramp = "1 min"', "grows all the time"),
        ("reset", 'tag = "xinfa/JQI-1001"\nstop = "30 min"', "does not come back"),
        ("rollover", 'tag = "xinfa/JQI-1001"\nsize = "10 %"', "size: '%' is not a unit of energy"),
        ("quantised", 'tag = "xinfa/FI-1203"\nsize = "0 t/h"', "size: must be above 0"),
        ("spike", 'tag = "xinfa/FI-1203"\nsize = "9 %"\nlasting = "5 min"', "shorter than every"),
    ],
)
def test_an_event_must_fit_what_it_is_about(kind, what, message):
    (problem,) = problems_of(f'duration = "1 h"\n[[event]]\nid = "e"\nkind = "{kind}"\n{what}\n')
    assert message in problem


def test_syntax_and_names_are_one_clear_sentence():
    with pytest.raises(ModelError, match="is not TOML"):
        parse_script("broken", "duration = ", PARK)
    with pytest.raises(ModelError, match="there is no scenario") as caught:
        load_script("earthquake", PARK)
    assert "chlorine-user-trip" in caught.value.hint


def test_a_scenario_may_be_a_file_of_ones_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(BIAS, encoding="utf-8")
    script = load_script(str(path), PARK)
    assert (script.id, len(script.events)) == ("mine", 1)


def event_of(kind, **more):
    return ScriptEvent("e", kind, "s", "t", start_s=100.0, stop_s=200.0, **more)


def test_an_event_comes_with_its_ramp_and_is_gone_at_its_stop():
    at = np.array([99.0, 100.0, 105.0, 110.0, 150.0, 195.0, 200.0, 300.0])
    sudden = weight(event_of("bias"), at)
    assert sudden.tolist() == [0, 1, 1, 1, 1, 1, 0, 0]
    slow = weight(event_of("bias", ramp_s=10.0), at)
    assert slow.tolist() == pytest.approx([0, 0, 0.5, 1, 1, 0.5, 0, 0])
    assert weight(event_of("drift"), at).tolist() == pytest.approx(
        [0, 0, 0.05, 0.1, 0.5, 0.95, 0, 0]
    )


@pytest.mark.parametrize(
    ("kind", "tag", "more", "stop_min", "size", "uom"),
    [
        ("bias", "luxi/AI-9501P", 'size = "-0.2"\nstop = "50 min"', 50, -0.2, ""),
        ("drift", "xinfa/FI-1203", 'size = "4 %"\nstop = "50 min"', 50, 4.0, "%"),
        ("spike", "luxi/TI-1301", 'size = "20 degF"\nstop = "50 min"', 50, 20.0, "degF"),
        ("stuck", "xinfa/FI-1203", 'stop = "50 min"', 50, None, ""),
        ("dropout", "xinfa/FI-1203", 'size = "90 %"', 60, 90.0, "%"),
        ("dropout", "xinfa/FI-1203", "", 60, 100.0, "%"),
        ("quantised", "luxi/LT-1301A", 'size = "12 mm"\nstop = "50 min"', 50, 12.0, "mm"),
        ("unit", "xinfa/FI-1203", 'uom = "kg/h"\nstop = "50 min"', 50, None, "kg/h"),
        ("reset", "xinfa/JQI-1001", "", 60, None, ""),
        ("rollover", "xinfa/JQI-1001", 'size = "65536 kWh"', 60, 65536.0, "kWh"),
    ],
)  # fmt: skip
def test_truth_of_an_instrument_says_size_uom_start_and_stop(kind, tag, more, stop_min, size, uom):
    text = f'[[event]]\nid = "e"\nkind = "{kind}"\ntag = "{tag}"\nstart = "20 min"\n{more}\n'
    script = parse_script("one", 'duration = "1 h"\n' + text, PARK)
    (row,) = truths(Overlay(process_of(), script, 1_760_000_000_000_000))
    assert (row.kind, row.tag, row.size, row.uom) == (kind, tag, size, uom)
    assert row.start_us == 1_760_000_000_000_000 + 20 * MINUTE_US
    assert row.stop_us == 1_760_000_000_000_000 + stop_min * MINUTE_US


def test_truth_says_what_when_where_and_how_much():
    script = load_script("meter-bias", PARK)
    overlay = make_overlay(process_of(), script, 1_760_000_000_000_000)
    (row,) = json.loads(encode(truths(overlay)))
    assert row == {
        "id": "drift",
        "kind": "bias",
        "tag": "xinfa/FI-1203",
        "stream": "xinfa-cl2-hcl",
        "scope": "liaocheng/chiping/xinfa/caustic/chlorine-header",
        "start_us": 1_760_003_600_000_000,
        "stop_us": 1_760_010_800_000_000,
        "size": 4.0,
        "uom": "%",
    }


def test_a_scenario_begins_when_somebody_looks():
    script = parse_script("later", BIAS, PARK)
    moved = script.begun_at(6 * 3600 + 60)
    assert (moved.events[0].start_s, moved.events[0].stop_s) == (6 * 3600 + 60, 7 * 3600 + 60)
    assert moved.duration_s == script.duration_s + 5.5 * 3600 + 60
    assert load_script("normal", PARK).begun_at(99).events == ()
