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
from typing import TYPE_CHECKING, NamedTuple

from deploy import packages, sandbox
from deploy.access_lists import dumped_refusals
from deploy.broker_log import BrokerLog
from deploy.door import RIGHTS
from deploy.private_files import write_private
from deploy.service import HOST, Service, accepts
from twin.errors import ParkError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from deploy.access_lists import Refusal
    from deploy.door import Door

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
VERSION, CLIENT = b"\x00\x00\x00\x06", 6
# Of a client: how long its session outlasts it, length of its id, port it is connected to, length
# of its user name.
CLIENT_HEAD = struct.Struct("!8xI2xHHH4x")
FOREVER_S = (1 << 32) - 1
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

    door: Door | None = None
    journal: BrokerLog | None = None  # where it writes its log, with a door
    unsaved: str = field(default="", init=False)  # what the last stop could not save
    reloads: int = field(default=0, init=False)  # how often it took over lists without a restart
    _asked: bool = field(default=False, init=False)  # a save was asked for and is not there yet
    _reload: bool = field(default=False, init=False)  # what the door has installed is to be read
    _reload_due: bool = field(default=False, init=False)  # once the save is there
    _told: list[Refusal] = field(default_factory=list, init=False)
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
    def has_news(self) -> bool:
        """Whether lists or certificates are installed that the broker has not read yet."""
        return self._reload

    @property
    def saved_bytes(self) -> int:
        """Size of the file."""
        return self.file.stat().st_size if self.file.exists() else 0

    def start(self) -> None:
        """Start the broker with what it has saved last, whole."""
        self.unsaved = ""
        if not self.running and self.pid is None:
            self._settle()
        if self.door is not None:
            self.door.install(self.pid_file.parent)
        self._asked = self._reload = self._reload_due = False
        super().start()

    def output(self) -> Path:
        """Return the log, or the pipe that leads to it."""
        return self.log if self.journal is None else self.journal.opened()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Stop the broker when it has saved what it holds; `unsaved` says when it could not."""
        before, pid = _identity(self.file), self.pid
        super().stop(timeout_s + _memory_bytes(pid) / SLOWEST_BYTES_S)
        if self.journal is not None:
            self.journal.close()
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
            self._asked = False
            if self._reload_due:
                self._take_over()
        pid = self.pid
        is_due = now_s >= self._due_s or (self._reload and not self._asked)
        if pid is None or not is_due:
            return
        # A save that was asked for earlier may have begun before the door had news.
        self._reload_due = self._reload and not self._asked
        self._asked = True
        self._due_s = now_s + max(SAVE_S, self.saved_bytes / SAVE_BYTES_S)
        self._signal(signal.SIGUSR1)

    def tell_refusals(self) -> None:
        """Write down whose messages the broker has refused, where ingest looks for it."""
        if self.door is None or self.journal is None:
            return
        refused = list(self.journal.refused.values())
        if refused != self._told:
            self._told = refused
            with contextlib.suppress(OSError):
                write_private(self.door.refusals_file, dumped_refusals(refused))

    def watch_door(self) -> None:
        """Let gateways in by lists and certificates that have changed, from the next save on."""
        if self.door is None or not self.door.has_news():
            return
        try:
            must_restart = self.door.install(self.pid_file.parent)
        except ParkError as error:
            packages.say(f"{error.message}: gateways come in as before")
            return
        self._reload = True
        if must_restart:
            self._restart("it has other authorities for client certificates")

    def _take_over(self) -> None:
        """Let the broker read its lists and certificates anew.

        Mosquitto 2 checks the passwords of all sessions then. One that is absent and fails loses
        its rights, and what comes for it is dropped; if it was to end by itself, it stays in a list
        of sessions behind its own end, which spoils the memory of the broker. A start has neither
        fault, so that is what the broker gets while there is such a session.
        """
        assert self.door is not None
        self._reload = self._reload_due = False
        absent = unsafe_sessions(self.file, self.door.usernames, RIGHTS)
        if absent:
            self._restart(f"sessions are away: {', '.join(sorted(absent)[:3])}")
        else:
            self.reloads += 1
            self._signal(signal.SIGHUP)

    def _restart(self, why: str) -> None:
        packages.say(f"the broker starts anew for its lists of who comes in: {why}")
        self.stop()
        self.start()

    def _signal(self, number: signal.Signals) -> None:
        pid = self.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

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


class Session(NamedTuple):
    """A session in the file of the broker that outlasts its connection."""

    client_id: str
    username: str
    expiry_s: int  # after the connection; FOREVER_S: never
    is_connected: bool


def sessions(file: Path) -> Iterator[Session]:
    """Yield the sessions in the file of the broker; raises ValueError for one of another form."""
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        head = data[:HEADER_BYTES]
        if not (head.startswith(MAGIC) and head.endswith(VERSION)):
            raise ValueError(f"{file} is of another version")
        at = HEADER_BYTES
        while at + CHUNK.size <= len(data):
            kind, length = CHUNK.unpack_from(data, at)
            at += CHUNK.size
            if kind == CLIENT:
                expiry_s, id_bytes, port, name_bytes = CLIENT_HEAD.unpack_from(data, at)
                begin = at + CLIENT_HEAD.size
                texts = data[begin : begin + id_bytes + name_bytes]
                client_id, username = texts[:id_bytes].decode(), texts[id_bytes:].decode()
                yield Session(client_id, username, expiry_s, port != 0)
            at += length


def unsafe_sessions(file: Path, usernames: Collection[str], own: Collection[str]) -> set[str]:
    """Return the ids of sessions that Mosquitto 2 must not meet when it reads its lists anew.

    Those are sessions that are away, or whose account is gone, unless they never end by themselves
    and are of nobody of our `own`.
    """
    try:
        return {
            each.client_id
            for each in sessions(file)
            if not (each.is_connected and each.username in usernames)
            and (each.username in own if each.expiry_s == FOREVER_S else each.expiry_s > 0)
        }
    except (OSError, ValueError, struct.error) as error:
        return {str(error)}


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


def mosquitto(
    box: sandbox.Sandbox, port: int, log: Path, queue: QueueLimit, door: Door | None = None
) -> Broker:
    """Return the broker of a sandbox, its configuration written anew.

    Without a door for gateways, whoever reaches its port on this machine may do everything.
    """
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
        "allow_anonymous": "true" if door is None else "false",
    }
    folder.mkdir(exist_ok=True)
    os.chown(folder, box.home.stat().st_uid, box.home.stat().st_gid)
    # Of the containers.
    others = {"password_file", "acl_file", "use_username_as_clientid"}
    shipped = Path(__file__).with_name("mosquitto.conf").read_text().splitlines()
    kept = [line for line in shipped if line.partition(" ")[0] not in own.keys() | others]
    gateways = [] if door is None else door.config(inside)
    lines = [*kept, *(f"{name} {value}" for name, value in own.items()), *gateways, ""]
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
        door=door,
        journal=None if door is None else BrokerLog(folder / "log.pipe", log / "mosquitto.log"),
    )
