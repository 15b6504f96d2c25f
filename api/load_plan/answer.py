"""The answer of a load plan: loads, stocks, power, cost, what binds and what breaks it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast
from zoneinfo import ZoneInfo

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from api.answers import Given, Name, Number, Rfc3339, Share, Uint8, formula, record
from api.encode import CNY_PER_T, HOUR, MW, ONE, T_PER_H, TONNE, Uom, number, out, rfc3339
from api.scenarios.answer import LiveState, Numbers
from twin import quality as q
from twin.arrays import F64, ratio
from twin.emissions.carbon import grid_factor
from twin.planning.assessment import (
    Course,
    Delay,
    Drop,
    Margin,
    Trip,
    as_now,
    break_even,
    least_delay,
    least_drops,
    margins,
    price_rise,
    saving_interval,
    time_to_full,
    trips,
)
from twin.planning.present import LeftOut, Present
from twin.planning.problem import unit_power
from twin.planning.solver import Limit, LoadPlan
from twin.reference import load as load_reference
from twin.series.windows import local
from twin.uom import compile_uom

KILOAMPERE = compile_uom("kA", "current")
CNY_PER_KWH = compile_uom("CNY/kWh", "energy_price")
CNY_PER_MWH = compile_uom("CNY/MWh", "energy_price")
MWH = compile_uom("MWh", "energy")
CNY_PER_MW: Uom = (1 / MW[0], 0.0)
# The Monte Carlo of one question is that of the next.
SEED = 1
REGION = "CN"
KILOWATT = compile_uom("kW", "power")[0]
NOT_THE_SAME = "the present loads going on break a limit, or the plan makes less than they would"
KEEPS_MORE = (
    "the present loads break a limit of power that the plan keeps: the saving is less that cost"
)
# Limits that present loads may break and make the same goods.
OF_POWER = ("power", "own_power", "green")
Per = Literal["t", "MW", "MWh", "kA"]
PER: dict[str, Per] = {
    **dict.fromkeys(("stock_full", "stock_empty", "stock_end", "line", "balance"), "t"),
    **dict.fromkeys(("use", "use_low", "use_high", "use_day"), "t"),
    **dict.fromkeys(("power", "own_power", "peak", "excess"), "MW"),
    "green": "MWh",
    **dict.fromkeys(("low", "high", "ramp", "steady"), "kA"),
}
Span = TypedDict("Span", {"from": Rfc3339, "to": Rfc3339})


class PlannedUnit(TypedDict):
    """An electrolyser or potline; columns have one value for each interval."""

    id: str
    scope: str
    kind: str
    site: str
    current_now_ka: Given[Number]
    current_low_ka: Annotated[
        Number, formula("least of the current now and the limit of the model, or the usual one")
    ]
    current_high_ka: Annotated[
        Number, formula("most of the current now and the limit of the model, or the usual one")
    ]
    limits: Annotated[
        Literal["model", "usual"], Field(description="of [[load_limits]], or unverified usual ones")
    ]
    may_stop: bool
    load: Annotated[Numbers, formula("planned current / present current; 0 = stopped")]
    current_ka: Annotated[Numbers, formula("load * present current")]
    power_mw: Annotated[
        Numbers,
        formula("(U0 * cells * current now * load + (measured power - that at load 1) * load^2)"
                " / efficiency of the rectifier"),
    ]  # fmt: skip
    power_now_mw: Annotated[Number, formula("current * voltage / efficiency of the rectifier")]


class PlannedStock(TypedDict):
    """The tanks of a scope, as mass of the component; columns at the edges of the intervals."""

    scope: str
    component: str
    inventory_t: Annotated[
        Numbers, formula("inventory now + what goes in less what goes out, interval by interval")
    ]
    inventory_now_t: Annotated[Numbers, formula("inventory now + the present net inflow * time")]
    low_t: Annotated[
        Number,
        formula("share of the fill limit; of the caustic of an absorber what it needs for a trip"),
    ]
    high_t: Annotated[Number, formula("fill limit - headroom that stays")]
    fill_limit_t: Annotated[Number, formula("sum of the fill limits of the tanks, spares apart")]
    headroom_kept_t: Annotated[
        Number, formula("flow of the largest user of gas * time until the electrolysis is cut")
    ]
    end_low_t: Annotated[
        Number, formula("inventory now + the present net inflow * time of the plan, inside limits")
    ]
    full_after_h: Annotated[
        Number,
        formula("time at which the inventory of the plan meets the fill limit; null = never"),
    ]
    full_now_after_h: Annotated[
        Number, formula("time at which the inventory as now meets the fill limit; null = never")
    ]


class PlannedFlow(TypedDict):
    """A stream that the plan may set."""

    stream: str
    flow_now_t_per_h: Annotated[Number, formula("present flow, reconciled")]
    high_t_per_h: Annotated[Number, formula("range of the meter, or the present flow above it")]
    flow_t_per_h: Annotated[Numbers, formula("flow of the plan, by the cheapest programme")]


class PlannedSite(TypedDict):
    """A site that buys electricity; costs are those of all it buys in the plan's time."""

    scope: str
    price_cny_per_kwh: Given[Numbers]
    power_mw: Annotated[
        Numbers,
        formula("power bought now + change of the power of its units and of liquefaction; without"
                " an incomer that of the units alone"),
    ]  # fmt: skip
    power_now_mw: Annotated[Numbers, formula("power bought now, with the present loads going on")]
    limit_mw: Given[Number]
    peak_so_far_mw: Annotated[
        Number,
        formula("largest quarter of an hour of the month so far, or the contracted demand above it;"
                " what was asked for; or the present power"),
    ]  # fmt: skip
    demand_price_cny_per_kw: Given[Number]
    co2_now_t: Annotated[
        Number, formula("energy bought with the present loads x grid factor of the year, location")
    ]
    co2_plan_t: Annotated[Number, formula("energy bought by the plan x the same factor")]
    green_share_now: Annotated[
        Share, formula("share of contracts + green energy / energy bought with the present loads")
    ]
    green_share_plan: Annotated[
        Share, formula("share of contracts + green energy / energy bought by the plan")
    ]
    cost_now_cny: Annotated[
        Number, formula("power now * price + new peak - worth of hydrogen, with the present loads")
    ]
    cost_plan_cny: Annotated[
        Number,
        formula("power * price + new peak + starts and changes of load - worth of hydrogen"),
    ]
    saving_cny: Annotated[Number, formula("cost as now - cost of the plan")]


