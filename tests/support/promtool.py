"""Prometheus' promtool: the machine's, else that of Debian's package, unpacked into the cache."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

PACKAGE = "prometheus"


def promtool(*words, given=None):
    """Run promtool; return its status and what it said."""
    done = subprocess.run(
        [_program(), *map(str, words)], input=given, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def _program():
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "parktwin"
    own = cache / "promtool" / "usr" / "bin" / "promtool"
    program = shutil.which("promtool") or own
    if program is own and not own.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as name:
            _unpack(Path(name))
            Path(name, "out").rename(cache / "promtool")
    return str(program)


def _unpack(folder):
    """Fetch the package without installing it, which takes no root."""
    state = ["-o", f"Dir::State={folder}/state", "-o", f"Dir::Cache={folder}/cache"]
    (folder / "state/lists/partial").mkdir(parents=True)
    (folder / "cache/archives/partial").mkdir(parents=True)
    for step in ("update", "download"):
        packages = [PACKAGE] if step == "download" else []
        command = ["apt-get", "-qq", *state, "-o", "APT::Sandbox::User=root", step, *packages]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (package,) = folder.glob("*.deb")
    unpack = ["dpkg", "-x", str(package), str(folder / "out")]
    subprocess.run(unpack, check=True)
    shutil.rmtree(folder / "out" / "etc")
