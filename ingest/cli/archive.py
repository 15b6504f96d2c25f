"""`parktwin archive`: what is in the archive, what is due, and whether its files are as written."""

from __future__ import annotations

import asyncio
import hashlib
import sys
import time
from typing import TYPE_CHECKING

import numpy as np

from deploy.archive.layout import KINDS, Kind
from ingest.archiving.archivist import Archivist
from ingest.counters import Counters
from ingest.settings import IngestSettings
from ingest.store import Store
from twin.errors import ArchiveError, SettingsError
from twin.program import program_parser, run_program

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ingest.store.archive_files import FileRow

EXAMPLES = """examples:
  parktwin archive               how much is in the archive, and what waits
  parktwin archive --now         write what is due, without waiting for the task of ingest
  parktwin archive --verify      read every file, and compare it with the hash in the database

settings, from the environment: PARKTWIN_DATABASE_URL, PARKTWIN_ARCHIVE, PARKTWIN_ARCHIVE_…
"""


def main(argv: list[str] | None = None) -> int:
    """Do one thing about the archive; return 0 when it is done and in order."""
    about = "Show the archive of samples and minutes, write what is due, verify its files."
    parser = program_parser("parktwin archive", about, EXAMPLES)
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--now", action="store_true", help="write what is due")
    way.add_argument("--verify", action="store_true", help="compare all files with their hashes")
    options = parser.parse_args(argv)

    def work() -> None:
        settings = IngestSettings()
        if settings.archive is None:
            raise SettingsError(
                "there is no archive", hint="PARKTWIN_ARCHIVE names its folder, docs/archive.md"
            )
        if options.now:
            print(asyncio.run(_archive(settings)))
        rows = asyncio.run(_rows(settings))
        if options.verify:
            verify(settings.archive, [each for files in rows.values() for each in files])
        for kind, files in rows.items():
            print(line_of(kind, files))

    return run_program("parktwin archive", work)


async def _archive(settings: IngestSettings) -> str:
    archivist = Archivist(settings, Counters(), lambda: time.time_ns() // 1000)
    try:
        return f"{await archivist.archive_due()} files written"
    finally:
        await archivist.close()


async def _rows(settings: IngestSettings) -> dict[Kind, list[FileRow]]:
    store = Store(settings.database_url, beside=True)
    await store.open()
    try:
        async with store.transaction():
            return {kind: await store.archive_files.rows(kind) for kind in KINDS.values()}
    finally:
        await store.close()


def verify(folder: Path, files: Sequence[FileRow]) -> None:
    """Compare files with their hashes; raises ArchiveError that names all that differ."""
    problems, files = [], [row for row in files if row.is_written]
    for row in files:
        try:
            with (folder / row.path).open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError as error:
            problems.append(f"{row.path}: {error.strerror}")
        else:
            # Interrupted before the database was told, the next one has taken its place.
            if digest not in (row.sha256, row.next_sha256):
                problems.append(f"{row.path}: not as it was written")
    if problems:
        raise ArchiveError(
            f"{len(problems)} of {len(files)} files of the archive are wrong",
            hint="bring them back from a backup",
            problems=problems,
        )
    print(f"{len(files)} files are as they were written")


def line_of(kind: Kind, files: Sequence[FileRow]) -> str:
    """Return how much of a kind is in the archive, as a sentence."""
    written = [file for file in files if file.is_written]
    if not written:
        return f"{kind.table}: nothing is archived yet"
    rows, size = (sum(getattr(file, name) for file in written) for name in ("rows", "bytes"))
    begin, end = (
        np.datetime_as_string(np.datetime64(time_us, "us"), "D")
        for time_us in (written[0].start_us, written[-1].stop_us)
    )
    waiting = sum(file.is_behind for file in files)
    return (
        f"{kind.table}: {len(written)} files from {begin} to {end} UTC, {rows:,} rows in"
        f" {size:,} bytes ({size / max(rows, 1):.1f} a row), {waiting} to be written anew"
    )


if __name__ == "__main__":
    sys.exit(main())
