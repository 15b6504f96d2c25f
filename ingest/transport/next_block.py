"""The next block: messages are decoded while the database works on the block before them.

A portion at a time, so that the transaction under way and the socket go on in between. Nothing of a
block is acknowledged before its own commit: if there is none, its messages come again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ingest.routing.decode import join
from ingest.transport.subscriber import PORTION_BYTES, PORTION_MESSAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ingest.routing.decode import Intake
    from ingest.routing.topics import Message
    from ingest.settings import IngestSettings
    from ingest.transport.subscriber import Inbox


class NextBlock:
    """The block of the next cycle, as far as it is decoded, before what is left in the inbox."""

    def __init__(
        self,
        inbox: Inbox,
        decode: Callable[[Sequence[Message]], Intake],
        settings: IngestSettings,
    ) -> None:
        self.inbox = inbox
        self._decode = decode
        self._limits = settings.cycle_messages, settings.cycle_bytes
        self._room = asyncio.Event()
        self._begin()

    def __len__(self) -> int:
        return self._limits[0] - self._messages_left + len(self.inbox)

    def _begin(self) -> None:
        """Begin an empty block."""
        self._parts: list[Intake] = []
        self._messages_left, self._bytes_left = self._limits
        self._room.set()

    async def run(self) -> None:
        """Decode portion by portion, until cancelled."""
        while True:
            await self._room.wait()
            await self.inbox.plenty.wait()
            self._add(PORTION_MESSAGES, PORTION_BYTES)
            await asyncio.sleep(0)

    def take(self) -> Intake:
        """Return what the block came to, with what has come since; begin the next one."""
        self._add(self._messages_left, self._bytes_left)
        block = join(self._parts)
        self._begin()
        return block

    def _add(self, messages_max: int, bytes_max: int) -> None:
        """Decode the oldest messages of the inbox, as far as the block has room."""
        before = self.inbox.bytes
        messages = self.inbox.take(
            min(messages_max, self._messages_left), min(bytes_max, self._bytes_left)
        )
        self._parts.append(self._decode(messages))
        self._messages_left -= len(messages)
        self._bytes_left -= before - self.inbox.bytes
        if self._messages_left <= 0 or self._bytes_left <= 0:
            self._room.clear()
