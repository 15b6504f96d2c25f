"""The certificate of the API: a pair of files that may change while it serves."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import TYPE_CHECKING

from twin.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger("parktwin.api")

LOOK_S = 2.0


class Certificate:
    """A certificate and its key; new connections get what is in the files now."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Read both; raises SettingsError where they cannot be read or do not fit."""
        self._files = certificate, key
        self._read = self._changes()
        try:
            self.context = _context(certificate, key)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                f"the certificate cannot be used: {error}",
                hint="PARKTWIN_HTTP_TLS_CERT and PARKTWIN_HTTP_TLS_KEY name a pair of PEM files",
            ) from None

    def renew(self) -> bool:
        """Read the files again where they have changed; tell whether they are in use now.

        A pair that does not fit, like one of which the second file is still to come, is looked at
        again when it changes once more; the former one stays.
        """
        changes = self._changes()
        if changes == self._read:
            return False
        self._read = changes
        try:
            # By itself first: a context that has half of a pair serves nobody.
            _context(*self._files)
            self.context.load_cert_chain(*self._files)
        except (OSError, ssl.SSLError) as error:
            log.error("the new certificate cannot be used, the former one stays: %s", error)  # noqa: TRY400
            return False
        log.warning("the certificate has changed and is in use")
        return True

    async def follow(self) -> None:
        """Look for new files until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.renew()

    def _changes(self) -> list[tuple[int, int, int]]:
        """Return what tells a file from the one it was; empty while one is away."""
        try:
            states = [file.stat() for file in self._files]
        except OSError:
            return []
        return [(state.st_mtime_ns, state.st_size, state.st_ino) for state in states]


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context
