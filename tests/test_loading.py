"""Park folders: what loads, and that everything wrong is said at once, with its place."""

import re
from pathlib import Path

import pytest
from small_region import CAUSTIC, CELLS, PARK_TOML, STORE, TAGS_CSV

from twin.errors import ModelError
from twin.loading import load_park, parse_park
from twin.tables import COLUMNS

LIAOCHENG = Path(__file__).parent.parent / "deploy" / "parks" / "liaocheng"
PLACE = re.compile(r"(park\.toml|tags\.csv):\d+: ")
HEADER = "tag,scope,quantity,uom,kind,low,high,sigma,description\n"
SMALLEST = """[park]
id = "tiny"
kind = "park"
name = {zh = "示例", en = "Tiny"}
timezone = "Asia/Shanghai"
[[scope]]
id = "tiny/acme"
kind = "enterprise"
name = {zh = "示例企业", en = "Acme"}
"""


def problems_of(toml, csv=TAGS_CSV):
    with pytest.raises(ModelError) as caught:
        parse_park({"park.toml": toml, "tags.csv": csv})
    assert caught.value.hint
    return list(caught.value.problems)


def line_of(text, mark="HERE"):
    return next(n for n, line in enumerate(text.splitlines(), start=1) if mark in line)


def write(folder, toml=SMALLEST, csv=HEADER):
    (folder / "park.toml").write_bytes(toml if isinstance(toml, bytes) else toml.encode())
    (folder / "tags.csv").write_bytes(csv if isinstance(csv, bytes) else csv.encode())
    return folder


def test_smallest_model_loads(tmp_path):
    csv = (
        HEADER
        + "FT-1,tiny/acme,mass_flow,t/h,gauge,0,100,1 %,a flow\nPT-1,tiny,pressure,kPa,gauge,,,,\n"
    )
    park = load_park(write(tmp_path, csv=csv))
    assert [(s.id, s.kind, s.parent) for s in park.scopes] == [
        ("tiny", "park", ""), ("tiny/acme", "enterprise", "tiny"),
    ]  # fmt: skip
    assert [tag.address for tag in park.tags] == ["acme/FT-1", "tiny/PT-1"]
    flow = park.tags[0]
    assert (flow.low, flow.high) == pytest.approx((0, 100 / 3.6))
    assert (flow.gap_s, flow.source, flow.sigma) == (300.0, "measured", "1 %")
    assert park.scope("tiny/acme").name["en"] == "Acme"
    assert park.scope("tiny/nobody") is None
    assert (park.streams, park.tanks, park.meters, park.electrolysers) == ((), (), (), ())


def test_model_without_any_tag_loads(tmp_path):
    assert load_park(write(tmp_path)).tags == ()


def test_digest_tells_models_apart_and_knows_the_same_one():
    files = {"park.toml": SMALLEST, "tags.csv": HEADER}
    other = {**files, "tags.csv": HEADER + "FT-1,tiny,mass_flow,t/h,gauge,,,,\n"}
    assert parse_park(files).digest == parse_park(dict(files)).digest != parse_park(other).digest
    assert parse_park(files).files == files


def test_text_of_a_spreadsheet_loads_as_well(tmp_path):
    csv = HEADER + '\n# FT-0 is not wired yet\n,,,,,,,,\n FT-1 , tiny ,fraction,%,gauge,,,,"a, b"\n'
    park = load_park(write(tmp_path, csv=b"\xef\xbb\xbf" + csv.replace("\n", "\r\n").encode()))
    assert [(t.tag, t.description) for t in park.tags] == [("FT-1", "a, b")]


def test_physical_parameters_are_si_inside():
    park = parse_park({"park.toml": PARK_TOML, "tags.csv": TAGS_CSV})
    tank = park.tanks[1]
    assert (tank.diameter, tank.length, tank.density) == (3.0, 16.0, 1425.0)
    assert (tank.fill_limit, park.tanks[0].level, park.tanks[0].mass) == (1.0, "", "alpha/WT-1")
    assert {stream.mode for stream in park.streams} == {"pipe", "internal", "road", "vent"}
    assert (park.meters[0].direction, park.meters[0].basis, park.meters[1].basis) == (
        "in", "AC", "DC",
    )  # fmt: skip


