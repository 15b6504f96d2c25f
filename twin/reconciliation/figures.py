"""Figures that stand on reconciled streams: sums of them, ratios of two sums, and their intervals.

References
----------
.. [1] Narasimhan, Jordache: Data Reconciliation and Gross Error Detection, Gulf, 2000, chapter 3:
   an unmeasured stream is estimated by the balances it stands in.
.. [2] JCGM 100:2008, Guide to the expression of uncertainty in measurement, 5.2.2 (propagation
   with correlated inputs).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from twin.arrays import BOOL, F64, ratio
from twin.reconciliation.balances import Amounts, Balance, Line
from twin.reconciliation.closure import close_balance

if TYPE_CHECKING:
    from collections.abc import Collection


# Of shares of a stream: what rounding makes of equal ones.
ALIKE = 1e-5


class ReconciledFigures(NamedTuple):
    """A sums and R ratios of streams over windows ``...`` by the closed balances."""

    value: F64  # (..., A + R) [kg, 1] NaN where the balances do not tell it
    sigma: F64  # (..., A + R) [kg, 1] standard uncertainty
    # (...) the balances check the meters of the window, and find none in error,
    sound: BOOL
    stands: BOOL  # (...) and tell all sums


def stream_weights(balance: Balance, weight: F64, tanks: Collection[int] = ()) -> F64:
    """Return a weighted sum of tags, and of what tanks take up, as a sum of streams.

    Parameters
    ----------
    balance : Balance
        S streams
    weight : (T,) float64 [kg/SI]
        as of `twin.reconciliation.uncertainty.weights`; NaN = not known
    tanks : collection of int
        places of the tanks

    Returns
    -------
    (S,) float64 [1]
        weight of each stream; NaN throughout where the sum has a part that is not a whole stream of
        the balance
    """
    part = np.zeros(len(balance.lines))
    tags, stores = list[int](), list[int]()
    for s, line in enumerate(balance.lines):
        if line.tanks:
            held = [k for k in line.tanks if k in tanks]
            stores += held
            # One tank of many is no stream.
            part[s] = np.nan if 0 < len(held) < len(line.tanks) else len(held) > 0
        elif line.tags and not line.expected:
            shares = np.array([weight[tag] / factor for tag, factor in line.tags])
            tags += [tag for tag, _ in line.tags if weight[tag] != 0]
            alike = np.abs(shares - shares[0]) <= ALIKE * np.abs(shares[0])
            part[s] = shares[0] if alike.all() else np.nan
    # A meter that two streams share is in the list twice.
    whole = sorted(tags) == np.flatnonzero(weight).tolist() and sorted(stores) == sorted(tanks)
    return part if whole and np.isfinite(part).all() else np.full(len(part), np.nan)


def reconcile_figures(
    balance: Balance, amounts: Amounts, sums: F64, ratios: F64
) -> ReconciledFigures:
    """Return sums and ratios of the streams that close every balance.

    Parameters
    ----------
    balance : Balance
        S streams
    amounts : Amounts
        (..., S) of windows
    sums : (A, S) float64 [1]
        weights of each sum, as of `stream_weights`
    ratios : (R, 2, S) float64 [1]
        weights of the numerator and of the denominator

    Returns
    -------
    ReconciledFigures
        a ratio is NaN where its denominator is not positive

    Notes
    -----
    A sum is one more stream, not measured, out of a balance of its own that all its parts enter:
    its estimate and uncertainty are those of the reconciliation [1]_, so that what the meters have
    in common counts once. What the two sums of a ratio have in common follows from the uncertainty
    of their own sum [2]_. The tests are those of the balance: a stream that is not measured checks
    nothing.
    """
    top, bottom = ratios[:, 0], ratios[:, 1]
    rows = np.vstack([sums, top, bottom, top + bottom])
    closure = close_balance(*_with_sums(balance, amounts, rows))
    streams, count, pairs = len(balance.lines), len(sums), len(ratios)
    value, sigma = closure.estimate[..., streams:], closure.sigma[..., streams:]
    parts = [slice(count + pairs * n, count + pairs * (n + 1)) for n in range(3)]
    over, under = (value[..., part] for part in parts[:2])
    variance = [sigma[..., part] ** 2 for part in parts]
    both = (variance[2] - variance[0] - variance[1]) / 2
    share = ratio(over, np.where(under > 0, under, np.nan))
    spread = variance[0] - 2 * share * both + share**2 * variance[1]
    observable = closure.observable[..., streams:]
    seen = np.where(observable[..., :count], value[..., :count], np.nan)
    sound = np.asarray(closure.consistent & (closure.dof > 0))
    solved = np.isfinite(value).all(axis=-1)
    return ReconciledFigures(
        np.concatenate([seen, share], axis=-1),
        np.concatenate(
            [sigma[..., :count], ratio(np.sqrt(np.maximum(spread, 0.0)), np.abs(under))], axis=-1
        ),
        sound,
        np.asarray(sound & observable.all(axis=-1) & solved),
    )


def _with_sums(balance: Balance, amounts: Amounts, weight: F64) -> tuple[Balance, Amounts]:
    """Return a balance and its amounts with some sums (n, S) of its streams behind the streams."""
    names = [f"sum {n}" for n in range(len(weight))]
    nodes = len(balance.nodes)
    incidence = np.block([
        [balance.incidence, np.zeros((nodes, len(weight)))],
        [weight, -np.eye(len(weight))],
    ])  # fmt: skip
    larger = replace(
        balance,
        nodes=(*balance.nodes, *names),
        lines=(*balance.lines, *(Line(name, name, "") for name in names)),
        incidence=incidence,
        lower=np.append(balance.lower, np.full(len(weight), -np.inf)),
    )
    more = (*amounts.flow.shape[:-1], len(weight))
    fill = {"flow": np.nan, "sigma": np.nan, "fraction": 1.0, "fraction_sigma": 0.0}
    columns = {
        name: np.concatenate([getattr(amounts, name), np.full(more, value)], axis=-1)
        for name, value in fill.items()
    }
    return larger, Amounts(**columns)
