"""The log of the broker: what is kept of it, and which messages of whom the broker refused.

Mosquitto acknowledges a message to a topic that is not the sender's own and drops it, and says so
at level debug only, among a line for each packet that comes or goes. So it writes to a pipe: lines
of packets end here, the others go on to the log, and refusals are counted.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from typing import TYPE_CHECKING

from deploy.access_lists import Refusal

if TYPE_CHECKING:
    from pathlib import Path

# As of Mosquitto 2.0; a line at level debug that is none of these is kept.
PACKETS = rb"Received |Sending |Denied PUBLISH |Will message |No will message|\t"
KEPT = re.compile(rb"^(?!\d+: (?:" + PACKETS + rb")).*\n", re.MULTILINE)
REFUSED = re.compile(
    rb"^(\d+): Denied PUBLISH from (.*?) \(d\d, q\d, r\d, m\d+, '(.*)\n", re.MULTILINE
)
AFTER_TOPIC = b"', ... ("
# Names of clients that are told apart; the others are one, without a name.
NAMES_MAX = 1_000
TOPIC_CHARACTERS = 200
READ_BYTES = 1 << 18
END = b"\0"  # stands in no line


class BrokerLog:
    """A pipe into which the broker writes its log, read by a thread for as long as it is open."""

    def __init__(self, pipe: Path, log: Path) -> None:
        self.pipe = pipe
        self.refused: dict[str, Refusal] = {}  # since the broker first started, by client id
        self._log = log
        self._thread: threading.Thread | None = None
        self._end = -1

    def opened(self) -> Path:
        """Return the pipe, which is read from now on: who opens it does not wait for a reader."""
        if self._thread is not None:
            return self.pipe
        self.pipe.unlink(missing_ok=True)
        os.mkfifo(self.pipe, 0o600)
        # Open for writing as well: a broker that starts anew is no end of what there is to read.
        self._end = os.open(self.pipe, os.O_RDWR)
        self._thread = threading.Thread(target=self._read, name="broker-log", daemon=True)
        self._thread.start()
        return self.pipe

    def close(self) -> None:
        """Read what a broker that has ended has written, and no more."""
        if self._thread is None:
            return
        os.write(self._end, END)
        self._thread.join()
        self._thread = None
        os.close(self._end)

    def _read(self) -> None:
        text = b""
        while not text.endswith(END):
            text += os.read(self._end, READ_BYTES)
            whole = text.rfind(b"\n") + 1
            self.take(text[:whole])
            text = text[whole:]

    def take(self, text: bytes) -> None:
        """Take lines of the broker: count refusals, keep what is to be kept."""
        for match in REFUSED.finditer(text):
            self._count(match[2].decode(errors="replace"), match[3], float(match[1]))
        kept = b"".join(KEPT.findall(text))
        # On a full disk the broker does not wait for its log.
        with contextlib.suppress(OSError):
            if kept:
                with self._log.open("ab") as file:
                    file.write(kept)

    def _count(self, name: str, text: bytes, time_s: float) -> None:
        topic = (text.rpartition(AFTER_TOPIC)[0] or text).decode(errors="replace")
        if name not in self.refused and len(self.refused) >= NAMES_MAX:
            name = ""
        before = self.refused.get(name)
        count = 1 + (before.messages if before else 0)
        self.refused[name] = Refusal(name, count, topic[:TOPIC_CHARACTERS], time_s)
