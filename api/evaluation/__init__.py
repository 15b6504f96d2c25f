"""Evaluation of enterprises: routes, and the figures of a year that they are made of.

Start with `routes`; `figures` reads the indicators. May import `api.emissions` and what that may.
"""
