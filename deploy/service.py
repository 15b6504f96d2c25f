"""One server process on this machine: healthy when started, restartable, gone when stopped."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from deploy import packages, sandbox
from twin.errors import ParkError

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "127.0.0.1"
LOG_BYTES = 10_000_000
START_S = 60.0
ATTEMPTS = 5
POLL_S = 0.05
# Who was killed outright leaves programs that stop in this time.
LEAVE_S = 3.0
# The parent of a server. When we are killed outright, the kernel tells it to stop, and it tells the
# server by the signal that ends it well: through no sandbox does the kernel tell the server itself.
GUARD = """
number=$1 pid_file=$2; shift 2
trap 'kill -s "$number" "$(head -n 1 "$pid_file")" || kill -s "$number" $!' TERM
"$@" &
while kill -0 $! 2>/dev/null; do wait $!; done
"""


class ConsoleAddress(NamedTuple):
    """Where the api listens."""

    host: str
    port: int
    is_secure: bool = False

    @property
    def is_own(self) -> bool:
        """Whether only this machine reaches it."""
        return ip_address(self.host).is_loopback

    @property
    def reach(self) -> str:
        """The address at which this machine reaches it."""
        address = ip_address(self.host)
        if address.is_unspecified:
            return HOST if address.version == 4 else "::1"
        return self.host

    @property
    def url(self) -> str:
        """Its URL, as this machine reaches it."""
        host = f"[{self.reach}]" if ":" in self.reach else self.reach
        return f"{'https' if self.is_secure else 'http'}://{host}:{self.port}"


@dataclass(eq=False)
class Service:
    """The lifetime of a server that listens on one port."""

    name: str
    port: int
    box: sandbox.Sandbox
    argv: list[str]
    pid_file: Path  # in the working folder of the server
    stop_signal: signal.Signals
    log: Path
    ready: Callable[[], bool]
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def pid(self) -> int | None:
        """Process id of the running server, whoever started it."""
        # The working folder tells our server from another process with the same number.
        try:
            pid = int(self.pid_file.read_text().split()[0])
            ours = Path(f"/proc/{pid}/cwd").samefile(self.pid_file.parent)
        except (OSError, ValueError, IndexError):
            return None
        return pid if ours else None

    @property
    def running(self) -> bool:
        """Whether the process that was started here still runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server unless it runs, and return when it answers.

        The calling thread must live as long as the server: the kernel ends it with the thread.
        """
        if self.running:
            return
        if self.pid is not None:
            packages.say(f"stopping the {self.name} an earlier run left behind")
            self.stop()
        require_port(self.port, self.name)
        bound_log(self.log)
        written = self.log.stat().st_size if self.log.exists() else 0
        deadline = time.monotonic() + START_S
        # After a crash the former processes can hold the shared memory for a moment.
        for _ in range(ATTEMPTS):
            self.pid_file.unlink(missing_ok=True)
            command = [*self._guard(), *self.box.command(self.argv, self.name)]
            self._process = spawn(command, self.output(), sandbox.ENVIRONMENT)
            while self.running and time.monotonic() < deadline:
                if self.ready():
                    return
                time.sleep(POLL_S)
            if time.monotonic() >= deadline:
                break
            time.sleep(0.5)
        self.kill()
        raise ParkError(
            f"{self.name} did not start: {packages.complaint(tail(self.log, written))}",
            hint=f"the reason is at the end of {self.log}",
        )

    def output(self) -> Path:
        """Return the file to which the server writes what it says."""
        return self.log

    def _guard(self) -> list[str]:
        """Return the command line of the server's parent, without the server's."""
        names = [self.stop_signal.name.removeprefix("SIG"), str(self.pid_file)]
        return ["setpriv", "--pdeathsig", "TERM", "/bin/sh", "-c", GUARD, "guard", *names]

    def stop(self, timeout_s: float = 5.0) -> None:
        """Stop the server cleanly, or by force when it takes longer."""
        pid = self.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, self.stop_signal)
            deadline = time.monotonic() + timeout_s
            while (self.running or self.pid is not None) and time.monotonic() < deadline:
                time.sleep(POLL_S)
        self.kill()

    def kill(self) -> None:
        """End the server at once with SIGKILL, with all its worker processes."""
        pid = self.pid
        for number in () if pid is None else (pid, *_children(pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        if self._process is not None:
            # The sandbox ends by itself after its server; without a server it is killed.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0 if pid is None else 1)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
        while self.pid is not None:
            time.sleep(POLL_S)


def spawn(argv: list[str], log: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a program that writes to a log."""
    with log.open("ab") as file:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=environment,
            # Ctrl-C belongs to the supervisor, which stops the services last.
            start_new_session=True,
        )


def accepts(port: int) -> bool:
    """Whether something accepts connections on a local port."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def free_port() -> int:
    """Return a local port that is free now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def require_port(port: int, what: str, host: str = HOST) -> None:
    """Refuse a port of this machine that another program keeps using or that we may not use."""
    deadline = time.monotonic() + LEAVE_S
    while error := _refusal(port, host):
        if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
            reason = (error.strerror or "unusable").lower()
            raise ParkError(
                f"port {port} for {what} cannot be used: {reason}",
                hint="stop the program that uses it, or choose another with --http, --mqtt or --pg",
            ) from error
        time.sleep(POLL_S)


def _refusal(port: int, host: str) -> OSError | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error
    return None


def bound_log(log: Path) -> None:
    """Keep at most two files of bounded size of a log, also of one that is being written."""
    if log.exists() and log.stat().st_size > LOG_BYTES:
        # On a full disk the older lines are worth less than the room.
        with contextlib.suppress(OSError):
            shutil.copyfile(log, log.with_suffix(".old.log"))
        os.truncate(log, 0)


def tail(log: Path, start: int = 0, size: int = 8000) -> str:
    """Return the end of a log, of the part after a position."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(start, log.stat().st_size - size))
        return file.read().decode(errors="replace")


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []
