"""The cycle against a real database: what is stored, restated, refused, once each."""

import asyncpg
import numpy as np
import pytest

from deploy.database.times import stamp
from ingest.counters import DATA_HEALTH, HEALTH
from tests.support import small_region
from tests.support.cycle_bench import LostOnce
from tests.support.stored import T0, TOPIC, cycling, everything, message, opened, samples
from twin import quality as q
from twin.errors import StoreError


@pytest.fixture
async def cycle(database, park):
    """A started cycle over the small park."""
    async with cycling(database, park) as cycle:
        yield cycle


async def minutes(db, tag="FT-1"):
    rows = await db.fetch(
        "SELECT extract(epoch FROM m.time)::float8 AS t, m.amount, m.covered_s, m.n FROM minute m"
        " JOIN tag USING (tag_id) WHERE tag = $1 ORDER BY m.time",
        tag,
    )
    return [(round(r["t"] * 1000) - T0, r["amount"], r["covered_s"], r["n"]) for r in rows]


async def test_sample_is_stored_in_si_and_reads_as_it_was_sent(cycle, db):
    await cycle.run([message({"ts": T0, "values": {"FT-1": 36.4, "TT-1": 21.5}})], T0 * 1000)
    assert await samples(db) == [(0, 36.4, q.GOOD)]
    assert await samples(db, "TT-1") == [(0, 21.5, q.GOOD)]
    raw = await db.fetchval("SELECT value FROM sample JOIN tag USING (tag_id) WHERE tag = 'TT-1'")
    assert raw == pytest.approx(294.65)


async def test_the_three_forms_say_the_same(cycle, db):
    scans = [{"ts": T0 + 1000, "values": {"FT-1": 1.0}}, {"ts": T0 + 2000, "values": {"FT-1": 2}}]
    columns = {"tag": ["FT-1"] * 2, "ts": [T0 + 3000, T0 + 4000], "value": [3, 4]}
    columns["quality"] = ["good", 64]
    single = {"ts": T0, "values": {"FT-1": {"v": 0.5, "q": "uncertain"}}, "simulated": True}
    now = T0 * 1000
    await cycle.run([message(single), message(scans), message(columns)], now)
    assert await samples(db) == [(0, 0.5, q.UNCERTAIN | q.SIMULATED), (1000, 1.0, q.GOOD),
                                 (2000, 2.0, q.GOOD), (3000, 3.0, q.GOOD),
                                 (4000, 4.0, q.UNCERTAIN)]  # fmt: skip


async def test_unit_of_measure_of_the_message_wins(cycle, db):
    uom = {"FT-1": "kg/s", "TT-1": "degF"}
    values = {"FT-1": 10.0, "TT-1": 32.0}
    await cycle.run([message({"ts": T0, "values": values, "uom": uom})], T0 * 1000)
    assert (await samples(db))[0][1] == pytest.approx(36.0)
    assert (await samples(db, "TT-1"))[0][1] == pytest.approx(0.0, abs=1e-9)


BAD = {
    "bad_json": b'{"ts": 1759996800000, "values": {"FT-1": nan}}',
    "bad_shape": b'{"hello": 1}',
    "bad_time": b'{"ts": "now", "values": {"FT-1": 1}}',
    "wrong_type": b'{"ts": 1759996800000, "values": {"FT-1": "36.4"}}',
    "wrong_uom": b'{"ts": 1759996800000, "values": {"FT-1": 1}, "uom": {"FT-1": "kW"}}',
    "not_finite": b'{"ts": 1759996800000, "values": {"FT-1": 1e305}}',
    "bad_quality": b'{"ts": 1759996800000, "values": {"FT-1": {"v": 1, "q": 999}}}',
    "too_large": b'{"ts": 1759996800000, "values": {"FT-1": 1, "x": "' + b"x" * (1 << 20) + b'"}}',
}


@pytest.mark.parametrize("reason", BAD)
async def test_refused_payload_is_kept_counted_and_harmless(cycle, db, reason):
    good = message({"ts": T0 + 1000, "values": {"FT-1": 5.0}})
    await cycle.run([message(BAD[reason], raw=True), good], T0 * 1000)
    row = await db.fetchrow("SELECT * FROM reject")
    assert row["reason"] == reason
    assert row["topic"] == TOPIC
    assert row["payload"] == BAD[reason][:4096]
    assert row["size"] == len(BAD[reason])
    assert cycle.counters[f"rejected.{reason}"] == 1
    assert await samples(db) == [(1000, 5.0, q.GOOD)]


