"""Rows of park.toml: each problem with its line; templates stand for many rows."""

import re

import pytest

from tests.support.data import data_text
from tests.support.small_region import (
    CAUSTIC,
    CELLS,
    HEADER,
    PARK_TOML,
    SMALLEST,
    TAGS_CSV,
    problems_of,
)
from twin.errors import ModelError
from twin.loading import TABLES, parse_park
from twin.model.rows import columns_of, toml_lines

PLACE = re.compile(r"(park\.toml|tags\.csv):\d+: ")


def line_of(text, mark="HERE"):
    return next(n for n, line in enumerate(text.splitlines(), start=1) if mark in line)


# Rows that are added to the model; behind their name, the problem of the line marked HERE.
CASES = data_text("rows/wrong.toml")
ROWS = {
    head.partition(": ")[0]: (rows, head.partition(": ")[2])
    for head, _, rows in (case.partition("\n") for case in CASES.split("\n## ")[1:])
}


@pytest.mark.parametrize("case", ROWS)
def test_wrong_row_is_said_with_its_line(case):
    added, text = ROWS[case]
    toml = f"{PARK_TOML}\n{added}\n"
    problems = problems_of(toml)
    about = [p for p in problems if text in p and p.startswith(f"park.toml:{line_of(toml)}: ")]
    assert about, problems


def test_meter_below_two_products_must_say_which():
    toml = PARK_TOML.partition("[[meter]]")[0]
    toml += f'[[product]]\nid = "gas"\nscope = "{CAUSTIC}"\ntag = "alpha/FT-2"\n'
    toml += f'[[meter]]\nscope = "{CELLS}"\ncarrier = "electricity"\ntag = "alpha/JQ-1"\n'
    assert any("say which with product" in problem for problem in problems_of(toml))


def test_all_problems_are_said_at_once_each_with_its_place():
    wrong = {k: v for k, v in ROWS.items() if "template" not in k and "product" not in k}
    toml = PARK_TOML + "\n".join(added for added, _ in wrong.values())
    problems = problems_of(toml, TAGS_CSV + "X-1,r,mass_flow,kW,gauge,,,,\n")
    for _, text in [*wrong.values(), ("", "'kW' is not a unit of mass_flow")]:
        assert any(text in problem for problem in problems), text
    assert [p for p in problems if not PLACE.match(p)] == []


def test_lines_of_tables_and_keys_are_found_behind_texts_of_many_lines():
    text = '[park]\nnote = """\n[[tank]]\nid = 1\n"""\n[[ tank ]]\nid = "a"\n\n[[tank]]\n  id="b"\n'
    headers, keys = toml_lines(text)
    assert headers == {("park", 0): 1, ("tank", 0): 6, ("tank", 1): 9}
    assert keys == {("park", 0, "note"): 2, ("tank", 0, "id"): 7, ("tank", 1, "id"): 10}


TEMPLATE = data_text("rows/template.toml")


def test_templates_expand_to_scopes_tags_and_rows():
    park = parse_park({"park.toml": SMALLEST + TEMPLATE, "tags.csv": HEADER})
    assert [s.id for s in park.scopes[2:]] == ["tiny/acme/p101", "tiny/acme/p102"]
    assert park.scopes[2].name == {"zh": "泵101", "en": "Pump 101"}
    assert [(t.address, t.high) for t in park.tags] == [
        ("acme/FT-101", 10.0),
        ("acme/FT-102", 10.0),
    ]
    assert [(s.id, s.origin, s.flow) for s in park.streams] == [
        ("s101", "tiny/acme/p101", "acme/FT-101"),
        ("s102", "tiny/acme/p102", "acme/FT-102"),
    ]


def test_problem_inside_a_template_stands_where_it_is_used():
    toml = SMALLEST + TEMPLATE.replace("t/h", "kW").replace("[[use]]", "[[use]] # HERE", 1)
    problems = problems_of(toml, HEADER)
    assert f"park.toml:{line_of(toml)}: 'kW' is not a unit of mass_flow" in problems[0]


ODD = ['""', '"x y"', "-1", "0.5", "true", "[]", '["a"]', "{}", "{a = 1}", "2020-05-01"]


@pytest.mark.parametrize("table", [*TABLES, "park", "use", "template"])
def test_odd_cell_is_a_problem_and_never_a_crash(table):
    columns = {
        "park": ["id", "kind", "name", "timezone", "gap", "shifts"],
        "use": ["template", "with"],
        "template": ["id", "params", "tag", "stream", "x"],
    }.get(table) or columns_of(TABLES[table])
    crashes = []
    for column in columns:
        for odd in ODD:
            if table == "park":
                kept = [x for x in SMALLEST.splitlines() if not x.startswith(f"{column} =")]
                kept = [*SMALLEST.splitlines()[:1], f"{column} = {odd}", *kept[1:]]
                toml = "\n".join(kept)
            elif table == "template":
                toml = SMALLEST + f'[[template]]\n{column} = {odd}\n[[use]]\ntemplate = "t"\n'
            else:
                toml = SMALLEST + f"[[{table}]]\n{column} = {odd}\n"
            try:
                parse_park({"park.toml": toml, "tags.csv": HEADER})
            except ModelError:
                pass
            except Exception as error:  # noqa: BLE001 - all of them are to be listed
                crashes.append(f"{column} = {odd}: {error!r}")
    assert crashes == []
