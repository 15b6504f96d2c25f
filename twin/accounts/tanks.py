"""Tanks: from level to volume by geometry.

References
----------
.. [1] Circular segment: A/A0 = (θ - sin θ) / 2π with cos(θ/2) = 1 - 2h/D; flat heads.
"""

from __future__ import annotations

import numpy as np

from twin.arrays import F64


def volume_fraction(height_fraction: F64) -> F64:
    """Return the filled share of a horizontal cylinder with flat heads.

    Parameters
    ----------
    height_fraction : (...) float64 [1]   level over diameter; clipped to 0..1, NaN stays NaN

    Returns
    -------
    (...) float64 [1]
    """
    theta = 2 * np.arccos(1 - 2 * np.clip(height_fraction, 0.0, 1.0))
    return np.asarray((theta - np.sin(theta)) / (2 * np.pi))


def height_fraction(filled: F64) -> F64:
    """Return the level that a filled share of a horizontal cylinder has.

    Parameters
    ----------
    filled : (...) float64 [1]   filled share of the volume; clipped to 0..1, NaN stays NaN

    Returns
    -------
    (...) float64 [1]            level over diameter: the inverse of `volume_fraction`

    Notes
    -----
    Newton's method on θ - sin θ = 2π·filled [1]_, from a start that is close everywhere.
    """
    target = 2 * np.pi * np.clip(np.asarray(filled, dtype=np.float64), 0.0, 1.0)
    mirrored = np.minimum(target, 2 * np.pi - target)
    theta = np.minimum(np.cbrt(6 * mirrored) * (1 + mirrored / (8 * np.pi)), np.pi)
    for _ in range(20):
        slope = np.maximum(1 - np.cos(theta), 1e-12)
        theta = np.clip(theta - (theta - np.sin(theta) - mirrored) / slope, 0.0, np.pi)
    theta = np.where(target > np.pi, 2 * np.pi - theta, theta)
    return np.asarray((1 - np.cos(theta / 2)) / 2)
