"""What breaks in the life of a control room, and that nothing is lost, doubled or wrong after it.

`make test-faults` goes through all of it and prints a table; a part belongs to `make test`.
"""

import asyncio
import subprocess
import time
from functools import partial

import aiomqtt
import pytest

from deploy import access
from deploy.local import Services
from ingest.store import Store
from tests.support import shifted
from tests.support.faults import HEAD, RATE_HZ, judge, stage
from tests.support.programs import program, stop
from tests.support.waiting import until

SECONDS = 10
BEFORE_S = 2  # so long everything is well
JUNK = (b"", b"\xff\xfe", b'{"ts": 1e400}', b"[" * 2_000, b'{"values": {"LT-00": "' + b"9" * 500)
DISK_BYTES = 1_500_000_000
long = pytest.mark.long


async def kill_program(own, module, away_s):
    await own.kill(module)
    await asyncio.sleep(away_s)
    own.start(module)


async def kill_service(own, name):
    service = getattr(own.services, name)
    former = service.pid
    await own.supervise(service.kill)
    await until(lambda: service.pid not in (None, former), 60)


async def stop_database(own, away_s):
    own.is_tended = False
    await own.supervise(own.services.postgres.stop)
    await asyncio.sleep(away_s)
    own.is_tended = True


async def kill_gateway(own):
    for _ in range(3):
        own.gateway.kill()
        await asyncio.sleep(1)


async def cut(own, link, away_s):
    await own.links[link].cut()
    await asyncio.sleep(away_s)
    await own.links[link].heal()


async def freeze(own, link, away_s):
    own.links[link].freeze()
    await asyncio.sleep(away_s)
    await own.links[link].heal()


async def slow(own, link, bytes_s, lasting_s):
    own.links[link].slow(bytes_s)
    await asyncio.sleep(lasting_s)
    await own.links[link].heal()


async def set_clock(own, ahead_s):
    """Move the clock of ingest, and set it right in the end."""
    for each in (*ahead_s, 0):
        own.shift.write_text(str(each))
        await asyncio.sleep(3)


async def poison(own):
    """Let the gateway send between its values what no decoder takes."""
    own.gateway.poison = JUNK
    await asyncio.sleep(2)
    own.gateway.poison = ()


async def start_twice(own):
    """Start a second ingest by mistake, and end the first a little later."""
    with (own.folder / "second.log").open("w") as log:
        second = program(shifted.__name__, own.environment, log, "ingest")
    try:
        await asyncio.sleep(3)
        await own.kill("ingest")
        await asyncio.sleep(3)
    finally:
        stop(second)
    own.start("ingest")


async def hang_feeds(own):
    """Open feeds whose clients take nothing."""
    port = own.links["console-api"].port
    request = b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    writers = []
    for _ in range(50):
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_024)
        writer.write(request)
        writers.append(writer)
    await asyncio.sleep(5)
    for writer in writers:
        writer.transport.abort()


FAULTS = {
    "ingest killed": partial(kill_program, module="ingest", away_s=1),
    "database killed": partial(kill_service, name="postgres"),
    "ingest-database frozen 8 s": partial(freeze, link="ingest-database", away_s=8),
}
MORE = {
    "poison between the values": poison,
    "api killed": partial(kill_program, module="api", away_s=1),
    "gateway killed three times": kill_gateway,
    "database stopped 20 s": partial(stop_database, away_s=20),
    **{
        f"{link} cut 5 s": partial(cut, link=link, away_s=5)
        for link in ("gateway-broker", "ingest-broker", "ingest-database", "api-database",
                     "console-api")
    },
    **{
        f"{link} frozen 8 s": partial(freeze, link=link, away_s=8)
        for link in ("gateway-broker", "ingest-broker", "api-database", "console-api")
    },
    **{
        f"{link} slow 6 s": partial(slow, link=link, bytes_s=20_000, lasting_s=6)
        for link in ("gateway-broker", "ingest-broker", "ingest-database", "api-database",
                     "console-api")
    },
    "clock an hour ahead, then right": partial(set_clock, ahead_s=(3_600,)),
    "clock ten minutes back, then right": partial(set_clock, ahead_s=(-600,)),
    "clock a day ahead, then right": partial(set_clock, ahead_s=(86_400,)),
    "50 feeds that nobody reads": hang_feeds,
    "two ingests, the first killed": start_twice,
}  # fmt: skip


