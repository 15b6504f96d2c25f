"""Electrolysers: current, voltage and production by the twin's Faraday's law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulators.process import disturbances
from twin.accounts.accounts import cell_factor
from twin.arrays import F64, I64
from twin.reconciliation.uncertainty import efficiency_uncertainty
from twin.reference import load as load_reference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from simulators.process.disturbances import Disturbances
    from twin.model.park import Electrolyser, Park

# Defaults of a simulation, not of a report: volts per cell at no current, and the rise at the rated
# current.
MEMBRANE_BASE_V, ZERO_GAP_V, FINITE_GAP_V = 2.42, 0.625, 0.85
POTLINE_BASE_V, POTLINE_V = 1.65, 2.32
SPREAD_V = 0.02  # between one electrolyser and the next
EFFICIENCY_MAX, SEEN_MAX = 0.995, 0.998
DISTURBANCE_V = 0.005
POTLINE_STEADINESS = 0.1  # A potline hardly follows the load of its site.


@dataclass(frozen=True, slots=True)
class Cells:
    """The electrolysers of a park, arrays over electrolysers (e)."""

    electrolysers: tuple[Electrolyser, ...]
    current_column: I64
    voltage_column: I64  # -1 where there is no tag
    temperature_column: I64  # the same
    usual_k: F64  # [K]
    owner: I64
    count: F64
    efficiency: F64  # the true one; the model has that of the last analysis
    hydrogen: F64  # the true one for hydrogen, which is 1 in the model
    dissolved: F64  # [1] chlorine that no analysis of the gas sees, over that in the model
    oxygen_columns: tuple[tuple[int, int, F64], ...]  # oxygen, hydrogen or -1, (e,) its cells
    steadiness: F64
    rated: F64  # [A]
    base: F64  # [V] per cell
    slope: F64  # [V] per cell at the rated current
    disturbance: Disturbances


def make_cells(
    park: Park,
    usual: F64,
    column: Mapping[str, int],
    owner_at: Callable[[str], int],
    rng: np.random.Generator,
) -> Cells:
    """Compile the electrolysers of a park.

    `usual` (t,) [SI] has the usual value of each tag, that of the current tag being the rated
    current; `column` the index of a tag's address, `owner_at` that of the owner of a scope.
    """
    cells = park.electrolysers
    potline = np.array([e.kind == "potline" for e in cells], dtype=bool)
    gap = np.array([ZERO_GAP_V if e.zero_gap else FINITE_GAP_V for e in cells])
    current = np.array([column[e.current] for e in cells], dtype=np.int64)
    spread = rng.uniform(-SPREAD_V, SPREAD_V, len(cells))
    disturbance = disturbances.make_disturbances(rng, len(cells))
    return Cells(
        electrolysers=cells,
        current_column=current,
        voltage_column=np.array([column.get(e.voltage, -1) for e in cells], dtype=np.int64),
        temperature_column=np.array([column.get(e.temperature, -1) for e in cells], np.int64),
        usual_k=usual[[column.get(e.temperature, 0) for e in cells]],
        owner=np.array([owner_at(e.scope) for e in cells], dtype=np.int64),
        count=np.array([float(e.cells) for e in cells]),
        efficiency=_efficiency(cells, rng),
        hydrogen=1 + efficiency_uncertainty("hydrogen")[0] * _common(cells, rng),
        dissolved=load_reference("electrolysis")["dissolved_chlorine"]["all"] * _common(cells, rng),
        oxygen_columns=_oxygen_columns(cells, column),
        steadiness=np.where(potline, POTLINE_STEADINESS, 1.0),
        rated=usual[current],
        base=np.where(potline, POTLINE_BASE_V, MEMBRANE_BASE_V) + spread,
        slope=np.where(potline, POTLINE_V, gap),
        disturbance=disturbance,
    )


def _oxygen_columns(
    cells: tuple[Electrolyser, ...], column: Mapping[str, int]
) -> tuple[tuple[int, int, F64], ...]:
    """Return the analysers of the chlorine: oxygen, hydrogen or -1, and which cells' gas it is."""
    columns = []
    for oxygen in dict.fromkeys(e.oxygen for e in cells if e.oxygen):
        mine = [e for e in cells if e.oxygen == oxygen]
        share = np.array([float(e.oxygen == oxygen) for e in cells])
        columns.append((column[oxygen], column.get(mine[0].hydrogen, -1), share))
    return tuple(columns)


