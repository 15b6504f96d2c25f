"""What a scope made, used and lost in each window: energy, chlorine, by-products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
from fastapi import APIRouter, Path, Query, Request, Response
from numpy.typing import NDArray

from api import schema_scopes
from api.accounts import TONNE, elapsed_s, read_inventory, read_sums, tags_of, tank_states
from api.encode import in_uom, json_answer, rfc3339
from api.problems import RESPONSES, invalid, not_found
from api.world import From, To, World, stretch, world
from twin import windows as w
from twin.byproducts import unaccounted
from twin.energy import intensity
from twin.network import FLOW_ITEMS, Account, Network
from twin.reference import load as load_reference
from twin.uom import compile_uom

if TYPE_CHECKING:
    from datetime import datetime

    from api.accounts import Inventory, Sums

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES)

ScopePath = Annotated[str, Path(description="path of a scope, slashes included")]
Window = Annotated[
    Literal["minute", "hour", "shift", "day", "month"],
    Query(description="length of a row, on the park's clock"),
]
ENERGY_ITEMS = ("mass", "electricity", "coal_equivalent")
KWH = compile_uom("kWh", "energy")[0]
KGCE = compile_uom("kgce", "energy")[0]


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
    park = here.model.park
    if park.scope(path) is None:
        raise not_found("scope", path, (s.id for s in park.scopes), "/api/v1/park")
    if window == "shift" and not park.shifts:
        raise invalid("window", "this park has no shifts", hint="add `shifts` to [park]")
    now_us = here.now_us()
    from_us, to_us = stretch(now_us, from_, to)
    limit = here.settings.windows_max
    per_shift_us = w.DAY_US // max(len(park.shifts), 1)
    if (to_us - from_us) // w.SHORTEST_US.get(window, per_shift_us) > limit:
        raise invalid(
            "window", f"there are more than {limit} of them", hint="longer ones, or a shorter range"
        )
    edges = w.edges(window, from_us, to_us, park.timezone, park.shifts)
    expected_us = now_us - round(here.settings.minute_delay_s * w.SECOND_US)
    return Question(here.model.network, path, window, edges, now_us, expected_us)


@router.get("/{path:path}/energy", response_model=schema_scopes.Energy)
async def energy(
    request: Request, path: ScopePath, window: Window = "hour", from_: From = None, to: To = None
) -> Response:
    """Return energy per tonne of each product of a scope: ratios of sums over each window."""
    here = world(request)
    asked = ask(here, path, window, from_, to)
    network = asked.network
    products = dict.fromkeys(
        a.subject for a in network.accounts if a.scope == path and a.item in ENERGY_ITEMS
    )
    accounts = [Account(path, product, item) for product in products for item in ENERGY_ITEMS]
    sums = await read_sums(here, network, tags_of(network, accounts), window, asked.edges)
    items = [row for product in products for row in _energy_rows(asked, sums, product)]
    items.sort(key=lambda row: row["start"])
    keys = ("product", "index", "benchmark", "baseline", "standard", "edition", "confidence")
    references = [
        {**{key: row[key] for key in keys}, "name": row["name"], "verified": row["verified"]}
        for row in load_reference("benchmarks")["benchmark"]
        if row["product"] in products
    ]
    body = {"scope": path, "window": window, "items": items, "references": references}
    return json_answer({**body, "next": None})


def _energy_rows(asked: Question, sums: Sums, product: str) -> list[dict[str, Any]]:
    """Return the rows of one product."""
    accounts = [Account(asked.scope, product, item) for item in ENERGY_ITEMS]
    mass, electricity, coal = (sums.total(account) for account in accounts)
    known = [a for a in accounts if a in asked.network.accounts]
    return asked.rows(
        {
            "product": product,
            "mass_t": in_uom(mass, TONNE, 0.0),
            "energy_kwh": in_uom(electricity, KWH, 0.0),
            "energy_kgce": in_uom(coal, KGCE, 0.0),
            "kwh_per_t": in_uom(intensity(electricity, mass), KWH / TONNE, 0.0),
            "kgce_per_t": in_uom(intensity(coal, mass), KGCE / TONNE, 0.0),
            **_trust(asked, sums, known),
        }
    )


def _trust(
    asked: Question, sums: Sums, accounts: list[Account], stock: Inventory | None = None
) -> dict[str, Any]:
    """Return completeness and quality of what some accounts and an inventory say."""
    at = sums.columns(accounts)
    share = w.completeness(sums.covered_s[:, at], elapsed_s(asked.edges, asked.expected_us))
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
        "quality": w.grade(quality, share, known),
    }


async def _balance(here: World, asked: Question, component: str, sums: Sums) -> dict[str, Any]:
    """Return the balance of a component: columns in t, by item, with inventory and trust."""
    network, count = asked.network, len(asked.edges) - 1
    accounts = [Account(asked.scope, component, item) for item in FLOW_ITEMS]
    flows = {account.item: sums.total(account) for account in accounts}
    known = [account for account in accounts if account in network.accounts]
    tanks = network.tank_scopes.get((asked.scope, component))
    stock = None
    nothing, unknown = np.zeros(count), np.full(count, np.nan)
    if tanks is not None:
        until = asked.expected_us
        stock = await read_inventory(here, network, component, tanks, asked.edges, until)
    change = unknown if stock is None else np.diff(stock.mass)
    # A stream the model does not have takes no part; one without data makes the rest unknown.
    make, use, imported, exported, vented = (
        flows[a.item] if a in network.accounts else nothing for a in accounts
    )
    kept = nothing if stock is None else change
    rest = unaccounted(make, use, imported, exported, vented, kept) if known else unknown
    inventory = unknown if stock is None else stock.mass[1:]
    columns = {**flows, "inventory": inventory, "change": change, "unaccounted": rest}
    return {
        **{name: in_uom(column, TONNE, 0.0) for name, column in columns.items()},
        **_trust(asked, sums, known, stock),
    }


@router.get("/{path:path}/chlorine", response_model=schema_scopes.Chlorine)
async def chlorine(
    request: Request, path: ScopePath, window: Window = "hour", from_: From = None, to: To = None
) -> Response:
    """Return the chlorine balance of a scope, and what its tanks hold now."""
    here = world(request)
    asked = ask(here, path, window, from_, to)
    accounts = [Account(path, "chlorine", item) for item in FLOW_ITEMS]
    tanks = asked.network.tank_scopes.get((path, "chlorine"))
    items: list[dict[str, Any]] = []
    if tanks is not None or any(account in asked.network.accounts for account in accounts):
        tags = tags_of(asked.network, accounts)
        sums = await read_sums(here, asked.network, tags, window, asked.edges)
        found = await _balance(here, asked, "chlorine", sums)
        names = {"make": "production", "use": "consumption", "change": "inventory_change"}
        trust = ("completeness", "quality")
        items = asked.rows(
            {k if k in trust else f"{names.get(k, k)}_t": v for k, v in found.items()}
        )
    body = {"scope": path, "window": window, "items": items}
    return json_answer({**body, "tanks": tank_states(here, asked.network, tanks), "next": None})


@router.get("/{path:path}/byproducts", response_model=schema_scopes.Byproducts)
async def byproducts(
    request: Request, path: ScopePath, window: Window = "hour", from_: From = None, to: To = None
) -> Response:
    """Return the balance of everything the park makes besides chlorine and its products."""
    here = world(request)
    asked = ask(here, path, window, from_, to)
    network = asked.network
    apart = {"chlorine", *(product.id for product in network.park.products)}
    made = {a.subject for a in network.accounts if a.item == "make"} - apart
    media = dict.fromkeys(
        a.subject
        for a in network.accounts
        if a.scope == path and a.item in FLOW_ITEMS and a.subject in made
    )
    accounts = [Account(path, medium, item) for medium in media for item in FLOW_ITEMS]
    sums = await read_sums(here, network, tags_of(network, accounts), window, asked.edges)
    items: list[dict[str, Any]] = []
    for medium in media:
        found = await _balance(here, asked, medium, sums)
        found["inventory_change"] = found.pop("change")
        found.pop("inventory")
        trust = ("completeness", "quality")
        named = {k if k in trust else f"{k}_t": v for k, v in found.items()}
        items += asked.rows({"medium": medium, **named})
    items.sort(key=lambda row: row["start"])
    return json_answer({"scope": path, "window": window, "items": items, "next": None})
