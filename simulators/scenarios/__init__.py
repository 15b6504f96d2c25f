"""Scenarios: events in a park, and the truth that results.

Start with `script`, which reads the TOML files of this folder. May import `simulators.process`.
"""
