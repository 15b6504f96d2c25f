"""Simulation of a what-if through time: all scenarios, one fixed step after the other.

In a step everything is constant: `twin.scenario.dispatch` says what flows at its loads, the tanks
take up the rest. Where a tank would pass its limit within a step, the step is done again with the
tank taking only what still fits, so the limit is held and the moment it is reached is known
exactly.

References
----------
.. [1] JCGM 100:2008 (GUM), 5.1.2: first-order propagation of standard uncertainties, here by one
   more set of flows for each meter, with its standard uncertainty added.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import BOOL, F64
from twin.scenario.dispatch import Flows, dispatch, tiny

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin.scenario.initial_state import InitialState
    from twin.scenario.network import Supply

NO_TANKS = np.zeros(0, dtype=np.int64)
# Results of the dispatch that are kept: more than there are changes within a few steps.
KEPT_MAX = 16
# A load is cut where it is this much below the demanded one.
CUT = 1e-6


@dataclass(frozen=True, slots=True)
class Policy:
    """The reaction of the shift to chlorine or caustic without a route."""

    cut: bool  # cut the electrolysis
    response_s: float


@dataclass(frozen=True, slots=True)
class SimulatedEvent:
    """The begin of a condition in a scenario.

    full, empty: tanks, by component and place; relief: a surplus is vented there; exhausted: the
    place has no caustic for its absorber any more; short: another component is missing there; cut:
    a plant falls below its demanded load.
    """

    scenario: int
    kind: str
    subject: tuple[str, ...]
    time_s: float
    sigma_s: float  # NaN where the kind has none, or a meter of unknown uncertainty is needed


@dataclass(frozen=True, slots=True)
class Trajectory:
    """The states of N scenarios in n steps: S lines, L loads, M nodes, K tanks."""

    time_s: F64  # (n + 1,) edges of the steps
    mass: F64  # (N, n + 1, K) [kg] of component
    demanded: F64  # (N, n, L) [1] by the actions
    load: F64  # (N, n, L) [1]
    line: F64  # (N, n, S) [kg/s]
    stock: F64  # (N, n, M) [kg/s] into the tanks of a node
    vented: F64  # (N, n, M) [kg/s]
    absorbed: F64  # (N, n, M) [kg/s]
    excess: F64  # (N, n, M) [kg/s] that would have to leave the full tanks for all to go on
    events: tuple[SimulatedEvent, ...]  # by scenario and time


class Simulation:
    """The state of all scenarios between two steps; lives as long as a run."""

    def __init__(
        self,
        supply: Supply,
        start: InitialState,
        policies: Sequence[Policy],
        demanded: F64,
        step_s: float,
    ) -> None:
        """Begin with the present; demanded : (N, n, L) float64 [1]."""
        shape, nodes = demanded.shape[:2], len(supply.nodes)
        sizes = {"load": len(supply.loads), "line": len(supply.lines)}
        sizes |= dict.fromkeys(("stock", "vented", "absorbed", "excess"), nodes)
        self._supply, self._start, self._demanded, self._step_s = supply, start, demanded, step_s
        # K' tanks stand at nodes; those of a node are neighbours.
        self._holders = np.flatnonzero([len(tanks) > 0 for tanks in supply.tanks])
        counts = np.array([len(supply.tanks[m]) for m in self._holders], dtype=np.int64)
        self._tanks = np.concatenate([NO_TANKS, *supply.tanks])
        self._first = np.cumsum(counts) - counts
        self._node = np.repeat(self._holders, counts)
        self._even = 1 / np.repeat(counts, counts)
        self._mass = np.empty((shape[0], shape[1] + 1, len(start.mass)))
        self._mass[:, 0] = start.mass
        self._record = {name: np.empty((*shape, size)) for name, size in sizes.items()}
        self._waiting_s = np.zeros((shape[0], nodes))
        # A shift that does not cut never reacts.
        self._response_s = np.array([[p.response_s if p.cut else np.inf] for p in policies])
        self._drift = np.zeros((len(start.flow) - 1, shape[0], nodes))
        self._events: list[SimulatedEvent] = []
        self._seen = {
            kind: np.zeros((shape[0], len(supply.loads) if kind == "cut" else nodes), dtype=bool)
            for kind in ("full", "empty", "relief", "exhausted", "short", "cut")
        }
        # A lower load of a vent is no cut of a plant.
        vents = {edge.user for edge in supply.edges if edge.sink == "relief"}
        self._works = np.array([name not in vents for name in supply.loads], dtype=bool)
        self._feeds = np.isin(np.arange(nodes), [a.caustic for a in supply.absorbers])
        self._kept: dict[bytes, tuple[F64, Flows]] = {}
        self._tiny = tiny(start.flow)

    def step(self, k: int) -> None:
        """Compute step k."""
        space = self._space(self._mass[:, k])
        room, draw = (self._rate(amount) for amount in space)
        ready = self._waiting_s >= self._response_s
        rates, flows = self._flows(k, ready)
        bound = np.zeros(room.shape, dtype=bool)
        since_s = np.full(len(room), k * self._step_s, dtype=np.float64)
        while True:
            full = (flows.stock > room + self._tiny) & ~bound
            empty = (-flows.stock > draw + self._tiny) & ~bound
            if not (full | empty).any():
                break
            limit = np.where(full, room, draw)
            part = limit / np.where(full | empty, np.abs(flows.stock), 1.0)
            for kind, reached in (("full", full), ("empty", empty)):
                for n, m in self._new(kind, reached):
                    at_s = (k + part[n, m]) * self._step_s
                    since_s[n] = max(since_s[n], at_s)
                    sigma = self._sigma(n, m, rates, part[n, m])
                    self._note(n, kind, self._supply.nodes[m], at_s, sigma / abs(flows.stock[n, m]))
            bound |= full | empty
            limits = (np.where(bound, room, np.inf), np.where(bound, draw, np.inf))
            _, flows = self._flows(k, ready, *limits)
        self._drift += (rates[1:] - rates[:1]) * self._step_s
        excess = np.where(bound, np.maximum(rates[0] - flows.stock, 0.0), 0.0)
        self._keep(k, flows, excess, space)
        for kind, begun in (
            ("relief", flows.vented > self._tiny),
            ("exhausted", (-flows.vented > self._tiny) & self._feeds),
            ("short", (-flows.vented > self._tiny) & ~self._feeds),
            ("cut", (flows.load < self._demanded[:, k] - CUT) & self._works),
        ):
            for n, i in self._new(kind, begun):
                names = (self._supply.loads[i],) if kind == "cut" else self._supply.nodes[i]
                self._note(n, kind, names, since_s[n], np.nan)
        self._waiting_s += np.where(flows.unplaced > self._tiny, self._step_s, 0.0)

    def trajectory(self) -> Trajectory:
        """Return the states and events of all steps so far."""
        return Trajectory(
            time_s=np.arange(self._mass.shape[1]) * self._step_s,
            mass=self._mass,
            demanded=self._demanded,
            events=tuple(sorted(self._events, key=lambda event: (event.scenario, event.time_s))),
            **self._record,
        )

    def _space(self, mass: F64) -> tuple[F64, F64]:
        """Return the mass the tanks at nodes can still take and still give, (N, K') [kg]."""
        now, most = mass[:, self._tanks], self._start.most[self._tanks]
        spare = self._supply.spare[self._tanks]
        room = np.where(spare, 0.0, np.maximum(most - now, 0.0))
        return room, np.where(spare, 0.0, np.maximum(now, 0.0))

    def _rate(self, amount: F64) -> F64:
        """Return amounts of tanks (N, K') [kg] as rates of their nodes in a step, (N, M) [kg/s]."""
        rate = np.zeros((len(amount), len(self._supply.nodes)))
        if len(self._tanks):
            total = np.add.reduceat(amount, self._first, axis=-1)
            rate[:, self._holders] = total / self._step_s
        return rate

    def _flows(
        self, k: int, ready: BOOL, room: F64 | None = None, draw: F64 | None = None
    ) -> tuple[F64, Flows]:
        """Return the rates into the tanks at each meter's uncertainty, and the flows.

        Most steps have the loads of the step before: the answer is kept.
        """
        demanded = self._demanded[:, k]
        key = b"".join(a.tobytes() for a in (demanded, ready, room, draw) if a is not None)
        if key not in self._kept:
            if len(self._kept) >= KEPT_MAX:
                self._kept.clear()
            base = self._start.flow if room is None else self._start.flow[:1]
            flows = dispatch(
                self._supply, base[:, None], self._start.parts, self._start.aside, demanded[None],
                room=room, draw=draw, ready=ready,
            )  # fmt: skip
            first = Flows(*(getattr(flows, name)[0] for name in Flows.__slots__))
            self._kept[key] = flows.stock, first
        return self._kept[key]

    def _sigma(self, n: int, m: int, rates: F64, part: float) -> float:
        """Return the standard uncertainty of an inventory, a part of a step from now [kg]."""
        drift = self._drift[:, n, m] + (rates[1:, n, m] - rates[0, n, m]) * part * self._step_s
        tanks = self._supply.tanks[m]
        levels = self._start.sigma[tanks[~self._supply.spare[tanks]]]
        return float(np.hypot.reduce(np.concatenate([drift, levels])))

    def _keep(self, k: int, flows: Flows, excess: F64, space: tuple[F64, F64]) -> None:
        """Record a step, and share the flow into or out of a node among its tanks."""
        for name, array in self._record.items():
            array[:, k] = excess if name == "excess" else getattr(flows, name)
        self._mass[:, k + 1] = self._mass[:, k]
        amount = flows.stock[:, self._node] * self._step_s
        weight = np.where(amount > 0, *space)
        total = self._rate(weight)[:, self._node] * self._step_s
        share = np.where(total > 0, weight / np.where(total > 0, total, 1.0), self._even)
        self._mass[:, k + 1, self._tanks] += amount * share

    def _new(self, kind: str, begun: BOOL) -> list[tuple[int, int]]:
        """Return the scenarios and places in which a condition has begun now."""
        fresh = begun & ~self._seen[kind]
        if not fresh.any():
            return []
        self._seen[kind] |= fresh
        return [(n, i) for n, i in np.argwhere(fresh).tolist()]

    def _note(
        self, n: int, kind: str, subject: tuple[str, ...], time_s: float, sigma_s: float
    ) -> None:
        self._events.append(SimulatedEvent(n, kind, subject, float(time_s), float(sigma_s)))
