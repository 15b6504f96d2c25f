"""Emissions of a scope: outlets by the hour, permits, greenhouse gases.

`outlets` has the CEMS hours, their substitution and their sums over windows, `carbon` scope 1 and
2 from the meters, `products` the footprint of each tonne; `routes` the answers. Start with
`routes`. May import `sums` and what it may.
"""
