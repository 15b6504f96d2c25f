"""`parktwin baseline`: stored models of energy baselines, and non-routine adjustments."""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from ingest.cli.send import LIMIT, OperatorProgram
from twin.baseline.model import BaselineModel
from twin.uom import compile_uom

if TYPE_CHECKING:
    from argparse import Namespace

    from ingest.store import Store

EXAMPLES = """examples:
  parktwin baseline list
  parktwin baseline show xinfa-caustic-power
      all versions of its model, and what was adjusted
  parktwin baseline adjust xinfa-caustic-power 2026-11-02T00:00+08:00 2026-11-05T00:00+08:00 120
      --reason "cell room lit by provisional lines" --evidence "order 4711" --by ann
      MWh that are added to what is expected, spread evenly; the same period again is its next
      version, and 0 takes it back
  parktwin baseline fit xinfa-caustic-power --by ann
      fit a model to its base period and store it; --help of its own
"""
MWH = compile_uom("MWh", "energy")[0]


async def _lines(store: Store, options: Namespace) -> list[str]:
    """Return the newest versions, or all of one baseline with its adjustments."""
    one = options.baseline if options.command == "show" else ""
    models = await store.baselines.models(one, options.limit)
    if not one:
        newest = {row["baseline"]: row for row in reversed(models)}
        return [_model(row) for row in newest.values()] or ["no baseline has been fitted"]
    lines = [_model(row) for row in models] or [f"{one} has not been fitted"]
    return lines + [_adjusted(row) for row in await store.baselines.adjustments(one, options.limit)]


def _model(row: Any) -> str:
    model = msgspec.json.decode(row["model"], type=BaselineModel)
    period = f"{row['start']:%Y-%m-%d %H:%M} to {row['stop']:%Y-%m-%d %H:%M} UTC"
    words = [
        row["baseline"], f"version {row['version']}", period, f"{model.points} windows",
        f"R2 {model.r2:.3f}", f"CV(RMSE) {model.cv_rmse:.1%}", " + ".join(model.variables),
        f"by {row['fitted_by']}", row["reason"],
    ]  # fmt: skip
    return "  ".join(word for word in words if word)


def _adjusted(row: Any) -> str:
    period = f"{row['start']:%Y-%m-%d %H:%M} to {row['stop']:%Y-%m-%d %H:%M} UTC"
    mark = "" if row["stands"] else "  (does not stand)"
    return (
        f"    adjusted {period}  {row['amount'] / MWH:+.10g} MWh  version {row['version']}{mark}"
        f"  by {row['recorded_by']}: {row['reason']} {row['evidence']}".rstrip()
    )


def _body(options: Namespace) -> dict[str, Any]:
    return {
        "by": options.by,
        "baseline": options.baseline,
        "start": options.start.isoformat(),
        "stop": options.stop.isoformat(),
        "amount": options.mwh * MWH,
        "reason": options.reason,
        "evidence": options.evidence,
    }


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is not a time like 2026-11-02T00:00+08:00") from error
    if time.tzinfo is None:
        raise ArgumentTypeError(f"{text!r} has no offset: write it like 2026-11-02T00:00+08:00")
    return time


def main(argv: list[str] | None = None) -> int:
    """Do one thing about energy baselines; return 0 when it is done."""
    program = OperatorProgram(
        "baseline",
        "List fitted models of energy baselines and adjust what they expect.",
        EXAMPLES,
        list="the newest model of each baseline",
        show="all versions of one, and what was adjusted",
        adjust="add energy to what a baseline expects, for a reason no variable has",
    )
    parsers = program.parsers
    for name in ("show", "adjust"):
        parsers[name].add_argument("baseline", metavar="ID", help="of a [[baseline]]")
    for name in ("list", "show"):
        parsers[name].add_argument("--limit", type=int, default=100, metavar="N", help=LIMIT)
    add = parsers["adjust"].add_argument
    add("start", type=_time, metavar="START", help="with offset, like 2026-11-02T00:00+08:00")
    add("stop", type=_time, metavar="STOP", help="not included")
    add("mwh", type=float, metavar="MWH", help="that are added to what is expected")
    add("--reason", required=True, help="why")
    add("--evidence", default="", metavar="TEXT", help="document, or what names it")
    add("--by", required=True, help="who says so")
    return program.run(argv, "baseline", _lines, _body)


if __name__ == "__main__":
    sys.exit(main())
