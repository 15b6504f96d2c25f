"""Table command: what operators want done, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec

from deploy.database.times import stamp
from ingest.store.table import Table
from twin.errors import ParkError

if TYPE_CHECKING:
    from collections.abc import Sequence


# A command whose kind has a dot is none about alarms.
ALARM_COMMANDS = """
SELECT id, kind, body FROM command WHERE done IS NULL AND kind NOT LIKE '%.%' ORDER BY id LIMIT $1
"""
OTHER_COMMANDS = """
SELECT id, kind, body FROM command WHERE done IS NULL AND kind LIKE '%.%'
    AND starts_with(kind, 'unit_error.') = $1 ORDER BY id LIMIT 1
"""
ANSWER = """
UPDATE command c SET done = $1, error = n.error
FROM unnest($2::bigint[], $3::text[]) AS n (id, error) WHERE c.id = n.id
"""
ADD = "INSERT INTO command (kind, body) VALUES ($1, $2::jsonb) RETURNING id"
RESULT = "SELECT done IS NOT NULL, error FROM command WHERE id = $1"
TEXT_CHARACTERS = 1_000

Body = TypeVar("Body")


class CommandRow(NamedTuple):
    """One command as it was sent; `body` is JSON."""

    number: int
    kind: str
    body: str

    def read(self, form: type[Body]) -> Body:
        """Return the body as a typed command; raises ParkError when it has another form."""
        try:
            return msgspec.json.decode(self.body, type=form)
        except msgspec.MsgspecError as error:
            raise ParkError(f"the body of command {self.kind} has another form: {error}") from None


class CommandTable(Table):
    """Table command."""

    async def about_alarms(self, limit: int) -> list[CommandRow]:
        """Return the oldest commands about alarms that have no answer."""
        return [CommandRow(*row) for row in await self._fetch(ALARM_COMMANDS, limit)]

    async def about_unit_errors(self) -> CommandRow | None:
        """Return the oldest command about unit errors that has no answer."""
        return await self._oldest(about_unit_errors=True)

    async def next(self) -> CommandRow | None:
        """Return the oldest other command that has no answer."""
        return await self._oldest(about_unit_errors=False)

    async def _oldest(self, *, about_unit_errors: bool) -> CommandRow | None:
        rows = await self._fetch(OTHER_COMMANDS, about_unit_errors)
        return CommandRow(*rows[0]) if rows else None

    async def answer(
        self, numbers: Sequence[int], errors: Sequence[str | None], now_us: int
    ) -> None:
        """Mark commands as done; an error says why nothing came of one, at most a thousand long."""
        texts = [error and error[:TEXT_CHARACTERS] for error in errors]
        await self._fetch(ANSWER, stamp(now_us), list(numbers), texts)

    async def add(self, kind: str, body: str) -> int:
        """Write a command down; return its number."""
        return int((await self._fetch(ADD, kind, body))[0][0])

    async def result(self, number: int) -> tuple[bool, str | None]:
        """Return whether a command has its answer, and the error in it."""
        done, error = (await self._fetch(RESULT, number))[0]
        return done, error
