"""Whom ingest names: the watch over the balances goes on behind the minutes, through restarts."""

import json
from datetime import timedelta
from functools import partial

import numpy as np
import pytest

from ingest.cycle.cycle import Cycle
from ingest.routing.topics import Message
from ingest.settings import IngestSettings
from ingest.store import Store
from tests.support.small_park import stamp
from tests.support.small_region import NETWORK, PARK_TOML, TAGS_CSV
from tests.twin.reconciliation.test_detection import FIRST_US, FLOWS, minutes
from tests.twin.reconciliation.test_steady import QUIET_MIN
from tests.twin.reconciliation.test_steady import minutes as ramp
from twin.arrays import MINUTE_US
from twin.loading import parse_park

QUIET_H = 6
TOPIC = "park/v1/east/alpha/gw"
ALARM = """
[[alarm]]
tag = "r/ingest.suspects"
limit = "1"
direction = "high"
priority = "medium"
"""
PARK = parse_park({"park.toml": PARK_TOML + ALARM, "tags.csv": TAGS_CSV})


class Run:
    """Ingest over the small region, whose gateway scans once a minute."""

    def __init__(self, database, park=PARK, source=minutes):
        self.store = Store(database)
        self.park, self.source = park, source
        self.minute = 0

    @property
    def now_us(self):
        """The time of the scan that comes next, and a little."""
        return FIRST_US + self.minute * MINUTE_US + 5_000_000

    async def start(self):
        self.cycle = Cycle(self.park, self.store, IngestSettings())
        await self.cycle.start(self.now_us)

    async def watch(self, number, at_once=1, **errors):
        """Let some minutes go by, with errors of the meters; so many scans come in one cycle."""
        amount, _, last = self.source(number, start=self.minute, **errors)
        messages = []
        for row in np.where(np.isnan(amount), last, amount / 60).tolist():
            values = {
                tag.tag: (value - tag.shift) / tag.scale
                for tag, value in zip(NETWORK.tags, row, strict=True)
                if np.isfinite(value)
            }
            body = {"ts": (FIRST_US + self.minute * MINUTE_US) // 1000, "values": values}
            messages.append(Message(TOPIC, json.dumps(body).encode(), self.now_us, 0, 0, 0))
            if len(messages) == at_once:
                await self.cycle.run(messages, self.now_us)
                messages = []
            self.minute += 1


HELD = PARK_TOML.replace('id = "cl2-store"', 'id = "cl2-store"\nhold_up = "3 min"')


async def test_while_the_load_falls_tests_are_held_back_and_nobody_is_named(database, db):
    park = parse_park({"park.toml": HELD, "tags.csv": TAGS_CSV})
    run = Run(database, park, partial(ramp, seed=1))
    await run.store.open()
    await run.start()
    await run.watch(QUIET_MIN, at_once=60)
    began = stamp(run.now_us)
    await run.watch(60, at_once=20, ramp=True, mixed=True)
    assert await db.fetch("SELECT * FROM detection") == []
    (row,) = await db.fetch("SELECT * FROM held_back")
    assert row["component"] == "chlorine"
    assert {"cl2-vcm", "cl2-store"} <= set(row["streams"])
    assert timedelta(minutes=10) < row["since"] - began < timedelta(minutes=16)
    assert row["until"] - began < timedelta(minutes=10 + 20 + 15 + 3)
    assert 15 <= row["minutes"] <= (row["until"] - row["since"]) / timedelta(minutes=1)
    # A start learns from the same minutes again, and stores none of them twice.
    await run.start()
    assert await db.fetch("SELECT * FROM held_back") == [row]
    await run.store.close()


async def suspects(db):
    """Return how many are under suspicion, as ingest says of itself."""
    return await db.fetchval(
        "SELECT value FROM sample_named WHERE tag = 'ingest.suspects' ORDER BY time DESC LIMIT 1"
    )


async def alarm(db):
    return await db.fetchval("SELECT state FROM alarm WHERE alarm LIKE '%suspects%'")


async def test_a_meter_that_changes_is_named_once_and_nobody_before_it(database, db):
    run = Run(database)
    await run.store.open()
    await run.start()
    await run.watch(60 * QUIET_H, at_once=15)
    await run.start()
    await run.watch(15)
    assert await db.fetch("SELECT * FROM detection") == []
    assert await suspects(db) == 0
    assert await alarm(db) == "normal"

    began = stamp(run.now_us)
    await run.watch(15, bias={"FT-1": 0.04})
    (row,) = await db.fetch("SELECT * FROM detection")
    assert row["component"] == "chlorine"
    assert "cl2-vcm" in row["streams"]
    assert row["bias"] == pytest.approx(0.04 * FLOWS["FT-1"], rel=0.4)
    assert abs(row["since"] - began) <= timedelta(minutes=3)
    assert row["since"] < row["time"] <= began + timedelta(minutes=15)
    count = len(row["streams"]) + len(row["leaks"])
    assert await suspects(db) == count
    assert await alarm(db) == "unacknowledged"

    await run.start()
    await run.watch(15, bias={"FT-1": 0.04})
    assert await db.fetch("SELECT * FROM detection") == [row]
    assert await suspects(db) == count
    # After a shift nobody is under suspicion any more.
    run.minute += 8 * 60
    await run.cycle.run([], run.now_us)
    assert await suspects(db) == 0
    assert await alarm(db) == "returned"
    await run.store.close()
