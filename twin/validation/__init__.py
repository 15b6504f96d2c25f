"""Validation of new samples: rate of change, standstill, unit errors; health of gateways.

Start with `assess`, which judges a block of samples; `rules` says by what limits.
May import `twin.reconciliation` and what that may.
"""
