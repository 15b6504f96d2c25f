"""Table ``[[freight]]``: goods that go far, by mode, as consignments of the books or by meters.

References
----------
.. [1] 聊政字〔2019〕6号, 三（二十三）: bulk goods that go 400 km or further, and could go by rail
   or pipe, are to leave the road.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin.model.park import AMOUNTS, inside
from twin.model.rows import RowFault, cell, table
from twin.reference import figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twin.model.park import Park

MODES = ("road", "rail", "pipe")
ROAD = MODES[0]


@table
class Freight:
    """Goods of one way and mode: `distance` is that of the way, or the length of the pipe."""

    id: str = cell("text")
    scope: str = cell("scope")
    mode: str = cell("one " + " ".join(MODES))
    distance: float = cell("above length")
    tag: str = cell("tag mass* mass_flow")  # what was carried: consignments, or a meter
    name: dict[str, str] | None = cell("name", default=None)
    source: str = cell("any", default="")
    note: str = cell("any", default="")


def far_freight(park: Park, scope: str) -> list[Freight]:
    """Return the goods of a scope that go as far as the policy means [1]_."""
    least = figure("logistics.far", "length")
    return [row for row in park.rows(Freight) if inside(row.scope, scope) and row.distance >= least]


def check_freight(park: Park) -> Iterator[RowFault]:
    """Yield goods whose tag tells no amount."""
    tags = {tag.address: tag for tag in park.tags}
    for row in park.rows(Freight):
        tag = tags[row.tag]
        if tag.kind == "gauge" and tag.quantity not in AMOUNTS:
            yield RowFault(row, f"{row.tag!r} tells what is there, not what was carried", "tag")
