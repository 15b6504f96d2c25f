"""Traits of series: gap limits, counters with their registers, states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import BOOL, F64, I64, Columns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twin.model.park import Tag

# Two readings of a register that stands still differ by no more than so many of their deviations.
NOISE_SIGMAS = 4.0


@dataclass(frozen=True, slots=True)
class SeriesTraits(Columns):
    """Traits of T tags. A tag that is neither a counter nor a state is a gauge."""

    counter: BOOL  # (T,) its increase counts; so is an amount of the books, which shows no rate
    state: BOOL  # (T,) the time it is not zero counts
    gap_us: I64  # (T,) a value holds this long; a counter is usually read as often
    rollover: F64  # (T,) [SI] the register starts again at zero; NaN = never, or no counter
    low: F64  # (T,) [SI] least reading of the register of a counter; NaN = any, or no counter
    resolution: F64  # (T,) [SI] a register steps back so far by jitter; 0 = not known
    rate: F64  # (T,) [SI/s] a register moves no faster; inf = not known, -inf = it has none
    scale: F64  # (T,) value [SI] = value [own uom] * scale + shift
    shift: F64  # (T,)
    manual: BOOL  # (T,) people enter it by period: it has hours, and no minutes


def traits_of(tags: Iterable[Tag]) -> SeriesTraits:
    """Return the traits of tags; a counter's `high` is the range of its register."""
    tags = tuple(tags)
    counter = np.array([tag.kind == "counter" for tag in tags], bool)
    amount = np.array([tag.kind == "amount" for tag in tags], bool)

    def column(name: str) -> F64:
        return np.array([getattr(tag, name) for tag in tags], np.float64)

    return SeriesTraits(
        counter=counter | amount,
        state=np.array([tag.kind == "state" for tag in tags], bool),
        gap_us=np.array([round(tag.gap_s * 1e6) for tag in tags], np.int64),
        rollover=np.where(counter, column("high"), np.nan),
        low=np.where(counter, column("low"), np.nan),
        resolution=np.array([max(tag.resolution, _noise(tag)) for tag in tags], np.float64),
        rate=np.where(amount, -np.inf, column("rate")),
        scale=column("scale"),
        shift=column("shift"),
        manual=np.array([tag.source == "manual" for tag in tags], bool),
    )


def _noise(tag: Tag) -> float:
    """Return how far a register steps back by its noise [SI]; a share is of what it counts."""
    text = tag.sigma.strip()
    return NOISE_SIGMAS * float(text) * tag.scale if text and not text.endswith("%") else 0.0
