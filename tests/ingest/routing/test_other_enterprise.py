"""A name in a payload that is about another enterprise is no name of a tag of one's own."""

import json

import cbor2
import pytest

from ingest.routing.decode import Limits, decode
from ingest.routing.topics import Message, TopicTable
from ingest.wire import Decoded, is_about
from tests.support.data import DATA
from twin.arrays import DAY_US
from twin.loading import parse_park

NOW_S = 1_760_000_000
LIMITS = Limits(10_000, 300_000_000, 400 * DAY_US)
ROW = """
[[gateway]]
id = "plc"
scope = "acmepark/acme"
protocol = "json"
topic = "plant/{tag}"
payload = { value = "v", after = "." }
tags = { "other.line.FT-1" = "TT-1" }
"""
OTHERS = frozenset({"other"})


@pytest.fixture(scope="module")
def topics():
    files = {name: (DATA / "acme" / name).read_text(encoding="utf-8")
             for name in ("park.toml", "tags.csv")}  # fmt: skip
    park = parse_park(files | {"park.toml": files["park.toml"] + ROW})
    return TopicTable(park, park.tags)


def heard(topics, topic, payload):
    """Return the tags that a message writes, and what of it is in quarantine for which reason."""
    message = Message(topic, payload, NOW_S * 1_000_000, 0, 1, 0)
    intake = decode(topics, [message], LIMITS)
    assert not intake.rejects
    return intake.samples.tag.tolist(), [(each.tag, each.reason) for each in intake.quarantined]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("other/FT-1", True), ("urn:dev:other:FT-1", True), ("OTHER.FT-1", True),
        ("a\\other\\FT-1", True), ("ns=2;s=other;FT-1", True), ("other.FT-1", True),
        ("other", False), ("FT-1", False), ("another/FT-1", False), ("other-gw/FT-1", False),
        ("FT-1/other", False), ("", False), ("\u043ether/FT-1", False),
    ],
)  # fmt: skip
def test_a_name_is_about_another_if_a_part_before_its_last_is(name, expected):
    assert is_about(name, OTHERS) is expected


def test_a_name_is_cut_unless_it_is_about_another():
    decoded = Decoded(others=OTHERS)
    cut = [decoded.cut(name, name.rpartition("/")[2])
           for name in ("a/b", "other/b", "other/c", "a/c", "b", "other/")]  # fmt: skip
    assert cut == ["b", "other/b", "other/c", "c", "b", "other/"]
    assert Decoded().cut("other/b", "b") == "b"


@pytest.mark.parametrize("encode", [lambda pack: json.dumps(pack).encode(), cbor2.dumps])
def test_a_pack_of_several_bases_keeps_its_own_values(topics, encode):
    pack = [
        {"bn": "urn:dev:acme:", "bt": NOW_S, "n": "FT-1", "v": 1},
        {"bn": "urn:dev:other:", "n": "FT-1", "v": 2},
        {"n": "TT-1", "v": 3},
        {"bn": "acmepark/acme/", "n": "TT-1", "v": 4},
        {"bn": "", "n": "senml/v1/acmepark/other/gw/XS-1", "v": 5},
    ]
    tags, kept = heard(topics, "senml/v1/acmepark/acme/gw", encode(pack))
    assert tags == [0, 1]
    assert kept == [
        ("urn:dev:other:FT-1", "other_enterprise"),
        ("urn:dev:other:TT-1", "other_enterprise"),
        ("senml/v1/acmepark/other/gw/XS-1", "other_enterprise"),
    ]


def test_the_model_may_say_that_such_a_name_is_a_tag_all_the_same(topics):
    value = json.dumps({"v": 20}).encode()
    assert heard(topics, "plant/other.line.FT-1", value) == ([1], [])
    assert heard(topics, "plant/line.FT-1", value) == ([0], [])
    assert heard(topics, "plant/other.x.FT-1", value) == (
        [], [("other.x.FT-1", "other_enterprise")]
    )  # fmt: skip


def test_what_is_unknown_and_about_nobody_stays_what_it_was(topics):
    body = {"ts": NOW_S * 1000, "values": {"XX-1": 1, "acme/FT-1": 1, "other/FT-9": 1}}
    assert heard(topics, "park/v1/acmepark/acme/gw", json.dumps(body).encode()) == (
        [],
        [("XX-1", "unknown_tag"), ("acme/FT-1", "unknown_tag"),
         ("other/FT-9", "other_enterprise")],
    )  # fmt: skip
    # To the park itself every enterprise is another.
    assert heard(topics, "park/v1/acmepark/acmepark/gw", json.dumps(body).encode())[1] == [
        ("XX-1", "unknown_tag"), ("acme/FT-1", "other_enterprise"),
        ("other/FT-9", "other_enterprise"),
    ]  # fmt: skip
