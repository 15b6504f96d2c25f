"""By-products: what the reactions leave over, who could use it, by which ways.

Start with `balance`; `exchange` finds the enterprises that could trade, `allocation` the cheapest
way. May import `twin.reconciliation` and what that may.
"""
