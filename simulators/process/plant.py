"""A park model compiled for simulation: the equations behind each tag."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

from simulators.process import disturbances
from simulators.process.cells import Cells, make_cells
from simulators.process.flows import make_component_network, usual_flows
from simulators.process.power import find_sources, power_columns
from simulators.process.recipes import FUEL, Reaction, find_reactions, order_components
from simulators.process.vessels import Vessels, make_vessels
from twin.accounts.accounts import cell_factor
from twin.arrays import F64, I64
from twin.emissions.outlets import OutletSpec
from twin.model.park import inside, owner_of
from twin.reference import load as load_reference
from twin.series.windows import local
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simulators.process.disturbances import Disturbances
    from simulators.process.flows import ComponentNetwork
    from simulators.process.power import PowerSource
    from twin.model.park import Park, Stream, Tag

WATER = 1000.0  # kg/m^3, of a liquid whose density the model does not state
RATE_OF = {
    "energy": "power",
    "reactive_energy": "reactive_power",
    "mass": "mass_flow",
    "volume": "volume_flow",
    "normal_volume": "normal_volume_flow",
}
LOOP = re.compile(r"([A-Z])[A-Z]*-(.+)")


@dataclass(frozen=True, slots=True)
class LoadPattern:
    """Load of each owner (o) over the week: a night valley, shifts, and a slow disturbance."""

    shift_starts: F64
    shift_levels: F64
    utc_offset_s: float
    disturbance: Disturbances


@dataclass(frozen=True, slots=True)
class Plant:
    """Arrays over the park's tags (t) and streams (s); a column is the index of a tag."""

    park: Park
    load: LoadPattern
    base: F64
    load_gain: F64
    disturbance_gain: F64
    tag_owner: I64
    tag_disturbances: Disturbances
    rate_column: I64
    counters: I64
    cells: Cells
    vessels: Vessels
    sources: tuple[PowerSource, ...]  # of electricity, inner ones first
    networks: tuple[ComponentNetwork, ...]
    reactions: tuple[Reaction, ...]
    stream_owner: I64
    stream_disturbances: Disturbances
    stream_columns: tuple[tuple[int, int, float, int], ...]  # stream, flow, factor, fraction or -1
    product_columns: tuple[tuple[int, str, F64], ...]
    power_columns: tuple[tuple[int, F64], ...]
    stack_columns: tuple[tuple[int, int, float], ...]  # flow, node of its fires, usual fuel


def make_plant(park: Park, seed: int) -> Plant:
    """Compile the arrays of a park model; everything random comes from `seed`."""
    kinds = {s.id: s.kind for s in park.scopes}
    owners = sorted({owner_of(scope, kinds) for scope in kinds})
    column = {t.address: i for i, t in enumerate(park.tags)}
    rate_column = _rate_columns(park.tags)
    rates = {t.address: int(rate_column[i]) for i, t in enumerate(park.tags)}
    base, load_gain, disturbance_gain = _unexplained(park.tags)
    *draws, losses = np.random.default_rng(seed).spawn(6)
    sources = find_sources(park, rates, base, kinds, losses)
    power = {source.scope: source.usual for source in sources if source.scope}
    networks, reactions, factors = _networks(park, base, rates, power)
    stacks = _stack_columns(park, rates, networks)
    load_gain[[stack for stack, _, _ in stacks]] = 0.0  # Stacks follow the fuel.
    rng = iter(draws)

    def owner_at(scope: str) -> int:
        return owners.index(owner_of(scope, kinds))

    inner = [s.origin if s.origin in kinds else s.to for s in park.streams]
    return Plant(
        park=park,
        load=_load(park, len(owners), next(rng)),
        base=base,
        load_gain=load_gain,
        disturbance_gain=disturbance_gain,
        tag_owner=np.array([owners.index(t.owner) for t in park.tags], dtype=np.int64),
        tag_disturbances=_tag_disturbances(park, next(rng)),
        rate_column=rate_column,
        counters=np.flatnonzero([t.kind == "counter" for t in park.tags]),
        cells=make_cells(park, base, column, owner_at, next(rng)),
        vessels=make_vessels(park, networks, column, next(rng)),
        sources=sources,
        networks=networks,
        reactions=reactions,
        stream_owner=np.array([owner_at(scope) for scope in inner], dtype=np.int64),
        stream_disturbances=disturbances.make_disturbances(next(rng), len(park.streams)),
        stream_columns=tuple(
            (i, rates[s.flow], factors[i] * _share(s), column.get(s.fraction, -1))
            for i, s in enumerate(park.streams)
            if s.flow and any(i in n.streams for n in networks)
        ),
        product_columns=_product_columns(park, rates),
        power_columns=power_columns(park, rates, base),
        stack_columns=stacks,
    )


def _tag_disturbances(park: Park, rng: np.random.Generator) -> Disturbances:
    """Return a signal of each tag; those that people enter come last and have none."""
    measured = sum(tag.source == "measured" for tag in park.tags)
    signals = disturbances.make_disturbances(rng, measured)
    pad = ((0, 0), (0, len(park.tags) - measured))
    return replace(signals, cycles=np.pad(signals.cycles, pad), phase=np.pad(signals.phase, pad))


def _share(stream: Stream) -> float:
    """Return the nominal mass fraction that the analyser of a stream replaces; 1 without one."""
    shares = load_reference("media")[stream.medium]["component"].values()
    return float(max(shares, default=1.0)) if stream.fraction else 1.0


