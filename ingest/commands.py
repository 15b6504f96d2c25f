"""Commands of operators about quarantine, rejects and the model, and what they bring back.

Commands lie in table command. They are taken between cycles, and what they bring back goes into the
next ones a block at a time, so that live data do not wait for it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from datetime import datetime  # noqa: TC003, msgspec reads the annotation
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from deploy.database.times import to_us
from ingest.baselines import Baselines
from ingest.bookkeeping import Bookkeeping
from ingest.filing import Filing
from ingest.model_folder import append, read_model
from ingest.routing.topics import Names
from ingest.store.quarantine import Key
from ingest.wire import VALUE_MAX, WireError
from twin import quality as q
from twin.adoption import Wanted, line_of, propose, rows_of
from twin.arrays import DAY_US, F64
from twin.errors import ModelError, ParkError, StoreError, UomError
from twin.loading import TAG_COLUMNS, load_park
from twin.model.park import owner_of
from twin.series.samples import Samples, no_samples
from twin.series.sentinels import without_far, without_sentinels
from twin.uom import compile_uom

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from ingest.routing.topics import Message, TopicTable
    from ingest.settings import IngestSettings
    from ingest.store import Store
    from ingest.store.commands import CommandRow
    from twin.model.park import Park

LOG = logging.getLogger("ingest.commands")
LOOK_US = 2_000_000
BLOCK_SAMPLES, BLOCK_REJECTS = 20_000, 1_000
# A Sparkplug message is nothing without the session it belonged to: its rebirth says it all again.
NOT_AGAIN = "spBv1.0/"
# Refused for want of a scope or gateway, which the model may have by now.
HOMELESS = ("unknown_enterprise", "bad_topic")
ADOPTABLE, RELEASABLE = "unknown_tag", ("future", "past")


class TagCommand(msgspec.Struct):
    """A command about a tag in quarantine."""

    enterprise: str
    tag: str
    reason: str = ""

    def __post_init__(self) -> None:
        if not self.enterprise or not self.tag:
            raise ValueError("it names enterprise and tag")

    @property
    def key(self) -> Key:
        """The key of quarantine."""
        return Key(self.enterprise, self.tag, self.reason)


class AdoptCommand(TagCommand):
    """A command that makes an unknown tag one of the model; the fields are columns of tags.csv."""

    scope: str = ""
    quantity: str = ""
    uom: str = ""
    kind: str = ""
    low: str | float = ""
    high: str | float = ""
    sigma: str | float = ""
    description: str = ""


class ContactCommand(msgspec.Struct):
    """A command about a sender that the model does not know; see `twin.adoption.Wanted`."""

    contact: int
    scope: str = ""
    gateway: str = ""
    preset: str = ""
    zh: str = ""
    en: str = ""
    only: list[str] = []
    tags: dict[str, dict[str, str]] = {}

    @property
    def wanted(self) -> Wanted:
        """What a person has decided."""
        return Wanted(self.scope, self.gateway, self.preset, self.zh, self.en, self.only, self.tags)


class RegisterCommand(msgspec.Struct):
    """A command about the register of a counter: one of its falls, or a tag and a time.

    `last` and `first` are readings of the old meter and the new one, in the uom of the tag.
    """

    id: int | None = None
    enterprise: str = ""
    tag: str = ""
    time: datetime | None = None
    last: float | None = None
    first: float | None = None

    def __post_init__(self) -> None:
        if self.id is None and not (self.enterprise and self.tag and self.time):
            raise ValueError("it names the `id` of a fall, or a tag and a time")
        if self.time is not None and self.time.tzinfo is None:
            raise ValueError("`time` has an offset")


class RejectCommand(msgspec.Struct):
    """A command about rejects; None for any id or reason."""

    ids: list[int] | None = None
    reason: str | None = None


class Reload(NamedTuple):
    """A model that is to run from now on, and the command that wants it; 0: no command does."""

    park: Park
    command: int = 0


@dataclass(frozen=True, slots=True)
class Block:
    """What the next cycle takes besides what has come, and what is forgotten after its commit."""

    messages: list[Message] = field(default_factory=list)
    samples: Samples = field(default_factory=no_samples)
    rejects: list[int] = field(default_factory=list)  # ids
    held: list[int] = field(default_factory=list)  # ids of samples in quarantine


@dataclass(frozen=True, slots=True)
class Task:
    """What is still to be brought back, for a command (0: for a start)."""

    command: int
    until_id: int = 0  # of quarantine: what comes later is not part of it
    keys: tuple[tuple[Key, str], ...] = ()  # with the topic of the last sample
    rejects: tuple[int, ...] = ()
    samples: Samples | None = None  # that an operator has entered
    messages: tuple[Message, ...] = ()  # the newest of senders that the model knows by now


class CommandQueue:
    """Commands of one park model, taken one by one."""

    def __init__(
        self, store: Store, park: Park, topics: TopicTable, settings: IngestSettings
    ) -> None:
        self.reload: Reload | None = None  # who carries it out answers its command
        self._store = store
        self._topics = topics
        self._settings = settings
        self._due_us = 0
        self._now_us = 0
        book, baselines = Bookkeeping(store, park), Baselines(store, park)
        filing = Filing(store)
        self._task: Task | None = None
        self._block = Block()  # not forgotten yet
        self._actions: dict[str, Callable[[CommandRow], Awaitable[Task | None]]] = {
            "model.reload": self._reload,
            "contact.adopt": self._adopt_contact,
            "contact.drop": self._drop_contact,
            "quarantine.adopt": self._adopt,
            "quarantine.release": self._release,
            "quarantine.drop": self._drop,
            "reject.replay": self._replay,
            "reject.drop": self._drop_rejects,
            "register.replace": self._replace_register,
            "register.dismiss": self._dismiss_fall,
            "book.enter": lambda row: book.enter(row, self._now_us),
            "book.confirm": lambda row: book.confirm(row, self._now_us),
            "baseline.fit": lambda row: baselines.fit(row, self._now_us),
            "baseline.adjust": lambda row: baselines.adjust(row, self._now_us),
            "report.keep": lambda row: filing.keep(row, self._now_us),
            "report.note": lambda row: filing.note(row, self._now_us),
        }

    async def start(self) -> None:
        """Find what was kept as unknown and has a gateway, or a tag, in the model by now."""
        async with self._store.transaction():
            keys = await self._store.quarantine.keys(ADOPTABLE)
            known = tuple((key, topic) for key, topic in keys if self._tag(key, topic) >= 0)
            newest = await self._store.quarantine.newest_id()
            topics = await self._store.rejects.topics(HOMELESS)
            rejects = await self._store.rejects.complete_of(
                [topic for topic in topics if self._is_read(topic)], HOMELESS
            )
            messages = await self._store.contacts.take_payloads(self._topics.is_declared)
        if known or rejects or messages:
            self._task = Task(0, newest, known, tuple(rejects), messages=tuple(messages))

    def _is_read(self, topic: str) -> bool:
        """Return whether a topic leads to a gateway of the model, or an enterprise."""
        try:
            self._topics.route(topic)
        except WireError:
            return False
        return True

    async def take(self, now_us: int) -> Block:
        """Return the block of the next cycle; an empty one while the database is away."""
        self._now_us = now_us
        try:
            await self._forget()
            if self.reload is not None:
                return Block()
            # Early also when the clock was set back.
            if self._task is None and 0 < self._due_us - now_us <= LOOK_US:
                return Block()
            async with self._store.transaction():
                task = self._task
                if task is None:
                    self._due_us = now_us + LOOK_US
                    task = await self._next_task(now_us)
                block, task = await self._bring(task, now_us) if task else (Block(), None)
        except StoreError as error:
            self._wait(error)
            return Block()
        # Only now: a task goes on where the last commit has left it.
        self._task, self._block = task, block
        return block

    async def done(self) -> None:
        """Forget what the cycle has committed; doing it later, or twice, does no harm."""
        try:
            await self._forget()
        except StoreError as error:
            self._wait(error)

    async def answer(self, number: int, error: str | None, now_us: int) -> None:
        """Say how a command has ended that others have carried out; raises StoreError."""
        async with self._store.transaction():
            await self._store.commands.answer([number], [error], now_us)

    def _wait(self, error: StoreError) -> None:
        if not error.retryable:
            raise error
        LOG.warning("%s; commands wait", error.message)

    async def _forget(self) -> None:
        block = self._block
        if block.rejects or block.held:
            async with self._store.transaction():
                await self._store.rejects.drop(block.rejects)
                await self._store.quarantine.forget_samples(block.held)
            self._block = Block()

    async def _next_task(self, now_us: int) -> Task | None:
        """Apply the oldest command; one without a task is answered at once."""
        row = await self._store.commands.next()
        if row is None:
            return None
        task, error = None, None
        try:
            task = await self._actions.get(row.kind, self._refuse)(row)
        except ParkError as refused:
            error = str(refused)
        if task is None and self.reload is None:
            await self._store.commands.answer([row.number], [error], now_us)
        return task

    async def _refuse(self, row: CommandRow) -> None:
        raise ParkError(f"there is no command {row.kind!r}")

    async def _reload(self, row: CommandRow) -> None:
        """Let the model of the folder run; one with problems is noted for the readers."""
        try:
            self.reload = Reload(await read_model(self._settings.park), row.number)
        except ModelError as error:
            await self._store.model_problems.keep(error.problems)
            raise ParkError(f"{error.message}: {'; '.join(error.problems)}") from error

    async def _adopt(self, row: CommandRow) -> None:
        """Add a tag to the model and take it over; what was kept of it comes after that."""
        command = row.read(AdoptCommand)
        cells = {name: str(getattr(command, name)) for name in TAG_COLUMNS}
        park = adopt(self._settings.park, command.enterprise, cells)
        self.reload = Reload(park, row.number)

    async def _adopt_contact(self, row: CommandRow) -> None:
        """Add a sender to the model: its gateway, tags, and the scopes it needs."""
        command = row.read(ContactCommand)
        _, contact = await self._store.contacts.find(command.contact)
        park = await read_model(self._settings.park)
        rows = rows_of(propose(contact, park, command.wanted))
        self.reload = Reload(append(self._settings.park, park, rows), row.number)

    async def _drop_contact(self, row: CommandRow) -> None:
        """Forget a sender; it is listed again when it sends again."""
        await self._store.contacts.forget([row.read(ContactCommand).contact])

    async def _release(self, row: CommandRow) -> Task:
        """Store samples of a tag from quarantine, as they are."""
        key = row.read(TagCommand).key
        if key.reason not in RELEASABLE:
            raise ParkError(f"reason {key.reason!r} is not one of {', '.join(RELEASABLE)}")
        keys = await self._store.quarantine.keys(key.reason, key.enterprise, key.tag)
        if not keys or self._tag(*keys[0]) < 0:
            raise ParkError(f"there is no tag {key.enterprise}/{key.tag} in quarantine as that")
        return Task(row.number, await self._store.quarantine.newest_id(), tuple(keys))

    async def _drop(self, row: CommandRow) -> None:
        """Throw away what is in quarantine of a tag."""
        await self._store.quarantine.drop(*row.read(TagCommand).key)

    async def _replay(self, row: CommandRow) -> Task | None:
        """Send complete rejected payloads through their codecs again."""
        command = row.read(RejectCommand)
        ids = await self._store.rejects.complete(command.ids, command.reason, NOT_AGAIN)
        return Task(row.number, rejects=tuple(ids)) if ids else None

    async def _drop_rejects(self, row: CommandRow) -> None:
        """Throw away rejected payloads."""
        command = row.read(RejectCommand)
        await self._store.rejects.drop(command.ids, command.reason)

    async def _replace_register(self, row: CommandRow) -> Task:
        """Store the last reading of a meter and the first of the one in its place.

        Both come as samples right after the time of the replacement, so that the minutes around
        them are computed again.
        """
        command = row.read(RegisterCommand)
        fall = await self._fall(command, row.number)
        at = self._register(command, fall)
        if command.last is None or command.first is None:
            raise ParkError(
                "it needs the `last` reading of the old meter and the `first` one after"
            )
        time_us = to_us(command.time) if command.time else sum(_span_of(fall)) // 2
        if fall is None:
            fall = await self._store.register_falls.find_at(at, time_us)
        elif not _span_of(fall)[0] <= time_us < _span_of(fall)[1]:
            raise ParkError("the meter was replaced between the two readings around the fall")
        scale, shift = float(self._topics.scale[at]), float(self._topics.shift[at])
        value = np.array([command.last, command.first]) * scale + shift
        await self._require_between(at, time_us, value, scale, shift)
        if fall is not None:
            await self._store.register_falls.answer(fall["id"], "replace", row.number)
        times = time_us + np.array([1, 2])
        quality = np.array([q.MANUAL, q.REPLACED], np.uint8)
        received = np.full(2, await self._store.now_us())
        return Task(row.number, samples=Samples(np.full(2, at), times, value, quality, received))

    async def _require_between(
        self, at: int, time_us: int, value: F64, scale: float, shift: float
    ) -> None:
        """Raise ParkError where readings [SI] do not fit between those stored around a time."""
        around = await self._store.register_falls.readings_around(at, time_us)
        for side, text, wrong in (
            ("before", "last reading of the old meter is below", value[0].__lt__),
            ("after", "first reading of the new meter is above", value[1].__gt__),
        ):
            if side in around and wrong(around[side]["value"]):
                stored = (around[side]["value"] - shift) / scale
                raise ParkError(
                    f"the {text} the reading of {around[side]['time']:%Y-%m-%d %H:%M:%S} UTC,"
                    f" which is {stored:.10g} {self._topics.uom[at]}"
                )

    async def _dismiss_fall(self, row: CommandRow) -> None:
        """Leave a fall as it is: its rise stays unknown."""
        fall = await self._fall(row.read(RegisterCommand), row.number)
        if fall is None:
            raise ParkError("it names the `id` of a fall")
        await self._store.register_falls.answer(fall["id"], "dismiss", row.number)

    async def _fall(self, command: RegisterCommand, number: int) -> Any:
        """Return the fall a command names by its id, if it does; raises ParkError for none."""
        if command.id is None:
            return None
        fall = await self._store.register_falls.find(command.id)
        if fall is None:
            raise ParkError(f"there is no fall of a register {command.id}")
        # A command that was interrupted is carried out again.
        if fall["answer"] is not None and fall["command"] != number:
            raise ParkError(f"it has been answered already: {fall['answer']}")
        return fall

    def _register(self, command: RegisterCommand, fall: Any) -> int:
        """Return the index of the counter of a command; raises ParkError when it is none."""
        if fall is None:
            names = self._topics.names.get(command.enterprise, Names())
            at = names[command.tag]
            label = f"{command.enterprise}/{command.tag}"
        else:
            known = np.flatnonzero(self._store.tag_id == fall["tag_id"])
            at = int(known[0]) if len(known) else -1
            label = f"of fall {command.id}"
        if at < 0 or not self._topics.counter[at]:
            raise ParkError(f"there is no counter {label}")
        return at

    async def _bring(self, task: Task, now_us: int) -> tuple[Block, Task | None]:
        """Return the next block of a task and what remains; answers the command of the last one."""
        if task.keys:
            return await self._bring_samples(task, now_us)
        if task.rejects:
            ids = list(task.rejects[:BLOCK_REJECTS])
            messages = await self._store.rejects.messages(ids)
            return Block(messages, rejects=ids), replace(task, rejects=task.rejects[len(ids) :])
        if task.messages:
            return Block(list(task.messages)), replace(task, messages=())
        if task.samples is not None:
            return Block(samples=task.samples), replace(task, samples=None)
        if task.command:
            await self._store.commands.answer([task.command], [None], now_us)
        return Block(), None

    async def _bring_samples(self, task: Task, now_us: int) -> tuple[Block, Task]:
        """Return a block of samples of the task's first key; ends the key when there is none."""
        (key, topic), *others = task.keys
        until_us = now_us + round(self._settings.future_s * 1e6)
        store = self._store.quarantine
        held = await store.samples(key, task.until_id, until_us, BLOCK_SAMPLES)
        if not held.ids:
            await store.forget_key(key)
            return Block(), replace(task, keys=tuple(others))
        # Live data wait for the block: it is committed in one cycle, or two.
        stop_us = held.time_us[0] + self._settings.cycle_days * DAY_US
        held = held.first(int(np.searchsorted(held.time_us, stop_us)))
        at = self._tag(key, topic)
        scale, shift = np.array([self._to_si(uom, at) for uom in held.uom], dtype=np.float64).T
        si = held.value * scale + shift
        low, high = self._topics.low[at], self._topics.high[at]
        quality = without_sentinels(held.value, q.within(si, low, high, held.quality))
        quality = without_far(si, low, high, quality)
        tag = np.full(len(si), at)
        samples = Samples(tag, held.time_us, si, quality, held.received_us)
        keep = ~np.isnan(scale) & ~(np.abs(held.value) > VALUE_MAX)
        LOG.info("%s/%s: %d samples from quarantine", key.enterprise, key.tag, keep.sum())
        return Block(samples=samples.take(keep), held=held.ids), task

    def _to_si(self, uom: str, at: int) -> tuple[float, float]:
        """Return scale and shift of a uom to SI, empty for that of the tag; NaN for a wrong one."""
        if not uom:
            return float(self._topics.scale[at]), float(self._topics.shift[at])
        try:
            return compile_uom(uom, self._topics.quantity[at])
        except UomError:
            return float("nan"), float("nan")

    def _tag(self, key: Key, topic: str) -> int:
        """Return the index of a tag by its name on the wire; -1 when the model has none."""
        try:
            names = self._topics.route(topic).names
        except WireError:
            names = self._topics.names.get(key.enterprise, Names())
        return names[key.tag]


def _span_of(fall: Any) -> tuple[int, int]:
    """Return the times of the readings before and after a fall [µs]."""
    return to_us(fall["since"]), to_us(fall["time"])


def adopt(folder: Path, enterprise: str, cells: Mapping[str, str]) -> Park:
    """Append a tag of an enterprise to the park model in a folder; return the model.

    One that is there already stays as it is. Raises ParkError when the model would be wrong with
    it, or the folder cannot be written.
    """
    park = load_park(folder)
    address = f"{enterprise}/{cells['tag']}"
    known = {tag.address: tag for tag in park.tags}
    if address in known:
        if known[address].source == "manual":
            raise ParkError(f"{address} is entered by people ([[book]]): no gateway may send it")
        return park
    kinds = {scope.id: scope.kind for scope in park.scopes}
    if cells["scope"] in kinds and owner_of(cells["scope"], kinds) != enterprise:
        raise ParkError(f"scope {cells['scope']} is not one of enterprise {enterprise}")
    return append(folder, park, {"tags.csv": line_of(cells)})
