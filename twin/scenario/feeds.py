"""What plants take, or give away, besides the lines of a component.

A plant with several sources loses only the share of the one that fails. The lines of the what-if
touch a node each; streams that touch none, and media that a plant takes instead of the component,
are sources as well.

References
----------
.. [1] Felder, Rousseau: Elementary Principles of Chemical Processes, 3rd ed., Wiley, 2005, 4.6 to
   4.8 (stoichiometry, reactive balances and heating values of fuels).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin.accounts.accounts import components_of
from twin.arrays import F64
from twin.reference import load as load_reference
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from twin.accounts.network import Network
    from twin.model.park import Stream
    from twin.reconciliation.balances import Line
    from twin.scenario.routes import Edge

Tags = tuple[tuple[int, float], ...]  # (tag, factor to kg of the component)


@dataclass(frozen=True, slots=True)
class OtherFeed:
    """A flow of a component to, or from, the plant at the end of some lines, besides the lines."""

    lines: tuple[int, ...]  # of this component at this plant
    tags: Tags
    whole: bool  # the tags tell of all the plant needs, the lines included
    unmeasured: tuple[str, ...] = ()  # ids of its streams without a meter


def find_feeds(
    network: Network, edges: Sequence[Edge], lines: Sequence[Line]
) -> tuple[OtherFeed, ...]:
    """Return what the plants at the ends of the lines take or give away besides them."""
    same: dict[tuple[str, str], list[int]] = {}
    for s, edge in enumerate(edges):
        for plant in edge.ends:
            same.setdefault((edge.component, plant), []).append(s)
    known = {line.id for line in lines}
    feeds: list[OtherFeed] = []
    for (component, plant), at in same.items():
        makes = bool(edges[at[0]].maker)
        aside = [
            stream
            for stream in network.park.streams
            if plant == (stream.origin if makes else stream.to)
            and stream.id not in known
            and component in load_reference("media")[stream.medium]["component"]
        ]
        if aside:
            tags, unmeasured = _measured(network, aside, component)
            feeds.append(OtherFeed(tuple(at), tags, whole=False, unmeasured=unmeasured))
        if not makes:
            feeds.extend(_substitutes(network, component, plant, tuple(at)))
    return tuple(feeds)


def _measured(
    network: Network, streams: Sequence[Stream], component: str
) -> tuple[Tags, tuple[str, ...]]:
    """Return the tags of streams, with factors to kg of a component, and streams without."""
    tags = []
    for stream in streams:
        if stream.flow:
            tag = network.index[stream.flow]
            tags.append((tag, components_of(stream, network.tags[tag])[component]))
    return tuple(tags), tuple(stream.id for stream in streams if not stream.flow)


def _substitutes(
    network: Network, component: str, plant: str, lines: tuple[int, ...]
) -> Iterator[OtherFeed]:
    """Yield what a plant takes instead of a component, by the table of substitutes."""
    for row in load_reference("scenario")["substitute"].values():
        taken = [
            stream
            for stream in network.park.streams
            if stream.to == plant and stream.medium == row["medium"]
        ]
        if row["component"] != component or not taken:
            continue
        product = row.get("product", "")
        if product:
            taken = [
                stream
                for stream in network.park.streams
                if stream.origin == plant and stream.medium == product
            ]
        tags, unmeasured = _measured(network, taken, product or row["medium"])
        ratio = parse_quantity(row["ratio"], "fraction")
        yield OtherFeed(
            lines,
            tuple((tag, factor * ratio) for tag, factor in tags),
            whole=bool(product),
            # Of a product nothing but its flow tells of the need.
            unmeasured=unmeasured if taken else (plant,),
        )


def feeds_aside(feeds: Sequence[OtherFeed], flow: F64, rate: F64) -> F64:
    """Return what each line's plant takes, or gives away, besides its lines [1]_.

    Parameters
    ----------
    feeds : sequence of OtherFeed
    flow : (S,) float64 [kg/s]
        present flows of the lines
    rate : (T,) float64 [SI/s for counters, else SI]
        rates of the tags; NaN = no value

    Returns
    -------
    (S,) float64 [kg/s]
        of the component; 0 where there is nothing besides, NaN where it is not known
    """
    aside = np.zeros(len(flow))
    for feed in feeds:
        at = list(feed.lines)
        amount = np.sum([rate[tag] * factor for tag, factor in feed.tags]) if feed.tags else 0.0
        if feed.unmeasured:
            amount = np.nan
        if feed.whole:
            aside[at] = np.maximum(aside[at], amount - flow[at].sum())
        else:
            aside[at] += np.maximum(amount, 0.0)
    return aside
