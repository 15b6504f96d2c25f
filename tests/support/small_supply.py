"""A small chlor-alkali site whose flows close exactly, for what-ifs that can be checked by hand.

Chlorine [t/h]: 40 made; 15 to the synthesis of hydrogen chloride, 10 as gas to EDC, 15 liquefied;
8 of the liquid go back to EDC as vapour, 7 are sold by road. The tanks stand still.
"""

import numpy as np

from twin import faraday
from twin.accounts.network import compile_network
from twin.loading import parse_park
from twin.scenario.initial_state import find_initial_state
from twin.scenario.network import compile_supply

T_H = 1000 / 3600  # kg/s
HOUR = 3600.0
PLANTS = ("chlor", "hcl", "edc", "vcm", "alumina", "boilers")
UNITS = ("chlor/cells", "chlor/header", "chlor/liquefaction", "chlor/farm", "chlor/vaporiser",
         "chlor/scrubber", "chlor/h2", "chlor/lye", "hcl/synthesis", "hcl/header",
         "hcl/acid")  # fmt: skip
KINDS = (
    dict.fromkeys(("w/a", "w/b"), "enterprise")
    | {f"w/a/{plant}": "plant" for plant in PLANTS}
    | {f"w/a/{unit}": "unit" for unit in UNITS}
)
H2_PER_CL2 = faraday.H2[0] / faraday.CL2[0] / 0.96
HCL_PER_CL2 = (faraday.CL2[0] + faraday.H2[0]) / faraday.CL2[0]
LYE = 40 * 2 * faraday.NAOH[0] / faraday.CL2[0]
HYDROGEN = 40 * H2_PER_CL2
# stream: from, to, medium, mode, tag, t/h of the component, range of the meter over it
STREAMS = {
    "main": ("chlor/cells", "chlor/header", "chlorine", "pipe", 40, 2),
    "gas-hcl": ("chlor/header", "hcl/synthesis", "chlorine", "pipe", 15, 2),
    "gas-edc": ("chlor/header", "edc", "chlorine", "pipe", 10, 1.2),
    "to-liquefaction": ("chlor/header", "chlor/liquefaction", "chlorine", "pipe", 15, 1.8),
    "liquid": ("chlor/liquefaction", "chlor/farm", "liquid_chlorine", "pipe", 15, 1.8),
    "to-vaporiser": ("chlor/farm", "chlor/vaporiser", "liquid_chlorine", "pipe", 8, 2),
    "vapour-edc": ("chlor/vaporiser", "edc", "chlorine", "pipe", 8, 2),
    "sold": ("chlor/farm", "market", "liquid_chlorine", "road", 7, 2),
    "h2-main": ("chlor/cells", "chlor/h2", "hydrogen", "pipe", HYDROGEN, 2),
    "h2-hcl": ("chlor/h2", "hcl/synthesis", "hydrogen", "pipe", 15 * H2_PER_CL2 * 0.96, 2),
    "h2-boilers": ("chlor/h2", "boilers", "hydrogen", "pipe", 0.5, 2),
    "h2-vent": ("chlor/h2", "atmosphere", "hydrogen", "vent",
                HYDROGEN - 15 * H2_PER_CL2 * 0.96 - 0.5, 2),
    "hcl-made": ("hcl/synthesis", "hcl/header", "hydrogen_chloride", "pipe", 15 * HCL_PER_CL2, 2),
    "hcl-vcm": ("hcl/header", "vcm", "hydrogen_chloride", "pipe", 15 * HCL_PER_CL2 - 3, 2),
    "hcl-acid": ("hcl/header", "hcl/acid", "hydrogen_chloride", "pipe", 3, 2),
    "acid-sold": ("hcl/acid", "market", "hydrochloric_acid_31", "road", 3, 2),
    "lye-main": ("chlor/cells", "chlor/lye", "caustic_32", "pipe", LYE, 2),
    "lye-alumina": ("chlor/lye", "alumina", "caustic_32", "pipe", 20, 2),
    "lye-sold": ("chlor/lye", "market", "caustic_32", "rail", LYE - 20, 2),
}  # fmt: skip
SHARE = {"hydrochloric_acid_31": 0.31, "caustic_32": 0.32}
# tank: unit, medium, diameter, height, density, level, spare
TANKS = {
    "V-1": ("chlor/farm", "liquid_chlorine", 4, 10, 1425, 5.0, False),
    "V-2": ("chlor/farm", "liquid_chlorine", 4, 10, 1425, 6.0, False),
    "V-9": ("chlor/farm", "liquid_chlorine", 4, 10, 1425, 0.1, True),
    "V-3": ("hcl/acid", "hydrochloric_acid_31", 8, 10, 1155, 5.0, False),
    "V-4": ("chlor/lye", "caustic_32", 14, 10, 1340, 5.0, False),
}
FILL = 0.8
CURRENT = 20 * T_H / (100 * 0.96 * faraday.mass_per_charge(faraday.CL2))  # A of each of two
POWER = {"JI-1": ("w/a/chlor", 100e6), "JI-2": ("w/a/vcm", 8e6), "JI-3": ("w/a/boilers", 1e6)}


