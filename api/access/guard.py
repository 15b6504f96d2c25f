"""Who asks, and whether the request is let through: before every route, and in the record after.

A browser has a session in a cookie that no script can read and no other site makes it send; a
program has a token in its `Authorization` header.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers

from api.access.accounts import ENDED, Accounts, digest_of
from api.access.audit import Event
from api.access.limits import InFlight, Orders
from api.access.oidc import provider_of
from api.access.rights import ASKER, ROLES, Person, rule_of
from api.access.seal import read_seal
from api.middleware import READING
from api.problems import Problem
from twin.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from api.access.accounts import Opened
    from api.access.rights import Right
    from api.middleware import Traffic
    from api.settings import ApiSettings

log = logging.getLogger("parktwin.api")

SESSION = "parktwin-session"
# By HTTPS a browser takes it from this host alone, and nobody slips it in by http.
SECURE_SESSION = f"__Host-{SESSION}"
# In the demonstration a browser may look as a role: role:scope.
LOOK_AS = "parktwin-as"
# A credential that was good is not looked up again for so long: revoking takes effect within it.
KNOWN_S = 2.0
KNOWN_MAX = 10_000
NOBODY = Person("", None)
# Paths behind which there is something to know.
DOORS = ("/api/", "/metrics")
# A live feed lasts; it has limits of its own.
LASTING = "/api/v1/live"
# Credentials of one remote address that are looked up at a time.
LOOK_UPS = 16
# Wrong ways in from one address in a minute; the next ones wait.
TRIES_MAX, TRIES_S = 20, 60.0
REMARKED_MAX = 1_000


class Tries:
    """Ways in by remote address that have not succeeded, forgotten after a while."""

    def __init__(self) -> None:
        self._times: dict[str, list[float]] = {}

    def begin(self, address: str) -> None:
        """Count a try until it succeeds; raises Problem 429 for an address that failed too often.

        Many at once are so no more than one after another.
        """
        now = asyncio.get_running_loop().time()
        recent = {
            each: kept for each, times in self._times.items()
            if (kept := [time for time in times if now - time < TRIES_S])
        }  # fmt: skip
        self._times = recent
        if len(recent.get(address, ())) >= TRIES_MAX:
            raise Problem(429, "too many failed ways in", hint="wait a minute", retry=True)
        self._times.setdefault(address, []).append(now)

    def succeed(self, address: str) -> None:
        """Forget the last try: it was good."""
        if times := self._times.get(address):
            times.pop()


class Guard:
    """The doors of the API: credentials, rights, the record."""

    def __init__(self, settings: ApiSettings, now_us: Callable[[], int], traffic: Traffic) -> None:
        self.settings = settings
        self.idle = timedelta(minutes=settings.session_idle_min)
        self.longest = timedelta(hours=settings.session_hours)
        self.accounts: Accounts | None = None
        self.seal = read_seal(settings.secret_key)
        self.provider = provider_of(settings, self.seal)
        if settings.access == "accounts":
            self.accounts = Accounts(settings.accounts_url, audit_key(settings), now_us, self.seal)
        self.tries = Tries()
        limited = traffic.limited
        self.orders = Orders(settings.orders_minute, limited)
        self.requests = InFlight(
            settings.requests_client_max, "requests", "PARKTWIN_REQUESTS_CLIENT_MAX", limited
        )
        self.look_ups = InFlight(LOOK_UPS, "credentials", "a fixed number", limited)
        self._known: OrderedDict[bytes, tuple[float, Opened]] = OrderedDict()
        self._remarked: dict[bytes | str, float] = {}

    def session_cookie(self, scope: Scope) -> tuple[str, bool]:
        """Return the name of the cookie of a session, and whether it is for HTTPS only."""
        wanted = self.settings.cookie_secure
        is_secure = scope["scheme"] == "https" if wanted == "auto" else wanted == "always"
        return (SECURE_SESSION if is_secure else SESSION), is_secure

    async def person(self, scope: Scope) -> Person | None:
        """Return who asks; None in the demonstration, where everybody may do everything.

        Raises StoreError when the database is away.
        """
        headers = Headers(scope=scope)
        cookies = cookies_of(headers)
        if self.accounts is None:
            return _look_as(cookies.get(LOOK_AS, ""))
        kind, _, token = headers.get("authorization", "").partition(" ")
        name, _ = self.session_cookie(scope)
        secret = token.strip() if token else cookies.get(name, "")
        opened = None
        if not token or kind == "Bearer":
            opened = await self._open(secret, "token" if token else "session")
        if opened is None:
            await self._remark(scope, secret)
            return NOBODY
        person = opened.person
        # Who came in by a provider has shown there what the provider wants.
        is_wanted = person.role in self.settings.factor_roles and not person.provider
        if is_wanted and person.factor == "off":
            return replace(person, factor="wanted")
        return person

    async def _open(self, secret: str, kind: Any) -> Opened | None:
        if not secret or self.accounts is None:
            return None
        clock, key = asyncio.get_running_loop().time(), digest_of(secret)
        seen, opened = self._known.get(key, (0.0, None))
        if opened is not None and opened.kind == kind and clock - seen < KNOWN_S:
            return opened
        opened = await self.accounts.opened(secret, kind)
        if opened is None:
            self._known.pop(key, None)
            return None
        await self.accounts.renew(opened, self.idle, self.longest)
        self._known[key] = clock, opened
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        return opened

    async def _remark(self, scope: Scope, secret: str) -> None:
        """Have a session or token that opens nothing noted, of each and from each address at times.

        A program that goes on with what has ended, or makes secrets up, does not fill the record.
        """
        clock = asyncio.get_running_loop().time()
        if not secret or self.accounts is None:
            return
        self._remarked = {key: at for key, at in self._remarked.items() if clock - at < TRIES_S}
        if len(self._remarked) >= REMARKED_MAX:
            return
        rows = await self.accounts.rows(ENDED, digest_of(secret))
        key = digest_of(secret) if rows else client_of(scope)
        if key in self._remarked:
            return
        self._remarked[key] = clock
        if rows:
            scope["state"]["account"] = rows[0]["account"]
        kind = f"a {rows[0]['kind']} that has ended" if rows else "an unknown session or token"
        scope["state"]["remark"] = f" with {kind}"

    def forget(self) -> None:
        """Look every credential up again: one has ended."""
        self._known.clear()

    async def still(self, person: Person | None) -> bool:
        """Tell whether the credential that a long answer was opened with is still good."""
        if person is None or self.accounts is None:
            return True
        return await self.accounts.lasts(person.credential)

    async def note(self, person: Person, address: str, action: str, subject: str, end: str) -> None:
        """Add to the record, where there is one."""
        if self.accounts is not None:
            await self.accounts.note(Event(person.name, address, action, subject, end))


class Identify:
    """Find out who asks, and let a client ask so much at a time."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with who asks.

        Raises StoreError when the database is away, Problem 429 for too much at a time.
        """
        is_api = scope["type"] == "http" and (
            scope["path"].startswith(DOORS) or leads_out(scope["path"])
        )
        # What is asked to answer another request is asked by whoever asks that.
        if not is_api or scope.get("is_inner"):
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})
        with self._guard.look_ups.hold(client_of(scope)):
            person = await self._guard.person(scope)
        asker = ASKER.set(person)
        lasts = scope["path"] == LASTING
        requests = nullcontext() if lasts else self._guard.requests.hold(asker_of(scope))
        try:
            with requests:
                await self._app(scope, receive, send)
        finally:
            ASKER.reset(asker)


def require_right(scope: Scope, path: str) -> None:
    """Let a request through to a route; raises Problem 401, 403 and, for an order, 429."""
    rule = rule_of(scope["method"], path)
    if rule is None:
        return
    state, person = scope["app"].state, ASKER.get()
    if person is not None:
        _require_role(person, rule.right)
        if rule.about in ("park", "path"):
            model = state.context.feed.model
            park = model.park.id if model else ""
            state.context.require_command(
                park if rule.about == "park" else scope["path_params"]["path"]
            )
    if scope["method"] not in READING and rule.about != "question" and not scope.get("is_inner"):
        state.guard.orders.take(asker_of(scope))


def _require_role(person: Person, right: Right) -> None:
    """Raise Problem 401 and 403 for somebody without a right."""
    if person.role is None:
        raise Problem(
            401,
            "nobody has come in with this request",
            hint="POST /api/v1/login, or a token in `Authorization: Bearer …`",
        )
    if person.may(right):
        return
    if person.factor == "wanted":
        raise Problem(
            403,
            f"accounts of the role {person.role} need a second factor first",
            hint="POST /api/v1/second-factor, or the console, sets it up",
            second_factor="wanted",
        )
    raise Problem(
        403,
        f"the role {person.role} has no right to {right}",
        hint="an administrator gives roles: parktwin user, or the page Administration",
    )


def asker_of(scope: Scope) -> str:
    """Return the account of a request, or its remote address where it has none."""
    person = ASKER.get()
    return person.name if person is not None and person.name else client_of(scope)


def leads_out(path: str) -> bool:
    """Tell whether a path leads out of a folder, or is none."""
    return ".." in path.split("/") or any(c == "\\" or not c.isprintable() for c in path)


def client_of(scope: Scope) -> str:
    """Return the remote address of a request."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def cookies_of(headers: Headers) -> dict[str, str]:
    """Return the cookies of a request; those that cannot be read are none."""
    try:
        return {name: each.value for name, each in SimpleCookie(headers.get("cookie", "")).items()}
    except CookieError:
        return {}


