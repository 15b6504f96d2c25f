"""`parktwin backup`: a copy of the database, the park model and, apart, the secrets.

The copy is that of `pg_basebackup`: the files of the cluster and the log that makes them one state,
of the moment in which the backup ends. It is taken from a running twin, which goes on, or from one
that is stopped.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from deploy import access, sandbox
from deploy.database.settings import DATA_FOLDER, LAST_BACKUP
from deploy.local import Services
from deploy.packages import complaint, require_space, say
from twin.errors import ParkError
from twin.program import (
    clear_progress,
    own_version,
    program_parser,
    run_program,
    show_progress,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from typing import IO

EXAMPLES = """examples:
  parktwin backup /mnt/backup/monday                  of ./parktwin-data, running or not
  parktwin backup /mnt/backup/monday --park my-park   and of the park model
  parktwin backup /mnt/backup/monday --secrets /mnt/keys
                                                      and, in a folder of their own, of its keys
  parktwin restore /mnt/backup/monday --data /srv/parktwin
"""
DATABASE, MANIFEST, PARK = "database.tar.gz", "backup.json", "park"
# What the server keeps of its log until the backup has it.
KEEP_LOG = "SELECT pg_create_physical_replication_slot('parktwin_backup', true)"
LET_LOG_GO = """
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
WHERE slot_name = 'parktwin_backup'
"""
SIZE = "SELECT sum(pg_database_size(oid))::bigint FROM pg_database"
ARCHIVE = """
SELECT coalesce(json_object_agg(path, sha256), '{}') FROM park.archive_file
WHERE written IS NOT NULL
"""
HAS_ARCHIVE = "SELECT to_regclass('park.archive_file') IS NOT NULL"
PIECE_BYTES = 1 << 20
PACKING = 1  # the quickest: a copy is to be over soon
# Files of the data folder that are made anew at each start.
NOT_SECRET = ("connection.env", LAST_BACKUP)
# Compressed, a cluster takes about so much of its size; only to refuse what cannot fit.
LEAST_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds: the name and SHA-256 of each file, and who wrote it when."""

    parktwin: str
    postgres: int  # major version
    ended: str  # the moment whose state it is
    seconds: float
    database_bytes: int
    files: dict[str, str]
    # Of the archive, whose files are not in it: the path and SHA-256 of each, and where they were.
    archive: dict[str, str] = field(default_factory=dict)
    archive_folder: str = ""


def main(argv: list[str] | None = None) -> int:
    """Make a backup; return the exit status."""
    about = "Copy the database of a data folder, while the twin runs or not."
    parser = program_parser("parktwin backup", about, EXAMPLES)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a new folder for the backup")
    parser.add_argument(
        "--data", type=Path, default=Path(DATA_FOLDER), metavar="DIR",
        help="data folder of the twin (default: ./%(default)s)",
    )  # fmt: skip
    parser.add_argument("--park", type=Path, metavar="DIR", help="park model, copied as well")
    parser.add_argument(
        "--secrets", type=Path, metavar="DIR",
        help="a new folder for the keys and passwords of the data folder, for another medium",
    )  # fmt: skip
    options = parser.parse_args(argv)
    return run_program("parktwin backup", lambda: _work(options))


def _work(options: argparse.Namespace) -> None:
    manifest = back_up(options.data, options.folder, options.park)
    if options.secrets:
        copy_secrets(options.data, options.secrets)
    else:
        say("without --secrets the key of the record of orders is not in the backup")
    print(f"{options.folder}: state of {manifest.ended}, {manifest.seconds:.0f} s")


def back_up(data: Path, folder: Path, park: Path | None = None) -> Manifest:
    """Write a backup of a data folder to a new folder.

    Parameters
    ----------
    data
        data folder of a twin that runs or not
    folder
        where the backup goes; it must not exist
    park
        folder of the park model, which is copied as well

    Returns
    -------
    Manifest
        what was written

    Raises
    ------
    ParkError
        there is no database, the folder exists, the disk is full, or the copy failed
    """
    if not (data / "services" / "mnt" / "postgres" / "PG_VERSION").exists():
        raise ParkError(f"{data} holds no database", hint="name the data folder with --data")
    began = time.monotonic()
    partial = _new_folder(folder)
    try:
        with _server(data) as (box, port):
            size = int(_answer(box, port, SIZE))
            archive = _archive(box, port)
            require_space(partial, int(size * LEAST_SHARE), "the backup")
            digest = _copy_cluster(box, port, partial / DATABASE, size)
        if park is not None:
            shutil.copytree(park, partial / PARK)
        manifest = Manifest(
            parktwin=own_version(),
            postgres=box.programs.version,
            ended=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            seconds=round(time.monotonic() - began, 1),
            database_bytes=size,
            files={DATABASE: digest, **_digests(partial, PARK)},
            archive=archive,
            archive_folder=os.environ.get("PARKTWIN_ARCHIVE") or str(data.absolute() / "archive"),
        )
        (partial / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1) + "\n")
        partial.rename(folder)
        # Its time tells ingest how old the newest one is.
        shutil.copyfile(folder / MANIFEST, data / LAST_BACKUP)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return manifest


