"""`parktwin report`: reports of parks, enterprises, industries and shifts: make, keep, sign."""

from __future__ import annotations

import asyncio
import re
import sys
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from api.desk import Desk, open_desk
from api.reports.routes import RENDER
from api.reports.wording import decimals_of, number_text
from twin.errors import ParkError
from twin.program import clear_progress, program_parser, run_program, show_progress

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

EXAMPLES = """examples:
  parktwin report park liaocheng --period 2026-10 --out october.pdf
      一园一策 in Chinese; the name of the file says the format: pdf, docx, xlsx, html, csv or json
  parktwin report enterprise liaocheng/chiping/xinfa --period 2026-Q3 --lang en --out q3.docx
  parktwin report industry liaocheng/caustic --period 2026-10 --out caustic.pdf
      一业一策: a scope and a product; its makers as quartiles that name nobody
  parktwin report shift liaocheng --period 2026-10-05/2 --out log.html
      the second shift of that day
  parktwin report park liaocheng --period 2026-10 --keep --by ann
      keep it as a version; several parks are several commands
  parktwin report list
  parktwin report verify october.pdf
      make it again and compare; a number of the list is verified as well
  parktwin report review 7 --by bob
  parktwin report sign 7 --by carla --note "as discussed on 5 November"
  parktwin report due --out /srv/reports --by cron
      each [[report]] of park.toml whose period is over and that is not kept yet; `parktwin up`
      keeps them by itself, without files

settings, from the environment: PARKTWIN_DATABASE_URL
"""
KINDS = {
    "park": "a park or a region (一园一策)",
    "enterprise": "an enterprise (一企一策)",
    "industry": "those who make a product, as quartiles (一业一策)",
    "shift": "a shift, as its log (值班日志)",
}
STATES = {"review": "reviewed", "sign": "signed", "reopen": "draft", "comment": ""}
DIGEST = re.compile(rb'"?parktwin-report (\w+) (\S+) (\S+) ([0-9a-f]{64})')


async def _act(options: Namespace) -> int:
    """Do what the command line says; return the exit status; raises ParkError."""
    async with open_desk(_now_us) as desk:
        if options.command in KINDS:
            return await _make(desk, options)
        if options.command == "list":
            return await _list(desk, options)
        if options.command == "verify":
            return await _verify(desk, options.report)
        if options.command == "due":
            return await _due(desk, options)
        body = {"by": options.by, "state": STATES[options.command], "note": options.note}
        await desk.post(f"reports/{options.report}/notes", body)
        print("done")
        return 0


async def _make(desk: Desk, options: Namespace) -> int:
    """Make a report, write it to its file, and keep it if asked to."""
    path = f"reports/{options.command}/{options.scope}"
    if options.out is None and not options.keep:
        raise ParkError("nothing to do", hint="name a file with --out, or --keep it")
    if options.out is not None:
        _form(options)
        show_progress(0.1, "asking")
        document = await desk.get(path, period=options.period)
        show_progress(0.8, "writing")
        _write(options.out, _form(options), document, options.lang)
        clear_progress()
        print(f"{options.out}: {document['digest']}")
    if options.keep:
        if not options.by:
            raise ParkError("who keeps it?", hint="add --by NAME")
        await desk.post(path, {"by": options.by, "period": options.period})
        print("kept: parktwin report list has its number")
    return 0


def _form(options: Namespace) -> str:
    """Return the format of a file; raises ParkError for one that there is not."""
    form = options.format or options.out.suffix.removeprefix(".").lower()
    if form not in (*RENDER, "json"):
        raise ParkError(
            f"{form or options.out} is no format of a report",
            hint=f"--format {', '.join([*RENDER, 'json'])}, or such an ending of the file",
        )
    return str(form)


def _write(file: Path, form: str, document: Any, language: str) -> None:
    """Write a report to a file; raises ParkError."""
    if form == "json":
        content = orjson.dumps(document, option=orjson.OPT_INDENT_2)
    else:
        content = RENDER[form](document, "en" if language == "en" else "zh")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    except OSError as error:
        raise ParkError(f"{file}: {error.strerror}") from error


async def _list(desk: Desk, options: Namespace) -> int:
    answer = await desk.get("reports", scope=options.scope, limit=options.limit)
    for each in answer["items"]:
        by = f" by {each['state_by']}" if each["state_by"] else ""
        print(f"{each['id']}  {each['kind']} {each['scope']}  {each['period']}"
              f"  version {each['version']}  {each['state']}{by}"
              f"  kept {each['kept']} by {each['kept_by']}  {each['digest'][:12]}")  # fmt: skip
    if not answer["items"]:
        print("no report is kept")
    return 0


async def _verify(desk: Desk, what: str) -> int:
    """Make a report again and compare; return 1 when it says something else now."""
    if what.isdigit():
        return _print_verdict(await desk.get(f"reports/{what}/verification"))
    kind, scope, period, digest = _stamp_of(Path(what))
    kept = (await desk.get("reports", kind=kind, scope=scope, limit=1000))["items"]
    same = [each["id"] for each in kept if each["digest"] == digest]
    if same:
        return _print_verdict(await desk.get(f"reports/{same[0]}/verification"))
    made = await desk.get(f"reports/{kind}/{scope}", period=period)
    if made["digest"] == digest:
        print(f"the same: {digest}")
        return 0
    print(f"it says something else now: {digest[:12]} then, {made['digest'][:12]} now")
    print("which figures is known of reports that are kept: parktwin report ... --keep")
    return 1