def _load(park: Park, owners: int, rng: np.random.Generator) -> LoadPattern:
    """Return the load pattern of a park's shifts and time zone."""
    clock = [int(s[:2]) * 3600 + int(s[3:]) * 60 for s in park.shifts or ("00:00",)]
    starts = np.array(sorted(day * 86400.0 + s for day in range(7) for s in clock))
    # The lead at the epoch: a week stays a week where clocks change.
    lead = local(disturbances.EPOCH_US, ZoneInfo(park.timezone)).utcoffset()
    return LoadPattern(
        starts,
        rng.uniform(-1, 1, (len(starts), owners)),
        lead.total_seconds() if lead else 0.0,
        disturbances.make_disturbances(rng, owners),
    )


def _unexplained(tags: Sequence[Tag]) -> tuple[F64, F64, F64]:
    """Return usual value, gain of load and gain of disturbance, (t,), of tags without equation."""
    base, load, disturbance = np.zeros(len(tags)), np.zeros(len(tags)), np.zeros(len(tags))
    for i, tag in enumerate(tags):
        ranged = math.isfinite(tag.high - tag.low)
        span = tag.high - tag.low if ranged else 0.0
        base[i] = tag.low + span / 2 if ranged else tag.scale + tag.shift
        if tag.kind == "state":
            base[i] = tag.high if ranged else 1.0
        elif tag.kind == "counter":
            # A counter without a gauge counts one of its uom a minute.
            base[i] = load[i] = tag.scale / 60.0
        elif tag.quantity in RATE_OF.values():
            load[i], disturbance[i] = base[i], 0.02 * base[i]
        elif (tag.quantity == "concentration" or tag.uom == "ppm") and ranged:
            # An analyser of pollutants is ranged for the worst day; a usual day sits at a tenth.
            base[i], disturbance[i] = tag.low + 0.1 * span, 0.05 * span
        else:
            disturbance[i] = 0.17 * span
    return base, load, disturbance


def _rate_columns(tags: Sequence[Tag]) -> I64:
    """Return the column of each tag's rate: the gauge of a counter's loop, else its own."""
    gauges = {(t.owner, t.quantity, *_loop(t)): i for i, t in enumerate(tags) if t.kind == "gauge"}
    keys = [(t.owner, RATE_OF.get(t.quantity, ""), *_loop(t)) for t in tags]
    return np.array(
        [gauges.get(keys[i], i) if t.kind == "counter" else i for i, t in enumerate(tags)],
        dtype=np.int64,
    )


def _loop(tag: Tag) -> tuple[str, str]:
    """Return measured variable and loop number of an ISA-5.1 name: FQI-1401 is (F, 1401)."""
    match = LOOP.fullmatch(tag.tag)
    return (match[1], match[2]) if match else ("", tag.tag)


def _networks(
    park: Park, usual: F64, rates: Mapping[str, int], power: Mapping[str, float]
) -> tuple[tuple[ComponentNetwork, ...], tuple[Reaction, ...], list[float]]:
    """Return the networks, drivers first, the reactions, and the tag value per kg/s by stream."""
    media = load_reference("media")
    factors, known = [], {}
    for s in park.streams:
        tag = park.tags[rates[s.flow]] if s.flow else None
        density = 1.0
        if tag and tag.quantity == "normal_volume_flow":
            density = parse_quantity(media[s.medium].get("normal_density", "1 kg/m^3"), "density")
        elif tag and tag.quantity == "volume_flow":
            density = next((t.density for t in park.tanks if t.medium == s.medium), WATER)
        factors.append(1 / density)
        if tag and tag.kind == "gauge":
            known[s.id] = float(usual[rates[s.flow]]) * density
    carried = {c for s in park.streams for c in media[s.medium]["component"]}
    fractions = {
        c: {name: medium["component"].get(c, 0.0) for name, medium in media.items()}
        for c in carried
    }
    flows = {c: usual_flows(park, fractions[c], known) for c in sorted(carried)}
    cells = {c: _cells_at(park, c, {*flow.into, *flow.out}) for c, (_, flow) in flows.items()}
    candidates = find_reactions(park, {c: flow for c, (_, flow) in flows.items()}, cells, power)
    order, reactions = order_components(carried, candidates)
    networks = []
    for c in order:
        scopes = cells[c] | {r.scope for r in reactions if r.component == c}
        networks.append(make_component_network(park, c, fractions[c], flows[c][0], scopes))
    return tuple(networks), reactions, factors


def _cells_at(park: Park, component: str, scopes: set[str]) -> set[str]:
    """Return the scopes of streams in which electrolysers make or use a component."""
    makers = set()
    for e in park.electrolysers:
        near = [scope for scope in scopes if inside(e.scope, scope)]
        if component in cell_factor(e):
            makers.add(max(near, key=len, default=e.scope))
    return makers


def _product_columns(park: Park, rates: Mapping[str, int]) -> tuple[tuple[int, str, F64], ...]:
    """Return the product tags that follow Faraday's law: column, component, (e,) electrolysers."""
    columns = []
    for p in park.products:
        below = [inside(e.scope, p.scope) and p.id in cell_factor(e) for e in park.electrolysers]
        if any(below):
            columns.append((rates[p.tag], p.id, np.array(below, dtype=np.float64)))
    return tuple(columns)


def _stack_columns(
    park: Park, rates: Mapping[str, int], networks: Sequence[ComponentNetwork]
) -> tuple[tuple[int, int, float], ...]:
    """Return the stacks of the scopes that burn fuel: column, node, usual fuel [kg/s]."""
    fuel = next((n for n in networks if n.component == FUEL), None)
    columns = []
    for row in park.rows(OutletSpec):
        if fuel and row.kind == "stack" and row.scope in fuel.nodes:
            node = fuel.nodes.index(row.scope)
            burnt = sum(
                size for size, to in zip(fuel.nominal.tolist(), fuel.to, strict=True) if to == node
            )
            columns.append((rates[row.flow], node, burnt))
    return tuple(columns)
