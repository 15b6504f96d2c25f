"""Strangers at the port of the data loggers: silent ones, and ones that dribble."""

import asyncio
import time

from deploy.service import HOST, free_port
from ingest.wire import hj212
from tests.support.attack import SLACK, attacked_park
from tests.support.stored import query
from tests.support.waiting import until

MN = "010000A8900016F000169DC0"
GATEWAY = f"""
[[gateway]]
id = "cems-1"
scope = "acmepark/acme"
protocol = "hj212"
mn = "{MN}"
tags = {{ "a21022-Rtd" = "FT-1" }}
uoms = {{ a21022 = "t/h" }}
"""
STORED = "SELECT value FROM sample_named WHERE tag = 'FT-1'"


def packet():
    now = time.strftime("%Y%m%d%H%M%S", time.gmtime(time.time() + 8 * 3600))
    cp = f"DataTime={now};a21022-Rtd=1.8,a21022-Flag=N"
    return hj212.encode(hj212.Packet(f"{now}000", "31", "2011", "", MN, 5, cp))


async def test_silent_callers_keep_no_data_logger_out(services, database, park_folder, tmp_path):
    file = park_folder / "park.toml"
    file.write_text(file.read_text(encoding="utf-8") + GATEWAY, encoding="utf-8")
    port = free_port()
    settings = {"hj212_host": HOST, "hj212_port": port, "hj212_connections": 200}
    async with attacked_park(services, database, park_folder, tmp_path, **settings) as park:
        strangers = [await asyncio.open_connection(HOST, port) for _ in range(200)]
        async with park.witness() as seen, asyncio.TaskGroup() as tasks:
            dribbling = tasks.create_task(dribble([writer for _, writer in strangers]))
            began = time.monotonic()
            reader, writer = await asyncio.open_connection(HOST, port)
            writer.write(packet())
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), 10)
            assert b"CN=9014" in answer
            assert time.monotonic() - began < 3.0 * SLACK
            assert await query(database, STORED) == [(1.8,)]
            await until(lambda: evicted(park), 10)
            dribbling.cancel()
        seen.require(stored_s=3.0, feed_s=1.0, livez_s=0.1)
        for _, each in [*strangers, (reader, writer)]:
            each.close()


async def dribble(writers):
    """Send a byte by each connection, again and again: no packet, and no silence."""
    while True:
        for writer in writers:
            writer.write(b"#")
        await asyncio.sleep(0.5)


async def evicted(park):
    return (await park.metric('parktwin_ingest_loggers_total{reason="evicted"}') or 0) > 150
