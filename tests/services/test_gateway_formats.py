"""The same logical data through every format, late, twice and out of order: the same rows, sums."""

from functools import partial

import numpy as np
import pytest

from ingest.routing.topics import Message
from simulators.gateways.gateways import FORMATS, make_gateways, with_gateways
from simulators.instruments import make_sensors, observe
from simulators.process.process import make_process
from simulators.scenarios.script import ScriptEvent
from tests.support.memory_store import started
from tests.support.playback import play
from tests.support.small_park import rows_of, serving
from tests.support.small_region import ALPHA, PARK
from tests.support.stored import everything, opened
from twin import quality as q
from twin.arrays import DAY_S

S = 1_000_000
EVERY_US = 30 * S
# On the hour in the park.
BEGIN = 1_763_784_000 * S
TIMES = BEGIN + np.arange(90) * EVERY_US
END_S = 2700.0
SEED = 7
# Each message comes up to two days late, and a third of them a second time, up to two days later.
DISORDER = tuple(
    ScriptEvent(kind, kind, ALPHA, "", 0.0, END_S, size, every_s=2 * DAY_S)
    for kind, size in (("reorder", 1.0), ("duplicate", 0.33))
)


@pytest.fixture(scope="module")
def instruments():
    return partial(observe, make_sensors(make_process(PARK, SEED), SEED))


async def published(database, instruments, form, events, batch, cycle_s):
    """Run what gateways send through cycles over a real database; return how many there were."""
    gateways = make_gateways(PARK, events=events, usual=form, batch=batch)
    block, now, cycles = [], BEGIN, 0
    async with opened(database) as store:
        cycle = await started(with_gateways(PARK, gateways), store, BEGIN, watched=False)
        for at, topic, payload in play(gateways, instruments, TIMES, EVERY_US, SEED):
            if block and at > block[0].received_us + cycle_s * S:
                await cycle.run(block, now)
                block, cycles = [], cycles + 1
            block.append(Message(topic, payload, at, 0, 0, 0))
            now = max(now, at)
        await cycle.run(block, now)
        await cycle.run([], now + 3600 * S)
    return cycles


async def kept(db, database):
    """Return everything that is known of the measured tags, and what the API makes of it."""
    tables = await everything(db)
    async with serving(database, BEGIN + 2 * 3600 * S) as (client, _):
        for kpi in ("energy", "chlorine"):
            tables[kpi] = (await rows_of(client, f"{ALPHA}/{kpi}", window="hour"))["items"]
    return tables


@pytest.mark.parametrize("form", FORMATS)
async def test_disorder_in_any_format_leaves_the_same_samples_minutes_and_sums(
    database, db, instruments, form
):
    await published(database, instruments, "native", (), 1, 300)
    wanted = await kept(db, database)
    assert len(wanted["sample"]) == len(TIMES) * len(PARK.tags)
    assert {row["quality"] for row in wanted["sample"]} == {q.SIMULATED}
    assert len(wanted["minute"]) >= 45 * len(PARK.tags)
    assert any(row["kwh_per_t"] for row in wanted["energy"])
    assert any(row["production_t"] for row in wanted["chlorine"])
    await db.execute("TRUNCATE sample, minute, hour, day, restatement, cycle")

    batch = 1 + 6 * (list(FORMATS).index(form) % 2)
    assert await published(database, instruments, form, DISORDER, batch, 4 * 3600) >= 8
    got = await kept(db, database)
    for table, rows in wanted.items():
        assert got[table] == rows, table
    assert await db.fetchval("SELECT count(*) FROM restatement") > 10
    for table in ("reject", "quarantine", "correction"):
        assert await db.fetchval(f"SELECT count(*) FROM {table}") == 0, table
