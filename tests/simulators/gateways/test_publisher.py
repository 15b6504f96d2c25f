"""The publisher on a real broker and a real ingest: formats, losses, births, the past."""

import asyncio
import json
import time
from contextlib import suppress

import aiomqtt
import numpy as np
import pytest

from deploy.service import free_port
from ingest.wire import sparkplug
from simulators.gateways import publisher
from simulators.gateways.delivery import GatewayProgress, Schedule
from simulators.gateways.gateways import make_gateways, with_gateways
from simulators.scenarios.script import ScriptEvent
from tests.support.data import written
from tests.support.demo_park import readings_of
from tests.support.listening import hearing
from tests.support.programs import program, subscribed
from tests.support.small_region import ALPHA, PARK
from tests.support.stored import query
from tests.support.waiting import until
from twin import quality as q

S = 1_000_000
SEED = 3
FORMATS = {"native": ["FT-1", "FT-2"], "senml": ["FT-3"], "senml-cbor": ["FT-4", "FT-5"],
           "hj212": ["FT-6", "FT-7"], "hj212-tcp": ["FT-8", "FT-9"],
           "sparkplug": ["*"]}  # fmt: skip


@pytest.fixture(scope="module")
def instruments():
    return readings_of(PARK, SEED)


def event(kind, start, stop, size=0.0):
    return ScriptEvent(kind, kind, ALPHA, "", start, stop, size)


def settings_of(services, *, origin_us, end_s, history_s=0, interval_s=0.5, logger_port=0,
                on_progress=None, **more):  # fmt: skip
    schedule = Schedule(
        interval_us=round(interval_s * S), history_interval_us=S,
        history_until_us=origin_us // S * S if history_s else 0,
        end_us=origin_us + round(end_s * S),
    )  # fmt: skip
    return publisher.PublishSettings(
        mqtt=services.mqtt_url, logger=("127.0.0.1", logger_port), schedule=schedule, seed=SEED,
        origin_us=origin_us, now=lambda: time.time_ns() // 1000,
        on_progress=on_progress or (lambda *_: None), **more,
    )  # fmt: skip


async def stored(database, tag, times):
    """Return the stored values of a tag by time, when those of some times have come."""

    async def complete():
        rows = await query(
            database,
            "SELECT (extract(epoch FROM time) * 1000000)::bigint, value, quality FROM sample_named"
            " WHERE tag = $1",
            tag,
        )
        result = {at: sample for at, *sample in rows}
        return set(times) <= set(result) and result

    return await until(complete)


