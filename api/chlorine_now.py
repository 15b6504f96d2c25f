"""What the live image says of chlorine: room in tanks, absorbers, hazards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from api.encode import in_uom
from api.sums import TONNE
from twin import quality as q
from twin.accounts.accounts import Account, components_of
from twin.accounts.network import tank_mass
from twin.chlorine.hazards import grade, r_equivalent
from twin.chlorine.headroom import absorber_time, time_in_stock
from twin.chlorine.tank_farms import GAS, find_farms, foresee
from twin.model.park import Stream, inside
from twin.reference import figure
from twin.reference import load as load_reference
from twin.uom import compile_uom, parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from api.sums import Live
    from twin.accounts.network import Network

T_PER_H = compile_uom("t/h", "mass_flow")[0]
MINUTE, HOUR, DAY = (compile_uom(uom, "time")[0] for uom in ("min", "h", "day"))
FIGURES = (
    "local_share", "fill_limit", "stock_producer", "stock_user", "spare_empty", "absorber_excess",
)  # fmt: skip
# What the stock is compared with: the flow's account, the limit in the reference table.
STOCK = {"production": ("make", "stock_producer"), "use": ("use", "stock_user")}


def _account(scope: str, name: str) -> Account:
    """Return the flow of chlorine the stock of a scope is compared with."""
    return Account(scope, "chlorine", STOCK[name][0])


def _number(value: Any, scale: float) -> float | None:
    """Return a number in its uom; None where it is not known or there is no end to it."""
    return float(in_uom(value, scale, 0.0)) if np.isfinite(value) else None


def _worst(live: Live, tags: Iterable[int]) -> int:
    """Return the worst quality of some tags."""
    found = live.quality[np.unique(list(tags)).astype(np.int64)]
    return int(q.worst_of(found, np.zeros(1, np.intp))[0]) if len(found) else q.NO_DATA


def room_now(network: Network, scope: str, live: Live) -> dict[str, Any]:
    """Return what the tanks and absorbers of a scope can still take."""
    farms = find_farms(network, scope)
    found = foresee(network, farms, live.value)
    tanks = [k for farm in farms for k in (*farm.tanks, *farm.spares)]
    stock_of = next(
        (name for name in STOCK if tanks and _account(scope, name) in network.accounts), None
    )
    stock, limit, tags = np.nan, np.nan, found.tags.tolist()
    if stock_of:
        lines = network.entries(_account(scope, stock_of))
        at = network.entry_tag[lines]
        rate = live.rate[at] @ network.entry_factor[lines]
        stock = float(time_in_stock(tank_mass(network, live.value)[tanks].sum(), rate))
        limit = figure(f"chlorine.{STOCK[stock_of][1]}", "time")
        tags += at.tolist()
    return {
        "headroom_t": _number(found.headroom, TONNE),
        "filling_t_per_h": _number(found.filling, T_PER_H),
        "headroom_h": _number(found.full_s, HOUR),
        "stock_days": _number(stock, DAY),
        "stock_of": stock_of,
        "stock_limit_days": _number(limit, DAY),
        "minutes_to_full_on_trip": _number(found.trip_s, MINUTE),
        "largest_user": found.user or None,
        "largest_user_t_per_h": _number(found.user_flow, T_PER_H),
        "spare_tank_ready": None if np.isnan(found.spare) else found.spare == 1,
        "absorbers": _absorbers(network, scope, live),
        "quality": _worst(live, tags),
    }


def _absorbers(network: Network, scope: str, live: Live) -> list[dict[str, Any]]:
    """Return how long the caustic soda of each absorber lasts."""
    mass = tank_mass(network, live.value)
    places = {tank.id: k for k, tank in enumerate(network.park.tanks)}
    excess = np.array(figure("chlorine.absorber_excess", "fraction"))
    states = []
    for row in network.park.tables.get("absorber", ()):
        if not inside(row["scope"], scope):
            continue
        tank, meter = places[row["tank"]], network.index[row["chlorine"]]
        caustic = mass[tank] * network.tank_share["caustic"][tank]
        into = Stream(row["id"], "", row["scope"], GAS, "pipe", row["chlorine"])
        flow = live.rate[meter] * components_of(into, network.tags[meter])["chlorine"]
        left = absorber_time(caustic, flow, excess)
        states.append(
            {
                "id": row["id"],
                "scope": row["scope"],
                "caustic_t": _number(caustic, TONNE),
                "chlorine_t_per_h": _number(flow, T_PER_H),
                "absorber_min": _number(left, MINUTE),
                "quality": _worst(live, [int(network.tank_tag[tank]), meter]),
            }
        )
    return states


def hazards_now(network: Network, scope: str, live: Live) -> list[dict[str, Any]]:
    """Return the legal figures of each unit, and apart from them R of what it holds now."""
    mass = tank_mass(network, live.value)
    rows = load_reference("hazards")["substance"]
    found = []
    for row in network.park.tables.get("hazard", ()):
        if not inside(row["scope"], scope):
            continue
        names, persons = list(row["substances"]), np.array(float(row["persons"]))
        design = [parse_quantity(str(text), "mass") for text in row["substances"].values()]
        tanks = [_tanks_of(network, row["scope"], rows[name]["media"]) for name in names]
        # What no tank shows may be in pipes and vessels: it is not known, and not nothing.
        held = [mass[at].sum() if at else np.nan for at in tanks]
        legal = grade(np.array(design), names, persons)
        seen = r_equivalent(np.array(held), names, persons)
        found.append(
            {
                "id": row["id"],
                "scope": row["scope"],
                "name": row.get("name"),
                "persons": row["persons"],
                "design_maximum": {
                    "s": _number(legal.s, 1.0),
                    "r": _number(legal.r, 1.0),
                    "level": int(legal.level),
                    "verified": all(rows[name]["verified"] for name in names),
                },
                "live": {
                    "r_equivalent": _number(seen, 1.0),
                    "quality": _worst(live, [int(network.tank_tag[k]) for at in tanks for k in at]),
                },
            }
        )
    return found


def _tanks_of(network: Network, scope: str, media: list[str]) -> list[int]:
    """Return the tanks of some media inside a scope."""
    tanks = enumerate(network.park.tanks)
    return [k for k, tank in tanks if tank.medium in media and inside(tank.scope, scope)]


def figures() -> list[dict[str, Any]]:
    """Return the reference figures the answer is compared with."""
    table = load_reference("chlorine")
    found = []
    for name in FIGURES:
        row = table[name]
        value, _, uom = row["value"].partition(" ")
        source = row.get("standard") or row["source"]
        trust = {key: row[key] for key in ("confidence", "verified")}
        found.append(
            {"id": name, "name": row["name"], "value": float(value), "uom": uom, "source": source}
            | trust
        )
    return found
