"""A small park that things happen to, and what must be true of it afterwards.

A gateway that keeps what is not acknowledged publishes values whose times and sizes are known;
`Verdict` compares what is stored with what the broker has acknowledged, and minutes and alarms with
a calculation from the stored samples.
"""

import asyncio
import itertools
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiomqtt
import asyncpg
import httpx
import numpy as np

from deploy.service import HOST, free_port
from tests.support import shifted
from tests.support.attack import reader_url
from tests.support.programs import is_ready, program, stop, subscribed
from tests.support.relay import Relay
from tests.support.stored import TOPIC, query
from tests.support.waiting import until
from twin.arrays import MINUTE_US, NEVER
from twin.loading import load_park
from twin.series.minutes import aggregate, no_open_minutes
from twin.series.samples import Samples
from twin.series.traits import traits_of

NUMBERS = itertools.count(1)
# The kernel ends a server with the thread that has started it.
SUPERVISOR = ThreadPoolExecutor(1, thread_name_prefix="supervisor")
TEND_S = 0.2
TAGS = [f"LT-{i:02d}" for i in range(20)]
RATE_HZ = 40
STEP_MS = 1_000  # between the times of two messages: minutes are soon complete
BEGUN_MS = 40 * 60_000  # so long ago
LIMIT = 25.0
ALARM = f"""
[[alarm]]
id = "load"
tag = "acme/{TAGS[0]}"
limit = "{LIMIT} t/h"
direction = "high"
deadband = "0 t/h"
on_delay = "0 s"
off_delay = "0 s"
priority = "low"
"""
AWAY = OSError, asyncpg.PostgresError, asyncpg.InterfaceError
STORED = """
SELECT tag, extract(epoch FROM s.time) * 1e6, s.value, s.quality
FROM sample s JOIN tag USING (tag_id) WHERE tag LIKE 'LT-%' ORDER BY 1, 2
"""
MINUTES = """
SELECT tag, extract(epoch FROM m.time) * 1e6, n, amount, round(covered_s * 1e6), m.min, m.max, last,
    quality
FROM minute m JOIN tag USING (tag_id) WHERE tag LIKE 'LT-%' ORDER BY 1, 2
"""
# Hours whose sums are not those of their minutes.
OTHER_HOURS = """
SELECT count(*) FROM hour h JOIN tag t USING (tag_id) JOIN LATERAL (
    SELECT sum(amount) AS amount, sum(n) AS n, sum(covered_s) AS covered_s FROM minute m
    WHERE m.tag_id = h.tag_id AND m.time >= h.time AND m.time < h.time + interval '1 hour'
) x ON true
WHERE t.tag LIKE 'LT-%' AND (x.n <> h.n OR abs(x.covered_s - h.covered_s) > 1e-6
    OR abs(x.amount - h.amount) > 1e-9 * abs(h.amount))
"""


def values_of(number):
    """Return the values of a message."""
    base = number * 7 % 50
    return {tag: base + i / 8 for i, tag in enumerate(TAGS)}


class Gateway:
    """A gateway that publishes at QoS 1 and sends again what was not acknowledged."""

    def __init__(self, port, count):
        self.acked = 0  # messages, in their order
        self.times_s = []  # when each was acknowledged, by a clock that nobody sets
        self.junk = 0  # payloads that no decoder takes, acknowledged
        self.begin_ms = int(time.time() * 1000) - BEGUN_MS
        self._port = port
        self._count = count
        self._client = None
        self.poison = ()

    async def run(self):
        """Publish all messages, however long it takes."""
        began_s = time.monotonic()
        while self.acked < self._count:
            try:
                async with aiomqtt.Client(
                    HOST, self._port, identifier="faults-gateway", timeout=5
                ) as self._client:
                    while self.acked < self._count:
                        await asyncio.sleep(began_s + self.acked / RATE_HZ - time.monotonic())
                        await self._publish()
            except aiomqtt.MqttError:
                await asyncio.sleep(0.2)

    async def _publish(self):
        body = {"ts": self.begin_ms + self.acked * STEP_MS, "values": values_of(self.acked)}
        await self._client.publish(TOPIC, json.dumps(body), qos=1)
        self.acked += 1
        self.times_s.append(time.monotonic())
        for payload in self.poison:
            await self._client.publish(TOPIC, payload, qos=1)
            self.junk += 1

    def kill(self):
        """Lose the connection without a word; what is not acknowledged is sent again."""
        self._client._client.socket().close()


