"""`parktwin baseline fit`: fit an energy baseline to its base period and store the model."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Any

from api.desk import Desk, open_desk
from twin.baseline.model import Baseline
from twin.errors import ParkError
from twin.program import program_parser, run_program

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

EXAMPLES = """examples:
  parktwin baseline fit xinfa-caustic-power --by ann
      to the base period of its [[baseline]], else to the last days
  parktwin baseline fit xinfa-caustic-power --by ann --reason "new membranes since May"
      --start 2026-05-01T00:00+08:00 --end 2026-08-01T00:00+08:00
      another base period: the model is its next version, and the former ones stay
  parktwin baseline list
  parktwin baseline adjust --help

settings, from the environment: PARKTWIN_DATABASE_URL
"""


async def _fit(options: Namespace) -> int:
    """Fit and store a model, and print what it is worth; raises ParkError."""
    async with open_desk(_now_us) as desk:
        rows = {row.id: row for row in desk.park.rows(Baseline)}
        if options.baseline not in rows:
            known = ", ".join(rows) or "none"
            raise ParkError(f"there is no baseline {options.baseline!r}", hint=f"known: {known}")
        body = {"by": options.by, "reason": options.reason}
        body |= {
            name: getattr(options, name) for name in ("start", "end") if getattr(options, name)
        }
        path = f"scopes/{rows[options.baseline].scope}/baselines"
        if await desk.post(f"{path}/{options.baseline}/fit", body):
            await _tell(desk, path, options.baseline)
    return 0


async def _tell(desk: Desk, path: str, baseline: str) -> None:
    """Print the newest model of a baseline with its rules."""
    items = (await desk.get(path))["items"]
    row: dict[str, Any] = next(each for each in items if each["id"] == baseline)
    model = row["versions"][0]
    period = f"{model['start']} to {model['end']}"
    worth = f"R2 {model['r2']:.3f}, CV(RMSE) {model['cv_rmse']:.1%}"
    print(f"{baseline} version {model['version']}: {period}, {model['points']} windows, {worth}")
    for each in row["variables"]:
        slope = each["mwh_per_uom"]
        text = f"left out: {each['reason']}" if slope is None else f"{slope:+.4g} MWh/{each['uom']}"
        print(f"  {each['variable']}: {text.rstrip('/')}")
    print("accepted" if row["accepted"] else f"not accepted: {row['reason']}")


def _now_us() -> int:
    return time.time_ns() // 1000


def _parser() -> ArgumentParser:
    about = "Fit an energy baseline to its base period; the model is stored as a version."
    parser = program_parser("parktwin baseline fit", about, EXAMPLES)
    add = parser.add_argument
    add("baseline", metavar="ID", help="of a [[baseline]]")
    add("--by", required=True, help="who fits it")
    add("--start", default="", metavar="TIME", help="of the base period, RFC 3339 with offset")
    add("--end", default="", metavar="TIME", help="of the base period, not included")
    add("--reason", default="", help="why it is fitted anew")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Fit a baseline; return the exit status."""
    options = _parser().parse_args(argv)
    return run_program("parktwin baseline fit", lambda: asyncio.run(_fit(options)))


if __name__ == "__main__":
    sys.exit(main())