def copy_secrets(data: Path, folder: Path) -> None:
    """Copy the keys and passwords of a data folder, all its private files, to a new folder."""
    partial = _new_folder(folder)
    partial.chmod(0o700)
    for file in sorted(data.iterdir()):
        is_private = file.is_file() and not file.stat().st_mode & 0o077
        if is_private and file.name not in NOT_SECRET:
            shutil.copy2(file, partial)
    partial.rename(folder)


def digest_of(file: Path) -> str:
    """Return the SHA-256 of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _digests(folder: Path, name: str) -> dict[str, str]:
    files = sorted(path for path in (folder / name).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): digest_of(path) for path in files}


def _new_folder(folder: Path) -> Path:
    """Make the folder in which a new one comes to be; raises ParkError."""
    if folder.exists():
        raise ParkError(f"{folder} exists", hint="name a new folder: a backup replaces nothing")
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        hint = "name a folder that can be made"
        raise ParkError(f"{folder}: {error.strerror}", hint=hint) from error
    return partial


@contextmanager
def _server(data: Path) -> Iterator[tuple[sandbox.Sandbox, int]]:
    """Yield the way into a data folder and the port of its server, started if it does not run."""
    services = Services(data, mqtt_port=None)
    try:
        services.reserve()
    except ParkError:
        if not (data / "connection.env").exists():
            raise
        # Another parktwin has the folder: its server is the one.
        yield sandbox.choose(data.absolute()), _running_port(data)
        return
    with services:
        yield services.postgres.box, services.postgres.port


def _running_port(data: Path) -> int:
    """Return the port of the server of a running twin; raises ParkError."""
    lines = (data / "connection.env").read_text().splitlines()
    addresses = dict(line.split("=", maxsplit=1) for line in lines)
    port = urlsplit(addresses.get("PARKTWIN_DATABASE_URL", "").strip("'")).port
    if port is None:
        raise ParkError(
            f"{data} is in use, and its database is another one's", hint="ask its owner"
        )
    return port


def _archive(box: sandbox.Sandbox, port: int) -> dict[str, str]:
    """Return the files of the archive by their paths, with their SHA-256."""
    if _answer(box, port, HAS_ARCHIVE, "park") != "t":
        return {}
    files: dict[str, str] = json.loads(_answer(box, port, ARCHIVE, "park"))
    return files


def _answer(box: sandbox.Sandbox, port: int, query: str, database: str = "postgres") -> str:
    done = access.sql(box, port, database, query)
    if done.returncode:
        raise ParkError(
            f"the database does not answer: {complaint(done.stderr)}",
            hint="is the twin of this folder just starting or stopping? try again",
            retryable=True,
        )
    return done.stdout.strip()


def _copy_cluster(box: sandbox.Sandbox, port: int, file: Path, size: int) -> str:
    """Write the files of the cluster and its log, packed; return their SHA-256."""
    socket = "/proc/self/cwd" if box.mode == "direct" else box.within("postgres")
    argv = [f"{box.programs.postgres}/pg_basebackup", "-D", "-", "-F", "tar", "-X", "fetch",
            "--checkpoint=fast", "-h", socket, "-p", str(port),
            "-U", access.ADMINISTRATOR]  # fmt: skip
    _answer(box, port, LET_LOG_GO)  # of a backup that was killed
    _answer(box, port, KEEP_LOG)
    try:
        with tempfile.TemporaryFile("w+") as words:
            command = box.command(argv, "postgres")
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=words, env=sandbox.ENVIRONMENT
            ) as process:
                assert process.stdout is not None
                _pack(process.stdout, file, size)
            words.seek(0)
            if process.returncode:
                raise ParkError(
                    f"the database could not be copied: {complaint(words.read())}",
                    hint="its log is log/postgres.log in the data folder",
                    retryable=True,
                )
    except OSError as error:
        raise ParkError(f"{file}: {error.strerror}", hint="choose a disk with room") from error
    finally:
        access.sql(box, port, "postgres", LET_LOG_GO)
    return digest_of(file)


def _pack(source: IO[bytes], file: Path, size: int) -> None:
    """Write a stream of about a size [bytes] to a packed file."""
    done = 0
    with gzip.open(file, "xb", compresslevel=PACKING) as target:
        while piece := source.read(PIECE_BYTES):
            target.write(piece)
            done += len(piece)
            share = min(done / max(size, 1), 1.0)
            show_progress(share, f"{done / 1e6:,.0f} MB of the database are copied")
    clear_progress()


if __name__ == "__main__":
    sys.exit(main())
