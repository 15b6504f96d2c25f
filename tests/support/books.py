"""The books of a simulated park: what comes in, goes out and is kept at every place."""

from collections import defaultdict
from dataclasses import replace

from twin import faraday
from twin.reference import load as load_reference

SALT_PER_CHLORINE = 2 * (22.98976928 + 35.453) / 70.906  # 2 NaCl + 2 H2O -> 2 NaOH + Cl2 + H2


def true_electrolysers(cells):
    """Return the electrolysers as they are, for a model that knows the truth."""
    pairs = zip(cells.electrolysers, cells.efficiency.tolist(), strict=True)
    known = {"oxygen": "", "hydrogen": ""}  # What is known need not be analysed.
    return tuple(replace(e, current_efficiency=efficiency, **known) for e, efficiency in pairs)


def made_by_cells(process, column, truth):
    made = defaultdict(float)
    cells = process.plant.cells
    for cell, hydrogen in zip(true_electrolysers(cells), cells.hydrogen, strict=True):
        current = truth.values[:, column[cell.current]]
        charge = current * cell.cells * cell.current_efficiency
        if cell.kind == "membrane":
            products = {
                "chlorine": charge * faraday.mass_per_charge(faraday.CL2),
                "caustic": charge * faraday.mass_per_charge(faraday.NAOH),
                "hydrogen": current * cell.cells * faraday.mass_per_charge(faraday.H2) * hydrogen,
            }
            products["sodium_chloride"] = -SALT_PER_CHLORINE * products["chlorine"]
        else:
            products = {"aluminium": charge * faraday.mass_per_charge(faraday.AL)}
        for component, rate in products.items():
            made[cell.scope, component] += rate
    return made


def node_books(process, column, truth):
    """Return inflow, outflow and accumulation by (scope, component), kg/s."""
    park = process.plant.park
    media = load_reference("media")
    into, out, kept = defaultdict(float), defaultdict(float), defaultdict(float)
    for i, stream in enumerate(park.streams):
        for component, fraction in media[stream.medium]["component"].items():
            into[stream.to, component] += truth.flow[:, i] * fraction
            out[stream.origin, component] += truth.flow[:, i] * fraction
    for k, tank in enumerate(park.tanks):
        for component, fraction in media[tank.medium]["component"].items():
            kept[tank.scope, component] += truth.accumulation[:, k] * fraction
    for key, rate in made_by_cells(process, column, truth).items():
        into[key] += rate
    return into, out, kept
