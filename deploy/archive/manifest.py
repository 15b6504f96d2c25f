"""Which files the archive has, and one answer of their rows and those of the database.

A row of the database wins over one of a file with the same tag and time. Who reads both reads the
database first and then the manifest: what was archived in between is in both, and counts once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from deploy.archive.layout import Columns, Kind, concatenate, no_rows, read
from deploy.database.times import stamp, to_us
from twin.arrays import BOOL, I64, NEVER
from twin.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

# Files with rows in a span of time, and the rows of theirs that do not count any more.
FILES = """
SELECT path, start, stop FROM archive_file
WHERE kind = $1 AND stop > $2 AND start < $3 AND written IS NOT NULL ORDER BY start
"""
WITHDRAWN = "SELECT tag_id, start, stop FROM archive_withdrawn WHERE stop > $1 AND start < $2"


@dataclass(frozen=True, slots=True)
class ArchiveFiles:
    """The files of a kind that have rows in a span of time, in the order of time."""

    kind: Kind
    span_us: tuple[int, int]
    paths: tuple[str, ...]
    starts: tuple[int, ...]  # [µs]
    stops: tuple[int, ...]
    withdrawn: tuple[tuple[int, int, int], ...] = ()  # tag_id, start, stop [µs]

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def stop_us(self) -> int:
        """The end of the last file [µs]; NEVER where there is none."""
        return self.stops[-1] if self.stops else NEVER

    def within(self, start_us: int, stop_us: int) -> ArchiveFiles:
        """Return those of them with rows in [start, stop) [µs]."""
        ends = zip(self.starts, self.stops, strict=True)
        some = [n for n, (start, stop) in enumerate(ends) if start < stop_us and stop > start_us]
        return replace(
            self,
            span_us=(start_us, stop_us),
            paths=tuple(self.paths[n] for n in some),
            starts=tuple(self.starts[n] for n in some),
            stops=tuple(self.stops[n] for n in some),
        )


async def archived(connection: Any, kind: Kind, start_us: int, stop_us: int) -> ArchiveFiles:
    """Return the files with rows in [start, stop) [µs]; raises what the driver raises."""
    span = stamp(start_us), stamp(stop_us)
    rows = await connection.fetch(FILES, kind.table, *span)
    withdrawn = await connection.fetch(WITHDRAWN, *span) if rows and kind.nullable else ()
    return ArchiveFiles(
        kind,
        (start_us, stop_us),
        tuple(row["path"] for row in rows),
        tuple(to_us(row["start"]) for row in rows),
        tuple(to_us(row["stop"]) for row in rows),
        tuple((row["tag_id"], to_us(row["start"]), to_us(row["stop"])) for row in withdrawn),
    )


class Archive:
    """The folder with the files of the archive."""

    def __init__(self, folder: Path | None) -> None:
        """Without a folder nothing is read, and who asks for what is archived gets an error."""
        self._folder = folder

    @property
    def folder(self) -> Path:
        """The folder; raises ArchiveError where none is known."""
        if self._folder is None:
            raise ArchiveError(
                "what is asked for is in the archive, and this program knows none",
                hint="PARKTWIN_ARCHIVE names its folder, which must be reachable from here",
            )
        return self._folder

    async def read(
        self,
        files: ArchiveFiles,
        tags: I64 | None,
        names: Sequence[str] = (),
        *,
        keep: Callable[[Columns], BOOL] | None = None,
        most: int | None = None,
    ) -> Columns:
        """Return the rows of files, as `layout.read` does; no more files than for `most` rows.

        The columns `names` are those besides tag_id and time_us.
        """
        if not len(files):
            return concatenate(files.kind, [_some(no_rows(files.kind), names)])
        return await asyncio.to_thread(self._read, files, tags, names, keep, most)

    def _read(
        self,
        files: ArchiveFiles,
        tags: I64 | None,
        names: Sequence[str],
        keep: Callable[[Columns], BOOL] | None,
        most: int | None,
    ) -> Columns:
        parts, count = [], 0
        for path in files.paths:
            part = read(self.folder / path, files.kind, tags, files.span_us, names, keep)
            parts.append(_counting(part, files.withdrawn))
            count += len(part["tag_id"])
            if most is not None and count >= most:
                break
        return concatenate(files.kind, parts)


def _some(rows: Columns, names: Sequence[str]) -> Columns:
    wanted = ("tag_id", "time_us", *names) if names else tuple(rows)
    return {name: rows[name] for name in wanted}


def _counting(rows: Columns, withdrawn: Sequence[tuple[int, int, int]]) -> Columns:
    """Return the rows, by tag and time, that are not withdrawn."""
    count = np.ones(len(rows["tag_id"]), bool)
    for tag_id, start, stop in withdrawn:
        begin, end = np.searchsorted(rows["tag_id"], [tag_id, tag_id + 1]).tolist()
        first, last = np.searchsorted(rows["time_us"][begin:end], [start, stop]).tolist()
        count[begin + first : begin + last] = False
    return rows if count.all() else {name: column[count] for name, column in rows.items()}


def unite(hot: Columns, cold: Columns) -> Columns:
    """Return rows of the database and of the archive by tag and time, each tag and time once.

    The columns are those of `hot`, and `cold` has all of them.
    """
    if not len(cold["tag_id"]):
        return hot
    both = {
        name: np.concatenate([column, cold[name].astype(column.dtype, copy=False)])
        for name, column in hot.items()
    }
    tag_id, time_us = both["tag_id"], both["time_us"]
    # The sort is stable: of two, that of the database comes first.
    order = np.lexsort((time_us, tag_id))
    tag_id, time_us = tag_id[order], time_us[order]
    first = np.ones(len(order), bool)
    first[1:] = (tag_id[1:] != tag_id[:-1]) | (time_us[1:] != time_us[:-1])
    order = order[first]
    return {name: column[order] for name, column in both.items()}


def among(rows: Columns, others: Columns) -> BOOL:
    """Return which rows have tag and time of one of some others, each of which is there once."""
    count = len(others["tag_id"])
    tag_id = np.concatenate([others["tag_id"], rows["tag_id"]])
    time_us = np.concatenate([others["time_us"], rows["time_us"]])
    order = np.lexsort((time_us, tag_id))
    known = np.zeros(len(order), bool)
    known[order[1:]] = (np.diff(tag_id[order]) == 0) & (np.diff(time_us[order]) == 0)
    return known[count:]