def _stamp_of(file: Path) -> tuple[str, str, str, str]:
    """Return kind, scope, period and digest of the report in a file; raises ParkError."""
    try:
        content = file.read_bytes()
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as package:
                content = package.read("docProps/core.xml")
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ParkError(f"{file}: {error}", hint="name a file of a report") from error
    if file.suffix == ".json":
        document = orjson.loads(content)
        return tuple(document[each] for each in ("kind", "scope", "period", "digest"))
    match = DIGEST.search(content)
    if match is None:
        raise ParkError(f"{file} is no report of parktwin, or its properties were taken out")
    kind, scope, period, digest = (part.decode() for part in match.groups())
    return kind, scope, period, digest


def _print_verdict(answer: Any) -> int:
    report = answer["report"]
    if answer["same"]:
        print(f"report {report['id']} is the same: {report['digest']}")
        return 0
    print(f"report {report['id']} says something else now: {len(answer['changed'])} figures")
    if answer["model"] != report["model"]:
        print(f"the park model is version {answer['model']}, it was {report['model']}")
    for each in answer["changed"]:
        before, after = (_plain(each[key]) for key in ("before", "after"))
        print(f"  {each['label']['en']} [{each['uom']}]: {before} -> {after}  {each['address']}")
    for each in answer["restated"]:
        print(f"  restated since: {each['tag']}, {each['start']} to {each['end']},"
              f" last {each['last']}")  # fmt: skip
    return 1


def _plain(value: float | None) -> str:
    return "no data" if value is None else number_text(value, decimals_of(value, None))


async def _due(desk: Desk, options: Namespace) -> int:
    """Make and keep every scheduled report whose period is over and that is not kept yet."""
    status = 0
    for row in (await desk.get("reports/due"))["items"]:
        if row["kept"] is not None or not row["has_data"]:
            continue
        about = f"{row['kind']} {row['scope']} {row['period']}"
        path = f"reports/{row['kind']}/{row['scope']}"
        try:
            if options.out is not None:
                await _write_all(desk, options.out, path, row)
            body = {"by": options.by, "period": row["period"], "keep": row["keep"]}
            if await desk.post(path, body):
                print(f"kept: {about}")
        except ParkError as error:
            # The other reports do not wait for it.
            print(f"not made: {about}: {error}", file=sys.stderr)
            status = 1
    return status


async def _write_all(desk: Desk, folder: Path, path: str, row: Any) -> None:
    """Write the files of a scheduled report."""
    document = await desk.get(path, period=row["period"])
    words = (row["kind"], row["scope"], row["period"], row["language"])
    for form in row["formats"]:
        file = folder / f"{'-'.join(words)}.{form}".replace("/", "-")
        _write(file, form, document, row["language"])
        print(file)


def _now_us() -> int:
    return time.time_ns() // 1000


def _parser() -> ArgumentParser:
    parser = program_parser(
        "parktwin report", "Make, keep, verify and sign reports of what the twin says.", EXAMPLES
    )
    add = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for kind, line in KINDS.items():
        one = add.add_parser(kind, help=f"make a report of {line}").add_argument
        one("scope", metavar="SCOPE", help="its path; of an industry with the product")
        one("--period", required=True, help="2026, 2026-Q4, 2026-10, 2026-10-05 or 2026-10-05/2")
        one("--lang", choices=("zh", "en"), default="zh", help="language (default: %(default)s)")
        one("--format", default="", help="pdf, docx, xlsx, html, csv or json (default: by --out)")
        one("--out", type=Path, metavar="FILE", help="where to write it")
        one("--keep", action="store_true", help="keep it as a version in the database")
        one("--by", default="", help="who keeps it")
    listing = add.add_parser("list", help="reports that are kept").add_argument
    listing("--scope", default="", help="only this scope and all below it")
    listing("--limit", type=int, default=100, metavar="N", help="rows (default: %(default)s)")
    verify = add.add_parser("verify", help="make a report again and compare").add_argument
    verify("report", metavar="FILE|ID", help="a file, or a number of the list")
    for name, state in STATES.items():
        line = f"a report is {state} from now on" if state else "say something about a report"
        one = add.add_parser(name, help=line).add_argument
        one("report", type=int, metavar="ID", help="number of the list")
        one("--by", required=True, help="who says so")
        one("--note", default="", required=not state, help="words of the comment")
    due = add.add_parser("due", help="make what [[report]] of the model asks for").add_argument
    due("--out", type=Path, metavar="DIR", help="where to write the files; none without it")
    due("--by", required=True, help="who keeps them")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Do one thing about reports; return the exit status."""
    options = _parser().parse_args(argv)
    return run_program("parktwin report", lambda: asyncio.run(_act(options)))


if __name__ == "__main__":
    sys.exit(main())
