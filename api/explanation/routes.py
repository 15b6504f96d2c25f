"""Explanations of figures: asked by the address of a figure, of any route."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import numpy as np
import orjson
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, StringConstraints
from typing_extensions import TypedDict

from api import queries
from api.answers import Given, Number, Rfc3339, Uint8, formula
from api.calculation.pool import LongCalculationRoute
from api.context import AppContext, Context
from api.encode import rfc3339
from api.explanation.effects import (
    AskedAnswer,
    FigureEffects,
    effects_of_row,
    find_effects,
)
from api.explanation.factors import (
    NamedRow,
    ReferenceFactor,
    compiled_factors,
    factor,
    model_rows,
    stated_rows,
    whole_model,
)
from api.explanation.figures import AnswerFigure, figures_at, moment_of, narrowed, split
from api.explanation.inputs import InputReading, InputRow, describe, made_of, read_inputs
from api.explanation.replay import (
    Deadline,
    InputKey,
    ReferenceKey,
    ReplayedAnswer,
    RowsKey,
    TagKey,
)
from api.problems import RESPONSES, Problem, invalid
from twin.arrays import F64, MINUTE_US

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twin.model.park import Tag

router = APIRouter(prefix="/api/v1", responses=RESPONSES, route_class=LongCalculationRoute)

FigureAddress = Annotated[str, StringConstraints(max_length=2_000, pattern=r"^[^\x00]*$")]
# Figures that are values of a tag: of a derived one the inputs are those it was calculated of.
DIRECT = ("/api/v1/latest", "/api/v1/history")
# Of the time of a calculation, what the question itself and the search for its inputs may take.
SEARCH_SHARE = 0.8
# Where the rows of a query can be looked up.
RECORDS = {
    queries.ANNUNCIATIONS: ("alarm_event", "/api/v1/alarms/journal"),
    queries.ALARM_EVENTS: ("alarm_event", "/api/v1/alarms/journal"),
    queries.DETECTIONS: ("detection", "/api/v1/scopes/{park}/detections"),
    queries.HELD_BACK: ("held_back", "/api/v1/scopes/{park}/detections"),
    queries.BOOK: ("book", "/api/v1/book"),
    queries.BOOK_VALUE: ("book", "/api/v1/book"),
    queries.BOOK_CUTS: ("book", "/api/v1/book"),
    queries.BOOK_STOPS: ("book", "/api/v1/book"),
    queries.BOOK_ENTRIES: ("book", "/api/v1/book"),
    queries.BASELINES: ("baseline", "/api/v1/scopes/{park}/baselines"),
    queries.ADJUSTMENTS: ("adjustment", "/api/v1/scopes/{park}/baselines"),
    queries.CORRECTED: ("correction", "/api/v1/scopes/{park}/restatements"),
    queries.GATEWAYS: ("gateway", "/api/v1/health/data"),
}


class RecordTable(TypedDict):
    """Rows of the database a figure rests on that are no readings, and where they are shown."""

    table: str
    address: str


class Explanation(TypedDict):
    """How a figure was calculated.

    open: tags it may follow from as well, which the time of a calculation did not suffice to try.
    given: values of the same row that are stated or recorded, not calculated.
    """

    figure: str
    value: Given[Number | str | bool]
    unit: str | None
    half_width: Given[Number]
    completeness: Given[Number]
    quality: Uint8 | None
    reason: str | None
    formula: str | None
    start: Rfc3339 | None
    end: Rfc3339 | None
    minutes: Annotated[Number, formula("completeness * minutes of the window")]
    inputs: list[InputRow]
    factors: list[ReferenceFactor]
    model: list[NamedRow]
    records: list[RecordTable]
    given: dict[str, Any]
    open: list[str]


class ExplanationAnswer(TypedDict):
    """The figure at an address, or all figures below it; runs: how often the answer was asked."""

    figure: str
    runs: int
    items: list[Explanation]


class ExplanationBody(BaseModel):
    """A figure of an answer to a question with a body."""

    figure: FigureAddress
    body: dict[str, Any]


@router.get("/explain")
async def explain_figure(
    context: AppContext,
    request: Request,
    figure: Annotated[
        FigureAddress,
        Query(description="address of an answer, #, and a JSON pointer: /api/v1/…#/items/0/…"),
    ],
) -> ExplanationAnswer:
    """Return how a figure was calculated, of what, down to samples, book data and factors."""
    return await _explain(context, request, figure, None)


@router.post("/explain")
async def explain_figure_of_body(
    context: AppContext, request: Request, body: ExplanationBody
) -> ExplanationAnswer:
    """Return the same of a figure of an answer to a question with a body, as of a scenario."""
    return await _explain(context, request, body.figure, orjson.dumps(body.body))


async def _explain(
    context: Context, request: Request, figure: str, body: bytes | None
) -> ExplanationAnswer:
    context.require_image()
    begun_s = perf_counter()
    address, pointer = split(figure)
    replay = ReplayedAnswer(request.app, context, request.headers)
    status, answer = await replay.ask(address, body)
    if status != 200:
        raise Problem(422, f"figure: the answer is {status}: {answer['detail']}")
    if replay.kind is None:
        raise invalid("figure", "the answer has no figures")
    moment = moment_of(address)
    figures = [replace(each, moment=moment) for each in figures_at(replay.kind, answer, pointer)]
    most = context.settings.explained_figures_max
    if len(figures) > most:
        row = figures[0].pointer.rpartition("/")[0]
        raise invalid(
            "figure",
            f"there are {len(figures)} below it, and {most} are the limit",
            hint=f"ask for a row, like #{row}",
        )
    if quoted := _quoted(figures):
        return await _explain(context, request, quoted, None)
    settings, lasted_s = context.settings, perf_counter() - begun_s
    left_s = SEARCH_SHARE * settings.calculation_s - lasted_s
    replay.deadline = Deadline(min(settings.explanation_s, left_s))
    question = AskedAnswer(replay, address, body, figures)
    if body is None:
        question = await _one_row(question, answer)
    effects = await find_effects(question)
    for n, each in enumerate(effects):
        if not each.effect and not each.open:
            effects[n] = await effects_of_row(question, n, effects)
    path = urlsplit(address).path
    items = await _explanations(context, path, figures, effects)
    return {"figure": figure, "runs": replay.runs, "items": items}


def _quoted(figures: list[AnswerFigure]) -> str | None:
    """Return the address of the figure that some are quoted from, as those of a report.

    None where they are none. Raises Problem 422 for those that are quoted from several.
    """
    addresses = {each.quoted for each in figures}
    if len(addresses) > 1:
        raise invalid(
            "figure",
            f"what is below it is quoted from {len(addresses)} figures",
            hint=f"ask for one, like #{figures[0].pointer}",
        )
    return next(iter(addresses), None)


async def _one_row(question: AskedAnswer, answer: Any) -> AskedAnswer:
    """Return the same figures in an answer of their row alone, where that gives the same."""
    tops = {tuple(each.pointer.split("/")[1:3]) for each in question.figures}
    name, *number = next(iter(tops), ("",))
    if len(tops) > 1 or name != "items" or not number or not isinstance(answer["items"], list):
        return question
    row, replay = answer["items"][int(number[0])], question.replay
    address = narrowed(question.address, row, replay.parameters)
    if address is None:
        return question
    notes = replay.forget()
    status, one = await replay.ask(address)
    rows = one["items"] if status == 200 else []
    if row not in rows:
        replay.notes = notes
        return question
    moved = [
        replace(each, pointer="/".join(["/items", str(rows.index(row)), *below]))
        for each in question.figures
        for below in [each.pointer.split("/")[3:]]
    ]
    return question._replace(address=address, figures=moved)


async def _explanations(
    context: Context, path: str, figures: list[AnswerFigure], effects: list[FigureEffects]
) -> list[Explanation]:
    """Return the explanations of figures by the effects of their inputs."""
    parts = [
        made_of(context.model.network, each.row["tag"]) if path in DIRECT else {}
        for each in figures
    ]
    series = [
        [context.find_series(address) for address in part] if part else _series(context, own)
        for part, own in zip(parts, effects, strict=True)
    ]
    # The figures of a window share their inputs: these are read once.
    wanted: dict[tuple[int, int] | None, dict[int, Tag]] = {}
    for each, own_series in zip(figures, series, strict=True):
        wanted.setdefault(each.window, {}).update({tag_id: tag for tag, tag_id in own_series})
    readings = {
        window: await read_inputs(context, [(tag, id_) for id_, tag in tags.items()], window)
        for window, tags in wanted.items()
    }
    return [
        _explanation(context, path, *each, readings[each[0].window])
        for each in zip(figures, effects, series, parts, strict=True)
    ]


def _series(context: Context, effects: FigureEffects) -> list[tuple[Tag, int]]:
    """Return the tags that change a figure, and their ids."""
    tags = [context.find_tag(key.tag_id) for key in effects.effect if isinstance(key, TagKey)]
    return [context.find_series(tag.address) for tag in tags]


def _explanation(
    context: Context,
    path: str,
    figure: AnswerFigure,
    effects: FigureEffects,
    series: list[tuple[Tag, int]],
    parts: Mapping[str, float],
    reading: InputReading,
) -> Explanation:
    """Return the explanation of a figure by the effects of its inputs, with their readings."""
    at = np.searchsorted(reading.tag_id, [tag_id for _, tag_id in series])
    tag_effects = [effect for key, effect in effects.effect.items() if isinstance(key, TagKey)]
    if parts:
        tag_effects = _shares(reading.value[at], np.array(list(parts.values())))
    untried = (context.find_tag(key.tag_id) for key in effects.open if isinstance(key, TagKey))
    half, own = _half_width(figure), figure.row.get("tag") if path in DIRECT else None
    inputs = [
        describe(context, reading, n, effect, figure.value, half, own)
        for n, effect in zip(at.tolist(), tag_effects, strict=True)
    ]
    rows = model_rows(context.model.park, (tag.address for tag, _ in series))
    factors = {key: set[str]() for key in effects.effect if isinstance(key, ReferenceKey)}
    records = _records(context, effects.effect)
    completeness = figure.sibling("_completeness_", "completeness")
    window = figure.window
    stamps = [rfc3339(each, context.zone) for each in window] if window else [None, None]
    return {
        "figure": figure.pointer,
        "value": figure.value,
        "unit": figure.unit,
        "half_width": half,
        "completeness": completeness,
        "quality": figure.sibling("_quality_", "quality"),
        "reason": figure.sibling("_reason_", "reason"),
        "formula": figure.formula,
        "start": stamps[0],
        "end": stamps[1],
        "minutes": _minutes(window, completeness),
        "inputs": inputs,
        "factors": [
            factor(key, effects.effect.get(key), used)
            for key, used in (compiled_factors(rows) | factors).items()
        ],
        "model": stated_rows(rows) if series or records else [whole_model(context.model.park)],
        "records": records,
        "given": figure.given,
        "open": sorted(tag.address for tag in untried),
    }


def _shares(value: F64, weight: F64) -> list[float | None]:
    """Return what part of a sum each of its parts is, None of what is no sum."""
    part = value * weight
    total = part.sum()
    known = np.isfinite(part) & np.isfinite(total) & (total != 0)
    return [float(each / total) if ok else None for each, ok in zip(part, known, strict=True)]


def _half_width(figure: AnswerFigure) -> float | None:
    half = figure.sibling("_ci_")
    if half is None and figure.name == "value":
        half = figure.row.get("half_width")
    return half if isinstance(half, int | float) else None


def _minutes(window: tuple[int, int] | None, completeness: Any) -> float | None:
    """Return the minutes of a window that are used."""
    if window is None or not isinstance(completeness, int | float):
        return None
    return completeness * (window[1] - window[0]) / MINUTE_US


def _records(context: Context, effects: dict[InputKey, float | None]) -> list[RecordTable]:
    """Return the rows of the database that are no readings."""
    statements = [key.statement for key in effects if isinstance(key, RowsKey)]
    tables = dict(RECORDS[each] for each in statements if each in RECORDS)
    park = context.model.park.id
    return [{"table": n, "address": address.format(park=park)} for n, address in tables.items()]
