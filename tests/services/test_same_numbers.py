"""Live, replayed and computed without wire or database: three ways to the same numbers.

A simulated park is published cycle by cycle with a clock of the test's own. Two things keep live
and replay apart, both because live could not know better at the time. A late message is not in the
image of the cycles it missed; replay has it in time. And after a restart the slope of inventories
stands on stored minutes until it has half an hour of its own.
"""

from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from ingest.routing.topics import Message
from ingest.store import Store
from ingest.wire import native
from simulators.instruments import make_sensors, observe
from simulators.process.process import make_process
from tests.support.memory_store import MemoryStore, samples_of, started
from tests.support.small_park import rows_of, serving
from tests.support.stored import cycling
from twin import quality as q
from twin.accounts.demand import DEMAND_ROLES
from twin.accounts.network import FLOW_ITEMS, Account, compile_network, tally
from twin.arrays import MINUTE_US, NEVER
from twin.energy.consumption import intensity
from twin.loading import load_park
from twin.model.park import park_of
from twin.replay import WARM_UP_US, replay
from twin.series.image import no_image
from twin.series.minutes import Minutes, aggregate, no_open_minutes
from twin.series.samples import Samples, concatenate, sort
from twin.series.windows import local
from twin.step import no_memory
from twin.uom import compile_uom

S = 1_000_000
EVERY_US = 30 * S
# On the hour in the park.
BEGIN = 1_763_784_000 * S
DEMO = load_park(Path(__file__).parents[2] / "deploy" / "parks" / "liaocheng")
# What people enter is shown by no instrument.
PARK = replace(DEMO, tags=tuple(tag for tag in DEMO.tags if tag.source == "measured"))
NETWORK = compile_network(PARK)
MEASURED, COUNT = len(PARK.tags), len(NETWORK.tags)
KINDS = {scope.id: scope.kind for scope in PARK.scopes}
TOPICS = np.array([f"park/v1/{park_of(tag.scope, KINDS)}/{tag.owner}/gw" for tag in PARK.tags])
# One for each enterprise: its topic and the columns of its tags.
GATEWAYS = [(topic, np.flatnonzero(topic == TOPICS)) for topic in np.unique(TOPICS).tolist()]
COLUMNS = ("tag", "time_us", "value", "quality")


@pytest.fixture(scope="module")
def readings():
    """What the instruments show for 45 minutes: times and values in the uom of the tags."""
    times = BEGIN + np.arange(90) * EVERY_US
    return times, observe(make_sensors(make_process(PARK, 1), 1), times)


