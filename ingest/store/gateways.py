"""Table gateway: what each has sent, and how its clock runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from deploy.database.times import null, plain, stamp, to_us

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ingest.store.store import Store

COUNTS = ("messages", "samples", "rejected", "duplicates", "late", "dropped")
NEWEST = "SELECT * FROM gateway ORDER BY last_heard DESC LIMIT $1"
UPSERT = """
INSERT INTO gateway SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[],
    $5::timestamptz[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[],
    $11::bigint[], $12::float8[], $13::float8[], $14::float8[], $15::boolean[], $16::boolean[],
    $17::boolean[])
ON CONFLICT (enterprise, gateway) DO UPDATE SET topic = excluded.topic,
    first_heard = excluded.first_heard, last_heard = excluded.last_heard,
    messages = excluded.messages, samples = excluded.samples, rejected = excluded.rejected,
    duplicates = excluded.duplicates, late = excluded.late, dropped = excluded.dropped,
    pause_s = excluded.pause_s, delay_s = excluded.delay_s, skew_s = excluded.skew_s,
    silent = excluded.silent, skewed = excluded.skewed, runaway = excluded.runaway
"""
FORGET = """
DELETE FROM gateway g USING unnest($1::text[], $2::text[]) AS n (enterprise, gateway)
WHERE (g.enterprise, g.gateway) = (n.enterprise, n.gateway)
"""


class GatewayRecord(NamedTuple):
    """One gateway; its name is ``enterprise/gateway``, seconds that are not known are NaN."""

    name: str
    topic: str
    first_us: int
    last_us: int
    counts: tuple[int, ...]  # in the order of COUNTS
    pause_s: float
    delay_s: float
    skew_s: float
    silent: bool
    skewed: bool
    runaway: bool


class GatewayTable:
    """Table gateway."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def newest(self, limit: int) -> list[GatewayRecord]:
        """Return the gateways that were heard last."""
        return [
            GatewayRecord(
                f"{row['enterprise']}/{row['gateway']}",
                row["topic"],
                to_us(row["first_heard"]),
                to_us(row["last_heard"]),
                tuple(row[name] for name in COUNTS),
                _seconds(row["pause_s"]),
                _seconds(row["delay_s"]),
                _seconds(row["skew_s"]),
                row["silent"],
                row["skewed"],
                row["runaway"],
            )
            for row in await self._store.fetch(NEWEST, limit)
        ]

    async def write(self, gateways: Sequence[GatewayRecord]) -> None:
        """Write gateways over what is there of them."""
        rows = [
            (
                *_halves(each.name), plain(each.topic), stamp(each.first_us), stamp(each.last_us),
                *each.counts, *map(null, each[5:8]), *each[8:],
            )
            for each in gateways
        ]  # fmt: skip
        await self._store.fetch(UPSERT, *(list(column) for column in zip(*rows, strict=True)))

    async def forget(self, names: Iterable[str]) -> None:
        """Delete gateways by their names."""
        halves = [_halves(name) for name in names]
        await self._store.fetch(FORGET, *([half[at] for half in halves] for at in (0, 1)))


def _seconds(value: float | None) -> float:
    return float("nan") if value is None else value


def _halves(name: str) -> tuple[str, str]:
    """Return enterprise and gateway of a name."""
    enterprise, _, gateway = name.partition("/")
    return enterprise, gateway
