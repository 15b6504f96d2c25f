"""Sums of tag amounts over windows, and the accounts they make."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from api.encode import in_uom, rfc3339
from twin import quality as q
from twin.accounts.network import Network, tank_mass
from twin.arrays import F64, I64, MINUTE_US, NEVER, SECOND_US, U8
from twin.reconciliation.uncertainty import half_width, ratio_weight, sum_sigma, weights
from twin.uom import compile_uom

if TYPE_CHECKING:
    from collections.abc import Iterable

    from api.context import World
    from twin.accounts.accounts import Account

# An inventory at an edge may come from a minute that is this far away.
NEAR = timedelta(minutes=15)
TONNE = compile_uom("t", "mass")[0]


@dataclass(frozen=True, slots=True)
class Sums:
    """Amounts of U tags in W windows; without any coverage there is no amount."""

    network: Network
    tags: I64  # (U,) places in the network, sorted
    amount: F64  # (W, U) [SI]
    covered_s: F64  # (W, U)
    quality: U8  # (W, U)

    def columns(self, accounts: Iterable[Account]) -> I64:
        """Return the columns of the tags some accounts are made of."""
        return np.searchsorted(self.tags, tags_of(self.network, accounts))

    def total(self, account: Account) -> F64:
        """Return an account [SI], (W,): NaN where a tag has no amount or the model has no such."""
        if account not in self.network.accounts:
            return np.full(len(self.amount), np.nan)
        return self.weigh(weights(self.network, {account: 1.0}))

    def weigh(self, weight: F64) -> F64:
        """Return a weighted sum of tags, (T,) to (W,): NaN where a tag of it has no amount."""
        part = self._part(weight)
        return np.asarray(np.where(part != 0, part * self.amount, 0.0).sum(axis=1))

    def ci(self, component: str, weight: F64) -> F64:
        """Return the half width of the interval of a weighted sum of tags [SI], (W,).

        `component` is what the sum is of, where electrolysers make it; weights are (T,) or (W, T).
        """
        return self._half_width(component, self._part(weight))

    def ratio_ci(self, product: str, over: F64, under: F64) -> F64:
        """Return the half width of the interval of a ratio [SI], (W,); NaN without a ratio.

        Both sums are weights of all tags, (T,) or (W, T); NaN throughout = not known.
        """
        slope = ratio_weight(self._part(over), self._part(under), self.amount)
        return np.where(np.nan_to_num(under).any(), self._half_width(product, slope), np.nan)

    def _part(self, weight: F64) -> F64:
        """Return the weights of the tags that were read."""
        part = weight[..., self.tags]
        known, wanted = (np.count_nonzero(np.nan_to_num(each)) for each in (part, weight))
        assert known == wanted, "tags that were not read"
        return np.asarray(part)

    def _half_width(self, component: str, part: F64) -> F64:
        sums = self.amount, self.covered_s
        return half_width(sum_sigma(self.network, component, part, *sums, self.tags))

    def of_all(self) -> tuple[F64, F64]:
        """Return amounts and coverage of all tags, (W, T); NaN where they were not read."""
        amount, covered_s = np.full((2, len(self.amount), len(self.network.tags)), np.nan)
        amount[:, self.tags], covered_s[:, self.tags] = self.amount, self.covered_s
        return amount, covered_s


def tags_of(network: Network, accounts: Iterable[Account]) -> I64:
    """Return the network's places of all tags of some accounts, sorted."""
    found = [network.entry_tag[network.entries(a)] for a in accounts if a in network.accounts]
    return np.unique(np.concatenate([np.zeros(0, np.int64), *found]))


def _tag_ids(world: World, network: Network, tags: I64) -> I64:
    """Return the database's ids of some tags; -1 for one the database does not have."""
    catalogue = world.feed.catalogue
    at = catalogue.find(network.tags[i].address for i in tags.tolist())
    return np.where(at >= 0, catalogue.tag_id[np.maximum(at, 0)], -1) if len(at) else at


async def read_sums(world: World, network: Network, tags: I64, window: str, edges: I64) -> Sums:
    """Return the sums of some tags over windows."""
    ids = _tag_ids(world, network, tags)
    windows, count = len(edges) - 1, len(tags)
    amount, covered_s = np.zeros(windows * count), np.zeros(windows * count)
    severity, flag = np.zeros((2, windows * count), np.uint8)
    if count:
        table = _table(window, network.park.shifts)
        rows = await world.store.amounts(table, ids, int(edges[0]), int(edges[-1]))
        order = np.argsort(ids)
        column = order[np.searchsorted(ids, rows["tag_id"], sorter=order)]
        at = (np.searchsorted(edges, rows["time_us"], "right") - 1) * count + column
        amount += np.bincount(at, rows["amount"], windows * count)
        covered_s += np.bincount(at, rows["covered_s"], windows * count)
        # What was not used is a hole, which the coverage shows; it makes nothing worse.
        mark = rows["quality"] & np.uint8(q.SIMULATED)
        used = np.where(rows["covered_s"] > 0, rows["quality"] & ~mark, 0).astype(np.uint8)
        np.maximum.at(severity, at, used)
        np.bitwise_or.at(flag, at, mark)
    amount[covered_s == 0] = np.nan
    shape = windows, count
    return Sums(
        network,
        tags,
        amount.reshape(shape),
        covered_s.reshape(shape),
        (severity | flag).reshape(shape),
    )


def _table(window: str, shifts: tuple[str, ...]) -> str:
    """Return the coarsest table whose rows lie inside the windows."""
    if window == "shift":
        return "hour" if all(start.endswith(":00") for start in shifts) else "minute"
    return {"minute": "minute", "hour": "hour"}.get(window, "day")