def test_gap_of_the_park_and_of_single_tags_is_kept():
    toml = PARK_TOML.replace('gap = "5 min"', 'gap = "90 s"')
    toml += '[[gap]]\ntag = "alpha/FT-8"\ngap = "1 h"\n'
    gaps = {t.tag: t.gap_s for t in parse_park({"park.toml": toml, "tags.csv": TAGS_CSV}).tags}
    assert (gaps["FT-8"], gaps["FT-1"]) == (3600.0, 90.0)


# What is added to the model, and what is said about the line marked HERE.
ROWS = {
    "bad parent": (
        '[[scope]] # HERE\nid = "r/north/gamma"\nkind = "plant"\nname = {zh = "a", en = "b"}',
        "its parent 'r/north' does not exist",
    ),
    "kind order": (
        f'[[scope]] # HERE\nid = "{STORE}/fence"\nkind = "plant"\nname = {{zh = "a", en = "b"}}',
        "a plant cannot stand below a unit",
    ),
    "kind repeated": (
        f'[[scope]] # HERE\nid = "{CAUSTIC}/more"\nkind = "plant"\nname = {{zh = "a", en = "b"}}',
        "a plant cannot stand below a plant",
    ),
    "duplicate scope": (
        f'[[scope]] # HERE\nid = "{CELLS}"\nkind = "unit"\nname = {{zh = "a", en = "b"}}',
        "is there already",
    ),
    "owner twice": (
        '[[scope]] # HERE\nid = "r/west/alpha"\nkind = "enterprise"\nname = {zh = "a", en = "b"}',
        "its last segment 'alpha' is taken by 'r/east/alpha'",
    ),
    "scope path": (
        '[[scope]]\nid = "r/North" # HERE\nkind = "park"\nname = {zh = "a", en = "b"}',
        "'r/North' is not a path",
    ),
    "one language": (
        '[[scope]]\nid = "r/north"\nkind = "park"\nname = {en = "b"} # HERE',
        "is not a table with zh and en",
    ),
    "unknown kind": (
        '[[scope]]\nid = "r/north"\nkind = "parks" # HERE\nname = {zh = "a", en = "b"}',
        "'parks' is not a value here, did you mean 'park'?",
    ),
    "duplicate id": (
        f'[[tank]] # HERE\nid = "V-1"\nscope = "{STORE}"\nmedium = "chlorine"\nmass = "alpha/WT-1"',
        "[[tank]] 'V-1': line ",
    ),
    "unknown column": (
        f'[[product]]\nid = "x"\nscope = "{STORE}"\ntags = "alpha/FT-8" # HERE',
        "[[product]] has no column 'tags', did you mean 'tag'?",
    ),
    "missing column": (
        f'[[product]] # HERE\nid = "x"\nscope = "{STORE}"',
        "[[product]] needs tag",
    ),
    "unknown table": (
        '[[tanks]] # HERE\nid = "V-9"',
        "unknown table [[tanks]], did you mean 'tank'?",
    ),
    "single table": ('[outlet] # HERE\nid = "V-9"', "write [[outlet]], not [outlet]"),
    "missing tag": (
        f'[[product]]\nid = "x"\nscope = "{STORE}"\ntag = "alpha/FT-88" # HERE',
        "there is no tag 'alpha/FT-88' in tags.csv, did you mean 'alpha/FT-8'?",
    ),
    "missing scope": (
        '[[product]]\nid = "x"\nscope = "r/east/alpha/caustik" # HERE\ntag = "alpha/FT-8"',
        "did you mean 'r/east/alpha/caustic'?",
    ),
    "wrong quantity": (
        f'[[product]]\nid = "x"\nscope = "{STORE}"\ntag = "alpha/LT-2" # HERE',
        "'alpha/LT-2' measures level, not mass_flow or mass",
    ),
    "counter needed": (
        f'[[product]]\nid = "x"\nscope = "{STORE}"\ntag = "alpha/WT-1" # HERE',
        "'alpha/WT-1' measures mass as a gauge; a counter is needed",
    ),
    "wrong uom": (
        f'[[tank]]\nid = "V-9"\nscope = "{STORE}"\nmedium = "chlorine"\nlevel = "alpha/LT-2"\n'
        'diameter = "3 kg" # HERE\nlength = "2 m"\ndensity = "1 kg/L"',
        "'kg' is not a unit of length (a length is given in units like m)",
    ),
    "plain number": (
        '[[gap]]\ntag = "alpha/FT-1"\ngap = 60 # HERE',
        "'' is not a unit of time (a time is given in units like s)",
    ),
    "share": (
        f'[[electrolyser]]\nid = "E-9"\nscope = "{CELLS}"\nkind = "membrane"\ncells = 1\n'
        'current = "alpha/II-1"\ncurrent_efficiency = 96 # HERE',
        "96 is not a number above 0 and not above 1",
    ),
    "unknown medium": (
        f'[[stream]]\nid = "s"\nfrom = "{CELLS}"\nto = "market"\nmedium = "chlorin" # HERE\nmode = "road"',
        "'chlorin' is not a medium, did you mean 'chlorine'?",
    ),
    "same ends": (
        f'[[stream]] # HERE\nid = "s"\nfrom = "{CELLS}"\nto = "{CELLS}"\nmedium = "chlorine"\nmode = "pipe"',
        "from and to are the same",
    ),
    "nothing inside": (
        '[[stream]] # HERE\nid = "s"\nfrom = "market"\nto = "atmosphere"\nmedium = "chlorine"\nmode = "vent"',
        "both ends are outside the park",
    ),
    "tank without size": (
        f'[[tank]] # HERE\nid = "V-9"\nscope = "{STORE}"\nmedium = "chlorine"\nlevel = "alpha/LT-2"',
        "a level needs diameter, length and density",
    ),
    "tank twice measured": (
        f'[[tank]] # HERE\nid = "V-9"\nscope = "{STORE}"\nmedium = "chlorine"\nmass = "alpha/WT-1"\n'
        'level = "alpha/LT-2"\ndiameter = "3 m"\nlength = "2 m"\ndensity = "1 kg/L"',
        "needs either level or mass",
    ),
    "unknown template": (
        '[[use]] # HERE\ntemplate = "x"\nwith = {n = "1"}',
        "there is no template 'x'",
    ),
    "template parameter": (
        '[[template]]\nid = "x"\nparams = ["n", "scope"]\n'
        '[[use]] # HERE\ntemplate = "x"\nwith = {n = "1"}',
        "template 'x' needs scope in `with`",
    ),
    "unknown table in a template": (
        '[[template]]\nid = "x"\n[[template.tanks]]\nid = "V"\n[[use]] # HERE\ntemplate = "x"',
        "tanks",
    ),
    "carrier": (
        f'[[meter]] # HERE\nscope = "{CAUSTIC}"\ncarrier = "electricity"\ntag = "alpha/FT-9"',
        "electricity is accounted by energy, the tag gives mass",
    ),
    "product made nowhere": (
        f'[[meter]] # HERE\nscope = "{CAUSTIC}"\ncarrier = "steam"\ntag = "alpha/FT-9"\nproduct = "pvc"',
        "product 'pvc' is made nowhere",
    ),
    "product ambiguous": (
        f'[[product]]\nid = "gas"\nscope = "{CELLS}"\ntag = "alpha/FT-2"\n'
        f'[[meter]] # HERE\nscope = "{CAUSTIC}"\ncarrier = "heat"\ntag = "alpha/JQ-1"',
        "say which with product",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ROWS)
def test_wrong_row_is_said_with_its_line(case):
    added, said = ROWS[case]
    toml = f"{PARK_TOML}\n{added}\n"
    problems = problems_of(toml)
    about = [p for p in problems if said in p and p.startswith(f"park.toml:{line_of(toml)}: ")]
    assert about, problems


def test_meter_below_two_products_must_say_which():
    toml = PARK_TOML.partition("[[meter]]")[0]
    toml += f'[[product]]\nid = "gas"\nscope = "{CAUSTIC}"\ntag = "alpha/FT-2"\n'
    toml += f'[[meter]]\nscope = "{CELLS}"\ncarrier = "electricity"\ntag = "alpha/JQ-1"\n'
    assert any("say which with product" in problem for problem in problems_of(toml))


CELLS_OF_TAGS = {
    "wrong uom": ("X-1,r,mass_flow,kW,gauge,,,,", "'kW' is not a unit of mass_flow"),
    "unknown uom": ("X-1,r,mass_flow,t/hx,gauge,,,,", "unit of measure 't/hx' is unknown"),
    "quantity": ("X-1,r,flow,t/h,gauge,,,,", "quantity 'flow' is not in the vocabulary"),
    "kind": ("X-1,r,mass_flow,t/h,gage,,,,", "kind 'gage' is not one of gauge, counter, state"),
    "scope": ("X-1,r/nowhere,mass_flow,t/h,gauge,,,,", "scope 'r/nowhere' does not exist"),
    "name": ("X 1,r,mass_flow,t/h,gauge,,,,", "tag name 'X 1' is empty or has blanks"),
    "bad sigma": ("X-1,r,mass_flow,t/h,gauge,,,1 t/h,", "sigma '1 t/h' is neither a number"),
    "low above high": ("X-1,r,mass_flow,t/h,gauge,9,8,,", "low 9 is above high 8"),
    "no number": ("X-1,r,mass_flow,t/h,gauge,a,,,", "low 'a' or high '' is not a number"),
    "width": ("X-1,r,mass_flow,t/h", "4 cells where 9 are needed"),
    "duplicate": (f"FT-1,{STORE},mass_flow,t/h,gauge,,,,", "tag 'alpha/FT-1' is there already"),
}


@pytest.mark.parametrize("case", CELLS_OF_TAGS)
def test_wrong_row_of_the_tags_is_said_with_its_line(case):
    row, said = CELLS_OF_TAGS[case]
    csv = f"{TAGS_CSV}{row}\n"
    (problem,) = problems_of(PARK_TOML, csv)
    assert problem.startswith(f"tags.csv:{len(csv.splitlines())}: {said}")


def test_all_problems_are_said_at_once_each_with_its_place():
    wrong = {k: v for k, v in ROWS.items() if "template" not in k and "product" not in k}
    toml = PARK_TOML + "\n".join(added for added, _ in wrong.values())
    csv = TAGS_CSV + "\n".join(row for row, _ in CELLS_OF_TAGS.values())
    problems = problems_of(toml, csv)
    for _, said in [*wrong.values(), *CELLS_OF_TAGS.values()]:
        assert any(said in problem for problem in problems), said
    assert [p for p in problems if not PLACE.match(p)] == []


def test_several_wrong_cells_of_one_row_are_all_said():
    problems = problems_of(PARK_TOML, TAGS_CSV + "X-1,r/nowhere,flow,t/h,gage,,,x,\n")
    assert len(problems) == 4


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('timezone = "Asia/Liaocheng"', "'Asia/Liaocheng' is not an IANA time zone"),
        ("timezone = 8", "8 is not an IANA time zone"),
        ('gap = "5 kg"', "'kg' is not a unit of time"),
        ('shifts = ["8:00"]', "'8:00' is not a time like 08:00"),
        ('kind = "town"', "'town' is not a value here"),
        ('id = "a/b"', "the root scope is one segment"),
        ("name = 5", "5 is not a table with zh and en"),
    ],
)
def test_wrong_head_of_the_park_is_said(line, said):
    key = line.partition(" ")[0]
    kept = [old for old in SMALLEST.splitlines() if not old.startswith(key + " ")]
    head = "\n".join(kept[: kept.index("[[scope]]")])
    problems = problems_of(f"{head}\n{line}\n", HEADER)
    assert any(p.startswith("park.toml:") and f"[park] {key}: " in p and said in p
               for p in problems), problems  # fmt: skip


