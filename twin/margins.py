"""Margins: how far a park is from what it must not reach, live, as derived tags with alarms.

Time until tanks are full, room in them, time an absorber lasts, contents of hazards, local use of
chlorine, emissions against their limits, and where the year of a permit leads. They follow from the
newest values alone; the forecast of a permit from the sums of the year besides. The alarms on them
are in ``twin/reference/alarms.toml``.

References
----------
.. [1] GB 11984-2008, safety code for chlorine: filling of tanks, absorption of a release.
.. [2] GB 18218-2018, Identification of major hazard installations for hazardous chemicals: R.
.. [3] HJ 942-2018, Technical specification for application and issuance of pollutant permit,
   general programme: permitted emission of a year.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from twin import quality as q
from twin.accounts.accounts import Account
from twin.accounts.tanks import tags_of_tanks, tank_mass
from twin.alarms.rules import MARGIN
from twin.arrays import F64, HOUR_S, I64, SECOND_US, U8, ratio
from twin.chlorine.hazards import Hazard, grade, r_equivalent, tanks_of
from twin.chlorine.headroom import AbsorberSpec, absorber_flow, absorber_time
from twin.chlorine.tank_farms import (
    TankFarm,
    find_tank_farms,
    find_withdrawals,
    forecast,
    withdrawal_weights,
)
from twin.emissions.outlets import Hours, Outlet, evaluate, outlets_of
from twin.emissions.periods import (
    Campaign,
    PermitPeriod,
    curbed_load,
    period_rate,
    planned_load,
)
from twin.emissions.permits import Permit, in_force, permits_of, year_of
from twin.emissions.releases import EmissionFactor, ManualAnalysis, calculated, mass_per_amount
from twin.emissions.validity import STOPPED
from twin.model.park import Tag, inside, owner_of, scopes_above
from twin.reconciliation.uncertainty import weights
from twin.reference import figure
from twin.series.windows import edges, local
from twin.targets.model import Target
from twin.uom import compile_uom

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import date

    from twin.accounts.network import Network

# Quantity and unit of measure of each kind.
KINDS = {
    "time_to_full": ("time", "h"),
    "headroom": ("fraction", "%"),
    "absorber_time": ("time", "min"),
    "hazard": ("fraction", "%"),
    "local_share_of_liquid": ("fraction", "%"),
    "local_share_of_chlorine": ("fraction", "%"),
    "emission": ("fraction", "%"),
    "permit_rate": ("mass_flow", "kg/h"),
    "permit_forecast": ("fraction", "%"),
    "period_rate": ("fraction", "%"),
}
SHARES = ("local_share_of_liquid", "local_share_of_chlorine")


@dataclass(frozen=True, slots=True)
class Live:
    """The newest values of T tags [SI]; NaN = not known."""

    value: F64  # (T,)
    rate: F64  # (T,) of counters their rate, where they have one
    hours: dict[str, Hours] = field(default_factory=dict)  # of outlets, once they are asked for


class YearSums(NamedTuple):
    """What the live rates of P permits have come to since the year began."""

    mass: F64  # (P,) [kg]
    covered_s: F64  # (P,)


@dataclass(frozen=True, slots=True)
class ParkMargin:
    """A margin: its tag and kind, the tags it follows from, and its value [SI] by the live ones."""

    tag: Tag
    kind: str
    inputs: I64
    value: Callable[[Live], float]
    permit: Permit | None = None
    periods: tuple[PermitPeriod, ...] = ()  # of the permit
    campaigns: tuple[Campaign, ...] = ()  # of all its sources


@dataclass(frozen=True, slots=True)
class Margins:
    """The margins of a park."""

    network: Network
    items: tuple[ParkMargin, ...]

    @property
    def tags(self) -> tuple[Tag, ...]:
        """The derived tags, in the order of all results."""
        return tuple(item.tag for item in self.items)

    def places(self, kind: str) -> I64:
        """Return the places of the margins of a kind."""
        return np.array([m for m, item in enumerate(self.items) if item.kind == kind], np.int64)


def compile_margins(network: Network) -> Margins:
    """Return the margins of a park.

    Parameters
    ----------
    network : Network

    Returns
    -------
    Margins
        of its farms of chlorine tanks, its absorbers, hazards, limits of outlets and permits, and
        of scopes with a target about the local use of chlorine; of a permit where all its sources
        have monitors, or factors of something that is metered
    """
    return Margins(
        network,
        (
            *_of_farms(network),
            *_of_absorbers(network),
            *_of_hazards(network),
            *_of_shares(network),
            *_of_outlets(network),
            *_of_permits(network),
        ),
    )


def margin_inputs(network: Network, address: str) -> tuple[str, ...]:
    """Return the tags that a margin is calculated of, by their addresses.

    Parameters
    ----------
    network : Network
    address : str
        of the tag of a margin

    Returns
    -------
    tuple of str
        of the forecast of a permit the tag of its live rate, whose sums of the year go on; empty of
        what is no margin
    """
    items = compile_margins(network).items
    margin = next((each for each in items if each.tag.address == address), None)
    if margin is None:
        return ()
    if margin.kind == "permit_forecast":
        return tuple(
            each.tag.address
            for each in items
            if each.kind == "permit_rate" and each.permit == margin.permit
        )
    return tuple(network.tags[at].address for at in margin.inputs.tolist())


def _margin(
    network: Network,
    kind: str,
    scope: str,
    name: str,
    inputs: I64 | list[int],
    value: Callable[[Live], float],
) -> ParkMargin:
    """Return a margin of a scope; its tag is one of the enterprise."""
    quantity, uom = KINDS[kind]
    scale, shift = compile_uom(uom, quantity)
    kinds = {each.id: each.kind for each in network.park.scopes}
    tag = Tag(
        tag=f"{MARGIN}{kind}.{name.replace('/', '.')}",
        owner=owner_of(scope, kinds),
        scope=scope,
        quantity=quantity,
        uom=uom,
        kind="gauge",
        scale=scale,
        shift=shift,
        description=f"{kind} of {name}",
        source="derived",
        gap_s=network.park.gap_s,
    )
    return ParkMargin(tag, kind, np.unique(np.array(inputs, np.int64)), value)


def _below_home(network: Network, scope: str) -> str:
    """Return a scope as a path below its enterprise, else below the root; that itself by its id."""
    kinds = {each.id: each.kind for each in network.park.scopes}
    above = scopes_above(scope)
    home = next((path for path in above if kinds[path] == "enterprise"), network.park.id)
    return scope.removeprefix(f"{home}/")


def _of_farms(network: Network) -> Iterator[ParkMargin]:
    """Yield the margins of tank farms: the time until they are full, and the share left."""
    for farm in find_tank_farms(network, network.park.id):
        name = _below_home(network, farm.scope)
        inputs = forecast(network, (farm,), np.full(len(network.tags), np.nan)).tags
        yield _margin(network, "time_to_full", farm.scope, name, inputs,
                      partial(_time_to_full, network, farm))  # fmt: skip
        inputs = tags_of_tanks(network.tanks, list(farm.tanks))
        yield _margin(network, "headroom", farm.scope, name, inputs,
                      partial(_headroom, network, farm))  # fmt: skip


def _time_to_full(network: Network, farm: TankFarm, live: Live) -> float:
    return forecast(network, (farm,), live.value).full_s


def _headroom(network: Network, farm: TankFarm, live: Live) -> float:
    limit = network.tanks.limit[list(farm.tanks)].sum()
    return float(ratio(np.array(forecast(network, (farm,), live.value).headroom), limit))


def _of_absorbers(network: Network) -> Iterator[ParkMargin]:
    """Yield the time that the caustic soda of each absorber lasts."""
    for row in network.park.rows(AbsorberSpec):
        tank = [k for k, each in enumerate(network.park.tanks) if each.id == row.tank]
        inputs = [*tags_of_tanks(network.tanks, tank).tolist(), network.index[row.chlorine]]
        yield _margin(network, "absorber_time", row.scope, row.id, inputs,
                      partial(_absorber_time, network, row, tank[0]))  # fmt: skip


def _absorber_time(network: Network, row: AbsorberSpec, tank: int, live: Live) -> float:
    caustic = tank_mass(network.tanks, live.value)[tank] * network.tanks.share["caustic"][tank]
    flow = absorber_flow(network, row, live.rate)
    excess = np.array(figure("chlorine.absorber_excess", "fraction"))
    return float(absorber_time(caustic, flow, excess))


def _of_hazards(network: Network) -> Iterator[ParkMargin]:
    """Yield R of the present contents of each hazard over R of its design maximum [2]_."""
    for row in network.park.rows(Hazard):
        tanks = tanks_of(network.park, row)
        inputs = tags_of_tanks(network.tanks, [k for some in tanks for k in some])
        yield _margin(network, "hazard", row.scope, row.id, inputs,
                      partial(_hazard, network, row, tanks))  # fmt: skip


def _hazard(network: Network, row: Hazard, tanks: list[list[int]], live: Live) -> float:
    mass = tank_mass(network.tanks, live.value)
    held = np.array([mass[some].sum() if some else np.nan for some in tanks])
    names, persons = list(row.substances), np.array(float(row.persons))
    design = grade(row.design_maxima(), names, persons).r
    return float(ratio(r_equivalent(held, names, persons), design))


def _of_shares(network: Network) -> Iterator[ParkMargin]:
    """Yield the local use of chlorine by the flows of the moment, of scopes with a target of it."""
    for scope, kind in dict.fromkeys((row.scope, row.kpi) for row in network.park.rows(Target)):
        if kind in SHARES:
            over, under = _share(network, scope, kind)
            inputs = np.flatnonzero((over != 0) | (under != 0))
            if np.isfinite(over).all() and np.isfinite(under).all():
                name = _below_home(network, scope)
                yield _margin(network, kind, scope, name, inputs,
                              partial(_ratio, over[inputs], under[inputs], inputs))  # fmt: skip


def _share(network: Network, scope: str, kind: str) -> tuple[F64, F64]:
    """Return the weights (T,) of both sums of a share; NaN where a stream has no meter."""
    taken = find_withdrawals(network, scope)
    if kind == SHARES[0]:
        used = [s for s, stays in zip(taken.streams, taken.local, strict=True) if stays]
        return withdrawal_weights(network, used), withdrawal_weights(network, taken.streams)
    made = Account(scope, "chlorine", "make")
    if made not in network.accounts:
        return (np.full(len(network.tags), np.nan),) * 2
    cells = weights(network, {made: 1.0})
    return cells - withdrawal_weights(network, taken.exported), cells


def _ratio(over: F64, under: F64, inputs: I64, live: Live) -> float:
    rate = live.rate[inputs]
    return float(ratio(np.array(over @ rate), np.array(under @ rate)))


def _of_outlets(network: Network) -> Iterator[ParkMargin]:
    """Yield what goes out of outlets over its limit."""
    for outlet in outlets_of(network.park):
        for at, name in enumerate(outlet.names):
            if name in outlet.permit:
                inputs = [network.index[address] for address in outlet.corrected_by(name)]
                yield _margin(network, "emission", outlet.scope, f"{outlet.id}.{name}", inputs,
                              partial(_emission, network, outlet, at))  # fmt: skip


def _emission(network: Network, outlet: Outlet, pollutant: int, live: Live) -> float:
    limit = outlet.permit[outlet.names[pollutant]]
    now = _present(network, outlet, live)
    return 0.0 if now.state[0] == STOPPED else float(now.corrected[pollutant, 0] / limit)


def _present(network: Network, outlet: Outlet, live: Live) -> Hours:
    """Return an hour of an outlet in which everything stays as it is now."""
    if outlet.id in live.hours:
        return live.hours[outlet.id]
    hour_s = np.array([HOUR_S])
    addresses = {*outlet.measured_by, *outlet.tags.values()}
    mean, covered_s = {}, {}
    for address in addresses:
        at = network.index[address]
        column = live.rate if network.tags[at].kind == "counter" else live.value
        mean[address], covered_s[address] = column[[at]], hour_s
    live.hours[outlet.id] = evaluate(outlet, mean, covered_s, hour_s)
    return live.hours[outlet.id]


def _of_permits(network: Network) -> Iterator[ParkMargin]:
    """Yield the emissions of each permit, and where they lead until the year ends."""
    outlets = {outlet.id: outlet for outlet in outlets_of(network.park)}
    for permit in permits_of(network.park):
        monitored = [
            (outlet, outlet.names.index(permit.pollutant))
            for outlet in outlets.values()
            if permit.pollutant in outlet.names and _covers(permit, outlet.scope, outlet.id)
        ]
        factors = _factors(network, outlets, permit, {outlet.id for outlet, _ in monitored})
        if factors is None or not (monitored or factors):
            continue
        addresses = [address for outlet, _ in monitored for address in outlet.measured_by]
        inputs = [*(network.index[address] for address in addresses), *factors]
        rate = partial(_permit_rate, network, monitored, factors)
        periods = tuple(row for row in network.park.rows(PermitPeriod) if row.permit == permit.id)
        sources = [(outlet.scope, outlet.id) for outlet, _ in monitored]
        sources += [(row.scope, row.outlet) for row in calculated(network.park)
                    if row.pollutant == permit.pollutant
                    and _covers(permit, row.scope, row.outlet)]  # fmt: skip
        campaigns = tuple(
            row for row in network.park.rows(Campaign) if all(row.covers(*each) for each in sources)
        )
        later = ["permit_forecast", *(["period_rate"] if periods else [])]
        for kind in ("permit_rate", *later):
            value = _by_year if kind in later else rate
            margin = _margin(network, kind, permit.scope, permit.id, inputs, value)
            yield replace(margin, permit=permit, periods=periods, campaigns=campaigns)


def _covers(permit: Permit, scope: str, outlet: str) -> bool:
    return outlet in permit.outlets if permit.outlets else inside(scope, permit.scope)


def _factors(
    network: Network, outlets: dict[str, Outlet], permit: Permit, monitored: set[str]
) -> dict[int, float] | None:
    """Return kg of a permit's pollutant per amount of tags; None where a source has no rate."""
    name = permit.pollutant
    for analysis in network.park.rows(ManualAnalysis):
        scope = outlets[analysis.outlet].scope
        mine = analysis.pollutant == name and _covers(permit, scope, analysis.outlet)
        if mine and analysis.outlet not in monitored:
            return None
    result: dict[int, float] = {}
    for row in calculated(network.park):
        covered = row.pollutant == name and _covers(permit, row.scope, row.outlet)
        if not covered or row.outlet in monitored:
            continue
        if not isinstance(row, EmissionFactor):
            return None
        at = network.index[row.activity]
        tag = network.tags[at]
        if tag.source == "manual":
            return None
        result[at] = result.get(at, 0.0) + mass_per_amount(row, tag)
    return result


