"""The true state of a park: every tag a pure function of time and seed, all balances closed.

Start with `process`. May import twin only.
"""
