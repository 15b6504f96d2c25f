"""Sparkplug on real services, against edge nodes of other projects and fifty of ours."""

import asyncio
import json
import time
from functools import partial

import aiomqtt
import pytest

from ingest.wire import sparkplug
from ingest.wire.sparkplug import DataType, Metric
from tests.services.test_services import environment_of
from tests.support.data import data_text
from tests.support.other_edge import edge_node, python_of, tahu_node, tahu_of
from tests.support.programs import running, subscribed
from tests.support.stored import query
from tests.support.waiting import until, until_returns
from twin import quality as q

ROWS = data_text("acme/edges.toml")
DEAD = q.BAD | q.NOT_CONNECTED


@pytest.fixture(scope="session")
def other_python(request):
    return python_of(getattr(request.config, "cache", None))


def settings_of(services, database, park_folder, rows=ROWS, tags=""):
    with (park_folder / "park.toml").open("a", encoding="utf-8") as park:
        park.write(rows)
    environment = environment_of(services, database, park_folder)
    with (park_folder / "tags.csv").open("a", encoding="utf-8") as table:
        table.write(tags)
    return environment | {
        "PARKTWIN_SPARKPLUG_HOST_ID": environment["PARKTWIN_CLIENT_ID"],
        "PARKTWIN_SPARKPLUG_REORDER_S": "0.5",
        "PARKTWIN_SPARKPLUG_REBIRTH_S": "1",
    }


async def newest(database):
    """Return (value, quality) of the newest sample of each measured tag."""
    rows = await query(
        database,
        "SELECT DISTINCT ON (tag) tag, value, quality FROM sample_named"
        " WHERE tag NOT LIKE '%.%' ORDER BY tag, time DESC",
    )
    return {tag: (None if value != value else value, quality) for tag, value, quality in rows}  # noqa: PLR0124


async def until_asked(edge, times):
    await until(lambda: edge.asked >= times)


async def until_later(database, seconds):
    """Wait until cycles are committed that are so much later than the newest one."""
    newest = "SELECT max(cycle_us) FROM cycle"
    ((before_us,),) = await query(database, newest)
    due = f"SELECT max(cycle_us) >= {before_us + round(seconds * 1e6)} FROM cycle"
    await until_returns([(True,)], lambda: query(database, due))


async def rejects(database):
    return dict(await query(database, "SELECT reason, count(*) FROM reject GROUP BY reason"))


async def test_killed_edge_node_is_bad_until_it_is_born_again(
    services, database, park_folder, tmp_path, other_python
):
    environment = settings_of(services, database, park_folder)
    latest = partial(newest, database)
    with (tmp_path / "log").open("w") as log:
        node = other_python, services.mosquitto.port, log
        async with running("ingest", environment, log):
            await subscribed(environment)
            async with edge_node(*node) as edge:
                await until_returns(
                    {"FT-1": (1.0, 0), "TT-1": (-12.0, 0), "FT-9": (9.0, 0)}, latest
                )
                edge.order("say", "Cells/Flow", 2.5)
                edge.order("say device", "FT-9", 8.0)
                await until_returns(
                    {"FT-1": (2.5, 0), "TT-1": (-12.0, 0), "FT-9": (8.0, 0)}, latest
                )
                edge.kill()
                await until_returns(dict.fromkeys(("FT-1", "TT-1", "FT-9"), (None, DEAD)), latest)
            async with edge_node(*node, **{"Cells/Flow": 3.5}) as edge:
                await until_returns(
                    {"FT-1": (3.5, 0), "TT-1": (-12.0, 0), "FT-9": (9.0, 0)}, latest
                )
                edge.order("device dies")
                await until_returns(
                    {"FT-1": (3.5, 0), "TT-1": (-12.0, 0), "FT-9": (None, DEAD)}, latest
                )
                assert edge.asked == 0
    # The death is a sample of each tag, between two lives. The first birth is said twice: when its
    # value was captured, and when it was sent, as there may have been a death before our start.
    history = await query(
        database, "SELECT value, quality FROM sample_named WHERE tag = 'FT-1' ORDER BY time"
    )
    assert [code for _, code in history] == [0, 0, 0, DEAD, 0]
    assert await rejects(database) == {}


