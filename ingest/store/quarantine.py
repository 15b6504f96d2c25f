"""Tables of what may not become a sample: refused payloads and quarantine, both bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from deploy.database.times import micros, null, plain, stamp, stamps
from ingest.routing.topics import Message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ingest.routing.decode import Quarantined, Reject
    from ingest.store.store import Store
    from twin.arrays import I64

NAME_CHARACTERS, DETAIL_CHARACTERS = 200, 500

ADD_REJECTS = """
INSERT INTO reject (received, reason, detail, topic, payload, size)
SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::int[])
"""
KEEP_NEWEST = "DELETE FROM {table} WHERE id <= (SELECT max(id) FROM {table}) - $1"
COMPLETE_REJECTS = """
SELECT id FROM reject WHERE ($1::bigint[] IS NULL OR id = ANY($1))
    AND ($2::text IS NULL OR reason = $2) AND size = length(payload)
    AND NOT starts_with(topic, $3) ORDER BY id
"""
PAYLOADS = "SELECT topic, payload, received FROM reject WHERE id = ANY($1::bigint[]) ORDER BY id"
DROP_REJECTS = """
DELETE FROM reject
WHERE ($1::bigint[] IS NULL OR id = ANY($1)) AND ($2::text IS NULL OR reason = $2)
"""
LIST_REJECTS = """
SELECT id, received, reason, detail, topic, size, size = length(payload) AS complete, payload
FROM reject WHERE $1 = '' OR reason = $1 ORDER BY id DESC LIMIT $2
"""
HOLD_SAMPLES = """
INSERT INTO quarantine_sample (enterprise, tag, reason, time, value, quality, uom, received)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::float8[],
    $6::smallint[], $7::text[], $8::timestamptz[])
"""
COUNT = """
INSERT INTO quarantine
SELECT enterprise, tag, reason, topic, count, $6, $6, time, value
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $7::timestamptz[],
    $8::float8[]) AS n (enterprise, tag, reason, topic, count, time, value)
ON CONFLICT (enterprise, tag, reason) DO UPDATE SET
    count = quarantine.count + excluded.count, topic = excluded.topic,
    last_seen = excluded.last_seen, last_time = excluded.last_time,
    last_value = excluded.last_value
"""
KEYS = """
SELECT enterprise, tag, reason, topic FROM quarantine
WHERE ($1::text IS NULL OR enterprise = $1) AND ($2::text IS NULL OR tag = $2) AND reason = $3
"""
NEWEST = "SELECT coalesce(max(id), 0) FROM quarantine_sample"
SAMPLES = """
SELECT id, time, value, quality, uom, received FROM quarantine_sample
WHERE enterprise = $1 AND tag = $2 AND reason = $3 AND id <= $4 AND time <= $5 ORDER BY id LIMIT $6
"""
FORGET_KEY = """
DELETE FROM quarantine k WHERE enterprise = $1 AND tag = $2 AND reason = $3 AND NOT EXISTS (
    SELECT FROM quarantine_sample s
    WHERE (s.enterprise, s.tag, s.reason) = (k.enterprise, k.tag, k.reason))
"""
DROP = """
DELETE FROM {table} WHERE enterprise = $1 AND tag = $2 AND ($3::text IS NULL OR reason = $3)
"""
LIST = """
SELECT k.*, (SELECT count(*) FROM quarantine_sample s
             WHERE (s.enterprise, s.tag, s.reason) = (k.enterprise, k.tag, k.reason)) AS kept
FROM quarantine k ORDER BY last_seen DESC, enterprise, tag LIMIT $1
"""


class Key(NamedTuple):
    """What quarantine counts by."""

    enterprise: str
    tag: str
    reason: str


class HeldSamples(NamedTuple):
    """Samples of one key as they came, (n,); a value that was none is NaN."""

    ids: list[int]
    time_us: I64
    value: Any
    quality: Any
    uom: list[str]  # empty: the tag's own
    received_us: I64


class RejectTable:
    """Table reject."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def keep(self, rejects: Sequence[Reject], payload_bytes: int, rows: int) -> None:
        """Store refused payloads, each up to `payload_bytes`; the newest `rows` stay."""
        kept = rejects[-rows:]
        await self._store.fetch(
            ADD_REJECTS,
            [stamp(r.message.received_us) for r in kept],
            [r.reason for r in kept],
            [plain(r.detail)[:DETAIL_CHARACTERS] for r in kept],
            [plain(r.message.topic) for r in kept],
            [r.message.payload[:payload_bytes] for r in kept],
            [len(r.message.payload) for r in kept],
        )
        await self._store.fetch(KEEP_NEWEST.format(table="reject"), rows)

    async def complete(
        self, ids: list[int] | None, reason: str | None, without_topic: str
    ) -> list[int]:
        """Return the ids of rejects whose payload is whole; None for any id or reason."""
        rows = await self._store.fetch(COMPLETE_REJECTS, ids, reason, without_topic)
        return [row["id"] for row in rows]

    async def messages(self, ids: list[int]) -> list[Message]:
        """Return rejects as messages at QoS 1: they are no burst that may be dropped."""
        rows = await self._store.fetch(PAYLOADS, ids)
        times = micros([row["received"] for row in rows]).tolist()
        return [
            Message(row["topic"], row["payload"], received_us, 0, 1, 0)
            for row, received_us in zip(rows, times, strict=True)
        ]

    async def drop(self, ids: list[int] | None, reason: str | None = None) -> None:
        """Delete rejects; None for any id or reason."""
        await self._store.fetch(DROP_REJECTS, ids, reason)

    async def newest(self, reason: str, limit: int) -> list[Any]:
        """Return rows for a listing, the newest first; an empty reason is any."""
        return await self._store.fetch(LIST_REJECTS, reason, limit)


