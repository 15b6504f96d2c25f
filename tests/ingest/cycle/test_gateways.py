"""Gateways and marked samples through the cycle, with a real database; clocks, health of data."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from ingest.counters import DATA_HEALTH
from ingest.routing.topics import Message
from ingest.store.store import SAID
from ingest.wire import hj212
from tests.support.cycle_bench import T0, TOPIC, message, samples, steady
from twin import quality as q
from twin.validation.gateway_health import clock_skew, data_health

pytest_plugins = ["tests.support.cycle_bench"]

LOGGER = """
[[gateway]]
id = "cems"
scope = "acmepark/acme"
protocol = "hj212"
mn = "A110000_0001"
tags = { "2061.a1-Avg" = "FT-1" }
"""
CHECK = '\n[[check]]\ntag = "acme/FT-1"\nrate = "20 t/h/min"\n'


def packet(cn, cp):
    return hj212.encode(hj212.Packet("", "31", cn, "", "A110000_0001", 4, cp))


async def gateways(db):
    return {
        f"{row['enterprise']}/{row['gateway']}": dict(row)
        for row in await db.fetch("SELECT * FROM gateway")
    }


async def newest(db, owner, name):
    return await db.fetchval(
        "SELECT value FROM sample_named WHERE enterprise = $1 AND tag = $2 ORDER BY time DESC"
        " LIMIT 1", owner, f"ingest.{name}",
    )  # fmt: skip


async def test_spike_is_stored_as_uncertain_and_counted_and_stays_so_when_it_comes_again(bench, db):
    it = await bench(more=CHECK)
    await steady(it, count=60)
    now = [
        message({"FT-1": value}, T0 + at * 2000)
        for at, value in ((60, 36.0), (61, 80.0), (62, 36.0))
    ]
    await it.run(now, T0 + 63 * 2000)
    expected = [(60, 36.0, 0), (61, 80.0, q.UNCERTAIN | q.RATE_OF_CHANGE), (62, 36.0, 0)]
    assert await samples(db, since=60) == expected
    assert it.cycle.counters["spikes"] == it.cycle.counters["flagged.rate_of_change"] == 1
    await it.run(now, T0 + 64 * 2000)
    assert await samples(db, since=60) == expected
    assert await db.fetchval("SELECT count(*) FROM correction") == 0
    # A correction is one.
    await it.run([message({"FT-1": 36.1}, T0 + 61 * 2000)], T0 + 65 * 2000)
    assert (await samples(db, since=60))[1][1:] == (36.1, 0)


def test_the_statements_know_the_marks_by_their_numbers():
    marks = {q.RESET, q.RATE_OF_CHANGE, q.STUCK, q.UNIT_ERROR, q.CLOCK_SKEW}
    assert {q.UNCERTAIN | mark for mark in marks} == {75, 77, 78, 79, 80}
    assert "IN (75, 77, 78, 79, 80)" in SAID
    assert q.BAD | q.UNIT_ERROR == 143
    assert q.UNCERTAIN | q.OUT_OF_RANGE == 65


async def test_gateways_are_counted_each_for_itself(bench, db):
    it = await bench()
    other = "park/v1/acmepark/acme/gw2"
    first = message({"FT-1": 1.0, "TT-1": 20.0}, T0)
    second = message({"JQ-1": 5.0}, T0 + 1000, topic=other)
    await it.run([first, second, message({"ZZ": 1.0}, T0, topic=other)], T0 + 1000)
    broken = Message(other, b"{", (T0 + 1500) * 1000, 1, 1, 0)
    again, late = first, message({"JQ-1": 4.0}, T0 - 60_000, topic=other)
    await it.run([again, late, broken], T0 + 2000)
    nobody = message({"FT-1": 1.0}, T0, topic="park/v1/acmepark/nobody/gw")
    await it.run([nobody], T0 + 10_000)
    await it.run([], T0 + 20_000)
    result = await gateways(db)
    counts = ("messages", "samples", "rejected", "duplicates", "late", "dropped")
    assert {k: tuple(v[c] for c in counts) for k, v in result.items()} == {
        "acme/gw1": (2, 4, 0, 2, 0, 0),
        "acme/gw2": (4, 2, 1, 0, 1, 0),
    }
    assert result["acme/gw2"]["topic"] == other
    assert result["acme/gw2"]["last_heard"].timestamp() * 1000 == T0 + 1500
    # They go on where they were.
    await it.start(T0 + 21_000)
    await it.run([message({"FT-1": 2.0}, T0 + 22_000)], T0 + 22_000)
    await it.run([], T0 + 30_000)
    assert (await gateways(db))["acme/gw1"]["messages"] == 3


async def test_silent_gateway_is_told_and_heard_again(bench, db):
    it = await bench(gateway_silent_s=60)
    for second in range(0, 20, 2):
        at = T0 + second * 1000
        both = [message({"FT-1": 1.0 + second}, at),
                message({"TT-1": 1.0 + second}, at, topic=TOPIC + "b")]  # fmt: skip
        await it.run(both, at)
    for second in range(20, 200, 2):
        at = T0 + second * 1000
        await it.run([message({"FT-1": 1.0 + second}, at)], at)
        if second in (22, 26):
            # Three of its pauses of 2 s have passed after 25 s.
            silent = float(second == 26)
            assert await newest(db, "acme", "silent_gateways") == silent
            assert await newest(db, "acme", "timeliness") == 1.0 - silent / 2
    result = await gateways(db)
    assert {key: row["silent"] for key, row in result.items()} == {
        "acme/gw1": False, "acme/gw1b": True
    }  # fmt: skip
    assert await newest(db, "acme", "timeliness") == 0.5
    assert await newest(db, "acme", "health") < 1
    at = T0 + 200_000
    await it.run([message({"TT-1": 9.0}, at, topic=TOPIC + "b")], at)
    await it.run([], at + 6000)
    assert not (await gateways(db))["acme/gw1b"]["silent"]


async def test_hourly_gateway_is_not_silent_between_its_hours(bench, db):
    it = await bench(gateway_silent_s=60)
    for hour in range(8):
        at = T0 + hour * 3_600_000
        await it.run([message({"FT-1": 1.0 + hour}, at - 3_600_000, after_ms=3_600_000)], at)
        await it.run([], at + 1_800_000)
    row = (await gateways(db))["acme/gw1"]
    assert not row["silent"]
    assert row["pause_s"] == pytest.approx(3600)
    assert (row["delay_s"], row["skew_s"]) == (3600, 0)
    await it.run([], at + 4 * 3_600_000)
    assert (await gateways(db))["acme/gw1"]["silent"]


@pytest.mark.parametrize(("ahead_s", "flagged"), [(200, True), (-28_800, True), (5, False)])
async def test_samples_of_a_wrong_clock_are_uncertain_and_not_moved(bench, db, ahead_s, flagged):
    it = await bench()
    for second in range(0, 420, 3):
        now = T0 + second * 1000
        at = now + ahead_s * 1000
        value = 1.0 + second % 50
        await it.run([message({"FT-1": value}, at, after_ms=-ahead_s * 1000)], now)
    codes = [code for *_, code in await samples(db, since=-(10**9))]
    assert codes[:90] == [0] * 90
    assert set(codes[-20:]) == {(q.UNCERTAIN | q.CLOCK_SKEW) if flagged else 0}
    await it.run([], now + 6000)
    row = (await gateways(db))["acme/gw1"]
    expected = ahead_s if ahead_s > 0 else ahead_s + 3
    assert row["skew_s"] == pytest.approx(expected, abs=0.1)
    assert row["skewed"] == flagged
    assert await newest(db, "acme", "skew") == pytest.approx(row["skew_s"])
    assert (it.cycle.counters["flagged.clock_skew"] > 0) == flagged


@pytest.mark.parametrize(
    ("interval_s", "late_s", "flagged"),
    [(60, (65, 95), False), (600, (65, 95), False), (3600, (65, 95), False),
     (60, (80, 80), False), (600, (80, 80), False), (3600, (80, 80), False),
     (600, (5, 5), False), (60, (400, 400), True), (600, (28_880, 28_880), True)],
)  # fmt: skip
async def test_values_sent_by_rule_after_their_interval_are_of_no_wrong_clock(
    bench, db, interval_s, late_s, flagged
):
    it = await bench()
    now = T0
    for nth in range(24):
        begin = T0 + nth * interval_s * 1000
        now = begin + (interval_s + late_s[nth % 2]) * 1000
        await it.run([message({"FT-1": 1.0 + nth}, begin, after_ms=now - begin)], now)
    await it.run([], now + 6000)
    row = (await gateways(db))["acme/gw1"]
    assert (row["skewed"], row["skew_s"] == 0) == (flagged, not flagged)
    assert (it.cycle.counters["flagged.clock_skew"] > 0) == flagged


async def test_heartbeats_between_hours_do_not_make_the_hours_late(bench, db):
    it = await bench(more=LOGGER)
    now = T0
    for nth in range(120):
        now = T0 + nth * 600_000 + 80_000
        sent = [packet("9015", "")]
        if nth % 6 == 0:
            begin = datetime.fromtimestamp(T0 / 1000 + nth * 600 - 3600, ZoneInfo("Asia/Shanghai"))
            sent.append(packet("2061", f"DataTime={begin:%Y%m%d%H%M%S};a1-Avg=3;a1-Flag=N"))
        topic = "hj212/v1/acmepark/acme/cems"
        await it.run([Message(topic, each, now * 1000, 1, 1, 0) for each in sent], now)
    await it.run([], now + 6000)
    row = (await gateways(db))["acme/cems"]
    assert (row["messages"], row["rejected"]) == (140, 0)
    assert (row["delay_s"], row["skew_s"], row["skewed"]) == (3680, 0, False)
    assert row["pause_s"] == 600


async def test_backlog_after_an_outage_is_no_wrong_clock(bench, db):
    it = await bench()
    # Three hours of samples come in twenty minutes.
    for second in range(0, 1200, 4):
        now = T0 + second * 1000
        at = now - round((1 - second / 1200) * 10_800_000)
        await it.run([message({"FT-1": 1.0 + second}, at, after_ms=now - at)], now)
    await it.run([], now + 6000)
    assert not (await gateways(db))["acme/gw1"]["skewed"]
    assert it.cycle.counters["flagged.clock_skew"] == 0


async def test_runaway_loses_what_it_sends_at_qos_0_and_nobody_else_does(bench, db):
    it = await bench(gateway_rate=10, gateway_burst=50)
    lost = 0
    for second in range(20):
        now = T0 + second * 1000
        flood = [message({"FT-1": float(i)}, now + i, qos=0) for i in range(100)]
        other = message({"TT-1": 1.0 + second}, now, topic=TOPIC + "b", qos=0)
        kept = message({"XS-1": 1.0}, now, topic=TOPIC)
        await it.run([*flood, other, kept], now)
    await it.run([], now + 10_000)
    result = await gateways(db)
    lost = result["acme/gw1"]["dropped"]
    stored = await db.fetchval("SELECT count(*) FROM sample_named WHERE tag = 'FT-1'")
    assert stored + lost == 2000
    # Ten a second, once the burst of fifty is gone; a flood is noticed when it is committed.
    assert stored <= 50 + 20 * 10 + 100
    assert it.cycle.counters["dropped"] == lost
    assert result["acme/gw1b"]["dropped"] == 0
    assert await db.fetchval("SELECT count(*) FROM sample_named WHERE tag = 'TT-1'") == 20
    assert await db.fetchval("SELECT count(*) FROM sample_named WHERE tag = 'XS-1'") == 20


async def test_gateways_are_bounded_and_the_one_silent_for_longest_goes(bench, db):
    it = await bench(gateways_max=3, gateway_silent_s=60)
    for nth in range(4):
        at = T0 + nth * 1000
        await it.run([message({"FT-1": float(nth)}, at, topic=f"{TOPIC}-{nth}")], at)
    await it.run([], T0 + 10_000)
    assert set(await gateways(db)) == {f"acme/gw1-{nth}" for nth in range(3)}
    at = T0 + 100_000
    await it.run([message({"FT-1": 9.0}, at, topic=f"{TOPIC}-new")], at)
    await it.run([], at + 6000)
    assert set(await gateways(db)) == {"acme/gw1-1", "acme/gw1-2", "acme/gw1-new"}


async def test_gateway_names_the_database_cannot_hold_do_no_harm(bench, db):
    it = await bench()
    names = ["a\0b", "x" * 60_000, "\ud800"]
    for nth, name in enumerate(names):
        at = T0 + nth * 1000
        await it.run([message({"FT-1": float(nth)}, at, topic=f"park/v1/acmepark/acme/{name}")], at)
    await it.run([], T0 + 10_000)
    assert len(await gateways(db)) == 3


async def test_health_of_the_data_is_a_tag_of_each_enterprise(bench, db):
    it = await bench()
    await it.run([message({"FT-1": 1.0, "TT-1": 20.0, "JQ-1": 1.0}, T0)], T0)
    await it.run([], T0 + 6000)
    rows = await db.fetch(
        "SELECT enterprise, tag, scope FROM tag"
        " WHERE source = 'derived' AND enterprise <> 'acmepark'"
    )
    named = {(row["enterprise"], row["tag"], row["scope"]) for row in rows}
    assert named == {
        (owner, f"ingest.{name}", f"acmepark/{owner}")
        for owner in ("acme", "other")
        for name in DATA_HEALTH
    }
    # Three of the four tags of acme have a value; of the other enterprise nothing was heard.
    assert await newest(db, "acme", "completeness") == 0.75
    assert await newest(db, "acme", "health") == pytest.approx(0.75**0.4)
    assert await newest(db, "other", "health") == 0.0


async def test_health_of_the_data_can_raise_an_alarm(bench, db):
    alarm = '\n[[alarm]]\nid = "data"\ntag = "acme/ingest.health"\nlimit = "0.9"\n'
    it = await bench(more=alarm + 'direction = "low"\n')
    await it.run([message({"FT-1": 1.0}, T0)], T0)
    for second in (6, 12, 18):
        await it.run([], T0 + second * 1000)
    assert await db.fetchval("SELECT state FROM alarm WHERE alarm = 'data'") == "unacknowledged"


def test_health_is_the_weighted_geometric_mean_of_its_parts():
    one, none = np.ones(1), np.zeros(1)
    assert data_health(one, one, none, none, none, 60.0)[0] == 1.0
    assert data_health(none, one, none, none, none, 60.0)[0] == 0.0
    half = data_health(one, one, none, none, np.array([-60.0]), 60.0)[0]
    assert half == pytest.approx(0.5**0.1)
    assert data_health(one, one, none, none, np.array([-60.0]), 0.0)[0] == 1.0


def test_clock_is_told_by_the_median_of_the_quickest():
    nan = np.nan
    minima = np.array([
        [-30.0, -30.1, -30.2, -29.9, -30.0, 400.0],  # ahead, and one outage
        [0.2, 0.2, 0.3, -120.0, 0.2, 0.2],           # right, and one mistake
        [3605.0, 3600.0, 3601.0, 3602.0, 3600.0, nan],  # hours, sent at their end
        [28_800.0, 28_800.1, 28_800.0, 28_800.2, 28_800.0, 28_800.0],  # eight hours behind
        [900.0, 700.0, 500.0, 300.0, 100.0, nan],    # catching up
        [-90.0, nan, nan, nan, nan, nan],            # once
    ])  # fmt: skip
    step = np.tile([[2.0], [2.0], [3600.0], [2.0], [2.0], [2.0]], (1, 6))
    delay, skew = clock_skew(minima, step)
    np.testing.assert_allclose(delay[:5], [-30.0, 0.2, 3601.0, 28_800.0, 500.0], atol=0.06)
    np.testing.assert_allclose(skew[:5], [30.0, 0.0, 0.0, -28_798.0, 0.0], atol=0.06)
    assert np.isnan([delay[5], skew[5]]).all()


async def test_readers_are_told_which_tags_are_late(bench, db):
    it = await bench()

    async def late():
        rows = await db.fetch("SELECT late FROM cycle WHERE late IS NOT NULL ORDER BY cycle_us")
        ids = np.frombuffer(rows[-1]["late"], "<i4").tolist()
        named = await db.fetch("SELECT tag FROM tag WHERE tag_id = ANY($1::int[])", ids)
        return {row["tag"] for row in named}

    for second in range(0, 60, 2):
        at = T0 + second * 1000
        quick = message({"FT-1": 1.0 + second}, at)
        slow = [message({"TT-1": 1.0 + second}, at)] if second % 20 == 0 else []
        await it.run([quick, *slow], at)
    assert await late() == set()
    # The gateway goes on, without one of its tags: that is late after three of its own intervals.
    for second in range(60, 72, 2):
        await it.run([message({"TT-1": 2.0}, T0 + second * 1000)], T0 + second * 1000)
    names = await late()
    assert "FT-1" in names
    assert "TT-1" not in names
    # Without any message the gateway is silent, and so are tags whose own time has not come.
    await it.run([], T0 + 77_000)
    assert {"FT-1", "TT-1"} <= await late()
    await it.run([message({"TT-1": 3.0}, T0 + 80_000)], T0 + 80_000)
    await it.run([], T0 + 80_500)
    assert "TT-1" not in await late()
    assert await newest(db, "acme", "late_share") > 0
