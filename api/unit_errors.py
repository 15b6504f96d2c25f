"""Suspected unit errors, and the commands of operators that dismiss or rescale them."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Response
from pydantic import Field
from typing_extensions import TypedDict

from api import queries
from api.answers import (
    Given,
    Number,
    Rfc3339,
    record,
)
from api.commands import ACCEPTED, CommandBody, queue_command
from api.context import AppContext, Context
from api.encode import AnswerRoute, number
from api.parameters import Cell, RowId
from api.problems import RESPONSES, Problem, not_found

router = APIRouter(prefix="/api/v1/unit-errors", responses=RESPONSES, route_class=AnswerRoute)

ErrorNumber = Annotated[RowId, Path()]
Factor = Annotated[float, Field(gt=-1e9, lt=1e9)]


class UnitErrorRow(TypedDict):
    """A steady tag jumped to its level times a factor between two units of measure.

    The tag shows level * factor + offset. `expected`, `offset` and `value` are in `uom`.
    """

    id: int
    tag: str
    state: Annotated[
        Literal["open", "ended", "learnt"],
        Field(description="ended: the values are back; learnt: the level was learnt anew"),
    ]
    since: Rfc3339
    last: Rfc3339
    samples: int
    factor: Given[float]
    offset: Given[float]
    expected: Given[Annotated[float, Field(description="level before the jump")]]
    value: Given[Annotated[Number, Field(description="newest value of the tag")]]
    uom: str


class DismissBody(CommandBody):
    """A real step: its samples become good, and the level is learnt anew."""

    reason: Cell = ""


class RescaleBody(CommandBody):
    """Another unit of measure: samples become value * factor + offset, in the uom of the tag.

    By default the inverse of the suspected error.
    """

    factor: Factor | None = None
    offset: Factor = 0.0
    reason: Cell = ""


async def read_unit_errors(context: Context) -> list[UnitErrorRow]:
    """Return the suspected unit errors without an answer, open ones first, then the newest."""
    catalogue, image = context.feed.catalogue, context.feed.image
    errors: list[UnitErrorRow] = []
    for row in await context.store.rows(queries.UNIT_ERRORS):
        at, uom = catalogue.index.get(row["tag"]), (row["scale"], row["zero"])
        errors.append(
            record(
                UnitErrorRow,
                row,
                **context.times(row, "since", "last"),
                offset=row["shift"],
                expected=number(row["level"], uom),
                value=None if at is None else number(image.value[at], uom),
            )
        )
    return errors


@router.post("/{error}/dismiss", **ACCEPTED)
async def dismiss(context: AppContext, error: ErrorNumber, body: DismissBody) -> Response:
    """Dismiss a suspected unit error: the step was real."""
    return await _command(context, "unit_error.dismiss", error, body)


@router.post("/{error}/rescale", **ACCEPTED)
async def rescale(context: AppContext, error: ErrorNumber, body: RescaleBody) -> Response:
    """Correct the samples of a suspected unit error; later ones are marked until it is mended."""
    return await _command(context, "unit_error.rescale", error, body)


async def _command(context: Context, kind: str, error: int, body: CommandBody) -> Response:
    """Queue a command; raises Problem 404 for an unknown unit error, 409 for one answered."""
    rows = await context.store.rows(queries.UNIT_ERROR_ANSWER, error)
    if not rows:
        raise not_found("suspected unit error", str(error), (), "/api/v1/health/data")
    context.require_command(rows[0]["scope"])
    if rows[0]["answer"] is not None:
        raise Problem(409, f"it has been answered already: {rows[0]['answer']}")
    return await queue_command(context, kind, {"id": error, **body.model_dump()}, rows[0]["scope"])