@dataclass
class Stage:
    """The programs, the links between them, and the gateway."""

    services: object
    database: str
    environment: dict
    folder: object
    links: (
        dict  # by name: gateway-broker, ingest-broker, ingest-database, api-database, console-api
    )
    gateway: Gateway
    park: object
    shift: object  # the file that moves the clock of ingest
    programs: dict = field(default_factory=dict)
    is_tended: bool = True

    def start(self, module, **other):
        """Start ingest, or api."""
        environment = {**self.environment, **other}
        if module == "api":
            url = reader_url(self.services, self.database)
            environment["PARKTWIN_DATABASE_URL"] = through(url, self.links["api-database"].port)
        with (self.folder / "programs.log").open("a") as log:
            options = ("ingest",) if module == "ingest" else ()
            name = shifted.__name__ if options else module
            self.programs[module] = program(name, environment, log, *options)

    async def kill(self, module):
        """End a program at once."""
        self.programs[module].kill()
        await asyncio.to_thread(self.programs[module].wait)

    @property
    def base_url(self):
        """Where the api answers."""
        return f"http://{HOST}:{self.links['console-api'].port}"

    async def metric(self, name):
        """Return a counter of ingest, of all its reasons, as /metrics has it."""
        begin = f"parktwin_ingest_{name}_total"
        async with httpx.AsyncClient(base_url=self.base_url, timeout=10) as client:
            lines = (await client.get("/metrics")).text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(begin))

    async def rejected(self):
        """Return how many payloads were counted as rejected."""
        return int(await self.metric("rejected"))

    async def query(self, statement):
        """Return rows of the database, past all links."""
        return await query(self.database, statement)

    async def supervise(self, work):
        """Do something to the services; the links go on meanwhile."""
        return await asyncio.get_running_loop().run_in_executor(SUPERVISOR, work)

    async def tend(self):
        """Let the broker save what it holds, and start again what has ended."""
        while True:
            if self.is_tended:
                await self.supervise(lambda: self.services.tend(time.monotonic()))
            await asyncio.sleep(TEND_S)


def through(url, port):
    """Return an address by way of another port."""
    parts = urlsplit(url)
    authority, _, _ = parts.netloc.rpartition(":")
    return parts._replace(netloc=f"{authority}:{port}").geturl()


async def staged_links(services, stack, api_port):
    """Return a relay for each pair of programs."""
    targets = {
        "gateway-broker": services.mosquitto.port,
        "ingest-broker": services.mosquitto.port,
        "ingest-database": services.postgres.port,
        "api-database": services.postgres.port,
        "console-api": api_port,
    }
    return {name: await stack.enter_async_context(Relay(port)) for name, port in targets.items()}


@asynccontextmanager
async def stage(services, database, park_folder, tmp_path, seconds, **settings):
    """Run a park whose gateway publishes for so long; settings become environment variables."""
    with (park_folder / "tags.csv").open("a", encoding="utf-8") as tags:
        tags.writelines(f"{t},acmepark/acme,mass_flow,t/h,gauge,0,1000,1 %,load\n" for t in TAGS)
    with (park_folder / "park.toml").open("a", encoding="utf-8") as model:
        model.write(ALARM)
    shift, port = tmp_path / "shift", free_port()
    shift.write_text("0")
    async with AsyncExitStack() as stack:
        links = await staged_links(services, stack, port)
        environment = {
            "PARKTWIN_DATABASE_URL": through(database, links["ingest-database"].port),
            "PARKTWIN_MQTT_URL": through(services.mqtt_url, links["ingest-broker"].port),
            "PARKTWIN_PARK": str(park_folder),
            "PARKTWIN_CLIENT_ID": f"faults-{os.getpid()}-{next(NUMBERS)}",
            "PARKTWIN_SESSION_EXPIRY_S": "60",
            "PARKTWIN_HTTP_PORT": str(port),
            "PARKTWIN_HEALTH_S": "0.5",
            "SHIFTED_BY": str(shift),
            **{f"PARKTWIN_{name.upper()}": str(value) for name, value in settings.items()},
        }
        gateway = Gateway(links["gateway-broker"].port, round(seconds * RATE_HZ))
        park = load_park(park_folder)
        own = Stage(services, database, environment, tmp_path, links, gateway, park, shift)
        tending = asyncio.create_task(own.tend())
        try:
            own.start("ingest")
            own.start("api")
            await subscribed({"PARKTWIN_DATABASE_URL": database}, 60)
            async with httpx.AsyncClient(base_url=own.base_url, timeout=10) as client:
                await until(lambda: is_ready(client), 60)
            yield own
        finally:
            tending.cancel()
            await asyncio.wait({tending})
            assert tending.cancelled(), tending.exception()
            for each in own.programs.values():
                await asyncio.to_thread(stop, each)  # the links go on meanwhile