class PlanSaving(TypedDict):
    """The saving of a plan against the present loads going on; null with a reason."""

    saving_cny: Annotated[Number, formula("sum of cost as now - cost of the plan over the sites")]
    saving_low_cny: Annotated[
        Number,
        formula("lower end of the 95 % interval: Monte Carlo of meters, U0, current efficiencies,"
                " contents of tanks and flows, the loads of the plan kept"),
    ]  # fmt: skip
    saving_high_cny: Annotated[Number, formula("upper end of the same interval")]
    saving_share: Annotated[Number, formula("saving / cost of the units' electricity as now")]
    straightened_cny: Annotated[
        Number,
        formula("most by which straight pieces of the curves of power may hide a better plan"),
    ]
    gap: Annotated[
        Share,
        formula("(cost - lower bound of the solver) / cost: an even better plan may be cheaper"),
    ]
    reason: str


class BindingLimit(TypedDict):
    """A limit that binds, with its price: what one unit more of it would save."""

    kind: str
    name: Name
    subject: str
    component: str | None
    intervals: Annotated[int, Field(description="in which it binds")]
    time: Annotated[Rfc3339, Field(description="of the interval with the highest price")]
    price_cny: Annotated[Number, formula("dual of the linear programme with the integers fixed")]
    price_sum_cny: Annotated[Number, formula("sum of the prices over the intervals")]
    per: Per


class BrokenLimit(TypedDict):
    """A limit that is broken, with the amount and the first interval."""

    kind: str
    name: Name
    subject: str
    component: str | None
    time: Rfc3339
    amount: Annotated[Number, formula("most by which the course is beyond the limit")]
    uom: Per


