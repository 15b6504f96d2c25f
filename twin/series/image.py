"""The image: the newest sample of each tag."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin import quality as q
from twin.arrays import F64, I64, NEVER, U8, Columns, runs
from twin.series.counters import increase, is_reset, is_shown

if TYPE_CHECKING:
    from twin.series.samples import Samples
    from twin.series.traits import SeriesTraits


@dataclass(frozen=True, slots=True)
class Image(Columns):
    """Latest values of all tags in columns, (T,): time never goes back."""

    time_us: I64
    value: F64
    rate: F64  # [SI/s] of a counter, else the value
    quality: U8
    last_received_us: I64  # when a message for the tag last came

    def update(self, samples: Samples, traits: SeriesTraits) -> None:
        """Take over the newest of `samples` (sorted by tag, then time, all newer)."""
        if not len(samples):
            return
        _, last = runs(samples.tag)
        at = samples.tag[last]
        value, time_us = samples.value[last], samples.time_us[last]
        before = self.value[at]
        rise, _ = increase(before, value, traits.rollover[at], traits.resolution[at])
        # After a fall, or what no register shows, the next reading tells nothing of a rate.
        known = (self.time_us[at] != NEVER) & q.usable(self.quality[at])
        known &= ~is_reset(self.quality[at]) & ~is_reset(samples.quality[last])
        known &= is_shown(traits, at, before)
        known &= is_shown(traits, at, value)
        rate = np.where(known, rise, np.nan) / ((time_us - self.time_us[at]) * 1e-6)
        rate = np.where(rate > traits.rate[at], np.nan, rate)
        self.rate[at] = np.where(traits.counter[at], rate, value)
        self.time_us[at] = time_us
        self.value[at] = value
        self.quality[at] = samples.quality[last]
        self.last_received_us[at] = np.maximum(self.last_received_us[at], samples.received_us[last])

    def apply_corrections(self, samples: Samples, traits: SeriesTraits) -> None:
        """Take over corrections of the newest samples; a counter's rate waits for its next one."""
        newest = samples.take(samples.time_us == self.time_us[samples.tag])
        self.value[newest.tag] = newest.value
        self.rate[newest.tag] = np.where(traits.counter[newest.tag], np.nan, newest.value)
        self.quality[newest.tag] = newest.quality


def no_image(tags: int) -> Image:
    """Return the image before the first sample."""
    return Image(
        np.full(tags, NEVER),
        np.full(tags, np.nan),
        np.full(tags, np.nan),
        np.full(tags, q.NO_DATA, np.uint8),
        np.full(tags, NEVER),
    )
