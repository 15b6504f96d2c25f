"""Effects of inputs on figures: what changes them, by how much, and what was not tried."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from api.explanation.figures import AnswerFigure, figures_at, value_at
from api.explanation.replay import InputChange, InputKey, ReplayedAnswer, step
from api.explanation.search import Dependence, search

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class AskedAnswer(NamedTuple):
    """The answer whose figures are explained."""

    replay: ReplayedAnswer
    address: str
    body: bytes | None
    figures: list[AnswerFigure]

    async def changes(self, change: InputChange) -> dict[int, Any] | None:
        """Return the figures that are others under a change, by their numbers; None without time.

        Where there is no answer they are null.
        """
        try:
            status, answer = await self.replay.ask(self.address, self.body, change)
        except TimeoutError:
            return None
        values = [
            value_at(answer, figure.pointer) if status == 200 else None for figure in self.figures
        ]
        pairs = zip(self.figures, values, strict=True)
        return {n: now for n, (figure, now) in enumerate(pairs) if now != figure.value}


@dataclass(frozen=True, slots=True)
class FigureEffects:
    """What a figure changes with.

    effect: by how many percent it changes with an input that changes by one; None where only
    leaving the input out changes it.
    """

    effect: dict[InputKey, float | None]
    open: set[InputKey]  # that there was no time to try


async def find_effects(question: AskedAnswer) -> list[FigureEffects]:
    """Return of each figure what it changes with, moved or left out."""
    results = await _find_movers(question)

    async def leave_out(keys: Sequence[InputKey]) -> Mapping[int, Any] | None:
        return await question.changes(InputChange(absent=frozenset(keys)))

    summed, live, rows, _ = question.replay.inputs()
    for keys in (live, rows, summed):
        # What moves a figure need not be left out.
        moving = {n: [k for k in keys if k in each.effect] for n, each in enumerate(results)}
        others = {n: [k for k in keys if k not in each.effect] for n, each in enumerate(results)}
        findings = await search(others, leave_out, moving)
        for key, values in findings.changed.items():
            for n in values:
                results[n].effect[key] = None
        _note_open(results, findings)
    return results


async def _find_movers(question: AskedAnswer) -> list[FigureEffects]:
    """Return of each figure what moves it, and by how much."""
    results = [FigureEffects({}, set()) for _ in question.figures]

    async def move(keys: Sequence[InputKey]) -> Mapping[int, Any] | None:
        return await question.changes(InputChange(moved=frozenset(keys)))

    summed, live, _, references = question.replay.inputs()
    for keys in (summed, live, references):
        findings = await search(dict.fromkeys(range(len(results)), keys), move)
        for key, values in findings.changed.items():
            for n, now in values.items():
                slope = _slope(question.figures[n].value, now, step(key))
                results[n].effect[key] = slope
        _note_open(results, findings)
    return results


def _note_open(results: list[FigureEffects], findings: Dependence[InputKey]) -> None:
    for n, keys in findings.open.items():
        results[n].open.update(keys)


async def effects_of_row(
    question: AskedAnswer, n: int, effects: list[FigureEffects]
) -> FigureEffects:
    """Return what changes the other figures of a row, for one that nothing changes by itself.

    That is a figure like hours that are 0: all inputs of its row say so together.
    """
    row = question.figures[n].row
    alike = [each for each, f in zip(effects, question.figures, strict=True) if f.row is row]
    if len(alike) == 1:
        parent = question.figures[n].pointer.rpartition("/")[0]
        _, answer = await question.replay.ask(question.address, question.body)
        others = figures_at(question.replay.kind, answer, parent)
        others_asked = question._replace(figures=others)
        alike = await _find_movers(others_asked)
        if not any(each.effect for each in alike):
            alike = await find_effects(others_asked)
    keys = dict.fromkeys(key for each in alike for key in each.effect)
    return FigureEffects(dict.fromkeys(keys), set().union(*(each.open for each in alike)))


def _slope(before: Any, now: Any, moved: float) -> float | None:
    """Return the relative change of a figure over that of an input."""
    if isinstance(before, bool) or not isinstance(before, int | float) or not before:
        return None
    if not isinstance(now, int | float):
        return None
    return float(np.round((now / before - 1) / moved, 5))
