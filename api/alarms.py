"""Alarms: their states, their journal, their load; commands wait for the next cycle of ingest."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

import numpy as np
from fastapi import APIRouter, Path, Query, Response
from pydantic import Field
from typing_extensions import TypedDict

from api import queries
from api.answers import (
    Given,
    Name,
    Page,
    Rfc3339,
    Share,
    formula,
    record,
)
from api.calculation.pool import CalculationRoute
from api.commands import ACCEPTED, CommandBody, queue_command
from api.context import AppContext, Context, time_range
from api.disclosure import require_known
from api.encode import AnswerRoute, rfc3339
from api.live.alarm_board import (
    AlarmCounts,
    AlarmEvent,
    AlarmRow,
    AlarmState,
    Priority,
    counts,
)
from api.parameters import After, From, Limit, Line, RowId, ScopeFilter, Text, To
from api.problems import RESPONSES, Problem, not_found
from deploy.database.times import stamp, to_us
from twin.alarms import metrics as f
from twin.alarms.commands import refusal
from twin.alarms.engine import STATES
from twin.alarms.rules import PRIORITIES
from twin.arrays import DAY_US, NEVER
from twin.model.park import inside
from twin.reference import load as load_reference
from twin.uom import parse_quantity

router = APIRouter(prefix="/api/v1", responses=RESPONSES, route_class=AnswerRoute)
summaries = APIRouter(prefix="/api/v1", responses=RESPONSES, route_class=CalculationRoute)

StateFilter = Annotated[
    list[Literal[AlarmState, "all"]] | None,
    Query(
        max_length=len(STATES) + 1, description="states to list; all but normal when none is named"
    ),
]
AlarmId = Annotated[Text, Path(description="id of an alarm; may have slashes")]
# Priority, time [µs] and id of the last row; time [µs] and number of the last row.
AlarmCursor = Annotated[
    Text, Query(pattern=r"^(\d{1,2}\.-?\d{1,19}\..+)?$", description="`next` of the page before")
]
JournalCursor = Annotated[
    str, Query(pattern=r"^(\d{1,16}\.\d{1,18})?$", description="`next` of the page before")
]
CommandId = Annotated[RowId, Path()]
TimeRange = TypedDict("TimeRange", {"from": Rfc3339, "to": Rfc3339})


class ShelveBody(CommandBody):
    """Shelve an alarm for some time."""

    minutes: Annotated[float, Field(gt=0, le=10_080)]
    reason: Line


class CommandAnswer(TypedDict):
    """A command and its result: done without error, or the reason it was refused."""

    id: int
    kind: str
    by: Annotated[str | None, Field(description="person who commands")]
    created: Rfc3339
    done: Rfc3339 | None
    error: str | None


class AlarmRate(TypedDict):
    """Annunciations per ten minutes: the last ten, the mean of the period, and what is bearable."""

    last: int
    mean: Annotated[float, formula("annunciations of the period / its tens of minutes")]
    acceptable: Given[float]
    manageable: Given[float]


class AlarmFlood(TypedDict):
    """Whether there is a flood now, and how much of the period was one."""

    now: bool
    since: Rfc3339 | None
    share: Annotated[
        float,
        formula(
            "time in which the annunciations of ten minutes were more than the beginning of "
            "a flood allows, until they fell below its end / time of the period"
        ),
    ]
    goal: Given[float]


class FrequentAlarm(TypedDict):
    """An alarm with many annunciations."""

    id: str
    name: Name | None
    count: int
    share: Annotated[Share, formula("annunciations of the alarm / all annunciations")]


class PriorityShare(TypedDict):
    """Share of a priority in the annunciations, and what it should be."""

    priority: Priority
    share: Annotated[Share, formula("annunciations of the priority / all annunciations")]
    goal: Given[float]


class AlarmSummary(TimeRange):
    """Whether an operator can cope with the alarms of a scope."""

    scope: str
    counts: list[AlarmCounts]
    annunciations: int
    rate: AlarmRate
    busy_share: Annotated[
        float,
        formula(
            "tens of minutes with more annunciations than bearable / tens of minutes of the period"
        ),
    ]
    flood: AlarmFlood
    mix: list[PriorityShare]
    top: list[FrequentAlarm]
    chattering: list[str]
    stale: list[str]


@router.get("/alarms")
async def read_alarms(
    context: AppContext,
    state: StateFilter = None,
    scope: ScopeFilter = "",
    limit: Limit = 100,
    cursor: AlarmCursor = "",
) -> Page[AlarmRow]:
    """Return the alarms that are not normal: active ones first, by priority, the newest first."""
    _check(context, scope, limit)
    urgency, since, name = (cursor or "-1.0.").split(".", 2)
    after = int(urgency), int(since), name
    wanted = {STATES.index(each) for each in state or STATES[1:] if each != "all"}
    entries = [
        entry
        for entry in context.feed.board.within(scope)
        if ("all" in (state or ()) or entry.state in wanted) and entry.rank > after
    ]
    page = entries[:limit]
    following = ".".join(str(part) for part in page[-1].rank) if len(entries) > limit else None
    return {"items": [entry.row for entry in page], "next": following}


def _check(context: Context, scope: str, limit: int = 1) -> None:
    """Raise a Problem for an unknown scope and for a page that is too long."""
    context.require_image()
    context.require_page(limit)
    if scope:
        context.require_scope(scope)


@router.get("/alarms/journal")
async def read_journal(
    context: AppContext,
    from_: From = None,
    to: To = None,
    scope: ScopeFilter = "",
    limit: Limit = 100,
    cursor: JournalCursor = "",
) -> Page[AlarmEvent]:
    """Return the changes of state of the alarms, newest first; by default of the last 24 h."""
    _check(context, scope, limit)
    from_us, end_us = time_range(context.now_us(), from_, to)
    board = context.feed.board
    names = [a.id for a in board.alarms.values() if inside(a.scope, scope)] if scope else None
    until_us, until_id = map(int, (cursor or f"{end_us}.0").split("."))
    span = stamp(from_us), stamp(until_us)
    rows = await context.store.rows(queries.ALARM_EVENTS, *span, until_id, names, limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    return {
        "items": [board.event(row) for row in rows[:limit]],
        "next": f"{to_us(last['time'])}.{last['id']}" if last else None,
    }


@summaries.get("/alarms/summary")
async def read_summary(
    context: AppContext, from_: From = None, to: To = None, scope: ScopeFilter = ""
) -> AlarmSummary:
    """Return rates, floods, chattering and stale alarms: whether an operator can cope."""
    _check(context, scope)
    require_known(context, scope)
    now_us, zone = context.now_us(), context.zone
    from_us, end_us = time_range(now_us, from_, to)
    days = (end_us - from_us) / DAY_US
    context.require_limit("from", days, "alarm_days_max", "days", "a shorter range")
    entries = context.feed.board.within(scope)
    names = [entry.alarm.id for entry in entries]
    table = load_reference("alarms")
    window_us = round(parse_quantity(table["flood"]["window"], "time") * 1e6)
    # A flood of now may have begun long ago.
    begin_us = min(from_us - window_us, now_us - DAY_US)
    span = stamp(begin_us), stamp(max(now_us, end_us))
    rows = await context.store.rows(queries.ANNUNCIATIONS, *span, names)
    at = {name: i for i, name in enumerate(names)}
    time_us = np.array([to_us(row["time"]) for row in rows], dtype=np.int64)
    alarm = np.array([at[row["alarm"]] for row in rows], dtype=np.int64)
    priorities = [PRIORITIES.index(entry.alarm.priority) for entry in entries]
    priority = np.array(priorities, dtype=np.int64)
    active = [NEVER if entry.active_us is None else entry.active_us for entry in entries]
    active_us = np.array(active, dtype=np.int64)
    load = f.alarm_load(time_us, alarm, priority, from_us, end_us)
    flood, _ = f.advance_flood(f.no_flood(), time_us[time_us <= now_us], now_us)
    flooded = flood.since_us != NEVER
    return {
        "scope": scope or context.model.park.id,
        "from": rfc3339(from_us, zone),
        "to": rfc3339(end_us, zone),
        "counts": counts(entries),
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
            record(PriorityShare, priority=name, share=float(share), goal=table["mix"][name])
            for name, share in zip(PRIORITIES, load.mix, strict=True)
        ],
        "top": [
            {
                "id": names[i],
                "name": cast("Name | None", entries[i].alarm.texts.get("name")),
                "count": int(load.by_alarm[i]),
                "share": load.by_alarm[i] / load.count,
            }
            for i in load.top.tolist()
        ],
        "chattering": [names[i] for i in np.flatnonzero(load.chattering).tolist()],
        "stale": [names[i] for i in np.flatnonzero(f.stale(active_us, now_us)).tolist()],
    }


router.routes.extend(summaries.routes)


@router.post("/alarms/{alarm:path}/ack", **ACCEPTED)
async def acknowledge(context: AppContext, alarm: AlarmId, body: CommandBody) -> Response:
    """Acknowledge an alarm."""
    return await _command(context, "acknowledge", alarm, body)


@router.post("/alarms/{alarm:path}/shelve", **ACCEPTED)
async def shelve(context: AppContext, alarm: AlarmId, body: ShelveBody) -> Response:
    """Shelve an alarm for some minutes; alarms of gas detectors are never shelved."""
    minutes, mend = body.minutes, "shelve it again when they are over"
    context.require_limit("minutes", minutes, "shelve_minutes_max", "minutes", mend, part="body")
    return await _command(context, "shelve", alarm, body)


@router.post("/alarms/{alarm:path}/unshelve", **ACCEPTED)
async def unshelve(context: AppContext, alarm: AlarmId, body: CommandBody) -> Response:
    """End the shelving of an alarm."""
    return await _command(context, "unshelve", alarm, body)


async def _command(context: Context, kind: str, name: str, body: CommandBody) -> Response:
    """Queue a command for the next cycle; raises Problem 404 and, by the alarm's state, 409."""
    context.require_image()
    entry = context.feed.board.entries.get(name)
    if entry is None:
        raise not_found("alarm", name, context.feed.board.alarms, "/api/v1/alarms?state=all")
    context.require_command(entry.alarm.scope)
    refused = refusal(kind, entry.state, shelvable=entry.alarm.shelvable)
    if refused:
        raise Problem(409, refused, hint="/api/v1/alarms?state=all has the states of all alarms")
    return await queue_command(
        context, kind, {"alarm": name, **body.model_dump()}, entry.alarm.scope
    )


@router.get("/commands")
async def list_commands(
    context: AppContext, from_: From = None, to: To = None, limit: Limit = 100, cursor: After = 0
) -> Page[CommandAnswer]:
    """Return the orders of a range of time, the first one first; by default of the last 24 h."""
    context.require_page(limit)
    span = map(stamp, time_range(context.now_us(), from_, to))
    rows = await context.store.rows(queries.COMMANDS, *span, limit + 1, cursor)
    return {
        "items": [_command_answer(context, row) for row in rows[:limit]],
        "next": str(cursor + limit) if len(rows) > limit else None,
    }


@router.get("/commands/{command}")
async def read_command(context: AppContext, command: CommandId) -> CommandAnswer:
    """Return a command and its result."""
    rows = await context.store.rows(queries.COMMAND, command)
    if not rows:
        raise Problem(404, f"there is no command {command}", hint="a command answers with its id")
    return _command_answer(context, rows[0])


def _command_answer(context: Context, row: Any) -> CommandAnswer:
    return record(CommandAnswer, row, **context.times(row, "created", "done"))
