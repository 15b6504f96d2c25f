"""What-if: a park with plants tripped or re-rated for hours, from its live state on.

Start with `scenario`: `run` simulates scenarios, and the other functions evaluate the trajectory.
`network` compiles the park, `initial_state` closes the live flows, `routes` and `dispatch` find
where an imbalance can go, `simulation` steps through time.
May import `twin.chlorine`, `twin.reconciliation` and what they may.
"""

from twin.scenario.initial_state import InitialState, find_initial_state
from twin.scenario.network import Supply, compile_supply
from twin.scenario.scenario import (
    Action,
    accumulated,
    assumptions,
    made,
    power,
    run,
    tankers,
    vent_rate,
)
from twin.scenario.simulation import Policy, Trajectory

__all__ = [
    "Action", "InitialState", "Policy", "Supply", "Trajectory", "accumulated", "assumptions",
    "compile_supply", "find_initial_state", "made", "power", "run", "tankers", "vent_rate",
]  # fmt: skip
