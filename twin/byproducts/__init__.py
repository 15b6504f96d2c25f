"""By-products: the surplus of reactions and plants, its possible users, the routes between them.

Start with `balance`: what a balance leaves unexplained, and what reactions should make and use.
`exchange` compiles the enterprises of a park that could trade a by-product, and `allocation` finds
the most use and the most gain by linear programming.
May import `twin.reconciliation` and what that may.
"""

from twin.byproducts.allocation import Allocation, Links, allocate, unit_cost
from twin.byproducts.balance import compile_processes, expected, surplus, unaccounted
from twin.byproducts.exchange import compile_exchange, surplus_rate

__all__ = [
    "Allocation", "Links", "allocate", "compile_exchange", "compile_processes", "expected",
    "surplus", "surplus_rate", "unaccounted", "unit_cost",
]  # fmt: skip
