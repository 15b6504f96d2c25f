"""What a gateway may do at the broker follows from the rows of the model, and is its own alone."""

import pytest

from tests.support.data import DATA
from twin.errors import ParkError
from twin.loading import parse_park
from twin.model.gateway_rights import TopicRights, gateway_rights

FILES = {name: (DATA / "acme" / name).read_text(encoding="utf-8")
         for name in ("park.toml", "tags.csv")}  # fmt: skip
SENML = '[[gateway]]\nid = "s"\nscope = "acmepark/acme/caustic"\nprotocol = "senml"\n'


def row(own, **cells):
    cells = {"id": own, "scope": "acmepark/acme", **cells}
    lines = (f"{key} = {value!r}".replace("'", '"') for key, value in cells.items())
    return "\n[[gateway]]\n" + "\n".join(lines) + "\n"


def mapped(own, topic, **cells):
    return (
        row(own, protocol="json", topic=topic, **cells) + 'payload = { value = "v", tag = "t" }\n'
    )


def rights(enterprise, gateway, *rows):
    files = FILES | {"park.toml": FILES["park.toml"] + "".join(rows)}
    return gateway_rights(parse_park(files), enterprise, gateway)


def test_one_that_the_model_does_not_declare_has_its_name_in_each_format():
    assert rights("acme", "gw 1") == TopicRights(
        publish=("park/v1/acmepark/acme/gw 1", "senml/v1/acmepark/acme/gw 1",
                 "hj212/v1/acmepark/acme/gw 1")
    )  # fmt: skip


def test_tags_of_the_park_itself_have_its_name_in_the_place_of_the_enterprise():
    assert rights("acmepark", "meter").publish[0] == "park/v1/acmepark/acmepark/meter"


def test_a_declared_one_has_the_topics_of_its_protocol_only():
    assert rights("acme", "s", SENML) == TopicRights(publish=("senml/v1/acmepark/acme/s",))
    logger = row("l", protocol="hj212", mn="ABC")
    assert rights("acme", "l", logger).publish == ("hj212/v1/acmepark/acme/l",)
    assert rights("acme", "m", mapped("m", "plant/+/{tag}")) == TopicRights(("plant/+/+",))


def test_an_edge_node_publishes_for_its_devices_and_hears_commands_and_states():
    edge = row("e", protocol="sparkplug", group="G", node="Edge 3")
    own = rights("acme", "e", edge)
    assert set(own.publish) == {
        "spBv1.0/G/NBIRTH/Edge 3", "spBv1.0/G/NDATA/Edge 3", "spBv1.0/G/NDEATH/Edge 3",
        "spBv1.0/G/DBIRTH/Edge 3/+", "spBv1.0/G/DDATA/Edge 3/+", "spBv1.0/G/DDEATH/Edge 3/+",
    }  # fmt: skip
    assert set(own.read) == {
        "spBv1.0/G/NCMD/Edge 3", "spBv1.0/G/DCMD/Edge 3/+", "spBv1.0/STATE/+"
    }  # fmt: skip


def test_a_device_has_no_client_of_its_own():
    edge = row("e", protocol="sparkplug", group="G", node="N")
    device = row("d", scope="acmepark/other", protocol="sparkplug", group="G", node="N",
                 device="D")  # fmt: skip
    with pytest.raises(ParkError, match="d is a device of the edge node G/N") as caught:
        rights("other", "d", edge, device)
    assert caught.value.hint == "the credential is that of acme e"
    # Without a row of the node itself it is the first one.
    assert rights("other", "d", device).publish
    first = row("first", protocol="sparkplug", group="G", node="N", device="E")
    with pytest.raises(ParkError, match="device of the edge node"):
        rights("other", "d", first, device)


OF_OURS = {"park/v1/+/+/+", "senml/v1/+/+/+", "hj212/v1/+/+/+", "spBv1.0/#", "twin/v1/#"}


@pytest.mark.parametrize(
    ("topic", "filters", "denied"),
    [
        ("{tag+}", ("#",), OF_OURS),
        ("+/v1/{tag+}", ("+/v1/#",), {"+/v1"} | OF_OURS - {"twin/v1/#"} | {"twin/v1/#"}),
        ("park/v1/+/+/{tag}", ("park/v1/+/+/+",), {"park/v1/+/+/+"}),
        ("park/v1/a/b/c/{tag}", ("park/v1/a/b/c/+",), set()),
        ("a/{tag+}", ("a/#",), {"a"}),
        ("twin/v1/low/{tag}", ("twin/v1/low/+",), set()),
    ],
)
def test_a_topic_with_wildcards_takes_none_that_leads_elsewhere(topic, filters, denied):
    own = rights("acme", "m", mapped("m", topic))
    assert own.publish == filters
    assert set(own.deny) == denied


def test_what_an_earlier_row_reads_is_not_for_a_wider_one():
    narrow = mapped("n", "site/a/{tag}", scope="acmepark/other")
    wide = mapped("w", "site/+/{tag}")
    assert rights("acme", "w", narrow, wide) == TopicRights(("site/+/+",), (), ("site/a/+",))
    assert rights("other", "n", narrow, wide) == TopicRights(("site/a/+",))


@pytest.mark.parametrize(
    ("enterprise", "gateway", "text"),
    [
        ("nobody", "gw", "no enterprise 'nobody'"),
        ("ACME", "gw", "no enterprise 'ACME'"),
        ("acme", "", "cannot stand in a topic"),
        ("acme", "+", "cannot stand in a topic"),
        ("acme", "#", "cannot stand in a topic"),
        ("acme", "a/b", "cannot stand in a topic"),
        ("acme", "gw ", "cannot stand in an access list"),
        ("acme", "g\nuser x", "cannot stand in an access list"),
        ("acme", "g\u200bw", "cannot stand in an access list"),
    ],
)
def test_names_that_would_open_more_are_refused(enterprise, gateway, text):
    with pytest.raises(ParkError, match=text):
        rights(enterprise, gateway)


def test_topics_of_the_broker_itself_are_no_gateways():
    with pytest.raises(ParkError, match="cannot stand in an access list"):
        rights("acme", "m", mapped("m", "$SYS/broker/{tag}"))