async def test_payload_cut_by_the_reader_is_refused_with_its_size_and_never_sent_again(cycle, db):
    cut = message(b"{" * 1000, raw=True)._replace(cut=9_000_000)
    await cycle.run([cut], T0 * 1000)
    row = await db.fetchrow("SELECT * FROM reject")
    assert (row["reason"], row["size"], row["payload"]) == ("too_large", 9_001_000, b"{" * 1000)
    assert row["detail"].startswith("9001000 bytes, at most")
    async with cycle._store.transaction():
        assert await cycle._store.rejects.complete(None, None, "spBv1.0/") == []


@pytest.mark.parametrize("payload", [b"NaN", b"[NaN, Infinity]", b"", b"\xff\xfe", b"[" * 100_000,
                                     b'{"ts":1e400,"values":{}}', b"null", b"[1,2]"])  # fmt: skip
async def test_garbage_never_stops_the_cycle(cycle, db, payload):
    await cycle.run([message(payload, raw=True)], T0 * 1000)
    assert await db.fetchval("SELECT count(*) FROM reject") == 1


async def test_topic_of_another_enterprise_cannot_write_our_tags(cycle, db):
    body = {"ts": T0, "values": {"FT-1": 1.0}}
    other = message(body, topic="park/v1/acmepark/other/gw")
    nobody = message(body, topic="park/v1/acmepark/nobody/gw")
    short = message(body, topic="park/v1/acmepark")
    await cycle.run([other, nobody, short], T0 * 1000)
    row = await db.fetchrow("SELECT * FROM quarantine")
    assert (row["enterprise"], row["tag"], row["reason"]) == ("other", "FT-1", "unknown_tag")
    reasons = [r["reason"] for r in await db.fetch("SELECT reason FROM reject ORDER BY id")]
    assert reasons == ["unknown_enterprise", "bad_topic"]
    assert await samples(db) == []


async def test_unknown_tags_and_the_future_are_quarantined_and_counted(cycle, db):
    far = T0 + 300_001
    bodies = [
        {"ts": T0, "values": {"ZZ-1": 7.0, "FT-1": 1.0}},
        {"ts": far, "values": {"FT-1": 2.0}},
    ]
    await cycle.run([message(b) for b in bodies], T0 * 1000)
    await cycle.run([message(bodies[0])], T0 * 1000 + 10)
    rows = {r["reason"]: r for r in await db.fetch("SELECT * FROM quarantine")}
    assert (rows["unknown_tag"]["tag"], rows["unknown_tag"]["count"]) == ("ZZ-1", 2)
    assert rows["unknown_tag"]["last_value"] == 7.0
    assert (rows["future"]["tag"], rows["future"]["count"]) == ("FT-1", 1)
    assert await samples(db) == [(0, 1.0, q.GOOD)]


async def test_names_the_database_cannot_hold_do_no_harm(cycle, db):
    body = rb'{"ts": 1759996800000, "values": {"a\u0000b": 1, "\ud800": "x", "FT-1": "\u0000"}}'
    await cycle.run([message(body, raw=True)], T0 * 1000)
    kept = await db.fetchval("SELECT count(*) FROM quarantine") + await db.fetchval(
        "SELECT count(*) FROM reject"
    )
    assert kept >= 1


async def test_quarantine_of_an_enterprise_is_bounded(database, park, db):
    # The park and its two enterprises have equal shares.
    async with cycling(database, park, quarantine_rows=15) as small:
        for turn in range(3):
            body = {"ts": T0, "values": {f"Z{i}": 1.0 for i in range(turn, turn + 4)}}
            await small.run([message(body)], T0 * 1000)
    rows = await db.fetch("SELECT tag, count FROM quarantine ORDER BY tag")
    assert [(r["tag"], r["count"]) for r in rows] == [
        ("Z0", 1), ("Z1", 2), ("Z2", 3), ("Z3", 3), ("Z4", 2)
    ]  # fmt: skip
    assert small.counters["quarantined.unknown_tag"] == 12


