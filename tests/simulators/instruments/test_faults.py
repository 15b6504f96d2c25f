"""Faulty instruments: what they show instead, whenever and at whatever pace it is asked."""

import numpy as np
import pytest

from simulators.instruments import Scene, make_sensors, observe, readings
from simulators.scenarios.overlay import make_overlay
from simulators.scenarios.script import STAYING, parse_script
from tests.support.demo_park import PARK, TAGS

S = 1_000_000
START_US = 1_763_791_200 * S
TIMES = START_US + np.arange(0, 7200, 10) * S
DURING = (TIMES >= START_US + 1800 * S) & (TIMES < START_US + 5400 * S)
FLOW, POWER, COUNTER = "xinfa/FI-1203", "xinfa/JI-1001", "xinfa/JQI-1001"


@pytest.fixture(scope="module")
def sound(sensors):
    return observe(sensors, TIMES)


def scene_of(sensors, kind, tag, more=""):
    stop = "" if kind in STAYING else 'stop = "90 min"'
    text = (
        f'duration = "2 h"\n[[event]]\nid = "e"\nkind = "{kind}"\ntag = "{tag}"\n'
        f'start = "30 min"\n{stop}\n{more}\n'
    )
    script = parse_script("made", text, PARK)
    return Scene(sensors, make_overlay(sensors.process, script, START_US))


def shown(sensors, kind, tag, more=""):
    return readings(scene_of(sensors, kind, tag, more), TIMES)


CASES = [
    ("bias", FLOW, 'size = "4 %"'),
    ("bias", FLOW, 'size = "-2 t/h"'),
    ("drift", FLOW, 'size = "10 %"'),
    ("stuck", FLOW, ""),
    ("spike", FLOW, 'size = "50 %"\nevery = "5 min"\nlasting = "20 s"'),
    ("dropout", FLOW, 'size = "30 %"'),
    ("quantised", FLOW, 'size = "2 t/h"'),
    ("unit", POWER, 'uom = "kW"'),
    ("unit", "luxi/TI-1301", 'uom = "degF"'),
    ("reset", COUNTER, ""),
    ("rollover", COUNTER, 'size = "1000 MWh"'),
]


@pytest.mark.parametrize(("kind", "tag", "more"), CASES)
def test_only_the_faulty_tag_is_wrong_and_only_while_the_fault_lasts(
    sensors, sound, kind, tag, more
):
    result = shown(sensors, kind, tag, more)
    other = [t for t in range(len(PARK.tags)) if t != TAGS[tag]]
    np.testing.assert_array_equal(result[:, other], sound[:, other])
    before = TIMES < START_US + 1800 * S
    np.testing.assert_array_equal(result[before, TAGS[tag]], sound[before, TAGS[tag]])
    after = TIMES >= START_US + 5400 * S
    same = result[after, TAGS[tag]] == sound[after, TAGS[tag]]
    # What a counter has lost does not come back.
    assert same.all() == (kind not in STAYING)
    assert not np.array_equal(result[DURING, TAGS[tag]], sound[DURING, TAGS[tag]])


@pytest.mark.parametrize(("kind", "tag", "more"), CASES)
def test_a_value_does_not_depend_on_when_it_is_asked_for(sensors, kind, tag, more):
    scene = scene_of(sensors, kind, tag, more)
    whole = readings(scene, TIMES)[:, TAGS[tag]]
    for i in (200, 333, 539):
        np.testing.assert_array_equal(readings(scene, TIMES[i : i + 1])[0, TAGS[tag]], whole[i])
    coarse = readings(scene, TIMES[::7])[:, TAGS[tag]]
    np.testing.assert_array_equal(coarse, whole[::7])


def test_bias_and_drift_have_their_size(sensors, sound):
    t = TAGS[FLOW]
    ratio = shown(sensors, "bias", FLOW, 'size = "4 %"')[DURING, t] / sound[DURING, t]
    assert ratio == pytest.approx(1.04)
    off = shown(sensors, "bias", FLOW, 'size = "-2 t/h"')[DURING, t] - sound[DURING, t]
    assert off == pytest.approx(-2.0)
    ratio = shown(sensors, "drift", FLOW, 'size = "10 %"')[DURING, t] / sound[DURING, t]
    assert ratio == pytest.approx(1 + 0.1 * np.arange(360) / 360)


def test_a_stuck_instrument_shows_what_it_showed_last(sensors, sound):
    result = shown(sensors, "stuck", FLOW)[DURING, TAGS[FLOW]]
    assert set(result.tolist()) == {sound[DURING, TAGS[FLOW]][0]}


def test_spikes_come_once_in_their_time_and_go_at_once(sensors, sound):
    more = 'size = "50 %"\nevery = "5 min"\nlasting = "20 s"'
    ratio = shown(sensors, "spike", FLOW, more)[DURING, TAGS[FLOW]] / sound[DURING, TAGS[FLOW]]
    hit = ratio > 1.25
    assert ratio[hit] == pytest.approx(1.5)
    assert hit.reshape(12, 30).sum(axis=1).tolist() == [2] * 12


def test_a_dropout_shows_nothing_for_its_share(sensors):
    result = shown(sensors, "dropout", FLOW, 'size = "30 %"')[DURING, TAGS[FLOW]]
    assert np.isnan(result).mean() == pytest.approx(0.3, abs=0.08)
    assert np.isnan(shown(sensors, "dropout", FLOW)[DURING, TAGS[FLOW]]).all()


def test_a_coarse_instrument_has_steps(sensors):
    result = shown(sensors, "quantised", FLOW, 'size = "2 t/h"')[DURING, TAGS[FLOW]]
    assert result / 2 == pytest.approx(np.round(result / 2))


def test_another_unit_of_measure_is_sent_as_it_is(sensors, sound):
    result = shown(sensors, "unit", POWER, 'uom = "kW"')[DURING, TAGS[POWER]]
    assert result == pytest.approx(sound[DURING, TAGS[POWER]] * 1000)
    t = TAGS["luxi/TI-1301"]
    result = shown(sensors, "unit", "luxi/TI-1301", 'uom = "degF"')[DURING, t]
    assert result == pytest.approx(sound[DURING, t] * 1.8 + 32)


def test_a_counter_that_is_reset_begins_at_zero_and_counts_on(sensors, sound):
    t = TAGS[COUNTER]
    result = shown(sensors, "reset", COUNTER)[:, t]
    first = int(np.argmax(DURING))
    assert result[first] == 0
    assert np.diff(result[first:]) == pytest.approx(np.diff(sound[first:, t]), abs=1e-3)


def test_a_register_begins_again_when_it_is_full(sensors, sound):
    result = shown(sensors, "rollover", COUNTER, 'size = "100 MWh"')[DURING, TAGS[COUNTER]]
    assert result.min() >= 0
    assert result.max() < 100_000
    assert 1 <= (np.diff(result) < 0).sum() <= 3


def test_chance_is_of_the_seed(sensors):
    other = make_sensors(sensors.process, 2)
    drops = [
        np.isnan(shown(each, "dropout", FLOW, 'size = "50 %"')[:, TAGS[FLOW]])
        for each in (sensors, other)
    ]
    assert not np.array_equal(*drops)
