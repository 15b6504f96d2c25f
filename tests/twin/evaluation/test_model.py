"""Rules of evaluation in the park model: what is wrong is named, and which of them holds."""

import pytest

from tests.support.small_evaluation import files, park
from twin.errors import ModelError, UomError
from twin.evaluation.model import (
    Evaluated,
    Input,
    evaluated,
    input_of,
    rules,
    scale_of,
)
from twin.loading import parse_park

YEAR_S = 366 * 86_400


def problems(**rule):
    """Return what is wrong with a park."""
    with pytest.raises(ModelError) as caught:
        park(**rule)
    return caught.value.problems


def changed(old, new):
    """Return what is wrong with the park after a change of its text."""
    given = files()
    assert old in given["park.toml"]
    with pytest.raises(ModelError) as caught:
        parse_park(given | {"park.toml": given["park.toml"].replace(old, new)})
    return caught.value.problems


def test_rule_of_a_scope_is_that_of_the_newest_year_up_to_the_one_in_question():
    newer = '[[evaluation]]\nid = "newer"\nscope = "acmepark"\nyear = 2026\n'
    newer += """
[[evaluation_indicator]]
evaluation = "newer"
id = "sales"
over = "B-SALES"
under = "energy"
uom = "万元/tce"
weight = 1.0
times_mean = 2
[[evaluation_class]]
evaluation = "newer"
id = "A"
"""
    both = park(more=newer)
    assert rules(both, "acmepark", 2023) == []
    assert [rule.head.id for rule in rules(both, "acmepark", 2025)] == ["example"]
    (rule,) = rules(both, "acmepark/acme", 2030)
    assert (rule.head.id, len(rule.indicators), len(rule.classes)) == ("newer", 1, 1)
    assert [each.id for each in rule.enterprises] == [
        "acmepark/acme", "acmepark/other", "acmepark/third",
    ]  # fmt: skip


def test_what_is_known_of_an_enterprise_is_of_one_year():
    model = park()
    (rule,) = rules(model, "acmepark", 2024)
    assert evaluated(model, rule, "acmepark/other", 2024).bonus == 3
    assert evaluated(model, rule, "acmepark/other", 2025) == Evaluated(
        "example", "acmepark/other", 2025
    )


def test_unit_of_an_indicator_follows_from_its_inputs():
    money, area, energy = Input("money", True), Input("area", False), input_of(None, "energy")
    # 10,000 CNY per 2000/3 m2 and year.
    assert scale_of("万元/亩", money, area, YEAR_S) == pytest.approx(15.0 / YEAR_S)
    assert scale_of("万元/tce", money, energy, YEAR_S) == pytest.approx(1e4 / 29.3076e9)
    assert scale_of("%", money, money, YEAR_S) == pytest.approx(0.01)
    with pytest.raises(UomError):
        scale_of("万元/kg", money, area, YEAR_S)
    with pytest.raises(UomError):
        scale_of("%", money, area, YEAR_S)
    with pytest.raises(UomError):
        scale_of("亩/万元", area, money, YEAR_S)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("weight = 0.45", "weight = 0.40", "the weights of its indicators are 0.95 together"),
        ("benchmark = 24", "", "give either benchmark or times_mean"),
        ("benchmark = 24", "benchmark = 24\ntimes_mean = 2", "give either benchmark or times_mean"),
        ("benchmark = 24", "benchmark = 0", "is not above 0"),
        ("benchmark = 24", "benchmark = 24\ncap = 0", "is not above 0"),
        ('over = "B-SALES"', 'over = "B-SALE"', "'B-SALE' is a tag of no enterprise"),
        ('under = "energy"', 'under = "enrgy"', "did you mean 'energy'?"),
        ('uom = "万元/tce"', 'uom = "万元/亩"', "is not a unit of energy"),
        ("until = 0.6", "until = 0.1", "it is not behind that of the class before"),
        ('id = "D"', 'id = "D"\nuntil = 0.99', "the last class takes all others"),
        ('id = "D"', 'id = "T"', "T is the class of those that are not rated"),
        ("bonus = 3", "bonus = -3", "is below 0"),
        ("SO2 = 1, NOx", "SO2 = 0, NOx", "SO2 is not above 0"),
        ("SO2 = 1, NOx", "SO_2 = 1, NOx", "measures 'SO_2', did you mean 'SO2'?"),
        ("bonus = 3", "benchmarks = { taxes = 3 }", "there is no indicator 'taxes'"),
        ('scope = "acmepark/other"\nyear', 'scope = "acmepark"\nyear', "is no enterprise in"),
    ],
)
def test_rule_that_gives_no_score_is_a_problem_at_load(old, new, text):
    wrong = changed(old, new)
    assert len(wrong) == 1
    assert text in wrong[0]


def test_row_of_no_evaluation_is_named_with_its_line():
    row = '\n[[evaluation_class]]\nevaluation = "exampel"\nid = "E"\n'
    (problem,) = problems(more=row)
    assert "there is no [[evaluation]] 'exampel', did you mean 'example'?" in problem


def test_second_rule_of_a_scope_and_year_is_a_problem_at_load():
    given = files()
    rule = given["park.toml"]
    again = rule[rule.index("[[evaluation]]") : rule.index("[[evaluation_enterprise]]")]
    text = rule + again.replace('"example"', '"again"')
    with pytest.raises(ModelError) as caught:
        parse_park(given | {"park.toml": text})
    assert [p.partition(": ")[2] for p in caught.value.problems] == [
        "[[evaluation]] again: year: 'example' is the rule of this scope from 2024 on"
    ]


def test_pollutants_without_factors_are_a_problem_at_load():
    given = files(green="pollutants", uom="万元/kg")
    text = given["park.toml"].replace("pollutants = { SO2 = 1, NOx = 2 }\nclause", "clause")
    with pytest.raises(ModelError) as caught:
        parse_park(given | {"park.toml": text})
    assert "it needs pollutants" in caught.value.problems[0]
