"""The live image: follows the cycles ingest commits and wakes the clients that show them.

There are no queues. Each tag has the sequence number of its last change, each client the number it
has sent last; what lies between is what the client gets next. A slow client so gets the latest
value of everything and misses what was in between: O(1) memory per client, whatever it does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from api import queries
from api.encode import milliseconds, out
from api.live.alarm_board import AlarmBoard
from api.live.catalogue import Catalogue, Model, build_catalogue, build_model
from api.live.image import LiveImage, empty_image
from api.store import CYCLES_AT_ONCE
from twin.arrays import I64
from twin.errors import ModelError, StoreError

if TYPE_CHECKING:
    from api.store import ReadStore

BACK_OFF_S = (0.2, 5.0)
# Table cycle is kept for some minutes: after a longer silence there may be rows we never saw.
GAP_US = 240_000_000

log = logging.getLogger("parktwin.api")


class Feed:
    """The image of now and the clients that wait for the next; lives as long as the app."""

    def __init__(self, store: ReadStore, *, poll_s: float) -> None:
        self.catalogue: Catalogue = build_catalogue(())
        self.former: Catalogue = self.catalogue  # tags the model has no longer
        self.model: Model | None = None
        self.image = empty_image(0)
        self.board = AlarmBoard(None, self.catalogue)
        self.cycle_us = 0
        self.seq = 0
        self.generation = 0  # of the catalogue; 0 = nothing read yet
        self.askers: Counter[str] = Counter()  # live clients by account or remote address
        self.closed = False
        self._store = store
        self._poll_s = poll_s
        self._next = asyncio.Event()
        self._poked = asyncio.Event()
        self._reload = False
        self._unknown: set[int] = set()
        self._payloads: dict[int, bytes] = {}

    @property
    def loaded(self) -> bool:
        """Whether there is an image."""
        return self.generation > 0

    @property
    def clients(self) -> int:
        """How many clients follow the feed."""
        return self.askers.total()

    def close(self) -> None:
        """Let every client end."""
        self.closed = True
        self._publish()

    async def run(self) -> None:
        """Follow the database until cancelled; a lost connection is made again."""
        wait_s = BACK_OFF_S[0]
        while True:
            try:
                async with self._store.listen(self._on_wake_up) as alive:
                    # Listening first, so that no cycle falls between the image and the wake-ups.
                    await self._load()
                    wait_s = BACK_OFF_S[0]
                    while alive():
                        await self._wait_for_cycle()
                        await self._follow()
            except StoreError as error:
                log.warning("live feed: %s; trying again in %.1f s", error.message, wait_s)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, BACK_OFF_S[1])

    async def refresh(self, version: int) -> None:
        """Read what is new, for who does not run; the model as well when it is another version."""
        if self.model is None or self.model.version != version:
            await self._load()
        else:
            await self._follow()

    def _on_wake_up(self, channel: str) -> None:
        self._reload |= channel == "park_model"
        self._poked.set()

    async def _wait_for_cycle(self) -> None:
        with contextlib.suppress(TimeoutError):
            # Not wait_for: before Python 3.12 it loses a cancellation that comes with a wake-up.
            async with asyncio.timeout(self._poll_s):
                await self._poked.wait()
        self._poked.clear()

    async def _load(self) -> None:
        """Read model, tags and the whole image."""
        self._reload = False
        model, row = self.model, await self._store.model()
        if row is not None and (model is None or model.version != row[0]):
            try:
                # Compiling a large park takes a moment, in which the clients want their cycles.
                model = await asyncio.to_thread(build_model, *row)
            except ModelError as error:
                log.error("park model %s cannot be read: %s", row[0], "; ".join(error.problems))  # noqa: TRY400
        catalogue, former = [
            build_catalogue(await self._store.rows(queries.TAGS, active))
            for active in (True, False)
        ]
        cycle_us, newest, alarms, late = await self._store.image()
        image = empty_image(len(catalogue.tags))
        at = catalogue.positions(newest["tag_id"])
        known = at >= 0
        image.time_us[at[known]] = newest["time_us"][known]
        image.value[at[known]] = newest["value"][known]
        image.quality[at[known]] = newest["quality"][known]
        image.changed[at[known]] = self.seq + 1
        _note_late(image, catalogue, late)
        self.board = AlarmBoard(model.park if model else None, catalogue)
        self.board.apply(alarms, self.seq + 1)
        # From here on without a pause: nobody sees the new model with the old tags.
        self.model, self.former = model, former
        self.catalogue, self.image, self.cycle_us = catalogue, image, max(cycle_us, self.cycle_us)
        image.grow_old(catalogue.gap_us, self.cycle_us, self.seq + 1)
        self.generation += 1
        self._publish()

    async def _follow(self) -> None:
        """Apply the cycles since the last one."""
        while True:
            rows = await self._store.cycles(self.cycle_us)
            gap = bool(rows) and 0 < self.cycle_us < rows[0]["cycle_us"] - GAP_US
            unknown: set[int] = set()
            for row in rows:
                unknown |= self._apply(row)
            # A tag we do not know is new, or not active any more: looking once is enough.
            if self._reload or gap or not unknown <= self._unknown:
                self._unknown |= unknown
                await self._load()
            elif rows:
                self.image.grow_old(self.catalogue.gap_us, self.cycle_us, self.seq + 1)
                self._publish()
            if len(rows) < CYCLES_AT_ONCE:
                return

    def _apply(self, row: Any) -> set[int]:
        """Put one cycle into the image; return the tags the catalogue does not have."""
        tag_id = np.frombuffer(row["tag_id"], "<i4").astype(np.int64)
        at = self.catalogue.positions(tag_id)
        time_us = np.frombuffer(row["time"], "<i8")
        known = at >= 0
        # A correction has the time of what it corrects; nothing moves the image back.
        fresh = known & (time_us >= self.image.time_us[np.maximum(at, 0)]) if len(at) else known
        to = at[fresh]
        self.image.time_us[to] = time_us[fresh]
        self.image.value[to] = np.frombuffer(row["value"], "<f8")[fresh]
        self.image.quality[to] = np.frombuffer(row["quality"], "u1")[fresh]
        self.image.changed[to] = self.seq + 1
        self.board.apply(row["alarms"], self.seq + 1)
        self.cycle_us = int(row["cycle_us"])
        _note_late(self.image, self.catalogue, row["late"])
        return set(tag_id[~known].tolist())

    def _publish(self) -> None:
        """Wake every waiting client."""
        self.seq += 1
        self._payloads.clear()
        woken, self._next = self._next, asyncio.Event()
        woken.set()

    async def wait(self, seq: int, timeout_s: float) -> bool:
        """Wait for something after `seq`; return whether it came in time."""
        if self.seq == seq and not self.closed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._next.wait()
        return self.seq != seq

    def payload(
        self, since: int, picked: I64 | None, scopes: frozenset[str] | None = None
    ) -> bytes:
        """Return the event with what changed after `since`: an image when that is 0.

        With `scopes` it has the alarms of these only.
        """
        if picked is not None:
            return self._event(since, picked[self.image.changed[picked] > since], scopes)
        # Many clients get the image and the last cycle: made once for all of them.
        if since not in (0, self.seq - 1):
            return self._event(since, np.flatnonzero(self.image.changed > since))
        if since not in self._payloads:
            self._payloads[since] = self._event(since, np.flatnonzero(self.image.changed > since))
        return self._payloads[since]

    def _event(self, since: int, at: I64, scopes: frozenset[str] | None = None) -> bytes:
        image, catalogue = self.image, self.catalogue
        value = out(image.value[at], (catalogue.scale[at], catalogue.shift[at]))
        rows = zip(
            value.tolist(),
            image.graded[at].tolist(),
            milliseconds(image.time_us[at]).tolist(),
            strict=True,
        )
        names = (catalogue.addresses[i] for i in at.tolist())
        body: dict[str, Any] = {
            "time": self.cycle_us // 1000 if self.cycle_us else None,
            "values": dict(zip(names, rows, strict=True)),
            "alarms": self.board.changed(since, scopes),
        }
        kind = b"cycle" if since else b"image"
        return b"event: %b\nid: %d\ndata: %b\n\n" % (kind, self.cycle_us, orjson.dumps(body))


def _note_late(image: LiveImage, catalogue: Catalogue, late: bytes | None) -> None:
    """Take over which tags are late; without a word of it they are those of before."""
    if late is not None:
        at = catalogue.positions(np.frombuffer(late, "<i4").astype(np.int64))
        image.late[:] = False
        image.late[at[at >= 0]] = True
