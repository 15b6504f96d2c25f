"""Intensities are ratios of sums, and never infinite."""

import numpy as np
import pytest

from twin.energy import intensity
from twin.uom import from_si, parse_quantity

TONNE = parse_quantity("1 t", "mass")


@pytest.mark.parametrize(
    ("electricity", "steam_t", "expected"),
    [(2250, 0.25, 308.675), (2600, 0.30, 358.12), (2450, 0.0, 301.105)],
)
def test_caustic_unit_energy_of_the_published_cases(electricity, steam_t, expected):
    coal = parse_quantity("0.1229 kgce/kWh", "fraction") * parse_quantity("1 kWh", "energy")
    steam = parse_quantity("128.6 kgce/t", "intensity") * steam_t * TONNE
    found = intensity(np.array([electricity * coal + steam]), np.array([TONNE]))
    assert from_si(float(found[0]), "kgce/t", "intensity") == pytest.approx(expected, abs=1e-9)


def test_without_production_there_is_no_intensity():
    energy = np.array([1.0, 1.0, 0.0, np.nan, 1.0])
    mass = np.array([0.0, -1.0, 0.0, 2.0, np.nan])
    assert np.isnan(intensity(energy, mass)).all()
    assert intensity(np.array([[6.0, 0.0]]), np.array([[3.0, 3.0]])).tolist() == [[2.0, 0.0]]
