"""Commands about book data: values entered, corrected and confirmed, and what follows from them.

A confirmed value is the sample of its tag at the start of its period, and makes its sums anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from deploy.database.times import to_us
from twin import quality as q
from twin.book.entries import BookRow, compare_with_book, read_entries, sentence_of
from twin.book.model import book_tags, compared_tag
from twin.book.periods import Period
from twin.errors import ParkError
from twin.series.samples import Samples, sort

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.store import Store
    from ingest.store.commands import CommandRow
    from twin.model.park import Park


class EnterCommand(msgspec.Struct):
    """A command that enters rows, each with its number in the file and its cells by column."""

    by: str
    rows: list[tuple[int, dict[str, str]]]
    confirm: bool = False


class ConfirmCommand(msgspec.Struct):
    """A command that confirms versions by their numbers."""

    by: str
    ids: list[int]


class Bookkeeping:
    """The book of one park model in one database."""

    def __init__(self, store: Store, park: Park) -> None:
        self._store = store
        self._park = park
        self._zone = ZoneInfo(park.timezone)
        self._at = {tag.address: at for at, tag in enumerate(park.tags)}
        # Of each tag of the book that is compared, the meter.
        self._meters = {
            address: self._at[compared_tag(park, row)]
            for address, row in book_tags(park).items()
            if row.compare
        }

    async def enter(self, row: CommandRow, now_us: int) -> None:
        """Add a version of each value that is new; raises ParkError, and takes none then."""
        command = row.read(EnterCommand)
        rows = [BookRow(number, cells) for number, cells in command.rows]
        entries, problems = read_entries(rows, self._park, now_us)
        book = self._store.book
        known = await book.newest(sorted({entry.tag.address for entry in entries}))
        new, contradictions = compare_with_book(entries, known, self._zone)
        problems += contradictions
        if problems:
            raise ParkError(sentence_of(problems))
        if not new:
            return
        versions = {(each.address, each.period): each.version for each in known}
        tags = [self._at[entry.tag.address] for entry in new]
        await book.add(
            new,
            tags,
            [self._meters.get(entry.tag.address) for entry in new],
            [versions.get((entry.tag.address, entry.period), 0) + 1 for entry in new],
            command.by,
            now_us,
            row.number,
            confirm=command.confirm,
        )
        if command.confirm:
            spans = [(*entry.period, entry.value) for entry in new]
            await self._let_stand(tags, spans, now_us)

    async def confirm(self, row: CommandRow, now_us: int) -> None:
        """Confirm versions; raises ParkError when one of them cannot be, and confirms none then."""
        command = row.read(ConfirmCommand)
        rows = {each["id"]: each for each in await self._store.book.rows(command.ids)}
        for number in command.ids:
            version = rows.get(number)
            if version is None or version["address"] not in self._at or not version["active"]:
                raise ParkError(f"there is no value {number} of a tag of the books")
            if version["confirmed"] is not None:
                raise ParkError(
                    f"value {number} is confirmed already, by {version['confirmed_by']}"
                )
            if not version["newest"]:
                raise ParkError(f"value {number} was corrected since: confirm the newest version")
        await self._store.book.confirm(command.ids, command.by, now_us)
        spans = [(to_us(r["start"]), to_us(r["stop"]), r["value"]) for r in rows.values()]
        await self._let_stand([self._at[r["address"]] for r in rows.values()], spans, now_us)

    async def _let_stand(
        self, tags: Sequence[int], spans: Sequence[tuple[int, int, float]], now_us: int
    ) -> None:
        """Let values be the figures of their tags; a span has start, stop [µs] and value [SI]."""
        store, tag = self._store, np.array(tags, np.int64)
        await store.writers.acquire_turn()
        start, stop, value = (np.array(each) for each in zip(*spans, strict=True))
        quality = np.full(len(tag), q.MANUAL, np.uint8)
        samples = Samples(tag, start, value, quality, np.full(len(tag), now_us))
        _, corrected = await store.merge_samples(sort(samples).samples)
        span = Period(int(start.min()), int(stop.max()))
        if span.start_us < span.stop_us:
            await store.book.spread(self._park.timezone, np.unique(tag), span)
        stops = dict(zip(zip(tags, start.tolist(), strict=True), stop.tolist(), strict=True))
        keys = zip(corrected.tag.tolist(), corrected.time_us.tolist(), strict=True)
        ends = np.array([stops[key] for key in keys], np.int64)
        await store.record_restatements(corrected.tag, corrected.time_us, ends, now_us)
        # Newest samples may be others now: the next cycle reads them and tells the readers.
        await store.writers.mark_changed(tag)
