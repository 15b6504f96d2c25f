"""`parktwin user`: accounts, for an administrator without a browser."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from api.access.accounts import ACCOUNT, ACCOUNTS, AccessError, Accounts
from api.access.audit import Event
from api.access.guard import audit_key
from api.access.rights import ROLES
from api.settings import ApiSettings
from twin.program import program_parser, run_program

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import AsyncIterator

EXAMPLES = """examples:
  parktwin user list
  parktwin user add li.na --role operator --scope liaocheng/chiping/xinfa
      prints a link, with which the password is set once
  parktwin user invite li.na                the same again, when the password is forgotten
  parktwin user change li.na --role engineer --scope liaocheng
  parktwin user lock li.na                  its sessions and tokens end; `unlock` lets it in again

roles: viewer looks, operator gives the orders of a shift, engineer changes what values and the
model are, administrator gives accounts, auditor reads the record. A scope is what the account knows
all of and gives orders about; without one that is the whole park.

settings, from the environment: PARKTWIN_DATABASE_URL, PARKTWIN_AUDIT_KEY
"""
OWN = "the command line"


@asynccontextmanager
async def opened_accounts() -> AsyncIterator[Accounts]:
    """Open the accounts of the database of the settings; raises StoreError and SettingsError."""
    settings = ApiSettings()
    accounts = Accounts(settings.database_url, audit_key(settings), lambda: time.time_ns() // 1000)
    await accounts.open()
    try:
        yield accounts
    finally:
        await accounts.close()


async def _work(options: Namespace) -> int:
    """Do one thing; raises AccessError."""
    async with opened_accounts() as accounts:
        if options.command == "list":
            for line in await _lines(accounts):
                print(line)
            return 0
        name = options.name
        rows = await accounts.rows(ACCOUNT, name)
        if options.command == "add":
            await accounts.add(name, options.role, options.scope or "", OWN)
        elif not rows:
            raise AccessError(f"there is no account {name}", hint="parktwin user list")
        elif options.command != "invite":
            role, scope = rows[0]["role"], rows[0]["scope"]
            if options.command == "change":
                role = options.role or role
                scope = scope if options.scope is None else options.scope
            await accounts.change(name, role, scope, locked=options.command == "lock")
        await accounts.note(Event(OWN, "", f"user {options.command}", name, "done"))
        if options.command in ("add", "invite"):
            print("open in the console, once:")
            print(f"  /login?invitation={await accounts.invite(name)}")
        else:
            print(f"{name}: done; its sessions have ended")
        return 0


async def _lines(accounts: Accounts) -> list[str]:
    rows = await accounts.rows(ACCOUNTS)
    return [
        f"{row['name']:<20} {row['role']:<14} {row['scope'] or 'the whole park':<32}"
        f" {_state(row['locked'], row['has_password'])}"
        for row in rows
    ] or ["there are no accounts"]


def _state(locked: bool, has_password: bool) -> str:  # noqa: FBT001 - two columns of a row
    if locked:
        return "locked"
    return "" if has_password else "has no password yet"


def _options(parser: ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser("list", help="all accounts")
    about = {
        "add": "add an account and print the link that sets its password",
        "invite": "print a link that sets a new password",
        "change": "give another role or scope",
        "lock": "let nobody in with it",
        "unlock": "let it in again",
    }
    for command, text in about.items():
        add = commands.add_parser(command, help=text).add_argument
        add("name")
        if command in ("add", "change"):
            add("--role", choices=ROLES, required=command == "add")
            add("--scope", help="what it is for, like liaocheng/chiping/xinfa; empty: the park")


def main(argv: list[str] | None = None) -> int:
    """Do one thing about accounts; return 0 when it is done."""
    parser = program_parser("parktwin user", "Accounts of people and programs.", EXAMPLES)
    _options(parser)
    options = parser.parse_args(argv)
    return run_program("parktwin user", lambda: asyncio.run(_work(options)))


if __name__ == "__main__":
    sys.exit(main())
