"""Resources against needs: what fits, alone or in a mixture, and every reason against others."""

from datetime import date

import numpy as np
import pytest

from tests.twin.byproducts.test_catalogue import PARK, TAGS, TOML
from twin.byproducts.catalogue import Haul, Need, Resource, open_share
from twin.byproducts.matching import CAUSES, match
from twin.loading import parse_park


def matches(toml=TOML, supply=None):
    park = PARK if toml is TOML else parse_park({"park.toml": toml, "tags.csv": TAGS})
    resources, needs = park.rows(Resource), park.rows(Need)
    amount = np.array([row.typical for row in resources]) if supply is None else np.array(supply)
    day = date(2025, 6, 1)
    shares = open_share(resources, day), open_share(needs, day)
    return match(resources, needs, park.rows(Haul), amount, shares)


def at(result, resource, need):
    p = [row.id for row in result.resources].index(resource)
    q = [row.id for row in result.needs].index(need)
    return p, q


def codes(result, resource, need):
    return [reason.code for reason in result.reasons(*at(result, resource, need))]


def test_pair_that_fits_has_no_reason_against_it_and_an_open_mode():
    result = matches()
    where = at(result, "pure-acid", "steel-pickling")
    assert result.alone[where]
    assert result.open[where].tolist() == [False, False, True]  # pipe, rail, road
    assert codes(result, "pure-acid", "steel-pickling") == []


def test_pair_that_only_lacks_purity_may_be_a_part_of_a_mixture():
    result = matches()
    where = at(result, "acid", "steel-pickling")
    assert (result.alone[where], result.open[where].any()) == (False, True)
    links = result.links()
    qualities, names = result.qualities(links)
    components = [(result.needs[q].id, result.components[k], code) for q, k, code in names]
    assert components == [
        ("steel-pickling", "sulphuric_acid", "purity"), ("cement", "chloride", "impurity"),
    ]  # fmt: skip
    # What is promised counts: at least 70 % against 80 %, at most 0.6 against 0.5 %.
    assert sorted(qualities.excess[0][qualities.excess[0] != 0]) == pytest.approx([-0.12, 0.1])
    assert qualities.excess[1].max() == pytest.approx(0.001)


@pytest.mark.parametrize(
    ("old", "new", "resource", "need", "code"),
    [
        ('phases = ["solid", "slurry"]', 'phases = "slurry"', "slag", "cement", "phase"),
        ('accepts = ["product", "waste"]\nprice = "10', 'accepts = "product"\nprice = "10', "slag",
         "cement", "status"),
        ('waste_codes = "HW34"', 'waste_codes = "HW35"', "acid", "steel-pickling", "licence"),
        ('distance_max = "60 km"', 'distance_max = "10 km"', "slag", "cement", "distance"),
        ('purity = "95 %"', 'purity = "95 %"\npressure = "2 MPa"', "hydrogen", "hydrogenation",
         "pressure"),
        ('purity = "95 %"', 'purity = "95 %"\ntemperature = "90 degC"', "hydrogen", "hydrogenation",
         "temperature"),
        ('purity = "95 %"', 'purity = "95 %"\napprovals = "eia"', "hydrogen", "hydrogenation",
         "approval"),
        ('purity = "95 %"', 'purity = "95 %"\nimpurities = { argon = "1 %" }', "hydrogen",
         "hydrogenation", "impurity_unknown"),
        ('modes = "pipe"', 'modes = "rail"', "hydrogen", "hydrogenation", "mode"),
        ('modes = "pipe"', 'modes = "road"', "hydrogen", "hydrogenation", "distance_unknown"),
        ('to = "hydrogenation"\nmode = "pipe"', 'to = "hydrogenation"\nmode = "rail"', "hydrogen",
         "hydrogenation", "pipe"),
        ('max = "100 kg/h"', 'max = "100 kg/h"\nto = 2025-05-31', "hydrogen", "hydrogenation",
         "period"),
        ('component = "hydrogen"', 'component = "helium"\n#', "hydrogen", "hydrogenation",
         "component"),
    ],
)  # fmt: skip
def test_reason_against_a_match_is_named_and_is_the_only_one(old, new, resource, need, code):
    # Factors of hydrogen are not about helium.
    toml = TOML.replace('replaces = "hydrogen_of_coal"\n', "") if code == "component" else TOML
    assert toml.count(old) == 1
    result = matches(toml.replace(old, new))
    before = set(codes(matches(), resource, need))
    assert set(codes(result, resource, need)) - before == {code}
    where = at(result, resource, need)
    assert not result.alone[where]
    assert result.open[where].any() == CAUSES[code].mixed
    for reason in result.reasons(*where):
        assert reason.zh
        assert reason.en
        assert "{" not in reason.zh + reason.en


def test_source_that_is_too_small_alone_may_add_to_others():
    toml = TOML.replace('max = "5 t/h"', 'max = "5 t/h"\nmin = "4 t/h"')
    result = matches(toml)
    assert codes(result, "pure-acid", "steel-pickling") == ["quantity"]
    where = at(result, "pure-acid", "steel-pickling")
    assert (result.alone[where], result.open[where].any()) == (False, True)
    # What is not known speaks against nothing.
    assert codes(matches(toml, [np.nan] * 4), "pure-acid", "steel-pickling") == []


def test_user_that_takes_no_mixtures_takes_only_what_fits_by_itself():
    result = matches(TOML.replace('max = "5 t/h"', 'max = "5 t/h"\nmixtures = false'))
    assert not result.open[at(result, "acid", "steel-pickling")].any()
    assert codes(result, "acid", "steel-pickling") == ["purity"]
    assert result.alone[at(result, "pure-acid", "steel-pickling")]


def test_haul_wins_over_the_distance_of_coordinates():
    more = """
[[haul]]
id = "acid-road"
from = "pure-acid"
to = "steel-pickling"
mode = "road"
distance = "99 km"
capacity = "1 t/h"
cost = "7 CNY/t"
"""
    before, after = (matches(toml) for toml in (TOML, TOML + more))
    road = (*at(after, "pure-acid", "steel-pickling"), 2)
    assert before.distance[road] == pytest.approx(18.5e3, rel=0.01)
    assert (after.distance[road], after.capacity[road]) == pytest.approx((99e3, 1 / 3.6))
    assert after.cost[road] * 1000 == pytest.approx(7)


def test_without_resources_or_needs_there_are_no_matches():
    nothing = np.zeros(0)
    result = match([], [], [], nothing, (nothing, nothing))
    assert result.open.shape == (0, 0, 3)
    links = result.links()
    assert len(links.source) == 0
    assert result.qualities(links)[1] == []
