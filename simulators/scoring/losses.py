"""Losses of samples a score is tried with: some at random, or outages of gateways for hours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from twin.arrays import BOOL, F64, HOUR_US, I64

if TYPE_CHECKING:
    from collections.abc import Callable

    from twin.model.park import Park

Loss = Literal["none", "samples", "outages"]
SHARE = 0.1  # of the samples that are lost at random
OUTAGE_US = (HOUR_US, 4 * HOUR_US)  # from the shortest to the longest
OUTAGES_MAX = 2  # of each enterprise in a window
SALT = 7919  # draws of their own: neither those of the plants nor of the instruments


def losing(
    observe: Callable[[I64], F64], park: Park, loss: Loss, seed: int, start_us: int, stop_us: int
) -> Callable[[I64], F64]:
    """Return the readings of instruments of which some do not arrive, NaN.

    Parameters
    ----------
    observe : function of (n,) int64 [µs]
        readings, (n, t)
    park : Park
    loss
        ``samples``: each with the same probability; ``outages``: those of one enterprise, for hours
    seed : int
    start_us, stop_us : int [µs]
        of the window the outages lie in

    Returns
    -------
    function of (n,) int64 [µs]
    """
    owners = np.array([tag.owner for tag in park.tags])

    def at_random(time_us: I64) -> BOOL:
        draws = (np.random.default_rng([SALT, seed, time]) for time in time_us.tolist())
        return np.stack([draw.random(len(owners)) < SHARE for draw in draws])

    def in_outages(time_us: I64) -> BOOL:
        gone = np.zeros((len(time_us), len(owners)), bool)
        for number, owner in enumerate(dict.fromkeys(owners.tolist())):
            rng = np.random.default_rng([SALT, seed, number])
            for _ in range(rng.integers(0, OUTAGES_MAX + 1)):
                from_us = rng.integers(start_us, stop_us)
                silent = (time_us >= from_us) & (time_us < from_us + rng.integers(*OUTAGE_US))
                gone |= silent[:, None] & (owners == owner)
        return gone

    lost = {"samples": at_random, "outages": in_outages}.get(loss)
    if lost is None:
        return observe
    return lambda time_us: np.where(lost(time_us), np.nan, observe(time_us))
