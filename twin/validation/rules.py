"""Limits of validation: rows of ``[[check]]`` and the ranges of the tags, compiled to arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from twin.arrays import BOOL, F64, FOREVER, I64
from twin.errors import UomError
from twin.model.rows import RowFault, cell, sentence, table
from twin.reconciliation.uncertainty import tag_uncertainty
from twin.reference import load as load_reference
from twin.series.traits import traits_of
from twin.uom import compile_uom, parse_rate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from twin.model.park import Park, Tag


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


@table
class CheckSpec:
    """The checks of the samples of one gauge."""

    tag: str = cell("tag")
    rate: str = cell("text", default="")  # fastest change, as a text: its uom is of the tag
    stuck_s: float = cell("quantity time", key="stuck", default=np.inf)
    unit_error: bool | None = cell("flag", default=None)  # None: as by default


def compile_limits(rows: Iterable[CheckSpec], tags: Sequence[Tag]) -> ValidationLimits:
    """Return the limits of tags; every measured gauge is checked for unit errors by default.

    Parameters
    ----------
    rows
        of ``[[check]]``
    tags
        T tags; rows of tags that are not among them are left out

    Returns
    -------
    ValidationLimits
    """
    checks = {row.tag: row for row in rows}
    own = [checks.get(tag.address, CheckSpec(tag.address)) for tag in tags]
    gauge = [tag.kind == "gauge" and tag.source == "measured" for tag in tags]
    errors = _unit_errors()
    rates = [
        parse_rate(row.rate, tag.quantity) if row.rate else np.inf
        for row, tag in zip(own, tags, strict=True)
    ]
    wanted = [g and row.unit_error is not False for g, row in zip(gauge, own, strict=True)]
    uncertainties = [
        tag_uncertainty(tag) if rate < np.inf else (0.0, 0.0)
        for tag, rate in zip(tags, rates, strict=True)
    ]
    stuck_us = [round(row.stuck_s * 1e6) if row.stuck_s < np.inf else FOREVER for row in own]
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


def check_validation(park: Park) -> Iterator[RowFault]:
    """Yield checks of tags that are no gauges or have one already, and rates that are none."""
    tags = {tag.address: tag for tag in park.tags}
    for row in park.rows(CheckSpec):
        tag = tags[row.tag]
        if tag.kind != "gauge":
            yield RowFault(row, f"it is a {tag.kind}; only a gauge can be checked")
        elif not row.rate and row.stuck_s == np.inf and row.unit_error is None:
            yield RowFault(row, "needs rate, stuck or unit_error")
        if not row.stuck_s > 0:
            yield RowFault(row, "stuck is not above 0")
        try:
            if row.rate and not parse_rate(row.rate, tag.quantity) > 0:
                yield RowFault(row, "rate is not above 0")
        except UomError as error:
            yield RowFault(row, sentence(error), "rate")


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
