"""`parktwin unit-errors`: suspected unit errors, and what they are."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ingest.cli.send import LIMIT, OperatorProgram

if TYPE_CHECKING:
    from argparse import Namespace

    from ingest.store import Store

EXAMPLES = """examples:
  parktwin unit-errors list
  parktwin unit-errors dismiss 7 --by ann --reason "half of the cells are down"
      a real step: its samples become good, and the level is learnt anew
  parktwin unit-errors rescale 7 --by ann
      another unit of measure: its samples are corrected by the inverse of the factor
  parktwin unit-errors rescale 7 --by ann --factor 0.001
"""


async def _lines(store: Store, options: Namespace) -> list[str]:
    rows = await store.unit_errors.newest(options.limit, everything=options.all)
    return [_line(row) for row in rows] or ["no unit error is suspected"]


def _line(row: Any) -> str:
    offset = f" {row['shift']:+.4g}" if row["shift"] else ""
    return (
        f"{row['id']}  {row['enterprise']}/{row['tag']}  {row['answer'] or row['state']}"
        f"  {row['since']:%Y-%m-%d %H:%M:%S} to {row['last']:%Y-%m-%d %H:%M:%S} UTC"
        f"  {row['samples']:,} samples, expected {row['expected']:.4g} {row['uom']},"
        f" shown × {row['factor']:.4g}{offset}"
    )


def _body(options: Namespace) -> dict[str, Any]:
    body: dict[str, Any] = {"id": options.id, "by": options.by, "reason": options.reason}
    if options.command == "rescale" and options.factor is not None:
        body |= {"factor": options.factor, "offset": options.offset}
    return body


def main(argv: list[str] | None = None) -> int:
    """Do one thing about unit errors; return 0 when it is done."""
    program = OperatorProgram(
        "unit-errors",
        "List, dismiss or rescale suspected unit errors.",
        EXAMPLES,
        list="open ones first, then the newest",
        dismiss="a real step",
        rescale="another unit of measure",
    )
    parsers = program.parsers
    parsers["list"].add_argument("--limit", type=int, default=100, metavar="N", help=LIMIT)
    parsers["list"].add_argument(
        "--all", action="store_true", help="also those that have been answered"
    )
    for name in ("dismiss", "rescale"):
        add = parsers[name].add_argument
        add("id", type=int, metavar="ID", help="number of the list")
        add("--by", required=True, help="who gives the answer")
        add("--reason", default="", help="why")
    add = parsers["rescale"].add_argument
    add("--factor", type=float, help="correct to value * factor + offset, in the uom of the tag")
    add("--offset", type=float, default=0.0, help="default: %(default)s")
    return program.run(argv, "unit_error", _lines, _body)


if __name__ == "__main__":
    sys.exit(main())
