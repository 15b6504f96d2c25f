"""A balance of a component closed: what its streams must have carried, and what speaks against it.

References
----------
.. [1] Narasimhan, Jordache: Data Reconciliation and Gross Error Detection, Gulf, 2000, chapters 3
   (linear) and 4 (bilinear).
.. [2] Knepper, Gorman: Statistical analysis of constrained data sets, AIChE Journal 26, 1980,
   260-264, doi:10.1002/aic.690260212.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.arrays import BOOL, F64, ratio
from twin.reconciliation.components import reconcile_components
from twin.reconciliation.least_squares import missing
from twin.reconciliation.linear import reconcile_each

if TYPE_CHECKING:
    from twin.reconciliation.balances import Amounts, Balance
    from twin.reconciliation.linear import Reconciliation


# Figures that are those of the reconciliation where it is linear.
OWN = (
    "estimate", "sigma", "adjustment", "detectable", "observable", "redundant", "suspects",
    "missing", "chi2",
    "chi2_limit", "test", "test_limit", "dof", "consistent", "reason", "bounded",
)  # fmt: skip
# A product of flow and fraction this close to what the balances ask for, as a share, is it.
CLOSED = 1e-10
STEPS = 20


@dataclass(frozen=True, slots=True)
class Closure:
    """The S streams of a balance in windows ``...``, and the M nodes; NaN = not known."""

    measured: F64  # (..., S) [kg] of the component
    measured_sigma: F64  # (..., S) [kg]
    estimate: F64  # (..., S) [kg] closes every balance
    sigma: F64  # (..., S) [kg]
    fraction: F64  # (..., S) [kg/kg] estimate, where the fraction is measured
    fraction_sigma: F64  # (..., S) [kg/kg]
    adjustment: F64  # (..., S) [1] measurement test |z| of the flow meter
    detectable: F64  # (..., S) [kg] bias of the flow named with probability 0.9; inf = none is
    observable: BOOL  # (..., S)
    bounded: Any  # (..., S) int8: -1 where the estimate is zero because it cannot be negative
    redundant: BOOL  # (..., S) something measured of this stream is checked by the balances
    residual: F64  # (..., M) [kg] in - out as measured
    chi2: Any  # (...) float64 [1]
    chi2_limit: Any  # (...) float64 [1]
    test: F64  # (...) [1] greatest of all tests of a single meter or leak
    test_limit: Any  # (...) float64 [1]
    dof: Any  # (...) int
    consistent: Any  # (...) bool
    reason: Any  # (...) str: why there is no solution or no check
    # Streams whose flow or fraction cannot be believed, most first; with windows a list for each.
    suspects: list[Any]
    # (from, to, flow [kg]) of streams between nodes that nobody knows of; with windows likewise.
    missing: list[Any]


def close_balance(balance: Balance, amounts: Amounts) -> Closure:
    """Return the estimates of windows, and the tests of the meters they rest on.

    Parameters
    ----------
    balance : Balance
        M nodes, S streams
    amounts : Amounts
        (..., S) [kg, kg/kg]; all windows are solved at once

    Returns
    -------
    Closure

    Notes
    -----
    Linear where every fraction is known, else bilinear: what a meter and an analyser say is
    adjusted together [1]_. Only the component is balanced: what else is in the streams has sources
    the model does not know. So a flow and its fraction stand in no balance but by their product,
    and each linearisation [2]_ is a linear balance of what the streams carry. Windows in which
    these steps do not settle are solved one by one, in steps that are halved where they lead away.
    A flow whose meter shows one way only is not negative, but for these windows.
    """
    if amounts.flow.ndim == 1:
        only = close_balance(balance, _each(amounts, None))
        return Closure(*(getattr(only, name)[0] for name in Closure.__slots__))
    measured, sigma = amounts.carried()
    analysed = np.array([line.fraction is not None for line in balance.lines], dtype=bool)
    flow, fraction, settled = _descend(balance, amounts, steps=STEPS if analysed.any() else 0)
    product, product_sigma = _linearised(amounts, flow, fraction)
    result = reconcile_each(balance.incidence, product, product_sigma, lower=balance.lower)
    figures: dict[str, Any] = {name: getattr(result, name) for name in OWN}
    shares = _fractions(amounts, result, product_sigma, flow, fraction)
    has_fraction = analysed & np.isfinite(result.chi2)[:, None]
    figures["fraction"], figures["fraction_sigma"] = np.where(has_fraction, shares, np.nan)
    blind = np.abs(balance.incidence) @ missing(measured)[..., None] > 0
    figures["residual"] = np.where(
        blind[..., 0], np.nan, np.where(missing(measured), 0.0, measured) @ balance.incidence.T
    )
    for window in np.flatnonzero(~settled).tolist():
        for name, value in _alone(balance, _each(amounts, window), analysed).items():
            figures[name][window] = value
    return Closure(measured=measured, measured_sigma=sigma, **figures)


def _each(amounts: Amounts, window: int | BOOL | None) -> Amounts:
    """Return the amounts of some windows; None makes one window a list of one."""
    parts = (amounts.flow, amounts.sigma, amounts.fraction, amounts.fraction_sigma)
    return type(amounts)(*(part[window] for part in parts))


def _linearised(amounts: Amounts, flow: F64, fraction: F64) -> tuple[F64, F64]:
    """Return what the meters say of the products near (W, S) flows and fractions, and its sigma."""
    product = flow * amounts.fraction + fraction * amounts.flow - flow * fraction
    return product, np.hypot(fraction * amounts.sigma, flow * amounts.fraction_sigma)


def _descend(balance: Balance, amounts: Amounts, steps: int) -> tuple[F64, F64, BOOL]:
    """Return the (W, S) flows and fractions the steps lead to, and (W,) whether they arrived."""
    flow, fraction = amounts.flow.copy(), amounts.fraction.copy()
    settled = np.full(len(flow), steps == 0)
    for _ in range(steps):
        near = _each(amounts, ~settled)
        at_flow, at_fraction = flow[~settled], fraction[~settled]
        product, sigma = _linearised(near, at_flow, at_fraction)
        estimate = reconcile_each(balance.incidence, product, sigma, lower=balance.lower).estimate
        # The adjustment of a product is shared out by what the two uncertainties make of it.
        force = np.nan_to_num(ratio(product - estimate, sigma**2))
        next_flow = near.flow - at_fraction * near.sigma**2 * force
        next_fraction = near.fraction - at_flow * near.fraction_sigma**2 * force
        off = np.abs(next_flow * next_fraction - estimate)
        flow[~settled], fraction[~settled] = next_flow, next_fraction
        settled[~settled] = ~(off > CLOSED * (np.abs(estimate) + sigma)).any(axis=-1)
        if settled.all():
            break
    return flow, fraction, settled


def _fractions(
    amounts: Amounts, result: Reconciliation, sigma: F64, flow: F64, fraction: F64
) -> tuple[F64, F64]:
    """Return the (W, S) estimates of the fractions, and their standard uncertainties.

    `sigma` is that of the products at the solution. What the balances say of a product without a
    fraction of its own is, over the flow, the fraction.
    """
    gained = ratio(flow * amounts.fraction_sigma**2, sigma**2) ** 2 * (sigma**2 - result.sigma**2)
    own = np.sqrt(np.maximum(amounts.fraction_sigma**2 - np.nan_to_num(gained), 0.0))
    derived = ratio(result.estimate, amounts.flow)
    derived_sigma = ratio(np.hypot(result.sigma, derived * amounts.sigma), np.abs(amounts.flow))
    lost, alone = missing(amounts.fraction), missing(amounts.flow)
    return (
        np.where(lost, derived, np.where(alone, amounts.fraction, fraction)),
        np.where(lost, derived_sigma, own),
    )


def _alone(balance: Balance, amounts: Amounts, analysed: BOOL) -> dict[str, Any]:
    """Return the figures of one window with flows and fractions as quantities of their own.

    A fraction that is no variable is known exactly.
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
    return {
        **{name: getattr(result, name) for name in OWN},
        "estimate": solved.carried[:, 0],
        "sigma": solved.carried_sigma[:, 0],
        "fraction": np.where(analysed, solved.fraction[:, 0], np.nan),
        "fraction_sigma": np.where(analysed, solved.fraction_sigma[:, 0], np.nan),
        "adjustment": result.adjustment[flow],
        "detectable": result.detectable[flow] * solved.fraction[:, 0],
        "observable": result.observable[carried],
        "redundant": result.redundant[flow] | (result.redundant[fraction] & analysed),
        "residual": solved.residual[:, 0],
        "bounded": result.bounded[carried],
        "suspects": _streams(result.suspects, streams),
        "missing": [pair for pair in result.missing if max(pair[:2]) < len(balance.nodes)],
    }


def _streams(suspects: list[set[int]], streams: int) -> list[set[int]]:
    """Return the suspect streams, each once: a flow and its fraction cannot be told apart."""
    streams_of: list[set[int]] = []
    for suspect in suspects:
        some = {quantity % streams for quantity in suspect}
        if some not in streams_of:
            streams_of.append(some)
    return streams_of
