"""Stored models of energy baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from api import queries
from twin.baseline.model import BaselineModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from api.context import Context

VERSIONS_MAX = 20
MODEL: TypeAdapter[BaselineModel] = TypeAdapter(BaselineModel)


async def read_versions(
    context: Context, ids: Sequence[str], version: int | None = None
) -> dict[str, list[Any]]:
    """Return stored versions by baseline, the newest first; raises StoreError."""
    result: dict[str, list[Any]] = {}
    for row in await context.store.rows(queries.BASELINES, list(ids), VERSIONS_MAX, version):
        result.setdefault(row["baseline"], []).append(row)
    return result


def model_of(row: Any) -> BaselineModel:
    """Return the model of a stored version."""
    return MODEL.validate_json(row["model"])
