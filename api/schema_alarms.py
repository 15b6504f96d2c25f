"""The shapes of the alarms' questions and answers, for OpenAPI."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

# Pydantic needs the types when it builds the models.
from api.schema import (  # noqa: TC001
    Cursor,
    Name,
    Number,
    Rfc3339,
    Share,
    Uint8,
)

Priority = Literal["critical", "high", "medium", "low"]
State = Literal[
    "normal", "unacknowledged", "acknowledged", "returned", "shelved", "suppressed",
    "out_of_service",
]  # fmt: skip
Asked = Literal[State, "all"]
Who = Annotated[str, Field(min_length=1, max_length=80, description="who gives the order")]


class Order(BaseModel):
    """An order of an operator."""

    model_config = ConfigDict(str_strip_whitespace=True)

    by: Who


class Shelve(Order):
    """Shelve an alarm for some time."""

    minutes: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    reason: Annotated[str, Field(min_length=1, max_length=200)]


class Accepted(BaseModel):
    """The order has been written down; the next cycle takes it."""

    command: int


class Command(BaseModel):
    """What became of an order: done without error, or why nothing came of it."""

    id: int
    kind: str
    created: Rfc3339
    done: Rfc3339 | None
    error: str | None


class Alarm(BaseModel):
    """An alarm and its state; value and limit in the uom of its tag.

    `since`, `by`, `reason`, `until` and `value` belong to the present state: who acknowledged it
    when, who shelved it until when and why, the value when the state changed.
    """

    id: str
    tag: str
    scope: str
    priority: Priority
    state: State
    since: Rfc3339
    active_since: Rfc3339 | None
    until: Rfc3339 | None
    by: str | None
    reason: str | None
    value: Number
    direction: Literal["high", "low"]
    limit: Number
    uom: str
    quality: Uint8
    shelvable: bool
    name: Name | None
    cause: Name | None
    consequence: Name | None
    response: Name | None


class AlarmPage(BaseModel):
    """Alarms by priority, the newest first."""

    items: list[Alarm]
    next: Cursor


class Event(BaseModel):
    """A change of state: when it was true, and when it was found."""

    time: Rfc3339
    recorded: Rfc3339
    alarm: str
    tag: str | None
    priority: Priority | None
    name: Name | None
    before: State
    after: State
    value: Number
    uom: str | None
    quality: Uint8
    by: str | None
    reason: str | None
    command: int | None


class Journal(BaseModel):
    """Changes of state, the newest first."""

    items: list[Event]
    next: Cursor


class Counts(BaseModel):
    """Alarms of one priority by state."""

    priority: Priority
    normal: int
    unacknowledged: int
    acknowledged: int
    returned: int
    shelved: int
    suppressed: int
    out_of_service: int


class Rate(BaseModel):
    """Annunciations per ten minutes: the last ten, the mean of the period, and what is bearable."""

    last: int
    mean: float
    acceptable: float
    manageable: float


class Flood(BaseModel):
    """Whether there is a flood now, and how much of the period was one."""

    now: bool
    since: Rfc3339 | None
    share: float
    goal: float


class Often(BaseModel):
    """An alarm with many annunciations."""

    id: str
    count: int
    share: Share


class Mix(BaseModel):
    """Share of a priority in the annunciations, and what it should be."""

    priority: Priority
    share: Share
    goal: float


class Summary(BaseModel):
    """Whether an operator can cope with the alarms of a scope."""

    model_config = ConfigDict(populate_by_name=True)

    scope: str
    start: Annotated[Rfc3339, Field(alias="from")]
    end: Annotated[Rfc3339, Field(alias="to")]
    counts: list[Counts]
    annunciations: int
    rate: Rate
    busy_share: float
    flood: Flood
    mix: list[Mix]
    top: list[Often]
    chattering: list[str]
    stale: list[str]
