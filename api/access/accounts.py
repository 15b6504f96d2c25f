"""Accounts, and the sessions, tokens and invitations that open them, in the database.

Secrets are 256 random bits, of which only the SHA-256 is stored; passwords are hashed by Argon2id
with the parameters of RFC 9106 that the library recommends.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import argon2
import asyncpg

from api.access.audit import append, verify
from api.access.rights import RIGHTS, Person
from deploy.database.errors import EXPECTED, store_errors
from deploy.database.times import stamp
from twin.errors import ParkError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime

    from api.access.audit import Event, RecordState

Kind = Literal["session", "token", "invitation"]
CONNECT_S = 5.0
POOL = 4
PASSWORD_MIN, PASSWORD_MAX = 12, 128
# Until somebody comes in, these many wrong passwords in a row lock an account for a while.
FAILURES, LOCK = 5, timedelta(minutes=15)
INVITED = timedelta(days=3)
# `used` of a credential is written no more often.
FRESH = timedelta(minutes=1)
ADMINISTRATOR = "admin"
HASHER = argon2.PasswordHasher()

OPENED = """
SELECT c.id, c.kind, c.created, c.used, c.until, c.account, a.scope,
       a.role, c.role AS token_role
FROM credential c JOIN account a ON a.name = c.account
WHERE c.digest = $1 AND c.kind = ANY($2) AND c.ended IS NULL AND c.until > $3 AND NOT a.locked"""
LASTS = """
SELECT FROM credential c JOIN account a ON a.name = c.account
WHERE c.id = $1 AND c.ended IS NULL AND c.until > $2 AND NOT a.locked"""
RENEW = "UPDATE credential SET used = $2, until = $3 WHERE id = $1 AND ended IS NULL"
ADD_CREDENTIAL = """
INSERT INTO credential (digest, kind, account, label, role, created, used, until)
VALUES ($1, $2, $3, $4, $5, $6, $6, $7) RETURNING id"""
END_CREDENTIAL = """
UPDATE credential SET ended = $2 WHERE id = $1 AND ended IS NULL RETURNING id"""
END_KIND = "UPDATE credential SET ended = $3 WHERE account = $1 AND kind = $2 AND ended IS NULL"
ACCOUNT = "SELECT * FROM account WHERE name = $1"
ACCOUNTS = """
SELECT a.name, a.role, a.scope, a.locked, a.created, a.created_by, a.seen,
       a.password IS NOT NULL AS has_password, a.failed
FROM account a ORDER BY a.name"""
TOKENS = """
SELECT id, account, label, coalesce(role, '') AS role, created, used, until FROM credential
WHERE kind = 'token' AND ended IS NULL AND ($1::text IS NULL OR account = $1) ORDER BY id"""
OWNER_OF = """
SELECT account FROM credential WHERE id = $1 AND kind = 'token' AND ended IS NULL"""


class AccessError(ParkError):
    """A door stays shut; the message says no more than whoever knocks may know."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A credential that is good: whose it is, and until when."""

    person: Person
    kind: Kind
    created: datetime
    used: datetime
    until: datetime


def digest_of(secret: str) -> bytes:
    """Return what is stored of a secret."""
    return hashlib.sha256(secret.encode()).digest()


def check_password(name: str, password: str) -> None:
    """Raise AccessError for a password that is easy to guess."""
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise AccessError(f"a password has {PASSWORD_MIN} to {PASSWORD_MAX} characters")
    if name in password.lower() or len(set(password)) < PASSWORD_MIN // 2:
        raise AccessError("the password has the account in it, or few different characters")


