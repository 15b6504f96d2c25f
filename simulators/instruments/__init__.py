"""Instruments: readings of the true state, with noise, resolution and faults.

Start with `sensors`. May import `simulators.process` and `simulators.scenarios`.
"""
