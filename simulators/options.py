"""The command line of `parktwin simulate`."""

from __future__ import annotations

import argparse
import os

from deploy.database.settings import DEMO_PARK
from simulators.gateways.gateways import BATCH_MAX, FORMATS
from simulators.load import RATE_MAX_HZ
from simulators.scenarios.script import scenario_names

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


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line; the environment gives the defaults. Ends the program on an error."""
    parser = argparse.ArgumentParser(
        prog="parktwin simulate",
        description="Publish a simulated park over MQTT. Every value is marked as simulated.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_common(parser)
    _add_scenario(parser)
    _add_gateways(parser)
    _add_load(parser)
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
    return options


def _add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options of park, time and broker."""
    env, add = os.environ.get, parser.add_argument
    add(
        "--park",
        metavar="DIR",
        default=env("PARKTWIN_PARK", DEMO_PARK),
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


def _add_scenario(parser: argparse.ArgumentParser) -> None:
    """Add the options of the scenario."""
    add = parser.add_argument
    add(
        "--scenario",
        metavar="NAME",
        default="normal",
        help=f"events from the start of the run on: {', '.join(scenario_names())}, or a .toml file",
    )
    add("--truth", metavar="FILE", help="write the truth of the scenario as JSON")
    add(
        "--score",
        action="store_true",
        help="publish nothing: try all scenarios in memory and print how well the twin sees them;"
        " a scenario about tags or scopes that the park does not have is left out and listed",
    )


def _add_gateways(parser: argparse.ArgumentParser) -> None:
    """Add the options of gateways."""
    add = parser.add_argument
    add(
        "--format",
        choices=FORMATS,
        default="native",
        help="format of gateways (native), unless the scenario gives them another one",
    )
    add(
        "--batch",
        metavar="N",
        type=int,
        help=f"scans per message (1); with --load values per message ({LOAD_BATCH})",
    )
    add(
        "--qos",
        type=int,
        choices=(0, 1),
        default=1,
        help="of published messages (1); Sparkplug data have 0",
    )
    add(
        "--hj212",
        metavar="HOST:PORT",
        default=f"127.0.0.1:{os.environ.get('PARKTWIN_HJ212_PORT', '0')}",
        help="where data loggers call with --format hj212-tcp (127.0.0.1:PARKTWIN_HJ212_PORT)",
    )
    add(
        "--write-park",
        metavar="DIR",
        help="write the model that knows these gateways, or these tags of --load, and end",
    )


def _add_load(parser: argparse.ArgumentParser) -> None:
    """Add the options of load."""
    add = parser.add_argument
    add(
        "--load",
        metavar="TAGS",
        type=int,
        help="publish so many synthetic tags of one gateway instead of a park",
    )
    add(
        "--rate",
        metavar="HZ",
        type=float,
        default=1.0,
        help="values of each tag of --load per second (1)",
    )
