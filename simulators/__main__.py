"""`parktwin simulate`: publish a simulated park over MQTT."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from simulators import publisher
from simulators.process import make_process
from simulators.sensors import make_sensors, observe
from twin.errors import ParkError, SettingsError
from twin.loading import load_park

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from simulators.publisher import Progress, Schedule

PARK = Path(__file__).parent.parent / "deploy" / "parks" / "liaocheng"
SPEED_START_S = 24 * 3600.0  # A faster clock without an end starts this far back.
EXAMPLES = """examples:
  parktwin simulate                               the demonstration park, one scan every 2 s
  parktwin simulate --history 6                   first the last six hours, then live
  parktwin simulate --speed 60 --duration 60      the last hour, in a minute
  parktwin simulate --park my-park --mqtt mqtt://broker.example:1883 --seed 7
"""


def main(argv: list[str] | None = None) -> int:
    """Run the simulator; return 0 when it was stopped or its duration is over."""
    try:
        return _simulate(_parse(argv))
    except ParkError as error:
        for problem in getattr(error, "problems", ()):
            print(problem, file=sys.stderr)
        print(f"parktwin simulate: {error.message} — {error.hint}", file=sys.stderr)
        return 1


def _parse(argv: list[str] | None) -> argparse.Namespace:
    """Return the options; the environment gives the defaults."""
    parser = argparse.ArgumentParser(
        prog="parktwin simulate",
        description="Publish a simulated park over MQTT. Every value is marked as simulated.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    env = os.environ.get
    add = parser.add_argument
    add(
        "--park",
        metavar="DIR",
        default=env("PARKTWIN_PARK", str(PARK)),
        help="folder of the park model (PARKTWIN_PARK, default %(default)s)",
    )
    add(
        "--mqtt",
        metavar="URL",
        default=env("PARKTWIN_MQTT_URL", "mqtt://127.0.0.1:1883"),
        help="broker (PARKTWIN_MQTT_URL, default mqtt://127.0.0.1:1883)",
    )
    add("--interval", metavar="S", type=float, default=2.0, help="seconds between scans (2)")
    add(
        "--speed",
        metavar="X",
        type=float,
        default=1.0,
        help="simulated seconds per second (1); above 1 a run starts in the past",
    )
    add("--seed", metavar="N", type=int, default=1, help="same seed, same values (1)")
    add(
        "--history",
        metavar="HOURS",
        type=float,
        default=env("PARKTWIN_HISTORY_H", "0"),
        help="first publish so many hours of the past (PARKTWIN_HISTORY_H, default 0)",
    )
    add(
        "--history-interval",
        metavar="S",
        type=float,
        default=10.0,
        help="seconds between scans of the past (10)",
    )
    add("--duration", metavar="S", type=float, help="stop after so many seconds (never)")
    options = parser.parse_args(argv)
    for name in ("interval", "speed", "history_interval"):
        if getattr(options, name) <= 0:
            parser.error(f"--{name.replace('_', '-')} must be above 0")
    if options.history < 0 or options.seed < 0:
        parser.error("--history and --seed must not be negative")
    return options


def _simulate(options: argparse.Namespace) -> int:
    """Build the park's simulation, then publish until stopped."""
    publisher.address(options.mqtt)
    park = load_park(options.park)
    gateways = publisher.make_gateways(park)
    if not gateways:
        raise SettingsError(f"{options.park} has no tags", hint="add tags to tags.csv")
    sensors = make_sensors(make_process(park, options.seed), options.seed)
    wall_us = _wall_us()
    start_us, clock = _clock(options.history, options.speed, options.duration, wall_us)
    coarse = round(options.history_interval * 1e6)
    schedule = publisher.Schedule(
        interval_us=round(options.interval * 1e6),
        history_interval_us=coarse,
        history_until_us=wall_us // coarse * coarse if options.history else 0,
        end_us=None if options.duration is None else clock(wall_us + round(options.duration * 1e6)),
    )
    progress = publisher.Progress(start_us)
    print(
        f"simulating {park.id}: {len(park.tags)} tags, {len(gateways)} gateways,"
        f" seed {options.seed}",
        file=sys.stderr,
    )
    run = publisher.run(
        options.mqtt,
        gateways,
        schedule,
        progress,
        partial(observe, sensors),
        lambda: clock(_wall_us()),
        _Report(schedule, start_us),
    )
    asyncio.run(_until_stopped(run))
    print(
        f"acknowledged: {progress.messages} messages, {progress.samples} samples"
        + (f"; {progress.skipped_s:.0f} s given up" if progress.skipped_s else ""),
        file=sys.stderr,
    )
    return 0


def _wall_us() -> int:
    return time.time_ns() // 1000


def _clock(
    history_h: float, speed: float, duration_s: float | None, wall_us: int
) -> tuple[int, Callable[[int], int]]:
    """Return where a run starts and its time at a wall time, which it never passes."""
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
    """Says on stderr what happens: events at once, the filling of history once a second."""

    schedule: Schedule
    start_us: int
    said: float = field(default=0.0)

    def __call__(self, progress: Progress, text: str) -> None:
        until = self.schedule.history_until_us
        if text:
            print(text, file=sys.stderr)
        elif self.said >= 0 and self.start_us < until:
            done = (progress.done_us - self.start_us) / (until - self.start_us)
            if done >= 1 or time.monotonic() - self.said >= 1:
                print(
                    f"history {min(done, 1):.0%}: {progress.samples} samples acknowledged",
                    file=sys.stderr,
                )
                self.said = time.monotonic()
            if progress.done_us >= until:
                print("history is complete; live from here", file=sys.stderr)
                self.said = -1.0


if __name__ == "__main__":
    sys.exit(main())