async def test_lost_message_is_made_up_for_by_a_rebirth(
    services, database, park_folder, tmp_path, other_python
):
    environment = settings_of(services, database, park_folder)
    latest = partial(newest, database)
    with (tmp_path / "log").open("w") as log:
        async with running("ingest", environment, log):
            await subscribed(environment)
            async with edge_node(other_python, services.mosquitto.port, log) as edge:
                edge.order("say", "Cells/Flow", 2.0)
                edge.order("lose", "TT-1", 50)
                await until_returns(
                    {"FT-1": (2.0, 0), "TT-1": (-12.0, 0), "FT-9": (9.0, 0)}, latest
                )
                # Nothing tells of the loss before the next message; then it is not waited for.
                edge.order("say", "Cells/Flow", 3.0)
                await until_asked(edge, 1)
                await until_returns({"FT-1": (3.0, 0), "TT-1": (50.0, 0), "FT-9": (9.0, 0)}, latest)
                await until_later(database, 2.0)  # longer than REORDER_S and REBIRTH_S
                edge.order("say device", "FT-9", 8.5)
                await until_returns({"FT-1": (3.0, 0), "TT-1": (50.0, 0), "FT-9": (8.5, 0)}, latest)
                assert edge.asked == 1
    # It has the time at which it was captured, before the message that told of the loss.
    first = dict(await query(
        database,
        "SELECT tag, min(time) FROM sample_named"
        " WHERE (tag, value) IN (('TT-1', 50), ('FT-1', 3)) GROUP BY tag",
    ))  # fmt: skip
    assert first["TT-1"] < first["FT-1"]
    assert await rejects(database) == {}


async def test_alias_without_birth_after_our_restart_waits_for_one(
    services, database, park_folder, tmp_path, other_python
):
    environment = settings_of(services, database, park_folder)
    latest, refused = partial(newest, database), partial(rejects, database)
    with (tmp_path / "log").open("w") as log:
        async with edge_node(other_python, services.mosquitto.port, log) as edge:
            async with running("ingest", environment, log) as first:
                # The edge node was there before us: its birth is asked for.
                await until_returns(
                    {"FT-1": (1.0, 0), "TT-1": (-12.0, 0), "FT-9": (9.0, 0)}, latest
                )
                assert edge.process.poll() is None
                edge.order("bare", "TT-1", -13)
                await until_returns(
                    {"FT-1": (1.0, 0), "TT-1": (-13.0, 0), "FT-9": (9.0, 0)}, latest
                )
                first.kill()
                first.wait()
            edge.order("deaf", True)
            heard = edge.asked
            edge.order("bare", "TT-1", -14)  # nobody hears it
            async with running("ingest", environment, log):
                await until_asked(edge, heard + 1)
                edge.order("bare", "TT-1", -15)
                await until_returns({"no_birth": 1}, refused)
                assert (await latest())["TT-1"] == (-13.0, 0)
                edge.order("deaf", False)
                await until_asked(edge, edge.asked + 1)
                edge.order("bare", "TT-1", -16)
                await until_returns(
                    {"FT-1": (1.0, 0), "TT-1": (-16.0, 0), "FT-9": (9.0, 0)}, latest
                )
    assert await rejects(database) == {"no_birth": 1}


@pytest.fixture(scope="session")
def tahu_folder(request):
    return tahu_of(getattr(request.config, "cache", None))


# Of an enterprise's two flows one is the member of a template, the other has a setpoint beside it.
TAHU_ROWS = ROWS + 'tags = { "Values/FT-9" = "FT-9" }\n'


