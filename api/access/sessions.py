"""The way in and out, who one is, passwords and tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, cast

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from api.access import totp
from api.access.accounts import ACCOUNT, OWNER_OF, TOKENS, AccessError, Accounts, CodeWantedError
from api.access.guard import NOBODY, Guard, client_of
from api.access.rights import ASKER, RIGHTS, Factor, Person, Right, Role
from api.answers import Page, Rfc3339, record
from api.context import AppContext
from api.encode import AnswerRoute, json_answer
from api.parameters import RowId
from api.problems import RESPONSES, Problem, not_found

router = APIRouter(prefix="/api/v1", responses=RESPONSES, route_class=AnswerRoute)

ACCOUNT_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,39}$"
AccountName = Annotated[str, Field(pattern=ACCOUNT_PATTERN, description="name of an account")]
Password = Annotated[str, Field(min_length=1, max_length=256)]
Code = Annotated[str, Field(max_length=40, description="of the second factor, or to recover")]
TOKEN_DAYS = 366


class Me(TypedDict):
    """Who asks, and what the account may do."""

    access: Annotated[
        Literal["demo", "accounts"],
        Field(description="demo: everybody on this machine may do everything"),
    ]
    account: Annotated[str | None, Field(description="null = nobody has come in")]
    role: Role | None
    scope: Annotated[str, Field(description="empty = the whole park")]
    rights: list[Right]
    second_factor: Annotated[
        Factor, Field(description="wanted: until it is set up, the account may do nothing else")
    ]
    provider: Annotated[
        str, Field(description="by which the session began; empty = by a password of this twin")
    ]
    sign_in: Annotated[
        str, Field(description="name of the provider by which one may come in; empty = none")
    ]
    notice: Annotated[str, Field(description="text of the site before the sign-in; empty = none")]


class LoginBody(BaseModel):
    """An account and its password."""

    model_config = ConfigDict(extra="forbid")

    name: AccountName
    password: Password
    code: Code = ""


class PasswordBody(BaseModel):
    """A new password, with the old one or the secret of an invitation."""

    model_config = ConfigDict(extra="forbid")

    password: Password
    old: Annotated[str, Field(max_length=256, description="of whoever has come in")] = ""
    invitation: Annotated[str, Field(max_length=100, description="of the link")] = ""


class TokenBody(BaseModel):
    """A token for a program."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    label: Annotated[str, Field(min_length=1, max_length=80, description="what it is for")]
    days: Annotated[int, Field(ge=1, le=TOKEN_DAYS, description="it ends after")] = 90
    role: Annotated[Role | None, Field(description="less than the account has")] = None


class TokenRow(TypedDict):
    """A token; its secret is told once, where it is made."""

    id: int
    account: str
    label: str
    role: str
    created: Rfc3339
    used: Rfc3339
    until: Rfc3339


class NewToken(TypedDict):
    """The secret of a new token: it is not stored, and never told again."""

    token: str
    until: Rfc3339


async def guard_of(request: Request) -> Guard:
    """Return the doors of the API."""
    return cast("Guard", request.app.state.guard)


async def accounts_of(request: Request) -> Accounts:
    """Return the accounts; raises Problem 409 where there are none."""
    accounts = (await guard_of(request)).accounts
    if accounts is None:
        raise Problem(409, "this twin has no accounts", hint="PARKTWIN_ACCESS=accounts has them")
    return accounts


async def person_of() -> Person:
    """Return who asks."""
    return ASKER.get() or NOBODY


OwnGuard = Annotated[Guard, Depends(guard_of)]
OwnAccounts = Annotated[Accounts, Depends(accounts_of)]
Asker = Annotated[Person, Depends(person_of)]


@router.get("/me")
async def readme_of(guard: OwnGuard) -> Me:
    """Return who asks, and what the account may do; also for nobody."""
    return me_of(guard, ASKER.get())


def me_of(guard: Guard, person: Person | None) -> Me:
    """Return what an account is told of itself; None = everybody, without accounts."""
    if person is None:
        # Without accounts.
        person = Person("", "administrator")
    return {
        "access": guard.settings.access,
        "account": person.name or None,
        "role": person.role,
        "scope": person.scope,
        "rights": sorted(person.rights),
        "second_factor": person.factor,
        "provider": person.provider,
        "sign_in": guard.settings.oidc_name if guard.provider else "",
        "notice": guard.settings.login_notice,
    }


@router.post("/login", response_model=Me)
async def come_in(
    guard: OwnGuard, accounts: OwnAccounts, request: Request, body: LoginBody
) -> Response:
    """Open a session in a cookie; who has one already gets another one."""
    address = client_of(request.scope)
    guard.tries.begin(address)
    request.state.account = body.name
    if totp.is_recovery(body.code):
        request.state.remark = " with a recovery code"
    try:
        secret = await accounts.enter(body.name, body.password, guard.idle, body.code)
    except CodeWantedError as error:
        guard.tries.succeed(address)
        raise Problem(401, error.message, second_factor="wanted") from None
    except AccessError as error:
        raise Problem(401, error.message, hint=error.hint) from None
    guard.tries.succeed(address)
    return await _with_session(guard, accounts, request, secret)


