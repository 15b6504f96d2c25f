"""Electricity: power meters of electrolysis, and power plants of the enterprises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulators.process.recipes import POWER
from twin.arrays import F64, I64
from twin.model.park import inside, owner_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twin.model.park import Meter, Park

RECTIFIER_EFFICIENCY = 0.985


@dataclass(frozen=True, slots=True)
class CaptivePlant:
    """A captive power plant: it covers a share of the metered users, and unmetered ones."""

    column: int
    scope: str
    users: I64  # columns
    usual: float  # [W]
    share: float  # [1] of the power of the users
    other: float  # [W] usual power of users without a meter


def find_captive_plants(
    park: Park, rates: Mapping[str, int], usual: F64, kinds: Mapping[str, str]
) -> tuple[CaptivePlant, ...]:
    """Return the captive power plants of the enterprises.

    `rates` has the column of the rate of each tag's address, `usual` (t,) [SI] the usual values,
    `kinds` the kind of each scope.
    """
    meters: dict[tuple[str, str], list[Meter]] = {}
    for m in park.meters:
        if m.carrier == POWER and m.basis != "DC":
            meters.setdefault((owner_of(m.scope, kinds), m.direction), []).append(m)
    plants = list[CaptivePlant]()
    for (owner, direction), outgoing in meters.items():
        if direction != "out":
            continue
        users = np.array([rates[m.tag] for m in meters.get((owner, "in"), ())], dtype=np.int64)
        taken, sent = usual[users].sum(), sum(usual[rates[m.tag]] for m in outgoing)
        for m in outgoing:
            out = float(usual[rates[m.tag]])
            share = out / sent * min(sent / taken, 1.0) if taken else 0.0
            plants.append(
                CaptivePlant(rates[m.tag], m.scope, users, out, share, out - share * float(taken))
            )
    return tuple(plants)


def power_columns(park: Park, rates: Mapping[str, int], usual: F64) -> tuple[tuple[int, F64], ...]:
    """Return the power tags of electrolysis: column, and share [1] of each electrolyser, (e,).

    They are the innermost meters of each basis, AC or DC, over an electrolyser.
    """
    shares: dict[int, F64] = {}

    def size(meter: Meter) -> float:
        return float(usual[rates[meter.tag]])

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
            for m in inner:
                share = shares.setdefault(rates[m.tag], np.zeros(len(park.electrolysers)))
                share[e] += per_watt * size(m) / sum(size(i) for i in inner)
    return tuple(shares.items())