@pytest.mark.parametrize("algorithm", ["", "GZIP", "DEFLATE"])
async def test_node_of_eclipse_tahu_is_read_with_templates_and_compressed_payloads(
    services, database, park_folder, tmp_path, tahu_folder, algorithm
):
    options = {"compress": True, "algorithm": algorithm} if algorithm else {}
    environment = settings_of(services, database, park_folder, TAHU_ROWS)
    latest = partial(newest, database)
    with (tmp_path / "log").open("w") as log:
        node = tahu_folder, services.mosquitto.port, log
        async with running("ingest", environment, log):
            await subscribed(environment)
            async with tahu_node(*node, **options) as edge:
                await until_returns(
                    {"FT-1": (1.0, 0), "TT-1": (-12.0, 0), "FT-9": (9.0, 0)}, latest
                )
                edge.order("say", "Flow", 2.5)
                edge.order("say", "TT-1", -13)
                edge.order("doubt", "TT-1", 500)
                edge.order("say device", "FT-9", 8.0)
                stale = q.UNCERTAIN | q.STALE
                await until_returns(
                    {"FT-1": (2.5, 0), "TT-1": (-13.0, stale), "FT-9": (8.0, 0)}, latest
                )
                edge.order("lose", "TT-1", -14)
                edge.order("say", "Flow", 3.5)
                await until_asked(edge, 1)
                await until_returns(
                    {"FT-1": (3.5, 0), "TT-1": (-14.0, 0), "FT-9": (8.0, 0)}, latest
                )
                edge.order("device dies")
                await until_returns(
                    {"FT-1": (3.5, 0), "TT-1": (-14.0, 0), "FT-9": (None, DEAD)}, latest
                )
                edge.kill()
                await until_returns(dict.fromkeys(("FT-1", "TT-1", "FT-9"), (None, DEAD)), latest)
    # The text in the template, once in each message that has it; the setpoint is nobody's tag.
    assert await rejects(database) == {"wrong_type": 4}
    unknown = await query(database, "SELECT DISTINCT tag, reason FROM quarantine")
    assert unknown == [("Setpoints/FT-9", "unknown_tag")]


class Farm:
    """Fifty edge nodes on one connection, each with one metric and an alias for it."""

    def __init__(self, client):
        self.client = client
        self.asked = dict.fromkeys(FARM, 0)
        self.moments = []
        self._seq = 0

    async def listen(self):
        async for message in self.client.messages:
            (metric,) = sparkplug.decode(message.payload).metrics
            assert (metric.name, metric.value) == (sparkplug.REBIRTH, True)
            self.asked[message.topic.value.rpartition("/")[2]] += 1
            self.moments.append(time.monotonic())

    async def send(self, kind, encode, base):
        """Let each of them send its value: the base and its number."""
        for number, tag in enumerate(FARM):
            metric = Metric("Flow", base + number, DataType.DOUBLE, alias=1)
            payload = encode(int(time.time() * 1000), [metric])
            await self.client.publish(f"spBv1.0/Farm/{kind}/{tag}", payload)

    async def be_born(self, base):
        self._seq = 0
        await self.send("NBIRTH", lambda now, metrics: sparkplug.nbirth(now, metrics, 3), base)

    async def say(self, base):
        self._seq += 1
        await self.send("NDATA", lambda now, metrics: sparkplug.data(now, metrics, self._seq), base)


FARM = [f"FX-{i:02d}" for i in range(50)]
FARM_ROWS = "".join(
    f'[[gateway]]\nid = "{tag}"\nscope = "acmepark/acme"\nprotocol = "sparkplug"\n'
    f'group = "Farm"\nnode = "{tag}"\ntags = {{ "Flow" = "{tag}" }}\n'
    for tag in FARM
)
FARM_TAGS = "".join(f"{tag},acmepark/acme,mass_flow,t/h,gauge,0,1000,1 %,\n" for tag in FARM)


