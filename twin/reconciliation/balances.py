"""Balances of one component over the nodes inside a scope, ready to be reconciled.

References
----------
.. [1] JCGM 100:2008, Guide to the expression of uncertainty in measurement, 5.1.2 (propagation),
   3.3.3 and F.1.2 (errors that stay, errors that average).
.. [2] Bendat, Piersol: Random Data, 4th edition, Wiley, 2010, 8.2.1: the variance of a mean from
   the autocorrelation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from twin.accounts.accounts import ELECTRICITY, cell_entries, components_of
from twin.accounts.network import Network, remembered
from twin.accounts.tanks import tank_mass
from twin.arrays import F64, I64, ratio
from twin.model.junctions import meter_flows
from twin.model.park import OUTSIDE, Stream, Tag, inside, scopes_above
from twin.reconciliation.uncertainty import (
    cell_uncertainty,
    left_of_mean,
    random_share,
    tag_uncertainty,
    uptake_sigma,
)
from twin.reference import load as load_reference
from twin.uom import parse_quantity

# Where what they make comes from.
ELECTROLYSERS = "electrolysers"
# Where electricity comes from and goes to without a scope of its own.
GENERATORS, LOSSES, UNMETERED = "generators", "losses", "unmetered"


@dataclass(frozen=True, slots=True)
class Line:
    """A stream of a balance: one of the model, what electrolysers make, or what tanks take up."""

    id: str
    origin: str
    to: str
    tags: tuple[tuple[int, float], ...] = ()  # (tag, factor to kg or J); empty = not measured
    tanks: tuple[int, ...] = ()
    relative: float = 0.0  # standard uncertainty on top of that of the tags
    expected: bool = False  # its tags are those of other streams, of which it is a share
    own: float = 0.0  # the same, of each tag's part by itself
    # Tag of the measured mass fraction, and the fraction that the factors take the medium to have.
    fraction: tuple[int, float] | None = None
    hold_up_s: float = 0.0  # for which its ends hold what it carries, without a level


@dataclass(frozen=True, slots=True)
class Balance:
    """M nodes and S streams of a component; incidence (M, S): +1 into the node, -1 out.

    Electricity is a component as well: what is said in kg of the others is in J of it.
    """

    component: str
    nodes: tuple[str, ...]
    lines: tuple[Line, ...]
    incidence: F64
    lower: F64  # (S,) [kg] least amount: 0 where meters show one way only, -inf elsewhere

    @property
    def tags(self) -> I64:
        """The tags of all streams that are not tanks."""
        measured = [t for line in self.lines for t in (*line.tags, line.fraction) if t is not None]
        tags = {tag for tag, _ in measured}
        return np.array(sorted(tags), dtype=np.int64)


@remembered
def compile_balance(network: Network, scope: str, component: str) -> Balance:
    """Return the balances a component has inside a scope; without any, a balance of no nodes.

    A balance is written for each place that takes the component in and gives it away, or keeps it.
    Places that only make or only use it are where the accounts of the scope begin and end.
    """
    if component == ELECTRICITY:
        lines = _meters(network)
    else:
        lines = [
            *_streams(network, scope, component),
            *_cells(network, scope, component),
            *_stocks(network, scope, component),
        ]
    takes = {line.to for line in lines}
    gives = {line.origin for line in lines}
    # The name of a junction begins with its scope.
    nodes = tuple(sorted(n for n in takes & gives if inside(n.partition(":")[0], scope)))
    lines = [line for line in lines if line.origin in nodes or line.to in nodes]
    incidence = np.zeros((len(nodes), len(lines)))
    for s, line in enumerate(lines):
        for node, sign in ((line.to, 1.0), (line.origin, -1.0)):
            if node in nodes:
                incidence[nodes.index(node), s] += sign
    one_way = [
        (bool(line.tags) and not any(network.tags[tag].low < 0 for tag, _ in line.tags))
        or line.to == UNMETERED
        for line in lines
    ]
    lower = np.where(one_way, 0.0, -np.inf)
    return Balance(component, nodes, tuple(lines), incidence, lower)


def degrees_of_freedom(balance: Balance) -> int:
    """Return how many balances check the measured streams of a balance.

    Nodes that an unmeasured stream joins have one balance together; none where it leads outside.
    """
    at = {node: m for m, node in enumerate(balance.nodes)}
    blind = [line for line in balance.lines if not (line.tags or line.tanks)]
    ends = [[at.get(line.origin, len(at)), at.get(line.to, len(at))] for line in blind]
    origin, to = np.array(ends, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(blind)), (origin, to)), shape=(len(at) + 1,) * 2)
    return int(connected_components(graph, directed=False, return_labels=False)) - 1


def _streams(network: Network, scope: str, component: str) -> list[Line]:
    """Return the model's streams of the component that touch the scope."""
    media = load_reference("media")
    usual_s = parse_quantity(load_reference("monitor")["hold_up"]["time"], "time")
    lines = []
    for stream in network.park.streams:
        touches = inside(stream.origin, scope) or inside(stream.to, scope)
        if component not in media[stream.medium]["component"] or not touches:
            continue
        tags: tuple[tuple[int, float], ...] = ()
        if stream.flow:
            tag = network.index[stream.flow]
            tags = ((tag, components_of(stream, network.tags[tag])[component]),)
        fraction = None
        share = media[stream.medium]["component"]
        # A measured fraction is that of the main component of the medium.
        if stream.fraction and component == max(share, key=share.get):
            fraction = network.index[stream.fraction], float(share[component])
        held_s = usual_s if np.isnan(stream.hold_up_s) else stream.hold_up_s
        lines.append(
            Line(stream.id, stream.origin, stream.to, tags, fraction=fraction, hold_up_s=held_s)
        )
    return lines


