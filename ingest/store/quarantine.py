"""Tables of what may not become a sample: refused payloads and quarantine, both bounded.

Each enterprise has an equal share of the room, so that none can evict what others have sent.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from deploy.database.times import micros, null, plain, stamp, to_us
from ingest.routing.topics import Message
from ingest.store.table import Table, columns_of, insert, upsert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.routing.decode import Quarantined, Reject
    from twin.arrays import I64

NAME_CHARACTERS, DETAIL_CHARACTERS = 200, 500

ADD_REJECTS = insert(
    "reject",
    "received timestamptz, reason text, detail text, topic text, payload bytea, size int,"
    " enterprise text",
)
KEEP_NEWEST = """
DELETE FROM {table} t USING unnest($1::text[]) AS e (enterprise)
WHERE t.enterprise = e.enterprise AND t.id <= (
    SELECT id FROM {table} WHERE enterprise = e.enterprise ORDER BY id DESC OFFSET $2 LIMIT 1)
"""
COMPLETE_REJECTS = """
SELECT id FROM reject WHERE ($1::bigint[] IS NULL OR id = ANY($1))
    AND ($2::text IS NULL OR reason = $2) AND size = length(payload)
    AND NOT starts_with(topic, $3) ORDER BY id
"""
TOPICS = "SELECT DISTINCT topic FROM reject WHERE reason = ANY($1::text[])"
COMPLETE_OF = """
SELECT id FROM reject WHERE topic = ANY($1::text[]) AND reason = ANY($2::text[])
    AND size = length(payload) ORDER BY id
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
HOLD_SAMPLES = insert(
    "quarantine_sample",
    "enterprise text, tag text, reason text, time timestamptz, value float8, quality smallint,"
    " uom text, received timestamptz",
)
COUNT = (
    upsert(
        "quarantine",
        "enterprise text, tag text, reason text, topic text, count bigint, first_seen timestamptz,"
        " last_seen timestamptz, last_time timestamptz, last_value float8",
        "enterprise, tag, reason",
        "topic, last_seen, last_time, last_value",
    )
    + ", count = quarantine.count + excluded.count"
)
KEYS = """
SELECT enterprise, tag, reason, topic FROM quarantine
WHERE ($1::text IS NULL OR enterprise = $1) AND ($2::text IS NULL OR tag = $2) AND reason = $3
"""
NEWEST = "SELECT coalesce(max(id), 0) FROM quarantine_sample"
SAMPLES = """
SELECT id, time, value, quality, uom, received FROM quarantine_sample
WHERE enterprise = $1 AND tag = $2 AND reason = $3 AND id <= $4 AND time <= $5
ORDER BY time, id LIMIT $6
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

    def first(self, count: int) -> HeldSamples:
        """Return the first samples."""
        columns: Any = (column[:count] for column in self)
        return HeldSamples(*columns)


class BoundedTable(Table):
    """A table in which each enterprise has an equal share of the rows."""

    def _share(self, rows: int) -> int:
        return max(rows // self._store.enterprises, 1)

    async def _keep_newest(self, table: str, enterprises: list[str], rows: int) -> None:
        await self._fetch(KEEP_NEWEST.format(table=table), enterprises, self._share(rows))


class RejectTable(BoundedTable):
    """Table reject."""

    async def keep(
        self, rejects: Sequence[Reject], payload_bytes: int, rows: int, rows_at_once: int
    ) -> None:
        """Store refused payloads, each up to `payload_bytes`; the newest `rows` stay.

        Of one enterprise `rows_at_once` are stored, the last of which counts the others.
        """
        senders = [reject.gateway.partition("/")[0] for reject in rejects]
        came, counted, kept = Counter(senders), Counter[str](), []
        for enterprise, (reason, detail, message, _) in zip(senders, rejects, strict=True):
            counted[enterprise] += 1
            if counted[enterprise] > rows_at_once:
                continue
            more = came[enterprise] - rows_at_once
            if counted[enterprise] == rows_at_once and more > 0:
                detail = f"{more} more came with it: {detail}"  # noqa: PLW2901
            kept.append((
                stamp(message.received_us), reason, plain(detail)[:DETAIL_CHARACTERS],
                plain(message.topic), message.payload[:payload_bytes],
                len(message.payload) + message.cut, enterprise,
            ))  # fmt: skip
        await self._fetch(ADD_REJECTS, *columns_of(kept))
        await self._keep_newest("reject", list(came), rows)

    async def complete(
        self, ids: list[int] | None, reason: str | None, without_topic: str
    ) -> list[int]:
        """Return the ids of rejects whose payload is whole; None for any id or reason."""
        rows = await self._fetch(COMPLETE_REJECTS, ids, reason, without_topic)
        return [row["id"] for row in rows]

    async def topics(self, reasons: Sequence[str]) -> list[str]:
        """Return the topics of rejects of some reasons."""
        return [row["topic"] for row in await self._fetch(TOPICS, list(reasons))]

    async def complete_of(self, topics: list[str], reasons: Sequence[str]) -> list[int]:
        """Return the ids of rejects of some topics and reasons whose payload is whole."""
        rows = await self._fetch(COMPLETE_OF, topics, list(reasons)) if topics else []
        return [row["id"] for row in rows]

    async def messages(self, ids: list[int]) -> list[Message]:
        """Return rejects as messages at QoS 1: they are no burst that may be dropped."""
        rows = await self._fetch(PAYLOADS, ids)
        return [Message(topic, payload, to_us(time), 0, 1, 0) for topic, payload, time in rows]

    async def drop(self, ids: list[int] | None, reason: str | None = None) -> None:
        """Delete rejects; None for any id or reason."""
        await self._fetch(DROP_REJECTS, ids, reason)

    async def newest(self, reason: str, limit: int) -> list[Any]:
        """Return rows for a listing, the newest first; an empty reason is any."""
        return await self._fetch(LIST_REJECTS, reason, limit)


class QuarantineTable(BoundedTable):
    """Tables quarantine (counts by key) and quarantine_sample."""

    async def keep(
        self, quarantined: Sequence[Quarantined], now_us: int, rows: int, samples: int
    ) -> None:
        """Count samples by key, at most `rows` keys, and keep the newest `samples` as they came."""
        entries: dict[Key, tuple[int, Quarantined]] = {}
        for item in quarantined:
            key = _key(item)
            entries[key] = (entries[key][0] + 1 if key in entries else 1, item)
        known = {
            tuple(row)
            for row in await self._fetch("SELECT enterprise, tag, reason FROM quarantine")
        }
        room = Counter({key.enterprise: self._share(rows) for key in entries})
        room.subtract(enterprise for enterprise, _, _ in known)
        # Beyond its share only keys of an enterprise that are there already are counted.
        for key in [key for key in entries if key not in known]:
            room[key.enterprise] -= 1
            if room[key.enterprise] < 0:
                del entries[key]
        now = stamp(now_us)
        counts = [
            (*key, plain(item.topic), count, now, now, stamp(item.time_us), item.value)
            for key, (count, item) in entries.items()
        ]
        if counts:
            await self._fetch(COUNT, *columns_of(counts))
        kept = [item for item in quarantined if _key(item) in entries][-samples:]
        if not kept or not samples:
            return
        held = [
            (
                *_key(item), stamp(item.time_us), null(item.value), item.quality, plain(item.uom),
                stamp(item.received_us or now_us),
            )
            for item in kept
        ]  # fmt: skip
        await self._fetch(HOLD_SAMPLES, *columns_of(held))
        enterprises = list({item.enterprise for item in kept})
        await self._keep_newest("quarantine_sample", enterprises, samples)

    async def keys(
        self, reason: str, enterprise: str | None = None, tag: str | None = None
    ) -> list[tuple[Key, str]]:
        """Return keys of a reason with the topic of the last sample of each; None is any."""
        rows = await self._fetch(KEYS, enterprise, tag, reason)
        return [(Key(*row[:3]), row["topic"]) for row in rows]

    async def newest_id(self) -> int:
        """Return the id of the newest sample; 0 when there is none."""
        return int((await self._fetch(NEWEST))[0][0])

    async def samples(self, key: Key, until_id: int, until_us: int, limit: int) -> HeldSamples:
        """Return the samples of a key up to an id and a time, the oldest of the latter first."""
        rows = await self._fetch(SAMPLES, *key, until_id, stamp(until_us), limit)
        ids, time, value, quality, uom, received = columns_of(rows) or [[] for _ in range(6)]
        values = np.array(value, dtype=np.float64)  # None becomes NaN.
        code = np.array(quality, dtype=np.uint8)
        return HeldSamples(ids, micros(time), values, code, uom, micros(received))

    async def forget_samples(self, ids: list[int]) -> None:
        """Delete samples."""
        await self._fetch("DELETE FROM quarantine_sample WHERE id = ANY($1::bigint[])", ids)

    async def forget_key(self, key: Key) -> None:
        """Delete the count of a key of which no samples are left."""
        await self._fetch(FORGET_KEY, *key)

    async def drop(self, enterprise: str, tag: str, reason: str) -> None:
        """Delete counts and samples of a tag; an empty reason is any."""
        for table in ("quarantine", "quarantine_sample"):
            await self._fetch(DROP.format(table=table), enterprise, tag, reason or None)

    async def newest(self, limit: int) -> list[Any]:
        """Return rows for a listing, the newest first."""
        return await self._fetch(LIST, limit)


def _key(item: Quarantined) -> Key:
    """Return the key of a sample as the database can hold it."""
    return Key(item.enterprise, _name(item.tag), item.reason)


def _name(tag: str) -> str:
    return plain(tag)[:NAME_CHARACTERS]
