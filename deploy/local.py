"""The services of one machine: a database server with TimescaleDB, an MQTT broker, one folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from deploy import access, packages, sandbox
from deploy.service import HOST, Service, accepts, free_port
from twin.errors import ParkError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

DATA_BYTES = 500_000_000
# Measured with Mosquitto 2.0.21: what a queued message takes in memory besides its payload; in the
# file of the broker it is a third of that.
MESSAGE_BYTES = 350
QUEUE_SHARE = 0.25  # of the memory, and of what is free on the disk
# Together with the programs' share a stop takes less than ten seconds.
STOP_S = {"mosquitto": 1.5, "postgres": 4.0}
INITDB = (
    f"--username={access.ADMINISTRATOR}", "--auth=peer", "--encoding=UTF8", "--locale=C.UTF-8",
    "--data-checksums",
)  # fmt: skip
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": ".",  # the cluster's own folder
    "max_connections": "60",
    "shared_preload_libraries": "timescaledb",
    "timescaledb.telemetry_level": "off",
    "timescaledb.max_background_workers": "4",
    "max_locks_per_transaction": "256",
    "shared_buffers": "512MB",
    "work_mem": "16MB",
    "jit": "off",
    # An acknowledged sample is stored, even when the power fails.
    "synchronous_commit": "on",
    "wal_compression": "on",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(frozen=True, slots=True)
class QueueLimit:
    """What the broker keeps for one session that is away; beyond either it drops."""

    bytes: int  # of payloads
    messages: int


class Services:
    """The lifetime of the services of one data folder.

    A port of 0 is a free one, a port of None leaves that service out. Without a `queue` the broker
    keeps what memory and disk have room for.
    """

    postgres: Service
    mosquitto: Service

    def __init__(
        self,
        data: Path,
        *,
        postgres_port: int | None = 0,
        mqtt_port: int | None = 0,
        mode: sandbox.Mode | None = None,
        queue: QueueLimit | None = None,
    ) -> None:
        self.data = data.absolute()
        self.log = self.data / "log"
        self._ports = postgres_port, mqtt_port
        self._mode = mode
        self.queue = queue
        self._lock: TextIO | None = None
        self._owner_password = ""
        # Only the api of this lifetime needs it.
        self._reader_password = access.new_password()
        self.active: list[Service] = []

    @property
    def database_url(self) -> str:
        """Address for PARKTWIN_DATABASE_URL, as the owner of the schema."""
        return self._database_url(access.OWNER, self._owner_password)

    @property
    def reader_url(self) -> str:
        """Address for PARKTWIN_DATABASE_URL of the api, as the reader of the schema."""
        return self._database_url(access.READER, self._reader_password)

    def _database_url(self, role: str, password: str) -> str:
        return f"postgresql://{role}:{password}@{HOST}:{self.postgres.port}/park"

    @property
    def mqtt_url(self) -> str:
        """Address for PARKTWIN_MQTT_URL."""
        return f"mqtt://{HOST}:{self.mosquitto.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def reserve(self) -> None:
        """Take the data folder for this lifetime alone."""
        if self._lock is None:
            with _usable(self.data):
                self.log.mkdir(parents=True, exist_ok=True)
                self.data.chmod(0o700)
                self._lock = _lock(self.data)

    def start(self) -> None:
        """Start the services; on any failure nothing keeps running."""
        try:
            self.reserve()
            with _usable(self.data):
                self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        packages.require_space(self.data, DATA_BYTES, "the data folder")
        postgres_port, mqtt_port = self._ports
        if postgres_port is None and mqtt_port is None:
            return
        box = sandbox.choose(self.data, self._mode)
        if postgres_port is not None:
            self.postgres = postgres(box, postgres_port or free_port(), self.log)
            self._run(self.postgres)
            self._admit(box, self.postgres.port)
        if mqtt_port is not None:
            self.queue = self.queue or queue_limit(self.data)
            self.mosquitto = mosquitto(box, mqtt_port or free_port(), self.log, self.queue)
            self._run(self.mosquitto)

    def _admit(self, box: sandbox.Sandbox, port: int) -> None:
        self._owner_password = access.password_of(self.data)
        access.write_pgpass(self.data, port, self._owner_password)
        access.admit(box, port, self._owner_password, self._reader_password)
        access.create_database(box, port, "park")

    def _run(self, service: Service) -> None:
        self.active.append(service)
        service.start()

    def stop(self) -> None:
        """Stop the broker, then the database, and release the data folder."""
        while self.active:
            service = self.active.pop()
            service.stop(STOP_S[service.name])
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def postgres(box: sandbox.Sandbox, port: int, log: Path) -> Service:
    """Return the database server of a sandbox, its cluster made when there is none."""
    if not (box.home / "postgres" / "PG_VERSION").exists():
        _initialise(box)
    access.write_rules(box)
    options = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
    question = [f"{box.programs.postgres}/pg_isready", "-h", HOST, "-p", str(port)]
    server = [f"{box.programs.postgres}/postgres", "-D", box.within("postgres"), "-p", str(port)]
    return Service(
        "postgres",
        port,
        box,
        [*server, *options],
        pid_file=box.home / "postgres" / "postmaster.pid",
        stop_signal=signal.SIGINT,
        log=log / "postgres.log",
        ready=lambda: box.run(question).returncode == 0,
    )


def _initialise(box: sandbox.Sandbox) -> None:
    packages.say("creating the database")
    # A name of its own until it is complete, so that an interrupted start leaves no half cluster.
    folder = box.home / "postgres.partial"
    shutil.rmtree(folder, ignore_errors=True)
    done = box.run([f"{box.programs.postgres}/initdb", *INITDB, "-D", box.within(folder.name)])
    if done.returncode:
        raise ParkError(
            f"the database could not be created: {packages.complaint(done.stderr)}",
            hint=f"check the disk and the permissions of {box.home}",
        )
    folder.rename(box.home / "postgres")


def queue_limit(data: Path) -> QueueLimit:
    """Return what the broker may keep on this machine: it is in memory, and saved on the disk."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    bound = Path("/sys/fs/cgroup/memory.max")  # of a container
    if bound.exists() and (text := bound.read_text().strip()).isdigit():
        memory = min(memory, int(text))
    room = int(min(memory, shutil.disk_usage(data).free) * QUEUE_SHARE)
    return QueueLimit(bytes=room // 2, messages=room // 2 // MESSAGE_BYTES)


def mosquitto(box: sandbox.Sandbox, port: int, log: Path, queue: QueueLimit) -> Service:
    """Return the broker of a sandbox, its configuration written anew."""
    folder = box.home / "mosquitto"
    inside = box.within("mosquitto")
    own = {
        "listener": f"{port} {HOST}",
        "persistence_location": f"{inside}/",
        "pid_file": f"{inside}/mosquitto.pid",
        "max_queued_messages": str(queue.messages),
        "max_queued_bytes": str(queue.bytes),
    }
    folder.mkdir(exist_ok=True)
    os.chown(folder, box.home.stat().st_uid, box.home.stat().st_gid)
    shipped = Path(__file__).with_name("mosquitto.conf").read_text().splitlines()
    kept = [line for line in shipped if line.partition(" ")[0] not in own]
    lines = [*kept, *(f"{name} {value}" for name, value in own.items()), ""]
    (folder / "mosquitto.conf").write_text("\n".join(lines))
    return Service(
        "mosquitto",
        port,
        box,
        [box.programs.mosquitto, "-c", f"{inside}/mosquitto.conf"],
        pid_file=folder / "mosquitto.pid",
        stop_signal=signal.SIGTERM,
        log=log / "mosquitto.log",
        ready=lambda: accepts(port),
    )


@contextlib.contextmanager
def _usable(data: Path) -> Iterator[None]:
    """Turn a refusal of the file system into advice."""
    try:
        yield
    except OSError as error:
        raise ParkError(
            f"{error.filename or data}: {error.strerror}",
            hint="choose a writable folder on a disk with room, with --data",
        ) from error


def _lock(data: Path) -> TextIO:
    lock = (data / "lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise ParkError(
            f"{data} is in use by another parktwin",
            hint="stop that one, or choose another folder with --data",
        ) from None
    return lock
