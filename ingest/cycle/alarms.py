"""Alarms in the cycle: evaluated on new samples, changed by operators, written with the cycle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from ingest.store.alarms import JournalEntry, StoredAlarm
from twin.alarms.commands import apply_command, refusal
from twin.alarms.engine import (
    STATES,
    UNACKNOWLEDGED,
    AlarmChanges,
    AlarmState,
    evaluate,
    initial_alarm_state,
    input_quality,
)
from twin.alarms.metrics import FloodState, advance_flood, no_flood
from twin.alarms.rules import AlarmSpec, compile_rules, park_alarms
from twin.arrays import DAY_US, I64, INTP, MINUTE_US, NEVER, U8
from twin.errors import ModelError, ParkError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.settings import IngestSettings
    from ingest.store import Store
    from twin.model.park import Park, Tag
    from twin.series.image import Image
    from twin.series.samples import Samples

TEXT_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class StandingAlarms:
    """Where the alarms stand between two cycles."""

    memory: AlarmState
    quality: U8  # (Al,) what each is marked with
    flood: FloodState


class AlarmCommand(msgspec.Struct):
    """What an operator orders about an alarm."""

    alarm: str
    by: str
    reason: str | None = None
    minutes: float | None = None  # how long it is shelved


class Alarms:
    """The alarms of one park model; what changes is in `StandingAlarms`."""

    def __init__(
        self, park: Park, tags: Sequence[Tag], store: Store, settings: IngestSettings
    ) -> None:
        self._store = store
        self._settings = settings
        self._rules = compile_rules(park_alarms(park, tags), tags)
        self._ids = [alarm.id for alarm in self._rules.alarms]
        self._index = {name: at for at, name in enumerate(self._ids)}
        wanted = {row.tag for row in park.rows(AlarmSpec)}
        unknown = sorted(wanted - {tag.address for tag in tags})
        if unknown:
            raise ModelError(
                f"alarms on tags that are not there: {', '.join(unknown)}",
                hint="the tags of ingest itself are listed by /api/v1/tags?q=ingest",
            )

    def standing(self) -> StandingAlarms:
        """Return where the alarms stand before anything is known."""
        memory = initial_alarm_state(len(self._ids))
        return StandingAlarms(memory, memory.quality, no_flood())

    async def start(self, image: Image, now_us: int) -> StandingAlarms:
        """Bring table alarm up to the model and go on where it stands; raises StoreError."""
        rules, table = self._rules, self._store.alarms
        priorities = [alarm.priority for alarm in rules.alarms]
        stored = await table.bring(self._ids, rules.tag, priorities, rules.limit.tolist(), now_us)
        since_us, active_us, until_us = (
            np.array([alarm[at] for alarm in stored], dtype=np.int64) for at in (1, 2, 3)
        )
        # A delay begins anew with the newest sample: how long it had run is not stored.
        memory = AlarmState(
            time_us=image.time_us[rules.tag],
            value=image.value[rules.tag],
            quality=image.quality[rules.tag],
            run_us=image.time_us[rules.tag],
            active=active_us != NEVER,
            active_us=active_us,
            state=np.array([STATES.index(alarm.state) for alarm in stored], dtype=np.int8),
            since_us=since_us,
            until_us=until_us,
        )
        flood, _ = advance_flood(no_flood(), await table.annunciations(now_us - DAY_US), now_us)
        quality = np.array([alarm.quality for alarm in stored], dtype=np.uint8)
        return StandingAlarms(memory, quality, flood)

    async def run(
        self,
        standing: StandingAlarms,
        samples: Samples,
        image: Image,
        cycle_us: int,
        now_us: int,
        read_us: I64,
    ) -> StandingAlarms:
        """Evaluate new samples, apply commands, write changes; raises StoreError.

        Without a change this is one look for commands.
        """
        settings = self._settings
        silent = image.last_received_us < read_us - round(settings.silent_s * 1e6)
        # As with minutes: a tag that sends settles them itself, a silent one waits for the clock.
        known_us = np.where(silent, read_us - round(settings.grace_s * 1e6), NEVER)
        memory, changes = evaluate(self._rules, standing.memory, samples, known_us, now_us)
        events = sorted(self._entries(changes), key=lambda event: event.time_us)
        memory, ordered = await self._apply_commands(memory, now_us)
        events += ordered
        came = [event.time_us for event in events if event.after == STATES[UNACKNOWLEDGED]]
        flood = standing.flood
        if came or flood.count or flood.since_us != NEVER:
            flood, _ = advance_flood(flood, np.array(came, dtype=np.int64), now_us)
        quality = input_quality(self._rules, memory, now_us)
        touched = (quality != standing.quality) | (memory.active != standing.memory.active)
        touched[[self._index[event.alarm] for event in events]] = True
        if touched.any():
            await self._write(memory, quality, np.flatnonzero(touched), events, now_us)
            await self._store.alarms.show(
                [self._ids[at] for at in np.flatnonzero(touched)], cycle_us
            )
        return StandingAlarms(memory, quality, flood)

    async def _apply_commands(
        self, memory: AlarmState, now_us: int
    ) -> tuple[AlarmState, list[JournalEntry]]:
        """Take the oldest commands: each is done, or has a reason why nothing came of it."""
        rows = await self._store.commands.about_alarms(self._settings.command_rows)
        events: list[JournalEntry] = []
        answers: list[str | None] = []
        for row in rows:
            try:
                command = row.read(AlarmCommand)
                self._check(row.kind, command, memory)
            except ParkError as error:
                answers.append(str(error))
                continue
            alarm = self._index[command.alarm]
            shelved_us = round((command.minutes or 0.0) * MINUTE_US)
            until_us = now_us + shelved_us if row.kind == "shelve" else NEVER
            memory, changes = apply_command(self._rules, memory, row.kind, alarm, now_us, until_us)
            who, reason = command.by[:TEXT_CHARACTERS], (command.reason or "")[:TEXT_CHARACTERS]
            events += [
                event._replace(who=who, reason=reason or None, command=row.number)
                for event in self._entries(changes)
            ]
            answers.append(None)
        if rows:
            await self._store.commands.answer([row.number for row in rows], answers, now_us)
        return memory, events

    def _check(self, kind: str, command: AlarmCommand, memory: AlarmState) -> None:
        """Raise ParkError for a command that is to be refused."""
        if command.alarm not in self._index:
            raise ParkError(f"there is no alarm {command.alarm!r}")
        if not command.by.strip():
            raise ParkError("`by` says who gives the order")
        at = self._index[command.alarm]
        refused = refusal(kind, int(memory.state[at]), shelvable=bool(self._rules.shelvable[at]))
        if refused:
            raise ParkError(refused)
        if kind != "shelve":
            return
        limit = self._settings.shelve_minutes_max
        if command.minutes is None or not 0 < command.minutes <= limit:
            raise ParkError(f"`minutes` is a number above 0 and not above {limit}")
        if not (command.reason or "").strip():
            raise ParkError("`reason` says why it is shelved")

    async def _write(
        self,
        memory: AlarmState,
        quality: U8,
        touched: INTP,
        events: list[JournalEntry],
        now_us: int,
    ) -> None:
        """Write the touched alarms and the journal."""
        table, names = self._store.alarms, [self._ids[at] for at in touched.tolist()]
        columns = (memory.state, memory.since_us, memory.active_us, memory.until_us, quality)
        rows = zip(*(column[touched].tolist() for column in columns), strict=True)
        await table.update(names, [StoredAlarm(STATES[state], *row) for state, *row in rows])
        if events:
            await table.record(events, now_us)

    def _entries(self, changes: AlarmChanges) -> list[JournalEntry]:
        """Return changes as entries of the journal."""
        columns = (getattr(changes, name).tolist() for name in AlarmChanges.__slots__)
        return [
            JournalEntry(self._ids[alarm], time_us, STATES[before], STATES[after], value, quality)
            for alarm, time_us, before, after, value, quality in zip(*columns, strict=True)
        ]
