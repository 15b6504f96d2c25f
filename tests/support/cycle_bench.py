"""A cycle over the small park and a real database that can be started again, and steady traffic.

PYTEST_DONT_REWRITE: tests import it by name.
"""

import json
from contextlib import asynccontextmanager

import pytest

from ingest.cycle.cycle import Cycle
from ingest.routing.topics import Message
from ingest.settings import IngestSettings
from ingest.store import Store
from tests.support import stored
from tests.support.stored import T0, TOPIC
from twin.errors import StoreError
from twin.loading import load_park

STEADY = 600


def message(values, at_ms, *, topic=TOPIC, after_ms=0, qos=1, **more):
    body = json.dumps({"ts": at_ms, "values": values, **more}).encode()
    return Message(topic, body, (at_ms + after_ms) * 1000, qos, qos, 0)


class LostOnce(Store):
    """A store that loses its connection at the end of a transaction, when it is told to."""

    lost = False

    @asynccontextmanager
    async def transaction(self):
        async with super().transaction():
            yield
            if self.lost:
                self.lost = False
                raise StoreError("the connection was lost", retryable=True)


class Bench:
    """A cycle over the small park that can be started again."""

    def __init__(self, url, folder, **settings):
        self.settings = IngestSettings(database_url=url, park=folder, **settings)
        self.folder, self.store, self.cycle = folder, None, None

    async def start(self, now_ms=T0):
        if self.store is not None:
            await self.store.close()
        self.store = Store(self.settings.database_url)
        await self.store.open()
        self.cycle = Cycle(load_park(self.folder), self.store, self.settings)
        await self.cycle.start(now_ms * 1000)

    async def run(self, messages, now_ms):
        await self.cycle.run(messages, now_ms * 1000)


@pytest.fixture
async def bench(database, park_folder):
    made = []

    async def make(*, more="", **settings):
        park = park_folder / "park.toml"
        park.write_text(park.read_text(encoding="utf-8") + more, encoding="utf-8")
        made.append(Bench(database, park_folder, **settings))
        await made[-1].start()
        return made[-1]

    yield make
    for each in made:
        await each.store.close()


def flow(nth, level=36.0):
    """Return a steady flow with a little noise."""
    return level * (1 + 0.002 * ((nth * 7919) % 11 - 5))


async def steady(bench, *, start=0, count=STEADY, block=60):
    """Run blocks of a steady flow, one sample in two seconds."""
    for first in range(start, start + count, block):
        now = [message({"FT-1": flow(i)}, T0 + i * 2000) for i in range(first, first + block)]
        await bench.run(now, T0 + (first + block) * 2000)


async def samples(db, tag="FT-1", since=STEADY):
    """Return (number in steady traffic, value, quality) of the samples of a tag."""
    rows = [(at // 2000, *row) for at, *row in await stored.samples(db, tag)]
    return [row for row in rows if row[0] >= since]
