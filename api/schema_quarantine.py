"""The shapes of the questions and answers about quarantine and rejects, for OpenAPI."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

# Pydantic needs the types when it builds the models.
from api.schema import (  # noqa: TC001
    Cursor,
    Number,
    Rfc3339,
)
from api.schema_alarms import Order

Text = Annotated[str, Field(min_length=1, max_length=200)]
Cell = Annotated[str, Field(max_length=200)]


class Held(BaseModel):
    """Samples that may not be stored, by tag and reason; `kept` of them are still there."""

    enterprise: str
    tag: str
    reason: str
    topic: str
    count: int
    kept: int
    first_seen: Rfc3339
    last_seen: Rfc3339
    last_time: Rfc3339 | None
    last_value: Number


class HeldPage(BaseModel):
    """A page of quarantine, the last heard first."""

    items: list[Held]
    next: Cursor


class Adopt(Order):
    """An unknown tag as it is to be in tags.csv."""

    scope: Text
    quantity: Text
    uom: Cell
    kind: Literal["gauge", "counter", "state"] = "gauge"
    low: Number = None
    high: Number = None
    sigma: Cell = ""
    description: Cell = ""


class Release(Order):
    """Doubted samples that are to be stored as they are."""

    reason: Literal["future"]


class Reject(BaseModel):
    """A payload that was refused; `payload` is its text as far as it was kept."""

    id: int
    received: Rfc3339
    reason: str
    detail: str
    topic: str
    size: int
    complete: bool
    payload: str


class RejectPage(BaseModel):
    """A page of rejects, the newest first."""

    items: list[Reject]
    next: Cursor


class Replay(Order):
    """Which rejects go through their codec again; all of them when nothing is named."""

    model_config = ConfigDict(str_strip_whitespace=True)

    ids: Annotated[list[int], Field(min_length=1, max_length=10_000)] | None = None
    reason: Text | None = None
