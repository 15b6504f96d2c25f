"""The live image: the newest sample of each tag of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin import quality as q
from twin.arrays import BOOL, F64, I64, NEVER, U8

if TYPE_CHECKING:
    from api.live.catalogue import Catalogue
    from twin.accounts.network import Network


_LATE, _STALE = np.uint8(q.UNCERTAIN | q.LATE), np.uint8(q.BAD | q.STALE)
AGES = {q.GOOD: "current", int(_LATE): "late", int(_STALE): "stale"}


@dataclass(frozen=True, slots=True)
class LiveImage:
    """Newest sample of each tag of the catalogue, (T,); time_us is NEVER before the first."""

    time_us: I64
    value: F64  # [SI]
    quality: U8  # as it is stored
    changed: I64  # sequence number of the last change
    late: BOOL  # was not heard of for longer than usual
    age: U8  # what its age makes of its quality: nothing, late or stale

    @property
    def graded(self) -> U8:
        """Quality with what the age of the sample makes of it, (T,)."""
        return q.worse(self.quality, self.age)

    def grow_old(self, gap_us: I64, now_us: int, seq: int) -> None:
        """Find late and stale values at `now_us` anew; where that changes something is `seq`."""
        old = (self.time_us != NEVER) & (now_us - self.time_us > gap_us)
        age = np.where(old, _STALE, np.where(self.late, _LATE, np.uint8(q.GOOD)))
        self.changed[age != self.age] = seq
        self.age[:] = age


def empty_image(tags: int) -> LiveImage:
    """Return the image before the first sample."""
    return LiveImage(
        time_us=np.full(tags, NEVER),
        value=np.full(tags, np.nan),
        quality=np.full(tags, q.NO_DATA, np.uint8),
        changed=np.zeros(tags, np.int64),
        late=np.zeros(tags, bool),
        age=np.zeros(tags, np.uint8),
    )


@dataclass(frozen=True, slots=True)
class LiveValues:
    """The live image in the order of a network's tags."""

    value: F64  # (T,) [SI]; NaN where there is none to use
    rate: F64  # (T,) [SI] the value of a gauge; a counter shows no rate
    quality: U8  # (T,)


def live_values(
    image: LiveImage, catalogue: Catalogue, network: Network, now_us: int
) -> LiveValues:
    """Return the newest values of a network's tags; a value that is too old is bad."""
    at = catalogue.find(tag.address for tag in network.tags)
    known = at >= 0
    value = np.full(len(at), np.nan)
    quality = np.full(len(at), q.NO_DATA, np.uint8)
    age_us = np.zeros(len(at), np.int64)
    value[known], quality[known] = image.value[at[known]], image.graded[at[known]]
    seen = known & (image.time_us[np.maximum(at, 0)] != NEVER) if len(image.time_us) else known
    age_us[seen] = now_us - image.time_us[at[seen]]
    old = np.where(age_us > network.traits.gap_us, q.BAD | q.STALE, 0).astype(np.uint8)
    quality = q.worse(quality, old)
    value = np.where(q.usable(quality), value, np.nan)
    counter = np.array([tag.kind in ("counter", "amount") for tag in network.tags], dtype=bool)
    return LiveValues(value, np.where(counter, np.nan, value), quality)
