"""Dispatch of changed loads: every node in balance again, by declared order of preference.

The present flows close every node. A changed load changes the lines at its plant and leaves some
nodes with a surplus and others with a shortage; the routes of `twin.scenario.routes` take up the
difference, one after the other, each as far as its lines, tanks and plants go. A plant that is cut
on a route loses the share that this line has in all its lines of the component and what it takes
besides them. It changes its lines of the other components too, so the components are resolved until
no load changes any more. Unchanged lines are not computed: an unknown flow spoils only its
dependents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import BOOL, F64, I64
from twin.chlorine.headroom import caustic_per_chlorine
from twin.reference import figure

if TYPE_CHECKING:
    from twin.scenario.network import Supply
    from twin.scenario.routes import FlowRoute

# Loads only fall from pass to pass: this many are far more than parks have stages.
PASSES_MAX = 20
# A rate this small beside the largest flow is rounding, and no reason to look for a way.
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Flows:
    """The flows of a step; leading dimensions of the loads.

    Every node closes: in - out = stock + vented + absorbed.
    """

    line: F64  # (..., S) [kg/s]
    load: F64  # (..., L) [1] of the present
    stock: F64  # (..., M) [kg/s] into the tanks of a node
    vented: F64  # (..., M) [kg/s] leaves a node for absorber or vent; negative = is missing there
    unplaced: F64  # (..., M) [kg/s] the part of it that began as surplus of this node
    absorbed: F64  # (..., M) [kg/s] caustic that the absorbers take out of a node


@dataclass(slots=True)
class _Work:
    """Arrays in the making; `change` is against the base flows."""

    base: F64
    change: F64
    most: F64
    wanted: F64
    aside: F64  # (S,) [kg/s] what the plant of a line takes besides its lines
    open: F64  # (..., S) [1] of a line's flow at its plant's load, after the cuts of all passes
    drawn: F64  # (..., S) [1] load of the plant of a line over the load its cut lines allow
    net: F64  # (..., M) in - out that the changes leave at a node
    still: F64  # (..., M) [kg/s] into the tanks before any change
    room: F64
    draw: F64
    load: F64
    vented: F64
    unplaced: F64
    absorbed: F64
    ready: BOOL
    tiny: float


def dispatch(
    supply: Supply,
    base: F64,
    parts: tuple[F64, ...],
    aside: F64,
    load: F64,
    *,
    room: F64 | None = None,
    draw: F64 | None = None,
    ready: BOOL | None = None,
) -> Flows:
    """Return the flows at some loads.

    Parameters
    ----------
    supply : Supply
        M nodes, S lines, L loads
    base : (..., S) float64 [kg/s]
        present flows, closing every node; NaN = unknown
    parts : S arrays of float64 [1]
        share of each maker in a line; sums to 1
    aside : (S,) float64 [kg/s]
        what the plant of a line takes, or gives away, besides its lines; NaN = unknown
    load : (..., L) float64 [1]
        demanded, of the present
    room, draw : (..., M) float64 [kg/s], optional
        fastest filling and emptying of the tanks of a node; default without limit
    ready : (..., M) bool, optional
        nodes whose surplus cuts the electrolysis; default none

    Returns
    -------
    Flows
        NaN where a flow that is needed is unknown
    """
    lead = np.broadcast_shapes(base.shape[:-1], load.shape[:-1])
    nodes = len(supply.nodes)

    def full(array: F64 | BOOL | float, last: int) -> F64:
        return np.array(np.broadcast_to(array, (*lead, last)))

    work = _Work(
        base=full(base, len(supply.lines)),
        change=np.zeros((*lead, len(supply.lines))),
        most=full(np.maximum(supply.capacity, base), len(supply.lines)),
        wanted=np.zeros((*lead, len(supply.lines))),
        aside=aside,
        open=np.ones((*lead, len(supply.lines))),
        drawn=np.ones((*lead, len(supply.lines))),
        net=np.zeros((*lead, nodes)),
        still=full(_still(supply, base), nodes),
        room=full(np.inf if room is None else room, nodes),
        draw=full(np.inf if draw is None else draw, nodes),
        load=full(load, len(supply.loads)),
        vented=np.zeros((*lead, nodes)),
        unplaced=np.zeros((*lead, nodes)),
        absorbed=np.zeros((*lead, nodes)),
        ready=np.broadcast_to(False if ready is None else ready, (*lead, nodes)),
        tiny=tiny(base),
    )
    for _ in range(PASSES_MAX):
        before = work.load.copy()
        _begin(supply, work, parts)
        for m in range(nodes):
            _settle(supply, work, m)
        if np.array_equal(before, work.load, equal_nan=True):
            break
    return _finish(supply, work)


def tiny(flow: F64) -> float:
    """Return the rate below which a difference between flows is rounding.

    Parameters
    ----------
    flow : (...) float64 [kg/s]
        NaN = unknown

    Returns
    -------
    float [kg/s]
    """
    return ROUNDING * float(np.abs(flow[np.isfinite(flow)]).max(initial=0.0))


def _still(supply: Supply, base: F64) -> F64:
    """Return the flow into the tanks of each node at the base flows; 0 without tanks."""
    still = np.zeros((*base.shape[:-1], len(supply.nodes)))
    for m, tanks in enumerate(supply.tanks):
        if len(tanks):
            into = [s for s, edge in enumerate(supply.edges) if edge.to == m]
            out = [s for s, edge in enumerate(supply.edges) if edge.origin == m]
            still[..., m] = base[..., into].sum(axis=-1) - base[..., out].sum(axis=-1)
    return still


def _begin(supply: Supply, work: _Work, parts: tuple[F64, ...]) -> None:
    """Set the lines to the demanded loads."""
    for array in (work.change, work.net, work.vented, work.unplaced, work.absorbed):
        array[...] = 0.0
    work.most[...] = np.maximum(supply.capacity, work.base)
    axes = tuple(range(work.load.ndim - 1))
    moved = (work.load != 1).any(axis=axes)
    for s in range(len(supply.lines)):
        makers, user, node_load = supply.makers[s], supply.users[s], supply.node_loads[s]
        ends = [*makers.tolist(), *(end for end in (user, node_load) if end >= 0)]
        if not moved[ends].any():
            continue
        more = np.zeros(work.load.shape[:-1])
        for maker, part in zip(makers, parts[s], strict=True):
            more = more + _product(work.load[..., maker] - 1, part)
        if (plant := _plant(supply, s)) >= 0:
            allowed = _allowed(supply, work, s)
            load = work.load[..., plant]
            work.drawn[..., s] = np.where(load == 0, 0.0, load / np.where(load == 0, 1.0, allowed))
            more = work.drawn[..., s] * work.open[..., s] - 1
        if node_load >= 0:
            opening = work.load[..., node_load]
            closed = opening < 1
            more = np.where(closed, np.minimum(more, opening - 1), more)
            narrow = _product(opening, work.base[..., s])
            work.most[..., s] = np.where(closed, narrow, work.most[..., s])
        _add(supply, work, s, _product(more, work.base[..., s]))
    work.wanted[...] = work.base + work.change


def _product(factor: F64, amount: F64 | float) -> F64:
    """Return factor * amount, in which 0 * NaN is 0."""
    return np.where(factor == 0, 0.0, factor * amount)


def _add(supply: Supply, work: _Work, s: int, amount: F64) -> None:
    """Let a line carry more, and book the amount at both of its nodes."""
    edge = supply.edges[s]
    work.change[..., s] += amount
    if edge.to >= 0:
        work.net[..., edge.to] += amount
    if edge.origin >= 0:
        work.net[..., edge.origin] -= amount


def _excess(supply: Supply, work: _Work, m: int) -> F64:
    """Return the surplus (+) or shortage (-) of a node [kg/s]."""
    net = work.net[..., m]
    if not len(supply.tanks[m]):
        return net
    rate = work.still[..., m] + net
    over = np.where(np.isinf(work.room[..., m]), 0.0, rate - work.room[..., m])
    under = np.where(np.isinf(work.draw[..., m]), 0.0, rate + work.draw[..., m])
    return np.asarray(np.maximum(over, 0.0) + np.minimum(under, 0.0))


def _settle(supply: Supply, work: _Work, m: int) -> None:
    """Send the surplus or shortage of a node along its routes."""
    _take_caustic(supply, work, m)
    for routes, sign in zip(supply.routes[m], (1.0, -1.0), strict=True):
        surplus = _surplus(supply, work, m, sign)
        for route in routes:
            if not surplus.any():
                break
            if _send(supply, work, m, route, sign, surplus):
                surplus = _surplus(supply, work, m, sign)


def _surplus(supply: Supply, work: _Work, m: int, sign: float) -> F64:
    """Return the surplus (sign +1) or shortage (-1) of a node, rounding apart [kg/s]."""
    surplus = np.maximum(sign * _excess(supply, work, m), 0.0)
    return np.where(surplus <= work.tiny, 0.0, surplus)


def _take_caustic(supply: Supply, work: _Work, m: int) -> None:
    """Take the caustic of the absorbers out of a node."""
    for number, absorber in enumerate(supply.absorbers):
        if absorber.caustic != m:
            continue
        chlorine = np.maximum(work.vented[..., supply.absorber_of == number], 0.0).sum(axis=-1)
        need = chlorine * caustic_per_chlorine(figure("chlorine.absorber_excess", "fraction"))
        work.absorbed[..., m] += need
        work.net[..., m] -= need


def _send(supply: Supply, work: _Work, m: int, route: FlowRoute, sign: float, surplus: F64) -> bool:
    """Send as much of a surplus along a route as it takes; return whether it takes any."""
    # Most ends take nothing: they are looked at before the lines.
    parallel = work.base[..., route.parallel] + work.change[..., route.parallel]
    amount = surplus
    if len(route.parallel):
        if route.kind == "cells":
            parallel = np.where(work.ready[..., [m]], parallel, 0.0)
        parallel = np.maximum(parallel, 0.0)
        amount = _lesser(amount, parallel.sum(axis=-1))
    elif route.kind == "net_off":
        amount = _lesser(amount, -sign * _excess(supply, work, route.end))
    elif route.kind != "relief":
        amount = _lesser(amount, _takes(work, route.end, sign))
    signs = (sign * route.sign).tolist()
    for s, direction in zip(route.lines.tolist(), signs, strict=True):
        if not amount.any():
            return False
        flow = work.base[..., s] + work.change[..., s]
        amount = _lesser(amount, work.most[..., s] - flow if direction > 0 else flow)
    for s, direction in zip(route.lines.tolist(), signs, strict=True):
        _add(supply, work, s, direction * amount)
    if len(route.parallel):
        _cut(supply, work, route.parallel, amount, parallel)
    elif route.kind == "relief":
        work.vented[..., route.end] += amount
        work.net[..., route.end] -= amount
        work.unplaced[..., m] += amount
    return True


def _lesser(amount: F64, spare: F64) -> F64:
    """Return the lesser of both, not below 0; 0 for an amount of 0, whatever is unknown."""
    return np.where(amount == 0, 0.0, np.minimum(amount, np.maximum(spare, 0.0)))


def _takes(work: _Work, m: int, sign: float) -> F64:
    """Return the rate that the tanks of a node can still take (+) or give (-) [kg/s]."""
    limit = work.room[..., m] if sign > 0 else work.draw[..., m]
    rate = work.still[..., m] + work.net[..., m]
    return np.where(np.isinf(limit), np.inf, limit - sign * rate)


def _cut(supply: Supply, work: _Work, parallel: I64, amount: F64, flow: F64) -> None:
    """Cut lines in proportion to their flow, and the loads of the plants at their ends."""
    total = flow.sum(axis=-1)
    share = np.where(amount == 0, 0.0, amount / np.where(total == 0, 1.0, total))
    for i, s in enumerate(parallel.tolist()):
        less = _product(share, flow[..., i])
        _add(supply, work, s, -less)
        if (plant := _plant(supply, s)) >= 0:
            work.open[..., s] -= _part(less, work.drawn[..., s] * work.base[..., s])
            allowed = _allowed(supply, work, s)
            work.load[..., plant] = np.minimum(work.load[..., plant], allowed)
        else:
            kept = 1 - _part(less, work.wanted[..., s])
            work.load[..., supply.makers[s]] *= np.maximum(kept, 0.0)[..., None]


def _plant(supply: Supply, s: int) -> int:
    """Return the load of the plant at the end of a line; -1 for electrolysers and for none."""
    if supply.edges[s].source == "producer":
        return int(supply.makers[s][0])
    return int(supply.users[s])


def _allowed(supply: Supply, work: _Work, s: int) -> F64:
    """Return the load that the lines of a component allow the plant at the end of line `s` [1]."""
    lines = supply.same[s]
    flow = work.base[..., lines]
    less = _product(1 - work.open[..., lines], flow).sum(axis=-1)
    whole = flow.sum(axis=-1) + work.aside[s]
    return np.clip(1 - _part(less, whole), 0.0, 1.0)


def _part(amount: F64, whole: F64) -> F64:
    """Return amount / whole; 0 for an amount of 0, whatever is unknown."""
    return np.where(amount == 0, 0.0, amount / np.where(whole == 0, 1.0, whole))


def _finish(supply: Supply, work: _Work) -> Flows:
    """Vent the surplus without a route at its node, and return the flows."""
    for m in range(len(supply.nodes)):
        excess = _excess(supply, work, m)
        excess = np.where(np.abs(excess) <= work.tiny, 0.0, excess)
        work.vented[..., m] += excess
        work.unplaced[..., m] += np.maximum(excess, 0.0)
        work.net[..., m] -= excess
    holds = np.array([len(tanks) > 0 for tanks in supply.tanks], dtype=bool)
    return Flows(
        line=work.base + work.change,
        load=work.load,
        stock=np.where(holds, work.still + work.net, 0.0),
        vented=work.vented,
        unplaced=work.unplaced,
        absorbed=work.absorbed,
    )
