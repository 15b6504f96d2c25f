"""The record of who came in and what was ordered, which shows when it was changed.

Each row has an HMAC-SHA-256 of itself and of the row before, with a key that is kept outside of the
database: whoever has the database alone can neither write a row nor change one. Rows taken off the
end are noticed by whoever noted the head, as `parktwin audit verify` prints it.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

AUDIT_LOCK = 7_203_121
BEGIN = b"\x00" * 32
NEWEST = "SELECT number, digest FROM audit ORDER BY number DESC LIMIT 1"
ADD = """
INSERT INTO audit (number, time, account, address, action, subject, outcome, digest)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"""
ROWS = "SELECT * FROM audit WHERE number > $1 ORDER BY number LIMIT $2"
AT_ONCE = 10_000
# Of what strangers send.
SUBJECT_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Event:
    """What happened: by whom, from which address, what, about what, and how it ended."""

    account: str
    address: str
    action: str
    subject: str
    outcome: str


@dataclass(frozen=True, slots=True)
class RecordState:
    """What a look at the whole record says; `wrong` is the first row that does not fit, or 0."""

    rows: int
    head: str
    wrong: int


async def append(connection: Any, key: bytes, time: datetime, event: Event) -> None:
    """Add an event in the transaction of a connection."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", AUDIT_LOCK)
    newest = await connection.fetchrow(NEWEST)
    number, before = (newest["number"] + 1, newest["digest"]) if newest else (1, BEGIN)
    subject = event.subject.replace("\x00", "")[:SUBJECT_CHARACTERS]
    row = (number, time, event.account, event.address, event.action, subject, event.outcome)
    await connection.execute(ADD, *row, digest_of(key, before, row))


def digest_of(key: bytes, before: bytes, row: tuple[Any, ...]) -> bytes:
    """Return the digest of a row (number, time, …, outcome) behind another one."""
    number, time, *texts = row
    content = orjson.dumps([number, time.isoformat(), *texts])
    return hmac.new(key, before + content, hashlib.sha256).digest()


async def verify(connection: Any, key: bytes, head: str = "") -> RecordState:
    """Look at every row of the record, and whether a head that was noted once is one of them."""
    before, number, wrong = BEGIN, 0, 0
    noted, _, noted_digest = head.partition(":")
    async for row in _rows(connection):
        number += 1
        columns = tuple(row.values())
        expected = digest_of(key, before, columns[:-1])
        if row["number"] != number or not hmac.compare_digest(expected, row["digest"]):
            wrong = number
            break
        before = row["digest"]
        if noted == str(number) and before.hex() != noted_digest:
            wrong = number
            break
    if head and not wrong and number < int(noted):
        wrong = number + 1
    return RecordState(number, f"{number}:{before.hex()}", wrong)


async def _rows(connection: Any) -> AsyncIterator[Any]:
    number = 0
    while rows := await connection.fetch(ROWS, number, AT_ONCE):
        for row in rows:
            yield row
        number = rows[-1]["number"]
