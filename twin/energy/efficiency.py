"""Current efficiency of electrolysers over windows: by analysis, by meters, and by both.

The analysis of the chlorine says what the anode loses to oxygen. The meters of what leaves the
cells say how much of the charge made caustic soda and chlorine; hydrogen checks the charge, for all
current makes it. The two ways share no instrument.

References
----------
.. [1] T. F. O'Brien, T. V. Bommaraju, F. Hine, Handbook of Chlor-Alkali Technology, Springer 2005,
   chapter 4: current efficiency by gas analysis, and by the caustic soda made.
.. [2] JCGM 100:2008, Guide to the expression of uncertainty in measurement, 5.1.2 (propagation).
.. [3] R. T. Birge, The calculation of errors by the method of least squares, Physical Review 40,
   1932, 207-227, doi:10.1103/PhysRev.40.207: weighted means, and observations that disagree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from twin import faraday
from twin.accounts.accounts import cell_entries
from twin.accounts.cells import analyse, analysed_efficiency
from twin.arrays import BOOL, F64, I64, ratio
from twin.energy.circuits import Estimate
from twin.reconciliation.balances import Balance, compile_balance, measure
from twin.reconciliation.chi_square import quantile
from twin.reconciliation.uncertainty import (
    analysis_sigma,
    efficiency_uncertainty,
    errors_of,
    half_width,
    left_of_mean,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin.accounts.network import Network
    from twin.model.park import Electrolyser

SPECIES = {"caustic": faraday.NAOH, "chlorine": faraday.CL2, "hydrogen": faraday.H2}
BELOW, ABOVE, AS_MODELLED, UNDECIDED = "below", "above", "as_modelled", "undecided"


class Combination(NamedTuple):
    """The weighted mean of estimates of one figure, and whether they agree; (...) each."""

    mean: Estimate
    chi2: F64  # [1] of the estimates about their mean
    dof: I64  # estimates more than one
    consistent: BOOL  # True where there is nothing to compare


class CellEfficiency(NamedTuple):
    """The current efficiency of an electrolyser over windows, (...) each; NaN = not known."""

    analysis: Estimate  # [1]
    meters: Estimate  # [1] of all cells whose products go through the same meters
    both: Combination  # [1]


class MeteredCells(NamedTuple):
    """Electrolysers whose products leave together, and the balances that tell how much it was."""

    cells: tuple[Electrolyser, ...]
    # By component: of all other streams of their node, which add up to what the cells make.
    balances: dict[str, Balance]


def combine(estimates: Sequence[Estimate], confidence: float = 0.95) -> Combination:
    """Return the mean of independent estimates by inverse variance.

    Parameters
    ----------
    estimates : sequence of Estimate
        arrays (...); NaN, or no positive uncertainty = not known
    confidence : float [1]
        of the test that they agree

    Returns
    -------
    Combination
        where the estimates disagree, the uncertainty of the mean is that of their spread [3]_
    """
    value, sigma = (np.stack(np.broadcast_arrays(*each)) for each in zip(*estimates, strict=True))
    known = np.isfinite(value) & (sigma > 0)
    weight = np.where(known, 1 / np.where(known, sigma, 1.0) ** 2, 0.0)
    total = weight.sum(axis=0)
    mean = ratio((weight * np.where(known, value, 0.0)).sum(axis=0), total)
    chi2 = np.where(known, weight * (value - mean) ** 2, 0.0).sum(axis=0)
    dof = np.maximum(known.sum(axis=0) - 1, 0)
    limit = np.array([quantile(confidence, each) for each in range(len(estimates))])[dof]
    consistent = np.asarray((chi2 <= limit) | (dof == 0))
    spread = np.where(consistent, 1.0, np.sqrt(chi2 / np.maximum(dof, 1)))
    return Combination(
        Estimate(mean, np.sqrt(ratio(np.ones(()), total)) * spread), chi2, dof, consistent
    )


def by_meters(charge: Estimate, made: dict[str, Estimate]) -> Combination:
    """Return the current efficiency by the meters of what cells make.

    Parameters
    ----------
    charge : Estimate [C]
        arrays (...): current times time times cells
    made : dict of Estimate [kg]
        by component, arrays (...): caustic and chlorine, hydrogen; NaN = not known

    Returns
    -------
    Combination [1]
        Faraday's law solved for the efficiency [1]_: the charge that caustic soda and chlorine took
        over the whole charge, which the hydrogen tells as well; of first order [2]_
    """
    equivalent = {name: _charge_of(name, each) for name, each in made.items() if name in SPECIES}
    hydrogen = equivalent.pop("hydrogen", Estimate(np.array(np.nan), np.array(np.nan)))
    whole = combine([charge, hydrogen])
    if not equivalent:
        nothing = np.full(np.shape(charge.value), np.nan)
        return whole._replace(mean=Estimate(nothing, nothing))
    taken = combine(list(equivalent.values()))
    efficiency = ratio(taken.mean.value, whole.mean.value)
    relative = [ratio(each.mean.sigma, each.mean.value) for each in (taken, whole)]
    return Combination(
        Estimate(efficiency, efficiency * np.hypot(*relative)),
        taken.chi2 + whole.chi2,
        taken.dof + whole.dof,
        taken.consistent & whole.consistent,
    )


def _charge_of(component: str, mass: Estimate) -> Estimate:
    """Return the charge [C] a mass took, at 100 % current efficiency."""
    per_charge = faraday.mass_per_charge(SPECIES[component])
    value, sigma = mass.value / per_charge, mass.sigma / per_charge
    own = efficiency_uncertainty(component)[0] if component == "hydrogen" else 0.0
    return Estimate(value, np.hypot(sigma, own * value))


def metered_cells(network: Network) -> list[MeteredCells]:
    """Return the groups of membrane electrolysers whose products pass a balance of their own.

    Parameters
    ----------
    network : Network

    Returns
    -------
    list of MeteredCells
        the electrolysers of a group are the same in each of its balances
    """
    groups: dict[tuple[str, ...], dict[str, Balance]] = {}
    park, index = network.park, network.index
    entries = {cell.id: cell_entries(cell, index, network.effective) for cell in park.electrolysers}
    for component in SPECIES:
        balance = compile_balance(network, park.id, component)
        for s, line in enumerate(balance.lines):
            if line.origin != "electrolysers":
                continue
            tags = {tag for tag, _ in line.tags}
            key = tuple(id_ for id_, made in entries.items()
                        if component in made and made[component][0] in tags)  # fmt: skip
            groups.setdefault(key, {})[component] = _beside(balance, s)
    cells = {cell.id: cell for cell in park.electrolysers}
    return [MeteredCells(tuple(cells[id_] for id_ in key), each) for key, each in groups.items()]


def _beside(balance: Balance, line: int) -> Balance:
    """Return the other streams of the node of a line, with the signs by which they add up to it."""
    (node,) = np.flatnonzero(balance.incidence[:, line])
    sign = -balance.incidence[node] / balance.incidence[node, line]
    sign[line] = 0.0
    others = np.flatnonzero(sign)
    lines = tuple(balance.lines[s] for s in others.tolist())
    nodes = (balance.nodes[node],)
    return Balance(balance.component, nodes, lines, sign[None, others], balance.lower[others])


def tags_of_meters(network: Network, group: MeteredCells) -> I64:
    """Return the tags that the efficiency of a group by its meters rests on.

    Parameters
    ----------
    network : Network
    group : MeteredCells

    Returns
    -------
    (U,) int64 [1]
        positions in the network, sorted
    """
    current = [network.index[cell.current] for cell in group.cells]
    tags = [np.array(current, np.int64), *(each.tags for each in group.balances.values())]
    return np.unique(np.concatenate(tags))


def metered_efficiency(
    network: Network, group: MeteredCells, amount: F64, covered_s: F64
) -> Combination:
    """Return the current efficiency of a group of electrolysers by the meters of their products.

    Parameters
    ----------
    network : Network
        T tags
    group : MeteredCells
    amount, covered_s : (..., T) float64 [SI, s]
        sums of each tag over a window; NaN = no value

    Returns
    -------
    Combination [1]
        arrays (...); NaN where a stream between the cells and the next places has no meter, or a
        tank stands among them
    """
    charge, variance = np.zeros((2, *amount.shape[:-1]))
    for cell in group.cells:
        at = network.index[cell.current]
        (absolute,), (relative,), (share,), (time_s,) = errors_of(network, np.array([at]))
        part = cell.cells * amount[..., at]
        size = np.hypot(absolute * cell.cells * covered_s[..., at], relative * part)
        charge = charge + part
        variance = variance + size**2 * left_of_mean(share, time_s, covered_s[..., at])
    made = {
        component: _made(network, each, amount, covered_s)
        for component, each in group.balances.items()
    }
    return by_meters(Estimate(charge, np.sqrt(variance)), made)


def _made(network: Network, balance: Balance, amount: F64, covered_s: F64) -> Estimate:
    """Return what electrolysers made of a component, by all other streams of their node [kg]."""
    (sign,) = balance.incidence
    # What tanks take up is not known here, and neither is what is made beside them.
    unknown = np.broadcast_to(np.nan, (*amount.shape[:-1], 2, amount.shape[-1]))
    flow, sigma = measure(network, balance, amount, covered_s, unknown).carried()
    return Estimate(
        np.asarray((flow * sign).sum(axis=-1)), np.asarray(np.hypot.reduce(sigma * sign, axis=-1))
    )


def cell_efficiencies(
    network: Network,
    groups: Sequence[MeteredCells],
    meters: Sequence[Estimate],
    amount: F64,
    covered_s: F64,
) -> dict[str, CellEfficiency]:
    """Return the current efficiency of the membrane electrolysers of some groups.

    Parameters
    ----------
    network : Network
        T tags
    groups : sequence of MeteredCells
    meters : sequence of Estimate [1]
        of each group, the mean of `metered_efficiency`, arrays (...)
    amount, covered_s : (..., T) float64 [SI, s]
        sums over a window of the tags of the analysis; NaN = no value

    Returns
    -------
    dict of CellEfficiency
        by electrolyser. The meters tell the mean of a group: each electrolyser may lie beside it by
        the own part of `efficiency_uncertainty`, and so it may beside an analysis that it shares
    """
    mean = ratio(amount, covered_s)
    seen = Estimate(
        analysed_efficiency(analyse(network.cells, mean)), analysis_sigma(network, mean)
    )
    unknown = np.full(amount.shape[:-1], np.nan)
    order = {id_: c for c, id_ in enumerate(network.effective)}
    oxygen = [cell.oxygen for cell in network.park.electrolysers]
    result: dict[str, CellEfficiency] = {}
    for group, by_group in zip(groups, meters, strict=True):
        for cell in group.cells:
            analysis = Estimate(unknown, unknown)
            if cell.id in order:
                analysis = Estimate(*(each[..., order[cell.id]] for each in seen))
            result[cell.id] = _of_cell(
                analysis,
                by_group,
                shares_analysis=oxygen.count(cell.oxygen) > 1,
                shares_meters=len(group.cells) > 1,
            )
    return result


def _of_cell(
    analysis: Estimate, meters: Estimate, *, shares_analysis: bool, shares_meters: bool
) -> CellEfficiency:
    """Return the efficiency of one cell; what it shares with others is their mean."""
    _, own = efficiency_uncertainty("chlorine")

    def beside(mean: Estimate, *, shared: bool) -> Estimate:
        return Estimate(mean.value, np.hypot(mean.sigma, own if shared else 0.0))

    one = beside(analysis, shared=shares_analysis), beside(meters, shared=shares_meters)
    if not (shares_analysis and shares_meters):
        return CellEfficiency(*one, combine(one))
    # Both are of the same mean: the cell lies beside it once.
    both = combine([analysis, meters])
    return CellEfficiency(*one, both._replace(mean=beside(both.mean, shared=True)))


def against_model(cell: Electrolyser, efficiency: CellEfficiency) -> list[str]:
    """Return the verdict on the current efficiency of the model, by window.

    Parameters
    ----------
    cell : Electrolyser
    efficiency : CellEfficiency
        arrays (W,)

    Returns
    -------
    list of str
        ``below``, ``above`` where the interval of 95 % does not hold that of the model, else
        ``as_modelled``; ``undecided`` where it is not known, or analysis and meters disagree
    """
    mean, agree = efficiency.both.mean, efficiency.both.consistent
    off, width = mean.value - cell.current_efficiency, half_width(mean.sigma)
    verdict = np.where(off < -width, BELOW, np.where(off > width, ABOVE, AS_MODELLED))
    return [str(v) for v in np.where(np.isfinite(off) & agree, verdict, UNDECIDED)]


def below_model(cell: Electrolyser, efficiency: CellEfficiency, charge: F64) -> Estimate:
    """Return the chlorine that was not made because the efficiency is below that of the model.

    Parameters
    ----------
    cell : Electrolyser
    efficiency : CellEfficiency
        arrays (...)
    charge : (...) float64 [C]
        current times time; NaN = not known

    Returns
    -------
    Estimate [kg]
        < 0 where the efficiency is above; NaN of cells that make no chlorine
    """
    whole = charge * cell.cells * faraday.mass_per_charge(faraday.CL2)
    if cell.kind != "membrane":
        whole = np.full(np.shape(charge), np.nan)
    mean = efficiency.both.mean
    return Estimate(whole * (cell.current_efficiency - mean.value), whole * mean.sigma)
