"""Instruments: what a meter shows of the truth, and how it fails.

Start with `sensors`. May import `simulators.process` and `simulators.scenarios`.
"""
