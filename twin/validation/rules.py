"""What samples are judged by: rows of ``[[check]]`` and what the tags themselves say, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from twin.arrays import BOOL, F64, FOREVER, I64
from twin.errors import UomError
from twin.reconciliation.uncertainty import tag_uncertainty
from twin.reference import load as load_reference
from twin.series.traits import traits_of
from twin.uom import compile_uom, parse_rate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from twin.model.park import Tag
    from twin.model.tables import Row


@dataclass(frozen=True, slots=True)
class Limits:
    """What the samples of T tags are judged by, and F slips of units of measure."""

    rate: F64  # (T,) [SI/s] fastest change; inf = any
    sigma: F64  # (T,) [SI] standard uncertainty of a value,
    share: F64  # (T,) [1] or of a value as a share of it
    stuck_us: I64  # (T,) longest time without a change; FOREVER = any
    gap_us: I64  # (T,) how long a value holds
    low: F64  # (T,) [SI] range; NaN = none
    high: F64  # (T,)
    scale: F64  # (T,) value [SI] = value [own uom] * scale + shift
    shift: F64  # (T,)
    slips: BOOL  # (T, F) which slips can happen to a tag
    factor: F64  # (F,) what a slip shows, in the tag's own uom: value * factor + offset
    offset: F64  # (F,)
    apart: F64  # (T,) [SI] least offset of the slips that can happen to it
    followed: BOOL  # (T,) whether any slip can happen to it
    judged: BOOL  # (T,) whether it is judged at all


def compile_limits(rows: Iterable[dict[str, Any]], tags: Sequence[Tag]) -> Limits:
    """Return what tags are judged by; slips are looked for in every measured gauge unless told not.

    Parameters
    ----------
    rows
        checked rows of ``[[check]]``
    tags
        T tags; rows of tags that are not among them are left out

    Returns
    -------
    Limits
    """
    checks = {row["tag"]: row for row in rows}
    own = [checks.get(tag.address, {}) for tag in tags]
    gauge = [tag.kind == "gauge" and tag.source == "measured" for tag in tags]
    slips = _slips()
    rates = [
        parse_rate(row["rate"], tag.quantity) if "rate" in row else np.inf
        for row, tag in zip(own, tags, strict=True)
    ]
    wanted = [g and row.get("slip", True) for g, row in zip(gauge, own, strict=True)]
    uncertainties = [
        tag_uncertainty(tag) if rate < np.inf else (0.0, 0.0)
        for tag, rate in zip(tags, rates, strict=True)
    ]
    stuck_us = [round(row["stuck"] * 1e6) if "stuck" in row else FOREVER for row in own]
    fits = [[w and slip.fits(tag) for slip in slips] for tag, w in zip(tags, wanted, strict=True)]
    can = np.array(fits, dtype=bool).reshape(len(tags), len(slips))
    followed = np.asarray(can.any(axis=1))
    offset = np.abs([slip.offset for slip in slips])
    scale = np.array([tag.scale for tag in tags], dtype=np.float64)
    apart = np.where(can, offset, np.inf).min(axis=1, initial=np.inf) * scale

    def column(values: Iterable[float]) -> F64:
        return np.array(list(values), dtype=np.float64)

    return Limits(
        rate=column(rates),
        sigma=column(absolute for absolute, _ in uncertainties),
        share=column(relative for _, relative in uncertainties),
        stuck_us=np.array(stuck_us, dtype=np.int64),
        gap_us=traits_of(tags).gap_us,
        low=column(tag.low for tag in tags),
        high=column(tag.high for tag in tags),
        scale=scale,
        shift=column(tag.shift for tag in tags),
        slips=can,
        factor=column(slip.factor for slip in slips),
        offset=column(slip.offset for slip in slips),
        apart=np.where(followed, apart, 0.0),
        followed=followed,
        judged=followed | (column(rates) < np.inf) | (np.array(stuck_us) < FOREVER),
    )


def check_assessment(
    rows: list[tuple[Row, dict[str, Any]]], tags: Mapping[str, Tag], problems: list[str]
) -> None:
    """Add checks of tags that are no gauges or have one already, and rates that are none."""
    seen: dict[str, int] = {}
    for row, values in rows:
        address, place = values["tag"], f"park.toml:{row.line}: [[check]] {values['tag']}"
        tag = tags[address]
        if address in seen:
            problems.append(f"{place}: line {seen[address]} has it already")
        seen.setdefault(address, row.line)
        if tag.kind != "gauge":
            problems.append(f"{place}: it is a {tag.kind}; only a gauge can be checked")
        elif not {"rate", "stuck", "slip"} & values.keys():
            problems.append(f"{place}: needs rate, stuck or slip")
        if not values.get("stuck", 1.0) > 0:
            problems.append(f"{place}: stuck is not above 0")
        try:
            if "rate" in values and not parse_rate(values["rate"], tag.quantity) > 0:
                problems.append(f"{place}: rate is not above 0")
        except UomError as error:
            problems.append(f"{place}: rate: {error} ({error.hint})")


class _Slip(NamedTuple):
    """A slip, one way: the tag shows value * factor + offset."""

    factor: float
    offset: float
    quantities: tuple[str, ...]
    uom: str  # of the tags it happens to; empty: any

    def fits(self, tag: Tag) -> bool:
        """Return whether it can happen to a tag."""
        if tag.quantity not in self.quantities:
            return False
        return not self.uom or (tag.scale, tag.shift) == compile_uom(self.uom, tag.quantity)


def _slips() -> list[_Slip]:
    """Return the slips of the reference, each with its inverse."""
    found = []
    for row in load_reference("slips").values():
        factor, offset, where = row["scale"], row.get("shift", 0.0), tuple(row["quantities"])
        found.append(_Slip(factor, offset, where, row.get("from", "")))
        found.append(_Slip(1 / factor, -offset / factor, where, row.get("to", "")))
    return found
