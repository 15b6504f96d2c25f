"""What may not become a sample: refused payloads and quarantine, both bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deploy.database.times import null, plain, stamp, stamps
from ingest import queries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ingest.routing.decode import Quarantined, Reject
    from ingest.store import Store

NAME_CHARACTERS, DETAIL_CHARACTERS = 200, 500


async def keep_rejects(
    store: Store, rejects: Sequence[Reject], payload_bytes: int, rows: int
) -> None:
    """Store refused payloads; the table keeps the newest `rows`."""
    kept = rejects[-rows:]
    await store.fetch(
        queries.ADD_REJECTS,
        [stamp(r.message.received_us) for r in kept],
        [r.reason for r in kept],
        [plain(r.detail)[:DETAIL_CHARACTERS] for r in kept],
        [plain(r.message.topic) for r in kept],
        [r.message.payload[:payload_bytes] for r in kept],
        [len(r.message.payload) for r in kept],
    )
    await store.fetch("DELETE FROM reject WHERE id <= (SELECT max(id) FROM reject) - $1", rows)


async def keep_quarantined(
    store: Store, quarantined: Sequence[Quarantined], now_us: int, rows: int, samples: int
) -> None:
    """Count quarantined samples by tag and reason, and keep the newest `samples` as they came."""
    entries: dict[tuple[str, str, str], tuple[int, Quarantined]] = {}
    for item in quarantined:
        key = (item.enterprise, item.tag, item.reason)
        entries[key] = (entries[key][0] + 1 if key in entries else 1, item)
    known = await count_quarantined(store, entries, now_us, rows)
    kept = [item for item in quarantined if (item[0], item[1], item[2]) in known][-samples:]
    if not kept or not samples:
        return
    await store.fetch(
        queries.HOLD_SAMPLES,
        [item.enterprise for item in kept],
        [_name(item.tag) for item in kept],
        [item.reason for item in kept],
        stamps(np.array([item.time_us for item in kept])),
        [null(item.value) for item in kept],
        [item.quality for item in kept],
        [plain(item.uom) for item in kept],
        stamps(np.array([item.received_us or now_us for item in kept])),
    )
    await store.fetch(queries.FORGET_OLDEST, samples)


def _name(tag: str) -> str:
    """Return the name of a tag as the database can hold it."""
    return plain(tag)[:NAME_CHARACTERS]


async def count_quarantined(
    store: Store,
    entries: Mapping[tuple[str, str, str], tuple[int, Quarantined]],
    now_us: int,
    rows: int,
) -> set[tuple[str, str, str]]:
    """Add to the counts of quarantine; beyond `rows` only entries that are known find room.

    Returns those that found it.
    """
    found = await store.fetch("SELECT enterprise, tag, reason FROM quarantine")
    known = {tuple(row) for row in found}
    named = {(key[0], _name(key[1]), key[2]): entry for key, entry in entries.items()}
    new = [key for key in named if key not in known][max(rows - len(known), 0) :]
    for key in new:
        del named[key]
    items = [item for _, item in named.values()]
    await store.fetch(
        queries.QUARANTINE,
        *([key[at] for key in named] for at in range(3)),
        [plain(item.topic) for item in items],
        [count for count, _ in named.values()],
        stamp(now_us),
        [stamp(item.time_us) for item in items],
        [item.value for item in items],
    )
    return {key for key in entries if (key[0], _name(key[1]), key[2]) in named}
