"""Alarms: their states, their journal, their load; orders are written down for the next cycle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import numpy as np
from fastapi import APIRouter, Path, Query, Request, Response

from api import schema_alarms
from api.commands import order
from api.context import From, Limit, To, World, stretch, world
from api.encode import json_answer, rfc3339
from api.live.alarm_board import Standing, counts
from api.problems import RESPONSES, Problem, invalid, not_found
from deploy.database.times import to_us
from twin.alarms import metrics as f
from twin.alarms.commands import refusal
from twin.alarms.engine import STATES
from twin.alarms.rules import PRIORITIES
from twin.arrays import DAY_US, NEVER
from twin.model.park import inside
from twin.reference import load as load_reference
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

router = APIRouter(prefix="/api/v1", responses=RESPONSES)

Scope = Annotated[str, Query(description="only this scope and all below it")]
Page = Annotated[str, Query(description="`next` of the page before")]
States = Annotated[
    list[schema_alarms.Asked] | None,
    Query(description="states to list; all but normal when none is named"),
]
AlarmId = Annotated[str, Path(description="id of an alarm; may have slashes")]
CommandId = Annotated[int, Path(ge=1, le=2**63 - 1)]


@router.get("/alarms", response_model=schema_alarms.AlarmPage)
async def read_alarms(
    request: Request, state: States = None, scope: Scope = "", limit: Limit = 100, cursor: Page = ""
) -> Response:
    """Return the alarms that are not normal, by priority, the newest first."""
    here = world(request)
    _check(here, scope, limit)
    after = _rank(cursor)
    wanted = {STATES.index(each) for each in state or STATES[1:] if each != "all"}
    found = [
        standing
        for standing in here.feed.board.within(scope)
        if ("all" in (state or ()) or standing.state in wanted) and standing.rank > after
    ]
    page = found[:limit]
    following = ".".join(str(part) for part in page[-1].rank) if len(found) > limit else None
    return json_answer({"items": [standing.public for standing in page], "next": following})


def _check(here: World, scope: str, limit: int = 1) -> None:
    """Raise a Problem for a scope that is not there and a page that is too long."""
    here.require_image()
    here.require_page(limit)
    if scope:
        here.require_scope(scope)


def _rank(cursor: str) -> tuple[int, int, str]:
    """Return the rank a page begins after."""
    priority, _, rest = cursor.partition(".")
    since, _, name = rest.partition(".")
    try:
        return (int(priority), int(since), name) if cursor else (-1, 0, "")
    except ValueError:
        raise invalid("cursor", "it is not the `next` of a page") from None


@router.get("/alarms/journal", response_model=schema_alarms.Journal)
async def read_journal(
    request: Request,
    from_: From = None,
    to: To = None,
    scope: Scope = "",
    limit: Limit = 100,
    cursor: Page = "",
) -> Response:
    """Return what happened to the alarms, the newest first; by default in the last 24 h."""
    here = world(request)
    _check(here, scope, limit)
    from_us, to_us_ = stretch(here.now_us(), from_, to)
    board = here.feed.board
    names = [a.id for a in board.alarms.values() if inside(a.scope, scope)] if scope else None
    try:
        # The cursor is time and number of the last row.
        before = [int(part) for part in cursor.split(".")] if cursor else [to_us_, 0]
        until_us, until_id = before
    except ValueError:
        raise invalid("cursor", "it is not the `next` of a page") from None
    rows = await here.store.alarm_events(from_us, (until_us, until_id), names, limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    return json_answer(
        {
            "items": [board.event(row) for row in rows[:limit]],
            "next": f"{to_us(last['time'])}.{last['id']}" if last else None,
        }
    )


@router.get("/alarms/summary", response_model=schema_alarms.Summary)
async def read_summary(
    request: Request, from_: From = None, to: To = None, scope: Scope = ""
) -> Response:
    """Return whether an operator can cope: rates, floods, chattering and stale alarms."""
    here = world(request)
    _check(here, scope)
    now_us, zone = here.now_us(), ZoneInfo(here.model.park.timezone)
    from_us, to_us_ = stretch(now_us, from_, to)
    if to_us_ - from_us > here.settings.alarm_days_max * DAY_US:
        raise invalid("from", f"more than {here.settings.alarm_days_max} days before `to`")
    standings = here.feed.board.within(scope)
    names = [standing.alarm.id for standing in standings]
    table = load_reference("alarms")
    window_us = round(parse_quantity(table["flood"]["window"], "time") * 1e6)
    # A flood of now may have begun long ago.
    begin_us = min(from_us - window_us, now_us - DAY_US)
    rows = await here.store.annunciations(begin_us, max(now_us, to_us_), names)
    at = {name: i for i, name in enumerate(names)}
    time_us = np.array([to_us(row["time"]) for row in rows], dtype=np.int64)
    alarm = np.array([at[row["alarm"]] for row in rows], dtype=np.int64)
    priority = np.array([s.rank[0] for s in standings], dtype=np.int64)
    load = f.load_of(time_us, alarm, priority, from_us, to_us_)
    flood, _ = f.advance(f.no_flood(), time_us[time_us <= now_us], now_us)
    flooded = flood.since_us != NEVER
    return json_answer(
        {
            "scope": scope or here.model.park.id,
            "from": rfc3339(from_us, zone),
            "to": rfc3339(to_us_, zone),
            "counts": counts(standings),
            "annunciations": load.count,
            "rate": {
                "last": flood.count,
                "mean": load.rate,
                "acceptable": table["rate"]["acceptable"],
                "manageable": table["rate"]["manageable"],
            },
            "busy_share": load.busy_share,
            "flood": {
                "now": flooded,
                "since": rfc3339(flood.since_us, zone) if flooded else None,
                "share": load.flood_share,
                "goal": table["flood"]["goal"]["share"],
            },
            "mix": [
                {"priority": name, "share": float(share), "goal": table["mix"][name]}
                for name, share in zip(PRIORITIES, load.mix, strict=True)
            ],
            "top": _top(load, names),
            "chattering": [names[i] for i in np.flatnonzero(load.chattering).tolist()],
            "stale": _stale(standings, now_us),
        }
    )


def _top(load: f.Load, names: list[str]) -> list[dict[str, Any]]:
    return [
        {"id": names[i], "count": int(load.by_alarm[i]), "share": load.by_alarm[i] / load.count}
        for i in load.top.tolist()
    ]


def _stale(standings: Sequence[Standing], now_us: int) -> list[str]:
    active = [NEVER if s.active_us is None else s.active_us for s in standings]
    old = f.stale(np.array(active, dtype=np.int64), now_us)
    return [standings[i].alarm.id for i in np.flatnonzero(old).tolist()]


@router.post("/alarms/{alarm:path}/ack", status_code=202, response_model=schema_alarms.Accepted)
async def acknowledge(request: Request, alarm: AlarmId, body: schema_alarms.Order) -> Response:
    """Acknowledge an alarm."""
    return await _order(request, "acknowledge", alarm, body)


@router.post("/alarms/{alarm:path}/shelve", status_code=202, response_model=schema_alarms.Accepted)
async def shelve(request: Request, alarm: AlarmId, body: schema_alarms.Shelve) -> Response:
    """Shelve an alarm for some minutes; alarms of gas detectors are never shelved."""
    longest = world(request).settings.shelve_minutes_max
    if body.minutes > longest:
        errors = [{"parameter": "minutes", "in": "body", "detail": f"it is above {longest}"}]
        raise Problem(422, f"minutes: it is above {longest}", errors=errors)
    return await _order(request, "shelve", alarm, body)


@router.post(
    "/alarms/{alarm:path}/unshelve", status_code=202, response_model=schema_alarms.Accepted
)
async def unshelve(request: Request, alarm: AlarmId, body: schema_alarms.Order) -> Response:
    """End the shelving of an alarm."""
    return await _order(request, "unshelve", alarm, body)


async def _order(request: Request, kind: str, name: str, body: schema_alarms.Order) -> Response:
    """Write an order down for the next cycle, if the alarm's state allows it."""
    here = world(request)
    here.require_image()
    standing = here.feed.board.standing.get(name)
    if standing is None:
        raise not_found("alarm", name, here.feed.board.alarms, "/api/v1/alarms?state=all")
    refused = refusal(kind, standing.state, shelvable=standing.alarm.shelvable)
    if refused:
        raise Problem(409, refused, hint="/api/v1/alarms?state=all has the states of all alarms")
    return await order(here, kind, {"alarm": name, **body.model_dump()})


@router.get("/commands/{command}", response_model=schema_alarms.Command)
async def read_command(request: Request, command: CommandId) -> Response:
    """Return what became of an order."""
    here = world(request)
    row = await here.store.command(command)
    if row is None:
        raise Problem(404, f"there is no command {command}", hint="an order answers with its id")
    zone = ZoneInfo(here.model.park.timezone)
    return json_answer(
        {
            "id": row["id"],
            "kind": row["kind"],
            "created": rfc3339(to_us(row["created"]), zone),
            "done": rfc3339(to_us(row["done"]), zone) if row["done"] else None,
            "error": row["error"],
        }
    )
