"""The park without an attack: what a witness notices then, and that it does notice."""

import asyncio
import signal

from tests.support.attack import attacked_park


async def test_a_park_in_peace_stores_and_shows_every_value(
    services, database, park_folder, tmp_path
):
    async with attacked_park(services, database, park_folder, tmp_path) as park:
        async with park.witness() as seen:
            await asyncio.sleep(4)
        seen.require(stored_s=3.0, feed_s=1.0, livez_s=0.1, ingest_mb=400, api_mb=400)
        assert seen.seen >= 8
        assert seen.failed == []


async def test_a_witness_notices_a_hung_ingest(services, database, park_folder, tmp_path):
    async with attacked_park(services, database, park_folder, tmp_path) as park:
        async with park.witness() as seen:
            park.processes["ingest"].send_signal(signal.SIGSTOP)
            await asyncio.sleep(4)
            park.processes["ingest"].send_signal(signal.SIGCONT)
            await asyncio.sleep(1)
        assert seen.stored_s > 3.5
        assert seen.feed_s > 3.5
        assert seen.livez_s < 0.5
