"""Headroom: what liquid-chlorine tanks and absorbers can still take, and for how long.

References
----------
.. [1] GB 11984-2008, safety code for chlorine: stock of 3 days of production or 7 days of use, an
   empty spare tank as large as the largest.
.. [2] T. F. O'Brien, T. V. Bommaraju, F. Hine, Handbook of Chlor-Alkali Technology, Springer 2005,
   chapter 9: liquefaction, storage, and absorption of chlorine in caustic soda.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin import faraday
from twin.accounts.accounts import components_of
from twin.arrays import F64
from twin.model.park import Stream
from twin.model.rows import RowFault, cell, table
from twin.reference import figure, load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twin.accounts.network import Network
    from twin.model.park import Park


@table
class AbsorberSpec:
    """An absorber: the tag of the chlorine that enters it, and the tank of its caustic soda."""

    id: str = cell("text")
    scope: str = cell("scope")
    chlorine: str = cell("tag mass_flow normal_volume_flow")
    tank: str = cell("text")


def check_absorbers(park: Park) -> Iterator[RowFault]:
    """Yield absorbers whose tank does not exist or holds no caustic soda."""
    media = load("media")
    held = {tank.id: media[tank.medium]["component"] for tank in park.tanks}
    for absorber in park.rows(AbsorberSpec):
        if absorber.tank not in held:
            yield RowFault(absorber, f"there is no tank {absorber.tank!r}")
        elif "caustic" not in held[absorber.tank]:
            yield RowFault(absorber, f"tank {absorber.tank!r} holds no caustic soda")


def absorber_flow(network: Network, absorber: AbsorberSpec, rate: F64) -> F64:
    """Return the chlorine that goes into an absorber.

    Parameters
    ----------
    network : Network
    absorber : AbsorberSpec
    rate : (T,) float64 [SI]
        of the tags; NaN = no value

    Returns
    -------
    () float64 [kg/s]
    """
    meter = network.index[absorber.chlorine]
    into = Stream(absorber.id, "", absorber.scope, "chlorine", "pipe", absorber.chlorine)
    return np.asarray(rate[meter] * components_of(into, network.tags[meter])["chlorine"])


def headroom(mass: F64, limit: F64) -> F64:
    """Return the mass that some tanks may still take together.

    Parameters
    ----------
    mass : (..., K) float64 [kg]
        what each tank holds
    limit : (..., K) float64 [kg]
        what each tank may hold

    Returns
    -------
    (...) float64 [kg]
        a tank beyond its limit adds nothing and takes nothing from the others; NaN where a tank is
        not known

    Notes
    -----
    Spare tanks are for accidents: leave them out [1]_.
    """
    return np.asarray(np.sum(np.maximum(limit - mass, 0.0), axis=-1))


def time_left(amount: F64, rate: F64) -> F64:
    """Return the time an amount lasts at a rate: headroom at a net inflow, caustic at its use.

    Parameters
    ----------
    amount : (...) float64 [kg]
        what is left
    rate : (...) float64 [kg/s]
        at which it goes; zero or less = it does not

    Returns
    -------
    (...) float64 [s]
        0 where nothing is left, +inf where it does not go, NaN where something is not known
    """
    some = np.asarray(rate) > 0
    with np.errstate(over="ignore"):  # longer than any number is for ever
        lasting = np.where(some, amount / np.where(some, rate, 1.0), np.inf)
    lasting = np.where(np.isnan(rate) | np.isnan(amount), np.nan, lasting)
    return np.asarray(np.where(np.asarray(amount) <= 0, 0.0, lasting))


def user_trip(room: F64, inflow: F64, draw: F64, user: F64, capacity: F64) -> F64:
    """Return the time until the tanks are full when a user of chlorine gas trips.

    Parameters
    ----------
    room : (...) float64 [kg]
        headroom of the tanks
    inflow : (...) float64 [kg/s]
        what liquefaction makes now
    draw : (...) float64 [kg/s]
        what is drawn from the tanks
    user : (...) float64 [kg/s]
        chlorine the user took before it tripped
    capacity : (...) float64 [kg/s]
        what liquefaction can make; +inf gives the shortest time

    Returns
    -------
    (...) float64 [s]
        +inf where they are not filling, NaN where something is not known

    Notes
    -----
    Cells go on as before: what the user took is liquefied up to the capacity, and the rest goes to
    the absorber [2]_.
    """
    liquefied = np.minimum(inflow + user, np.maximum(capacity, inflow))
    return time_left(room, liquefied - draw)


def caustic_per_chlorine(excess: F64 | float) -> F64:
    """Return the caustic soda that an absorber needs per chlorine.

    Parameters
    ----------
    excess : (...) float64 [1]
        caustic it needs beyond stoichiometry, ``chlorine.absorber_excess``

    Returns
    -------
    (...) float64 [kg/kg]
        as 100 % NaOH

    Notes
    -----
    Cl2 + 2 NaOH → NaClO + NaCl + H2O: as much caustic as the cells made with the chlorine [2]_.
    """
    made = faraday.mass_per_charge(faraday.NAOH) / faraday.mass_per_charge(faraday.CL2)
    return made * (1 + np.asarray(excess))


def absorber_time(caustic: F64, chlorine: F64, excess: F64) -> F64:
    """Return the time the caustic soda of an absorber lasts.

    Parameters
    ----------
    caustic : (...) float64 [kg]
        caustic soda that feeds the absorber, as 100 % NaOH
    chlorine : (...) float64 [kg/s]
        chlorine that goes into it
    excess : (...) float64 [1]
        as of `caustic_per_chlorine`

    Returns
    -------
    (...) float64 [s]
        0 without caustic, +inf without chlorine, NaN where something is not known [2]_
    """
    return time_left(caustic, chlorine * caustic_per_chlorine(excess))


def spare_ready(filled: F64, volume: F64, largest: F64) -> F64:
    """Tell if a spare tank is ready for the contents of the largest tank.

    Parameters
    ----------
    filled : (...) float64 [1]
        filled share of the spare tank
    volume, largest : (...) float64 [m^3]
        volume of the spare tank and of the largest other tank, or their masses [kg] when full

    Returns
    -------
    (...) float64 [1]
        1 where it is empty and large enough [1]_, 0 where it is not, NaN where that is not known
    """
    empty = np.asarray(filled) <= figure("chlorine.spare_empty", "fraction")
    known = ~(np.isnan(filled) | np.isnan(volume) | np.isnan(largest))
    return np.asarray(np.where(known, 1.0 * (empty & (volume >= np.asarray(largest))), np.nan))