def scan(times, values, number, gateway, received_us=None):
    """Return the message of a gateway about one time."""
    topic, columns = gateway
    row = values[number, columns].tolist()
    by_tag = {PARK.tags[i].tag: value for i, value in zip(columns, row, strict=True)}
    payload = native.encode(int(times[number]) // 1000, by_tag, simulated=True)
    at = int(times[number]) if received_us is None else received_us
    return Message(topic, payload, at, 0, 0, 0)


def without_wire(times, values):
    """Return the samples of simulated arrays: SI, in range or not, marked as simulated."""
    scale, shift, low, high = (
        np.array([getattr(tag, name) for tag in PARK.tags])
        for name in ("scale", "shift", "low", "high")
    )
    si = values * scale + shift
    doubtful = np.uint8(q.UNCERTAIN | q.OUT_OF_RANGE | q.SIMULATED)
    code = np.where((si < low) | (si > high), doubtful, np.uint8(q.SIMULATED))
    at = np.repeat(times, MEASURED)
    tag = np.tile(np.arange(MEASURED), len(times))
    return sort(Samples(tag, at, si.ravel(), code.ravel(), at)).samples


async def stored(db, first, stop):
    """Return the stored samples of the tags of the network from `first` to `stop`."""
    rows = await db.fetch(
        "SELECT enterprise || '/' || tag AS address, s.value, s.quality,"
        " (extract(epoch FROM s.time) * 1000000)::bigint AS at,"
        " (extract(epoch FROM received) * 1000000)::bigint AS received"
        " FROM sample s JOIN tag USING (tag_id)"
    )
    at = [NETWORK.index.get(row["address"], COUNT) for row in rows]
    return sort(samples_of([
        (tag, row["at"], row["value"], row["quality"], row["received"])
        for tag, row in zip(at, rows, strict=True) if first <= tag < stop
    ])).samples  # fmt: skip


async def stored_minutes(db, table="minute"):
    """Return the rows of a table of amounts by tag and time."""
    rows = await db.fetch(
        "SELECT enterprise || '/' || tag AS address, n, amount, covered_s, x.min, x.max, last,"
        f" x.quality, (extract(epoch FROM x.time) * 1000000)::bigint AS at FROM {table} x"
        " JOIN tag USING (tag_id)"
    )
    return {
        (NETWORK.index.get(row["address"], COUNT), row["at"]): tuple(row.values())[1:-1]
        for row in rows
    }


def folded(samples):
    """Return the complete minutes of samples sorted by tag, then time, as the database has them."""
    rows = aggregate(no_open_minutes(COUNT), NETWORK.traits, samples, NEVER)
    result = {}
    for tag, at, n, amount, covered_us, *remaining in zip(
        *(getattr(rows, name).tolist() for name in Minutes.__slots__), strict=True
    ):
        statistics = (None if value != value else value for value in remaining)  # noqa: PLR0124
        result[tag, at] = (n, amount, covered_us * 1e-6, *statistics)
    return result


def whole_minutes(times):
    """Return the time before which every minute is closed, whatever changes seldom."""
    return int(times[-1]) // MINUTE_US * MINUTE_US - 5 * MINUTE_US


def replayed(samples, times):
    start = no_image(COUNT), no_memory(NETWORK)
    result = replay(NETWORK, *start, samples, times).samples
    return sort(result).samples


def assert_same(first, second):
    for name in COLUMNS:
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes(), name


async def published(database, readings):
    """Publish everything in time into a cycle over a real database."""
    times, values = readings
    async with cycling(database, PARK, BEGIN, cycle_s=EVERY_US / S) as cycle:
        for number, at in enumerate(times.tolist()):
            await cycle.run([scan(times, values, number, g) for g in GATEWAYS], at)


async def test_live_replay_and_the_bare_calculation_give_the_same_bits(database, db, readings):
    times, values = readings
    await published(database, readings)
    measured, live = await stored(db, 0, MEASURED), await stored(db, MEASURED, COUNT)
    bare = without_wire(times, values)
    assert len(measured) == len(times) * MEASURED
    assert len(live) > 10 * len(NETWORK.derived)
    assert_same(measured, bare)
    assert_same(live, replayed(measured, times))
    assert_same(live, replayed(bare, times))
    residuals = [
        i for i in range(MEASURED, COUNT) if NETWORK.derived[i - MEASURED][2] == "residual"
    ]
    known = live.take(np.isin(live.tag, residuals) & ~np.isnan(live.value))
    assert len(known) > len(residuals), "the slope of the inventories took part"

    expected = folded(sort(concatenate(bare, replayed(bare, times))).samples)
    rows = await stored_minutes(db)
    # What changes seldom is closed by the clock; without one it waits for its next sample.
    until = whole_minutes(times)
    whole = {key: row for key, row in rows.items() if key[0] < COUNT and key[1] < until}
    assert len(whole) > 35 * COUNT
    assert whole == {key: row for key, row in expected.items() if key[1] < until}
    await assert_accounts(database, whole, until)


async def assert_accounts(database, minutes, until):
    """Energy and chlorine of the API over whole minutes are those of the bare calculation."""
    amount = np.full(((until - BEGIN) // MINUTE_US, COUNT), np.nan)
    for (tag, at), (_, total, *_) in minutes.items():
        amount[(at - BEGIN) // MINUTE_US, tag] = total
    accounts = tally(NETWORK, amount)

    def total(scope, subject, item):
        at = NETWORK.accounts.get(Account(scope, subject, item))
        return np.full(len(amount), np.nan) if at is None else accounts[:, at]

    edges = {"from": BEGIN, "to": until}
    query = {key: local(at, ZoneInfo("UTC")).isoformat() for key, at in edges.items()}
    compared = 0
    async with serving(database, until + 60 * S) as (client, _):
        for scope in [s.id for s in PARK.scopes if s.kind == "enterprise"]:
            measured = {"window": "minute", "values": "measured", **query}
            energy = await rows_of(client, f"{scope}/energy", **measured)
            chlorine = await rows_of(client, f"{scope}/chlorine", **measured)
            compared += _same_energy(energy["items"], scope, total)
            compared += _same_chlorine(chlorine["items"], scope, total)
    assert compared > 500


def column(items, name):
    return np.array([np.nan if row[name] is None else row[name] for row in items])


# Answers have 12 digits: what they are rounded by, relative to their value.
ROUNDING = 5e-12
TONNE, KWH = compile_uom("t", "mass")[0], compile_uom("kWh", "energy")[0]


def _same_energy(items, scope, total):
    """Compare the rows of each product; return how many numbers there were."""
    compared = 0
    for product in {row["product"] for row in items}:
        rows = [row for row in items if row["product"] == product]
        mass, electricity = (total(scope, product, item) for item in ("mass", "electricity"))
        expected = {
            "mass_t": mass / TONNE,
            "energy_kwh": electricity / KWH,
            "kwh_per_t": intensity(electricity, mass) / (KWH / TONNE),
        }
        for name, values in expected.items():
            np.testing.assert_allclose(column(rows, name), values, rtol=ROUNDING, err_msg=name)
            compared += int((~np.isnan(values)).sum())
    return compared


def _same_chlorine(items, scope, total):
    """Compare the items of the balance; return how many numbers there were."""
    compared = 0
    names = {"make": "production", "use": "consumption"}
    for item in FLOW_ITEMS if items else ():
        values = total(scope, "chlorine", item) / TONNE
        got = column(items, f"{names.get(item, item)}_t")
        np.testing.assert_allclose(got, values, rtol=ROUNDING, err_msg=item)
        compared += int((~np.isnan(values)).sum())
    return compared


def disturbed(readings):
    """Return what arrives in each cycle: one gateway late for some scans, another one twice."""
    times, values = readings
    late, twice = GATEWAYS[0], GATEWAYS[1]
    arrivals = [[] for _ in times]
    for number in range(len(times)):
        for gateway in GATEWAYS:
            then = number + 4 if gateway is late and LATE <= number < KNOWN - 4 else number
            at = int(times[then])
            arrivals[then].append(scan(times, values, number, gateway, at))
            if gateway is twice and number % 5 == 0 and number + 3 < len(times):
                arrivals[number + 3].append(scan(times, values, number, gateway, at))
    return arrivals


# Numbers of scans; with the last, all that was late is there.
RESTART, LATE, KNOWN = 15, 18, 24


async def test_lateness_duplicates_and_a_restart_change_no_sample_and_no_minute(
    database, db, readings
):
    times, values = readings
    stores = [Store(database), MemoryStore()]
    await stores[0].open()
    cycles = [await started(PARK, store, BEGIN, cycle_s=EVERY_US / S) for store in stores]
    for number, messages in enumerate(disturbed(readings)):
        if number == RESTART:
            await stores[0].close()
            stores[0] = Store(database)
            await stores[0].open()
            cycles = [
                await started(PARK, store, int(times[number]), cycle_s=EVERY_US / S)
                for store in stores
            ]
        for cycle in cycles:
            await cycle.run(messages, int(times[number]))
    await stores[0].close()

    measured, live = await stored(db, 0, MEASURED), await stored(db, MEASURED, COUNT)
    bare = without_wire(times, values)
    assert_same(measured, bare)
    rows = await stored_minutes(db)
    until = whole_minutes(times)
    expected = {key: row for key, row in folded(bare).items() if key[1] < until}
    assert {k: r for k, r in rows.items() if k[0] < MEASURED and k[1] < until} == expected
    assert await db.fetchval("SELECT count(*) FROM restatement") > 0
    assert await db.fetchval("SELECT count(*) FROM correction") == 0
    await assert_memory_is_the_same(stores[1], db, rows)

    # What replay derives is what live derived, but where live could not know better.
    both = held(live, times), held(replayed(measured, times), times)
    same = (both[0] == both[1]) | (np.isnan(both[0]) & np.isnan(both[1]))
    assert same[:RESTART].all()
    # A counter has no rate before its second sample; slopes and demands keep what they were given.
    slope = np.array([role in ("residual", *DEMAND_ROLES) for _, _, role in NETWORK.derived])
    assert same[RESTART + 1 : LATE, ~slope].all()
    assert not same[LATE:KNOWN, ~slope].all()
    assert same[KNOWN:, ~slope].all()
    forgotten = KNOWN + -(-WARM_UP_US // EVERY_US)
    assert forgotten < len(times)
    assert same[forgotten:].all()


def held(samples, times):
    """Return the value each derived tag has at each time, (n, D); NaN before its first."""
    result = np.full((len(times), len(NETWORK.derived)), np.nan)
    for d in range(result.shape[1]):
        own = samples.take(samples.tag == MEASURED + d)
        at = np.searchsorted(own.time_us, times, "right") - 1
        result[:, d] = (
            np.where(at >= 0, own.value[np.maximum(at, 0)], np.nan) if len(own) else np.nan
        )
    return result


async def assert_memory_is_the_same(memory, db, minutes):
    """The store in memory holds what the real one holds."""
    assert_same(memory.samples(COUNT), await stored(db, 0, COUNT))

    def plain(rows):
        return {
            key: tuple(None if v != v else v for v in row)  # noqa: PLR0124
            for key, row in rows.items() if key[0] < COUNT
        }  # fmt: skip

    own = {(tag, at): row for tag, rows in memory.minute.items() for at, row in rows.items()}
    assert plain(own) == plain(minutes)
    for table in ("hour", "day"):
        assert plain(getattr(memory, table)) == plain(await stored_minutes(db, table)), table
    assert len(memory.correction) == await db.fetchval("SELECT count(*) FROM correction")
    assert len(memory.restatement) == await db.fetchval("SELECT count(*) FROM restatement")