def oxygen_in_chlorine(
    cells: Cells, current: F64, lost: F64 | float, mine: F64, hydrogen: F64 | float
) -> F64:
    """Return the oxygen in the gas of some cells together, (n,) [1] by volume.

    `current` (n, e) [A]; `lost` (n, e) [1] is subtracted from the current efficiency; `mine` (e,)
    is 1 for these cells, else 0; `hydrogen` (n,) [1] is in the gas as well.
    """
    weight = (np.abs(current) + 1e-9) * mine
    efficiency = ((cells.efficiency + cells.dissolved - lost) * weight).sum(axis=1)
    seen = np.minimum(efficiency / weight.sum(axis=1), SEEN_MAX)
    return np.asarray((1 - seen) / (1 + seen) * (1 - hydrogen))


def _efficiency(cells: tuple[Electrolyser, ...], rng: np.random.Generator) -> F64:
    """Return the true current efficiencies [1], (e,): those of one scope have aged alike."""
    known = np.array([e.current_efficiency for e in cells])
    common, own = efficiency_uncertainty("chlorine")
    aged = 1 + common * _common(cells, rng) + own * rng.standard_normal(len(cells))
    return np.asarray(np.minimum(known * aged, EFFICIENCY_MAX))


def _common(cells: tuple[Electrolyser, ...], rng: np.random.Generator) -> F64:
    """Return a normal deviate for each electrolyser, (e,), the same for all of one scope."""
    scopes = sorted({e.scope for e in cells})
    return np.asarray(rng.standard_normal(len(scopes))[[scopes.index(e.scope) for e in cells]])


def warmth(cells: Cells, values: F64) -> F64:
    """Return the voltage of each cell by its temperature, (n, e) [V], over the usual one.

    `values` (n, t) [SI] has the temperatures.
    """
    table = load_reference("electrolysis")["voltage_correction"]
    measured = cells.temperature_column >= 0
    above = values[:, np.maximum(cells.temperature_column, 0)] - cells.usual_k
    return np.asarray(np.where(measured, table["v_per_k"] * above, 0.0))


def electrolyse(
    cells: Cells, load: F64, time_s: F64, run: F64 | float = 1.0, added_v: F64 | float = 0.0
) -> tuple[F64, F64]:
    """Return current [A] and voltage [V], (n, e), at the load of each owner.

    `load` (n, o) [1] is relative to the usual load, `time_s` (n,) [s] of the week, `run` (n, e) [1]
    a further factor on the current, 0 = tripped, `added_v` (n, e) [V] a voltage per cell.
    """
    disturbance = disturbances.value(cells.disturbance, time_s)
    relative = (1 + cells.steadiness * (load[:, cells.owner] - 1 + 0.01 * disturbance)) * run
    voltage = cells.base + cells.slope * relative + DISTURBANCE_V * disturbance + added_v
    return cells.rated * relative, voltage * cells.count


def production(cells: Cells, current: F64, lost: F64 | float = 0.0) -> dict[str, F64]:
    """Return the production of each electrolyser by component, (n, e) [kg/s]; use is negative.

    `current` (n, e) [A]; `lost` (n, e) [1] is subtracted from the current efficiency.
    """
    known = np.array([e.current_efficiency for e in cells.electrolysers])
    ratio = (cells.efficiency - lost) / known
    factors = [cell_factor(e) for e in cells.electrolysers]
    made = {}
    for component in dict.fromkeys(c for factor in factors for c in factor):
        usual = current * np.array([factor.get(component, 0.0) for factor in factors])
        made[component] = usual * (cells.hydrogen if component == "hydrogen" else ratio)
    return made
