"""`parktwin unit-errors`: suspected unit errors, and what they are."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from ingest.cli.send import order, run

if TYPE_CHECKING:
    from ingest.store import Store

EXAMPLES = """examples:
  parktwin unit-errors list
  parktwin unit-errors dismiss 7 --by ann --reason "half of the cells are down"
      a real step: its samples become good, and the level is learnt anew
  parktwin unit-errors rescale 7 --by ann
      another unit of measure: its samples are corrected by the inverse of the factor
  parktwin unit-errors rescale 7 --by ann --factor 0.001

settings, from the environment: PARKTWIN_DATABASE_URL
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="parktwin unit-errors",
        description="List, dismiss or rescale suspected unit errors.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    add = commands.add_parser("list", help="open ones first, then the newest").add_argument
    add("--all", action="store_true", help="also those that have been answered")
    add("--limit", type=int, default=100, metavar="N", help="rows (default: %(default)s)")
    for name, line in (("dismiss", "a real step"), ("rescale", "another unit of measure")):
        each = commands.add_parser(name, help=line)
        each.add_argument("id", type=int, metavar="ID", help="number of the list")
        each.add_argument("--by", required=True, help="who gives the answer")
        each.add_argument("--reason", default="", help="why")
    add = commands.choices["rescale"].add_argument
    add("--factor", type=float, help="correct to value * factor + offset, in the uom of the tag")
    add("--offset", type=float, default=0.0, help="default: %(default)s")
    return parser


async def _list(store: Store, limit: int, *, everything: bool) -> None:
    """Print suspected unit errors."""
    async with store.transaction():
        rows = await store.unit_errors.newest(limit, everything=everything)
    for row in rows:
        offset = f" {row['shift']:+.4g}" if row["shift"] else ""
        print(
            f"{row['id']}  {row['enterprise']}/{row['tag']}  {row['answer'] or row['state']}"
            f"  {row['since']:%Y-%m-%d %H:%M:%S} to {row['last']:%Y-%m-%d %H:%M:%S} UTC"
            f"  {row['samples']:,} samples, expected {row['expected']:.4g} {row['uom']},"
            f" shown × {row['factor']:.4g}{offset}"
        )
    if not rows:
        print("no unit error is suspected")


def main(argv: list[str] | None = None) -> int:
    """Do one thing about unit errors; return 0 when it is done."""
    options = _parser().parse_args(argv)

    async def work(store: Store) -> None:
        if options.command == "list":
            await _list(store, options.limit, everything=options.all)
            return
        body: dict[str, Any] = {"id": options.id, "by": options.by, "reason": options.reason}
        if options.command == "rescale" and options.factor is not None:
            body |= {"factor": options.factor, "offset": options.offset}
        await order(store, f"unit_error.{options.command}", body)

    return run("parktwin unit-errors", work)


if __name__ == "__main__":
    sys.exit(main())
