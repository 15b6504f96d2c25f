"""Reconciliation: flows that close every balance, and the gross errors that keep them from it.

Start with `linear`: reconciliation of flows, with its tests. `nonlinear` and `components` go on to
energy and to composition; `uncertainty` makes intervals of meter errors; `monitor` watches the
balances minute by minute. May import what `twin.step` may.
"""

from twin.reconciliation.linear import Reconciliation, reconcile

__all__ = ["Reconciliation", "reconcile"]
