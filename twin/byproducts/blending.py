"""Allocation of resources to needs that take mixtures: which flows gain most, within all limits.

References
----------
.. [1] F. S. Hillier, G. J. Lieberman, Introduction to Operations Research, 10th ed., McGraw-Hill
   2015, section 4.7 (shadow prices).
.. [2] J. W. Chinneck, Feasibility and Infeasibility in Optimization, Springer 2008: elastic
   programmes, and the constraints that an infeasibility stands on.
.. [3] H. P. Williams, Model Building in Mathematical Programming, 5th ed., Wiley 2013, 12.1:
   blending is linear where qualities mix by mass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array, eye_array, hstack, kron, vstack

from twin.arrays import BOOL, F64, I64

if TYPE_CHECKING:
    from twin.byproducts.allocation import Links

# Share of the supply that is taken for nothing.
NOTHING = 1e-7


@dataclass(frozen=True, slots=True)
class Qualities:
    """Z limits on mixtures: the flow-weighted `excess` into a sink is not above 0."""

    sink: I64  # (Z,) place among the sinks
    excess: F64  # (Z, L) [1] how far the content of a link is beyond the limit; 0 at other sinks


@dataclass(frozen=True, slots=True)
class Mixing:
    """The flows that gain most in W windows, what one more of each limit would bring.

    Without flows, NaN, where the firm minima cannot be met: `shortfall` says by how much at least,
    and the `held` limits are those that stand against them.
    """

    flow: F64  # (W, L) [kg/s]
    source_price: F64  # (W, P) [CNY/kg]
    sink_price: F64  # (W, Q) [CNY/kg]
    link_price: F64  # (W, L) [CNY/kg]
    firm_price: F64  # (W, Q) [CNY/kg] gain lost for each more that must be taken
    quality_price: F64  # (W, Z) [CNY/kg] more gain for each more excess that is let in
    shortfall: F64  # (W, Q) [kg/s]
    source_held: BOOL  # (W, P)
    sink_held: BOOL  # (W, Q)
    link_held: BOOL  # (W, L)
    quality_held: BOOL  # (W, Z)
    feasible: BOOL  # (W,)


def mix(supply: F64, most: F64, firm: F64, gain: F64, links: Links, qualities: Qualities) -> Mixing:
    """Return the allocation with the greatest gain, or what stands against any.

    Parameters
    ----------
    supply : (W, P) float64 [kg/s]   of each source; >= 0
    most : (W, Q) float64 [kg/s]     what each sink can take; >= 0
    firm : (W, Q) float64 [kg/s]     what each sink must take; 0 = nothing
    gain : (L,) float64 [CNY/kg]     of a flow over each link
    links
        L links; of them source, sink and capacity count
    qualities
        Z limits on what sinks take

    Returns
    -------
    Mixing
        flows [kg/s] and prices [CNY/kg]

    Raises
    ------
    ValueError
        shapes do not agree, or a number is not known

    Notes
    -----
    Contents mix by mass, so a limit on a mixture is linear in the flows [3]_. The shadow prices
    [1]_ are those of one optimum of several where limits bind at once.

    Where sinks must take something, an elastic programme [2]_ comes first: it lets the firm minima
    fall short and keeps the shortfall least. Where it is 0 there is an allocation. Else the limits
    whose multipliers are not 0 contradict the minima together: widen any one, and less is short.
    Minima that hold only where something is taken at all are not convex and not part of this.
    """
    windows, n_links = len(supply), len(links.source)
    shape = (windows, n_links), (windows, most.shape[-1])
    if gain.shape != (n_links,) or firm.shape != most.shape or qualities.excess.shape[1] != n_links:
        raise ValueError("the columns of sources, sinks and links do not agree")
    if not all(np.isfinite(each).all() for each in (supply, gain, qualities.excess, firm)):
        raise ValueError("a supply, a gain, a minimum or a content is not known")
    problem = _Problem(supply, most, firm, links, qualities)
    feasible, shortfall = np.ones(windows, bool), np.zeros(shape[1])
    held = np.zeros((windows, problem.rows + n_links), bool)
    if (firm > 0).any():
        shortfall, held = problem.relax()
        feasible = np.asarray(~np.any(shortfall > 0, axis=-1))
        held[feasible] = False
    flow, price = np.full(shape[0], np.nan), np.full(held.shape, np.nan)
    firm_price = np.full(shape[1], np.nan)
    good = np.flatnonzero(feasible)
    flow[good], price[good], firm_price[good] = problem.best(good, gain)
    of = problem.parts
    return Mixing(
        flow=flow,
        source_price=price[:, of["source"]],
        sink_price=price[:, of["sink"]],
        link_price=price[:, of["link"]],
        firm_price=firm_price,
        quality_price=price[:, of["quality"]],
        shortfall=shortfall,
        source_held=held[:, of["source"]],
        sink_held=held[:, of["sink"]],
        link_held=held[:, of["link"]],
        quality_held=held[:, of["quality"]],
        feasible=feasible,
    )


class _Problem:
    """The limits of all windows, scaled by the supply of each: the tolerances are absolute."""

    def __init__(
        self, supply: F64, most: F64, firm: F64, links: Links, qualities: Qualities
    ) -> None:
        sources, sinks = supply.shape[-1], most.shape[-1]
        total = np.maximum(supply.sum(axis=-1), firm.sum(axis=-1))[:, None]
        self.total = np.where(total > 0, total, 1.0)
        out = np.arange(sources)[:, None] == links.source
        into = np.arange(sinks)[:, None] == links.sink
        # A limit of twice the supply binds no more than none.
        room = np.minimum(most / self.total, 2.0)
        self.upper = np.minimum(links.capacity / self.total, 2.0)
        self.matrix = np.vstack([out, into, qualities.excess]).astype(np.float64)
        self.bound = np.hstack(
            [supply / self.total, room, np.zeros((len(supply), len(qualities.sink)))]
        )
        self.firm, self.into = firm / self.total, into.astype(np.float64)
        self.rows = len(self.matrix)
        edges = np.cumsum([0, sources, sinks, len(qualities.sink), len(links.source)])
        names = ("source", "sink", "quality", "link")
        self.parts = {n: slice(*edges[k : k + 2]) for k, n in enumerate(names)}

    def relax(self) -> tuple[F64, BOOL]:
        """Return the least shortfall of firm minima (W, Q) [kg/s], and the limits that hold."""
        windows, n_links = self.upper.shape
        sinks = self.firm.shape[-1]
        must = csr_array(np.hstack([-self.into, -np.eye(sinks)]))
        free = hstack([csr_array(self.matrix), csr_array((self.rows, sinks))])
        cost = np.tile(np.r_[np.zeros(n_links), np.ones(sinks)], windows)
        upper = np.hstack([self.upper, self.firm])
        result = _minimise(cost, [free, must], np.hstack([self.bound, -self.firm]), upper)
        x = result.x.reshape(windows, -1)[:, n_links:]
        rows, bounds = _marginals(result, windows)
        held = np.hstack([rows[:, : self.rows], bounds[:, :n_links]]) > NOTHING
        return np.where(x > NOTHING, x, 0.0) * self.total, held

    def best(self, good: I64, gain: F64) -> tuple[F64, F64, F64]:
        """Return the flows of some windows, the prices of their limits and of firm minima."""
        n_links, sinks = len(gain), self.firm.shape[-1]
        if not len(good) * n_links:
            zeros = np.zeros((len(good), n_links + self.rows + n_links + sinks))
            flow, prices, firm = np.split(zeros, [n_links, 2 * n_links + self.rows], axis=1)
            return flow, prices, firm
        worth = np.abs(gain).max() or 1.0
        # What the elastic programme met up to its tolerance is met.
        firm = np.maximum(self.firm[good] - NOTHING, 0.0)
        result = _minimise(
            np.tile(-gain / worth, len(good)),
            [csr_array(self.matrix), csr_array(-self.into)],
            np.hstack([self.bound[good], -firm]),
            self.upper[good],
        )
        flow = np.clip(result.x.reshape(len(good), n_links), 0.0, self.upper[good])
        rows, bounds = _marginals(result, len(good))
        prices = np.hstack([rows[:, : self.rows], bounds]) * worth
        flow = np.where(flow > NOTHING, flow, 0.0)
        return flow * self.total[good], prices, rows[:, self.rows :] * worth


def _marginals(result: Any, windows: int) -> tuple[F64, F64]:
    """Return the sizes of the multipliers of rows and of upper bounds, by window."""
    rows = np.abs(result.ineqlin.marginals.reshape(windows, -1))
    return rows, np.abs(result.upper.marginals.reshape(windows, -1))


def _minimise(cost: F64, blocks: list[Any], bound: F64, upper: F64) -> Any:
    """Return the solver's answer for all windows at once, each with the same rows."""
    matrix = kron(eye_array(len(upper)), vstack(blocks), format="csr")
    bounds = np.stack([np.zeros(upper.size), upper.ravel()], axis=1)
    result = linprog(cost, A_ub=matrix, b_ub=bound.ravel(), bounds=bounds, method="highs")
    assert result.status == 0, result.message
    return result
