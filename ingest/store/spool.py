"""Table spool: messages as they came, of gateways that sent more than their share."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from deploy.database.times import stamp, to_us
from ingest.routing.topics import Message
from ingest.store.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

ROWS = "SELECT id, gateway, since, messages, length(packed) FROM spool ORDER BY id"
ADD = """
INSERT INTO spool (gateway, since, messages, packed) VALUES ($1, $2, $3, $4) RETURNING id
"""
PACKED = "SELECT packed FROM spool WHERE id = ANY($1::bigint[]) ORDER BY id"
FORGET = "DELETE FROM spool WHERE id = ANY($1::bigint[])"
MESSAGES = msgspec.msgpack.Decoder(list[Message])


class SpoolRow(NamedTuple):
    """Consecutive messages of one gateway."""

    number: int
    gateway: str
    since_us: int  # arrival of the first
    messages: int
    size: int  # bytes


class SpoolTable(Table):
    """Table spool."""

    async def rows(self) -> list[SpoolRow]:
        """Return all rows in the order in which they came."""
        rows = await self._fetch(ROWS)
        return [SpoolRow(row[0], row[1], to_us(row[2]), *row[3:]) for row in rows]

    async def add(self, gateway: str, messages: Sequence[Message]) -> SpoolRow:
        """Store consecutive messages of a gateway."""
        packed = msgspec.msgpack.encode(messages)
        since_us, count = messages[0].received_us, len(messages)
        rows = await self._fetch(ADD, gateway, stamp(since_us), count, packed)
        return SpoolRow(rows[0][0], gateway, since_us, count, len(packed))

    async def messages(self, numbers: Sequence[int]) -> list[Message]:
        """Return the messages of some rows in the order in which they came."""
        rows = await self._fetch(PACKED, numbers)
        return [message for row in rows for message in MESSAGES.decode(row["packed"])]

    async def forget(self, numbers: Sequence[int]) -> None:
        """Delete rows."""
        await self._fetch(FORGET, numbers)
