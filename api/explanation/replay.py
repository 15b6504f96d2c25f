"""An answer that is asked again on the readings of its first time, with inputs left out or changed.

Readings are remembered, so that the database is asked once. What an answer with other inputs reads
beyond them, finer sums of a part of the time, say, is read then, and changed in the same way.
"""

from __future__ import annotations

import copy
import re
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

import numpy as np
import orjson

from api.calculation.inline import ask
from api.live.feed import Feed
from api.problems import Problem, invalid
from api.store import ReadStore
from api.table import JSON
from twin import quality as q
from twin import reference
from twin.arrays import BOOL, F64, I64, NEVER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import timedelta

    from fastapi import FastAPI

    from api.context import Context
    from api.live.image import LiveImage
    from api.store import Columns

# By which part of their value inputs are moved. Answers have 12 digits: of a slope 6 remain.
STEP = 1e-6
VALUES = ("amount", "value", "mean", "min", "max", "last")
NUMBER = re.compile(r"([+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)((?: [^\d\s]\S*)?)")
# What of a row of a reference table says where it is from.
PROVENANCE = ("standard", "edition", "clause", "source", "confidence", "evidence", "verified")


Path = tuple[str | int, ...]


class TagKey(NamedTuple):
    """All readings of a tag as an input."""

    tag_id: int


class RowsKey(NamedTuple):
    """The rows of a query as an input: of alarms, detections, book data, gateways."""

    statement: str


class ReferenceKey(NamedTuple):
    """A row of a reference table as an input."""

    table: str
    path: Path


InputKey = TagKey | RowsKey | ReferenceKey


def step(key: InputKey) -> float:
    """Return by which part of its value an input is moved: once to twice `STEP`.

    Each has its own, so that a ratio of two inputs changes with both of them.
    """
    return STEP * (1 + crc32(repr(key).encode()) / 2**32)


@dataclass(frozen=True, slots=True)
class InputChange:
    """Inputs that are left out, and inputs that are moved by their steps."""

    absent: frozenset[InputKey] = frozenset()
    moved: frozenset[InputKey] = frozenset()

    def leaves_out(self, tag_id: I64) -> BOOL:
        """Tell which tags, by their ids, are left out."""
        ids = [key.tag_id for key in self.absent if isinstance(key, TagKey)]
        return np.isin(tag_id, np.array(ids, np.int64))

    def steps(self, tag_id: I64) -> F64:
        """Return the steps of tags by their ids; 0 of those that are not moved."""
        steps = {key.tag_id: step(key) for key in self.moved if isinstance(key, TagKey)}
        unique, at = np.unique(tag_id, return_inverse=True)
        return np.array([steps.get(each, 0.0) for each in unique.tolist()], np.float64)[at]

    @property
    def sort(self) -> str:
        """What is done with inputs; nothing when it is none."""
        if self.absent:
            return "absent"
        tables = any(isinstance(key, ReferenceKey) for key in self.moved)
        return "table" if tables else "moved" if self.moved else ""


NOTHING = InputChange()
OUT_OF_TIME = 503
# What of the headers of an explanation is not meant for the answer it asks.
OF_TRANSPORT = ("accept-encoding", "content-length")


class Deadline:
    """The end of the time for runs of an answer.

    A run is begun where the longest one of its sort so far would end in time, and stops where it
    reads something after the end.
    """

    def __init__(self, seconds: float) -> None:
        self._end_s = perf_counter() + seconds
        self._longest_s: dict[str, float] = {}

    @property
    def is_over(self) -> bool:
        """Whether no time is left."""
        return perf_counter() >= self._end_s

    def affords(self, sort: str) -> bool:
        """Tell whether there is time for a run; what leaves inputs out reads more than others."""
        longest_s = self._longest_s.get(sort, max(self._longest_s.values(), default=0.0))
        return perf_counter() + longest_s < self._end_s

    def note(self, sort: str, begun_s: float) -> None:
        """Note a run that has just ended."""
        lasted_s = perf_counter() - begun_s
        self._longest_s[sort] = max(self._longest_s.get(sort, 0.0), lasted_s)


@dataclass(slots=True)
class Notes:
    """What answers rest on: tags with rows, by the numbers of their reads, queries and tables."""

    reads: dict[int, list[int]] = field(default_factory=dict)
    statements: set[str] = field(default_factory=set)
    rows: set[tuple[str, Path]] = field(default_factory=set)  # of reference tables
    looked_at_now: bool = False  # an answer read the live image


