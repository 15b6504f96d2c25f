"""The command line `parktwin`."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from deploy import access, local, supervisor
from deploy.database.settings import DATA_FOLDER, DEMO_PARK, without_password
from deploy.packages import CHINESE_FONT, ensure, run, say
from deploy.service import HOST, ConsoleAddress, require_port
from deploy.settings import UpSettings
from deploy.watchdog import SILENT_S
from twin.arrays import DAY_S
from twin.errors import ParkError
from twin.program import own_version, run_program

if TYPE_CHECKING:
    from types import FrameType

# Sub-command, module that is run with the remaining arguments, line in the help.
PROGRAMS = {
    "ingest": ("ingest", "take samples from the broker into the database"),
    "api": ("api", "serve the twin and the console over HTTP"),
    "simulate": ("simulators", "publish a simulated park"),
    "replay": (
        "ingest.cli.replay",
        "derive a range of the past again, after a change of the model",
    ),
    "import": ("ingest.file_import", "import recorded history from tables in files"),
    "gateway": ("ingest.cli.gateway", "list and adopt unknown gateways; how a payload is read"),
    "gateway credential": ("api.access.gateways", "let gateways in at the broker, or no longer"),
    "quarantine": ("ingest.cli.quarantine", "list, adopt, release or drop what may not be stored"),
    "rejects": ("ingest.cli.rejects", "list, replay or drop refused payloads"),
    "registers": ("ingest.cli.registers", "list falls of counters, enter replaced meters"),
    "book": ("ingest.cli.book", "enter, import, confirm and correct values that no meter gives"),
    "baseline": ("ingest.cli.baseline", "list models of energy baselines, adjust what they expect"),
    "baseline fit": ("api.baselines", "fit an energy baseline and store its model"),
    "report": ("api.reports", "make, keep, verify and sign reports of a park, enterprise or shift"),
    "export": ("api.monitoring", "write the items of the online energy monitoring to a file"),
    "user": ("api.access", "list, add, invite, change and lock accounts; make three to try"),
    "user sql": ("deploy.sql_readers", "let an enterprise read its values by SQL"),
    "audit": ("api.access.record", "look whether the record of orders and ways in was changed"),
    "unit-errors": ("ingest.cli.unit_errors", "list, dismiss or rescale suspected unit errors"),
    "reload": ("ingest.cli.reload", "let a running ingest take over its changed park model"),
    "archive": ("ingest.cli.archive", "show, write and verify the archive of samples and minutes"),
    "backup": (
        "deploy.recovery.backup",
        "copy the database, while the twin runs or not",
    ),
    "restore": ("deploy.recovery.restore", "make a new data folder of a backup"),
    "new": ("deploy.new_park", "write the smallest park model, to which gateways are adopted"),
    "check": ("twin", "report every problem of a park model, without a database"),
}
# Programs with an account of their own at the broker.
PUBLISHING = ("ingest", "simulators")
# The schedule of reports is looked at so often.
REPORTS_S = 600.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
EXAMPLES = """examples:
  parktwin up --simulate                    everything on this machine, with simulated plants
  parktwin check deploy/parks/liaocheng     is this park model right?
  parktwin ingest --help                    options of one program
"""
UP_EXAMPLES = """examples:
  parktwin up --simulate --history 6        the example park, six hours of history first
  parktwin up --simulate --scenario chlorine-user-trip    and something happens
  parktwin up --simulate --accounts         only accounts come in; three are made, with their links
  parktwin up --park my-park --data /srv/parktwin --http 80
  parktwin up --park my-park --accounts --http 0.0.0.0:443 --tls twin.pem twin.key
                                            for the whole network
  PARKTWIN_MQTT_URL=mqtt://broker.plant:1883 parktwin up --park my-park
                                            a broker of your own; the database is still started

