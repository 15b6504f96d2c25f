"""Where the times, values, names and qualities of a map stand in the columns of one file."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from twin.arrays import DAY_US
from twin.errors import ModelError
from twin.model.rows import guess

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ingest.file_import.mapping import Entry, FileMap


class ValueColumn(NamedTuple):
    """A column of values, with the columns it takes its times and qualities from."""

    column: int
    time: tuple[int, ...]
    entry: Entry | None = None  # None: of the tag that the row names
    quality: int | None = None
    after_us: int = 0  # from the time of the row to that of the value


@dataclass(frozen=True, slots=True)
class Positions:
    """The columns of one file by their numbers, the first is 0."""

    series: tuple[ValueColumn, ...]
    tag: int | None = None
    uom: int | None = None
    time: tuple[int, ...] = ()  # where no column is of a tag

    @property
    def times(self) -> list[tuple[tuple[int, ...], int]]:
        """The columns of the times, each with the time after it, once."""
        own = [(each.time, each.after_us) for each in self.series]
        return list(dict.fromkeys(own or [(self.time, 0)]))

    @property
    def columns(self) -> list[int]:
        """The columns to read, in the order of the file."""
        each = chain.from_iterable((s.column, *s.time, s.quality) for s in self.series)
        every = (*each, *self.time, self.tag, self.uom)
        return sorted({at for at in every if at is not None})


@dataclass(frozen=True, slots=True)
class Header:
    """The names of the columns of a file; a name that is none is the number of a column."""

    names: Sequence[str]
    location: str
    problems: list[str]

    def find(self, name: str, beside: int | None = None, *, right: bool = False) -> int:
        """Return the number of a column, or -1 with the problem noted.

        Of several with this name it is the nearest one to the left or right of another.
        """
        at = [n for n, each in enumerate(self.names) if each == name]
        if not at and name.isdecimal() and 1 <= int(name) <= len(self.names):
            return int(name) - 1
        if not at:
            listing = ", ".join(map(repr, self.names[:12]))
            more = " and more" if len(self.names) > 12 else ""
            close = guess(name, self.names)
            self.note(f"no column {name!r}{close}; it has {listing}{more}")
            return -1
        if len(at) > 1 and beside is not None:
            side = [n for n in at if (n > beside if right else n < beside)]
            at = side[:1] if right else side[-1:]
        if len(at) != 1:
            self.note(f"column {name!r} is there twice; rename one of them or write its number")
            return -1
        return at[0]

    def note(self, problem: str) -> None:
        """Note a problem, once."""
        text = f"{self.location}: {problem}"
        if text not in self.problems:
            self.problems.append(text)


def header_problems(columns: Iterable[str], names: Sequence[str], location: str) -> list[str]:
    """Return the columns that the header of a file lacks or has twice, as problems."""
    header = Header(names, location, [])
    for column in dict.fromkeys(columns):
        header.find(column)
    return header.problems


def layout_of(mapped: FileMap, names: Sequence[str], location: str) -> Positions:
    """Return where the columns of a map are in a file; raises ModelError with all problems."""
    header = Header(names, location, [])
    alone: tuple[int, ...] = ()
    if mapped.day:
        series = _of_days(mapped, header)
    elif mapped.tag:
        time = tuple(header.find(name) for name in mapped.clock.columns)
        quality = header.find(mapped.quality) if mapped.quality else None
        series = [ValueColumn(header.find(mapped.value), time, None, quality)]
    else:
        series = [_of_column(name, entry, mapped, header) for name, entry in mapped.entries.items()]
        if not series:
            alone = tuple(header.find(name) for name in mapped.clock.columns)
    tag = header.find(mapped.tag) if mapped.tag else None
    uom = header.find(mapped.uom) if mapped.uom else None
    if header.problems:
        raise ModelError("the header does not fit the map", hint="", problems=header.problems)
    return Positions(tuple(series), tag, uom, alone)


def _of_column(name: str, entry: Entry, mapped: FileMap, header: Header) -> ValueColumn:
    """Return the column of a tag in the wide form."""
    column = header.find(name)
    beside = None if column < 0 else column
    time = tuple(header.find(each, beside) for each in entry.time or mapped.clock.columns)
    word = entry.quality or mapped.quality
    quality = header.find(word, beside, right=True) if word else None
    return ValueColumn(column, time, entry, quality)


def _of_days(mapped: FileMap, header: Header) -> list[ValueColumn]:
    """Return the columns of a day in a row."""
    assert mapped.day is not None
    day = mapped.day
    first, last = header.find(day.first), header.find(day.last)
    wanted = DAY_US / day.interval_us
    if not header.problems and last - first + 1 != wanted:
        header.note(
            f"from {day.first!r} to {day.last!r} are {max(last - first + 1, 0)} columns, and a day"
            f" has {wanted:g} intervals of {day.interval_us / 60e6:g} min"
        )
    if header.problems:
        return []
    time = tuple(header.find(name) for name in mapped.clock.columns)
    quality = header.find(mapped.quality) if mapped.quality else None
    entry = None if mapped.tag else mapped.entries[day.first]
    return [
        ValueColumn(first + nth, time, entry, quality, nth * day.interval_us)
        for nth in range(last - first + 1)
    ]
