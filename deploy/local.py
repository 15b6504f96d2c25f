"""The services of one machine: a database server with TimescaleDB, an MQTT broker, one folder."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import signal
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from deploy import access, broker, packages, sandbox
from deploy.access_lists import new_password
from deploy.disk import BALLAST_BYTES, Disk
from deploy.door import OWNER, Door
from deploy.recovery.log_archive import LogArchive, server_settings
from deploy.service import HOST, Service, bound_log, free_port
from twin.errors import ParkError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import TextIO

    from deploy.settings import UpSettings

DATA_BYTES = 500_000_000
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
    # After a sudden end: one call for the disk, and not one for each of thousands of files.
    "recovery_init_sync_method": "syncfs",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class Services:
    """The lifetime of the services of one data folder.

    A port of 0 is a free one, a port of None leaves that service out. Without a `queue` the broker
    keeps what memory and disk have room for. With `accounts` nobody comes in at the broker without
    one, and gateways have a port of their own. With a `log_folder` the log of the database is kept
    there.
    """

    postgres: Service
    mosquitto: broker.Broker

    def __init__(
        self,
        data: Path,
        *,
        postgres_port: int | None = 0,
        mqtt_port: int | None = 0,
        mode: sandbox.Mode | None = None,
        queue: broker.QueueLimit | None = None,
        accounts: UpSettings | None = None,
        log_folder: Path | None = None,
    ) -> None:
        self.data = data.absolute()
        self.log = self.data / "log"
        self.disk = Disk(self.data)
        self._ports = postgres_port, mqtt_port
        self._mode = mode
        self.queue = queue
        self._lock: TextIO | None = None
        self._owner_password = ""
        # Only programs of this lifetime need them.
        self._passing = {role: new_password() for role in access.PASSING}
        self._accounts = accounts
        self.door: Door | None = None
        self._log_folder = log_folder
        self._log_archive: LogArchive | None = None
        self.active: list[Service] = []

    @property
    def database_url(self) -> str:
        """Address for PARKTWIN_DATABASE_URL, as the owner of the schema."""
        return self._database_url(access.OWNER, self._owner_password)

    @property
    def reader_url(self) -> str:
        """Address for PARKTWIN_DATABASE_URL of the api, as the reader of the schema."""
        return self.address_of(access.READER)

    def address_of(self, role: str) -> str:
        """Return the address of the database as one of the roles of `access.PASSING`."""
        return self._database_url(role, self._passing[role])

    def _database_url(self, role: str, password: str) -> str:
        return f"postgresql://{role}:{password}@{HOST}:{self.postgres.port}/park"

    @property
    def mqtt_url(self) -> str:
        """Address for PARKTWIN_MQTT_URL, of who may do everything."""
        return self.mqtt_url_of(OWNER)

    def mqtt_url_of(self, account: str) -> str:
        """Return the address for PARKTWIN_MQTT_URL of one of our accounts at the broker."""
        if self.door is None:
            return f"mqtt://{HOST}:{self.mosquitto.port}"
        return f"mqtt://{account}:{self.door.passwords[account]}@{HOST}:{self.mosquitto.port}"

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
            further = {}
            if self._log_folder is not None:
                self._log_archive = LogArchive(box.home, self._log_folder)
                further = server_settings(box)
            self.postgres = postgres(box, postgres_port or free_port(), self.log, further)
            self._run(self.postgres)
            self._admit(box, self.postgres.port)
        if mqtt_port is not None:
            self.queue = self.queue or broker.queue_limit(self.data)
            if self._accounts is not None:
                self.door = Door(self._accounts, self.data)
            port = mqtt_port or free_port()
            self.mosquitto = broker.mosquitto(box, port, self.log, self.queue, self.door)
            self._run(self.mosquitto)
        self.disk.hold()

    def _admit(self, box: sandbox.Sandbox, port: int) -> None:
        self._owner_password = access.password_of(self.data)
        access.write_pgpass(self.data, port, self._owner_password)
        viewer = access.password_of(self.data, access.VIEWER)
        access.write_pgpass(self.data, port, viewer, access.VIEWER)
        own = {access.OWNER: self._owner_password, access.VIEWER: viewer}
        access.admit(box, port, own | self._passing)
        access.create_database(box, port, "park")

    def _run(self, service: Service) -> None:
        self.active.append(service)
        service.start()

    def tend(self, now_s: float) -> None:
        """Keep the services running [s], what the broker holds saved, and room on the disk."""
        if report := self.disk.look():
            packages.say(report)
        if self._log_archive is not None and (report := self._log_archive.take()):
            packages.say(report)
        for service in self.active:
            bound_log(service.log)
            if isinstance(service, broker.Broker) and self.disk.full:
                # Nobody takes for stored what could not be saved: senders keep it themselves.
                if service.running:
                    service.stop(STOP_S[service.name])
            elif not service.running:
                packages.say(f"{service.name} ended and starts again, see {service.log}")
                service.start()
            elif isinstance(service, broker.Broker):
                service.watch_door()
                service.tell_refusals()
                service.save_when_due(now_s)
                self.disk.hold(max(BALLAST_BYTES, 2 * service.saved_bytes))

    def stop(self) -> None:
        """Stop the broker, then the database, and release the data folder.

        Raises ParkError in the end when the broker could not save what it held.
        """
        if self._lock is not None:  # else the folder is another one's
            self.disk.release()
        unsaved = ""
        while self.active:
            service = self.active.pop()
            service.stop(STOP_S[service.name])
            if isinstance(service, broker.Broker):
                unsaved = service.unsaved
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        if unsaved:
            raise ParkError(unsaved, hint="make room on the disk of --data", retryable=True)


def postgres(
    box: sandbox.Sandbox, port: int, log: Path, further: Mapping[str, str] = MappingProxyType({})
) -> Service:
    """Return the database server of a sandbox, its cluster made when there is none.

    `further` are settings of the server besides those that every one has.
    """
    if not (box.home / "postgres" / "PG_VERSION").exists():
        _initialise(box)
    access.write_rules(box)
    settings = {**SETTINGS, **further}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
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
