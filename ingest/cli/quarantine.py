"""`parktwin quarantine`: list, adopt, release or drop samples that were not stored."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ingest.cli.send import LIMIT, OperatorProgram
from ingest.commands import ADOPTABLE, RELEASABLE
from twin.errors import ParkError
from twin.loading import TAG_COLUMNS

if TYPE_CHECKING:
    from argparse import Namespace

    from ingest.store import Store

EXAMPLES = """examples:
  parktwin quarantine list
  parktwin quarantine adopt acme/TI-7 --scope mypark/acme --quantity temperature --uom degC
      adds the tag to tags.csv of the running ingest, which reads its model again and stores
      the samples that were kept
  parktwin quarantine release acme/FT-1 --reason future
      stores the samples whose time has come
  parktwin quarantine drop acme/TI-7
"""


async def _lines(store: Store, options: Namespace) -> list[str]:
    rows = await store.quarantine.newest(options.limit)
    return [_line(row) for row in rows] or ["quarantine is empty"]


def _line(row: Any) -> str:
    return (
        f"{row['enterprise']}/{row['tag']}  {row['reason']}  {row['count']:,} samples,"
        f" {row['kept']:,} kept, last value {row['last_value']},"
        f" {row['first_seen']:%Y-%m-%d %H:%M} to {row['last_seen']:%Y-%m-%d %H:%M} UTC,"
        f" {row['topic']}"
    )


def _body(options: Namespace) -> dict[str, Any]:
    enterprise, _, tag = options.tag.partition("/")
    if not enterprise or not tag:
        raise ParkError(f"{options.tag!r} is not ENTERPRISE/TAG", hint="`list` shows them")
    if options.command != "adopt":
        return {"enterprise": enterprise, "tag": tag, "reason": options.reason}
    cells = {name: getattr(options, name) for name in TAG_COLUMNS}
    return cells | {"enterprise": enterprise, "tag": tag, "reason": ADOPTABLE}


def main(argv: list[str] | None = None) -> int:
    """Do one thing about quarantine; return 0 when it is done."""
    program = OperatorProgram(
        "quarantine",
        "List, adopt, release or drop samples that may not be stored.",
        EXAMPLES,
        list="counts by tag and reason, newest first",
        adopt="make an unknown tag one of the model",
        release="store samples of the future whose time has come, or samples of the past",
        drop="forget samples and counts of a tag",
    )
    parsers = program.parsers
    parsers["list"].add_argument("--limit", type=int, default=100, metavar="N", help=LIMIT)
    for name in ("adopt", "release", "drop"):
        parsers[name].add_argument("tag", metavar="ENTERPRISE/TAG", help="as `list` shows it")
    add = parsers["adopt"].add_argument
    add("--scope", required=True, help="scope of the tag")
    add("--quantity", required=True, help="what it measures, like mass_flow")
    add("--uom", required=True, help="unit of measure of its values, like t/h")
    add(
        "--kind",
        choices=("gauge", "counter", "state"),
        default="gauge",
        help="default: %(default)s",
    )
    for name in ("low", "high", "sigma", "description"):
        add(f"--{name}", default="", help="as in tags.csv")
    parsers["release"].add_argument("--reason", choices=RELEASABLE, required=True)
    parsers["drop"].add_argument("--reason", default="", help="only this reason")
    return program.run(argv, "quarantine", _lines, _body)


if __name__ == "__main__":
    sys.exit(main())
