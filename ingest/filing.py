"""Commands about reports: versions that are kept, comments, and who reviewed and signed them."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003, msgspec reads the annotation
from typing import TYPE_CHECKING, Literal

import msgspec

from deploy.database.times import stamp
from twin.errors import ParkError

if TYPE_CHECKING:
    from ingest.store import Store
    from ingest.store.commands import CommandRow

# A report of a region with a hundred enterprises has some megabytes.
CONTENT_CHARACTERS = 16_000_000
# The states a report may go on to from each.
NEXT = {"draft": ("reviewed",), "reviewed": ("signed", "draft"), "signed": ()}


class KeepCommand(msgspec.Struct):
    """A command that keeps a report; `keep` limits the periods whose reports nobody signed."""

    by: str
    kind: str
    scope: str
    period: str
    span: str
    start: datetime
    stop: datetime
    model: int
    digest: str
    content: str
    keep: int | None = None


class NoteCommand(msgspec.Struct):
    """A command that comments on a report, or moves it to its next state."""

    by: str
    id: int
    state: Literal["", "draft", "reviewed", "signed"] = ""
    note: str = ""


class Filing:
    """The reports of one database."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def keep(self, row: CommandRow, now_us: int) -> None:
        """Keep a version of a report, unless the newest one says the same; raises ParkError."""
        command = row.read(KeepCommand)
        if len(command.content) > CONTENT_CHARACTERS:
            raise ParkError(f"the report has more than {CONTENT_CHARACTERS:,} characters")
        reports = self._store.reports
        version, digest = await reports.newest(command.kind, command.scope, command.period)
        if digest != command.digest:
            await reports.add(
                (
                    command.kind, command.scope, command.period, command.span, command.start,
                    command.stop, version + 1, command.model, command.digest, command.content,
                    stamp(now_us), command.by, row.number,
                ),
                row.number,
            )  # fmt: skip
        if command.keep is not None:
            await reports.drop(command.kind, command.scope, command.span, max(command.keep, 1))

    async def note(self, row: CommandRow, now_us: int) -> None:
        """Write down a comment or the next state of a report; raises ParkError."""
        command = row.read(NoteCommand)
        known = await self._store.reports.state(command.id)
        if known is None:
            raise ParkError(f"there is no report {command.id}")
        state, newest = known
        if command.state and command.state not in NEXT[state]:
            following = " or ".join(NEXT[state]) or "nothing else"
            raise ParkError(f"report {command.id} is {state}: it can become {following}")
        if command.state and not newest:
            raise ParkError(f"there is a newer version of report {command.id}: sign that one")
        if not command.state and not command.note:
            raise ParkError("a comment has words")
        await self._store.reports.note(
            command.id, command.state, command.note, stamp(now_us), command.by, row.number
        )
