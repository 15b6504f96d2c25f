"""`parktwin book`: values that no meter gives, by tag and period, with who said so and why."""

from __future__ import annotations

import json
import math
import re
import sys
from datetime import date
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from deploy.database.times import to_us
from ingest.cli.send import LIMIT, OperatorProgram, order
from ingest.file_import import sheets
from ingest.file_import.mapping import Form
from twin.arrays import SECOND_US
from twin.book.comparison import BEYOND, compare
from twin.book.entries import (
    CHINESE,
    DATE,
    ROWS_MAX,
    BookProblem,
    BookRow,
    compare_with_book,
    date_of,
    decode,
    digest_of,
    read_entries,
    read_table,
    rows_of,
    with_evidence,
)
from twin.book.model import book_tags
from twin.book.periods import Period, label, text_of_day
from twin.errors import ParkError
from twin.loading import parse_park

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Sequence

    from ingest.store import Store
    from twin.model.park import Park

EXAMPLES = """examples:
  parktwin book enter acme/REVENUE 2026-10 1234.5 --uom 万元 --evidence october.pdf --by ann
      a draft; the evidence is a file, of which the SHA-256 is kept, or a text
  parktwin book import october.xlsx --by ann
      CSV or the first sheet of a workbook, with columns tag,period,value and, if wanted,
      uom,evidence,note,reason; nothing of a file that has a problem is stored
  parktwin book import october.csv --by ann --dry-run
  parktwin book list --scope mypark/acme
  parktwin book confirm 17 18 --by bob
      the figures of their tags from now on
  parktwin book correct 17 1243.5 --reason "invoice 4711 was missing" --by ann --confirm
      another version; the one before stays, and what followed from it is restated
  parktwin book show 17
"""
WORKBOOKS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
# Of a sheet, besides those with values: its header, remarks, empty rows.
SPARE_ROWS = 1_000
DAY_CELL = re.compile(r"\d{4}-\d\d-\d\d( 00:00:00)?")
ENTERING = ("enter", "correct", "import")


async def _act(store: Store, options: Namespace) -> None:
    """Do what one command says; raises ParkError."""
    park = await _park(store)
    if options.command in ("list", "show"):
        async with store.transaction():
            rows = await _rows(store, options)
        zone = ZoneInfo(park.timezone)
        lines = [_line(row, zone) for row in rows]
        if options.command == "show":
            lines = [text for row in rows for text in _details(row, zone)]
        print("\n".join(lines) or "there is nothing in the book")
    elif options.command == "confirm":
        await order(store, "book.confirm", {"by": options.by, "ids": options.ids})
    else:
        await _enter(store, park, options)


async def _park(store: Store) -> Park:
    """Return the newest park model of the database; raises ParkError before the first."""
    async with store.transaction():
        files = await store.book.model()
    if files is None:
        raise ParkError("there is no park model in the database", hint="start ingest: it stores it")
    return parse_park(json.loads(files))


async def _rows(store: Store, options: Namespace) -> list[Any]:
    if options.command == "show":
        return await _versions(store, options.id)
    which = "all" if options.all else "standing" if options.standing else "newest"
    return await store.book.list(which, options.limit, tag=options.tag, scope=options.scope)


async def _versions(store: Store, number: int) -> list[Any]:
    """Return all versions of a value, by the number of one; raises ParkError."""
    rows = await store.book.list("all", sys.maxsize, value=number)
    if not rows:
        raise ParkError(f"there is no value {number}", hint="parktwin book list shows them")
    return rows


