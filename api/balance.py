"""Reconciled balances of a scope, the meters they find suspect, and the gross errors found live."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query
from pydantic import Field
from typing_extensions import TypedDict

from api import queries
from api.answers import (
    Cursor,
    Ends,
    Number,
    Rfc3339,
    Share,
    WindowAnswer,
    WindowRow,
    formula,
    record,
    records,
)
from api.calculation.pool import CalculationRoute
from api.component_balance import read_held_back, read_streams
from api.context import AppContext, Context, time_range
from api.encode import KWH, MW, T_PER_H, TONNE, number, out
from api.parameters import After, From, Limit, Text, To
from api.problems import RESPONSES
from api.windows import Component, Hourly, ScopePath, require_component
from deploy.database.times import stamp, to_us
from twin.accounts.accounts import ELECTRICITY
from twin.arrays import DAY_US, F64, HOUR_S, SECOND_US, ratio
from twin.model.park import inside
from twin.reconciliation.balances import Amounts, Balance, compile_balance
from twin.reconciliation.closure import Closure, close_balance
from twin.reconciliation.monitor import monitored_components
from twin.reference import load as load_reference
from twin.uom import parse_quantity

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES, route_class=CalculationRoute)

# Fields of an answer that a closure has by the same names, without the unit.
AMOUNTS = ("measured", "measured_sigma", "estimate", "sigma", "detectable")
VERDICT = ("consistent", "chi2", "chi2_limit", "test", "test_limit", "dof")
NOT_STEADY = "not steady, held back"
UnknownEnds = TypedDict("UnknownEnds", {"from": str | None, "to": str | None})


class ReconciledStream(Ends):
    """A stream before and after reconciliation; null = not measured, or not observable.

    Masses are in t; of electricity they are null and the energies in kWh are not. Where the model
    names an analyser, `fraction` is the mass fraction of the component. A bias of `detectable` size
    is found in 90 % of windows. `bounded`: the estimate is zero, because its meter shows one way
    only and the balances alone would make the flow negative.
    """

    id: str
    measured_t: Annotated[Number, formula("sum of the amounts of its tags")]
    measured_sigma_t: Annotated[Number, formula("standard uncertainty of the measured amount")]
    estimate_t: Annotated[Number, formula("weighted least squares: estimates close all balances")]
    sigma_t: Annotated[Number, formula("standard uncertainty of the estimate")]
    detectable_t: Annotated[
        Number,
        formula(
            "bias that is found in 90 % of windows: (quantile + test limit) * standard "
            "deviation of the adjustment * uncertainty ratio"
        ),
    ]
    measured_kwh: Annotated[Number, formula("sum of the amounts of its tags")]
    measured_sigma_kwh: Annotated[Number, formula("standard uncertainty of the measured amount")]
    estimate_kwh: Annotated[Number, formula("weighted least squares: estimates close all balances")]
    sigma_kwh: Annotated[Number, formula("standard uncertainty of the estimate")]
    detectable_kwh: Annotated[
        Number,
        formula(
            "bias that is found in 90 % of windows: (quantile + test limit) * standard "
            "deviation of the adjustment * uncertainty ratio"
        ),
    ]
    fraction: Annotated[Number, formula("mean of its analyser, weighted by the flow")]
    fraction_estimate: Annotated[
        Number, formula("weighted least squares: estimates close all balances of the component")
    ]
    fraction_sigma: Annotated[
        Number, formula("standard uncertainty of the estimate of the fraction")
    ]
    adjustment: Annotated[
        Number, formula("(estimate - measured) / standard deviation of the difference")
    ]
    observable: bool
    redundant: bool
    bounded: bool


class NodeResidual(TypedDict):
    """The residual of the balance of a node: in - out as measured; of electricity in kWh."""

    node: str
    residual_t: Annotated[
        Number, formula("sum of the measured flows in - sum of those out - change of the stock")
    ]
    residual_kwh: Annotated[Number, formula("sum of the measured energies in - sum of those out")]


class MissingStream(Ends):
    """A stream the model does not have, and what it would carry; of electricity in kWh."""

    flow_t: Annotated[
        Number, formula("mean of the residuals of its two nodes: what it would carry")
    ]
    flow_kwh: Annotated[Number, formula("the same of electricity")]


class BalanceRow(WindowRow):
    """The reconciled balance of one window.

    It is consistent where neither chi2 nor the greatest test of a single meter or leak is above its
    limit. Both limits together are exceeded by chance in 5 % of windows at most.
    """

    component: str
    consistent: bool
    chi2: Annotated[
        Number,
        formula(
            "sum of (adjustment / its standard deviation)² of the independent balances: "
            "residuals weighted by the inverse of their covariance"
        ),
    ]
    chi2_limit: Annotated[
        float,
        formula(
            "quantile of chi² of `dof` degrees of freedom, at a chance of 5 % with that of the test"
        ),
    ]
    test: Annotated[
        Number, formula("greatest |adjustment| / its standard deviation of a single meter or leak")
    ]
    test_limit: Annotated[
        float,
        formula(
            "quantile of the normal distribution for as many tests, at a chance of 5 % with "
            "that of chi²"
        ),
    ]
    dof: int
    reason: str
    held_back: Annotated[
        list[str],
        Field(
            description="streams that moved: pipes and vessels without a level may hold what "
            "speaks against the balance, so that nobody is suspect and `reason` says so"
        ),
    ]
    residuals: list[NodeResidual]
    streams: list[ReconciledStream]
    suspects: list[list[str]]
    missing_streams: Annotated[
        list[MissingStream],
        Field(
            description="streams between two nodes that the model does not have and that would "
            "explain the residuals better than any one meter or leak, best first"
        ),
    ]


class BalanceAnswer(WindowAnswer):
    """The reconciled balances of a scope; of windows that can be tested, how many are consistent.

    A window can be tested where some meter of it is redundant and all of its inputs are known.
    """

    items: list[BalanceRow]
    passed_share: Annotated[Share, formula("consistent windows / windows that can be tested")]
    completeness: Annotated[Share, formula("windows that can be tested / windows")]
    unobservable: Annotated[
        list[str],
        Field(description="streams that neither a meter nor the balances tell in any window"),
    ]


class DetectedStream(UnknownEnds):
    """A stream whose meter may have begun to err.

    `:faraday` are the cells of a node, `:stock` its tanks. Without ends the stream is no longer in
    the model.
    """

    id: str


class DetectionRow(TypedDict):
    """A gross error found live by the monitor of a component.

    Streams and leaks cannot be told apart; the most suspect stream is the first. A detection is
    current for some hours: that long the meters are under suspicion.
    """

    component: str
    time: Rfc3339
    since: Rfc3339
    streams: list[DetectedStream]
    leaks: list[str]
    bias_t_h: Annotated[
        Number,
        formula(
            "excess that the first stream shows: the bias that explains the residuals of "
            "the window best (generalised likelihood ratio); null of electricity"
        ),
    ]
    bias_mw: Annotated[Number, formula("the same of electricity, null of the others")]
    shape: Annotated[
        Literal["step", "drift"],
        Field(description="whether the bias came at once or went on growing"),
    ]
    rate_t_h_per_h: Annotated[
        Number,
        formula(
            "slope of the bias over the minutes of the window; 0 of a step, null of electricity"
        ),
    ]
    rate_mw_per_h: Annotated[Number, formula("the same of electricity")]
    test: Annotated[
        float, formula("bias / its standard deviation: test statistic, standard deviations")
    ]
    current: bool


class HeldBackRow(TypedDict):
    """A time in which the monitor of a component was not steady, and held tests back.

    Flows that moved may have left in pipes and vessels without a level what a test would have
    named. `minutes` of the time have such a test, and `test` is the greatest of them.
    """

    component: str
    since: Rfc3339
    until: Rfc3339
    minutes: int
    streams: Annotated[list[DetectedStream], Field(description="that moved")]
    test: Annotated[
        float, formula("bias / its standard deviation: test statistic, standard deviations")
    ]


class DetectionAnswer(TypedDict):
    """The gross errors detected in a scope, and when tests were held back, newest first."""

    scope: str
    items: list[DetectionRow]
    held_back: list[HeldBackRow]
    next: Cursor


@router.get("/{path:path}/balance")
async def read_balance(
    context: AppContext, query: Hourly, component: Component = "chlorine"
) -> BalanceAnswer:
    """Return the flows that close every balance of a scope, and the suspects where none do."""
    network = query.network
    require_component(network, component)
    balance = compile_balance(network, query.scope, component)
    context.require_affordable((len(query.edges) - 1) * balance.incidence.size)
    amounts, sums, stock_quality = await read_streams(context, query, balance)
    closure = close_balance(balance, amounts)
    held = await read_held_back(context, query, balance, amounts, closure)
    known = np.asarray(np.isfinite(closure.estimate).any(axis=1))
    nodes = list(balance.nodes)
    residuals = _amounts("residual", closure.residual, component)
    columns = {
        "component": balance.component,
        **{name: getattr(closure, name) for name in VERDICT},
        "reason": np.where([bool(some) for some in held], NOT_STEADY, closure.reason).tolist(),
        "held_back": [list(some) for some in held],
        "residuals": [
            records(
                NodeResidual,
                len(nodes),
                {"node": nodes, **dict(zip(residuals, each, strict=True))},
            )
            for each in zip(*residuals.values(), strict=True)
        ],
        "streams": _streams(balance, amounts, closure),
        "suspects": [
            [] if some else [sorted(balance.lines[s].id for s in each) for each in suspects]
            for some, suspects in zip(held, closure.suspects, strict=True)
        ],
        "missing_streams": [
            [
                record(
                    MissingStream,
                    {"from": nodes[i], "to": nodes[j]},
                    flow_t=None if component == ELECTRICITY else number(flow, TONNE),
                    flow_kwh=number(flow, KWH) if component == ELECTRICITY else None,
                )
                for i, j, flow in ([] if some else pairs)
            ]
            for some, pairs in zip(held, closure.missing, strict=True)
        ],
    }
    trust = sums.trust(np.arange(len(sums.tags)), known, stock_quality)
    tested = (np.asarray(closure.dof) > 0) & np.isfinite(closure.chi2)
    passed = float((tested & closure.consistent).sum())
    seen = closure.observable.reshape(len(tested), -1)
    unobservable = [line.id for s, line in enumerate(balance.lines) if not seen[:, s].any()]
    return query.answer(
        BalanceAnswer,
        [query.rows(BalanceRow, columns | trust)],
        passed_share=number(ratio(passed, float(tested.sum()))),
        completeness=number(ratio(float(tested.sum()), float(len(tested)))),
        unobservable=unobservable,
    )


@router.get("/{path:path}/detections")
async def read_detections(
    context: AppContext,
    path: ScopePath,
    component: Annotated[Text, Query(description="hydrogen, …; all when none is named")] = "",
    from_: From = None,
    to: To = None,
    limit: Limit = 100,
    cursor: After = 2**62,
) -> DetectionAnswer:
    """Return gross errors detected by the live monitors, newest first; by default of 7 days."""
    context.require_scope(path)
    context.require_page(limit)
    network, now_us = context.model.network, context.now_us()
    components = [component] if component else monitored_components(network, network.park.id)
    if component:
        require_component(network, component)
    from_us, until_us = time_range(now_us, from_, to, 7 * DAY_US)
    # The monitors watch the streams of the whole park.
    ends = {
        (name, line.id): (line.origin, line.to)
        for name in components
        for line in compile_balance(network, network.park.id, name).lines
    }
    streams = [key[1] for key, nodes in ends.items() if any(inside(each, path) for each in nodes)]
    nodes = [scope.id for scope in network.park.scopes if inside(scope.id, path)]
    until = stamp(min(until_us, cursor))
    span = component, stamp(from_us), until, streams
    rows = await context.store.rows(queries.DETECTIONS, *span, nodes, limit + 1)
    held = await context.store.rows(queries.HELD_BACK, *span, limit)
    page, next_us = _page(rows, limit)
    return {
        "scope": path,
        "items": [_detection(context, row, ends, now_us) for row in page],
        "held_back": [
            record(
                HeldBackRow,
                row,
                **context.times(row, "since", "until"),
                streams=_named(row, ends),
            )
            for row in held
        ],
        "next": str(next_us) if next_us else None,
    }


def _page(rows: list[Any], limit: int) -> tuple[list[Any], int]:
    """Return a page of rows with all of its last time, and that time [µs]; 0 on the last page."""
    if len(rows) <= limit:
        return rows, 0
    last = rows[limit - 1]["time"]
    return [row for row in rows if row["time"] >= last], to_us(last)


def _detection(
    context: Context, row: Any, ends: dict[tuple[str, str], tuple[str, str]], now_us: int
) -> DetectionRow:
    """Return a detection; ends of a stream that the model no longer has are null."""
    hold_s = parse_quantity(load_reference("monitor")["live"]["hold"], "time")
    time_us = to_us(row["time"])
    bias, rate = row["bias"], row["rate"] * HOUR_S
    is_power = row["component"] == ELECTRICITY
    return record(
        DetectionRow,
        row,
        **context.times(row, "time", "since"),
        streams=_named(row, ends),
        bias_t_h=None if is_power else number(bias, T_PER_H),
        bias_mw=number(bias, MW) if is_power else None,
        rate_t_h_per_h=None if is_power else number(rate, T_PER_H),
        rate_mw_per_h=number(rate, MW) if is_power else None,
        current=0 <= now_us - time_us < hold_s * SECOND_US,
    )


def _named(row: Any, ends: dict[tuple[str, str], tuple[str, str]]) -> list[DetectedStream]:
    """Return the streams of a row with their ends."""
    pairs = [(name, ends.get((row["component"], name), (None, None))) for name in row["streams"]]
    return [{"id": name, "from": origin, "to": to} for name, (origin, to) in pairs]


def _amounts(name: str, value: F64, component: str) -> dict[str, F64]:
    """Return amounts of a component as fields in t, or of electricity in kWh; NaN in the other."""
    other = np.full(value.shape, np.nan)
    if component == ELECTRICITY:
        return {f"{name}_t": other, f"{name}_kwh": out(value, KWH)}
    return {f"{name}_t": out(value, TONNE), f"{name}_kwh": other}


def _streams(balance: Balance, measured: Amounts, closure: Closure) -> list[list[ReconciledStream]]:
    """Return the streams of each window before and after reconciliation."""
    lines = balance.lines
    analysed = np.array([line.fraction is not None for line in lines], dtype=bool)
    ends = {
        "from": [line.origin for line in lines],
        "to": [line.to for line in lines],
        "id": [line.id for line in lines],
    }
    columns = {
        **{
            key: column
            for name in AMOUNTS
            for key, column in _amounts(name, getattr(closure, name), balance.component).items()
        },
        "fraction": np.where(analysed, measured.fraction, np.nan),
        "fraction_estimate": closure.fraction,
        "fraction_sigma": closure.fraction_sigma,
        "bounded": closure.bounded != 0,
        **{name: getattr(closure, name) for name in ("adjustment", "observable", "redundant")},
    }
    return [
        records(ReconciledStream, len(lines), ends | dict(zip(columns, window, strict=True)))
        for window in zip(*columns.values(), strict=True)
    ]