def test_invalid_toml_is_said_with_its_line_and_accuses_nobody_else():
    problems = problems_of(PARK_TOML.replace("[park]", "[park"))
    assert problems[0].startswith("park.toml:")
    assert "not valid TOML" in problems[0]
    assert "line 1" in problems[0]
    assert problems[1:] == []


def test_wrong_columns_of_the_tags_accuse_nobody_else():
    problems = problems_of(PARK_TOML, TAGS_CSV.replace("quantity", "what", 1))
    assert problems[0].startswith("tags.csv:1: the columns must be tag,scope,quantity,uom")
    assert problems[1:] == []


@pytest.mark.parametrize("name", ["park.toml", "tags.csv"])
def test_missing_file_is_named(tmp_path, name):
    (write(tmp_path) / name).unlink()
    with pytest.raises(ModelError) as caught:
        load_park(tmp_path)
    assert caught.value.problems == (f"{name}: missing",)
    assert name in caught.value.message


def test_missing_folder_names_both_files(tmp_path):
    with pytest.raises(ModelError) as caught:
        load_park(tmp_path / "nowhere")
    assert caught.value.problems == ("park.toml: missing", "tags.csv: missing")
    assert "park.toml and tags.csv" in caught.value.hint


@pytest.mark.parametrize("name", ["park.toml", "tags.csv"])
def test_file_that_is_not_utf_8_is_named(tmp_path, name):
    write(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes() + "# 烧碱\n".encode("gbk"))
    with pytest.raises(ModelError) as caught:
        load_park(tmp_path)
    assert "UTF-8" in caught.value.hint
    assert any(name in text for text in (*caught.value.problems, caught.value.message))


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


