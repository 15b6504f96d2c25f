"""The step: production, residual and inventory of the small region, from good and bad inputs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.small_region import HEAD, NETWORK, T_PER_H, TAGS_CSV
from twin import faraday
from twin import quality as q
from twin.accounts.accounts import SIGNS, Account
from twin.accounts.network import compile_network, tally
from twin.accounts.tanks import tank_mass
from twin.arrays import NEVER
from twin.loading import parse_park
from twin.series.image import Image, no_image
from twin.step import SLOPE_EVERY_US, SLOPE_US, Memory, no_memory, step
from twin.step import _slope as slope

S = 1_000_000
T0 = 1_760_000_000 * S
MADE = 13_500 * 160 * 0.96 * faraday.mass_per_charge(faraday.CL2)  # kg/s
FILLING = 0.3 * T_PER_H
VALUES = {
    "II-1": 13_500.0,
    "FT-1": 1.5 * T_PER_H,
    "FT-2": 1.2 * T_PER_H,
    "FT-3": 0.6 * T_PER_H,
    "FT-4": 0.3 * T_PER_H,
    "FT-5": MADE - 2.7 * T_PER_H,  # what closes the balance
    "FT-6": 100 / 3600,
    "FT-7": 2.0 * T_PER_H,
    "WT-1": 40_000.0,
    "LT-2": 1.5,
}
PRODUCTION = "alpha/chlorine.mass_flow.production"
RESIDUAL = "alpha/chlorine.mass_flow.residual"
INVENTORY = "alpha/chlorine.mass.inventory"
RESIDUALS = [
    f"{owner}chlorine.mass_flow.residual" for owner in ("alpha/caustic.", "alpha/", "east/", "r/")
]


def view(time_us=T0, *, late=None, quality=None, **changes):
    """Return an image of good values of one time; `late` and `quality` by tag."""
    count = len(NETWORK.tags)
    times = np.full(count, NEVER)
    value, codes = np.full(count, np.nan), np.full(count, q.NO_DATA, np.uint8)
    for tag, number in {**VALUES, **changes}.items():
        at = NETWORK.index[f"alpha/{tag}"]
        times[at], value[at], codes[at] = time_us, number, q.GOOD
    for tag, seconds in (late or {}).items():
        times[NETWORK.index[f"alpha/{tag}"]] -= seconds * S
    for tag, code in (quality or {}).items():
        codes[NETWORK.index[f"alpha/{tag}"]] = code
    return Image(times, value, value.copy(), codes, times)


def named(outcome):
    """Return value and quality of the derived tags by address."""
    tags = NETWORK.tags[len(NETWORK.park.tags) :]
    return {
        tag.address: (value, code)
        for tag, value, code in zip(tags, outcome.value, outcome.quality.tolist(), strict=True)
    }


def run(seconds, every=10, **changes):
    """Step for a while with a tank that fills; return the last outcome, by address."""
    memory = no_memory(NETWORK)
    outcome = None
    for second in range(0, seconds + 1, every):
        now = T0 + second * S
        image = view(now, **{"WT-1": 40_000 + FILLING * second, **changes})
        outcome = step(NETWORK, memory, image, now)
        memory = outcome.memory
    return named(outcome)


def test_production_is_that_of_faraday():
    derived = named(step(NETWORK, no_memory(NETWORK), view(), T0))
    for address in ("alpha/caustic.", "alpha/", "east/", "r/"):
        value, quality = derived[f"{address}chlorine.mass_flow.production"]
        assert value / T_PER_H == pytest.approx(2.7429581, rel=1e-6)
        assert quality == q.GOOD
    assert derived["alpha/caustic.mass_flow.production"][0] / T_PER_H == pytest.approx(3.0945307)
    assert derived["alpha/hydrogen.mass_flow.production"][0] * 3600 == pytest.approx(81.232466)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_live_rates_are_the_signed_accounts_of_the_reports_to_the_last_bit(seed):
    rng = np.random.default_rng(seed)
    memory = no_memory(NETWORK)
    for now in range(T0, T0 + 900 * S, 10 * S):
        image = view(now, **{tag: value * rng.uniform(0.8, 1.2) for tag, value in VALUES.items()})
        outcome = step(NETWORK, memory, image, now)
        memory = outcome.memory
    account, rate = tally(NETWORK, image.rate), slope(memory)
    mass = tank_mass(NETWORK.tanks, image.value)
    for (scope, component, role), value in zip(NETWORK.derived, outcome.value, strict=True):
        tanks = NETWORK.tanks.scopes.get((scope, component), ())
        share = NETWORK.tanks.share.get(component)
        items = {"production": ["make"], "consumption": ["use"], "residual": SIGNS}.get(role, [])
        parts = [
            account[NETWORK.accounts[key]] * (SIGNS[item] if role == "residual" else 1)
            for item in items
            if (key := Account(scope, component, item)) in NETWORK.accounts
        ]
        if role == "inventory":
            parts += [mass[k] * share[k] for k in tanks]
        elif role == "residual":
            parts += [-rate[k] * share[k] for k in tanks]
        assert value == sum(parts), (scope, component, role)


def test_consumption_of_the_region_counts_both_parks():
    derived = named(step(NETWORK, no_memory(NETWORK), view(), T0))
    assert derived["alpha/chlorine.mass_flow.consumption"][0] == pytest.approx(1.5 * T_PER_H)
    assert derived["r/chlorine.mass_flow.consumption"][0] == pytest.approx(2.1 * T_PER_H)


def test_inventory_is_the_mass_in_the_tanks():
    image = view()
    value, quality = named(step(NETWORK, no_memory(NETWORK), image, T0))[INVENTORY]
    assert value == pytest.approx(tank_mass(NETWORK.tanks, image.value).sum())
    assert quality == q.GOOD


@pytest.mark.parametrize("address", RESIDUALS)
def test_residual_closes_when_flows_and_accumulation_balance(address):
    value, quality = run(900)[address]
    assert value == pytest.approx(0, abs=1e-6 * MADE)
    assert quality == q.GOOD


@pytest.mark.parametrize("address", RESIDUALS)
def test_residual_shows_what_no_meter_sees(address):
    value, _ = run(900, **{"FT-5": VALUES["FT-5"] - 0.2 * T_PER_H})[address]
    assert value == pytest.approx(0.2 * T_PER_H)


def test_residual_waits_for_ten_minutes_of_levels_and_nothing_else_does():
    early, ready = run(590), run(600)
    assert np.isnan(early[RESIDUAL][0])
    assert early[RESIDUAL][1] == q.NO_DATA
    assert early[PRODUCTION][1] == early[INVENTORY][1] == q.GOOD
    assert ready[RESIDUAL] == (pytest.approx(0, abs=1e-6 * MADE), q.GOOD)


def test_residual_waits_for_ten_minutes_of_a_level_that_was_missing():
    memory, result = no_memory(NETWORK), {}
    for second in range(0, 1801, 10):
        now = T0 + second * S
        lost = {"WT-1": q.BAD | q.FAULT} if second < 900 else {}
        image = view(now, quality=lost, **{"WT-1": 40_000 + FILLING * second})
        outcome = step(NETWORK, memory, image, now)
        memory, result[second] = outcome.memory, named(outcome)[RESIDUAL]
    assert np.isnan([result[second][0] for second in range(0, 1500, 10)]).all()
    assert result[1500] == (pytest.approx(0, abs=1e-6 * MADE), q.GOOD)


def test_noise_of_a_level_is_no_accumulation():
    rng = np.random.default_rng(3)
    memory, residuals = no_memory(NETWORK), []
    for second in range(0, 3600, 10):
        now = T0 + second * S
        noisy = 40_000 + FILLING * second + rng.normal(0, 20)
        outcome = step(NETWORK, memory, view(now, **{"WT-1": noisy}), now)
        memory = outcome.memory
        residuals.append(named(outcome)[RESIDUAL][0])
    # A difference of two levels 10 s apart would be wrong by 2.8 kg/s.
    assert np.std(residuals[100:]) < 0.05


@pytest.mark.parametrize(
    "inputs",
    [{"late": {"II-1": 301}}, {"quality": {"II-1": q.BAD | q.FAULT}},
     {"quality": {"II-1": q.NO_DATA}}, {"II-1": np.nan}],
)  # fmt: skip
def test_stale_bad_or_missing_input_is_no_number_and_bad(inputs):
    derived = named(step(NETWORK, no_memory(NETWORK), view(T0, **inputs), T0))
    for address in (PRODUCTION, RESIDUAL, "r/chlorine.mass_flow.production"):
        assert np.isnan(derived[address][0])
        assert derived[address][1] >= q.BAD
    assert derived[INVENTORY][1] == q.GOOD
    assert derived["alpha/chlorine.mass_flow.consumption"] == (VALUES["FT-1"], q.GOOD)


def test_value_holds_up_to_its_gap_limit():
    derived = named(step(NETWORK, no_memory(NETWORK), view(late={"II-1": 300}), T0))
    assert derived[PRODUCTION] == (pytest.approx(MADE), q.GOOD)


def test_stale_level_takes_the_inventory_and_the_residual_but_not_the_production():
    derived = named(step(NETWORK, no_memory(NETWORK), view(late={"LT-2": 301}), T0))
    assert np.isnan(derived[INVENTORY][0])
    assert derived[INVENTORY][1] == derived[RESIDUAL][1] == q.NO_DATA
    assert derived[PRODUCTION][1] == q.GOOD


def test_uncertain_input_makes_an_uncertain_value():
    doubtful = q.UNCERTAIN | q.OUT_OF_RANGE
    derived = named(step(NETWORK, no_memory(NETWORK), view(quality={"II-1": doubtful}), T0))
    assert derived[PRODUCTION] == (pytest.approx(MADE), doubtful)
    derived = named(step(NETWORK, no_memory(NETWORK), view(quality={"LT-2": doubtful}), T0))
    assert derived[INVENTORY][1] == doubtful
    assert derived[PRODUCTION][1] == q.GOOD


def test_simulated_flag_reaches_every_value_made_of_a_simulated_one():
    derived = named(step(NETWORK, no_memory(NETWORK), view(quality={"II-1": q.SIMULATED}), T0))
    assert derived[PRODUCTION][1] == q.SIMULATED
    assert derived["r/chlorine.mass_flow.production"][1] == q.SIMULATED
    assert derived[INVENTORY][1] == q.GOOD


def test_simulated_flag_stays_on_a_value_that_is_lost():
    image = view(quality={"II-1": q.SIMULATED}, late={"II-1": 301})
    value, quality = named(step(NETWORK, no_memory(NETWORK), image, T0))[PRODUCTION]
    assert np.isnan(value)
    assert quality == q.NO_DATA | q.SIMULATED


def test_empty_image_makes_nothing_good():
    outcome = step(NETWORK, no_memory(NETWORK), no_image(len(NETWORK.tags)), T0)
    assert np.isnan(outcome.value).all()
    assert outcome.quality.tolist() == [q.NO_DATA] * len(NETWORK.derived)


def test_park_without_derived_tags_steps():
    files = {"park.toml": HEAD, "tags.csv": TAGS_CSV.splitlines()[0] + "\nX,r,mass,t,gauge,,,,\n"}
    network = compile_network(parse_park(files))
    image = Image(np.array([T0]), np.ones(1), np.ones(1), np.zeros(1, np.uint8), np.array([T0]))
    outcome = step(network, no_memory(network), image, T0)
    assert (len(outcome.value), len(outcome.quality)) == (0, 0)


def test_memory_keeps_a_quarter_of_an_hour_at_its_own_pace():
    memory = no_memory(NETWORK)
    for second in range(3000):
        now = T0 + second * S
        memory = step(NETWORK, memory, view(now), now).memory
    assert len(memory.past_us) == SLOPE_US // SLOPE_EVERY_US
    assert set(np.diff(memory.past_us)) == {SLOPE_EVERY_US}
    assert memory.past_us[-1] - memory.past_us[0] < SLOPE_US


def test_reading_that_is_missing_for_a_while_leaves_the_slope_of_the_others():
    memory = no_memory(NETWORK)
    for second in range(0, 901, 10):
        now = T0 + second * S
        lost = {"WT-1": q.BAD | q.FAULT} if 300 < second < 500 else {}
        image = view(now, quality=lost, **{"WT-1": 40_000 + FILLING * second})
        outcome = step(NETWORK, memory, image, now)
        memory = outcome.memory
    assert named(outcome)[RESIDUAL] == (pytest.approx(0, abs=1e-6 * MADE), q.GOOD)


@settings(deadline=None)
@given(
    values=st.lists(
        st.floats(-1e6, 1e6) | st.just(np.nan), min_size=len(VALUES), max_size=len(VALUES)
    ),
    codes=st.lists(st.integers(0, 255), min_size=len(VALUES), max_size=len(VALUES)),
    age_s=st.integers(0, 400),
)
def test_step_is_pure_and_never_makes_a_good_number_of_a_bad_one(values, codes, age_s):
    changes = dict(zip(VALUES, values, strict=True))
    image = view(T0 - age_s * S, quality=dict(zip(VALUES, codes, strict=True)), **changes)
    past = np.arange(5) * 60 * S + T0 - 300 * S
    memory = Memory(
        past, np.outer(np.arange(5.0), np.ones(len(NETWORK.tanks.tag))), np.zeros((5, 0))
    )
    parts = [*(getattr(image, n) for n in Image.__slots__), memory.past_us, memory.mass]
    before = [part.tobytes() for part in parts]
    first, second = (step(NETWORK, memory, image, T0) for _ in range(2))
    assert [part.tobytes() for part in parts] == before
    for name in ("value", "quality"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()
    assert first.memory.mass.tobytes() == second.memory.mass.tobytes()
    assert (np.isnan(first.value) == (first.quality >= q.BAD)).all()
    current = codes[list(VALUES).index("II-1")]
    usable = current < q.BAD and age_s <= 300 and not np.isnan(changes["II-1"])
    assert np.isnan(named(first)[PRODUCTION][0]) != usable
