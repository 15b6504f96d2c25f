"""A small park with a past, and its archive.

PYTEST_DONT_REWRITE: tests import it by name.
"""

from contextlib import asynccontextmanager

import numpy as np

from deploy.archive.layout import KINDS
from ingest.archiving.archivist import Archivist
from ingest.counters import Counters
from ingest.cycle.cycle import Cycle
from ingest.settings import IngestSettings
from ingest.store import Store
from tests.support.stored import T0, message

DAY_US = 86_400_000_000
NOW_US = T0 * 1000


def settings_of(database, folder, **settings):
    return IngestSettings(database_url=database, archive=folder, archive_rows_s=10**9, **settings)


@asynccontextmanager
async def archiving(database, folder, now_us=NOW_US, **settings):
    """Yield an archivist at a time."""
    archivist = Archivist(settings_of(database, folder, **settings), Counters(), lambda: now_us)
    try:
        yield archivist
    finally:
        await archivist.close()


async def archive(database, folder, now_us=NOW_US, **settings):
    """Archive what is due; return how many files were written."""
    async with archiving(database, folder, now_us, **settings) as archivist:
        return await archivist.archive_due()


@asynccontextmanager
async def living(database, park, folder, now_us=NOW_US, **settings):
    """Yield a cycle whose store knows the archive."""
    own = settings_of(database, folder, **settings)
    store = Store(database, archive_folder=folder)
    await store.open()
    try:
        cycle = Cycle(park, store, own)
        await cycle.start(now_us)
        yield cycle
    finally:
        await store.close()


async def bring_back(database, folder):
    """Put all archived rows back, so that a look at the tables sees what readers see."""
    store = Store(database, archive_folder=folder)
    await store.open()
    try:
        async with store.transaction():
            ids = np.array([row[0] for row in await store.fetch("SELECT tag_id FROM tag")])
            for kind in KINDS.values():
                rows = await store.archive.read(kind, ids, 0, 10**17)
                await store.archive.put_back(kind, rows)
    finally:
        await store.close()


async def tell(cycle, days_ago, values, tag="FT-1", every_s=20, now_us=NOW_US):
    """Let a cycle take values of a tag, from so many days before now on."""
    begin = now_us // 1000 - days_ago * 86_400_000
    scans = [
        {"ts": begin + number * every_s * 1000, "values": {tag: float(value)}}
        for number, value in enumerate(values)
    ]
    await cycle.run([message(scans, at_ms=now_us // 1000)], now_us)


def noise(count, seed=1):
    return np.random.default_rng(seed).normal(30.0, 3.0, count).round(2)
