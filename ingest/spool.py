"""The spool: what gateways sent above their share while ingest was behind.

A broker hands everything over in one order, so that one gateway could keep all others waiting. What
is above its share is stored as it came and acknowledged; it is decoded when a cycle has room. Each
gateway keeps its order: while messages of it wait, newer ones go behind them.
"""

from __future__ import annotations

import logging
from collections import deque
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING

from twin.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ingest.counters import Counters
    from ingest.routing.topics import Message
    from ingest.settings import IngestSettings
    from ingest.store import Store
    from ingest.store.spool import SpoolRow

LOG = logging.getLogger("ingest.spool")
# Of one row, and of what one gateway may have in one cycle.
ROW_MESSAGES, ROW_BYTES = 5_000, 1 << 20
ROWS_OF_A_GATEWAY = 20
# So much is stored in one turn: a cycle must not wait for more.
TURN_BYTES = 8 << 20


class Spool:
    """The rows of table spool in memory, without their messages; `ack` acknowledges messages."""

    def __init__(
        self,
        store: Store,
        settings: IngestSettings,
        counters: Counters,
        ack: Callable[[Sequence[Message]], None],
    ) -> None:
        self.waiting: dict[str, int] = {}  # gateway: arrival of its oldest message here [µs]
        self._store = store
        self._settings = settings
        self._counters = counters
        self._ack = ack
        self._rows: dict[str, deque[SpoolRow]] = {}
        self._held: dict[str, list[Message]] = {}  # not stored yet
        self._held_bytes = self._stored_bytes = 0
        self._taken: list[int] = []  # by a cycle; forgotten after its commit
        self._unsure = False  # whether `_rows` may not be those of the table

    def __len__(self) -> int:
        return sum(row.messages for rows in self._rows.values() for row in rows) + sum(
            len(messages) for messages in self._held.values()
        )

    @property
    def grows(self) -> bool:
        """Whether something is held that is not stored yet."""
        return bool(self._held)

    @property
    def full(self) -> bool:
        """Whether it takes no more: what comes then waits in the inbox, and in the broker."""
        settings = self._settings
        too_much = self._held_bytes >= settings.inbox_bytes
        return too_much or self._stored_bytes >= settings.spool_bytes

    def hold(self, gateway: str, messages: Sequence[Message]) -> None:
        """Take messages of a gateway; they are stored and acknowledged at the next turn."""
        self.waiting.setdefault(gateway, messages[0].received_us)
        self._held.setdefault(gateway, []).extend(messages)
        self._held_bytes += sum(len(message.payload) for message in messages)

    async def start(self) -> None:
        """Go on with what an earlier ingest has left; raises StoreError."""
        async with self._store.transaction():
            self._enter(await self._store.spool.rows())
        self._renew()
        if self._rows:
            LOG.info("%d messages wait in the spool", len(self))

    async def turn(self, messages_max: int, bytes_max: int) -> list[Message]:
        """Store what is held; return messages for the next cycle, none while the database is away.

        Gateways take turns, row by row.
        """
        # Not of what is held: the block of this cycle may have older messages of its gateways.
        rows = self._next(messages_max, bytes_max)
        try:
            await self._keep()
            if not rows:
                return []
            numbers = [row.number for row in rows]
            async with self._store.transaction():
                messages = await self._store.spool.messages(numbers)
        except StoreError as error:
            self._wait(error)
            return []
        for row in rows:
            self._rows[row.gateway].popleft()
            self._rows[row.gateway] = self._rows.pop(row.gateway)  # whose turn is the last one now
        self._taken += numbers
        self._renew()
        return messages

    async def done(self) -> None:
        """Forget what the cycle has committed; doing it later, or twice, does no harm."""
        if not self._taken:
            return
        try:
            async with self._store.transaction():
                await self._store.spool.forget(self._taken)
        except StoreError as error:
            self._wait(error)
        else:
            self._taken = []

    def _wait(self, error: StoreError) -> None:
        if not error.retryable:
            raise error
        LOG.warning("%s; the spool waits", error.message)

    async def _keep(self) -> None:
        """Store and acknowledge what is held; raises StoreError."""
        if not self._held:
            return
        held = self._take_held()
        try:
            async with self._store.transaction():
                table = self._store.spool
                if self._unsure:
                    self._enter(await table.rows())
                rows = [
                    await table.add(gateway, part)
                    for gateway, messages in held.items()
                    for part in _parts(messages)
                ]
        except StoreError:
            # The answer to a commit may be lost, and the rows be there all the same.
            self._unsure = True
            for gateway, messages in held.items():
                self._held[gateway] = messages + self._held.get(gateway, [])
            raise
        for row in rows:
            self._rows.setdefault(row.gateway, deque()).append(row)
        for messages in held.values():
            self._held_bytes -= sum(len(message.payload) for message in messages)
            self._counters["spooled"] += len(messages)
            self._ack(messages)
        self._renew()

    def _take_held(self) -> dict[str, list[Message]]:
        """Take what one turn stores of what is held; a gateway with more comes last next time."""
        taken: dict[str, list[Message]] = {}
        room = TURN_BYTES
        for gateway in list(self._held):
            if room <= 0:
                break
            messages, count = self._held.pop(gateway), 0
            while count < len(messages) and room > 0:
                room -= len(messages[count].payload)
                count += 1
            taken[gateway] = messages[:count]
            if count < len(messages):
                self._held[gateway] = messages[count:]
        return taken

    def _next(self, messages_max: int, bytes_max: int) -> list[SpoolRow]:
        """Return the rows of the next cycle."""
        turns = [
            (turn, row)
            for rows in self._rows.values()
            for turn, row in enumerate(islice(rows, ROWS_OF_A_GATEWAY))
        ]
        chosen: list[SpoolRow] = []
        for _, row in sorted(turns, key=itemgetter(0)):
            if messages_max <= 0 or bytes_max <= 0:
                break
            chosen.append(row)
            messages_max -= row.messages
            bytes_max -= row.size
        return chosen

    def _enter(self, rows: Iterable[SpoolRow]) -> None:
        """Know the rows of the table."""
        self._rows = {}
        for row in rows:
            if row.number not in self._taken:
                self._rows.setdefault(row.gateway, deque()).append(row)
        self._unsure = False

    def _renew(self) -> None:
        """Find who waits, since when, and how much."""
        self._rows = {gateway: rows for gateway, rows in self._rows.items() if rows}
        self._stored_bytes = sum(row.size for rows in self._rows.values() for row in rows)
        self.waiting = {gateway: rows[0].since_us for gateway, rows in self._rows.items()}
        for gateway, messages in self._held.items():
            self.waiting.setdefault(gateway, messages[0].received_us)


def _parts(messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
    """Yield messages in parts, each for a row."""
    first = size = 0
    for at, message in enumerate(messages):
        if at - first >= ROW_MESSAGES or size >= ROW_BYTES:
            yield messages[first:at]
            first, size = at, 0
        size += len(message.payload)
    yield messages[first:]
