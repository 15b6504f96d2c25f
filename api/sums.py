"""Sums of tags over windows: amounts, the accounts and balances they make, and how far to trust.

Each tag is summed over the time it is covered by itself. What ratios and balances are made of is in
`api.joint`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from api import queries
from api.encode import out
from api.store import Columns
from deploy.database.times import stamps
from twin import quality as q
from twin.accounts.accounts import Account
from twin.accounts.cells import AnalysedCells, effective_sums
from twin.accounts.heat import Heats, heat_amounts, heat_quality
from twin.accounts.network import Network
from twin.arrays import BOOL, F64, I64, MINUTE_US, U8, ratio
from twin.reconciliation.uncertainty import (
    half_width,
    ratio_weight,
    sum_sigma,
    weights,
)
from twin.series import windows as w
from twin.series.coverage import missing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from api.context import Context
    from api.windows import WindowQuery


NO_TAGS = np.zeros(0, np.int64)
NO_ROWS: Columns = {
    "tag": NO_TAGS, "time_us": NO_TAGS, "amount": np.zeros(0), "covered_s": np.zeros(0),
    "quality": np.zeros(0, np.uint8),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SumCells:
    """Rows of a table of sums as C pieces of time, in time order, of U tags."""

    table: str
    start_us: I64  # (C,)
    stop_us: I64  # (C,)
    amount: F64  # (C, U) 0 without a row
    covered_s: F64  # (C, U)


@dataclass(frozen=True, slots=True)
class Sums:
    """Amounts of U tags in the W windows of a query; without any coverage there is no amount."""

    query: WindowQuery
    tags: I64  # (U,) positions in the network, sorted
    amount: F64  # (W, U) [SI s] of a gauge, [SI] of a counter
    covered_s: F64  # (W, U)
    quality: U8  # (W, U)
    cells: SumCells  # without a gap from the first to the last window

    @property
    def network(self) -> Network:
        """The network of the query."""
        return self.query.network

    def columns(self, accounts: Iterable[Account]) -> I64:
        """Return the columns of the tags of some accounts."""
        return np.searchsorted(self.tags, tags_of(self.network, accounts))

    def total(self, account: Account) -> F64:
        """Return an account (W,) [SI]; NaN where a tag has no amount or the model has no such."""
        if account not in self.network.accounts:
            return np.full(len(self.amount), np.nan)
        return self.weigh(weights(self.network, {account: 1.0}))

    def known(self, accounts: Iterable[Account]) -> BOOL:
        """Return in which windows all of some accounts have a value, (W,)."""
        totals = [np.isnan(self.total(account)) for account in accounts]
        return np.asarray(~np.any([np.zeros(len(self.amount), bool), *totals], axis=0))

    def completeness(self, columns: I64) -> F64:
        """Return the share of the time for which there are data, mean over some columns, (W,)."""
        return out(w.completeness(self.covered_s[:, columns], self.query.elapsed_s))

    def trust(self, columns: I64, known: BOOL, ends: U8 | None = None) -> dict[str, Any]:
        """Return completeness, quality and missing tags (W,) of amounts made of some columns.

        `known` (W,) tells where the figures have a value; `ends` (W+1,) is the quality of the
        stocks at the edges that take part in them.
        """
        share = w.shares(self.covered_s[:, columns], self.query.elapsed_s)
        quality = self.quality[:, columns]
        if ends is not None:
            quality = np.column_stack([quality, ends[:-1], ends[1:]])
        names = [self.network.tags[tag].address for tag in self.tags[columns].tolist()]
        return {
            "completeness": self.completeness(columns),
            "quality": w.grade(quality, share, known),
            "missing": missing(share, names),
        }

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

    def of_all(self) -> tuple[F64, F64]:
        """Return amounts and coverage of all tags, (W, T); NaN where they were not read."""
        amount, covered_s = np.full((2, len(self.amount), len(self.network.tags)), np.nan)
        amount[:, self.tags], covered_s[:, self.tags] = self.amount, self.covered_s
        return amount, covered_s

    def _part(self, weight: F64) -> F64:
        """Return the weights of the tags that were read."""
        part = weight[..., self.tags]
        known, wanted = (np.count_nonzero(np.abs(each) > 0) for each in (part, weight))
        assert known == wanted, "tags that were not read"
        return np.asarray(part)

    def _half_width(self, component: str, part: F64) -> F64:
        sums = self.amount, self.covered_s
        return half_width(sum_sigma(self.network, component, part, *sums, self.tags))


def tags_of(network: Network, accounts: Iterable[Account]) -> I64:
    """Return the positions in the network of all tags of some accounts, sorted."""
    tags = [network.entry_tag[network.entries(a)] for a in accounts if a in network.accounts]
    return np.unique(np.concatenate([NO_TAGS, *tags]))


def tag_ids(context: Context, network: Network, tags: I64) -> I64:
    """Return the database's ids of some tags; -1 for one the database does not have."""
    catalogue = context.feed.catalogue
    at = catalogue.find(network.tags[i].address for i in tags.tolist())
    return np.where(at >= 0, catalogue.tag_id[np.maximum(at, 0)], -1) if len(at) else at