async def test_an_enterprise_cannot_fill_the_quarantine_of_another(database, park, db):
    async with cycling(database, park, quarantine_rows=15, quarantine_samples=30) as small:
        others = message({"ts": T0, "values": {"Y1": 7.0}}, topic="park/v1/acmepark/other/gw")
        flood = message({"ts": T0, "values": {f"Z{i}": 1.0 for i in range(100)}})
        await small.run([others], T0 * 1000)
        for turn in range(5):
            await small.run([flood], T0 * 1000 + turn)
        late = message({"ts": T0, "values": {"Y2": 7.0}}, topic="park/v1/acmepark/other/gw")
        await small.run([late], T0 * 1000)
    rows = await db.fetch("SELECT enterprise, count(*) FROM quarantine GROUP BY 1 ORDER BY 1")
    assert [tuple(row) for row in rows] == [("acme", 5), ("other", 2)]
    held = await db.fetch(
        "SELECT enterprise, count(*) FROM quarantine_sample GROUP BY 1 ORDER BY 1"
    )
    assert [tuple(row) for row in held] == [("acme", 10), ("other", 2)]


async def test_an_enterprise_cannot_evict_the_rejects_of_another(database, park, db):
    bounds = {"reject_rows": 15, "reject_rows_at_once": 3}
    async with cycling(database, park, **bounds) as small:
        await small.run([message(b"{", topic="park/v1/acmepark/other/gw", raw=True)], T0 * 1000)
        columns = {"tag": [1] * 500, "ts": [T0] * 500, "value": [1] * 500}
        for turn in range(4):
            await small.run(
                [message(columns), message(b"[", topic="x", raw=True)], T0 * 1000 + turn
            )
        assert small.counters["rejected.bad_name"] == 2000
    rows = await db.fetch("SELECT enterprise, left(detail, 30) AS detail FROM reject ORDER BY id")
    assert [row["enterprise"] for row in rows].count("acme") == 5
    assert [row["enterprise"] for row in rows].count("other") == 1
    assert [row["enterprise"] for row in rows].count("") == 4
    more = [row["detail"] for row in rows if row["detail"].startswith("497 more came with it: ")]
    assert len(more) == 2


async def test_null_is_stored_as_bad_and_out_of_range_as_uncertain(cycle, db):
    await cycle.run([message({"ts": T0, "values": {"FT-1": None, "TT-1": 500.0}})], T0 * 1000)
    row = (await samples(db))[0]
    assert np.isnan(row[1])
    assert row[2] == q.BAD | q.NOT_A_NUMBER
    assert (await samples(db, "TT-1"))[0][2] == q.UNCERTAIN | q.OUT_OF_RANGE


async def test_same_value_again_is_ignored_and_another_one_is_a_correction(cycle, db):
    first = {"ts": T0, "values": {"FT-1": 1.0}}
    await cycle.run([message(first)], T0 * 1000)
    await cycle.run([message(first), message(first)], T0 * 1000)
    await cycle.run([message({"ts": T0, "values": {"FT-1": 3.6}})], T0 * 1000)
    assert await samples(db) == [(0, 3.6, q.GOOD)]
    assert cycle.counters["duplicates"] == 2
    assert cycle.counters["corrections"] == 1
    assert await db.fetchval("SELECT old_value FROM correction") == pytest.approx(1 / 3.6)


async def test_same_value_of_another_quality_is_a_correction(cycle, db):
    await cycle.run([message({"ts": T0, "values": {"FT-1": 1.0}})], T0 * 1000)
    doubted = {"ts": T0, "values": {"FT-1": {"v": 1.0, "q": "bad"}}}
    await cycle.run([message(doubted), message(doubted)], T0 * 1000)
    assert await samples(db) == [(0, 1.0, q.BAD)]
    assert cycle.counters["corrections"] == 1
    assert await db.fetchval("SELECT old_quality FROM correction") == q.GOOD


