"""What goes out where no monitor measures it: by analyses, by factors, by what was reported.

A manual analysis stands from its time until the next one, no longer than it holds; its mass is its
concentration times the metered flow of that time. A factor is a mass by an activity that a tag
counts: tonnes through a tank farm, cubic metres of water. A report stands for days nothing else is
known of: those before the monitors were connected.

References
----------
.. [1] HJ 942-2018 and the specifications of the industries: actual emissions by manual monitoring,
   concentration times flow of each analysis; by factors where nothing is measured.
.. [2] JCGM 100:2008, Guide to the expression of uncertainty in measurement, 4.2 (the scatter of
   repeated observations) and G.3 (Student's distribution).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import F64, I64
from twin.emissions.outlets import OutletSpec
from twin.errors import UomError
from twin.model.rows import RowFault, cell, guess, sentence, table
from twin.targets.model import is_held, summed_quantity
from twin.targets.trend import student
from twin.uom import compile_uom, parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twin.model.park import Park, Tag

# One observation says nothing of its scatter.
OBSERVATIONS_MIN = 2


@table
class ManualAnalysis:
    """A pollutant of an outlet that people take samples of."""

    id: str = cell("text")
    outlet: str = cell("text")
    pollutant: str = cell("text")
    concentration: str = cell("tag concentration")
    holds_s: float = cell("duration", key="holds")  # how long one stands without another
    verified: bool = cell("flag", default=False)
    source: str = cell("any", default="")


@table
class EmissionFactor:
    """A pollutant by an activity, like ``0.12 kg/t`` of what a tag counts."""

    id: str = cell("text")
    scope: str = cell("scope")
    pollutant: str = cell("text")
    activity: str = cell("tag")
    factor: str = cell("text")
    source: str = cell("any")
    outlet: str = cell("text", default="")
    sigma: float = cell("quantity fraction", default=np.nan)  # of the factor; NaN = not known
    verified: bool = cell("flag", default=False)


@table
class EmissionReport:
    """A mass of a pollutant as reports of the permit state it: a tag of the books, or a counter."""

    id: str = cell("text")
    scope: str = cell("scope")
    pollutant: str = cell("text")
    tag: str = cell("tag mass*")
    outlet: str = cell("text", default="")  # whose monitor or analysis it stands in for
    verified: bool = cell("flag", default=False)
    source: str = cell("any", default="")


def calculated(park: Park) -> list[EmissionFactor | EmissionReport]:
    """Return what a tag of an amount tells of: factors, then reports."""
    return [*park.rows(EmissionFactor), *park.rows(EmissionReport)]


def mass_per_amount(row: EmissionFactor, tag: Tag) -> float:
    """Return a factor by the amount of its tag.

    Parameters
    ----------
    row : EmissionFactor
    tag : Tag
        that of the activity

    Returns
    -------
    float [kg/SI]

    Raises
    ------
    UomError
        it is no mass over an amount of the tag
    """
    upper, _, lower = row.factor.rpartition("/")
    return parse_quantity(upper, "mass") / compile_uom(lower.strip(), summed_quantity(tag))[0]


def standing(time_us: I64, holds_s: float, at_us: I64) -> I64:
    """Return which analysis stands at some times.

    Parameters
    ----------
    time_us : (n,) int64 [µs]    of the analyses, sorted
    holds_s : float [s]          how long one stands without another
    at_us : (H,) int64 [µs]

    Returns
    -------
    (H,) int64                   -1 = none
    """
    last = np.searchsorted(time_us, at_us, "right") - 1
    age_us = at_us - time_us[last] if len(time_us) else np.zeros(len(at_us))
    return np.asarray(np.where((last >= 0) & (age_us < holds_s * 1e6), last, -1))


def scatter_half_width(value: F64, load: F64) -> F64:
    """Return half the 95 % intervals of sums of loads, by the scatter of the analyses [2]_.

    Parameters
    ----------
    value : (n,) float64 [u]       the analyses
    load : (W, n) float64 [v]      by what each is multiplied in each sum; 0 = has no part in it

    Returns
    -------
    (W,) float64 [u v]             NaN of fewer than two analyses

    Notes
    -----
    What the concentration did between two samples is not known: one sample stands for its time with
    the scatter that the samples have among each other, and the errors of two are independent.
    """
    n = len(value)
    if n < OBSERVATIONS_MIN:
        return np.full(len(load), np.nan)
    return np.asarray(student(n - 1) * value.std(ddof=1) * np.sqrt((load**2).sum(axis=1)))


def check_releases(park: Park) -> Iterator[RowFault]:
    """Yield analyses without an outlet that has a flow, and factors of what no tag counts."""
    tags = {tag.address: tag for tag in park.tags}
    outlets = {row.id: row for row in park.rows(OutletSpec)}
    for analysis in park.rows(ManualAnalysis):
        outlet = outlets.get(analysis.outlet)
        if outlet is None:
            close = guess(analysis.outlet, outlets)
            yield RowFault(analysis, f"there is no outlet {analysis.outlet!r}{close}", "outlet")
        elif analysis.pollutant in outlet.pollutants:
            text = f"{analysis.pollutant} has a monitor at {analysis.outlet!r}"
            yield RowFault(analysis, text, "pollutant")
        elif not outlet.flow or (
            outlet.kind == "stack" and tags[outlet.flow].quantity != "normal_volume_flow"
        ):
            text = f"{analysis.outlet!r} has no flow of water, or of dry gas in the reference state"
            yield RowFault(analysis, text, "outlet")
    for row in calculated(park):
        if row.outlet and row.outlet not in outlets:
            close = guess(row.outlet, outlets)
            yield RowFault(row, f"there is no outlet {row.outlet!r}{close}", "outlet")
    for factor in park.rows(EmissionFactor):
        tag = tags[factor.activity]
        if tag.kind == "state" or is_held(tag):
            text = f"a {tag.kind} of {tag.quantity} adds up to no amount"
            yield RowFault(factor, text, "activity")
            continue
        try:
            mass_per_amount(factor, tag)
        except UomError as error:
            text = f"is no mass over an amount, like 0.12 kg/t: {sentence(error)}"
            yield RowFault(factor, text, "factor")
