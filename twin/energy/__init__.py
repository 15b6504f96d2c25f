"""Energy per tonne: coal equivalent, benchmarks, electrolysers, prices.

Start with `consumption`: intensities on the equivalent and the equal basis. `benchmarks` compares
them, `conversion` judges boiler houses and power plants, `electrolysis` and `circuits` follow
single electrolysers (voltage, K), `efficiency` their current efficiency, `recoating` their ageing
and the date at which new coatings pay, `junctions` has what the meters behind others leave over,
and `tariffs` has the price tiers of aluminium. `prices` are the dated tariffs of the model with
their periods and the working calendar (`calendar`), `supply` what is bought, made and sold,
`bills` what it costs, `load` curves, standby and periods compared. Factors of carriers are in
`twin.accounts.carriers`, heat in `twin.accounts.heat`.
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
from twin.energy.efficiency import by_meters, cell_efficiencies, combine
from twin.energy.electrolysis import ageing, check_saving, k_factor, zero_current_voltage
from twin.energy.recoating import age, economic_life, reference_voltage
from twin.energy.tariffs import aluminium_line, aluminium_surcharge, aluminium_tiers

__all__ = [
    "age", "ageing", "aluminium_line", "aluminium_surcharge", "aluminium_tiers", "by_meters",
    "cell_efficiencies", "check_saving", "circuit", "coal_equivalent", "combine", "economic_life",
    "electricity_row", "find_marks", "intensity", "k_factor", "position", "reference_enthalpy",
    "reference_voltage", "steam_factor", "zero_current_voltage",
]  # fmt: skip
