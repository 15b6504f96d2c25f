"""Table ``[[report]]``: reports that are made when their period is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin.model.rows import RowFault, cell, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twin.model.park import Park

EVERY = "shift day month quarter year"


@table
class ScheduledReport:
    """A report that is made after each period; drafts of the newest `keep` periods stay."""

    kind: str = cell("one park enterprise industry shift")
    scope: str = cell("scope")
    every: str = cell(f"one {EVERY}")
    product: str = cell("text", default="")  # of an industry
    keep: int = cell("count", default=24)
    language: str = cell("one zh en", default="zh")
    formats: tuple[str, ...] = cell("some pdf docx xlsx html csv json", default=("pdf",))

    @property
    def path(self) -> str:
        """What it is about: a scope, or an industry as its scope and product."""
        return f"{self.scope}/{self.product}" if self.product else self.scope


def check_schedule(park: Park) -> Iterator[RowFault]:
    """Yield reports of an industry without a product, and others with one."""
    for row in park.rows(ScheduledReport):
        if (row.kind == "industry") != bool(row.product):
            yield RowFault(row, "is what a report of an industry has, and no other", "product")
