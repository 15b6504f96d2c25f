"""Types of the answer about the online energy monitoring."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from api.answers import (
    Given,
    HalfWidth,
    Name,
    Number,
    Provenance,
    Rfc3339,
    Verdict,
    WindowAnswer,
    WindowRow,
    formula,
)

Method = Literal["metered", "entered", "mixed", "none"]


class MonitoringRow(WindowRow):
    """An item of an enterprise in one window, in `uom`; null = not known, and `reason` says why."""

    scope: str
    item: str
    code: str
    carrier: Annotated[str, Field(description="empty where the item is of none")]
    product: Annotated[str, Field(description="empty where the item is of none")]
    uom: str
    value: Annotated[
        Number,
        formula(
            "by `item`: sum over the meters at the top of the trees, in coal equivalent where it"
            " says so; sum of the meters of a product; ratio of both over their joint time; sum of"
            " the book"
        ),
    ]
    value_ci: HalfWidth
    final: Annotated[bool, Field(description="the window is over")]
    complete: Annotated[
        bool | None, Field(description="completeness is what the rule asks; null = nothing is due")
    ]
    method: Annotated[Method, Field(description="none: the model names no meter and no book")]
    tags: Annotated[list[str], Field(description="what the value is made of")]
    reason: str


class MonitoredItem(Provenance):
    """An item that is reported; `origin` is ``own`` where the code is not the platform's."""

    id: str
    code: str
    origin: str
    name: Name
    source: str


class MonitoringCheck(TypedDict):
    """How far the data of an enterprise keep a rule; undecided where nothing tells."""

    scope: str
    rule: Literal["completeness", "deviation", "calibration", "beginning"]
    code: str
    name: Name
    limit: Annotated[Given[Number], Field(description="null = none")]
    figure: Annotated[
        Number,
        formula(
            "completeness: mean over the rows that are due; deviation: largest (book - meter) /"
            " meter; calibration: meters past their day; beginning: 0"
        ),
    ]
    verdict: Verdict
    tags: Annotated[
        list[str], Field(description="that break the rule, or of which nothing is known")
    ]
    reason: str


class KeyUserRow(TypedDict):
    """An enterprise that the rows are about."""

    scope: str
    name: Name
    credit_code: str


class MonitoringAnswer(WindowAnswer):
    """Items of the online energy monitoring, and what their data are worth."""

    start: Rfc3339
    end: Rfc3339
    basis: str
    items: list[MonitoringRow]
    catalogue: list[MonitoredItem]
    users: list[KeyUserRow]
    statement: list[MonitoringCheck]
