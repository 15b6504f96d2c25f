"""Traits of series: gap limits, counters with their registers, states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import BOOL, F64, I64, Columns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twin.model.park import Tag


@dataclass(frozen=True, slots=True)
class SeriesTraits(Columns):
    """Traits of T tags. A tag that is neither a counter nor a state is a gauge."""

    counter: BOOL  # (T,) its increase counts
    state: BOOL  # (T,) the time it is not zero counts
    gap_us: I64  # (T,) a value holds this long; no limit for counters
    rollover: F64  # (T,) [SI] the register starts again at zero; NaN = never, or no counter


def traits_of(tags: Iterable[Tag]) -> SeriesTraits:
    """Return the traits of tags; a counter's `high` is the range of its register."""
    tags = tuple(tags)
    counter = np.array([tag.kind == "counter" for tag in tags], bool)
    high = np.array([tag.high for tag in tags], np.float64)
    return SeriesTraits(
        counter=counter,
        state=np.array([tag.kind == "state" for tag in tags], bool),
        gap_us=np.array([round(tag.gap_s * 1e6) for tag in tags], np.int64),
        rollover=np.where(counter, high, np.nan),
    )
