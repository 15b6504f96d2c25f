"""The resource catalogue in a park model: cells, mistakes with their lines, meters."""

from datetime import date

import numpy as np
import pytest

from tests.support.data import data_text
from tests.support.small_region import problems_of
from twin.accounts.network import compile_network
from twin.byproducts.catalogue import (
    Need,
    Resource,
    Transfer,
    crow_distance,
    meter_weight,
    open_share,
    resources_of,
)
from twin.loading import parse_park

TOML = data_text("demo/park.toml").partition("[[byproduct]]")[0] + data_text("demo/catalogue.toml")
TAGS = (
    data_text("demo/tags.csv")
    + """FT-20,demo/acme/vcm,mass_flow,t/h,gauge,0,20,1 %,acid made
FT-21,demo/acme/vcm,mass_flow,t/h,gauge,0,20,1 %,acid used
FT-22,demo/acme/vcm,mass_flow,kg/h,gauge,0,100,1 %,hydrogen received
FT-23,demo/acme/vcm,volume_flow,m^3/h,gauge,0,100,1 %,a volume
"""
)
PARK = parse_park({"park.toml": TOML, "tags.csv": TAGS})
NETWORK = compile_network(PARK)
ROWS = {row.id: row for row in PARK.rows(Resource)}


def line_of(text):
    return TOML.partition(text)[0].count("\n") + 1


def test_cells_are_si_inside_and_a_composition_has_least_usual_and_most():
    hydrogen, acid = ROWS["hydrogen"], ROWS["acid"]
    assert hydrogen.composition["hydrogen"] == pytest.approx((0.98, 0.99, 0.999))
    assert hydrogen.typical == pytest.approx(20 / 3600)
    assert ROWS["pure-acid"].composition == {"sulphuric_acid": (0.92, 0.92, 0.92)}
    assert (acid.measured, acid.modes, acid.confidentiality) == (("acme/FT-20",), ("road",), "park")
    (transfer,) = PARK.rows(Transfer)
    assert (transfer.amount, transfer.first) == (20e3, date(2025, 6, 1))
    assert {row.id for row in resources_of(PARK, "demo/acme/vcm")} == {"acid", "slag"}


@pytest.mark.parametrize(
    ("old", "new", "where", "text"),
    [
        ('hydrogen = ["98 %", "99 %", "99.9 %"]', 'hydrogen = ["99 %", "98 %", "99.9 %"]',
         "[resource.composition]", "does not rise"),
        ('hydrogen = ["98 %", "99 %", "99.9 %"]', 'hydrogen = ["98 %", "99 %"]',
         "[resource.composition]", "neither one value"),
        ('sulphuric_acid = "92 %"', 'sulphuric_acid = "92 %"\nwater = "9 %"', None,
         "more than 100 %"),
        ('design = "60 kg/h"', 'design = "6 kg/h"', "typical = ", "above design"),
        ('waste_code = "HW34 261-057-34"', 'waste_code = "34"', "waste_code", "like HW34"),
        ('status = "waste"\nwaste_code', 'status = "product"\nwaste_code', "waste_code",
         "no code of hazardous waste"),
        ('measured = "h2-vent"', 'measured = "h2-went"', "measured =", "did you mean 'h2-vent'"),
        ('measured = "h2-vent"', 'measured = "cl2-store"', "measured =", "has no meter"),
        ('measured = "h2-vent"', 'measured = "acme/TT-1"', "measured =", "which is no flow"),
        ('measured = "h2-vent"', 'measured = "acme/FT-23"', "measured =", "its density"),
        ('used = "acme/FT-21"', 'used = "acme/FT-99"', "used =", "neither a stream nor a tag"),
        ("months = [1, 1, 1, 1, 1, 0.5,", "months = [1, 1,", "months =", "twelve numbers"),
        ("location = [115.98, 36.45]\ncontact", "location = [36.45, 115.98]\ncontact", "location =",
         "longitude and latitude"),
        ('modes = ["pipe", "road"]', 'modes = ["pipe", "raod"]', "modes =", "did you mean 'road'"),
        ('modes = ["pipe", "road"]', "modes = []", "modes =", "the list is empty"),
        ('component = "sulphuric_acid"\nphases', 'component = "sulfuric_acid"\nphases', None,
         "did you mean 'sulphuric_acid'"),
        ('replaces = "hydrogen_of_coal"', 'replaces = "lime_of_limestone"', 'replaces = "hyd',
         "is about calcium_hydroxide"),
        ('replaces = "hydrogen_of_coal"', 'replaces = "hydrogen"', 'replaces = "hyd',
         "is not a replaced material"),
        ('min = "2 t/h"', 'min = "12 t/h"', "min =", "above max"),
        ('max = "50 t/h"', 'max = "50 t/h"\nfirm = true', None, "a firm need has a min"),
        ('purity = "95 %"', 'purity = "950 %"', None, "between 0 and 100 %"),
        ('from = "hydrogen"', 'from = "hydrogem"', 'from = "hyd', "no [[resource]] 'hydrogem'"),
        ('to = "hydrogenation"', 'to = "hydrogen"', 'to = "hyd', "no [[need]] 'hydrogen'"),
        ('distance = "3 km"', 'distance = "-3 km"', None, "are 0 or more"),
        ('need = "hydrogenation"', 'need = "nobody"', 'need = "hyd', "no [[need]] 'nobody'"),
        ('sent = "h2-vent"\nreceived = "acme/FT-22"\n', "", None, "needs meters"),
        ('received = "acme/FT-22"', 'received = "acme/TT-1"', "received =", "which is no flow"),
        ("from = 2025-06-01", "from = 2025-06-01\nto = 2025-05-01", None, "ends before it begins"),
        ('typical = "10 t/h"', 'typical = "inf t/h"', 'typical = "10', "no finite number"),
        ('price = "9000 CNY/t"', 'price = "nan CNY/t"', 'price = "9000', "no finite number"),
        ('capacity = "50 kg/h"', 'cost = "inf CNY/t"', None, "no finite number"),
        ('amount = "20 t"', 'amount = "0 t"', "amount =", "not above 0"),
    ],
)  # fmt: skip
def test_mistake_is_named_with_its_line(old, new, where, text):
    assert TOML.count(old) == 1, old
    # What refers to a row that cannot be read is a problem behind it.
    problem = problems_of(TOML.replace(old, new), TAGS)[0]
    assert text in problem
    if where:
        start = TOML.index(old) + (old.index(where) if where in old else 0)
        line = TOML.count("\n", 0, start) + 1 if where in old else line_of(where)
        assert problem.startswith(f"park.toml:{line}: [["), problem