@dataclass(frozen=True)
class Verdict:
    """What a fault has left, in figures."""

    fault: str
    acked: int  # samples that the broker has acknowledged
    stored: int
    lost: int
    doubled: int
    wrong: int  # values other than those published
    minutes: int  # other than those of a calculation from the stored samples
    hours: int
    alarms: int  # changes
    wrong_alarms: int  # that are missing or too many
    junk: int  # payloads that are neither stored nor counted as rejected
    caught_up_s: float  # after the last of them was published

    @property
    def is_good(self):
        """Whether everything is as if nothing had happened."""
        return not (self.lost or self.doubled or self.wrong or self.minutes or self.hours
                    or self.wrong_alarms or self.junk) and self.alarms > 0  # fmt: skip

    def line(self):
        """Return it as a row of the table."""
        return (f"{self.fault:<38}{self.acked:>8}{self.stored:>8}{self.lost:>6}{self.doubled:>8}"
                f"{self.minutes + self.hours:>9}{self.alarms:>8}{self.wrong_alarms:>7}"
                f"{self.caught_up_s:>8.1f}")  # fmt: skip


HEAD = (
    f"{'fault':<38}{'acked':>8}{'stored':>8}{'lost':>6}{'doubled':>8}{'windows':>9}{'alarms':>8}"
    f"{'wrong':>7}{'late s':>8}"
)


async def judge(own, fault, missing=0):
    """Wait until all is stored that is not known to be missing [messages], and compare."""
    began_s = time.monotonic()
    wanted = (own.gateway.acked - missing) * len(TAGS)

    async def count():
        try:
            ((number,),) = await own.query(
                "SELECT count(*) FROM sample_named WHERE tag LIKE 'LT-%'"
            )
        except AWAY:
            return 0
        return number

    async def is_whole():
        return await count() >= wanted

    with suppress(AssertionError):
        await until(is_whole, 60)
    caught_up_s = time.monotonic() - began_s
    await asyncio.sleep(2)  # what would be stored twice comes now
    rows = await own.query(STORED)
    keys = {(tag, int(at)): value for tag, at, value, _ in rows}
    sent = {
        (tag, (own.gateway.begin_ms + n * STEP_MS) * 1000): value
        for n in range(own.gateway.acked)
        for tag, value in values_of(n).items()
    }
    scale = own.park.tags[own_index(own.park)[TAGS[0]]].scale
    wrong = sum(abs(value - sent[key] * scale) > 1e-9 for key, value in keys.items() if key in sent)
    ((other_hours,),) = await own.query(OTHER_HOURS)
    recorded = await own.query("SELECT count(*) FROM alarm_event WHERE alarm = 'load'")
    expected = changes(value / scale for (tag, _), value in keys.items() if tag == TAGS[0])
    junk = own.gateway.junk and own.gateway.junk - await own.rejected()
    return Verdict(
        fault, len(sent), len(rows), len(sent.keys() - keys.keys()),
        len(rows) - len(keys) + len(keys.keys() - sent.keys()), wrong,
        await other_minutes(own, rows), other_hours, expected,
        abs(recorded[0][0] - expected), junk, caught_up_s,
    )  # fmt: skip


def own_index(park):
    """Return the indices of the load's tags."""
    return {tag.tag: number for number, tag in enumerate(park.tags) if tag.tag in TAGS}


def changes(values):
    """Return how often a value in time order passes the limit of the alarm."""
    beyond = [value >= LIMIT for value in values]
    return sum(a != b for a, b in itertools.pairwise([False, *beyond]))


async def other_minutes(own, rows):
    """Return how many complete minutes differ from a calculation from the stored samples."""
    index = {tag: number for number, tag in enumerate(TAGS)}
    by_tag = own_index(own.park)
    traits = traits_of([own.park.tags[by_tag[tag]] for tag in TAGS])
    tag, at, value, quality = zip(*rows, strict=True)
    at_us = np.array([int(each) for each in at], np.int64)
    samples = Samples(
        np.array([index[each] for each in tag], np.int64), at_us, np.array(value, float),
        np.array(quality, np.uint8), at_us,
    )  # fmt: skip
    scratch = aggregate(no_open_minutes(len(TAGS)), traits, samples, np.full(len(TAGS), NEVER))
    names = ("min", "max", "last", "quality")
    expected = {
        (TAGS[t], int(minute)): row
        for t, minute, *row in zip(
            scratch.tag,
            scratch.time_us,
            scratch.n,
            scratch.amount,
            scratch.covered_us,
            *(getattr(scratch, name) for name in names),
            strict=True,
        )
    }
    stored = {(tag, int(at)): row for tag, at, *row in await own.query(MINUTES)}
    # The clock closes the last ones.
    last = at_us.max() // MINUTE_US * MINUTE_US
    stored = {key: row for key, row in stored.items() if key[1] < last}
    other = [key for key in expected if stored.get(key) != [*map(float, expected[key])]]
    return len(other) + len(stored.keys() - expected.keys())
