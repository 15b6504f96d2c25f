"""What must hold for any traffic: order, delay, repetition and uoms change no number."""

import asyncio
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest.routing.topics import Message
from ingest.wire import native
from tests.support.memory_store import MemoryStore, started
from tests.support.series import samples_at, series
from tests.support.small_region import ALPHA, CAUSTIC, PARK_TOML, TAGS_CSV
from twin import quality as q
from twin.accounts.network import FLOW_ITEMS, Account, compile_network, tally
from twin.arrays import DAY_US, MINUTE_US, NEVER
from twin.energy.consumption import intensity
from twin.loading import parse_park
from twin.series.minutes import Minutes, aggregate, no_open_minutes
from twin.series.windows import completeness, edges, grade, shares
from twin.uom import compile_uom

S = 1_000_000
T0 = 1_763_784_000 * S  # on the hour
# A register of 500 kWh is full again and again in what follows.
CSV = TAGS_CSV.replace(
    "JQ-1,r/east/alpha/caustic,energy,kWh,counter,0,,",
    "JQ-1,r/east/alpha/caustic,energy,kWh,counter,0,500,",
)
CSV += f"XS-1,{CAUSTIC},state,,state,,,,running\n"
# The same plants as another engineer would have written them down.
OTHER_UOMS = {"t/h": "kg/s", "kWh": "MJ", "kA": "A", "m": "mm", "Nm3/h": "Nm3/s", "t": "kg"}
OTHER_TEXTS = {'"3 m"': '"300 cm"', '"16 m"': '"0.016 km"', '"1425 kg/m^3"': '"1.425 t/m^3"'}


def in_other_uoms(csv):
    """Return tags.csv with every uom changed and the ranges converted."""
    rows = [line.split(",") for line in csv.splitlines()]
    for row in rows[1:]:
        old, new = row[3], OTHER_UOMS.get(row[3], row[3])
        scale = compile_uom(old, row[2])[0] / compile_uom(new, row[2])[0]
        row[3] = new
        row[5:7] = [repr(float(cell) * scale) if cell else "" for cell in row[5:7]]
    return "\n".join(",".join(row) for row in rows) + "\n"


def park_of(toml, csv):
    assert "counter,0,500," in CSV
    return parse_park({"park.toml": toml, "tags.csv": csv})


PARK = park_of(PARK_TOML, CSV)
NETWORK = compile_network(PARK)
COUNT = len(PARK.tags)


@dataclass(frozen=True)
class Scan:
    """What one message says, in the uoms of the park."""

    time_us: int
    values: dict


def traffic(rng, minutes=25, scans=60):
    """Return scans of random tags in time order: two intervals, two days apart."""
    register, result = 0.0, []
    for begin in (T0, T0 + 2 * DAY_US):
        times = np.sort(rng.choice(minutes * 600, scans, replace=False)) * 100_000 + begin
        for time_us in times.tolist():
            register = (register + rng.uniform(0, 40)) % 500
            if rng.uniform() < 0.04:
                register = rng.uniform(0, 60)
            values = {"JQ-1": register, "XS-1": int(rng.integers(0, 2))}
            values |= {
                name: rng.uniform(0, 1.0)
                for name in ("II-1", "FT-1", "FT-3", "FT-4", "FT-5", "FT-7", "FT-8", "FT-9", "WT-1",
                             "LT-2")
            }  # fmt: skip
            kept = [name for name in values if rng.uniform() < 0.6]
            # A gateway may say that it has no value.
            result.append(
                Scan(time_us, {n: values[n] if rng.uniform() > 0.03 else None for n in kept})
            )
    return result


