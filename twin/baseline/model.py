"""Table ``[[baseline]]``: energy of a scope as a line in its variables; a model that was fitted.

A model is plain numbers in SI, so that it can be stored as it is and never changes.

References
----------
.. [1] ISO 50006:2014, energy baselines and indicators: relevant variables, base period.
.. [2] GB/T 2589-2020: energy counts at the top of each tree of meters.
.. [3] M. H. Kutner, C. J. Nachtsheim, J. Neter, W. Li: Applied Linear Statistical Models, 5th ed.,
   McGraw-Hill, 2005: 9.4 (backward elimination), 10.5 (variance inflation).
.. [4] IPMVP, EVO 10100-1 (2018): a model is valid in the range of its base period.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin.accounts.accounts import ELECTRICITY, Account
from twin.accounts.heat import heat_entry, is_steam
from twin.arrays import BOOL, F64
from twin.baseline.regression import (
    dependence,
    dependent_p_values,
    fit_linear,
    inflation_factors,
    quantile,
)
from twin.model.meters import counts
from twin.model.park import TOTAL, inside
from twin.model.rows import RowFault, cell, guess, table
from twin.reference import figure
from twin.reference import load as load_reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from twin.accounts.network import Network
    from twin.baseline.regression import Regression
    from twin.model.park import Park

CARRIERS = (ELECTRICITY, "steam", "coal_equivalent")
FREQUENCIES = ("hour", "day", "month")
CONSTANT = "constant"


@table
class Baseline:
    """Energy of a product, or of a whole scope, and what it may depend on."""

    id: str = cell("path")
    scope: str = cell("scope")
    carrier: str = cell("one " + " ".join(CARRIERS))
    # Empty: of the scope as a whole.
    product: str = cell("text", default="")
    # Variables: masses of products (its own one where none is named); means of gauges and amounts
    # of counters.
    products: tuple[str, ...] = cell("texts", default=())
    tags: tuple[str, ...] = cell("texts", default=())
    # The base period; the order to fit may name another.
    start: date | None = cell("date", default=None)
    until: date | None = cell("date", default=None)
    frequency: str = cell("one " + " ".join(FREQUENCIES), default="day")
    # A line with a load that does not follow the variables, or through zero.
    form: str = cell("one linear proportional", default="linear")
    name: dict[str, str] | None = cell("name", default=None)
    source: str = cell("any", default="")
    note: str = cell("any", default="")

    @property
    def made(self) -> tuple[str, ...]:
        """The products whose mass is a variable: its own one where it names none."""
        return self.products or ((self.product,) if self.product else ())

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of all candidates: products, then addresses of tags."""
        return (*self.made, *self.tags)


@dataclass(frozen=True, slots=True)
class BaselineModel:
    """A fitted model, in SI: variables are kg of products and the values or amounts of tags."""

    variables: tuple[str, ...]  # that stay, `CONSTANT` first where the form has one
    coefficient: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    p_value: tuple[float, ...]
    low: tuple[float, ...]  # of each variable in the base period
    high: tuple[float, ...]
    dropped: dict[str, str]  # candidates that do not stay, and why
    points: int
    left_out: int  # windows of the base period that are not covered enough
    mean: float  # [J] of a window
    rmse: float  # [J]
    r2: float
    adjusted_r2: float
    cv_rmse: float
    nmbe: float
    f_p_value: float
    durbin_watson: float
    correlation: float
    quality: int  # the worst of the windows

    @property
    def growth(self) -> float:
        """By how much the variance of a sum grows because residuals follow each other."""
        return dependence(self.correlation)

    @property
    def quantile(self) -> float:
        """Student's two-sided quantile of 95 %."""
        return quantile(self.points, len(self.variables), self.correlation)


def energy_weights(network: Network, row: Baseline) -> F64:
    """Return the weights of the energy of a baseline.

    Parameters
    ----------
    network : Network     T tags
    row : Baseline

    Returns
    -------
    (T,) float64 [J/SI]   weight of each tag's amount; 0 throughout where nothing measures it [2]_
    """
    weight, subject = np.zeros(len(network.tags)), row.product or TOTAL
    if row.carrier != "steam":
        account = Account(row.scope, subject, row.carrier)
        if account in network.accounts:
            lines = network.entries(account)
            np.add.at(weight, network.entry_tag[lines], network.entry_factor[lines])
        return weight
    trees = network.meters
    for at, meter in enumerate(trees.meters):
        if is_steam(meter.carrier) and counts(trees, at, row.scope, row.product):
            entry = heat_entry(network.park, network.index, network.heats, meter)
            if entry is not None:
                weight[entry[0]] += meter.sign * entry[1]
    return weight


def choose(row: Baseline, x: F64) -> tuple[list[int], dict[str, str]]:
    """Return the candidates that may stand in a model, and why others may not.

    Parameters
    ----------
    row : Baseline
    x : (n, v) float64 [SI]   candidates in the windows that count

    Returns
    -------
    kept : list of int        columns
    dropped : dict of str     reason by name of the variable: it does not vary, or others make it
                              [3]_
    """
    dropped: dict[str, str] = {}
    kept = []
    for at, name in enumerate(row.variables):
        if np.ptp(x[:, at]) == 0:
            dropped[name] = "is the same in the whole base period"
        else:
            kept.append(at)
    most = load_reference("baselines")["collinear"]["value"]
    while len(kept) > 1:
        factors = inflation_factors(x[:, kept])
        # What is named first stays: of two that are alike, the later one goes.
        alike = np.flatnonzero(factors > most)
        if not len(alike):
            break
        at = kept.pop(int(alike[-1]))
        dropped[row.variables[at]] = f"the other variables make it (VIF above {most:g})"
    return kept, dropped


