"""Tables baseline and baseline_adjustment: fitted models, and what was adjusted and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deploy.database.times import stamp
from ingest.store.table import Table

if TYPE_CHECKING:
    from datetime import datetime

# Once for each command: one that was interrupted is carried out again.
ADD_MODEL = """
INSERT INTO baseline
    (baseline, version, start, stop, model, digest, park, reason, fitted, fitted_by, command)
SELECT $1, 1 + count(*), $2, $3, $4::jsonb, $5, $6, $7, $8, $9, $10 FROM baseline
WHERE baseline = $1 ON CONFLICT (command) DO NOTHING
"""
ADD_ADJUSTMENT = """
INSERT INTO baseline_adjustment
    (baseline, version, start, stop, amount, reason, evidence, recorded, recorded_by, command)
SELECT $1, 1 + count(*), $2, $3, $4, $5, $6, $7, $8, $9 FROM baseline_adjustment
WHERE (baseline, start, stop) = ($1, $2, $3) ON CONFLICT (command) DO NOTHING
"""
MODELS = """
SELECT baseline, version, start, stop, model, digest, reason, fitted, fitted_by FROM baseline
WHERE $1 = '' OR baseline = $1 ORDER BY baseline, version DESC LIMIT $2
"""
ADJUSTMENTS = """
SELECT * FROM (
    SELECT *, version = max(version) OVER (PARTITION BY baseline, start, stop) AS stands
    FROM baseline_adjustment) a
WHERE $1 = '' OR baseline = $1 ORDER BY baseline, start DESC, version DESC LIMIT $2
"""


class BaselineTable(Table):
    """Tables baseline and baseline_adjustment."""

    async def add_model(
        self,
        baseline: str,
        span: tuple[datetime, datetime],
        model: str,
        digests: tuple[str, str],
        reason: str,
        by: str,
        now_us: int,
        command: int,
    ) -> None:
        """Add a version; `digests` are of what was fitted and of the park model."""
        args = baseline, *span, model, *digests, reason, stamp(now_us), by, command
        await self._fetch(ADD_MODEL, *args)

    async def add_adjustment(
        self,
        baseline: str,
        span: tuple[datetime, datetime],
        amount: float,
        texts: tuple[str, str],
        by: str,
        now_us: int,
        command: int,
    ) -> None:
        """Add a version of an adjustment [J]; `texts` are its reason and its evidence."""
        args = baseline, *span, amount, *texts, stamp(now_us), by, command
        await self._fetch(ADD_ADJUSTMENT, *args)

    async def models(self, baseline: str, limit: int) -> list[Any]:
        """Return versions of models, the newest first."""
        return await self._fetch(MODELS, baseline, limit)

    async def adjustments(self, baseline: str, limit: int) -> list[Any]:
        """Return versions of adjustments, the latest periods first; `stands` tells the newest."""
        return await self._fetch(ADJUSTMENTS, baseline, limit)
