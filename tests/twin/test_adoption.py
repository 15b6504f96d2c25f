"""Rows of the model for what an unknown gateway sends."""

import pytest

from tests.support.data import data_park
from twin.adoption import Contact, HeardName, Wanted, extended, guess_cells, propose, rows_of
from twin.errors import ParkError
from twin.loading import parse_park
from twin.model.gateways import GatewaySpec

FILES = data_park("acme")
PARK = parse_park(FILES)
EMPTY = parse_park({
    "park.toml": '[park]\nid = "mypark"\nkind = "park"\nname = {zh = "园区", en = "Park"}\n'
    'timezone = "Asia/Shanghai"\n# the end of the file, without a line end',
    "tags.csv": FILES["tags.csv"].splitlines()[0],
})  # fmt: skip


def heard(name, low=1.0, high=2.0, uom=""):
    return HeardName(name, high, low, high, 3, uom)


def adopted(contact, park=EMPTY, **wanted):
    proposal = propose(contact, park, Wanted(**wanted))
    return proposal, extended(park, rows_of(proposal))


@pytest.mark.parametrize(
    ("name", "high", "uom", "quantity", "unit", "kind"),
    [
        ("TI-1301", 12.4, "", "temperature", "degC", "gauge"),
        ("FT_7", 36.4, "", "mass_flow", "t/h", "gauge"),
        ("FT_7", 36400, "", "mass_flow", "kg/h", "gauge"),
        ("PIT 3", 0.62, "", "pressure", "MPa", "gauge"),
        ("PIT 3", 101.3, "", "pressure", "kPa", "gauge"),
        ("LT-4", 2400, "", "level", "mm", "gauge"),
        ("JQ-1", 1e6, "", "energy", "kWh", "counter"),
        ("XS-12", 1, "", "state", "", "state"),
        ("FV-12", 55, "", "fraction", "%", "gauge"),
        ("boiler/flow_m3h", 40, "", "volume_flow", "m^3/h", "gauge"),
        ("reactor.temp_degC", 80, "", "temperature", "degC", "gauge"),
        ("pump1_kW", 80, "", "power", "kW", "gauge"),
        ("meter3.kWh", 8000, "", "energy", "kWh", "counter"),
        ("motorSpeed", 1450, "", "rate", "rpm", "gauge"),
        ("1号反应釜温度", 85, "", "temperature", "degC", "gauge"),
        ("总管压力", 0.6, "", "pressure", "MPa", "gauge"),
        ("a21026-Rtd", 12, "mg/m^3", "concentration", "mg/m^3", "gauge"),
        ("FT-1", 12, "m3/h", "volume_flow", "m^3/h", "gauge"),
        ("T1", 12, "℃", "temperature", "degC", "gauge"),
        ("steam", 12, "t/h", "mass_flow", "t/h", "gauge"),
    ],
)
def test_name_and_unit_say_what_is_measured(name, high, uom, quantity, unit, kind):
    cells = guess_cells(heard(name, high=high, uom=uom))
    assert (cells["quantity"], cells["uom"], cells["kind"]) == (quantity, unit, kind)


def test_name_that_says_nothing_is_marked_and_can_be_seen_all_the_same():
    contact = Contact(3, "plant7/{tag}", "json", [heard("dev01"), heard("TI-1")], ["number"])
    proposal, park = adopted(contact, tags={"TI-1": {"tag": "TI-9", "high": "120"}})
    assert proposal.doubtful == ("dev01",)
    tags = {tag.tag: tag for tag in park.tags}
    assert tags["dev01"].quantity == "count"
    assert (tags["TI-9"].uom, tags["TI-9"].high) == ("degC", pytest.approx(393.15))
    assert proposal.gateway["tags"] == {"TI-1": "TI-9"}


def test_park_without_an_enterprise_gets_one_by_the_topic():
    contact = Contact(1, "park/v1/mypark/acme/gw1", "native", [heard("FT-1"), heard("FT-2")])
    proposal, park = adopted(contact, zh="某企业", en="Acme")
    assert [(s.id, s.kind, s.name["zh"]) for s in proposal.scopes] == [
        ("mypark/acme", "enterprise", "某企业")
    ]
    assert {tag.address for tag in park.tags} == {"acme/FT-1", "acme/FT-2"}
    assert park.rows(GatewaySpec)[0].id == "gw1"
    assert park.files["park.toml"].startswith(EMPTY.files["park.toml"] + "\n")