@pytest.mark.parametrize("table", [*COLUMNS, "park", "use", "template"])
def test_odd_cell_is_a_problem_and_never_a_crash(table):
    columns = {
        "park": ["id", "kind", "name", "timezone", "gap", "shifts"],
        "use": ["template", "with"],
        "template": ["id", "params", "tag", "stream", "x"],
    }.get(table) or COLUMNS[table]
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


@pytest.fixture(scope="module")
def liaocheng():
    return load_park(LIAOCHENG)


def test_demonstration_park_is_valid_and_large_enough(liaocheng):
    kinds = [scope.kind for scope in liaocheng.scopes]
    assert (liaocheng.id, liaocheng.kind) == ("liaocheng", "region")
    assert kinds.count("park") == 3
    assert len(liaocheng.tags) >= 200
    assert {e.kind for e in liaocheng.electrolysers} == {"membrane", "potline"}
    assert {p.id for p in liaocheng.products} >= {"caustic", "aluminium", "ammonia", "urea"}


def test_demonstration_park_says_that_it_is_one(liaocheng):
    names = [scope.name for scope in liaocheng.scopes if scope.kind == "enterprise"]
    assert len(names) >= 3
    assert [name for name in names if "示例" not in name["zh"]] == []


def test_every_electrolyser_of_the_demonstration_park_has_its_place_and_current(liaocheng):
    tags = {tag.address: tag for tag in liaocheng.tags}
    scopes = {scope.id for scope in liaocheng.scopes}
    assert len(liaocheng.electrolysers) >= 10
    for cell in liaocheng.electrolysers:
        assert cell.scope in scopes
        assert tags[cell.current].quantity == "current"
        assert cell.capacity > 0
        assert cell.commissioned is not None
