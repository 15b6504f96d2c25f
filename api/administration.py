"""What an administrator looks after: versions of the model, tables of the database."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Path
from pydantic import Field
from typing_extensions import TypedDict

from api import queries
from api.answers import Cursor, Page, Rfc3339, record
from api.context import AppContext
from api.encode import AnswerRoute
from api.parameters import After, Limit, RowId
from api.problems import RESPONSES, Problem
from deploy.database.times import to_us
from twin.arrays import DAY_US
from twin.revision import compare_models

if TYPE_CHECKING:
    from collections.abc import Mapping

router = APIRouter(prefix="/api/v1", responses=RESPONSES, route_class=AnswerRoute)

VersionNumber = Annotated[RowId, Path(description="version of the model")]
CHANGES = 1_000  # listed of one version
PARTS = 4  # of a table, from which on its growth is told


class ModelVersionRow(TypedDict):
    """A model that ran, and since when."""

    version: int
    applied: Rfc3339
    digest: Annotated[str, Field(description="of its files, SHA-256")]
    in_use: bool


class ModelChange(TypedDict):
    """A row of the model that is not what it was; cells are named and not told."""

    table: str
    row: str
    change: Literal["added", "removed", "changed"]
    cells: list[str]


class ModelChanges(TypedDict):
    """What a version changed of the one before."""

    version: int
    before: int | None
    count: int
    items: list[ModelChange]
    next: Cursor


class TableSize(TypedDict):
    """A table of the database with its indexes, or `archive.` and the table of archived rows."""

    name: str
    bytes: Annotated[int, Field(description="on the disk, with indexes")]
    rows: Annotated[
        int | None, Field(description="about, as the database counts them; null before it has")
    ]
    oldest: Annotated[
        Rfc3339 | None, Field(description="begin of its first part, where it has parts by time")
    ]
    bytes_a_day: Annotated[
        int | None,
        Field(description="about: bytes / days since `oldest`; null with fewer than four parts"),
    ]


class Storage(TypedDict):
    """What the database keeps; nothing is deleted by age."""

    database_bytes: int
    items: list[TableSize]
    next: Cursor


@router.get("/model/versions")
async def list_model_versions(
    context: AppContext, limit: Limit = 100, cursor: After = 0
) -> Page[ModelVersionRow]:
    """Return the models that ran, the newest first."""
    context.require_page(limit)
    rows = await context.store.rows(queries.MODEL_VERSIONS, limit + 1, cursor)
    in_use = context.model.version
    return {
        "items": [
            record(
                ModelVersionRow,
                row,
                in_use=row["version"] == in_use,
                **context.times(row, "applied"),
            )
            for row in rows[:limit]
        ],
        "next": str(cursor + limit) if len(rows) > limit else None,
    }


@router.get("/model/versions/{version}")
async def read_model_changes(context: AppContext, version: VersionNumber) -> ModelChanges:
    """Return what a version of the model changed of the one before, by table and row."""
    rows = await context.store.rows(queries.MODEL_PAIR, version)
    if not rows or rows[0]["version"] != version:
        raise Problem(
            404, f"there is no version {version}", hint="/api/v1/model/versions lists them"
        )
    files = [_files(row) for row in rows]
    # Of the first one everything is new, which says nothing.
    changes = await asyncio.to_thread(compare_models, files[1], files[0]) if files[1:] else []
    return {
        "version": version,
        "before": rows[1]["version"] if len(rows) > 1 else None,
        "count": len(changes),
        "items": [
            record(ModelChange, each._asdict(), cells=list(each.cells))
            for each in changes[:CHANGES]
        ],
        "next": None,
    }


def _files(row: Any) -> Mapping[str, str]:
    files: Mapping[str, str] = orjson.loads(row["files"])
    return files


@router.get("/storage")
async def read_storage(context: AppContext) -> Storage:
    """Return the size of the database, its tables and the archive of them, the largest first."""
    rows = await context.store.rows(queries.TABLE_SIZES)
    now_us = context.now_us()
    return {
        "database_bytes": rows[0]["database_bytes"] if rows else 0,
        "items": [
            record(
                TableSize,
                row,
                bytes_a_day=_growth(row, now_us),
                **context.times(row, "oldest"),
            )
            for row in rows
        ],
        "next": None,
    }


def _growth(row: Any, now_us: int) -> int | None:
    """Return the bytes a day of a table with parts by time; None where there are few.

    The first and the last part are not full: of few, that is too large a share.
    """
    if row["parts"] < PARTS:
        return None
    days = (now_us - to_us(row["oldest"])) / DAY_US
    return round(int(row["bytes"]) / days)
