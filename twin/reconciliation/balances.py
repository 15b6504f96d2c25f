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
from typing import Any

import numpy as np

from twin.accounts.accounts import cell_factor, components_of, scopes_above
from twin.accounts.network import Network, tank_mass
from twin.arrays import F64, I64
from twin.model.park import OUTSIDE, Stream, Tag, inside
from twin.reference import load as load_reference
from twin.uom import parse_quantity

TINY_S = 1e-9


@dataclass(frozen=True, slots=True)
class Line:
    """A stream of a balance: one of the model, what electrolysers make, or what tanks take up."""

    id: str
    origin: str
    to: str
    tags: tuple[tuple[int, float], ...] = ()  # (tag, factor to kg); empty = not measured
    tanks: tuple[int, ...] = ()
    relative: float = 0.0  # standard uncertainty on top of that of the tags
    own: float = 0.0  # the same, of each tag's part by itself
    # Tag of the measured mass fraction, and the fraction that the factors take the medium to have.
    fraction: tuple[int, float] | None = None


@dataclass(frozen=True, slots=True)
class Balance:
    """M nodes and S streams of a component; incidence (M, S): +1 into the node, -1 out."""

    component: str
    nodes: tuple[str, ...]
    lines: tuple[Line, ...]
    incidence: F64

    @property
    def tags(self) -> I64:
        """The tags of all streams that are not tanks."""
        measured = [t for line in self.lines for t in (*line.tags, line.fraction) if t is not None]
        found = {tag for tag, _ in measured}
        return np.array(sorted(found), dtype=np.int64)


def compile_balance(network: Network, scope: str, component: str) -> Balance:
    """Return the balances a component has inside a scope; without any, a balance of no nodes.

    A balance is written for each place that takes the component in and gives it away, or keeps it.
    Places that only make or only use it are where the accounts of the scope begin and end.
    """
    lines = [
        *_streams(network, scope, component),
        *_cells(network, scope, component),
        *_stocks(network, scope, component),
    ]
    takes = {line.to for line in lines}
    gives = {line.origin for line in lines}
    nodes = tuple(sorted(place for place in takes & gives if inside(place, scope)))
    lines = [line for line in lines if line.origin in nodes or line.to in nodes]
    incidence = np.zeros((len(nodes), len(lines)))
    for s, line in enumerate(lines):
        for place, sign in ((line.to, 1.0), (line.origin, -1.0)):
            if place in nodes:
                incidence[nodes.index(place), s] += sign
    return Balance(component, nodes, tuple(lines), incidence)


def _streams(network: Network, scope: str, component: str) -> list[Line]:
    """Return the model's streams of the component that touch the scope."""
    media = load_reference("media")
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
        # Who measures a fraction measures that of what the medium is made of mainly.
        if stream.fraction and component == max(share, key=share.get):
            fraction = network.index[stream.fraction], float(share[component])
        lines.append(Line(stream.id, stream.origin, stream.to, tags, fraction=fraction))
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
    places = _places(network, component)
    made: dict[tuple[str, bool], list[tuple[int, float]]] = {}
    for cell in network.park.electrolysers:
        place = next((p for p in scopes_above(cell.scope) if p in places), "")
        factor = cell_factor(cell).get(component)
        if place and factor and inside(place, scope):
            line = made.setdefault((place, factor > 0), [])
            line.append((network.index[cell.current], abs(factor)))
    relative, own = efficiency_uncertainty(component), efficiency_spread(component)
    found = []
    for (place, makes), tags in made.items():
        origin, to = ("electrolysers", place) if makes else (place, "electrolysers")
        found.append(Line(f"{place}:faraday", origin, to, tuple(tags), relative=relative, own=own))
    return found


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
    """What the meters of the S streams of a balance say of windows; NaN where there is none."""

    flow: F64  # (..., S) [kg] of the medium where its fraction is measured, else of the component
    sigma: F64  # (..., S) [kg] standard uncertainty
    fraction: F64  # (..., S) [kg/kg] mean over the window; 1 where the flow is of the component
    fraction_sigma: F64  # (..., S) [kg/kg] 0 where the flow is of the component

    def carried(self) -> tuple[F64, F64]:
        """Return the amounts of the component and their uncertainties, of first order [1]_."""
        sigma = np.hypot(self.sigma * self.fraction, self.flow * self.fraction_sigma)
        return self.flow * self.fraction, sigma


def efficiency_uncertainty(component: str) -> float:
    """Return how uncertain the current efficiency of cells is, the same for all of a place.

    Parameters
    ----------
    component : str
        what they make; the efficiency of hydrogen is not that of chlorine

    Returns
    -------
    float [1]
        relative standard uncertainty
    """
    return float(_efficiency_row(component)["relative"])


