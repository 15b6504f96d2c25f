"""The command line of `parktwin simulate`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from deploy.database.settings import DEMO_PARK
from simulators.gateways.gateways import BATCH_MAX, FORMATS
from simulators.load import RATE_MAX_HZ
from simulators.scenarios.script import scenario_names

SCENARIOS = ", ".join(scenario_names())
LOAD_BATCH = 100
VALUES_MAX = 5000  # of a message of --load, which stays below the limit of ingest
EXAMPLES = """examples:
  parktwin simulate                               the demonstration park, one scan every 2 s
  parktwin simulate --history 6                   first the last six hours, then live
  parktwin simulate --history 2160 --history-interval 60    first the last 90 days
  parktwin simulate --speed 60 --duration 60      the last hour, in a minute
  parktwin simulate --scenario meter-bias         something happens; --truth FILE writes the truth
  parktwin simulate --score                       how well the twin sees it; takes minutes
  parktwin simulate --park my-park --mqtt mqtt://broker.example:1883 --seed 7

other formats need a model that knows the gateways; write it, and use it for ingest as well:
  parktwin simulate --format sparkplug --write-park my-edges
  PARKTWIN_PARK=my-edges parktwin ingest
  parktwin simulate --format sparkplug --park my-edges

load has a model of its own; 10,000 tags 20 times a second are 200,000 samples a second:
  parktwin simulate --load 10000 --write-park my-load
  PARKTWIN_PARK=my-load parktwin ingest
  parktwin simulate --load 10000 --rate 20 --batch 100 --qos 1 --duration 60
"""


BROKER = "mqtt://127.0.0.1:1883"
# Options that the environment sets unless the command line does.
ENVIRONMENT = {
    "park": "PARKTWIN_PARK",
    "mqtt": "PARKTWIN_MQTT_URL",
    "mqtt-ca": "PARKTWIN_MQTT_CA",
    "mqtt-cert": "PARKTWIN_MQTT_CERT",
    "mqtt-key": "PARKTWIN_MQTT_KEY",
    "history": "PARKTWIN_HISTORY_H",
    "scenario": "PARKTWIN_SCENARIO",
    "events": "PARKTWIN_EVENTS",
    "orders": "PARKTWIN_SIMULATION",
}
# Placeholder or choices, type and default of each option with a value.
VALUES: dict[str, tuple[Any, type, Any]] = {
    "park": ("DIR", str, DEMO_PARK),
    "mqtt": ("URL", str, BROKER),
    "mqtt-ca": ("FILE", Path, None),
    "mqtt-cert": ("FILE", Path, None),
    "mqtt-key": ("FILE", Path, None),
    "interval": ("S", float, 2.0),
    "speed": ("X", float, 1.0),
    "seed": ("N", int, 1),
    "history": ("HOURS", float, 0.0),
    "history-interval": ("S", float, 10.0),
    "duration": ("S", float, None),
    "scenario": ("NAME", str, "normal"),
    "events": (("scripted", "live"), str, "scripted"),
    "orders": ("DIR", str, None),
    "truth": ("FILE", str, None),
    "format": (tuple(FORMATS), str, "native"),
    "batch": ("N", int, None),
    "qos": ((0, 1), int, 1),
    "hj212": ("HOST:PORT", str, None),
    "write-park": ("DIR", str, None),
    "load": ("TAGS", int, None),
    "rate": ("HZ", float, 1.0),
}
HELP = {
    "park": "folder of the park model (PARKTWIN_PARK, default %(default)s)",
    "mqtt": f"broker (PARKTWIN_MQTT_URL, default {BROKER})",
    "mqtt-ca": "authorities that vouch for a broker at mqtts:// (PARKTWIN_MQTT_CA)",
    "mqtt-cert": "certificate of ours, where the broker asks for one (PARKTWIN_MQTT_CERT)",
    "mqtt-key": "key of that certificate (PARKTWIN_MQTT_KEY)",
    "interval": "seconds between scans (2)",
    "speed": "simulated seconds per second (1); above 1 a run starts in the past",
    "seed": "same seed, same values (1)",
    "history": "first publish so many hours of the past (PARKTWIN_HISTORY_H, default 0)",
    "history-interval": "seconds between scans of the past (10)",
    "duration": "stop after so many seconds (never)",
    "scenario": f"events from the start of the run on: {SCENARIOS}, or a .toml file"
    " (PARKTWIN_SCENARIO)",
    "events": "live: the first event of the scenario comes a minute after the past"
    " (PARKTWIN_EVENTS, default scripted)",
    "orders": "folder in which another scenario may be ordered (PARKTWIN_SIMULATION, default none)",
    "truth": "write the truth of the scenario as JSON",
    "format": "format of gateways (native), unless the scenario gives them another one",
    "batch": f"scans per message (1); with --load values per message ({LOAD_BATCH})",
    "qos": "of published messages (1); Sparkplug data have 0",
    "hj212": "where data loggers call with --format hj212-tcp (127.0.0.1:PARKTWIN_HJ212_PORT)",
    "write-park": "write the model that knows these gateways, or these tags of --load, and end",
    "load": "publish so many synthetic tags of one gateway instead of a park",
    "rate": "values of each tag of --load per second (1)",
}


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line; the environment gives the defaults. Ends the program on an error."""
    parser = argparse.ArgumentParser(
        prog="parktwin simulate",
        description="Publish a simulated park over MQTT. Every value is marked as simulated.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name, (value, kind, default) in VALUES.items():
        way = {"metavar": value} if isinstance(value, str) else {"choices": value}
        usual = os.environ.get(ENVIRONMENT.get(name, ""), default)
        parser.add_argument(f"--{name}", type=kind, default=usual, help=HELP[name], **way)
    parser.add_argument(
        "--score",
        action="store_true",
        help="publish nothing: try all scenarios in memory and print how well the twin sees them;"
        " a scenario about tags or scopes that the park does not have is left out and listed",
    )
    options = parser.parse_args(argv)
    for name in ("interval", "speed", "history_interval"):
        if getattr(options, name) <= 0:
            parser.error(f"--{name.replace('_', '-')} must be above 0")
    if options.history < 0 or options.seed < 0:
        parser.error("--history and --seed must not be negative")
    if options.batch is None:
        options.batch = LOAD_BATCH if options.load else 1
    most = VALUES_MAX if options.load else BATCH_MAX
    if not 1 <= options.batch <= most:
        parser.error(f"--batch must be from 1 to {most}")
    if options.load is not None and options.load < 1:
        parser.error("--load must be at least 1")
    if not 0 < options.rate <= RATE_MAX_HZ:
        parser.error(f"--rate must be above 0 and at most {RATE_MAX_HZ:.0f}")
    if options.hj212 is None:
        options.hj212 = f"127.0.0.1:{os.environ.get('PARKTWIN_HJ212_PORT', '0')}"
    return options