async def read_sums(context: Context, query: WindowQuery, tags: I64) -> Sums:
    """Return the sums of some tags over the windows of a query; raises StoreError."""
    network, edges = query.network, query.edges
    windows, count = len(edges) - 1, len(tags)
    table = _table(query.window, network.park.shifts)
    first_us, last_us = int(edges[0]), int(edges[-1])
    context.require_affordable(cost_of_sums(query, count))
    grid = w.edges(table, first_us, last_us, network.park.timezone)
    rows = await read_rows(
        context, network, tags, lambda ids: context.store.amounts(table, ids, first_us, last_us)
    )
    cells = fill_cells(table, grid[:-1], grid[1:], tags, rows)
    # What was not used is a hole, which the coverage shows; it makes nothing worse.
    mark = rows["quality"] & np.uint8(q.SIMULATED)
    used = np.where(rows["covered_s"] > 0, rows["quality"], mark)
    column = np.searchsorted(tags, rows["tag"])
    at = (np.searchsorted(edges, rows["time_us"], "right") - 1) * count + column
    quality = worst_at(used, at, windows * count).reshape(windows, count)
    quality = await _settle_spread(context, query, tags, quality)
    start = np.searchsorted(cells.start_us, edges[:-1])
    amount = np.add.reduceat(cells.amount, start, axis=0)
    covered_s = np.add.reduceat(cells.covered_s, start, axis=0)
    amount[covered_s == 0] = np.nan
    return Sums(query, tags, amount, covered_s, quality, cells)


async def _settle_spread(context: Context, query: WindowQuery, tags: I64, quality: U8) -> U8:
    """Return the qualities of tags in windows, (W, U): amounts of whole periods are not spread.

    An amount of the books is spread over the days of its period. Where no edge of a window cuts a
    period, the sum of the window is what the books say.
    """
    spread = np.uint8(q.UNCERTAIN | q.SPREAD)
    booked = [
        at for at, tag in enumerate(tags.tolist()) if query.network.tags[tag].kind == "amount"
    ]
    if not booked:
        return quality
    ids = tag_ids(context, query.network, tags[booked])
    cuts = await context.store.rows(queries.BOOK_CUTS, ids.tolist(), stamps(query.edges))
    column = {number: at for at, number in zip(booked, ids.tolist(), strict=True)}
    whole = np.zeros(quality.shape, bool)
    whole[:, booked] = True
    for number, edge in cuts:
        # The edge, counted from 1, ends a window and begins the next.
        whole[max(edge - 2, 0) : edge, column[number]] = False
    return np.where(whole & (quality == spread), np.uint8(q.MANUAL), quality)


