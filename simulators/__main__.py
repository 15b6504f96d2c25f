"""`parktwin simulate`: publish a simulated park over MQTT."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.database.settings import BrokerFiles, mqtt_address
from simulators import load, options
from simulators.demonstration import Play, play
from simulators.gateways import publisher
from simulators.gateways.delivery import GatewayProgress, Schedule
from simulators.gateways.gateways import make_gateways, require_known, with_gateways
from simulators.instruments import Scene, make_sensors, readings
from simulators.process.process import make_process
from simulators.scenarios.overlay import encode, make_overlay, truths
from simulators.scenarios.script import load_script
from simulators.scoring.score import score
from twin.errors import SettingsError
from twin.loading import load_park
from twin.program import run_program

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Coroutine, Mapping

    from simulators.gateways.gateways import SimulatedGateway
    from simulators.instruments import Sensors
    from simulators.process.process import Process
    from simulators.scenarios.script import Script
    from twin.model.park import Park

SPEED_START_S = 24 * 3600.0  # A faster clock without an end starts this far back.
SHOW_S = 1.0
LIVE_AFTER_S = 60.0  # After the past, for who looks at what comes.


def main(argv: list[str] | None = None) -> int:
    """Run the simulator; return the exit status.

    It is 0 at the end of the duration, after a signal to stop, or when every goal of the score is
    met; 1 when a goal is missed or a message unacknowledged, else that of `run_program`.
    """
    chosen = options.parse(argv)

    def work() -> int:
        if chosen.score:
            return 0 if score(chosen.park) else 1
        return _load(chosen) if chosen.load else _simulate(chosen)

    return run_program("parktwin simulate", work)


def _simulate(chosen: argparse.Namespace) -> int:
    """Build the park's simulation, then publish until stopped."""
    files = BrokerFiles(chosen.mqtt_ca, chosen.mqtt_cert, chosen.mqtt_key)
    mqtt_address(chosen.mqtt, files)
    logger = _logger(chosen.hj212)
    park = load_park(chosen.park)
    wall_us = _wall_us()
    start_us, clock = _clock(chosen.history, chosen.speed, chosen.duration, wall_us)
    script = load_script(chosen.scenario, park)
    if chosen.events == "live":
        script = script.begun_at((wall_us - start_us) / 1e6 + LIVE_AFTER_S)
    if chosen.write_park:
        return _write(chosen.write_park, with_gateways(park, _gateways(chosen, park, script)).files)
    coarse = round(chosen.history_interval * 1e6)
    schedule = Schedule(
        interval_us=round(chosen.interval * 1e6),
        history_interval_us=coarse,
        history_until_us=wall_us // coarse * coarse if chosen.history else 0,
        end_us=None if chosen.duration is None else clock(wall_us + round(chosen.duration * 1e6)),
    )
    shared = publisher.PublishSettings(
        mqtt=chosen.mqtt,
        files=files,
        logger=logger,
        schedule=schedule,
        seed=chosen.seed,
        origin_us=start_us,
        now=lambda: clock(_wall_us()),
        on_progress=_Report(schedule, start_us),
        qos=chosen.qos,
    )
    process = make_process(park, chosen.seed)
    stage = _Stage(
        chosen, park, process, make_sensors(process, chosen.seed), shared, GatewayProgress(start_us)
    )
    first = stage.prepare(script, start_us)
    if chosen.truth:
        _write_truth(chosen.truth, first.scene)
    run = first.run()
    if chosen.orders:
        run = play(Path(chosen.orders), park, first, stage, shared.now)
    asyncio.run(_until_stopped(run))
    total = stage.total
    print(
        f"acknowledged: {total.messages} messages, {total.samples} samples"
        + (f"; {total.skipped_s:.0f} s given up" if total.skipped_s else ""),
        file=sys.stderr,
    )
    return 0


@dataclass(frozen=True, slots=True)
class _Stage:
    """A park with its instruments, on which any scenario can be played."""

    chosen: argparse.Namespace
    park: Park
    process: Process
    sensors: Sensors
    shared: publisher.PublishSettings
    total: GatewayProgress

    def check(self, script: Script) -> tuple[SimulatedGateway, ...]:
        """Return the gateways of a scenario; raises ParkError where the park does not know them."""
        gateways = _gateways(self.chosen, self.park, script)
        require_known(self.park, gateways)
        if not self.shared.logger[1] and any(one.format == "hj212-tcp" for one in gateways):
            raise SettingsError(
                "where do data loggers call?",
                hint="say --hj212 HOST:PORT, that of PARKTWIN_HJ212_PORT",
            )
        return gateways

    def prepare(self, script: Script, origin_us: int) -> Play:
        """Return a scenario whose times count from `origin_us`; raises ParkError."""
        gateways = self.check(script)
        scene = Scene(self.sensors, make_overlay(self.process, script, origin_us))
        shared = replace(self.shared, origin_us=origin_us)
        print(
            f"simulating {self.park.id}: {len(self.park.tags)} tags, {len(gateways)} gateways,"
            f" seed {self.chosen.seed}, scenario {script.id}",
            file=sys.stderr,
        )
        observe = partial(readings, scene)
        return Play(script, scene, lambda: publisher.run(shared, gateways, self.total, observe))


