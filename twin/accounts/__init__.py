"""Accounts: every figure of the twin is a linear function of tags.

Start with `accounts` (entries of tags in the accounts of scopes); `network` compiles a
park model to arrays; `tanks` turns a level into a mass; `carriers` values energy in coal.
May import the ground of twin, `twin.model` and `twin.series`.
"""
