"""Table ``[[notify]]``: who is told of alarms outside the control room."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from twin.alarms.rules import PRIORITIES, Alarm
from twin.arrays import DAY_US, MINUTE_US
from twin.model.park import inside
from twin.model.rows import RowFault, cell, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twin.model.park import Park

MAIL = re.compile(r"[^@\s,;<>\"]+@[^@\s,;<>\"]+\Z")
HOST = r"(?:\[[0-9a-fA-F:.]+\]|[^\s/@:?#\[\]\x00-\x1f]+)"
WEBHOOK = re.compile(rf"https?://{HOST}(?::[1-9]\d{{0,4}})?(?:[/?#][^\s\x00-\x1f]*)?")


@table
class NotifySpec:
    """A person or program that is told of alarms, by mail or webhook."""

    id: str = cell("text")
    kind: str = cell("one mail webhook")
    address: tuple[str, ...] = cell("texts")
    priorities: tuple[str, ...] = cell("some " + " ".join(PRIORITIES), default=PRIORITIES[:2])
    scopes: tuple[str, ...] = cell("texts", default=())  # none: all of the park
    # Minutes of the day on the clock of the park; from 22:00 to 06:00 is a night.
    start: int = cell("clock", key="from", default=0)
    end: int = cell("clock", key="to", default=DAY_US // MINUTE_US)
    language: str = cell("one zh en", default="zh")
    # Whether alarms on simulated values are told of, too.
    simulated: bool = cell("flag", default=False)

    def hears(self, alarm: Alarm, minute: int) -> bool:
        """Return whether an alarm is told of that came in a minute of the day."""
        if self.start < self.end:
            on_duty = self.start <= minute < self.end
        else:
            on_duty = minute >= self.start or minute < self.end
        within = not self.scopes or any(inside(alarm.scope, each) for each in self.scopes)
        return on_duty and within and alarm.priority in self.priorities


def check_notify(park: Park) -> Iterator[RowFault]:
    """Yield rows whose addresses or scopes are none, or that hear nothing at any time."""
    scopes = {scope.id for scope in park.scopes}
    for row in park.rows(NotifySpec):
        for address in row.address:
            fault = _mail_fault(address) if row.kind == "mail" else _webhook_fault(address)
            if fault:
                yield RowFault(row, fault, "address")
        if row.kind == "webhook" and len(row.address) > 1:
            yield RowFault(row, "a webhook is one address; give each a row", "address")
        for scope in row.scopes:
            if scope not in scopes:
                yield RowFault(row, f"there is no scope {scope!r}", "scopes")
        if row.start == row.end:
            yield RowFault(row, "from and to are the same time", "to")


def _mail_fault(address: str) -> str:
    return "" if MAIL.match(address) else f"{address!r} is no mail address"


def _webhook_fault(address: str) -> str:
    """Return what is wrong with the address of a webhook; a password does not belong there."""
    authority = re.match(r"https?://([^/?#]*)", address)
    if authority and "@" in authority[1]:
        return "user and password do not belong into the model: the message is signed instead"
    if not WEBHOOK.fullmatch(address):
        return f"{address!r} is no address like https://host/path"
    return ""
