"""The desk: what people ask of ingest about quarantine, rejects and the model.

Commands lie in table command. They are taken between cycles, and what they bring back goes into the
next ones a block at a time, so that live data do not wait for it.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ingest.commands.adopt import adopt
from ingest.routing.topics import Names
from ingest.store.quarantine import Key
from ingest.wire import VALUE_MAX, WireError
from twin import quality as q
from twin.errors import ParkError, StoreError, UomError
from twin.loading import TAG_COLUMNS
from twin.series.samples import Samples, no_samples
from twin.uom import compile_uom

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ingest.routing.topics import Directory, Message
    from ingest.settings import IngestSettings
    from ingest.store import Store

LOG = logging.getLogger("ingest.commands.commands")
LOOK_US = 2_000_000
BLOCK_SAMPLES, BLOCK_REJECTS = 20_000, 1_000
# A Sparkplug message is nothing without the session it belonged to: its rebirth says it all again.
NOT_AGAIN = "spBv1.0/"
TEXT_CHARACTERS = 1_000
ADOPTABLE, RELEASABLE = "unknown_tag", ("future",)


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
        # What is left to do when the cycle is committed.
        self._after: tuple[Callable[[list[int]], Awaitable[None]], list[int]] | None = None
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
            keys = await self._store.quarantine.keys(ADOPTABLE)
            keys = [(key, topic) for key, topic in keys if self._tag(key, topic) >= 0]
            newest = await self._store.quarantine.newest_id()
        self._task = Task(0, newest, keys) if keys else None

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
        if self._after is not None:
            forget, ids = self._after
            async with self._store.transaction():
                await forget(ids)
            self._after = None

    async def _look(self, now_us: int) -> None:
        """Take the oldest command; it is answered when it is done."""
        row = await self._store.commands.next()
        if row is None:
            return
        number, kind, text = row
        error = None
        try:
            body = json.loads(text)
            obey = self._orders.get(kind)
            if obey is None or not isinstance(body, dict):
                raise ParkError(f"there is no command {kind!r} of this form")  # noqa: TRY301
            self._task = await obey(number, body)
        except ParkError as refused:
            error = str(refused)[:TEXT_CHARACTERS]
        if self._task is None:
            await self._store.commands.answer([number], [error], now_us)

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
        keys = await self._store.quarantine.keys(key.reason, key.enterprise, key.tag)
        if not keys or self._tag(*keys[0]) < 0:
            raise ParkError(f"there is no tag {key.enterprise}/{key.tag} in quarantine as that")
        return Task(number, await self._store.quarantine.newest_id(), keys)

    async def _drop(self, _number: int, body: dict[str, Any]) -> None:
        """Throw away what is in quarantine of a tag."""
        await self._store.quarantine.drop(*_key(body))

    async def _replay(self, number: int, body: dict[str, Any]) -> Task | None:
        """Send complete rejected payloads through their codecs again."""
        ids = await self._store.rejects.complete(*_chosen(body), NOT_AGAIN)
        return Task(number, rejects=ids) if ids else None

    async def _drop_rejects(self, _number: int, body: dict[str, Any]) -> None:
        """Throw away rejected payloads."""
        await self._store.rejects.drop(*_chosen(body))

    async def _bring(self, task: Task, now_us: int) -> Extra:
        """Return the next block of a task; answers its command when there is no more."""
        if task.keys:
            return Extra(samples=await self._samples(task, now_us))
        if task.rejects:
            ids = task.rejects[:BLOCK_REJECTS]
            del task.rejects[:BLOCK_REJECTS]
            self._after = self._store.rejects.drop, ids
            return Extra(await self._store.rejects.messages(ids))
        if task.command:
            await self._store.commands.answer([task.command], [None], now_us)
        self._task = None
        return Extra()

    async def _samples(self, task: Task, now_us: int) -> Samples:
        """Return a block of samples of the task's first key; ends the key when there is none."""
        key, topic = task.keys[0]
        until_us = now_us + round(self._settings.future_s * 1e6)
        store = self._store.quarantine
        held = await store.samples(key, task.until, until_us, BLOCK_SAMPLES)
        if not held.ids:
            await store.forget_key(key)
            del task.keys[0]
            return no_samples()
        self._after = store.forget_samples, held.ids
        at = self._tag(key, topic)
        factors = [self._to_si(uom, at) for uom in held.uom]
        scale, shift = np.array(factors, dtype=np.float64).T
        si = held.value * scale + shift
        quality = q.within(si, self._directory.low[at], self._directory.high[at], held.quality)
        tag = np.full(len(si), at)
        samples = Samples(tag, held.time_us, si, quality, held.received_us)
        keep = ~np.isnan(scale) & ~(np.abs(held.value) > VALUE_MAX)
        LOG.info("%s/%s: %d samples from quarantine", key.enterprise, key.tag, keep.sum())
        return samples.take(keep)

    def _to_si(self, uom: str, at: int) -> tuple[float, float]:
        """Return scale and shift of a uom to SI, empty for that of the tag; NaN for a wrong one."""
        if not uom:
            return float(self._directory.scale[at]), float(self._directory.shift[at])
        try:
            return compile_uom(uom, self._directory.quantity[at])
        except UomError:
            return float("nan"), float("nan")

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
