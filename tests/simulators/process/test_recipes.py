"""What units make of what they take, told from the streams of a park."""

import pytest

from simulators.process.recipes import Reaction, UsualFlows, find_reactions, order_components
from tests.support.data import data_park
from twin.loading import parse_park

IN, OUT = "p/e/plant/in", "p/e/plant/out"


@pytest.fixture(scope="module")
def park():
    return parse_park(data_park("units"))


def test_a_burner_a_chlorination_and_an_absorber_are_told_by_what_they_take(park):
    usual = {
        "chlorine": UsualFlows({"burner": 3.0, "chlorination": 2.0, "absorber": 1.0}, {}),
        "hydrogen": UsualFlows({"burner": 0.1}, {}),
        "caustic": UsualFlows({"absorber": 1.0}, {}),
        "hydrogen_chloride": UsualFlows({}, {"burner": 3.1, "chlorination": 1.0}),
    }
    result = {(r.scope, r.component, r.makes): r for r in find_reactions(park, usual, {}, {})}
    assert {key: r.ratio for key, r in result.items()} == {
        ("absorber", "caustic", False): pytest.approx(1.12817, rel=1e-4),
        ("burner", "hydrogen", False): pytest.approx(0.02843, rel=1e-3),
        ("burner", "hydrogen_chloride", True): pytest.approx(1.02843, rel=1e-4),
        ("chlorination", "hydrogen_chloride", True): pytest.approx(0.51422, rel=1e-4),
    }
    assert {(r.driver, r.at) for r in result.values()} == {
        ("chlorine", scope) for scope in ("absorber", "burner", "chlorination")
    }


def test_what_a_unit_gives_follows_what_it_takes_most_of_else_what_its_plant_takes(park):
    usual = {
        "syngas": UsualFlows({IN: 8.0}, {}),
        "hydrogen": UsualFlows({IN: 1.0}, {}),
        "ammonia": UsualFlows({}, {IN: 6.0}),
        "pvc": UsualFlows({}, {OUT: 4.0}),
        "steam": UsualFlows({IN: 9.0}, {"boilers": 9.0}),
    }
    result = set(find_reactions(park, usual, {}, {}))
    assert result == {
        Reaction(IN, "ammonia", True, 0.75, "syngas", IN),
        Reaction(OUT, "pvc", True, 0.5, "syngas", IN),
    }
    cells = {"pvc": {OUT}, "ammonia": {IN}}
    assert find_reactions(park, usual, cells, {}) == ()


def test_coal_follows_steam_and_electricity_by_the_heat_they_take(park):
    usual = {
        "coal": UsualFlows({"plant/boilers": 10.0}, {}),
        "steam": UsualFlows({}, {"plant/boilers": 20.0}),
    }
    rows = find_reactions(park, usual, {}, {"plant": 50e6})
    ratio = {r.driver: r.ratio for r in rows}
    assert {r.at for r in rows} == {"plant", "plant/boilers"}
    assert ratio["steam"] * 20.0 + ratio["electricity"] * 50e6 == pytest.approx(10.0)
    assert ratio["electricity"] / ratio["steam"] == pytest.approx(1 / 0.45 / 3.769e6, rel=1e-3)


def test_a_circle_is_cut_where_it_begins(park):
    burner = Reaction("a", "hydrogen_chloride", True, 1.0, "chlorine", "a")
    deacon = Reaction("b", "chlorine", True, 0.9, "hydrogen_chloride", "b")
    loop = Reaction("c", "hydrogen_chloride", True, 0.9, "hydrogen_chloride", "d")
    power = Reaction("e", "coal", False, 1.0, "electricity", "e")
    order, kept = order_components(
        {"hydrogen_chloride", "chlorine", "coal"}, (burner, deacon, loop, power)
    )
    assert order == ["coal", "chlorine", "hydrogen_chloride"]
    assert kept == (burner, loop, power)