def _gateways(
    chosen: argparse.Namespace, park: Park, script: Script
) -> tuple[SimulatedGateway, ...]:
    """Return the gateways of a scenario; raises SettingsError."""
    gateways = make_gateways(
        park, script.gateways, script.at("gateway"), usual=chosen.format, batch=chosen.batch
    )
    if not gateways:
        raise SettingsError(f"{chosen.park} has no tags", hint="add tags to tags.csv")
    return gateways


def _load(chosen: argparse.Namespace) -> int:
    """Publish load until stopped; print the result."""
    files = BrokerFiles(chosen.mqtt_ca, chosen.mqtt_cert, chosen.mqtt_key)
    broker = mqtt_address(chosen.mqtt, files)
    if chosen.write_park:
        return _write(chosen.write_park, load.park_files(chosen.load))
    test = load.LoadTest(chosen.load, chosen.rate, chosen.batch, chosen.qos, chosen.seed)
    result = load.LoadResult()
    with contextlib.suppress(KeyboardInterrupt, ValueError):
        # A test may run us outside the main thread, where signals cannot be handled.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(
        f"load: {test.tags} tags at {test.rate_hz:g} Hz, {test.batch} a message, QoS {test.qos}",
        file=sys.stderr,
    )
    report = partial(print, file=sys.stderr)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            load.run(broker, test, _wall_us() // 1000, chosen.duration, result, report)
    except OSError as error:
        address = f"{broker['hostname']}:{broker['port']}"
        raise SettingsError(
            f"broker {address}: {error}", hint="is it running?", retryable=True
        ) from error
    finally:
        word = "acknowledged" if test.qos else "read by the broker"
        rate = result.samples / result.seconds if result.seconds else 0.0
        print(
            f"{word}: {result.acked} of {result.sent} messages, {result.samples} samples"
            f" in {result.seconds:.1f} s, {rate:,.0f} samples/s",
            file=sys.stderr,
        )
    return 0 if result.acked == result.sent else 1


def _write(folder: str, files: Mapping[str, str]) -> int:
    """Write the files of a model into a new folder; raises SettingsError."""
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise SettingsError(f"{path} is not empty", hint="name a new folder")
        for name, text in files.items():
            (path / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}", hint="name a writable folder") from error
    print(f"written: {path}; use it as PARKTWIN_PARK, of ingest as well", file=sys.stderr)
    return 0


def _write_truth(path: str, scene: Scene) -> None:
    """Write the truth of a scenario as JSON into a file; raises SettingsError."""
    try:
        Path(path).write_bytes(encode(truths(scene.overlay)))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}", hint="name a writable file") from error


def _logger(text: str) -> tuple[str, int]:
    """Return the host and port that data loggers connect to; raises SettingsError."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise SettingsError(f"{text!r} is no address for data loggers", hint="write host:port")
    return host, int(port)


def _wall_us() -> int:
    return time.time_ns() // 1000


def _clock(
    history_h: float, speed: float, duration_s: float | None, wall_us: int
) -> tuple[int, Callable[[int], int]]:
    """Return the start of a run [µs], and its clock: a function of wall time, never ahead of it."""
    if history_h:
        return wall_us - round(history_h * 3600e6), int
    back_s = 0.0
    if speed > 1:
        back_s = SPEED_START_S if duration_s is None else (speed - 1) * duration_s
    start_us = wall_us - round(back_s * 1e6)
    return start_us, lambda wall: min(wall, start_us + round((wall - wall_us) * speed))


async def _until_stopped(run: Coroutine[None, None, None]) -> None:
    """Await `run` until it ends or SIGINT or SIGTERM asks to stop."""
    task = asyncio.ensure_future(run)
    # A test may run us outside the main thread, where signals cannot be handled.
    with contextlib.suppress(ValueError, RuntimeError):
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


@dataclass(slots=True)
class _Report:
    """Prints progress to stderr: events at once, the filling of history once a second."""

    schedule: Schedule
    start_us: int
    began: float = field(default_factory=time.monotonic)
    printed: float = field(default=0.0)

    def __call__(self, progress: GatewayProgress, text: str) -> None:
        until = self.schedule.history_until_us
        if text:
            print(text, file=sys.stderr)
        elif self.printed >= 0 and self.start_us < until:
            done = min((progress.done_us - self.start_us) / (until - self.start_us), 1.0)
            now = time.monotonic()
            if done >= 1 or now - self.printed >= SHOW_S:
                spent_s = max(now - self.began, 1e-3)
                remaining_s = spent_s * (1 - done) / done if done else 0.0
                print(
                    f"history {done:.1%}: {progress.samples} samples acknowledged,"
                    f" {progress.samples / spent_s:,.0f}/s, {remaining_s:.0f} s left",
                    file=sys.stderr,
                )
                self.printed = now
            if progress.done_us >= until:
                print("history is complete; live from here", file=sys.stderr)
                self.printed = -1.0


if __name__ == "__main__":
    sys.exit(main())
