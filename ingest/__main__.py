"""`parktwin ingest`: from the broker into the database, until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
import time
from typing import Any

import uvloop
from pydantic import ValidationError

from ingest.cycle import Cycle
from ingest.settings import IngestSettings
from ingest.store import Store, open_when_ready
from ingest.subscriber import Subscriber
from twin.errors import ParkError
from twin.loading import load_park

LOG = logging.getLogger("ingest")
IDLE_S = 0.5
STOP_S = 3.0
EXAMPLES = """examples:
  parktwin ingest
  PARKTWIN_PARK=/etc/parktwin/my-park PARKTWIN_MQTT_URL=mqtt://broker:1883 parktwin ingest

settings, from the environment:
"""


def settings_help() -> str:
    """Return one line for each setting."""
    return "\n".join(
        f"  PARKTWIN_{name.upper()}\n      {field.description} (default {field.default})"
        for name, field in IngestSettings.model_fields.items()
    )


async def ingest(settings: IngestSettings, stop: asyncio.Event) -> None:
    """Run cycles until `stop` is set; raises ParkError."""
    park = load_park(settings.park)
    store = Store(settings.database_url)
    await open_when_ready(store)
    cycle = Cycle(park, store, settings)
    subscriber = Subscriber(settings, cycle.counters)
    cycle.connected = lambda: subscriber.connected
    cycle.inbox_size = lambda: len(subscriber.inbox)
    await cycle.start(time.time_ns() // 1000)
    LOG.info("%s: %d tags, model %s", park.id, len(park.tags), park.digest[:12])
    connection = asyncio.create_task(subscriber.run(), name="subscriber")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        while not stopping.done() and not connection.done():
            began = time.monotonic()
            messages = subscriber.take()
            run = asyncio.create_task(cycle.run(messages, time.time_ns() // 1000), name="cycle")
            await asyncio.wait({run, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not run.done():
                # The database may be away for long: what is not committed will come again.
                await asyncio.wait({run}, timeout=STOP_S)
            if not run.done():
                run.cancel()
                break
            await run
            subscriber.ack(messages)
            await _pause(began + settings.cycle_s, subscriber, stopping)
        if connection.done():
            await connection
    finally:
        for task in (connection, stopping):
            task.cancel()
        await asyncio.wait({connection, stopping})
        await store.close()


async def _pause(due: float, subscriber: Subscriber, stopping: asyncio.Task[Any]) -> None:
    """Wait until the next cycle is due, and a little longer while nothing comes."""
    await asyncio.wait({stopping}, timeout=max(due - time.monotonic(), 0.0))
    if not len(subscriber.inbox) and not stopping.done():
        arrival = asyncio.create_task(subscriber.inbox.arrived.wait())
        await asyncio.wait({arrival, stopping}, timeout=IDLE_S, return_when=asyncio.FIRST_COMPLETED)
        arrival.cancel()


async def _main(settings: IngestSettings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await ingest(settings, stop)


def main(argv: list[str] | None = None) -> int:
    """Run ingest; return 0 after a clean stop."""
    parser = argparse.ArgumentParser(
        prog="parktwin ingest",
        description="Take samples from the broker and commit them to TimescaleDB.",
        epilog=EXAMPLES + settings_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(argv)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    try:
        settings = IngestSettings()
    except ValidationError as error:
        print(f"parktwin ingest: settings: {error}", file=sys.stderr)
        return 2
    try:
        uvloop.run(_main(settings))
    except ParkError as error:
        print(f"parktwin ingest: {error.message} — {error.hint}", file=sys.stderr)
        for problem in getattr(error, "problems", ()):
            print(f"  {problem}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
