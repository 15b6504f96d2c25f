"""What the data of the online energy monitoring are worth, by the rules of the notices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from api.answers import record
from api.book import read_book
from api.monitoring.answer import MonitoringCheck
from twin.book.model import limits
from twin.energy.monitoring import monitoring_rules
from twin.maturity import Calibration
from twin.series.windows import local

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from api.context import Context
    from api.monitoring.answer import MonitoringRow
    from api.windows import WindowQuery

NOTHING_DUE = "no data: the model names no meter and no book"
NO_MONTHS = "no data: no monthly value of a book with `compare` lies in the time"
TOO_MANY = "the books have more values than one page: ask for a scope with fewer"
NO_DATES = "no data: no [[calibration]] of a meter that is used"
NO_DATE_OF = "{} of {} meters have no [[calibration]]"


def number_or_nan(value: float | None) -> float:
    """Return a number of an answer; NaN where it is null."""
    return np.nan if value is None else float(value)


def is_known(value: float | None) -> bool:
    """Tell whether an answer has a number."""
    return not np.isnan(number_or_nan(value))


async def check_data(
    context: Context, query: WindowQuery, users: Sequence[str], rows: Iterable[MonitoringRow]
) -> list[MonitoringCheck]:
    """Return how far the data of each enterprise keep each rule."""
    by_user: dict[str, list[MonitoringRow]] = {scope: [] for scope in users}
    for row in rows:
        by_user[row["scope"]].append(row)
    result = []
    for scope, own in by_user.items():
        result += [
            _completeness(scope, own),
            await _deviation(context, query, scope),
            _calibration(query, scope, own),
            # Windows have the edges of the calendar, whatever is asked for.
            _check(scope, "beginning", figure=0.0, verdict="met"),
        ]
    return result


def _check(scope: str, rule: str, **own: Any) -> MonitoringCheck:
    known = monitoring_rules()[rule]
    usual: dict[str, Any] = {
        "limit": None,
        "figure": None,
        "verdict": "undecided",
        "tags": [],
        "reason": "",
    }
    named = {"scope": scope, "rule": rule, "code": known["code"], "name": known["name"]}
    return record(MonitoringCheck, {**usual, **named, **own})


def _completeness(scope: str, rows: Sequence[MonitoringRow]) -> MonitoringCheck:
    """Return the mean share of what is due; a row without data has none."""
    limit = limits()["completeness"]
    due = [row for row in rows if row["tags"]]
    if not due:
        return _check(scope, "completeness", limit=limit, reason=NOTHING_DUE)
    share = [np.nan_to_num(number_or_nan(row["completeness"])) for row in due]
    figure = float(np.mean(share))
    lacking = dict.fromkeys(tag for row in due if not row["complete"] for tag in row["missing"])
    verdict = "met" if figure >= limit else "not_met"
    return _check(scope, "completeness", limit=limit, figure=figure, verdict=verdict,
                  tags=list(lacking))  # fmt: skip


async def _deviation(context: Context, query: WindowQuery, scope: str) -> MonitoringCheck:
    """Return the largest deviation of the monthly books from the meters of the same time."""
    limit = limits()["deviation"]
    limit_rows = context.settings.page_size_max
    page = await read_book(context, "", scope, "standing", limit_rows)
    first, last = query.days[0], query.days[-1]
    compared = [
        row for row in page["items"]
        if row["comparison"] in ("within", "beyond") and _is_month(row["period"])
        and str(first)[:7] <= row["period"] <= str(last)[:7]
    ]  # fmt: skip
    if page["next"] is not None or not compared:
        reason = TOO_MANY if page["next"] is not None else NO_MONTHS
        return _check(scope, "deviation", limit=limit, reason=reason)
    worst = max(compared, key=lambda row: abs(number_or_nan(row["deviation"])))
    beyond = [row["tag"] for row in compared if row["comparison"] == "beyond"]
    return _check(scope, "deviation", limit=limit, figure=worst["deviation"],
                  verdict="not_met" if beyond else "met", tags=beyond)  # fmt: skip


def _is_month(period: str) -> bool:
    year, _, month = period.partition("-")
    return year.isdigit() and month.isdigit()


def _calibration(query: WindowQuery, scope: str, rows: Sequence[MonitoringRow]) -> MonitoringCheck:
    """Return how many meters are past the day until which they are calibrated."""
    until = {row.tag: row.due for row in query.network.park.rows(Calibration)}
    sources = {tag.address: tag.source for tag in query.network.tags}
    used = dict.fromkeys(
        tag for row in rows if row["method"] in ("metered", "mixed") for tag in row["tags"]
        if sources[tag] == "measured"
    )  # fmt: skip
    last = local(int(query.edges[-1]), query.zone).date()
    overdue = [tag for tag in used if tag in until and until[tag] < last]
    unknown = [tag for tag in used if tag not in until]
    if overdue:
        return _check(scope, "calibration", limit=0.0, figure=float(len(overdue)),
                      verdict="not_met", tags=overdue)  # fmt: skip
    if unknown or not used:
        reason = NO_DATES if len(unknown) == len(used) else NO_DATE_OF
        return _check(scope, "calibration", limit=0.0, tags=unknown,
                      reason=reason.format(len(unknown), len(used)))  # fmt: skip
    return _check(scope, "calibration", limit=0.0, figure=0.0, verdict="met")