@router.post("/logout", response_model=Me)
async def go_out(
    guard: OwnGuard, accounts: OwnAccounts, asker: Asker, request: Request
) -> Response:
    """End the session."""
    if asker.credential:
        await accounts.end(asker.credential)
        guard.forget()
    response = json_answer(me_of(guard, NOBODY))
    name, is_secure = guard.session_cookie(request.scope)
    response.delete_cookie(name, path="/", httponly=True, samesite="strict", secure=is_secure)
    return response


@router.post("/password", response_model=Me)
async def set_password(
    guard: OwnGuard, accounts: OwnAccounts, asker: Asker, request: Request, body: PasswordBody
) -> Response:
    """Set a password, by an invitation or by the old one; all other sessions end.

    An invitation opens no session where the account has a second factor.
    """
    address = client_of(request.scope)
    guard.tries.begin(address)
    try:
        name, invitation = await _who_sets(accounts, asker, body)
    except AccessError as error:
        raise Problem(401, error.message, hint=error.hint) from None
    guard.tries.succeed(address)
    request.state.account = name
    try:
        await accounts.set_password(name, body.password, invitation)
    except AccessError as error:
        raise Problem(422, error.message, hint=error.hint) from None
    guard.forget()
    (row,) = await accounts.rows(ACCOUNT, name)
    if invitation is not None and row["totp"] is not None:
        return json_answer(me_of(guard, NOBODY))
    secret = await accounts.issue("session", name, guard.idle)
    return await _with_session(guard, accounts, request, secret)


async def _who_sets(
    accounts: Accounts, asker: Person, body: PasswordBody
) -> tuple[str, int | None]:
    """Return the account whose password is set, and the invitation that says so."""
    if not body.invitation:
        if not asker.name:
            raise AccessError("nobody has come in with this request")
        await accounts.require(asker.name, body.old)
        return asker.name, None
    opened = await accounts.opened(body.invitation, "invitation")
    if opened is None:
        raise AccessError("the link is unknown, used up or too old", hint="ask for another one")
    return opened.person.name, opened.person.credential


async def _with_session(
    guard: Guard, accounts: Accounts, request: Request, secret: str
) -> Response:
    """Return the answer that sets the cookie of a session."""
    opened = await accounts.opened(secret, "session")
    assert opened is not None, "it was made a moment ago"
    response = json_answer(me_of(guard, opened.person))
    await set_session(guard, request, response, secret)
    return response


async def set_session(guard: Guard, request: Request, response: Response, secret: str) -> None:
    """Put the cookie of a session into an answer."""
    name, is_secure = guard.session_cookie(request.scope)
    response.set_cookie(
        name, secret, max_age=round(guard.longest.total_seconds()), path="/", httponly=True,
        samesite="strict", secure=is_secure,
    )  # fmt: skip


@router.get("/tokens")
async def read_tokens(context: AppContext, accounts: OwnAccounts, asker: Asker) -> Page[TokenRow]:
    """Return the tokens of the account; an administrator gets those of all."""
    rows = await accounts.rows(TOKENS, None if asker.may("administrate") else asker.name)
    times = "created", "used", "until"
    items = [record(TokenRow, row, **context.times(row, *times)) for row in rows]
    return {"items": items, "next": None}


@router.post("/tokens", status_code=201)
async def make_token(
    context: AppContext, accounts: OwnAccounts, asker: Asker, body: TokenBody
) -> NewToken:
    """Make a token for a program; its secret is in this answer and nowhere else."""
    if not asker.name:
        raise Problem(409, "a role without an account has no tokens")
    if body.role is not None and not RIGHTS[body.role] <= RIGHTS[cast("Role", asker.role)]:
        raise Problem(403, f"the role {asker.role} gives no token of a {body.role}")
    # A token of a token lasts, as the account: its role is the one of now.
    role = body.role or cast("Role", asker.role)
    lasts = timedelta(days=body.days)
    secret = await accounts.issue("token", asker.name, lasts, body.label, role)
    until = context.time(accounts.now() + lasts)
    assert until is not None
    return {"token": secret, "until": until}


@router.delete("/tokens/{token}")
async def revoke_token(
    guard: OwnGuard,
    accounts: OwnAccounts,
    asker: Asker,
    token: Annotated[RowId, Path(description="number of a token")],
) -> Me:
    """End a token at once; an administrator may end those of others."""
    rows = await accounts.rows(OWNER_OF, token)
    if not rows or not (rows[0]["account"] == asker.name or asker.may("administrate")):
        raise not_found("token", str(token), (), "/api/v1/tokens")
    await accounts.end(token)
    guard.forget()
    return me_of(guard, asker)
