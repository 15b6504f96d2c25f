"""The record of who came in and what was ordered, which shows when it was changed.

Each row has an HMAC-SHA-256 of itself and of the row before, with a key that is kept outside of the
database: whoever has the database alone can neither write a row nor change one. Rows taken off the
end are noticed by whoever noted the head, as `parktwin audit verify` prints it. The oldest rows go
after a time: a row says up to which one, with the digest on which the first of the others stands.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime

AUDIT_LOCK = 7_203_121
BEGIN = b"\x00" * 32
NEWEST = "SELECT number, digest FROM audit ORDER BY number DESC LIMIT 1"
ADD = """
INSERT INTO audit (number, time, account, address, action, subject, outcome, digest)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"""
ROWS = "SELECT * FROM audit WHERE number > $1 ORDER BY number LIMIT $2"
AT_ONCE = 10_000
# Of a row that says which rows were removed.
REMOVAL = "remove"
NEWEST_REMOVAL = """
SELECT time, subject, outcome FROM audit WHERE action = 'remove' ORDER BY number DESC LIMIT 1"""
REMOVED = re.compile(r"rows up to (\d+), (\w{64})")
# The last row before the first that is young enough: a whole stretch goes, wherever clocks jumped.
LAST_OLD = """
SELECT number, digest FROM audit
WHERE number < coalesce((SELECT min(number) FROM audit WHERE time >= $1), 9223372036854775807)
ORDER BY number DESC LIMIT 1"""
REMOVE = """
WITH gone AS (DELETE FROM audit WHERE number <= $1 RETURNING number) SELECT count(*) FROM gone"""
MODELS = "model"
NEWEST_MODEL = """
SELECT subject FROM audit WHERE action = 'model' ORDER BY number DESC LIMIT 1"""
# Of a gateway whose messages the broker refused.
REFUSAL = "publish"
KNOWN_REFUSAL = """
SELECT EXISTS (SELECT FROM audit WHERE account = $1 AND action = $2 AND time >= $3)"""
REFUSALS_APART = timedelta(hours=1)
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
    """What a look at the whole record says; `wrong` is the first row that does not fit, or 0.

    `begins` is the first row that is there, and `removed` why the ones before it are not.
    """

    rows: int
    head: str
    wrong: int
    begins: int = 1
    removed: str = ""


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
    """Look at every row of the record, and whether a head that was noted once is one of them.

    A head of rows that were removed since says nothing, but for the last of them.
    """
    start, before, removed = await _beginning(connection)
    number, wrong = start, 0
    noted, _, noted_digest = head.partition(":")

    def is_other_head() -> bool:
        return noted == str(number) and before.hex() != noted_digest

    if is_other_head():
        wrong = number
    async for row in _rows(connection):
        number += 1
        columns = tuple(row.values())
        expected = digest_of(key, before, columns[:-1])
        if row["number"] != number or not hmac.compare_digest(expected, row["digest"]):
            wrong = number
            break
        before = row["digest"]
        if is_other_head():
            wrong = number
            break
    if head and not wrong and number < int(noted):
        wrong = number + 1
    return RecordState(number - start, f"{number}:{before.hex()}", wrong, start + 1, removed)


async def _beginning(connection: Any) -> tuple[int, bytes, str]:
    """Return the last row that was removed, its digest, and how that stands in the record."""
    row = await connection.fetchrow(NEWEST_REMOVAL)
    words = REMOVED.fullmatch(row["subject"]) if row else None
    if words is None:
        return 0, BEGIN, ""
    why = f"{row['outcome']}, on {row['time'].isoformat(timespec='seconds')}"
    return int(words[1]), bytes.fromhex(words[2]), why


async def remove_old(connection: Any, key: bytes, now: datetime, days: int, account: str) -> int:
    """Remove the rows older than some days in the transaction of a connection; return how many.

    That they were is a row itself: the record stays one chain from the digest that it names.
    """
    await connection.execute("SELECT pg_advisory_xact_lock($1)", AUDIT_LOCK)
    last = await connection.fetchrow(LAST_OLD, now - timedelta(days=days))
    if last is None:
        return 0
    subject = f"rows up to {last['number']}, {last['digest'].hex()}"
    outcome = f"older than {days} days"
    await append(connection, key, now, Event(account, "", REMOVAL, subject, outcome))
    return int(await connection.fetchval(REMOVE, last["number"]))


async def note_models(
    connection: Any, key: bytes, now: datetime, models: Sequence[tuple[int, str]]
) -> None:
    """Add the versions of the model (number, digest) that the record does not have yet."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", AUDIT_LOCK)
    newest = await connection.fetchval(NEWEST_MODEL)
    known = int(re.findall(r"\d+", newest)[0]) if newest else 0
    for number, digest in sorted(models):
        if number > known:
            subject = f"version {number}, {digest}"
            await append(connection, key, now, Event("", "", MODELS, subject, "in use"))


async def note_refusal(
    connection: Any, key: bytes, now: datetime, gateway: str, refused: tuple[int, str, datetime]
) -> None:
    """Add how many messages of a gateway the broker refused, to which topic; once an hour."""
    messages, topic, newest = refused
    await connection.execute("SELECT pg_advisory_xact_lock($1)", AUDIT_LOCK)
    since = min(newest, now - REFUSALS_APART)
    if not await connection.fetchval(KNOWN_REFUSAL, gateway, REFUSAL, since):
        outcome = f"refused by the broker, {messages} since its start"
        await append(connection, key, now, Event(gateway, "", REFUSAL, topic, outcome))


async def _rows(connection: Any) -> AsyncIterator[Any]:
    number = 0
    while rows := await connection.fetch(ROWS, number, AT_ONCE):
        for row in rows:
            yield row
        number = rows[-1]["number"]
