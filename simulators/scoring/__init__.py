"""Scoring: what the twin says of simulated parks, against what truly happened.

Start with `score`. May import all of simulators.
"""
