"""Doubtful samples in the cycle: judged before they move the image, slips kept out of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ingest import queries
from ingest.routing.decode import Quarantined
from twin import quality as q
from twin.series.samples import Samples, concatenate
from twin.validation.assess import Memory, assess, no_memory
from twin.validation.rules import compile_limits
from twin.validation.unit_errors import known_slips, recall

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.counters import Counters
    from ingest.routing.decode import Intake
    from ingest.store import Store
    from twin.model.park import Park, Tag
    from twin.series.image import Image

# From so many of its last covered minutes the level of a tag is known again after a start.
MINUTES = 30
# Half of a normal distribution lies within this many deviations, and nearly all of a minute's
# samples in four.
HALF_SIGMAS = 1.35
ALL_SIGMAS = 4.0
REASON = 31  # the bits of a quality that say why
REASONS = {
    q.RATE_OF_CHANGE: "rate_of_change",
    q.STUCK: "stuck",
    q.UNIT_SLIP: "unit_slip",
    q.CLOCK_SKEW: "clock_skew",
}


@dataclass(frozen=True, slots=True)
class Judged:
    """A cycle's samples as they may be stored, and what is remembered of them."""

    fresh: Samples
    old: Samples
    slips: Samples
    memory: Memory
    spikes: int

    def count(self, counted: Counters) -> None:
        """Add up what was doubted."""
        quality = np.concatenate([self.fresh.quality, self.old.quality])
        reasons = np.bincount(quality[quality >= q.UNCERTAIN] & REASON, minlength=REASON + 1)
        for code, name in REASONS.items():
            counted[f"doubted.{name}"] += int(reasons[code])
        counted["spikes"] += self.spikes
        counted["samples"] -= len(self.slips)


class Doubts:
    """What the samples of one park model are judged by."""

    def __init__(self, park: Park, tags: Sequence[Tag]) -> None:
        self._tags = tags
        self._limits = compile_limits(park.tables.get("check", ()), tags)

    def memory(self) -> Memory:
        """Return what is remembered before anything is known."""
        return no_memory(len(self._tags))

    async def start(self, store: Store, image: Image) -> Memory:
        """Return what is remembered of what is stored; raises StoreError."""
        memory = self.memory()
        good = image.quality < q.UNCERTAIN
        memory = replace(
            memory,
            good_us=np.where(good, image.time_us, memory.good_us),
            good=np.where(good, image.value, np.nan),
        )
        tags = np.flatnonzero(self._limits.followed)
        rows = await store.fetch(queries.LEVELS, store.tag_id[tags].tolist(), MINUTES)
        if not rows:
            return memory
        means = np.array([row["means"] for row in rows], dtype=np.float64)
        between = (means[:, 2] - means[:, 0]) / HALF_SIGMAS
        within = np.array([row["width"] for row in rows], dtype=np.float64) / ALL_SIGMAS
        levels = recall(
            memory.levels,
            tags[np.array([row["number"] - 1 for row in rows])],
            means[:, 1],
            np.hypot(between, within),
            np.array([row["covered_s"] for row in rows], dtype=np.float64),
            np.array([row["n"] for row in rows], dtype=np.int64),
        )
        return replace(memory, levels=levels)

    def judge(self, memory: Memory, fresh: Samples, old: Samples) -> Judged:
        """Judge the samples that are newer than the image; of the others only known slips go."""
        found = assess(self._limits, memory, fresh)
        fresh = replace(fresh, quality=found.quality)
        known = known_slips(found.memory.levels, old, self._limits)
        slips = concatenate(fresh.take(found.slip), old.take(known))
        if len(slips):
            fresh, old = fresh.take(~found.slip), old.take(~known)
        return Judged(fresh, old, slips, found.memory, found.spikes)

    def kept_out(self, slips: Samples, intake: Intake) -> list[Quarantined]:
        """Return slips of an intake as they are in quarantine, in the uom of their tags."""
        if not len(slips):
            return []
        source = np.zeros(len(self._tags), np.int64)
        source[intake.samples.tag] = intake.origin
        found = []
        for at, time_us, value, code in zip(
            slips.tag.tolist(), slips.time_us.tolist(), slips.value.tolist(),
            slips.quality.tolist(), strict=True,
        ):  # fmt: skip
            tag = self._tags[at]
            own = (value - tag.shift) / tag.scale
            message = intake.messages[source[at]]
            key = tag.owner, tag.tag, "unit_slip"
            found.append(
                Quarantined(*key, message.topic, time_us, own, code, "", message.received_us)
            )
        return found