def fit_baseline(row: Baseline, energy: F64, x: F64, usable: BOOL, quality: int) -> BaselineModel:
    """Return the model of a base period.

    Parameters
    ----------
    row : Baseline
    energy : (W,) float64 [J]
        of each window, in time order
    x : (W, v) float64 [SI]
        candidates, in the order of `Baseline.variables`
    usable : (W,) bool
        windows that count
    quality : int
        the worst of those

    Returns
    -------
    BaselineModel
        Candidates whose p-value is above the limit go one by one, the weakest first, until all that
        stay are significant [3]_ or one is left: a variable needs a reason [1]_.

    Raises
    ------
    ValueError
        there is no such line: too few windows, or an energy that does not vary
    """
    y, columns = energy[usable], x[usable]
    kept, dropped = choose(row, columns) if len(y) else ([], {})
    limit = load_reference("baselines")["rule"]["p_value"]["any"]["limit"]
    while True:
        fit = fit_linear(_design(row, columns[:, kept]), y)
        if fit is None:
            raise ValueError(_lack(len(y), len(kept)))
        own = dependent_p_values(fit)[-len(kept) :] if kept else np.zeros(0)
        if len(kept) < 2 or not own.max() > limit:
            break
        worst = int(np.argmax(own))
        dropped[row.variables[kept.pop(worst)]] = f"p = {own[worst]:.2g} is above {limit:g}"
    return _model(row, fit, y, columns, kept, dropped, int((~usable).sum()), quality)


def _lack(points: int, variables: int) -> str:
    if variables and points > variables + 1:
        return "the energy does not vary, or is made of its variables exactly"
    return f"{points} windows that count and {variables} variables that vary are too few"


def _design(row: Baseline, x: F64) -> F64:
    """Return the columns of a fit: a constant first, where the form has one."""
    return x if row.form == "proportional" else np.column_stack([np.ones(len(x)), x])


def _model(
    row: Baseline,
    fit: Regression,
    y: F64,
    x: F64,
    kept: list[int],
    dropped: dict[str, str],
    left_out: int,
    quality: int,
) -> BaselineModel:
    constant = () if row.form == "proportional" else (CONSTANT,)
    ones = (1.0,) * len(constant)
    return BaselineModel(
        variables=(*constant, *(row.variables[at] for at in kept)),
        coefficient=tuple(fit.coefficient.tolist()),
        covariance=tuple(tuple(line) for line in fit.covariance.tolist()),
        p_value=tuple(dependent_p_values(fit).tolist()),
        low=(*ones, *x[:, kept].min(axis=0).tolist()),
        high=(*ones, *x[:, kept].max(axis=0).tolist()),
        dropped=dropped,
        points=fit.points,
        left_out=left_out,
        mean=float(y.mean()),
        rmse=fit.rmse,
        r2=fit.r2,
        adjusted_r2=fit.adjusted_r2,
        cv_rmse=fit.cv_rmse,
        nmbe=fit.nmbe,
        f_p_value=fit.f_p_value,
        durbin_watson=fit.durbin_watson,
        correlation=fit.correlation,
        quality=quality,
    )


def columns_of_model(model: BaselineModel, names: Sequence[str], x: F64) -> F64:
    """Return the columns of a model from those of its candidates.

    Parameters
    ----------
    model : BaselineModel        p variables
    names : sequence of str      of the columns; one that is missing is not known
    x : (W, v) float64 [SI]

    Returns
    -------
    (W, p) float64 [SI]          NaN where a variable is not known; a column of ones for the
                                 constant of a line [1]_
    """
    at = {name: column for column, name in enumerate(names)}
    unknown = np.full(len(x), np.nan)
    columns = [np.ones(len(x)) if name == CONSTANT else x[:, at[name]] if name in at else unknown
               for name in model.variables]  # fmt: skip
    return np.column_stack(columns)


def outside(model: BaselineModel, columns: F64) -> BOOL:
    """Tell windows whose variables lie beyond what the base period has shown.

    Parameters
    ----------
    model : BaselineModel
    columns : (W, p) float64 [SI]   as of `columns_of_model`

    Returns
    -------
    (W,) bool                       a variable is further outside than a share of its range [4]_
    """
    low, high = np.array(model.low), np.array(model.high)
    room = figure("baselines.range", "fraction") * (high - low)
    return np.asarray(((columns < low - room) | (columns > high + room)).any(axis=1))


def check_baselines(park: Park) -> Iterator[RowFault]:
    """Yield baselines that have no variable, or name what is not there."""
    tags = {tag.address: tag for tag in park.tags}
    for row in park.rows(Baseline):
        yield from _check_products(park, row)
        for address in row.tags:
            if address not in tags:
                close = guess(address, tags)
                yield RowFault(row, f"there is no tag {address!r} in tags.csv{close}", "tags")
        if not row.variables:
            yield RowFault(row, "needs a product, products or tags: what its energy depends on")
        if len(set(row.variables)) < len(row.variables):
            yield RowFault(row, "a variable stands twice in it")
        if "/" in row.id:
            yield RowFault(row, "is one segment, without /", "id")
        if row.start and row.until and row.start >= row.until:
            yield RowFault(row, "is not after `start`", "until")


def _check_products(park: Park, row: Baseline) -> Iterator[RowFault]:
    """Yield products that are not made in the scope of a baseline."""
    own = {p.id for p in park.products if inside(p.scope, row.scope)}
    for column, named in (("product", (row.product,)), ("products", row.products)):
        for name in named:
            if name and name not in own:
                text = f"no [[product]] {name!r} is made in its scope{guess(name, own)}"
                yield RowFault(row, text, column)
