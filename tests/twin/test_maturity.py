"""Levels of digital maturity, meters by class of users, and tables that cannot be."""

import pytest

from tests.support.small_park import FILES
from twin.errors import ModelError
from twin.loading import parse_park
from twin.maturity import Metering, Standing, connected, grade, required_share, unmetered

NAN = float("nan")
BEST = Standing(0.97, {"enterprise": 0.0, "plant": 0.0, "unit": 0.1}, 0.95, 0.99, 0.005, 0.0)


@pytest.mark.parametrize(
    ("change", "level", "reason"),
    [
        ({}, 5, ""),
        ({"overdue": 1.0}, 4, "overdue"),
        ({"doubtful": 0.02}, 4, "doubtful"),
        ({"control": 0.85}, 3, "control"),
        ({"interlock": NAN}, 3, "interlock: not_known"),
        ({"meters": {"enterprise": 0.0, "plant": -0.1, "unit": 0.0}}, 2, "meters of plant"),
        ({"meters": {}}, 2, "meters of enterprise: not_known"),
        ({"availability": 0.85}, 1, "availability"),
        ({"availability": 0.4}, 0, "availability"),
        # The lowest condition that is not met decides, whatever stands above it.
        ({"availability": 0.85, "control": 1.0, "overdue": 5.0}, 1, "availability"),
    ],
)
def test_level_is_the_highest_whose_conditions_and_all_below_are_met(change, level, reason):
    assert grade(BEST._replace(**change)) == (level, reason)


def test_required_share_is_that_of_the_carrier_by_the_begin_of_its_name():
    assert required_share("electricity", "unit") == 0.95
    assert required_share("steam_1mpa", "plant") == 0.8
    assert required_share("hydrogen", "plant") != required_share("hydrogen", "plant")


ROWS = """
[[metering]]
scope = "demo/acme"
carrier = "electricity"
users = "plant"
required = 2
installed = {0}
[[automation]]
id = "loops"
scope = "demo/acme"
kind = "control"
tags = "acme/{1}"
"""


def test_meters_of_a_class_are_those_at_scopes_of_that_kind():
    park = parse_park(FILES | {"park.toml": FILES["park.toml"] + ROWS.format(2, "XS-901")})
    (row,) = park.rows(Metering)
    assert connected(park, row) == 1
    assert unmetered(park, row) == ["demo/acme/vcm"]


@pytest.mark.parametrize(
    ("installed", "tag", "problem"),
    [
        (3, "XS-901", "is above required"),
        (2, "XS-9", "there is no tag"),
        (2, "FT-1", "needs total"),
    ],
)
def test_table_that_cannot_be_is_a_problem_at_load(installed, tag, problem):
    text = FILES["park.toml"] + ROWS.format(installed, tag)
    with pytest.raises(ModelError) as caught:
        parse_park(FILES | {"park.toml": text})
    assert len(caught.value.problems) == 1
    assert problem in caught.value.problems[0]