async def test_late_reading_of_a_counter_loses_no_minute_before_a_long_silence(cycle, db):
    now_ms = T0
    for second, energy in ((0, 0.0), (90, 3.0), (2 * 86_400, 50.0), (30, 1.0)):
        at_ms = T0 + second * 1000
        body = {"ts": at_ms, "values": {"JQ-1": energy}}
        now_ms = max(at_ms, now_ms)
        await cycle.run([message(body, at_ms=T0 + 2 * 86_400_000)], now_ms * 1000)
    kwh = 3.6e6
    first, second, *spread = await minutes(db, "JQ-1")
    assert first == (0, pytest.approx(2.0 * kwh), 60.0, 2)
    # Over the silence of two days the increase is spread.
    rate = 47.0 * kwh / (2 * 86_400 - 90)
    assert second == (60_000, pytest.approx(1.0 * kwh + 30 * rate), 60.0, 1)
    assert [row[1] for row in spread] == pytest.approx([60 * rate] * (2 * 1440 - 2))


async def test_late_sample_is_stored_but_does_not_move_the_image(cycle, db):
    await cycle.run([message({"ts": T0 + 10_000, "values": {"FT-1": 2.0}})], T0 * 1000)
    await cycle.run([message({"ts": T0, "values": {"FT-1": 1.0}})], T0 * 1000)
    assert [s[0] for s in await samples(db)] == [0, 10_000]
    assert cycle.counters["late"] == 1
    newest = await db.fetchrow("SELECT * FROM cycle ORDER BY cycle_us DESC LIMIT 1")
    ids = np.frombuffer(newest["tag_id"], "<i4")
    at = np.flatnonzero(ids == await db.fetchval("SELECT tag_id FROM tag WHERE tag = 'FT-1'"))
    assert np.frombuffer(newest["value"], "<f8")[at] * 3.6 == pytest.approx(2.0)


