"""Table gateway: what each has sent, and how its clock runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from deploy.database.times import null, plain, stamp, to_us
from ingest.store.table import Table, columns_of, upsert

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


COUNTS = ("messages", "samples", "rejected", "duplicates", "late", "dropped")
NEWEST = "SELECT * FROM gateway ORDER BY last_heard DESC LIMIT $1"
UPSERT = upsert(
    "gateway",
    "enterprise text, gateway text, topic text, first_heard timestamptz, last_heard timestamptz, "
    + "".join(f"{name} bigint, " for name in COUNTS)
    + "pause_s float8, delay_s float8, skew_s float8, silent boolean, skewed boolean,"
    " runaway boolean",
    "enterprise, gateway",
)
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


class GatewayTable(Table):
    """Table gateway."""

    async def newest(self, limit: int) -> list[GatewayRecord]:
        """Return the gateways that were heard last."""
        return [
            GatewayRecord(
                f"{enterprise}/{name}", topic, to_us(first), to_us(last),
                tuple(more[: len(COUNTS)]),
                *np.array(more[-6:-3], dtype=np.float64).tolist(),  # None becomes NaN.
                *more[-3:],
            )
            for enterprise, name, topic, first, last, *more in await self._fetch(NEWEST, limit)
        ]  # fmt: skip

    async def write(self, gateways: Sequence[GatewayRecord]) -> None:
        """Write gateways over what is there of them."""
        rows = [
            (
                *_halves(each.name), plain(each.topic), stamp(each.first_us), stamp(each.last_us),
                *each.counts, *map(null, each[5:8]), *each[8:],
            )
            for each in gateways
        ]  # fmt: skip
        await self._fetch(UPSERT, *columns_of(rows))

    async def forget(self, names: Iterable[str]) -> None:
        """Delete gateways by their names."""
        await self._fetch(FORGET, *columns_of(map(_halves, names)))


def _halves(name: str) -> tuple[str, str]:
    """Return enterprise and gateway of a name."""
    enterprise, _, gateway = name.partition("/")
    return enterprise, gateway
