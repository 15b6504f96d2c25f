"""A balance of a component closed: what its streams must have carried, and what speaks against it.

References
----------
.. [1] Narasimhan, Jordache: Data Reconciliation and Gross Error Detection, Gulf, 2000, chapters 3
   (linear) and 4 (bilinear).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.arrays import BOOL, F64
from twin.reconciliation.components import reconcile_components
from twin.reconciliation.linear import reconcile

if TYPE_CHECKING:
    from twin.reconciliation.balances import Amounts, Balance
    from twin.reconciliation.linear import Reconciliation


# Figures of streams and nodes that are those of the reconciliation where it is linear.
OWN = (
    "estimate", "sigma", "adjustment", "detectable", "observable", "redundant", "residual",
    "suspects",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Closure:
    """The S streams of a balance in one window, and the M nodes; NaN = not known."""

    measured: F64  # (S,) [kg] of the component
    measured_sigma: F64  # (S,) [kg]
    estimate: F64  # (S,) [kg] closes every balance
    sigma: F64  # (S,) [kg]
    fraction: F64  # (S,) [kg/kg] estimate, where the fraction is measured
    fraction_sigma: F64  # (S,) [kg/kg]
    adjustment: F64  # (S,) [1] measurement test |z| of the flow meter
    detectable: F64  # (S,) [kg] least bias of the flow that a test shows; inf = not checkable
    observable: BOOL  # (S,)
    redundant: BOOL  # (S,) something measured of this stream is checked by the balances
    residual: F64  # (M,) [kg] in - out as measured
    chi2: float
    chi2_critical: float
    dof: int
    consistent: bool
    reason: str  # why there is no solution or no check
    suspects: list[set[int]]  # streams whose flow or fraction cannot be believed, most first


def close_balance(balance: Balance, amounts: Amounts) -> Closure:
    """Return the estimates of one window, and the tests of the meters they rest on.

    Parameters
    ----------
    balance : Balance
        M nodes, S streams
    amounts : Amounts
        (S,) of one window [kg, kg/kg]

    Returns
    -------
    Closure

    Notes
    -----
    Linear where every fraction is known, else bilinear: what a meter and an analyser say is
    adjusted together [1]_.
    """
    measured, sigma = amounts.carried()
    analysed = np.array([line.fraction is not None for line in balance.lines], dtype=bool)
    if analysed.any():
        result, own = _bilinear(balance, amounts, analysed)
    else:
        result = reconcile(balance.incidence, measured, np.nan_to_num(sigma))
        own = {name: getattr(result, name) for name in OWN}
        own["fraction"] = own["fraction_sigma"] = np.full(len(measured), np.nan)
    return Closure(
        measured=measured,
        measured_sigma=sigma,
        chi2=float(result.chi2),
        chi2_critical=float(result.chi2_critical),
        dof=int(result.dof),
        consistent=bool(result.consistent),
        reason=str(result.reason),
        **own,
    )


def _bilinear(
    balance: Balance, amounts: Amounts, analysed: BOOL
) -> tuple[Reconciliation, dict[str, Any]]:
    """Return all tests, and the figures of streams and nodes by flows and fractions.

    A fraction that is no variable is known exactly. Only the component is balanced: what else is in
    the streams has sources the model does not know.
    """
    streams = len(balance.lines)
    solved = reconcile_components(
        balance.incidence,
        amounts.flow,
        amounts.fraction[:, None],
        amounts.sigma,
        amounts.fraction_sigma[:, None],
        total=False,
    )
    result = solved.result
    flow, fraction, carried = (slice(start, start + streams) for start in (0, streams, 2 * streams))
    return result, {
        "estimate": solved.carried[:, 0],
        "sigma": solved.carried_sigma[:, 0],
        "fraction": np.where(analysed, solved.fraction[:, 0], np.nan),
        "fraction_sigma": np.where(analysed, solved.fraction_sigma[:, 0], np.nan),
        "adjustment": result.adjustment[flow],
        "detectable": result.detectable[flow] * solved.fraction[:, 0],
        "observable": result.observable[carried],
        "redundant": result.redundant[flow] | (result.redundant[fraction] & analysed),
        "residual": solved.residual[:, 0],
        "suspects": _streams(result.suspects, streams),
    }


def _streams(suspects: list[set[int]], streams: int) -> list[set[int]]:
    """Return the suspect streams, each once: a flow and its fraction cannot be told apart."""
    streams_of: list[set[int]] = []
    for suspect in suspects:
        some = {quantity % streams for quantity in suspect}
        if some not in streams_of:
            streams_of.append(some)
    return streams_of
