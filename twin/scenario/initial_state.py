"""The initial state of a what-if: the present flows of a park, closed, and its inventories.

References
----------
.. [1] Narasimhan, Jordache: Data Reconciliation and Gross Error Detection, Gulf, 2000, chapter 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from twin.accounts.cells import effective_current
from twin.accounts.tanks import tank_mass
from twin.arrays import F64, I64
from twin.reconciliation.linear import reconcile
from twin.reconciliation.uncertainty import tag_uncertainty, tank_sigma
from twin.scenario.dispatch import tiny
from twin.scenario.feeds import feeds_aside

if TYPE_CHECKING:
    from twin.scenario.network import Supply

# Contradictions are reported at 99 %, so that noise reports one moment in a hundred.
CONFIDENCE = 0.99


class Missing(NamedTuple):
    """A tag without a value, or a stream or tank without a tag, and the nodes it belongs to."""

    name: str
    nodes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class InitialState:
    """The present state: P measured lines, S lines, K tanks, Q electricity meters."""

    flow: F64  # (1 + P, S) [kg/s] reconciled, then with one meter's uncertainty added each
    parts: tuple[F64, ...]  # S arrays [1] share of each maker in a line
    aside: F64  # (S,) [kg/s] what the plant of each line takes besides its lines
    mass: F64  # (K,) [kg] of component
    sigma: F64  # (K,) [kg]
    most: F64  # (K,) [kg] of component at the fill limit
    power: F64  # (Q,) [W]
    missing: tuple[Missing, ...]
    doubtful: tuple[str, ...]  # components whose meters contradict each other, or run backwards


def find_initial_state(supply: Supply, rate: F64, value: F64) -> InitialState:
    """Return the present state of a park.

    Parameters
    ----------
    supply : Supply
        S lines, K tanks
    rate : (T,) float64 [SI/s for counters, else SI]
        rates of the tags, as of `twin.series.image.Image`; NaN = no value
    value : (T,) float64 [SI]
        values of the tags; NaN = no value

    Returns
    -------
    InitialState

    Notes
    -----
    The flows are reconciled component by component [1]_, with the uptake of the tanks unmeasured. A
    flow is NaN where neither its meter nor a balance determines it.
    """
    rate = _with_effective_currents(supply, rate, value)
    flow = np.full((1, len(supply.lines)), np.nan)
    shifted: list[F64] = []
    missing: list[Missing] = []
    doubtful: list[str] = []
    for balance, column in zip(supply.balances, supply.columns, strict=True):
        measured, sigma = _measured(supply, column, rate)
        known = np.flatnonzero(np.isfinite(measured) & (sigma > 0))
        rows = np.concatenate([measured[None], measured + np.diag(sigma)[known]])
        result = reconcile(balance.incidence, rows, np.nan_to_num(sigma), confidence=CONFIDENCE)
        estimate = result.estimate
        moved = np.full((len(rows), len(supply.lines)), np.nan)
        moved[:, column[column >= 0]] = estimate[:, column >= 0]
        flow[0] = np.where(np.isnan(moved[0]), flow[0], moved[0])
        shifted.extend(moved[1:])
        missing += _without_value(supply, column, measured, estimate[0])
        backwards = estimate[0, column >= 0] < -3 * result.sigma[0, column >= 0]
        # A flow that is known exactly, or follows from such, has no uncertainty but rounding.
        backwards &= estimate[0, column >= 0] < -tiny(estimate[0])
        if not result.consistent[0] or backwards.any():
            doubtful.append(balance.component)
    # Where a row is of another component it is the present flow.
    rows = np.array([flow[0], *(np.where(np.isnan(row), flow[0], row) for row in shifted)])
    mass = tank_mass(supply.network.tanks, value) * supply.share
    missing += [*_unknown_feeds(supply, rate), *_unknown_tanks(supply, mass)]
    return InitialState(
        flow=rows,
        parts=_parts(supply, rate),
        aside=feeds_aside(supply.feeds, flow[0], rate),
        mass=mass,
        sigma=tank_sigma(supply.network, value) * supply.share,
        most=supply.limit * supply.share,
        power=rate[list(supply.meters)],
        missing=tuple(missing),
        doubtful=tuple(doubtful),
    )


def _with_effective_currents(supply: Supply, rate: F64, value: F64) -> F64:
    """Return the rates with the effective currents that follow from the measured tags.

    A derived tag has no value yet where only measured ones are known.
    """
    cells = supply.network.cells
    known = rate.copy()
    own = effective_current(cells, value)[0]
    known[cells.effective] = np.where(np.isnan(rate[cells.effective]), own, rate[cells.effective])
    return known


def _measured(supply: Supply, column: I64, rate: F64) -> tuple[F64, F64]:
    """Return the measured flows of a balance, stocks NaN, and their standard uncertainties."""
    flow, sigma = np.full((2, len(column)), np.nan)
    for i, s in enumerate(column.tolist()):
        line = supply.lines[s]
        if s < 0 or not line.tags:
            continue
        part = np.array([rate[tag] * factor for tag, factor in line.tags])
        deviations = [line.relative * abs(part.sum())]
        for (tag, factor), each in zip(line.tags, part, strict=True):
            absolute, relative = tag_uncertainty(supply.network.tags[tag])
            deviations.append(np.hypot(absolute * factor, relative * each))
        flow[i] = part.sum()
        sigma[i] = np.hypot.reduce(deviations)
    return flow, sigma


def _without_value(supply: Supply, column: I64, measured: F64, estimate: F64) -> list[Missing]:
    """Return the tags, or streams without a tag, of the unknown flows."""
    missing: list[Missing] = []
    for i, s in enumerate(column.tolist()):
        if s < 0 or not np.isnan(measured[i]) or not np.isnan(estimate[i]):
            continue
        edge = supply.edges[s]
        nodes = tuple(m for m in (edge.origin, edge.to) if m >= 0)
        tags = [supply.network.tags[tag].address for tag, _ in supply.lines[s].tags]
        missing += [Missing(name, nodes) for name in tags or [supply.lines[s].id]]
    return missing


def _unknown_feeds(supply: Supply, rate: F64) -> list[Missing]:
    """Return the tags without a value, and the streams without a tag, of the other feeds."""
    missing: list[Missing] = []
    for feed in supply.feeds:
        ends = {m for s in feed.lines for m in (supply.edges[s].origin, supply.edges[s].to)}
        nodes = tuple(sorted(ends - {-1}))
        tags = [supply.network.tags[tag].address for tag, _ in feed.tags if np.isnan(rate[tag])]
        missing += [Missing(name, nodes) for name in (*tags, *feed.unmeasured)]
    return missing


def _unknown_tanks(supply: Supply, mass: F64) -> list[Missing]:
    """Return the tags of tanks without a value, and the tanks without a size."""
    missing: list[Missing] = []
    for m, at in enumerate(supply.tanks):
        for k in at.tolist():
            tank = supply.network.park.tanks[k]
            if np.isnan(mass[k]):
                missing.append(Missing(tank.mass or tank.level, (m,)))
            if np.isnan(supply.limit[k]):
                missing.append(Missing(tank.id, (m,)))
    return missing


def reasons(supply: Supply, start: InitialState, m: int) -> list[str]:
    """Return the names of the missing values around a node.

    Around a node are the nodes that pipes join to it, and the plants on them: a road joins nothing.
    """
    around, plants, grown = {m}, set[str](), True
    while grown:
        size = len(around) + len(plants)
        for edge in supply.edges:
            nodes = {n for n in (edge.origin, edge.to) if n >= 0}
            if not edge.moved and (nodes & around or set(edge.ends) & plants):
                around |= nodes
                plants |= set(edge.ends)
        grown = len(around) + len(plants) > size
    near = [missing.name for missing in start.missing if around & set(missing.nodes)]
    return list(dict.fromkeys(near))


def _parts(supply: Supply, rate: F64) -> tuple[F64, ...]:
    """Return the share of each maker in each line: electrolysers by their current."""
    parts = []
    for line, makers in zip(supply.lines, supply.makers, strict=True):
        part = np.ones(len(makers))
        if line.origin == "electrolysers":
            made = np.array([rate[tag] * factor for tag, factor in line.tags])
            part = made / made.sum() if made.sum() else np.full(len(makers), 1 / len(makers))
        parts.append(part)
    return tuple(parts)
