"""A neighbour of an attack, in a process of its own: are its values stored, shown, answered?

It publishes a value every quarter of a second, watches what becomes of it, and prints the longest
waits when its standard input ends.
"""

import asyncio
import contextlib
import json
import os
import sys
import time
from pathlib import Path

import asyncpg
import httpx

from tests.support.load import HOST, Publisher
from tests.support.waiting import until

TAG = "FT-9"
EVERY_S = 0.25
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20
NEWEST = """
SELECT extract(epoch FROM max(time))::float8 FROM park.sample
WHERE tag_id = (SELECT tag_id FROM park.tag WHERE tag = $1 AND active)
    AND time > now() - interval '1 day'
"""
AWAY = OSError, asyncpg.PostgresError, asyncpg.InterfaceError  # how a database is away


def memory_mb(pid):
    """Return the resident memory of a process; 0 when it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * PAGE_MB


class Witness:
    """What the neighbour has seen; all waits in seconds, memory in MB by the name of a process."""

    def __init__(self, settings):
        self.settings = settings
        self.sent = []  # times of the values that are not known to be stored
        self.stored_s = self.feed_s = self.livez_s = 0.0
        self.seen = 0
        self.failed = []
        self.memory_mb = {}

    async def publish(self):
        """Publish values; the broker may be away for a while."""
        publisher, number = None, 0
        while True:
            at_s = round(time.time(), 3)
            body = {"ts": round(at_s * 1000), "values": {TAG: 10 + number % 50}}
            try:
                if publisher is None:
                    publisher = Publisher(HOST, self.settings["mqtt_port"], client_id="witness")
                packets = publisher.encode(self.settings["topic"], [json.dumps(body).encode()])
                self.sent.append(at_s)
                await asyncio.to_thread(publisher.send, packets, 1)
            except OSError as error:
                self.failed.append(f"publish: {error}")
                publisher = None
            number += 1
            await asyncio.sleep(EVERY_S)

    async def watch_storage(self):
        """Look at the database for the newest stored value."""
        while True:
            with contextlib.suppress(*AWAY):
                connection = await asyncpg.connect(self.settings["database"], timeout=5)
                try:
                    while True:
                        newest = await connection.fetchval(NEWEST, TAG, timeout=30) or 0.0
                        self.sent, before = [t for t in self.sent if t > newest + 0.0005], self.sent
                        self.seen += len(before) - len(self.sent)
                        waits = [time.time() - at_s for at_s in self.sent]
                        self.stored_s = max([self.stored_s, *waits])
                        await asyncio.sleep(0.1)
                finally:
                    connection.terminate()
            await asyncio.sleep(0.1)

    async def watch_feed(self, client):
        """Read the live feed; a pause is the time without an event."""
        last_s = None
        while True:
            with contextlib.suppress(httpx.TransportError):
                params = {"tag": f"other/{TAG}"}
                async with client.stream("GET", "/api/v1/live", params=params) as stream:
                    stream.raise_for_status()
                    async for line in stream.aiter_lines():
                        if line.startswith("data:"):
                            now_s = time.monotonic()
                            if last_s is not None:
                                self.feed_s = max(self.feed_s, now_s - last_s)
                            last_s = now_s
            await asyncio.sleep(0.1)

    async def watch_answers(self, client):
        """Ask whether the API lives, ten times a second."""
        while True:
            began_s = time.monotonic()
            try:
                (await client.get("/livez")).raise_for_status()
            except httpx.HTTPError as error:
                self.failed.append(f"livez: {error!r}")
            self.livez_s = max(self.livez_s, time.monotonic() - began_s)
            await asyncio.sleep(0.1)

    async def watch_memory(self):
        """Look at the resident memory of the programs."""
        while True:
            for name, pid in self.settings["processes"].items():
                self.memory_mb[name] = max(self.memory_mb.get(name, 0.0), memory_mb(pid))
            await asyncio.sleep(0.1)

    def report(self):
        """Return the figures."""
        return {
            "stored_s": self.stored_s,
            "feed_s": self.feed_s,
            "livez_s": self.livez_s,
            "memory_mb": self.memory_mb,
            "seen": self.seen,
            "failed": self.failed[:5],
        }


async def _main(settings):
    witness = Witness(settings)
    async with httpx.AsyncClient(base_url=settings["base_url"], timeout=60) as client:
        works = (
            witness.publish(), witness.watch_storage(), witness.watch_feed(client),
            witness.watch_answers(client), witness.watch_memory(),
        )  # fmt: skip
        tasks = [asyncio.create_task(work) for work in works]
        ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        await until(lambda: witness.seen >= 2, 60)  # at work before the attack begins
        # What it took to begin is not the attack's doing.
        witness.stored_s = witness.feed_s = witness.livez_s = 0.0
        print("ready", flush=True)
        await asyncio.wait({ended, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        witness.failed += [repr(r) for r in results if not isinstance(r, asyncio.CancelledError)]
    print(json.dumps(witness.report()), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(json.loads(sys.argv[1])))
