"""Waste heat: what carries it, down to which temperature it counts, and where it is recovered.

References
----------
.. [1] GB/T 1028-2018, Terms, classification and grades of industrial waste heat, and calculation of
   its amount: the heat above a stated lower limit of the temperature of what carries it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isnan
from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import BOOL, F64, I64
from twin.model.park import AMOUNTS, ENERGY, FLOWS, inside
from twin.model.rows import RowFault, cell, table
from twin.reference import load as load_reference
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from twin.model.park import Park

NAN = float("nan")


@table
class HeatCutOff:
    """The table ``[[heat_cut_off]]``: the temperature above which waste heat of a scope counts."""

    scope: str = cell("scope")
    temperature: float = cell("quantity temperature")
    dated: date | None = cell("date", default=None)
    clause: str = cell("any", default="")
    confidence: str = cell("text", default="")
    verified: bool = cell("flag", default=False)
    source: str = cell("any", default="")
    note: str = cell("any", default="")


@table
class WasteHeat:
    """The table ``[[waste_heat]]``: a flow that carries heat away, or a meter of such heat.

    `temperature` gives the level, and counts while its tag is silent. `recovered` has streams of
    steam, or tags of power or energy.
    """

    id: str = cell("text")
    scope: str = cell("scope")
    name: dict[str, str] = cell("name")
    flow: str = cell(f"tag {FLOWS} {ENERGY}")
    temperature: float = cell("quantity temperature")
    temperature_tag: str = cell("tag temperature", default="")
    heat_capacity: float = cell("quantity heat_capacity", default=NAN)
    density: float = cell("quantity density", default=NAN)  # of normal cubic metres where a gas
    recovered: tuple[str, ...] = cell("texts", default=())
    source: str = cell("any", default="")
    note: str = cell("any", default="")


@dataclass(frozen=True, slots=True)
class WarmContent:
    """Heat above the cut-off in a unit of what carries it; place of its tag, -1 = none."""

    heat_capacity: float  # [J/(SI K)]
    temperature: float  # [K] nominal
    cut_off: float  # [K]
    tag: int

    @property
    def tags(self) -> tuple[int, ...]:
        """The place of its tag."""
        return (self.tag,) if self.tag >= 0 else ()

    def moved(self, column_of: Mapping[int, int]) -> WarmContent:
        """Return the same where its tag has another place."""
        return replace(self, tag=column_of.get(self.tag, -1))

    @property
    def edges_us(self) -> tuple[int, ...]:
        """When it changes by itself: never."""
        return ()

    def at(self, time_us: I64, mean: F64) -> tuple[F64, BOOL]:
        """Return heat [J/SI], (...), none below the cut-off [1]_, and where it is nominal.

        `mean` (..., T) [SI] has the values of the tags, NaN = not known; the time is indifferent.
        """
        known = mean[..., self.tag] if self.tag >= 0 else np.asarray(self.temperature)
        lost = np.isnan(known)
        above = np.where(lost, self.temperature, known) - self.cut_off
        value = self.heat_capacity * np.maximum(above, 0.0)
        return np.broadcast_to(value, np.shape(time_us)), lost


def cut_off_of(park: Park, scope: str) -> HeatCutOff | None:
    """Return the cut-off that holds in a scope: that of the innermost scope around it, or None."""
    around = [row for row in park.rows(HeatCutOff) if inside(scope, row.scope)]
    return max(around, key=lambda row: row.scope.count("/"), default=None)


def level_of(temperature: float) -> str:
    """Return the temperature level of waste heat: the first of the table that it lies below.

    Parameters
    ----------
    temperature : float [K]

    Returns
    -------
    str
        a row of ``waste_heat.toml``
    """
    levels: dict[str, dict[str, str]] = load_reference("waste_heat")["level"]
    *lower, highest = levels
    limits = ((name, parse_quantity(levels[name]["below"], "temperature")) for name in lower)
    return next((name for name, limit in limits if temperature < limit), highest)


def warm_content(park: Park, index: Mapping[str, int], row: WasteHeat) -> WarmContent | None:
    """Return the heat in a unit of what carries waste heat; None where its meter counts the heat.

    Parameters
    ----------
    park : Park
    index : mapping of str to int   places of the tags
    row : WasteHeat                 of this park, inside a cut-off

    Returns
    -------
    WarmContent or None
    """
    cut_off = cut_off_of(park, row.scope)
    if isnan(row.heat_capacity) or cut_off is None:
        return None
    quantity = park.tags[index[row.flow]].quantity
    mass = AMOUNTS.get(quantity, quantity) == "mass"
    capacity = row.heat_capacity * (1.0 if mass else row.density)
    tag = index.get(row.temperature_tag, -1)
    return WarmContent(capacity, row.temperature, cut_off.temperature, tag)


def check_waste_heat(park: Park) -> Iterator[RowFault]:
    """Yield what waste heat lacks to be counted, or says twice."""
    quantities = {tag.address: AMOUNTS.get(tag.quantity, tag.quantity) for tag in park.tags}
    taken = {meter.tag for meter in park.meters if meter.basis != "DC"}
    taken |= {stream.flow for stream in park.streams if stream.medium == "steam"}
    for row in park.rows(WasteHeat):
        cut_off = cut_off_of(park, row.scope)
        if cut_off is None:
            yield RowFault(row, "needs a [[heat_cut_off]] of its scope, or of one above it")
        elif not row.temperature > cut_off.temperature:
            yield RowFault(
                row, f"is not above the cut-off of {cut_off.scope}: nothing counts", "temperature"
            )
        yield from _check_flow(row, quantities[row.flow])
        if row.flow in taken:
            yield RowFault(row, "its heat is counted already: by a meter, steam or another", "flow")
        taken.add(row.flow)


def _check_flow(row: WasteHeat, amount: str) -> Iterator[RowFault]:
    """Yield what a flow of an amount lacks to be heat, or has although it is heat."""
    stated = not isnan(row.heat_capacity)
    if amount == "energy" and (stated or row.temperature_tag):
        yield RowFault(
            row, "its flow is heat already; heat_capacity and temperature_tag say it again", "flow"
        )
    elif amount != "energy" and not stated:
        yield RowFault(row, "needs heat_capacity to make heat of its flow")
    elif amount not in ("energy", "mass") and isnan(row.density):
        yield RowFault(row, "needs density: its flow is a volume")