def _permit_rate(
    network: Network, monitored: list[tuple[Outlet, int]], factors: dict[int, float], live: Live
) -> float:
    """Return what goes out now [kg/s]."""
    parts = [
        float(_present(network, outlet, live).emission[at, 0]) / HOUR_S for outlet, at in monitored
    ]
    return sum([*parts, *(float(live.rate[at]) * factor for at, factor in factors.items())])


def _by_year(_: Live) -> float:
    """Return no value: it follows from the rate of the permit, or the sums of its year."""
    return float("nan")


def margin_values(
    margins: Margins, live: Live, quality: U8, year: YearSums, now_us: int
) -> tuple[F64, U8]:
    """Return the margins of a moment.

    Parameters
    ----------
    margins : Margins
        M of them, P of kind ``permit_rate``
    live : Live
        of T tags
    quality : (T,) uint8
    year : YearSums
    now_us : int [µs]

    Returns
    -------
    value : (M,) float64 [SI]
        NaN where something is not known
    quality : (M,) uint8
        the worst of what a margin follows from

    Notes
    -----
    Times end at a horizon: what does not fill, or takes up nothing, lasts that long at least [1]_.
    Contents of a hazard are R of now over R of its design maximum, which is no legal level [2]_.
    Emissions are those of the moment over the limit of the hourly mean; 0 where the source stands
    still. A year of a permit goes on at the mean of its live rates, as campaigns of all its sources
    plan it and special periods let it, over what is allowed [3]_: what a rule books in place of
    missing hours is not in it. The rate of a special period is what goes out now over its limit.
    """
    value = np.array([item.value(live) for item in margins.items], np.float64)
    times = [KINDS[item.kind][0] == "time" for item in margins.items]
    horizon_s = figure("margins.horizon", "time")
    value = np.where(times, np.minimum(value, horizon_s), value)
    ahead = margins.places("permit_forecast")
    value[ahead] = _forecast(margins, ahead, year, now_us)
    rates = {item.permit.id: each for item, each in zip(margins.items, value.tolist(), strict=True)
             if item.permit and item.kind == "permit_rate"}  # fmt: skip
    for m in margins.places("period_rate").tolist():
        value[m] = _share_of_period(margins.items[m], rates, _this_year(margins, now_us))
    marks = [q.worst_of(quality[item.inputs], np.zeros(1, np.intp))[0] if len(item.inputs)
             else q.NO_DATA for item in margins.items]  # fmt: skip
    mark = np.array(marks, np.uint8)
    lost = np.uint8(q.NO_DATA) | (mark & np.uint8(q.SIMULATED))
    return value, np.where(np.isnan(value), lost, mark)


