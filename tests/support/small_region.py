"""A small region, made by hand so that every balance can be checked by hand.

Two parks: alpha makes chlorine in the east and sells a part of it to beta in the west.
PYTEST_DONT_REWRITE: tests import it by name.
"""

import pytest

from twin.accounts.network import compile_network
from twin.errors import ModelError
from twin.loading import parse_park


def scope(path, kind):
    return f'[[scope]]\nid = "{path}"\nkind = "{kind}"\nname = {{zh = "示例", en = "Demo"}}\n'


def stream(name, origin, to, medium, mode, flow):
    return (
        f'[[stream]]\nid = "{name}"\nfrom = "{origin}"\nto = "{to}"\n'
        f'medium = "{medium}"\nmode = "{mode}"\nflow = "alpha/{flow}"\n'
    )


ALPHA = "r/east/alpha"
CAUSTIC = ALPHA + "/caustic"
CELLS, STORE, VCM = CAUSTIC + "/cells", CAUSTIC + "/store", ALPHA + "/vcm"
BETA = "r/west/beta"
MCL = BETA + "/mcl"

HEAD = """[park]
id = "r"
kind = "region"
name = {zh = "示例", en = "Demo"}
timezone = "Asia/Shanghai"
gap = "5 min"
"""
SCOPES = "".join(
    scope(path, kind)
    for path, kind in {
        "r/east": "park",
        ALPHA: "enterprise",
        CAUSTIC: "plant",
        CELLS: "unit",
        STORE: "unit",
        VCM: "plant",
        "r/west": "park",
        BETA: "enterprise",
        MCL: "plant",
    }.items()
)
STREAMS = (
    stream("cl2-vcm", CELLS, VCM, "chlorine", "pipe", "FT-1")
    + stream("cl2-store", CELLS, STORE, "liquid_chlorine", "internal", "FT-2")
    + stream("cl2-beta", STORE, MCL, "liquid_chlorine", "road", "FT-3")
    + stream("cl2-sold", STORE, "market", "liquid_chlorine", "road", "FT-4")
    + stream("cl2-tail", CELLS, "atmosphere", "chlorine", "vent", "FT-5")
    + stream("h2-vent", CELLS, "atmosphere", "hydrogen", "vent", "FT-6")
    + stream("acid", VCM, "market", "hydrochloric_acid_31", "road", "FT-7")
)
EQUIPMENT = f"""
[[electrolyser]]
id = "E-1"
scope = "{CELLS}"
kind = "membrane"
cells = 160
current = "alpha/II-1"
current_efficiency = 0.96

[[tank]]
id = "V-1"
scope = "{STORE}"
medium = "liquid_chlorine"
mass = "alpha/WT-1"
[[tank]]
id = "V-2"
scope = "{STORE}"
medium = "liquid_chlorine"
level = "alpha/LT-2"
shape = "horizontal_cylinder"
diameter = "3 m"
length = "16 m"
density = "1425 kg/m^3"

[[product]]
id = "caustic"
scope = "{CAUSTIC}"
tag = "alpha/FT-8"

[[meter]]
scope = "{CAUSTIC}"
carrier = "electricity"
tag = "alpha/JQ-1"
[[meter]]
scope = "{CELLS}"
carrier = "electricity"
tag = "alpha/JQ-2"
basis = "DC"
[[meter]]
scope = "{CAUSTIC}"
carrier = "steam"
tag = "alpha/FT-9"
"""
PARK_TOML = HEAD + SCOPES + STREAMS + EQUIPMENT
TAGS_CSV = f"""tag,scope,quantity,uom,kind,low,high,sigma,description
II-1,{CELLS},current,kA,gauge,0,30,0.2 %,current
FT-1,{VCM},mass_flow,t/h,gauge,0,100,1 %,chlorine to VCM
FT-2,{CELLS},mass_flow,t/h,gauge,0,100,1 %,chlorine to the store
FT-3,{STORE},mass_flow,t/h,gauge,0,100,1 %,chlorine to beta
FT-4,{STORE},mass_flow,t/h,gauge,0,100,1 %,chlorine sold
FT-5,{CELLS},mass_flow,t/h,gauge,0,100,1 %,tail gas
FT-6,{CELLS},normal_volume_flow,Nm3/h,gauge,0,9000,1 %,hydrogen vented
FT-7,{VCM},mass_flow,t/h,gauge,0,100,1 %,acid sold
FT-8,{CAUSTIC},mass_flow,t/h,gauge,0,100,1 %,caustic as 100 %
FT-9,{CAUSTIC},mass_flow,t/h,gauge,0,20,1 %,steam
WT-1,{STORE},mass,t,gauge,0,150,0.1,inventory of V-1
LT-2,{STORE},level,m,gauge,0,3,0.01,level of V-2
JQ-1,{CAUSTIC},energy,kWh,counter,0,,0.2 %,electricity AC
JQ-2,{CELLS},energy,kWh,counter,0,,0.2 %,electricity DC
"""

PARK = parse_park({"park.toml": PARK_TOML, "tags.csv": TAGS_CSV})
NETWORK = compile_network(PARK)
T_PER_H = 1000 / 3600  # kg/s

HEADER = "tag,scope,quantity,uom,kind,low,high,sigma,description\n"
SMALLEST = """[park]
id = "tiny"
kind = "park"
name = {zh = "示例", en = "Tiny"}
timezone = "Asia/Shanghai"
[[scope]]
id = "tiny/acme"
kind = "enterprise"
name = {zh = "示例企业", en = "Acme"}
"""


def problems_of(toml, csv=TAGS_CSV):
    """Return what is wrong with a model that does not load."""
    with pytest.raises(ModelError) as caught:
        parse_park({"park.toml": toml, "tags.csv": csv})
    assert caught.value.hint
    return list(caught.value.problems)
