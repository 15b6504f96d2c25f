"""The small park with loops that close by hand: salt, water, condensate, waste and waste heat.

Water [m³/h]: 100 taken in; 60 make up the cooling, 30 go to the boilers, 10 to VCM; the cooling
loses 55 as vapour, nobody measures it, and 25 as blow-down; of this 20 come back and 5 leave.
"""

from tests.support.small_park import PARK_TOML, make_park

T_H = 1000 / 3600  # kg/s
M3_H = 1 / 3600  # m³/s
SITE = "demo/acme"
SCOPES = {"caustic/brine": "unit", "utilities": "plant"} | {
    f"utilities/{name}": "unit" for name in ("water", "cooling", "treatment", "boilers")
}
# Ends below the site, medium, tag with its uom and mean.
STREAMS = {
    "salt": ("market", "caustic/brine", "salt", "t/h", 3.45),
    "purge": ("caustic/brine", "market", "depleted_brine", "t/h", 0.2),
    "sludge": ("caustic/brine", "market", "brine_sludge", "t/h", 0.05),
    "intake": ("market", "utilities/water", "fresh_water", "m^3/h", 100.0),
    "make-up": ("utilities/water", "utilities/cooling", "fresh_water", "m^3/h", 60.0),
    "feed": ("utilities/water", "utilities/boilers", "fresh_water", "m^3/h", 30.0),
    "process": ("utilities/water", "vcm", "fresh_water", "m^3/h", 10.0),
    "blow-down": ("utilities/cooling", "utilities/treatment", "waste_water", "m^3/h", 25.0),
    "reclaimed": ("utilities/treatment", "utilities/cooling", "reused_water", "m^3/h", 20.0),
    "discharge": ("utilities/treatment", "market", "waste_water", "m^3/h", 5.0),
    "circulating": ("utilities/cooling", "vcm", "circulating_water", "m^3/h", 400.0),
    "steam": ("market", "caustic", "steam", "t/h", 1.8),
    "condensate": ("caustic", "utilities/boilers", "condensate", "t/h", 1.2),
}
MORE = """
[[stream]]
id = "evaporation"
from = "demo/acme/utilities/cooling"
to = "atmosphere"
medium = "fresh_water"
mode = "vent"

[[steam]]
id = "lp"
scope = "demo/acme"
pressure = "0.6 MPa"

[[heat_cut_off]]
scope = "demo"
temperature = "60 degC"
dated = 2026-01-01
clause = "stated by the park"
confidence = "L"

[[waste_heat]]
id = "hot-water"
scope = "demo/acme/vcm"
name = { zh = "热水", en = "Hot water" }
flow = "acme/FT-30"
temperature = "85 degC"
temperature_tag = "acme/TT-30"
heat_capacity = "4.2 kJ/kg/K"
recovered = "acme/JT-30"

[[waste_heat]]
id = "flue"
scope = "demo/acme/utilities/boilers"
name = { zh = "烟气", en = "Flue gas" }
flow = "acme/FT-31"
temperature = "300 degC"
heat_capacity = "1.05 kJ/kg/K"
density = "1.3 kg/m^3"

[[resource]]
id = "slag"
scope = "demo/acme/utilities/boilers"
name = { zh = "炉渣", en = "Slag" }
category = "waste"
code = "SW03"
phase = "solid"
typical = "2 t/h"
status = "waste"
disposition = "use"
modes = "road"
measured = "acme/WT-40"
composition = { ash = "100 %" }
[resource.destinations]
use = "acme/WT-41"
landfill = "acme/WT-42"

[[resource]]
id = "oil"
scope = "demo/acme/vcm"
name = { zh = "废油", en = "Waste oil" }
category = "waste"
waste_code = "HW08 900-249-08"
phase = "liquid"
typical = "0.01 t/h"
status = "waste"
disposition = "treat"
modes = "road"
composition = { oil = "90 %" }
"""
OTHER_TAGS = """FT-30,demo/acme/vcm,mass_flow,t/h,gauge,,,1 %,hot water
TT-30,demo/acme/vcm,temperature,degC,gauge,,,0.5,hot water
JT-30,demo/acme/vcm,power,MW,gauge,,,1 %,heat recovered
FT-31,demo/acme/utilities/boilers,normal_volume_flow,m^3/h,gauge,,,2 %,flue gas
WT-40,demo/acme/utilities/boilers,mass_flow,t/h,gauge,,,1 %,slag made
WT-41,demo/acme/utilities/boilers,mass_flow,t/h,gauge,,,1 %,slag used
WT-42,demo/acme/utilities/boilers,mass_flow,t/h,gauge,,,1 %,slag to the landfill
"""
OTHER_MEANS = {
    "FT-30": 10 * T_H, "TT-30": 363.15, "JT-30": 0.14e6, "FT-31": 1000 * M3_H,
    "WT-40": 2.0 * T_H, "WT-41": 1.5 * T_H, "WT-42": 0.4 * T_H,
}  # fmt: skip


def _path(end):
    return end if end == "market" else f"{SITE}/{end}"


def _toml():
    rows = [
        f'[[scope]]\nid = "{SITE}/{name}"\nkind = "{kind}"\nname = {{ zh = "示例", en = "Demo" }}\n'
        for name, kind in SCOPES.items()
    ]
    rows += [
        f'[[stream]]\nid = "{name}"\nfrom = "{_path(origin)}"\nto = "{_path(to)}"\n'
        f'medium = "{medium}"\nmode = "pipe"\nflow = "acme/F-{name}"\n'
        for name, (origin, to, medium, _, _) in STREAMS.items()
    ]
    return "".join(rows) + MORE


def _tags():
    quantity = {"t/h": "mass_flow", "m^3/h": "volume_flow"}
    return "".join(
        f"F-{name},{SITE},{quantity[uom]},{uom},gauge,,,1 %,{name}\n"
        for name, (_, _, _, uom, _) in STREAMS.items()
    )


TOML, TAGS = PARK_TOML + _toml(), _tags() + OTHER_TAGS
MEANS = OTHER_MEANS | {
    f"F-{name}": mean * {"t/h": T_H, "m^3/h": M3_H}[uom]
    for name, (_, _, _, uom, mean) in STREAMS.items()
}


def loops_park(old="", new=""):
    """Return the park with loops, with another text in its park.toml."""
    assert old in TOML
    return make_park(TOML.replace(old, new), TAGS, MEANS)