@dataclass(frozen=True, slots=True)
class Pairs:
    """Integrals over time of n pairs of gauges in W windows, from the minutes that have both."""

    first: F64  # (W, n) of the first gauge [SI s]; 0 where no minute has both
    product: F64  # (W, n) of their product
    square: F64  # (W, n) of the square of the first


async def read_pairs(world: World, network: Network, first: I64, second: I64, edges: I64) -> Pairs:
    """Return the integrals of pairs of gauges; each minute stands for its means."""
    shape = len(edges) - 1, len(first)
    found = Pairs(*np.zeros((3, *shape)))
    if not len(first):
        return found
    ids = _tag_ids(world, network, first), _tag_ids(world, network, second)
    rows = await world.store.pairs(*ids, edges)
    at = rows["window"], rows["place"] - 1
    for name in ("first", "product", "square"):
        getattr(found, name)[at] = rows[name]
    return found


@dataclass(frozen=True, slots=True)
class Inventory:
    """Mass of a component in some tanks at the edges of windows."""

    mass: F64  # (W+1,) [kg]; NaN where a tank is not known
    quality: U8  # (W+1,)
    level: F64  # (W+1, T) [SI] values of the tags it follows from


async def read_inventory(
    world: World, network: Network, component: str, tanks: I64, edges: I64, now_us: int
) -> Inventory:
    """Return how much of a component is in some tanks at each edge.

    It follows from the last level before the edge.
    """
    levels, quality = await read_levels(world, network, tanks, edges, now_us)
    share = network.tank_share[component][tanks]
    return Inventory(tank_mass(network, levels)[:, tanks] @ share, quality, levels)


async def read_levels(
    world: World, network: Network, tanks: I64, edges: I64, now_us: int
) -> tuple[F64, U8]:
    """Return the values of the tags (W+1, T) some tanks have at each edge, and their quality."""
    edges = np.minimum(edges, now_us // MINUTE_US * MINUTE_US)
    tags = np.unique(network.tank_tag[tanks])
    ids = _tag_ids(world, network, tags)
    moments, place = np.unique(edges, return_inverse=True)
    rows = await world.store.minutes_near(ids, moments - MINUTE_US, NEAR)
    value = np.full((len(moments), len(network.tags)), np.nan)
    order = np.argsort(ids)
    tag = tags[order[np.searchsorted(ids, rows["tag_id"], sorter=order)]]
    at = np.searchsorted(moments, rows["time_us"] + MINUTE_US)
    value[at, tag] = rows["last"]
    severity, flag = np.zeros((2, len(moments)), np.uint8)
    mark = rows["quality"] & np.uint8(q.SIMULATED)
    np.maximum.at(severity, at, rows["quality"] & ~mark)
    np.bitwise_or.at(flag, at, mark)
    return value[place], (severity | flag)[place]


def elapsed_s(edges: I64, now_us: int) -> F64:
    """Return how much of each window has passed [s], up to the last full minute; (W,)."""
    until = np.minimum(edges[1:], now_us // MINUTE_US * MINUTE_US)
    return np.asarray(np.maximum(until - edges[:-1], 0) / SECOND_US)


@dataclass(frozen=True, slots=True)
class Live:
    """The live image in the order of a network's tags."""

    value: F64  # (T,) [SI]; NaN where there is none to use
    rate: F64  # (T,) [SI] the value of a gauge; a counter shows no rate
    quality: U8  # (T,)


def live_values(world: World, network: Network, now_us: int) -> Live:
    """Return the newest values of a network's tags; a value that is too old is bad."""
    image = world.feed.image
    at = world.feed.catalogue.find(tag.address for tag in network.tags)
    known = at >= 0
    value = np.full(len(at), np.nan)
    quality = np.full(len(at), q.NO_DATA, np.uint8)
    age_us = np.zeros(len(at), np.int64)
    value[known], quality[known] = image.value[at[known]], image.quality[at[known]]
    seen = known & (image.time_us[np.maximum(at, 0)] != NEVER) if len(image.time_us) else known
    age_us[seen] = now_us - image.time_us[at[seen]]
    old = np.where(age_us > network.traits.gap_us, q.BAD | q.STALE, 0).astype(np.uint8)
    quality = q.worse(quality, old)
    value = np.where(q.usable(quality), value, np.nan)
    counter = np.array([tag.kind == "counter" for tag in network.tags], dtype=bool)
    return Live(value, np.where(counter, np.nan, value), quality)


def tank_states(world: World, network: Network, tanks: I64 | None) -> list[dict[str, Any]]:
    """Return what each tank holds by the live image."""
    image, zone = world.feed.image, ZoneInfo(network.park.timezone)
    value = np.full(len(network.tags), np.nan)
    states = []
    for k in [] if tanks is None else tanks.tolist():
        tag = network.tank_tag[k]
        at = world.feed.catalogue.index.get(network.tags[tag].address)
        never = at is None or image.time_us[at] == NEVER
        quality = q.NO_DATA if at is None else int(image.quality[at])
        if at is not None and quality < q.BAD:
            value[tag] = image.value[at]
        mass = tank_mass(network, value)[k]
        tank, capacity = network.park.tanks[k], network.tank_capacity[k]
        states.append(
            {
                "id": tank.id,
                "scope": tank.scope,
                "inventory_t": float(in_uom(mass, TONNE, 0.0)),
                "capacity_t": float(in_uom(capacity, TONNE, 0.0)),
                "fill": float(in_uom(mass / capacity, 1.0, 0.0)),
                "fill_limit": tank.fill_limit,
                "time": None if never else rfc3339(int(image.time_us[at or 0]), zone),
                "quality": quality,
            }
        )
    return states
