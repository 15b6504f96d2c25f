"""Queries about windows of time in a scope: parameters, checks, and the rows of their answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo

import numpy as np
from fastapi import Depends, Path, Query

from api.answers import WindowAnswer, WindowRow, record, records
from api.context import AppContext, Context, time_range
from api.encode import rfc3339
from api.parameters import From, Text, To
from api.problems import invalid, not_found
from twin.accounts.accounts import FLOW_ITEMS
from twin.arrays import DAY_US, F64, I64, MINUTE_US, SECOND_US
from twin.series import windows as w

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from twin.accounts.network import Network

ScopePath = Annotated[Text, Path(description="path of a scope, slashes included")]
Component = Annotated[Text, Query(description="chlorine, hydrogen, …")]
Length = Literal["minute", "hour", "shift", "day", "month", "quarter", "year"]
Window = Annotated[Length, Query(description="length of a row, on the park's clock")]
Row = TypeVar("Row", bound=WindowRow)
Answer = TypeVar("Answer", bound=WindowAnswer)


@dataclass(frozen=True, slots=True)
class WindowQuery:
    """A scope and the W windows it is asked about."""

    network: Network
    scope: str
    window: str
    edges: I64  # (W+1,) [µs]
    now_us: int
    expected_us: int  # what lies before this should be in the database

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the park."""
        return ZoneInfo(self.network.park.timezone)

    @property
    def years(self) -> I64:
        """The year each window begins in, (W,)."""
        return np.array([w.local(edge, self.zone).year for edge in self.edges[:-1].tolist()])

    @property
    def days(self) -> list[date]:
        """The day each window begins on, W of them."""
        return [w.local(edge, self.zone).date() for edge in self.edges[:-1].tolist()]

    @property
    def elapsed_s(self) -> F64:
        """The part of each window that is expected in the database, whole minutes; (W,) [s]."""
        until = np.minimum(self.edges[1:], self.expected_us // MINUTE_US * MINUTE_US)
        return np.asarray(np.maximum(until - self.edges[:-1], 0) / SECOND_US)

    def rows(self, kind: type[Row], columns: dict[str, Any]) -> list[Row]:
        """Return one row of a kind for each window from columns (W,); one value stands for all.

        The columns are those of the kind without `start`, `end` and `undisclosed`, which are added.
        """
        stamps = [rfc3339(edge, self.zone) for edge in self.edges.tolist()]
        times = {"start": stamps[:-1], "end": stamps[1:], "undisclosed": ""}
        return records(kind, len(stamps) - 1, times | columns)

    def answer(
        self, kind: type[Answer], rows: Iterable[Sequence[WindowRow]], **more: Any
    ) -> Answer:
        """Return an answer from the rows of each subject, by window, and its other fields."""
        items = [row for window in zip(*rows, strict=True) for row in window]
        return record(kind, self, items=items, next=None, **more)


def parse_query(
    context: Context, path: str, window: str, from_: datetime | None, to: datetime | None
) -> WindowQuery:
    """Return the query of a request.

    Raises Problem 404 for an unknown scope and 422 for windows the park does not have, and for
    more of them than the settings allow.
    """
    context.require_scope(path)
    park = context.model.park
    if window == "shift" and not park.shifts:
        raise invalid("window", "this park has no shifts", hint="add `shifts` to [park]")
    now_us = context.now_us()
    from_us, to_us = time_range(now_us, from_, to)
    per_shift_us = DAY_US // max(len(park.shifts), 1)
    most = (to_us - from_us) // w.SHORTEST_US.get(window, per_shift_us)
    mend = "longer ones, or a shorter range"
    context.require_limit("window", most, "windows_max", "windows", mend)
    edges = w.edges(window, from_us, to_us, park.timezone, park.shifts)
    expected_us = now_us - round(context.settings.minute_delay_s * SECOND_US)
    return WindowQuery(context.model.network, path, window, edges, now_us, expected_us)


async def _hourly(
    context: AppContext, path: ScopePath, window: Window = "hour", from_: From = None, to: To = None
) -> WindowQuery:
    return parse_query(context, path, window, from_, to)


async def _daily(
    context: AppContext, path: ScopePath, window: Window = "day", from_: From = None, to: To = None
) -> WindowQuery:
    return parse_query(context, path, window, from_, to)


async def _monthly(
    context: AppContext, path: ScopePath, from_: From = None, to: To = None
) -> WindowQuery:
    return parse_query(context, path, "month", from_, to)


Hourly = Annotated[WindowQuery, Depends(_hourly)]
Daily = Annotated[WindowQuery, Depends(_daily)]
Monthly = Annotated[WindowQuery, Depends(_monthly)]


def require_component(network: Network, component: str) -> None:
    """Raise Problem 404 for a component of which nothing flows in the park."""
    components = {a.subject for a in network.accounts if a.item in FLOW_ITEMS}
    if component not in components:
        raise not_found("component", component, components, "/api/v1/park")
