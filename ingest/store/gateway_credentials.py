"""Tables gateway_credential and gateway_refusal: gateways at the broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ingest.store.table import Table, columns_of

if TYPE_CHECKING:
    from collections.abc import Iterable

GOOD = """
SELECT enterprise, gateway, username, password FROM gateway_credential
WHERE ended IS NULL AND (until IS NULL OR until > now()) ORDER BY id
"""
# Of all gateways at once: whoever has none any more since the broker was started has no row.
REFUSED = """
WITH refused AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::float8[])
    AS refused (enterprise, gateway, messages, topic, newest_s)
), gone AS (
    DELETE FROM gateway_refusal
    WHERE (enterprise, gateway) NOT IN (SELECT enterprise, gateway FROM refused)
)
INSERT INTO gateway_refusal SELECT enterprise, gateway, messages, topic, to_timestamp(newest_s)
FROM refused
ON CONFLICT (enterprise, gateway) DO UPDATE
SET messages = excluded.messages, topic = excluded.topic, newest = excluded.newest
"""


class GatewayCredentialTable(Table):
    """Tables gateway_credential and gateway_refusal."""

    async def good(self) -> list[Any]:
        """Return enterprise, gateway, user name and hashed password of those that are good now."""
        return list(await self._fetch(GOOD))

    async def write_refusals(self, rows: Iterable[tuple[str, str, int, str, float]]) -> None:
        """Write enterprise, gateway, messages, topic and time [s] in place of what is there."""
        columns = columns_of(rows) or [[] for _ in range(5)]
        await self._fetch(REFUSED, *columns)
