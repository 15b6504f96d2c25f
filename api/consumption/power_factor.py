"""Power factor of the meters that a scope takes electricity through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from api.sums import Sums, read_sums
from twin.arrays import F64, ratio
from twin.energy.bills import power_factor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from api.context import Context
    from api.windows import WindowQuery
    from twin.model.park import Meter


@dataclass(frozen=True, slots=True)
class MeanFactor:
    """Active and reactive energy of some meters in W windows, and their power factor."""

    sums: Sums
    active: F64  # (W,) [J]
    reactive: F64  # (W,) [var s]; NaN where a meter has no reactive one
    factor: F64  # (W,)
    ci: F64  # (W,)
    reason: str  # why it is never known


async def read_factor(context: Context, query: WindowQuery, meters: Sequence[Meter]) -> MeanFactor:
    """Return the mean power factor of some meters together; raises StoreError."""
    index, size = query.network.index, len(query.network.tags)
    active, reactive = np.zeros((2, size))
    for meter in meters:
        active[index[meter.tag]] += meter.sign
        if meter.reactive:
            reactive[index[meter.reactive]] += meter.sign
    bare = [meter.label for meter in meters if not meter.reactive]
    tags = np.flatnonzero((active != 0) | (reactive != 0))
    sums = await read_sums(context, query, tags)
    energy, crossed = sums.weigh(active), sums.weigh(reactive)
    if bare or not meters:
        crossed = np.full(len(energy), np.nan)
    factor = power_factor(energy, np.abs(crossed))
    # Of cos φ = P / S: a relative error of P or Q moves it by cos φ · sin² φ.
    errors = np.hypot(
        ratio(sums.ci("", active), energy), ratio(sums.ci("", reactive), np.abs(crossed))
    )
    reason = f"{bare[0]} has no meter of reactive energy" if bare else ""
    return MeanFactor(sums, energy, crossed, factor, factor * (1 - factor**2) * errors, reason)
