"""Tanks: from level and temperature to mass, and the mass a tank may hold.

References
----------
.. [1] GB 11984-2008, safety code for chlorine: at most 80 % of a tank's volume and 1.25 kg/L.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin import quality as q
from twin.accounts.vessel_shapes import (
    TORISPHERICAL,
    cylinder_height,
    cylinder_share,
    heads_volume,
    sphere_share,
    torispherical_share,
)
from twin.arrays import BOOL, F64, I64, U8
from twin.model.park import scopes_above
from twin.reference import figure
from twin.reference import load as load_reference
from twin.uom import compile_uom

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from twin.model.park import Park, Tag, Tank

LIQUID_CHLORINE = "liquid_chlorine"
HORIZONTAL, SPHERE = "horizontal_cylinder", "sphere"
# Halvings until a level is exact to a float64.
HALVINGS = 52


@dataclass(frozen=True, slots=True)
class Tanks:
    """The tanks of a park, (K,)."""

    tag: I64  # of the mass, else of the level
    temperature: I64  # tag of the temperature; -1 = the density is nominal
    height: F64  # [m] level when full; 1 for a level given as a fraction, NaN for mass tags
    volume: F64  # [m³] when full to the brim; NaN for mass tags
    density: F64  # [kg/m³] nominal, of the liquid; NaN = none
    density_sigma: F64  # [1] its relative standard uncertainty
    limit: F64  # [kg] mass it may hold; NaN without a size and a range
    # Shares of the volume that fill like a cylinder on its side, and like a sphere.
    cylinder: F64
    sphere: F64
    # The rest of a tank: points (level, filled share) of it, where it is no upright cylinder.
    points: dict[int, tuple[F64, F64]]
    saturated: dict[int, str]  # tank -> medium whose densities follow from the temperature
    share: dict[str, F64]  # component -> kg of it per kg in the tank: acid is not all chloride
    scopes: dict[tuple[str, str], I64]  # (scope, component) -> tanks inside

    @property
    def capacity(self) -> F64:
        """The mass of liquid of nominal density that fills each tank to the brim, (K,) [kg]."""
        return np.asarray(self.volume * self.density)


def full_volume(park: Park, tank: Tank) -> float:
    """Return the volume of a tank that is full to the brim.

    Parameters
    ----------
    park : Park
    tank : Tank

    Returns
    -------
    float [m³]
        that of its strapping table, else of its shape; NaN where the model has neither
    """
    if tank.id in park.strapping:
        return park.strapping[tank.id][-1][1]
    if tank.shape == SPHERE:
        return float(np.pi / 6 * tank.diameter**3)
    shell = np.pi / 4 * tank.diameter**2 * tank.length
    return float(shell + heads_volume(tank.heads, tank.diameter))


def full_mass(park: Park, tank: Tank, tag: Tag) -> float:
    """Return the mass that fills a tank to the brim.

    Parameters
    ----------
    park : Park
    tank : Tank
    tag : Tag
        of its level or mass

    Returns
    -------
    float [kg]
        volume times density; the top of the range of its mass tag where the model has no size
    """
    full = full_volume(park, tank) * tank.density
    return tag.high if tank.mass and not np.isfinite(full) else full


def fill_share(tank: Tank) -> float:
    """Return the share of its volume that a tank may be filled to.

    Parameters
    ----------
    tank : Tank

    Returns
    -------
    float [1]
        the fill limit of the model; of liquid chlorine no more than the filling coefficient of
        1.25 kg/L allows, where the density is known [1]_
    """
    if tank.medium != LIQUID_CHLORINE or np.isnan(tank.density):
        return tank.fill_limit
    return min(tank.fill_limit, figure("chlorine.filling", "density") / tank.density)


def full_level(park: Park, tank: Tank, tag: Tag) -> float:
    """Return the value of its level tag when a tank is full to the brim.

    Parameters
    ----------
    park : Park
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
    if tank.id in park.strapping:
        return park.strapping[tank.id][-1][0]
    return tank.diameter if tank.shape in (HORIZONTAL, SPHERE) else tank.length


