"""Types of what a request carries: numbers have bounds, texts can be stored, times have an offset.

The OpenAPI document declares every bound; what lies beyond is refused with 422. Limits of the
settings may be narrower.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

# PostgreSQL stores no NUL.
_STORABLE = r"^[^\x00]*$"

Text = Annotated[str, StringConstraints(max_length=400, pattern=_STORABLE)]
Address = Annotated[str, StringConstraints(max_length=200, pattern=_STORABLE)]
Line = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=_STORABLE)]
Cell = Annotated[str, StringConstraints(max_length=200, pattern=_STORABLE)]
Person = Annotated[str, StringConstraints(max_length=80, pattern=_STORABLE)]
# Of a body: 0 and "yes" are no flags there.
Flag = Annotated[bool, Field(strict=True)]
# A number of a row in the database, a bigint; 2**62 is exact in JSON too.
RowId = Annotated[int, Field(ge=1, le=2**62)]
# A value of a tag in its uom.
Value = Annotated[float, Field(ge=-1e30, le=1e30)]
Hours = Annotated[float, Field(ge=0, le=720)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]


def _rfc3339(text: Any) -> datetime:
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        raise ValueError(
            f"{text!r} is not a time like 2025-06-01T08:00:00+08:00 (in a URL + is written %2B)"
        ) from None
    if time.tzinfo is None:
        raise ValueError(f"{text!r} has no offset: write it like 2025-06-01T08:00:00+08:00")
    if not 1970 < time.year < 2200:
        raise ValueError(f"the year {time.year} is not between 1971 and 2199")
    return time


Time = Annotated[
    datetime, BeforeValidator(_rfc3339), WithJsonSchema({"type": "string", "format": "date-time"})
]
From = Annotated[Time | None, Query(alias="from", description="start, RFC 3339 with offset")]
To = Annotated[Time | None, Query(alias="to", description="end, not included; default now")]
Moment = Annotated[
    Time | None,
    Query(alias="at", description="a past moment, RFC 3339 with offset: newest samples by then"),
]
Tags = Annotated[
    list[Address] | None,
    Query(max_length=256, description="tag addresses; all when none is named"),
]
ScopeFilter = Annotated[Text, Query(description="only this scope and all below it")]
Limit = Annotated[int, Query(ge=1, le=10_000, description="items of a page")]
After = Annotated[int, Query(ge=0, le=2**62, description="`next` of the page before")]
PageCursor = Annotated[
    Text, Query(pattern=r"^([^/\s]+/\S+)?$", description="`next` of the page before")
]