With PARKTWIN_DATABASE_URL or PARKTWIN_MQTT_URL set, that service is used and none is started.
"""


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    words = sys.argv[1:] if argv is None else argv
    # The name of a program may be two words.
    for count in (2, 1):
        name = " ".join(words[:count])
        if name in PROGRAMS:
            module = PROGRAMS[name][0]
            os.execv(sys.executable, [*supervisor.python(module), *words[count:]])  # noqa: S606
    options = _parser().parse_args(words)

    def work() -> None:
        try:
            up(options)
        except KeyboardInterrupt:
            # A signal is the regular end of `up`.
            say("stopped")

    return run_program("parktwin", work)


def _parser() -> argparse.ArgumentParser:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="parktwin",
        description="The digital twin of a chemical industrial park.",
        epilog=EXAMPLES,
        formatter_class=layout,
    )
    parser.add_argument("--version", action="version", version=f"parktwin {own_version()}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    about = "run a whole twin on this machine: database, broker, ingest, api, console"
    add = commands.add_parser(
        "up", help=about, description=about, epilog=UP_EXAMPLES, formatter_class=layout
    ).add_argument
    add(
        "--park",
        type=Path,
        default=DEMO_PARK,
        metavar="DIR",
        help="park model (default: %(default)s)",
    )
    add(
        "--data",
        type=Path,
        default=Path(DATA_FOLDER),
        metavar="DIR",
        help="where everything is kept (default: ./%(default)s)",
    )
    add(
        "--http",
        type=_address,
        default="8080",
        metavar="[ADDRESS:]PORT",
        help="console (default: 8080 of this machine alone; another ADDRESS needs accounts)",
    )
    add(
        "--tls",
        nargs=2,
        type=Path,
        metavar=("CERTIFICATE", "KEY"),
        help="serve the console by https with these PEM files (PARKTWIN_HTTP_TLS_CERT, _KEY)",
    )
    add("--mqtt", type=int, default=1883, metavar="PORT", help="broker (default: %(default)s)")
    add("--pg", type=int, default=5433, metavar="PORT", help="database (default: %(default)s)")
    add(
        "--watchdog",
        type=float,
        default=SILENT_S,
        metavar="SECONDS",
        help="a program that hangs for so long is started again (default: %(default)g)",
    )
    add("--simulate", action="store_true", help="let the simulator stand in for the plants")
    add("--history", type=float, metavar="HOURS", help="simulated hours before now")
    add(
        "--scenario",
        metavar="NAME",
        help="something happens a minute after the start: chlorine-user-trip, alarm-flood,"
        " unit-error …; `parktwin simulate --help` lists them",
    )
    add(
        "--accounts",
        action="store_true",
        help="let only accounts in (PARKTWIN_ACCESS=accounts); with --simulate three are made",
    )
    for name, (_, line) in PROGRAMS.items():
        commands.add_parser(name, help=line)
    return parser


def _address(text: str) -> ConsoleAddress:
    """Return what `--http` says; raises ValueError, which argparse reports."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]") or os.environ.get("PARKTWIN_HTTP_HOST", HOST)
    host = HOST if host == "localhost" else host
    ip_address(host)
    return ConsoleAddress(host, int(port))


def up(options: argparse.Namespace) -> None:
    """Run services and programs until a signal; raises KeyboardInterrupt then, else ParkError."""
    if not (options.park / "park.toml").exists():
        raise ParkError(
            f"{options.park} holds no park.toml", hint="name the folder of a park model with --park"
        )
    _complete(options)
    for number in STOP_SIGNALS:
        # Under nohup the programs outlive the terminal.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)
    own = {
        "postgres_port": None if "PARKTWIN_DATABASE_URL" in os.environ else options.pg,
        "mqtt_port": None if "PARKTWIN_MQTT_URL" in os.environ else options.mqtt,
    }
    accounts = UpSettings(access="accounts") if options.accounts else None
    services = local.Services(
        options.data, **own, accounts=accounts, log_folder=UpSettings().log_archive
    )
    programs: list[supervisor.Program] = []
    try:
        services.reserve()
        require_port(options.http.port, "the console", options.http.host)
        services.start()
        _ensure_font()
        begin = datetime.now(UTC) - timedelta(hours=options.history or 0)
        names = ["ingest", "api", *(["simulators"] if options.simulate else [])]
        addresses = _addresses(options, services)
        access.write_addresses(services.data, addresses)
        programs = [
            supervisor.Program(
                name,
                _environment(options, services, name, addresses),
                services.log,
                options.watchdog,
            )
            for name in names
        ]

        def announce() -> None:
            print(_summary(services, options), flush=True)
            if options.accounts and options.simulate:
                _say_examples(_environment(options, services, "api", addresses), addresses)
            if options.simulate and options.history:
                environment = _environment(options, services, "ingest", addresses)
                programs.append(_replay(begin, environment, services.log))
            environment = _environment(options, services, "report", addresses)
            # Of a past that is not derived yet a report would say too little.
            past = programs[-1] if options.simulate and options.history else None
            programs.append(_schedule(environment, services.log, past))
            if options.accounts:
                environment = _environment(options, services, "audit", addresses)
                programs.append(_trim(environment, services.log))

        supervisor.supervise(programs, services, options.http, announce)
    finally:
        _ignore_signals()
        supervisor.stop(programs, services)


