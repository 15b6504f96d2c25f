"""The whole path on real services: nothing acknowledged is lost, nothing is stored twice."""

import asyncio
import itertools
import json
import re
import time
from pathlib import Path

import asyncpg
import httpx

from deploy.database.settings import LAST_BACKUP
from deploy.service import free_port
from ingest.cycle.cycle import RETRY_S
from tests.support import load
from tests.support.programs import is_ready, running, subscribed
from tests.support.stored import TOPIC, query
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = itertools.count(1)
# Metrics that a rule or a panel stands on; that of a certificate is tested where there is one.
WATCHED = {
    name
    for file in ("alerts.yml", "dashboard.json")
    for name in re.findall(
        r"\b(?:parktwin|process)_\w+",
        (ROOT / "deploy/monitoring" / file).read_text(encoding="utf-8"),
    )
} - {"parktwin_api_certificate_expiry_timestamp_seconds"}
TAGS = [f"LT-{i:02d}" for i in range(20)]


def environment_of(services, database, park_folder):
    with (park_folder / "tags.csv").open("a", encoding="utf-8") as tags:
        tags.writelines(f"{t},acmepark/acme,mass_flow,t/h,gauge,0,1000,1 %,load\n" for t in TAGS)
    return {
        "PARKTWIN_DATABASE_URL": database,
        "PARKTWIN_MQTT_URL": services.mqtt_url,
        "PARKTWIN_PARK": str(park_folder),
        "PARKTWIN_CLIENT_ID": f"test-ingest-{next(NUMBERS)}",
        "PARKTWIN_SESSION_EXPIRY_S": "60",
        "PARKTWIN_HTTP_PORT": str(free_port()),
    }


async def stored(database, wanted, seconds=90.0):
    """Wait until so many samples of the load are stored, and return how many there are."""

    async def enough():
        try:
            ((count,),) = await query(
                database, "SELECT count(*) FROM sample_named WHERE tag LIKE 'LT-%'"
            )
        except (OSError, asyncpg.PostgresError):  # The database is away for a while.
            return 0
        return count if count >= wanted else 0

    return await until(enough, seconds)


def start_load(services, messages, rate):
    start_ms = int(time.time() * 1000) - 60_000
    payloads = list(load.scan_payloads(TAGS, start_ms, 10, messages, values_per_message=len(TAGS)))
    return load.publish_in_background(services.mosquitto.port, TOPIC, payloads, rate=rate, block=5)


async def check_values(database, messages):
    """Every value is there once, as it was sent."""
    ((count, keys, total),) = await query(
        database,
        "SELECT count(*), count(DISTINCT (tag, time)), sum(value) FROM sample_named"
        " WHERE tag LIKE 'LT-%'",
    )
    ((corrections,),) = await query(database, "SELECT count(*) FROM correction")
    expected = sum((turn * 7) % 50 + i / 8 for turn in range(messages) for i in range(len(TAGS)))
    assert count == keys == messages * len(TAGS)
    assert abs(total - expected) < 1e-6 * expected
    assert corrections == 0


async def test_killing_ingest_under_load_loses_nothing(services, database, park_folder, tmp_path):
    environment = environment_of(services, database, park_folder)
    messages = 3000
    with (tmp_path / "ingest.log").open("w") as log:
        async with running("ingest", environment, log) as first:
            await subscribed(environment)
            process, result = start_load(services, messages, rate=600)
            assert await stored(database, 1) > 0
            first.kill()
            first.wait()
            async with running("ingest", environment, log):
                sent, acked, _ = await asyncio.to_thread(result.get)
                assert (sent, acked) == (messages, messages)
                assert await stored(database, messages * len(TAGS)) == messages * len(TAGS)
        process.join()
    await check_values(database, messages)


async def test_losing_the_database_for_longer_than_all_retries_loses_nothing(
    services, database, park_folder, tmp_path
):
    environment = environment_of(services, database, park_folder)
    messages = 4000
    path = tmp_path / "ingest.log"

    def is_retried_for_ever():
        return path.read_text().count("the cycle is tried again") > len(RETRY_S) + 1

    with path.open("w") as log:
        async with running("ingest", environment, log):
            await subscribed(environment)
            process, result = start_load(services, messages, rate=200)
            assert await stored(database, 1) > 0
            services.postgres.stop()  # in this thread: the kernel ends a service with its starter
            await until(is_retried_for_ever, 60)
            services.postgres.start()
            sent, acked, _ = await asyncio.to_thread(result.get)
            assert (sent, acked) == (messages, messages)
            assert await stored(database, messages * len(TAGS)) == messages * len(TAGS)
            process.join()
            # The image has caught up: what the readers are told is the newest sample.
            newest = "SELECT max(time) FROM sample_named WHERE tag LIKE 'LT-%'"
            ((newest,),) = await query(database, newest)
            cycles = await query(database, "SELECT time FROM cycle")
            last = max(int.from_bytes(column[i : i + 8], "little", signed=True)
                       for (column,) in cycles for i in range(0, len(column), 8)
                       if len(column) >= 8 * len(TAGS))  # fmt: skip
            assert last >= int(newest.timestamp() * 1e6)
    await check_values(database, messages)


async def test_one_sample_from_publish_to_console_event(services, database, park_folder, tmp_path):
    environment = environment_of(services, database, park_folder)
    environment |= {"PARKTWIN_BROKER_QUEUE_MESSAGES": "1000", "PARKTWIN_DATA": str(tmp_path)}
    (tmp_path / LAST_BACKUP).touch()
    base = f"http://127.0.0.1:{environment['PARKTWIN_HTTP_PORT']}"
    with (tmp_path / "programs.log").open("w") as log:
        async with running("ingest", environment, log), running("api", environment, log):
            await subscribed(environment)
            async with httpx.AsyncClient(base_url=base, timeout=20) as client:
                await until(lambda: is_ready(client), 30)
                async with client.stream(
                    "GET", "/api/v1/live", params={"tag": "acme/FT-1"}
                ) as stream:
                    lines = stream.aiter_lines()
                    assert (await next_event(lines))[0] == "image"
                    publisher = load.Publisher(load.HOST, services.mosquitto.port, client_id="one")
                    now_ms = int(time.time() * 1000)
                    body = {"ts": now_ms, "values": {"FT-1": 36.4}}
                    began = time.monotonic()
                    publisher.publish(TOPIC, [json.dumps(body).encode()])
                    publisher.drain()
                    publisher.sock.close()
                    while True:
                        name, data = await asyncio.wait_for(next_event(lines), 10)
                        if "acme/FT-1" in data["values"]:
                            break
                    assert name == "cycle"
                    assert data["values"]["acme/FT-1"] == [36.4, 0, now_ms]
                    assert time.monotonic() - began < 3.0
                latest = (await client.get("/api/v1/latest", params={"tag": "acme/FT-1"})).json()
                assert latest["items"][0]["value"] == 36.4
                # Figures of the health of ingest come every few seconds.
                await until(lambda: shows_all_that_is_watched(client), 30)


async def shows_all_that_is_watched(client):
    metrics = (await client.get("/metrics")).text
    names = {re.split("[ {]", line)[0] for line in metrics.splitlines()}
    return len(WATCHED) > 30 and names >= WATCHED


async def next_event(lines):
    """Return the next (event, data) of a server-sent event stream."""
    name = ""
    async for line in lines:
        if line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("data:") and name:
            return name, json.loads(line[5:])
    raise AssertionError("the stream ended")
