"""A counter that misbehaves counts what its meter has counted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.series import S, samples_at, series
from twin import quality as q
from twin.arrays import DAY_US, HOUR_US, MINUTE_US, NEVER
from twin.series.counters import Findings, increase, mark_falls, step_back
from twin.series.image import no_image
from twin.series.minutes import Minutes, aggregate, no_open_minutes
from twin.series.samples import Samples

UINT32 = 4294967295.0
REPLACED = q.REPLACED


def counted(times_s, values, qualities=None, findings=None, blocks=1, close_s=None, **traits):
    """Return the minutes of a counter."""
    open_minutes, kind = no_open_minutes(1), series("counter", **traits)
    samples = samples_at(times_s, values, qualities)
    out = [
        aggregate(open_minutes, kind, samples.take(part), NEVER, findings)
        for part in np.array_split(np.arange(len(samples)), blocks)
    ]
    if close_s is not None:
        none = samples.take(slice(0, 0))
        out.append(aggregate(open_minutes, kind, none, close_s * S, findings))
    return Minutes(*(np.concatenate([getattr(o, n) for o in out]) for n in Minutes.__slots__))


def every_minute(values, **traits):
    return counted(range(0, 60 * len(values), 60), values, **traits)


@pytest.mark.parametrize("blocks", [1, 2, 4])
@pytest.mark.parametrize(
    ("values", "amounts"),
    [
        ([20292.6, 20292.8, 20292.7, 20293.0], [0.2, 0.0, 0.2]),
        ([999_990.0, 1_000_000.0, 999_999.9, 1_000_010.0], [10.0, 0.0, 10.0]),
    ],
)
def test_a_fall_by_a_hair_is_no_reset_and_no_minute_is_negative(values, amounts, blocks):
    rows = every_minute(values, blocks=blocks)
    assert rows.amount == pytest.approx(amounts, abs=1e-9)
    assert rows.quality.tolist() == [q.GOOD] * 3
    assert rows.last.max() == values[1]  # the register stands at its greatest reading


def test_a_declared_resolution_or_sigma_is_no_reset_of_a_small_register():
    values = [5.0, 6.0, 5.5, 7.0]
    assert every_minute(values, resolution=0.5).amount.tolist() == [1.0, 0.0, 1.0]
    assert every_minute(values, sigma="0.2").amount.tolist() == [1.0, 0.0, 1.0]
    assert every_minute(values).amount.sum() == 2.0


def test_register_that_stands_still_and_is_noisy_counts_its_noise_once():
    rng = np.random.default_rng(1)
    rows = every_minute((1000.0 + rng.uniform(-0.05, 0.05, 500)).tolist())
    assert 0 <= rows.amount.sum() <= 0.1
    assert (rows.amount >= 0).all()


@pytest.mark.parametrize("blocks", [1, 3, 5])
@pytest.mark.parametrize("false", [[0.0], [0.0, 0.0, 0.0], [-1.0], [17.0, 3.0], [UINT32]])
def test_register_that_reads_a_false_value_for_a_while_has_counted_on(false, blocks):
    values = [15508.0, 15508.2, *false, 15508.4, 15508.5]
    findings = Findings()
    rows = every_minute(values, blocks=blocks, findings=findings)
    assert rows.amount.sum() == pytest.approx(0.5)
    doubtful = q.UNCERTAIN | q.FALSE_READING
    assert rows.quality.tolist() == [q.GOOD, *[doubtful] * (len(false) + 1), q.GOOD]
    assert findings.falls == []


@pytest.mark.parametrize("sentinel", [UINT32, UINT32 / 10, 65535.0, 3.4028234663852886e38, 1e9])
def test_a_bounded_counter_is_never_above_its_bounds(sentinel):
    rows = every_minute([15508.0, sentinel, 15508.2], high=60_000.0)
    assert rows.amount.sum() == pytest.approx(0.2)
    rows = every_minute([15508.0, sentinel, 15508.2, 15508.3])
    assert rows.amount.sum() == pytest.approx(0.3) or sentinel == 1e9
    rows = every_minute([15508.0, sentinel, 15508.2, 15508.3], rate=1.0)
    assert rows.amount.sum() == pytest.approx(0.3)
    rows = every_minute([15508.0, -5.0, 15508.2], low=0.0)
    assert rows.amount.sum() == pytest.approx(0.2)
    assert rows.quality.tolist() == [q.GOOD, q.GOOD]


def test_a_jump_that_goes_on_was_one_of_the_register():
    findings = Findings()
    rows = every_minute([30_000.0, 65_535.0, 65_536.0], findings=findings)
    assert rows.amount.tolist() == [35_535.0, 1.0]
    assert findings.falls == []
    # Faster than the model says it can be: another register, of which the rise is not known.
    rows = every_minute([100.0, 5000.0, 5001.0], rate=1.0, findings=findings)
    assert rows.amount[rows.covered_us > 0].tolist() == [1.0]
    assert [fall[1:] for fall in findings.falls] == [(0, 100.0, MINUTE_US, 5000.0)]


HOURS = {"25 h": 25, "7 days": 7 * 24, "31 days": 31 * 24, "24 h 05 min": 24 + 1 / 12}


@pytest.mark.parametrize("apart", HOURS)
def test_increase_between_sparse_readings_counts_and_is_marked_as_spread(apart):
    span_s = round(HOURS[apart] * 3600)
    rows = counted([0, span_s, 2 * span_s], [0.0, 1000.0, 1500.0])
    before = rows.time_us < span_s * S
    assert rows.amount[before].sum() == pytest.approx(1000.0, rel=1e-12)
    assert rows.amount[~before].sum() == pytest.approx(500.0, rel=1e-12)
    assert set(rows.quality.tolist()) == {q.UNCERTAIN | q.SPREAD}
    assert rows.covered_us.tolist() == [MINUTE_US] * (2 * span_s // 60)


def test_a_longer_gap_in_the_model_makes_sparse_readings_usual():
    rows = counted([0, 24 * 3600], [0.0, 1440.0], gap_s=25 * 3600)
    assert set(rows.quality.tolist()) == {q.GOOD}
    assert counted([0, 3600], [0.0, 60.0]).quality.max() == q.GOOD


def test_a_replaced_meter_without_its_event_counts_what_is_known_and_is_listed():
    findings = Findings()
    rows = every_minute([999_300.0, 999_400.0, 420_000.0, 420_020.0], findings=findings)
    assert rows.amount[rows.covered_us > 0].tolist() == [100.0, 20.0]
    assert rows.quality[rows.covered_us == 0].tolist() == [q.NO_DATA]
    assert findings.falls == [(0, 60 * S, 999_400.0, 120 * S, 420_000.0)]


def test_a_replaced_meter_with_its_event_counts_on():
    findings = Findings()
    values = [999_400.0, 999_460.0, 420_000.0, 420_000.0, 420_020.0]
    quality = [q.GOOD, q.MANUAL, REPLACED, q.GOOD, q.GOOD]
    rows = counted([0, 30, 31, 60, 120], values, quality, findings)
    assert rows.amount.sum() == pytest.approx(80.0)
    assert findings.falls == []
    assert q.usable(rows.quality).all()


def test_a_new_meter_that_reads_more_than_the_old_one_counts_on():
    rows = counted([0, 30, 31, 60], [100.0, 110.0, 5000.0, 5010.0], [0, q.MANUAL, REPLACED, 0])
    assert rows.amount.sum() == pytest.approx(20.0)


def test_a_register_that_was_reset_counts_what_it_shows_and_is_listed():
    findings = Findings()
    rows = every_minute([100.0, 160.0, 10.0, 30.0], findings=findings)
    assert rows.amount.tolist() == [60.0, 10.0, 20.0]
    assert rows.quality.tolist() == [q.GOOD, q.UNCERTAIN | q.RESET, q.GOOD]
    assert len(findings.falls) == 1


def test_a_fall_waits_for_the_next_reading_that_moves_or_for_the_end():
    assert every_minute([100.0, 160.0, 0.0]).amount.tolist() == [60.0]
    assert every_minute([100.0, 160.0, 0.0, 0.0, 0.0]).amount.tolist() == [60.0]
    findings = Findings()
    rows = counted([0, 60, 120, 180], [100.0, 160.0, 0.0, 0.0], findings=findings, close_s=300)
    assert rows.amount.tolist() == [60.0, 0.0, 0.0, 0.0]
    assert rows.covered_us.tolist() == [MINUTE_US, 0, MINUTE_US, 0]
    assert len(findings.falls) == 1


def test_a_zero_just_below_the_top_is_false_when_the_register_is_back():
    assert every_minute([990.0, 0.0, 991.0], high=1000.0).amount.sum() == pytest.approx(1.0)
    assert every_minute([990.0, 0.0, 4.0], high=1000.0).amount.tolist() == [10.0, 4.0]


def test_increase_of_two_readings():
    last = np.array([100.0, 990.0, 100.0, 100.0, np.nan])
    new = np.array([101.0, 5.0, 99.995, 50.0, 7.0])
    rise, fallen = increase(last, new, np.array([np.nan, 1000.0, *[np.nan] * 3]))
    np.testing.assert_allclose(rise, [1.0, 15.0, 0.0, np.nan, np.nan])
    assert fallen.tolist() == [False, False, False, True, False]
    assert step_back(np.array([1e6, 10.0]), np.array([0.0, 0.5])) == pytest.approx([100.0, 0.5])


def test_a_fall_gives_no_rate_and_neither_does_the_way_back():
    image, traits = no_image(1), series("counter")
    rates = []
    for number, value in enumerate([15508.0, 15508.2, 0.0, 0.0, 15508.4, 15508.6]):
        samples = mark_falls(image, traits, samples_at([60 * number], [value]))
        image.update(samples, traits)
        rates.append(image.rate[0] * 60)
    np.testing.assert_allclose(rates, [np.nan, 0.2, np.nan, np.nan, np.nan, 0.2], rtol=1e-6)


def test_a_jump_to_a_sentinel_gives_no_rate_and_neither_does_the_way_back():
    image, traits, rates = no_image(1), series("counter"), []
    for number, value in enumerate([15508.0, 15508.2, UINT32, 15508.4, 15508.6, 15508.8]):
        image.update(mark_falls(image, traits, samples_at([60 * number], [value])), traits)
        rates.append(image.rate[0] * 60)
    np.testing.assert_allclose(rates, [np.nan, 0.2, *[np.nan] * 3, 0.2], rtol=1e-6)


def test_falls_are_marked_the_same_in_blocks_of_any_size():
    values = [5.0, 6.0, 0.0, 0.0, 1.0, 2.0, 1.0, 1.0, 7.0]
    marks = []
    for size in (1, 2, 9):
        image, traits, quality = no_image(1), series("counter"), []
        samples = samples_at([60 * n for n in range(9)], values)
        for at in range(0, 9, size):
            part = mark_falls(image, traits, samples.take(slice(at, at + size)))
            image.update(part, traits)
            quality += part.quality.tolist()
        marks.append([code >= q.UNCERTAIN for code in quality])
    assert marks[0] == [False] * 2 + [True] * 2 + [False] * 2 + [True] * 2 + [False]
    assert marks[1] == marks[0] == marks[2]


def register_of(rng, resolution, top):
    """Return what is read of a true meter, (time [s], value, quality), and the truth at each.

    Readings are on the minute. Of a false one there is no truth.
    """
    truth, register, second = rng.uniform(0, top), 0.0, 0
    offset = 0.0  # of the register below the truth
    rows, truths = [], []
    for _ in range(int(rng.integers(4, 40))):
        kind = rng.choice(["read", "jitter", "outage", "replace", "zero", "sentinel"],
                          p=[0.5, 0.15, 0.15, 0.05, 0.1, 0.05])  # fmt: skip
        wait = 60 * int(rng.integers(1, 3000 if kind == "outage" else 20))
        truth_before = truth
        second += wait
        truth += rng.choice([0.0, 1.0]) * wait * rng.uniform(0.0, 0.02 * top / 180_000)
        register = np.floor((truth - offset) / resolution) * resolution % top
        if kind in ("zero", "sentinel"):
            rows.append((second, 0.0 if kind == "zero" else UINT32, q.GOOD))
            truths.append(np.nan)
            continue
        if kind == "replace":
            last = np.floor((truth - offset) / resolution) * resolution % top
            first = np.floor(rng.uniform(0, top) / resolution) * resolution
            at = second - 30
            middle = (truth_before + truth) / 2
            last = np.floor((middle - offset) / resolution) * resolution % top
            offset = middle - first
            rows += [(at, last, q.MANUAL), (at + 1, first, REPLACED)]
            truths += [np.nan, np.nan]
            register = np.floor((truth - offset) / resolution) * resolution % top
        elif kind == "jitter" and register >= resolution:
            register -= resolution * rng.uniform(0, 0.9)
        rows.append((second, register, q.GOOD))
        truths.append(truth)
    for _ in range(2):
        second, truth = second + 60, truth + 2 * resolution
        register = np.floor((truth - offset) / resolution) * resolution % top
        rows.append((second, register, q.GOOD))
        truths.append(truth)
    return rows, np.array(truths)


@pytest.mark.parametrize("seed", range(400))
def test_every_window_whose_ends_are_read_has_the_true_amount(seed):
    rng = np.random.default_rng(seed)
    resolution, top = 0.1, 100_000.0
    rows, truths = register_of(rng, resolution, top)
    second, values, quality = (np.array(column) for column in zip(*rows, strict=True))
    minutes = counted(second, values, quality, high=top, low=0.0, resolution=resolution,
                      blocks=int(rng.integers(1, 6)))  # fmt: skip
    # A window from a true reading to another: its minutes against the meter.
    read = np.flatnonzero(~np.isnan(truths))
    total = np.append(0.0, np.cumsum(minutes.amount))
    at = total[np.searchsorted(minutes.time_us, second[read] * S)]
    error = (at[None, :] - at[:, None]) - (truths[read][None, :] - truths[read][:, None])
    # Each end, and each meter that was taken over, is read with the resolution of its register.
    replaced = (quality == REPLACED).sum()
    assert np.abs(error).max() <= (2 + 2 * replaced) * resolution
    assert (minutes.amount >= -1e-9).all()


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_registers_that_misbehave_give_the_same_bits_in_any_blocks(data):
    count = data.draw(st.integers(2, 30))
    value = st.sampled_from([0.0, 100.0, 100.05, 101.0, 200.0, 990.0, 5.0, UINT32])
    values = data.draw(st.lists(value, min_size=count, max_size=count))
    code = st.sampled_from([q.GOOD] * 8 + [q.BAD, REPLACED, q.UNCERTAIN | q.RESET])
    quality = data.draw(st.lists(code, min_size=count, max_size=count))
    high = data.draw(st.sampled_from([np.nan, 1000.0]))
    rate = data.draw(st.sampled_from([np.inf, 0.05]))
    times = range(0, 70 * count, 70)
    blocks = data.draw(st.integers(1, count))
    one, other = Findings(), Findings()
    whole = counted(times, values, quality, one, high=high, rate=rate)
    parts = counted(times, values, quality, other, blocks, high=high, rate=rate)
    for name in Minutes.__slots__:
        assert getattr(whole, name).tobytes() == getattr(parts, name).tobytes(), name
    assert one == other


def test_readings_a_month_apart_of_many_meters_are_bounded_in_rows():
    assert 31 * DAY_US // MINUTE_US == 31 * 24 * HOUR_US // MINUTE_US == 44_640
    tags = 3
    open_minutes, traits = no_open_minutes(tags), series("counter", tags=tags)
    tag = np.arange(tags)

    def reading(time_us, value):
        time = np.full(tags, time_us)
        return Samples(tag, time, np.full(tags, value), np.zeros(tags, np.uint8), time)

    aggregate(open_minutes, traits, reading(0, 0.0), NEVER)
    rows = aggregate(open_minutes, traits, reading(31 * DAY_US, 744.0), NEVER)
    assert len(rows) == tags * 44_640
    assert np.bincount(rows.tag, rows.amount) == pytest.approx([744.0] * tags)
