"""Tables report and report_note: what was kept, who has said what of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ingest.store.table import Table, insert

if TYPE_CHECKING:
    from datetime import datetime

KEY = "kind = $1 AND scope = $2 AND period = $3"
NEWEST = f"SELECT version, digest FROM report WHERE {KEY} ORDER BY version DESC LIMIT 1"  # noqa: S608
ADD = insert(
    "report",
    "kind text, scope text, period text, span text, start timestamptz, stop timestamptz,"
    " version int, model bigint, digest text, content text, kept timestamptz, kept_by text,"
    " command bigint",
)
# Of a command that has been carried out the content is in its report.
SHORTEN = "UPDATE command SET body = body - 'content' WHERE id = $1"
# Of reports alike, those that nobody signed and that are not of the newest periods.
DROP = """
DELETE FROM report WHERE id IN (
    SELECT id FROM (
        SELECT id, state, dense_rank() OVER (ORDER BY start DESC) AS back FROM report_named
        WHERE kind = $1 AND scope = $2 AND span = $3) r
    WHERE back > $4 AND state <> 'signed')
"""
STATE = "SELECT state, newest FROM report_named WHERE id = $1"
NOTE = insert(
    "report_note",
    "report_id bigint, state text, note text, written timestamptz, written_by text, command bigint",
)


class ReportTable(Table):
    """Tables report and report_note."""

    async def newest(self, kind: str, scope: str, period: str) -> tuple[int, str]:
        """Return version and digest of the newest report of a period; 0 before the first."""
        rows = await self._fetch(NEWEST, kind, scope, period)
        return (rows[0]["version"], rows[0]["digest"]) if rows else (0, "")

    async def add(self, row: tuple[Any, ...], command: int) -> None:
        """Add a version, in the order of the columns of `ADD`, and shorten its command."""
        await self._fetch(ADD, *[[cell] for cell in row])
        await self._fetch(SHORTEN, command)

    async def drop(self, kind: str, scope: str, span: str, keep: int) -> None:
        """Drop the reports of a kind that nobody signed, but for the newest periods."""
        await self._fetch(DROP, kind, scope, span, keep)

    async def state(self, number: int) -> tuple[str, bool] | None:
        """Return the state of a report, and whether it is the newest; None where there is none."""
        rows = await self._fetch(STATE, number)
        return (rows[0]["state"], rows[0]["newest"]) if rows else None

    async def note(
        self, number: int, state: str, text: str, written: datetime, by: str, command: int
    ) -> None:
        """Write down a comment or a state of a report."""
        cells = (number, state, text, written, by, command)
        await self._fetch(NOTE, *[[cell] for cell in cells])
