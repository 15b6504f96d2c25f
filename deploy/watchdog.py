"""Signs of life from a program to who started it: both ends of systemd's protocol, sd_notify(3).

A program sends them from its event loop, so that one which is stopped, or whose loop is blocked,
falls silent. Waiting for a database is no silence.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import tempfile

SIGN = b"WATCHDOG=1"
SIGN_EVERY_S = 1.0
# A pause of the watching program, as of a machine that slept, counts as no more than this.
LOOK_MAX_S = 1.0


async def send_signs() -> None:
    """Send a sign every second, for ever; return at once when nobody wants them."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    address = address.replace("@", "\0", 1) if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
        while True:
            # Who watches may be behind, or gone.
            with contextlib.suppress(OSError):
                sender.sendto(SIGN, address)
            await asyncio.sleep(SIGN_EVERY_S)


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
