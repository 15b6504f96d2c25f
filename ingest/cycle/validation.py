"""Validation of samples in the cycle, and the answers of operators to suspected unit errors."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from deploy.database.times import micros, stamp
from ingest.store.table import columns_of, samples_of
from twin import quality as q
from twin.errors import ParkError
from twin.series.samples import Samples, no_samples
from twin.series.sentinels import without_far
from twin.validation.assess import ValidationState, assess, no_state
from twin.validation.rules import CheckSpec, compile_limits
from twin.validation.unit_errors import (
    Suspicion,
    are_late_errors,
    begin_anew,
    dismiss,
    mark,
    restore,
    resume,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.counters import Counters
    from ingest.settings import IngestSettings
    from ingest.store import Store
    from ingest.store.commands import CommandRow
    from twin.model.park import Park, Tag
    from twin.series.image import Image

# From so many of its last covered minutes the level of a tag is known again after a start.
MINUTES = 30
# Half of a normal distribution lies within this many deviations, and nearly all of a minute's
# samples in four.
HALF_SIGMAS = 1.35
ALL_SIGMAS = 4.0
FACTOR_MAX = 1e9
REASON = 31  # the bits of a quality that say why
REASONS = {
    q.RATE_OF_CHANGE: "rate_of_change",
    q.STUCK: "stuck",
    q.UNIT_ERROR: "unit_error",
    q.CLOCK_SKEW: "clock_skew",
}


@dataclass(frozen=True, slots=True)
class Validated:
    """Samples of a cycle with their qualities, and the state after them."""

    fresh: Samples
    old: Samples
    state: ValidationState
    suspicions: tuple[Suspicion, ...]
    spikes: int

    def count(self, counted: Counters) -> None:
        """Add up the marked samples by reason."""
        quality = np.concatenate([self.fresh.quality, self.old.quality])
        reasons = np.bincount(quality[quality >= q.UNCERTAIN] & REASON, minlength=REASON + 1)
        for code, name in REASONS.items():
            counted[f"flagged.{name}"] += int(reasons[code])
        counted["spikes"] += self.spikes


class UnitErrorCommand(msgspec.Struct):
    """An answer of an operator; in the uom of the tag, values become value * factor + offset."""

    id: Any = None
    factor: Any = None  # None: that of the suspicion, inverted
    offset: Any = None


class Correction(NamedTuple):
    """Values [SI] become value * factor + shift."""

    factor: float
    shift: float


class Validator:
    """Validates the samples of one park model, and applies the commands about unit errors."""

    def __init__(
        self, park: Park, tags: Sequence[Tag], store: Store, settings: IngestSettings
    ) -> None:
        self._tags = tags
        self._limits = compile_limits(park.rows(CheckSpec), tags)
        self._store = store
        self._settings = settings

    def state(self) -> ValidationState:
        """Return the state before the first sample."""
        return no_state(len(self._tags))

    async def start(self, image: Image) -> ValidationState:
        """Return the state as image, stored minutes and suspicions have it; raises StoreError."""
        state, store = self.state(), self._store
        good = image.quality < q.UNCERTAIN
        state = replace(
            state,
            good_us=np.where(good, image.time_us, state.good_us),
            good=np.where(good, image.value, np.nan),
        )
        tags = np.flatnonzero(self._limits.followed)
        rows = await store.minute_levels(tags, MINUTES)
        if rows:
            number, covered_s, n, means, width = columns_of(rows)
            low, level, high = np.array(means, dtype=np.float64).T
            spread = np.hypot((high - low) / HALF_SIGMAS, np.array(width) / ALL_SIGMAS)
            at = tags[np.array(number) - 1]
            levels = restore(state.levels, at, level, spread, np.array(covered_s), np.array(n))
            state = replace(state, levels=levels)
        rows = await store.unit_errors.latest(tags)
        resumed = [row["id"] for row in rows if self._restore(state, row)]
        await store.unit_errors.end_others(resumed)
        return state

    def _restore(self, state: ValidationState, row: Any) -> bool:
        """Go on with a stored suspicion, in place; return whether it is open as before."""
        suspicion = self._suspicion(row)
        if suspicion is None:
            return False
        if row["state"] != "open":
            # The way back from a learnt level is no error, nor is a step that was dismissed.
            expected = self._expected(row) if row["answer"] == "dismiss" else math.nan
            state.levels.confirmed[suspicion.tag] = suspicion.level, expected
            return False
        known = suspicion.error >= 0 and self._limits.possible[suspicion.tag, suspicion.error]
        if known:
            resume(self._limits, state.levels, suspicion)
        return bool(known)

    def validate(self, state: ValidationState, fresh: Samples, old: Samples) -> Validated:
        """Return samples newer than the image, and late ones, with their qualities."""
        result = assess(self._limits, state, fresh)
        fresh = replace(fresh, quality=result.quality)
        late = are_late_errors(result.state.levels, old)
        if late.any():
            quality = old.quality.copy()
            quality[late] = mark(self._limits, old.take(late))
            old = replace(old, quality=quality)
        # What is no unit error, either, shows no measurement.
        fresh, old = self.judge_range(fresh), self.judge_range(old)
        return Validated(fresh, old, result.state, result.suspicions, result.spikes)

    def judge_range(self, samples: Samples) -> Samples:
        """Return samples with those bad that are far out of the range of their tag."""
        low, high = self._limits.low[samples.tag], self._limits.high[samples.tag]
        quality = without_far(samples.value, low, high, samples.quality)
        return samples if quality is samples.quality else replace(samples, quality=quality)

    async def record(self, suspicions: Sequence[Suspicion]) -> None:
        """Store suspicions that have begun, gone on or ended; raises StoreError."""
        if not suspicions:
            return
        factor, offset = self._limits.factor, self._limits.offset
        # Of a tag and time the last entry counts.
        newest = {(each.tag, each.since_us): each for each in suspicions}.values()
        tags, *columns = columns_of(
            (
                each.tag, stamp(each.since_us), stamp(each.last_us), each.samples,
                factor[each.error], offset[each.error], each.level, each.spread, each.state,
            )
            for each in newest
        )  # fmt: skip
        rows_max = self._settings.unit_error_rows
        await self._store.unit_errors.write(np.array(tags), columns, rows_max)

    async def answer(
        self, state: ValidationState, cycle_us: int, *, again: bool
    ) -> tuple[ValidationState, Samples]:
        """Apply the oldest command about a unit error; return the samples it has corrected.

        A command with more samples than one cycle corrects goes on in the next one: what is
        corrected is no longer marked. `again`: the commit of this cycle may have been done already.
        Raises StoreError.
        """
        command = await self._store.commands.about_unit_errors()
        corrected, error = no_samples(), None
        if command is not None:
            try:
                corrected = await self._correct(command, cycle_us)
            except ParkError as refused:
                error = str(refused)
            if len(corrected) < self._settings.unit_error_samples:
                await self._store.commands.answer([command.number], [error], cycle_us)
        if command is not None or again:
            state = state.copy()
            for row in await self._store.unit_errors.answered(cycle_us):
                self._apply(state, row)
        return state, corrected

    async def _correct(self, sent: CommandRow, cycle_us: int) -> Samples:
        """Correct the next samples of a suspicion; raises ParkError when it is refused."""
        command = sent.read(UnitErrorCommand)
        if not isinstance(command.id, int):
            raise ParkError("`id` is the number of a suspected unit error")
        row = await self._store.unit_errors.find(command.id)
        suspicion = None if row is None else self._suspicion(row)
        if suspicion is None:
            raise ParkError(f"there is no suspected unit error {command.id}")
        at, answer = suspicion.tag, sent.kind.partition(".")[2]
        if row["answer"] is not None and row["command"] != sent.number:
            raise ParkError(f"it has been answered already: {row['answer']}")
        correction = self._correction(answer, command, row, at)
        answered = row["answered"] or stamp(cycle_us)
        ended = {"dismiss": "learnt", "rescale": "ended"}[answer]
        await self._store.unit_errors.answer(command.id, ended, answer, answered, sent.number)
        low = np.fmax(self._limits.low[at], -np.inf)
        high = np.fmin(self._limits.high[at], np.inf)
        rows = await self._store.unit_errors.correct(
            row["tag_id"], row["since"], row["last"],
            self._settings.unit_error_samples, answered, *correction, low, high,
        )  # fmt: skip
        # Should the answer to our commit be lost, the next cycle reads image and minute back.
        await self._store.writers.mark_changed(np.array([at]))
        return samples_of(np.full(len(rows), at), rows)

    def _correction(self, answer: str, command: UnitErrorCommand, row: Any, at: int) -> Correction:
        """Return what a command does to values [SI]; raises ParkError."""
        if answer == "dismiss":
            return Correction(1.0, 0.0)
        if answer != "rescale":
            raise ParkError(f"there is no command unit_error.{answer}")
        factor, offset = command.factor, command.offset or 0.0
        if factor is None:
            factor, offset = 1 / row["factor"], -row["shift"] / row["factor"]
        for number in (factor, offset):
            if not isinstance(number, int | float) or not math.isfinite(number):
                raise ParkError("`factor` and `offset` are numbers")
        if not 1 / FACTOR_MAX <= abs(factor) <= FACTOR_MAX:
            raise ParkError(f"`factor` is between {1 / FACTOR_MAX:g} and {FACTOR_MAX:g}")
        # In the tag's own uom: value * factor + offset.
        scale, zero = self._limits.scale[at], self._limits.shift[at]
        return Correction(float(factor), float(zero * (1 - factor) + offset * scale))

    def _apply(self, state: ValidationState, row: Any) -> None:
        """Let the level follow an answer that is stored, in place."""
        suspicion = self._suspicion(row)
        if suspicion is None:
            return
        levels, at = state.levels, suspicion.tag
        if row["answer"] == "rescale":
            begin_anew(levels, suspicion)
            return
        expected = self._expected(row)
        if dismiss(levels, suspicion, expected):
            # Where the tag is now, it has not come too fast.
            state.good_us[at], state.good[at] = suspicion.last_us, expected
            state.fast[at] = np.nan

    def _suspicion(self, row: Any) -> Suspicion | None:
        """Return a stored suspicion; None when its tag is no longer in the model.

        Its error is -1 when the reference has the factor no longer.
        """
        limits = self._limits
        tags = np.flatnonzero(self._store.tag_id == row["tag_id"])
        if not len(tags):
            return None
        same = (limits.factor == row["factor"]) & (limits.offset == row["shift"])
        error = int(same.argmax()) if same.any() else -1
        since_us, last_us = micros([row["since"], row["last"]]).tolist()
        return Suspicion(
            int(tags[0]), row["state"], since_us, last_us, row["samples"], error,
            row["level"], row["spread"],
        )  # fmt: skip

    def _expected(self, row: Any) -> float:
        """Return the value [SI] that a stored unit error makes of its level."""
        at = np.flatnonzero(self._store.tag_id == row["tag_id"])[0]
        scale, zero = self._limits.scale[at], self._limits.shift[at]
        return float((row["level"] - zero) * row["factor"] + row["shift"] * scale + zero)
