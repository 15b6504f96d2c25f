"""`parktwin export`: items of the online energy monitoring as a file."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from api.desk import open_desk
from api.monitoring.files import RENDER
from api.reports.period import parse_span
from twin.errors import ParkError
from twin.program import clear_progress, program_parser, run_program, show_progress

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

EXAMPLES = """examples:
  parktwin export liaocheng/chiping/xinfa --period 2026-10 --out xinfa.xlsx
      重点用能单位能耗在线监测 by day; the name of the file says the format: csv, xlsx or json
  parktwin export liaocheng --period 2026 --window month --lang en --out 2026.csv
      all enterprises of the region by month
  every row has its unit, completeness, quality and source; what is not known is empty, with its
  reason. The last rows (the second sheet) are the statement about the quality of the data.

settings, from the environment: PARKTWIN_DATABASE_URL
"""


async def _export(options: Namespace) -> int:
    """Write the file; raises ParkError."""
    form = options.out.suffix.removeprefix(".").lower()
    if form not in (*RENDER, "json"):
        raise ParkError(f"{options.out} is no csv, xlsx or json", hint="name it like october.csv")
    async with open_desk(_now_us) as desk:
        park = desk.park
        span = parse_span(options.period, park.timezone, park.shifts)
        show_progress(0.1, "asking")
        answer = await desk.get(
            f"scopes/{options.scope}/online-monitoring",
            window=options.window, from_=span.start, to=span.end, basis=options.basis,
        )  # fmt: skip
    show_progress(0.8, "writing")
    content = (
        orjson.dumps(answer, option=orjson.OPT_INDENT_2)
        if form == "json"
        else RENDER[form](answer, options.lang)
    )
    try:
        options.out.write_bytes(content)
    except OSError as error:
        raise ParkError(f"{options.out}: {error.strerror}") from error
    clear_progress()
    unknown = sum(row["value"] is None for row in answer["items"])
    print(f"{options.out}: {len(answer['items'])} rows, {unknown} of them without a value")
    return 0


def _now_us() -> int:
    return time.time_ns() // 1000


def _parser() -> ArgumentParser:
    about = "Write the items of the online energy monitoring of enterprises to a file."
    parser = program_parser("parktwin export", about, EXAMPLES)
    add = parser.add_argument
    add("scope", metavar="SCOPE", help="an enterprise, or a scope with some below it")
    add("--period", required=True, help="2026, 2026-Q4, 2026-10 or 2026-10-05")
    add("--window", choices=("day", "month"), default="day", help="of a row (default: %(default)s)")
    add("--basis", choices=("equivalent", "equal"), default="equivalent",
        help="electricity in coal equivalent: 当量 or 等价 (default: %(default)s)")  # fmt: skip
    add("--lang", choices=("zh", "en"), default="zh", help="language (default: %(default)s)")
    add("--out", type=Path, required=True, metavar="FILE", help="where to write it")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Write a file; return the exit status."""
    options = _parser().parse_args(argv)
    return run_program("parktwin export", lambda: asyncio.run(_export(options)))


if __name__ == "__main__":
    sys.exit(main())
