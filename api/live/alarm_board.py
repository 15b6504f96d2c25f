"""The alarms as the cycles left them, and what leaves of them over HTTP."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, cast
from zoneinfo import ZoneInfo

import orjson
from typing_extensions import TypedDict

from api.answers import (
    Given,
    Name,
    Number,
    Rfc3339,
    Uint8,
    record,
)
from api.encode import number, rfc3339
from deploy.database.times import to_us
from twin.alarms.engine import NORMAL, STATES
from twin.alarms.rules import PRIORITIES, Alarm, park_alarms
from twin.model.park import inside

if TYPE_CHECKING:
    from api.live.catalogue import Catalogue
    from twin.model.park import Park, Tag

Priority = Literal["critical", "high", "medium", "low"]
AlarmState = Literal[
    "normal", "unacknowledged", "acknowledged", "returned", "shelved", "suppressed",
    "out_of_service",
]  # fmt: skip

# What needs an operator first: active alarms, those that returned, those put aside, the others.
URGENCY = {
    "unacknowledged": 0, "acknowledged": 0, "returned": 1, "shelved": 2, "suppressed": 2,
    "out_of_service": 2, "normal": 3,
}  # fmt: skip


class AlarmRow(TypedDict):
    """An alarm and its state; value and limit in the uom of its tag.

    `since`, `by`, `reason`, `until` and `value` belong to the present state: when and by whom it
    was acknowledged or shelved, until when and why, the value when the state changed.
    """

    id: str
    tag: str
    scope: str
    priority: Priority
    state: AlarmState
    since: Rfc3339
    active_since: Rfc3339 | None
    until: Rfc3339 | None
    by: str | None
    reason: str | None
    value: Given[Number]
    direction: Literal["high", "low"]
    limit: Given[Number]
    uom: str
    quality: Uint8
    shelvable: bool
    name: Name | None
    cause: Name | None
    consequence: Name | None
    response: Name | None


class AlarmEvent(TypedDict):
    """A change of state: when it was true, and when it was recorded."""

    time: Rfc3339
    recorded: Rfc3339
    alarm: str
    tag: str | None
    priority: Priority | None
    name: Name | None
    before: AlarmState
    after: AlarmState
    value: Given[Number]
    uom: str | None
    quality: Uint8
    by: str | None
    reason: str | None
    command: int | None


class AlarmCounts(TypedDict):
    """Alarms of one priority by state."""

    priority: Priority
    normal: int
    unacknowledged: int
    acknowledged: int
    returned: int
    shelved: int
    suppressed: int
    out_of_service: int


@dataclass(frozen=True, slots=True)
class BoardEntry:
    """One alarm: its rule, its row of table alarm, and the number of its last change."""

    alarm: Alarm
    state: int
    since_us: int
    active_us: int | None
    row: AlarmRow
    changed: int  # sequence number of the feed

    @property
    def rank(self) -> tuple[int, int, str]:
        """The order of a list: what is active, by priority, then the newest first."""
        urgency = URGENCY[STATES[self.state]] * len(PRIORITIES)
        return urgency + PRIORITIES.index(self.alarm.priority), -self.since_us, self.alarm.id


class AlarmBoard:
    """All alarms of the model in use; lives as long as its catalogue."""

    def __init__(self, park: Park | None, catalogue: Catalogue) -> None:
        rules = park_alarms(park, catalogue.tags) if park else ()
        self.alarms = {alarm.id: alarm for alarm in rules}
        self.entries: dict[str, BoardEntry] = {}
        self._tags = {tag.address: tag for tag in catalogue.tags}
        self._zone = ZoneInfo(park.timezone if park else "UTC")

    def apply(self, rows: str, seq: int) -> None:
        """Take over rows of table alarm (JSON); alarms the model does not have are left out."""
        for row in orjson.loads(rows):
            alarm = self.alarms.get(row["alarm"])
            if alarm is not None:
                self.entries[alarm.id] = BoardEntry(
                    alarm=alarm,
                    state=STATES.index(row["state"]),
                    since_us=_micros(row["since"]),
                    active_us=_micros(row["active_since"]) if row["active_since"] else None,
                    row=self._row(alarm, row),
                    changed=seq,
                )

    def changed(self, since: int, scopes: frozenset[str] | None = None) -> list[AlarmRow]:
        """Return the alarms that changed after `since`; all that are not normal when that is 0.

        Of some scopes only, where these are given.
        """
        return [
            entry.row
            for entry in self.entries.values()
            if (entry.changed > since if since else entry.state != NORMAL)
            and (scopes is None or entry.alarm.scope in scopes)
        ]

    def within(self, scope: str) -> list[BoardEntry]:
        """Return the alarms of a scope, all when it is empty, in the order of a list."""
        entries = (e for e in self.entries.values() if not scope or inside(e.alarm.scope, scope))
        return sorted(entries, key=lambda entry: entry.rank)

    def event(self, row: Any) -> AlarmEvent:
        """Return a row of the journal; tag and name are null when the model has no such alarm."""
        alarm = self.alarms.get(row["alarm"])
        tag = self._tags[alarm.tag] if alarm else None
        return record(
            AlarmEvent,
            row,
            time=self._time(row["time"]),
            recorded=self._time(row["recorded"]),
            tag=alarm and alarm.tag,
            priority=alarm and alarm.priority,
            name=alarm and alarm.texts.get("name"),
            value=_in_uom(row["value"], tag),
            uom=tag and tag.uom,
            by=row["who"],
        )

    def _row(self, alarm: Alarm, row: dict[str, Any]) -> AlarmRow:
        """Return an alarm with its row of table alarm."""
        tag = self._tags[alarm.tag]
        texts = ("name", "cause", "consequence", "response")
        return record(
            AlarmRow,
            alarm,
            **{name: row[name] for name in ("state", "reason", "quality")},
            **{name: self._time(row[name]) for name in ("since", "active_since", "until")},
            **{name: alarm.texts.get(name) for name in texts},
            by=row["who"],
            value=_in_uom(row["value"], tag),
            limit=_in_uom(alarm.limit, tag),
            uom=tag.uom,
        )

    def _time(self, time: str | datetime | None) -> str | None:
        """Return a time as it leaves; JSON of the database has texts where rows have times."""
        return rfc3339(_micros(time), self._zone) if time else None


def _micros(time: str | datetime) -> int:
    return to_us(datetime.fromisoformat(time) if isinstance(time, str) else time)


def _in_uom(value: float | None, tag: Tag | None) -> float | None:
    return None if value is None or tag is None else number(value, (tag.scale, tag.shift))


def counts(entries: Iterable[BoardEntry]) -> list[AlarmCounts]:
    """Return the number of alarms of each priority in each state."""
    numbers = {name: dict.fromkeys(STATES, 0) for name in PRIORITIES}
    for entry in entries:
        numbers[entry.alarm.priority][STATES[entry.state]] += 1
    return [cast("AlarmCounts", {"priority": name, **states}) for name, states in numbers.items()]
