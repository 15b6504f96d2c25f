"""A small park under attack, and a witness of another enterprise who says what it noticed."""

import asyncio
import itertools
import json
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE

import httpx

from deploy import access
from deploy.service import HOST, free_port
from tests.support import witness
from tests.support.programs import is_ready, program, stop
from tests.support.waiting import until

NUMBERS = itertools.count(1)
# Beside other tests everything takes longer; `make test-attacks` runs alone.
SLACK = 3.0 if "PYTEST_XDIST_WORKER" in os.environ else 1.0


@dataclass
class Park:
    """The running programs of a small park: `ingest` and `api` on real services."""

    database: str
    reader: str  # the address of the database for the api
    mqtt_port: int
    environment: dict[str, str]
    log: Path
    broker_pid: int
    processes: dict[str, subprocess.Popen] = field(default_factory=dict)

    @property
    def base_url(self):
        """Where the API answers."""
        return f"http://{HOST}:{self.environment['PARKTWIN_HTTP_PORT']}"

    def start(self, module):
        """Start a program."""
        environment = dict(self.environment)
        if module == "api":
            environment["PARKTWIN_DATABASE_URL"] = self.reader
        with self.log.open("a") as log:
            self.processes[module] = program(module, environment, log)

    async def ready(self, seconds=60.0):
        """Wait until `/readyz` is content."""
        async with httpx.AsyncClient(base_url=self.base_url, timeout=10) as client:
            await until(lambda: is_ready(client), seconds)

    async def metric(self, name):
        """Return a value of `/metrics`; None when it is not there."""
        async with httpx.AsyncClient(base_url=self.base_url, timeout=10) as client:
            lines = (await client.get("/metrics")).text.splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines
                     if line.rpartition(" ")[0] == name), None)  # fmt: skip

    @asynccontextmanager
    async def witness(self, name="acmepark"):
        """Let enterprise `other` of a park publish and watch while the attack goes on."""
        process = self._call_witness(f"park/v1/{name}/other/witness")
        seen = Testimony()
        try:
            first = await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), 60)
            assert first == "ready\n", f"the witness did not begin: {first!r}"
            yield seen
            out, _ = await asyncio.to_thread(process.communicate, "", 60)
            seen.__dict__.update(json.loads(out))
        finally:
            stop(process)

    def _call_witness(self, topic):
        """Start the witness's process."""
        pids = {name: process.pid for name, process in self.processes.items()}
        settings = {
            "mqtt_port": self.mqtt_port,
            "topic": topic,
            "database": self.database,
            "base_url": self.base_url,
            "processes": {**pids, "mosquitto": self.broker_pid},
        }
        argv = [sys.executable, "-m", witness.__name__, json.dumps(settings)]
        root = Path(__file__).parents[2]
        return subprocess.Popen(argv, stdin=PIPE, stdout=PIPE, text=True, cwd=root)


class Testimony:
    """What a witness has noticed, once its block has ended."""

    def require(self, *, stored_s=3.0, feed_s=1.0, livez_s=None, **memory_mb):
        """Fail unless each wait [s], and the memory of each `<program>_mb`, kept its limit."""
        limits = {"stored_s": stored_s, "feed_s": feed_s, "livez_s": livez_s}
        exceeded = {
            name: (getattr(self, name), limit)
            for name, limit in limits.items()
            if limit is not None and getattr(self, name) > limit * SLACK
        }
        for name, limit in memory_mb.items():
            size_mb = self.memory_mb[name.removesuffix("_mb")]
            if size_mb > limit:
                exceeded[name] = size_mb, limit
        print(json.dumps(self.__dict__))
        assert not exceeded, f"seen and allowed: {exceeded}; {self.__dict__}"


def role_url(services, database, role):
    """Return the address of the tests' database for the role of a program."""
    return f"{services.address_of(role).rpartition('/')[0]}/{database.rpartition('/')[2]}"


def reader_url(services, database):
    """Return the address of the tests' database for who only reads."""
    return role_url(services, database, access.READER)


@asynccontextmanager
async def attacked_park(services, database, park_folder, tmp_path, **settings):
    """Run `ingest` and `api`; settings become environment variables: `cycle_s=1`."""
    environment = {
        "PARKTWIN_DATABASE_URL": database,
        "PARKTWIN_MQTT_URL": services.mqtt_url,
        "PARKTWIN_PARK": str(park_folder),
        "PARKTWIN_CLIENT_ID": f"attacked-{os.getpid()}-{next(NUMBERS)}",
        "PARKTWIN_SESSION_EXPIRY_S": "60",
        "PARKTWIN_HTTP_PORT": str(free_port()),
        **{f"PARKTWIN_{name.upper()}": str(value) for name, value in settings.items()},
    }
    broker = services.mosquitto
    reader = reader_url(services, database)
    park = Park(database, reader, broker.port, environment, tmp_path / "programs.log", broker.pid)
    try:
        for module in ("ingest", "api"):
            park.start(module)
        await park.ready()
        yield park
    finally:
        for process in park.processes.values():
            stop(process)
