"""The broker: what it drops, what it cannot save, and what its sudden end costs."""

import asyncio
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from types import SimpleNamespace

import aiomqtt
import httpx
import pytest

from deploy import service
from deploy.broker import QueueLimit, is_whole
from deploy.disk import FULL_BYTES
from deploy.local import Services
from tests.support import load
from tests.support.attack import attacked_park
from tests.support.stored import TOPIC, query
from tests.support.waiting import until
from twin.errors import ParkError

QUEUE = QueueLimit(bytes=10_000_000, messages=2_000)


@pytest.fixture
def small_broker(tmp_path):
    """A broker that queues no more than `QUEUE`."""
    with Services(tmp_path / "broker", postgres_port=None, queue=QUEUE) as own:
        yield own


def messages(count, start_ms):
    """Yield messages of one value, a millisecond apart."""
    for number in range(count):
        yield json.dumps({"ts": start_ms + number, "values": {"FT-1": number % 50}}).encode()


async def send(services, count):
    """Publish messages at QoS 1; return how many were acknowledged."""
    start_ms = int(time.time() * 1000) - 60_000
    payloads = list(messages(count, start_ms))
    process, result = load.publish_in_background(services.mosquitto.port, TOPIC, payloads)
    _, acked, _ = await asyncio.to_thread(result.get)
    process.join()
    return acked


