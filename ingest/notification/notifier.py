"""The task that tells of alarms by mail and webhook, and again what was not taken.

The journal of alarms is the queue: a row of the model owes numbers of it, and what is said is made
when it is sent. The first alarm is told at once; what comes within a minute after a message is told
in one. A crash between a message and its record tells once more, never once less.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import numpy as np

from ingest.beside import run_for_model
from ingest.notification.delivery import DeliveryError, deliver, message_of
from ingest.notification.message import Notice, body, document, headline
from ingest.store import Store
from ingest.store.notices import NotifyCount
from twin import quality as q
from twin.alarms.notices import NotifySpec
from twin.alarms.rules import Alarm, park_alarms
from twin.arrays import HOUR_US, SECOND_US
from twin.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from ingest.counters import Counters
    from ingest.settings import IngestSettings
    from twin.model.park import Park, Tag

LOG = logging.getLogger("ingest.notification")
POLL_S = 1.0
LOOK_ROWS = 1_000  # of the journal, read at once


class Notifier:
    """All ``[[notify]]`` of a model; it looks at the journal for all of them."""

    def __init__(self, settings: IngestSettings, counters: Counters) -> None:
        self.settings = settings
        self.counters = counters
        # Its transactions stand beside those of the cycles.
        self.store = Store(settings.database_url, beside=True)
        self.lock = asyncio.Lock()
        self.park: Park | None = None
        self.alarms: dict[str, tuple[Alarm, Tag]] = {}
        self.zone = ZoneInfo("UTC")
        self._lines: list[_Line] = []
        self._changed = asyncio.Event()

    @property
    def owed(self) -> int:
        """Alarms that somebody is still to be told of."""
        return sum(len(line.owed) for line in self._lines)

    def follow(self, park: Park, tags: Sequence[Tag]) -> None:
        """Tell by another model from now on."""
        known = {tag.address: tag for tag in tags}
        self.park, self.zone = park, ZoneInfo(park.timezone)
        self.alarms = {each.id: (each, known[each.tag]) for each in park_alarms(park, tags)}
        self._changed.set()

    async def run(self) -> None:
        """Tell until it is cancelled."""
        try:
            await run_for_model(self._changed, self._tasks)
        finally:
            await self.store.close()

    def _tasks(self) -> list[Coroutine[Any, Any, None]]:
        rows = self.park.rows(NotifySpec) if self.park else ()
        self._lines = [_Line(self, row) for row in rows]
        return [self._look(), *(line.run() for line in self._lines)] if rows else []

    def oldest_us(self) -> int:
        """Return the time [µs] before which nobody is told of an alarm any more."""
        return _now_us() - round(self.settings.notify_hours * HOUR_US)

    async def _look(self) -> None:
        """Read the journal for all rows, again and again."""
        has_begun = False
        while True:
            try:
                async with self.lock, self.store.transaction():
                    if not has_begun:
                        await self.store.notices.retain([line.row.id for line in self._lines])
                        for line in self._lines:
                            line.seen, line.owed = await self.store.notices.begin(line.row.id)
                        has_begun = True
                    seen = min(line.seen for line in self._lines)
                    news = await self.store.notices.newer(seen, self.oldest_us(), LOOK_ROWS)
                for line in self._lines:
                    await line.take(news)
            except StoreError as error:
                _complain_of_store(error)
            await asyncio.sleep(POLL_S)

    def notice(self, event: Any) -> Notice | None:
        """Return an event of the journal as a notice; None when the model has no such alarm."""
        known = self.alarms.get(event["alarm"])
        if known is None:
            return None
        local = event["time"].astimezone(self.zone)
        value = np.nan if event["value"] is None else event["value"]
        url = f"{self.settings.notify_console.rstrip('/')}/alarms?alarm={quote(known[0].id)}"
        return Notice(
            event["id"], *known, f"{local:%Y-%m-%d %H:%M:%S}", value, event["quality"], url
        )


class _Line:
    """One ``[[notify]]``: what it owes, and when it may tell."""

    def __init__(self, notifier: Notifier, row: NotifySpec) -> None:
        self._all = notifier
        self.row = row
        self.seen = 0
        self.owed: list[int] = []
        self._problem = ""
        self._writing = asyncio.Lock()  # who changes `owed` has it until that is written down
        self._tries = 0
        self._due_s = -np.inf  # of the monotonic clock: nothing is told before

    async def take(self, news: Sequence[Any]) -> None:
        """Owe what is news to this row; of too many the oldest are dropped."""
        newer = [event for event in news if event["id"] > self.seen]
        if not newer:
            return
        heard = [int(event["id"]) for event in newer if self._hears(event)]
        seen = int(newer[-1]["id"])
        async with self._writing:
            if heard:
                owed = [*self.owed, *heard]
                kept = owed[-self._all.settings.notify_queue :]
                await self._keep(kept, NotifyCount(dropped=len(owed) - len(kept)), seen)
            self.seen = seen

    def _hears(self, event: Any) -> bool:
        alarm, _ = self._all.alarms.get(event["alarm"], (None, None))
        local = event["recorded"].astimezone(self._all.zone)
        if alarm is None or not self.row.hears(alarm, local.hour * 60 + local.minute):
            return False
        if event["quality"] & q.SIMULATED and not self.row.simulated:
            self._all.counters["notify.simulated"] += 1
            return False
        return True

    async def run(self) -> None:
        """Tell what is owed when it is due, again and again."""
        while True:
            if self.owed and time.monotonic() >= self._due_s:
                try:
                    await self._tell()
                except StoreError as error:
                    _complain_of_store(error)
                    self._wait_longer()
            await asyncio.sleep(POLL_S / 2)

    async def _tell(self) -> None:
        """Send one message about all that is owed; what nobody took stays owed."""
        one, numbers = self._all, list(self.owed)
        async with one.lock, one.store.transaction():
            events = await one.store.notices.of_numbers(numbers, one.oldest_us())
        notices = [notice for event in events if (notice := one.notice(event))]
        lost = len(numbers) - len(notices)
        problem, tally = "", NotifyCount(dropped=lost)
        if notices:
            try:
                await self._send(notices)
                tally = NotifyCount(sent=1, alarms=len(notices), dropped=lost)
            except DeliveryError as error:
                problem, tally = str(error)[:500], NotifyCount(failed=1, dropped=lost)
        if problem and problem != self._problem:
            LOG.warning("%s is not told of alarms: %s; it is tried again", self.row.id, problem)
        self._problem = problem
        done = set(numbers)
        if problem:
            done -= {notice.event for notice in notices}
            self._wait_longer()
        else:
            self._tries = 0
            self._due_s = time.monotonic() + one.settings.notify_bundle_s
        async with self._writing:
            owed = [number for number in self.owed if number not in done]
            await self._keep(owed, tally, self.seen)

    def _wait_longer(self) -> None:
        """Let the next attempt wait, twice as long after each that failed."""
        settings = self._all.settings
        pause_s = min(settings.notify_retry_s * 2.0**self._tries, settings.notify_retry_max_s)
        self._tries = min(self._tries + 1, 30)
        self._due_s = time.monotonic() + pause_s

    async def _send(self, notices: Sequence[Notice]) -> None:
        """Hand one message over; raises DeliveryError."""
        one, row = self._all, self.row
        assert one.park is not None
        most, language = one.settings.notify_alarms, row.language
        numbers = ",".join(str(notice.event) for notice in notices)
        key = hashlib.sha256(f"{one.park.id} {row.id} {numbers}".encode()).hexdigest()[:24]
        now_us = _now_us()
        sent = datetime.fromtimestamp(now_us / SECOND_US, UTC).isoformat(timespec="seconds")
        content = {"row": row.id, "sent": sent, **document(notices, one.park, language, most)}
        message = message_of(
            key,
            headline(notices, one.park, language),
            body(notices, one.park, language, most),
            content,
        )
        await deliver(row.kind, row.address, message, one.settings, now_us / SECOND_US)

    async def _keep(self, owed: list[int], tally: NotifyCount, seen: int) -> None:
        """Write down what is owed, and count."""
        one = self._all
        async with one.lock, one.store.transaction():
            await one.store.notices.keep(self.row.id, seen, owed, tally, self._problem)
        self.owed = owed
        for name, count in tally._asdict().items():
            one.counters[f"notify.{name}"] += count


def _complain_of_store(error: StoreError) -> None:
    """Go on after what the database refused: alarms are told later, values are stored meanwhile."""
    if not error.retryable:
        LOG.error("alarms are not told: %s", error.message)


def _now_us() -> int:
    return time.time_ns() // 1000
