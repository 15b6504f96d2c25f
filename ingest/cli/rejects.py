"""`parktwin rejects`: payloads that were refused, and another try for them."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ingest.cli.send import order, run
from twin.errors import ParkError

if TYPE_CHECKING:
    from ingest.store import Store

SHOWN = 60
EXAMPLES = """examples:
  parktwin rejects list --reason wrong_uom
  parktwin rejects replay --reason unknown_enterprise
      after the model was mended: complete payloads go through their codec again
  parktwin rejects drop 17 18

Payloads are kept up to a length (PARKTWIN_REJECT_BYTES); longer ones cannot be replayed. Nor can
those of Sparkplug, whose edge nodes say everything again when they are asked for a rebirth.

settings, from the environment: PARKTWIN_DATABASE_URL
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="parktwin rejects",
        description="List, replay or drop refused payloads.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    listing = commands.add_parser("list", help="newest first")
    listing.add_argument("--limit", type=int, default=20, metavar="N", help="rows (default: 20)")
    for name, line in (("replay", "decode them again"), ("drop", "forget them")):
        each = commands.add_parser(name, help=line)
        each.add_argument("ids", nargs="*", type=int, metavar="ID", help="numbers of the list")
        each.add_argument("--all", action="store_true", help="all of them")
    for each in commands.choices.values():
        each.add_argument("--reason", default="", help="only this reason")
    return parser


async def _list(store: Store, reason: str, limit: int) -> None:
    """Print refused payloads."""
    async with store.transaction():
        rows = await store.rejects.newest(reason, limit)
    for row in rows:
        whole = "" if row["complete"] else ", not complete"
        print(
            f"{row['id']}  {row['received']:%Y-%m-%d %H:%M:%S} UTC  {row['reason']}"
            f"  {row['detail']}  {row['topic']}  {row['size']:,} bytes{whole}:"
            f" {row['payload'][:SHOWN]!r}"
        )
    if not rows:
        print("nothing was refused")


def main(argv: list[str] | None = None) -> int:
    """Do one thing about rejects; return 0 when it is done."""
    options = _parser().parse_args(argv)

    async def work(store: Store) -> None:
        if options.command == "list":
            await _list(store, options.reason, options.limit)
            return
        if not (options.ids or options.reason or options.all):
            raise ParkError("which of them?", hint="name numbers, --reason or --all")
        body = {"ids": options.ids or None, "reason": options.reason or None}
        await order(store, f"reject.{options.command}", body)

    return run("parktwin rejects", work)


if __name__ == "__main__":
    sys.exit(main())
