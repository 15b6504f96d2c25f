"""Energy and variables of a baseline in windows of time: what a fit and its use are made of."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from api.joint import read_joint
from api.problems import Problem
from api.sums import read_sums
from api.windows import WindowQuery, parse_query
from twin.accounts.accounts import Account
from twin.arrays import BOOL, F64, U8, ratio
from twin.baseline.model import energy_weights
from twin.quality import worst_of
from twin.reconciliation.uncertainty import weights
from twin.reference import figure

if TYPE_CHECKING:
    from datetime import datetime

    from api.context import Context
    from api.joint import Joint
    from twin.baseline.model import Baseline


class BaselineWindows(NamedTuple):
    """Energy and the v candidates of a baseline in W windows of its frequency."""

    query: WindowQuery
    energy: F64  # (W,) [J] of the whole window, by what is covered of it; NaN = not known
    candidates: F64  # (W, v) [SI] as of `Baseline.variables`
    share: F64  # (W,) [1] covered by all of its tags
    usable: BOOL  # (W,) over, and covered enough
    quality: U8  # (W,)
    missing: list[list[str]]

    @property
    def worst(self) -> int:
        """The worst quality of the windows that count; that of no data where there are none."""
        used = self.quality[self.usable]
        return int(worst_of(used, np.zeros(1, np.intp))[0]) if len(used) else 255

    @property
    def digest(self) -> str:
        """The SHA-256 of what a fit is made of: windows, energy, variables, and which count."""
        parts = (self.query.edges, self.energy, self.candidates, self.usable)
        return hashlib.sha256(
            b"".join(np.ascontiguousarray(p).tobytes() for p in parts)
        ).hexdigest()


async def read_windows(
    context: Context, row: Baseline, from_: datetime, to: datetime
) -> BaselineWindows:
    """Return the windows of a baseline in a range of time.

    Raises Problem 409 where nothing measures its energy, 422 for too many windows, and StoreError.
    """
    query = parse_query(context, row.scope, row.frequency, from_, to)
    network = query.network
    energy = energy_weights(network, row)
    if not energy.any():
        subject = row.product or "the scope"
        raise Problem(
            409,
            f"no meter of {row.carrier} of {subject} in {row.scope} is in the model",
            hint="add a [[meter]] with this carrier there",
        )
    masses = [weights(network, {Account(row.scope, name, "mass"): 1.0}) for name in row.made]
    own = np.array([network.index[address] for address in row.tags], np.int64)
    tags = np.unique(np.concatenate([np.flatnonzero(np.any([energy, *masses], axis=0)), own]))
    sums = await read_sums(context, query, tags)
    (joint,) = await read_joint(context, sums, [tags])
    whole = ratio(query.elapsed_s, joint.sums.covered_s[:, 0])
    columns = [joint.sums.weigh(mass) * whole for mass in masses]
    columns += [_tag_column(joint, at, whole) for at in own.tolist()]
    candidates = np.column_stack(columns)
    used = joint.sums.weigh(energy) * whole
    least = figure("baselines.completeness", "fraction")
    usable = (query.edges[1:] <= query.expected_us) & (np.nan_to_num(joint.share) >= least)
    usable &= np.isfinite(used) & np.isfinite(candidates).all(axis=1)
    trust = joint.trust(~np.isnan(used))
    return BaselineWindows(
        query, used, candidates, joint.share, usable, trust["quality"], trust["missing"]
    )


def _tag_column(joint: Joint, tag: int, whole: F64) -> F64:
    """Return a tag as a variable, (W,) [SI]: the mean of a gauge, the amount of a counter."""
    sums = joint.sums
    at = int(np.searchsorted(sums.tags, tag))
    if sums.network.tags[tag].kind in ("gauge", "state"):
        return ratio(sums.amount[:, at], sums.covered_s[:, at])
    return np.asarray(sums.amount[:, at] * whole)
