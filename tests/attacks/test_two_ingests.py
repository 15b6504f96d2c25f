"""Two ingests started by mistake: on one database, and under one client id."""

import asyncio

import httpx
import pytest

from deploy import access
from ingest.store import Store
from tests.support.attack import attacked_park
from tests.support.programs import program, stop
from tests.support.waiting import until
from twin.errors import OccupiedError


async def test_a_second_ingest_waits_and_takes_over_when_the_first_is_killed(
    services, database, park_folder, tmp_path
):
    async with attacked_park(services, database, park_folder, tmp_path) as park:
        path = tmp_path / "second.log"
        with path.open("w") as log:
            second = program("ingest", park.environment, log)
        try:
            async with park.witness() as seen:
                await until(lambda: "another ingest works on this database" in path.read_text(), 20)
                await asyncio.sleep(3)
            seen.require(stored_s=3.0, feed_s=1.0)
            assert await park.metric("parktwin_ingest_reconnects_total") == 0
            assert path.read_text().count("another ingest works") == 1
            assert "connected to" not in path.read_text()
            async with park.witness() as seen:
                park.processes["ingest"].kill()
                await until(lambda: "connected to" in path.read_text(), 20)
                await asyncio.sleep(2)
            seen.require(stored_s=8.0, feed_s=8.0)
        finally:
            stop(second)
        assert second.returncode == 0


async def test_a_waiting_ingest_stops_when_it_is_told_to(services, database, park_folder, tmp_path):
    async with attacked_park(services, database, park_folder, tmp_path) as park:
        path = tmp_path / "second.log"
        with path.open("w") as log:
            second = program("ingest", park.environment, log)
        await until(lambda: "another ingest works on this database" in path.read_text(), 20)
        stop(second, seconds=2)
        assert second.returncode == 0


async def test_an_ingest_whose_session_the_server_still_holds_gets_its_database_back(database):
    first, second = Store(database, exclusive=True), Store(database, exclusive=True)
    await first.open()
    with pytest.raises(OccupiedError, match="another ingest"):
        await second.open()
    held = first._connection  # lost by the client, and the server does not know
    first._connection = None
    await first.open()
    await until(held.is_closed)
    await first.close()
    await second.open()
    await second.close()


async def test_two_ingests_of_one_client_id_do_not_fight_and_say_so(
    services, database, park_folder, tmp_path
):
    access.create_database(services.postgres.box, services.postgres.port, "twice")
    other = f"{database.rpartition('/')[0]}/twice"
    async with attacked_park(services, database, park_folder, tmp_path) as park:
        environment = {**park.environment, "PARKTWIN_DATABASE_URL": other}
        path = tmp_path / "second.log"
        with path.open("w") as log:
            second = program("ingest", environment, log)
        try:
            await until(lambda: "connected to" in path.read_text(), 20)
            async with httpx.AsyncClient(base_url=park.base_url, timeout=10) as client:
                await until(lambda: is_refused(client), 20)
            await asyncio.sleep(5)
            assert await park.metric("parktwin_ingest_taken_over_total") == 1
            assert path.read_text().count("connected to") == 1
            assert "give each ingest its own PARKTWIN_CLIENT_ID" in park.log.read_text()
        finally:
            stop(second)


async def is_refused(client):
    answer = await client.get("/readyz")
    return answer.status_code == 503 and "not connected to the broker" in answer.text
