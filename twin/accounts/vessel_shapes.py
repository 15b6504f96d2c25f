"""Filled shares of vessels by their shape: how much of the volume lies below a level.

Levels are shares of the height of the vessel, results shares of its volume, 0 to 1; values outside
are clipped, NaN stays NaN.

References
----------
.. [1] Circular segment: A/A0 = (θ - sin θ) / 2π with cos(θ/2) = 1 - 2h.
.. [2] Spherical cap: V/V0 = 3h² - 2h³, which an ellipsoid on its side has as well.
.. [3] GB/T 25198, torispherical head of type THA: the crown has the diameter of the shell for its
   radius, the knuckle a tenth of it. Not compared with the text of the standard.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from twin.arrays import F64

# Depth of a head over the radius of the shell.
DEPTH = {"flat": 0.0, "elliptical": 0.5, "hemispherical": 1.0}
TORISPHERICAL = "torispherical"
HEADS = (*DEPTH, TORISPHERICAL)
CROWN, KNUCKLE = 1.0, 0.1  # radii over the diameter [3]_
HEIGHTS = 513
CHORD = 64


def cylinder_share(height: F64) -> F64:
    """Return the filled share of a cylinder that lies on its side [1]_.

    Parameters
    ----------
    height : (...) float64 [1]

    Returns
    -------
    (...) float64 [1]
    """
    theta = 2 * np.arccos(1 - 2 * np.clip(height, 0.0, 1.0))
    return np.asarray((theta - np.sin(theta)) / (2 * np.pi))


def cylinder_height(filled: F64) -> F64:
    """Return the level of a cylinder on its side: the inverse of `cylinder_share`.

    Parameters
    ----------
    filled : (...) float64 [1]   share of the volume

    Returns
    -------
    (...) float64 [1]

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


def sphere_share(height: F64) -> F64:
    """Return the filled share of a sphere, and of two elliptical heads on their side [2]_.

    Parameters
    ----------
    height : (...) float64 [1]

    Returns
    -------
    (...) float64 [1]
    """
    inside = np.clip(height, 0.0, 1.0)
    return np.asarray(inside**2 * (3 - 2 * inside))


def heads_volume(heads: str, diameter: float) -> float:
    """Return the volume of both heads of a shell.

    Parameters
    ----------
    heads : str
        one of `HEADS`
    diameter : float [m]

    Returns
    -------
    float [m³]
    """
    if heads == TORISPHERICAL:
        return float(_torispherical_volume()[1][-1]) * diameter**3
    return float(np.pi / 6 * DEPTH[heads] * diameter**3)


def torispherical_share() -> tuple[F64, F64]:
    """Return the filled share of two torispherical heads on their side, by the level.

    Returns
    -------
    height, share : (n,) float64 [1]   both from 0 to 1
    """
    height, volume = _torispherical_volume()
    return height, volume / volume[-1]


@cache
def _torispherical_volume() -> tuple[F64, F64]:
    """Return the volume of two heads of diameter 1 below each of some heights, by quadrature."""
    # Heights lie close at both ends, where the surface turns fastest.
    angle = np.linspace(0, np.pi, HEIGHTS)
    height = (1 - np.cos(angle)) / 2
    half_chord = np.sin(angle) / 2
    node, weight = np.polynomial.legendre.leggauss(CHORD)
    across = (node + 1) * np.pi / 4
    radius = np.hypot(0.5 - height[:, None], half_chord[:, None] * np.sin(across))
    area = 4 * half_chord * ((_depth(radius) * np.cos(across)) @ weight) * np.pi / 4
    part = area * np.sin(angle) / 2
    steps = (part[1:] + part[:-1]) / 2 * np.diff(angle)
    return height, np.append(0.0, np.cumsum(steps))


def _depth(radius: F64) -> F64:
    """Return the depth of a torispherical head of diameter 1 at a distance from its axis."""
    centre = 0.5 - KNUCKLE
    edge = CROWN * centre / (CROWN - KNUCKLE)
    deepest = CROWN - np.sqrt((CROWN - KNUCKLE) ** 2 - centre**2)
    crown = deepest - CROWN + np.sqrt(CROWN**2 - np.minimum(radius, edge) ** 2)
    knuckle = np.sqrt(np.maximum(KNUCKLE**2 - np.maximum(radius - centre, 0.0) ** 2, 0.0))
    return np.asarray(np.where(radius <= edge, crown, knuckle))
