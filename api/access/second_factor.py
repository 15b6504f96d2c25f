"""The second factor of an account: set it up, use it, end it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from api.access import totp
from api.access.accounts import AccessError
from api.access.guard import client_of
from api.access.sessions import Asker, Code, Me, OwnAccounts, OwnGuard, Password, me_of
from api.context import AppContext
from api.encode import AnswerRoute
from api.problems import RESPONSES, Problem

router = APIRouter(prefix="/api/v1/second-factor", responses=RESPONSES, route_class=AnswerRoute)


class BeginBody(BaseModel):
    """The password of the account, once more."""

    model_config = ConfigDict(extra="forbid")

    password: Password


class CodeBody(BaseModel):
    """A code of the authenticator."""

    model_config = ConfigDict(extra="forbid")

    code: Code


class EndBody(BaseModel):
    """Password and code, once more."""

    model_config = ConfigDict(extra="forbid")

    password: Password
    code: Annotated[str, Field(min_length=1, max_length=40, description="one of it, or to recover")]


class NewFactor(TypedDict):
    """What an authenticator takes; it is told once, and used from its first code on."""

    secret: Annotated[str, Field(description="to be typed where nothing can be scanned")]
    address: Annotated[str, Field(description="otpauth:// …")]
    drawing: Annotated[str, Field(description="QR code of the address, an SVG as data: …")]


class RecoveryCodes(TypedDict):
    """Codes for the day on which the telephone is lost, each good once; they are told once."""

    codes: list[str]


@router.post("")
async def begin_second_factor(
    context: AppContext,
    guard: OwnGuard,
    accounts: OwnAccounts,
    asker: Asker,
    request: Request,
    body: BeginBody,
) -> NewFactor:
    """Begin a second factor; nothing changes until its first code is confirmed."""
    _require_own(asker.name)
    if asker.factor == "on":
        raise Problem(409, "the account has a second factor", hint="end it first")
    if accounts.seal is None:
        raise Problem(
            409,
            "this twin has no key to seal second factors with",
            hint="PARKTWIN_SECRET_KEY names its file",
        )
    address = client_of(request.scope)
    guard.tries.begin(address)
    try:
        secret = await accounts.begin_factor(asker.name, body.password)
    except AccessError as error:
        raise Problem(403, error.message, hint=error.hint) from None
    guard.tries.succeed(address)
    park = context.feed.model.park.id if context.feed.model else ""
    target = totp.address_of(secret, asker.name, f"parktwin {park}".strip())
    return {"secret": secret, "address": target, "drawing": totp.drawing_of(target)}


@router.post("/confirm")
async def confirm_second_factor(
    guard: OwnGuard, accounts: OwnAccounts, asker: Asker, body: CodeBody
) -> RecoveryCodes:
    """Use the second factor from now on; all other sessions of the account end."""
    _require_own(asker.name)
    try:
        codes = await accounts.confirm_factor(asker.name, body.code, asker.credential)
    except AccessError as error:
        raise Problem(403, error.message, hint=error.hint) from None
    guard.forget()
    return {"codes": codes}


@router.post("/end")
async def end_second_factor(
    guard: OwnGuard, accounts: OwnAccounts, asker: Asker, request: Request, body: EndBody
) -> Me:
    """Use the second factor no longer; all other sessions of the account end."""
    _require_own(asker.name)
    if asker.factor != "on":
        raise Problem(409, "the account has no second factor")
    if asker.role in guard.settings.factor_roles:
        raise Problem(
            409,
            f"accounts of the role {asker.role} need a second factor",
            hint="an administrator resets it when the telephone is lost",
        )
    address = client_of(request.scope)
    guard.tries.begin(address)
    try:
        await accounts.require(asker.name, body.password, body.code)
    except AccessError as error:
        raise Problem(403, error.message, hint=error.hint) from None
    guard.tries.succeed(address)
    await accounts.end_factor(asker.name, asker.credential)
    guard.forget()
    return me_of(guard, await guard.person(request.scope))


def _require_own(name: str) -> None:
    """Raise Problem 401 where nobody has come in."""
    if not name:
        raise Problem(401, "nobody has come in with this request", hint="POST /api/v1/login")
