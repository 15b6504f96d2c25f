"""Rows of park.toml: each problem with its line; templates stand for many rows."""

import re

import pytest

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
CASES = """
## bad parent: its parent 'r/north' does not exist
[[scope]] # HERE
id = "r/north/gamma"
kind = "plant"
name = {zh = "a", en = "b"}
## kind order: a plant cannot stand below a unit
[[scope]] # HERE
id = "r/east/alpha/caustic/store/fence"
kind = "plant"
name = {zh = "a", en = "b"}
## kind repeated: a plant cannot stand below a plant
[[scope]] # HERE
id = "r/east/alpha/caustic/more"
kind = "plant"
name = {zh = "a", en = "b"}
## duplicate scope: is there already
[[scope]] # HERE
id = "r/east/alpha/caustic/cells"
kind = "unit"
name = {zh = "a", en = "b"}
## owner twice: its last segment 'alpha' is taken by 'r/east/alpha'
[[scope]] # HERE
id = "r/west/alpha"
kind = "enterprise"
name = {zh = "a", en = "b"}
## scope path: 'r/North' is not a path
[[scope]]
id = "r/North" # HERE
kind = "park"
name = {zh = "a", en = "b"}
## one language: is not a table with zh and en
[[scope]]
id = "r/north"
kind = "park"
name = {en = "b"} # HERE
## unknown kind: 'parks' is not a value here, did you mean 'park'?
[[scope]]
id = "r/north"
kind = "parks" # HERE
name = {zh = "a", en = "b"}
## duplicate id: [[tank]] 'V-1': line
[[tank]] # HERE
id = "V-1"
scope = "r/east/alpha/caustic/store"
medium = "chlorine"
mass = "alpha/WT-1"
## unknown column: [[product]] has no column 'tags', did you mean 'tag'?
[[product]]
id = "x"
scope = "r/east/alpha/caustic/store"
tags = "alpha/FT-8" # HERE
## missing column: [[product]] needs tag
[[product]] # HERE
id = "x"
scope = "r/east/alpha/caustic/store"
## unknown table: unknown table [[tanks]], did you mean 'tank'?
[[tanks]] # HERE
id = "V-9"
## missing tag: there is no tag 'alpha/FT-88' in tags.csv, did you mean 'alpha/FT-8'?
[[product]]
id = "x"
scope = "r/east/alpha/caustic/store"
tag = "alpha/FT-88" # HERE
## missing scope: did you mean 'r/east/alpha/caustic'?
[[product]]
id = "x"
scope = "r/east/alpha/caustik" # HERE
tag = "alpha/FT-8"
## wrong quantity: 'alpha/LT-2' measures level, not mass_flow or mass
[[product]]
id = "x"
scope = "r/east/alpha/caustic/store"
tag = "alpha/LT-2" # HERE
## counter needed: 'alpha/WT-1' measures mass as a gauge; a counter is needed
[[product]]
id = "x"
scope = "r/east/alpha/caustic/store"
tag = "alpha/WT-1" # HERE
## wrong uom: 'kg' is not a unit of length (a length is given in units like m)
[[tank]]
id = "V-9"
scope = "r/east/alpha/caustic/store"
medium = "chlorine"
level = "alpha/LT-2"
diameter = "3 kg" # HERE
length = "2 m"
density = "1 kg/L"
## plain number: '' is not a unit of time (a time is given in units like s)
[[gap]]
tag = "alpha/FT-1"
gap = 60 # HERE
## share: 96 is not a number above 0 and not above 1
[[electrolyser]]
id = "E-9"
scope = "r/east/alpha/caustic/cells"
kind = "membrane"
cells = 1
current = "alpha/II-1"
current_efficiency = 96 # HERE
## unknown medium: 'chlorin' is not a medium, did you mean 'chlorine'?
[[stream]]
id = "s"
from = "r/east/alpha/caustic/cells"
to = "market"
medium = "chlorin" # HERE
mode = "road"
## same ends: from and to are the same
[[stream]] # HERE
id = "s"
from = "r/east/alpha/caustic/cells"
to = "r/east/alpha/caustic/cells"
medium = "chlorine"
mode = "pipe"
## nothing inside: both ends are outside the park
[[stream]] # HERE
id = "s"
from = "market"
to = "atmosphere"
medium = "chlorine"
mode = "vent"
## tank without size: a level needs diameter, length and density
[[tank]] # HERE
id = "V-9"
scope = "r/east/alpha/caustic/store"
medium = "chlorine"
level = "alpha/LT-2"
## tank twice measured: needs either level or mass
[[tank]] # HERE
id = "V-9"
scope = "r/east/alpha/caustic/store"
medium = "chlorine"
mass = "alpha/WT-1"
level = "alpha/LT-2"
diameter = "3 m"
length = "2 m"
density = "1 kg/L"
## unknown template: there is no template 'x'
[[use]] # HERE
template = "x"
with = {n = "1"}
## template parameter: template 'x' needs scope in `with`
[[template]]
id = "x"
params = ["n", "scope"]
[[use]] # HERE
template = "x"
with = {n = "1"}
## unknown table in a template: tanks
[[template]]
id = "x"
[[template.tanks]]
id = "V"
[[use]] # HERE
template = "x"
## carrier: electricity is accounted by energy, the tag gives mass
[[meter]] # HERE
scope = "r/east/alpha/caustic"
carrier = "electricity"
tag = "alpha/FT-9"
## product made nowhere: product 'pvc' is made nowhere
[[meter]] # HERE
scope = "r/east/alpha/caustic"
carrier = "steam"
tag = "alpha/FT-9"
product = "pvc"
## product ambiguous: say which with product
[[product]]
id = "gas"
scope = "r/east/alpha/caustic/cells"
tag = "alpha/FT-2"
[[meter]] # HERE
scope = "r/east/alpha/caustic"
carrier = "heat"
tag = "alpha/JQ-1"
"""
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


TEMPLATE = """
[[template]]
id = "pump"
params = ["n", "scope"]
[[template.scope]]
id = "{scope}/p{n}"
kind = "unit"
name = {zh = "泵{n}", en = "Pump {n}"}
[[template.tag]]
tag = "FT-{n}"
scope = "{scope}/p{n}"
quantity = "mass_flow"
uom = "t/h"
kind = "gauge"
low = 0
high = 36
sigma = "1 %"
[[template.stream]]
id = "s{n}"
from = "{scope}/p{n}"
to = "market"
medium = "chlorine"
mode = "pipe"
flow = "acme/FT-{n}"
[[use]]
template = "pump"
with = {n = "101", scope = "tiny/acme"}
[[use]]
template = "pump"
with = {n = "102", scope = "tiny/acme"}
"""


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
