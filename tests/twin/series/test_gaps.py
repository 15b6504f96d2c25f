"""The interval of a ratio holds what deleting minutes changes: 95 % ± 2 % over 200 seeds."""

import numpy as np
import pytest

from twin.reconciliation.uncertainty import half_width
from twin.series.gaps import Pieces, gap_sigma

SEEDS = 200
MINUTES = {"hour": 60, "shift": 480}
# Residuals of energy on mass: noise, processes slower than a gap, and both.
RANGES, NUGGETS = (0, 5, 30, 200), (0.0, 1.0)


def process(rng, count, range_min, nugget):
    """Return 200 courses of a process whose likeness falls with time, with noise on top."""
    noise = rng.standard_normal((SEEDS, count))
    course, alike = noise.copy(), np.exp(-1 / range_min) if range_min else 0.0
    for n in range(1, count):
        course[:, n] = alike * course[:, n - 1] + np.sqrt(1 - alike**2) * noise[:, n]
    return course + nugget * rng.standard_normal((SEEDS, count))


def deleted(rng, count, share, *, outage):
    """Return which minutes are missing: some at random, or one outage of so many."""
    gone = np.zeros((SEEDS, count), bool)
    lost = round(share * count)
    for row in gone:
        start = rng.integers(0, count - lost + 1)
        row[np.arange(start, start + lost) if outage else rng.permutation(count)[:lost]] = True
    return gone


def pieces(amount, gone):
    """Return windows of minutes, (W, K, U), of which some are missing."""
    windows, count = gone.shape
    window = np.repeat(np.arange(windows), count)
    there = ~gone.reshape(-1)
    amount = np.where(there[:, None], amount.reshape(len(there), -1), 0.0)
    return Pieces(window, window, amount, there * 60.0, np.full(len(there), 60.0), nested=False)


def held(rng, count, range_min, nugget, share, *, outage):
    """Return which of the ratios moved no further than their interval."""
    mass = 1 + 0.1 * process(rng, count, 10, 0.0)
    energy = mass * (2 + 0.02 * process(rng, count, range_min, nugget))
    gone = deleted(rng, count, share, outage=outage)
    used, made = ((~gone * each).sum(axis=1) for each in (energy, mass))
    over, under = np.tile([1.0, 0.0], (SEEDS, 1)), np.tile([0.0, 1.0], (SEEDS, 1))
    amount = np.stack([energy, mass], axis=-1)
    share = 1 - gone.mean(axis=1)
    sigma = gap_sigma([pieces(amount, gone)], over, under, used / made, made, share)
    moved = used / made - energy.sum(axis=1) / mass.sum(axis=1)
    return np.abs(moved) <= half_width(sigma)


@pytest.mark.parametrize("window", MINUTES)
@pytest.mark.parametrize("outage", [False, True])
def test_deleting_minutes_changes_a_ratio_only_within_its_own_interval(window, outage):
    rng = np.random.default_rng(7)
    within = [
        held(rng, MINUTES[window], range_min, nugget, share, outage=outage)
        for share in (0.1, 0.25, 0.5)
        for range_min in RANGES
        for nugget in NUGGETS
    ]
    # Seed by seed: a plant, its noise and the minutes that are missing are one draw.
    assert 0.93 <= np.mean(within) <= 0.97
    # An outage of half a window of a slow process is the hardest.
    assert np.mean(within, axis=1).min() > 0.85


def test_nothing_missing_widens_nothing_and_one_piece_alone_cannot_tell():
    rng = np.random.default_rng(1)
    amount, gone = rng.random((2, 4, 2)) + 1, np.zeros((2, 4), bool)
    gone[1, :3] = True
    over, under = np.tile([1.0, 0.0], (2, 1)), np.tile([0.0, 1.0], (2, 1))
    share, total = np.array([1.0, 0.25]), np.array([4.0, 1.0])
    sigma = gap_sigma([pieces(amount, gone)], over, under, np.ones(2), total, share)
    assert sigma[0] == 0.0
    assert np.isnan(sigma[1])


def test_a_window_read_by_hours_has_the_interval_of_one_read_by_minutes():
    """One hour in three of two days has minutes missing at random, and four are silent."""
    rng = np.random.default_rng(3)
    hours = 48
    mass = 1 + 0.1 * process(rng, hours * 60, 10, 0.0)
    energy = mass * (2 + 0.02 * process(rng, hours * 60, 90, 1.0))
    gone = deleted(rng, hours * 60, 0.25, outage=False).reshape(SEEDS, hours, 60)
    gone[:, np.arange(hours) % 3 > 0] = False
    gone[:, 20:24] = True
    amount = np.where(gone[..., None], 0.0, np.stack([energy, mass], -1).reshape(*gone.shape, 2))
    hour = np.arange(SEEDS * hours)
    joint_s = (~gone).sum(axis=2).ravel() * 60.0
    window = hour // hours
    longer = Pieces(
        window, window, amount.sum(axis=2).reshape(-1, 2), joint_s, np.full(len(hour), 3600.0),
        nested=False,
    )  # fmt: skip
    partly = (joint_s > 0) & (joint_s < 3600.0)
    minutes = np.repeat(hour[partly], 60)
    there = ~gone.reshape(-1, 60)[partly].ravel()
    shorter = Pieces(
        minutes // hours, minutes, amount.reshape(-1, 60, 2)[partly].reshape(-1, 2), there * 60.0,
        np.full(len(there), 60.0), nested=True,
    )  # fmt: skip
    flat = ~gone.reshape(SEEDS, -1)
    used, made = (flat * energy).sum(axis=1), (flat * mass).sum(axis=1)
    over, under = np.tile([1.0, 0.0], (SEEDS, 1)), np.tile([0.0, 1.0], (SEEDS, 1))
    share = flat.mean(axis=1)
    sigma = gap_sigma([longer, shorter], over, under, used / made, made, share)
    moved = used / made - energy.sum(axis=1) / mass.sum(axis=1)
    assert 0.92 <= np.mean(np.abs(moved) <= half_width(sigma)) <= 0.98
