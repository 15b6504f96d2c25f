"""Commands about energy baselines: a model that was fitted, a non-routine adjustment.

The API reads the sums and fits; what it commands is stored here, as it came and for good.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003, msgspec reads the annotation
from typing import TYPE_CHECKING

import msgspec

from twin.baseline.model import Baseline, BaselineModel
from twin.errors import ParkError

if TYPE_CHECKING:
    from ingest.store import Store
    from ingest.store.commands import CommandRow
    from twin.model.park import Park


class _Order(msgspec.Struct):
    """An order about one baseline and a span of time."""

    by: str
    baseline: str
    start: datetime
    stop: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.stop.tzinfo is None:
            raise ValueError("`start` and `stop` have an offset")
        if self.start >= self.stop:
            raise ValueError("`start` is before `stop`")


class FitCommand(_Order):
    """A command that stores a model of a base period; `digest` is of what was fitted."""

    model: BaselineModel
    digest: str
    reason: str = ""


class AdjustCommand(_Order):
    """A command that adds an amount of energy [J] to what a baseline expects, and says why."""

    amount: float
    reason: str
    evidence: str = ""


class Baselines:
    """The energy baselines of one park model in one database."""

    def __init__(self, store: Store, park: Park) -> None:
        self._store = store
        self._digest = park.digest
        self._known = {row.id for row in park.rows(Baseline)}

    def _require(self, command: _Order) -> tuple[datetime, datetime]:
        """Return the span of an order; raises ParkError for a baseline the model does not have."""
        if command.baseline not in self._known:
            raise ParkError(f"there is no baseline {command.baseline!r} in park.toml")
        return command.start, command.stop

    async def fit(self, row: CommandRow, now_us: int) -> None:
        """Store a new version of a model."""
        command = row.read(FitCommand)
        span = self._require(command)
        model = msgspec.json.encode(command.model).decode()
        digests = command.digest, self._digest
        await self._store.baselines.add_model(
            command.baseline, span, model, digests, command.reason, command.by, now_us, row.number
        )

    async def adjust(self, row: CommandRow, now_us: int) -> None:
        """Store a new version of an adjustment; raises ParkError for one without a reason."""
        command = row.read(AdjustCommand)
        span = self._require(command)
        if not command.reason.strip():
            raise ParkError("an adjustment needs a reason")
        texts = command.reason, command.evidence
        await self._store.baselines.add_adjustment(
            command.baseline, span, command.amount, texts, command.by, now_us, row.number
        )