def message(scan, received_us, park=PARK):
    """Return the message of a scan; a park in other uoms gets its values converted."""
    values = dict(scan.values)
    if park is not PARK:
        for mine, own in zip(PARK.tags, park.tags, strict=True):
            value = values.get(mine.tag)
            if value is not None:
                values[mine.tag] = (value * mine.scale + mine.shift - own.shift) / own.scale
    payload = native.encode(scan.time_us // 1000, values)
    return Message("park/v1/east/alpha/gw", payload, received_us, 0, 0, 0)


async def _deliver(blocks, park, restart, watched):
    """Run each block of (scan, received) as a cycle and let the clock close what is silent."""
    store, now = MemoryStore(), T0
    cycle = await started(park, store, T0, watched=watched)
    for number, block in enumerate(blocks):
        now = max(now + S, *(received for _, received in block))
        if number == restart:
            cycle = await started(park, store, now, watched=watched)
        await cycle.run([message(scan, received, park) for scan, received in block], now)
    # So late that ingest's own counters spread nothing over the time between.
    await cycle.run([], now + 2 * DAY_US)
    assert not any(name.startswith(("rejected", "quarantined")) for name in +cycle.counters)
    return store


def deliver(scans, size=9, park=PARK, restart=-1, received_us=None, *, watched=False):
    """Return the store after scans came in this order, in blocks."""
    timed = [(scan, received_us or scan.time_us + S // 2) for scan in scans]
    blocks = [timed[i : i + size] for i in range(0, len(timed), size)]
    return asyncio.run(_deliver(blocks, park, restart, watched))


def kpis(store, park=PARK):
    """Return intensities, balance items and how far to trust them, by hour and by day."""
    network, result = compile_network(park), {}
    for table in ("hour", "day"):
        cut = edges(table, T0, T0 + 2 * DAY_US + 3600 * S, park.timezone)
        amount, covered = np.zeros((2, len(cut) - 1, len(network.tags)))
        quality = np.zeros(amount.shape, np.uint8)
        for (tag, at), row in getattr(store, table).items():
            window = int(np.searchsorted(cut, at, "right")) - 1
            if tag < COUNT and window < len(amount):
                amount[window, tag], covered[window, tag], quality[window, tag] = (
                    row[1], row[2], row[6] if row[2] > 0 else 0
                )  # fmt: skip
        amount[covered == 0] = np.nan
        accounts = tally(network, amount)

        def total(scope, subject, item, accounts=accounts):
            return accounts[:, network.accounts[Account(scope, subject, item)]]

        mass = total(CAUSTIC, "caustic", "mass")
        result[table, "electricity"] = intensity(total(CAUSTIC, "caustic", "electricity"), mass)
        result[table, "coal"] = intensity(total(CAUSTIC, "caustic", "coal_equivalent"), mass)
        for item in FLOW_ITEMS:
            if Account(ALPHA, "chlorine", item) in network.accounts:
                result[table, item] = total(ALPHA, "chlorine", item)
        share = completeness(covered, np.diff(cut) / S)
        result[table, "completeness"] = share
        known = ~np.isnan(result[table, "coal"])
        least = shares(covered[:, :COUNT], np.diff(cut) / S)
        result[table, "quality"] = grade(quality[:, :COUNT], least, known)
    return result


def assert_same_bits(first, second):
    for table in ("minute", "hour", "day"):
        assert first.table(table, COUNT) == second.table(table, COUNT), table
    ours, theirs = kpis(first), kpis(second)
    assert {key: ours[key].tobytes() for key in ours} == {
        key: theirs[key].tobytes() for key in theirs
    }


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), size=st.integers(3, 40))
@example(seed=1950, size=3)  # what was doubtful when it came is a rollover since
def test_order_delay_and_repetition_change_no_minute_sum_or_kpi(seed, size):
    rng = np.random.default_rng(seed)
    scans = traffic(rng)
    straight = deliver(scans)
    assert len(straight.table("minute", COUNT)) > 200
    # Everything comes after the end, two days late and more, in any order, a part of it twice.
    again = [scans[i] for i in rng.permutation(len(scans))]
    again += [scans[i] for i in rng.integers(0, len(scans), 20)]
    end_us = scans[-1].time_us + S
    restart = int(rng.integers(0, 6))
    disturbed = deliver(again, size, restart=restart, received_us=end_us, watched=True)
    assert len(disturbed.correction) == 0
    assert_same_bits(straight, disturbed)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), delay=st.integers(1, 119))