def _complete(options: argparse.Namespace) -> None:
    """Take what the environment says of accounts and certificate; raises ParkError."""
    options.accounts |= UpSettings().access == "accounts"
    is_secure = options.tls is not None or "PARKTWIN_HTTP_TLS_CERT" in os.environ
    options.http = options.http._replace(is_secure=is_secure)
    if not (options.accounts or options.http.is_own):
        raise ParkError(
            f"without accounts the console does not listen on {options.http.host}",
            hint="--accounts lets only those in who have one",
        )


def _ensure_font() -> None:
    """Install a font for reports where we may and none is known; all else works without it."""
    if shutil.which("fc-list") and run(["fc-list", ":lang=zh-cn", "family"]).stdout:
        return
    try:
        ensure(CHINESE_FONT)
    except ParkError:
        say(f"no PDF or Word reports: install a font with Chinese, such as {CHINESE_FONT}")


def _say_examples(environment: dict[str, str], addresses: dict[str, str]) -> None:
    """Make the accounts of a demonstration, and print how each comes in."""
    url = {"PARKTWIN_HTTP_URL": addresses["PARKTWIN_HTTP_URL"]}
    done = run([*supervisor.python("api.access"), "demo"], environment | url)
    print(done.stdout or done.stderr, flush=True)


def _replay(begin: datetime, environment: dict[str, str], log: Path) -> supervisor.Program:
    """Return the task that derives what has come of the past: a cycle of ingest took in hours."""
    since = ("--from", begin.isoformat())
    return supervisor.Program("ingest.cli.replay", environment, log, arguments=since)


def _schedule(
    environment: dict[str, str], log: Path, past: supervisor.Program | None
) -> supervisor.Program:
    """Return the task that makes and keeps each report of the model that is due."""
    words = ("due", "--by", "schedule")
    return supervisor.Program(
        "api.reports", environment, log, arguments=words, every_s=REPORTS_S, after=past
    )


def _trim(environment: dict[str, str], log: Path) -> supervisor.Program:
    """Return the task that removes what is too old from the record."""
    return supervisor.Program(
        "api.access.record", environment, log, arguments=("trim",), every_s=DAY_S
    )


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    _ignore_signals()
    raise KeyboardInterrupt


