"""A small chlor-alkali site whose flows close exactly, for what-ifs that can be checked by hand.

Chlorine [t/h]: 40 made; 15 to the synthesis of hydrogen chloride, 10 as gas to EDC, 15 liquefied;
8 of the liquid go back to EDC as vapour, 7 are sold by road. The tanks stand still.
"""

import numpy as np

from tests.support.data import data_park
from twin import faraday
from twin.accounts.network import compile_network
from twin.loading import parse_park
from twin.scenario.initial_state import find_initial_state
from twin.scenario.network import compile_supply

T_H = 1000 / 3600  # kg/s
HOUR = 3600.0
H2_PER_CL2 = faraday.H2[0] / faraday.CL2[0] / 0.96
HCL_PER_CL2 = (faraday.CL2[0] + faraday.H2[0]) / faraday.CL2[0]
LYE = 40 * 2 * faraday.NAOH[0] / faraday.CL2[0]
HYDROGEN = 40 * H2_PER_CL2
# Flows of the component [t/h], levels [m] and power [W].
FLOWS = {
    "main": 40, "gas-hcl": 15, "gas-edc": 10, "to-liquefaction": 15, "liquid": 15,
    "to-vaporiser": 8, "vapour-edc": 8, "sold": 7, "h2-main": HYDROGEN,
    "h2-hcl": 15 * H2_PER_CL2 * 0.96, "h2-boilers": 0.5,
    "h2-vent": HYDROGEN - 15 * H2_PER_CL2 * 0.96 - 0.5, "hcl-made": 15 * HCL_PER_CL2,
    "hcl-vcm": 15 * HCL_PER_CL2 - 3, "hcl-acid": 3, "acid-sold": 3, "lye-main": LYE,
    "lye-alumina": 20, "lye-sold": LYE - 20,
}  # fmt: skip
LEVELS = {"V-1": 5.0, "V-2": 6.0, "V-9": 0.1, "V-3": 5.0, "V-4": 5.0}
POWER = {"JI-1": 100e6, "JI-2": 8e6, "JI-3": 1e6}
SHARE = {"hydrochloric_acid_31": 0.31, "caustic_32": 0.32}
FILL = 0.8
CURRENT = 20 * T_H / (100 * 0.96 * faraday.mass_per_charge(faraday.CL2))  # A of each of two
FILES = data_park("supply")


def supply_of(old="", new=""):
    """Return the supply network of the site with another text in its park.toml."""
    files = FILES | {"park.toml": FILES["park.toml"].replace(old, new)}
    return compile_supply(compile_network(parse_park(files)))


def supply_with(*streams):
    """Return the site with more streams of (id, from, to, medium), each with a meter."""
    toml, csv = FILES["park.toml"], FILES["tags.csv"]
    for name, origin, to, medium in streams:
        toml += f'[[stream]]\nid = "{name}"\nfrom = "{origin}"\nto = "{to}"\n'
        toml += f'medium = "{medium}"\nmode = "pipe"\nflow = "a/FI-{name}"\n'
        csv += f"FI-{name},w/a,mass_flow,t/h,gauge,0,500,1 %,{name}\n"
    return compile_supply(compile_network(parse_park({"park.toml": toml, "tags.csv": csv})))


def without_absorber():
    toml = FILES["park.toml"]
    return supply_of(toml[toml.index("[[absorber]]") : toml.index("[[meter]]")])


def readings(supply, **changes):
    """Return rates and values of the tags in SI; changes by tag, dashes as underscores."""
    displayed = {
        stream.flow.partition("/")[2]: FLOWS.get(stream.id, 0) / SHARE.get(stream.medium, 1) * T_H
        for stream in supply.network.park.streams
    }
    displayed |= {"II-1": CURRENT, "II-2": CURRENT, **POWER}
    displayed |= {f"LI-{tank}": level for tank, level in LEVELS.items()}
    displayed |= {name.replace("_", "-"): value for name, value in changes.items()}
    value = np.array([displayed.get(tag.tag, np.nan) for tag in supply.network.tags])
    return value, value


def start_of(supply, **changes):
    return find_initial_state(supply, *readings(supply, **changes))


SUPPLY = supply_of()
START = start_of(SUPPLY)
TANKS = {tank.id: tank for tank in SUPPLY.network.park.tanks}


def node(component, unit, supply=SUPPLY):
    return supply.nodes.index((component, f"w/a/{unit}"))


def line(stream, supply=SUPPLY):
    return [each.id for each in supply.lines].index(stream)


def residual(supply, course, step_s):
    """Return the worst imbalance of any node and step, and of any tanks, over the largest flow."""
    worst = 0.0
    for m, tanks in enumerate(supply.tanks):
        into = [s for s, edge in enumerate(supply.edges) if edge.to == m]
        out = [s for s, edge in enumerate(supply.edges) if edge.origin == m]
        net = course.line[..., into].sum(-1) - course.line[..., out].sum(-1) - course.stock[..., m]
        net -= course.vented[..., m] + course.absorbed[..., m]
        scale = max(np.nanmax(course.line[..., into + out]), 1e-9)
        worst = max(worst, np.nanmax(np.abs(net)) / scale)
        if len(tanks):
            mass = course.mass[..., tanks].sum(-1)
            moved = np.diff(mass, axis=-1) - course.stock[..., m] * step_s
            worst = max(worst, np.nanmax(np.abs(moved)) / max(np.nanmax(mass), 1e-9))
    return worst
