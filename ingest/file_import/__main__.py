"""`parktwin import`: recorded history from CSV and Parquet files into the database."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

from ingest.file_import.chunks import (
    Pace,
    Reader,
    Refusals,
    chunks,
    preview,
    preview_problems,
    reader_of,
)
from ingest.file_import.files import Source, digest, open_sources
from ingest.file_import.layout import header_problems
from ingest.file_import.loader import Loader
from ingest.file_import.mapping import KEYS, FileMap, Form, parse_map
from ingest.file_import.suggestion import suggest_map
from ingest.settings import IngestSettings
from ingest.store import Store
from twin.errors import ModelError, ParkError
from twin.loading import load_park
from twin.program import clear_progress, program_parser, run_program, show_progress
from twin.quality_vocabularies import in_words
from twin.series.windows import local

if TYPE_CHECKING:
    from ingest.store.imports import Checkpoint
    from twin.model.park import Park
    from twin.series.samples import Samples

HELP = """examples:
  parktwin import meters.csv --suggest --map meters.toml     a first map, with how sure it is
  parktwin import meters.csv --map meters.toml --dry-run     the first rows, as they would be stored
  parktwin import 2025-*.csv --map meters.toml
  PARKTWIN_PARK=/etc/parktwin/my-park parktwin import old.parquet --map old.toml

A map for a table with one column per tag:

  time = "date"
  format = "%d/%m/%Y %H:%M"
  stamp = "end"
  interval = "15 min"
  [columns]
  "Usage_kWh" = {tag = "acme/JI-1001", uom = "kWh", as = "interval"}
  "Temp" = "acme/TI-1001"

and for one with a row per value:

  time = "时间"
  tag = "点名"
  value = "值"
  [tags]
  "1#电表" = "acme/JI-1001"

It may be interrupted and run again, and it may run while ingest does. What is stored already is
not stored again; another value for the same time is a correction, as with live data. Derived values
of the past are made by `parktwin replay`. Settings: PARKTWIN_DATABASE_URL, PARKTWIN_PARK.

keys of a map:
"""
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be imported, checked."""

    park: Park
    mapped: FileMap
    sources: list[Source]
    text: str
    notes: list[str]

    def reader(self, source: Source, settings: IngestSettings, now_us: int) -> Reader:
        """Return what the rows of a file are read by."""
        return reader_of(self.park, self.mapped, source, now_us, round(settings.future_s * 1e6))

    def digest(self, source: Source) -> str:
        """Return what tells this import from all others: the file, its map and the model."""
        parts = "\0".join([digest(source), self.text, self.park.digest])
        return hashlib.sha256(parts.encode()).hexdigest()


def check(park: Park, paths: list[Path], map_path: Path) -> Job:
    """Return what is to be imported; raises ModelError with all that is wrong."""
    try:
        text = map_path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ParkError(
            f"{map_path}: {error}", hint="name a map with --map, or let --suggest write one"
        ) from None
    own: list[str] = []
    mapped, columns = parse_map(text, park, own)
    problems = [f"{map_path}:{problem}" for problem in own]
    sources, notes = [], list(mapped.notes) if mapped else []
    for path in paths:
        try:
            opened, others = open_sources(path, mapped.form if mapped else Form())
        except ParkError as error:
            problems.append(f"{error.message} ({error.hint})")
            continue
        notes += [f"{path}: {name} is not read" for name in others]
        for source in opened:
            problems += _file_problems(source, park, mapped, columns)
        sources += opened
    if problems or mapped is None:
        raise ModelError(
            f"{len(problems)} problem{'s' if len(problems) > 1 else ''} with map and files",
            hint="nothing was imported; mend what is named and try again with --dry-run",
            problems=problems,
        )
    return Job(park, mapped, sources, text, notes)


def _file_problems(
    source: Source, park: Park, mapped: FileMap | None, columns: list[str]
) -> list[str]:
    """Return the problems of the header and of the first rows of a file."""
    if mapped is None:
        return header_problems(columns, source.names, source.place)
    try:
        return preview_problems(source, reader_of(park, mapped, source, 0, 0))
    except ModelError as error:
        return list(error.problems)
    except ParkError as error:
        return [f"{error.message} ({error.hint})"]


def suggest(park: Park, path: Path, map_path: Path | None, now_us: int) -> None:
    """Print a first map of a file, or write it to a new one; raises ParkError."""
    text = suggest_map(park, path, now_us)
    if map_path is None:
        print(text, end="")
        return
    try:
        with map_path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ParkError(f"{map_path}: {error}", hint="name a new file with --map") from None
    print(f"{map_path} is written; read its remarks, then try it with --dry-run")


def show_first(job: Job, settings: IngestSettings, now_us: int) -> None:
    """Print the first rows of each file as they would be stored."""
    zone = ZoneInfo(job.park.timezone)
    for source in job.sources:
        reader = job.reader(source, settings, now_us)
        first = preview(source, reader)
        assert first is not None
        intake = reader.read(*first, 1)
        form = source.encoding or source.kind
        print(f"{source.label}: {form}, {intake.rows} rows looked at")
        for line in _rows(job.park, intake.samples, zone):
            print(f"  {line}")
        for (owner, tag, reason), count in Counter(one[:3] for one in intake.held).items():
            print(f"  quarantine, {reason}: {owner}/{tag}, {count} samples")
        for line in (*reader.meanings(first[0]), *intake.refusals.lines()):
            print(f"  {line}")


