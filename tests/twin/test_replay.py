"""Replay is the live cycle over again: one step after the other, however it is cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.small_region import NETWORK, PARK, PARK_TOML, TAGS_CSV
from twin import quality as q
from twin.accounts.network import compile_network
from twin.loading import parse_park
from twin.replay import WARM_UP_US, derive, replay
from twin.series.image import no_image
from twin.series.samples import Samples, concatenate
from twin.step import no_memory

S = 1_000_000
T0 = 1_760_000_000 * S
COUNT = len(NETWORK.tags)
MEASURED = len(PARK.tags)
GAP_US = 300 * S


def samples(rng, seconds, every_s=20):
    """Return samples of all measured tags at random times, some bad, some tags silent for long."""
    parts = []
    for tag in range(MEASURED):
        count = max(seconds // every_s, 1)
        times = np.unique(rng.integers(0, seconds * 10, count)) * 100_000 + T0
        silent = rng.integers(0, seconds) * S + T0
        times = times[(times < silent) | (times > silent + rng.integers(0, 900) * S)]
        value = rng.uniform(0, 2, len(times))
        value = np.cumsum(value) if PARK.tags[tag].kind == "counter" else value
        code = rng.choice(
            [q.GOOD, q.SIMULATED, q.UNCERTAIN, q.BAD], len(times), p=[0.7, 0.1, 0.1, 0.1]
        )
        parts.append(Samples(np.full(len(times), tag), times, value, code.astype(np.uint8), times))
    return concatenate(*parts)


def one_by_one(scans, cycles):
    """Replay without leaving out a cycle."""
    image, memory, derived = no_image(COUNT), no_memory(NETWORK), []
    before = -1
    for now in cycles.tolist():
        new = scans.take((scans.time_us <= now) & (scans.time_us > before))
        image.update(new.take(np.lexsort((new.time_us, new.tag))), NETWORK.traits)
        rows, memory = derive(NETWORK, image, memory, now)
        image.update(rows, NETWORK.traits)
        derived.append(rows)
        before = now
    return concatenate(*derived), image, memory


def assert_same(first, second):
    for name in ("tag", "time_us", "value", "quality"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes(), name


@pytest.mark.parametrize("seed", range(4))
def test_skipping_cycles_in_which_nothing_can_change_changes_no_bit(seed):
    rng = np.random.default_rng(seed)
    scans = samples(rng, 1200, every_s=[20, 100, 300, 900][seed])
    cycles = np.arange(T0, T0 + 2100 * S, S)
    whole = replay(NETWORK, no_image(COUNT), no_memory(NETWORK), scans, cycles)
    derived, image, memory = one_by_one(scans, cycles)
    assert len(derived) > 100
    assert_same(whole.samples, derived)
    assert whole.steps < len(cycles)
    for name in ("time_us", "value", "rate", "quality"):
        assert getattr(whole.image, name).tobytes() == getattr(image, name).tobytes(), name
    assert whole.memory.mass.tobytes() == memory.mass.tobytes()


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 1000), cuts=st.lists(st.integers(1, 479), max_size=4, unique=True))
def test_cutting_and_shuffling_a_replay_changes_no_bit(seed, cuts):
    rng = np.random.default_rng(seed)
    scans = samples(rng, 2000, every_s=120)
    cycles = np.arange(T0, T0 + 2400 * S, 5 * S)
    whole = replay(NETWORK, no_image(COUNT), no_memory(NETWORK), scans, cycles)
    shuffled = scans.take(rng.permutation(len(scans)))
    image, memory, parts = no_image(COUNT), no_memory(NETWORK), []
    for part in np.split(cycles, sorted(cuts)):
        so_far = shuffled.take(shuffled.time_us <= part[-1])
        result = replay(NETWORK, image, memory, so_far, part)
        image, memory = result.image, result.memory
        parts.append(result.samples)
    assert_same(whole.samples, concatenate(*parts))


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 1000), start=st.integers(2000, 2800))
def test_where_a_replay_begins_does_not_matter_after_its_warm_up(seed, start):
    rng = np.random.default_rng(seed)
    scans = samples(rng, 2900, every_s=120)
    cycles = np.arange(T0, T0 + 3000 * S, 5 * S)
    whole = replay(NETWORK, no_image(COUNT), no_memory(NETWORK), scans, cycles)
    # What a store knows of the time before: the newest sample of each tag, derived ones too.
    begin = T0 + start * S - WARM_UP_US
    known = concatenate(scans, whole.samples)
    known = known.take(known.time_us < begin)
    known = known.take(np.lexsort((known.time_us, known.tag)))
    image = no_image(COUNT)
    image.update(known, NETWORK.traits)
    later = replay(NETWORK, image, no_memory(NETWORK), scans, cycles[cycles >= begin])

    def after(rows):
        # That there is no value is worth storing only where there was one before.
        counts = ~np.isnan(rows.value) | np.isin(rows.tag, known.tag)
        return rows.take((rows.time_us >= T0 + start * S) & counts)

    assert len(after(whole.samples)) > 50
    assert_same(after(later.samples), after(whole.samples))


def test_replay_leaves_what_it_was_given_as_it_is():
    scans = samples(np.random.default_rng(1), 900)
    image, memory = no_image(COUNT), no_memory(NETWORK)
    cycles = np.arange(T0, T0 + 900 * S, S)
    first = replay(NETWORK, image, memory, scans, cycles)
    second = replay(NETWORK, image, memory, scans, cycles)
    assert_same(first.samples, second.samples)
    assert (image.time_us < T0).all()
    assert len(memory.past_us) == 0


def test_nothing_to_replay_derives_nothing():
    nothing = samples(np.random.default_rng(1), 60).take(slice(0, 0))
    cycles = np.arange(T0, T0 + 60 * S, S)
    scans = replay(NETWORK, no_image(COUNT), no_memory(NETWORK), nothing, cycles)
    assert len(scans.samples) == 0
    assert scans.steps <= 7  # only what the memory asks for
    none = replay(NETWORK, no_image(COUNT), no_memory(NETWORK), nothing, cycles[:0])
    assert (len(none.samples), none.steps) == (0, 0)


def test_value_that_stays_is_stored_often_enough_not_to_look_stale():
    tag = NETWORK.index["alpha/II-1"]
    times = np.arange(T0, T0 + 3600 * S, 60 * S)
    current = Samples(np.full(60, tag), times, np.full(60, 13_500.0), np.zeros(60, np.uint8), times)
    cycles = np.arange(T0, T0 + 3600 * S, S)
    scans = replay(NETWORK, no_image(COUNT), no_memory(NETWORK), current, cycles).samples
    made = scans.take(scans.tag == NETWORK.index["alpha/chlorine.mass_flow.production"])
    assert len(set(made.value.tolist())) == 1
    assert len(made) == 1 + 24
    assert (np.diff(made.time_us) <= GAP_US // 2).all()


def test_rate_of_a_counter_survives_a_rollover_but_not_a_reset_or_a_bad_reading():
    park = parse_park({
        "park.toml": PARK_TOML.replace('flow = "alpha/FT-1"', 'flow = "alpha/FQ-1"'),
        "tags.csv": TAGS_CSV + "FQ-1,r/east/alpha/vcm,mass,t,counter,0,100,,chlorine to VCM\n",
    })  # fmt: skip
    network = compile_network(park)
    tag = network.index["alpha/FQ-1"]
    tonnes = [97.0, 99.0, 1.0, 3.0, 0.5, 1.5, 2.5, 3.5]
    code = np.array([0, 0, 0, 0, 0, 0, q.BAD, 0], np.uint8)
    times = T0 + np.arange(8) * 60 * S
    scans = Samples(np.full(8, tag), times, np.array(tonnes) * 1000, code, times)
    result = replay(network, no_image(len(network.tags)), no_memory(network), scans, times)
    use = result.samples.take(
        result.samples.tag == network.index["alpha/chlorine.mass_flow.consumption"]
    )
    held = use.value[np.searchsorted(use.time_us, times[1:], "right") - 1]
    expected = np.array([2, 2, 2, np.nan, 1, np.nan, np.nan]) * 1000 / 60
    assert held == pytest.approx(expected, nan_ok=True)
