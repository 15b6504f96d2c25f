"""The task that says who may come in at the broker: credentials that are good, by the model.

It writes a file that whoever runs the broker turns into the lists of the broker, as `parktwin up`
does. What the model no longer has comes in no longer; while the database is away, who came in
before does.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from deploy.access_lists import BrokerAccount, dumped
from deploy.private_files import write_private
from ingest.store import Store
from twin.errors import ParkError, StoreError
from twin.model.gateway_rights import gateway_rights

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ingest.settings import IngestSettings
    from twin.model.park import Park

LOG = logging.getLogger("ingest.gateway_access")
LOOK_S = 1.0


class GatewayAccess:
    """The file of accounts at the broker, kept true to the table and the model."""

    def __init__(self, settings: IngestSettings, path: Path) -> None:
        self._path = path
        # Its transactions stand beside those of the cycles.
        self._store = Store(settings.database_url, beside=True)
        self._park: Park | None = None
        self._rows: list[Any] | None = None

    def follow(self, park: Park) -> None:
        """Give rights by another model from now on."""
        self._park, self._rows = park, None

    async def run(self) -> None:
        """Write the file whenever something has changed, until cancelled."""
        try:
            while True:
                await self._look()
                await asyncio.sleep(LOOK_S)
        finally:
            await self._store.close()

    async def _look(self) -> None:
        """Write the file if something has changed since the last look."""
        park = self._park
        try:
            async with self._store.transaction():
                rows = [tuple(row) for row in await self._store.gateway_credentials.good()]
        except StoreError as error:
            if not error.retryable:
                raise
            return
        if park is None or park is not self._park or rows == self._rows:
            return
        try:
            self._write(dumped(list(_accounts(park, rows))))
            self._rows = rows
        except OSError as error:
            LOG.error("%s: %s; gateways come in as before", self._path, error.strerror)  # noqa: TRY400

    def _write(self, text: str) -> None:
        """Write the file unless it says the same."""
        if self._path.exists() and self._path.read_text(encoding="utf-8") == text:
            return
        write_private(self._path, text)
        LOG.info("%s written: who may come in at the broker", self._path)


def _accounts(park: Park, rows: Sequence[Any]) -> Iterator[BrokerAccount]:
    """Yield the accounts of gateways that the model lets in."""
    for enterprise, gateway, username, password in rows:
        try:
            yield BrokerAccount(username, password, gateway_rights(park, enterprise, gateway))
        except ParkError as error:
            LOG.warning("%s cannot come in: %s", username, error)
