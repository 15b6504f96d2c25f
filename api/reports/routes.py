"""Reports over HTTP: made of answers, kept in versions, reviewed, signed and verified."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import quote

import orjson
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field

from api import queries
from api.answers import Page
from api.calculation.inline import address_of
from api.calculation.pool import LongCalculationRoute
from api.commands import ACCEPTED, CommandBody, queue_command
from api.context import AppContext, Context
from api.industry import makers
from api.parameters import After, Limit, RowId, ScopeFilter, Text
from api.problems import RESPONSES, Problem, invalid
from api.reports import docx, html, pdf, table, xlsx
from api.reports.archive import (
    DueReport,
    KeptAnswer,
    KeptReport,
    State,
    Verification,
    find_kept,
    kept_answer,
    kept_report,
)
from api.reports.compare import changed_figures
from api.reports.contents import industry_of, read_report
from api.reports.document import Kind, ReportDocument
from api.reports.period import Span, last_span, parse_span
from api.reports.replies import read_reply
from api.reports.wording import Language
from api.restatements import Restatement
from api.windows import ScopePath
from deploy.database.times import stamp
from twin.arrays import SECOND_US
from twin.model.schedule import ScheduledReport

router = APIRouter(prefix="/api/v1/reports", responses=RESPONSES, route_class=LongCalculationRoute)

Format = Literal["json", "html", "pdf", "docx", "xlsx", "csv"]
RENDER = {
    "html": html.render,
    "pdf": pdf.render,
    "docx": docx.render,
    "xlsx": xlsx.render,
    "csv": table.render,
}
OFFICE = "application/vnd.openxmlformats-officedocument"
MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "pdf": "application/pdf",
    "docx": f"{OFFICE}.wordprocessingml.document",
    "xlsx": f"{OFFICE}.spreadsheetml.sheet",
}
FILES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}}
            for kind in MEDIA_TYPES.values()
        }
    },
}
# Kinds of scopes a report of each kind is about.
LEVELS = {
    "park": ("region", "park"),
    "industry": ("region", "park"),
    "enterprise": ("enterprise",),
}
KindPath = Annotated[Kind, Path(description="what the report is about")]
ReportId = Annotated[RowId, Path(alias="report", description="number of a kept report")]
FileFormat = Annotated[Format, Query(alias="format", description="json has both languages")]
FileLanguage = Annotated[Language, Query(description="language of the file")]
PERIOD = "2026, 2026-Q4, 2026-10, 2026-10-05, or a shift: 2026-10-05/2"


class KeepBody(CommandBody):
    """Keep a report as it is now."""

    period: Annotated[Text, Field(description=PERIOD)]
    keep: Annotated[
        int | None,
        Field(ge=1, le=10_000, description="periods of which drafts stay; null = all of them"),
    ] = None


class NoteBody(CommandBody):
    """Comment on a kept report, or move it to its next state."""

    state: Annotated[State | Literal[""], Field(description="empty = a comment only")] = ""
    note: Annotated[Text, Field(description="words of the comment")] = ""


@router.get("")
async def list_reports(
    context: AppContext,
    kind: Annotated[Kind | Literal[""], Query(description="only this kind")] = "",
    scope: ScopeFilter = "",
    limit: Limit = 100,
    cursor: After = 0,
) -> Page[KeptReport]:
    """Return the reports that are kept, the last one first."""
    context.require_page(limit)
    rows = await context.store.rows(queries.REPORTS, kind, scope, limit + 1, cursor)
    more = len(rows) > limit
    return {
        "items": [kept_report(context, row) for row in rows[:limit]],
        "next": str(cursor + limit) if more else None,
    }


@router.get("/due")
async def list_due_reports(context: AppContext) -> Page[DueReport]:
    """Return the reports of the schedule, each for its newest period that is over."""
    park, items = context.model.park, []
    expected_us = _expected_us(context)
    for row in park.rows(ScheduledReport):
        span = last_span(row.every, park.timezone, park.shifts, expected_us)
        ends = (stamp(span.start_us), stamp(span.stop_us))
        (hours,) = await context.store.rows(queries.HAS_HOUR, *ends)
        kept = await context.store.rows(queries.NEWEST_REPORT, row.kind, row.path, span.text)
        due: DueReport = {
            "kind": row.kind,
            "scope": row.path,
            "every": row.every,
            "period": span.text,
            "end": span.end,
            "language": row.language,
            "formats": list(row.formats),
            "keep": row.keep or None,
            "kept": kept[0]["id"] if kept else None,
            "has_data": hours["known"],
        }
        items.append(due)
    return {"items": items, "next": None}


@router.get("/{report:int}", response_model=KeptAnswer, responses=FILES)
async def read_kept_report(
    context: AppContext,
    request: Request,
    report: ReportId,
    lang: FileLanguage = "zh",
    format_: FileFormat = "json",
) -> Any:
    """Return a kept report: its content as it was, and what people said of it."""
    row = await find_kept(context, report)
    answer = await kept_answer(context, row)
    if format_ == "json":
        return answer
    return _file(answer["document"], request, lang, format_)


@router.get("/{report:int}/verification")
async def verify_report(context: AppContext, request: Request, report: ReportId) -> Verification:
    """Hold a kept report against the answers of today: what differs, and what was restated."""
    row = await find_kept(context, report)
    kept: ReportDocument = orjson.loads(row["content"])
    span = check_report(context, row["kind"], row["scope"], row["period"])
    made = await _document(context, request, row["kind"], row["scope"], span)
    since = context.time(row["kept"])
    return {
        "report": kept_report(context, row),
        "digest": made["digest"],
        "same": made["digest"] == row["digest"],
        "model": made["model"],
        "changed": changed_figures(kept, made),
        "restated": await _restated(request, row["kind"], row["scope"], span, since),
    }


@router.post("/{report:int}/notes", **ACCEPTED)
async def note_report(context: AppContext, report: ReportId, body: NoteBody) -> Response:
    """Comment on a kept report, review it or sign it; a signed one is never dropped or changed."""
    kept = await find_kept(context, report)
    return await queue_command(
        context, "report.note", {"id": report, **body.model_dump()}, kept["scope"]
    )


@router.get("/{kind}/{path:path}", response_model=ReportDocument, responses=FILES)
async def read_report_file(
    context: AppContext,
    request: Request,
    kind: KindPath,
    path: ScopePath,
    period: Annotated[Text, Query(description=PERIOD)],
    lang: FileLanguage = "zh",
    format_: FileFormat = "json",
) -> Any:
    """Return a report of a scope and a period: answers of this interface, ordered and worded."""
    span = check_report(context, kind, path, period)
    document = await _document(context, request, kind, path, span)
    return document if format_ == "json" else _file(document, request, lang, format_)


@router.post("/{kind}/{path:path}", **ACCEPTED)
async def keep_report(
    context: AppContext, request: Request, kind: KindPath, path: ScopePath, body: KeepBody
) -> Response:
    """Make a report and keep it as a version; where the newest one says the same, that stays."""
    span = check_report(context, kind, path, body.period)
    document = await _document(context, request, kind, path, span)
    if not document["closed"]:
        raise Problem(409, f"the period {span.text} is not over", hint="keep reports of past time")
    command = {
        "by": body.by,
        "kind": kind,
        "scope": path,
        "period": span.text,
        "span": span.window,
        "start": span.start,
        "stop": span.end,
        "model": document["model"],
        "digest": document["digest"],
        "content": orjson.dumps(document).decode(),
        "keep": body.keep,
    }
    return await queue_command(context, "report.keep", command, path)


def _expected_us(context: Context) -> int:
    """Return the time up to which minutes are expected."""
    return context.now_us() - round(context.settings.minute_delay_s * SECOND_US)


async def _document(
    context: Context, request: Request, kind: Kind, path: str, span: Span
) -> ReportDocument:
    """Return a report as of now, with what was restated since the last one that is kept."""
    closed, model = span.stop_us <= _expected_us(context), context.model
    document = await read_report(
        request.app, kind, path, span, model=model.version, closed=closed, park=model.park
    )
    rows = await context.store.rows(queries.NEWEST_REPORT, kind, path, span.text)
    document["since"] = context.time(rows[0]["kept"]) if rows else None
    document["restated"] = await _restated(request, kind, path, span, document["since"])
    return document


async def _restated(
    request: Request, kind: Kind, path: str, span: Span, since: str | None
) -> list[Restatement]:
    """Return the sums inside a period that were made anew since a time, or since it was over.

    None of an industry: their tags would name its members.
    """
    if kind == "industry":
        return []
    ends = {"from_": span.start, "to": span.end, "since": since or span.end}
    reply = await read_reply(request.app, span, address_of(f"scopes/{path}/restatements", **ends))
    return list(reply.body.get("restatements", ()))


def _file(document: ReportDocument, request: Request, lang: Language, format_: str) -> Response:
    content = RENDER[format_](document, lang, str(request.base_url).rstrip("/"))
    words = (document["kind"], document["scope"], document["period"], lang)
    name = quote(f"{'-'.join(words)}.{format_}".replace("/", "-"))
    headers = {"Content-Disposition": f"inline; filename*=UTF-8''{name}"}
    if format_ == "html":
        headers["Content-Security-Policy"] = html.POLICY
    return Response(content, media_type=MEDIA_TYPES[format_], headers=headers)


def check_report(context: Context, kind: Kind, path: str, period: str) -> Span:
    """Return the period of a report; raises Problem 404 and 422."""
    park = context.model.park
    scope_id, product = industry_of(path) if kind == "industry" else (path, "")
    context.require_scope(scope_id)
    span = parse_span(period, park.timezone, park.shifts)
    scope = park.scope(scope_id)
    assert scope is not None
    if kind in LEVELS and scope.kind not in LEVELS[kind]:
        levels = " or ".join(LEVELS[kind])
        raise invalid("path", f"{scope_id} is a {scope.kind}, and no {levels}", part="path")
    if kind == "industry":
        makers(context.model.network, scope_id, product)
    if kind == "shift" and span.window != "shift":
        raise invalid("period", "a shift log is about a shift", hint="write it like 2026-10-05/2")
    return span