def test_scopes_down_to_the_wanted_one_are_made_with_their_kinds():
    contact = Contact(1, "a/b", "json", [heard("FT-1")], ["neuron-tags"])
    proposal = propose(contact, EMPTY, Wanted(scope="mypark/acme/caustic/cells"))
    assert [scope.kind for scope in proposal.scopes] == ["enterprise", "plant", "unit"]
    assert proposal.gateway["payload"] == "neuron-tags"


@pytest.mark.parametrize("preset", ["flat", "tasmota", "zigbee2mqtt", "name-value"])
def test_times_without_an_offset_are_on_the_clock_of_the_park(preset):
    contact = Contact(1, "tele/{tag}/SENSOR", "json", [heard("FT-1")], [preset])
    proposal, _ = adopted(contact)
    assert proposal.gateway["payload"] == {"preset": preset, "timezone": "Asia/Shanghai"}


def test_names_that_a_tag_cannot_have_are_mapped_and_stay_apart():
    names = ["Tank 1/Temp", "Tank,1/Temp", 'a"b', "ingest.x", "\x7f\\ x", "#1 pump"]
    contact = Contact(1, "park/v1/acmepark/acme/g", "native", [heard(name) for name in names])
    proposal, park = adopted(contact, PARK)
    row = next(row for row in park.rows(GatewaySpec) if row.id == "g")
    assert set(row.tags) == set(names)
    assert len({row.tags[name] for name in names}) == len(names)
    assert len(proposal.tags) == len(names)


def test_tag_that_the_enterprise_has_is_not_made_again():
    contact = Contact(1, "park/v1/acmepark/acme/g", "native", [heard("FT-1"), heard("NEW-1")])
    proposal, _ = adopted(contact, PARK)
    assert proposal.known == ("FT-1",)
    assert list(proposal.tags) == ["NEW-1"]


@pytest.mark.parametrize(
    ("contact", "wanted", "words"),
    [
        (Contact(1, "a/b", "", []), {}, "nothing reads"),
        (Contact(1, "a/b", "json", [], ["x"]), {}, "whose is it"),
        (Contact(1, "a/b", "json", [], ["x"]), {"scope": "other/x"}, "not below acmepark"),
        (Contact(1, "a/b", "json", [], ["x"]), {"scope": "acmepark/Ü"}, "is no scope"),
        (Contact(1, "a/b", "json", [], ["x"]), {"scope": "acmepark/acme", "only": ["q"]}, "no q"),
        (
            Contact(1, "a/b", "json", [], ["x"]),
            {"scope": "acmepark/acme", "tags": {"q": {}}},
            "no q",
        ),
        (Contact(1, "park/v1/nopark/acme/g", "native", []), {}, "no park 'nopark'"),
        (
            Contact(1, "park/v1/acmepark/acme/g", "native", []),
            {"scope": "acmepark/other"},
            "its topic says acmepark/acme",
        ),
    ],
)
def test_what_must_be_decided_first_is_said(contact, wanted, words):
    with pytest.raises(ParkError) as refused:
        propose(contact, PARK, Wanted(**wanted))
    assert words in f"{refused.value.message} {refused.value.hint}"


def test_name_that_would_be_a_comment_is_refused():
    contact = Contact(1, "park/v1/acmepark/acme/g", "native", [heard("NEW-1")])
    proposal = propose(contact, PARK, Wanted(tags={"NEW-1": {"tag": "#NEW"}}))
    with pytest.raises(ParkError, match="a comment"):
        extended(PARK, rows_of(proposal))


def test_rows_that_break_the_model_are_refused_with_its_problems():
    contact = Contact(1, "park/v1/acmepark/acme/g", "native", [heard("NEW-1")])
    proposal = propose(contact, PARK, Wanted(tags={"NEW-1": {"uom": "furlong^9"}}))
    with pytest.raises(ParkError, match="the model would be wrong with it"):
        extended(PARK, rows_of(proposal))
