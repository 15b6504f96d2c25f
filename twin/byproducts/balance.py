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

# How the items of a balance count in what it leaves unexplained.
SIGNS = {"make": 1.0, "use": -1.0, "import": 1.0, "export": -1.0, "vent": -1.0}


@dataclass(frozen=True, slots=True)
class Processes:
    """R processes on M components of the park's balances."""

    names: tuple[str, ...]  # (R,) routes or reactions of the reference table
    components: tuple[str, ...]  # (M,) like chlorine, hydrogen, syngas
    coefficient: F64  # (R, M) [kg/kg] per main product of the process; made > 0, used < 0


@dataclass(frozen=True, slots=True)
class Yield:
    """What became of what was put in."""

    loss: F64  # (...) [same as the input] put in and not got out; negative = more than expected
    fraction: F64  # (...) [1] got out over put in; NaN where nothing was put in


@dataclass(frozen=True, slots=True)
class HydrogenLedger:
    """Where the hydrogen of a chlor-alkali plant goes."""

    make: F64  # (...) [kg/s] made with the chlorine
    synthesis: F64  # (...) [kg/s] burnt with chlorine to hydrogen chloride
    other: F64  # (...) [kg/s] taken by the other users
    vent: F64  # (...) [kg/s] what is left; negative = more is taken than is made
    vent_share: F64  # (...) [1] of what is made; NaN where nothing is made


@dataclass(frozen=True, slots=True)
class CarbonDioxideBook:
    """Carbon dioxide of ammonia from coal and of urea."""

    make: F64  # (...) [kg/s] the least the coal route can make
    use: F64  # (...) [kg/s] what urea binds
    surplus: F64  # (...) [kg/s] the least that is left for other users


def unaccounted(
    make: F64, use: F64, imported: F64, exported: F64, vented: F64, inventory_change: F64
) -> F64:
    """Return what a balance leaves unexplained.

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
    found = [[line.get(c, 0.0) for c in components] for line in lines]
    coefficient = np.array(found, np.float64).reshape(len(lines), len(components))
    return Processes(tuple(names), components, coefficient)


def expected(processes: Processes, rate: F64) -> tuple[F64, F64]:
    """Return what the processes should make and use at some production rates.

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


def compare(put_in: F64, got_out: F64) -> Yield:
    """Return loss and yield of what was put in.

    Parameters
    ----------
    put_in : (...) float64 [kg or kg/s]
        for a product what theory expects of it; for a reactant what was metered
    got_out : (...) float64 [kg or kg/s]
        for a product what was metered; for a reactant what theory needs

    Returns
    -------
    Yield
        loss [kg or kg/s] and fraction [1]; NaN where one of the two is not known

    Notes
    -----
    Yield is the mass obtained over the mass that complete conversion would give [1]_.
    """
    made = put_in > 0
    fraction = np.where(made, got_out / np.where(made, put_in, 1.0), np.nan)
    return Yield(np.asarray(put_in - got_out), np.asarray(fraction))


def hydrogen_ledger(chlorine: F64, burnt: F64, taken: F64) -> HydrogenLedger:
    """Return where the hydrogen of electrolysis goes.

    Parameters
    ----------
    chlorine : (...) float64 [kg/s]     chlorine the cells make
    burnt : (...) float64 [kg/s]        chlorine burnt with hydrogen to hydrogen chloride
    taken : (..., U) float64 [kg/s]     hydrogen that goes to each of the other users

    Returns
    -------
    HydrogenLedger
        all in [kg/s] but the share; NaN where a term is not known

    Notes
    -----
    One molecule of hydrogen is made with each of chlorine and one is burnt with each; the vent
    closes the balance [1]_.
    """
    cells, burner = demand("chlor-alkali"), demand("hydrogen-chloride-synthesis")
    make = chlorine * (cells["H2"] / cells["Cl2"])
    synthesis = burnt * (burner["H2"] / burner["Cl2"])
    other = taken.sum(axis=-1)
    vent = make - synthesis - other
    running = make > 0
    share = np.where(running, vent / np.where(running, make, 1.0), np.nan)
    return HydrogenLedger(
        np.asarray(make), np.asarray(synthesis), np.asarray(other), np.asarray(vent), share
    )


def carbon_dioxide_book(ammonia: F64, converted: F64) -> CarbonDioxideBook:
    """Return the carbon dioxide that ammonia from coal makes, urea binds, and that is left.

    Parameters
    ----------
    ammonia : (...) float64 [kg/s]      ammonia made from coal
    converted : (...) float64 [kg/s]    ammonia turned into urea

    Returns
    -------
    CarbonDioxideBook
        all in [kg/s]; NaN where an argument is not known

    Notes
    -----
    Gasification and shift give two molecules of hydrogen per molecule of carbon dioxide, so coal
    makes at least 3/4 mol per mol of ammonia; urea binds 1/2 mol per mol [1]_. Fuel, losses and the
    hydrogen of other sources are not in the book.
    """
    urea = demand("urea")
    make = ammonia * demand("ammonia-coal")["CO2"]
    use = converted * (urea["CO2"] / urea["NH3"])
    return CarbonDioxideBook(np.asarray(make), np.asarray(use), np.asarray(make - use))


def surplus(make: F64, use: F64, vent_limit: F64) -> F64:
    """Return what has to find another user.

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
