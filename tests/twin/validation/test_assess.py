"""Validation of samples: spikes, stuck values, unit errors; and what must not be suspected."""

import time
from dataclasses import replace
from itertools import chain, pairwise, repeat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.small_region import HEADER, SMALLEST
from twin import quality as q
from twin.errors import ModelError
from twin.loading import parse_park
from twin.model.park import Tag
from twin.series.samples import Samples, concatenate
from twin.uom import compile_uom
from twin.validation.assess import assess, no_state
from twin.validation.rules import CheckSpec, compile_limits
from twin.validation.unit_errors import (
    LEARN_US,
    are_late_errors,
    begin_anew,
    dismiss,
    mark,
    restore,
    resume,
)

T0 = 1_760_000_000_000_000
S = 1_000_000
DOUBT = q.UNCERTAIN
STEADY = 900  # half an hour of samples, one in two seconds


def gauge(quantity="mass_flow", uom="t/h", low=np.nan, high=np.nan, **more):
    scale, shift = compile_uom(uom, quantity)
    return Tag(
        tag=more.pop("tag", "FT-1"), owner="acme", scope="acme", quantity=quantity, uom=uom,
        kind="gauge", scale=scale, shift=shift, low=low * scale + shift, high=high * scale + shift,
        **more,
    )  # fmt: skip


def samples_of(tag, own, times, at=0):
    """Return samples of one tag, in its own uom, as decode passes them on."""
    value = np.asarray(own, dtype=np.float64) * tag.scale + tag.shift
    wide = (value < tag.low) | (value > tag.high)
    quality = np.where(np.isnan(value), q.BAD | q.NOT_A_NUMBER, np.where(wide, DOUBT | 1, 0))
    times = np.asarray(times, dtype=np.int64)
    return Samples(np.full(len(value), at), times, value, quality.astype(np.uint8), times)


def run(tag, own, *, rows=(), step_s=2.0, blocks=None, simulated=False):
    """Return quality, suspicions, spikes and state of values that come in blocks of some sizes.

    Of each suspicion the newest entry counts, as in the database.
    """
    limits, state = compile_limits(rows, [tag]), no_state(1)
    samples = samples_of(tag, own, T0 + np.arange(len(own)) * round(step_s * S))
    if simulated:
        samples.quality[:] |= q.SIMULATED
    quality, suspicions, spikes, at = [], {}, 0, 0
    blocks = blocks or some(np.random.default_rng(9))
    while at < len(samples):
        size = next(blocks)
        result = assess(limits, state, samples.take(slice(at, at + size)))
        state = result.state
        quality.append(result.quality)
        suspicions |= {each.since_us: each for each in result.suspicions}
        spikes += result.spikes
        at += size
    return np.concatenate(quality), list(suspicions.values()), spikes, state


def some(rng, most=20):
    """Yield sizes of blocks."""
    while True:
        yield int(rng.integers(1, most))


def noisy(rng, level, spread, count=STEADY):
    return level * (1 + spread * rng.normal(size=count))


RANGED = gauge(low=0, high=100)
RATE = [CheckSpec("acme/FT-1", rate="2 t/h/min")]


def test_spike_is_suspect_and_the_way_back_is_not():
    own = [30.0, 30.1, 55.0, 30.2, 30.3]
    quality, suspicions, spikes, _ = run(gauge(sigma="0.1"), own, rows=RATE)
    assert quality.tolist() == [0, 0, DOUBT | q.RATE_OF_CHANGE, 0, 0]
    assert spikes == 1
    assert suspicions == []


def test_step_is_suspect_until_the_tag_could_have_moved_so_far_and_is_no_spike():
    own = [30.0] * 10 + [36.0] * 120
    quality, _, spikes, _ = run(gauge(sigma="0.1"), own, rows=RATE)
    suspect = np.flatnonzero(quality == DOUBT | q.RATE_OF_CHANGE)
    # 6 t/h take three minutes at 2 t/h a minute, less what the noise of the instrument explains.
    assert suspect.tolist() == list(range(10, 10 + len(suspect)))
    assert 80 <= len(suspect) <= 90
    assert spikes == 0


def test_noise_of_the_instrument_is_not_too_fast():
    own = noisy(np.random.default_rng(1), 30.0, 0.01)
    quality, *_ = run(gauge(sigma="1 %"), own, rows=RATE)
    assert (quality == 0).mean() > 0.999