class PlanTrip(TypedDict):
    """The largest user of gas trips in the worst interval of the plan."""

    scope: str
    user: str
    time: Rfc3339
    full_after_min: Annotated[
        Number, formula("headroom / (inflow + flow of the user - draw); null = not filling")
    ]
    absorber_min: Annotated[
        Number, formula("caustic of the absorber / (flow of the user * caustic per chlorine)")
    ]


class PlanMargin(TypedDict):
    """How far the flows of a tank may be off for all of the plan, with its loads kept."""

    scope: str
    component: str
    more_t_per_h: Annotated[
        Number, formula("least of (inventory - least) / time: so much more may be used")
    ]
    empty_at: Annotated[Rfc3339, Field(description="when it is empty then")]
    less_t_per_h: Annotated[
        Number, formula("least of (fill limit - inventory) / time: so much less may be used")
    ]
    full_at: Annotated[Rfc3339, Field(description="when it is full then")]


class PlanDrop(TypedDict):
    """The largest user of gas takes less for all of the plan, and its loads are kept."""

    scope: str
    user: str
    share: Annotated[
        Number,
        formula(
            "least of (fill limit - inventory) / what it has taken by then; null = it may stop"
        ),
    ]
    full_at: Annotated[Rfc3339, Field(description="when the tanks are full then")]


class PlanBreaks(TypedDict):
    """What breaks a plan."""

    spread_share: Annotated[
        Number,
        formula("share of today's spread of prices at which the plan saves nothing any more"),
    ]
    price_rise_cny_per_kwh: Annotated[
        Number,
        formula("saving / energy that is taken more than as now in some hours: so much dearer they"
                " may become before nothing is saved"),
    ]  # fmt: skip
    delay_h: Annotated[
        Number,
        formula("least time by which the plan may begin late, the present loads until then, before"
                " a limit is broken or nothing is saved; null = none up to its length"),
    ]  # fmt: skip
    delay_breaks: Annotated[
        str, Field(description="the limit that such a delay breaks, or saving; empty = none")
    ]
    drops: list[PlanDrop]
    trips: list[PlanTrip]
    margins: list[PlanMargin]


class PlanInput(TypedDict):
    """A tag the plan is made of."""

    tag: str
    value: Given[Number]
    uom: str
    quality: Uint8


class Unplanned(TypedDict):
    """An electrolyser, or a place of a component, that no plan is made for."""

    id: str
    reason: str


class PlanAssumption(TypedDict):
    """What a plan rests on."""

    key: str
    text: Name


class LoadPlanAnswer(Span):
    """The cheapest load plan: advice only. `reason` says why there is none."""

    scope: str
    interval_min: Given[float]
    time: Annotated[list[int], Field(description="edges of the intervals [ms]")]
    units: list[PlannedUnit]
    stocks: list[PlannedStock]
    flows: list[PlannedFlow]
    sites: list[PlannedSite]
    saving: PlanSaving
    binding: Annotated[list[BindingLimit], Field(description="by kind, the dearest first")]
    broken: Annotated[list[BrokenLimit], Field(description="limits that contradict: no plan")]
    given_up: Annotated[
        list[BrokenLimit], Field(description="contents at the end that no plan reaches")
    ]
    now_breaks: Annotated[
        list[BrokenLimit], Field(description="limits that the present loads going on break")
    ]
    breaks: PlanBreaks
    unplanned: list[Unplanned]
    inputs: list[PlanInput]
    missing: list[str]
    quality: Uint8
    reason: str
    assumptions: list[PlanAssumption]


@dataclass(frozen=True, slots=True)
class Question:
    """What a plan is asked for."""

    scope: str
    times_us: list[int]  # edges of the intervals
    sites: tuple[str, ...]
    idle: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True)
