"""Chlorine: current efficiency and local use, tank farms of liquid chlorine, major hazard sources.

Start with `figures`: the shares that targets are about. `headroom` has the formulas of tanks and
absorbers, `tank_farms` applies them to the live values of each farm, `hazards` grades units by
GB 18218. The mass a tank may hold is in `twin.accounts.tanks`.
May import `twin.reconciliation` and what that may.
"""

from twin.chlorine.figures import (
    anode_efficiency,
    cathode_efficiency,
    local_share_of_liquid,
    local_share_of_made,
)
from twin.chlorine.hazards import grade, r_equivalent
from twin.chlorine.headroom import (
    absorber_time,
    caustic_per_chlorine,
    spare_ready,
    time_left,
    user_trip,
)
from twin.chlorine.tank_farms import find_tank_farms, find_withdrawals, forecast

__all__ = [
    "absorber_time", "anode_efficiency", "cathode_efficiency", "caustic_per_chlorine",
    "find_tank_farms", "find_withdrawals", "forecast", "grade", "local_share_of_liquid",
    "local_share_of_made", "r_equivalent", "spare_ready", "time_left", "user_trip",
]  # fmt: skip
