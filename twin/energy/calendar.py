"""The working calendar of China: working days, weekends and holidays, moved working days too.

The days are those of the library `holidays`: statutory holidays of any year by the lunar calendar,
and the days the State Council moves, once it has announced them. What a row of the model names on
top of it wins.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING

from holidays import country_holidays

if TYPE_CHECKING:
    from collections.abc import Collection

DAYS = ("workday", "weekend", "holiday")
WORKDAY, WEEKEND, HOLIDAY = range(3)
SATURDAY = 5


@cache
def _year(year: int) -> tuple[frozenset[date], frozenset[date]]:
    """Return the holidays of a year, and the weekend days on which people work.

    A weekend between two holidays is a part of them.
    """
    calendar = country_holidays("CN", years=(year - 1, year, year + 1))
    off, moved = set(calendar), calendar.weekend_workdays
    for saturday in [day for day in off if day.weekday() == SATURDAY - 1]:
        weekend = [saturday + timedelta(days=1), saturday + timedelta(days=2)]
        free = [day for day in weekend if day not in off]
        if weekend[-1] + timedelta(days=1) in off and not any(day in moved for day in free):
            calendar.update(dict.fromkeys(free, "weekend"))
    return frozenset(calendar), frozenset(moved)


def day_kind(day: date, holidays: Collection[date] = (), workdays: Collection[date] = ()) -> int:
    """Return what kind of day a date is.

    Parameters
    ----------
    day : date
    holidays, workdays : collection of date
        what is stated beyond the calendar, or against it

    Returns
    -------
    int   position in `DAYS`
    """
    off, moved = _year(day.year)
    if day in workdays:
        return WORKDAY
    if day in holidays or day in off:
        return HOLIDAY
    return WEEKEND if day.weekday() >= SATURDAY and day not in moved else WORKDAY
