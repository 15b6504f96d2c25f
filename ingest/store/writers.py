"""Several writers at one database: turns, and the tags that one changes and another remembers.

A transaction that writes samples waits for its turn: cycles go side by side, whoever writes the
past goes alone. It names the tags whose newest sample or open minute it has changed, and the next
cycle reads them back. All that a writer keeps in memory follows from what is stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deploy.database.migrations import TURN_LOCK, WRITER_LOCK
from ingest.store.table import Table

if TYPE_CHECKING:
    from twin.arrays import I64

CHANGES = "SELECT tag_id, version FROM touched WHERE version > $1"
NEWEST_VERSION = "SELECT coalesce(max(version), 0) FROM touched"
CHANGED = """
INSERT INTO touched SELECT tag_id, version
FROM unnest($1::int[]) AS t (tag_id), (SELECT nextval('touched_versions')) AS n (version)
ON CONFLICT (tag_id) DO UPDATE SET version = excluded.version
"""
# A cycle stores something every time: as long as nobody did, what is in memory holds.
POSITION = """
SELECT (SELECT max(cycle_us) FROM cycle) AS cycle, (SELECT max(version) FROM touched) AS version
"""


class Writers(Table):
    """Locks of the database, and table touched."""

    async def acquire_turn(self, *, alone: bool = False) -> None:
        """Wait until this transaction may write; the turn ends with it."""
        shared = "" if alone else "_shared"
        await self._fetch(f"SELECT pg_advisory_xact_lock{shared}($1)", TURN_LOCK)

    async def newest_version(self) -> int:
        """Return the newest version of the tags that others have changed; 0 before the first."""
        return int((await self._fetch(NEWEST_VERSION))[0][0])

    async def changes_since(self, version: int) -> tuple[I64, int]:
        """Return the tags of the model that others have changed since a version, and the newest."""
        rows = await self._fetch(CHANGES, version)
        if not rows:
            return np.zeros(0, np.int64), version
        ids = [row["tag_id"] for row in rows]
        return np.flatnonzero(np.isin(self._store.tag_id, ids)), max(r["version"] for r in rows)

    async def mark_changed(self, tags: I64) -> None:
        """Tell cycles to read these tags back: newest sample or open minute are other ones now."""
        await self._fetch(CHANGED, self._store.tag_id[np.unique(tags)].tolist())

    async def position(self) -> tuple[int | None, int | None]:
        """Return the newest cycle [µs] and version: while they stay, nobody else has written."""
        cycle_us, version = (await self._fetch(POSITION))[0]
        return cycle_us, version

    async def is_only_one(self) -> bool:
        """Return whether no other writer is connected, and keep others out of this transaction."""
        rows = await self._fetch("SELECT pg_try_advisory_xact_lock($1)", WRITER_LOCK)
        return bool(rows[0][0])

    async def leave(self) -> None:
        """Be no writer for a while: others may be the only one."""
        await self._fetch("SELECT pg_advisory_unlock_shared($1)", WRITER_LOCK)

    async def enter(self) -> None:
        """Be a writer again; waits for one that is the only one."""
        await self._fetch("SELECT pg_advisory_lock_shared($1)", WRITER_LOCK)