def _meters(network: Network) -> list[Line]:
    """Return one stream for each electricity meter of a junction, and what each leaves over.

    Where all users have meters that is the stated loss, which may be none or twice as large:
    rectangular, so that its standard uncertainty is the loss over the root of 3 [1]_. Elsewhere
    nothing is known of it but that it is not negative.
    """
    meters, junctions = network.meters.meters, network.junctions
    lines = []
    for flow in meter_flows(network.meters, junctions, ELECTRICITY):
        label, tag = meters[flow.meter].label, network.index[meters[flow.meter].tag]
        outer = GENERATORS if flow.makes else flow.origin
        origin = junctions[flow.start].name if flow.start >= 0 else outer
        to = junctions[flow.stop].name if flow.stop >= 0 else flow.to
        lines.append(Line(label, origin, to, ((tag, 1.0),)))
    for junction in junctions:
        if junction.carrier != ELECTRICITY:
            continue
        feeding = [network.index[meters[at].tag] for at in junction.sources]
        if junction.loss >= 0:
            tags = tuple((tag, junction.loss) for tag in feeding)
            line = Line(
                f"{junction.name}:loss",
                junction.name,
                LOSSES,
                tags,
                relative=3**-0.5,
                expected=True,
            )
        else:
            line = Line(f"{junction.name}:unmetered", junction.name, UNMETERED)
        lines.append(line)
    return lines


def _places(network: Network, component: str) -> set[str]:
    """Return every place a stream of the component begins or ends at."""
    media = load_reference("media")

    def carries(stream: Stream) -> bool:
        return component in media[stream.medium]["component"]

    ends = (end for s in network.park.streams if carries(s) for end in (s.origin, s.to))
    return set(ends) - set(OUTSIDE)


def _cells(network: Network, scope: str, component: str) -> list[Line]:
    """Return one stream for each place where electrolysers make, or use, the component."""
    nodes = _places(network, component)
    made: dict[tuple[str, bool], list[tuple[int, float]]] = {}
    worst: dict[tuple[str, bool], tuple[float, float]] = {}
    uncertainty = cell_uncertainty(network, component)
    for cell in network.park.electrolysers:
        node = next((p for p in scopes_above(cell.scope) if p in nodes), "")
        entry = cell_entries(cell, network.index, network.effective).get(component)
        if node and entry and inside(node, scope):
            tag, factor = entry
            key = node, factor > 0
            made.setdefault(key, []).append((tag, abs(factor)))
            worst[key] = max(worst.get(key, (0.0, 0.0)), uncertainty[cell.id])
    lines = []
    for (node, makes), tags in made.items():
        origin, to = (ELECTROLYSERS, node) if makes else (node, ELECTROLYSERS)
        relative, own = worst[node, makes]
        lines.append(Line(f"{node}:faraday", origin, to, tuple(tags), relative=relative, own=own))
    return lines