def compile_tanks(park: Park, index: Mapping[str, int]) -> Tanks:
    """Return the tanks of a park as arrays; `index` has the column of each tag by its address."""
    media, curves = load_reference("media"), load_reference("saturation")
    count = len(park.tanks)
    height, volume, limit = np.full((3, count), np.nan)
    cylinder, sphere = np.zeros((2, count))
    points: dict[int, tuple[F64, F64]] = {}
    scopes: dict[tuple[str, str], list[int]] = {}
    share: dict[str, F64] = {}
    for k, tank in enumerate(park.tanks):
        tag = park.tags[index[tank.mass or tank.level]]
        limit[k] = fill_share(tank) * full_mass(park, tank, tag)
        if not tank.mass:
            height[k], volume[k] = full_level(park, tank, tag), full_volume(park, tank)
            cylinder[k], sphere[k] = _round_shares(park, tank)
            if tank.id in park.strapping:
                level, filled = np.array(park.strapping[tank.id]).T
                points[k] = level / level[-1], filled / filled[-1]
            elif tank.heads == TORISPHERICAL:
                points[k] = torispherical_share()
        for component, part in media[tank.medium]["component"].items():
            share.setdefault(component, np.zeros(count))[k] = part
            for scope in scopes_above(tank.scope):
                scopes.setdefault((scope, component), []).append(k)
    warm = {k: tank.medium for k, tank in enumerate(park.tanks) if tank.temperature}
    return Tanks(
        tag=np.array([index[tank.mass or tank.level] for tank in park.tanks], np.int64),
        temperature=np.array([index.get(tank.temperature, -1) for tank in park.tanks], np.int64),
        height=height,
        volume=volume,
        density=np.array([tank.density for tank in park.tanks], np.float64),
        density_sigma=np.array([tank.density_sigma for tank in park.tanks], np.float64),
        limit=limit,
        cylinder=cylinder,
        sphere=sphere,
        points=points,
        saturated={k: medium for k, medium in warm.items() if medium in curves},
        share=share,
        scopes={key: np.array(tanks, np.int64) for key, tanks in scopes.items()},
    )


def _round_shares(park: Park, tank: Tank) -> tuple[float, float]:
    """Return the shares of a tank's volume that fill like a cylinder on its side, and a sphere."""
    if tank.id in park.strapping:
        return 0.0, 0.0
    if tank.shape == SPHERE:
        return 0.0, 1.0
    if tank.shape != HORIZONTAL:
        return 0.0, 0.0
    heads = heads_volume(tank.heads, tank.diameter) / full_volume(park, tank)
    return 1.0 - heads, 0.0 if tank.heads == TORISPHERICAL else heads


def tags_of_tanks(tanks: Tanks, at: Sequence[int] | I64) -> I64:
    """Return the tags the masses in some tanks follow from, sorted.

    Parameters
    ----------
    tanks : Tanks
    at : (n,) int   places of the tanks

    Returns
    -------
    (U,) int64
    """
    rows = np.asarray(at, dtype=np.int64)
    tags = np.unique(np.concatenate([tanks.tag[rows], tanks.temperature[rows]]))
    return np.asarray(tags[tags >= 0])


