"""The TCP connection of an HJ 212 data logger: packets count once they are answered."""

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
    """The TCP connection of one data logger, opened on demand and again after every loss."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._framer = hj212.Framer()

    async def open(self) -> None:
        """Connect unless connected; raises OSError."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(*self._address)
            self._framer = hj212.Framer()

    async def send(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Send the packets of (topic, payload) and await the answers; raises OSError.

        A refusal is a ConnectionRefusedError, a missing answer a TimeoutError.
        """
        assert self._reader is not None
        assert self._writer is not None
        unanswered = set()
        for _, payload in messages:
            unanswered |= {
                p.qn for p in hj212.Framer().feed(payload) if isinstance(p, hj212.Packet)
            }
            self._writer.write(payload)
        async with asyncio.timeout(ANSWER_S):
            # Send and receive at once, as the other side may read only after it has answered.
            drained = asyncio.create_task(self._writer.drain())
            try:
                while unanswered:
                    unanswered -= await self._answers()
                await drained
            finally:
                drained.cancel()

    async def _answers(self) -> set[str]:
        """Return the requests answered by the next bytes; raises OSError."""
        assert self._reader is not None
        data = await self._reader.read(READ_BYTES)
        if not data:
            raise ConnectionResetError("hung up")
        answered = set()
        for packet in self._framer.feed(data):
            if isinstance(packet, hj212.Packet):
                if packet.cn != hj212.DATA_ACK:
                    raise ConnectionRefusedError(f"MN {packet.mn}: {packet.cn} {packet.cp}")
                answered.add(packet.qn)
        return answered

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