def column_of(ids: I64, rows: Columns) -> I64:
    """Return the column of each row among tags with some ids."""
    order = np.argsort(ids)
    return order[np.searchsorted(ids, rows["tag_id"], sorter=order)]


async def read_rows(
    context: Context, network: Network, tags: I64, read: Callable[[I64], Awaitable[Columns]]
) -> Columns:
    """Return rows of a table of sums of some tags, by `tag`, a position in the network.

    `read` returns the rows of the tags with some ids of the database. Heats are not read: they are
    made of the rows of the tags they follow from, as these are today. So are effective currents
    where that gives more, or better ones, than was derived at the time; raises StoreError.
    """
    of_heat, of_cells = network.heats.inputs(tags), network.cells.inputs(tags)
    stored = np.unique(np.concatenate([np.setdiff1d(tags, network.heats.tag), of_heat, of_cells]))
    if not len(stored):
        return NO_ROWS
    ids = tag_ids(context, network, stored)
    rows = await read(ids)
    tag = stored[column_of(ids, rows)]
    table = {"tag": tag, **{name: rows[name] for name in NO_ROWS if name != "tag"}}
    wanted = np.isin(tag, tags)
    derived = {name: column[wanted] for name, column in table.items()}
    made = _cell_rows(network.cells.among(tags, of_cells), _Grid.of(of_cells, table))
    heat = _heat_rows(network.heats.among(tags, of_heat), _Grid.of(of_heat, table))
    better, kept = _better(made, derived)
    return {
        name: np.concatenate([derived[name][kept], made[name][better], heat[name]])
        for name in NO_ROWS
    }


