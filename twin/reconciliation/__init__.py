"""Reconciliation: flows that close every balance, and the gross errors that keep them from it.

Start with `linear`: reconciliation of flows, with its tests. `nonlinear` and `components` extend it
to energy and composition; `least_squares`, `observability` and `chi_square` are its arithmetic,
`sparse` and `fronts` that of large networks, and `bounds` finds the bounds that flows reach.
`balances` compiles the balances of a component from a park and measures their flows, `closure`
reconciles them, `uncertainty` makes intervals from the errors of the meters. `monitor` observes the
balances minute by minute, and `detection` finds the meters that begin to show something else;
`steady` holds a test back while flows that move may have left in pipes what it would accuse.
May import what `twin.step` may.
"""

from twin.reconciliation.components import reconcile_components
from twin.reconciliation.linear import Reconciliation, reconcile
from twin.reconciliation.nonlinear import reconcile_nonlinear
from twin.reconciliation.steady import steady_state

__all__ = [
    "Reconciliation",
    "reconcile",
    "reconcile_components",
    "reconcile_nonlinear",
    "steady_state",
]
