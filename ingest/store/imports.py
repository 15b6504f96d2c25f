"""Table import: how far a file has come in the database, kept with each chunk."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field

from ingest.store.table import Table
from twin.errors import ParkError

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
class Checkpoint:
    """How many rows of a file are committed, and what they came to."""

    digest: str
    name: str
    taken: int = 0
    finished: bool = False
    counts: Counter[str] = field(default_factory=Counter)


class ImportTable(Table):
    """Table import."""

    async def begin(self, digest: str, name: str, *, again: bool) -> Checkpoint:
        """Return how far this file has come before; `again` begins it anew."""
        if again:
            await self._fetch(AGAIN, digest)
        taken, finished, counts = (await self._fetch(BEGIN, digest, name))[0]
        return Checkpoint(digest, name, taken, finished, Counter(json.loads(counts)))

    async def is_next(self, file: Checkpoint, rows: int) -> bool:
        """Return whether the next `rows` are still to be stored.

        Raises ParkError when another program has stored them.
        """
        row = (await self._fetch(TAKEN, file.digest))[0]
        if row["taken"] == file.taken:
            return True
        if row["taken"] != file.taken + rows:
            raise ParkError(
                f"{file.name} is being imported by another program, too",
                hint="let it end; what it has stored is not stored again",
            )
        # The commit of which we did not hear was one.
        file.counts = Counter(json.loads(row["counts"]))
        return False

    async def advance(self, file: Checkpoint, rows: int, counted: Counter[str]) -> None:
        """Write down in this transaction that the next `rows` are taken."""
        await self._fetch(ADVANCE, file.digest, rows, json.dumps(file.counts + counted))

    async def finish(self, file: Checkpoint) -> None:
        """Write down in this transaction that the file is done."""
        await self._fetch(FINISH, file.digest)
