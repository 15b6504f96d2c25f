"""Electrolysers whose chlorine is analysed: their current efficiency, moment by moment.

What cells make is their current times a current efficiency that ages. Where the model names an
analysis of the chlorine, that efficiency is computed with every step, and the product of the two,
the *effective current*, is a derived tag: its amount is the charge that made chlorine. So what
cells make stays a linear function of tags.

References
----------
.. [1] T. F. O'Brien, T. V. Bommaraju, F. Hine, Handbook of Chlor-Alkali Technology, Springer 2005,
   chapter 4: current efficiency by the analysis of gas and anolyte.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from twin import faraday
from twin import quality as q
from twin.arrays import F64, I64, U8, ratio
from twin.model.park import ANALYSED
from twin.reference import load as load_reference

if TYPE_CHECKING:
    from twin.model.park import Electrolyser, Park

# Roles of the derived tags of an electrolyser with an analysis.
CELL_ROLES = ("effective", "efficiency")


@dataclass(frozen=True, slots=True)
class AnalysedCells:
    """The C electrolysers with an analysis; tags are positions in the network, -1 = none."""

    current: I64  # (C,) measured, and
    effective: I64  # (C,) its part that makes chlorine
    analysis: I64  # (C, 5) tags of `ANALYSED`
    series: F64  # (C,) [1] cells in series
    usual: F64  # (C,) [1] current efficiency of the model

    def inputs(self, tags: I64) -> I64:
        """Return the places of the tags that some effective currents, of those given, follow."""
        rows = np.isin(self.effective, tags)
        inner = np.append(self.current[rows], self.analysis[rows])
        return np.unique(inner[inner >= 0])

    def among(self, tags: I64, columns: I64) -> AnalysedCells:
        """Return the electrolysers whose effective current is among some tags, over fewer columns.

        `columns` (c,) are the places of the tags that arrays have columns of, sorted.
        """
        rows = np.isin(self.effective, tags)
        analysis = self.analysis[rows]
        return AnalysedCells(
            current=np.searchsorted(columns, self.current[rows]),
            effective=self.effective[rows],
            analysis=np.where(analysis >= 0, np.searchsorted(columns, analysis), -1),
            series=self.series[rows],
            usual=self.usual[rows],
        )


class Analysis(NamedTuple):
    """What is known of the chlorine and of the anolyte of cells, (...) each; NaN = not known."""

    oxygen: F64  # [1] by volume of the dry gas
    hydrogen: F64  # [1] the same
    chlorate: F64  # [1] share of the current


def is_analysed(cell: Electrolyser) -> bool:
    """Return whether the model names an analysis of the chlorine of an electrolyser."""
    return bool(cell.oxygen)


def compile_cells(park: Park, index: dict[str, int]) -> AnalysedCells:
    """Return the analysed electrolysers; their effective currents follow the measured tags."""
    cells = [cell for cell in park.electrolysers if is_analysed(cell)]
    tags = [[index.get(getattr(cell, name), -1) for name in ANALYSED] for cell in cells]
    return AnalysedCells(
        current=np.array([index[cell.current] for cell in cells], np.int64),
        effective=len(park.tags) + np.arange(len(cells)),
        analysis=np.array(tags, np.int64).reshape(-1, len(ANALYSED)),
        series=np.array([float(cell.cells) for cell in cells]),
        usual=np.array([float(cell.current_efficiency) for cell in cells]),
    )


def analyse(cells: AnalysedCells, value: F64) -> Analysis:
    """Return the analysis of electrolysers by the values, or the means, of tags.

    Parameters
    ----------
    cells : AnalysedCells
        C electrolysers
    value : (..., T) float64 [SI]
        NaN = not known

    Returns
    -------
    Analysis
        arrays (..., C); what the model has no tag of counts as none

    Notes
    -----
    Chlorate made is what leaves with the anolyte less what came with the brine, as if the two had
    the same volume; its share of the current is that of six electrons a molecule [1]_.
    """
    oxygen, hydrogen, chlorate, fed, anolyte = (
        np.where(at >= 0, value[..., np.maximum(at, 0)], 0.0) for at in cells.analysis.T
    )
    made = (chlorate - fed) * anolyte
    charge = value[..., cells.current] * cells.series * faraday.mass_per_charge(faraday.CHLORATE)
    share = np.where(cells.analysis[:, 2] >= 0, ratio(made, charge), 0.0)
    return Analysis(oxygen, hydrogen, share)


def analysed_efficiency(analysis: Analysis) -> F64:
    """Return the current efficiency by an analysis of chlorine and anolyte.

    Parameters
    ----------
    analysis : Analysis
        arrays (...)

    Returns
    -------
    (...) float64 [1]
        NaN where an analysis is not known, or outside the limits of the reference table: then the
        sample is not that of the cells (air in its line, for example)

    Notes
    -----
    That of `twin.faraday.anode_efficiency`; chlorine is what oxygen and hydrogen leave of the gas.
    """
    oxygen, hydrogen, chlorate = analysis
    efficiency = faraday.anode_efficiency(oxygen, 1 - oxygen - hydrogen, chlorate)
    limits = load_reference("electrolysis")["plausible_efficiency"]
    plausible = (efficiency >= limits["low"]) & (efficiency <= limits["high"])
    return np.asarray(np.where(plausible, efficiency, np.nan))


def effective_current(cells: AnalysedCells, value: F64) -> tuple[F64, F64]:
    """Return the part of the current of electrolysers that makes chlorine.

    Parameters
    ----------
    cells : AnalysedCells
        C electrolysers
    value : (..., T) float64 [SI]
        values of the tags; NaN = not known

    Returns
    -------
    effective : (..., C) float64 [A]
        with the current efficiency of the model where no analysis is known
    efficiency : (..., C) float64 [1]
        by the analysis; NaN where none is known
    """
    efficiency = analysed_efficiency(analyse(cells, value))
    believed = np.where(np.isnan(efficiency), cells.usual, efficiency)
    return value[..., cells.current] * believed, efficiency


def cell_quality(cells: AnalysedCells, quality: U8, efficiency: F64) -> U8:
    """Return the quality of effective currents.

    Parameters
    ----------
    cells : AnalysedCells
        C electrolysers
    quality : (..., T) uint8
        of the tags
    efficiency : (..., C) float64 [1]
        as of `effective_current`

    Returns
    -------
    (..., C) uint8
        the worst of their tags; substituted where the efficiency of the model stands in
    """
    tags = np.column_stack([cells.current, cells.analysis])
    mark = np.where(tags >= 0, quality[..., tags], 0).astype(np.uint8)
    worst = np.maximum.reduce(mark & ~np.uint8(q.SIMULATED), axis=-1, initial=0)
    flag = np.bitwise_or.reduce(mark, axis=-1) & np.uint8(q.SIMULATED)
    substituted = np.uint8(q.UNCERTAIN | q.SUBSTITUTED)
    return np.asarray(np.where(np.isnan(efficiency), substituted, worst) | flag, dtype=np.uint8)


def effective_sums(
    cells: AnalysedCells, amount: F64, covered_s: F64, quality: U8
) -> tuple[F64, U8]:
    """Return the charge of effective currents over some time, and its quality.

    Parameters
    ----------
    cells : AnalysedCells
        C electrolysers
    amount, covered_s : (..., T) float64 [SI, s]
        sums of the tags; NaN = no value
    quality : (..., T) uint8
        of the tags

    Returns
    -------
    charge : (..., C) float64 [C]
        over the time its current is covered, at the mean efficiency
    quality : (..., C) uint8
    """
    effective, efficiency = effective_current(cells, ratio(amount, covered_s))
    charge = effective * covered_s[..., cells.current]
    return np.asarray(charge), cell_quality(cells, quality, efficiency)
