"""Slow clients: each sends its request a byte a second, or takes nothing of its answer.

PYTEST_DONT_REWRITE: this is a program, so that its work is not that of the test.
"""

import json
import resource
import selectors
import socket
import sys
import time
from collections import Counter
from contextlib import suppress

HEAD = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
BODY = (
    b"POST /api/v1/rejects/replay HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 200000\r\n\r\n"
)
# More than the buffers of two sockets hold.
ASK = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20
FIRST = {"nothing": b"", "head": HEAD, "body": BODY, "answer": ASK}
EVERY_S = 1.0
PER_HOST = 1_000
# What is said of an end, before it or without a word.
STATUSES = ("408", "503")


def connect(port, ways):
    """Return connections with their ways, from several addresses of this machine, as they come."""
    connections = {}
    for n, way in enumerate(ways):
        made = socket.socket()
        if way == "answer":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        made.settimeout(60)
        made.bind((f"127.0.1.{1 + n // PER_HOST}", 0))
        made.connect(("127.0.0.1", port))
        made.setblocking(False)
        with suppress(OSError):
            made.send(FIRST[way])
        connections[made] = way
        if way == "answer":
            # What has asked is not closed to make room.
            time.sleep(0.02)
    return connections


class Crowd:
    """Connections that are held until the other side has closed all."""

    def __init__(self, port, ways):
        self.began_s = time.monotonic()
        self.ways = connect(port, ways)
        self.connected_s = self.last_s = time.monotonic() - self.began_s
        self.ends = Counter()
        self.reading = selectors.EpollSelector()
        for each, way in self.ways.items():
            if way != "answer":
                self.reading.register(each, selectors.EVENT_READ)

    def end(self, connection, status):
        """Forget a connection that the other side has closed."""
        way = self.ways.pop(connection)
        if way != "answer":
            self.reading.unregister(connection)
        self.ends[f"{way} {status}"] += 1
        self.last_s = time.monotonic() - self.began_s

    def hear(self, seconds):
        """Wait for what the other side says."""
        for key, _ in self.reading.select(max(seconds, 0)):
            status = said(key.fileobj)
            if status is not None:
                self.end(key.fileobj, status)

    def dribble(self):
        """Send a byte on each connection."""
        for each in list(self.ways):
            try:
                each.send(b"x")
            except BlockingIOError:
                continue
            except OSError:
                self.end(each, "")


def hold(port, ways, longest_s):
    """Hold connections for so long at the most; return how that went."""
    crowd = Crowd(port, ways)
    due_s = time.monotonic() + EVERY_S
    while crowd.ways and time.monotonic() - crowd.began_s < longest_s:
        crowd.hear(due_s - time.monotonic())
        if time.monotonic() >= due_s:
            due_s += EVERY_S
            crowd.dribble()
    return {
        "connected_s": crowd.connected_s,
        "last_s": crowd.last_s,
        "ends": crowd.ends,
        "held": len(crowd.ways),
    }


def said(connection):
    """Return the status that a connection is closed with, "" without one; None while it is not."""
    try:
        data = connection.recv(65_536)
    except BlockingIOError:
        return None
    except OSError:
        return ""
    status = data[9:12].decode() if data.startswith(b"HTTP/") else ""
    return status if not data or status in STATUSES else None


if __name__ == "__main__":
    settings = json.loads(sys.argv[1])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(json.dumps(hold(**settings)))
