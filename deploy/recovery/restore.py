"""`parktwin restore`: a new data folder made of a backup, whose state it then has."""

from __future__ import annotations

import json
import shutil
import sys
import tarfile
from datetime import datetime
from pathlib import Path

from deploy import sandbox
from deploy.local import postgres
from deploy.packages import require_space
from deploy.recovery.backup import DATABASE, MANIFEST, PARK, Manifest, digest_of
from deploy.recovery.log_archive import LogPoint, recover
from twin.errors import ParkError
from twin.program import clear_progress, program_parser, run_program, show_progress

EXAMPLES = """examples:
  parktwin restore /mnt/backup/monday --data /srv/parktwin
  parktwin restore /mnt/backup/monday --data /srv/parktwin --secrets /mnt/keys
  parktwin restore /mnt/backup/monday --data /srv/parktwin --log /mnt/log \\
      --until 2026-12-01T14:05:00+08:00                    before the mistake of 14:06
  parktwin up --data /srv/parktwin --park /mnt/backup/monday/park
"""


def main(argv: list[str] | None = None) -> int:
    """Restore a backup; return the exit status."""
    about = "Make a new data folder of a backup, also on another machine."
    parser = program_parser("parktwin restore", about, EXAMPLES)
    parser.add_argument("backup", type=Path, metavar="FOLDER", help="what parktwin backup wrote")
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="the new data folder"
    )
    parser.add_argument(
        "--secrets", type=Path, metavar="DIR", help="what parktwin backup --secrets wrote"
    )
    parser.add_argument(
        "--log", type=Path, metavar="DIR", help="log of the database (PARKTWIN_LOG_ARCHIVE)"
    )
    parser.add_argument(
        "--until", type=parse_moment, metavar="TIME",
        help="with --log: the moment, with its offset, whose state is made",
    )  # fmt: skip
    options = parser.parse_args(argv)

    def work() -> None:
        if (options.log is None) != (options.until is None):
            raise ParkError("--log and --until belong together", hint="name both, or none")
        point = None if options.log is None else LogPoint(options.log, options.until)
        manifest = restore(options.backup, options.data, options.secrets, point)
        park = options.backup / PARK
        model = f" --park {park}" if park.exists() else ""
        missing = missing_archive(manifest, options.data / "archive")
        if missing:
            print(
                f"{missing} of {len(manifest.archive)} files of the archive are not in"
                f" {options.data}/archive: bring them along from {manifest.archive_folder}, or let"
                " PARKTWIN_ARCHIVE name their folder"
            )
        state = manifest.ended if point is None else point.until.isoformat()
        print(f"{options.data}: state of {state}. parktwin up --data {options.data}{model}")

    return run_program("parktwin restore", work)


def parse_moment(text: str) -> datetime:
    """Return a time with its offset; raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no offset")
    return moment


def restore(
    folder: Path, data: Path, secrets: Path | None = None, point: LogPoint | None = None
) -> Manifest:
    """Make a data folder of a backup.

    Parameters
    ----------
    folder
        a backup
    data
        the data folder to make; nothing may be in it
    secrets
        keys and passwords of the twin whose backup it is
    point
        a later moment, whose state is made

    Returns
    -------
    Manifest
        of the backup

    Raises
    ------
    ParkError
        the folder is no backup or was changed, the data folder holds something, PostgreSQL of its
        version is not at hand, the disk is full, or the log does not lead to the moment
    """
    manifest = read_manifest(folder)
    if point is not None and point.until < datetime.fromisoformat(manifest.ended):
        raise ParkError(
            f"{folder} is of {manifest.ended}, after {point.until.isoformat()}",
            hint="name an earlier backup, or a later moment",
        )
    if data.exists() and any(data.iterdir()):
        raise ParkError(f"{data} is not empty", hint="name a new folder: nothing is replaced")
    for name, digest in manifest.files.items():
        if not (folder / name).exists() or digest_of(folder / name) != digest:
            raise ParkError(
                f"{folder / name} is not what was backed up", hint="take another copy of the backup"
            )
    require_space(data, manifest.database_bytes, "the database")
    partial = data.with_name(f"{data.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    cluster = partial / "services" / "mnt" / "postgres"
    try:
        cluster.mkdir(parents=True)
        partial.chmod(0o700)
        _unpack(folder / DATABASE, cluster, manifest.database_bytes)
        for file in sorted(secrets.iterdir()) if secrets else ():
            shutil.copy2(file, partial)
        # Its programs are at hand, and what they own is theirs: else nothing is left behind.
        box = sandbox.choose(partial.absolute())
        if point is not None:
            (partial / "log").mkdir()
            recover(box, point, lambda port: postgres(box, port, partial / "log"))
        if data.exists():
            data.rmdir()
        partial.rename(data)
    except OSError as error:
        raise ParkError(f"{data}: {error.strerror}", hint="choose a disk with room") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def missing_archive(manifest: Manifest, folder: Path) -> int:
    """Return how many files of the archive of a backup are not in a folder."""
    return sum(not (folder / path).exists() for path in manifest.archive)


def read_manifest(folder: Path) -> Manifest:
    """Return what a backup says it holds; raises ParkError."""
    try:
        return Manifest(**json.loads((folder / MANIFEST).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise ParkError(
            f"{folder} is no backup: {MANIFEST} cannot be read",
            hint="name the folder that parktwin backup wrote",
        ) from error


def _unpack(file: Path, cluster: Path, size: int) -> None:
    """Unpack the files of a cluster of about a size [bytes]."""
    done = 0
    with tarfile.open(file, "r|gz") as archive:
        for member in archive:
            archive.extract(member, cluster, filter="data")
            done += member.size
            share = min(done / max(size, 1), 1.0)
            show_progress(share, f"{done / 1e6:,.0f} MB of the database are written")
    clear_progress()
    # The server refuses a folder that others may read.
    for path in (cluster, *(each for each in cluster.rglob("*") if each.is_dir())):
        path.chmod(0o700)


if __name__ == "__main__":
    sys.exit(main())
