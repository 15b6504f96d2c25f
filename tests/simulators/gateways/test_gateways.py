"""Gateways as data: their tags, their names on the wire, their rows of the model."""

import pytest

from ingest.routing.decode import Limits, decode
from ingest.routing.topics import Message, TopicTable
from simulators.gateways.gateways import FORMATS, make_gateways, require_known, with_gateways
from simulators.scenarios.script import parse_script
from tests.support.demo_park import PARK as LIAOCHENG
from tests.support.small_gateways import BEGIN, COUNT, event, gateway
from tests.support.small_region import ALPHA, PARK
from twin import quality as q
from twin.arrays import DAY_US
from twin.errors import SettingsError
from twin.loading import parse_park
from twin.model.gateways import GatewaySpec


def test_tags_that_no_row_names_go_to_a_usual_gateway():
    rows = [
        {"enterprise": "xinfa", "id": "cems", "format": "hj212", "batch": 5, "tags": ["AI-*"]},
        {"enterprise": "luxi", "format": "sparkplug"},
    ]
    gateways = make_gateways(LIAOCHENG, rows, usual="senml", batch=2)
    result = {(g.owner, g.id): g for g in gateways}
    assert set(result) == {
        ("xinfa", "cems"), ("xinfa", "sim-1"), ("luxi", "sim-1"), ("huaxiang", "sim-1")
    }  # fmt: skip
    columns = sorted(c for g in gateways for c in g.columns)
    # What people enter is sent by nobody.
    assert columns == [c for c, tag in enumerate(LIAOCHENG.tags) if tag.source == "measured"]
    cems, remaining = result["xinfa", "cems"], result["xinfa", "sim-1"]
    assert all(LIAOCHENG.tags[c].tag.startswith("AI-") for c in cems.columns)
    assert not any(name.startswith("AI-") for name in remaining.names)
    assert (cems.format, cems.batch, remaining.format, remaining.batch) == ("hj212", 5, "senml", 2)
    assert cems.topic == "hj212/v1/chiping/xinfa/xinfa-cems"
    assert result["luxi", "sim-1"].topic == "spBv1.0/gaoxin/{}/luxi-sim-1"
    assert len({g.number for g in gateways}) == len(gateways)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"enterprise": "nobody"}], "'nobody' is not an enterprise"),
        ([{"enterprise": "alpha", "colour": "red"}], "colour"),
        ([{"enterprise": "alpha", "format": "xml"}], "'xml' is not a value here"),
        ([{"enterprise": "alpha", "batch": 0}], "0 is not a batch of 1 to 3600"),
        ([{"enterprise": "alpha", "batch": True}], "batch: True is not"),
        ([{"enterprise": "alpha", "tags": ["ZZ-*"]}], "no tag is left"),
        ([{"enterprise": "alpha", "tags": ["FT-1"]}], "two with the id sim-1"),
    ],
)
def test_row_of_a_gateway_that_is_wrong_says_what_and_how_to_mend_it(rows, says):
    with pytest.raises(SettingsError, match=says) as caught:
        make_gateways(PARK, rows)
    assert "formats are native" in caught.value.hint


@pytest.mark.parametrize(
    ("scope", "hit"),
    [("r", 1), ("r/east", 1), (ALPHA, 1), (ALPHA + "/caustic", 1), ("r/west/beta", 0)],
)
def test_event_is_for_the_gateways_at_or_below_its_scope(scope, hit):
    assert len(gateway(event("outage", 0, 1, scope=scope)).events) == hit


def test_scenario_names_gateways_and_what_happens_to_them():
    text = f"""name = {{ zh = "示例", en = "Demo" }}
duration = "1 h"
[[gateway]]
enterprise = "alpha"
format = "senml"
[[event]]
id = "off"
kind = "outage"
scope = "{ALPHA}"
start = "10 min"
stop = "20 min"
"""
    script = parse_script("demo", text, PARK)
    (result,) = make_gateways(PARK, script.gateways, script.at("gateway"))
    assert result.format == "senml"
    assert [(e.kind, e.start_s, e.stop_s) for e in result.events] == [("outage", 600.0, 1200.0)]


@pytest.mark.parametrize("form", FORMATS)
def test_model_that_is_written_knows_the_gateways(form):
    gateways = make_gateways(LIAOCHENG, usual=form)
    if form != "native":
        with pytest.raises(SettingsError) as caught:
            require_known(LIAOCHENG, gateways)
        assert "--write-park" in caught.value.hint
    park = with_gateways(LIAOCHENG, gateways)
    require_known(park, gateways)
    assert with_gateways(park, gateways) is park
    rows = park.rows(GatewaySpec)
    assert len(rows) == (0 if form == "native" else 3)
    assert all(row.simulated for row in rows)
    assert [tag.address for tag in park.tags] == [tag.address for tag in LIAOCHENG.tags]


def test_names_that_a_format_cannot_carry_are_named_otherwise():
    tags = PARK.files["tags.csv"] + f"A:1,{ALPHA},mass_flow,t/h,gauge,,,,x\n"
    (carrier,) = make_gateways(parse_park(PARK.files | {"tags.csv": tags}), usual="senml")
    assert carrier.row["tags"] == {f"s{COUNT:05d}": "A:1"}


def test_model_that_calls_a_gateway_simulated_marks_what_it_sends():
    row = f"""
[[gateway]]
id = "{{0}}"
scope = "{ALPHA}"
protocol = "json"
topic = "{{0}}/{{{{tag}}}}"
payload = {{{{ value = "v" }}}}
simulated = {{1}}
"""
    text = PARK.files["park.toml"] + row.format("a", "true") + row.format("b", "false")
    park = parse_park(PARK.files | {"park.toml": text})
    messages = [Message(f"{name}/FT-1", b'{"v": 1}', BEGIN, 0, 0, 0) for name in "ab"]
    intake = decode(TopicTable(park, park.tags), messages, Limits(99, 0, 400 * DAY_US))
    assert intake.samples.quality.tolist() == [q.SIMULATED, q.GOOD]
