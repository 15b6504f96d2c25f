"""`parktwin user`: accounts, for an administrator without a browser."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import orjson
from pydantic import Field

from api.access.accounts import ACCOUNT, ACCOUNTS, AccessError, Accounts
from api.access.audit import Event
from api.access.guard import audit_key
from api.access.rights import ROLES
from api.access.seal import read_seal
from api.settings import ApiSettings
from api.store import ReadStore
from twin.loading import parse_park
from twin.model.rows import similar
from twin.program import program_parser, run_program

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import AsyncIterator

    from api.access.rights import Role
    from twin.model.park import Park

EXAMPLES = """examples:
  parktwin user list
  parktwin user add li.na --role operator --scope liaocheng/chiping/xinfa
      prints a link, with which the password is set once
  parktwin user invite li.na                the same again, when the password is forgotten
  parktwin user change li.na --role engineer --scope liaocheng
  parktwin user lock li.na                  its sessions and tokens end; `unlock` lets it in again
  parktwin user reset-factor li.na          her telephone is lost: the password alone lets her in
  parktwin user link li.na 24400320         she comes in by the provider of PARKTWIN_OIDC_ISSUER,
                                            for which she is this subject, as well
  parktwin user demo                        three accounts to try roles with, and their links

roles: viewer looks, operator gives the orders of a shift, engineer changes what values and the
model are, administrator gives accounts, auditor reads the record. A scope is what the account knows
all of and gives orders about; without one that is the whole park.

settings, from the environment: PARKTWIN_DATABASE_URL, PARKTWIN_AUDIT_KEY, PARKTWIN_OIDC_ISSUER
"""
OWN = "the command line"
# Whom a demonstration has: who runs an enterprise's shift, who runs the twin, who reads the record.
DEMONSTRATION: tuple[tuple[str, Role], ...] = (
    ("operator", "operator"), ("manager", "administrator"), ("auditor", "auditor"),
)  # fmt: skip


class UserSettings(ApiSettings):
    """Settings of the API, and where the console is, for links."""

    http_url: str = Field("", description="address of the console")


@asynccontextmanager
async def opened_accounts(settings: ApiSettings | None = None) -> AsyncIterator[Accounts]:
    """Open the accounts of the database of the settings; raises StoreError and SettingsError."""
    settings = settings or ApiSettings()
    accounts = Accounts(
        settings.accounts_url,
        audit_key(settings),
        lambda: time.time_ns() // 1000,
        read_seal(settings.secret_key),
    )
    await accounts.open()
    try:
        yield accounts
    finally:
        await accounts.close()


async def _work(options: Namespace) -> int:
    """Do one thing; raises AccessError."""
    async with opened_accounts() as accounts:
        if options.command == "list":
            lines = await _lines(accounts)
        elif options.command == "demo":
            lines = await _make_examples(accounts)
        else:
            lines = await _change(accounts, options)
    for line in lines:
        print(line)
    return 0


async def _change(accounts: Accounts, options: Namespace) -> list[str]:
    """Carry out an order about one account; return what there is to say of it."""
    name = options.name
    rows = await accounts.rows(ACCOUNT, name)
    if getattr(options, "scope", None):
        _require_scope(await _park(), options.scope)
    if options.command == "add":
        await accounts.add(name, options.role, options.scope or "", OWN)
    elif not rows:
        raise AccessError(f"there is no account {name}", hint="parktwin user list")
    elif options.command == "reset-factor":
        await accounts.end_factor(name)
    elif options.command == "link":
        await accounts.link(name, _subject(options.subject))
    elif options.command != "invite":
        role, scope = rows[0]["role"], rows[0]["scope"]
        if options.command == "change":
            role = options.role or role
            scope = scope if options.scope is None else options.scope
        await accounts.change(name, role, scope, locked=options.command == "lock")
    await accounts.note(Event(OWN, "", f"user {options.command}", name, "done"))
    if options.command in ("add", "invite"):
        return ["open in the console, once:", f"  {await _link(accounts, name)}"]
    return [f"{name}: done" + ("" if options.command == "link" else "; its sessions have ended")]


async def _make_examples(accounts: Accounts) -> list[str]:
    """Make the accounts of a demonstration that are not there; return how each comes in."""
    park = await _park()
    enterprise = next((each.id for each in park.scopes if each.kind == "enterprise"), "")
    lines = ["accounts of the demonstration; each link sets a password, once, within three days:"]
    for name, role in DEMONSTRATION:
        rows = await accounts.rows(ACCOUNT, name)
        if not rows:
            await accounts.add(name, role, enterprise if role == "operator" else "", OWN)
            await accounts.note(Event(OWN, "", "user demo", name, "done"))
            rows = await accounts.rows(ACCOUNT, name)
        row = rows[0]
        way = "has its password" if row["password"] else await _link(accounts, name)
        lines += [f"{name}: {row['role']} of {row['scope'] or 'the whole park'}", f"  {way}"]
    return lines


def _subject(word: str) -> str:
    """Return who somebody is for the provider; raises AccessError where there is none."""
    issuer = ApiSettings().oidc_issuer
    if not issuer:
        raise AccessError("this twin has no provider", hint="PARKTWIN_OIDC_ISSUER names one")
    return f"{issuer} {word}"


async def _link(accounts: Accounts, name: str) -> str:
    """Return the link that sets the password of an account."""
    return f"{UserSettings().http_url}/login?invitation={await accounts.invite(name)}"


async def _park() -> Park:
    """Return the newest model; raises AccessError before the first."""
    settings = ApiSettings()
    # Who has the accounts reads no model.
    store = ReadStore(settings.database_url, pool_size=1, query_timeout_s=settings.query_timeout_s)
    await store.open()
    try:
        model = await store.model()
    finally:
        await store.close()
    if model is None:
        raise AccessError("there is no park model yet", hint="start ingest: it stores the model")
    return parse_park(orjson.loads(model[2]))


def _require_scope(park: Park, scope: str) -> None:
    """Raise AccessError for a scope the park does not have: nobody could be let in for it."""
    if park.scope(scope) is None:
        close = ", ".join(similar(scope, [each.id for each in park.scopes]))
        hint = f"did you mean {close}?" if close else "park.toml has them as [[scope]]"
        raise AccessError(f"there is no scope {scope}", hint=hint)


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
    commands.add_parser("demo", help="make three accounts to try, and print their links")
    about = {
        "add": "add an account and print the link that sets its password",
        "invite": "print a link that sets a new password",
        "change": "give another role or scope",
        "lock": "let nobody in with it",
        "unlock": "let it in again",
        "reset-factor": "take its second factor off; its sessions end",
        "link": "let it come in by the provider as well",
    }
    for command, text in about.items():
        add = commands.add_parser(command, help=text).add_argument
        add("name")
        if command == "link":
            add("subject", help="what the provider calls the person, for ever (claim sub)")
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
