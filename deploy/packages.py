"""Debian packages: installed on this machine, or unpacked into a private folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from twin.errors import ParkError
from twin.program import run_program

if TYPE_CHECKING:
    from collections.abc import Iterator

SUITE = "trixie"
CONTENTS = ("dash", "usr-is-merged", "postgresql-17-timescaledb", "mosquitto")
TOOLS = ("bubblewrap", "mmdebstrap", "debian-archive-keyring")
COMPLAINT = re.compile(r"^E: |\b(error|fatal|panic|cannot|could not|failed)\b", re.IGNORECASE)
BUNDLE_BYTES = 1_500_000_000
CHINESE_FONT = "fonts-noto-cjk"
ALTERNATIVE = "or run the same stack with docker compose -f deploy/compose.yaml up"
# Debian keeps everything below /usr; the old folders are links that exist before anything arrives.
MERGE_USR = 'for d in bin sbin lib lib64; do mkdir -p "$1/usr/$d"; ln -s "usr/$d" "$1/$d"; done'
# Mount points and account files, so that the folder can be the root of a read-only file system.
FOLDERS = ("dev", "proc", "mnt", "tmp", "run")
ACCOUNTS = {"passwd": "park:x:1000:1000:park:/:/bin/sh\n", "group": "park:x:1000:\n"}


def say(text: str) -> None:
    """Print a line of progress on stderr."""
    # The terminal may be gone, which is no reason to stop working, or to stop stopping.
    with contextlib.suppress(OSError):
        print(f"parktwin: {text}", file=sys.stderr, flush=True)


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raise ParkError when the disk of a folder has less than `needed` bytes free."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        room = f"{needed / 1e6:,.0f} MB on the disk of {folder}, {free / 1e6:,.0f} MB are free"
        raise ParkError(
            f"{what} needs {room}",
            hint="make room there, or choose a folder on another disk",
        )


def run(
    argv: list[str], env: dict[str, str] | None = None, given: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, given its input; return its status and what it wrote."""
    return subprocess.run(argv, capture_output=True, text=True, env=env, input=given, check=False)


def ensure(*packages: str) -> None:
    """Install Debian packages that are missing; raises ParkError with the command that does."""
    if shutil.which("dpkg-query") is None:
        raise ParkError(
            "this machine has neither TimescaleDB with Mosquitto nor Debian's package tools",
            hint=f"install PostgreSQL 15+ with TimescaleDB and Mosquitto 2, {ALTERNATIVE}",
        )
    query = ["dpkg-query", "--show", "--showformat", "${db:Status-Abbrev}"]
    absent = [name for name in packages if not run([*query, name]).stdout.startswith("ii")]
    if not absent:
        return
    names = " and ".join([", ".join(absent[:-1]), absent[-1]] if absent[1:] else absent)
    advice = f"Install {names}: sudo apt-get install {' '.join(absent)}"
    apt = _apt_get()
    if apt is None:
        raise ParkError(f"{names} missing, and only root can install packages", hint=advice)
    say(f"installing {names}")
    # A failed update is no failure yet: the package lists may be good enough.
    steps = [["update"], ["install", "-y", "--no-install-recommends", *absent]]
    done = [run([*apt, *step]) for step in steps]
    if done[-1].returncode:
        cause = next(step for step in done if step.returncode)
        raise ParkError(f"{names} could not be installed: {complaint(cause.stderr)}", hint=advice)


def _apt_get() -> list[str] | None:
    """Return the command that installs without a question; None where we may not."""
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    known = all(shutil.which(program) for program in ("apt-get", *sudo[:1]))
    if not known or run([*sudo, "true"]).returncode:
        return None
    options = ["-qq", "-o", "DPkg::Lock::Timeout=120"]
    return [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *options]


def last_line(text: str) -> str:
    """Return the last line that is not empty."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no reason")


def complaint(text: str) -> str:
    """Return the first line that names an error, or else the last line."""
    return next(
        (line.strip() for line in text.splitlines() if COMPLAINT.search(line)), last_line(text)
    )


def bundle() -> Path:
    """Return the folder of the services, unpacked at the first call; raises ParkError."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "parktwin"
    folder = cache / f"bundle-{SUITE}"
    if folder.is_dir():
        return folder
    ensure(*TOOLS)
    require_space(cache, BUNDLE_BYTES, "unpacking PostgreSQL, TimescaleDB and Mosquitto")
    with _alone(cache / f"bundle-{SUITE}.lock"):
        if not folder.is_dir():
            _unpack(folder)
    return folder


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another start that is unpacking the same packages")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _unpack(folder: Path) -> None:
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    say(f"unpacking PostgreSQL, TimescaleDB and Mosquitto into {folder} (once, about 20 s)")
    # Nothing is executed from the packages, so this needs neither root nor a real chroot.
    recipe = ["mmdebstrap", "--mode=chrootless", "--skip=check/chrootless", "--variant=extract"]
    recipe += [f"--include={','.join(CONTENTS)}", f"--setup-hook={MERGE_USR}", SUITE, str(partial)]
    status, output = _run_group(recipe)
    if status:
        shutil.rmtree(partial, ignore_errors=True)
        raise ParkError(
            f"the services could not be unpacked: {complaint(output)}",
            hint=f"check the network and the proxy settings of apt and start again, {ALTERNATIVE}",
        )
    for name in FOLDERS:
        (partial / name).mkdir(exist_ok=True)
    for name, text in ACCOUNTS.items():
        (partial / "etc" / name).write_text(text)
    partial.rename(folder)


def _run_group(argv: list[str]) -> tuple[int, str]:
    """Return status and output of a program; an interruption ends all its processes."""
    pipe, both = subprocess.PIPE, subprocess.STDOUT
    with subprocess.Popen(
        argv, stdout=pipe, stderr=both, text=True, errors="replace", start_new_session=True
    ) as process:
        try:
            output, _ = process.communicate()
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            raise
    return process.returncode, output


def main(packages: list[str]) -> int:
    """Install Debian packages for the Makefile, before anything of ours is installed."""
    return run_program("parktwin", lambda: ensure(*packages))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
