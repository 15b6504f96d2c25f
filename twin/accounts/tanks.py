"""Tanks: from level to volume by geometry, and the mass a tank may hold.

References
----------
.. [1] Circular segment: A/A0 = (θ - sin θ) / 2π with cos(θ/2) = 1 - 2h/D; flat heads.
.. [2] GB 11984-2008, safety code for chlorine: at most 80 % of a tank's volume and 1.25 kg/L.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import BOOL, F64, I64
from twin.model.park import scopes_above
from twin.reference import figure
from twin.reference import load as load_reference

if TYPE_CHECKING:
    from twin.model.park import Park, Tag, Tank

LIQUID_CHLORINE = "liquid_chlorine"
HORIZONTAL = "horizontal_cylinder"


@dataclass(frozen=True, slots=True)
class Tanks:
    """The tanks of a park, (K,)."""

    tag: I64  # of the mass, else of the level
    horizontal: BOOL
    height: F64  # [m] level when full; 1 for a level given as a fraction, NaN for mass tags
    capacity: F64  # [kg] mass when full to the brim; NaN for mass tags
    limit: F64  # [kg] mass it may hold; NaN without a size and a range
    share: dict[str, F64]  # component -> kg of it per kg in the tank: acid is not all chloride
    scopes: dict[tuple[str, str], I64]  # (scope, component) -> tanks inside


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


def full_level(tank: Tank, tag: Tag) -> float:
    """Return the value of its level tag when a tank is full to the brim.

    Parameters
    ----------
    tank : Tank
    tag : Tag
        of its level

    Returns
    -------
    float [m or 1]
        1 where the level is a fraction
    """
    if tag.quantity == "fraction":
        return 1.0
    return tank.diameter if tank.shape == HORIZONTAL else tank.length


def compile_tanks(park: Park, index: dict[str, int]) -> Tanks:
    """Return the tanks of a park as arrays; `index` has the column of each tag by its address."""
    media = load_reference("media")
    count = len(park.tanks)
    height, capacity, limit = np.full((3, count), np.nan)
    scopes: dict[tuple[str, str], list[int]] = {}
    share: dict[str, F64] = {}
    for k, tank in enumerate(park.tanks):
        tag = park.tags[index[tank.mass or tank.level]]
        limit[k] = fill_share(tank) * full_mass(tank, tag)
        if not tank.mass:
            height[k], capacity[k] = full_level(tank, tag), full_mass(tank, tag)
        for component, part in media[tank.medium]["component"].items():
            share.setdefault(component, np.zeros(count))[k] = part
            for scope in scopes_above(tank.scope):
                scopes.setdefault((scope, component), []).append(k)
    return Tanks(
        tag=np.array([index[tank.mass or tank.level] for tank in park.tanks], np.int64),
        horizontal=np.array([tank.shape == HORIZONTAL for tank in park.tanks], bool),
        height=height,
        capacity=capacity,
        limit=limit,
        share=share,
        scopes={key: np.array(tanks, np.int64) for key, tanks in scopes.items()},
    )


def tank_mass(tanks: Tanks, value: F64) -> F64:
    """Return the mass in each tank.

    Parameters
    ----------
    tanks : Tanks
    value : (..., T) float64 [SI]   values of the tags; NaN = no value

    Returns
    -------
    (..., K) float64 [kg]
    """
    reading = value[..., tanks.tag]
    height = np.clip(reading / tanks.height, 0.0, 1.0)
    filled = np.where(tanks.horizontal, volume_fraction(height), height)
    return np.where(np.isnan(tanks.height), reading, filled * tanks.capacity)


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