def test_two_values_of_a_spike_are_suspect_and_counted_once():
    quality, _, spikes, _ = run(gauge(sigma="0.1"), [30, 60, 60, 30, 30], rows=RATE)
    assert (quality > 0).tolist() == [False, True, True, False, False]
    assert spikes == 1


def test_uncertain_and_bad_values_are_not_what_others_are_compared_with():
    tag = gauge(sigma="0.1", low=0, high=50)
    quality, _, spikes, _ = run(tag, [30, 55, np.nan, 30, 30], rows=RATE)
    assert quality.tolist() == [0, DOUBT | q.OUT_OF_RANGE, q.BAD | q.NOT_A_NUMBER, 0, 0]
    assert spikes == 0


STUCK = [CheckSpec("acme/FT-1", stuck_s=60.0, unit_error=False)]


def test_value_without_a_bit_of_change_is_stuck_until_it_changes():
    own = [1.0, 2.0] + [3.0] * 50 + [3.0000001, 3.0]
    quality, *_ = run(gauge(), own, rows=STUCK)
    suspect = np.flatnonzero(quality == DOUBT | q.STUCK)
    # A minute of samples, one in two seconds, since the third.
    assert suspect.tolist() == list(range(2 + 30, 52))


def test_silence_is_not_stuck():
    quality, *_ = run(gauge(gap_s=300.0), [5.0] * 20, rows=STUCK, step_s=301.0)
    assert (quality == 0).all()
    quality, *_ = run(gauge(gap_s=300.0), [5.0] * 20, rows=STUCK, step_s=300.0)
    assert (quality[1:] == DOUBT | q.STUCK).all()


def test_simulated_flag_stays_on_doubtful_values():
    quality, *_ = run(gauge(sigma="0.1"), [30, 60, 30], rows=RATE, simulated=True)
    assert quality.tolist() == [32, DOUBT | q.SIMULATED | q.RATE_OF_CHANGE, 32]


# Factor and the level [own uom] it happens to; the range is 0 to 100.
OUTSIDE = [(1000.0, 36.4), (3.6, 60.0)]
INSIDE = [(0.001, 36.4), (1 / 3.6, 36.4), (3.6, 20.0)]


