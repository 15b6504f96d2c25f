"""The desk: what people ask of ingest about quarantine, rejects and the model.

Commands lie in table command. They are taken between cycles, and what they bring back goes into the
next ones a block at a time, so that live data do not wait for it.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from deploy.database.times import micros, stamp
from ingest import queries
from ingest.commands.adopt import adopt
from ingest.routing.topics import Message, Names
from ingest.wire import VALUE_MAX, WireError
from twin import quality as q
from twin.errors import ParkError, StoreError, UomError
from twin.loading import TAG_COLUMNS
from twin.series.samples import Samples, no_samples
from twin.uom import compile_uom

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ingest.routing.topics import Directory
    from ingest.settings import IngestSettings
    from ingest.store import Store

LOG = logging.getLogger("ingest.commands.commands")
LOOK_US = 2_000_000
BLOCK_SAMPLES, BLOCK_REJECTS = 20_000, 1_000
# A Sparkplug message is nothing without the session it belonged to: its rebirth says it all again.
NOT_AGAIN = "spBv1.0/"
TEXT_CHARACTERS = 1_000
ADOPTABLE, RELEASABLE = "unknown_tag", ("future",)


class Key(NamedTuple):
    """What quarantine counts by."""

    enterprise: str
    tag: str
    reason: str


@dataclass(slots=True)
class Extra:
    """What the next cycle takes besides what has come."""

    messages: list[Message] = field(default_factory=list)
    samples: Samples = field(default_factory=no_samples)


@dataclass(slots=True)
class Task:
    """What is being brought back, up to a row, for a command (0: for a start)."""

    command: int
    until: int = 0
    keys: list[tuple[Key, str]] = field(default_factory=list)  # with the topic they came by
    rejects: list[int] = field(default_factory=list)


class Desk:
    """Takes commands and brings back what was kept out, for one park model."""

    def __init__(self, store: Store, directory: Directory, settings: IngestSettings) -> None:
        self.reload = False
        self._store = store
        self._directory = directory
        self._settings = settings
        self._due_us = 0
        self._task: Task | None = None
        # What is left to do when the cycle is committed: a statement and its arguments.
        self._after: tuple[Any, ...] = ()
        self._orders: dict[str, Callable[[int, dict[str, Any]], Awaitable[Task | None]]] = {
            "quarantine.adopt": self._adopt,
            "quarantine.release": self._release,
            "quarantine.drop": self._drop,
            "reject.replay": self._replay,
            "reject.drop": self._drop_rejects,
        }

    async def start(self) -> None:
        """Find what was quarantined as unknown and is a tag of the model by now."""
        async with self._store.transaction():
            rows = await self._store.fetch(queries.HELD, None, None, ADOPTABLE)
            keys = [(Key(*row[:3]), row["topic"]) for row in rows]
            keys = [(key, topic) for key, topic in keys if self._tag(key, topic) >= 0]
            self._task = Task(0, await self._newest(), keys) if keys else None

    async def take(self, now_us: int) -> Extra:
        """Return what the next cycle takes besides; nothing while the database is away."""
        try:
            await self._forget()
            # Early also when the clock was set back.
            if self._task is None and 0 < self._due_us - now_us <= LOOK_US:
                return Extra()
            async with self._store.transaction():
                if self._task is None:
                    self._due_us = now_us + LOOK_US
                    await self._look(now_us)
                if self._task is not None:
                    return await self._bring(self._task, now_us)
        except StoreError as error:
            if not error.retryable:
                raise
            LOG.warning("%s; the desk waits", error.message)
        return Extra()

    async def done(self) -> None:
        """Forget what the cycle has committed; doing it later, or twice, does no harm."""
        try:
            await self._forget()
        except StoreError as error:
            if not error.retryable:
                raise
            LOG.warning("%s; the desk waits", error.message)

    async def _forget(self) -> None:
        if self._after:
            async with self._store.transaction():
                await self._store.fetch(*self._after)
            self._after = ()

    async def _newest(self) -> int:
        return int((await self._store.fetch(queries.NEWEST_HELD))[0][0])

    async def _look(self, now_us: int) -> None:
        """Take the oldest command; it is answered when it is done."""
        rows = await self._store.fetch(queries.DESK)
        if not rows:
            return
        number, kind = rows[0]["id"], rows[0]["kind"]
        error = None
        try:
            body = json.loads(rows[0]["body"])
            obey = self._orders.get(kind)
            if obey is None or not isinstance(body, dict):
                raise ParkError(f"there is no command {kind!r} of this form")  # noqa: TRY301
            self._task = await obey(number, body)
        except ParkError as refused:
            error = str(refused)[:TEXT_CHARACTERS]
        if self._task is None:
            await self._answer(number, now_us, error)

    async def _answer(self, number: int, now_us: int, error: str | None) -> None:
        await self._store.fetch(queries.ANSWER, stamp(now_us), [number], [error])

    async def _adopt(self, _number: int, body: dict[str, Any]) -> None:
        """Add a tag to the model and take it over; what was kept of it comes after that."""
        key = _key(body)
        cells = {name: str(body.get(name, "")) for name in TAG_COLUMNS}
        adopt(self._settings.park, key.enterprise, cells)
        self.reload = True

    async def _release(self, number: int, body: dict[str, Any]) -> Task:
        """Store samples of a tag that were doubted, as they are."""
        key = _key(body)
        if key.reason not in RELEASABLE:
            raise ParkError(f"reason {key.reason!r} is not one of {', '.join(RELEASABLE)}")
        rows = await self._store.fetch(queries.HELD, *key)
        keys = [(Key(*row[:3]), row["topic"]) for row in rows]
        if not keys or self._tag(*keys[0]) < 0:
            raise ParkError(f"there is no tag {key.enterprise}/{key.tag} in quarantine as that")
        return Task(number, await self._newest(), keys)

    async def _drop(self, _number: int, body: dict[str, Any]) -> None:
        """Throw away what is in quarantine of a tag."""
        key = _key(body)
        for table in ("quarantine", "quarantine_sample"):
            await self._store.fetch(
                queries.DROP_HELD.format(table=table), key.enterprise, key.tag, key.reason or None
            )

    async def _replay(self, number: int, body: dict[str, Any]) -> Task | None:
        """Send complete rejected payloads through their codecs again."""
        rows = await self._store.fetch(queries.REJECTS, *_chosen(body), NOT_AGAIN)
        found = [row["id"] for row in rows]
        return Task(number, rejects=found) if found else None

    async def _drop_rejects(self, _number: int, body: dict[str, Any]) -> None:
        """Throw away rejected payloads."""
        await self._store.fetch(queries.DROP_REJECTS, *_chosen(body))

    async def _bring(self, task: Task, now_us: int) -> Extra:
        """Return the next block of a task; answers its command when there is no more."""
        if task.keys:
            return Extra(samples=await self._samples(task, now_us))
        if task.rejects:
            ids = task.rejects[:BLOCK_REJECTS]
            del task.rejects[:BLOCK_REJECTS]
            rows = await self._store.fetch(queries.PAYLOADS, ids)
            self._after = queries.FORGET_REJECTS, ids
            times = micros([row["received"] for row in rows]).tolist()
            # At QoS 1: this is not a burst that may be dropped.
            return Extra(
                [Message(row["topic"], row["payload"], received_us, 0, 1, 0)
                 for row, received_us in zip(rows, times, strict=True)]
            )  # fmt: skip
        if task.command:
            await self._answer(task.command, now_us, None)
        self._task = None
        return Extra()

    async def _samples(self, task: Task, now_us: int) -> Samples:
        """Return a block of samples of the task's first key; ends the key when there is none."""
        key, topic = task.keys[0]
        ahead = stamp(now_us + round(self._settings.future_s * 1e6))
        rows = await self._store.fetch(queries.HELD_SAMPLES, *key, task.until, ahead, BLOCK_SAMPLES)
        if not rows:
            await self._store.fetch(queries.FORGET_KEY, *key)
            del task.keys[0]
            return no_samples()
        self._after = queries.FORGET_SAMPLES, [row["id"] for row in rows]
        at = self._tag(key, topic)
        value, quality, scale, shift = (
            np.array(column) for column in zip(*(self._read(row, at) for row in rows), strict=True)
        )
        si = value * scale + shift
        low, high = self._directory.low[at], self._directory.high[at]
        samples = Samples(
            np.full(len(rows), at),
            micros([row["time"] for row in rows]),
            si,
            q.within(si, low, high, quality.astype(np.uint8)),
            micros([row["received"] for row in rows]),
        )
        keep = ~np.isnan(scale) & ~(np.abs(value) > VALUE_MAX)
        LOG.info("%s/%s: %d samples from quarantine", key.enterprise, key.tag, keep.sum())
        return samples.take(keep)

    def _read(self, row: Any, at: int) -> tuple[float, int, float, float]:
        """Return value, quality and the way to SI of a sample; a wrong uom leads nowhere."""
        scale, shift = self._directory.scale[at], self._directory.shift[at]
        value = float("nan") if row["value"] is None else row["value"]
        if row["uom"]:
            try:
                scale, shift = compile_uom(row["uom"], self._directory.quantity[at])
            except UomError:
                scale = shift = float("nan")
        return value, row["quality"], float(scale), float(shift)

    def _tag(self, key: Key, topic: str) -> int:
        """Return the index of a tag by its name on the wire; -1 when the model has none."""
        try:
            names = self._directory.route(topic).names
        except WireError:
            names = self._directory.names.get(key.enterprise, Names())
        return names[key.tag]


def _key(body: dict[str, Any]) -> Key:
    """Return what a command is about; raises ParkError."""
    found = Key(*(body.get(name, "") for name in Key._fields))
    if not all(isinstance(part, str) for part in found) or not found.enterprise or not found.tag:
        raise ParkError("a command about quarantine names enterprise and tag")
    return found


def _chosen(body: dict[str, Any]) -> tuple[list[int] | None, str | None]:
    """Return ids and reason of rejects, None for all; raises ParkError."""
    ids, reason = body.get("ids"), body.get("reason")
    fits = ids is None or (isinstance(ids, list) and all(isinstance(each, int) for each in ids))
    if not fits or not isinstance(reason, str | None):
        raise ParkError("`ids` is a list of numbers and `reason` a text")
    return ids, reason