def _ignore_signals() -> None:
    """Let no further signal interrupt the stop."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _addresses(options: argparse.Namespace, services: local.Services) -> dict[str, str]:
    """Return where the services are by the names of their settings, for people and checks."""
    given = os.environ.get
    return {
        "PARKTWIN_HTTP_URL": options.http.url,
        "PARKTWIN_MQTT_URL": given("PARKTWIN_MQTT_URL") or services.mqtt_url,
        "PARKTWIN_DATABASE_URL": given("PARKTWIN_DATABASE_URL") or services.database_url,
        "PARKTWIN_ARCHIVE": given("PARKTWIN_ARCHIVE") or str(services.data / "archive"),
        "PARKTWIN_AUDIT_KEY": given("PARKTWIN_AUDIT_KEY")
        or str(access.key_of(services.data.absolute(), "audit.key")),
        "PARKTWIN_SECRET_KEY": given("PARKTWIN_SECRET_KEY")
        or str(access.key_of(services.data.absolute(), "secret.key")),
    }


def _environment(
    options: argparse.Namespace, services: local.Services, program: str, addresses: dict[str, str]
) -> dict[str, str]:
    """Return the environment of one program, with the role it has in the database."""
    own = {
        "PARKTWIN_PARK": str(options.park.absolute()),
        "PARKTWIN_DATA": str(services.data),
        "PARKTWIN_ARCHIVE": addresses["PARKTWIN_ARCHIVE"],
        "PARKTWIN_HTTP_HOST": options.http.host,
        "PARKTWIN_HTTP_PORT": str(options.http.port),
        "PYTHONUNBUFFERED": "1",
        **_database_environment(services, program),
        **_broker_environment(services, program, addresses),
    }
    if program in ("api", "audit"):
        own |= {name: path for name, path in addresses.items() if name.endswith("_KEY")}
    if program == "api":
        if options.accounts:
            own["PARKTWIN_ACCESS"] = "accounts"
        if options.tls is not None:
            files = map(str, map(Path.absolute, options.tls))
            own |= zip(("PARKTWIN_HTTP_TLS_CERT", "PARKTWIN_HTTP_TLS_KEY"), files, strict=True)
    if options.simulate:
        own["PARKTWIN_SIMULATION"] = str(services.data / "simulation")
    if options.history is not None:
        own["PARKTWIN_HISTORY_H"] = f"{options.history:g}"
    if options.scenario is not None:
        own |= {"PARKTWIN_SCENARIO": options.scenario, "PARKTWIN_EVENTS": "live"}
    if services.queue is not None:
        own["PARKTWIN_BROKER_QUEUE_BYTES"] = str(services.queue.bytes)
        own["PARKTWIN_BROKER_QUEUE_MESSAGES"] = str(services.queue.messages)
    # The matrices are small: threads that spin for them take the processors from the database.
    return {"OPENBLAS_NUM_THREADS": "1", **os.environ, **own}


def _database_environment(services: local.Services, program: str) -> dict[str, str]:
    """Return how a program comes in at our database: each as the role of what it does."""
    if "PARKTWIN_DATABASE_URL" in os.environ:
        return {}
    if program == "api":
        return {
            "PARKTWIN_DATABASE_URL": services.reader_url,
            "PARKTWIN_ACCESS_DATABASE_URL": services.address_of(access.ACCESS),
        }
    if program == "report":
        return {"PARKTWIN_DATABASE_URL": services.address_of(access.REPORT)}
    owned = program in ("ingest", "audit")
    return {"PARKTWIN_DATABASE_URL": services.database_url} if owned else {}


def _broker_environment(
    services: local.Services, program: str, addresses: dict[str, str]
) -> dict[str, str]:
    """Return how a program comes in at the broker; with accounts each has its own, or none."""
    if "PARKTWIN_MQTT_URL" in os.environ:
        return {}
    own = {"PARKTWIN_MQTT_URL": addresses["PARKTWIN_MQTT_URL"]} if services.door is None else {}
    if services.door is not None and program in PUBLISHING:
        own["PARKTWIN_MQTT_URL"] = services.mqtt_url_of(program)
        own["PARKTWIN_GATEWAY_ACCESS"] = str(services.door.accounts_file)
    if "PARKTWIN_CLIENT_ID" not in os.environ:
        own["PARKTWIN_CLIENT_ID"] = access.session_name(services.data)
    return own


def _summary(services: local.Services, options: argparse.Namespace) -> str:
    foreign = "your own, from the environment"
    own = {service.name for service in services.active}
    rows = {
        "console": f"{options.http.url}/",
        "MQTT": without_password(services.mqtt_url) if "mosquitto" in own else foreign,
        "SQL": _psql(services) if "postgres" in own else foreign,
        "data": str(services.data),
        "logs": str(services.log),
    }
    if services.door is not None:
        rows["gateways"] = services.door.url
    if options.accounts:
        rows["accounts"] = f"first link in {services.log / 'api.log'}, or parktwin user"
    lines = [f"{name:8} {value}" for name, value in rows.items()]
    lines += ["", "Ctrl-C stops everything."]
    width = max(map(len, lines))
    edge = f"+-{'-' * width}-+"
    return "\n".join([edge, *(f"| {line:{width}} |" for line in lines), edge])


def _psql(services: local.Services) -> str:
    """Return the command line of psql: the arguments of a program are seen by every account."""
    pgpass = shlex.quote(str(services.data / "pgpass"))
    return f"PGPASSFILE={pgpass} psql postgresql://park@{HOST}:{services.postgres.port}/park"


if __name__ == "__main__":
    sys.exit(main())
