"""By-products: the surplus of plants, its possible users, the routes between them.

Start with `exchange`, which compiles the enterprises of a park that could trade a by-product;
`allocation` finds the most use and the most gain by linear programming. `balance` is what the
balance of a component leaves unexplained. The resource catalogue begins with `catalogue`, its
tables: `matching` says what fits and why others do not, `blending` allocates to who takes
mixtures, `ledger` holds agreements against meters. May import `twin.reconciliation` and what that
may.
"""

from twin.byproducts.allocation import Allocation, Links, allocate, unit_cost
from twin.byproducts.balance import unaccounted
from twin.byproducts.exchange import compile_exchange, surplus_rate

__all__ = [
    "Allocation", "Links", "allocate", "compile_exchange", "surplus_rate", "unaccounted",
    "unit_cost",
]  # fmt: skip
