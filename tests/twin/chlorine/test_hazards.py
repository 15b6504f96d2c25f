"""Major hazard sources (case T-13)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.small_region import PARK_TOML, STORE, TAGS_CSV, problems_of
from twin import reference
from twin.chlorine.hazards import (
    Hazard,
    gradable,
    grade,
    r_equivalent,
)
from twin.loading import parse_park
from twin.uom import parse_quantity

T = 1000.0


def near(value, rel=1e-6):
    return pytest.approx(value, rel=rel)


def alpha(persons):
    """Return the factor of persons: R over beta where the mass is the critical one."""
    return r_equivalent(np.array([5 * T]), ["chlorine"], persons) / 4


def persons_of(factor):
    table = reference.load("hazards")["alpha"]
    return np.array(float(table["persons"][table["factor"].index(factor)]))


@pytest.mark.parametrize(
    ("persons", "factor"),
    [(0, 0.5), (1, 1), (29, 1), (30, 1.2), (49, 1.2), (50, 1.5), (99, 1.5), (100, 2), (1e6, 2)],
)
def test_factor_of_the_persons_is_the_published_one(persons, factor):
    assert alpha(np.array(persons)) == factor


def test_factor_of_an_unknown_number_of_persons_is_unknown():
    result = alpha(np.array([[np.nan, -1], [0, 30]]))
    assert np.isnan(result[0]).all()
    assert result[1].tolist() == [0.5, 1.2]


@pytest.mark.parametrize(
    ("tonnes", "factor", "s", "r", "level"),
    [
        ({"chlorine": 4}, 1.0, 0.8, 3.2, 0),
        ({"chlorine": 5}, 1.0, 1.0, 4.0, 4),
        ({"chlorine": 4, "ammonia": 3}, 1.0, 1.1, 3.8, 4),
        ({"chlorine": 12}, 1.0, 2.4, 9.6, 4),
        ({"chlorine": 12.5}, 1.0, 2.5, 10.0, 3),
        ({"chlorine": 60}, 1.0, 12, 48, 3),
        ({"chlorine": 62.5}, 1.0, 12.5, 50, 2),
        ({"chlorine": 125}, 1.0, 25, 100, 1),
        ({"chlorine": 128.8}, 1.0, 25.76, 103.04, 1),
        ({"chlorine": 773}, 1.5, 154.6, 927.6, 1),
        (
            {"chlorine": 30, "ammonia": 40, "hydrogen_chloride": 8, "hydrogen": 2},
            2.0, 10.8, 67.6, 2,
        ),
    ],
)  # fmt: skip
def test_grade_of_a_unit_is_the_published_one(tonnes, factor, s, r, level):
    mass = np.array(list(tonnes.values())) * T
    result = grade(mass, list(tonnes), persons_of(factor))
    assert (result.s, result.r, result.level) == (near(s), near(r), level)


def test_grades_are_vectorised_and_an_unknown_mass_has_none():
    mass = np.array([[4.0, 3.0], [np.nan, 3.0], [62.5, 0.0]]) * T
    result = grade(mass, ["chlorine", "ammonia"], np.array([1.0, 1.0, np.nan]))
    assert result.level[0] == 4
    assert np.isnan(result.level[1:]).all()
    assert np.isnan([result.s[1], result.r[1], result.r[2]]).all()
    assert result.s[2] == near(12.5)


def test_a_sum_that_is_a_limit_is_not_lost_to_rounding():
    result = grade(np.array([0.1, 0.2, 0.7]) * 10 * T, ["ammonia"] * 3, np.array(1.0))
    assert result.level == 4
    thirds = grade(np.array([12.5 / 3] * 3) * T, ["chlorine"] * 3, np.array(1.0))
    assert thirds.level == 3


def test_live_figure_is_r_of_what_is_there_and_has_no_level():
    live = r_equivalent(np.array([[400.0, 1000.0], [np.nan, 0]]) * T, ["chlorine", "ammonia"], 60)
    assert live[0] == near(1.5 * (4 * 80 + 2 * 100))
    assert np.isnan(live[1])
    assert isinstance(live, np.ndarray)


def test_substances_without_beta_cannot_be_graded():
    rows = reference.load("hazards")["substance"]
    assert rows.keys() - gradable() == {"epichlorohydrin", "ammonium_nitrate_fertiliser"}
    assert all(parse_quantity(row["critical"], "mass") > 0 for row in rows.values())
    assert all(set(row["media"]) <= set(reference.load("media")) for row in rows.values())


@settings(deadline=None, max_examples=100)
@given(st.floats(0, 2000), st.floats(0, 100), st.integers(0, 200))
def test_more_chlorine_is_never_a_lower_hazard(tonnes, more, persons):
    mass = np.array([[tonnes], [tonnes + more]]) * T
    less, full = grade(mass, ["chlorine"], np.array(persons)).level.tolist()
    assert (less or 5) >= (full or 5)


HAZARD = f"""
[[hazard]] # HERE
id = "H-1"
scope = "{STORE}"
persons = 60
substances = {{chlorine = "773 t", ammonia = "3 t"}}
"""


def test_unit_of_a_model_has_the_masses_of_its_substances():
    park = parse_park({"park.toml": PARK_TOML + HAZARD, "tags.csv": TAGS_CSV})
    (row,) = park.rows(Hazard)
    assert row.substances == {"chlorine": 773e3, "ammonia": 3e3}


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("ammonia =", "amonia =", "'amonia' is no substance that can be graded; use one of"),
        ("ammonia =", "epichlorohydrin =", "'epichlorohydrin' is no substance"),
        ('"3 t"', '"3 m"', "ammonia: 'm' is not a unit of mass"),
        ('"3 t"', "3", "ammonia: '' is not a unit of mass"),
        ('"3 t"', '"-3 t"', "ammonia: '-3 t' is not above 0"),
        ('"3 t"', '"nan t"', "ammonia: 'nan t' is not above 0"),
        ('{chlorine = "773 t", ammonia = "3 t"}', "{}", "needs substances"),
        ("persons = 60", "persons = -1", "-1 persons cannot be"),
        ("persons = 60", "persons = nan", "nan persons cannot be"),
    ],
)
def test_wrong_unit_is_a_problem_with_its_line(right, wrong, message):
    text = PARK_TOML + HAZARD.replace(right, wrong)
    line, cell = (
        next(n for n, row in enumerate(text.splitlines(), start=1) if mark in row)
        for mark in ("HERE", "substances = ")
    )
    (problem,) = problems_of(text)
    starts = f"park.toml:{line}: [[hazard]] H-1: ", f"park.toml:{cell}: [[hazard]] substances: "
    assert problem.startswith(starts)
    assert message in problem
