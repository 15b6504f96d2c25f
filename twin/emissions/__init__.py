"""Emissions: stacks and drains by the hour, validity of monitors, permits, greenhouse gases.

Start with `outlets`: the hours of a stack or a drain, from its tags. `flue_gas` has the formulas of
HJ 212, `validity` the rules for valid hours and flags, `substitution` the values for missing hours,
`permits` what may be emitted in a year, `releases` analyses and factors where no monitor measures,
`totals` the year against a permit with intervals, `quotas` the ledger of reductions. `carbon` has
the formulas of greenhouse gases, `sources` applies them to the meters of a scope, `green_power` has
contracts and certificates, `products` the footprints of products.
May import `twin.reconciliation`, what that may, `twin.book` and `twin.targets`.
"""

from twin.emissions.flue_gas import (
    at_standard_state,
    dry,
    mass_concentration,
    mass_emitted,
    nitrogen_oxides,
    oxygen_corrected,
    standard_dry_flow,
)
from twin.emissions.permits import permit_outlook
from twin.emissions.sources import emission_sources
from twin.emissions.substitution import substitute

__all__ = [
    "at_standard_state", "dry", "emission_sources", "mass_concentration", "mass_emitted",
    "nitrogen_oxides", "oxygen_corrected", "permit_outlook", "standard_dry_flow", "substitute",
]  # fmt: skip