def bodies(rng, n=400, span_s=900):
    """Samples of all tags in time order, as single messages."""
    times = np.sort(rng.choice(span_s * 10, n, replace=False)) * 100 + T0
    energy = np.cumsum(rng.uniform(0, 1, n))
    return [
        {"ts": int(t), "values": {"FT-1": float(rng.uniform(0, 50)), "JQ-1": float(energy[i]),
                                  "XS-1": int(rng.integers(0, 2))}}
        for i, t in enumerate(times)
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
async def test_disorder_changes_no_minute_hour_or_day(cycle, db, database, park, seed):
    rng = np.random.default_rng(seed)
    straight = bodies(rng)
    end_ms = T0 + 3_600_000
    for i in range(0, len(straight), 37):
        block = [message(b, at_ms=b["ts"] + 500) for b in straight[i : i + 37]]
        await cycle.run(block, block[-1].received_us)
    await cycle.run([], end_ms * 1000)
    expected = await everything(db)
    assert len(expected["minute"]) >= 45
    await db.execute("TRUNCATE sample, minute, hour, day, restatement, cycle")
    shuffled = [straight[i] for i in rng.permutation(len(straight))] + straight[::7]
    # With a restart in the middle.
    for part in (range(0, 231, 23), range(253, len(shuffled), 23)):
        async with cycling(database, park, now_us=end_ms * 1000) as again:
            for i in part:
                block = [message(b, at_ms=end_ms) for b in shuffled[i : i + 23]]
                await again.run(block, end_ms * 1000 + i * 500_000)
            if part.start:
                await again.run([], end_ms * 1000 + part[-1] * 500_000 + 7_200_000_000)
    got = await everything(db)
    for table in expected:
        assert got[table] == expected[table], table
    assert await db.fetchval(
        "SELECT count(*) FROM sample s JOIN tag USING (tag_id) WHERE source = 'measured'"
    ) == 3 * len(straight)
    assert await db.fetchval("SELECT count(*) FROM correction") == 0


async def test_health_of_ingest_is_stored_as_tags(cycle, db):
    await cycle.run([message({"ts": T0, "values": {"FT-1": 1.0}})], T0 * 1000)
    await cycle.run([], T0 * 1000 + 6_000_000)
    rows = await db.fetch(
        "SELECT value FROM sample_named WHERE enterprise = 'acmepark'"
        " AND tag = 'ingest.samples' ORDER BY time"
    )
    assert [row["value"] for row in rows] == [0.0, 1.0]


async def test_health_of_a_cycle_whose_commit_failed_is_stored_by_the_next_try(database, park, db):
    due_us = T0 * 1000 + 6_000_000
    async with cycling(database, park, kind=LostOnce) as cycle:
        await cycle.run([message({"ts": T0, "values": {"FT-1": 1.0}})], T0 * 1000)
        cycle._store.lost = True
        await cycle.run([message({"ts": T0 + 6000, "values": {"FT-1": 2.0}})], due_us)
    assert cycle.counters["retries"] == 1
    health = await db.fetch(
        "SELECT DISTINCT tag FROM sample_named WHERE tag LIKE 'ingest.%' AND time = $1",
        stamp(due_us),
    )
    assert {row["tag"] for row in health} == {f"ingest.{name}" for name in (*HEALTH, *DATA_HEALTH)}
    assert await db.fetchval("SELECT messages FROM gateway WHERE gateway = 'gw1'") == 1


async def test_a_driver_that_has_lost_track_of_the_server_gets_a_new_connection(database):
    async with opened(database) as store:
        with pytest.raises(StoreError) as lost:
            async with store.transaction():
                raise asyncpg.InternalClientError("unexpected data")
        assert lost.value.retryable
        async with store.transaction():
            assert await store.fetch("SELECT 1 AS one")


async def test_one_cycle_takes_thousands_of_messages(cycle, db):
    bodies = [{"ts": T0 + i, "values": {"FT-1": float(i % 90)}} for i in range(5000)]
    await cycle.run([message(body) for body in bodies], T0 * 1000)
    assert await db.fetchval("SELECT count(*) FROM sample_named WHERE tag = 'FT-1'") == 5000
    assert await db.fetchval("SELECT count(*) FROM cycle") == 1


@pytest.mark.parametrize("lost", [False, True])
async def test_unaccounted_is_known_again_right_after_a_restart(database, db, lost):
    owners = {"alpha": "east", "beta": "west"}

    async def run(cycle, second):
        at_ms = T0 + second * 1000
        values = {o: {t.tag: 1.0 for t in small_region.PARK.tags if t.owner == o} for o in owners}
        messages = [
            message({"ts": at_ms, "values": v}, topic=f"park/v1/{owners[o]}/{o}/gw", at_ms=at_ms)
            for o, v in values.items()
        ]
        await cycle.run(messages, at_ms * 1000)

    for seconds in (range(0, 1500, 30), range(1500, 1502)):
        now_us = (T0 + seconds[0] * 1000) * 1000
        async with cycling(database, small_region.PARK, now_us, LostOnce) as cycle:
            cycle._store.lost = lost
            for second in seconds:
                await run(cycle, second)
    rows = await db.fetch(
        "SELECT value FROM sample_named WHERE tag LIKE '%chlorine.mass_flow.residual'"
        " AND time >= to_timestamp($1)",
        T0 / 1000 + 1500,
    )
    assert len(rows) >= 2
    assert not np.isnan([row["value"] for row in rows]).any()


async def test_tag_whose_samples_wait_in_the_inbox_is_not_silent(cycle, db):
    """Under overload the clock must not close minutes whose samples have come but are not read."""
    first = message({"ts": T0, "values": {"FT-1": 1.0, "TT-1": 20.0}})
    await cycle.run([first], T0 * 1000)
    cycle.inbox_size = lambda: 1
    late = [(T0 + 1000 * s, {"FT-1": 1.0}) for s in (20, 40, 70)]
    for ts, values in late:
        await cycle.run([message({"ts": ts, "values": values}, at_ms=ts)], (T0 + 200_000) * 1000)
    cycle.inbox_size = lambda: 0
    last = message({"ts": T0 + 75_000, "values": {"TT-1": 30.0}}, at_ms=T0 + 75_000)
    await cycle.run([last], (T0 + 201_000) * 1000)
    assert (cycle.counters["late"], cycle.counters["restated"]) == (0, 0)
    assert (await minutes(db, "TT-1"))[0][2:] == (60.0, 1)


# Of a thousand samples there are a few hours: those may end in what came later.
@pytest.mark.parametrize("table", ["sample", "minute", "day"])
async def test_columns_are_in_the_order_that_pads_nothing(db, table):
    widths = await db.fetchval(
        "SELECT array_agg(attlen ORDER BY attnum) FROM pg_attribute"
        " WHERE attrelid = $1::text::regclass AND attnum > 0",
        table,
    )
    assert widths == sorted(widths, reverse=True)
