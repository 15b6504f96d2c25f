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
from twin.arrays import BOOL, F64, U8, ratio
from twin.reconciliation.balances import (
    ELECTROLYSERS,
    compile_balance,
    degrees_of_freedom,
)
from twin.reconciliation.figures import ReconciledFigures, reconcile_figures, stream_weights
from twin.reconciliation.monitor import monitored_components
from twin.reconciliation.uncertainty import half_width, weights
from twin.series.coverage import COMPLETE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.context import Context
    from api.joint import Joint
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


class ReconciledAmount(NamedTuple):
    """A weighted sum of tags by the closed balances, for W windows."""

    value: F64  # (W,) [kg]
    sigma: F64  # (W,) [kg]
    stands: BOOL  # (W,) where it is to be used
    quality: U8  # (W,) of the meters it follows from


class Intensity(NamedTuple):
    """A ratio to a mass in W windows, (W,) each."""

    value: F64  # [SI] NaN = not known
    half_width: F64  # [SI]
    enough: BOOL  # is covered for a value
    decisive: BOOL  # and for a verdict


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
    closed = None if lost else await _close(context, query, balance, sums, pairs)
    if closed is None:
        return measured
    result, quality = closed
    uoms = [*((f"{name}{{}}_t", TONNE) for name in sums), *((f"{name}{{}}", ONE) for name in pairs)]
    columns = {}
    for n, (name, uom) in enumerate(uoms):
        columns[name.format("")] = out(result.value[:, n], uom)
        columns[name.format("_ci")] = out(half_width(result.sigma[:, n]), uom)
    return ReconciledColumns(columns, result.stands, quality)


def no_amount(windows: int) -> ReconciledAmount:
    """Return an amount that stands nowhere."""
    unknown, nothing = np.full(windows, np.nan), np.zeros(windows, np.uint8)
    return ReconciledAmount(unknown, unknown, nothing > 0, nothing)


async def read_amounts(
    context: Context, query: WindowQuery, values: Basis, wanted: Mapping[str, F64], made: str = ""
) -> dict[str, ReconciledAmount]:
    """Return weighted sums of tags, (T,) each, by the closed balances of the whole park.

    A sum stands where it is a sum of streams of one component, whose balances check the meters and
    find none in error. None stands where the values are to be measured, or where the balance costs
    more than a calculation may. What electrolysers make has a part in sums of the component `made`
    only: the efficiency of one component is not that of another. Raises StoreError.
    """
    network = query.network
    amounts = dict.fromkeys(wanted, no_amount(len(query.edges) - 1))
    missing = {name: weight for name, weight in wanted.items() if np.nan_to_num(weight).any()}
    if values == "measured" or not missing:
        return amounts
    components = monitored_components(network, network.park.id)
    for component in [made] if made in components else [] if made else components:
        balance = compile_balance(network, network.park.id, component)
        metered = set(balance.tags.tolist())
        sums = {
            name: stream_weights(balance, weight)
            for name, weight in missing.items()
            if metered.issuperset(np.flatnonzero(weight).tolist())
        }
        # Of an analysed stream the balances tell the component, not the mass.
        apart = np.array(
            [
                line.fraction is not None or (ELECTROLYSERS in (line.origin, line.to) and not made)
                for line in balance.lines
            ],
            bool,
        )
        sums = {
            name: part
            for name, part in sums.items()
            if np.isfinite(part).all() and not part[apart].any()
        }
        closed = await _close(context, query, balance, sums, {}) if sums else None
        if closed is None:
            continue
        result, quality = closed
        for n, name in enumerate(sums):
            value, sigma = result.value[:, n], result.sigma[:, n]
            stands = result.sound & np.isfinite(value) & np.isfinite(sigma)
            amounts[name] = ReconciledAmount(value, sigma, stands, quality)
            del missing[name]
    return amounts


async def _close(
    context: Context,
    query: WindowQuery,
    balance: Balance,
    sums: Mapping[str, F64],
    pairs: Mapping[str, F64],
) -> tuple[ReconciledFigures, U8] | None:
    """Return sums and ratios of the streams of a balance, and the quality (W,) of its meters.

    None where the balance checks nothing, or costs more than a calculation may; raises StoreError.
    """
    extra = len(sums) + 3 * len(pairs)
    if not degrees_of_freedom(balance) or not _affordable(context, query, balance, extra):
        return None
    streams = await read_streams(context, query, balance)
    result = reconcile_figures(
        balance,
        streams.amounts,
        np.stack(list(sums.values())),
        np.array(list(pairs.values())).reshape(-1, 2, len(balance.lines)),
    )
    used = np.column_stack([streams.sums.quality, streams.ends[:-1], streams.ends[1:]])
    return result, q.worst_of(used, np.zeros(1, np.intp))[:, 0]


def covered_by(mass: ReconciledAmount, *joints: Joint) -> ReconciledAmount:
    """Return an amount that stands where all else in a figure is covered, as it is itself."""
    stands = np.all([mass.stands, *(joint.share >= COMPLETE for joint in joints)], axis=0)
    return mass._replace(stands=stands)


def per_amount(
    mass: ReconciledAmount, over: Joint, both: Joint, product: str, weight: tuple[F64, F64]
) -> Intensity:
    """Return the ratio of a measured sum to a mass, to the reconciled one where it stands.

    The joint times are those of what is measured, and of the mass as well; the weights of both
    sums are of all tags. The meters of the two have no part in each other's errors.
    """
    value, width = both.ratio(product, *weight)
    used, used_ci = over.sums.weigh(weight[0]), over.sums.ci(product, weight[0])
    other = ratio(used, mass.value)
    other_ci = np.hypot(used_ci, np.abs(other) * half_width(mass.sigma)) / np.abs(mass.value)
    stands = mass.stands & np.isfinite(other)
    return Intensity(
        np.where(stands, other, value),
        np.where(stands, other_ci, width),
        both.enough | stands,
        both.decisive | stands,
    )


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


def basis_of(stands: BOOL) -> list[Basis]:
    """Return what figures of windows stand on, for an answer."""
    return ["reconciled" if each else "measured" for each in stands.tolist()]


def stand_on(reconciled: ReconciledColumns, columns: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of an answer with the reconciled ones where they stand, and `values`."""
    stands = reconciled.stands
    changed: dict[str, Any] = {
        name: np.where(stands, column, columns[name]) for name, column in reconciled.columns.items()
    }
    worse = q.worse(columns["quality"], reconciled.quality)
    changed["quality"] = np.where(stands, worse, columns["quality"])
    changed["values"] = basis_of(stands)
    return columns | changed
