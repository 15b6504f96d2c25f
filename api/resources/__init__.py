"""The by-product resource catalogue over HTTP: availability, matches, allocation, exchange ledger.

Start with `routes`. May import what subjects of the api may (`SUMMING` in the tidy test).
"""
