"""The reconciled balances of a scope, the meters they do not believe, and who was named live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
from fastapi import APIRouter, Request, Response

from api import queries, schema_scopes
from api.context import After, From, Limit, To, stretch, world
from api.encode import in_uom, json_answer, rfc3339
from api.problems import RESPONSES
from api.sums import TONNE, elapsed_s, read_levels, read_sums
from api.windows import Component, Hourly, ScopePath, require_component
from deploy.database.times import stamp, to_us
from twin.arrays import BOOL, DAY_US, F64, SECOND_US
from twin.model.park import inside
from twin.reconciliation.balances import Amounts, Balance, compile_balance, measure
from twin.reconciliation.closure import Closure, close
from twin.reference import load as load_reference
from twin.series import windows as w
from twin.uom import compile_uom, parse_quantity

if TYPE_CHECKING:
    from api.sums import Sums
    from twin.accounts.network import Network

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES)

T_PER_H = compile_uom("t/h", "mass_flow")[0]


@router.get("/{path:path}/balance", response_model=schema_scopes.BalancePage)
async def balance(request: Request, asked: Hourly, component: Component = "chlorine") -> Response:
    """Return the flows that close every balance of a scope, and the suspects where none do."""
    here, network = world(request), asked.network
    require_component(network, component)
    found = compile_balance(network, asked.scope, component)
    sums = await read_sums(here, network, found.tags, asked.window, asked.edges)
    tanks = np.array([k for line in found.lines for k in line.tanks], dtype=np.int64)
    levels, stock_quality = await read_levels(here, network, tanks, asked.edges, asked.expected_us)
    elapsed = elapsed_s(asked.edges, asked.expected_us)
    share, each = w.completeness(sums.covered_s, elapsed), w.shares(sums.covered_s, elapsed)
    ends = np.stack([stock_quality[:-1], stock_quality[1:]], axis=1)
    quality = np.concatenate([sums.quality, ends], axis=1)
    rows = []
    for number, row in enumerate(asked.rows({"component": component})):
        # A meter with a hole has counted too little: the balances say what it missed, not it.
        whole = sums.covered_s[number] >= w.COMPLETE * elapsed[number]
        measured = _measured(network, found, sums, levels, number, whole)
        result = close(found, measured)
        now = slice(number, number + 1)
        known = np.array([bool(np.isfinite(result.estimate).any())])
        grade = w.grade(quality[now], each[now], known)
        trust = {"completeness": float(share[number]), "quality": int(grade[0])}
        rows.append({**row, **_tests(found, measured, result), **trust})
    return json_answer({"scope": asked.scope, "window": asked.window, "items": rows, "next": None})


@router.get("/{path:path}/namings", response_model=schema_scopes.NamingPage)
async def namings(
    request: Request,
    path: ScopePath,
    component: Component = "chlorine",
    from_: From = None,
    to: To = None,
    limit: Limit = 100,
    cursor: After = 2**62,
) -> Response:
    """Return whom the watch over the balances has named, the newest first: in the last 7 days."""
    here = world(request)
    here.require_scope(path)
    here.require_page(limit)
    network, now_us = here.model.network, here.now_us()
    require_component(network, component)
    from_us, until_us = stretch(now_us, from_, to, 7 * DAY_US)
    # Named are streams of the whole park.
    ends = {
        line.id: (line.origin, line.to)
        for line in compile_balance(network, network.park.id, component).lines
    }
    ours = [name for name, places in ends.items() if any(inside(each, path) for each in places)]
    places = [scope.id for scope in network.park.scopes if inside(scope.id, path)]
    asked = component, stamp(from_us), stamp(min(until_us, cursor)), ours, places, limit + 1
    rows = await here.store.rows(queries.NAMINGS, *asked)
    items = [_naming(row, ends, now_us, ZoneInfo(network.park.timezone)) for row in rows[:limit]]
    following = str(to_us(rows[limit - 1]["time"])) if len(rows) > limit else None
    return json_answer({"scope": path, "items": items, "next": following})


def _naming(
    row: Any, ends: dict[str, tuple[str, str]], now_us: int, zone: ZoneInfo
) -> dict[str, Any]:
    """Return a naming; ends of a stream that the model no longer has are null."""
    hold_s = parse_quantity(load_reference("monitor")["live"]["hold"], "time")
    time_us = to_us(row["time"])
    named = [(name, *ends.get(name, (None, None))) for name in row["streams"]]
    return {
        "time": rfc3339(time_us, zone),
        "since": rfc3339(to_us(row["since"]), zone),
        "streams": [{"id": name, "from": origin, "to": to} for name, origin, to in named],
        "leaks": row["leaks"],
        "bias_t_h": float(in_uom(np.array(row["bias"]), T_PER_H, 0.0)),
        "test": row["test"],
        "current": 0 <= now_us - time_us < hold_s * SECOND_US,
    }


def _measured(
    network: Network, found: Balance, sums: Sums, levels: F64, number: int, whole: BOOL
) -> Amounts:
    """Return the amounts of one window that were measured as a whole, and their uncertainties."""
    amount, covered_s = np.full((2, len(network.tags)), np.nan)
    amount[sums.tags] = np.where(whole, sums.amount[number], np.nan)
    covered_s[sums.tags] = sums.covered_s[number]
    return measure(network, found, amount, covered_s, levels[number : number + 2])


def _tests(found: Balance, measured: Amounts, result: Closure) -> dict[str, Any]:
    """Return what the tests say of one window: NaN and infinity are null."""

    def tonnes(column: F64) -> list[Any]:
        return _finite(in_uom(column, TONNE, 0.0))

    analysed = [line.fraction is not None for line in found.lines]
    columns = {
        "measured_t": tonnes(result.measured),
        "measured_sigma_t": tonnes(result.measured_sigma),
        "estimate_t": tonnes(result.estimate),
        "sigma_t": tonnes(result.sigma),
        "detectable_t": tonnes(result.detectable),
        "fraction": _finite(np.where(analysed, measured.fraction, np.nan)),
        "fraction_estimate": _finite(result.fraction),
        "fraction_sigma": _finite(result.fraction_sigma),
        "adjustment": _finite(result.adjustment),
        "observable": result.observable.tolist(),
        "redundant": result.redundant.tolist(),
    }
    ids = [line.id for line in found.lines]
    return {
        "consistent": result.consistent,
        "chi2": _finite(np.array([result.chi2]))[0],
        "chi2_critical": result.chi2_critical,
        "dof": result.dof,
        "reason": result.reason,
        "residuals": [
            {"node": node, "residual_t": value}
            for node, value in zip(found.nodes, tonnes(result.residual), strict=True)
        ],
        "streams": [
            {"id": line.id, "from": line.origin, "to": line.to}
            | {name: column[s] for name, column in columns.items()}
            for s, line in enumerate(found.lines)
        ],
        "suspects": [sorted(ids[s] for s in suspects) for suspects in result.suspects],
    }


def _finite(column: F64) -> list[Any]:
    """Return numbers, None for what is not one."""
    return [value if np.isfinite(value) else None for value in np.asarray(column).tolist()]
