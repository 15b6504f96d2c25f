"""Park folders: the model of a valid one, and all problems of others at once, with their lines."""

from pathlib import Path

import pytest

from tests.support.small_region import HEADER, PARK_TOML, SMALLEST, STORE, TAGS_CSV, problems_of
from twin.errors import ModelError
from twin.loading import load_park, parse_park

LIAOCHENG = Path(__file__).parents[2] / "deploy" / "parks" / "liaocheng"


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


def test_volume_flow_in_normal_cubic_metres_is_a_normal_volume_flow(tmp_path):
    csv = HEADER + "FT-1,tiny/acme,volume_flow,Nm³/h,gauge,0,7200,,hydrogen\n"
    csv += "FQ-1,tiny/acme,volume,Nm^3,counter,,,,\nFT-2,tiny/acme,volume_flow,m^3/h,gauge,,,,\n"
    flow, volume, water = load_park(write(tmp_path, csv=csv)).tags
    assert (flow.quantity, flow.high) == ("normal_volume_flow", 2.0)
    assert (volume.quantity, water.quantity) == ("normal_volume", "volume_flow")


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


REGISTER = '[[register]]\ntag = "tiny/EQ-1"\n'
COUNTER_CSV = HEADER + "EQ-1,tiny,energy,kWh,counter,,,,\nPT-1,tiny,pressure,kPa,gauge,,,,\n"


def test_register_of_a_counter_has_its_resolution_and_its_greatest_rate():
    toml = SMALLEST + REGISTER + 'resolution = "0.1 kWh"\nrate = "30 MWh/h"\n'
    tag, other = parse_park({"park.toml": toml, "tags.csv": COUNTER_CSV}).tags
    assert (tag.resolution, tag.rate) == pytest.approx((0.36e6, 30e6))
    assert (other.resolution, other.rate) == (0.0, float("inf"))


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (REGISTER, "needs resolution or rate"),
        (REGISTER.replace("EQ", "PT") + 'rate = "1 kPa/s"\n', "only a counter has a register"),
        (REGISTER + 'rate = "30 MW"\n', "is not a change of energy in time"),
        (REGISTER + 'resolution = "0.1"\n', "'' is not a unit of energy"),
        (REGISTER + 'rate = "0 kWh/h"\n', "rate not above it"),
    ],
)
def test_a_wrong_register_is_named_with_its_line(row, text):
    with pytest.raises(ModelError) as error:
        parse_park({"park.toml": SMALLEST + row, "tags.csv": COUNTER_CSV})
    assert any("[[register]]" in each and text in each for each in error.value.problems)


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
    row, text = CELLS_OF_TAGS[case]
    csv = f"{TAGS_CSV}{row}\n"
    (problem,) = problems_of(PARK_TOML, csv)
    assert problem.startswith(f"tags.csv:{len(csv.splitlines())}: {text}")


def test_all_rows_of_the_tags_are_said_at_once():
    rows = [row for row, _ in CELLS_OF_TAGS.values()]
    problems = problems_of(PARK_TOML, TAGS_CSV + "\n".join(rows))
    first = len(TAGS_CSV.splitlines()) + 1
    assert [problem.partition(": ")[0] for problem in sorted(problems)] == sorted(
        f"tags.csv:{first + i}" for i in range(len(rows))
    )


def test_several_wrong_cells_of_one_row_are_all_said():
    problems = problems_of(PARK_TOML, TAGS_CSV + "X-1,r/nowhere,flow,t/h,gage,,,x,\n")
    assert len(problems) == 4


@pytest.mark.parametrize(
    ("line", "text"),
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
def test_wrong_head_of_the_park_is_said(line, text):
    key = line.partition(" ")[0]
    kept = [old for old in SMALLEST.splitlines() if not old.startswith(key + " ")]
    head = "\n".join(kept[: kept.index("[[scope]]")])
    problems = problems_of(f"{head}\n{line}\n", HEADER)
    assert any(p.startswith("park.toml:") and f"[park] {key}: " in p and text in p
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


def test_names_that_the_twin_gives_itself_are_refused():
    names = "ingest.lag", "FT-1@mass_flow.gauge.measured"
    rows = "".join(f"{name},tiny,time,s,gauge,,,,\n" for name in names)
    problems = problems_of(SMALLEST, HEADER + rows)
    assert [each.partition(":")[2][:1] for each in problems] == ["2", "3"]
    assert all("one that ingest gives itself" in each for each in problems)


def test_a_tag_with_the_name_of_a_derived_one_is_refused_with_its_line():
    csv = TAGS_CSV + "chlorine.mass_flow.production,r/east/alpha,mass_flow,t/h,gauge,,,,\n"
    (problem,) = problems_of(PARK_TOML, csv)
    assert problem.startswith(f"tags.csv:{len(csv.splitlines())}: tag 'alpha/chlorine.mass_flow")