def test_meters_make_the_mass_of_a_resource():
    hydrogen, acid = ROWS["hydrogen"], ROWS["acid"]
    weight = meter_weight(NETWORK, hydrogen, hydrogen.measured, hydrogen.used)
    assert {NETWORK.tags[t].address: weight[t] for t in np.flatnonzero(weight)} == {
        "acme/FT-4": pytest.approx(0.08994)
    }
    weight = meter_weight(NETWORK, acid, acid.measured, acid.used)
    assert {NETWORK.tags[t].address: weight[t] for t in np.flatnonzero(weight)} == {
        "acme/FT-20": 1.0, "acme/FT-21": -1.0,
    }  # fmt: skip


def test_volume_is_a_mass_by_the_density_that_is_stated():
    toml = TOML.replace('measured = "acme/FT-20"', 'measured = "acme/FT-23"\ndensity = "1.7 t/m^3"')
    network = compile_network(parse_park({"park.toml": toml, "tags.csv": TAGS}))
    row = next(row for row in network.park.rows(Resource) if row.id == "acid")
    assert meter_weight(network, row, row.measured).max() == pytest.approx(1700)


def test_months_and_the_first_and_last_day_say_how_far_a_row_is_open():
    toml = TOML.replace('status = "product"\ndisposition = "vent"',
                        'status = "product"\nfrom = 2025-01-01\nto = 2025-05-31\n'
                        'disposition = "vent"')  # fmt: skip
    rows = parse_park({"park.toml": toml, "tags.csv": TAGS}).rows(Resource)
    assert open_share(rows, date(2025, 6, 1)).tolist() == [0, 1, 0.5, 1]
    assert open_share(rows, date(2025, 5, 31)).tolist() == [1, 1, 1, 1]
    assert open_share(PARK.rows(Need), date(2025, 6, 1)).tolist() == [1, 1, 1, 1]


def test_distance_is_that_of_the_great_circle():
    # A degree of a meridian, the same one on the equator, half the Earth, and no place.
    one = np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 90.0], [np.nan, np.nan]])
    other = np.array([[0.0, 1.0], [1.0, 0.0], [10.0, -90.0], [0.0, 0.0]])
    degree = 6371008.8 * np.pi / 180
    np.testing.assert_allclose(
        crow_distance(one, other), [degree, degree, 180 * degree, np.nan], rtol=1e-9
    )
