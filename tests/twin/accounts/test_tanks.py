"""Masses in tanks: shapes (horizontal ones: test case T-06), strapping tables, temperature."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin import quality as q
from twin.accounts.network import compile_network
from twin.accounts.tanks import (
    fill_share,
    filled_share,
    full_mass,
    height_share,
    tank_mass,
    tank_quality,
)
from twin.accounts.vessel_shapes import cylinder_height, cylinder_share
from twin.errors import ModelError
from twin.loading import parse_park
from twin.reconciliation.uncertainty import density_sigma, tank_sigma, uptake_sigma
from twin.reference import figure


@pytest.mark.parametrize(
    ("level", "volume"),
    [(0, 0), (0.25, 0.19550), (0.50, 0.5), (0.75, 0.80450), (0.80, 0.85762), (1, 1)],
)
def test_filled_share_of_a_level_is_the_published_one(level, volume):
    assert cylinder_share(np.array(level)) == pytest.approx(volume, rel=1e-4)


def test_level_of_80_percent_volume_is_the_published_one():
    assert cylinder_height(np.array(0.8)) == pytest.approx(0.745931, rel=1e-6)


def test_mass_of_six_tanks_at_their_fill_limit_is_the_published_one():
    filled = cylinder_share(cylinder_height(np.full(6, 0.8)))
    assert (113 * filled * 1.425)[0] == pytest.approx(128.82, rel=1e-4)
    assert (113 * filled * 1.425).sum() == pytest.approx(772.92, rel=1e-4)


PARK = """
[park]
id = "p"
kind = "enterprise"
name = {zh = "园", en = "P"}
timezone = "Asia/Shanghai"
[[scope]]
id = "p/farm"
kind = "plant"
name = {zh = "罐区", en = "Farm"}
"""
HEAD = "tag,scope,quantity,uom,kind,low,high,sigma,description\n"
TAGS = (
    "LT,p/farm,level,m,gauge,0,10,5 mm,\n".replace("5 mm", "0.005")
    + "TT,p/farm,temperature,degC,gauge,-50,80,1,\n"
    + "WT,p/farm,mass,t,gauge,0,150,,\n"
)
USUAL = {
    "medium": "liquid_chlorine", "level": "p/LT", "shape": "horizontal_cylinder",
    "diameter": "3 m", "length": f"{113 / (np.pi / 4 * 9)} m", "density": "1.425 kg/L",
}  # fmt: skip


def park_of(strapping="", **cells):
    """Return a park with one tank: 113 m³ of liquid chlorine; None leaves a cell out."""
    tank = {name: value for name, value in (USUAL | cells).items() if value is not None}
    rows = "".join(f"{name} = {json.dumps(value)}\n" for name, value in tank.items())
    files = {
        "park.toml": PARK + '[[tank]]\nid = "V"\nscope = "p/farm"\n' + rows,
        "tags.csv": HEAD + TAGS,
    }
    return parse_park(files | ({"strapping.csv": strapping} if strapping else {}))


def problems_of(**cells):
    with pytest.raises(ModelError) as wrong:
        park_of(**cells)
    return wrong.value.problems


def mass_of(park, level=np.nan, celsius=np.nan, weight=np.nan):
    value = np.array([level, celsius + 273.15, weight])
    return tank_mass(compile_network(park).tanks, value)[0]


def full_of(park):
    tank = park.tanks[0]
    tag = next(tag for tag in park.tags if tag.address == (tank.mass or tank.level))
    return full_mass(park, tank, tag)


def test_mass_a_tank_of_liquid_chlorine_may_hold_is_the_published_one():
    park = park_of(fill_limit=figure("chlorine.fill_limit", "fraction"))
    assert fill_share(park.tanks[0]) * full_of(park) == pytest.approx(128.82e3)
    # The volume governs; without its limit the filling coefficient of 1.25 kg/L does.
    park = park_of()
    assert fill_share(park.tanks[0]) * full_of(park) == pytest.approx(141.25e3)
    assert fill_share(park_of(medium="caustic_32", fill_limit=0.95).tanks[0]) == 0.95


def test_tank_without_a_size_is_as_large_as_the_range_of_its_mass_tag():
    size = dict.fromkeys(("level", "diameter", "length", "density"))
    park = park_of(**size, mass="p/WT", fill_limit=0.9)
    assert full_of(park) == 150e3
    assert fill_share(park.tanks[0]) == 0.9
    assert mass_of(park, weight=70e3) == 70e3


@pytest.mark.parametrize(
    ("celsius", "density"),
    [(-34, 1563.7), (0, 1467.8), (20, 1408.2), (35, 1361.1), (-40, 1580.21), (50, 1311.28)],
)
def test_full_tank_of_chlorine_weighs_by_the_density_at_its_temperature(celsius, density):
    park = park_of(temperature="p/TT")
    assert mass_of(park, 3.0, celsius) / 113 == pytest.approx(density, abs=0.06)


def test_empty_tank_of_chlorine_holds_the_vapour_of_its_temperature():
    park = park_of(temperature="p/TT")
    assert mass_of(park, 0.0, 20) == pytest.approx(113 * 21.785)
    assert mass_of(park, 1.5, 20) == pytest.approx(113 / 2 * (21.785 + 1408.18))
    assert mass_of(park_of(), 0.0, 20) == 0.0


def test_nominal_density_counts_where_the_temperature_is_not_known():
    park = park_of(temperature="p/TT")
    assert mass_of(park, 3.0) == pytest.approx(113 * 1425)
    assert mass_of(park, 3.0, 79) == pytest.approx(113 * 1425)
    tanks, quality = compile_network(park).tanks, np.zeros(3, np.uint8)
    everything = np.ones(3, bool)
    assert tank_quality(tanks, quality, everything).tolist() == [0]
    without = np.array([True, False, True])
    assert tank_quality(tanks, quality, without).tolist() == [q.UNCERTAIN | q.INCOMPLETE]
    quality[1] = q.BAD
    assert tank_quality(tanks, quality, everything).tolist() == [q.UNCERTAIN | q.INCOMPLETE]


@pytest.mark.parametrize(
    ("heads", "both_heads"),
    [
        ("flat", 0.0),
        ("elliptical", np.pi / 12 * 27),
        ("hemispherical", np.pi / 6 * 27),
        ("torispherical", 2 * 0.0989660 * 27),
    ],
)
def test_heads_add_their_volume_and_fill_with_the_shell(heads, both_heads):
    park = park_of(heads=heads, density="1000 kg/m^3")
    full = (113 + both_heads) * 1000
    assert mass_of(park, 3.0) == pytest.approx(full, rel=1e-6)
    assert mass_of(park, 1.5) == pytest.approx(full / 2, rel=1e-6)
    shell = 113_000 * cylinder_share(np.array(0.25))
    in_heads = mass_of(park, 0.75) - shell
    if heads in ("elliptical", "hemispherical"):
        assert in_heads == pytest.approx(both_heads * 1000 * (3 * 0.25**2 - 2 * 0.25**3), rel=1e-6)
    elif heads == "torispherical":
        assert in_heads == pytest.approx(flooded(0.25) * 27_000, rel=1e-4)


def flooded(height):
    """Return the volume of two torispherical heads of diameter 1 below a level, by summing up."""
    step = 1e-3
    across, up = np.meshgrid(np.arange(-0.5, 0.5, step) + step / 2, np.arange(0, height, step))
    radius = np.hypot(across, 0.5 - up - step / 2)
    crown = np.sqrt(np.maximum(1 - radius**2, 0)) - np.sqrt(0.81 - 0.16)
    knuckle = np.sqrt(np.maximum(0.01 - (radius - 0.4) ** 2, 0))
    depth = np.where(radius <= 0.4 / 0.9, crown, knuckle)
    return 2 * np.where(radius < 0.5, depth, 0).sum() * step**2


def test_sphere_fills_like_a_spherical_cap():
    park = park_of(shape="sphere", length=None, diameter="10 m", density="600 kg/m^3")
    cap = np.pi * 2.5**2 * (3 * 5 - 2.5) / 3
    assert mass_of(park, 2.5) == pytest.approx(cap * 600)
    assert mass_of(park, 10) == pytest.approx(np.pi / 6 * 1000 * 600)


STRAPPING = "tank,level_m,volume_m3\nV,0,0\nV,1,20\nV,2,50\n"


def test_strapping_table_gives_the_volume_of_a_level():
    park = park_of(STRAPPING, diameter=None, length=None, density="1000 kg/m^3")
    assert [mass_of(park, level) for level in (0.5, 1.5, 2.0)] == pytest.approx([10e3, 35e3, 50e3])
    assert full_of(park) == 50e3
    assert park.digest != park_of().digest


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("tank,level\n", "strapping.csv:1: the columns must be tank,level_m,volume_m3"),
        (STRAPPING + "W,0,0\nW,1,1\n", "strapping.csv:5: there is no tank 'W' in park.toml"),
        (STRAPPING + "V,2,60\n", "strapping.csv:5: level and volume of V must rise"),
        (STRAPPING + "V,3\n", "strapping.csv:5: a row is a tank, its level and its volume"),
        ("tank,level_m,volume_m3\nV,0,0\n", "strapping.csv: V has one row only"),
        ("tank,level_m,volume_m3\nV,1,0\nV,2,9\n", "strapping.csv:2: the first row of V"),
    ],
)
def test_wrong_strapping_table_is_named_by_line(table, problem):
    problems = problems_of(strapping=table, diameter=None, length=None)
    assert any(each.startswith(problem) for each in problems), problems


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ({"strapping": STRAPPING}, "diameter and length say it again"),
        ({"diameter": None}, "a level needs diameter and length, or rows in strapping.csv"),
        ({"density": None}, "a level needs density"),
        ({"shape": "sphere", "diameter": None}, "a level needs diameter, or rows"),
        ({"shape": "sphere", "heads": "elliptical"}, "heads belong to a horizontal cylinder"),
        ({"medium": "caustic_32", "temperature": "p/TT"}, "known of liquid_chlorine only"),
    ],
)
def test_vessel_that_makes_no_mass_is_refused(cells, problem):
    assert any(problem in each for each in problems_of(**cells))


def test_uncertainty_of_a_mass_is_that_of_level_and_density():
    level = np.array([1.5, 293.15, np.nan])
    of_level = compile_network(park_of())
    step = 113 * 1425 * (cylinder_share(np.array(1.505 / 3)) - cylinder_share(np.array(1.495 / 3)))
    assert tank_sigma(of_level, level) == pytest.approx([step / 2], rel=1e-9)
    nominal = compile_network(park_of(density_sigma=0.01))
    expected = np.hypot(step / 2, 113 / 2 * 14.25)
    assert tank_sigma(nominal, level) == pytest.approx([expected], rel=1e-9)
    # One kelvin of chlorine at 20 degC is 3.1 kg/m³ of liquid less and 0.6 of vapour more.
    warm = compile_network(park_of(temperature="p/TT", density_sigma=0.01))
    assert density_sigma(warm, level)[0] / (113 / 2) == pytest.approx(3.06 - 0.58, abs=0.01)


def test_uncertain_density_moves_what_is_taken_up_and_no_more():
    network = compile_network(park_of(density_sigma=0.01))
    same, other = np.array([1.5, np.nan, np.nan]), np.array([1.8, np.nan, np.nan])
    still = uptake_sigma(network, np.stack([same, same]))
    without = uptake_sigma(compile_network(park_of()), np.stack([same, same]))
    assert still == pytest.approx(without)
    moved = uptake_sigma(network, np.stack([same, other]))
    plain = uptake_sigma(compile_network(park_of()), np.stack([same, other]))
    taken = mass_of(park_of(), 1.8) - mass_of(park_of(), 1.5)
    assert np.sqrt(moved**2 - plain**2) == pytest.approx([0.01 * taken], rel=1e-6)


@pytest.mark.parametrize("heads", ["flat", "elliptical", "torispherical", "hemispherical"])
def test_level_of_a_filled_share_gives_that_share(heads):
    tanks = compile_network(park_of(heads=heads)).tanks
    filled = np.array([[-0.1], [0.0], [0.003], [0.4], [0.9999], [1.0], [1.2], [np.nan]])
    back = filled_share(tanks, height_share(tanks, filled))
    assert back == pytest.approx(np.clip(filled, 0, 1), abs=1e-9, nan_ok=True)


def test_levels_beyond_the_tank_are_clipped_and_nan_stays_nan():
    assert cylinder_share(np.array([-0.1, 1.1])).tolist() == [0.0, 1.0]
    assert cylinder_height(np.array([-0.1, 1.1])) == pytest.approx([0.0, 1.0], abs=1e-9)
    assert np.isnan(cylinder_share(np.array([np.nan]))).all()
    assert np.isnan(cylinder_height(np.array([np.nan]))).all()


@settings(deadline=None)
@given(st.floats(0, 1))
def test_level_of_the_volume_of_a_level_is_that_level(level):
    assert cylinder_height(cylinder_share(np.array(level))) == pytest.approx(level, abs=1e-6)


@settings(deadline=None)
@given(st.floats(0, 1))
def test_tank_is_symmetric_about_its_middle(level):
    both = cylinder_share(np.array([level, 1 - level]))
    assert both.sum() == pytest.approx(1.0)


def test_more_level_is_never_less_volume():
    volume = cylinder_share(np.linspace(0, 1, 10_001))
    assert (np.diff(volume) > 0).all()