def _look_as(word: str) -> Person | None:
    """Return the role that somebody looks as in the demonstration."""
    role, _, scope = word.partition(":")
    return next((Person("", each, scope) for each in ROLES if each == role), None)


def audit_key(settings: ApiSettings) -> bytes:
    """Return the key of the record; raises SettingsError where it is named and not there."""
    if settings.audit_key is None:
        return b""
    try:
        return settings.audit_key.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"the key of the record cannot be read: {error}",
            hint="PARKTWIN_AUDIT_KEY names a file of random bytes that only parktwin may read",
        ) from None


def check_access(settings: ApiSettings) -> None:
    """Raise SettingsError for a demonstration that others than this machine would reach."""
    if settings.access == "accounts":
        if not (is_loopback(settings.http_host) or settings.http_tls_key or settings.proxies):
            log.warning(
                "passwords and sessions cross the network readable: set PARKTWIN_HTTP_TLS_CERT"
                " and PARKTWIN_HTTP_TLS_KEY, or PARKTWIN_TRUSTED_PROXIES for a proxy with TLS"
            )
        return
    hint = "PARKTWIN_ACCESS=accounts lets only those in who have one"
    if not is_loopback(settings.http_host):
        raise SettingsError(
            f"without accounts the api does not listen on {settings.http_host}", hint=hint
        )
    if settings.proxies:
        raise SettingsError("without accounts the api serves no proxy", hint=hint)


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine for itself."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
