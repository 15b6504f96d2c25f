"""Electricity of a simulated park: captive plants, incomers and electrolysis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulators.process.recipes import POWER
from twin.arrays import F64, I64
from twin.model.junctions import Junction, find_junctions
from twin.model.meters import MeterTrees, compile_meters
from twin.model.park import inside, owner_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twin.model.park import Meter, Park

RECTIFIER_EFFICIENCY = 0.985


@dataclass(frozen=True, slots=True)
class PowerSource:
    """A captive plant or an incomer: it follows what meters take, and covers users without one."""

    column: int
    scope: str  # of a captive plant; empty of an incomer
    taken: I64  # columns of the meters it follows
    weight: F64  # [1] part of each
    other: float  # [W] usual power of users without a meter
    usual: float  # [W]


def find_sources(
    park: Park,
    rates: Mapping[str, int],
    usual: F64,
    kinds: Mapping[str, str],
    rng: np.random.Generator,
) -> tuple[PowerSource, ...]:
    """Return the sources of electricity of the enterprises, inner junctions first.

    `rates` has the column of the rate of each tag's address, `usual` (t,) [SI] the usual values,
    `kinds` the kind of each scope; `rng` draws what is lost where the model states a loss.
    """
    trees = compile_meters(park)
    junctions = [j for j in find_junctions(trees) if j.carrier == POWER]
    sources = list[PowerSource]()
    for junction in sorted(junctions, key=lambda each: -len(each.scope)):
        sources += _at_junction(trees, junction, rates, usual, rng)
    joined = {meter for junction in junctions for meter in (*junction.sources, *junction.users)}
    apart = [m for at, m in enumerate(park.meters) if at not in joined]
    return (*sources, *_unrelated(apart, rates, usual, kinds))


def _at_junction(
    trees: MeterTrees,
    junction: Junction,
    rates: Mapping[str, int],
    usual: F64,
    rng: np.random.Generator,
) -> list[PowerSource]:
    """Return the sources of a junction that follow the others: its generation, else its incomers.

    The loss is drawn evenly between none and twice the stated one.
    """
    meters = [trees.meters[at] for at in junction.sources]
    users = [trees.meters[at] for at in junction.users]
    if junction.direct:
        return []  # A rectifier follows its cells.
    following = [m for m in meters if m.role == "generation"] or meters
    steady = [m for m in meters if m not in following]
    stated = junction.loss >= 0
    lost = rng.uniform(0, 2 * junction.loss) if stated else 0.0
    taken = np.array([rates[m.tag] for m in (*users, *steady)], dtype=np.int64)
    part = np.array([1 / (1 - lost)] * len(users) + [-1.0] * len(steady))
    sent = np.array([usual[rates[m.tag]] for m in following])
    other = 0.0 if stated else max(float(sent.sum() - usual[taken] @ part), 0.0)
    return [
        PowerSource(
            column=rates[meter.tag],
            scope=meter.scope if meter.role == "generation" else "",
            taken=taken,
            weight=part * share,
            other=other * share,
            usual=float(usual[rates[meter.tag]]),
        )
        for meter, share in zip(following, (sent / sent.sum()).tolist(), strict=True)
    ]


def _unrelated(
    meters: list[Meter], rates: Mapping[str, int], usual: F64, kinds: Mapping[str, str]
) -> list[PowerSource]:
    """Return the captive plants whose meters state no relation: they cover their enterprise."""
    by_owner: dict[tuple[str, str], list[Meter]] = {}
    for m in meters:
        if m.carrier == POWER and m.basis != "DC":
            by_owner.setdefault((owner_of(m.scope, kinds), m.direction), []).append(m)
    sources = list[PowerSource]()
    for (owner, direction), outgoing in by_owner.items():
        if direction != "out":
            continue
        users = np.array([rates[m.tag] for m in by_owner.get((owner, "in"), ())], dtype=np.int64)
        taken, sent = usual[users].sum(), sum(usual[rates[m.tag]] for m in outgoing)
        for m in outgoing:
            out = float(usual[rates[m.tag]])
            share = out / sent * min(sent / taken, 1.0) if taken else 0.0
            weight = np.full(len(users), share)
            other = out - share * float(taken)
            sources.append(PowerSource(rates[m.tag], m.scope, users, weight, other, out))
    return sources


def power_columns(park: Park, rates: Mapping[str, int], usual: F64) -> tuple[tuple[int, F64], ...]:
    """Return the power tags of electrolysis: column, and share [1] of each electrolyser, (e,).

    They are the innermost meters of each basis, AC or DC, over an electrolyser.
    """
    shares: dict[int, F64] = {}
    for basis, per_watt in (("DC", 1.0), ("AC", 1 / RECTIFIER_EFFICIENCY)):
        for e, electrolyser in enumerate(park.electrolysers):
            over = [
                m
                for m in park.meters
                if (m.carrier, m.basis, m.direction) == (POWER, basis, "in")
                and inside(electrolyser.scope, m.scope)
            ]
            depth = max((len(m.scope) for m in over), default=0)
            inner = [m for m in over if len(m.scope) == depth]
            whole = sum(usual[rates[m.tag]] for m in inner)
            for m in inner:
                share = shares.setdefault(rates[m.tag], np.zeros(len(park.electrolysers)))
                share[e] += per_watt * usual[rates[m.tag]] / whole
    return tuple(shares.items())
