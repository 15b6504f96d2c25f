"""Demand of the running quarter of an hour: hand-made loads, coverage of the interval, the step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.small_region import HEAD
from twin import quality as q
from twin.accounts.demand import CELLS, RECENT, forecast_demand, load_of
from twin.accounts.network import compile_network
from twin.arrays import SECOND_US
from twin.loading import parse_park
from twin.series.image import no_image
from twin.series.samples import Samples
from twin.step import no_memory, step

QUARTER = 1_760_000_400 * SECOND_US  # a quarter of an hour begins
TWO_METERS = """
[[scope]]
id = "r/site"
kind = "enterprise"
name = {zh = "示例", en = "Site"}
[[meter]]
id = "line-1"
scope = "r/site"
carrier = "electricity"
tag = "site/J-1"
role = "incomer"
[[meter]]
id = "line-2"
scope = "r/site"
carrier = "electricity"
tag = "site/J-2"
role = "incomer"
[[meter]]
id = "behind"
scope = "r/site"
carrier = "electricity"
tag = "site/J-3"
role = "incomer"
parent = "line-1"
"""
TAGS = """tag,scope,quantity,uom,kind,low,high,sigma,description
J-1,r/site,power,MW,gauge,0,100,,
J-2,r/site,power,MW,gauge,0,100,,
J-3,r/site,power,MW,gauge,0,100,,
"""
NETWORK = compile_network(parse_park({"park.toml": HEAD + TWO_METERS, "tags.csv": TAGS}))


def times(before, after):
    """Return the times of cells before and after the begin of a quarter."""
    return QUARTER + np.arange(-before, after) * 10 * SECOND_US


def test_step_of_the_load_is_carried_to_the_end_of_the_quarter():
    # 10 MW until the quarter begins, then 22 MW; five minutes of it are over: 30 of 90 cells.
    load = np.concatenate([np.full(90, 10e6), np.full(30, 22e6)])[:, None]
    so_far, forecast, _ = forecast_demand(times(90, 30), load)[:, 0]
    assert so_far == pytest.approx(22e6)
    assert forecast == pytest.approx(22e6)
    # Half a minute in, the recent three minutes are 15 cells of 10 MW and 3 of 22 MW: 12 MW.
    so_far, forecast, _ = forecast_demand(times(90, 3), load[:93])[:, 0]
    assert so_far == pytest.approx(22e6)
    assert forecast == pytest.approx((3 * 22e6 + 87 * 12e6) / 90)


def test_time_without_a_value_is_forecast_like_the_time_to_come():
    load = 10e6 + 1e6 * np.sin(np.arange(210.0))[:, None]
    load[180:190] = np.nan
    load[190:] = 16e6
    so_far, forecast, half = forecast_demand(times(180, 30), load)[:, 0]
    assert so_far == pytest.approx(16e6)
    # 18 recent cells are all 16 MW: 20 known ones and 70 others.
    assert forecast == pytest.approx(16e6)
    assert half > 0
    load[-1] = np.nan
    assert np.isnan(forecast_demand(times(180, 30), load)).all()


def test_a_quarter_that_is_over_has_no_error_and_one_that_begins_alone_no_interval():
    load = 10e6 + 1e6 * np.sin(np.arange(180.0))[:, None]
    so_far, forecast, half = forecast_demand(times(90, 90), load)[:, 0]
    assert so_far == forecast == pytest.approx(load[90:].mean())
    assert half == 0
    first = forecast_demand(times(0, 5), np.full((5, 1), 7e6))[:, 0]
    assert first[:2].tolist() == [pytest.approx(7e6)] * 2
    assert np.isnan(first[2])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), begun=st.integers(1, CELLS))
def test_error_is_at_most_the_rest_of_the_quarter_times_the_largest_move(seed, begun):
    rng = np.random.default_rng(seed)
    load = rng.uniform(0, 1e8, 2 * CELLS)
    true = load[CELLS:].mean()
    now = load[: CELLS + begun, None]
    (_, forecast, _) = forecast_demand(times(CELLS, begun), now)[:, 0]
    recent, ahead = now[-RECENT:].mean(), load[CELLS + begun :]
    bound = len(ahead) / CELLS * np.abs(ahead - recent).max(initial=0.0)
    assert abs(forecast - true) <= bound * (1 + 1e-9) + 1e-3


@pytest.mark.parametrize("memory_s", [0, 60, 600, 1e9], ids=["noise", "fast", "slow", "walk"])
def test_interval_holds_the_truth_in_nineteen_of_twenty_quarters(memory_s):
    rng = np.random.default_rng(7)
    stay = np.exp(-10 / memory_s) if memory_s else 0.0
    inside = []
    for _ in range(250):
        move = rng.normal(0, np.sqrt(1 - stay**2) or 1e-3, 3 * CELLS)
        load = np.zeros(3 * CELLS)
        for at in range(1, len(load)):
            load[at] = stay * load[at - 1] + move[at]
        for begun in (15, 45, 75):
            now = load[: 2 * CELLS + begun, None]
            _, forecast, half = forecast_demand(times(2 * CELLS, begun), now)[:, 0]
            inside.append(abs(forecast - load[2 * CELLS :].mean()) <= half)
    assert np.mean(inside) >= 0.93


def run(powers, begin=QUARTER - 600 * SECOND_US):
    """Step once in ten seconds with the power of each meter; return value and quality by tag."""
    image, memory = no_image(len(NETWORK.tags)), no_memory(NETWORK)
    for nth, row in enumerate(powers):
        now = begin + nth * 10 * SECOND_US
        at = np.full(3, now)
        code = np.where(np.isnan(row), q.BAD, q.GOOD).astype(np.uint8)
        image.update(Samples(np.arange(3), at, np.array(row), code, at), NETWORK.traits)
        outcome = step(NETWORK, memory, image, now)
        memory = outcome.memory
    names = [tag.tag for tag in NETWORK.tags[3:]]
    columns = zip(names, outcome.value.tolist(), outcome.quality.tolist(), strict=True)
    return {name: (value, code) for name, value, code in columns}


def test_step_adds_the_incomers_of_a_scope_and_none_behind_another():
    assert NETWORK.incomers.scopes == ("r/site",)
    assert load_of(NETWORK.incomers, np.array([10.0, 5.0, 3.0] + [0] * 9)[: len(NETWORK.tags)]) == [
        15.0
    ]
    result = run([[10e6, 5e6, 3e6]] * 60 + [[10e6, 8e6, 3e6]] * 45)
    assert result["electricity.power.demand"] == (pytest.approx(18e6), q.GOOD)
    assert result["electricity.power.demand_forecast"] == (pytest.approx(18e6), q.GOOD)
    assert result["electricity.power.demand_forecast_ci"][0] > 0


def test_demand_is_unknown_while_one_of_its_meters_is_bad():
    result = run([[10e6, 5e6, 3e6]] * 60 + [[10e6, np.nan, 3e6]] * 5)
    value, code = result["electricity.power.demand_forecast"]
    assert np.isnan(value)
    assert code == q.NO_DATA
