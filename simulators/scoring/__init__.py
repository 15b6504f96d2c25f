"""Scoring: the results of the twin for simulated parks, against the truth.

Start with `score`. May import all of simulators.
"""