@example(seed=348, delay=18)  # pauses below zero made a clock seem wrong
def test_block_that_is_late_changes_what_it_would_have_changed_in_time(seed, delay):
    rng = np.random.default_rng(seed)
    scans = traffic(rng)
    late = slice(first := int(rng.integers(0, 50)), first + 9)
    remaining = scans[: late.start] + scans[late.stop :]
    moved = remaining[: late.start + delay] + scans[late] + remaining[late.start + delay :]
    assert_same_bits(deliver(scans), deliver(moved))


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_restated_minutes_are_those_of_a_computation_from_scratch(seed):
    rng = np.random.default_rng(seed)
    scans = traffic(rng)
    # Some values are sent again, and another one this time.
    changed = [Scan(s.time_us, {n: rng.uniform(0, 1) for n in s.values}) for s in scans[::11]]
    store = deliver([scans[i] for i in rng.permutation(len(scans))] + changed, 17)
    assert len(store.restatement) > 0
    assert len(store.correction) > 0
    samples = store.samples(COUNT)
    last_us = np.full(len(NETWORK.tags), NEVER)
    np.maximum.at(last_us, samples.tag, samples.time_us)
    hold_us = -(-(last_us + NETWORK.traits.gap_us) // MINUTE_US) * MINUTE_US
    close_us = np.where((last_us == NEVER) | NETWORK.traits.counter, NEVER, hold_us)
    rows = aggregate(no_open_minutes(len(NETWORK.tags)), NETWORK.traits, samples, close_us)
    scratch = MemoryStore()
    asyncio.run(scratch.write_minutes(rows, PARK.timezone))
    assert_same_bits(store, scratch)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_uoms_of_the_model_change_no_kpi(seed):
    toml = PARK_TOML
    for old, new in OTHER_TEXTS.items():
        assert old in toml
        toml = toml.replace(old, new)
    other = park_of(toml, in_other_uoms(CSV))
    assert sum(a.uom != b.uom for a, b in zip(PARK.tags, other.tags, strict=True)) >= 14
    scans = traffic(np.random.default_rng(seed))
    ours, theirs = kpis(deliver(scans)), kpis(deliver(scans, park=other), other)
    assert ours.keys() == theirs.keys()
    for key, values in ours.items():
        np.testing.assert_allclose(theirs[key], values, rtol=1e-12, err_msg=str(key))
    assert np.isfinite(ours["hour", "coal"]).sum() >= 2


READINGS = st.lists(st.tuples(st.integers(1, 90), st.floats(0, 99)), min_size=2, max_size=40)


@settings(max_examples=100, deadline=None)
@given(readings=READINGS, blocks=st.integers(1, 6))
def test_counter_counts_through_rollovers(readings, blocks):
    high, second, old = 1000.0, 0, 500.0
    times, values, rises = [0], [old], []
    # A register that shows zero has turned when it moves on.
    for wait, rise in [*readings, (1, 1.0)]:
        second += wait
        old = (old + rise) % high
        rises.append(rise)
        times.append(second)
        values.append(old)
    open_minutes, traits = no_open_minutes(1), series("counter", gap_s=60, high=high)
    samples = samples_at(times, values)
    rows = [
        aggregate(open_minutes, traits, samples.take(part), NEVER)
        for part in np.array_split(np.arange(len(times)), blocks)
    ]
    amount = sum(part.amount.sum() for part in rows) + open_minutes.amount[0]
    assert amount == pytest.approx(sum(rises), rel=1e-9, abs=1e-9)
    minutes = Minutes(
        *(np.concatenate([getattr(part, n) for part in rows]) for n in Minutes.__slots__)
    )
    assert set(minutes.quality.tolist()) <= {q.GOOD}
