"""What-if: a park with plants tripped or re-rated for hours, from its live state on.

Start with `scenario`, whose `run` is the front. `initial_state` closes the live flows, `network`
compiles the park, `routes` and `dispatch` find where an imbalance can go, `simulation` steps
through time. May import `twin.chlorine`, `twin.reconciliation` and what they may.
"""