async def test_what_the_broker_acknowledges_and_drops_is_counted_and_announced(
    services, small_broker, database, park_folder, tmp_path
):
    with (park_folder / "park.toml").open("a", encoding="utf-8") as model:
        model.write('[[alarm]]\nid = "queue"\ntag = "acmepark/ingest.broker_queue"\n'
                    'limit = "50 %"\ndirection = "high"\npriority = "high"\n')  # fmt: skip
    limits = {"broker_queue_bytes": QUEUE.bytes, "broker_queue_messages": QUEUE.messages}
    async with attacked_park(
        services, database, park_folder, tmp_path, mqtt_url=small_broker.mqtt_url,
        receive_max=100, health_s=0.2, cycle_s=1, cycle_messages=100, **limits,
    ) as park:  # fmt: skip

        async def is_annunciated():
            return await query(database, "SELECT 1 FROM park.alarm_event WHERE alarm = 'queue'")

        # Not a whole queue: ingest works it off slowly; the alarm comes before anything is lost.
        assert await send(small_broker, QUEUE.messages * 3 // 4) == QUEUE.messages * 3 // 4
        await until(is_annunciated, 10)
        assert await park.metric("parktwin_ingest_broker_dropped_total") == 0
        park.processes["ingest"].send_signal(signal.SIGSTOP)
        assert await send(small_broker, QUEUE.messages * 2) == QUEUE.messages * 2
        park.processes["ingest"].send_signal(signal.SIGCONT)

        async def is_counted():
            return (await park.metric("parktwin_ingest_broker_dropped_total") or 0) > 0

        await until(is_counted, 10)
        async with httpx.AsyncClient(base_url=park.base_url) as client:
            ready = (await client.get("/readyz")).json()
            data = (await client.get("/api/v1/health/data")).json()
        assert any("has dropped" in warning for warning in ready["warnings"]), ready
        assert data["ingest"]["broker_dropped"] == await park.metric(
            "parktwin_ingest_broker_dropped_total"
        )


# --- what the broker saves ---------------------------------------------------

KEEPER = {"identifier": "keeper", "clean_session": False}


def client(port, **settings):
    return aiomqtt.Client("127.0.0.1", port, **settings)


async def make_session(port):
    """Let the broker keep what is published from now on for somebody who is away."""
    async with client(port, **KEEPER) as mqtt:
        await mqtt.subscribe("kept/#", 1)


async def publish(port, numbers):
    async with client(port) as mqtt:
        for number in numbers:
            await mqtt.publish("kept/t", b"%d" % number, qos=1)


async def kept(port, wait_s=1.0):
    """Return what the broker has kept for the session."""
    async with client(port, **KEEPER) as mqtt:
        await asyncio.sleep(wait_s)
        return [int((await anext(mqtt.messages)).payload) for _ in range(len(mqtt.messages))]


@pytest.fixture
def brokers(tmp_path):
    """Make a broker of one and the same folder."""
    return partial(Services, tmp_path / "broker", postgres_port=None)


def save(services):
    """Let the broker save, and wait until it has."""
    mosquitto, before = services.mosquitto, services.mosquitto.file.stat().st_mtime_ns
    services.tend(time.monotonic() + 1e6)
    end = time.monotonic() + 5
    while mosquitto.file.stat().st_mtime_ns == before:
        assert time.monotonic() < end
        time.sleep(0.02)
    services.tend(0.0)


async def test_a_stop_on_a_disk_without_room_is_not_clean_and_keeps_the_last_whole_file(
    brokers, monkeypatch
):
    # A limit of the file size stands in for the full disk: a write fails in the same way.
    popen = partial(subprocess.Popen, restore_signals=False)
    monkeypatch.setattr(service.subprocess, "Popen", popen)
    with brokers() as services:
        await make_session(services.mosquitto.port)
        await publish(services.mosquitto.port, range(5))
    services = brokers()
    services.start()
    save(services)
    await publish(services.mosquitto.port, range(5, 10))
    resource.prlimit(services.mosquitto.pid, resource.RLIMIT_FSIZE, (0, 0))
    with pytest.raises(
        ParkError, match=r"could not save what it held: what came since \d\d:"
    ) as it:
        services.stop()
    assert it.value.retryable
    assert is_whole(services.mosquitto.file)
    with brokers() as again:
        assert await kept(again.mosquitto.port) == list(range(5))


async def test_a_disk_that_fills_up_stops_the_broker_with_all_it_has_acknowledged(
    brokers, monkeypatch, capsys
):
    room = SimpleNamespace(total=10**12, used=0, free=10**11)
    with brokers() as services:
        await make_session(services.mosquitto.port)
        await publish(services.mosquitto.port, range(100))
        assert services.disk.ballast.stat().st_blocks * 512 >= 256 << 20
        monkeypatch.setattr(shutil, "disk_usage", lambda _: room)
        room.free = FULL_BYTES - 1
        services.tend(time.monotonic())
        assert not services.mosquitto.running
        assert not services.disk.ballast.exists()
        assert is_whole(services.mosquitto.file)
        with pytest.raises(aiomqtt.MqttError):
            await publish(services.mosquitto.port, [0])
        room.free = 10**11
        services.tend(time.monotonic())
        assert await kept(services.mosquitto.port) == list(range(100))
    report = capsys.readouterr().err
    assert "is full: the broker takes nothing more" in report
    assert "there is room on the disk again" in report


async def test_a_killed_broker_has_lost_little_more_than_a_second(brokers):
    with brokers() as services:
        port = services.mosquitto.port
        await make_session(port)
        numbers = range(400)

        async def send_slowly():
            async with client(port) as mqtt:
                for number in numbers:
                    await mqtt.publish("kept/t", b"%d" % number, qos=1)
                    await asyncio.sleep(0.01)

        sending = asyncio.create_task(send_slowly())
        while not sending.done():
            services.tend(time.monotonic())
            await asyncio.sleep(0.05)
        services.mosquitto.kill()
        services.mosquitto.start()
        safe = await kept(port)
    assert safe == list(range(len(safe)))
    # 100 messages a second: a save each second, a tenth until it begins.
    assert len(safe) >= len(numbers) - 150


SERVER = """
import sys, time
from pathlib import Path
from deploy.local import Services
with Services(Path(sys.argv[1]), mode=sys.argv[2]) as services:
    print(services.mosquitto.port, flush=True)
    time.sleep(600)
"""


def start(data, mode):
    argv = [sys.executable, "-c", SERVER, str(data), mode]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("mode", ["bwrap", "chroot"])
async def test_broker_and_database_end_well_when_their_starter_is_killed(mode, tmp_path):
    if mode == "chroot" and os.geteuid() != 0:
        pytest.skip("only root may change the root folder")
    with start(tmp_path / "data", mode) as starter:
        port = int(await asyncio.to_thread(starter.stdout.readline))
        await make_session(port)
        await publish(port, range(500))
        starter.kill()
    with Services(tmp_path / "data", mode=mode) as again:
        assert await kept(again.mosquitto.port) == list(range(500))
        log = (tmp_path / "data/log/postgres.log").read_text()
    assert "database system is shut down" in log
    assert "was interrupted" not in log
