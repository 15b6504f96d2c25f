"""Tanks whose level oscillates in closed form, so that accumulation is its exact derivative."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simulators.process import disturbances
from twin.accounts.tanks import (
    Tanks,
    compile_tanks,
    fill_share,
    full_level,
    full_mass,
    height_share,
)
from twin.arrays import F64, I64
from twin.reference import load as load_reference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simulators.process.disturbances import Disturbances
    from simulators.process.flows import ComponentNetwork
    from twin.model.park import Park, Tank

# Tanks are filled and emptied in turn, once a day [rad/s].
ROTATION = 2 * np.pi * 7 / disturbances.WEEK_S
TANK_RATE = 0.3  # greatest share of the flow through a farm into one tank of several
FARM_RATE = 0.06  # greatest share of the flow that the whole farm accumulates
SPARE_FROM = 3  # A farm of this many liquid-chlorine tanks keeps its last one empty for accidents.
SPARE_FILL = 0.02


class BalanceNode(NamedTuple):
    """The node of a component network whose balance a tank belongs to."""

    component: str
    node: int
    fraction: float  # [kg/kg] of the component in the medium


@dataclass(frozen=True, slots=True)
class Vessels:
    """The tanks of a park, arrays over tanks (k); fills are shares of the volume."""

    tanks: tuple[Tank, ...]
    column: I64
    shapes: Tanks
    height: F64  # of a level of 1, in the tag's SI unit
    balance_node: tuple[BalanceNode | None, ...]
    group_size: tuple[int, ...]  # tanks that are filled in turn with this one; 0 of a spare
    capacity: F64  # [kg] at a fill of 1
    fill: F64
    turn: F64  # [rad] phase of the rotation
    drift_disturbances: Disturbances
    rotation: F64
    drift: F64


def make_vessels(
    park: Park,
    networks: Sequence[ComponentNetwork],
    column: Mapping[str, int],
    rng: np.random.Generator,
) -> Vessels:
    """Compile the tanks of a park at rest; `with_oscillation` sets them moving.

    `column` has the index of a tag's address.
    """
    farms: dict[tuple[str, str], list[int]] = {}
    for k, tank in enumerate(park.tanks):
        farms.setdefault((tank.scope, tank.medium), []).append(k)
    count = len(park.tanks)
    limit = np.array([fill_share(t) for t in park.tanks])
    fill, turn, group_size = rng.uniform(0.5, 0.65, count) * limit, np.zeros(count), [0] * count
    for (_, medium), farm in farms.items():
        spare = medium == "liquid_chlorine" and len(farm) >= SPARE_FROM
        if spare:
            fill[farm[-1]] = SPARE_FILL
        active = farm[:-1] if spare else farm
        first = rng.uniform(0, 2 * np.pi)
        for nth, k in enumerate(active):
            # Equally spaced turns cancel in the sum, so filling in turn costs the farm nothing.
            turn[k] = first + 2 * np.pi * nth / len(active)
            group_size[k] = len(active)
    tags = [park.tags[column[t.level or t.mass]] for t in park.tanks]
    full = np.array(
        [full_mass(park, tank, tag) for tank, tag in zip(park.tanks, tags, strict=True)]
    )
    capacity = np.where(np.isfinite(full), full, 1.0)
    level = [full_level(park, tank, tag) for tank, tag in zip(park.tanks, tags, strict=True)]
    return Vessels(
        tanks=park.tanks,
        column=np.array([column[tag.address] for tag in tags], np.int64),
        shapes=compile_tanks(park, column),
        height=np.where([bool(tank.mass) for tank in park.tanks], capacity, level),
        balance_node=tuple(_balance_node(tank, networks) for tank in park.tanks),
        group_size=tuple(group_size),
        capacity=capacity,
        fill=fill,
        turn=turn,
        drift_disturbances=disturbances.make_disturbances(rng, count, bands=1),
        rotation=np.zeros(count),
        drift=np.zeros(count),
    )


def with_oscillation(vessels: Vessels, throughput: Mapping[str, F64]) -> Vessels:
    """Return the tanks with oscillations that the flow through their nodes allows.

    `throughput` has the outflow of the nodes by component, (n, m) [kg/s].
    """
    rotation, drift = np.zeros(len(vessels.tanks)), np.zeros(len(vessels.tanks))
    speed = 2 * np.pi * disturbances.BANDS[0][1] / disturbances.WEEK_S
    for k, (tank, at) in enumerate(zip(vessels.tanks, vessels.balance_node, strict=True)):
        group_size = vessels.group_size[k]
        if at is None or not group_size:
            continue
        component, node, fraction = at
        lowest = max(float(np.min(throughput[component][:, node])), 0.0)
        flow = lowest / fraction / vessels.capacity[k]
        alone = FARM_RATE if group_size == 1 else TANK_RATE
        rotation[k] = min(0.2 * fill_share(tank), alone * flow / ROTATION)
        drift[k] = min(0.1 * fill_share(tank), FARM_RATE * flow / group_size / speed)
    return replace(vessels, rotation=rotation, drift=drift)


def inventory(vessels: Vessels, time_s: F64) -> tuple[F64, F64]:
    """Return fill [1] and accumulation [kg/s] of the tanks, (n, k), at (n,) [s] of the week."""
    angle = ROTATION * time_s[:, None] + vessels.turn
    fill = vessels.fill + vessels.rotation * np.sin(angle)
    fill += vessels.drift * disturbances.value(vessels.drift_disturbances, time_s)
    rate = vessels.rotation * ROTATION * np.cos(angle)
    rate += vessels.drift * disturbances.slope(vessels.drift_disturbances, time_s)
    return fill, np.asarray(rate * vessels.capacity)


def write_tank_tags(vessels: Vessels, fill: F64, values: F64) -> None:
    """Write the tank tags at fills, (n, k) [1], into the columns of `values`, (n, t)."""
    values[:, vessels.column] = vessels.height * height_share(vessels.shapes, fill)


def _balance_node(tank: Tank, networks: Sequence[ComponentNetwork]) -> BalanceNode | None:
    """Return the balance node of a tank, None when nothing passes through it."""
    component = load_reference("media")[tank.medium]["component"]
    for network in networks:
        node = network.index(tank.scope) if network.component in component else None
        if node is not None and network.gives(node) and network.takes(node):
            return BalanceNode(network.component, node, float(component[network.component]))
    return None
