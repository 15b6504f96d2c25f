"""Reconciled flows of an hour as derived tags: of each stream the estimate and its interval.

They are functions of the sums of the hour, so that live and replayed ones cannot differ.

References
----------
.. [1] Narasimhan, Jordache: Data Reconciliation and Gross Error Detection, Gulf, 2000, chapter 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin import quality as q
from twin.accounts.cells import effective_sums
from twin.accounts.network import derived_tag
from twin.accounts.tanks import tags_of_tanks
from twin.arrays import BOOL, F64, HOUR_S, I64, U8
from twin.reconciliation.balances import Balance, compile_balance, measure
from twin.reconciliation.closure import close_balance
from twin.reconciliation.monitor import monitored_components
from twin.reconciliation.uncertainty import half_width
from twin.series.coverage import COMPLETE

if TYPE_CHECKING:
    from twin.accounts.network import Network
    from twin.model.park import Tag

NO_TAGS = np.zeros(0, np.int64)
# Roles in the names of the tags: the estimate, and half the width of its interval.
ROLES = "reconciled", "reconciled_ci"


@dataclass(frozen=True, slots=True)
class Estimates:
    """What is estimated in a park: the balances of E streams in all."""

    network: Network
    balances: tuple[Balance, ...]
    tags: tuple[Tag, ...]  # (2 E,) estimate and half width, stream by stream
    inputs: I64  # (U,) tags of meters and analysers
    levels: I64  # (V,) tags of tanks


def compile_estimates(network: Network) -> Estimates:
    """Return the estimates of a park: of every component with a balance that checks its meters."""
    root = network.park.id
    balances = [compile_balance(network, root, c) for c in monitored_components(network, root)]
    kinds = {scope.id: scope.kind for scope in network.park.scopes}
    tags = [
        derived_tag(scope, balance.component, f"{name}.{role}", kinds, HOUR_S)
        for balance in balances
        for scope, name in _names(balance, kinds)
        for role in ROLES
    ]
    tanks = [k for balance in balances for line in balance.lines for k in line.tanks]
    read = np.unique(np.concatenate([NO_TAGS, *(balance.tags for balance in balances)]))
    # Effective currents follow from the sums of an hour, too: of late samples they are not stored.
    cells = network.cells
    return Estimates(
        network,
        tuple(balances),
        tuple(tags),
        np.union1d(np.setdiff1d(read, cells.effective), cells.inputs(read)),
        tags_of_tanks(network.tanks, tanks),
    )


def _names(balance: Balance, kinds: dict[str, str]) -> list[tuple[str, str]]:
    """Return the scope and the name of each stream: cells and stocks go by their node."""
    names = []
    for line in balance.lines:
        # The name of a junction of meters begins with its scope.
        ends = (end.partition(":")[0] for end in (line.origin, line.to))
        scope = next(end for end in ends if end in kinds)
        names.append((scope, line.id.removeprefix(f"{scope}:").replace(":", ".")))
    return names


def estimate_hours(
    estimates: Estimates, amount: F64, covered_s: F64, level: F64, quality: U8
) -> tuple[F64, U8]:
    """Return the reconciled flows of some hours, and their quality.

    Parameters
    ----------
    estimates : Estimates
        E streams in all balances, T tags in the network
    amount, covered_s : (H, T) float64 [SI, s]
        sums of each tag over each hour; NaN = no value
    level : (H, 2, T) float64 [SI]
        last values of tags before the two edges of each hour
    quality : (H, T) uint8
        worst quality of each tag in each hour

    Returns
    -------
    value : (H, 2 E) float64 [kg/s]
        in the order of `estimates.tags`; NaN where the balances do not tell the flow
    quality : (H, 2 E) uint8
        uncertain where a meter has a hole, or where the balances contradict the meters

    Notes
    -----
    Least squares under the balances of each component [1]_; the width is that of 95 %.
    """
    amount, covered_s, quality = _with_effective(estimates.network, amount, covered_s, quality)
    whole = covered_s >= COMPLETE * HOUR_S
    amount = np.where(whole, amount, np.nan)
    values, marks = [], []
    for balance in estimates.balances:
        closure = close_balance(
            balance, measure(estimates.network, balance, amount, covered_s, level)
        )
        pair = np.stack([closure.estimate, half_width(closure.sigma)], axis=-1) / HOUR_S
        values.append(np.where(closure.observable[..., None], pair, np.nan))
        mark = _quality(balance, quality, whole, np.asarray(closure.consistent, bool))
        marks.append(np.broadcast_to(mark[:, None, None], pair.shape))
    hours = len(amount)
    flat = [np.concatenate([each.reshape(hours, -1) for each in parts], axis=1)
            for parts in (values, marks)]  # fmt: skip
    value, mark = flat[0], flat[1].astype(np.uint8)
    lost = np.uint8(q.NO_DATA) | (mark & np.uint8(q.SIMULATED))
    return value, np.where(np.isnan(value), lost, mark)


def _with_effective(
    network: Network, amount: F64, covered_s: F64, quality: U8
) -> tuple[F64, F64, U8]:
    """Return sums and quality with those of the effective currents of analysed electrolysers."""
    cells, quality = network.cells, quality.copy()
    amount, covered_s = amount.copy(), covered_s.copy()
    charge, mark = effective_sums(cells, amount, covered_s, quality)
    amount[:, cells.effective], quality[:, cells.effective] = charge, mark
    covered_s[:, cells.effective] = covered_s[:, cells.current]
    return amount, covered_s, quality


def _quality(balance: Balance, quality: U8, whole: BOOL, consistent: BOOL) -> U8:
    """Return the quality of the estimates of a balance, (H,): they follow from all its meters."""
    worst = q.worst_of(quality[:, balance.tags], np.zeros(1, np.intp))[:, 0]
    hole = np.where(whole[:, balance.tags].all(axis=1), 0, q.UNCERTAIN | q.INCOMPLETE)
    clash = np.where(consistent, 0, q.UNCERTAIN | q.INCONSISTENT)
    return q.worse(q.worse(worst, hole.astype(np.uint8)), clash.astype(np.uint8))
