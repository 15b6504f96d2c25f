"""Tanks whose level swings in closed form, so that accumulation is its exact derivative."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from simulators.process import disturbances
from twin.accounts.tanks import fill_share, full_mass, height_fraction
from twin.arrays import F64
from twin.reference import load as load_reference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simulators.process.disturbances import Waves
    from simulators.process.flows import Network
    from twin.model.park import Park, Tag, Tank

ROTATION = (
    2 * np.pi * 7 / disturbances.WEEK_S
)  # rad/s; tanks are filled and drawn in turn, once a day.
TANK_RATE = 0.3  # what one tank of several may take of the flow through its farm
FARM_RATE = 0.06  # what the farm as a whole may keep
SPARE_FROM = 3  # A farm of this many liquid-chlorine tanks keeps its last one empty for accidents.
SPARE_FILL = 0.02


@dataclass(frozen=True, slots=True)
class Vessels:
    """The tanks of a park, arrays over tanks (k); fills are shares of the volume."""

    tanks: tuple[Tank, ...]
    column: tuple[int, ...]
    height: tuple[float, ...]  # of a level of 1, in the tag's SI unit
    place: tuple[tuple[str, int, float] | None, ...]  # component, node, mass fraction
    mates: tuple[int, ...]
    capacity: F64
    fill: F64
    turn: F64
    drift_waves: Waves
    rotation: F64
    drift: F64


def make_vessels(
    park: Park, networks: Sequence[Network], column: Mapping[str, int], rng: np.random.Generator
) -> Vessels:
    """Return the tanks at rest; `let_swing` sets them moving."""
    farms: dict[tuple[str, str], list[int]] = {}
    for k, tank in enumerate(park.tanks):
        farms.setdefault((tank.scope, tank.medium), []).append(k)
    count = len(park.tanks)
    limit = np.array([fill_share(t) for t in park.tanks])
    fill, turn, mates = rng.uniform(0.5, 0.65, count) * limit, np.zeros(count), [0] * count
    for (_, medium), farm in farms.items():
        spare = medium == "liquid_chlorine" and len(farm) >= SPARE_FROM
        if spare:
            fill[farm[-1]] = SPARE_FILL
        active = farm[:-1] if spare else farm
        first = rng.uniform(0, 2 * np.pi)
        for nth, k in enumerate(active):
            # Equally spaced turns cancel in the sum, so filling in turn costs the farm nothing.
            turn[k] = first + 2 * np.pi * nth / len(active)
            mates[k] = len(active)
    tags = [park.tags[column[t.level or t.mass]] for t in park.tanks]
    pairs = list(zip(park.tanks, tags, strict=True))
    return Vessels(
        tanks=park.tanks,
        column=tuple(column[tag.address] for tag in tags),
        height=tuple(_height(tank, tag) for tank, tag in pairs),
        place=tuple(_place(tank, networks) for tank in park.tanks),
        mates=tuple(mates),
        capacity=np.array([_capacity(tank, tag) for tank, tag in pairs]),
        fill=fill,
        turn=turn,
        drift_waves=disturbances.make_waves(rng, count, bands=1),
        rotation=np.zeros(count),
        drift=np.zeros(count),
    )


def let_swing(vessels: Vessels, through: Mapping[str, F64]) -> Vessels:
    """Return the tanks with swings that the flow through their nodes can bear."""
    rotation, drift = np.zeros(len(vessels.tanks)), np.zeros(len(vessels.tanks))
    speed = 2 * np.pi * disturbances.BANDS[0][1] / disturbances.WEEK_S
    for k, (tank, place) in enumerate(zip(vessels.tanks, vessels.place, strict=True)):
        mates = vessels.mates[k]
        if place is None or not mates:
            continue
        component, node, fraction = place
        lowest = max(float(np.min(through[component][:, node])), 0.0)
        flow = lowest / fraction / vessels.capacity[k]
        alone = FARM_RATE if mates == 1 else TANK_RATE
        rotation[k] = min(0.2 * fill_share(tank), alone * flow / ROTATION)
        drift[k] = min(0.1 * fill_share(tank), FARM_RATE * flow / mates / speed)
    return replace(vessels, rotation=rotation, drift=drift)


def inventory(vessels: Vessels, time_s: F64) -> tuple[F64, F64]:
    """Return filled share of the volume, (n, k), and accumulation, (n, k) [kg/s]."""
    angle = ROTATION * time_s[:, None] + vessels.turn
    fill = vessels.fill + vessels.rotation * np.sin(angle)
    fill += vessels.drift * disturbances.value(vessels.drift_waves, time_s)
    rate = vessels.rotation * ROTATION * np.cos(angle)
    rate += vessels.drift * disturbances.slope(vessels.drift_waves, time_s)
    return fill, np.asarray(rate * vessels.capacity)


def show(vessels: Vessels, fill: F64, values: F64) -> None:
    """Write the tanks' tags into the columns of `values`."""
    for k, tank in enumerate(vessels.tanks):
        shown = fill[:, k]
        if tank.level and tank.shape == "horizontal_cylinder":
            shown = height_fraction(shown)
        values[:, vessels.column[k]] = vessels.height[k] * shown


def _height(tank: Tank, tag: Tag) -> float:
    """Return what the tag of a full tank shows: mass [kg], level [m] or level fraction [1]."""
    if tank.mass:
        return _capacity(tank, tag)
    if tag.quantity == "fraction":
        return 1.0
    return tank.diameter if tank.shape == "horizontal_cylinder" else tank.length


def _capacity(tank: Tank, tag: Tag) -> float:
    """Return the mass that fills a tank [kg]; 1 where it is not known."""
    full = full_mass(tank, tag)
    return full if math.isfinite(full) else 1.0


def _place(tank: Tank, networks: Sequence[Network]) -> tuple[str, int, float] | None:
    """Return the node whose balance a tank belongs to, None when nothing passes through it."""
    component = load_reference("media")[tank.medium]["component"]
    for network in networks:
        node = network.index(tank.scope) if network.component in component else None
        if node is not None and network.gives(node) and network.takes(node):
            return network.component, node, float(component[network.component])
    return None
