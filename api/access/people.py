"""Accounts as an administrator looks after them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from api.access.accounts import ACCOUNT, ACCOUNTS, INVITED, AccessError
from api.access.rights import RIGHTS, Role
from api.access.sessions import AccountName, Asker, OwnAccounts, OwnGuard
from api.answers import Page, Rfc3339, record
from api.context import AppContext, Context
from api.encode import AnswerRoute
from api.problems import RESPONSES, Problem, not_found

if TYPE_CHECKING:
    from api.access.accounts import Accounts
    from api.access.rights import Person

router = APIRouter(prefix="/api/v1/accounts", responses=RESPONSES, route_class=AnswerRoute)

NamePath = Annotated[AccountName, Path(description="name of an account")]
ScopeOf = Annotated[
    str, Field(max_length=500, description="what the account is for; empty = the whole park")
]


class AccountRow(TypedDict):
    """An account."""

    name: str
    role: Role
    scope: str
    locked: bool
    has_password: bool
    has_factor: Annotated[bool, Field(description="a second factor is set up")]
    has_provider: Annotated[bool, Field(description="it comes in by the provider")]
    failed: Annotated[int, Field(description="wrong passwords since the last right one")]
    created: Rfc3339
    created_by: str
    seen: Rfc3339 | None


class AccountBody(BaseModel):
    """A new account."""

    model_config = ConfigDict(extra="forbid")

    name: AccountName
    role: Role
    scope: ScopeOf = ""


class ChangeBody(BaseModel):
    """What an account shall be from now on."""

    model_config = ConfigDict(extra="forbid")

    role: Role
    scope: ScopeOf = ""
    locked: Annotated[bool, Field(strict=True)] = False


class Invitation(TypedDict):
    """The way in for a new account, once: whoever has the link sets the password."""

    name: str
    path: Annotated[str, Field(description="page of the console that sets the password")]
    until: Rfc3339


@router.get("")
async def read_accounts(
    context: AppContext, accounts: OwnAccounts, asker: Asker
) -> Page[AccountRow]:
    """Return the accounts that the administrator looks after."""
    rows = await accounts.rows(ACCOUNTS)
    items = [
        record(AccountRow, row, **context.times(row, "created", "seen"))
        for row in rows
        if asker.commands(row["scope"])
    ]
    return {"items": items, "next": None}


@router.post("", status_code=201)
async def add_account(
    context: AppContext, accounts: OwnAccounts, asker: Asker, body: AccountBody
) -> Invitation:
    """Add an account; the answer has the link that sets its password."""
    _require(context, asker, body.scope, body.role)
    try:
        await accounts.add(body.name, body.role, body.scope, asker.name)
    except AccessError as error:
        raise Problem(409, error.message) from None
    return await _invite(context, accounts, body.name)


@router.post("/{name}")
async def change_account(
    context: AppContext,
    guard: OwnGuard,
    accounts: OwnAccounts,
    asker: Asker,
    name: NamePath,
    body: ChangeBody,
) -> AccountRow:
    """Change role, scope and lock of an account; its sessions end, its tokens with a lock."""
    await _find(accounts, asker, name)
    _require(context, asker, body.scope, body.role)
    if name == asker.name:
        raise Problem(409, "nobody changes the own account", hint="another administrator does")
    await accounts.change(name, body.role, body.scope, locked=body.locked)
    guard.forget()
    return await _row(context, accounts, name)


@router.post("/{name}/invite")
async def invite_account(
    context: AppContext, accounts: OwnAccounts, asker: Asker, name: NamePath
) -> Invitation:
    """Return a link that sets a new password; earlier ones are no longer good."""
    await _find(accounts, asker, name)
    return await _invite(context, accounts, name)


@router.post("/{name}/reset-factor")
async def reset_second_factor(
    context: AppContext, guard: OwnGuard, accounts: OwnAccounts, asker: Asker, name: NamePath
) -> AccountRow:
    """Take the second factor off an account whose telephone is lost; its sessions end."""
    await _find(accounts, asker, name)
    if name == asker.name:
        raise Problem(409, "nobody resets the own account", hint="another administrator does")
    await accounts.end_factor(name)
    guard.forget()
    return await _row(context, accounts, name)


async def _row(context: Context, accounts: Accounts, name: str) -> AccountRow:
    (row,) = [each for each in await accounts.rows(ACCOUNTS) if each["name"] == name]
    return record(AccountRow, row, **context.times(row, "created", "seen"))


async def _find(accounts: Accounts, asker: Person, name: str) -> None:
    """Raise Problem 404 for an account that is not the administrator's to change."""
    rows = await accounts.rows(ACCOUNT, name)
    if not rows or not asker.commands(rows[0]["scope"]):
        raise not_found("account", name, (), "/api/v1/accounts")


def _require(context: Context, asker: Person, scope: str, role: Role) -> None:
    """Raise Problem 403 and 404 for a scope or a role that is not the administrator's to give."""
    if scope:
        context.require_scope(scope)
    if not asker.commands(scope):
        raise Problem(403, f"an account for {scope or 'the whole park'} is beyond {asker.scope}")
    if asker.scope and not RIGHTS[role] <= RIGHTS[cast("Role", asker.role)]:
        raise Problem(403, f"an administrator of {asker.scope} makes no {role}")


async def _invite(context: Context, accounts: Accounts, name: str) -> Invitation:
    secret = await accounts.invite(name)
    until = context.time(accounts.now() + INVITED)
    assert until is not None
    return {"name": name, "path": f"/login?invitation={secret}", "until": until}
