"""The root file system of the services, and the command lines that run them in it.

Three modes: ``direct``, the host's own programs as an ordinary user; ``bwrap``, a user namespace,
in which a root user is another (PostgreSQL refuses root); ``chroot``, for root where user
namespaces are forbidden, as in a container without CAP_SYS_ADMIN: bwrap can make no namespace
there.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from deploy import packages
from twin.errors import ParkError

if TYPE_CHECKING:
    import subprocess

Mode = Literal["direct", "bwrap", "chroot"]

# PostgreSQL refuses to run as root, so inside a sandbox everything has this user and group.
USER = 1000
OLDEST_POSTGRES = 15
OLDEST_MOSQUITTO = 2
ENVIRONMENT = {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "TZ": "UTC"}
# Folders with the programs and with the extensions of a version, on Debian and on Fedora.
LAYOUTS = (
    ("usr/lib/postgresql/*/bin", "usr/share/postgresql/{}/extension"),
    ("usr/pgsql-*/bin", "usr/pgsql-{}/share/extension"),
)
BROKERS = ("/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto")
DEVICES = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}
JAIL_FOLDERS = ("bin", "etc", "lib", "lib64", "sbin", "usr", "var")


@dataclass(frozen=True, slots=True)
class Programs:
    """The service programs below one root, as paths below that root."""

    version: int
    postgres: str
    mosquitto: str


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A root file system, the way into it, and the jail with what is ours in it."""

    mode: Mode
    root: Path
    programs: Programs
    jail: Path

    @property
    def home(self) -> Path:
        """The folder the programs may write."""
        return self.jail / "mnt"

    def within(self, folder: str) -> str:
        """Return the path of a folder of `home` as the programs see it."""
        return str(self.home / folder) if self.mode == "direct" else f"/mnt/{folder}"

    def command(self, argv: list[str], folder: str = "") -> list[str]:
        """Return the command line that runs `argv` in a folder of `home`."""
        folder = self.within(folder)
        if self.mode == "direct":
            # When we are killed outright, the kernel tells the server to stop.
            return ["setpriv", "--pdeathsig", "TERM", "env", f"--chdir={folder}", *argv]
        if self.mode == "chroot":
            enter = ["chroot", f"--userspec={USER}:{USER}", "--groups=", str(self.jail)]
            return [*enter, "/bin/sh", "-c", 'cd "$0" && exec "$@"', folder, *argv]
        identity = ["--unshare-user", "--uid", str(USER), "--gid", str(USER)]
        system = ["--ro-bind", str(self.root), "/", "--dev", "/dev", "--proc", "/proc"]
        system += ["--tmpfs", "/tmp"]  # noqa: S108
        for name in packages.ACCOUNTS:
            system += ["--ro-bind", str(self.jail / "etc" / name), f"/etc/{name}"]
        data = ["--bind", str(self.home), "/mnt", "--chdir", folder]
        return ["bwrap", *identity, *system, *data, "--die-with-parent", "--", *argv]

    def run(
        self, argv: list[str], folder: str = "", given: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in a folder of `home` to its end; return its status and what it wrote."""
        return packages.run(self.command(argv, folder), ENVIRONMENT, given)


def find(root: Path, version: int | None = None) -> Programs | None:
    """Return the newest usable programs below a root, of one PostgreSQL version if given."""
    versions: list[tuple[int, str]] = []
    for programs, extensions in LAYOUTS:
        for path in root.glob(programs):
            digits = path.parent.name.rpartition("-")[2]
            control = root / extensions.format(digits) / "timescaledb.control"
            complete = control.exists() and (path / "initdb").exists()
            if digits.isdigit() and complete and version in {None, int(digits)}:
                versions.append((int(digits), f"/{path.relative_to(root)}"))
    broker = next((name for name in BROKERS if (root / name[1:]).exists()), None)
    if not versions or broker is None or max(versions)[0] < OLDEST_POSTGRES:
        return None
    number, folder = max(versions)
    return Programs(version=number, postgres=folder, mosquitto=broker)


def choose(data: Path, mode: Mode | None = None) -> Sandbox:
    """Return the host's own services when they fit, else the private bundle's; raises ParkError."""
    jail = data / "services"
    written = jail / "mnt" / "postgres" / "PG_VERSION"
    version = int(written.read_text()) if written.exists() else None
    root, programs = Path("/"), find(Path("/"), version)
    if programs is None or not _broker_fits(programs.mosquitto) or mode == "chroot":
        root = packages.bundle()
        programs = find(root, version)
    if programs is None:
        raise ParkError(
            f"{data} was written by PostgreSQL {version}, which is not at hand",
            hint=f"install PostgreSQL {version} with TimescaleDB, or choose another folder",
        )
    mode = mode or _mode(root, programs, jail)
    if mode == "chroot" and root == Path("/"):
        return choose(data, "chroot")
    _prepare(mode, root, jail)
    return Sandbox(mode, root, programs, jail)


def _broker_fits(program: str) -> bool:
    number = re.search(r"mosquitto version (\d+)", packages.run([program, "-h"]).stdout)
    return number is not None and int(number[1]) >= OLDEST_MOSQUITTO


def _mode(root: Path, programs: Programs, jail: Path) -> Mode:
    """Return the first way into the root that this kernel allows, by trying it."""
    if root == Path("/") and os.geteuid() != 0:
        return "direct"
    if shutil.which("bwrap") is None:
        packages.ensure("bubblewrap")
    _prepare("bwrap", root, jail)
    trial = Sandbox("bwrap", root, programs, jail)
    done = trial.run([f"{programs.postgres}/postgres", "--version"])
    if done.returncode == 0:
        return "bwrap"
    if os.geteuid() == 0:
        return "chroot"
    raise ParkError(
        f"this system lets {os.environ.get('USER', 'this user')} create no user namespace: "
        f"{packages.complaint(done.stderr)}",
        hint=f"start as root, {packages.ALTERNATIVE}",
    )


def _prepare(mode: Mode, root: Path, jail: Path) -> None:
    """Make the folders of the jail, filled with links to the bundle for chroot."""
    for name in ("etc", "mnt"):
        (jail / name).mkdir(parents=True, exist_ok=True)
    if mode == "chroot":
        _fill(root, jail)
    for name, text in packages.ACCOUNTS.items():
        if not (jail / "etc" / name).exists():
            (jail / "etc" / name).write_text(text)
    owner = USER if mode == "chroot" else os.geteuid()
    if (jail / "mnt").stat().st_uid != owner:
        if os.geteuid() != 0:
            raise ParkError(
                f"{jail} belongs to another user",
                hint="start as that user, or choose another folder with --data",
            )
        for folder, _, names in os.walk(jail / "mnt"):
            for path in (folder, *(f"{folder}/{name}" for name in names)):
                os.chown(path, owner, owner, follow_symlinks=False)


def _fill(root: Path, jail: Path) -> None:
    sources = [str(root / name) for name in JAIL_FOLDERS if os.path.lexists(root / name)]
    # Links cost no room; across file systems there are none, so there it is a copy, made once.
    for option in ("--link", "--update"):
        copy = ["cp", "--archive", option, "--force", *sources, str(jail)]
        if packages.run(copy).returncode == 0:
            break
    else:
        raise ParkError(f"the services could not be copied to {jail}", hint="make room on its disk")
    for name in ("dev/shm", "tmp"):
        (jail / name).mkdir(parents=True, exist_ok=True)
        (jail / name).chmod(0o1777)
    for name, minor in DEVICES.items():
        if not (jail / "dev" / name).exists():
            os.mknod(jail / "dev" / name, stat.S_IFCHR | 0o666, os.makedev(1, minor))
            (jail / "dev" / name).chmod(0o666)
    try:
        (jail / "dev/null").write_bytes(b"")
    except PermissionError as error:
        raise ParkError(
            f"the disk of {jail} allows no device files (mount option nodev)",
            hint="choose a folder on another disk with --data",
        ) from error
