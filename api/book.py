"""Book data over HTTP: values by tag and period, entered, corrected and confirmed by people."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field

from api import queries
from api.answers import (
    Given,
    Number,
    Page,
    Rfc3339,
    Share,
    Whole,
    formula,
    record,
)
from api.commands import ACCEPTED, CommandBody, queue_command
from api.context import AppContext, Context
from api.encode import AnswerRoute, number
from api.parameters import (
    Address,
    After,
    Cell,
    Flag,
    Limit,
    Person,
    RowId,
    ScopeFilter,
    Text,
    Value,
)
from api.problems import RESPONSES, Problem, not_found
from deploy.database.times import to_us
from twin.arrays import SECOND_US
from twin.book.comparison import Comparison, compare
from twin.book.entries import (
    DATE,
    ROWS_MAX,
    BookProblem,
    BookRow,
    Version,
    compare_with_book,
    date_of,
    decode,
    read_entries,
    read_table,
    sentence_of,
    with_evidence,
)
from twin.book.periods import Period, label

if TYPE_CHECKING:
    from collections.abc import Sequence

router = APIRouter(prefix="/api/v1/book", responses=RESPONSES, route_class=AnswerRoute)

BookNumber = Annotated[RowId, Path()]
CSV_SCHEMA = {"type": "string", "maxLength": 10**6}  # PARKTWIN_BODY_BYTES is the limit
CSV_BODY = {"requestBody": {"required": True, "content": {"text/csv": {"schema": CSV_SCHEMA}}}}
NO_COMPARISON = Comparison(math.nan, math.nan, "")


class BookValue(Whole):
    """One version of a value of the books; numbers in the uom of the tag."""

    id: int
    tag: str
    scope: str
    quantity: str
    period: Annotated[str, Field(description="2026, 2026-Q4, 2026-10, 2026-10-05, or an instant")]
    start: Rfc3339
    end: Annotated[Rfc3339, Field(description="not included; `start` of an instant")]
    version: int
    status: Literal["draft", "confirmed"]
    stands: Annotated[
        bool, Field(description="the newest confirmed version: the figure of its tag")
    ]
    newest: Annotated[bool, Field(description="no later version, be it a draft")]
    value: Annotated[float, formula("the value entered, in the uom of its tag")]
    uom: str
    date: Annotated[str | None, Field(description="the value, where it is a date")]
    entered: Given[Annotated[float, Field(description="as the person wrote it")]]
    entered_uom: str
    evidence: str
    note: str
    reason: Annotated[str, Field(description="of a correction")]
    recorded: Rfc3339
    recorded_by: str
    confirmed: Rfc3339 | None
    confirmed_by: str | None
    meter: Annotated[str | None, Field(description="tag that measures the same")]
    metered: Annotated[
        Number, formula("sum of the amounts of the tag that measures the same, over the period")
    ]
    metered_share: Annotated[Share, formula("share of the period the meter covers")]
    deviation: Annotated[Number, formula("(value - metered) / metered")]
    comparison: Annotated[
        Literal["within", "beyond", "undecided"] | None,
        Field(description="with the limit for online monitoring, which is unverified"),
    ]


class EntryBody(CommandBody):
    """A value of a tag and a period; a reason makes it a correction of the one in the book."""

    tag: Address
    period: Annotated[Cell, Field(description="2026, 2026-Q4, 2026-10, 2026-10-05, or an instant")]
    value: Annotated[Value | Cell, Field(description="a number, or a date like 2027-03-01")]
    uom: Annotated[Cell, Field(description="empty: that of the tag")] = ""
    evidence: Annotated[Text, Field(description="document, or SHA-256 of a file")] = ""
    note: Text = ""
    reason: Text = ""
    confirm: Annotated[Flag, Field(description="it is no draft")] = False


class CorrectionBody(CommandBody):
    """Another value for the period of one in the book, and why."""

    value: Annotated[Value | Cell, Field(description="a number, or a date like 2027-03-01")]
    reason: Annotated[Text, Field(min_length=1)]
    uom: Cell = ""
    evidence: Text = ""
    note: Text = ""
    confirm: Flag = False


class ConfirmBody(CommandBody):
    """Versions that are right; the newest of their periods."""

    ids: Annotated[list[RowId], Field(min_length=1, max_length=ROWS_MAX)]


@router.get("")
async def read_book(
    context: AppContext,
    tag: Annotated[Address, Query(description="address of one tag")] = "",
    scope: ScopeFilter = "",
    versions: Annotated[
        Literal["newest", "standing", "all"],
        Query(description="newest, drafts among them; standing: the figures; all: the history"),
    ] = "newest",
    limit: Limit = 100,
    cursor: After = 0,
) -> Page[BookValue]:
    """Return values of the books, the latest periods first."""
    context.require_page(limit)
    if scope:
        context.require_scope(scope)
    args = versions, tag, scope, limit + 1, cursor
    rows = await context.store.rows(queries.BOOK, *args)
    items = [_value(context, row) for row in rows[:limit]]
    return {"items": items, "next": str(cursor + limit) if len(rows) > limit else None}


@router.get("/{value}")
async def read_book_value(context: AppContext, value: BookNumber) -> Page[BookValue]:
    """Return all versions of a value, the newest first, by the number of one of them."""
    rows = await context.store.rows(queries.BOOK_VALUE, value)
    if not rows:
        raise not_found("value of the books", str(value), (), "/api/v1/book")
    return {"items": [_value(context, row) for row in rows], "next": None}


@router.post("", **ACCEPTED)
async def enter_book_value(context: AppContext, body: EntryBody) -> Response:
    """Enter a value, as a draft unless it says otherwise."""
    cells = body.model_dump(exclude={"by", "confirm"}) | {"value": str(body.value)}
    return await _enter(context, [BookRow(1, cells)], [], body.by, confirm=body.confirm)


@router.post("/csv", openapi_extra=CSV_BODY, **ACCEPTED)
async def enter_book_file(
    context: AppContext,
    request: Request,
    by: Annotated[Person, Query(min_length=1, description="person who enters it")],
    *,
    confirm: Annotated[bool, Query(description="they are no drafts")] = False,
) -> Response:
    """Enter the values of a CSV file: tag, period, value, uom, evidence, note, reason.

    Nothing of it is entered when one row has a problem. The SHA-256 of the file is the evidence of
    rows without one.
    """
    content = await request.body()
    try:
        rows, problems = read_table(decode(content))
    except ValueError as error:
        raise Problem(422, str(error), hint="save it as CSV in UTF-8 or GB 18030") from error
    return await _enter(context, with_evidence(rows, content), problems, by, confirm=confirm)


@router.post("/{value}/correct", **ACCEPTED)
async def correct_book_value(
    context: AppContext, value: BookNumber, body: CorrectionBody
) -> Response:
    """Enter another value for the same tag and period; the one before stays visible."""
    rows = await context.store.rows(queries.BOOK_VALUE, value)
    if not rows:
        raise not_found("value of the books", str(value), (), "/api/v1/book")
    context.require_command(rows[0]["scope"])
    cells = body.model_dump(exclude={"by", "confirm"}) | {"value": str(body.value)}
    cells |= {"tag": rows[0]["address"], "period": label(_period(rows[0]), context.zone)}
    return await _enter(context, [BookRow(1, cells)], [], body.by, confirm=body.confirm)


@router.post("/confirm", **ACCEPTED)
async def confirm_book_values(context: AppContext, body: ConfirmBody) -> Response:
    """Confirm drafts: they are the figures of their tags from then on."""
    states = {row["id"]: row for row in await context.store.rows(queries.BOOK_STATES, body.ids)}
    for each in body.ids:
        state = states.get(each)
        if state is None:
            raise not_found("value of the books", str(each), (), "/api/v1/book")
        context.require_command(state["scope"])
        if state["confirmed"] is not None:
            raise Problem(409, f"value {each} is confirmed already")
        if not state["newest"]:
            raise Problem(409, f"value {each} was corrected since: confirm the newest version")
    order = {"by": body.by, "ids": body.ids}
    scopes = {row["scope"] for row in states.values()}
    return await queue_command(context, "book.confirm", order, *scopes)


async def _enter(
    context: Context,
    rows: Sequence[BookRow],
    problems: list[BookProblem],
    by: str,
    *,
    confirm: bool,
) -> Response:
    """Queue rows for ingest; raises Problem 422 with everything that is wrong with them."""
    park = context.model.park
    entries, wrong = read_entries(rows, park, context.now_us())
    scopes = {entry.tag.scope for entry in entries}
    for scope in scopes:
        context.require_command(scope)
    addresses = sorted({entry.tag.address for entry in entries})
    known = [
        Version(
            r["id"], r["address"], _period(r), r["version"], r["value"], r["confirmed"] is not None
        )
        for r in await context.store.rows(queries.BOOK_NEWEST, addresses)
    ]
    problems = [*problems, *wrong, *compare_with_book(entries, known, context.zone)[1]]
    if problems:
        raise _refusal(problems)
    body = {"by": by, "confirm": confirm, "rows": [list(row) for row in rows]}
    return await queue_command(context, "book.enter", body, *scopes)


def _refusal(problems: Sequence[BookProblem]) -> Problem:
    """Return the answer to rows with problems: all of them in `errors`."""
    errors = [{"parameter": p.column, "in": "body", "detail": str(p)} for p in problems]
    return Problem(422, sentence_of(problems), hint="nothing was entered", errors=errors)


def _period(row: Any) -> Period:
    return Period(to_us(row["start"]), to_us(row["stop"]))


def _value(context: Context, row: Any) -> BookValue:
    """Return a row of view book_named as it leaves."""
    period, uom = _period(row), (row["scale"], row["shift"])
    metered = math.nan if row["metered"] is None else row["metered"]
    comparison = NO_COMPARISON
    if row["meter"]:
        period_s = (period.stop_us - period.start_us) / SECOND_US
        comparison = compare(row["value"], metered, row["metered_s"] or 0.0, period_s)
    return record(
        BookValue,
        row,
        tag=row["address"],
        period=label(period, context.zone),
        **context.times(row, "start", "recorded", "confirmed"),
        end=context.time(row["stop"]),
        status="draft" if row["confirmed"] is None else "confirmed",
        value=number(row["value"], uom),
        uom=row["tag_uom"],
        date=date_of(row["value"]) if row["quantity"] == DATE else None,
        entered_uom=row["uom"],
        metered=number(metered, uom),
        metered_share=comparison.share,
        deviation=comparison.deviation,
        comparison=comparison.verdict or None,
    )
