"""`parktwin registers`: falls of counters, and meters that were replaced."""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ingest.cli.send import LIMIT, OperatorProgram

if TYPE_CHECKING:
    from argparse import Namespace

    from ingest.store import Store

EXAMPLES = """examples:
  parktwin registers list
  parktwin registers replace 7 --last 999460 --first 420000 --by ann
      last reading of the old meter, first one of the new; the minutes are computed again
  parktwin registers replace acme/EQ-1 --at 2026-11-02T09:30+08:00 --last 812 --first 5000 --by ann
      also where no fall is listed: the new meter reads more than the old one
  parktwin registers dismiss 7 --by ann --reason "nobody knows"
"""


async def _lines(store: Store, options: Namespace) -> list[str]:
    rows = await store.register_falls.newest(options.limit, everything=options.all)
    return [_line(row) for row in rows] or ["no register has fallen"]


def _line(row: Any) -> str:
    return (
        f"{row['id']}  {row['enterprise']}/{row['tag']}  {row['answer'] or 'open'}"
        f"  {row['before']:.10g} {row['uom']} at {row['since']:%Y-%m-%d %H:%M:%S},"
        f" {row['after']:.10g} {row['uom']} at {row['time']:%Y-%m-%d %H:%M:%S} UTC"
    )


def _body(options: Namespace) -> dict[str, Any]:
    body: dict[str, Any] = {"by": options.by, "reason": options.reason}
    if options.which.isdecimal():
        body["id"] = int(options.which)
    else:
        body["enterprise"], _, body["tag"] = options.which.partition("/")
    if options.command == "replace":
        body |= {"last": options.last, "first": options.first}
        if options.at is not None:
            body["time"] = options.at.isoformat()
    return body


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is not a time like 2026-11-02T09:30+08:00") from error
    if time.tzinfo is None:
        raise ArgumentTypeError(f"{text!r} has no offset: write it like 2026-11-02T09:30+08:00")
    return time


def main(argv: list[str] | None = None) -> int:
    """Do one thing about registers; return 0 when it is done."""
    program = OperatorProgram(
        "registers",
        "List falls of counters, enter replaced meters, dismiss falls.",
        EXAMPLES,
        list="those without an answer first, then the newest",
        replace="a meter took the place of another",
        dismiss="the rise over a fall stays unknown",
    )
    parsers = program.parsers
    parsers["list"].add_argument("--limit", type=int, default=100, metavar="N", help=LIMIT)
    parsers["list"].add_argument(
        "--all", action="store_true", help="also those that have been answered"
    )
    add = parsers["replace"].add_argument
    add("which", metavar="ID|TAG", help="number of the list, or ENTERPRISE/TAG with --at")
    add("--last", type=float, required=True, help="last reading of the old meter, in its uom")
    add("--first", type=float, required=True, help="first reading of the new meter")
    add("--at", type=_time, help="when; by default in the middle between the two readings")
    parsers["dismiss"].add_argument("which", metavar="ID", help="number of the list")
    for name in ("replace", "dismiss"):
        parsers[name].add_argument("--by", required=True, help="who says so")
        parsers[name].add_argument("--reason", default="", help="why")
    return program.run(argv, "register", _lines, _body)


if __name__ == "__main__":
    sys.exit(main())
