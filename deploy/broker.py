"""The broker of one machine: its configuration, what it may hold, and what it has saved."""

from __future__ import annotations

import contextlib
import mmap
import os
import shutil
import signal
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path

from deploy import packages, sandbox
from deploy.service import HOST, Service, accepts

# Measured with Mosquitto 2.0.21: what a queued message takes in memory besides its payload; in the
# file of the broker it is a third of that.
MESSAGE_BYTES = 350
QUEUE_SHARE = 0.25  # of the memory, and of what is free on the disk
# Each save writes all that the broker holds, and nothing else goes on meanwhile.
SAVE_S = 1.0
SAVE_BYTES_S = 50e6  # on the average
SLOWEST_BYTES_S = 20e6  # a stop waits for a disk that is as slow as this
MAGIC = b"\x00\xb5\x00mosquitto db"
HEADER_BYTES = len(MAGIC) + 8
CHUNK = struct.Struct("!II")  # kind, length
# More than this is free: no write of the broker has failed for want of room.
ROOM_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class QueueLimit:
    """What the broker keeps for one session that is away; beyond either it drops."""

    bytes: int  # of payloads
    messages: int


def queue_limit(data: Path) -> QueueLimit:
    """Return what the broker may keep on this machine: it is in memory, and saved on the disk."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    bound = Path("/sys/fs/cgroup/memory.max")  # of a container
    if bound.exists() and (text := bound.read_text().strip()).isdigit():
        memory = min(memory, int(text))
    room = int(min(memory, shutil.disk_usage(data).free) * QUEUE_SHARE)
    return QueueLimit(bytes=room // 2, messages=room // 2 // MESSAGE_BYTES)


@dataclass(eq=False)
class Broker(Service):
    """The broker, whose file is always one that it has written whole.

    Mosquitto 2.0 writes mosquitto.db.new and gives it the name of the old file, also when the disk
    was full on the way. A second name keeps the last file that was whole.
    """

    unsaved: str = field(default="", init=False)  # what the last stop could not save
    _seen: tuple[int, int] = field(default=(0, 0), init=False)
    _due_s: float = field(default=0.0, init=False)

    @property
    def file(self) -> Path:
        """What the broker holds, as of its last save."""
        return self.pid_file.with_name("mosquitto.db")

    @property
    def _whole(self) -> Path:
        return self.file.with_suffix(".whole")

    @property
    def saved_bytes(self) -> int:
        """Size of the file."""
        return self.file.stat().st_size if self.file.exists() else 0

    def start(self) -> None:
        """Start the broker with what it has saved last, whole."""
        self.unsaved = ""
        if not self.running and self.pid is None:
            self._settle()
        super().start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Stop the broker when it has saved what it holds; `unsaved` says when it could not."""
        before, pid = _identity(self.file), self.pid
        super().stop(timeout_s + _memory_bytes(pid) / SLOWEST_BYTES_S)
        if pid is None:
            return
        saved = _identity(self.file) != before
        if not self._settle() or not saved:
            since = "ever" if before == (0, 0) else f"since {_clock(before[1])}"
            self.unsaved = f"the broker could not save what it held: what came {since} is lost"
            packages.say(self.unsaved)

    def save_when_due(self, now_s: float) -> None:
        """Let the broker save what it holds [s], the more rarely the more it is."""
        if _identity(self.file) != self._seen:
            self._settle(trust=shutil.disk_usage(self.file.parent).free > ROOM_BYTES)
        pid = self.pid
        if pid is None or now_s < self._due_s:
            return
        self._due_s = now_s + max(SAVE_S, self.saved_bytes / SAVE_BYTES_S)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGUSR1)

    def _settle(self, *, trust: bool = False) -> bool:
        """Keep the newest file if it is whole, else put back the last one; return if it is.

        What may be trusted is only glanced at: to read it takes seconds for a million messages.
        """
        named = _identity(self.file) == _identity(self._whole) != (0, 0)
        whole = named or (self.file.exists() and is_whole(self.file, glance=trust))
        if whole and not named:
            _name(self.file, self._whole)
        elif not whole and self._whole.exists():
            packages.say(f"{self.file} is not whole: its last whole state takes its place")
            _name(self._whole, self.file)
        self._seen = _identity(self.file)
        return whole


def is_whole(file: Path, *, glance: bool = False) -> bool:
    """Return whether a file of the broker ends where its last chunk ends; at a glance, has one."""
    size = file.stat().st_size
    if size <= HEADER_BYTES or glance:
        return size > HEADER_BYTES
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as view:
        at = HEADER_BYTES if view[: len(MAGIC)] == MAGIC else size + 1
        while at + CHUNK.size <= size:
            at += CHUNK.size + CHUNK.unpack_from(view, at)[1]
    return at == size


def _name(file: Path, name: Path) -> None:
    """Give a file one more name, in place of what had it."""
    link = name.with_suffix(".link")
    # A full disk may have no room for a name either.
    with contextlib.suppress(OSError):
        link.unlink(missing_ok=True)
        link.hardlink_to(file)
        link.replace(name)


def _identity(file: Path) -> tuple[int, int]:
    """Return what tells two writings of a file apart; zeros while there is none."""
    with contextlib.suppress(FileNotFoundError):
        status = file.stat()
        return status.st_ino, status.st_mtime_ns
    return 0, 0


def _clock(time_ns: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(time_ns / 1e9))


def _memory_bytes(pid: int | None) -> int:
    """Return what a process has in memory, which is more than it will save; 0 when it is gone."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def mosquitto(box: sandbox.Sandbox, port: int, log: Path, queue: QueueLimit) -> Broker:
    """Return the broker of a sandbox, its configuration written anew."""
    folder = box.home / "mosquitto"
    inside = box.within("mosquitto")
    own = {
        "listener": f"{port} {HOST}",
        "persistence_location": f"{inside}/",
        "pid_file": f"{inside}/mosquitto.pid",
        "max_queued_messages": str(queue.messages),
        "max_queued_bytes": str(queue.bytes),
        # Saves are asked for by signal, which takes their cost into account.
        "autosave_interval": "60",
    }
    folder.mkdir(exist_ok=True)
    os.chown(folder, box.home.stat().st_uid, box.home.stat().st_gid)
    shipped = Path(__file__).with_name("mosquitto.conf").read_text().splitlines()
    kept = [line for line in shipped if line.partition(" ")[0] not in own]
    lines = [*kept, *(f"{name} {value}" for name, value in own.items()), ""]
    (folder / "mosquitto.conf").write_text("\n".join(lines))
    return Broker(
        "mosquitto",
        port,
        box,
        [box.programs.mosquitto, "-c", f"{inside}/mosquitto.conf"],
        pid_file=folder / "mosquitto.pid",
        stop_signal=signal.SIGTERM,
        log=log / "mosquitto.log",
        ready=lambda: accepts(port),
    )
