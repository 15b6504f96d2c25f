"""Parts of an intake that are committed on their own: some of its days, some of its messages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ingest.routing.decode import Intake
from twin.arrays import DAY_US


def by_days(intake: Intake, days: int) -> list[Intake]:
    """Return an intake in parts of so many days each, the oldest first.

    Whatever is no sample comes with the last part.
    """
    times = intake.samples.time_us, intake.historical.time_us
    bounds = [bound for column in times if len(column) for bound in (column.min(), column.max())]
    if len({int(bound) // (days * DAY_US) for bound in bounds}) < 2:
        return [intake]
    fresh, old = (column // (days * DAY_US) for column in times)
    numbers = np.union1d(fresh, old)
    parts = [
        replace(
            intake,
            samples=intake.samples.take(fresh == number),
            origin=intake.origin[fresh == number],
            historical=intake.historical.take(old == number),
            historical_origin=intake.historical_origin[old == number],
            rejects=[],
            quarantined=[],
        )
        for number in numbers
    ]
    parts[-1].rejects, parts[-1].quarantined = intake.rejects, intake.quarantined
    return parts


def by_messages(intake: Intake, first: int, stop: int) -> Intake:
    """Return what the messages from number `first` to before `stop` came to."""
    messages = intake.messages[first:stop]
    chosen = {id(message) for message in messages}
    rows, old = (
        (origin >= first) & (origin < stop) for origin in (intake.origin, intake.historical_origin)
    )
    return Intake(
        intake.samples.take(rows),
        [each for each in intake.rejects if id(each.message) in chosen],
        [each for each in intake.quarantined if id(each.message) in chosen],
        historical=intake.historical.take(old),
        messages=messages,
        senders=intake.senders[first:stop],
        newest_us=intake.newest_us[first:stop],
        origin=intake.origin[rows] - first,
        historical_origin=intake.historical_origin[old] - first,
    )
