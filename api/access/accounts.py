"""Accounts, and the sessions, tokens and invitations that open them, in the database.

Secrets are 256 random bits, of which only the SHA-256 is stored; passwords are hashed by Argon2id
with the parameters of RFC 9106 that the library recommends. Secrets of second factors have to be
read again; they are sealed (`seal`).
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

from api.access import totp
from api.access.audit import append, note_models, note_refusal, remove_old, verify
from api.access.rights import RIGHTS, Person
from deploy.database.errors import EXPECTED, store_errors
from deploy.database.times import stamp
from twin.errors import ParkError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from datetime import datetime

    from api.access.audit import Event, RecordState
    from api.access.rights import Factor, Role
    from api.access.seal import Seal

Kind = Literal["session", "token", "invitation", "recovery"]
CONNECT_S = 5.0
POOL = 4
PASSWORD_MIN, PASSWORD_MAX = 12, 128
# Until somebody comes in, these many wrong passwords in a row lock an account for a while.
FAILURES, LOCK = 5, timedelta(minutes=15)
INVITED = timedelta(days=3)
FOR_EVER = timedelta(days=36_500)
# `used` of a credential is written no more often.
FRESH = timedelta(minutes=1)
ADMINISTRATOR = "admin"
BY_RULES = "the rules of the provider"
HASHER = argon2.PasswordHasher()

OPENED = """
SELECT c.id, c.kind, c.created, c.used, c.until, c.account, c.label, a.scope,
       a.role, c.role AS token_role, a.totp IS NOT NULL AS has_factor
FROM credential c JOIN account a ON a.name = c.account
WHERE c.digest = $1 AND c.kind = ANY($2) AND c.ended IS NULL AND c.until > $3 AND NOT a.locked"""
ENDED = """
SELECT account, kind FROM credential WHERE digest = $1 AND kind IN ('session', 'token')"""
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
# A try counts before it is looked at, so that many at once are not more than one after another.
TRY = """
UPDATE account SET failed_last = $2::timestamptz,
    failed = CASE WHEN failed_last < $2::timestamptz - $3::interval THEN 1 ELSE failed + 1 END
WHERE name = $1 AND (failed < $4 OR failed_last < $2::timestamptz - $3::interval) RETURNING *"""
FORGIVE = "UPDATE account SET failed = greatest(failed - 1, 0) WHERE name = $1"
TAKE_STEP = """
UPDATE account SET totp_step = $2 WHERE name = $1 AND totp_step < $2 RETURNING name"""
TAKE_RECOVERY = """
UPDATE credential SET ended = $3
WHERE account = $1 AND digest = $2 AND kind = 'recovery' AND ended IS NULL RETURNING id"""
END_OTHERS = """
UPDATE credential SET ended = $3
WHERE account = $1 AND id <> $2 AND kind = 'session' AND ended IS NULL"""
ACCOUNTS = """
SELECT a.name, a.role, a.scope, a.locked, a.created, a.created_by, a.seen,
       a.password IS NOT NULL AS has_password, a.totp IS NOT NULL AS has_factor,
       a.subject IS NOT NULL AS has_provider, a.failed