class _Result:
    """A plan with its question: from places to names and times."""

    question: Question
    present: Present
    plan: LoadPlan
    course: Course
    zone: ZoneInfo

    def time(self, interval: int) -> str:
        """Return when an interval begins."""
        return rfc3339(self.question.times_us[interval], self.zone)

    def subject(self, limit: Limit) -> tuple[str, str | None]:
        """Return the name of what a limit is of, and its component."""
        problem, at = self.present.problem, limit.subject
        if limit.kind in ("stock_full", "stock_empty", "stock_end", "balance"):
            component, scope = problem.nodes.name[at]
            return scope, component
        if limit.kind.startswith("use"):
            component, user = problem.demands.name[at]
            return user, component
        names = {"MW": problem.sites.name, "MWh": problem.sites.name, "kA": problem.units.name}
        return names.get(PER[limit.kind], problem.lines.name)[at], None

    def priced(self, limit: Limit, price: float) -> float:
        """Return a price per the unit that people use."""
        if PER[limit.kind] == "kA":
            return number(price / self.present.cells[limit.subject].current * KILOAMPERE[0])
        uom = {"t": CNY_PER_T, "MW": CNY_PER_MW, "MWh": CNY_PER_MWH}[PER[limit.kind]]
        return number(price, uom)


def answer(
    state: LiveState, question: Question, present: Present, plan: LoadPlan
) -> LoadPlanAnswer:
    """Return the answer of a load plan."""
    zone = ZoneInfo(state.supply.network.park.timezone)
    result = _Result(question, present, plan, as_now(present.problem), zone)
    begin, end = (rfc3339(question.times_us[at], zone) for at in (0, -1))
    made = not plan.reason
    inputs = _inputs(state, present)
    lost = [*question.idle, *present.left_out]
    texts: dict[str, Any] = load_reference("load_plan")["assumption"]
    return {
        "scope": question.scope,
        "from": begin,
        "to": end,
        "interval_min": present.problem.interval_s / 60,
        "time": [edge // 1000 for edge in question.times_us],
        "units": _units(result),
        "stocks": _stocks(result),
        "flows": _flows(result),
        "sites": _sites(result),
        "saving": _saving(result),
        "binding": _binding(result),
        "broken": _broken(result, plan.broken),
        "given_up": _broken(result, plan.given_up),
        "now_breaks": _broken(result, result.course.broken),
        "breaks": {
            "spread_share": number(break_even(present.problem, plan, result.course))
            if made
            else None,
            **_late(result),  # type: ignore[typeddict-item]
            "drops": [_drop(result, row) for row in least_drops(present, plan)] if made else [],
            "trips": [_trip(result, row) for row in trips(present, plan)] if made else [],
            "margins": [_margin(result, row) for row in margins(present.problem, plan)]
            if made
            else [],
        },
        "unplanned": [{"id": each.name, "reason": each.reason} for each in lost],
        "inputs": inputs,
        "missing": [each["tag"] for each in inputs if each["value"] is None],
        "quality": _quality(state, present),
        "reason": plan.reason,
        "assumptions": [{"key": key, "text": row["name"]} for key, row in texts.items()],
    }


def _column(values: F64, uom: Uom = ONE) -> Numbers:
    """Return a column in its uom; empty without a plan."""
    return [] if np.isnan(values).all() else cast("Numbers", out(values, uom).tolist())


def _units(result: _Result) -> list[PlannedUnit]:
    problem, plan = result.present.problem, result.plan
    power = unit_power(problem.units, plan.load)
    now = unit_power(problem.units, np.ones((len(problem.units.name), 1)))
    return [
        record(
            PlannedUnit, each.spec,
            site=problem.sites.name[problem.units.site[e]],
            current_now_ka=number(each.current, KILOAMPERE),
            current_low_ka=number(each.limits.low, KILOAMPERE),
            current_high_ka=number(each.limits.high, KILOAMPERE),
            limits="usual" if each.limits.row is None else "model",
            may_stop=bool(problem.units.stops[e]),
            load=_column(plan.load[e]),
            current_ka=_column(plan.load[e] * each.current, KILOAMPERE),
            power_mw=_column(power[e], MW),
            power_now_mw=number(now[e, 0], MW),
        )
        for e, each in enumerate(result.present.cells)
    ]  # fmt: skip


def _stocks(result: _Result) -> list[PlannedStock]:
    problem = result.present.problem
    nodes = problem.nodes
    full = time_to_full(problem, result.plan.stock)
    full_now = time_to_full(problem, result.course.stock)
    return [
        {
            "scope": nodes.name[m][1],
            "component": nodes.name[m][0],
            "inventory_t": _column(result.plan.stock[m], TONNE),
            "inventory_now_t": _column(result.course.stock[m], TONNE),
            "low_t": number(nodes.least[m], TONNE),
            "high_t": number(nodes.most[m] - nodes.reserve[m], TONNE),
            "fill_limit_t": number(nodes.most[m], TONNE),
            "headroom_kept_t": number(nodes.reserve[m], TONNE),
            "end_low_t": number(nodes.end[m], TONNE),
            "full_after_h": number(full[m], HOUR),
            "full_now_after_h": number(full_now[m], HOUR),
        }
        for m in np.flatnonzero(nodes.tank).tolist()
    ]


def _flows(result: _Result) -> list[PlannedFlow]:
    lines = result.present.problem.lines
    return [
        {
            "stream": name,
            "flow_now_t_per_h": number(lines.now[i], T_PER_H),
            "high_t_per_h": number(lines.high[i], T_PER_H),
            "flow_t_per_h": _column(result.plan.flow[i], T_PER_H),
        }
        for i, name in enumerate(lines.name)
    ]


def _sites(result: _Result) -> list[PlannedSite]:
    sites, course, plan = result.present.problem.sites, result.course, result.plan
    same = not _why_no_saving(result)
    length_s = result.present.problem.interval_s
    year = local(result.question.times_us[0], result.zone).year
    factor = grid_factor(year, REGION, "location").value
    bought = {"now": course.power.sum(axis=1) * length_s, "plan": plan.power.sum(axis=1) * length_s}
    green = {key: np.minimum(sites.green_share + ratio(sites.green, each), 1.0)
             for key, each in bought.items()}  # fmt: skip
    return [
        {
            "scope": name,
            "price_cny_per_kwh": _column(sites.price[b], CNY_PER_KWH),
            "power_mw": _column(plan.power[b], MW),
            "power_now_mw": _column(course.power[b], MW),
            "limit_mw": number(sites.limit[b], MW),
            "peak_so_far_mw": number(sites.peak[b], MW),
            "cost_now_cny": number(course.cost[b]),
            "cost_plan_cny": number(plan.cost[b]),
            "saving_cny": number(course.cost[b] - plan.cost[b]) if same else None,
            "demand_price_cny_per_kw": number(sites.demand_price[b] * KILOWATT),
            "co2_now_t": number(bought["now"][b] * factor, TONNE),
            "co2_plan_t": number(bought["plan"][b] * factor, TONNE),
            "green_share_now": number(green["now"][b]),
            "green_share_plan": number(green["plan"][b]),
        }
        for b, name in enumerate(sites.name)
    ]


def _why_no_saving(result: _Result) -> str:
    """Return why a saving would not compare like with like; empty if it does."""
    other_goods = any(limit.kind not in OF_POWER for limit in result.course.broken)
    return result.plan.reason or (NOT_THE_SAME if result.plan.given_up or other_goods else "")


def _saving(result: _Result) -> PlanSaving:
    plan, problem, reason = result.plan, result.present.problem, _why_no_saving(result)
    made = not plan.reason
    low, high, saving = np.full(3, np.nan)
    if not reason:
        saving = float((result.course.cost - plan.cost).sum())
        rng = np.random.default_rng(SEED)
        low, high = saving_interval(result.present, plan, result.course, rng)
    ones = np.ones((len(problem.units.name), problem.count))
    paid = problem.sites.price[problem.units.site] * problem.interval_s
    spent = float((unit_power(problem.units, ones) * paid).sum())
    return {
        "saving_cny": number(saving),
        "saving_low_cny": number(low),
        "saving_high_cny": number(high),
        "saving_share": number(saving / spent) if spent > 0 else None,
        "straightened_cny": number(plan.straightened),
        "gap": number(plan.gap) if made else None,
        "reason": reason or (KEEPS_MORE if result.course.broken else ""),
    }


def _name(kind: str) -> Name:
    return cast("Name", load_reference("load_plan")["limit"][kind]["name"])


def _binding(result: _Result) -> list[BindingLimit]:
    """Return the limits that bind, intervals together."""
    groups: dict[tuple[str, int], list[Limit]] = {}
    for limit in result.plan.binding:
        groups.setdefault((limit.kind, limit.subject), []).append(limit)
    rows: list[BindingLimit] = []
    for (kind, _), limits in groups.items():
        dearest = max(limits, key=lambda limit: abs(limit.price))
        subject, component = result.subject(dearest)
        rows.append(
            {
                "kind": kind,
                "name": _name(kind),
                "subject": subject,
                "component": component,
                "intervals": len(limits),
                "time": result.time(dearest.interval),
                "price_cny": result.priced(dearest, dearest.price),
                "price_sum_cny": result.priced(dearest, sum(limit.price for limit in limits)),
                "per": PER[kind],
            }
        )
    return sorted(rows, key=lambda row: (row["kind"], -abs(row["price_sum_cny"] or 0.0)))


def _broken(result: _Result, limits: Iterable[Limit]) -> list[BrokenLimit]:
    uoms = {"t": TONNE, "MW": MW, "MWh": MWH}
    rows: list[BrokenLimit] = []
    for limit in limits:
        subject, component = result.subject(limit)
        per = PER[limit.kind]
        scale = result.present.cells[limit.subject].current / KILOAMPERE[0] if per == "kA" else 1.0
        rows.append(
            {
                "kind": limit.kind,
                "name": _name(limit.kind),
                "subject": subject,
                "component": component,
                "time": result.time(limit.interval),
                "amount": number(limit.amount * scale, uoms.get(per, ONE)),
                "uom": per,
            }
        )
    return rows


def _late(result: _Result) -> dict[str, Any]:
    """Return what a rise of the price and a delay do to a plan."""
    rise, delay = float("nan"), Delay(0, "", 0)
    if not _why_no_saving(result):
        parts = result.present.problem, result.plan, result.course
        rise, delay = price_rise(*parts), least_delay(*parts)
    hours = delay.intervals * result.present.problem.interval_s
    return {
        "price_rise_cny_per_kwh": number(rise, CNY_PER_KWH),
        "delay_h": number(hours, HOUR) if delay.intervals else None,
        "delay_breaks": delay.kind,
    }


def _drop(result: _Result, drop: Drop) -> PlanDrop:
    trips_ = result.present.trips
    return {
        "scope": result.present.problem.nodes.name[drop.node][1],
        "user": trips_.user[trips_.node.tolist().index(drop.node)],
        "share": number(drop.share),
        "full_at": result.time(drop.interval + 1),
    }


def _trip(result: _Result, trip: Trip) -> PlanTrip:
    minute = compile_uom("min", "time")
    return {
        "scope": result.present.problem.nodes.name[trip.node][1],
        "user": trip.user,
        "time": result.time(trip.interval),
        "full_after_min": number(trip.full_s, minute),
        "absorber_min": number(trip.absorber_s, minute),
    }


def _margin(result: _Result, margin: Margin) -> PlanMargin:
    component, scope = result.present.problem.nodes.name[margin.node]
    return {
        "scope": scope,
        "component": component,
        "more_t_per_h": number(margin.more, T_PER_H),
        "empty_at": result.time(margin.more_interval + 1),
        "less_t_per_h": number(margin.less, T_PER_H),
        "full_at": result.time(margin.less_interval + 1),
    }


def _inputs(state: LiveState, present: Present) -> list[PlanInput]:
    tags = state.supply.network.tags
    return [
        {
            "tag": tags[at].address,
            "value": None if np.isnan(value := state.value[at]) else number(
                value, (tags[at].scale, tags[at].shift)
            ),
            "uom": tags[at].uom,
            "quality": int(state.quality[at]),
        }
        for at in present.tags.tolist()
    ]  # fmt: skip


def _quality(state: LiveState, present: Present) -> int:
    """Return the worst quality of the tags a plan is made of."""
    quality = state.quality[present.tags]
    if not len(quality):
        return q.NO_DATA
    return int(q.worst_of(quality, np.zeros(1, np.intp))[0])
