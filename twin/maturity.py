"""Digital maturity of enterprises: meters, automatic control, interlocks, data; a level and why.

Tables: ``[[metering]]`` says how many meters of a carrier a class of users is to have by the list
of instruments, ``[[automation]]`` which tags tell that loops are in automatic control or interlocks
in service, ``[[calibration]]`` when a meter is due.

References
----------
.. [1] GB 17167-2006, Equipping and managing of measuring instruments of energy in organisations of
   energy using, 3.2 and table 3: the share of equipment, installed over required, by class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from twin.model.park import inside
from twin.model.rows import RowFault, cell, table
from twin.reference import load as load_reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from twin.model.park import Park

NAN = float("nan")
CLASSES = ("enterprise", "plant", "unit")
LEVELS = 5


@table
class Metering:
    """Meters of a carrier that a class of users of an enterprise is to have, and has."""

    scope: str = cell("scope")
    carrier: str = cell("carrier")
    users: str = cell("one " + " ".join(CLASSES))
    required: int = cell("count")
    installed: int = cell("count")
    source: str = cell("any", default="")
    note: str = cell("any", default="")


@table
class Automation:
    """Loops or interlocks of an enterprise: states, 1 = in service, or a count of the books."""

    id: str = cell("text")
    scope: str = cell("scope")
    kind: str = cell("one control interlock")
    tags: tuple[str, ...] = cell("texts")
    total: float = cell("number", default=NAN)  # of counts
    source: str = cell("any", default="")
    note: str = cell("any", default="")


@table
class Calibration:
    """The day until which a meter is calibrated."""

    tag: str = cell("tag")
    due: date = cell("date")
    source: str = cell("any", default="")
    note: str = cell("any", default="")


class Standing(NamedTuple):
    """What is known of an enterprise; NaN = not known."""

    availability: float  # [1]
    meters: Mapping[str, float]  # [1] connected over required less the standard, by class
    control: float  # [1]
    interlock: float  # [1]
    doubtful: float  # [1] share of the values
    overdue: float  # calibrations


def check_maturity(park: Park) -> Iterator[RowFault]:
    """Yield meters beyond what is required, tags that do not exist, and counts without a total."""
    tags = {tag.address: tag for tag in park.tags}
    enterprises = {scope.id for scope in park.scopes if scope.kind == "enterprise"}
    for row in park.rows(Metering):
        if row.scope not in enterprises:
            yield RowFault(row, "is of an enterprise", "scope")
        if row.installed > row.required:
            yield RowFault(row, "is above required", "installed")
    for each in park.rows(Automation):
        for name in each.tags:
            if name not in tags:
                yield RowFault(each, f"there is no tag {name!r} in tags.csv", "tags")
            elif tags[name].kind != "state" and not each.total > 0:
                yield RowFault(each, f"{name!r} is no state; a count needs total", "tags")


def required_share(carrier: str, users: str) -> float:
    """Return the share of users of a class that are to have a meter [1]_.

    Parameters
    ----------
    carrier : str
        of the energy table
    users : str
        one of `CLASSES`

    Returns
    -------
    float [1]
        NaN where the table has no such carrier
    """
    rows = [row for row in load_reference("maturity")["meter_share"]
            if carrier.startswith(row["carrier"])]  # fmt: skip
    best = max(rows, key=lambda row: len(row["carrier"]), default=None)
    return float(best[users]) if best else NAN


def connected(park: Park, row: Metering) -> int:
    """Return how many meters of a carrier of a class of users the model has."""
    kinds = {scope.id: scope.kind for scope in park.scopes}
    return sum(
        meter.carrier == row.carrier
        and inside(meter.scope, row.scope)
        and kinds.get(meter.scope) == row.users
        for meter in park.meters
    )


def unmetered(park: Park, row: Metering) -> list[str]:
    """Return the scopes of a class of users that have no meter of a carrier in the model."""
    having = {meter.scope for meter in park.meters if meter.carrier == row.carrier}
    return [
        scope.id
        for scope in park.scopes
        if scope.kind == row.users and inside(scope.id, row.scope) and scope.id not in having
    ]


def grade(state: Standing) -> tuple[int, str]:
    """Return the level of an enterprise, and what the next one lacks.

    Parameters
    ----------
    state : Standing

    Returns
    -------
    int, str
        0 to 5: all conditions of the level and of those below are met; the reason names the first
        figure that keeps from the next level, with `not_known` where it has no value
    """
    table = load_reference("maturity")
    for level in range(1, LEVELS + 1):
        lacking = next(_lacking(state, table[f"level_{level}"]), "")
        if lacking:
            return level - 1, lacking
    return LEVELS, ""


def _lacking(state: Standing, asked_for: Mapping[str, object]) -> Iterator[str]:
    """Yield the conditions of a level that are not met."""
    for name in ("availability", "control", "interlock"):
        least = asked_for.get(name)
        value = getattr(state, name)
        if isinstance(least, float) and not value >= least:
            yield name if np.isfinite(value) else f"{name}: not_known"
    for users in asked_for.get("meters", ()):  # type: ignore[attr-defined]
        room = state.meters.get(users, NAN)
        if not room >= 0:
            yield f"meters of {users}" if np.isfinite(room) else f"meters of {users}: not_known"
    for name in ("doubtful", "overdue"):
        most = asked_for.get(name)
        value = getattr(state, name)
        if isinstance(most, int | float) and not value <= most:
            yield name if np.isfinite(value) else f"{name}: not_known"
