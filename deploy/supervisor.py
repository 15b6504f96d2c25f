"""Our programs as child processes: kept running, and stopped in the right order."""

from __future__ import annotations

import http.client
import math
import ssl
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from deploy.packages import last_line, say
from deploy.service import bound_log, spawn, tail
from deploy.watchdog import SILENT_S, Watch
from twin.errors import ParkError
from twin.program import HOPELESS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deploy.local import Services
    from deploy.service import ConsoleAddress

POLL_S = 0.2
LONGEST_PAUSE_S = 30.0
# A program that ran this long was healthy, so its next end counts as the first.
HEALTHY_S = 60.0
# Before the twin was ever ready, this many ends of a program are a fault that will stay.
GIVE_UP = 5
SLOW_S = 60.0


def python(module: str) -> list[str]:
    """Return the command line that runs one of our modules."""
    # Without -P a folder named like one of our packages in the working folder would win.
    return [sys.executable, "-P", "-m", module]


class Program:
    """One of our programs as a child process that is started again when it ends or hangs.

    One with arguments is a task: it is done when it ends with status 0. One that is done every so
    often is also tried no oftener, and begins when the task before it is done.
    """

    def __init__(
        self,
        name: str,
        environment: dict[str, str],
        log: Path,
        silent_s: float = SILENT_S,
        arguments: tuple[str, ...] = (),
        every_s: float = math.inf,
        after: Program | None = None,
    ) -> None:
        self.name = name
        self._arguments, self._every_s, self._after = arguments, every_s, after
        self.log = log / f"{name}.log"
        self.failures = 0
        self.status: int | None = None
        self.pause_s = 0.0
        self._environment = environment
        self._silent_max_s = silent_s
        self._watch: Watch | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._started_s = 0.0
        self._due_s = 0.0

    def tend(self, now_s: float) -> bool:
        """Start the program when it is due [s]; return whether it has just ended."""
        if self._process is None:
            waits = self._after is not None and self._after.status != 0
            if now_s >= self._due_s and not waits:
                self._start(now_s)
            return False
        self._kill_when_silent(now_s)
        self.status = self._process.poll()
        if self.status is None:
            return False
        self._forget()
        if self._arguments and not self.status:
            self._due_s = now_s + self._every_s
            return False
        self.failures = 1 if now_s - self._started_s > HEALTHY_S else self.failures + 1
        self.pause_s = min(2.0 ** (self.failures - 1), LONGEST_PAUSE_S)
        if self._every_s < math.inf:
            self.pause_s = self._every_s
        self._due_s = now_s + self.pause_s
        return True

    def _start(self, now_s: float) -> None:
        bound_log(self.log)
        # When we are killed outright, the kernel tells the program to stop.
        guard = ["setpriv", "--pdeathsig", "TERM"]
        # Who looks at the park comes first.
        calm = ["nice", "-n", "10"] if self._arguments else []
        self._watch = Watch(now_s)
        environment = {**self._environment, "NOTIFY_SOCKET": self._watch.address}
        command = [*guard, *calm, *python(self.name), *self._arguments]
        self._process = spawn(command, self.log, environment)
        self._started_s = now_s

    def _kill_when_silent(self, now_s: float) -> None:
        assert self._process is not None
        assert self._watch is not None
        if self._watch.silence_s(now_s) > self._silent_max_s:
            say(f"{self.name} gave no sign of life for {self._silent_max_s:g} s and is killed")
            # A stopped process hears no other signal.
            self._process.kill()
            self._process.wait()

    def _forget(self) -> None:
        self._process = None
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def ask_to_stop(self) -> None:
        """Send the program the signal to stop."""
        if self._process is not None:
            self._process.terminate()

    def stop(self, timeout_s: float) -> None:
        """Wait up to `timeout_s` for the program to stop, then kill it."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            say(f"{self.name} did not stop within {timeout_s:g} s and was killed")
            self._process.kill()
            self._process.wait()
        self._forget()


def supervise(
    programs: list[Program],
    services: Services,
    console: ConsoleAddress,
    announce: Callable[[], None],
) -> None:
    """Keep everything running and announce the twin once; returns never, raises ParkError.

    `announce` may add programs.
    """
    say(f"starting {', '.join(program.name for program in programs)}")
    ready, slow_s = False, time.monotonic() + SLOW_S
    while True:
        now_s = time.monotonic()
        for program in programs:
            if program.tend(now_s):
                _report_end(program, ready=ready)
            bound_log(program.log)
        services.tend(now_s)
        if not ready:
            status, answer = _readiness(console)
            ready = status == http.HTTPStatus.OK
            if ready:
                announce()
            elif now_s > slow_s:
                slow_s = float("inf")
                say(f"not ready after {SLOW_S:g} s, still trying: {answer}")
        time.sleep(POLL_S)


def _report_end(program: Program, *, ready: bool) -> None:
    """Print the end of a program; raises ParkError when it is hopeless before all was ready."""
    report = f"{program.name} ended with status {program.status}: {last_line(tail(program.log))}"
    hopeless = program.status == HOPELESS or program.failures >= GIVE_UP
    if hopeless and not ready:
        raise ParkError(report, hint=f"see {program.log}")
    say(f"{report}; it starts again in {program.pause_s:g} s")


def _readiness(console: ConsoleAddress) -> tuple[int, str]:
    connection = http.client.HTTPConnection(console.reach, console.port, timeout=2)
    if console.is_secure:
        # It is this machine that asks itself: the certificate is of the name that others use.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(
            console.reach, console.port, timeout=2, context=context
        )
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")[:300]
    except (OSError, http.client.HTTPException) as error:
        return 0, f"the api does not answer ({error})"
    finally:
        connection.close()


def stop(programs: list[Program], services: Services) -> None:
    """Stop the programs, then the services, in less than ten seconds."""
    if programs:
        say("stopping")
    # Sources and readers first, together; then the writer, which still has a cycle to commit.
    last_first = sorted(programs, key=lambda program: program.name == "ingest")
    for program in last_first[:-1]:
        program.ask_to_stop()
    deadline_s = time.monotonic() + 1.5
    for program in last_first[:-1]:
        program.stop(max(0.1, deadline_s - time.monotonic()))
    for program in last_first[-1:]:
        program.stop(2.5)
    services.stop()
