"""Table contact: who sends without being in the park model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from deploy.database.times import plain, stamp, to_us
from ingest.routing.topics import Message
from ingest.store.table import Table, columns_of, upsert
from twin.adoption import Contact, HeardName
from twin.errors import ParkError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

WRITE = upsert(
    "contact",
    "id bigint, address text, protocol text, mn text, presets jsonb, reason text, topic text,"
    " payload bytea, size int, count bigint, first_seen timestamptz, last_seen timestamptz,"
    " names jsonb, unlisted bigint",
    "id",
)
LIST = "SELECT * FROM contact ORDER BY last_seen DESC, id LIMIT $1"
FIND = "SELECT * FROM contact WHERE id = $1"
FORGET = "DELETE FROM contact WHERE id = ANY($1::bigint[])"


@dataclass(slots=True)
class Heard:
    """One contact as it was heard so far; `address` is what the model would have to know."""

    id: int
    address: str
    protocol: str  # of a gateway; empty: nothing of ours reads it
    mn: str
    first_us: int
    presets: Sequence[str] = ()
    reason: str = ""
    topic: str = ""
    payload: bytes = b""  # the newest, as far as it is kept
    size: int = 0
    count: int = 0
    last_us: int = 0
    names: dict[str, HeardName] = field(default_factory=dict)
    unlisted: int = 0  # values whose names found no room
    read_us: int = 0
    is_stored: bool = False
    is_changed: bool = True


class ContactTable(Table):
    """Table contact."""

    async def all(self) -> list[Heard]:
        """Return all contacts."""
        rows = await self._fetch(LIST, None)
        return [
            Heard(
                row["id"], row["address"], row["protocol"], row["mn"], to_us(row["first_seen"]),
                msgspec.json.decode(row["presets"]), row["reason"], row["topic"], row["payload"],
                row["size"], row["count"], to_us(row["last_seen"]),
                {name.name: name for name in _names(row)}, row["unlisted"], is_stored=True,
            )
            for row in rows
        ]  # fmt: skip

    async def ids(self) -> set[int]:
        """Return the ids of all contacts."""
        return {row["id"] for row in await self._fetch("SELECT id FROM contact")}

    async def write(self, contacts: Iterable[Heard]) -> None:
        """Write contacts over what is there of them."""
        rows = [
            (
                c.id, c.address, c.protocol, c.mn, _json(c.presets), c.reason, plain(c.topic),
                c.payload, c.size, c.count, stamp(c.first_us), stamp(c.last_us),
                _json([name._asdict() for name in c.names.values()]), c.unlisted,
            )
            for c in contacts
        ]  # fmt: skip
        if rows:
            await self._fetch(WRITE, *columns_of(rows))

    async def forget(self, ids: Collection[int]) -> None:
        """Delete contacts."""
        if ids:
            await self._fetch(FORGET, list(ids))

    async def take_payloads(self, is_declared: Callable[[str, str], bool]) -> list[Message]:
        """Forget the contacts that are declared by now; return what each has sent last, whole."""
        rows = await self._fetch(LIST, None)
        known = [row for row in rows if is_declared(row["address"], row["mn"])]
        await self.forget([row["id"] for row in known])
        return [
            Message(row["topic"], row["payload"], to_us(row["last_seen"]), 0, 1, 0)
            for row in known
            if row["reason"] == "unknown_topic" and row["size"] == len(row["payload"])
        ]

    async def newest(self, limit: int) -> list[Any]:
        """Return rows for a listing, the one heard last first."""
        return await self._fetch(LIST, limit)

    async def find(self, number: int) -> tuple[Any, Contact]:
        """Return the row of a contact, and what the model may take of it; raises ParkError."""
        rows = await self._fetch(FIND, number)
        if not rows:
            raise ParkError(f"there is no contact {number}", hint="`list` shows them")
        row = rows[0]
        names = _names(row)
        presets = msgspec.json.decode(row["presets"], type=list[str])
        return row, Contact(number, row["address"], row["protocol"], names, presets, row["mn"])


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _names(row: Any) -> Sequence[HeardName]:
    return [HeardName(**each) for each in msgspec.json.decode(row["names"])]
