"""Reconciled flows of each hour: stored once it is complete, again after late samples."""

import json

import numpy as np
import pytest

from ingest.cli.replay import Replay
from ingest.cycle.cycle import Cycle
from ingest.routing.topics import Message
from ingest.settings import IngestSettings
from ingest.store import Store
from tests.support.small_region import NETWORK, PARK_TOML, T_PER_H, TAGS_CSV
from tests.twin.reconciliation.test_detection import FIRST_US, FLOWS, minutes
from twin import quality as q
from twin.arrays import HOUR_US, MINUTE_US
from twin.loading import parse_park

TOPIC = "park/v1/east/alpha/gw"
PARK = parse_park({"park.toml": PARK_TOML, "tags.csv": TAGS_CSV})
BEGIN_US = -(-FIRST_US // HOUR_US) * HOUR_US
SKIP = (BEGIN_US - FIRST_US) // MINUTE_US
VCM = "chlorine.mass_flow.cl2-vcm.reconciled"
ROWS = """
SELECT time, value, quality FROM sample_named
WHERE tag LIKE '%' || $1 AND time >= to_timestamp($2) ORDER BY time
"""


class Run:
    """Ingest over the small region, whose gateway scans once a minute."""

    def __init__(self, database):
        self.store = Store(database)
        self.minute = 0
        table, _, self.last = minutes(300, start=SKIP)
        self.rows = np.where(np.isnan(table), self.last, table / 60)

    def at_us(self, minute):
        return BEGIN_US + minute * MINUTE_US

    async def start(self):
        await self.store.open()
        self.cycle = Cycle(PARK, self.store, IngestSettings())
        await self.cycle.start(self.at_us(self.minute) + 5_000_000)
        for _ in range(8):  # hours of the day before, in which nothing was measured
            await self.cycle.run([], self.at_us(self.minute) + 5_000_000)

    def message(self, minute, without=(), **others):
        row = dict(zip((tag.tag for tag in NETWORK.tags), self.rows[minute].tolist(), strict=True))
        values = {
            tag.tag: (row[tag.tag] - tag.shift) / tag.scale
            for tag in NETWORK.tags
            if np.isfinite(row[tag.tag]) and tag.tag not in without
        }
        body = {"ts": self.at_us(minute) // 1000, "values": {**values, **others}}
        return Message(TOPIC, json.dumps(body).encode(), self.at_us(minute), 0, 0, 0)

    async def send(self, count, at_once=15, **kind):
        """Let some minutes go by."""
        for _ in range(0, count, at_once):
            messages = [self.message(self.minute + n, **kind) for n in range(at_once)]
            self.minute += at_once
            await self.cycle.run(messages, self.at_us(self.minute - 1) + 5_000_000)

    async def settle(self):
        """Let the clock go on until nothing is estimated again."""
        for seconds in (20, 40):
            await self.cycle.run([], self.at_us(self.minute - 1) + seconds * 1_000_000)


async def hours(db, name):
    return [(row["value"], row["quality"]) for row in await db.fetch(ROWS, name, BEGIN_US / 1e6)]


@pytest.fixture
async def run(database):
    run = Run(database)
    await run.start()
    yield run
    await run.store.close()


async def test_the_flow_of_an_hour_is_stored_a_little_after_its_end(run, db):
    await run.send(60)
    assert await hours(db, VCM) == []
    await run.send(15)
    await run.settle()
    ((value, quality),) = await hours(db, VCM)
    ((width, _),) = await hours(db, f"{VCM}_ci")
    assert quality == 0
    assert abs(value - FLOWS["FT-1"] / T_PER_H) < width < 0.05 * value
    # The hour is the mean of its minutes in the history as well.
    await run.send(60)
    await run.settle()
    first = await db.fetchrow(
        "SELECT h.amount, h.covered_s FROM hour h JOIN tag t USING (tag_id)"
        " WHERE t.tag LIKE '%' || $1 AND h.time = to_timestamp($2)", VCM, BEGIN_US / 1e6
    )  # fmt: skip
    assert first["covered_s"] == 3600
    assert first["amount"] / 3600 == pytest.approx(value * T_PER_H)
    assert len(await hours(db, VCM)) == 2


async def test_a_flow_whose_meter_was_silent_is_what_the_balances_leave(run, db):
    await run.send(15)
    await run.send(30, without=("FT-1",))
    await run.send(30)
    await run.settle()
    ((value, quality),) = await hours(db, VCM)
    ((width, _),) = await hours(db, f"{VCM}_ci")
    assert quality == q.UNCERTAIN | q.INCOMPLETE
    assert abs(value - FLOWS["FT-1"] / T_PER_H) < width


async def test_late_samples_change_the_hour_they_belong_to(run, db):
    await run.send(15)
    await run.send(30, at_once=30, without=("FT-1",))
    await run.send(30)
    await run.settle()
    ((before, _),) = await hours(db, VCM)
    late = [run.message(minute) for minute in range(15, 45)]
    await run.cycle.run(late, run.at_us(run.minute - 1) + 41_000_000)
    await run.send(15)
    await run.settle()
    ((after, quality),) = await hours(db, VCM)
    assert quality == 0
    assert after != before
    corrected = await db.fetchval("SELECT count(*) FROM correction")
    assert corrected >= 1
    # It is what an hour without a late sample comes to.
    whole = await run.cycle._estimates.of_hours([BEGIN_US], 0)
    tag = next(i for i, t in enumerate(run.cycle.tags) if t.tag.endswith(VCM))
    assert whole.value[whole.tag == tag] == pytest.approx(after * T_PER_H)


async def test_after_a_restart_no_hour_is_missing_and_none_is_doubled(run, db):
    await run.send(75)
    run.minute += 45  # to the next full hour
    await run.start()
    await run.send(75)
    await run.settle()
    assert len(await hours(db, VCM)) == 2
    assert await db.fetchval("SELECT count(*) FROM correction") == 0


async def test_a_replay_estimates_the_hours_of_its_interval(run, db, database):
    await run.send(135)
    await run.settle()
    live = await hours(db, VCM)
    assert len(live) == 2
    await db.execute("UPDATE sample SET value = 1 WHERE tag_id IN"
                     " (SELECT tag_id FROM tag WHERE tag LIKE '%reconciled')")  # fmt: skip
    store = Store(database)
    await store.open()
    end_us = BEGIN_US + 2 * HOUR_US
    progress = await Replay(PARK, store, 500_000).run(BEGIN_US, end_us, lambda *_: None)
    await store.close()
    assert await hours(db, VCM) == live
    assert progress.corrected >= 2


async def test_hour_whose_balances_contradict_the_meters_is_uncertain(run, db):
    for _ in range(5):
        await run.send(15, **{"FT-1": 2 * FLOWS["FT-1"] / T_PER_H})
    await run.settle()
    ((_, quality),) = await hours(db, VCM)
    assert quality & ~np.uint8(q.SIMULATED) == q.UNCERTAIN | q.INCONSISTENT
