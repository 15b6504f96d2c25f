"""What every route needs, made once when the app starts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Query, Request
from pydantic import BeforeValidator, WithJsonSchema

from api.problems import Problem, invalid, not_found
from deploy.database.times import to_us
from twin.arrays import DAY_US

if TYPE_CHECKING:
    from collections.abc import Callable

    from api.live.catalogue import Model
    from api.live.feed import Feed
    from api.settings import ApiSettings
    from api.store import Store


@dataclass(frozen=True, slots=True)
class World:
    """Settings, database, live image, clock and the API's own counters."""

    settings: ApiSettings
    store: Store
    feed: Feed
    now_us: Callable[[], int]
    requests: Counter[str] = field(default_factory=Counter)  # by status class

    @property
    def model(self) -> Model:
        """The newest park model; a Problem before the first."""
        if self.feed.model is None:
            raise Problem(
                503,
                "there is no park model yet",
                hint="start ingest: it stores the model it runs",
                retry=True,
            )
        return self.feed.model

    def require_image(self) -> None:
        """Raise a Problem before the live image has been read."""
        if not self.feed.loaded:
            raise Problem(
                503,
                "the live image has not been read yet",
                hint="the database is away or has no park schema; it comes back by itself",
                retry=True,
            )

    def require_scope(self, path: str) -> None:
        """Raise a Problem for a scope that is not there."""
        park = self.model.park
        if park.scope(path) is None:
            raise not_found("scope", path, (s.id for s in park.scopes), "/api/v1/park")

    def require_page(self, limit: int) -> None:
        """Raise a Problem for a page that is too long."""
        if limit > self.settings.page_size_max:
            raise invalid("limit", f"it is above {self.settings.page_size_max}")


def world(request: Request) -> World:
    """Return the world of the app."""
    found = request.app.state.world
    assert isinstance(found, World)
    return found


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
Limit = Annotated[int, Query(ge=1, description="items of a page")]
After = Annotated[int, Query(ge=0, le=2**62, description="`next` of the page before")]


def stretch(
    now_us: int, from_: datetime | None, to: datetime | None, usual_us: int = DAY_US
) -> tuple[int, int]:
    """Return a half-open stretch of time [µs]; by default the last 24 h."""
    to_time_us = now_us if to is None else to_us(to)
    from_time_us = to_time_us - usual_us if from_ is None else to_us(from_)
    if from_time_us >= to_time_us:
        raise invalid("from", "it is not before `to`", hint="`to` is now unless you give it")
    return from_time_us, to_time_us
