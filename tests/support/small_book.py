"""A small park with tags of the books: revenue, land, staff, a permit, a bill with its meter."""

from tests.support.data import data_park
from twin.loading import parse_park

TOML = """
[[gap]]
tag = "acme/JQ-1"
gap = "1 h"

[[product]]
id = "caustic"
scope = "acmepark/acme"
tag = "acme/MADE"

[[meter]]
scope = "acmepark/acme"
carrier = "electricity"
tag = "acme/POWER-BILL"
product = "caustic"

[[book]]
tag = "acme/MADE"
period = "month"

[[book]]
tag = "acme/REVENUE"
period = "month"

[[book]]
tag = "acme/POWER-BILL"
period = "month"
compare = "acme/JQ-1"

[[book]]
tag = "acme/LAND"
period = "year"

[[book]]
tag = "acme/STAFF"
period = "quarter"

[[book]]
tag = "acme/PERMIT-ENDS"
period = "year"

[[book]]
tag = "acme/GRADE"
period = "instant"

[[book]]
tag = "other/WASTE"
period = "day"
"""
TAGS = """REVENUE,acmepark/acme,money,万元,amount,0,1000000,,sales without tax
MADE,acmepark/acme,mass,t,amount,0,,,caustic made by the books
POWER-BILL,acmepark/acme,energy,kWh,amount,0,,,electricity of the bill
LAND,acmepark/acme,area,亩,gauge,0,10000,,land
STAFF,acmepark/acme,count,人,gauge,0,100000,,mean number of staff
PERMIT-ENDS,acmepark/acme,date,day,gauge,,,,end of the discharge permit
GRADE,acmepark/acme,fraction,%,gauge,0,100,,purity of the product
WASTE,acmepark/other,mass,t,amount,0,,,solid waste
"""
_ACME = data_park("acme")
FILES = {"park.toml": _ACME["park.toml"] + TOML, "tags.csv": _ACME["tags.csv"] + TAGS}
PARK = parse_park(FILES)


def cells(tag, period, value, **more):
    """Return the cells of one row, as people write them."""
    return {"tag": tag, "period": period, "value": str(value), **more}
