"""The TCP connection of an HJ 212 data logger: what it sends counts once it is answered."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ingest.wire import hj212

if TYPE_CHECKING:
    from collections.abc import Sequence

READ_BYTES = 1 << 16
# HJ 212-2017 §6.2.1: a request that is not answered in time is sent again.
ANSWER_S = 30.0


class LoggerLink:
    """A connection that is made when it is needed, and again after every loss."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._framer = hj212.Framer()

    async def open(self) -> None:
        """Connect unless it is; raises OSError."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(*self._address)
            self._framer = hj212.Framer()

    async def send(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Send packets and wait for the answer to each; raises OSError, also for a refusal."""
        assert self._reader is not None
        assert self._writer is not None
        asked = set()
        for _, payload in messages:
            asked |= {p.qn for p in hj212.Framer().feed(payload) if isinstance(p, hj212.Packet)}
            self._writer.write(payload)
        async with asyncio.timeout(ANSWER_S):
            # Both ways at once: who waits for its answers must not be kept from being read.
            drained = asyncio.create_task(self._writer.drain())
            try:
                while asked:
                    asked -= await self._answers()
                await drained
            finally:
                drained.cancel()

    async def _answers(self) -> set[str]:
        """Return the requests that some more bytes answer; raises OSError."""
        assert self._reader is not None
        data = await self._reader.read(READ_BYTES)
        if not data:
            raise ConnectionResetError("hung up")
        found = set()
        for packet in self._framer.feed(data):
            if isinstance(packet, hj212.Packet):
                if packet.cn != hj212.DATA_ACK:
                    raise ConnectionRefusedError(f"MN {packet.mn}: {packet.cn} {packet.cp}")
                found.add(packet.qn)
        return found

    async def lose(self) -> None:
        """Break the connection."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None

    async def close(self) -> None:
        """Hang up."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None
