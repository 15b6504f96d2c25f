"""The way in by a provider: to it, and back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse

from api.access.accounts import AccessError
from api.access.guard import client_of, cookies_of
from api.access.oidc import PATIENCE_US, SignInError, granted
from api.access.rights import Person
from api.access.sessions import ACCOUNT_PATTERN, OwnAccounts, OwnGuard, set_session
from api.encode import AnswerRoute
from api.problems import RESPONSES, Problem

if TYPE_CHECKING:
    from api.access.accounts import Accounts
    from api.access.guard import Guard
    from api.access.oidc import Provider

router = APIRouter(prefix="/api/v1/oidc", responses=RESPONSES, route_class=AnswerRoute)

COOKIE, BACK = "parktwin-oidc", "/api/v1/oidc/callback"
# An address of this console: what follows the first slash is no other host.
LOCAL = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]{0,500}")
HOME = "/overview"


@router.get("/begin", status_code=303, response_class=RedirectResponse)
async def begin_sign_in(
    guard: OwnGuard,
    accounts: OwnAccounts,
    request: Request,
    then: Annotated[
        str, Query(max_length=500, description="page of the console to go to afterwards")
    ] = HOME,
) -> RedirectResponse:
    """Send a browser to the provider."""
    provider = _provider_of(guard)
    address = client_of(request.scope)
    guard.tries.begin(address)
    if not LOCAL.fullmatch(then):
        raise Problem(403, "a sign-in leads to a page of this console only")
    now_us = accounts.now_us()
    try:
        target, cookie = await provider.begin(_back(request), then, now_us)
    except SignInError as error:
        return await _refuse(guard, request, error)
    guard.tries.succeed(address)
    response = RedirectResponse(target, 303)
    _, is_secure = guard.session_cookie(request.scope)
    # The provider sends the browser back from its own site: a strict cookie would stay away.
    response.set_cookie(
        COOKIE, cookie, max_age=PATIENCE_US // 1_000_000, path=BACK, httponly=True,
        samesite="lax", secure=is_secure,
    )  # fmt: skip
    return response


@router.get("/callback", status_code=303, response_class=RedirectResponse)
async def finish_sign_in(
    guard: OwnGuard, accounts: OwnAccounts, request: Request
) -> RedirectResponse:
    """Take a browser back from the provider, and open a session."""
    provider = _provider_of(guard)
    address = client_of(request.scope)
    guard.tries.begin(address)
    cookie = cookies_of(request.headers).get(COOKIE, "")
    now_us = accounts.now_us()
    try:
        claims, then = await provider.complete(
            cookie, dict(request.query_params), _back(request), now_us
        )
        name, secret = await _admit(guard, accounts, claims)
    except SignInError as error:
        return await _refuse(guard, request, error)
    except AccessError as error:
        return await _refuse(guard, request, SignInError(error.message, "unknown"))
    guard.tries.succeed(address)
    await guard.note(Person(name, None), address, "GET", BACK, "200")
    response = RedirectResponse(then, 303)
    response.delete_cookie(COOKIE, path=BACK)
    await set_session(guard, request, response, secret)
    return response


async def _admit(guard: Guard, accounts: Accounts, claims: dict[str, Any]) -> tuple[str, str]:
    """Return account and session of whom the claims are about; raises AccessError."""
    settings = guard.settings
    name = str(claims.get(settings.oidc_account_claim, "")).lower()
    if not re.fullmatch(ACCOUNT_PATTERN, name):
        name = ""
    return await accounts.enter_by_provider(
        f"{settings.oidc_issuer} {claims['sub']}",
        name,
        granted(settings, claims),
        settings.oidc_name,
        guard.idle,
    )


async def _refuse(guard: Guard, request: Request, error: SignInError) -> RedirectResponse:
    """Return the way back to the console after a refusal, which is in the record."""
    subject = f"{request.url.path}: {error.message}"
    await guard.note(Person("", None), client_of(request.scope), "GET", subject, "401")
    response = RedirectResponse(f"/login?problem={error.reason}", 303)
    response.delete_cookie(COOKIE, path=BACK)
    return response


def _back(request: Request) -> str:
    """Return the address to which the provider sends a browser back."""
    return f"{request.url.scheme}://{request.headers.get('host', '')}{BACK}"


def _provider_of(guard: Guard) -> Provider:
    """Return the provider; raises Problem 409 where there is none."""
    if guard.provider is None:
        raise Problem(409, "this twin has no provider", hint="PARKTWIN_OIDC_ISSUER names one")
    return guard.provider