def _rows(park: Park, samples: Samples, zone: ZoneInfo) -> list[str]:
    """Return the first samples by time: time on the park's clock, tag, value, uom, quality."""
    first = np.lexsort((samples.tag, samples.time_us))[:SHOWN]
    names, lines = ("tag", "time_us", "value", "quality"), []
    columns = (getattr(samples, name)[first].tolist() for name in names)
    for at, time_us, value, code in zip(*columns, strict=True):
        tag = park.tags[at]
        own = (value - tag.shift) / tag.scale
        when = local(time_us, zone).isoformat(sep=" ")
        lines.append(
            f"{when}  {tag.address}  {own:.9g} {tag.uom}  quality {code}, {in_words(code)}"
        )
    return lines


async def load(job: Job, settings: IngestSettings, now_us: int, *, again: bool) -> list[Checkpoint]:
    """Import all files; return what became of each."""
    store = Store(settings.database_url, archive_folder=settings.archive)
    await store.open()
    tickets = []
    try:
        loader = Loader(job.park, store, settings, now_us)
        await loader.attach()
        for source in job.sources:
            key = await asyncio.to_thread(job.digest, source)
            async with store.transaction():
                tickets.append(await store.imports.begin(key, source.name, again=again))
            if tickets[-1].finished:
                print(f"{source.label}: imported before: 0 new")
            else:
                await _load(source, job.reader(source, settings, now_us), loader, tickets[-1])
    finally:
        await store.close()
    return tickets


async def _load(source: Source, reader: Reader, loader: Loader, ticket: Checkpoint) -> None:
    """Import one file, reading the next chunk while one is stored."""
    before, resumed = ticket.counts.copy(), ticket.taken > 0
    if resumed:
        print(f"{source.label}: going on after row {ticket.taken:,}")
    refusals = Refusals()
    pace = Pace()
    reading = chunks(source, reader, ticket.taken, pace, refusals)
    coming = asyncio.create_task(asyncio.to_thread(next, reading, None))
    start, first = time.monotonic(), None
    while (chunk := await coming) is not None:
        share = source.share
        first = share if first is None else first
        coming = asyncio.create_task(asyncio.to_thread(next, reading, None))
        began = time.monotonic()
        await loader.store(chunk, ticket)
        now = time.monotonic()
        pace.took(now - began)
        spent = now - start
        remaining_s = round((1 - share) / (share - first) * spent) if share > first else 0
        rate = f"{_samples(ticket.counts - before) / spent:,.0f} samples/s"
        show_progress(
            share,
            f"{rate}  {remaining_s // 60}:{remaining_s % 60:02d} left  {source.name}",
        )
    entries = reader.mapped.entries.values() if resumed else ()
    await loader.finish(ticket, np.array([entry.tag for entry in entries], dtype=np.int64))
    clear_progress()
    print(f"{source.label}: {_told(ticket.counts - before)}")
    for line in refusals.lines():
        print(f"  {line}")


def _samples(counts: Counter[str]) -> int:
    return counts["new"] + counts["duplicates"] + counts["corrections"]


def _told(counts: Counter[str]) -> str:
    """Return what an import came to, in words; rows and new ones even when there are none."""
    order = dict.fromkeys(["rows", "new", "duplicates", "corrections", *sorted(counts)])
    names = [name for name in order if counts[name] or name in ("rows", "new")]
    return ", ".join(f"{counts[name]:,} {name}" for name in names)


def main(argv: list[str] | None = None) -> int:
    """Import files; return 0 when all of them are stored."""
    keys = "\n".join(f"  {key:12} {text}" for key, (_, text) in KEYS.items())
    about = "Import recorded history from tables in files."
    parser = program_parser("parktwin import", about, HELP + keys)
    add = parser.add_argument
    add("files", nargs="+", type=Path, metavar="FILE", help="CSV, .xlsx, .gz, .zip, Parquet")
    add("--map", type=Path, metavar="MAP.toml", help="what the columns are")
    add("--park", type=Path, metavar="DIR", help="park model (default: PARKTWIN_PARK)")
    add("--dry-run", action="store_true", help="show the first rows as they would be stored")
    add("--suggest", action="store_true", help="write a first map, to --map or the terminal")
    add("--again", action="store_true", help="read files again that were imported before")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")

    def work() -> None:
        settings = IngestSettings()
        now_us = time.time_ns() // 1000
        park = load_park(options.park or settings.park)
        if options.suggest:
            suggest(park, options.files[0], options.map, now_us)
            return
        if options.map is None:
            raise ParkError(
                "--map is missing", hint="--suggest writes a first map; --help shows one"
            )
        job = check(park, options.files, options.map)
        for note in job.notes:
            print(f"note: {note}")
        if options.dry_run:
            show_first(job, settings, now_us)
        else:
            asyncio.run(load(job, settings, now_us, again=options.again))

    stopped = "stopped; the same command goes on from here"
    return run_program("parktwin import", work, stopped=stopped)


if __name__ == "__main__":
    sys.exit(main())
