"""What moved the energy of a scope between two periods: volume, mix, intensity and its causes.

References
----------
.. [1] B. W. Ang: The LMDI approach to decomposition analysis: a practical guide, Energy Policy 33
   (2005), 867-871: logarithmic mean Divisia index I, additive; exact, without a residual.
.. [2] L. S. Shapley: A value for n-person games, 1953: of a product of two factors each has the
   mean of what it changes with the other before and after.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from twin.arrays import BOOL, F64, I64
from twin.baseline.model import CONSTANT

if TYPE_CHECKING:
    from twin.baseline.model import Baseline, BaselineModel

# Effects on a member, in the order of `bridge`.
EFFECTS = ("volume", "mix", "intensity", "load", "conditions", "price", "started_or_stopped")
STEP = 1e-6  # of a coefficient, by which a slope is measured


class PlantRates(NamedTuple):
    """Energy and product of m members, and the energy of their scope, in one period.

    Where costs are compared, they stand in the place of the energies.
    """

    energy: F64  # (m,) [W]; of costs [CNY/s]
    mass: F64  # (m,) [kg/s]
    total: float  # [W]; of costs [CNY/s]


@dataclass(frozen=True, slots=True)
class Split:
    """What a model says of the intensity of a member: logarithms of the ratio of two periods."""

    load: float  # the same idle energy on another mass
    conditions: float  # other variables: temperature, grade
    load_sigma: float  # standard uncertainty by the coefficients
    conditions_sigma: float


def logarithmic_mean(a: F64, b: F64) -> F64:
    """Return the logarithmic means of pairs.

    Parameters
    ----------
    a, b : (...) float64 [u]   above 0

    Returns
    -------
    (...) float64 [u]          (a − b) / ln(a / b) [1]_; a where both are the same
    """
    log = np.log(a / b)
    near = np.abs(log) < 1e-9
    return np.asarray(np.where(near, (a + b) / 2, (a - b) / np.where(near, 1.0, log)))


def bridge(
    before: PlantRates, after: PlantRates, product: I64, load: F64, conditions: F64, price: F64
) -> tuple[F64, float]:
    """Return the parts of the change of the energy of a scope.

    Parameters
    ----------
    before, after : PlantRates
        of m members
    product : (m,) int64
        which product each member makes: volumes of products are not added
    load, conditions : (m,) float64 [1]
        logarithms as of `Split`; 0 without a model
    price : (m,) float64 [1]
        logarithm of the ratio of what a unit of energy costs; 0 where energies are compared

    Returns
    -------
    effects : (7, m) float64 [W, CNY/s]
        in the order of `EFFECTS`; all of them and `other` are exactly the change of the total
    other : float [W, CNY/s]
        change of the energy of the scope that is not that of a member

    Notes
    -----
    The energy of a member is volume of its product · its share in that · its intensity, its cost
    that times a price; each has the logarithmic mean of the energies, or costs, times the logarithm
    of its ratio [1]_. Members that make nothing in one of the periods have no intensity there:
    their change is one part.
    """
    effects = np.zeros((len(EFFECTS), len(product)))
    runs = runs_in_both(before, after)
    effects[-1] = np.where(runs, 0.0, after.energy - before.energy)
    other = (after.total - after.energy.sum()) - (before.total - before.energy.sum())
    if runs.any():
        weight = logarithmic_mean(after.energy[runs], before.energy[runs])
        kind = product[runs]
        volume = [np.bincount(kind, each.mass[runs])[kind] for each in (before, after)]
        grown = np.log(after.mass[runs] / before.mass[runs])
        of_volume = np.log(volume[1] / volume[0])
        used = np.log(after.energy[runs] / before.energy[runs])
        logs = (
            of_volume,
            grown - of_volume,
            used - grown - load[runs] - conditions[runs] - price[runs],
            load[runs],
            conditions[runs],
            price[runs],
        )
        effects[:-1, runs] = weight * np.stack(logs)
    return effects, float(other)


def runs_in_both(before: PlantRates, after: PlantRates) -> BOOL:
    """Tell the members with energy and product in both periods.

    Parameters
    ----------
    before, after : PlantRates   of m members

    Returns
    -------
    (m,) bool               the others have no intensity to compare [1]_
    """
    known = [each > 0 for rates in (before, after) for each in (rates.energy, rates.mass)]
    return np.asarray(np.all(known, axis=0))


def split_intensity(row: Baseline, model: BaselineModel, before: F64, after: F64) -> Split | None:
    """Return what a model says of the change of an intensity.

    Parameters
    ----------
    row : Baseline
    model : BaselineModel
    before, after : (p,) float64 [SI]
        means of its variables in both periods

    Returns
    -------
    Split or None
        None where the model has not one product alone as a variable, or expects no energy

    Notes
    -----
    Expected energy per mass is the slope of the mass and what follows the other variables and the
    constant, over the mass: a sum of products of two factors, each with its part [2]_.
    """
    masses = [at for at, name in enumerate(model.variables) if name in row.made]
    if len(masses) != 1 or not (before[masses[0]] > 0 and after[masses[0]] > 0):
        return None
    mass = masses[0]

    def logs(coefficient: F64) -> F64:
        others = np.arange(len(coefficient)) != mass
        base = [float(coefficient[others] @ x[others]) for x in (before, after)]
        per = [1 / float(x[mass]) for x in (before, after)]
        intensity = [coefficient[mass] + b * p for b, p in zip(base, per, strict=True)]
        if min(intensity) <= 0:
            return np.full(2, np.nan)
        moved = intensity[1] - intensity[0]
        load = (base[0] + base[1]) / 2 * (per[1] - per[0])
        log = np.log(intensity[1] / intensity[0])
        factor = log / moved if moved else 1 / intensity[0]
        return np.array([load * factor, (moved - load) * factor])

    own = np.array(model.coefficient)
    value = logs(own)
    if np.isnan(value).any():
        return None
    step = np.abs(own) * STEP + 1e-30
    slope = np.column_stack([
        (logs(own + step[at] * (np.arange(len(own)) == at)) - value) / step[at]
        for at in range(len(own))
    ])  # fmt: skip
    variance = np.diag(slope @ np.array(model.covariance) @ slope.T) * model.growth
    return Split(*value.tolist(), *np.sqrt(np.maximum(variance, 0.0)).tolist())


def idle_load(model: BaselineModel) -> tuple[float, float] | None:
    """Return the energy a plant uses without making anything.

    Parameters
    ----------
    model : BaselineModel

    Returns
    -------
    value, half_width : float [J], or None
        constant of a window and half its interval of 95 %; None where other variables than masses
        shift it, or the form has none [1]_
    """
    if CONSTANT not in model.variables or len(model.variables) != 2:
        return None
    at = model.variables.index(CONSTANT)
    width = model.quantile * (model.covariance[at][at] * model.growth) ** 0.5
    return model.coefficient[at], width
