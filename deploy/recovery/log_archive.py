"""The log of the database kept aside, so that a restore reaches any moment after a backup.

The server hands over each file of its log when it is full, or after a minute, in a folder of the
sandbox; `parktwin up` packs it from there into the folder of the setting. A restore lets the server
read them again, up to a moment.
"""

from __future__ import annotations

import filecmp
import gzip
import os
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploy import access, sandbox
from deploy.packages import require_space
from deploy.service import free_port, tail
from twin.errors import ParkError
from twin.program import clear_progress, show_progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from deploy.service import Service

# Folder of the sandbox.
HANDED = "log-handed"
SUFFIX = ".gz"
FILE_BYTES = 16 << 20
PACKING = 1  # the quickest: the server makes up to a file a second
POLL_S = 0.2
REPLAYED = """
SELECT pg_is_in_recovery(),
    coalesce(extract(epoch FROM pg_last_xact_replay_timestamp())::bigint, 0)
"""
# Where its command gives nothing, the server reads what is in the folder of its log.
RECOVERY = """
restore_command = 'false'
recovery_target_time = '{until}'
recovery_target_action = 'promote'
"""


@dataclass(frozen=True, slots=True)
class LogPoint:
    """A moment after a backup, and the folder of the log that leads there."""

    log: Path
    until: datetime


def server_settings(box: sandbox.Sandbox) -> dict[str, str]:
    """Return the settings of a server that hands over its log."""
    (box.home / HANDED).mkdir(exist_ok=True)
    _give(box, box.home / HANDED)
    return {
        "archive_mode": "on",
        "archive_timeout": "60s",
        "archive_library": "basic_archive",
        "basic_archive.archive_directory": box.within(HANDED),
    }


def _give(box: sandbox.Sandbox, path: Path) -> None:
    """Let the programs of a sandbox own a path."""
    owner = box.home.stat()
    os.chown(path, owner.st_uid, owner.st_gid)


class LogArchive:
    """The files of the log that a server hands over, on their way into a folder."""

    def __init__(self, home: Path, folder: Path) -> None:
        """`home` is that of the sandbox; raises ParkError when the folder cannot be made."""
        self._handed = home / HANDED
        self._folder = folder
        self._said = ""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ParkError(
                f"{folder}: {error.strerror}", hint="PARKTWIN_LOG_ARCHIVE names a writable folder"
            ) from error

    def take(self) -> str:
        """Pack the oldest file that was handed over; return what is wrong, once."""
        # The server gives a file its name when it is whole.
        files = sorted(file for file in self._handed.iterdir() if file.name[:1].isdigit())
        if not files:
            return ""
        try:
            self._pack(files[0])
        except (OSError, ParkError) as error:
            wrong = f"the log of the database is not archived: {error}"
            former, self._said = self._said, wrong
            return "" if wrong == former else wrong
        self._said = ""
        return ""

    def _pack(self, file: Path) -> None:
        target = self._folder / (file.name + SUFFIX)
        partial = target.with_suffix(".partial")
        with file.open("rb") as source, partial.open("wb") as out:
            with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=PACKING, mtime=0) as packed:
                shutil.copyfileobj(source, packed)
            out.flush()
            os.fsync(out.fileno())
        if target.exists() and not filecmp.cmp(target, partial, shallow=False):
            partial.unlink()
            raise ParkError(f"{target} is of another database: name a folder of its own")
        partial.rename(target)
        file.unlink()


def recover(box: sandbox.Sandbox, point: LogPoint, server_at: Callable[[int], Service]) -> None:
    """Let the cluster of a new data folder read its log up to a moment.

    Parameters
    ----------
    box
        of the data folder, with the cluster of a backup
    point
        the log, as `LogArchive` writes it, and the moment; what was committed later is left out
    server_at
        makes the server of a port

    Raises
    ------
    ParkError
        the log does not reach from the backup to the moment
    """
    cluster = box.home / "postgres"
    first = _first_file(cluster)
    files = [
        file
        for file in point.log.glob(f"*{SUFFIX}")
        if file.name >= first or "history" in file.name
    ]
    if not files:
        raise ParkError(
            f"{point.log} has nothing of the log from the backup on",
            hint="name its folder with --log",
        )
    require_space(cluster, len(files) * FILE_BYTES, "the log")
    for file in files:
        target = cluster / "pg_wal" / file.name.removesuffix(SUFFIX)
        with gzip.open(file) as source, target.open("wb") as out:
            shutil.copyfileobj(source, out)
        _give(box, target)
    own = cluster / "postgresql.auto.conf"
    before = own.read_text()
    own.write_text(before + RECOVERY.format(until=point.until))
    (cluster / "recovery.signal").touch()
    _give(box, cluster / "recovery.signal")
    server = server_at(free_port())
    try:
        server.start()
        _await_end(box, server, point.until)
    finally:
        server.stop()
        own.write_text(before)


def _first_file(cluster: Path) -> str:
    """Return the name of the first file of the log that a backup needs."""
    label = (cluster / "backup_label").read_text()
    return label.partition("(file ")[2].partition(")")[0]


def _await_end(box: sandbox.Sandbox, server: Service, until: datetime) -> None:
    """Wait until the server has read its log up to a moment; raises ParkError."""
    began_s = 0
    while True:
        done = access.sql(box, server.port, "postgres", REPLAYED)
        if done.returncode and not server.running:
            raise ParkError(
                f"the log does not reach until {until.isoformat()}",
                hint="name an earlier moment, or bring the newest files of the log along:"
                f" {tail(server.log)[-500:]}",
            )
        reads, _, at_s = done.stdout.strip().partition("|")
        if reads == "f":
            clear_progress()
            return
        if at_s.isdigit() and int(at_s):
            began_s = began_s or int(at_s)
            share = (int(at_s) - began_s) / max(until.timestamp() - began_s, 1)
            moment = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(int(at_s)))
            show_progress(min(share, 1.0), f"the log is read until {moment}")
        time.sleep(POLL_S)
