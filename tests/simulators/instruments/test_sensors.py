"""Sound instruments: seeds, ranges, errors, counters."""

from dataclasses import replace

import numpy as np
import pytest

from simulators.instruments import make_sensors, observe
from simulators.process import disturbances
from simulators.process.process import make_process, state
from tests.support.data import data_park
from twin.loading import parse_park
from twin.reconciliation.uncertainty import random_share

NOW_US = 1_763_791_200_000_000
S_US = 1_000_000
DAY = NOW_US + np.arange(0, 86_400, 300) * S_US
SEED = 1


@pytest.fixture(scope="module")
def truth(process):
    return state(process, DAY)


def test_same_seed_and_time_give_the_same_value_wherever_a_run_starts(park, sensors):
    whole = observe(sensors, DAY[:20])
    again = make_sensors(make_process(park, SEED), SEED)
    np.testing.assert_array_equal(observe(again, DAY[7:9]), whole[7:9])


def test_another_seed_gives_other_values(park, sensors):
    other = make_sensors(make_process(park, SEED + 1), SEED + 1)
    # Tags of the books, the last ones, have one value in every run.
    measured = sum(tag.source == "measured" for tag in park.tags)
    one, two = (observe(each, DAY[:2])[:, :measured] for each in (other, sensors))
    assert np.mean(one != two) > 0.8


def test_every_tag_has_values_within_its_range(park, sensors):
    week = NOW_US + np.arange(0, disturbances.WEEK_S, 3600) * S_US
    values = observe(sensors, week)
    assert np.all(np.isfinite(values))
    for i, tag in enumerate(park.tags):
        si = values[:, i] * tag.scale + tag.shift
        outside = (si < tag.low) | (si > tag.high)
        assert np.mean(outside) <= 0.01, tag.address


def test_errors_have_the_sigma_of_the_tag_one_part_noise_and_one_that_stays(
    park, process, sensors, column
):
    times = NOW_US + np.arange(2000) * 60 * S_US
    at = column["luxi/FI-1201"]
    truth = state(process, times).values
    relative = observe(sensors, times)[:, at] * park.tags[at].scale / truth[:, at] - 1
    noise, stays = np.sqrt(random_share(park.tags[at])[0]), sensors.constant[at]
    assert np.std(relative) == pytest.approx(0.01 * noise, rel=0.1)
    assert np.mean(relative) == pytest.approx(0.01 * stays, abs=0.0005)
    meters = sensors.random < 1
    assert np.std(sensors.constant[meters]) == pytest.approx(np.sqrt(1 - noise**2), rel=0.2)
    assert (sensors.constant[~meters] == 0).all()


def test_counters_never_fall_and_count_what_their_gauge_shows(park, process, sensors, column):
    turn = disturbances.EPOCH_US + 100 * disturbances.WEEK_US
    times = turn + np.arange(-7200, 7200, 10) * S_US
    values = observe(sensors, times)
    counters = [i for i, tag in enumerate(park.tags) if tag.kind == "counter"]
    assert counters
    assert np.all(np.diff(values[:, counters], axis=0) >= 0)
    exact = state(process, times).values
    for gauge, counter in (("JI-1001", "JQI-1001"), ("FI-1410", "FQI-1410")):
        counted = exact[-1, column[f"xinfa/{counter}"]] - exact[0, column[f"xinfa/{counter}"]]
        seen = np.trapezoid(exact[:, column[f"xinfa/{gauge}"]], times / S_US)
        assert counted == pytest.approx(seen, rel=1e-6)


def test_a_meter_behind_a_hold_up_shows_what_entered_it_before(park, process, column):
    flow = "xinfa/FI-1203"
    streams = (
        replace(stream, hold_up_s=180.0) if stream.flow == flow else stream
        for stream in park.streams
    )
    late = make_sensors(make_process(replace(park, streams=tuple(streams)), SEED), SEED)
    bare = replace(late, absolute=late.absolute * 0, relative=late.relative * 0)
    others = np.delete(np.arange(len(park.tags)), column[flow])
    times = DAY[:20]
    seen, truth = observe(bare, times), state(process, times).values
    before = state(process, times - 180 * S_US).values
    scale = park.tags[column[flow]].scale
    step = 1 / bare.inverse_step[column[flow]]
    assert seen[:, column[flow]] == pytest.approx(before[:, column[flow]] / scale, abs=step)
    exact = make_sensors(process, SEED)
    exact = replace(exact, absolute=exact.absolute * 0, relative=exact.relative * 0)
    np.testing.assert_array_equal(seen[:, others], observe(exact, times, truth)[:, others])


def test_a_small_park_without_ranges_or_cells_is_simulated_too():
    park = parse_park(data_park("boiler"))
    values = observe(make_sensors(make_process(park, 0), 0), DAY)
    assert values.shape == (len(DAY), 4)
    assert np.all(np.isfinite(values))
    assert np.all((values[:, 0] > 0) & (values[:, 0] < 50))
    assert np.all(np.diff(values[:, 3]) >= 0)
