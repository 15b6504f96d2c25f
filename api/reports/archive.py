"""Reports that are kept: their versions, what people said of them, and whether they still hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
from pydantic import Field
from typing_extensions import TypedDict

from api import queries
from api.answers import Rfc3339, record
from api.problems import Problem
from api.reports.compare import ChangedFigure
from api.reports.document import Kind, ReportDocument
from api.restatements import Restatement

if TYPE_CHECKING:
    from api.context import Context

State = Literal["draft", "reviewed", "signed"]


class KeptReport(TypedDict):
    """A version of a report that is kept."""

    id: int
    kind: Kind
    scope: str
    period: str
    version: int
    newest: Annotated[bool, Field(description="no later version of the same period")]
    model: Annotated[int, Field(description="version of the park model")]
    digest: str
    kept: Rfc3339
    kept_by: str
    state: State
    state_by: str | None
    state_since: Rfc3339 | None


class DueReport(TypedDict):
    """A report of the schedule, of its newest period that is over and whose data are expected."""

    kind: str
    scope: Annotated[str, Field(description="of an industry with the product")]
    every: str
    period: str
    end: Annotated[Rfc3339, Field(description="when the period was over")]
    language: str
    formats: list[str]
    keep: Annotated[int | None, Field(description="periods of which drafts stay; null = all")]
    kept: Annotated[int | None, Field(description="the version that is kept; null: it is due")]
    has_data: Annotated[
        bool, Field(description="the park has data of this time; without, none is made by itself")
    ]


class ReportNote(TypedDict):
    """A comment, or a state that a report has from then on."""

    state: Annotated[str, Field(description="draft, reviewed or signed; empty = a comment")]
    note: str
    written: Rfc3339
    written_by: str


class KeptAnswer(TypedDict):
    """A version of a report with what people said of it, and its content."""

    report: KeptReport
    notes: list[ReportNote]
    document: ReportDocument


class Verification(TypedDict):
    """A kept report held against the answers of today."""

    report: KeptReport
    digest: Annotated[str, Field(description="of the same report, made now")]
    same: bool
    model: Annotated[int, Field(description="version of the park model now")]
    changed: list[ChangedFigure]
    restated: Annotated[
        list[Restatement], Field(description="inside the period, since it was kept")
    ]


def kept_report(context: Context, row: Any) -> KeptReport:
    """Return a row of view report_named as it leaves."""
    return record(KeptReport, row, **context.times(row, "kept", "state_since"))


async def find_kept(context: Context, number: int) -> Any:
    """Return a kept report with its content; raises Problem 404."""
    if not context.viewer.sees_all:
        raise Problem(
            403, "kept reports were made for the operator of the park",
            hint="ask for the report anew: it has what you may know",
        )  # fmt: skip
    rows = await context.store.rows(queries.REPORT, number)
    if not rows:
        raise Problem(404, f"there is no kept report {number}", hint="/api/v1/reports lists them")
    return rows[0]


async def kept_answer(context: Context, row: Any) -> KeptAnswer:
    """Return a kept report with its notes."""
    notes = await context.store.rows(queries.REPORT_NOTES, row["id"])
    return {
        "report": kept_report(context, row),
        "notes": [record(ReportNote, note, **context.times(note, "written")) for note in notes],
        "document": orjson.loads(row["content"]),
    }
