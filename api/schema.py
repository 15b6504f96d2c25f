"""The shapes of the answers, for OpenAPI; the answers themselves are built from columns."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Uint8 = Annotated[int, Field(ge=0, le=255, description="quality: good < 64, usable < 128")]
Share = Annotated[float | None, Field(ge=0, le=1)]
Number = float | None
HalfWidth = Annotated[
    Number, Field(description="half width, 95 %, by the meters; null = not known")
]
Rfc3339 = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Cursor = Annotated[str | None, Field(description="cursor of the next page")]


class Name(BaseModel):
    """Chinese and English."""

    zh: str
    en: str


class Version(BaseModel):
    """Which park model is in use, and since when."""

    version: int
    applied: Rfc3339


class Scope(BaseModel):
    """A node of the tree of the park."""

    id: str
    kind: str
    name: Name
    parent: str | None


class Electrolyser(BaseModel):
    """Cells in series; capacity in kt/year."""

    id: str
    scope: str
    kind: str
    cells: float
    zero_gap: bool
    current: str
    voltage: str | None
    current_efficiency: float
    capacity: Number


class Stream(BaseModel):
    """What flows from one scope to another."""

    model_config = ConfigDict(populate_by_name=True)

    id: str
    origin: Annotated[str, Field(alias="from")]
    to: str
    medium: str
    mode: str
    flow: str | None


class Tank(BaseModel):
    """A vessel; capacity to the brim."""

    id: str
    scope: str
    medium: str
    tag: str
    fill_limit: float
    capacity_t: Number


class Product(BaseModel):
    """A product of a plant."""

    id: str
    scope: str
    tag: str


class Meter(BaseModel):
    """An energy meter."""

    id: str | None
    scope: str
    carrier: str
    tag: str
    direction: str
    basis: str
    product: str | None


class Park(BaseModel):
    """The park model in use."""

    id: str
    kind: str
    name: Name
    timezone: str
    gap_s: float
    shifts: list[str]
    model: Version
    scopes: list[Scope]
    electrolysers: list[Electrolyser]
    streams: list[Stream]
    tanks: list[Tank]
    products: list[Product]
    meters: list[Meter]


class TagInfo(BaseModel):
    """A tag; low and high in its uom."""

    tag: str
    scope: str
    quantity: str
    uom: str
    kind: str
    source: str
    low: Number
    high: Number
    description: str


class TagPage(BaseModel):
    """A page of tags."""

    items: list[TagInfo]
    next: Cursor


class Latest(BaseModel):
    """The newest sample of a tag."""

    tag: str
    time: Rfc3339 | None
    value: Number
    uom: str
    quality: Uint8


class LatestPage(BaseModel):
    """The newest samples."""

    items: list[Latest]
    next: Cursor


class History(BaseModel):
    """One tag over time; times in epoch ms."""

    tag: str
    uom: str
    resolution: Annotated[str, Field(description="raw, minute, hour or <seconds>s")]
    time: list[int]
    value: list[Number]
    min: list[Number]
    max: list[Number]
    quality: list[Uint8]


class EnterpriseHealth(BaseModel):
    """How much of an enterprise's data is there."""

    enterprise: str
    tags: int
    fresh: int
    stale: int
    never: int
    completeness: Share
    simulated: bool
    health: Annotated[Share, Field(description="1: nothing is wrong, 0: nothing is right")]
    timeliness: Share
    duplicate_share: Share
    reject_share: Share
    skew_s: Annotated[Number, Field(description="error of its worst clock, seconds ahead")]


class Gateway(BaseModel):
    """What a gateway has sent, and how it is."""

    enterprise: str
    gateway: str
    topic: str
    first_heard: str
    last_heard: str
    messages: int
    samples: int
    rejected: int
    duplicates: int
    late: int
    dropped: int
    pause_s: Annotated[Number, Field(description="what usually lies between two messages")]
    delay_s: Annotated[Number, Field(description="smallest time from newest sample to arrival")]
    skew_s: Annotated[Number, Field(description="how far its clock is ahead, seconds")]
    silent: bool
    skewed: bool
    runaway: bool


class Health(BaseModel):
    """The health of the data and of ingest."""

    items: list[EnterpriseHealth]
    gateways: list[Gateway]
    ingest: dict[str, Number]
    next: Cursor


class Alive(BaseModel):
    """The process answers."""

    status: str


class Ready(BaseModel):
    """The figures are current."""

    status: str
    checks: dict[str, Any]


HISTORY: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            "application/vnd.apache.arrow.stream": {
                "schema": {"type": "string", "format": "binary"}
            },
        }
    }
}
LIVE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events: `image` first, then one `cycle` for each cycle",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}
