"""Energy per tonne: coal equivalent, benchmarks, electrolysis and its circuits.

Start with `consumption`. May import `twin.reconciliation` and what that may.
"""
