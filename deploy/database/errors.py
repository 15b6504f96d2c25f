"""Failures of the database driver as StoreError."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import asyncpg

from twin.errors import SchemaError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

# A database that is down, starting, stopping, full or locked: the same work may succeed later. A
# query that begins between the server's last word and its hanging up is an internal error of the
# driver.
PASSING = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
)
NO_SCHEMA = (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError)
REFUSED = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)
# What is no mistake of a statement.
EXPECTED = (*PASSING, *NO_SCHEMA, *REFUSED)
FAILURES = (*EXPECTED, asyncpg.PostgresError)


@contextmanager
def store_errors(kinds: tuple[type[Exception], ...] = FAILURES) -> Iterator[None]:
    """Raise StoreError for a failure of the driver inside that is one of `kinds`."""
    try:
        yield
    except kinds as error:
        raise _store_error(error) from error


def _store_error(error: BaseException) -> StoreError:
    """Return a failure of the driver with a hint; retryable when the same work may succeed."""
    if isinstance(error, asyncpg.UniqueViolationError):
        return StoreError("a sample is there already", retryable=True)
    if isinstance(error, asyncpg.QueryCanceledError):
        return StoreError(
            "the query took too long",
            hint="ask for a shorter range, or raise PARKTWIN_QUERY_TIMEOUT_S",
            retryable=True,
        )
    if isinstance(error, NO_SCHEMA):
        return SchemaError(
            "the database has no park schema yet", hint="start ingest once: it applies the schema"
        )
    return StoreError(
        f"database: {str(error) or type(error).__name__}",
        hint="is PostgreSQL with TimescaleDB up, and PARKTWIN_DATABASE_URL right?"
        " (`parktwin up` writes it to connection.env in its data folder)",
        retryable=isinstance(error, PASSING),
    )
