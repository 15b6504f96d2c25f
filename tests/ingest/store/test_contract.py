"""One contract for the store of ingest and the one in memory that tests drive a cycle against.

Samples, minutes, hours and days are compared by `test_same_numbers`.
"""

import inspect

import pytest

from ingest.store import Store
from ingest.store.gateways import GatewayRecord
from tests.support.memory_store import MemoryStore
from twin.arrays import MINUTE_US, SECOND_US
from twin.reconciliation.detection import Detection, HeldBack

T0_US = 1_760_000_000_000_000 // MINUTE_US * MINUTE_US
PARTS = ("alarms", "commands", "detections", "gateways", "quarantine", "rejects", "sums",
         "unit_errors", "writers")  # fmt: skip


@pytest.fixture(params=["database", "memory"])
async def store(request, database):
    if request.param == "memory":
        yield MemoryStore()
        return
    real = Store(database)
    await real.open()
    yield real
    await real.close()


def detection(minute, *lines):
    time_us = T0_US + minute * MINUTE_US
    return Detection(time_us, time_us - MINUTE_US, lines, ("acme/store",), 0.5, 4.0, "drift", 0.001)


async def test_detections_are_stored_once_and_the_newest_is_found(store):
    async with store.transaction():
        assert await store.detections.newest() == {}
        for each in (detection(1, "s-1"), detection(2, "s-1", "s-2"), detection(2, "s-3")):
            await store.detections.add("chlorine", each)
        await store.detections.add("hydrogen", detection(9, "s-1"))
        assert await store.detections.newest() == {
            "chlorine": (T0_US + 2 * MINUTE_US, 3),
            "hydrogen": (T0_US + 9 * MINUTE_US, 2),
        }


def held(minute, *streams, test=6.0):
    return HeldBack(T0_US + minute * MINUTE_US, streams, test)


async def test_minutes_that_are_held_back_are_joined_and_each_counts_once(database, db):
    store = Store(database)
    await store.open()
    async with store.transaction():
        minutes = held(1, "s-1"), held(2, "s-2", test=9.0), held(7, "s-1", "s-3")
        await store.detections.hold("chlorine", minutes)
        await store.detections.hold("chlorine", minutes)
        await store.detections.hold("hydrogen", minutes[:1])
        await store.detections.hold("chlorine", [held(13, "s-1")])
    rows = await db.fetch(
        "SELECT component, minutes, streams, test, until - since FROM held_back ORDER BY 1, since"
    )
    length = [row[4].total_seconds() / 60 for row in rows]
    assert [tuple(row)[:4] for row in rows] == [
        ("chlorine", 3, ["s-1", "s-2", "s-3"], 9.0),
        ("chlorine", 1, ["s-1"], 6.0),
        ("hydrogen", 1, ["s-1"], 6.0),
    ]
    assert length == [7, 1, 1]
    await store.close()


def gateway(name, second, **more):
    known = {"pause_s": 1.0, "delay_s": 0.5, "skew_s": 0.0, "silent": False, "skewed": False,
             "runaway": False}  # fmt: skip
    last_us = T0_US + second * SECOND_US
    return GatewayRecord(name, "a/topic", T0_US, last_us, (6, 5, 4, 3, 2, 1), **known | more)


async def test_gateways_are_written_over_and_forgotten_by_name(store):
    first, second = gateway("acme/a", 1), gateway("acme/b/c", 2, skew_s=-7.5, skewed=True)
    newer = gateway("acme/a", 3, runaway=True)
    async with store.transaction():
        await store.gateways.write([first, second])
        assert await store.gateways.newest(9) == [second, first]
        await store.gateways.write([newer])
        assert await store.gateways.newest(1) == [newer]
        await store.gateways.forget(["acme/b/c"])
        assert await store.gateways.newest(9) == [newer]


@pytest.mark.parametrize("part", ["", *PARTS])
def test_methods_in_memory_take_what_those_of_the_store_take(part):
    memory, real = MemoryStore(), Store("")
    memory, real = (getattr(memory, part), getattr(real, part)) if part else (memory, real)
    own = {name for name in vars(type(memory)) if not name.startswith("_")} & set(dir(real))
    assert own
    for name in own:
        ours, theirs = (inspect.signature(getattr(type(s), name)) for s in (memory, real))
        assert list(ours.parameters) == list(theirs.parameters), name