class _ThisYear(NamedTuple):
    """The year of a moment: its day, its length, what of it has passed, and the days to come."""

    day: date
    length_s: float
    passed_s: float
    ahead_s: F64  # length of each day to come, the first the rest of the present one


def _this_year(margins: Margins, now_us: int) -> _ThisYear:
    timezone = margins.network.park.timezone
    begin_us, end_us = year_of(now_us, timezone)
    edges_us = np.maximum(edges("day", now_us, end_us, timezone), now_us)
    day = local(now_us, ZoneInfo(timezone)).date()
    length_s, passed_s = (end_us - begin_us) / SECOND_US, (now_us - begin_us) / SECOND_US
    return _ThisYear(day, length_s, passed_s, np.diff(edges_us) / SECOND_US)


def _share_of_period(item: ParkMargin, rates: dict[str, float], year: _ThisYear) -> float:
    """Return what goes out now over what the special period of a permit allows; NaN = none is."""
    assert item.permit is not None
    (most,) = period_rate(item.periods, item.permit, year.day, 1, year.length_s)
    return rates[item.permit.id] / most if 0 < most < np.inf else float("nan")


def _forecast(margins: Margins, ahead: I64, sums: YearSums, now_us: int) -> F64:
    """Return the shares of what is allowed that years come to, (P,)."""
    year = _this_year(margins, now_us)
    items = [margins.items[m] for m in ahead.tolist()]
    allowed = np.array([i.permit.amount if i.permit and in_force(i.permit, year.day) else np.nan
                        for i in items])  # fmt: skip
    enough = sums.covered_s >= figure("margins.known", "time")
    rate = np.where(enough, ratio(sums.mass, sums.covered_s), np.nan)
    time_s = np.array([_time_at(item, each, year)
                       for item, each in zip(items, rate, strict=True)])  # fmt: skip
    return np.asarray(rate * time_s / allowed)


def _time_at(item: ParkMargin, rate: float, year: _ThisYear) -> float:
    """Return the time at a mean rate that a year comes to, with what is planned and allowed."""
    assert item.permit is not None
    if not item.periods and not item.campaigns:
        return year.length_s
    count = len(year.ahead_s)
    load = planned_load(item.campaigns, year.day, count)[None]
    most = period_rate(item.periods, item.permit, year.day, count, year.length_s)
    return year.passed_s + float(curbed_load(np.array([rate]), load, most)[0] @ year.ahead_s)
