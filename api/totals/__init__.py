"""Pollutant totals of a year: sources by method, permits, and the ledger of reductions.

`sources` has what each outlet and factor sent out day by day, `figures` the totals of permits and
scopes, `routes` the answers. Start with `routes`. May import `api.emissions` and what that may.
"""
