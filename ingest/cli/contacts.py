"""`parktwin gateway list` and so on: senders that the model does not know, and their way in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ingest.cli.send import LIMIT
from ingest.commands import ContactCommand
from twin.adoption import extended, propose, rows_of
from twin.errors import ParkError
from twin.loading import TAG_COLUMNS, parse_park

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator, Mapping

    from ingest.store import Store

PAYLOAD_CHARACTERS = 2_000
CELLS = tuple(name for name in TAG_COLUMNS if name != "scope")
EXAMPLES = """  parktwin gateway list
  parktwin gateway show 3
      what it sends: names, values, ranges, its newest payload
  parktwin gateway adopt 3 --dry-run
      the rows that would be added to park.toml and tags.csv, and what in them is a guess
  parktwin gateway adopt 3 --scope mypark/acme --zh 某企业 --en Acme
      scopes that the model lacks are made; the running ingest takes the changed model over
  parktwin gateway adopt 3 --only FI-1,TI-1 --tag "TI-1: uom=degF, high=300"
  parktwin gateway drop 3
"""


COMMANDS = {
    "list": "senders that the model does not know, those heard last first",
    "show": "what one of them sends",
    "adopt": "write its gateway, tags and scopes into the park model",
    "drop": "forget one until it sends again",
}


async def lines_of(store: Store, options: Namespace) -> list[str]:
    """Return the lines of `list`, `show` or a dry run."""
    if options.command == "list":
        rows = await store.contacts.newest(options.limit)
        return [_line(row) for row in rows] or ["every gateway that was heard is in the model"]
    row, contact = await store.contacts.find(options.contact)
    if options.command == "show":
        return [_line(row), *_details(row, contact.names)]
    park = parse_park(await store.model_files())
    command = msgspec.convert(body_of(options), ContactCommand)
    proposal = propose(contact, park, command.wanted)
    added = rows_of(proposal)
    extended(park, added)
    doubts = [f"{name}: nothing in it says what it measures" for name in proposal.doubtful]
    known = [f"{name}: a tag of the model" for name in proposal.known]
    files = [line for name, text in added.items() if text for line in (f"--- {name}", text.strip())]
    return [*files, *(f"! {line}" for line in (*doubts, *known))]


def _line(row: Any) -> str:
    span_s = (row["last_seen"] - row["first_seen"]).total_seconds()
    rate = f", {(row['count'] - 1) / span_s:.3g} a second" if span_s > 0 else ""
    presets = f" ({', '.join(msgspec.json.decode(row['presets']))})".replace(" ()", "")
    return (
        f"{row['id']}  {row['address']}  {row['protocol'] or 'not read'}{presets}  {row['reason']}"
        f"  {row['count']:,} messages{rate}, {len(msgspec.json.decode(row['names']))} names,"
        f" {row['first_seen']:%Y-%m-%d %H:%M:%S} to {row['last_seen']:%Y-%m-%d %H:%M:%S} UTC"
    )


def _details(row: Any, names: Any) -> Iterator[str]:
    """Yield the names of a contact, and its newest payload."""
    for heard in names:
        span = "no number" if heard.low is None else f"{heard.low:.6g} to {heard.high:.6g}"
        yield f"  {heard.name} = {heard.value} {heard.uom}  {span}, {heard.times:,} times"
    if row["unlisted"]:
        yield f"  and {row['unlisted']:,} values under further names"
    text = row["payload"].decode("utf-8", "replace")[:PAYLOAD_CHARACTERS]
    yield f"  {row['topic']}, {row['size']:,} bytes: {text}"


def body_of(options: Namespace) -> dict[str, Any]:
    """Return the body of a command."""
    if options.command == "drop":
        return {"contact": options.contact}
    names = ("contact", "scope", "gateway", "preset", "zh", "en")
    only = [name.strip() for name in options.only.split(",") if name.strip()]
    tags = dict(_cells_of(text) for text in options.tag)
    return {name: getattr(options, name) for name in names} | {"only": only, "tags": tags}


def _cells_of(text: str) -> tuple[str, dict[str, str]]:
    """Return the name on the wire and the cells of ``NAME: uom=degC, high=300``."""
    name, colon, cells = text.rpartition(": ")
    pairs = [cell.partition("=") for cell in cells.split(",")]
    wrong = [key.strip() for key, _, _ in pairs if key.strip() not in CELLS]
    if not colon or not name or wrong:
        raise ParkError(
            f"{text!r} is not like 'NAME: uom=degC, high=300'",
            hint=f"columns are {', '.join(CELLS)}",
        )
    return name.strip(), {key.strip(): value.strip() for key, _, value in pairs}


def add_arguments(parsers: Mapping[str, ArgumentParser]) -> None:
    """Add the arguments of the COMMANDS."""
    parsers["list"].add_argument("--limit", type=int, default=100, metavar="N", help=LIMIT)
    for name in ("show", "adopt", "drop"):
        parsers[name].add_argument("contact", type=int, metavar="ID", help="number of the list")
    add = parsers["adopt"].add_argument
    add("--scope", default="", help="where it belongs; made when the model lacks it")
    add("--zh", default="", help="name of a scope that is made, in Chinese")
    add("--en", default="", help="the same in English")
    add("--gateway", default="", metavar="ID", help="id of the gateway in the model")
    add("--preset", default="", help="layout of its JSON, instead of the best guess")
    add("--only", default="", metavar="NAMES", help="these names only, separated by commas")
    add("--tag", action="append", default=[], metavar="'NAME: COLUMN=VALUE, …'",
        help="cells of the tag of a name, instead of the guess; may be repeated")  # fmt: skip
    add("--dry-run", action="store_true", help="print the rows and write nothing")