def rows_of(suspicions):
    """Return (state, first sample, newest sample, number) of suspicions, in samples since T0."""
    return [
        (each.state, *((t - T0) // (2 * S) for t in (each.since_us, each.last_us)), each.samples)
        for each in suspicions
    ]


@pytest.mark.parametrize(("factor", "level"), OUTSIDE)
@pytest.mark.parametrize("spread", [0.0, 0.002, 0.01])
def test_unit_error_out_of_the_range_is_bad_from_its_first_sample(factor, level, spread):
    rng = np.random.default_rng(3)
    own = noisy(rng, level, spread, STEADY + 110)
    own[STEADY : STEADY + 100] *= factor
    quality, suspicions, _, state = run(RANGED, own, blocks=some(rng))
    assert (quality[STEADY : STEADY + 100] == q.BAD | q.UNIT_ERROR).all()
    assert (quality[:STEADY] == 0).all()
    assert (quality[STEADY + 100 :] == 0).all()
    assert rows_of(suspicions) == [("ended", STEADY, STEADY + 99, 100)]
    assert state.levels.level[0] * 3.6 == pytest.approx(level, rel=0.01)


@pytest.mark.parametrize(("factor", "level"), INSIDE)
@pytest.mark.parametrize("spread", [0.0, 0.002, 0.01])
def test_unit_error_inside_the_range_is_uncertain_and_nothing_more(factor, level, spread):
    rng = np.random.default_rng(5)
    own = noisy(rng, level, spread, STEADY + 110)
    own[STEADY : STEADY + 100] *= factor
    quality, suspicions, _, state = run(RANGED, own, blocks=some(rng))
    assert (quality[STEADY : STEADY + 100] == DOUBT | q.UNIT_ERROR).all()
    assert (quality[:STEADY] == 0).all()
    assert (quality[STEADY + 100 :] == 0).all()
    assert rows_of(suspicions) == [("ended", STEADY, STEADY + 99, 100)]
    assert suspicions[0].level * 3.6 == pytest.approx(level, rel=0.01)
    assert state.levels.level[0] * 3.6 == pytest.approx(level, rel=0.01)


@pytest.mark.parametrize(("uom", "level", "other"), [("degC", 80.0, 176.0), ("degF", 176.0, 80.0)])
def test_celsius_and_fahrenheit_are_told_apart(uom, level, other):
    own = np.full(STEADY + 20, level)
    own[STEADY:] = other
    own += np.random.default_rng(7).normal(scale=0.2, size=len(own))
    _, suspicions, _, _ = run(gauge("temperature", uom, -20, 400), own)
    assert rows_of(suspicions) == [("open", STEADY, STEADY + 19, 20)]


@pytest.mark.parametrize("level", [15.0, 3.0, -12.0])
def test_a_drift_near_the_zero_of_its_scale_leaves_a_tag_steady_enough(level):
    own = level + np.linspace(-2.0, 0.0, STEADY + 20)
    own[STEADY:] = own[STEADY:] * 1.8 + 32.0
    own += np.random.default_rng(7).normal(scale=0.1, size=len(own))
    quality, suspicions, _, _ = run(gauge("temperature", "degC", -30, 400), own)
    assert rows_of(suspicions) == [("open", STEADY, STEADY + 19, 20)]
    assert (quality[:STEADY] == 0).all()


def test_kelvin_and_pressures_have_no_unit_error_of_another_quantity():
    for tag, factor in ((gauge("temperature", "K"), 1.8), (gauge("pressure", "bar"), 3.6)):
        own = np.full(STEADY + 20, 80.0)
        own[STEADY:] *= factor
        quality, suspicions, _, _ = run(tag, own)
        assert suspicions == []
        assert (quality == 0).all()


def test_unit_error_after_a_long_silence_is_seen_and_no_level_of_its_own():
    limits, tag = compile_limits([], [gauge()]), gauge()
    *_, state = run(tag, [36.4] * STEADY)
    later = T0 + 86_400 * S + np.arange(500) * 2 * S
    result = assess(limits, state, samples_of(tag, [0.0364] * 500, later))
    assert (result.quality == DOUBT | q.UNIT_ERROR).all()
    assert [each.samples for each in result.suspicions] == [500]


def test_nothing_is_a_unit_error_before_the_tag_was_steady_long_enough():
    for steady in (20, 60):
        own = [36.4] * steady + [36_400.0] * 5
        assert run(RANGED, own)[1] == []
    restless = np.random.default_rng(1).uniform(10, 60, STEADY)
    assert run(RANGED, [*restless, 36_400.0])[1] == []


def test_unit_errors_can_be_switched_off():
    own = [36.4] * STEADY + [36_400.0] * 5
    rows = [CheckSpec("acme/FT-1", unit_error=False)]
    assert run(RANGED, own, rows=rows)[1] == []


def after(tag, state, own, start, *, step_s=2.0):
    """Return the assessment of values that come after others, from sample number `start` on."""
    times = T0 + start * 2 * S + np.arange(len(own)) * round(step_s * S)
    return assess(compile_limits([], [tag]), state, samples_of(tag, own, times))


def test_dismissed_step_is_trusted_at_once_and_never_suspected_again():
    _, (suspicion,), _, state = run(RANGED, [36.0] * STEADY + [10.0] * 50)
    state = state.copy()
    assert dismiss(state.levels, suspicion, 10.0 / 3.6)
    # Long enough on either side for the level to be learnt, twice.
    for nth, own in enumerate((10.0, 36.0, 10.0, 36.0)):
        result = after(RANGED, state, [own] * STEADY, (1 + nth) * STEADY + 50)
        assert not result.quality.any()
        assert result.suspicions == ()
        state = result.state
    # Another one is.
    result = after(RANGED, state, [0.036] * 10, 5 * STEADY + 50)
    assert (result.quality == DOUBT | q.UNIT_ERROR).all()


def test_dismissal_of_a_step_that_is_over_keeps_the_level():
    _, (suspicion,), _, state = run(RANGED, [36.0] * STEADY + [10.0] * 50 + [36.0] * 50)
    assert suspicion.state == "ended"
    state = state.copy()
    assert not dismiss(state.levels, suspicion, 10.0 / 3.6)
    assert state.levels.weight[0] > 0.9
    assert not after(RANGED, state, [10.0] * 50, STEADY + 100).quality.any()


def test_unanswered_step_is_learnt_after_a_day_and_the_way_back_is_not_suspected():
    day = LEARN_US // (60 * S)
    *_, state = run(RANGED, [36.0] * STEADY)
    result = after(RANGED, state, [10.0] * (day + 60), STEADY, step_s=60.0)
    assert (result.quality[:day] == DOUBT | q.UNIT_ERROR).all()
    assert not result.quality[day:].any()
    (suspicion,) = result.suspicions
    assert (suspicion.state, suspicion.samples) == ("learnt", day)
    start = STEADY + (day + 60) * 30
    result = after(RANGED, result.state, [36.0] * STEADY, start)
    assert not result.quality.any()
    # It went where it was, and the same may be suspected again.
    assert after(RANGED, result.state, [10.0] * 5, start + STEADY).quality.all()


def test_unit_error_out_of_the_range_stays_bad_however_long_it_lasts():
    *_, state = run(RANGED, [36.0] * STEADY)
    result = after(RANGED, state, [36_000.0] * 3000, STEADY, step_s=60.0)
    assert (result.quality == q.BAD | q.UNIT_ERROR).all()
    assert [(each.state, each.samples) for each in result.suspicions] == [("open", 3000)]
    assert not after(RANGED, result.state, [36.0] * 10, STEADY + 90_000).quality.any()


def test_corrected_suspicion_goes_on_as_a_new_one_that_has_a_day_again():
    _, (suspicion,), _, state = run(RANGED, [36.0] * STEADY + [10.0] * 50)
    state = state.copy()
    begin_anew(state.levels, suspicion)
    result = after(RANGED, state, [10.0] * 30, STEADY + 50)
    assert rows_of(result.suspicions) == [("open", STEADY + 50, STEADY + 79, 30)]
    late = samples_of(RANGED, [10.0], [T0 + LEARN_US * 2])
    late = assess(compile_limits([], [RANGED]), state, late)
    assert late.quality.tolist() == [DOUBT | q.UNIT_ERROR]


def test_open_suspicion_goes_on_after_a_start():
    limits = compile_limits([], [RANGED])
    _, (suspicion,), _, state = run(RANGED, [36.0] * STEADY + [10.0] * 50)
    fresh = no_state(1)
    resume(limits, fresh.levels, suspicion)
    for start in (state, fresh):
        result = after(RANGED, start, [10.0] * 10 + [36.0] * 5, STEADY + 50)
        assert rows_of(result.suspicions) == [("ended", STEADY, STEADY + 59, 60)]
        assert (result.quality > 0).tolist() == [True] * 10 + [False] * 5
        late = samples_of(RANGED, [10.0, 36.0], [T0 + (STEADY + 30) * 2 * S] * 2)
        assert are_late_errors(start.levels, late).tolist() == [True, False]


def test_uncertain_samples_keep_their_reason_and_the_simulated_flag():
    samples = samples_of(RANGED, [10.0, 10.0, 10_000.0, 10_000.0], T0 + np.arange(4))
    samples.quality[:] = [q.SIMULATED, DOUBT | q.MANUAL, DOUBT | q.OUT_OF_RANGE, q.SIMULATED]
    bad = q.BAD | q.UNIT_ERROR
    assert mark(compile_limits([], [RANGED]), samples).tolist() == [
        DOUBT | q.SIMULATED | q.UNIT_ERROR, DOUBT | q.MANUAL, bad, bad | q.SIMULATED
    ]  # fmt: skip


def tails(rng, level, spread):
    """Return what a process may do, and no unit error does."""
    count = 300
    step = rng.choice([0.3, 0.5, 0.7, 1.3, 1.5, 2.0, 2.5])
    slope = np.arange(count) / count
    toggle = np.where(np.arange(count) // 25 % 2, 1.6, 1.0)
    return {
        "step": noisy(rng, step * level, spread, count),
        "trip": np.zeros(count),
        "trip, with the noise of a standstill": rng.normal(size=count) * level * 1e-3,
        "trip, with a positive one": np.abs(rng.normal(size=count)) * level * 2e-3,
        "ramp up": noisy(rng, level, spread, count) * (1 + 4 * slope),
        "ramp down": noisy(rng, level, spread, count) * (1 - slope),
        "steps to and fro": noisy(rng, level, spread, count) * toggle,
    }


def test_what_a_process_does_is_never_suspected():
    """Two hundred processes of each sort, side by side."""
    tags, columns, names = [], [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        level, spread = rng.uniform(5, 60), rng.choice([0.0, 0.002, 0.005, 0.01, 0.015])
        tag, before = gauge(low=rng.choice([0.0, 2.0]), high=100), noisy(rng, level, spread)
        for name, tail in tails(rng, level, spread).items():
            times = T0 + np.arange(STEADY + len(tail)) * 2 * S
            columns.append(samples_of(tag, np.append(before, tail), times, len(tags)))
            tags.append(tag)
            names.append(f"{name}, seed {seed}")
    limits, state, suspected = compile_limits([], tags), no_state(len(tags)), set()
    edges = np.cumsum([0, STEADY, *np.random.default_rng(1).integers(1, 60, 12)])
    for start, stop in pairwise(edges.tolist()):
        now = [column.take(slice(start, stop)) for column in columns]
        result = assess(limits, state, concatenate(*now))
        state = result.state
        suspected |= {names[each.tag] for each in result.suspicions}
        assert (result.quality < q.BAD).all()
    assert stop >= STEADY + 250
    assert suspected == set()


def test_step_becomes_the_new_level_and_a_unit_error_of_that_is_seen():
    rng = np.random.default_rng(2)
    levels = (36.0, STEADY), (50.0, STEADY), (50_000.0, 20)
    own = np.concatenate([noisy(rng, level, 0.005, count) for level, count in levels])
    quality, suspicions, _, _ = run(RANGED, own, blocks=some(rng))
    assert rows_of(suspicions) == [("open", 2 * STEADY, 2 * STEADY + 19, 20)]
    assert (quality[: 2 * STEADY] == 0).all()


def test_one_odd_value_in_a_unit_error_does_not_end_it():
    own = np.full(STEADY + 50, 20.0)
    own[STEADY : STEADY + 40] = 72.0
    own[STEADY + 20] = 41.0
    quality, suspicions, _, _ = run(RANGED, own)
    assert np.flatnonzero(quality[STEADY : STEADY + 40] == 0).tolist() == [20]
    assert rows_of(suspicions) == [("ended", STEADY, STEADY + 39, 39)]


def test_single_values_and_blocks_come_to_the_same():
    rng = np.random.default_rng(4)
    own = noisy(rng, 20.0, 0.005, STEADY + 300)
    own[STEADY + 50 : STEADY + 80] *= 3.6
    own[[STEADY + 120, STEADY + 160, STEADY + 161]] = 90.0
    own[STEADY + 200 : STEADY + 260] = 20.0
    rows = [CheckSpec("acme/FT-1", rate="20 t/h/min", stuck_s=60.0)]
    one, block, whole = (
        run(gauge(low=0, high=100, sigma="1 %"), own, rows=rows, blocks=sizes)
        for sizes in (chain([STEADY], repeat(1)), chain([STEADY], some(rng)), iter([STEADY, 300]))
    )
    assert {q.RATE_OF_CHANGE, q.STUCK, q.UNIT_ERROR} <= set((one[0] & 31).tolist())
    assert one[2] == block[2] == 2
    assert one[0].tolist() == block[0].tolist()
    assert rows_of(one[1]) == rows_of(block[1]) == rows_of(whole[1])
    assert len(one[1]) == 1


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_no_sample_inside_its_range_is_worse_than_uncertain_and_blocks_change_nothing(seed):
    """A tag walks over its level times the factors of unit errors, with pauses and odd values."""
    rng, tag = np.random.default_rng(seed), RANGED
    pieces = [noisy(rng, rng.uniform(5, 60), 0.005)]
    for _ in range(8):
        factor = rng.choice([1.0, 3.6, 1 / 3.6, 1000.0, 0.001, rng.uniform(0.1, 3)])
        pieces.append(noisy(rng, pieces[0][0] * factor, 0.005, int(rng.integers(1, 80))))
    own = np.concatenate(pieces)
    wide = (own < 0) | (own > 100)
    results = [
        run(tag, own, blocks=chain([STEADY], sizes))
        for sizes in (repeat(1), some(np.random.default_rng(seed)))
    ]
    for quality, suspicions, _, _ in results:
        assert (quality[~wide] < q.BAD).all()
        assert (quality[wide] >= q.UNCERTAIN).all()
        assert set((quality[quality >= q.BAD] & 31).tolist()) <= {q.UNIT_ERROR}
        marked = np.flatnonzero((quality & 31) == q.UNIT_ERROR)
        for each in rows_of(suspicions):
            assert each[1] in marked
            assert each[3] <= each[2] - each[1] + 1
    assert results[0][0].tolist() == results[1][0].tolist()
    assert rows_of(results[0][1]) == rows_of(results[1][1])


def test_late_sample_is_suspected_only_where_others_are():
    own = [36.4] * STEADY + [36_400.0] * 10 + [36.4] * 10
    quality, _, _, state = run(RANGED, own)
    at = T0 + np.flatnonzero(quality)[[0, 5]] * 2 * S
    late = samples_of(RANGED, [36_400.0, 36.4, 36_400.0], [at[0], at[1], at[0] - 2 * S])
    assert are_late_errors(state.levels, late).tolist() == [True, False, False]


def test_stored_level_is_one_for_the_first_sample():
    state = no_state(1)
    levels = restore(
        state.levels, np.array([0]), np.array([36.4 / 3.6]), np.array([0.01]),
        np.array([1800.0]), np.array([900]),
    )  # fmt: skip
    state = replace(state, levels=levels)
    result = assess(compile_limits([], [RANGED]), state, samples_of(RANGED, [36_400.0], [T0]))
    assert result.quality.tolist() == [q.BAD | q.UNIT_ERROR]


def test_nothing_and_tags_that_are_not_checked_pass():
    tag = gauge()
    state = Tag("XS-1", "acme", "acme", "state", "", "state", 1.0, 0.0)
    limits = compile_limits([], [state, tag])
    before = no_state(2)
    empty = samples_of(tag, [], [])
    assert len(assess(limits, before, empty).quality) == 0
    result = assess(limits, before, samples_of(state, [1, 0, 1], T0 + np.arange(3), at=0))
    assert result.state is before
    assert not result.quality.any()


def test_calm_samples_cost_little():
    tags, each = 1000, 100
    limits = compile_limits([], [gauge(tag=f"FT-{i}") for i in range(tags)])
    rng = np.random.default_rng(1)
    tag = np.repeat(np.arange(tags), each)
    state, spent = no_state(tags), []
    for block in range(20):
        time_us = T0 + np.tile(np.arange(each), tags) * S + block * each * S
        value = 10.0 * (1 + 0.005 * rng.normal(size=len(tag)))
        samples = Samples(tag, time_us, value, np.zeros(len(tag), np.uint8), time_us)
        began = time.perf_counter()
        state = assess(limits, state, samples).state
        spent.append(time.perf_counter() - began)
    # Measured 5 ms on one shared core; ten times that would be felt.
    assert min(spent) < 0.05


TAGS = """FT-1,tiny/acme,mass_flow,t/h,gauge,0,100,1 %,a flow
TT-1,tiny/acme,temperature,degC,gauge,,,0.5,a temperature
JQ-1,tiny/acme,energy,kWh,counter,,,,a meter
"""


def model(checks):
    return parse_park({"park.toml": SMALLEST + checks, "tags.csv": HEADER + TAGS})


def test_checks_of_the_model_are_compiled_to_si():
    park = model(
        '[[check]]\ntag = "acme/FT-1"\nrate = "2 t/h/min"\nstuck = "30 min"\n'
        '[[check]]\ntag = "acme/TT-1"\nrate = "6 degC/min"\nunit_error = false\n'
    )
    limits = compile_limits(park.rows(CheckSpec), park.tags)
    np.testing.assert_allclose(limits.rate, [2 / 3.6 / 60, 0.1, np.inf])
    assert limits.stuck_us[0] == 1800 * S
    assert limits.followed.tolist() == [True, False, False]
    assert limits.validated.tolist() == [True, True, False]


def test_checks_that_cannot_be_are_problems_with_their_line():
    with pytest.raises(ModelError) as caught:
        model(
            '[[check]]\ntag = "acme/FT-1"\nrate = "2 t/min"\n'
            '[[check]]\ntag = "acme/FT-1"\nstuck = "0 min"\n'
            '[[check]]\ntag = "acme/JQ-1"\nunit_error = true\n'
            '[[check]]\ntag = "acme/TT-1"\n'
        )
    text = "\n".join(caught.value.problems)
    assert "'2 t/min' is not a change of mass_flow in time (write it like '2 kg/s/min')" in text
    assert "line 10 has it already" in text
    assert "stuck is not above 0" in text
    assert "it is a counter; only a gauge can be checked" in text
    assert "needs rate, stuck or unit_error" in text
