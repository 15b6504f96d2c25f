"""Reconciliation under balances that are not linear, by successive linearisation.

Every step minimises the squared adjustments under the balances linearised where the last step led
[1]_ [2]_; all times take it at once. At the solution the linearised balances are linear balances
with an accumulation, so the tests are those of `twin.reconciliation.linear.reconcile`.

References
----------
.. [1] Knepper, Gorman: Statistical analysis of constrained data sets, AIChE Journal 26, 1980,
   260-264, doi:10.1002/aic.690260212.
.. [2] Narasimhan, Jordache: Data Reconciliation and Gross Error Detection, Gulf, 2000, chapter 5.
.. [3] Han: A globally convergent method for nonlinear programming, Journal of Optimization Theory
   and Applications 22, 1977, 297-309, doi:10.1007/BF00932858: the exact penalty.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.arrays import BOOL, F64
from twin.reconciliation.chi_square import quantile
from twin.reconciliation.least_squares import missing, numbers, sigma_of_each, variance_of
from twin.reconciliation.linear import LISTS, Reconciliation, reconcile, withdraw
from twin.reconciliation.observability import NOTHING, ROUNDING

if TYPE_CHECKING:
    from collections.abc import Callable

UNSETTLED = "no convergence: nothing near these measurements closes the balances"

# A residual or a step below this share of what its balance is made from is no residual or step.
CLOSED = 1e-10
# An estimate that one more step moves by more than this share is none.
DRIFT = 1e-6
# Below this share of where it began a quantity has vanished.
TRACE = 1e-3
# The eigenvalues of a projection are 0 and 1.
HALF = 0.5
# A step is halved at most so often; after that it is rounding.
HALVINGS = 30
# Armijo's share of the promised decrease that a step has to keep.
SUFFICIENT = 1e-4
# So many starts are tried where none is given; and solutions whose chi2 differs by less than this
# share are equally good.
STARTS = 16
EQUAL = 1e-6
# The step of a central difference, as a share of the quantity: the cube root of the rounding.
DIFFERENCE = float(np.finfo(np.float64).eps) ** (1 / 3)
# The fractions of its multiples are spread evenly; so are those of a start and a quantity.
GOLDEN = (5**0.5 - 1) / 2


def reconcile_nonlinear(
    constraint: Callable[[F64], F64],
    jacobian: Callable[[F64], F64] | None,
    measured: F64,
    sigma: F64 | float,
    *,
    start: F64 | None = None,
    trusted: bool = False,
    confidence: float = 0.95,
    iterations: int = 100,
) -> Reconciliation:
    """Least-squares estimates that close balances of any form, with tests for gross errors.

    Parameters
    ----------
    constraint : (..., N) float64 [u] -> (..., M) float64
        what each balance leaves over; all times are asked for together
    jacobian : (..., N) float64 [u] -> (..., M, N) float64
        its derivatives, or those of all times; None = by central differences
    measured : (..., N) float64 [u]
        NaN, infinite or beyond 1e100 = not measured; each quantity has a uom of its own
    sigma : (N,) float64 [u], one for all, or (N, N) float64 [u^2]
        standard uncertainty, or covariance, as of `twin.reconciliation.linear.reconcile`: 0 = known
        exactly, NaN = not measured
    start : (..., N) float64 [u], optional
        where unmeasured quantities begin, and how large they usually are; NaN or not given = not
        known
    trusted : bool
        the start is a good one: no others are tried where it leads to a solution
    confidence : float [1]
        of each test, 0 to 1
    iterations : int
        at most so many linearisations

    Returns
    -------
    Reconciliation
        of N quantities and M balances. `residual` is that of the measurements in the balances as
        they are; every other number is of the balances linearised at the solution.

    Raises
    ------
    ValueError
        shapes do not fit, or confidence is not within 0 and 1

    Notes
    -----
    Minimises (measured - estimate)ᵀ Σ⁻¹ (measured - estimate) subject to constraint(estimate) = 0
    [1]_ [2]_. A step is halved while it does not lessen the adjustments plus an exact penalty on
    what the balances leave over [3]_, or leads to where the balances have no value. Where no start
    is known, or it leads nowhere, far away, or to adjustments that are too large, several of the
    size of the measurements are tried: the solution is that of least chi2, and of equally good
    ones, as the roots of a square are, the one whose unmeasured quantities are most like the start
    and the measurements. Never raises on data: what does not converge from any start is NaN, and
    `reason` says so.
    """
    measured = np.atleast_1d(numbers(measured))
    count = measured.shape[-1]
    sigma = sigma_of_each(sigma, count)
    variance, known, _ = variance_of(sigma, count)
    seen = ~missing(measured) & known
    begin = _begin(start, measured.shape)
    constraint, jacobian = _balances(constraint, jacobian, count)
    first = np.where(seen, measured, np.where(missing(begin), 1.0, begin))

    def descend(first: F64, moving: BOOL) -> tuple[F64, F64]:
        # What has vanished is still compared with a share of its beginning.
        trace = TRACE * np.where(first != 0, np.abs(first), 1.0)
        return _descend(constraint, jacobian, first, trace, seen, variance, iterations, moving)

    # What overflows on the way is seen by its value.
    with np.errstate(all="ignore"):
        solution, chi2 = descend(first, np.ones(measured.shape[:-1], bool))
        settled = np.asarray(np.isfinite(chi2))
        begin = np.where(seen | missing(begin), np.nan, begin)
        # Where one step takes up whatever a start leaves over, other starts lead to the same.
        bent = ~seen & (jacobian(first) != jacobian(solution)).any(axis=-2) & (not trusted)
        usual = quantile(confidence, constraint(first).shape[-1])
        poor = _poor(solution, chi2, begin, bent.any(axis=-1), usual)
        unknown = ~seen & (np.isnan(begin) | poor[..., None])
        if unknown.any():
            magnitude, again = _magnitudes(measured, seen), np.asarray(unknown.any(axis=-1))
            # One after the other: all together they would need as many times the memory.
            tried = [descend(np.where(unknown, each, first), again) for each in _starts(magnitude)]
            solution = _best([(solution, chi2), *tried], magnitude, begin, seen)
            settled = np.asarray(~np.isnan(solution).any(axis=-1))
        solution = np.where(settled[..., None], solution, first)
        trace = TRACE * np.where(first != 0, np.abs(first), 1.0)
        slope, residual = _finite(jacobian(solution)), _finite(constraint(solution))
        booked = _times(slope, solution) - residual
        # In units of their own size all quantities, kilograms and fractions alike, weigh the same.
        own = np.sqrt(variance if variance.ndim == 1 else np.diag(variance))
        size = (np.abs(solution) + trace).reshape(-1, count).max(axis=0, initial=0.0) + own
        size = np.where(size > 0, size, 1.0)
        unit = size if sigma.ndim == 1 else np.outer(size, size)
        flow = np.where(seen, measured, np.nan) / size
        result = _linear(slope * size, flow, sigma / unit, booked, confidence)
    # At a singular point, all flows of a loop zero, one more step still leads elsewhere.
    drift = np.abs(result.estimate - solution / size)
    settled &= ~(drift > DRIFT).any(axis=-1)
    result = replace(
        result,
        residual=_residual(constraint, slope, np.where(seen, measured, solution), seen),
        **{
            name: getattr(result, name) * size
            for name in ("estimate", "sigma", "bias", "detectable")
        },
    )
    return result if settled.all() else withdraw(result, settled, UNSETTLED)


def _begin(start: F64 | None, shape: tuple[int, ...]) -> F64:
    """Return the start of each quantity; raises ValueError."""
    begin = np.float64(np.nan) if start is None else numbers(start)
    try:
        return np.broadcast_to(begin, shape)
    except ValueError:
        raise ValueError(f"start must have shape {shape} or (N,), not {np.shape(begin)}") from None


def _balances(
    constraint: Callable[[F64], F64], jacobian: Callable[[F64], F64] | None, count: int
) -> tuple[Callable[[F64], F64], Callable[[F64], F64]]:
    """Return balances and derivatives that give arrays, or raise ValueError for other shapes."""

    def residual(at: F64) -> F64:
        value = np.asarray(constraint(at), np.float64)
        if value.ndim != at.ndim or value.shape[:-1] != at.shape[:-1]:
            raise ValueError(
                f"constraint must return {(*at.shape[:-1], 'M')} of {at.shape}, not {value.shape}"
            )
        return value

    def slope(at: F64) -> F64:
        value = np.asarray(differences(at) if jacobian is None else jacobian(at), np.float64)
        if value.ndim < 2 or value.shape[-1] != count:
            raise ValueError(f"jacobian must return (..., M, {count}), not {value.shape}")
        return np.broadcast_to(value, (*at.shape[:-1], *value.shape[-2:]))

    def differences(at: F64) -> F64:
        step = DIFFERENCE * np.where(at != 0, np.abs(at), 1.0)
        columns = []
        for n, unit in enumerate(np.eye(count)):
            high, low = residual(at + step * unit), residual(at - step * unit)
            columns.append((high - low) / (2 * step[..., n, None]))
        return np.stack(columns, axis=-1)

    return residual, slope


def _finite(values: F64) -> F64:
    """Return numbers, 0 for what is none."""
    return np.where(missing(values), 0.0, values)


def _magnitudes(measured: F64, seen: BOOL) -> F64:
    """Return the magnitudes of what was measured, (..., N): NaN elsewhere, 1 without any."""
    known = seen & (measured != 0)
    blind = ~known.any(axis=-1, keepdims=True)
    return np.where(known, np.abs(measured), np.where(blind, 1.0, np.nan))


def _starts(magnitude: F64) -> F64:
    """Return starts of the size of what was measured, (STARTS, ..., N); the first at its median."""
    middle, least, most = (
        reduce(magnitude, axis=-1, keepdims=True) for reduce in (np.nanmedian, np.nanmin, np.nanmax)
    )
    number = np.arange(STARTS).reshape(-1, *np.ones(magnitude.ndim, int))
    spread = np.modf(number * (np.arange(magnitude.shape[-1]) + 1) * GOLDEN)[0]
    return np.where(number == 0, middle, least * (most / least) ** spread)


def _poor(solution: F64, chi2: F64, begin: F64, bent: BOOL, usual: float) -> BOOL:
    """Return where a start led nowhere or, where others may lead elsewhere, far or to a bad fit."""
    far = (_unlike(solution, begin) > HALF).any(axis=-1)
    return np.asarray(~np.isfinite(chi2) | (bent & (far | (chi2 > usual))))


def _unlike(values: F64, others: F64) -> F64:
    """Return how unlike some values are to others, 0 to 1: 1 of another sign, 1/2 three times."""
    return np.asarray(np.abs(values - others) / (np.abs(values) + np.abs(others)))


def _best(tried: list[tuple[F64, F64]], magnitude: F64, begin: F64, seen: BOOL) -> F64:
    """Return the best of several solutions, (..., N), by their chi2; NaN where there is none."""
    solutions, chi2 = (np.stack(each) for each in zip(*tried, strict=True))
    good = np.isfinite(chi2) & (chi2 <= chi2.min(axis=0) * (1 + EQUAL) + CLOSED)
    size = np.nanmedian(magnitude, axis=-1, keepdims=True)
    unlike = np.where(seen, 0.0, _unlike(solutions, size))
    # What is known of a quantity itself says more than the size of all.
    unlike += 2 * np.nan_to_num(_unlike(solutions, begin))
    best = np.where(good, unlike.sum(axis=-1), np.inf).argmin(axis=0)
    chosen = np.take_along_axis(solutions, best[None, ..., None], axis=0)[0]
    return np.where(good.any(axis=0)[..., None], chosen, np.nan)


def _descend(
    constraint: Callable[[F64], F64],
    jacobian: Callable[[F64], F64],
    at: F64,
    trace: F64,
    seen: BOOL,
    variance: F64,
    iterations: int,
    moving: BOOL,
) -> tuple[F64, F64]:
    """Return (..., N) where the steps lead and (...) their chi2: inf where they do not arrive.

    Times that do not move, (...), stay where they begin and do not arrive.

    Adjustments are kept as deviates: independent, of variance 1, `root` of them away from what was
    measured. So meters known exactly, and correlated ones, need no inverse of their covariance.
    """
    root = _root(variance)
    own = np.sqrt((root**2).sum(axis=1)) * seen
    root = root * seen[..., None]
    deviate, change, hidden = np.zeros((3, *at.shape))
    settled, moving = np.zeros(at.shape[:-1], bool), moving.copy()
    for _ in range(iterations):
        slope, residual = jacobian(at), constraint(at)
        reach = _times(np.abs(slope), np.abs(at) + own + trace)
        reach = np.where(reach > 0, reach, 1.0)
        # Unmeasured quantities that nothing tells apart change by the same share of their size.
        size = np.where(seen, 0.0, np.maximum(np.abs(at), trace / TRACE))
        slope, residual = slope / reach[..., None], residual / reach
        moving &= ~(missing(residual).any(axis=-1) | missing(slope).any(axis=(-2, -1)))
        if not moving.any():
            break
        slope, residual = _finite(slope), _finite(residual)
        change[moving], hidden[moving], force = _step(
            slope[moving] @ root[moving],
            (slope * size[..., None, :])[moving],
            residual[moving],
            deviate[moving],
        )
        step = np.where(seen, _times(root, change), hidden * size)
        moved = np.abs(slope * step[..., None, :]).max(axis=(-2, -1), initial=0.0)
        closed = moving & (np.abs(residual).max(axis=-1, initial=0.0) <= CLOSED)
        settled |= closed & (moved <= CLOSED)
        # The penalty is exact from the greatest force on: below, a step may leave the balances.
        penalty = np.ones(moving.shape)
        penalty[moving] += 2 * np.linalg.norm(force, axis=-1)
        moving &= ~settled
        share = _share(constraint, (at, step), (deviate, change), reach, penalty, moving)
        # So small a step that has to be shortened is rounding.
        settled |= closed & (share < 1) & (moved <= DRIFT)
        moving &= (share > 0) & ~settled
        at = at + share[..., None] * step
        deviate = deviate + share[..., None] * change
    return at, np.where(settled, (deviate**2).sum(axis=-1), np.inf)


def _root(variance: F64) -> F64:
    """Return the (N, N) symmetric root of variances or of a covariance."""
    if variance.ndim == 1:
        return np.diag(np.sqrt(variance))
    own = np.sqrt(np.diag(variance))
    both = np.outer(own, own)
    value, vector = np.linalg.eigh(np.divide(variance, both, np.zeros_like(both), where=both > 0))
    return np.asarray(own[:, None] * (vector * np.sqrt(np.where(value > ROUNDING, value, 0.0))))


def _step(adjust: F64, unseen: F64, residual: F64, deviate: F64) -> tuple[F64, F64, F64]:
    """Return the changes of deviates and of unmeasured quantities, and the force of each balance.

    Parameters
    ----------
    adjust : (..., M, N) float64   derivatives by the deviates
    unseen : (..., M, N) float64   derivatives by unmeasured quantities of size 1, 0 elsewhere
    left : (..., M) float64        what the balances leave over
    deviate : (..., N) float64     so far
    """
    back = _inverse(unseen)
    # The residuals that unmeasured quantities cannot take up: independent combinations of balances,
    # for a projection itself has as many rows as there are balances, which rounding tells apart.
    value, vector = np.linalg.eigh(np.eye(unseen.shape[-2]) - unseen @ back)
    keep = np.swapaxes(np.where(value[..., None, :] > HALF, vector, 0.0), -1, -2)
    reduced = keep @ adjust
    norm = np.linalg.norm(reduced, axis=-1)
    made_of = np.linalg.norm(np.abs(keep) @ np.abs(adjust), axis=-1)
    scale = np.divide(1.0, norm, out=np.zeros_like(norm), where=norm > NOTHING * made_of)
    inverse = _inverse(reduced * scale[..., None])

    goal = _times(inverse, scale * _times(keep, _times(adjust, deviate) - residual))
    change = goal - deviate
    hidden = _times(back, -residual - _times(adjust, change))
    force = _times(np.swapaxes(keep, -1, -2), scale * _times(np.swapaxes(inverse, -1, -2), goal))
    return change, hidden, force


def _inverse(matrix: F64) -> F64:
    """Return pseudo-inverses; 0 for what has none, so that the step that follows is refused."""
    try:
        return np.asarray(np.linalg.pinv(matrix, rcond=NOTHING))
    except np.linalg.LinAlgError:
        if matrix.ndim > 2:
            return np.stack([_inverse(one) for one in matrix])
        return np.zeros_like(matrix.T)


def _times(matrix: F64, vector: F64) -> F64:
    """Return matrices (..., M, N) times vectors (..., N)."""
    return np.asarray((matrix @ vector[..., None])[..., 0])


def _share(
    constraint: Callable[[F64], F64],
    path: tuple[F64, F64],
    deviates: tuple[F64, F64],
    reach: F64,
    penalty: F64,
    moving: BOOL,
) -> F64:
    """Return the share of each step to take, (...): 0 for those that rest, or are no good.

    A path begins somewhere and goes on by a step; so do its deviates.
    """

    def merit(share: F64) -> tuple[F64, F64]:
        part = share[..., None]
        adjusted = ((deviates[0] + part * deviates[1]) ** 2).sum(axis=-1) / 2
        violation = np.linalg.norm(constraint(path[0] + part * path[1]) / reach, axis=-1)
        return adjusted, penalty * violation

    share = np.where(moving, 1.0, 0.0)
    adjusted, violation = merit(np.zeros_like(share))
    promise = (deviates[0] * deviates[1]).sum(axis=-1) - violation
    limit = (adjusted + violation) * (1 + ROUNDING) + ROUNDING
    for _ in range(HALVINGS):
        # Where the balances have no value the comparison is false, which is right.
        worse = moving & ~(sum(merit(share)) <= limit + SUFFICIENT * share * promise)
        if not worse.any():
            break
        share = np.where(worse, share / 2, share)
    else:
        share = np.where(worse, 0.0, share)
    return share


def _linear(slope: F64, flow: F64, sigma: F64, booked: F64, confidence: float) -> Reconciliation:
    """Reconcile balances whose coefficients differ between times, (..., M, N)."""
    lead, shape = slope.shape[:-2], slope.shape[-2:]
    times = slope.reshape(-1, *shape)
    if not len(times) or (times == times[0]).all():
        shared = times[0] if len(times) else np.zeros(shape)
        return reconcile(shared, flow, sigma, accumulation=booked, confidence=confidence)
    each = [
        reconcile(slope[at], flow[at], sigma, accumulation=booked[at], confidence=confidence)
        for at in np.ndindex(lead)
    ]
    together: dict[str, Any] = {}
    for name in Reconciliation.__slots__:
        values = [getattr(result, name) for result in each]
        if name in LISTS:
            together[name] = values
        else:
            column = np.array(values, dtype=object if name == "reason" else None)
            together[name] = column.reshape(lead + column.shape[1:])
    return Reconciliation(**together)


def _residual(constraint: Callable[[F64], F64], slope: F64, values: F64, seen: BOOL) -> F64:
    """Return the residuals of the measurements, (..., M); NaN if one of a balance is missing."""
    blind = ((slope != 0) & ~seen[..., None, :]).any(axis=-1)
    return np.where(blind, np.nan, constraint(values))
