"""The park as the API has it: its tags as columns, its model compiled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from twin.accounts.network import Network, compile_network
from twin.arrays import F64, FOREVER, I64, SECOND_US
from twin.loading import parse_park
from twin.model.park import Park, Tag

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The tags of the model, or those it has no longer, in the order of their addresses, (T,)."""

    tags: tuple[Tag, ...]
    addresses: tuple[str, ...]
    index: dict[str, int]
    tag_id: I64
    by_id: I64  # the order that sorts tag_id
    scale: F64
    shift: F64
    gap_us: I64  # how long a value of a measured tag holds; for ever of others

    def positions(self, tag_id: I64) -> I64:
        """Return the positions of some tag ids; -1 for an unknown one."""
        if not len(self.tag_id):
            return np.full(len(tag_id), -1, dtype=np.int64)
        at = np.searchsorted(self.tag_id, tag_id, sorter=self.by_id)
        at = self.by_id[np.minimum(at, len(self.tag_id) - 1)]
        return np.where(self.tag_id[at] == tag_id, at, -1)

    def find(self, addresses: Iterable[str]) -> I64:
        """Return the positions of some addresses; -1 for an unknown one."""
        return np.array([self.index.get(each, -1) for each in addresses], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Model:
    """A park model ingest has applied."""

    version: int
    applied: datetime
    park: Park
    network: Network


def build_catalogue(rows: Iterable[Any]) -> Catalogue:
    """Return the catalogue of rows of table tag."""
    pairs = [(int(row.pop("tag_id")), Tag(**row)) for row in map(dict, rows)]
    pairs.sort(key=lambda pair: pair[1].address)
    tags = tuple(tag for _, tag in pairs)
    tag_id = np.array([number for number, _ in pairs], dtype=np.int64)
    addresses = tuple(tag.address for tag in tags)
    return Catalogue(
        tags=tags,
        addresses=addresses,
        index={address: at for at, address in enumerate(addresses)},
        tag_id=tag_id,
        by_id=np.argsort(tag_id).astype(np.int64),
        scale=np.array([tag.scale for tag in tags], dtype=np.float64),
        shift=np.array([tag.shift for tag in tags], dtype=np.float64),
        gap_us=np.array([_gap_us(tag) for tag in tags], dtype=np.int64),
    )


def _gap_us(tag: Tag) -> int:
    # A derived value is stored when it changes; what people enter holds until they enter more.
    is_live = tag.source == "measured" and tag.kind != "amount"
    return round(tag.gap_s * SECOND_US) if is_live else FOREVER


def build_model(version: int, applied: datetime, files: str) -> Model:
    """Return the model of a row of table model; raises ModelError."""
    park = parse_park(orjson.loads(files))
    return Model(version, applied, park, compile_network(park))