class ReplayedAnswer:
    """A question to the app and its readings; it can be asked again with other inputs."""

    def __init__(self, app: FastAPI, context: Context, headers: Mapping[str, str]) -> None:
        self._app, self._context, self._headers = app, context, headers
        self.notes = Notes()
        self.runs = 0
        self.kind: Any = None  # of the answer
        self.parameters: frozenset[str] = frozenset()  # that it takes in its query
        self._store = RememberingStore(context)
        self.deadline = Deadline(0.0)

    async def ask(
        self, address: str, body: bytes | None = None, change: InputChange = NOTHING
    ) -> tuple[int, Any]:
        """Return status and JSON of the answer with some inputs changed.

        Raises TimeoutError where there is no time for it; without a change there always is.
        """
        self.runs += 1
        sort, begun_s = change.sort, perf_counter()
        if sort and not self.deadline.affords(sort):
            raise TimeoutError
        store = self._store.with_change(change, self.notes, self.deadline)
        context = replace(self._context, store=store, feed=self._feed(change))
        headers = {**self._headers, "accept": "application/json"}
        headers = {name: text for name, text in headers.items() if name not in OF_TRANSPORT}
        method = "GET" if body is None else "POST"
        with self._reference(change) if self._reads_tables(change) else nullcontext():
            answer = await ask(self._app, address, method, headers, body or b"", context)
        self.deadline.note(sort, begun_s)
        if sort and answer.status == OUT_OF_TIME and self.deadline.is_over:
            raise TimeoutError
        self.kind, self.parameters = answer.kind, answer.parameters
        if answer.status == 200 and not answer.headers.get("content-type", JSON).startswith(JSON):
            raise invalid("figure", "the answer is a file", hint="leave its format out")
        return answer.status, orjson.loads(answer.body or b"null")

    def forget(self) -> Notes:
        """Begin new notes of what answers rest on, and return those so far."""
        notes, self.notes = self.notes, Notes()
        return notes

    def _feed(self, change: InputChange) -> Feed:
        """Return a feed that stands still, its image as a change has it."""

        def image() -> LiveImage:
            self.notes.looked_at_now = True
            return _changed_image(self._context.feed, change)

        return StandingFeed(self._context.feed, image)

    def _reads_tables(self, change: InputChange) -> bool:
        """Tell whether reference tables matter: what is compiled of them is compiled anew then."""
        moved = any(isinstance(key, ReferenceKey) for key in change.moved)
        return moved or not (change.moved or change.absent)

    @contextmanager
    def _reference(self, change: InputChange) -> Iterator[None]:
        """Let reference tables be remembered, and their rows be changed."""
        moved = [key for key in change.moved if isinstance(key, ReferenceKey)]
        made: dict[str, dict[str, Any]] = {}

        def read(name: str, table: dict[str, Any]) -> dict[str, Any]:
            keys = [key for key in moved if key.table == name]
            if name not in made:
                made[name] = _moved_table(table, keys) if keys else table
            return (
                made[name]
                if change.moved or change.absent
                else TracedTable(made[name], name, self.notes)
            )

        with reference.read_through(read):
            yield

    def inputs(self) -> list[list[InputKey]]:
        """Return what the answers so far may rest on, likely and unlikely ones apart.

        These are tags whose sums or samples were read, those of the same reads side by side, tags
        of the live image, rows of queries, and rows of reference tables.
        """
        catalogue, image = self._context.feed.catalogue, self._context.feed.image
        live = (
            set(catalogue.tag_id[image.time_us != NEVER].tolist())
            if self.notes.looked_at_now
            else set()
        )
        summed = self.notes.reads
        return [
            [TagKey(tag_id) for tag_id in sorted(summed, key=lambda tag: (summed[tag], tag))],
            [TagKey(tag_id) for tag_id in sorted(live - summed.keys())],
            [RowsKey(statement) for statement in sorted(self.notes.statements)],
            [ReferenceKey(*key) for key in sorted(self.notes.rows, key=str)],
        ]