async def _enter(store: Store, park: Park, options: Namespace) -> None:
    """Check the rows of a command or a file, and send them; raises ParkError with all problems."""
    zone = ZoneInfo(park.timezone)
    rows, problems = await _written(store, park, options, zone)
    async with store.transaction():
        now_us = await store.now_us()
        entries, wrong = read_entries(rows, park, now_us)
        known = await store.book.newest(sorted({entry.tag.address for entry in entries}))
    new, contradictions = compare_with_book(entries, known, zone)
    problems = sorted([*problems, *wrong, *contradictions])
    if problems:
        raise ParkError(
            f"{len(problems)} problem{'s' if len(problems) > 1 else ''}: nothing was stored",
            hint="mend them and enter it again",
            problems=[str(problem) for problem in problems],
        )
    print(f"{len(new)} new, {len(entries) - len(new)} in the book already")
    if options.command == "import" and options.dry_run:
        for entry in new:
            period = label(entry.period, zone)
            print(f"{entry.tag.address}  {period}  {entry.entered:.10g} {entry.uom}")
    elif new:
        body = {"by": options.by, "confirm": options.confirm, "rows": rows}
        await order(store, "book.enter", body)


async def _written(
    store: Store, park: Park, options: Namespace, zone: ZoneInfo
) -> tuple[Sequence[BookRow], list[BookProblem]]:
    """Return the rows that a command line or a file has; raises ParkError."""
    if options.command == "import":
        return _read_file(options.file, park)
    cells = {name: getattr(options, name, "") for name in ("value", "uom", "note", "reason")}
    cells["evidence"] = _evidence(options.evidence)
    if options.command == "correct":
        async with store.transaction():
            row = (await _versions(store, options.id))[0]
        cells |= {"tag": row["address"], "period": label(_period(row), zone)}
    else:
        cells |= {"tag": options.tag, "period": options.period}
    return [BookRow(1, cells)], []


def _read_file(path: Path, park: Park) -> tuple[Sequence[BookRow], list[BookProblem]]:
    """Return the rows of a file, with its digest as evidence; raises ParkError."""
    try:
        content = path.read_bytes()
        is_workbook = path.suffix.lower() in WORKBOOKS
        rows, problems = (
            rows_of(_read_workbook(content, park)) if is_workbook else read_table(decode(content))
        )
    except (OSError, ValueError) as error:
        raise ParkError(f"{path}: {error}", hint="name a CSV or XLSX file") from error
    return with_evidence(rows, content), problems


def _read_workbook(content: bytes, park: Park) -> list[tuple[int, list[str]]]:
    """Return the numbered rows of the first sheet as texts; raises ParkError."""
    rows = sheets.read_sheet(content, Form()).rows
    table = [[cell or "" for cell in row] for row in islice(rows, ROWS_MAX + SPARE_ROWS)]
    names = [CHINESE.get(name, name) for name in next(filter(any, table), [])]
    if {"tag", "period"} <= set(names):
        tag, period = names.index("tag"), names.index("period")
        kinds = {address: row.period for address, row in book_tags(park).items()}
        for row in table:
            if max(tag, period) < len(row) and DAY_CELL.fullmatch(row[period]):
                kind = kinds.get(row[tag], "")
                row[period] = text_of_day(date.fromisoformat(row[period][:10]), kind)
    return list(enumerate(table, 1))


def _evidence(text: str) -> str:
    """Return a reference, or of a file its name and SHA-256; raises ParkError."""
    path = Path(text)
    if not text or not path.is_file():
        return text
    try:
        return f"{path.name} {digest_of(path.read_bytes())}"
    except OSError as error:
        raise ParkError(f"{path}: {error}") from error


def _period(row: Any) -> Period:
    return Period(to_us(row["start"]), to_us(row["stop"]))


def _line(row: Any, zone: ZoneInfo) -> str:
    state = "confirmed" if row["confirmed"] else "draft"
    mark = "" if row["stands"] else "  (does not stand)"
    words = [str(row["id"]), row["address"], label(_period(row), zone), _value(row),
             f"version {row['version']}", f"{state}{mark}", f"by {row['recorded_by']}",
             _comparison(row)]  # fmt: skip
    return "  ".join(word for word in words if word)


def _value(row: Any) -> str:
    if row["quantity"] == DATE:
        return date_of(row["value"])
    return f"{(row['value'] - row['shift']) / row['scale']:.10g} {row['tag_uom']}".rstrip()


