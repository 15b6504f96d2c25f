"""What a sample takes: bytes of the tables and of the log of the database, memory, processor."""

import asyncio
import os
import time
from pathlib import Path

from tests.benchmarks.bench_ingest import TAGS, TOPIC, connected, start, stop
from tests.support import load
from tests.support.waiting import until

TAGS_SENT, SECONDS, STEP_MS, PER_MESSAGE, RATE = 200, 3_600, 1_000, 100, 600
SIZES = """
SELECT (SELECT count(*) FROM sample), (SELECT count(*) FROM minute),
    hypertable_size('sample'), hypertable_size('minute'),
    pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint
"""
TICKS = os.sysconf("SC_CLK_TCK")


def spent(process):
    """Return the memory [MB] and the time of the processor [s] of a process so far."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    (high,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2]
    user, system = map(int, fields.split()[11:13])
    return int(high) / 1024, (user + system) / TICKS


async def bench_size(services, database, db, bench_park, report):
    ingest = start("ingest", services, database, bench_park, PARKTWIN_HEALTH_S="5")
    try:
        await connected(db)
        before = await db.fetchrow(SIZES)
        _, began_s = spent(ingest)
        # A whole hour of the past, each tag once a second.
        hour_ms = 3_600_000
        start_ms = int(time.time() * 1000) // hour_ms * hour_ms - 2 * hour_ms
        count = TAGS_SENT * SECONDS // PER_MESSAGE
        payloads = load.scan_payloads(
            TAGS[:TAGS_SENT], start_ms, STEP_MS, count, values_per_message=PER_MESSAGE
        )
        process, result = load.publish_in_background(
            services.mosquitto.port, TOPIC, payloads, rate=RATE, block=10
        )
        sent, acked, _ = await asyncio.to_thread(result.get)
        process.join()
        assert sent == acked == count
        total = TAGS_SENT * SECONDS

        async def stored():
            return await db.fetchval(
                "SELECT count(*) >= $1 FROM sample JOIN tag USING (tag_id) WHERE tag LIKE 'FT-%'",
                total,
            )

        await until(stored, 120)
        memory, ended_s = spent(ingest)
        await until(lambda: db.fetchval("SELECT count(*) >= $1 FROM hour", TAGS_SENT), 60)
        samples, minutes, of_samples, of_minutes, log = (
            after - first for first, after in zip(before, await db.fetchrow(SIZES), strict=True)
        )
    finally:
        stop(ingest)
    report("a sample in its table, with its index", f"{of_samples / samples:.0f} B")
    report("a minute of a tag", f"{of_minutes / minutes:.0f} B", f"{minutes:,} rows")
    report("log of the database, all of it over all samples", f"{log / samples:.0f} B a sample")
    report("ingest, 10,000 tags", f"{memory:.0f} MB at most",
           f"{(ended_s - began_s) / samples * 1e6:.1f} µs of the processor a sample")  # fmt: skip
