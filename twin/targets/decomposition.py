"""What moved a ratio of two sums between two periods, by member and by numerator and denominator.

References
----------
.. [1] Shapley, L. S.: A value for n-person games, in: Contributions to the Theory of Games II,
   Princeton, 1953, 307-317.
.. [2] Sun, J. W.: Changes in energy consumption and energy intensity: a complete decomposition
   model, Energy Economics 20 (1998), 85-100: the same for two factors, without a residual.
.. [3] Ang, B. W.: Decomposition analysis for policymaking in energy: which is the preferred
   method?, Energy Policy 32 (2004), 1131-1139: the tests a method should pass.
"""

from __future__ import annotations

import numpy as np

from twin.arrays import F64


def explain_change(before: tuple[F64, F64], after: tuple[F64, F64]) -> tuple[F64, F64]:
    """Return the parts of the change of a ratio of two sums.

    Parameters
    ----------
    before, after : pair of (m,) float64 [u, v]
        the numerators and denominators of the members of both sums; a member may have a 0, the
        sums of the denominators may not

    Returns
    -------
    numerator, denominator : (m,) float64 [u/v]
        what the change of each member's numerator and denominator made of it; all together are
        exactly the change of the ratio [1]_ [2]_ [3]_

    Notes
    -----
    Numerator and denominator are two players: each has the mean of what it changes with the other
    before and after. The part of a sum divides among its members as its change does.
    """
    over, under = before
    over_after, under_after = after
    n0, n1 = float(np.sum(over)), float(np.sum(over_after))
    d0, d1 = float(np.sum(under)), float(np.sum(under_after))
    numerator = (over_after - over) * (1 / d0 + 1 / d1) / 2
    denominator = -(under_after - under) * (n0 + n1) / (d0 * d1) / 2
    return np.asarray(numerator), np.asarray(denominator)
