"""Questions about a scope and windows of time, and the balances that answer them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
from fastapi import Depends, Path, Query, Request

from api.context import From, To, World, stretch, world
from api.encode import in_uom, rfc3339
from api.problems import invalid, not_found
from api.sums import TONNE, elapsed_s, read_inventory
from twin.accounts.accounts import FLOW_ITEMS, SIGNS, Account
from twin.arrays import DAY_US, F64, I64, SECOND_US
from twin.byproducts.balance import unaccounted
from twin.reconciliation.uncertainty import half_width, stored_sigma, weights
from twin.series import windows as w

if TYPE_CHECKING:
    from datetime import datetime

    from api.sums import Inventory, Sums
    from twin.accounts.network import Network

ScopePath = Annotated[str, Path(description="path of a scope, slashes included")]
Component = Annotated[str, Query(description="chlorine, hydrogen, …")]
Length = Literal["minute", "hour", "shift", "day", "month"]
Window = Annotated[Length, Query(description="length of a row, on the park's clock")]
TRUST = ("completeness", "quality")
NO_TAGS = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Question:
    """A scope and the windows it is asked about."""

    network: Network
    scope: str
    window: str
    edges: I64
    now_us: int
    expected_us: int  # what lies before this should be in the database

    def rows(self, columns: dict[str, Any]) -> list[dict[str, Any]]:
        """Return one row for each window, its start and end first; NaN is null."""
        zone = ZoneInfo(self.network.park.timezone)
        stamps = [rfc3339(edge, zone) for edge in self.edges.tolist()]
        lists = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in columns.items()}
        return [
            {
                "start": stamps[i],
                "end": stamps[i + 1],
                **{k: v[i] if isinstance(v, list) else v for k, v in lists.items()},
            }
            for i in range(len(stamps) - 1)
        ]


def ask(
    here: World, path: str, window: str, from_: datetime | None, to: datetime | None
) -> Question:
    """Return what was asked, checked; else a Problem."""
    here.require_scope(path)
    park = here.model.park
    if window == "shift" and not park.shifts:
        raise invalid("window", "this park has no shifts", hint="add `shifts` to [park]")
    now_us = here.now_us()
    from_us, to_us = stretch(now_us, from_, to)
    limit = here.settings.windows_max
    per_shift_us = DAY_US // max(len(park.shifts), 1)
    if (to_us - from_us) // w.SHORTEST_US.get(window, per_shift_us) > limit:
        raise invalid(
            "window", f"there are more than {limit} of them", hint="longer ones, or a shorter range"
        )
    edges = w.edges(window, from_us, to_us, park.timezone, park.shifts)
    expected_us = now_us - round(here.settings.minute_delay_s * SECOND_US)
    return Question(here.model.network, path, window, edges, now_us, expected_us)


def asked_by(usual: Length) -> Any:
    """Return what makes a Question of a request; its windows are of the usual length by default."""

    async def question(
        request: Request, path: ScopePath, window: Window = usual, from_: From = None, to: To = None
    ) -> Question:
        return ask(world(request), path, window, from_, to)

    return Depends(question)


Hourly = Annotated[Question, asked_by("hour")]
Daily = Annotated[Question, asked_by("day")]


def require_component(network: Network, component: str) -> None:
    """Raise a Problem for a component of which nothing flows in the park."""
    components = {a.subject for a in network.accounts if a.item in FLOW_ITEMS}
    if component not in components:
        raise not_found("component", component, components, "/api/v1/park")


def trust(
    asked: Question,
    sums: Sums,
    accounts: list[Account],
    stock: Inventory | None = None,
    also: I64 = NO_TAGS,
) -> dict[str, Any]:
    """Return completeness and quality of what some accounts, an inventory and more tags say."""
    at = np.union1d(sums.columns(accounts), np.searchsorted(sums.tags, also))
    covered_s, elapsed = sums.covered_s[:, at], elapsed_s(asked.edges, asked.expected_us)
    share, each = w.completeness(covered_s, elapsed), w.shares(covered_s, elapsed)
    known = np.ones(len(share), bool)
    for account in accounts:
        known &= ~np.isnan(sums.total(account))
    quality = sums.quality[:, at]
    if stock is not None:
        known &= ~np.isnan(np.diff(stock.mass))
        ends = np.stack([stock.quality[:-1], stock.quality[1:]], axis=1)
        quality = np.concatenate([quality, ends], axis=1)
    return {
        "completeness": in_uom(share, 1.0, 0.0),
        "quality": w.grade(quality, each, known),
    }


async def component_balance(
    here: World, asked: Question, component: str, sums: Sums
) -> dict[str, Any]:
    """Return the balance of a component: columns in t, by item, with inventory and trust."""
    return balance_columns(asked, component, sums, await read_stock(here, asked, component))


async def read_stock(here: World, asked: Question, component: str) -> Inventory | None:
    """Return what the tanks of the scope hold of a component at each edge; None without tanks."""
    tanks = asked.network.tank_scopes.get((asked.scope, component))
    if tanks is None:
        return None
    until = asked.expected_us
    return await read_inventory(here, asked.network, component, tanks, asked.edges, until)


def balance_columns(
    asked: Question, component: str, sums: Sums, stock: Inventory | None, also: I64 = NO_TAGS
) -> dict[str, Any]:
    """Return a balance whose stock has been read; the trust is also that of some more tags."""
    network, count = asked.network, len(asked.edges) - 1
    accounts = [Account(asked.scope, component, item) for item in FLOW_ITEMS]
    flows = {account.item: sums.total(account) for account in accounts}
    known = [account for account in accounts if account in network.accounts]
    nothing, unknown = np.zeros(count), np.full(count, np.nan)
    change = unknown if stock is None else np.diff(stock.mass)
    # A stream the model does not have takes no part; one without data makes the rest unknown.
    make, use, imported, exported, vented = (
        flows[a.item] if a in network.accounts else nothing for a in accounts
    )
    kept = nothing if stock is None else change
    rest = unaccounted(make, use, imported, exported, vented, kept) if known else unknown
    inventory = unknown if stock is None else stock.mass[1:]
    columns = {**flows, "change": change, "unaccounted": rest}
    widths = _widths(asked, component, sums, stock)
    for name, column in list(columns.items()):
        columns[f"{name}_ci"] = np.where(np.isnan(column), np.nan, widths[name])
    return {
        **{name: in_uom(column, TONNE, 0.0) for name, column in columns.items()},
        "inventory": in_uom(inventory, TONNE, 0.0),
        **trust(asked, sums, known, stock, also),
    }


def _widths(asked: Question, component: str, sums: Sums, stock: Inventory | None) -> dict[str, F64]:
    """Return half the intervals [kg] of the terms of a balance, and of what they leave over."""
    network, scope = asked.network, asked.scope
    terms = {item: {Account(scope, component, item): sign} for item, sign in SIGNS.items()}
    terms["unaccounted"] = {account: s for term in terms.values() for account, s in term.items()}
    width = {name: sums.ci(component, weights(network, term)) for name, term in terms.items()}
    width["change"] = np.zeros(len(sums.amount))
    if stock is not None:
        level = np.stack([stock.level[:-1], stock.level[1:]], axis=1)
        tanks = network.tank_scopes[scope, component]
        width["change"] = half_width(stored_sigma(network, component, tanks, level))
    width["unaccounted"] = np.hypot(width["unaccounted"], width["change"])
    return width
