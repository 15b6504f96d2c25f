"""Verdicts on what plants deliver of the energy they take."""

import numpy as np

from twin.energy.conversion import judge


def test_a_plant_that_delivers_more_than_it_takes_creates_energy():
    efficiency = np.array([0.9, 1.02, 1.256, np.nan, 1.1])
    width = np.array([0.02, 0.03, 0.03, 0.1, np.nan])
    assert judge(efficiency, width).tolist() == [
        "plausible", "plausible", "creates_energy", "undecided", "creates_energy",
    ]  # fmt: skip
