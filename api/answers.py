"""Types the answers of several subjects share. An answer is a TypedDict, built as a dict.

FastAPI documents the return types of the routes, mypy or `record` checks the keys of the dicts, and
the types of the console are generated from the documentation. The name of a field ends with its
unit (`_t`, `_kwh`); NaN and infinity leave as null.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Generic, Literal, TypeVar, cast

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

Item = TypeVar("Item")


def formula(text: str, **rules: Any) -> Any:
    """Return the note of a field that is a figure: how it is calculated of what, for people.

    It is the `x-formula` of the field in the OpenAPI document, and what an explanation shows.
    """
    return Field(description=text, json_schema_extra={"x-formula": text}, **rules)


Number = float | None
# Marks a number that is no figure: stated by the model, a reference table, a person or the
# question, or recorded as it came.
Given = Annotated[Item, Field(json_schema_extra={"x-given": True})]
Share = Annotated[Number, Field(ge=0, le=1)]
Uint8 = Annotated[int, Field(ge=0, le=255, description="quality: good < 64, usable < 128")]
# Of the share of a figure's time for which there are data.
Completeness = Annotated[
    Share, formula("time covered by all of its tags / time of the window that has passed")
]
HalfWidth = Annotated[
    Number,
    formula(
        "half width, 95 %, by the meters: 1.96 * root of the sum of (slope * standard uncertainty)²"
        " over its inputs and what gaps leave open; null = not known"
    ),
]
Verdict = Literal["met", "not_met", "undecided"]
Rfc3339 = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Cursor = Annotated[str | None, Field(description="cursor of the next page")]
Ends = TypedDict("Ends", {"from": str, "to": str})


class Name(TypedDict):
    """A name in Chinese and English."""

    zh: str
    en: str


class Page(TypedDict, Generic[Item]):
    """A page of a list."""

    items: list[Item]
    next: Cursor


class WindowRow(TypedDict):
    """The figures of one window of time: completeness and quality grade all of them."""

    start: Rfc3339
    end: Rfc3339
    completeness: Annotated[
        Share,
        formula("share of the window covered by data; of ratios and balances by all of their tags"),
    ]
    quality: Uint8
    missing: Annotated[list[str], Field(description="tags with gaps, the least covered first")]
    undisclosed: Annotated[
        str,
        Field(
            description="why the figures are withheld from the reader: above_your_level, or a sum"
            " that gives a member away (few_members, one_dominates, linked); empty = they are not"
        ),
    ]


class WindowAnswer(TypedDict):
    """Figures of a scope in windows of time."""

    scope: str
    window: Annotated[str, Field(description="minute, hour, shift, day, month, quarter or year")]
    next: Cursor


class Provenance(TypedDict):
    """How far the source of a figure can be trusted."""

    confidence: Annotated[str, Field(description="H, M or L")]
    verified: bool


class Whole(TypedDict):
    """What somebody sent or wrote, with its texts: a reader gets it whole or not at all."""


def record(kind: type[Item], source: Any = None, /, **own: Any) -> Item:
    """Return one row of a kind of answer: its own fields, all others by name from a source.

    The source is an object with such attributes, or a mapping like a row of a table.
    """
    fields = kind.__annotations__
    assert own.keys() <= fields.keys(), f"{kind.__name__}: {sorted(own.keys() - fields.keys())}"
    read = source.__getitem__ if hasattr(source, "keys") else partial(getattr, source)
    return cast("Item", {name: own[name] if name in own else read(name) for name in fields})


def records(kind: type[Item], count: int, columns: dict[str, Any]) -> list[Item]:
    """Return `count` rows of a kind of answer from its columns.

    An array (count, ...) or a list has one value for each row, anything else stands for all.
    """
    names = kind.__annotations__.keys()
    assert columns.keys() == names, f"{kind.__name__}: {sorted(columns.keys() ^ names)}"
    lists = [_values(column, count) for column in columns.values()]
    return [cast("Item", dict(zip(columns, row, strict=True))) for row in zip(*lists, strict=True)]


def nested(
    kind: type[Item], fixed: dict[str, Any], columns: dict[str, Any], count: int
) -> list[list[Item]]:
    """Return `count` rows of a kind of answer for each window.

    `fixed` has columns that are the same in all windows, `columns` arrays (W, count).
    """
    return [
        records(kind, count, fixed | dict(zip(columns, window, strict=True)))
        for window in zip(*columns.values(), strict=True)
    ]


def _values(column: Any, count: int) -> list[Any]:
    if isinstance(column, np.ndarray):
        return list(column.tolist())
    return column if isinstance(column, list) else [column] * count
