"""Scenarios: what happens to a park, when and how much, and the truth it leaves.

Start with `script`, which reads the files beside it. May import `simulators.process`.
"""
