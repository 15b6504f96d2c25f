"""The alarms as the cycles left them, and what leaves of them over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import orjson

from api.encode import in_uom, rfc3339
from deploy.database.times import to_us
from twin.alarms.engine import NORMAL, STATES
from twin.alarms.rules import PRIORITIES, TEXTS, Alarm, park_alarms
from twin.model.park import inside

if TYPE_CHECKING:
    from collections.abc import Iterable

    from api.live.catalogue import Catalogue
    from twin.model.park import Park, Tag


@dataclass(frozen=True, slots=True)
class Standing:
    """One alarm: its rule, its row of table alarm, and the number of its last change."""

    alarm: Alarm
    state: int
    since_us: int
    active_us: int | None
    public: dict[str, Any]
    changed: int

    @property
    def rank(self) -> tuple[int, int, str]:
        """Where it stands in a list: by priority, then the newest first."""
        return PRIORITIES.index(self.alarm.priority), -self.since_us, self.alarm.id


class Board:
    """All alarms of the model in use; lives as long as its catalogue."""

    def __init__(self, park: Park | None, catalogue: Catalogue) -> None:
        rules = park_alarms(park, catalogue.tags) if park else ()
        self.alarms = {alarm.id: alarm for alarm in rules}
        self.standing: dict[str, Standing] = {}
        self._tags = {tag.address: tag for tag in catalogue.tags}
        self._zone = ZoneInfo(park.timezone if park else "UTC")

    def apply(self, rows: str, seq: int) -> None:
        """Take over rows of table alarm, as JSON; what the model does not have is left out."""
        for row in orjson.loads(rows):
            alarm = self.alarms.get(row["alarm"])
            if alarm is not None:
                self.standing[alarm.id] = Standing(
                    alarm=alarm,
                    state=STATES.index(row["state"]),
                    since_us=_micros(row["since"]),
                    active_us=_micros(row["active_since"]) if row["active_since"] else None,
                    public=self._public(alarm, row),
                    changed=seq,
                )

    def changed(self, since: int) -> list[dict[str, Any]]:
        """Return the alarms that changed after `since`; all that are not normal when that is 0."""
        return [
            standing.public
            for standing in self.standing.values()
            if (standing.changed > since if since else standing.state != NORMAL)
        ]

    def within(self, scope: str) -> list[Standing]:
        """Return the alarms of a scope, all when it is empty, in the order of a list."""
        found = (s for s in self.standing.values() if not scope or inside(s.alarm.scope, scope))
        return sorted(found, key=lambda standing: standing.rank)

    def event(self, row: Any) -> dict[str, Any]:
        """Return a row of the journal; of an alarm the model has no more there is little to say."""
        alarm = self.alarms.get(row["alarm"])
        tag = self._tags[alarm.tag] if alarm else None
        return {
            "time": self._time(row["time"]),
            "recorded": self._time(row["recorded"]),
            "alarm": row["alarm"],
            "tag": alarm.tag if alarm else None,
            "priority": alarm.priority if alarm else None,
            "name": alarm.texts.get("name") if alarm else None,
            "before": row["before"],
            "after": row["after"],
            "value": _in_uom(row["value"], tag),
            "uom": tag.uom if tag else None,
            "quality": row["quality"],
            "by": row["who"],
            "reason": row["reason"],
            "command": row["command"],
        }

    def _public(self, alarm: Alarm, row: dict[str, Any]) -> dict[str, Any]:
        """Return what the world sees of an alarm."""
        tag = self._tags[alarm.tag]
        return {
            "id": alarm.id,
            "tag": alarm.tag,
            "scope": alarm.scope,
            "priority": alarm.priority,
            "state": row["state"],
            "since": self._time(row["since"]),
            "active_since": self._time(row["active_since"]),
            "until": self._time(row["until"]),
            "by": row["who"],
            "reason": row["reason"],
            "value": _in_uom(row["value"], tag),
            "direction": alarm.direction,
            "limit": _in_uom(alarm.limit, tag),
            "uom": tag.uom,
            "quality": row["quality"],
            "shelvable": alarm.shelvable,
            **{text: alarm.texts.get(text) for text in TEXTS},
        }

    def _time(self, time: str | datetime | None) -> str | None:
        """Return a time as it leaves; JSON of the database has texts where rows have times."""
        return None if time is None else rfc3339(_micros(time), self._zone)


def _micros(time: str | datetime) -> int:
    return to_us(datetime.fromisoformat(time) if isinstance(time, str) else time)


def _in_uom(value: float | None, tag: Tag | None) -> float | None:
    if value is None or tag is None:
        return None
    return float(in_uom(np.array([value]), tag.scale, tag.shift)[0])


def counts(standings: Iterable[Standing]) -> list[dict[str, Any]]:
    """Return how many alarms of each priority are in each state."""
    found = {name: dict.fromkeys(STATES, 0) for name in PRIORITIES}
    for standing in standings:
        found[standing.alarm.priority][STATES[standing.state]] += 1
    return [{"priority": name, **states} for name, states in found.items()]
