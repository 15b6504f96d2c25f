"""Tank farms of liquid chlorine in a park model, and what the live values say of them.

A farm is all tanks of one scope. Chlorine comes to it from the place where it is liquefied, and
that place takes what the users of the gas leave.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin.accounts.accounts import Account, components_of
from twin.accounts.tanks import LIQUID_CHLORINE, tags_of_tanks, tank_fill, tank_mass
from twin.arrays import BOOL, F64, I64
from twin.chlorine.headroom import headroom, spare_ready, time_left, user_trip
from twin.model.park import OUTSIDE, inside
from twin.reconciliation.uncertainty import weights
from twin.reference import load as load_reference

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twin.accounts.network import Network
    from twin.model.park import Stream

GAS, LIQUID = "chlorine", LIQUID_CHLORINE


@dataclass(frozen=True, slots=True)
class TankFarm:
    """The liquid-chlorine tanks of one scope and the streams that matter to them."""

    scope: str
    tanks: tuple[int, ...]  # places in the model, spares apart
    spares: tuple[int, ...]
    fills: tuple[Stream, ...]  # liquid chlorine that comes in
    draws: tuple[Stream, ...]  # and that goes out
    users: tuple[Stream, ...]  # gas that would be liquefied if its user tripped


@dataclass(frozen=True, slots=True)
class TankOutlook:
    """The headroom of the tank farms of a scope; SI, NaN = not known."""

    headroom: float  # [kg] of all farms, spares apart
    filling: float  # [kg/s] net inflow
    full_s: float  # [s] until the first farm is full; +inf = none is filling
    trip_s: float  # [s] the same when its largest user of gas trips
    user: str  # id of that user's stream; empty without any
    user_flow: float  # [kg/s]
    spare: float  # [1] 1 = every farm has one ready, 0 = one has not
    tags: I64  # places of the tags all this was made of


@dataclass(frozen=True, slots=True)
class Withdrawals:
    """Streams that take liquid chlorine out of the tanks of a boundary, or out of the boundary."""

    streams: tuple[Stream, ...]  # out of a tank; transfers between tanks inside are left out
    local: BOOL  # (S,) which of them end inside the boundary
    exported: tuple[Stream, ...]  # liquid chlorine across the boundary


def find_tank_farms(network: Network, scope: str) -> tuple[TankFarm, ...]:
    """Return the farms inside a scope."""
    streams = network.park.streams
    farms = []
    for farm in _farm_scopes(network):
        if not inside(farm, scope):
            continue
        tanks = [
            (k, tank)
            for k, tank in enumerate(network.park.tanks)
            if tank.scope == farm and tank.medium == LIQUID
        ]
        fills = tuple(s for s in streams if s.medium == LIQUID and s.to == farm)
        farms.append(
            TankFarm(
                farm,
                tanks=tuple(k for k, tank in tanks if not tank.spare),
                spares=tuple(k for k, tank in tanks if tank.spare),
                fills=fills,
                draws=tuple(s for s in streams if s.medium == LIQUID and s.origin == farm),
                users=tuple(_users(network, {s.origin for s in fills})),
            )
        )
    return tuple(farms)


def _farm_scopes(network: Network) -> tuple[str, ...]:
    """Return the scopes with tanks of liquid chlorine."""
    return tuple(dict.fromkeys(t.scope for t in network.park.tanks if t.medium == LIQUID))


def _users(network: Network, sources: set[str]) -> Iterable[Stream]:
    """Return the streams of gas from where liquefaction has its own to those who use it."""
    streams = [s for s in network.park.streams if s.medium == GAS]
    plants = sources - {*_farm_scopes(network), *OUTSIDE}
    # Where no gas is seen to come to the plant, it liquefies at the header itself.
    headers = {s.origin for s in streams if s.to in plants} or plants
    no_users = plants | headers | {"atmosphere"}
    return (s for s in streams if s.origin in headers and s.to not in no_users and s.mode != "vent")


def find_withdrawals(network: Network, boundary: str) -> Withdrawals:
    """Return the streams of liquid chlorine out of the tanks inside a boundary, and across it."""
    farms = _farm_scopes(network)
    liquid = [s for s in network.park.streams if s.medium == LIQUID and inside(s.origin, boundary)]
    streams = tuple(
        s for s in liquid if s.origin in farms and not (s.to in farms and inside(s.to, boundary))
    )
    return Withdrawals(
        streams,
        np.array([inside(s.to, boundary) for s in streams], dtype=bool),
        tuple(s for s in liquid if not inside(s.to, boundary) and s.to != "atmosphere"),
    )


def meter_of(network: Network, stream: Stream) -> tuple[int, float]:
    """Return the tag of a stream's meter, -1 without one, and what a unit of it is in chlorine.

    Parameters
    ----------
    network : Network
    stream : Stream
        of chlorine, gas or liquid

    Returns
    -------
    tag : int
    factor : float [kg/kg or kg/m^3]
        NaN where the meter's unit is no measure of the mass
    """
    if not stream.flow:
        return -1, float("nan")
    tag = network.index[stream.flow]
    return tag, components_of(stream, network.tags[tag])["chlorine"]


def withdrawal_weights(network: Network, streams: Iterable[Stream]) -> F64:
    """Return the weights of the chlorine that some streams carried.

    Parameters
    ----------
    network : Network
        T tags
    streams : streams of chlorine, gas or liquid

    Returns
    -------
    (T,) float64 [kg/kg or kg/m^3]
        weight of each tag's amount, as of `twin.reconciliation.uncertainty.weights`; NaN
        throughout where one of the streams has no meter
    """
    weight = np.zeros(len(network.tags))
    for stream in streams:
        tag, factor = meter_of(network, stream)
        weight[tag if tag >= 0 else slice(None)] += factor
    return weight


def outlet_weights(network: Network, boundary: str) -> F64:
    """Return the weights of the chlorine that finds an outlet: used inside, or sent on by pipe.

    Parameters
    ----------
    network : Network
        T tags
    boundary : str

    Returns
    -------
    (T,) float64 [kg/kg or kg/m^3]
        as of `withdrawal_weights`; what goes by road or rail, or is vented, is left out
    """
    media = load_reference("media")
    piped = [
        stream
        for stream in network.park.streams
        if inside(stream.origin, boundary) and not inside(stream.to, boundary)
        and stream.mode in ("pipe", "internal") and stream.to != "atmosphere"
        and "chlorine" in media[stream.medium]["component"]
    ]  # fmt: skip
    used = weights(network, {Account(boundary, "chlorine", "use"): 1.0})
    return used + withdrawal_weights(network, piped)


def _rates(network: Network, streams: Iterable[Stream], value: F64) -> F64:
    """Return the flows of chlorine [kg/s], (S,): a counter shows no rate."""
    rates = []
    for stream in streams:
        tag, factor = meter_of(network, stream)
        gauge = tag >= 0 and network.tags[tag].kind == "gauge"
        rates.append(value[tag] * factor if gauge else np.nan)
    return np.array(rates, dtype=np.float64)


def forecast(network: Network, farms: tuple[TankFarm, ...], value: F64) -> TankOutlook:
    """Return the headroom of some tank farms, and the time until they are full.

    Parameters
    ----------
    network : Network
    farms : farms of `find_tank_farms`
    value : (T,) float64 [SI]
        of the tags; NaN = no value

    Returns
    -------
    TankOutlook
        NaN without farms, and where something is not known: a farm that is not known may be the
        one that is full first. As to liquefaction, no limit is known: times are the shortest.
    """
    if not farms:
        nan = float("nan")
        return TankOutlook(nan, nan, nan, nan, "", nan, nan, np.zeros(0, np.int64))
    mass, limits = tank_mass(network.tanks, value), network.tanks.limit
    filled = tank_fill(network.tanks, value)
    rooms, nets, full, trips, spares = [], [], [], [], []
    for farm in farms:
        tanks = list(farm.tanks)
        rooms.append(headroom(mass[tanks], limits[tanks]))
        inflow = _rates(network, farm.fills, value).sum()
        draw = _rates(network, farm.draws, value).sum()
        nets.append(inflow - draw)
        full.append(float(time_left(rooms[-1], nets[-1])))
        if farm.users:
            trips.append(_trip(network, farm, value, rooms[-1], inflow, draw))
        spares.append(_spare(network, farm, filled))
    nothing = float("nan"), "", float("nan")
    # What is full now is the first, whatever else is not known.
    first = min(
        trips, key=lambda trip: (trip[0] != 0, not np.isnan(trip[0]), trip[0]), default=nothing
    )
    return TankOutlook(
        headroom=float(np.sum(rooms)),
        filling=float(np.sum(nets)),
        full_s=_least(full),
        trip_s=first[0],
        user=first[1],
        user_flow=first[2],
        spare=_least(spares),
        tags=_tags(network, farms),
    )


def _trip(
    network: Network, farm: TankFarm, value: F64, room: F64, inflow: F64, draw: F64
) -> tuple[float, str, float]:
    """Return the time to full when the largest user trips, its stream and flow."""
    flows = _rates(network, farm.users, value)
    # NaN counts as the largest: a user that is not known may be it.
    at = int(np.argmax(flows))
    full_s = user_trip(room, inflow, draw, flows[at], np.array(np.inf))
    user = "" if np.isnan(flows[at]) else farm.users[at].id
    return float(full_s), user, float(flows[at])


def _spare(network: Network, farm: TankFarm, filled: F64) -> float:
    """Return 1 if a farm has a spare tank ready, 0 if not, NaN if the model has none."""
    capacity = network.tanks.capacity
    largest = np.array(np.max(capacity[list(farm.tanks)], initial=0.0))
    spares = list(farm.spares)
    ready = spare_ready(filled[spares], capacity[spares], largest)
    if not len(ready) or (np.isnan(ready).any() and not (ready == 1).any()):
        return float("nan")
    return float(np.nanmax(ready))


def _least(values: list[float]) -> float:
    """Return 0 when one is 0, else NaN when one is not known, else the least."""
    return 0.0 if 0.0 in values else float(np.min(values))


def _tags(network: Network, farms: tuple[TankFarm, ...]) -> I64:
    """Return the places of the tags some farms are seen by."""
    tanks = [k for farm in farms for k in (*farm.tanks, *farm.spares)]
    streams = [s for farm in farms for s in (*farm.fills, *farm.draws, *farm.users)]
    meters = [network.index[s.flow] for s in streams if s.flow]
    return np.union1d(tags_of_tanks(network.tanks, tanks), np.array(meters, np.int64))