class QuarantineTable:
    """Tables quarantine (counts by key) and quarantine_sample."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def keep(
        self, quarantined: Sequence[Quarantined], now_us: int, rows: int, samples: int
    ) -> None:
        """Count samples by key, at most `rows` keys, and keep the newest `samples` as they came."""
        entries: dict[Key, tuple[int, Quarantined]] = {}
        for item in quarantined:
            key = _key(item)
            entries[key] = (entries[key][0] + 1 if key in entries else 1, item)
        known = await self.count(entries, now_us, rows)
        kept = [item for item in quarantined if _key(item) in known][-samples:]
        if not kept or not samples:
            return
        await self._store.fetch(
            HOLD_SAMPLES,
            [item.enterprise for item in kept],
            [_name(item.tag) for item in kept],
            [item.reason for item in kept],
            stamps(np.array([item.time_us for item in kept])),
            [null(item.value) for item in kept],
            [item.quality for item in kept],
            [plain(item.uom) for item in kept],
            stamps(np.array([item.received_us or now_us for item in kept])),
        )
        await self._store.fetch(KEEP_NEWEST.format(table="quarantine_sample"), samples)

    async def count(
        self, entries: Mapping[Key, tuple[int, Quarantined]], now_us: int, rows: int
    ) -> set[Key]:
        """Add counts, each with its last sample; return the keys that have a row.

        Beyond `rows` only keys that are there already are counted.
        """
        stored = await self._store.fetch("SELECT enterprise, tag, reason FROM quarantine")
        known = {tuple(row) for row in stored}
        new = set([key for key in entries if key not in known][max(rows - len(known), 0) :])
        counted = {key: entry for key, entry in entries.items() if key not in new}
        items = [item for _, item in counted.values()]
        await self._store.fetch(
            COUNT,
            *([key[at] for key in counted] for at in range(3)),
            [plain(item.topic) for item in items],
            [count for count, _ in counted.values()],
            stamp(now_us),
            [stamp(item.time_us) for item in items],
            [item.value for item in items],
        )
        return set(counted)

    async def keys(
        self, reason: str, enterprise: str | None = None, tag: str | None = None
    ) -> list[tuple[Key, str]]:
        """Return keys of a reason with the topic of the last sample of each; None is any."""
        rows = await self._store.fetch(KEYS, enterprise, tag, reason)
        return [(Key(*row[:3]), row["topic"]) for row in rows]

    async def newest_id(self) -> int:
        """Return the id of the newest sample; 0 when there is none."""
        return int((await self._store.fetch(NEWEST))[0][0])

    async def samples(self, key: Key, until_id: int, until_us: int, limit: int) -> HeldSamples:
        """Return the oldest samples of a key up to an id and a time."""
        rows = await self._store.fetch(SAMPLES, *key, until_id, stamp(until_us), limit)
        return HeldSamples(
            [row["id"] for row in rows],
            micros([row["time"] for row in rows]),
            np.array([row["value"] for row in rows], dtype=np.float64),  # None becomes NaN.
            np.array([row["quality"] for row in rows], dtype=np.uint8),
            [row["uom"] for row in rows],
            micros([row["received"] for row in rows]),
        )

    async def forget_samples(self, ids: list[int]) -> None:
        """Delete samples."""
        await self._store.fetch("DELETE FROM quarantine_sample WHERE id = ANY($1::bigint[])", ids)

    async def forget_key(self, key: Key) -> None:
        """Delete the count of a key of which no samples are left."""
        await self._store.fetch(FORGET_KEY, *key)

    async def drop(self, enterprise: str, tag: str, reason: str) -> None:
        """Delete counts and samples of a tag; an empty reason is any."""
        for table in ("quarantine", "quarantine_sample"):
            await self._store.fetch(DROP.format(table=table), enterprise, tag, reason or None)

    async def newest(self, limit: int) -> list[Any]:
        """Return rows for a listing, the newest first."""
        return await self._store.fetch(LIST, limit)


def _key(item: Quarantined) -> Key:
    """Return the key of a sample as the database can hold it."""
    return Key(item.enterprise, _name(item.tag), item.reason)


def _name(tag: str) -> str:
    return plain(tag)[:NAME_CHARACTERS]