def _better(made: Columns, derived: Columns) -> tuple[BOOL, BOOL]:
    """Tell the rows that are better than those of the same tag and time, and the others to keep."""
    first = int(min(made["time_us"].min(initial=0), derived["time_us"].min(initial=0)))
    last = int(max(made["time_us"].max(initial=0), derived["time_us"].max(initial=0)))
    ours, theirs = (
        rows["tag"] * ((last - first) // MINUTE_US + 1) + (rows["time_us"] - first) // MINUTE_US
        for rows in (made, derived)
    )
    _, at, other = np.intersect1d(ours, theirs, assume_unique=True, return_indices=True)
    longer = made["covered_s"][at] > derived["covered_s"][other]
    surer = made["quality"][at] < derived["quality"][other]
    better, kept = np.ones(len(ours), bool), np.ones(len(theirs), bool)
    better[at], kept[other] = longer | surer, ~(longer | surer)
    return better, kept


@dataclass(frozen=True, slots=True)
class _Grid:
    """Rows of some tags as a table: n times, c tags; without data where there is no row."""

    time_us: I64  # (n,)
    amount: F64  # (n, c)
    covered_s: F64  # (n, c)
    quality: U8  # (n, c)

    @classmethod
    def of(cls, tags: I64, rows: Columns) -> _Grid:
        """Return the rows of some tags, (c,) sorted."""
        own = np.isin(rows["tag"], tags)
        rows = {name: column[own] for name, column in rows.items()}
        times, row = np.unique(rows["time_us"], return_inverse=True)
        shape, at = (len(times), len(tags)), (row, np.searchsorted(tags, rows["tag"]))
        amount, covered_s = np.zeros((2, *shape))
        quality = np.full(shape, q.NO_DATA, np.uint8)
        amount[at], covered_s[at], quality[at] = rows["amount"], rows["covered_s"], rows["quality"]
        return cls(times, amount, covered_s, quality)

    @property
    def mean(self) -> F64:
        """Means of the tags, (n, c) [SI]; NaN without data."""
        return ratio(self.amount, self.covered_s)

    def rows(self, tags: I64, flow: I64, amount: F64, quality: U8) -> Columns:
        """Return rows of tags (k,) where the tag `flow` (k,) of each has some; amount (n, k)."""
        n, k = np.nonzero(self.quality[:, flow] != q.NO_DATA)
        return {
            "tag": tags[k], "time_us": self.time_us[n], "amount": amount[n, k],
            "covered_s": self.covered_s[n, flow[k]], "quality": quality[n, k],
        }  # fmt: skip


def _heat_rows(heats: Heats, grid: _Grid) -> Columns:
    """Return the rows of heat tags: each has the heat of its amount at the mean state."""
    heat, doubtful = heat_amounts(heats, grid.time_us, grid.amount, grid.mean)
    return grid.rows(heats.tag, heats.flow, heat, heat_quality(heats, grid.quality, doubtful))


def _cell_rows(cells: AnalysedCells, grid: _Grid) -> Columns:
    """Return the rows of effective currents: each has its charge at the mean efficiency."""
    charge, quality = effective_sums(cells, grid.amount, grid.covered_s, grid.quality)
    return grid.rows(cells.effective, cells.current, np.nan_to_num(charge), quality)


def fill_cells(table: str, start_us: I64, stop_us: I64, tags: I64, rows: Columns) -> SumCells:
    """Return the cells of some rows; a row outside of all cells is left out."""
    amount, covered_s = np.zeros((2, len(start_us), len(tags)))
    cell = np.searchsorted(start_us, rows["time_us"], "right") - 1
    inner = (cell >= 0) & (rows["time_us"] < stop_us[cell])
    at = cell[inner], np.searchsorted(tags, rows["tag"])[inner]
    np.add.at(amount, at, rows["amount"][inner])
    np.add.at(covered_s, at, rows["covered_s"][inner])
    return SumCells(table, start_us, stop_us, amount, covered_s)


def worst_at(quality: U8, at: I64, count: int) -> U8:
    """Return the worst quality at each of `count` positions, simulated when a part of it is."""
    severity, flag = np.zeros((2, count), np.uint8)
    mark = quality & np.uint8(q.SIMULATED)
    np.maximum.at(severity, at, quality & ~mark)
    np.bitwise_or.at(flag, at, mark)
    return severity | flag


def cost_of_sums(query: WindowQuery, count: int) -> int:
    """Return how many values `read_sums` reads of so many tags, at most."""
    table = _table(query.window, query.network.park.shifts)
    return int(query.edges[-1] - query.edges[0]) // w.SHORTEST_US[table] * count


def _table(window: str, shifts: tuple[str, ...]) -> str:
    """Return the coarsest table whose rows lie inside the windows."""
    if window == "shift":
        return "hour" if all(start.endswith(":00") for start in shifts) else "minute"
    return {"minute": "minute", "quarter_hour": "minute", "hour": "hour"}.get(window, "day")


@dataclass(frozen=True, slots=True)
class PairSums:
    """Integrals over time of n pairs of gauges in W windows, from the minutes that have both."""

    first: F64  # (W, n) of the first gauge [SI s]; 0 where no minute has both
    product: F64  # (W, n) of their product
    square: F64  # (W, n) of the square of the first


async def read_pairs(context: Context, query: WindowQuery, first: I64, second: I64) -> PairSums:
    """Return the integrals of n pairs of gauges; each minute stands for its means.

    `first` and `second` (n,) are positions in the network; raises StoreError.
    """
    sums = PairSums(*np.zeros((3, len(query.edges) - 1, len(first))))
    if not len(first):
        return sums
    minutes = int(query.edges[-1] - query.edges[0]) // MINUTE_US
    context.require_affordable(minutes * len(first))
    ids = [tag_ids(context, query.network, tags) for tags in (first, second)]
    rows = await context.store.pairs(ids[0], ids[1], query.edges)
    at = rows["window"], rows["pair"] - 1
    for name in ("first", "product", "square"):
        getattr(sums, name)[at] = rows[name]
    return sums