def place(name):
    return name if name in ("market", "atmosphere") else f"w/a/{name}"


def row(table, **columns):
    return f"[[{table}]]\n" + "".join(f"{key} = {value}\n" for key, value in columns.items())


def quoted(text):
    return f'"{text}"'


def toml(*, absorber=True):
    name = '{zh = "示例", en = "Demo"}'
    parts = [
        row("park", id='"w"', kind='"park"', name=name, timezone='"Asia/Shanghai"').replace(
            "[[park]]", "[park]"
        )
    ]
    parts += [row("scope", id=quoted(s), kind=quoted(k), name=name) for s, k in KINDS.items()]
    parts += [
        row(
            "electrolyser", id=quoted(f"E-{n}"), scope='"w/a/chlor/cells"', kind='"membrane"',
            cells=100, current=quoted(f"a/II-{n}"), current_efficiency=0.96,
        )
        for n in (1, 2)
    ]  # fmt: skip
    for stream, (origin, to, medium, mode, _, _) in STREAMS.items():
        ends = {"from": quoted(place(origin)), "to": quoted(place(to))}
        parts.append(
            row("stream", id=quoted(stream), **ends, medium=quoted(medium), mode=quoted(mode),
                flow=quoted(f"a/FI-{stream}"))
        )  # fmt: skip
    for tank, (unit, medium, diameter, length, density, _, spare) in TANKS.items():
        parts.append(
            row("tank", id=quoted(tank), scope=quoted(place(unit)), medium=quoted(medium),
                level=quoted(f"a/LI-{tank}"), shape='"vertical_cylinder"',
                diameter=quoted(f"{diameter} m"), length=quoted(f"{length} m"),
                density=quoted(f"{density} kg/m^3"), fill_limit=FILL, spare=str(spare).lower())
        )  # fmt: skip
    if absorber:
        parts.append(
            row("absorber", id='"scrub"', scope='"w/a/chlor/scrubber"', tank='"V-4"',
                chlorine='"a/FI-main"')
        )  # fmt: skip
    parts += [
        row("meter", scope=quoted(scope), carrier='"electricity"', tag=quoted(f"a/{tag}"))
        for tag, (scope, _) in POWER.items()
    ]
    return "\n".join(parts)


def csv():
    lines = ["tag,scope,quantity,uom,kind,low,high,sigma,description"]
    lines += [f"II-{n},w/a/chlor/cells,current,kA,gauge,0,300,0.2 %,current" for n in (1, 2)]
    for stream, (_, _, medium, _, flow, over) in STREAMS.items():
        high = flow / SHARE.get(medium, 1) * over
        lines.append(f"FI-{stream},w/a,mass_flow,t/h,gauge,0,{high},1 %,{stream}")
    lines += [f"LI-{tank},w/a,level,m,gauge,0,10,0.005,level" for tank in TANKS]
    lines += [
        f"{tag},{scope},power,MW,gauge,0,500,0.5 %,power" for tag, (scope, _) in POWER.items()
    ]
    return "\n".join(lines) + "\n"


def supply_of(*, absorber=True):
    files = {"park.toml": toml(absorber=absorber), "tags.csv": csv()}
    return compile_supply(compile_network(parse_park(files)))


def readings(supply, **changes):
    """Return rates and values of the tags in SI; changes by tag, dashes as underscores."""
    displayed = {f"FI-{s}": flow / SHARE.get(medium, 1) * T_H
             for s, (_, _, medium, _, flow, _) in STREAMS.items()}  # fmt: skip
    displayed |= {"II-1": CURRENT, "II-2": CURRENT}
    displayed |= {f"LI-{tank}": row_[5] for tank, row_ in TANKS.items()}
    displayed |= {tag: watt for tag, (_, watt) in POWER.items()}
    displayed |= {name.replace("_", "-"): value for name, value in changes.items()}
    value = np.full(len(supply.network.tags), np.nan)
    for i, tag in enumerate(supply.network.tags):
        value[i] = displayed.get(tag.tag, np.nan)
    return value, value


def start_of(supply, **changes):
    return find_initial_state(supply, *readings(supply, **changes))


SUPPLY = supply_of()
START = start_of(SUPPLY)


def node(component, unit, supply=SUPPLY):
    return supply.nodes.index((component, place(unit)))


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
