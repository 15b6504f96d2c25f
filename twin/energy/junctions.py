"""What the meters behind a junction leave over: losses, and users without a meter.

References
----------
.. [1] GB 17167-2006, General principle for equipping and managing of the measuring instrument of
   energy in organization of energy using: meters at the boundary, of plants and of equipment.
.. [2] JCGM 100:2008, Guide to the expression of uncertainty in measurement, 5.1.2 (propagation).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twin.arrays import F64, ratio
from twin.reconciliation.uncertainty import half_width, sum_sigma

if TYPE_CHECKING:
    from twin.accounts.network import Network
    from twin.model.junctions import Junction

CLOSED, REMAINDER, EXCESS, UNKNOWN = "closed", "remainder", "excess", "unknown"


@dataclass(frozen=True, slots=True)
class Remainder:
    """Sums of a junction over W windows [SI of its carrier], with half widths at 95 %."""

    supplied: F64  # (W,) by the sources
    supplied_ci: F64  # (W,)
    metered: F64  # (W,) by the meters behind them
    metered_ci: F64  # (W,)
    remainder: F64  # (W,) what has no meter, or is lost
    remainder_ci: F64  # (W,)
    share: F64  # (W,) [1] remainder over supplied
    verdict: NDArray[np.str_]  # (W,)


def junction_weights(network: Network, junction: Junction) -> tuple[F64, F64]:
    """Return the weights of the tags in what a junction is supplied, and in what it gives on.

    Parameters
    ----------
    network : Network
        T tags
    junction : Junction
        of the network

    Returns
    -------
    supplied, metered : (T,) float64 [1]
    """
    supplied, metered = np.zeros((2, len(network.tags)))
    for weight, meters in ((supplied, junction.sources), (metered, junction.users)):
        for at in meters:
            weight[network.index[network.meters.meters[at].tag]] += 1.0
    return supplied, metered


def find_remainder(network: Network, junction: Junction, amount: F64, covered_s: F64) -> Remainder:
    """Return what the meters behind a junction leave over.

    Parameters
    ----------
    network : Network
        T tags
    junction : Junction
        of the network
    amount, covered_s : (W, T) float64 [SI, s]
        sums of each tag over the windows; NaN = no value

    Returns
    -------
    Remainder
        NaN and ``unknown`` where a meter has no value. ``closed``: the interval of the remainder
        reaches zero, or what the stated loss may be, none to twice as large; ``remainder`` lies
        above that, ``excess`` below zero: more behind the meters than through them

    Notes
    -----
    The levels of [1]_ compared; errors of meters are independent [2]_.
    """
    weights = junction_weights(network, junction)
    sums, widths = [], []
    for weight in (*weights, weights[0] - weights[1]):
        used = weight != 0
        sums.append(amount[:, used] @ weight[used])
        widths.append(half_width(sum_sigma(network, junction.carrier, weight, amount, covered_s)))
    supplied, metered, remainder = sums
    width = widths[2]
    most = 2 * junction.loss * supplied if junction.loss >= 0 else np.zeros(len(supplied))
    verdict = np.where(remainder - width > most, REMAINDER, CLOSED)
    verdict = np.where(remainder + width < 0, EXCESS, verdict)
    return Remainder(
        supplied,
        widths[0],
        metered,
        widths[1],
        remainder,
        width,
        ratio(remainder, supplied),
        np.where(np.isnan(remainder), UNKNOWN, verdict),
    )
