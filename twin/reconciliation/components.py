"""Balances of components: what a stream carries is its flow times a fraction, both uncertain.

Energy is a component as well: with the specific enthalpy as its fraction, and no sum of one, the
same balances hold for streams that exchange heat by mixing [1]_. In a heat exchanger the balances
of mass are those of its two sides, the balance of energy is one: the two have incidences of their
own, as in a reactor, which leaves the mass but not the components alone.

References
----------
.. [1] Narasimhan, Jordache: Data Reconciliation and Gross Error Detection, Gulf, 2000, chapter 4,
   bilinear systems.
.. [2] Crowe: Reconciliation of process flow rates by matrix projection, part II, the nonlinear
   case, AIChE Journal 32, 1986, 616-623, doi:10.1002/aic.690320410.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.arrays import F64, INTP
from twin.reconciliation.least_squares import missing, numbers
from twin.reconciliation.nonlinear import reconcile_nonlinear
from twin.reconciliation.observability import NOTHING

if TYPE_CHECKING:
    from twin.reconciliation.linear import Reconciliation


@dataclass(frozen=True, slots=True)
class Components:
    """Estimates of flows, of fractions, and of what the streams carry of each component.

    S streams, C components, ``...`` times; NaN where not observable. [u] is the uom of the flow,
    [f] that of the fraction.
    """

    flow: F64  # (..., S) [u]
    flow_sigma: F64  # (..., S) [u] standard uncertainty of the estimate
    fraction: F64  # (..., S, C) [f]
    fraction_sigma: F64  # (..., S, C) [f]
    carried: F64  # (..., S, C) [u f] flow times fraction; observable where these two are not
    carried_sigma: F64  # (..., S, C) [u f]
    residual: F64  # (..., K, C) [u f] in - out as measured; NaN if a stream of the node is missing
    # All tests. Its quantities are the S flows, then the fractions and then what is carried, both
    # stream by stream; its balances begin with the balances of mass, node by node, and those of
    # the components, (K, C) node by node.
    result: Reconciliation


def reconcile_components(
    incidence: Any,
    flow: F64,
    fraction: F64,
    sigma_flow: F64 | float,
    sigma_fraction: F64 | float,
    *,
    component_incidence: Any = None,
    total: bool = True,
    normalised: bool = False,
    confidence: float = 0.95,
    iterations: int = 100,
) -> Components:
    """Least-squares flows and fractions that close the balances of mass and of every component.

    Parameters
    ----------
    incidence : (M, S) float64 [1], or scipy.sparse
        +1 where a stream enters a node, -1 where it leaves
    flow : (..., S) float64 [u]
        measured flows; NaN = not measured
    fraction : (..., S, C) float64 [f]
        measured fractions, or enthalpies; NaN = not measured
    sigma_flow : (S,) float64 [u], or one for all
        standard uncertainty; 0 = known exactly, NaN = not measured
    sigma_fraction : (S, C) float64 [f], (C,) of each component, or one for all
        standard uncertainty; 0 = known exactly, NaN = not measured
    component_incidence : (K, S) float64 [1], optional
        the same for the components, where their nodes are others than those of the mass
    total : bool
        the flows themselves are balanced, too: the streams of a node are all it takes and gives
    normalised : bool
        the fractions of a stream sum to one
    confidence, iterations
        as of `twin.reconciliation.nonlinear.reconcile_nonlinear`

    Returns
    -------
    Components

    Raises
    ------
    ValueError
        shapes do not fit, or confidence is not within 0 and 1

    Notes
    -----
    Bilinear balances component_incidence @ (flow * fraction) = 0 [1]_. What a stream carries is a
    quantity of its own, flow * fraction - carried = 0: the balances stay linear in it, and it can
    be observable where neither flow nor fraction is, which Crowe's second projection is for [2]_.
    """
    incidence = _dense(incidence)
    parts = incidence if component_incidence is None else _dense(component_incidence)
    flow, fraction = numbers(flow), numbers(fraction)
    for matrix in (incidence, parts):
        if fraction.ndim < 2 or matrix.ndim != 2 or matrix.shape[1] != fraction.shape[-2]:
            raise ValueError(f"incidence {matrix.shape} does not fit fraction {fraction.shape}")
    streams, kinds = fraction.shape[-2:]
    sigma_flow, sigma_fraction = _sigmas(sigma_flow, sigma_fraction, streams, kinds)
    lead = np.broadcast_shapes(flow.shape[:-1], fraction.shape[:-2])
    flow = np.broadcast_to(flow, (*lead, streams))
    fraction = np.broadcast_to(fraction, (*lead, streams, kinds))
    nothing = np.full((*lead, streams * kinds), np.nan)
    fixed, offset = _fixed(incidence, parts, kinds, total=total, normalised=normalised)
    products, first = np.arange(streams * kinds), len(fixed) - streams * kinds
    at_flow, at_fraction = products // kinds, streams + products
    at_carried = streams + len(products) + products

    def constraint(values: F64) -> F64:
        residual = values @ fixed.T - offset
        residual[..., first:] -= values[..., at_flow] * values[..., at_fraction]
        return residual

    def jacobian(values: F64) -> F64:
        slope = np.broadcast_to(fixed, (*values.shape[:-1], *fixed.shape)).copy()
        slope[..., first + products, at_flow] = -values[..., at_fraction]
        slope[..., first + products, at_fraction] = -values[..., at_flow]
        return slope

    result = reconcile_nonlinear(
        constraint,
        jacobian,
        np.concatenate([flow, fraction.reshape(nothing.shape), nothing], axis=-1),
        np.concatenate([sigma_flow, np.ravel(sigma_fraction), np.full(len(products), np.nan)]),
        start=_start(flow, fraction),
        trusted=True,
        confidence=confidence,
        iterations=iterations,
    )

    def table(column: F64, at: INTP) -> F64:
        return np.asarray(column[..., at].reshape(fraction.shape))

    return Components(
        flow=result.estimate[..., :streams],
        flow_sigma=result.sigma[..., :streams],
        fraction=table(result.estimate, at_fraction),
        fraction_sigma=table(result.sigma, at_fraction),
        carried=table(result.estimate, at_carried),
        carried_sigma=table(result.sigma, at_carried),
        residual=_residual(
            parts,
            np.where(missing(sigma_flow), np.nan, flow),
            np.where(missing(sigma_fraction), np.nan, fraction),
        ),
        result=result,
    )


def _sigmas(flow: F64 | float, fraction: F64 | float, streams: int, kinds: int) -> tuple[F64, F64]:
    """Return the uncertainties of flows, (S,), and of fractions, (S, C); raises ValueError."""
    flow, fraction = numbers(flow), numbers(fraction)
    whole = (streams, kinds)
    if flow.shape not in ((), (streams,)) or fraction.shape not in ((), (kinds,), whole):
        raise ValueError(f"sigma must have shapes ({streams},) and ({streams}, {kinds})")
    return np.broadcast_to(flow, (streams,)), np.broadcast_to(fraction, whole)


def _dense(incidence: Any) -> F64:
    """Return an incidence as an array."""
    return np.asarray(
        incidence.toarray() if hasattr(incidence, "toarray") else incidence, np.float64
    )


def _fixed(
    incidence: F64, component: F64, kinds: int, *, total: bool, normalised: bool
) -> tuple[F64, F64]:
    """Return the linear part of the balances, (R, N), and their constants, (R,).

    Rows: mass, components, sums of one, and last what defines the carried quantities. With sums of
    one and a balance of mass that of the last component follows from the others, so it is left out:
    beside the others it would, away from the solution, contradict them.
    """
    nodes, streams = incidence.shape
    products = streams * kinds
    fraction, carried = slice(streams, streams + products), slice(streams + products, None)
    mass = np.zeros((nodes, streams + 2 * products))
    mass[:, :streams] = incidence
    parts = np.zeros((len(component), kinds, streams + 2 * products))
    parts[..., carried] = np.kron(component, np.eye(kinds)).reshape(-1, kinds, products)
    sums = np.zeros((streams, streams + 2 * products))
    sums[:, fraction] = np.kron(np.eye(streams), np.ones(kinds))
    define = np.zeros((products, streams + 2 * products))
    define[:, carried] = np.eye(products)
    kept = np.ones(parts.shape[:2], bool)
    if normalised:
        unbalanced = component - component @ np.linalg.pinv(incidence) @ incidence
        kept[np.abs(unbalanced).max(axis=1, initial=0.0) <= NOTHING, -1] = False
    blocks = [
        *([mass] if total or normalised else []),
        parts[kept],
        *([sums] if normalised else []),
        define,
    ]
    ones = [np.full(len(block), float(block is sums)) for block in blocks]
    return np.concatenate(blocks), np.concatenate(ones)


def _residual(parts: F64, flow: F64, fraction: F64) -> F64:
    """Return the residuals of each component, (..., K, C); NaN where a measurement lacks."""
    seen = ~(missing(flow)[..., None] | missing(fraction))
    raw = parts @ (np.where(seen, flow[..., None], 0.0) * np.where(seen, fraction, 0.0))
    return np.where(np.abs(parts) @ ~seen > 0, np.nan, raw)


def _start(flow: F64, fraction: F64) -> F64:
    """Return the start of the quantities, (..., N): unmeasured ones at the mean of their kind."""
    flow = _filled(flow, -1)
    fraction = _filled(fraction, -2)
    carried = flow[..., None] * fraction
    # What is zero gets the size of the others.
    carried = _filled(np.where(carried == 0, np.nan, carried), -2)
    flat = (*flow.shape[:-1], fraction.shape[-2] * fraction.shape[-1])
    return np.concatenate([flow, fraction.reshape(flat), carried.reshape(flat)], axis=-1)


def _filled(values: F64, axis: int) -> F64:
    """Return values with the mean magnitude along an axis where there is none; 1 without any."""
    known = ~missing(values)
    total = np.where(known, np.abs(values), 0.0).sum(axis=axis, keepdims=True)
    mean = total / np.maximum(known.sum(axis=axis, keepdims=True), 1)
    return np.where(known, values, np.where(mean > 0, mean, 1.0))
