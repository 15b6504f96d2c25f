"""Signs of life from a program to who started it: both ends of systemd's protocol, sd_notify(3).

A program sends them from its event loop, so that one which is stopped, or whose loop is blocked,
falls silent. Waiting for a database is no silence.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import tempfile
import time
from pathlib import Path

SIGN = b"WATCHDOG=1"
SIGN_EVERY_S = 1.0
# A pause of the watching program, as of a machine that slept, counts as no more than this.
LOOK_MAX_S = 1.0
# A program whose event loop has stood still for so long hangs.
SILENT_S = 30.0


async def send_signs(alive_file: Path | None = None) -> None:
    """Send a sign every second, for ever; return at once when nobody wants them.

    A file, if given, is touched each time, for those who look from outside.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address and alive_file is None:
        return
    address = address.replace("@", "\0", 1) if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
        while True:
            # Who watches may be behind, or gone.
            if address:
                with contextlib.suppress(OSError):
                    sender.sendto(SIGN, address)
            if alive_file is not None:
                _touch(alive_file)
            await asyncio.sleep(SIGN_EVERY_S)


def _touch(file: Path) -> None:
    with contextlib.suppress(OSError):
        file.touch()


def main(words: list[str]) -> int:
    """Return 0 when a program has touched its file of late: the probe of a container."""
    file = Path(words[0])
    try:
        age_s = time.time() - file.stat().st_mtime
    except OSError as error:
        print(f"{file}: {error.strerror}", file=sys.stderr)
        return 1
    if not -SILENT_S < age_s < SILENT_S:
        print(f"{file}: no sign of life for {age_s:.0f} s", file=sys.stderr)
        return 1
    return 0


class Watch:
    """How long a program has been silent since its first sign."""

    def __init__(self, now_s: float) -> None:
        # The path of a socket has at most 107 bytes: the data folder may be too deep.
        self._folder = tempfile.TemporaryDirectory(prefix="parktwin-")
        self.address = f"{self._folder.name}/notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(self.address)
        self._looked_s = now_s
        self._silent_s = float("-inf")

    def silence_s(self, now_s: float) -> float:
        """Return the time since the newest sign [s]; negative before the first."""
        self._silent_s += min(now_s - self._looked_s, LOOK_MAX_S)
        self._looked_s = now_s
        with contextlib.suppress(BlockingIOError):
            while self._socket.recv(len(SIGN)):
                self._silent_s = 0.0
        return self._silent_s

    def close(self) -> None:
        """Remove the socket."""
        self._socket.close()
        self._folder.cleanup()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
