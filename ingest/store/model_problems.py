"""Table model_problem: what is wrong with the model that stands in the folder of the park."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.store.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

PROBLEMS_MAX, PROBLEM_CHARACTERS = 100, 500
KEEP = """
INSERT INTO model_problem (number, problem)
SELECT number, problem FROM unnest($1::text[]) WITH ORDINALITY AS p (problem, number)
"""
LIST = "SELECT problem FROM model_problem ORDER BY number"


class ModelProblemTable(Table):
    """Table model_problem."""

    async def keep(self, problems: Sequence[str]) -> None:
        """Keep problems, the first of them, in place of those before."""
        kept = [problem[:PROBLEM_CHARACTERS] for problem in problems[:PROBLEMS_MAX]]
        await self._fetch("DELETE FROM model_problem")
        await self._fetch(KEEP, kept)

    async def all(self) -> list[str]:
        """Return the problems."""
        return [row["problem"] for row in await self._fetch(LIST)]
