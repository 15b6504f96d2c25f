"""Prices of energy: dated tariffs of a scope, with periods of the day by season and day.

References
----------
.. [1] 关于进一步完善分时电价机制的通知, 发改价格〔2021〕1093号: peak, flat and valley prices,
   critical peak and deep valley, by season and day.
.. [2] 关于第三监管周期省级电网输配电价及有关事项的通知, 发改价格〔2023〕526号: the basic charge
   by demand or by capacity.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

import numpy as np

from twin.energy.calendar import DAYS, day_kind
from twin.errors import UomError
from twin.model.park import scopes_above
from twin.model.rows import RowFault, cell, sentence, table
from twin.reference import load as load_reference
from twin.series.windows import local
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from twin.arrays import F64, I64
    from twin.model.park import Park

NAN = float("nan")
ELECTRICITY = "electricity"
Period = Literal["critical_peak", "peak", "flat", "valley", "deep_valley"]
PERIODS: tuple[Period, ...] = ("critical_peak", "peak", "flat", "valley", "deep_valley")
FLAT = PERIODS.index("flat")
PRICES = {"energy": "energy_price", "mass": "mass_price", "normal_volume": "volume_price"}
DAY_MINUTES, HOUR_MINUTES, QUARTER_MINUTES = 24 * 60, 60, 15
LEAP_YEAR = 2024


@table
class Tariff:
    """What a carrier costs a scope from a day to a day, both included [1]_ [2]_.

    `price` is of the carrier's unit; of electricity it is that of the flat period and of each
    period without one in `prices`. Charges by demand and capacity are of a month.
    """

    id: str = cell("text")
    scope: str = cell("scope")
    first: date = cell("date", key="from")
    last: date = cell("date", key="to")
    price: str = cell("text")
    carrier: str = cell("carrier", default=ELECTRICITY)
    prices: dict[str, float] = cell("each quantity energy_price", default_factory=dict)
    surcharges: dict[str, float] = cell("each quantity energy_price", default_factory=dict)
    demand_price: float = cell("above demand_price", default=NAN)
    contracted: float = cell("above power", default=NAN)
    excess_over: float = cell("number", default=1)
    excess_factor: float = cell("number", default=1)
    capacity_price: float = cell("above capacity_price", default=NAN)
    capacity: float = cell("above apparent_power", default=NAN)
    power_factor: float = cell("share", default=NAN)
    captive_cost: float = cell("quantity energy_price", default=NAN)
    captive_surcharge: float = cell("quantity energy_price", default=0.0)
    sold_price: float = cell("quantity energy_price", default=NAN)
    holidays: tuple[date, ...] = cell("dates", default=())
    workdays: tuple[date, ...] = cell("dates", default=())
    clause: str = cell("any", default="")
    verified: bool = cell("flag", default=False)
    source: str = cell("any", default="")
    note: str = cell("any", default="")

    @property
    def unit_price(self) -> float:
        """The price per SI unit of the carrier [CNY/J, CNY/kg, CNY/m³]."""
        quantity = load_reference("energy")[self.carrier]["quantity"]
        return parse_quantity(self.price, PRICES[quantity])

    def price_of(self, period: int) -> float:
        """Return the price of a period of the day, without surcharges."""
        return self.prices.get(PERIODS[period], self.unit_price)


@table
class TariffPeriod:
    """A part of the day with a price of its own, in a season and on some kinds of days.

    What no row holds is flat. `dates` are the first and the last day of the season.
    """

    tariff: str = cell("text")
    period: Period = cell("one " + " ".join(PERIODS))
    start: int = cell("clock", key="from")
    stop: int = cell("clock", key="to")
    dates: tuple[tuple[int, int], ...] = cell("season", default=((1, 1), (12, 31)))
    days: tuple[str, ...] = cell("some " + " ".join(DAYS), default=DAYS)
    source: str = cell("any", default="")


@dataclass(frozen=True, slots=True)
class PriceSchedule:
    """Tariff and period of C intervals; -1 where no tariff holds."""

    tariffs: tuple[Tariff, ...]
    tariff: I64  # (C,)
    period: I64  # (C,)

    def rates(self, figure: Sequence[float]) -> F64:
        """Return a figure of each tariff in the intervals, (C,); NaN without a tariff."""
        return np.append(np.array(figure, np.float64), np.nan)[self.tariff]

    @property
    def price(self) -> F64:
        """The price of bought energy with its surcharges, (C,) [CNY/J]; NaN without a tariff."""
        table = [[each.price_of(p) for p in range(len(PERIODS))] for each in self.tariffs]
        prices = np.array([*table, [np.nan] * len(PERIODS)], np.float64)
        return prices[self.tariff, self.period] + self.rates(
            [sum(each.surcharges.values()) for each in self.tariffs]
        )


def tariffs_of(park: Park, scope: str, carrier: str) -> tuple[Tariff, ...]:
    """Return the tariffs of a carrier that a scope has itself, in the order of the file."""
    return tuple(t for t in park.rows(Tariff) if t.scope == scope and t.carrier == carrier)


def holder(park: Park, scope: str, carrier: str) -> str:
    """Return the nearest scope at or above one that has a tariff of a carrier; empty without."""
    with_tariff = {t.scope for t in park.rows(Tariff) if t.carrier == carrier}
    return next((path for path in scopes_above(scope) if path in with_tariff), "")


def make_schedule(park: Park, scope: str, carrier: str, start_us: Sequence[int]) -> PriceSchedule:
    """Return tariff and period of some intervals by the moments they begin at.

    Parameters
    ----------
    park : Park
    scope : str                       one with tariffs of its own
    carrier : str
    start_us : (C,) int [µs]          each interval lies in one period of the local clock

    Returns
    -------
    PriceSchedule
    """
    zone, tariffs = ZoneInfo(park.timezone), tariffs_of(park, scope, carrier)
    maps = _Maps(park, tariffs)
    tariff, period = np.full((2, len(start_us)), -1, np.int64)
    clocks = [local(moment, zone) for moment in start_us]
    for day, some in groupby(enumerate(clocks), lambda each: each[1].date()):
        at = next((t for t, row in enumerate(tariffs) if row.first <= day <= row.last), -1)
        if at < 0:
            continue
        of_minute = maps.of(at, day).tolist()
        for n, clock in some:
            tariff[n] = at
            period[n] = of_minute[clock.hour * HOUR_MINUTES + clock.minute]
    return PriceSchedule(tariffs, tariff, period)


class _Maps:
    """The periods of the minutes of days, each made once."""

    def __init__(self, park: Park, tariffs: Sequence[Tariff]) -> None:
        rows = park.rows(TariffPeriod)
        self._tariffs = tariffs
        self._rows = [[row for row in rows if row.tariff == each.id] for each in tariffs]
        self._made: dict[tuple[int, date], I64] = {}

    def of(self, tariff: int, day: date) -> I64:
        key = tariff, day
        if key not in self._made:
            stated = self._tariffs[tariff]
            kind = DAYS[day_kind(day, stated.holidays, stated.workdays)]
            self._made[key] = periods_of_day(self._rows[tariff], (day.month, day.day), kind)
        return self._made[key]


def periods_of_day(rows: Sequence[TariffPeriod], day: tuple[int, int], kind: str) -> I64:
    """Return the period of each minute of a day.

    Parameters
    ----------
    rows : sequence of TariffPeriod   of one tariff
    day : (int, int)                  month and day
    kind : str                        of `DAYS`

    Returns
    -------
    (1440,) int64                     positions in `PERIODS`; flat where no row holds
    """
    minutes = np.full(DAY_MINUTES, FLAT)
    for row in rows:
        if kind in row.days and _in_season(row.dates, day):
            minutes[_minutes(row)] = PERIODS.index(row.period)
    return minutes


def whole_hours(park: Park, scope: str) -> bool:
    """Tell whether every period of the tariffs of a scope begins and ends with an hour."""
    mine = {t.id for t in park.rows(Tariff) if t.scope == scope}
    rows = [row for row in park.rows(TariffPeriod) if row.tariff in mine]
    return not any(edge % HOUR_MINUTES for row in rows for edge in (row.start, row.stop))


def _in_season(dates: tuple[tuple[int, int], ...], day: tuple[int, int]) -> bool:
    first, last = dates
    return first <= day <= last if first <= last else day >= first or day <= last


def _minutes(row: TariffPeriod) -> I64:
    """Return the minutes of the day in a row; one that ends before it begins passes midnight."""
    length = (row.stop - row.start) % DAY_MINUTES or DAY_MINUTES
    return (row.start + np.arange(length)) % DAY_MINUTES


def check_tariffs(park: Park) -> Iterator[RowFault]:
    """Yield tariffs that contradict themselves or another one, and periods of none."""
    standards = {row["least"] for row in load_reference("tariffs")["power_factor"]}
    rows = park.rows(Tariff)
    for row in rows:
        if row.last < row.first:
            yield RowFault(row, "is before from", "to")
        try:
            row.unit_price  # noqa: B018
        except (UomError, ValueError) as error:
            yield RowFault(row, sentence(error), "price")
        unknown = [name for name in row.prices if name not in PERIODS]
        if unknown:
            yield RowFault(row, f"{unknown[0]!r} is no period, use {', '.join(PERIODS)}", "prices")
        yield from _check_charges(row)
        if row.power_factor == row.power_factor and row.power_factor not in standards:
            known = ", ".join(map(str, sorted(standards)))
            yield RowFault(row, f"is none of the standards {known}", "power_factor")
    ordered = sorted(rows, key=lambda row: (row.scope, row.carrier, row.first))
    for one, other in pairwise(ordered):
        if (one.scope, one.carrier) == (other.scope, other.carrier) and other.first <= one.last:
            yield RowFault(other, f"begins before {one.id} has ended", "from")
    yield from _check_periods(park)


def _check_charges(row: Tariff) -> Iterator[RowFault]:
    """Yield charges without what they are of, and more than one basic charge."""
    if row.demand_price > 0 and row.capacity_price > 0:
        yield RowFault(row, "the basic charge is by demand or by capacity, not by both")
    if row.capacity_price > 0 and not row.capacity > 0:
        yield RowFault(row, "needs capacity", "capacity_price")
    if row.excess_over < 1 or row.excess_factor < 1:
        yield RowFault(row, "excess_over and excess_factor are not below 1")
    own = (row.demand_price, row.capacity_price, row.power_factor, row.captive_cost)
    if row.carrier != ELECTRICITY and (row.prices or any(figure > 0 for figure in own)):
        yield RowFault(row, "periods, basic charge and power factor are of electricity")


def _check_periods(park: Park) -> Iterator[RowFault]:
    """Yield periods of no tariff of electricity, and those that hold at the same time."""
    powers = {row.id for row in park.rows(Tariff) if row.carrier == ELECTRICITY}
    rows = park.rows(TariffPeriod)
    days = [date(LEAP_YEAR, 1, 1) + timedelta(days=n) for n in range(366)]
    for at, row in enumerate(rows):
        if row.start % QUARTER_MINUTES or row.stop % QUARTER_MINUTES:
            yield RowFault(row, "begins and ends at a quarter of an hour")
        if row.tariff not in powers:
            yield RowFault(row, f"there is no tariff {row.tariff!r} of electricity", "tariff")
        for other in rows[:at]:
            alike = other.tariff == row.tariff and set(other.days) & set(row.days)
            if not alike or not np.isin(_minutes(row), _minutes(other)).any():
                continue
            both = (_in_season(r.dates, (d.month, d.day)) for d in days for r in (row, other))
            if any(mine and theirs for mine, theirs in zip(both, both, strict=True)):
                yield RowFault(row, f"holds at the same time as {other.period}")
                break
