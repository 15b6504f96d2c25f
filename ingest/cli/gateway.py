"""`parktwin gateway`: what a gateway sends, how it would be read, and its way into the model."""

from __future__ import annotations

import sys
import time
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.cli import contacts
from ingest.cli.send import OperatorProgram
from ingest.routing.decode import limits_of
from ingest.routing.trial import try_payload
from ingest.settings import IngestSettings
from twin.errors import ParkError
from twin.loading import load_park

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from ingest.routing.trial import PayloadTrial, TrialRow

EXAMPLES = f"""examples:
{contacts.EXAMPLES}  parktwin gateway try payload.json --topic plant7/flows/FI-1
      as the model reads what comes there
  mosquitto_sub -t neuron/plc -C 1 | parktwin gateway try - --topic neuron/plc --payload neuron-tags
      as a preset would read it; without one, those that fit are named
  parktwin gateway try payload.json --payload '{{ time = "t", value = "v", tag = "n" }}'
"""
HEAD = ("NAME", "TAG", "TIME", "VALUE", "SI", "QUALITY")


def main(argv: list[str] | None = None) -> int:
    """Do one thing about gateways; return 0 when it is done."""
    own = {"try": "how a payload would be read; nothing is stored"}
    about = "Look at what gateways send, and make unknown ones part of the model."
    program = OperatorProgram("gateway", about, EXAMPLES, **contacts.COMMANDS, **own)
    contacts.add_arguments(program.parsers)
    _add_try(program.parsers["try"])
    return program.run(argv, "contact", contacts.lines_of, contacts.body_of, **{"try": _try})


def _add_try(parser: ArgumentParser) -> None:
    """Add the arguments of `try`."""
    add = parser.add_argument
    add("file", metavar="FILE", help="one payload; - reads the standard input")
    add("--topic", default="", help="topic of the message")
    add("--park", type=Path, metavar="DIR", help="park model (default: PARKTWIN_PARK)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--gateway", default="", metavar="ID", help="read it as this gateway's")
    which.add_argument(
        "--payload", default="", metavar="PRESET", help="read it by a preset, or by a table in TOML"
    )


def _try(options: Namespace) -> int:
    """Print how a payload would be read; return 1 when nothing of it would be stored."""
    settings = IngestSettings()
    try:
        from_stdin = options.file == "-"
        payload = sys.stdin.buffer.read() if from_stdin else Path(options.file).read_bytes()
    except OSError as error:
        raise ParkError(f"{options.file}: {error.strerror}", hint="name a file or -") from error
    trial = try_payload(
        load_park(options.park or settings.park),
        options.topic,
        payload,
        time.time_ns() // 1000,
        limits_of(settings),
        gateway=options.gateway,
        layout=_layout(options.payload),
    )
    print("\n".join(lines_of(trial)))
    return 0 if any(row.quality for row in trial.rows) else 1


def _layout(text: str) -> dict[str, Any] | str:
    """Return a layout as it would stand in park.toml; raises ParkError."""
    if not text.startswith("{"):
        return text
    try:
        layout: dict[str, Any] = tomllib.loads(f"payload = {text}")["payload"]
    except tomllib.TOMLDecodeError as error:
        raise ParkError(f"--payload: {error}", hint='a table like { value = "v" }') from error
    return layout


def lines_of(trial: PayloadTrial) -> list[str]:
    """Return a trial for a reader."""
    cells = [HEAD, *map(_cells, trial.rows)]
    width = [max(len(row[column]) for row in cells) for column in range(len(HEAD))]
    lines = [f"gateway {trial.gateway}"] if trial.gateway else []
    if trial.rows:
        lines += ["  ".join(map(str.ljust, row, width)).rstrip() for row in cells]
    if trial.more:
        lines.append(f"and {trial.more:,} more values")
    lines += [f"refused: {text}" for text in trial.refused]
    if trial.presets:
        lines.append(f"presets that read it: {', '.join(trial.presets)}")
    return lines


def _cells(row: TrialRow) -> tuple[str, ...]:
    """Return one value for a reader."""
    moment = datetime.fromtimestamp(row.time_us / 1e6, UTC)
    value = "no value" if row.value is None else f"{row.value:g} {row.uom}".rstrip()
    si = "" if row.si is None else f"{row.si:.6g} {row.si_uom}".rstrip()
    return (
        row.name,
        row.tag or "unknown",
        f"{moment:%Y-%m-%d %H:%M:%S.%f}"[:-3] + " UTC",
        value,
        si,
        row.quality or f"not stored, {row.reason}",
    )


if __name__ == "__main__":
    sys.exit(main())