class Accounts:
    """Accounts of one database, with a few connections of their own."""

    def __init__(self, url: str, key: bytes, now_us: Callable[[], int]) -> None:
        self._url = url
        self._key = key
        self._now_us = now_us
        self._pool: Any = None

    async def open(self) -> None:
        """Prepare the pool; no connection is made yet."""
        with store_errors(EXPECTED):
            self._pool = await asyncpg.create_pool(
                self._url, min_size=0, max_size=POOL, timeout=CONNECT_S, command_timeout=CONNECT_S,
                server_settings={"search_path": "park, public", "timezone": "UTC",
                                 "application_name": "parktwin-access"},
            )  # fmt: skip

    async def close(self) -> None:
        """Close all connections."""
        if self._pool is not None:
            self._pool.terminate()

    def now(self) -> datetime:
        """Return the time of the clock."""
        return stamp(self._now_us())

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Any]:
        assert self._pool is not None, "accounts are not open"
        with store_errors(EXPECTED):
            async with (
                self._pool.acquire(timeout=CONNECT_S) as connection,
                connection.transaction(),
            ):
                yield connection

    async def rows(self, statement: str, *args: Any) -> list[Any]:
        """Return the rows of a query."""
        async with self._transaction() as connection:
            return list(await connection.fetch(statement, *args))

    async def note(self, event: Event) -> None:
        """Add an event to the record."""
        async with self._transaction() as connection:
            await append(connection, self._key, self.now(), event)

    async def verify(self, head: str = "") -> RecordState:
        """Look at the whole record, and whether a head that was noted once is in it."""
        async with self._transaction() as connection:
            return await verify(connection, self._key, head)

    async def opened(self, secret: str, *kinds: Kind) -> Opened | None:
        """Return what a secret opens now; None for one that is unknown, ended or too old."""
        rows = await self.rows(OPENED, digest_of(secret), list(kinds), self.now())
        if not rows:
            return None
        row = rows[0]
        role, less = row["role"], row["token_role"]
        # A token never may more than its account may now.
        role = less if less is not None and RIGHTS[less] <= RIGHTS[role] else role
        person = Person(row["account"], role, row["scope"], row["id"])
        return Opened(person, row["kind"], row["created"], row["used"], row["until"])

    async def lasts(self, credential: int) -> bool:
        """Tell whether a credential still opens its account."""
        return bool(await self.rows(LASTS, credential, self.now()))

    async def renew(self, opened: Opened, idle: timedelta, longest: timedelta) -> None:
        """Let a session that is used last on, but no longer than `longest` since its start."""
        now = self.now()
        if now - opened.used < FRESH:
            return
        until = opened.until
        if opened.kind == "session":
            until = min(now + idle, opened.created + longest)
        await self.rows(RENEW, opened.person.credential, now, until)

    async def enter(self, name: str, password: str, idle: timedelta) -> str:
        """Return the secret of a new session; raises AccessError, the same for all reasons."""
        now = self.now()
        rows = await self.rows(ACCOUNT, name)
        row = rows[0] if rows else None
        is_held = row is not None and row["failed"] >= FAILURES and now - row["failed_last"] < LOCK
        # It takes as long where there is no account as where there is one.
        known = row["password"] if row is not None else None
        is_right = await asyncio.to_thread(_is_right, known or _nobody(), password)
        if row is None or row["locked"] or is_held or not is_right or known is None:
            if row is not None and not is_held:
                await self.rows(
                    "UPDATE account SET failed = failed + 1, failed_last = $2 WHERE name = $1",
                    name, now,
                )  # fmt: skip
            raise AccessError(
                "account and password do not fit, or the account is locked",
                hint=f"after {FAILURES} wrong passwords it is locked for"
                f" {LOCK // timedelta(minutes=1)} minutes",
            )
        await self.rows("UPDATE account SET failed = 0, seen = $2 WHERE name = $1", name, now)
        return await self.issue("session", name, idle)

    async def issue(
        self, kind: Kind, name: str, lasts: timedelta, label: str = "", role: str | None = None
    ) -> str:
        """Return the secret of a new credential of an account."""
        secret, now = secrets.token_urlsafe(32), self.now()
        args = digest_of(secret), kind, name, label, role, now, now + lasts
        await self.rows(ADD_CREDENTIAL, *args)
        return secret

    async def end(self, credential: int) -> None:
        """End a session, token or invitation."""
        await self.rows(END_CREDENTIAL, credential, self.now())

    async def require(self, name: str, password: str) -> None:
        """Raise AccessError unless the password is that of the account."""
        secret = await self.enter(name, password, FRESH)
        opened = await self.opened(secret, "session")
        if opened is not None:
            await self.end(opened.person.credential)

    async def add(self, name: str, role: str, scope: str, by: str) -> None:
        """Add an account without a password; raises AccessError where there is one already."""
        added = await self.rows(
            "INSERT INTO account (name, role, scope, created, created_by)"
            " VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING name",
            name, role, scope, self.now(), by,
        )  # fmt: skip
        if not added:
            raise AccessError(f"there is an account {name} already")

    async def change(self, name: str, role: str, scope: str, *, locked: bool) -> None:
        """Change an account; what was opened with the rights it had is shut."""
        now = self.now()
        async with self._transaction() as connection:
            await connection.execute(
                "UPDATE account SET role = $2, scope = $3, locked = $4, failed = 0"
                " WHERE name = $1", name, role, scope, locked,
            )  # fmt: skip
            kinds = ("session", "token", "invitation") if locked else ("session",)
            for kind in kinds:
                await connection.execute(END_KIND, name, kind, now)

    async def invite(self, name: str) -> str:
        """Return the secret that sets a password of an account once; earlier ones end."""
        await self.rows(END_KIND, name, "invitation", self.now())
        return await self.issue("invitation", name, INVITED)

    async def set_password(self, name: str, password: str, invitation: int | None) -> None:
        """Set a password, and shut all sessions; raises AccessError for a weak one.

        An invitation is used up by it: of two at once one is refused.
        """
        check_password(name, password)
        hashed = await asyncio.to_thread(HASHER.hash, password)
        now = self.now()
        async with self._transaction() as connection:
            if invitation and not await connection.fetch(END_CREDENTIAL, invitation, now):
                raise AccessError("the link was used already")
            await connection.execute(
                "UPDATE account SET password = $2, failed = 0 WHERE name = $1", name, hashed
            )
            await connection.execute(END_KIND, name, "session", now)

    async def first_invitation(self) -> str | None:
        """Return the secret for the first administrator; None where one can come in."""
        known = await self.rows(
            "SELECT FROM account WHERE role = 'administrator' AND NOT locked"
            " AND password IS NOT NULL"
        )
        if known:
            return None
        if not await self.rows(ACCOUNT, ADMINISTRATOR):
            await self.add(ADMINISTRATOR, "administrator", "", "the first start")
        return await self.invite(ADMINISTRATOR)


@cache
def _nobody() -> str:
    """Return a hash that no password has."""
    return HASHER.hash(secrets.token_urlsafe())


def _is_right(hashed: str, password: str) -> bool:
    try:
        return HASHER.verify(hashed, password)
    except argon2.exceptions.VerificationError:
        return False
