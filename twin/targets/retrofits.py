"""Table ``[[retrofit]]``: which electrolysers get zero-gap cells, when, and what is promised of it.

References
----------
.. [1] 聊政字〔2019〕6号, (八) and (十二): the cells of all electrolysers are to have no gap between
   membrane and electrodes (膜极距改造率 100 %) by the end of 2022.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin.model.rows import RowFault, cell, guess, table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from twin.model.park import Park

NAN = float("nan")


@table
class Retrofit:
    """The change of an electrolyser to zero-gap cells: planned for a day, and `done` on one."""

    id: str = cell("text")
    electrolyser: str = cell("text")
    planned: date = cell("date")
    done: date | None = cell("date", default=None)
    saving: float = cell("above intensity", default=NAN)  # promised, of direct current
    voltage_drop: float = cell("above voltage", default=NAN)  # of a cell, the promise rests on it
    cost: float = cell("above money", default=NAN)
    evidence: str = cell("any", default="")
    source: str = cell("any", default="")
    note: str = cell("any", default="")

    def begins(self, today: date) -> date | None:
        """Return from which day on it counts; None of a plan whose day has passed undone."""
        return self.done or (self.planned if self.planned > today else None)


def check_retrofits(park: Park) -> Iterator[RowFault]:
    """Yield retrofits of what is no membrane electrolyser, has such cells, or is changed twice."""
    cells = {each.id: each for each in park.electrolysers if each.kind == "membrane"}
    first: dict[str, str] = {}
    for row in park.rows(Retrofit):
        changed = cells.get(row.electrolyser)
        if changed is None:
            close = guess(row.electrolyser, cells)
            text = f"there is no membrane electrolyser {row.electrolyser!r}{close}"
            yield RowFault(row, text, "electrolyser")
        elif changed.zero_gap and row.done is None:
            yield RowFault(row, "it has zero-gap cells already; say when it was `done`", "planned")
        other = first.setdefault(row.electrolyser, row.id)
        if other != row.id:
            yield RowFault(row, f"{other!r} changes it already", "electrolyser")
