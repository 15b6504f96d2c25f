"""The task that says who may come in at the broker: credentials that are good, by the model.

It writes a file that whoever runs the broker turns into the lists of the broker, as `parktwin up`
does. What the model no longer has comes in no longer; while the database is away, who came in
before does. Beside it whoever runs the broker writes what that refuses, which goes into the table
that the api reads.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from deploy.access_lists import REFUSALS, BrokerAccount, dumped, loaded_refusals
from deploy.private_files import write_private
from ingest.store import Store
from twin.errors import ParkError, StoreError
from twin.model.gateway_rights import gateway_rights

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from deploy.access_lists import Refusal
    from ingest.settings import IngestSettings
    from twin.model.park import Park

LOG = logging.getLogger("ingest.gateway_access")
LOOK_S = 1.0
NAN = float("nan")


class GatewayAccess:
    """The file of accounts at the broker, kept true to the table and the model."""

    def __init__(self, settings: IngestSettings, path: Path) -> None:
        self._path = path
        # Its transactions stand beside those of the cycles.
        self._store = Store(settings.database_url, beside=True)
        self._park: Park | None = None
        self._rows: list[Any] | None = None
        self._refusals: list[Refusal] | None = None

    @property
    def refused(self) -> float:
        """Messages that the broker has refused; NaN where nobody says."""
        if self._refusals is None:
            return NAN
        return float(sum(each.messages for each in self._refusals))

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
        park, table = self._park, self._store.gateway_credentials
        refusals = self._read_refusals()
        try:
            async with self._store.transaction():
                rows = [tuple(row) for row in await table.good()]
                if refusals not in (None, self._refusals):
                    await table.write_refusals(_by_gateway(rows, refusals))
        except StoreError as error:
            if not error.retryable:
                raise
            return
        self._refusals = refusals
        if park is None or park is not self._park or rows == self._rows:
            return
        try:
            self._write(dumped(list(_accounts(park, rows))))
            self._rows = rows
        except OSError as error:
            LOG.error("%s: %s; gateways come in as before", self._path, error.strerror)  # noqa: TRY400

    def _read_refusals(self) -> list[Refusal] | None:
        try:
            return loaded_refusals(self._path.with_name(REFUSALS).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError):
            LOG.exception("%s cannot be read", REFUSALS)
            return self._refusals

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


def _by_gateway(
    rows: Sequence[Any], refusals: Sequence[Refusal]
) -> list[tuple[str, str, int, str, float]]:
    """Return enterprise, gateway, messages, newest topic and its time [s] of those refused."""
    gateways = {username: (enterprise, gateway) for enterprise, gateway, username, _ in rows}
    sums: dict[tuple[str, str], tuple[int, str, float]] = {}
    for each in sorted(refusals, key=lambda each: each.time_s):
        if gateway := gateways.get(each.username):
            before, *_ = sums.get(gateway, (0,))
            sums[gateway] = before + each.messages, each.topic, each.time_s
    return [(*gateway, *figures) for gateway, figures in sums.items()]
