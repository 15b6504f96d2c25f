"""Energy of windows against what a model expects: sums over some of them, and the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from deploy.database.times import to_us
from twin.arrays import BOOL, F64
from twin.baseline.model import Baseline, BaselineModel, columns_of_model, outside
from twin.baseline.savings import save

if TYPE_CHECKING:
    from collections.abc import Sequence

    from api.baselines.windows import BaselineWindows

NAN = float("nan")
NOTHING_COUNTS = "no window counts: too little is covered, or it is not over"
ALL_OUTSIDE = "the variables are beyond what the base period has shown"
NOT_ACCEPTED = "the model is not accepted: its statistics miss a limit"
TOO_LITTLE = "too few of the windows count"
TOO_WIDE = "the interval of the saving reaches over 0"


class Part(NamedTuple):
    """Some windows against a model [J]; NaN where none counts."""

    counted: int
    left_out: int
    outside: int
    expected: float
    saved: float
    half_width: float
    adjustment: float
    reason: str

    @property
    def actual(self) -> float:
        """Energy that was used [J]."""
        return self.expected - self.saved

    @property
    def enpi(self) -> float:
        """Actual over expected energy [1]."""
        return self.actual / self.expected if self.expected > 0 else NAN

    @property
    def enpi_half_width(self) -> float:
        """Half of its interval: that of what is expected."""
        return self.enpi * self.half_width / self.expected if self.expected > 0 else NAN


class Compared(NamedTuple):
    """W windows of a baseline against its model."""

    seen: BaselineWindows
    model: BaselineModel
    columns: F64  # (W, p)
    counts: BOOL  # (W,)
    beyond: BOOL  # (W,) covered enough, but with variables the base period never had
    adjustment: F64  # (W,) [J]

    @property
    def expected(self) -> F64:
        """Expected energy of each window with its adjustments, (W,) [J]."""
        return np.asarray(self.columns @ np.array(self.model.coefficient) + self.adjustment)

    def over(self, some: BOOL) -> Part:
        """Return some of the windows as one."""
        used = some & self.counts
        counted, beyond = int(used.sum()), int((some & self.beyond).sum())
        left_out = int(some.sum()) - counted - beyond
        if not counted:
            reason = ALL_OUTSIDE if beyond else NOTHING_COUNTS
            return Part(0, left_out, beyond, NAN, NAN, NAN, NAN, reason)
        added = float(self.adjustment[used].sum())
        saving = save(self.model, self.columns[used], self.seen.energy[used], added)
        return Part(
            counted, left_out, beyond, saving.expected, saving.saved, saving.half_width, added, ""
        )


def compare_windows(
    seen: BaselineWindows, row: Baseline, model: BaselineModel, adjustments: Sequence[Any]
) -> Compared:
    """Return windows against a model, with rows of adjustments."""
    columns = columns_of_model(model, row.variables, seen.candidates)
    known = seen.usable & np.isfinite(columns).all(axis=1)
    beyond = known & outside(model, np.where(np.isfinite(columns), columns, 0.0))
    return Compared(seen, model, columns, known & ~beyond, beyond, _spread(seen, adjustments))


def _spread(seen: BaselineWindows, adjustments: Sequence[Any]) -> F64:
    """Return adjustments spread evenly over the windows of their time, (W,) [J]."""
    edges, total = seen.query.edges, np.zeros(len(seen.energy))
    for row in adjustments:
        start, stop = to_us(row["start"]), to_us(row["stop"])
        shared = np.minimum(edges[1:], stop) - np.maximum(edges[:-1], start)
        total += row["amount"] * np.maximum(shared, 0) / (stop - start)
    return total


def verdict_of(whole: Part, *, accepted: bool, enough: bool) -> tuple[str, str]:
    """Return whether energy was saved, and why nothing is decided."""
    if not whole.counted:
        return "undecided", whole.reason
    if not accepted:
        return "undecided", NOT_ACCEPTED
    if not enough:
        return "undecided", TOO_LITTLE
    if not abs(whole.saved) > whole.half_width:
        return "undecided", TOO_WIDE
    return ("saved" if whole.saved > 0 else "used_more"), ""
