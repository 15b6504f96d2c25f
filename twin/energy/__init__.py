"""Energy per tonne: coal equivalent, benchmarks, electrolysers, prices.

Start with `consumption`: intensities on the equivalent and the equal basis. `benchmarks` compares
them, `electrolysis` and `circuits` follow single electrolysers (voltage, K and its ageing),
`junctions` has what the meters behind others leave over, and `tariffs` prices the electricity of
aluminium. Factors of carriers are in `twin.accounts.carriers`.
May import `twin.reconciliation` and what that may.
"""

from twin.energy.benchmarks import find_marks, position
from twin.energy.circuits import circuit
from twin.energy.consumption import (
    coal_equivalent,
    electricity_row,
    intensity,
    reference_enthalpy,
    steam_factor,
)
from twin.energy.electrolysis import ageing, check_saving, k_factor, zero_current_voltage
from twin.energy.tariffs import aluminium_surcharge

__all__ = [
    "ageing", "aluminium_surcharge", "check_saving", "circuit", "coal_equivalent",
    "electricity_row", "find_marks", "intensity", "k_factor", "position", "reference_enthalpy",
    "steam_factor", "zero_current_voltage",
]  # fmt: skip