@pytest.fixture(scope="module")
def table():
    rows = []
    yield rows
    print("", HEAD, *rows, sep="\n")


@pytest.fixture
def small_disk(tmp_path):
    """A disk of its own for the services, which a test may fill."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", folder]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only who may mount has a small disk to fill")
    yield folder
    unmount = ["umount", folder]
    subprocess.run(unmount, check=True)


@pytest.mark.parametrize("fault", [*FAULTS, *(pytest.param(each, marks=long) for each in MORE)])
async def test_after_a_fault_everything_is_as_if_nothing_had_happened(
    services, database, park_folder, tmp_path, table, fault
):
    async with stage(services, database, park_folder, tmp_path, SECONDS) as own:
        publishing = asyncio.create_task(own.gateway.run())
        await asyncio.sleep(BEFORE_S)
        await {**FAULTS, **MORE}[fault](own)
        await publishing
        verdict = await judge(own, fault)
    table.append(verdict.line())
    assert verdict.is_good, verdict


async def test_a_broker_that_is_killed_loses_what_it_had_not_saved_and_no_more(
    services, database, park_folder, tmp_path, table
):
    async with stage(services, database, park_folder, tmp_path, SECONDS) as own:
        publishing = asyncio.create_task(own.gateway.run())
        await asyncio.sleep(BEFORE_S)
        await kill_service(own, "mosquitto")
        await publishing
        verdict = await judge(own, "broker killed", missing=2 * RATE_HZ)
    table.append(verdict.line())
    assert verdict.lost <= 2 * RATE_HZ * 20
    assert (verdict.doubled, verdict.wrong, verdict.minutes, verdict.wrong_alarms) == (0, 0, 0, 0)


async def test_a_session_that_the_broker_has_forgotten_is_counted(
    services, database, park_folder, tmp_path, table
):
    async with stage(services, database, park_folder, tmp_path, SECONDS) as own:
        publishing = asyncio.create_task(own.gateway.run())
        await asyncio.sleep(BEFORE_S)
        began_s = time.monotonic()
        await own.kill("ingest")
        # As after PARKTWIN_SESSION_EXPIRY_S, which is a minute at the least.
        session = own.environment["PARKTWIN_CLIENT_ID"]
        port = services.mosquitto.port
        async with aiomqtt.Client("127.0.0.1", port, identifier=session, clean_session=True):
            await asyncio.sleep(2)
        own.start("ingest")
        await until(lambda: is_counted(own), 30)
        ended_s = time.monotonic()
        await publishing
        away = sum(began_s - 1 < at < ended_s for at in own.gateway.times_s)
        verdict = await judge(own, "session forgotten by the broker", missing=away)
    table.append(verdict.line())
    assert 0 < verdict.lost <= away * 20
    assert (verdict.doubled, verdict.wrong, verdict.minutes, verdict.wrong_alarms) == (0, 0, 0, 0)


@long
async def test_a_disk_that_is_full_stops_what_comes_in_and_loses_nothing(
    small_disk, park_folder, tmp_path, table
):
    with Services(small_disk / "data") as services:
        access.create_database(services.postgres.box, services.postgres.port, "test")
        database = services.database_url.rpartition("/")[0] + "/test"
        store = Store(database)
        await store.open()
        await store.close()
        async with stage(services, database, park_folder, tmp_path, SECONDS) as own:
            publishing = asyncio.create_task(own.gateway.run())
            await asyncio.sleep(BEFORE_S)
            filler = small_disk / "filler"
            await asyncio.to_thread(fill, filler)
            await asyncio.sleep(8)
            filler.unlink()
            await publishing
            verdict = await judge(own, "disk full 8 s")
    table.append(verdict.line())
    assert verdict.is_good, verdict


def fill(file):
    """Write until there is no room, not even what was kept for that moment."""
    piece = bytes(1 << 20)
    end_s = time.monotonic() + 5
    with file.open("wb", buffering=0) as out:
        while time.monotonic() < end_s:
            try:
                out.write(piece)
            except OSError:
                time.sleep(0.1)


async def is_counted(own):
    return await own.metric("sessions_lost") == 1
