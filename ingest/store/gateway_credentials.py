"""Table gateway_credential: with what gateways come in at the broker."""

from __future__ import annotations

from typing import Any

from ingest.store.table import Table

GOOD = """
SELECT enterprise, gateway, username, password FROM gateway_credential
WHERE ended IS NULL AND (until IS NULL OR until > now()) ORDER BY id
"""


class GatewayCredentialTable(Table):
    """Table gateway_credential."""

    async def good(self) -> list[Any]:
        """Return enterprise, gateway, user name and hashed password of those that are good now."""
        return list(await self._fetch(GOOD))
