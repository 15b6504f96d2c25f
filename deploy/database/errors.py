"""Failures of the database driver as StoreError."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import asyncpg

from twin.errors import ContentError, SchemaError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

# A database that is down, starting, stopping, full or locked, or whose disk fails: the same work
# may succeed later. A query that begins between the server's last word and its hanging up is an
# internal error of the driver.
PASSING = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.TransactionRollbackError,
)
# The work may be too much for a server that is well otherwise: for its locks, memory or patience.
CONTENT = (
    TimeoutError,
    asyncpg.QueryCanceledError,
    asyncpg.OutOfMemoryError,
    asyncpg.ConfigurationLimitExceededError,
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
        return ContentError("a sample is there already", retryable=True)
    if isinstance(error, asyncpg.QueryCanceledError):
        return ContentError(
            "the query took too long",
            hint="ask for a shorter range, or raise PARKTWIN_QUERY_TIMEOUT_S",
            retryable=True,
        )
    if isinstance(error, NO_SCHEMA):
        return SchemaError(
            "the database has no park schema yet", hint="start ingest once: it applies the schema"
        )
    # An argument that the driver itself cannot encode will be none at the next try.
    passing = isinstance(error, PASSING) and not isinstance(error, ValueError)
    return (ContentError if isinstance(error, CONTENT) else StoreError)(
        f"database: {str(error) or type(error).__name__}",
        hint="is PostgreSQL with TimescaleDB up, and PARKTWIN_DATABASE_URL right?"
        " (`parktwin up` writes it to connection.env in its data folder)",
        retryable=passing,
    )
