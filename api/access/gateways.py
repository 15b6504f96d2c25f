"""`parktwin gateway credential`: with what gateways come in at the broker."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api import queries
from api.access.__main__ import OWN, opened_accounts
from api.access.audit import Event
from deploy.access_lists import (
    FILES,
    PROGRAMS,
    BrokerAccount,
    hashed,
    new_password,
    new_username,
)
from deploy.private_files import write_private
from twin.errors import ParkError
from twin.loading import parse_park
from twin.model.gateway_rights import TopicRights, gateway_rights
from twin.program import program_parser, run_program

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from api.access.accounts import Accounts
    from twin.model.park import Park

EXAMPLES = """examples:
  parktwin gateway credential issue xinfa edge-3
      prints user name and password, once, and what the gateway may do with them
  parktwin gateway credential list
  parktwin gateway credential rotate xinfa edge-3 --overlap 48
      a new one; the former one is good for 48 hours more, with --overlap 0 no longer
  parktwin gateway credential revoke xinfa edge-3
      a running `parktwin up` ends its connections within seconds
  parktwin gateway credential --export emqx --into broker-access
      accounts and access list as files of another broker

settings, from the environment: PARKTWIN_DATABASE_URL, PARKTWIN_AUDIT_KEY
"""
OVERLAP_H, OVERLAP_MAX_H = 24.0, 24.0 * 90
BIGINT_MAX = (1 << 63) - 1
GOOD = "ended IS NULL AND (until IS NULL OR until > $1)"
ALL = "SELECT * FROM gateway_credential ORDER BY enterprise, gateway, id"
REFUSALS = "SELECT * FROM gateway_refusal ORDER BY enterprise, gateway"
ACTIVE = f"SELECT * FROM gateway_credential WHERE {GOOD} ORDER BY id"  # noqa: S608
ADD = """
INSERT INTO gateway_credential (enterprise, gateway, username, password, created, created_by)
VALUES ($1, $2, $3, $4, $5, $6) RETURNING id"""
OWN_GOOD = f"SELECT FROM gateway_credential WHERE {GOOD} AND (enterprise, gateway) = ($2, $3)"
LIMIT = f"""
UPDATE gateway_credential SET until = least(until, $5)
WHERE {GOOD} AND (enterprise, gateway) = ($2, $3) AND id < $4"""  # noqa: S608
END = f"""
UPDATE gateway_credential SET ended = $1
WHERE {GOOD} AND (enterprise, gateway) = ($2, $3) AND id < $4 RETURNING username"""  # noqa: S608


async def _work(options: Namespace) -> int:
    """Do one thing; raises ParkError."""
    async with opened_accounts() as accounts:
        if options.export:
            return await _export(accounts, options)
        if options.command == "list":
            print("\n".join(_lines(await accounts.rows(ALL), accounts.now())))
            for row in await accounts.rows(REFUSALS):
                print(_refusal(row))
            return 0
        own = accounts.now(), options.enterprise, options.gateway
        if options.command != "issue" and not await accounts.rows(OWN_GOOD, *own):
            raise ParkError(
                f"{options.enterprise}/{options.gateway} has no credential that is good",
                hint="parktwin gateway credential list",
            )
        if options.command == "revoke":
            ended = [row["username"] for row in await accounts.rows(END, *own, BIGINT_MAX)]
            await _note(accounts, options, ended)
            print(f"revoked: {', '.join(ended)}")
        else:
            await _issue(accounts, options, own)
        return 0


async def _issue(accounts: Accounts, options: Namespace, own: tuple[datetime, str, str]) -> None:
    """Add a credential and print it; the former ones of a gateway that changes it end."""
    now, enterprise, gateway = own
    rights = gateway_rights(await _park(accounts), enterprise, gateway)
    username, password = new_username(enterprise, gateway), new_password()
    row = enterprise, gateway, username, hashed(password), now, OWN
    (added,) = await accounts.rows(ADD, *row)
    if options.command == "rotate":
        former = (*own, added["id"])
        if options.overlap:
            await accounts.rows(LIMIT, *former, now + timedelta(hours=options.overlap))
        else:
            await accounts.rows(END, *former)
    await _note(accounts, options, [username])
    print("\n".join(_told_once(username, password, rights)))
    if options.command == "rotate":
        print(f"Former credentials are good for {options.overlap:g} hours more.")


async def _note(accounts: Accounts, options: Namespace, usernames: Sequence[str]) -> None:
    """Put into the record of orders what was done."""
    subject = f"{options.enterprise}/{options.gateway}: {', '.join(usernames)}"
    await accounts.note(Event(OWN, "", f"gateway credential {options.command}", subject, "done"))


async def _park(accounts: Accounts) -> Park:
    """Return the model that ingest runs."""
    rows = await accounts.rows(queries.MODEL)
    if not rows:
        raise ParkError("there is no park model yet", hint="start ingest: it stores its model")
    return parse_park(json.loads(rows[0]["files"]))


def _told_once(username: str, password: str, rights: TopicRights) -> Iterator[str]:
    yield f"user name: {username}"
    yield f"password:  {password}"
    yield "The password is told this once. With them the gateway may"
    yield from _clauses(rights)


def _clauses(rights: TopicRights) -> Iterator[str]:
    for word, filters in (
        ("publish", rights.publish), ("read", rights.read), ("not use", rights.deny)
    ):  # fmt: skip
        if filters:
            yield f"  {word:8} {', '.join(filters)}"


def _lines(rows: Sequence[Any], now: datetime) -> list[str]:
    return [
        f"{row['enterprise']}/{row['gateway']:<24} {row['username']:<44}"
        f" {row['created']:%Y-%m-%d %H:%M} UTC  {_state(row, now)}"
        for row in rows
    ] or ["there are no credentials"]


def _refusal(row: Any) -> str:
    return (
        f"{row['enterprise']}/{row['gateway']}: the broker has refused {row['messages']} messages"
        f" to topics that are not its own, the newest at {row['newest']:%Y-%m-%d %H:%M} UTC to"
        f" {row['topic']}"
    )


def _state(row: Any, now: datetime) -> str:
    if row["ended"] is not None:
        return f"revoked {row['ended']:%Y-%m-%d %H:%M} UTC"
    if row["until"] is None:
        return "good"
    word = "good until" if row["until"] > now else "ended"
    return f"{word} {row['until']:%Y-%m-%d %H:%M} UTC"


async def _export(accounts: Accounts, options: Namespace) -> int:
    """Write the files of another broker."""
    park, rows = await _park(accounts), await accounts.rows(ACTIVE, accounts.now())
    programs = [BrokerAccount(name, "", rights) for name, rights in PROGRAMS.items()]
    own = [
        BrokerAccount(
            row["username"],
            row["password"],
            gateway_rights(park, row["enterprise"], row["gateway"]),
        )
        for row in rows
    ]
    files = FILES[options.export]([*programs, *own])
    try:
        options.into.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, text in files.items():
            write_private(options.into / name, text)
            print(options.into / name)
    except OSError as error:
        raise ParkError(
            f"{options.into}: {error.strerror}", hint="name a writable folder with --into"
        ) from error
    print(f"give passwords to the accounts of our programs: {', '.join(PROGRAMS)}")
    await accounts.note(Event(OWN, "", "gateway credential export", options.export, "done"))
    return 0


def _options(parser: ArgumentParser) -> None:
    parser.add_argument("--export", choices=FILES, help="write the files of a broker")
    parser.add_argument(
        "--into",
        type=Path,
        default=Path("broker-access"),
        metavar="DIR",
        help="folder of these files (default: %(default)s)",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("list", help="all credentials, those that have ended too")
    about = {
        "issue": "let a gateway in: prints user name and password, once",
        "rotate": "the same again; the former credentials end after an overlap",
        "revoke": "end all credentials of a gateway at once",
    }
    for command, text in about.items():
        add = commands.add_parser(command, help=text).add_argument
        add("enterprise", help="last part of its scope, as in topics")
        add("gateway", help="id of its [[gateway]], or the name in its topics")
        if command == "rotate":
            add(
                "--overlap",
                type=float,
                default=OVERLAP_H,
                metavar="HOURS",
                help="how long the former ones are good (default: %(default)g; 0 = no longer)",
            )


def main(argv: list[str] | None = None) -> int:
    """Do one thing about credentials; return 0 when it is done."""
    about = "Credentials with which gateways come in at the broker."
    parser = program_parser("parktwin gateway credential", about, EXAMPLES)
    _options(parser)
    options = parser.parse_args(argv)
    if not (options.command or options.export):
        parser.error("name a command, or a broker with --export")
    if not 0.0 <= getattr(options, "overlap", 0.0) <= OVERLAP_MAX_H:
        parser.error(f"--overlap must be from 0 to {OVERLAP_MAX_H:g}")
    return run_program("parktwin gateway credential", lambda: asyncio.run(_work(options)))


if __name__ == "__main__":
    sys.exit(main())
