"""Limits of validation: rows of ``[[check]]`` and the ranges of the tags, compiled to arrays."""

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
class ValidationLimits:
    """Limits of T tags, and F errors of the unit of measure."""

    rate: F64  # (T,) [SI/s] fastest change; inf = any
    sigma: F64  # (T,) [SI] standard uncertainty of a value,
    share: F64  # (T,) [1] or of a value as a share of it
    stuck_us: I64  # (T,) longest time without a change; FOREVER = any
    gap_us: I64  # (T,) how long a value holds
    low: F64  # (T,) [SI] range; NaN = none
    high: F64  # (T,)
    scale: F64  # (T,) value [SI] = value [own uom] * scale + shift
    shift: F64  # (T,)
    possible: BOOL  # (T, F) which unit errors can happen to a tag
    factor: F64  # (F,) a unit error turns a value [own uom] into value * factor + offset
    offset: F64  # (F,)
    apart: F64  # (T,) [SI] least offset of the unit errors that can happen to it
    followed: BOOL  # (T,) whether any unit error can happen to it
    validated: BOOL  # (T,) whether anything is checked


def compile_limits(rows: Iterable[dict[str, Any]], tags: Sequence[Tag]) -> ValidationLimits:
    """Return the limits of tags; every measured gauge is checked for unit errors by default.

    Parameters
    ----------
    rows
        checked rows of ``[[check]]``
    tags
        T tags; rows of tags that are not among them are left out

    Returns
    -------
    ValidationLimits
    """
    checks = {row["tag"]: row for row in rows}
    own = [checks.get(tag.address, {}) for tag in tags]
    gauge = [tag.kind == "gauge" and tag.source == "measured" for tag in tags]
    errors = _unit_errors()
    rates = [
        parse_rate(row["rate"], tag.quantity) if "rate" in row else np.inf
        for row, tag in zip(own, tags, strict=True)
    ]
    wanted = [g and row.get("unit_error", True) for g, row in zip(gauge, own, strict=True)]
    uncertainties = [
        tag_uncertainty(tag) if rate < np.inf else (0.0, 0.0)
        for tag, rate in zip(tags, rates, strict=True)
    ]
    stuck_us = [round(row["stuck"] * 1e6) if "stuck" in row else FOREVER for row in own]
    fits = [
        [w and error.fits(tag) for error in errors] for tag, w in zip(tags, wanted, strict=True)
    ]
    possible = np.array(fits, dtype=bool).reshape(len(tags), len(errors))
    followed = np.asarray(possible.any(axis=1))
    offset = np.abs([error.offset for error in errors])
    scale = np.array([tag.scale for tag in tags], dtype=np.float64)
    apart = np.where(possible, offset, np.inf).min(axis=1, initial=np.inf) * scale

    def column(values: Iterable[float]) -> F64:
        return np.array(list(values), dtype=np.float64)

    return ValidationLimits(
        rate=column(rates),
        sigma=column(absolute for absolute, _ in uncertainties),
        share=column(relative for _, relative in uncertainties),
        stuck_us=np.array(stuck_us, dtype=np.int64),
        gap_us=traits_of(tags).gap_us,
        low=column(tag.low for tag in tags),
        high=column(tag.high for tag in tags),
        scale=scale,
        shift=column(tag.shift for tag in tags),
        possible=possible,
        factor=column(error.factor for error in errors),
        offset=column(error.offset for error in errors),
        apart=np.where(followed, apart, 0.0),
        followed=followed,
        validated=followed | (column(rates) < np.inf) | (np.array(stuck_us) < FOREVER),
    )


def check_assessment(
    rows: list[tuple[Row, dict[str, Any]]], tags: Mapping[str, Tag], problems: list[str]
) -> None:
    """Add checks of tags that are no gauges or have one already, and rates that are none."""
    seen: dict[str, int] = {}
    for row, values in rows:
        address, label = values["tag"], f"park.toml:{row.line}: [[check]] {values['tag']}"
        tag = tags[address]
        if address in seen:
            problems.append(f"{label}: line {seen[address]} has it already")
        seen.setdefault(address, row.line)
        if tag.kind != "gauge":
            problems.append(f"{label}: it is a {tag.kind}; only a gauge can be checked")
        elif not {"rate", "stuck", "unit_error"} & values.keys():
            problems.append(f"{label}: needs rate, stuck or unit_error")
        if not values.get("stuck", 1.0) > 0:
            problems.append(f"{label}: stuck is not above 0")
        try:
            if "rate" in values and not parse_rate(values["rate"], tag.quantity) > 0:
                problems.append(f"{label}: rate is not above 0")
        except UomError as error:
            problems.append(f"{label}: rate: {error} ({error.hint})")


class _UnitError(NamedTuple):
    """A unit error in one direction: the tag shows value * factor + offset."""

    factor: float
    offset: float
    quantities: tuple[str, ...]
    uom: str  # of the tags it happens to; empty: any

    def fits(self, tag: Tag) -> bool:
        """Return whether it can happen to a tag."""
        if tag.quantity not in self.quantities:
            return False
        return not self.uom or (tag.scale, tag.shift) == compile_uom(self.uom, tag.quantity)


def _unit_errors() -> list[_UnitError]:
    """Return the unit errors of the reference, each with its inverse."""
    errors = []
    for row in load_reference("unit_errors").values():
        factor, offset, quantities = row["scale"], row.get("shift", 0.0), tuple(row["quantities"])
        errors.append(_UnitError(factor, offset, quantities, row.get("from", "")))
        inverse = 1 / factor, (0.0 - offset) / factor
        errors.append(_UnitError(*inverse, quantities, row.get("to", "")))
    return errors
