"""What every route needs, made once when the app starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import numpy as np
from fastapi import Depends, Request

from api.access.rights import ASKER
from api.encode import rfc3339
from api.live.image import LiveImage, empty_image
from api.middleware import Traffic
from api.problems import Problem, invalid, not_found, unavailable
from deploy.database.times import to_us
from twin.arrays import DAY_US, I64, MINUTE_US
from twin.disclosure import Viewer

if TYPE_CHECKING:
    from collections.abc import Callable

    from api.live.catalogue import Model
    from api.live.feed import Feed
    from api.settings import ApiSettings
    from api.store import ReadStore
    from twin.model.park import Tag

# A value that is older is of no use for a look at the plant as it was.
LOOK_BACK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Context:
    """Settings, database, live image, clock and the API's own counters."""

    settings: ApiSettings
    store: ReadStore
    feed: Feed
    now_us: Callable[[], int]  # UTC
    traffic: Traffic = field(default_factory=Traffic)

    @property
    def model(self) -> Model:
        """The newest park model; raises Problem 503 before the first."""
        if self.feed.model is None:
            raise unavailable(
                "there is no park model yet", hint="start ingest: it stores the model it runs"
            )
        return self.feed.model

    @property
    def viewer(self) -> Viewer:
        """Who looks: an account, or without accounts the reader of the settings."""
        person = ASKER.get()
        if person is not None and self.feed.model is not None:
            return person.viewer(self.feed.model.park)
        scopes = self.settings.viewer_scopes.split(",")
        own = tuple(scope.strip() for scope in scopes if scope.strip())
        return Viewer(self.settings.viewer_level, own)

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the park; UTC before the first model."""
        return ZoneInfo(self.feed.model.park.timezone if self.feed.model else "UTC")

    def time(self, time: datetime | None) -> str | None:
        """Return a time of the database as it leaves, in the zone of the park."""
        return None if time is None else rfc3339(to_us(time), self.zone)

    def times(self, row: Any, *names: str) -> dict[str, str | None]:
        """Return some times of a row of the database as they leave."""
        return {name: self.time(row[name]) for name in names}

    def gap_us(self, address: str) -> int:
        """Return for how long a sample of a tag holds [µs]."""
        model = self.feed.model
        if model is None:
            return 5 * MINUTE_US
        at = model.network.index.get(address)
        return round(model.park.gap_s * 1e6) if at is None else int(model.network.traits.gap_us[at])

    async def image_at(self, at: I64, moment: datetime | None) -> LiveImage:
        """Return the live image, or that of the tags at some positions as it was at a moment.

        What had grown old by then is stale.
        """
        if moment is None:
            return self.feed.image
        catalogue = self.feed.catalogue
        image = empty_image(len(catalogue.tags))
        ids = catalogue.tag_id[at]
        rows = await self.store.samples_at(ids, to_us(moment), LOOK_BACK)
        where = catalogue.positions(rows["tag_id"])
        image.time_us[where] = rows["time_us"]
        image.value[where] = rows["value"]
        image.quality[where] = rows["quality"]
        image.grow_old(catalogue.gap_us, to_us(moment), seq=0)
        return image

    def require_image(self) -> None:
        """Raise Problem 503 before the live image has been read."""
        if not self.feed.loaded:
            raise unavailable(
                "the live image has not been read yet",
                hint="the database is away or has no park schema; it comes back by itself",
            )

    def require_scope(self, path: str) -> None:
        """Raise Problem 404 for a scope the park does not have."""
        park = self.model.park
        if park.scope(path) is None:
            raise not_found("scope", path, (s.id for s in park.scopes), "/api/v1/park")

    def scope_of(self, owner: str, tag: str = "") -> str:
        """Return the scope of a tag, or of an owner of tags that has none of this name."""
        catalogue = self.feed.catalogue
        at = catalogue.index.get(f"{owner}/{tag}") if tag else None
        if at is not None:
            return catalogue.tags[at].scope
        park = self.model.park
        ends = (each.id for each in park.scopes if each.id.rpartition("/")[2] == owner)
        return next(ends, park.id)

    def require_command(self, scope: str) -> None:
        """Raise Problem 403 for an order about a scope that is not the account's."""
        person = ASKER.get()
        if person is not None and not person.commands(scope):
            raise Problem(
                403,
                f"orders about {scope} are not for accounts of {person.scope}",
                hint="ask whoever operates it, or the park",
            )

    def require_page(self, limit: int) -> None:
        """Raise Problem 422 for a page that is too long."""
        self.require_limit("limit", limit, "page_size_max", "items of a page", "`next` leads on")

    def require_limit(
        self,
        parameter: str,
        value: float,
        setting: str,
        what: str,
        mend: str,
        *,
        part: str = "query",
    ) -> None:
        """Raise Problem 422 for more than a setting allows: it names the limit and the mend."""
        most = getattr(self.settings, setting)
        if value > most:
            limit = f"{_counted(most)} are the limit (PARKTWIN_{setting.upper()})"
            raise invalid(parameter, f"{_counted(value)} {what}, and {limit}", hint=mend, part=part)

    def require_affordable(self, values: int) -> None:
        """Raise Problem 422 for a calculation that reads or solves for too many values."""
        self.require_limit(
            "window",
            values,
            "calculation_values_max",
            "values, as estimated",
            "longer windows (window=hour), a shorter range or a smaller scope",
        )

    def find_tags(self, addresses: list[str] | None) -> I64:
        """Return the positions of tags in the catalogue, of all when none is named.

        Raises Problem 404 for an address the catalogue does not have.
        """
        catalogue = self.feed.catalogue
        if not addresses:
            return np.arange(len(catalogue.tags))
        for address in addresses:
            if address not in catalogue.index:
                raise not_found("tag", address, catalogue.addresses, "/api/v1/tags")
        return catalogue.find(dict.fromkeys(addresses))

    def find_tag(self, tag_id: int) -> Tag:
        """Return the tag with an id in the database, also one that the model has no longer."""
        catalogues = self.feed.catalogue, self.feed.former
        return next(
            catalogue.tags[at]
            for catalogue in catalogues
            if (at := int(catalogue.positions(np.array([tag_id]))[0])) >= 0
        )

    def find_series(self, address: str) -> tuple[Tag, int]:
        """Return a tag and its id in the database, also of one that the model has no longer.

        Raises Problem 404 for an address that no tag ever had.
        """
        for catalogue in (self.feed.catalogue, self.feed.former):
            at = catalogue.index.get(address)
            if at is not None:
                return catalogue.tags[at], int(catalogue.tag_id[at])
        raise not_found("tag", address, self.feed.catalogue.addresses, "/api/v1/tags")


def _counted(number: float) -> str:
    return f"{round(number):,}" if number == round(number) else f"{number:g}"


async def context_of(request: Request) -> Context:
    """Return the context of the app, or the one a question is asked in."""
    context = getattr(request.state, "context", request.app.state.context)
    assert isinstance(context, Context)
    return context


AppContext = Annotated[Context, Depends(context_of)]


def time_range(
    now_us: int, from_: datetime | None, to: datetime | None, usual_us: int = DAY_US
) -> tuple[int, int]:
    """Return a half-open range of time [µs]; by default the last 24 h.

    Raises Problem 422 when it is empty.
    """
    to_time_us = now_us if to is None else to_us(to)
    from_time_us = to_time_us - usual_us if from_ is None else to_us(from_)
    if from_time_us >= to_time_us:
        raise invalid("from", "it is not before `to`", hint="`to` is now unless you give it")
    return from_time_us, to_time_us
