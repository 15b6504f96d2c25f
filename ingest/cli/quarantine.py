"""`parktwin quarantine`: list, adopt, release or drop samples that were not stored."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from ingest.cli.send import order, run
from ingest.commands.commands import ADOPTABLE, RELEASABLE
from twin.errors import ParkError
from twin.loading import TAG_KINDS

if TYPE_CHECKING:
    from ingest.store import Store

EXAMPLES = """examples:
  parktwin quarantine list
  parktwin quarantine adopt acme/TI-7 --scope mypark/acme --quantity temperature --uom degC
      adds the tag to tags.csv of the running ingest, which reads its model again and stores
      the samples that were kept
  parktwin quarantine release acme/FT-1 --reason future
      stores the samples whose time has come
  parktwin quarantine drop acme/TI-7

settings, from the environment: PARKTWIN_DATABASE_URL
"""


def _parser() -> argparse.ArgumentParser:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="parktwin quarantine",
        description="List, adopt, release or drop samples that may not be stored.",
        epilog=EXAMPLES,
        formatter_class=layout,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    add = commands.add_parser("list", help="counts by tag and reason, newest first").add_argument
    add("--limit", type=int, default=100, metavar="N", help="rows (default: %(default)s)")
    about = {
        "adopt": "make an unknown tag one of the model",
        "release": "store samples of the future whose time has come",
        "drop": "forget samples and counts of a tag",
    }
    parsers = {name: commands.add_parser(name, help=line) for name, line in about.items()}
    for each in parsers.values():
        each.add_argument("tag", metavar="ENTERPRISE/TAG", help="as `list` shows it")
    add = parsers["adopt"].add_argument
    add("--scope", required=True, help="scope of the tag")
    add("--quantity", required=True, help="what it measures, like mass_flow")
    add("--uom", required=True, help="unit of measure of its values, like t/h")
    add("--kind", choices=TAG_KINDS, default="gauge", help="default: %(default)s")
    for name in ("low", "high", "sigma", "description"):
        add(f"--{name}", default="", help="as in tags.csv")
    parsers["release"].add_argument("--reason", choices=RELEASABLE, required=True)
    parsers["drop"].add_argument("--reason", default="", help="only this reason")
    return parser


async def _list(store: Store, limit: int) -> None:
    """Print what is in quarantine."""
    async with store.transaction():
        rows = await store.quarantine.newest(limit)
    for row in rows:
        seen = f"{row['first_seen']:%Y-%m-%d %H:%M} to {row['last_seen']:%Y-%m-%d %H:%M} UTC"
        print(
            f"{row['enterprise']}/{row['tag']}  {row['reason']}  {row['count']:,} samples,"
            f" {row['kept']:,} kept, last value {row['last_value']}, {seen}, {row['topic']}"
        )
    if not rows:
        print("quarantine is empty")


def main(argv: list[str] | None = None) -> int:
    """Do one thing about quarantine; return 0 when it is done."""
    options = _parser().parse_args(argv)

    async def work(store: Store) -> None:
        if options.command == "list":
            await _list(store, options.limit)
            return
        enterprise, _, tag = options.tag.partition("/")
        if not enterprise or not tag:
            raise ParkError(f"{options.tag!r} is not ENTERPRISE/TAG", hint="`list` shows them")
        body: dict[str, Any] = {"enterprise": enterprise, "tag": tag}
        body["reason"] = ADOPTABLE if options.command == "adopt" else options.reason
        if options.command == "adopt":
            names = ("scope", "quantity", "uom", "kind", "low", "high", "sigma", "description")
            body |= {name: getattr(options, name) for name in names}
        await order(store, f"quarantine.{options.command}", body)

    return run("parktwin quarantine", work)


if __name__ == "__main__":
    sys.exit(main())
