"""Historical samples: stored and folded into minutes, never the newest of their tag."""

import asyncio

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.routing.topics import Message
from ingest.wire import sparkplug
from ingest.wire.sparkplug import DataType, Metric
from tests.support.memory_store import MemoryStore, started
from tests.support.small_region import PARK
from tests.support.stored import T0, cycling
from twin.arrays import NEVER
from twin.loading import parse_park

FILES = PARK.files
ROW = """
[[gateway]]
id = "edge"
scope = "r/east/alpha"
protocol = "sparkplug"
group = "G"
node = "N"
"""
MODEL = parse_park(FILES | {"park.toml": FILES["park.toml"] + ROW})
TAGS = {"FT-1": DataType.DOUBLE, "JQ-1": DataType.INT64}
INDEX = {tag.tag: i for i, tag in enumerate(MODEL.tags) if tag.owner == "alpha"}
LAST_S = 3600


def message(kind, payload, received_s):
    topic = f"spBv1.0/G/{kind}/N"
    return Message(topic, payload, T0 * 1000 + received_s * 1_000_000, 0, 0, 0)


def born():
    metrics = [Metric(name, None, datatype, transient=True) for name, datatype in TAGS.items()]
    return message("NBIRTH", sparkplug.nbirth(T0, metrics, 1), 0)


def datum(name, second, seq, *, historical):
    metric = Metric(name, second * 3, time_ms=T0 + second * 1000, datatype=TAGS[name],
                    historical=historical)  # fmt: skip
    return message("NDATA", sparkplug.data(T0, [metric], seq), second)


async def run(cycles):
    """Return (store, cycle) after cycles of messages, one per second of the hour."""
    store = MemoryStore()
    cycle = await started(MODEL, store, T0 * 1000, watched=False, silent_s=1e9)
    seen = dict.fromkeys(TAGS, NEVER)
    await cycle.run([born()], T0 * 1000)
    seq = 0
    for number, samples in enumerate(cycles, start=1):
        messages = []
        for name, second, historical in samples:
            seq += 1
            messages.append(datum(name, second, seq, historical=historical))
            if not historical:
                seen[name] = max(seen[name], (T0 + second * 1000) * 1000)
        await cycle.run(messages, T0 * 1000 + number * 1_000_000)
        image = cycle._state.image
        assert {name: image.time_us[INDEX[name]] for name in TAGS} == seen
    return store, cycle


def rows(store, name):
    """Return the minutes of a tag as text: not a number is equal to itself then."""
    return {at: repr(row) for at, row in store.minute[INDEX[name]].items()}


SAMPLES = st.lists(
    st.tuples(st.sampled_from([*TAGS]), st.integers(0, 500), st.booleans()),
    min_size=1, max_size=12, unique_by=lambda sample: sample[:2],
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(SAMPLES, st.lists(st.integers(1, 3), min_size=12, max_size=12))
def test_minutes_are_those_of_live_samples_in_order(samples, sizes):
    end = [(name, LAST_S, False) for name in TAGS]
    cycles, remaining = [], list(samples)
    for size in sizes:
        cycles.append(remaining[:size])
        remaining = remaining[size:]
    got, _ = asyncio.run(run([*cycles, end]))
    live = sorted((name, second, False) for name, second, _ in samples)
    wanted, _ = asyncio.run(run([live, end]))
    for name in TAGS:
        assert rows(got, name) == rows(wanted, name)
        assert sorted(got.sample[INDEX[name]]) == sorted(wanted.sample[INDEX[name]])


async def test_sample_beyond_the_image_leaves_it_and_counts_in_its_minutes():
    store, cycle = await run([
        [("FT-1", 10, False)],
        [("FT-1", 200, True)],
        [("FT-1", 150, False), ("FT-1", 260, True)],
        [("FT-1", 400, False)],
    ])  # fmt: skip
    image, at = cycle._state.image, INDEX["FT-1"]
    assert image.time_us[at] == (T0 + 400_000) * 1000
    assert [time // 1_000_000 - T0 // 1000 for time in sorted(store.sample[at])] == [
        10, 150, 200, 260, 400,
    ]  # fmt: skip
    # Per minute: samples, seconds with a value; the value is that of the sample before.
    scale = MODEL.tags[at].scale
    minutes = [store.minute[at][T0 * 1000 + i * 60_000_000] for i in range(6)]
    assert [row[0] for row in minutes] == [1, 0, 1, 1, 1, 0]
    assert [row[2] for row in minutes] == [50, 60, 60, 60, 60, 60]
    assert minutes[3][1] == pytest.approx((20 * 450 + 40 * 600) * scale)


async def test_live_sample_before_a_historical_one_of_its_minute_counts():
    end = [("FT-1", LAST_S, False)]
    got, _ = await run([[("FT-1", 10, False)], [("FT-1", 50, True)], [("FT-1", 40, False)], end])
    wanted, _ = await run([[("FT-1", second, False) for second in (10, 40, 50)], end])
    assert rows(got, "FT-1") == rows(wanted, "FT-1")


async def test_tag_that_was_only_ever_told_of_in_the_past_has_no_newest_value():
    store, cycle = await run([[("FT-1", 10, True), ("FT-1", 130, True)]])
    at = INDEX["FT-1"]
    assert cycle._state.image.time_us[at] == NEVER
    assert np.isnan(cycle._state.image.value[at])
    assert len(store.sample[at]) == 2
    assert sorted(store.minute[at]) == [T0 * 1000, T0 * 1000 + 60_000_000]


async def test_same_sample_live_and_historical_is_stored_once():
    store, cycle = await run([[("FT-1", 10, True)], [("FT-1", 10, True)], [("FT-1", 20, False)]])
    assert len(store.sample[INDEX["FT-1"]]) == 2
    assert (cycle.counters["duplicates"], cycle.counters["corrections"]) == (1, 0)


async def test_database_holds_both_and_readers_are_told_of_the_live_one(database, db):
    metric = Metric("FT-1", 30, time_ms=T0 + 90_000, datatype=TAGS["FT-1"], historical=True)
    # The same moment, live and historical, in one message: what is said last holds.
    both = [metric, metric._replace(value=33, historical=False, time_ms=T0 + 20_000),
            metric._replace(value=36, historical=False),
            metric._replace(time_ms=T0 + 95_000)]  # fmt: skip
    now_us = T0 * 1000
    async with cycling(database, MODEL) as cycle:
        await cycle.run([born()], now_us)
        await cycle.run([message("NDATA", sparkplug.data(T0, both, 1), 1)], now_us + 1_000_000)
    rows = await db.fetch(
        "SELECT extract(epoch FROM time)::int8 * 1000 - $1::int8 AS ms, value FROM sample_named"
        " WHERE tag = 'FT-1' ORDER BY time", T0,
    )  # fmt: skip
    assert [tuple(row) for row in rows] == [(20_000, 33), (90_000, 36), (95_000, 30)]
    assert cycle._state.image.time_us[INDEX["FT-1"]] == (T0 + 90_000) * 1000
    reported = await db.fetch("SELECT time, tag_id FROM cycle ORDER BY cycle_us")
    ids, times = (np.frombuffer(b"".join(r[k] for r in reported), kind)
                  for k, kind in (("tag_id", "<i4"), ("time", "<i8")))  # fmt: skip
    wanted = await db.fetchval("SELECT tag_id FROM tag WHERE tag = 'FT-1'")
    assert times[ids == wanted].tolist() == [(T0 + 90_000) * 1000]
    assert await db.fetchval("SELECT count(*) FROM correction") == 1