async def test_every_format_arrives_through_its_own_door(services, database, tmp_path, instruments):
    """MQTT and TCP, a minute of the past and then live; ingest asks the edge node for its birth."""
    rows = [
        {"enterprise": "alpha", "id": f"g{n}", "format": form, "tags": tags, "batch": 1 + n % 3}
        for n, (form, tags) in enumerate(FORMATS.items())
    ]
    gateways = make_gateways(PARK, rows)
    folder = written(tmp_path / "park", with_gateways(PARK, gateways).files)
    port = free_port()
    environment = {
        "PARKTWIN_DATABASE_URL": database,
        "PARKTWIN_MQTT_URL": services.mqtt_url,
        "PARKTWIN_PARK": str(folder),
        "PARKTWIN_CLIENT_ID": "test-every-format",
        "PARKTWIN_HJ212_PORT": str(port),
        "PARKTWIN_HEALTH_S": "0.5",
    }
    with (tmp_path / "ingest.log").open("w") as log:
        ingest = program("ingest", environment, log)
        try:
            await subscribed(environment)
            origin_us = time.time_ns() // 1000
            run = settings_of(
                services, origin_us=origin_us, end_s=3, history_s=60, logger_port=port
            )
            total = GatewayProgress(origin_us - 60 * S)
            await publisher.run(run, gateways, total, instruments)
            past = np.arange(total.done_us // S - 3600, total.done_us // S + 1) * S
            past = past[(past > origin_us - 60 * S) & (past <= origin_us)]
            live = np.arange(origin_us // (S // 2), run.schedule.end_us // (S // 2) + 1) * (S // 2)
            times = np.concatenate([past, live[live > past[-1]]])
            assert total.samples >= len(times) * len(PARK.tags)
            values = instruments(times)
            for column, tag in enumerate(PARK.tags):
                result = await stored(database, tag.tag, times.tolist())
                for at, value in zip(times.tolist(), values[:, column], strict=True):
                    assert result[at] == [pytest.approx(value, rel=1e-12), q.SIMULATED]
        finally:
            ingest.terminate()
            ingest.wait(20)


async def test_lost_connections_are_deaths_and_births_and_a_late_burst(services, instruments):
    events = (event("outage", 1.0, 2.6), event("storm", 3.6, 4.7, 0.5))
    gateways = make_gateways(PARK, events=events, usual="sparkplug")
    async with hearing(services, "spBv1.0/east/#") as (heard, _):
        origin_us = time.time_ns() // 1000
        run = settings_of(services, origin_us=origin_us, end_s=6, interval_s=0.25)
        total = GatewayProgress(origin_us)
        await publisher.run(run, gateways, total, instruments)
        await until(lambda: heard[-1][0].split("/")[2] == "NDEATH")
    kinds = [topic.split("/")[2] for topic, _ in heard]
    sessions = [
        next(m.value for m in sparkplug.decode(payload).metrics if m.name == "bdSeq")
        for topic, payload in heard if topic.split("/")[2] != "NDATA"
    ]  # fmt: skip
    # One loss by the outage, three by the storm, one death at the end; a death is of its birth.
    assert kinds.count("NBIRTH") == kinds.count("NDEATH") == 5
    assert sessions == [number for n in range(1, 6) for number in (n, n)]
    data = [sparkplug.decode(payload) for kind, (_, payload) in zip(kinds, heard, strict=True)
            if kind == "NDATA"]  # fmt: skip
    late = [p for p in data if p.metrics[0].historical]
    assert 5 <= len(late) <= 7
    times = [p.metrics[0].time_ms for p in data]
    step = 250
    assert times == sorted(times)
    assert np.diff(times).tolist() == [step] * (len(times) - 1)
    assert total.done_us == run.schedule.end_us // (step * 1000) * step * 1000


async def test_edge_node_that_is_asked_is_born_again(services, instruments):
    gateways = make_gateways(PARK, usual="sparkplug")
    async with hearing(services, "spBv1.0/east/#") as (heard, client):
        origin_us = time.time_ns() // 1000
        run = settings_of(services, origin_us=origin_us, end_s=60, interval_s=0.3)
        task = asyncio.create_task(
            publisher.run(run, gateways, GatewayProgress(origin_us), instruments)
        )
        await until(lambda: len(heard) >= 2)
        topic = heard[0][0].replace("NBIRTH", "NCMD")
        await client.publish(topic, sparkplug.rebirth(1), 1)

        def kinds():
            return [topic.split("/")[2] for topic, _ in heard]

        await until(lambda: kinds().count("NBIRTH") == 2)
        # The next scans are further occasions for a birth.
        again = len(heard)
        await until(lambda: kinds()[again:].count("NDATA") >= 3)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    first, second = (sparkplug.decode(payload) for at, payload in heard if "/NBIRTH/" in at)
    assert (first.seq, second.seq) == (0, 0)
    names = [[m.name for m in birth.metrics] for birth in (first, second)]
    assert names[0] == names[1]
    assert {tag.tag for tag in PARK.tags} <= set(names[0])


async def test_broker_that_goes_away_costs_no_scan(services, instruments):
    gateways = make_gateways(PARK)
    texts = []
    session = {"identifier": "test-away", "clean_start": False}
    properties = aiomqtt.client.Properties(1)
    properties.SessionExpiryInterval = 60
    async with hearing(services, gateways[0].topic, properties=properties, **session) as (first, _):
        origin_us = time.time_ns() // 1000
        run = settings_of(
            services, origin_us=origin_us, end_s=6, interval_s=0.2,
            on_progress=lambda _, text: texts.append(text),
        )  # fmt: skip
        task = asyncio.create_task(
            publisher.run(run, gateways, GatewayProgress(origin_us), instruments)
        )
        await until(lambda: len(first) >= 5)
    services.mosquitto.stop()
    await until(lambda: any("trying again" in text for text in texts))
    services.mosquitto.start()
    last_ms = run.schedule.end_us // (S // 5) * 200
    async with hearing(services, gateways[0].topic, properties=properties, **session) as (
        second,
        _,
    ):
        await task
        await until(lambda: last_ms in times_of(second))
    times = sorted({*times_of(first), *times_of(second)})
    assert np.diff(times).tolist() == [200] * (len(times) - 1)
    assert times[-1] == last_ms


def times_of(messages):
    """Return the times of the scans in native messages [ms]."""
    documents = [json.loads(payload) for _, payload in messages]
    return [scan["ts"] for d in documents for scan in (d if isinstance(d, list) else [d])]


async def test_past_waits_for_a_broker_that_holds_too_much(services, instruments):
    samples = []  # at each sign of life since the publisher waits

    def on_progress(progress, text):
        if samples or "waiting for them" in text:
            samples.append(progress.samples)

    origin_us = time.time_ns() // 1000
    run = settings_of(services, origin_us=origin_us, end_s=60, history_s=3600, held_bytes=-1,
                      on_progress=on_progress)  # fmt: skip
    total = GatewayProgress(origin_us - 10_000_000 * S)
    task = asyncio.create_task(publisher.run(run, make_gateways(PARK), total, instruments))
    # Messages in flight count still; after them nothing more is sent, turn after turn.
    await until(lambda: len(samples) > 3 and len(set(samples[-3:])) == 1)
    assert total.samples == samples[-1]
    assert total.done_us < run.schedule.history_until_us
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
