"""How far a file has come in the database: a row of table import, kept with each chunk."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from twin.errors import ParkError

if TYPE_CHECKING:
    from ingest.store import Store

BEGIN = """
INSERT INTO import (digest, name) VALUES ($1, $2)
ON CONFLICT (digest) DO UPDATE SET changed = now()
RETURNING taken, finished, counts
"""
AGAIN = "UPDATE import SET taken = 0, finished = false, counts = '{}' WHERE digest = $1"
TAKEN = "SELECT taken, counts FROM import WHERE digest = $1 FOR UPDATE"
ADVANCE = "UPDATE import SET taken = taken + $2, counts = $3, changed = now() WHERE digest = $1"
FINISH = "UPDATE import SET finished = true, changed = now() WHERE digest = $1"


@dataclass(slots=True)
class Ticket:
    """How many rows of a file are committed, and what they came to."""

    digest: str
    name: str
    taken: int = 0
    finished: bool = False
    counts: Counter[str] = field(default_factory=Counter)


async def begin(store: Store, digest: str, name: str, *, again: bool) -> Ticket:
    """Return how far this file has come before."""
    async with store.transaction():
        if again:
            await store.fetch(AGAIN, digest)
        row = (await store.fetch(BEGIN, digest, name))[0]
    return Ticket(digest, name, row["taken"], row["finished"], Counter(json.loads(row["counts"])))


async def is_next(store: Store, ticket: Ticket, rows: int) -> bool:
    """Return whether the next `rows` are still to be stored; raises ParkError when others were."""
    row = (await store.fetch(TAKEN, ticket.digest))[0]
    if row["taken"] == ticket.taken:
        return True
    if row["taken"] != ticket.taken + rows:
        raise ParkError(
            f"{ticket.name} is being imported by another program, too",
            hint="let it end; what it has stored is not stored again",
        )
    # The commit of which we did not hear was one.
    ticket.counts = Counter(json.loads(row["counts"]))
    return False


async def advance(store: Store, ticket: Ticket, rows: int, counted: Counter[str]) -> None:
    """Write down in this transaction that the next `rows` are taken."""
    await store.fetch(ADVANCE, ticket.digest, rows, json.dumps(ticket.counts + counted))


async def finish(store: Store, ticket: Ticket) -> None:
    """Write down in this transaction that the file is done."""
    await store.fetch(FINISH, ticket.digest)