FROM account a ORDER BY a.name"""
TOKENS = """
SELECT id, account, label, coalesce(role, '') AS role, created, used, until FROM credential
WHERE kind = 'token' AND ended IS NULL AND ($1::text IS NULL OR account = $1) ORDER BY id"""
OWNER_OF = """
SELECT account FROM credential WHERE id = $1 AND kind = 'token' AND ended IS NULL"""


class AccessError(ParkError):
    """A door stays shut; the message says no more than whoever knocks may know."""


class CodeWantedError(AccessError):
    """The password is right, and the code of the second factor is still to come."""


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

    def __init__(
        self, url: str, key: bytes, now_us: Callable[[], int], seal: Seal | None = None
    ) -> None:
        self._url = url
        self._key = key
        self.seal = seal
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
        return stamp(self.now_us())

    def now_us(self) -> int:
        """Return the time of the clock [µs]."""
        return self._now_us()

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

    async def remove_old(self, days: int, account: str) -> int:
        """Remove the rows of the record older than some days; return how many.

        Raises StoreError, also for a role that may not.
        """
        with store_errors():
            async with self._transaction() as connection:
                return await remove_old(connection, self._key, self.now(), days, account)

    async def note_models(self, models: Sequence[tuple[int, str]]) -> None:
        """Add the versions of the model (number, digest) that the record does not have yet."""
        async with self._transaction() as connection:
            await note_models(connection, self._key, self.now(), models)

    async def note_refusal(self, gateway: str, refused: tuple[int, str, datetime]) -> None:
        """Add what the broker refused of a gateway: messages, newest topic and time; hourly."""
        async with self._transaction() as connection:
            await note_refusal(connection, self._key, self.now(), gateway, refused)

    async def opened(self, secret: str, *kinds: Kind) -> Opened | None:
        """Return what a secret opens now; None for one that is unknown, ended or too old."""
        rows = await self.rows(OPENED, digest_of(secret), list(kinds), self.now())
        if not rows:
            return None
        row = rows[0]
        role, less = row["role"], row["token_role"]
        # A token never may more than its account may now.
        role = less if less is not None and RIGHTS[less] <= RIGHTS[role] else role
        factor: Factor = "on" if row["has_factor"] else "off"
        provider = row["label"] if row["kind"] == "session" else ""
        person = Person(row["account"], role, row["scope"], row["id"], factor, provider)
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

    async def enter(self, name: str, password: str, idle: timedelta, code: str = "") -> str:
        """Return the secret of a new session; raises AccessError, the same for all reasons.

        Where the account has a second factor, `code` is one of its codes or a recovery code;
        raises CodeWantedError without one.
        """
        row = await self._check_password(name, password)
        if row["totp"] is not None:
            if not code:
                await self.rows(FORGIVE, name)
                raise CodeWantedError("the account has a second factor: give its code as well")
            await self._take(row, code)
        await self._came_in(name)
        return await self.issue("session", name, idle)

    async def enter_by_provider(
        self,
        subject: str,
        name: str,
        grant: tuple[Role, str] | None,
        provider: str,
        idle: timedelta,
    ) -> tuple[str, str]:
        """Return account and session of whom a provider has let in; raises AccessError.

        Parameters
        ----------
        subject
            who it is for the provider, for ever: "issuer subject"
        name
            what an account is called that is made; an account that has the name already is not
            given away
        grant
            role and scope by the rules; None where none fits. An account that was made by the
            rules follows them each time, one that an administrator has linked keeps its own
        """
        rows = await self.rows("SELECT * FROM account WHERE subject = $1", subject)
        by_rules = not rows or rows[0]["created_by"] == BY_RULES
        if by_rules and grant is None:
            raise AccessError(f"no account and no rule for {subject}")
        if not rows:
            if not name or grant is None:
                raise AccessError(f"the provider gives no name for an account of {subject}")
            await self.add(name, *grant, BY_RULES, subject)
            rows = await self.rows(ACCOUNT, name)
        row = rows[0]
        if row["locked"]:
            raise AccessError(f"the account {row['name']} is locked")
        if grant and by_rules and grant != (row["role"], row["scope"]):
            await self.change(row["name"], *grant, locked=False)
        await self._came_in(row["name"])
        return row["name"], await self.issue("session", row["name"], idle, provider)

    async def require(self, name: str, password: str, code: str = "") -> None:
        """Raise AccessError unless the password, and a code that is given, are of the account."""
        row = await self._check_password(name, password)
        if code:
            await self._take(row, code)
        await self._came_in(name)

    async def _check_password(self, name: str, password: str) -> Any:
        """Return the row of an account whose password it is; raises AccessError."""
        rows = await self.rows(TRY, name, self.now(), LOCK, FAILURES)
        row = rows[0] if rows else None
        # It takes as long where there is no account as where there is one.
        known = row["password"] if row is not None else None
        is_right = await asyncio.to_thread(_is_right, known or _nobody(), password)
        if row is None or row["locked"] or not is_right or known is None:
            raise AccessError(
                "account and password do not fit, or the account is locked",
                hint=f"after {FAILURES} wrong passwords it is locked for"
                f" {LOCK // timedelta(minutes=1)} minutes",
            )
        return row

    async def _take(self, row: Any, code: str) -> None:
        """Use up a code of the second factor of an account; raises AccessError."""
        name = row["name"]
        secret = self._unseal(name, row["totp"])
        step = totp.step_of(secret, code, self._now_us()) if secret else None
        if step is not None:
            taken = await self.rows(TAKE_STEP, name, step)
        else:
            digest = digest_of(totp.plain(code))
            taken = await self.rows(TAKE_RECOVERY, name, digest, self.now())
        if not taken:
            raise AccessError(
                "the code is wrong or was used already",
                hint="wait for the next one, or give a recovery code",
            )

    async def _came_in(self, name: str) -> None:
        await self.rows(
            "UPDATE account SET failed = 0, seen = $2 WHERE name = $1", name, self.now()
        )

    def _unseal(self, name: str, sealed: bytes | None) -> str | None:
        """Return the secret of a second factor; None where there is none that can be read."""
        if sealed is None or self.seal is None:
            return None
        content = self.seal.open(f"totp {name}", sealed)
        return None if content is None else content.decode()

    async def begin_factor(self, name: str, password: str) -> str:
        """Return the secret of a second factor that is used from its first code on.

        Raises AccessError for a wrong password.
        """
        assert self.seal is not None, "it is asked for before"
        await self.require(name, password)
        secret = totp.new_secret()
        sealed = self.seal.close(f"totp {name}", secret.encode())
        await self.rows("UPDATE account SET totp_new = $2 WHERE name = $1", name, sealed)
        return secret

    async def confirm_factor(self, name: str, code: str, credential: int) -> list[str]:
        """Use the second factor that was begun; return its recovery codes.

        All other sessions end. Raises AccessError where the code is not of it.
        """
        (row,) = await self.rows(ACCOUNT, name)
        secret, now = self._unseal(name, row["totp_new"]), self.now()
        step = totp.step_of(secret, code, self._now_us()) if secret else None
        if step is None:
            raise AccessError(
                "the code does not fit the secret", hint="is the clock of the telephone right?"
            )
        codes = totp.new_recovery_codes()
        async with self._transaction() as connection:
            await connection.execute(
                "UPDATE account SET totp = totp_new, totp_new = NULL, totp_step = $2"
                " WHERE name = $1", name, step,
            )  # fmt: skip
            await connection.execute(END_KIND, name, "recovery", now)
            await connection.execute(END_OTHERS, name, credential, now)
            for each in codes:
                args = digest_of(totp.plain(each)), "recovery", name, "", None, now, now + FOR_EVER
                await connection.execute(ADD_CREDENTIAL, *args)
        return codes

    async def end_factor(self, name: str, credential: int = 0) -> None:
        """Take the second factor off an account; all sessions but one end."""
        now = self.now()
        async with self._transaction() as connection:
            await connection.execute(
                "UPDATE account SET totp = NULL, totp_new = NULL WHERE name = $1", name
            )
            await connection.execute(END_KIND, name, "recovery", now)
            await connection.execute(END_OTHERS, name, credential, now)

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

    async def add(
        self, name: str, role: str, scope: str, by: str, subject: str | None = None
    ) -> None:
        """Add an account without a password; raises AccessError where there is one already."""
        added = await self.rows(
            "INSERT INTO account (name, role, scope, created, created_by, subject)"
            " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING name",
            name, role, scope, self.now(), by, subject,
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

    async def link(self, name: str, subject: str) -> None:
        """Let an account come in by the provider as well; raises AccessError for a second one."""
        others = await self.rows(
            "SELECT FROM account WHERE subject = $1 AND name <> $2", subject, name
        )
        if others:
            raise AccessError("another account comes in as that subject already")
        await self.rows("UPDATE account SET subject = $2 WHERE name = $1", name, subject)

    async def invite(self, name: str) -> str:
        """Return the secret that sets a password of an account once; earlier ones end."""
        await self.rows(END_KIND, name, "invitation", self.now())
        return await self.issue("invitation", name, INVITED)

    async def set_password(self, name: str, password: str, invitation: int | None) -> None:
        """Set a password, and shut all sessions; raises AccessError for a weak one.

        An invitation is used up by it, of two at once one is refused; others end.
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
            for kind in ("session", "invitation"):
                await connection.execute(END_KIND, name, kind, now)

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
