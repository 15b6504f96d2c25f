"""Parts of the store have this in common: a way to the transaction, and rows sent as columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deploy.database.times import micros
from twin.series.samples import Samples

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ingest.store.store import Store
    from twin.arrays import I64


class Table:
    """Tables of one subject as a part of the store; methods belong into a transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._fetch = store.fetch


def columns_of(rows: Iterable[Iterable[Any]]) -> list[list[Any]]:
    """Return rows as columns, none when there are no rows."""
    return [list(column) for column in zip(*rows, strict=True)]


def samples_of(tag: I64, rows: list[Any]) -> Samples:
    """Return rows with time, value, quality and received as samples of some tags, (n,)."""
    return Samples(
        tag,
        micros([row["time"] for row in rows]),
        np.array([row["value"] for row in rows], dtype=np.float64),
        np.array([row["quality"] for row in rows], dtype=np.uint8),
        micros([row["received"] for row in rows]),
    )


def insert(table: str, columns: str) -> str:
    """Return the statement that adds rows, given one array per column.

    `columns` are written as in CREATE TABLE, like ``tag text, value float8``.
    """
    names, types = columns_of(column.split() for column in columns.split(", "))
    arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(types, 1))
    return f"INSERT INTO {table} ({', '.join(names)}) SELECT * FROM unnest({arrays})"  # noqa: S608


def upsert(table: str, columns: str, key: str, renewed: str = "") -> str:
    """Return the statement that adds rows, or writes them over those of the same `key`.

    Only the columns `renewed` are written over, without them all but the key.
    """
    names = renewed.split(", ") if renewed else [name.split()[0] for name in columns.split(", ")]
    changes = [f"{name} = excluded.{name}" for name in names if name not in key.split(", ")]
    return f"{insert(table, columns)} ON CONFLICT ({key}) DO UPDATE SET {', '.join(changes)}"
