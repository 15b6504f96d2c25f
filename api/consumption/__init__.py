"""Consumption of energy by scope, carrier, measure and window: amount, coal, cost, carbon, load.

Start with `routes`: consumption and comparison. `measures` has the weights of each carrier, `cost`
what they cost, `load` demand, curves and power factor. May import `api.meters`, `api.emissions` and
what these may.
"""
