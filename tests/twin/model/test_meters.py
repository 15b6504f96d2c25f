"""Meters behind meters: what counts in a scope and in a product, and which relations are wrong."""

import pytest

from tests.support.small_site import (
    CAUSTIC,
    CELLS,
    POWER,
    PVC,
    SITE,
    figures,
    meter,
    site,
    site_files,
    total,
)
from twin.errors import ModelError
from twin.loading import parse_park
from twin.uom import parse_quantity

INCOMER = meter("IN", SITE, role="incomer")
TO_CAUSTIC = meter("C", CAUSTIC, parent="IN")
TO_PVC = meter("P", PVC, parent="IN")
AT_BOTH = {"IN": 23.0, "C": 20.0}


def problems(*meters):
    with pytest.raises(ModelError) as caught:
        parse_park(site_files(*meters))
    return "\n".join(caught.value.problems)


def warnings(*meters):
    return parse_park(site_files(*meters)).warnings


@pytest.mark.parametrize(
    ("incomer", "feeder"),
    [
        ({"role": "incomer"}, {"role": "feeder"}),
        ({"role": "incomer"}, {}),
        ({}, {"parent": "IN"}),
        ({}, {"parent": "site/IN"}),
        ({}, {"parent": ["IN"]}),
    ],
)
def test_an_incomer_of_23_mw_and_a_feeder_of_20_mw_behind_it_are_23_mw(incomer, feeder):
    network = site(meter("IN", SITE, **incomer), meter("C", CAUSTIC, **feeder))
    assert total(network, SITE, **AT_BOTH) == 23
    assert total(network, "r", **AT_BOTH) == 23
    assert total(network, CAUSTIC, **AT_BOTH) == 20
    assert network.park.warnings == ()


def test_energy_of_a_product_stays_that_of_its_feeder():
    network = site(INCOMER, TO_CAUSTIC, TO_PVC)
    electricity = figures(network, "electricity", IN=33, C=20, P=12)
    for scope in ("r", SITE):
        assert electricity[scope, "total"] == 33
        assert electricity[scope, "caustic"] == 20
        assert electricity[scope, "pvc"] == 12
    assert electricity[PVC, "pvc"] == electricity[PVC, "total"] == 12
    coal = figures(network, "coal_equivalent", IN=33, C=20, P=12)
    kgce = parse_quantity("0.1229 kgce/kWh", "fraction")
    assert coal[SITE, "total"] == pytest.approx(33 * kgce)


def test_the_only_product_of_a_site_takes_the_feeder_and_not_the_incomer():
    network = site(INCOMER, TO_CAUSTIC, products=("caustic",))
    assert figures(network, "electricity", **AT_BOTH)[SITE, "caustic"] == 20
    alone = site(INCOMER, products=("caustic",))
    assert figures(alone, "electricity", IN=23)[SITE, "caustic"] == 23


def test_a_meter_of_a_unit_behind_that_of_its_plant_counts_in_the_unit_only():
    cells = meter("CELLS", CELLS, parent="C")
    network = site(INCOMER, TO_CAUSTIC, cells)
    electricity = figures(network, "electricity", IN=23, C=20, CELLS=18)
    expected = {"r": 23, SITE: 23, CAUSTIC: 20, CELLS: 18}
    assert {scope: electricity[scope, "total"] for scope in expected} == expected
    assert electricity[CAUSTIC, "caustic"] == electricity[SITE, "caustic"] == 20


def test_meters_side_by_side_behind_an_incomer_add_up_in_their_plant():
    cells = meter("CELLS", CELLS, parent="IN")
    network = site(INCOMER, TO_CAUSTIC, cells)
    electricity = figures(network, "electricity", IN=23, C=2, CELLS=18)
    assert electricity[CAUSTIC, "total"] == electricity[SITE, "caustic"] == 20
    assert electricity[SITE, "total"] == 23
    assert network.park.warnings == ()


def test_sold_power_is_taken_off_and_generation_is_inside_the_incomer():
    """23 MW bought, 30 made, 48 used, 4 sold: 19 net, and 1 is lost."""
    made = meter("G", POWER, role="generation")
    sold = meter("X", SITE, role="sold")
    network = site(INCOMER, made, sold, TO_CAUSTIC, TO_PVC)
    values = {"IN": 23, "G": 30, "X": 4, "C": 28, "P": 20}
    assert total(network, SITE, **values) == 19
    assert total(network, POWER, **values) == -30
    assert total(network, PVC, **values) == 20


