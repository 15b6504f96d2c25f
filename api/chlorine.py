"""The chlorine of a scope: its balance by window, where it went, and what tanks can still take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import APIRouter, Request, Response

from api import schema_chlorine
from api.chlorine_now import figures, hazards_now, room_now
from api.context import World, world
from api.encode import in_uom, json_answer
from api.problems import RESPONSES
from api.sums import live_values, read_sums, tags_of, tank_states
from api.windows import TRUST, Hourly, Question, balance_columns, read_stock
from twin.accounts.accounts import FLOW_ITEMS, Account
from twin.arrays import F64
from twin.chlorine.figures import local_share_of_liquid, local_share_of_made
from twin.chlorine.tank_farms import drawn, find_taken, meter_of
from twin.reconciliation.uncertainty import weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from api.sums import Sums
    from twin.accounts.network import Network
    from twin.model.park import Stream

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES)

NAMES = {"make": "production", "use": "consumption", "change": "inventory_change"}


@router.get("/{path:path}/chlorine", response_model=schema_chlorine.Chlorine)
async def chlorine(request: Request, asked: Hourly) -> Response:
    """Return the chlorine balance of a scope, and what its tanks hold and can take now."""
    here, network, path = world(request), asked.network, asked.scope
    tanks = network.tank_scopes.get((path, "chlorine"))
    live = live_values(here, network, asked.now_us)
    accounts = [Account(path, "chlorine", item) for item in FLOW_ITEMS]
    known = tanks is not None or any(account in network.accounts for account in accounts)
    body = {
        "scope": path,
        "window": asked.window,
        "items": await balance_rows(here, asked, accounts) if known else [],
        "tanks": tank_states(here, network, tanks),
        "now": room_now(network, path, live),
        "hazards": hazards_now(network, path, live),
        "references": figures(),
    }
    return json_answer({**body, "next": None})


async def balance_rows(
    here: World, asked: Question, accounts: list[Account]
) -> list[dict[str, Any]]:
    """Return the balance of each window."""
    network = asked.network
    taken = find_taken(network, asked.scope)
    meters = [meter_of(network, s)[0] for s in (*taken.streams, *taken.exported)]
    also = np.unique([tag for tag in meters if tag >= 0]).astype(np.int64)
    tags = np.union1d(tags_of(network, accounts), also)
    sums = await read_sums(here, network, tags, asked.window, asked.edges)
    stock = await read_stock(here, asked, "chlorine")
    found = balance_columns(asked, "chlorine", sums, stock, also)
    made = sums.total(Account(asked.scope, "chlorine", "make"))
    columns = {k if k in TRUST else f"{_name(k)}_t": v for k, v in found.items()} | {
        "k1": in_uom(
            local_share_of_liquid(_amounts(network, sums, taken.streams), taken.local), 1.0, 0.0
        ),
        "k2": in_uom(local_share_of_made(made, _amounts(network, sums, taken.exported)), 1.0, 0.0),
    }
    local = [s for s, here in zip(taken.streams, taken.local, strict=True) if here]
    whole, kept, sold = (drawn(network, s) for s in (taken.streams, local, taken.exported))
    cells = weights(network, {Account(asked.scope, "chlorine", "make"): 1.0})
    columns["k1_ci"] = in_uom(sums.ratio_ci("chlorine", kept, whole), 1.0, 0.0)
    columns["k2_ci"] = in_uom(sums.ratio_ci("chlorine", cells - sold, cells), 1.0, 0.0)
    return asked.rows(columns)


def _name(column: str) -> str:
    """Return what a column of a balance is called here: the interval of `make`, production_ci."""
    item, mark, rest = column.partition("_ci")
    return NAMES.get(item, item) + mark + rest


def _amounts(network: Network, sums: Sums, streams: Sequence[Stream]) -> F64:
    """Return the chlorine each stream carried, (W, S) [kg]; NaN where it is not known."""
    found = np.full((len(sums.amount), len(streams)), np.nan)
    for s, stream in enumerate(streams):
        tag, factor = meter_of(network, stream)
        if tag >= 0:
            found[:, s] = sums.amount[:, np.searchsorted(sums.tags, tag)] * factor
    return found