def tank_mass(tanks: Tanks, value: F64, *, denser: float = 0.0) -> F64:
    """Return the mass in each tank, with the vapour above a liquid of known temperature.

    Parameters
    ----------
    tanks : Tanks
    value : (..., T) float64 [SI]
        values of the tags; NaN = no value
    denser : float, optional
        by how many standard uncertainties the nominal density of the liquid is off

    Returns
    -------
    (..., K) float64 [kg]

    Notes
    -----
    The nominal density counts where the temperature is not known, or beyond what is tabulated.
    """
    reading = value[..., tanks.tag]
    filled = tank_fill(tanks, value)
    liquid = np.broadcast_to(tanks.density * (1 + denser * tanks.density_sigma), reading.shape)
    vapour = np.zeros(reading.shape)
    if tanks.saturated:
        liquid = liquid.copy()
    for k, medium in tanks.saturated.items():
        curve = load_reference("saturation")[medium]
        scale, shift = compile_uom("degC", "temperature")
        rows = np.array(curve["temperature"]) * scale + shift
        measured = value[..., tanks.temperature[k]]
        for density, name in ((liquid, "liquid"), (vapour, "vapour")):
            known = np.interp(measured, rows, curve[name], left=np.nan, right=np.nan)
            density[..., k] = np.where(np.isnan(known), density[..., k], known)
    mass = tanks.volume * (filled * liquid + (1 - filled) * vapour)
    return np.where(np.isnan(tanks.height), reading, mass)


def tank_quality(tanks: Tanks, quality: U8, known: BOOL) -> U8:
    """Return the quality of the mass in each tank.

    Parameters
    ----------
    tanks : Tanks
    quality : (T,) uint8
        of the tags
    known : (T,) bool
        whether a tag has a value

    Returns
    -------
    (K,) uint8
        that of the level; no better than uncertain where the nominal density stands in for that of
        a temperature that is missing or no good
    """
    warm = np.flatnonzero(tanks.temperature >= 0)
    at = tanks.temperature[warm]
    doubt = ~known[at] | (quality[at] & ~np.uint8(q.SIMULATED) >= q.UNCERTAIN)
    result = quality[tanks.tag]
    result[warm] = np.where(
        doubt, q.worse(result[warm], np.full(len(warm), q.UNCERTAIN | q.INCOMPLETE, np.uint8)),
        result[warm],
    )  # fmt: skip
    return result


def tank_fill(tanks: Tanks, value: F64) -> F64:
    """Return the share of each tank's volume that is filled, which its fill limit is about.

    Parameters
    ----------
    tanks : Tanks
    value : (..., T) float64 [SI]   values of the tags; NaN = no value

    Returns
    -------
    (..., K) float64 [1]            NaN for mass tags
    """
    return filled_share(tanks, value[..., tanks.tag] / tanks.height)


def filled_share(tanks: Tanks, height: F64) -> F64:
    """Return the filled share of each tank's volume.

    Parameters
    ----------
    tanks : Tanks
    height : (..., K) float64 [1]   level over that of a full tank; clipped to 0..1, NaN stays NaN

    Returns
    -------
    (..., K) float64 [1]
    """
    other = np.clip(height, 0.0, 1.0)
    upright = other.copy()
    for k, (level, filled) in tanks.points.items():
        other[..., k] = np.interp(upright[..., k], level, filled)
    round_share = tanks.cylinder * cylinder_share(upright) + tanks.sphere * sphere_share(upright)
    return np.asarray(round_share + (1 - tanks.cylinder - tanks.sphere) * other)


def height_share(tanks: Tanks, filled: F64) -> F64:
    """Return the level that a filled share of each tank has: the inverse of `filled_share`.

    Parameters
    ----------
    tanks : Tanks
    filled : (..., K) float64 [1]   clipped to 0..1, NaN stays NaN

    Returns
    -------
    (..., K) float64 [1]            level over that of a full tank
    """
    height = np.clip(filled, 0.0, 1.0)
    lying = np.flatnonzero(tanks.cylinder == 1)
    height[..., lying] = cylinder_height(height[..., lying])
    mixed = np.flatnonzero((tanks.cylinder + tanks.sphere > 0) & (tanks.cylinder < 1))
    others = np.union1d(mixed, np.array([*tanks.points], np.int64))
    if len(others):
        lower, upper = np.zeros(height.shape), np.ones(height.shape)
        for _ in range(HALVINGS):
            middle = (lower + upper) / 2
            below = filled_share(tanks, middle) < filled
            lower, upper = np.where(below, middle, lower), np.where(below, upper, middle)
        height[..., others] = np.where(np.isnan(filled), np.nan, upper)[..., others]
    return height