def _comparison(row: Any) -> str:
    """Return how a value compares with its meter, as far as it has one."""
    if not row["meter"]:
        return ""
    period = _period(row)
    metered = math.nan if row["metered"] is None else row["metered"]
    period_s = (period.stop_us - period.start_us) / SECOND_US
    share, deviation, verdict = compare(row["value"], metered, row["metered_s"] or 0.0, period_s)
    if math.isnan(deviation):
        return f"{row['meter']} has nothing of it"
    amount = (metered - row["shift"]) / row["scale"]
    mark = "! " if verdict == BEYOND else ""
    return (
        f"{mark}{deviation:+.1%} of {row['meter']}, {amount:.10g} {row['tag_uom']},"
        f" {share:.0%} covered: {verdict}"
    )


def _details(row: Any, zone: ZoneInfo) -> list[str]:
    """Return a version with all that is known of it."""
    recorded = row["recorded"].astimezone(zone).isoformat(timespec="seconds")
    facts = {
        "entered": f"{row['entered']:.10g} {row['uom']} by {row['recorded_by']} at {recorded}",
        "evidence": row["evidence"],
        "note": row["note"],
        "reason": row["reason"],
    }
    if row["confirmed"]:
        confirmed = row["confirmed"].astimezone(zone).isoformat(timespec="seconds")
        facts["confirmed"] = f"by {row['confirmed_by']} at {confirmed}"
    return [_line(row, zone), *(f"    {name}: {text}" for name, text in facts.items() if text)]


def _add_person(parser: ArgumentParser, *, enters: bool) -> None:
    """Add who says so and, of one that enters values, whether they are drafts."""
    parser.add_argument("--by", required=True, help="who says so")
    if enters:
        parser.add_argument("--confirm", action="store_true", help="it is no draft")


def main(argv: list[str] | None = None) -> int:
    """Do one thing about book data; return 0 when it is done."""
    program = OperatorProgram(
        "book",
        "List, enter, import, confirm and correct values that no meter gives.",
        EXAMPLES,
        list="values of all tags, the latest periods first",
        show="all versions of a value",
        enter="one value of a tag and a period",
        **{"import": "the values of a CSV or XLSX file"},
        confirm="drafts that are right",
        correct="another value in place of one in the book",
    )
    parsers = program.parsers
    add = parsers["list"].add_argument
    add("--tag", default="", metavar="ENTERPRISE/TAG", help="only this tag")
    add("--scope", default="", metavar="PATH", help="only this scope and all below it")
    add("--standing", action="store_true", help="only the newest confirmed versions")
    add("--all", action="store_true", help="all versions")
    add("--limit", type=int, default=100, metavar="N", help=LIMIT)
    for name in ("show", "correct"):
        parsers[name].add_argument("id", type=int, metavar="ID", help="number of the list")
    parsers["confirm"].add_argument("ids", type=int, nargs="+", metavar="ID", help="of the list")
    parsers["import"].add_argument(
        "file", type=Path, metavar="FILE", help="CSV or XLSX with a header"
    )
    parsers["import"].add_argument("--dry-run", action="store_true", help="check and show only")
    add = parsers["enter"].add_argument
    add("tag", metavar="ENTERPRISE/TAG")
    add("period", metavar="PERIOD", help="2026, 2026-Q4, 2026-10, 2026-10-05 or an instant")
    parsers["correct"].add_argument("--reason", required=True, help="why the one before is wrong")
    for name in ("enter", "correct"):
        add = parsers[name].add_argument
        add("value", metavar="VALUE", help="a number, or a date like 2027-03-01")
        add("--uom", default="", help="unit of measure (default: that of the tag)")
        add("--evidence", default="", metavar="FILE|TEXT", help="a document, or what names it")
        add("--note", default="", help="anything else")
    for name in ("confirm", *ENTERING):
        _add_person(parsers[name], enters=name in ENTERING)
    return program.act(argv, _act)


if __name__ == "__main__":
    sys.exit(main())
