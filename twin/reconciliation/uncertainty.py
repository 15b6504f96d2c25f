"""Confidence intervals of sums and their ratios: what the errors of all meters make of them.

References
----------
.. [1] JCGM 100:2008, Guide to the expression of uncertainty in measurement, 5.1.2 (propagation),
   6.2 (expanded uncertainty), 3.3.3 and F.1.2 (errors that stay, errors that average).
.. [2] Bendat, Piersol: Random Data, 4th edition, Wiley, 2010, 8.2.1: the variance of a mean from
   the autocorrelation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from twin.accounts.accounts import cell_entries
from twin.accounts.cells import analyse, analysed_efficiency
from twin.accounts.network import Network, remembered
from twin.accounts.tanks import tank_mass
from twin.arrays import F64, I64
from twin.reconciliation.chi_square import quantile
from twin.reference import load as load_reference
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twin.accounts.accounts import Account
    from twin.model.park import Tag

HYDROGEN = "hydrogen"  # all current makes it, whatever the efficiency
TINY_S = 1e-9


class Errors(NamedTuple):
    """The errors of U tags."""

    absolute: F64  # [SI] standard uncertainty of a value, and
    relative: F64  # [1] as a share of it
    share: F64  # [1] of the variance that averages out
    correlation_s: F64  # [s] time after which it does


def tag_uncertainty(tag: Tag) -> tuple[float, float]:
    """Return the standard uncertainty of a tag: what the model says, else the usual one.

    Parameters
    ----------
    tag : Tag

    Returns
    -------
    absolute, relative : float [SI, 1]   of a single value
    """
    text = tag.sigma.strip()
    if text.endswith("%"):
        return 0.0, float(text[:-1]) / 100
    if text:
        return float(text) * tag.scale, 0.0
    usual = load_reference("uncertainty").get(tag.quantity, {"relative": 0.0})
    absolute = usual.get("absolute")
    return (parse_quantity(absolute, tag.quantity) if absolute else 0.0), usual.get("relative", 0.0)


def random_share(tag: Tag) -> tuple[float, float]:
    """Return the share of a tag's variance that averages out, and its correlation time.

    Parameters
    ----------
    tag : Tag

    Returns
    -------
    share, correlation : float [1, s]   0 where nothing is known: one error all the time
    """
    usual = load_reference("uncertainty")["random"].get(tag.quantity)
    if usual is None:
        return 0.0, 0.0
    return float(usual["share"]), parse_quantity(usual["correlation"], "time")


def errors_of(network: Network, tags: I64) -> Errors:
    """Return the errors of some tags.

    Parameters
    ----------
    network : Network
    tags : (U,) int64
        places of the tags

    Returns
    -------
    Errors
    """
    return Errors(*_errors(network)[:, tags])


@remembered
def _errors(network: Network) -> F64:
    """Return the columns of the errors of all tags, (4, T)."""
    heats = network.heats
    # A heat is in error as the flow it is made of; what a unit holds is taken as exact.
    units = zip(heats.flow.tolist(), heats.nominal.tolist(), strict=True)
    made_of = dict(zip(heats.tag.tolist(), units, strict=True))
    rows = []
    for tag in range(len(network.tags)):
        meter, unit = made_of.get(tag, (tag, 1.0))
        absolute, relative = tag_uncertainty(network.tags[meter])
        rows.append((absolute * unit, relative, *random_share(network.tags[meter])))
    return np.array(rows, dtype=np.float64).reshape(-1, 4).T


def left_of_mean(share: F64 | float, correlation_s: F64 | float, length_s: F64 | float) -> F64:
    """Return the share of the variance of a value that is left in its mean over some time.

    Parameters
    ----------
    share, correlation_s : (...) float64 [1, s]
        as of `random_share`
    length_s : (...) float64 [s]
        time of the mean; NaN = not known

    Returns
    -------
    (...) float64 [1]
        1 for a moment, 1 - share for ever

    Notes
    -----
    The rest is one error all the time [1]_. Of what averages out the correlation falls evenly from
    1 to 0 within the correlation time, as that of an instrument that shows the mean of so long: of
    it is left 1 - x / 3 after x correlation times up to 1, and (1 - 1 / 3x) / x beyond [2]_.
    """
    times = length_s / np.maximum(correlation_s, TINY_S)
    longer = np.maximum(times, 1.0)
    remaining = np.where(times < 1, 1 - times / 3, (1 - 1 / (3 * longer)) / longer)
    return np.asarray(1 - share + share * remaining)


def efficiency_uncertainty(component: str) -> tuple[float, float]:
    """Return the uncertainty of the current efficiency of cells.

    Parameters
    ----------
    component : str
        what they make; the efficiency of hydrogen is not that of chlorine

    Returns
    -------
    common, own : float [1]
        relative standard uncertainty that all cells of a place have in common, and that of each
        electrolyser on top of it
    """
    table = load_reference("uncertainty")
    row = table["current_efficiency_of"].get(component, table["current_efficiency"])
    return float(row["relative"]), float(row["own"])


def analysis_sigma(network: Network, value: F64) -> F64:
    """Return the standard uncertainty of the current efficiency by the analysis of electrolysers.

    Parameters
    ----------
    network : Network
        T tags, C analysed electrolysers
    value : (..., T) float64 [SI]
        values, or means, of the tags

    Returns
    -------
    (..., C) float64 [1]
        of first order [1]_: what one standard uncertainty of each analyser makes of the efficiency,
        with that of what is not analysed; NaN where no efficiency is known
    """
    cells = network.cells
    table = load_reference("electrolysis")["dissolved_chlorine"]
    has_chlorate = cells.analysis[:, 2] >= 0
    efficiency = analysed_efficiency(analyse(cells, value))
    parts = [np.where(has_chlorate, table["hypochlorite"], table["all"]) + 0.0 * efficiency]
    for tags in cells.analysis.T:
        at = np.unique(tags[tags >= 0])
        error = errors_of(network, at)
        moved = value.copy()
        moved[..., at] += np.hypot(error.absolute, error.relative * np.abs(value[..., at]))
        parts.append(analysed_efficiency(analyse(cells, moved)) - efficiency)
    return np.asarray(np.hypot.reduce(parts))


@remembered
def cell_uncertainty(network: Network, component: str) -> dict[str, tuple[float, float]]:
    """Return the uncertainty of the current efficiency of each electrolyser.

    Parameters
    ----------
    network : Network
    component : str
        what they make

    Returns
    -------
    dict of (float [1], float [1])
        by id, as `efficiency_uncertainty`; where the efficiency is analysed, the common part is
        that of the analysis, at the efficiency of the model
    """
    common, own = efficiency_uncertainty(component)
    known = dict.fromkeys((cell.id for cell in network.park.electrolysers), (common, own))
    if component == HYDROGEN or not network.effective:
        return known
    cells, value = network.cells, np.zeros(len(network.tags))
    value[cells.current] = 1.0
    # The oxygen in the gas at this efficiency.
    value[cells.analysis[:, 0]] = (1 - cells.usual) / (1 + cells.usual)
    parts = analysis_sigma(network, value) / cells.usual
    return known | {
        id_: (part, own) for id_, part in zip(network.effective, parts.tolist(), strict=True)
    }


def tank_sigma(network: Network, level: F64) -> F64:
    """Return the standard uncertainty of the mass in each tank: of its level and its density.

    Parameters
    ----------
    network : Network
        T tags, K tanks
    level : (..., T) float64 [SI]
        values of the tags; NaN = no value

    Returns
    -------
    (..., K) float64 [kg]
    """
    return np.asarray(np.hypot(level_sigma(network, level), density_sigma(network, level)))


def density_sigma(network: Network, level: F64) -> F64:
    """Return the part of `tank_sigma` that the density of the liquid has in it.

    Parameters
    ----------
    network, level
        as of `tank_sigma`

    Returns
    -------
    (..., K) float64 [kg]
        half the difference of the masses one standard uncertainty above and below the temperature,
        else the nominal density: an error that stays
    """
    tanks = network.tanks
    warm = tanks.temperature[tanks.temperature >= 0]
    step = errors_of(network, warm).absolute
    warmer, colder = level.copy(), level.copy()
    warmer[..., warm] += step
    colder[..., warm] -= step
    masses = tank_mass(tanks, colder, denser=1.0) - tank_mass(tanks, warmer, denser=-1.0)
    return np.asarray(np.abs(masses) / 2)


def level_sigma(network: Network, level: F64, share: F64 | float = 1.0) -> F64:
    """Return the part of `tank_sigma` that the level, or the weight, has in it.

    Parameters
    ----------
    network : Network
        T tags, K tanks
    level : (..., T) float64 [SI]
        values of the tags; NaN = no value
    share : (K,) float64 [1], optional
        part of the variance of the level that counts; default all of it

    Returns
    -------
    (..., K) float64 [kg]
        half the difference of the masses one standard uncertainty above and below the level [1]_
    """
    tags = network.tanks.tag
    error = errors_of(network, tags)
    step = np.hypot(error.absolute, error.relative * np.abs(level[..., tags])) * np.sqrt(share)
    higher, lower = level.copy(), level.copy()
    higher[..., tags] += step
    lower[..., tags] -= step
    return np.asarray((tank_mass(network.tanks, higher) - tank_mass(network.tanks, lower)) / 2)


def uptake_sigma(network: Network, level: F64) -> F64:
    """Return the standard uncertainty of the mass each tank takes up between two edges.

    Parameters
    ----------
    network : Network
        T tags, K tanks
    level : (..., 2, T) float64 [SI]
        last values of tags before each edge

    Returns
    -------
    (..., K) float64 [kg]

    Notes
    -----
    Random errors are two, one at each edge. The error that stays moves both edges, and cancels
    where the tank is straight [1]_.
    """
    share = errors_of(network, network.tanks.tag).share
    edges = np.hypot.reduce(level_sigma(network, level, share), axis=-2)
    stay = level_sigma(network, level, 1 - share), density_sigma(network, level)
    moved = [sigma[..., 1, :] - sigma[..., 0, :] for sigma in stay]
    return np.asarray(np.hypot.reduce([edges, *moved]))


def weights(network: Network, terms: Mapping[Account, float]) -> F64:
    """Return the weights of a sum of accounts.

    Parameters
    ----------
    network : Network
        T tags
    terms : mapping of Account to float [1]
        accounts and their signs; those the model does not have add nothing

    Returns
    -------
    (T,) float64 [SI]
        weight of each tag's amount: ``weights @ amount`` is the sum
    """
    weight = np.zeros(len(network.tags))
    for account, sign in terms.items():
        if account in network.accounts:
            lines = network.entries(account)
            np.add.at(weight, network.entry_tag[lines], sign * network.entry_factor[lines])
    return weight


def sum_sigma(
    network: Network,
    component: str,
    weight: F64,
    amount: F64,
    covered_s: F64,
    tags: I64 | None = None,
) -> F64:
    """Return the standard uncertainty of a weighted sum of tag amounts.

    Parameters
    ----------
    network : Network
        T tags
    component : str
        what the sum is of, where electrolysers make it
    weight : (..., T) float64 [SI]
        as of `weights`; 0 = has no part in the sum
    amount, covered_s : (..., T) float64 [SI, s]
        sums of each tag over a window; NaN = no value
    tags : (U,) int64
        places of the tags there are columns of, where they are not all T

    Returns
    -------
    (...) float64 [SI]
        NaN where a tag of the sum has no value

    Notes
    -----
    First order [1]_. Errors of meters are independent; a tag that stands in the sum twice has one
    error, and of its variance is left what is left in a mean [2]_. On top of that of the current,
    the efficiency of all electrolysers at one place is in error alike, and that of each by itself.
    """
    at = np.flatnonzero(np.any(weight != 0, axis=tuple(range(weight.ndim - 1))))
    used = at if tags is None else tags[at]
    error = errors_of(network, used)
    weight, amount, covered_s = (each[..., at] for each in (weight, amount, covered_s))
    part = np.sqrt(left_of_mean(error.share, error.correlation_s, covered_s))
    # What is not in this sum must not spoil it with a NaN.
    size = np.where(weight != 0, np.hypot(error.absolute * covered_s, error.relative * amount), 0.0)
    variance = np.sum((weight * size * part) ** 2, axis=-1)
    made = np.where(weight != 0, weight * amount, 0.0)
    for (_, alike, own), cells in _alike(network, component).items():
        mine = made[..., np.isin(used, cells)]
        variance = variance + (alike * mine.sum(axis=-1)) ** 2 + ((own * mine) ** 2).sum(axis=-1)
    return np.asarray(np.sqrt(variance))


def stored_sigma(network: Network, component: str, tanks: I64, level: F64) -> F64:
    """Return the standard uncertainty of what tanks take up of a component.

    Parameters
    ----------
    network : Network
        T tags
    component : str
    tanks : (n,) int64
        places of the tanks
    level : (..., 2, T) float64 [SI]
        last values of tags before each edge

    Returns
    -------
    (...) float64 [kg]
        NaN where a level is not known; errors of tanks are independent [1]_
    """
    share = network.tanks.share[component][tanks]
    return np.asarray(np.hypot.reduce(uptake_sigma(network, level)[..., tanks] * share, axis=-1))


def parts_sigma(error: Errors, change: F64, covered_s: F64, window: I64, count: int) -> F64:
    """Return the standard uncertainty of sums of parts that are no sums of tags, like hours.

    Parameters
    ----------
    error : Errors
        of U tags
    change : (U, H) float64 [SI]
        what the standard uncertainty of a value of each tag makes of each part
    covered_s : (U, H) float64 [s]
        time each tag's mean in the part is of
    window : (H,) int64
        which sum each part belongs to; outside of 0..count to none
    count : int
        how many sums there are

    Returns
    -------
    (count,) float64 [SI]
        NaN where a change is not known

    Notes
    -----
    First order; errors of tags are independent [1]_. What stays is one error in all parts of a sum.
    Of what averages out each part has its own error, with what is left in a mean [2]_.
    """
    inner = (window >= 0) & (window < count)
    share, correlation_s = error.share[:, None], error.correlation_s[:, None]
    remaining = left_of_mean(share, correlation_s, covered_s) - (1 - share)
    cell = (np.arange(len(change))[:, None] * count + window[inner]).ravel()

    def total(part: F64) -> F64:
        sums = np.bincount(cell, part[:, inner].ravel(), len(change) * count)
        return np.asarray(sums.reshape(len(change), count))

    # A tag that takes no part in an hour need not have been there.
    noise = np.where(change != 0, change**2 * remaining, 0.0)
    variance = (1 - share) * total(change) ** 2 + total(noise)
    return np.asarray(np.sqrt(variance.sum(axis=0)))


@remembered
def _alike(network: Network, component: str) -> dict[tuple[str, float, float], list[int]]:
    """Return the tags by which electrolysers make a component, by scope and uncertainty.

    The efficiencies of each list are in error alike.
    """
    makers = [
        (cell, entries[component][0])
        for cell in network.park.electrolysers
        if component in (entries := cell_entries(cell, network.index, network.effective))
    ]
    if not makers:
        return {}
    known = cell_uncertainty(network, component)
    tags: dict[tuple[str, float, float], list[int]] = {}
    for cell, tag in makers:
        tags.setdefault((cell.scope, *known[cell.id]), []).append(tag)
    return tags


def ratio_weight(over: F64, under: F64, amount: F64) -> F64:
    """Return the weights of a ratio of two sums: their `sum_sigma` is that of the ratio.

    Parameters
    ----------
    over, under : (..., T) float64 [SI]
        weights of both sums
    amount : (..., T) float64 [SI]
        sums of each tag over a window; NaN = no value

    Returns
    -------
    (..., T) float64 [SI]
        derivative of the ratio by each amount [1]_; NaN where there is no ratio, 0 for a tag that
        has no part in it
    """
    top, bottom = (
        np.where(weight != 0, weight * amount, 0.0).sum(axis=-1, keepdims=True)
        for weight in (over, under)
    )
    whole = np.where(bottom > 0, bottom, np.nan)
    slope = (over - (top / whole) * under) / whole
    return np.asarray(np.where((over != 0) | (under != 0), slope, 0.0))


def half_width(sigma: F64, confidence: float = 0.95) -> F64:
    """Return the half width of the confidence interval of a normal error.

    Parameters
    ----------
    sigma : (...) float64 [SI]
        standard uncertainty
    confidence : float [1]
        probability the interval stands for

    Returns
    -------
    (...) float64 [SI]

    Notes
    -----
    The expanded uncertainty with the quantile of the normal distribution [1]_.
    """
    return np.asarray(quantile(confidence, 1) ** 0.5 * sigma)
