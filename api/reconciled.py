"""Figures of windows that stand on reconciled flows where the balances of the park allow it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
from fastapi import Query
from pydantic import Field

from api.component_balance import flow_accounts, read_streams, tanks_of
from api.encode import ONE, TONNE, out
from api.sums import cost_of_sums
from twin import quality as q
from twin.accounts.tanks import tags_of_tanks
from twin.arrays import BOOL, F64, U8
from twin.reconciliation.balances import compile_balance, degrees_of_freedom
from twin.reconciliation.figures import reconcile_figures, stream_weights
from twin.reconciliation.uncertainty import half_width, weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.context import Context
    from api.windows import WindowQuery
    from twin.reconciliation.balances import Balance

Basis = Literal["reconciled", "measured"]
Values = Annotated[
    Basis,
    Query(
        description="what flows stand on: reconciled where the balances of the park check their "
        "meters and find none in error, or measured"
    ),
]
StandsOn = Annotated[Basis, Field(description="what the flows of the row stand on")]


class ReconciledColumns(NamedTuple):
    """Columns of an answer by the closed balances, for W windows."""

    columns: dict[str, F64]  # (W,) in the units of an answer
    stands: BOOL  # (W,) where they are to be used
    quality: U8  # (W,) of the meters they follow from


async def read_reconciled(
    context: Context,
    query: WindowQuery,
    component: str,
    values: Basis,
    ratios: Mapping[str, tuple[F64, F64]],
) -> ReconciledColumns:
    """Return the flows, the change of the stock and some ratios of a scope, and their intervals.

    `ratios` are weights of two sums, (T,); of one that is no ratio of the component's streams there
    is no column. There are none at all where the values are to be measured, where the balances of
    the whole park check nothing or do not tell the flows of the scope, and where they cost more
    than a calculation may; raises StoreError.
    """
    nothing = np.zeros(len(query.edges) - 1, np.uint8)
    measured = ReconciledColumns({}, nothing > 0, nothing)
    if values == "measured":
        return measured
    balance = compile_balance(query.network, query.network.park.id, component)
    sums = _sums(query, balance)
    pairs = {
        name: np.stack([stream_weights(balance, each) for each in pair])
        for name, pair in ratios.items()
    }
    pairs = {name: pair for name, pair in pairs.items() if np.isfinite(pair).all()}
    lost = not sums or any(np.isnan(row).any() for row in sums.values())
    extra = len(sums) + 3 * len(pairs)
    if lost or not degrees_of_freedom(balance) or not _affordable(context, query, balance, extra):
        return measured
    streams = await read_streams(context, query, balance)
    result = reconcile_figures(
        balance,
        streams.amounts,
        np.stack(list(sums.values())),
        np.array(list(pairs.values())).reshape(-1, 2, len(balance.lines)),
    )
    uoms = [*((f"{name}{{}}_t", TONNE) for name in sums), *((f"{name}{{}}", ONE) for name in pairs)]
    columns = {}
    for n, (name, uom) in enumerate(uoms):
        columns[name.format("")] = out(result.value[:, n], uom)
        columns[name.format("_ci")] = out(half_width(result.sigma[:, n]), uom)
    used = np.column_stack([streams.sums.quality, streams.ends[:-1], streams.ends[1:]])
    return ReconciledColumns(columns, result.stands, q.worst_of(used, np.zeros(1, np.intp))[:, 0])


def _sums(query: WindowQuery, balance: Balance) -> dict[str, F64]:
    """Return the flows of the scope and the change of its stock as sums of streams, (S,) each."""
    network, scope, component = query.network, query.scope, balance.component
    sums = {
        account.item: stream_weights(balance, weights(network, {account: 1.0}))
        for account in flow_accounts(scope, component)
        if account in network.accounts
    }
    tanks = network.tanks.scopes.get((scope, component))
    if sums and tanks is not None:
        nothing = np.zeros(len(network.tags))
        sums["inventory_change"] = stream_weights(balance, nothing, tanks.tolist())
    return sums


def _affordable(context: Context, query: WindowQuery, balance: Balance, extra: int) -> bool:
    """Tell whether the balance of the park can be read and solved with some streams more."""
    nodes, streams = balance.incidence.shape
    windows = len(query.edges) - 1
    levels = tags_of_tanks(query.network.tanks, tanks_of(balance))
    costs = (
        windows * (nodes + extra) * (streams + extra),
        cost_of_sums(query, len(balance.tags)),
        (windows + 1) * len(levels),
    )
    return bool(max(costs) <= context.settings.calculation_values_max)


def stand_on(reconciled: ReconciledColumns, columns: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of an answer with the reconciled ones where they stand, and `values`."""
    stands = reconciled.stands
    changed: dict[str, Any] = {
        name: np.where(stands, column, columns[name]) for name, column in reconciled.columns.items()
    }
    worse = q.worse(columns["quality"], reconciled.quality)
    changed["quality"] = np.where(stands, worse, columns["quality"])
    changed["values"] = np.where(stands, "reconciled", "measured").tolist()
    return columns | changed