class RememberingStore(ReadStore):
    """A store that remembers what it has read, and answers with some of it left out or moved."""

    def __init__(self, context: Context) -> None:
        self._source = context.store
        self._catalogue = context.feed.catalogue
        self._readings: dict[tuple[Any, ...], Any] = {}
        self.change = NOTHING
        self.deadline: Deadline | None = None
        self.notes = Notes()

    def with_change(
        self, change: InputChange, notes: Notes, deadline: Deadline
    ) -> RememberingStore:
        """Return the same store, with the same memory, under a change, that notes its reads.

        What is changed has a deadline; its reads raise Problem 503 after that.
        """
        other = copy.copy(self)
        other.change, other.notes = change, notes
        other.deadline = None if change is NOTHING else deadline
        return other

    async def _once(self, name: str, *args: Any) -> Any:
        if self.deadline is not None and self.deadline.is_over:
            raise Problem(OUT_OF_TIME, "the time for the search for inputs is over")
        key = (name, *(a.tobytes() if isinstance(a, np.ndarray) else repr(a) for a in args))
        if key not in self._readings:
            self._readings[key] = await getattr(self._source, name)(*args)
        return self._readings[key]

    def _changed(self, rows: Columns, tag_id: I64) -> Columns:
        """Return rows of tags as the change has them."""
        if self.change is NOTHING:
            self._note(tag_id)
            return rows
        kept = ~self.change.leaves_out(tag_id)
        rows, tag_id = {name: column[kept] for name, column in rows.items()}, tag_id[kept]
        steps = self.change.steps(tag_id)
        if steps.any():
            at = self._catalogue.positions(tag_id)
            shift = np.where(at >= 0, self._catalogue.shift[np.maximum(at, 0)], 0.0)
            for name in VALUES:
                if name in rows:
                    zero = shift * rows["covered_s"] if name == "amount" else shift
                    moved = rows[name] + steps * (rows[name] - zero)
                    rows[name] = np.where(steps > 0, moved, rows[name])
        return rows

    def _note(self, tag_id: I64) -> None:
        """Note the tags of a read under its number."""
        number = max((reads[-1] for reads in self.notes.reads.values()), default=0) + 1
        for each in np.unique(tag_id).tolist():
            self.notes.reads.setdefault(each, []).append(number)

    async def _of_tag(self, name: str, tag_id: int, *args: Any) -> Columns:
        rows = await self._once(name, *args)
        return self._changed(rows, np.full(len(rows["time_us"]), tag_id))

    async def _of_tags(self, name: str, *args: Any) -> Columns:
        rows = await self._once(name, *args)
        return self._changed(rows, rows["tag_id"])

    async def rows(self, statement: str, *args: Any) -> list[Any]:
        """Return the rows of a query."""
        rows = await self._once("rows", statement, *args)
        if rows:
            self.notes.statements.add(statement)
        return [] if RowsKey(statement) in self.change.absent else list(rows)

    async def sample_count(self, tag_id: int, from_us: int, to_us: int) -> int:
        """Return about how many samples a tag has."""
        return int(await self._once("sample_count", tag_id, from_us, to_us))

    async def samples(self, tag_id: int, from_us: int, to_us: int, limit: int) -> Columns:
        """Return the samples of a tag."""
        return await self._of_tag("samples", tag_id, tag_id, from_us, to_us, limit)

    async def samples_at(self, tag_ids: I64, moment_us: int, within: timedelta) -> Columns:
        """Return the last sample of tags at a moment."""
        return await self._of_tags("samples_at", tag_ids, moment_us, within)

    async def values_at(self, tag_ids: I64, times: I64) -> list[float | None]:
        """Return the value of each tag at its own time."""
        return list(await self._once("values_at", tag_ids, times))

    async def series(self, table: str, tag_id: int, from_us: int, to_us: int) -> Columns:
        """Return the minutes, hours or days of one tag."""
        return await self._of_tag("series", tag_id, table, tag_id, from_us, to_us)

    async def amounts(self, table: str, tag_ids: I64, from_us: int, to_us: int) -> Columns:
        """Return amounts and coverage of some tags."""
        return await self._of_tags("amounts", table, tag_ids, from_us, to_us)

    async def parts(self, table: str, tag_ids: I64, start_us: I64, stop_us: I64) -> Columns:
        """Return covered amounts of some tags in some ranges of time."""
        return await self._of_tags("parts", table, tag_ids, start_us, stop_us)

    async def measured(self, tag_ids: I64, from_us: int, to_us: int) -> Columns:
        """Return by hour the minutes with samples of their own of some tags, and their mean."""
        return await self._of_tags("measured", tag_ids, from_us, to_us)

    async def minutes_near(self, tag_ids: I64, times: I64, within: timedelta) -> Columns:
        """Return the end of each tag's minute at each time, or of the nearest covered one."""
        return await self._of_tags("minutes_near", tag_ids, times, within)

    async def pairs(self, first: I64, second: I64, edges: I64) -> Columns:
        """Return sums over windows of the products of pairs of gauges."""
        rows = await self._once("pairs", first, second, edges)
        pair = rows["pair"] - 1
        ends = np.stack([first[pair], second[pair]])
        if self.change is NOTHING:
            self._note(ends)
        kept = ~self.change.leaves_out(ends).any(axis=0)
        rows = {name: column[kept] for name, column in rows.items()}
        one, other = (1 + self.change.steps(each[kept]) for each in ends)
        sums = {"first": one, "product": one * other, "square": one * one}
        return rows | {name: rows[name] * factor for name, factor in sums.items()}


