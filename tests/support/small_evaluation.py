"""A small park with a rule of evaluation like that of Huai'an in 2024, and three enterprises."""

from tests.support.data import data_park
from twin.loading import parse_park

RULE = """
[[evaluation]]
id = "example"
scope = "acmepark"
year = 2024
by = "{by}"
pollutants = {{ SO2 = 1, NOx = 2 }}
clause = "3"
source = "a rule"

[[evaluation_indicator]]
evaluation = "example"
id = "tax"
over = "B-TAX"
under = "B-LAND"
uom = "万元/亩"
weight = 0.45
benchmark = 24

[[evaluation_indicator]]
evaluation = "example"
id = "sales"
over = "B-SALES"
under = "B-LAND"
uom = "万元/亩"
weight = 0.35
benchmark = 400

[[evaluation_indicator]]
evaluation = "example"
id = "green"
over = "B-TAX"
under = "{green}"
uom = "{uom}"
weight = 0.20
{benchmark}

[[evaluation_class]]
evaluation = "example"
id = "A"
until = 0.2
least = 80
electricity = "0 CNY/kWh"
[[evaluation_class]]
evaluation = "example"
id = "B"
until = 0.6
least = 60
[[evaluation_class]]
evaluation = "example"
id = "C"
until = 0.95
least = 40
electricity = "0.05 CNY/kWh"
water = "0.5 CNY/m^3"
[[evaluation_class]]
evaluation = "example"
id = "D"
electricity = "0.10 CNY/kWh"
water = "1 CNY/m^3"

[[evaluation_enterprise]]
evaluation = "example"
scope = "acmepark/other"
year = 2024
bonus = 3

[[outlet]]
id = "stack"
scope = "acmepark/acme"
kind = "stack"
pollutants = {{ SO2 = "acme/AT-1", NOx = "acme/AT-2" }}
flow = "acme/FT-2"

[[scope]]
id = "acmepark/third"
kind = "enterprise"
name = {{ zh = "第三家", en = "Third" }}
"""
METER = """
[[meter]]
scope = "acmepark/{0}"
carrier = "electricity"
tag = "{0}/JQ-1"
"""
BOOKS = """
[[book]]
tag = "{0}/B-TAX"
period = "month"
[[book]]
tag = "{0}/B-SALES"
period = "year"
[[book]]
tag = "{0}/B-LAND"
period = "year"
"""
TAGS = """B-TAX,acmepark/{0},money,万元,amount,0,,,tax
B-SALES,acmepark/{0},money,万元,amount,0,,,sales
B-LAND,acmepark/{0},area,亩,gauge,0,,,land
"""
STACK = """AT-1,acmepark/acme,concentration,mg/m^3,gauge,0,200,1 %,SO2
AT-2,acmepark/acme,concentration,mg/m^3,gauge,0,200,1 %,NOx
FT-2,acmepark/acme,normal_volume_flow,m^3/h,gauge,0,72000,1 %,dry gas
"""
COUNTER = "JQ-1,acmepark/{0},energy,kWh,counter,,,0.2 %,a meter\n"
NAMES = ("acme", "other", "third")


def files(by="rank", green="energy", uom="万元/tce", benchmark="benchmark = 3", more=""):
    """Return the files of the park, by another rule for its third indicator."""
    acme = data_park("acme")
    rule = RULE.format(by=by, green=green, uom=uom, benchmark=benchmark)
    parts = [part.format(name) for name in NAMES for part in (METER, BOOKS)]
    tags = "".join(TAGS.format(name) for name in NAMES)
    counters = "".join(COUNTER.format(name) for name in NAMES[1:])
    return {
        "park.toml": acme["park.toml"] + rule + "".join(parts) + more,
        "tags.csv": acme["tags.csv"] + tags + counters + STACK,
    }


def park(**rule):
    """Return the park by another rule."""
    return parse_park(files(**rule))
