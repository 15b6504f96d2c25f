"""Accounts: every figure of the twin is a linear function of tags and of heats.

`accounts` has the entries of tags in the accounts of scopes; `network` compiles a park model to
arrays: accounts, tanks and the signs of derived tags; `tanks` turns a level into a mass and knows
when a tank is full; `carriers` values energy in coal equivalent; `heat` knows what a unit of steam
or fuel holds: a constant, or at the time.
Start with `accounts`. May import the ground of twin, `twin.model` and `twin.series`.
"""
