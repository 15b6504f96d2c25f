"""A program that hangs: stopped by a signal, or with a blocked event loop, is started again."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from deploy.supervisor import Program
from deploy.watchdog import Watch, send_signs
from tests.support.attack import attacked_park
from tests.support.programs import stop
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
BLOCKED = """
import asyncio, time
from deploy.watchdog import send_signs

async def main():
    signs = asyncio.create_task(send_signs())
    await asyncio.sleep(0.1)
    time.sleep(600)

asyncio.run(main())
"""


class Tending:
    """Tends a program in the background, as the supervisor does."""

    def __init__(self, program):
        self.program = program
        self.ends = []
        self._task = None

    async def __aenter__(self):
        self._task = asyncio.create_task(self._tend())
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        self.program.stop(3)

    async def _tend(self):
        while True:
            if self.program.tend(time.monotonic()):
                self.ends.append(self.program.status)
            await asyncio.sleep(0.1)

    @property
    def pid(self):
        return self.program._process.pid


@pytest.mark.long
async def test_a_stopped_ingest_is_started_again_and_one_without_a_database_is_not(
    services, database, park_folder, tmp_path
):
    async with attacked_park(services, database, park_folder, tmp_path) as park:
        stop(park.processes.pop("ingest"))
        environment = {**os.environ, **park.environment}
        async with Tending(Program("ingest", environment, tmp_path, silent_s=3)) as tending:
            await until(lambda: times_connected(tending.program) == 1, 30)
            services.postgres.stop()
            await asyncio.sleep(5)
            services.postgres.start()
            await park.ready()
            assert tending.ends == []
            os.kill(tending.pid, signal.SIGSTOP)
            await until(lambda: tending.ends, 10)
            assert tending.ends == [-signal.SIGKILL]
            await until(lambda: times_connected(tending.program) == 2, 30)


def times_connected(program):
    """Return how often an ingest has reached the broker."""
    return program.log.read_text().count("connected to") if program.log.exists() else 0


async def test_a_program_whose_event_loop_is_blocked_is_started_again(tmp_path):
    (tmp_path / "blocked.py").write_text(BLOCKED)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    async with Tending(Program("blocked", environment, tmp_path, silent_s=1)) as tending:
        await until(lambda: len(tending.ends) == 2, 30)
    assert tending.ends == [-signal.SIGKILL] * 2


async def test_a_program_that_never_gave_a_sign_is_left_alone(tmp_path):
    (tmp_path / "silent.py").write_text("import time; time.sleep(600)")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    async with Tending(Program("silent", environment, tmp_path, silent_s=0.5)) as tending:
        await asyncio.sleep(2)
    assert tending.ends == []


async def test_a_pause_of_the_watching_program_is_no_silence(monkeypatch):
    watch = Watch(now_s=0.0)
    monkeypatch.setenv("NOTIFY_SOCKET", watch.address)
    assert watch.silence_s(10.0) < 0
    signs = asyncio.create_task(send_signs())
    await until(lambda: watch.silence_s(10.2) == 0)
    signs.cancel()
    assert watch.silence_s(86_400.0) == 1.0
    assert watch.silence_s(86_400.2) == pytest.approx(1.2)
    watch.close()