def efficiency_spread(component: str) -> float:
    """Return how far the current efficiency of each electrolyser lies from that of its place.

    Parameters
    ----------
    component : str
        as of `efficiency_uncertainty`

    Returns
    -------
    float [1]
        relative standard uncertainty, on top of what all of a place have in common
    """
    return float(_efficiency_row(component)["own"])


def _efficiency_row(component: str) -> dict[str, Any]:
    """Return what is known of the efficiency with which cells make a component."""
    table = load_reference("uncertainty")
    row: dict[str, Any] = table["current_efficiency_of"].get(component, table["current_efficiency"])
    return row


def uncertainty(tag: Tag) -> tuple[float, float]:
    """Return the standard uncertainty of a tag: what the model says, else the usual one.

    Parameters
    ----------
    tag : Tag

    Returns
    -------
    absolute, relative : float [SI, 1]   of a single value
    """
    text = tag.sigma.strip()
    if text.endswith("%"):
        return 0.0, float(text[:-1]) / 100
    if text:
        return float(text) * tag.scale, 0.0
    usual = load_reference("uncertainty").get(tag.quantity, {"relative": 0.0})
    absolute = usual.get("absolute")
    return (parse_quantity(absolute, tag.quantity) if absolute else 0.0), usual.get("relative", 0.0)


def random_share(tag: Tag) -> tuple[float, float]:
    """Return how much of a tag's variance averages out, and after what time.

    Parameters
    ----------
    tag : Tag

    Returns
    -------
    share, correlation : float [1, s]   0 where nothing is known: one error all the time
    """
    usual = load_reference("uncertainty")["random"].get(tag.quantity)
    if usual is None:
        return 0.0, 0.0
    return float(usual["share"]), parse_quantity(usual["correlation"], "time")


def left_of_mean(share: F64 | float, correlation_s: F64 | float, length_s: F64 | float) -> F64:
    """Return how much of the variance of a value is left in its mean over some time.

    Parameters
    ----------
    share, correlation_s : (...) float64 [1, s]
        as of `random_share`
    length_s : (...) float64 [s]
        time of the mean; NaN = not known

    Returns
    -------
    (...) float64 [1]
        1 for a moment, 1 - share for ever

    Notes
    -----
    The rest is one error all the time [1]_. Of what averages out the correlation falls evenly from
    1 to 0 within the correlation time, as that of an instrument that shows the mean of so long: of
    it is left 1 - x / 3 after x correlation times up to 1, and (1 - 1 / 3x) / x beyond [2]_.
    """
    times = length_s / np.maximum(correlation_s, TINY_S)
    longer = np.maximum(times, 1.0)
    left = np.where(times < 1, 1 - times / 3, (1 - 1 / (3 * longer)) / longer)
    return np.asarray(1 - share + share * left)


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
    mass = tank_mass(network, level)
    mass_sigma = tank_sigma(network, level)
    for s, line in enumerate(balance.lines):
        if line.tanks:
            tanks = list(line.tanks)
            share = network.tank_share[balance.component][tanks]
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
            fraction[..., s] = mean = amount[..., tag] / np.where(covered > 0, covered, np.nan)
            fraction_sigma[..., s] = _deviation(network.tags[tag], mean, 1.0, covered)
    return Amounts(flow, sigma, fraction, fraction_sigma)


def _deviation(tag: Tag, part: F64, unit: F64 | float, covered_s: F64) -> F64:
    """Return the standard uncertainty of a sum: `unit` is what an error of one makes of it."""
    absolute, relative = uncertainty(tag)
    left = left_of_mean(*random_share(tag), covered_s)
    return np.asarray(np.hypot(absolute * unit, relative * part) * np.sqrt(left))


def tank_sigma(network: Network, level: F64) -> F64:
    """Return the standard uncertainty of what each tank takes up between two edges.

    Parameters
    ----------
    level : (..., 2, T) float64 [SI]
        last values of tags before each edge

    Returns
    -------
    (..., K) float64 [kg]

    Notes
    -----
    Random errors are two at the edges; the rest moves both, and cancels where the tank is straight.
    """
    tags = network.tank_tag
    models = [network.tags[tag] for tag in tags.tolist()]
    absolute, relative = np.array([uncertainty(tag) for tag in models]).reshape(-1, 2).T
    share = np.array([random_share(tag)[0] for tag in models], dtype=np.float64)
    step = absolute + relative * np.abs(level[..., tags])
    edges = np.hypot.reduce(_swing(network, level, step * np.sqrt(share)), axis=-2)
    common = _swing(network, level, step * np.sqrt(1 - share))
    return np.asarray(np.hypot(edges, common[..., 1, :] - common[..., 0, :]))


def _swing(network: Network, level: F64, step: F64) -> F64:
    """Return what the mass in each tank changes by a step of its level; (..., 2, K) [kg]."""
    higher, lower = level.copy(), level.copy()
    higher[..., network.tank_tag] += step
    lower[..., network.tank_tag] -= step
    return np.asarray((tank_mass(network, higher) - tank_mass(network, lower)) / 2)
