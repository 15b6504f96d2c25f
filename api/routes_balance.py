"""The reconciled balance of a component inside a scope, and the meters it does not believe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request, Response

from api import schema_scopes
from api.accounts import TONNE, elapsed_s, read_levels, read_sums
from api.encode import in_uom, json_answer
from api.problems import RESPONSES, not_found
from api.questions import ScopePath, Window, ask
from api.world import From, To, world
from twin import windows as w
from twin.accounts import FLOW_ITEMS
from twin.balances import Amounts, Balance, compile_balance, measure
from twin.closure import Closure, close

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from api.accounts import Sums
    from api.questions import F64
    from twin.network import Network

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES)


@router.get("/{path:path}/balance", response_model=schema_scopes.BalancePage)
async def balance(
    request: Request,
    path: ScopePath,
    component: Annotated[str, Query(description="chlorine, hydrogen, …")] = "chlorine",
    window: Window = "hour",
    from_: From = None,
    to: To = None,
) -> Response:
    """Return the flows that close every balance of a scope, and the suspects where none do."""
    here = world(request)
    asked = ask(here, path, window, from_, to)
    network = asked.network
    components = {a.subject for a in network.accounts if a.item in FLOW_ITEMS}
    if component not in components:
        raise not_found("component", component, components, "/api/v1/park")
    found = compile_balance(network, path, component)
    sums = await read_sums(here, network, found.tags, window, asked.edges)
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
    return json_answer({"scope": path, "window": window, "items": rows, "next": None})


def _measured(
    network: Network, found: Balance, sums: Sums, levels: F64, number: int, whole: NDArray[np.bool_]
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
