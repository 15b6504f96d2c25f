"""Several writers at one database: turns, and what one changes that another keeps in memory.

A transaction that writes samples waits for its turn: cycles go side by side, whoever writes history
goes alone. It names the tags whose newest sample or open minute it has changed, and the next cycle
reads them back. All that a writer keeps in memory follows from what is stored: nothing is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deploy.database.migrations import TURN_LOCK
from twin.arrays import I64

if TYPE_CHECKING:
    from ingest.store import Store

NEWS = "SELECT tag_id, version FROM touched WHERE version > $1"
VERSION = "SELECT coalesce(max(version), 0) FROM touched"
TOUCH = """
INSERT INTO touched SELECT tag_id, version
FROM unnest($1::int[]) AS t (tag_id), (SELECT nextval('touched_versions')) AS n (version)
ON CONFLICT (tag_id) DO UPDATE SET version = excluded.version
"""


async def take_turn(store: Store, *, alone: bool = False) -> None:
    """Wait until this transaction may write; the turn ends with it."""
    shared = "" if alone else "_shared"
    await store.fetch(f"SELECT pg_advisory_xact_lock{shared}($1)", TURN_LOCK)


async def newest_version(store: Store) -> int:
    """Return the newest version of what others have touched."""
    rows = await store.fetch(VERSION)
    return int(rows[0][0]) if rows else 0


async def news(store: Store, since: int) -> tuple[I64, int]:
    """Return the tags of the model that others have touched since a version, and the version."""
    rows = await store.fetch(NEWS, since)
    if not rows:
        return np.zeros(0, np.int64), since
    ids = [row["tag_id"] for row in rows]
    return np.flatnonzero(np.isin(store.tag_id, ids)), max(row["version"] for row in rows)


async def touch(store: Store, tags: I64) -> None:
    """Say that these tags are no longer what a cycle may have in memory."""
    await store.fetch(TOUCH, store.tag_id[np.unique(tags)].tolist())
