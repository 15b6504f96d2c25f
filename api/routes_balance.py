"""The reconciled balance of a component inside a scope, and the meters it does not believe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request, Response

from api import schema_scopes
from api.accounts import TONNE, elapsed_s, read_levels, read_sums
from api.encode import in_uom, json_answer
from api.problems import RESPONSES, not_found
from api.routes_scopes import ScopePath, Window, ask
from api.world import From, To, world
from twin import windows as w
from twin.balances import Balance, compile_balance, flows
from twin.network import FLOW_ITEMS
from twin.reconciliation import Reconciliation, reconcile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from api.accounts import Sums
    from api.routes_scopes import F64
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
    share = w.completeness(sums.covered_s, elapsed)
    ends = np.stack([stock_quality[:-1], stock_quality[1:]], axis=1)
    quality = np.concatenate([sums.quality, ends], axis=1)
    rows = []
    for number, row in enumerate(asked.rows({"component": component})):
        # A meter with a hole has counted too little: the balances say what it missed, not it.
        whole = sums.covered_s[number] >= w.COMPLETE * elapsed[number]
        flow, sigma = _measured(network, found, sums, levels, number, whole)
        result = reconcile(found.incidence, flow, np.nan_to_num(sigma))
        now = slice(number, number + 1)
        known = np.array([bool(np.isfinite(result.estimate).any())])
        grade = w.grade(quality[now], share[now], known)
        trust = {"completeness": float(share[number]), "quality": int(grade[0])}
        rows.append({**row, **_tests(found, flow, sigma, result), **trust})
    return json_answer({"scope": path, "window": window, "items": rows, "next": None})


def _measured(
    network: Network, found: Balance, sums: Sums, levels: F64, number: int, whole: NDArray[np.bool_]
) -> tuple[F64, F64]:
    """Return the amounts of one window that were measured as a whole, and their uncertainties."""
    amount, covered_s = np.full((2, len(network.tags)), np.nan)
    amount[sums.tags] = np.where(whole, sums.amount[number], np.nan)
    covered_s[sums.tags] = sums.covered_s[number]
    return flows(network, found, amount, covered_s, levels[number : number + 2])


def _tests(found: Balance, flow: F64, sigma: F64, result: Reconciliation) -> dict[str, Any]:
    """Return what the tests say of one window: NaN and infinity are null."""

    def tonnes(column: F64) -> list[Any]:
        return _finite(in_uom(column, TONNE, 0.0))

    columns = {
        "measured_t": tonnes(flow),
        "measured_sigma_t": tonnes(sigma),
        "estimate_t": tonnes(result.estimate),
        "sigma_t": tonnes(result.sigma),
        "detectable_t": tonnes(result.detectable),
        "adjustment": _finite(result.adjustment),
        "observable": result.observable.tolist(),
        "redundant": result.redundant.tolist(),
    }
    ids = [line.id for line in found.lines]
    return {
        "consistent": bool(result.consistent),
        "chi2": _finite(np.atleast_1d(result.chi2))[0],
        "chi2_critical": float(result.chi2_critical),
        "dof": int(result.dof),
        "reason": str(result.reason),
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
