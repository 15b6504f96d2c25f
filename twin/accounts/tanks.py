"""Tanks: from level to volume by geometry, and the mass a tank may hold.

References
----------
.. [1] Circular segment: A/A0 = (θ - sin θ) / 2π with cos(θ/2) = 1 - 2h/D; flat heads.
.. [2] GB 11984-2008, safety code for chlorine: at most 80 % of a tank's volume and 1.25 kg/L.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import F64
from twin.reference import figure

if TYPE_CHECKING:
    from twin.accounts.network import Network
    from twin.model.park import Tag, Tank

LIQUID_CHLORINE = "liquid_chlorine"


def full_mass(tank: Tank, tag: Tag) -> float:
    """Return the mass that fills a tank to the brim.

    Parameters
    ----------
    tank : Tank
    tag : Tag
        of its level or mass

    Returns
    -------
    float [kg]
        volume times density; the top of the range of its mass tag where the model has no size
    """
    full = np.pi / 4 * tank.diameter**2 * tank.length * tank.density
    return tag.high if tank.mass and not np.isfinite(full) else float(full)


def fill_share(tank: Tank) -> float:
    """Return the share of its volume that a tank may be filled to.

    Parameters
    ----------
    tank : Tank

    Returns
    -------
    float [1]
        the fill limit of the model; of liquid chlorine no more than the filling coefficient of
        1.25 kg/L allows, where the density is known [2]_
    """
    if tank.medium != LIQUID_CHLORINE or np.isnan(tank.density):
        return tank.fill_limit
    return min(tank.fill_limit, figure("chlorine.filling", "density") / tank.density)


def tank_limits(network: Network) -> F64:
    """Return the mass that each tank may hold.

    Parameters
    ----------
    network : Network
        K tanks

    Returns
    -------
    (K,) float64 [kg]
        NaN where neither the size of the tank nor the range of its mass tag is known
    """
    pairs = zip(network.park.tanks, network.tank_tag.tolist(), strict=True)
    limits = [fill_share(tank) * full_mass(tank, network.tags[tag]) for tank, tag in pairs]
    return np.array(limits, dtype=np.float64)


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