class StandingFeed(Feed):
    """A feed that stands still, with an image that is made when it is first looked at."""

    def __init__(self, feed: Feed, make: Callable[[], LiveImage]) -> None:
        self.__dict__.update(feed.__dict__)
        del self.image
        self._make = make

    def __getattr__(self, name: str) -> Any:
        """Return what is not there yet: the image."""
        if name != "image":
            raise AttributeError(name)
        self.image = self._make()
        return self.image


def _changed_image(feed: Feed, change: InputChange) -> LiveImage:
    image, catalogue = feed.image, feed.catalogue
    absent, steps = change.leaves_out(catalogue.tag_id), change.steps(catalogue.tag_id)
    moved: F64 = image.value + steps * (image.value - catalogue.shift)
    return replace(
        image,
        time_us=np.where(absent, NEVER, image.time_us),
        value=np.where(absent, np.nan, np.where(steps > 0, moved, image.value)),
        quality=np.where(absent, np.uint8(q.NO_DATA), image.quality),
    )


class TracedTable(dict[str, Any]):
    """A reference table, or a part of it, that notes which of its rows are taken out of it."""

    def __init__(self, table: dict[str, Any], name: str, noted: Notes, path: Path = ()) -> None:
        super().__init__(table)
        self._name, self._noted, self._path = name, noted, path

    def _trace(self, name: str, child: Any) -> Any:
        path = (*self._path, name)
        if isinstance(child, list) and child and isinstance(child[0], dict):
            self._noted.rows.update((self._name, (*path, n)) for n in range(len(child)))
        if not isinstance(child, dict):
            return child
        if any(not isinstance(each, dict) for each in child.values()):
            self._noted.rows.add((self._name, path))
        return TracedTable(child, self._name, self._noted, path)

    def __getitem__(self, name: str) -> Any:
        """Return a part."""
        return self._trace(name, super().__getitem__(name))

    def get(self, name: str, default: Any = None) -> Any:
        """Return a part, or a default."""
        child = super().get(name, default)
        return self._trace(name, child) if name in self else child

    def values(self) -> Any:
        """Return all parts."""
        return [self[name] for name in self]

    def items(self) -> Any:
        """Return all parts with their names."""
        return [(name, self[name]) for name in self]


def row_at(table: Any, path: Path) -> Any:
    """Return a row of a reference table."""
    for name in path:
        table = table[name]
    return table


def _moved_table(table: dict[str, Any], keys: list[ReferenceKey]) -> dict[str, Any]:
    """Return a copy of a reference table, the figures of some rows moved."""
    other = copy.deepcopy(table)
    for key in keys:
        row = row_at(other, key.path)
        factor = 1 + step(key)
        row.update({n: _moved(value, factor) for n, value in row.items() if n not in PROVENANCE})
    return other


def _moved(value: Any, factor: float) -> Any:
    """Return a figure moved, a text with a unit as well; what is none stays."""
    if isinstance(value, float):
        return value * factor
    if isinstance(value, str) and (number := NUMBER.fullmatch(value)):
        return f"{float(number[1]) * factor!r}{number[2]}"
    if isinstance(value, list):
        return [_moved(each, factor) for each in value]
    return value