async def test_rebirth_storm_of_fifty_nodes_ends_with_every_value_right(
    services, database, park_folder, tmp_path
):
    environment = settings_of(services, database, park_folder, FARM_ROWS, FARM_TAGS)
    environment["PARKTWIN_SPARKPLUG_REBIRTH_S"] = "60"

    async def latest():
        return {tag: code for tag, code in (await newest(database)).items() if tag in FARM}

    refused = partial(rejects, database)
    with (tmp_path / "log").open("w") as log:
        async with aiomqtt.Client("127.0.0.1", services.mosquitto.port) as client:
            farm = Farm(client)
            await client.subscribe("spBv1.0/Farm/NCMD/+")
            listening = asyncio.create_task(farm.listen())
            async with running("ingest", environment, log):
                await subscribed(environment)
                # All of them talk, and nobody knows what they mean.
                await farm.say(1.0)
                await until_returns({"no_birth": 50}, refused)
                await until(lambda: all(farm.asked.values()))
                await farm.be_born(100.0)
                values = {tag: (100.0 + i, 0) for i, tag in enumerate(FARM)}
                await until_returns(values, latest)
                await farm.say(200.0)
                values = {tag: (200.0 + i, 0) for i, tag in enumerate(FARM)}
                await until_returns(values, latest)
                for tag in FARM[::2]:
                    await client.publish(f"spBv1.0/Farm/NDEATH/{tag}", sparkplug.ndeath(3), qos=1)
                await until_returns(values | dict.fromkeys(FARM[::2], (None, DEAD)), latest)
            listening.cancel()
            await asyncio.wait({listening})
    assert await rejects(database) == {"no_birth": 50}
    assert set(farm.asked.values()) == {1}
    # Ten in a cycle: the fifty come in five of them.
    assert max(farm.moments) - min(farm.moments) > 1.0


async def test_state_says_whether_we_are_there(services, database, park_folder, tmp_path):
    environment = settings_of(services, database, park_folder)
    topic = sparkplug.state_topic(environment["PARKTWIN_SPARKPLUG_HOST_ID"])
    heard = asyncio.Queue()

    async def listen(client):
        async for message in client.messages:
            heard.put_nowait((json.loads(message.payload), message.qos))

    async def next_state():
        document, qos = await asyncio.wait_for(heard.get(), 20)
        assert qos == 1
        assert document.keys() == {"online", "timestamp"}
        return document["online"], document["timestamp"]

    with (tmp_path / "log").open("w") as log:
        async with aiomqtt.Client("127.0.0.1", services.mosquitto.port) as client:
            await client.subscribe(topic, qos=1)
            listening = asyncio.create_task(listen(client))
            async with running("ingest", environment, log) as first:
                online, birth_ms = await next_state()
                assert online
                assert abs(birth_ms - time.time() * 1000) < 20_000
                await subscribed(environment)
                # An old will of ours comes late: we say at once that it is not so.
                await client.publish(topic, sparkplug.state(birth_ms - 5, online=False), 1, True)
                assert await next_state() == (False, birth_ms - 5)
                assert await next_state() == (True, birth_ms)
                first.kill()
                first.wait()
                assert await next_state() == (False, birth_ms)
            async with running("ingest", environment, log) as second:
                online, again_ms = await next_state()
                assert online
                assert again_ms > birth_ms
                await subscribed(environment)
                while not heard.empty():
                    await next_state()
                second.terminate()
                stopped = time.monotonic()
                online, farewell_ms = await next_state()
                assert not online
                assert farewell_ms > again_ms
                assert await asyncio.to_thread(second.wait, 10) == 0
                assert time.monotonic() - stopped < 5
            listening.cancel()
            await asyncio.wait({listening})
        async with aiomqtt.Client("127.0.0.1", services.mosquitto.port) as client:
            await client.subscribe(topic, qos=1)
            kept = await asyncio.wait_for(anext(aiter(client.messages)), 10)
            assert kept.retain
            assert json.loads(kept.payload) == {"online": False, "timestamp": farewell_ms}


async def test_park_without_edge_nodes_has_no_state(services, database, park_folder, tmp_path):
    environment = settings_of(services, database, park_folder, rows="")
    topic = sparkplug.state_topic(environment["PARKTWIN_SPARKPLUG_HOST_ID"])
    with (tmp_path / "log").open("w") as log:
        async with running("ingest", environment, log):
            await subscribed(environment)
            async with aiomqtt.Client("127.0.0.1", services.mosquitto.port) as client:
                await client.subscribe(topic, qos=1)
                await client.publish(topic, b"ours", 1)
                # What had been kept for the topic would come before it.
                first = await asyncio.wait_for(anext(aiter(client.messages)), 20)
                assert first.payload == b"ours"
