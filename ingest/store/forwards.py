"""Table forward: what is owed to an authority; and the sums that are sent there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deploy.database.times import stamp, to_us
from ingest.store.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin.arrays import I64

ROWS = "SELECT cn, until, owed_start, owed_stop FROM forward WHERE mn = $1"
KEEP = """
INSERT INTO forward (mn, cn, until, owed_start, owed_stop, sent, refused, lost, problem)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (mn, cn) DO UPDATE SET until = excluded.until, owed_start = excluded.owed_start,
    owed_stop = excluded.owed_stop, sent = forward.sent + excluded.sent,
    refused = forward.refused + excluded.refused, lost = forward.lost + excluded.lost,
    problem = excluded.problem, changed = now()
"""
# The severity and reason of a quality, and its mark of simulated values, each at its worst.
WORST = "max(quality & 223) | max(quality & 32)"
MINUTES = f"""
SELECT tag_id, $2::timestamptz AS time, sum(amount) AS amount, sum(covered_s) AS covered_s,
       min(min) AS min, max(max) AS max, {WORST} AS quality,
       count(*) FILTER (WHERE n > 0) AS measured, NULL::float8 AS measured_mean
FROM minute WHERE tag_id = ANY($1::int[]) AND time >= $2 AND time < $3 GROUP BY tag_id
"""  # noqa: S608
HOURS = """
SELECT tag_id, time, amount, covered_s, min, max, quality, measured, measured_mean
FROM hour WHERE tag_id = ANY($1::int[]) AND time >= $2 AND time < $3
"""


class ForwardTable(Table):
    """Table forward, and sums as rows."""

    async def rows(self, mn: str) -> dict[str, tuple[int, list[tuple[int, int]]]]:
        """Return until when each command of a logger was looked at, and what is owed [µs]."""
        rows = await self._fetch(ROWS, mn)
        return {
            row["cn"]: (
                to_us(row["until"]),
                [(to_us(a), to_us(b))
                 for a, b in zip(row["owed_start"], row["owed_stop"], strict=True)],
            )
            for row in rows
        }  # fmt: skip

    async def keep(
        self,
        key: tuple[str, str],
        until_us: int,
        owed: Sequence[tuple[int, int]],
        counts: tuple[int, int, int],
        problem: str,
    ) -> None:
        """Write down what is owed; `counts` are added to sent, refused and lost."""
        ends = ([stamp(each[at]) for each in owed] for at in (0, 1))
        await self._fetch(KEEP, *key, stamp(until_us), *ends, *counts, problem)

    async def sums(self, table: str, tags: I64, start_us: int, stop_us: int) -> list[Any]:
        """Return the sums of tags in an interval: one of its minutes, or its hours."""
        statement = MINUTES if table == "minute" else HOURS
        ids = self._store.tag_id[tags].tolist()
        return await self._fetch(statement, ids, stamp(start_us), stamp(stop_us))