def _stocks(network: Network, scope: str, component: str) -> list[Line]:
    """Return one stream for each place with tanks: what they take up."""
    media = load_reference("media")
    held: dict[str, list[int]] = {}
    for k, tank in enumerate(network.park.tanks):
        if component in media[tank.medium]["component"] and inside(tank.scope, scope):
            held.setdefault(tank.scope, []).append(k)
    # The stock is outside, so that a tank that only fills has a balance, too.
    return [Line(f"{p}:stock", p, "stock", tanks=tuple(tanks)) for p, tanks in held.items()]


@dataclass(frozen=True, slots=True)
class Amounts:
    """Measured amounts of the S streams of a balance over windows; NaN without a meter."""

    flow: F64  # (..., S) [kg] of the medium where its fraction is measured, else of the component
    sigma: F64  # (..., S) [kg] standard uncertainty
    fraction: F64  # (..., S) [kg/kg] mean over the window; 1 where the flow is of the component
    fraction_sigma: F64  # (..., S) [kg/kg] 0 where the flow is of the component

    def carried(self) -> tuple[F64, F64]:
        """Return the amounts of the component and their uncertainties, of first order [1]_."""
        sigma = np.hypot(self.sigma * self.fraction, self.flow * self.fraction_sigma)
        return self.flow * self.fraction, sigma


def measure(network: Network, balance: Balance, amount: F64, covered_s: F64, level: F64) -> Amounts:
    """Return the flows and fractions of the streams of a balance as they were measured.

    Parameters
    ----------
    amount, covered_s : (..., T) float64 [SI, s]   sums of each tag over a window; NaN = no value
    level : (..., 2, T) float64 [SI]               last values of tags before each edge

    Returns
    -------
    Amounts

    Notes
    -----
    The uncertainty of a sum over a window is that of its mean, `left_of_mean`. A fraction is its
    mean over time, which is that over the flow if the two do not swing together.
    """
    shape = (*amount.shape[:-1], len(balance.lines))
    flow, sigma = np.full((2, *shape), np.nan)
    fraction, fraction_sigma = np.ones(shape), np.zeros(shape)
    if any(line.tanks for line in balance.lines):
        mass = tank_mass(network.tanks, level)
        mass_sigma = uptake_sigma(network, level)
    for s, line in enumerate(balance.lines):
        if line.tanks:
            tanks = list(line.tanks)
            share = network.tanks.share[balance.component][tanks]
            flow[..., s] = (mass[..., 1, :] - mass[..., 0, :])[..., tanks] @ share
            sigma[..., s] = np.hypot.reduce(mass_sigma[..., tanks] * share, axis=-1)
        elif line.tags:
            parts = [amount[..., tag] * factor for tag, factor in line.tags]
            flow[..., s] = np.sum(parts, axis=0)
            deviations = [line.relative * np.abs(flow[..., s])]
            for (tag, factor), part in zip(line.tags, parts, strict=True):
                covered = covered_s[..., tag]
                deviations.append(_deviation(network.tags[tag], part, covered * factor, covered))
                deviations.append(line.own * np.abs(part))
            sigma[..., s] = np.hypot.reduce(deviations)
        if line.fraction:
            tag, nominal = line.fraction
            covered = covered_s[..., tag]
            flow[..., s] /= nominal
            sigma[..., s] /= nominal
            fraction[..., s] = mean = ratio(amount[..., tag], covered)
            fraction_sigma[..., s] = _deviation(network.tags[tag], mean, 1.0, covered)
    return Amounts(flow, sigma, fraction, fraction_sigma)


def _deviation(tag: Tag, part: F64, unit: F64 | float, covered_s: F64) -> F64:
    """Return the standard uncertainty of a sum: `unit` is what an error of one makes of it."""
    absolute, relative = tag_uncertainty(tag)
    part_of_variance = left_of_mean(*random_share(tag), covered_s)
    return np.asarray(np.hypot(absolute * unit, relative * part) * np.sqrt(part_of_variance))