def test_without_an_incomer_captive_power_cancels_against_its_users():
    made = meter("G", POWER, direction="out")
    sold = meter("X", SITE, role="sold")
    network = site(made, sold, meter("C", CAUSTIC), meter("P", PVC, parent="G"))
    values = {"G": 30, "X": 4, "C": 16, "P": 10}
    # What is sold is a part of what was made: 26 - 30, and not 26 - 30 - 4.
    assert total(network, SITE, **values) == -4
    assert figures(network, "electricity", **values)[PVC, "pvc"] == 10


def test_sold_power_of_a_power_plant_is_a_part_of_what_it_makes():
    made = meter("G", POWER, role="generation", parent="IN")
    sold = meter("X", POWER, role="sold", parent="G")
    network = site(INCOMER, made, sold)
    assert total(network, POWER, IN=0, G=30, X=4) == -30
    assert total(network, SITE, IN=2, G=30, X=4) == -2


def test_two_incomers_feed_one_bus():
    network = site(
        INCOMER,
        meter("IN-2", SITE, role="incomer"),
        meter("C", CAUSTIC, parent=["IN", "IN-2"]),
        TO_PVC,
    )
    values = {"IN": 23, "IN-2": 10, "C": 20, "P": 12}
    assert total(network, SITE, **values) == 33


def test_steam_has_its_own_tree():
    boundary = meter("S", SITE, "heat", role="incomer")
    network = site(INCOMER, TO_CAUSTIC, boundary, meter("SC", CAUSTIC, "heat"))
    coal = figures(network, "coal_equivalent", IN=23, C=20, S=5, SC=4)
    kgce = parse_quantity("0.1229 kgce/kWh", "fraction")
    heat = parse_quantity("0.03412 kgce/MJ", "fraction")
    assert coal[SITE, "total"] == pytest.approx(23 * kgce + 5 * heat)
    assert coal[SITE, "caustic"] == pytest.approx(20 * kgce + 4 * heat)


def test_direct_current_behind_a_rectifier_is_never_summed():
    rectifier = meter("DC", CELLS, parent="C", basis="DC", product="caustic")
    network = site(INCOMER, TO_CAUSTIC, rectifier)
    assert network.index["site/DC"] not in network.entry_tag


def test_meters_above_each_other_without_a_relation_are_a_warning():
    both = meter("C", CAUSTIC), meter("CELLS", CELLS)
    (warning,) = warnings(*both)
    assert warning.startswith("park.toml:")
    assert "warning: [[meter]] CELLS: 'C' of r/site/caustic measures electricity above" in warning
    assert 'parent = "C"' in warning
    # Both count, as if they stood side by side.
    assert total(site(*both), CAUSTIC, C=2, CELLS=18) == 20


@pytest.mark.parametrize("parent", ["C", "market"])
def test_a_stated_parent_ends_the_warning(parent):
    assert warnings(meter("C", CAUSTIC), meter("CELLS", CELLS, parent=parent)) == ()


def test_an_incomer_inside_another_needs_a_word():
    inner = meter("C", CAUSTIC, role="incomer")
    assert len(warnings(INCOMER, inner)) == 1
    own_line = meter("C", CAUSTIC, role="incomer", parent="market")
    assert warnings(INCOMER, own_line) == ()
    assert total(site(INCOMER, own_line), SITE, **AT_BOTH) == 43


@pytest.mark.parametrize(
    ("meters", "sentence"),
    [
        ([meter("C", CAUSTIC, parent="NO")], "parent: no meter with the id or tag 'NO'"),
        ([INCOMER, meter("C", CAUSTIC, "heat", parent="IN")], "'IN' is a meter of electricity"),
        ([meter("C", CAUSTIC, parent="C")], "the meter lies behind itself"),
        (
            [meter("C", CAUSTIC, parent="P"), meter("P", PVC, parent="C")],
            "the meter lies behind itself",
        ),
        (
            [meter("IN", SITE, role="incomer", direction="out")],
            "a meter of incomer has not direction 'out'",
        ),
        (
            [meter("D", CELLS, basis="DC", product="caustic"), meter("C", CELLS, parent="D")],
            "'D' is a meter of direct current",
        ),
        (
            [meter("X", SITE, role="sold"), meter("C", CAUSTIC, parent="X")],
            "parent: 'X' shows what is sold: it feeds no meter",
        ),
        ([meter("S", SITE, role="boss")], "role: 'boss' is not a value here"),
    ],
)
def test_wrong_relations_name_the_meter_and_the_mend(meters, sentence):
    assert sentence in problems(*meters)
