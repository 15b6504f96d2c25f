"""By-products: what the reactions of the plants should make and use, and what is left over.

References
----------
.. [1] R. M. Felder, R. W. Rousseau, Elementary Principles of Chemical Processes, 3rd ed.,
   Wiley 2005, section 4.2: the general balance equation; section 4.6: conversion and yield.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import F64
from twin.reference import load
from twin.stoichiometry import demand

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Processes:
    """R processes on M components of the park's balances."""

    names: tuple[str, ...]  # (R,) routes or reactions of the reference table
    components: tuple[str, ...]  # (M,) like chlorine, hydrogen, syngas
    coefficient: F64  # (R, M) [kg/kg] per main product of the process; made > 0, used < 0


def unaccounted(
    make: F64, use: F64, imported: F64, exported: F64, vented: F64, inventory_change: F64
) -> F64:
    """Return the unexplained amount of a balance.

    Parameters
    ----------
    make, use, imported, exported, vented : (...) float64 [kg]
        amounts of a window; 0 where the scope has no such stream, NaN = not known
    inventory_change : (...) float64 [kg]
        inventory at the end minus inventory at the start; 0 without tanks

    Returns
    -------
    (...) float64 [kg]
        make + imported - use - exported - vented - inventory_change; positive = lost or not
        measured. NaN where a term is not known.

    Notes
    -----
    Conservation of mass, in minus out minus accumulation, over a closed boundary [1]_.
    """
    return np.asarray(make + imported - use - exported - vented - inventory_change)


def compile_processes(names: Sequence[str]) -> Processes:
    """Return the components the reactions of some processes make and use.

    Parameters
    ----------
    names
        routes or reactions of the reference table, one for each process

    Returns
    -------
    Processes
        coefficients in [kg/kg] of main product, at 100 % yield; species that have no component in
        the park's balances, like water, are left out

    Raises
    ------
    ValueError
        there is no such route or reaction
    """
    table = load("reactions")
    usual = table["components"]["formula"]
    lines: list[dict[str, float]] = []
    for name in names:
        own = table["reaction"].get(name, {}).get("components", {})
        line: dict[str, float] = {}
        for species, mass in demand(name).items():
            component = own.get(species, usual.get(species))
            if component and mass:
                line[component] = line.get(component, 0.0) + mass
        lines.append(line)
    components = tuple(dict.fromkeys(c for line in lines for c in line))
    table_of = [[line.get(c, 0.0) for c in components] for line in lines]
    coefficient = np.array(table_of, np.float64).reshape(len(lines), len(components))
    return Processes(tuple(names), components, coefficient)


def expected(processes: Processes, rate: F64) -> tuple[F64, F64]:
    """Return the theoretical make and use of components at some production rates.

    Parameters
    ----------
    processes
        R processes on M components
    rate : (..., R) float64 [kg/s]   production of the main product of each process; NaN = unknown

    Returns
    -------
    make, use : (..., M) float64 [kg/s]
        sums over the processes; NaN where a process that takes part has no rate

    Notes
    -----
    rate @ coefficient, once for what is made and once for what is used [1]_: a species that one
    process makes and another uses stands on both sides.
    """
    coefficient = processes.coefficient
    sides = np.hstack([np.maximum(coefficient, 0.0), np.maximum(-coefficient, 0.0)])
    unknown = np.isnan(rate)
    # A product with NaN would make every component unknown, also those the process has no part in.
    total = np.where(unknown, 0.0, rate) @ sides
    total = np.where(unknown.astype(np.float64) @ (sides > 0) > 0, np.nan, total)
    count = len(processes.components)
    return total[..., :count], total[..., count:]


def surplus(make: F64, use: F64, vent_limit: F64) -> F64:
    """Return the surplus that needs another user.

    Parameters
    ----------
    make, use : (...) float64 [kg/s]      of a by-product in a scope
    vent_limit : (...) float64 [kg/s]     what may be vented or flared; 0 = nothing

    Returns
    -------
    (...) float64 [kg/s]
        make - use - vent_limit, 0 where there is none to spare; NaN where a term is not known [1]_
    """
    return np.asarray(np.maximum(make - use - vent_limit, 0.0))
