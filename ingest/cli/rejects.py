"""`parktwin rejects`: payloads that were refused, and another try for them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ingest.cli.send import LIMIT, OperatorProgram
from twin.errors import ParkError

if TYPE_CHECKING:
    from argparse import Namespace

    from ingest.store import Store

SHOWN = 60
EXAMPLES = """examples:
  parktwin rejects list --reason wrong_uom
  parktwin rejects replay --reason unknown_enterprise
      after the model was mended: complete payloads go through their codec again
  parktwin rejects drop 17 18

Payloads are kept up to a length (PARKTWIN_REJECT_BYTES); longer ones cannot be replayed. Nor can
those of Sparkplug, whose edge nodes say everything again when they are asked for a rebirth.
"""


async def _lines(store: Store, options: Namespace) -> list[str]:
    rows = await store.rejects.newest(options.reason, options.limit)
    return [_line(row) for row in rows] or ["nothing was refused"]


def _line(row: Any) -> str:
    whole = "" if row["complete"] else ", not complete"
    return (
        f"{row['id']}  {row['received']:%Y-%m-%d %H:%M:%S} UTC  {row['reason']}  {row['detail']}"
        f"  {row['topic']}  {row['size']:,} bytes{whole}: {row['payload'][:SHOWN]!r}"
    )


def _body(options: Namespace) -> dict[str, Any]:
    if not (options.ids or options.reason or options.all):
        raise ParkError("which of them?", hint="name numbers, --reason or --all")
    return {"ids": options.ids or None, "reason": options.reason or None}


def main(argv: list[str] | None = None) -> int:
    """Do one thing about rejects; return 0 when it is done."""
    program = OperatorProgram(
        "rejects",
        "List, replay or drop refused payloads.",
        EXAMPLES,
        list="newest first",
        replay="decode them again",
        drop="forget them",
    )
    parsers = program.parsers
    parsers["list"].add_argument("--limit", type=int, default=20, metavar="N", help=LIMIT)
    for name, parser in parsers.items():
        if name != "list":
            parser.add_argument("ids", nargs="*", type=int, metavar="ID", help="of the list")
            parser.add_argument("--all", action="store_true", help="all of them")
        parser.add_argument("--reason", default="", help="only this reason")
    return program.run(argv, "reject", _lines, _body)


if __name__ == "__main__":
    sys.exit(main())
