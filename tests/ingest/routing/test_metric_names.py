"""Which tag a Sparkplug metric is: by its gateway's name, the tag's own, or the end of a name."""

import pytest

from ingest.routing.decode import Limits, decode
from ingest.routing.topics import CLASHES_MAX, Message, TopicTable
from ingest.wire import sparkplug
from ingest.wire.sparkplug import DataType, Metric
from tests.support.small_edges import T, dbirth, ddeath
from tests.support.small_region import ALPHA, PARK
from twin.arrays import DAY_US
from twin.loading import parse_park
from twin.model.gateways import GatewaySpec


def gateway(node="N", tags=""):
    return (
        f'[[gateway]]\nid = "{node}"\nscope = "{ALPHA}"\nprotocol = "sparkplug"\n'
        f'group = "G"\nnode = "{node}"\ntags = {{ {tags} }}\n'
    )


class Host:
    """A model with some gateways, and what came of the messages to it."""

    def __init__(self, *gateways):
        rows = "".join(gateways or [gateway()])
        self.model = parse_park(PARK.files | {"park.toml": PARK.files["park.toml"] + rows})
        self.topics = TopicTable(self.model, self.model.tags)
        self.notes, self.unknown, self.got = [], [], {}
        self._seq = 0

    def hear(self, *messages):
        got = decode(
            self.topics,
            [Message(f"spBv1.0/G/{topic}", payload, T * 1000, 0, 0, 0)
             for topic, payload in messages],
            Limits(1 << 18, 300_000_000, 400 * DAY_US),
        )  # fmt: skip
        scale = self.topics.scale[got.samples.tag]
        for tag, value in zip(got.samples.tag, got.samples.value / scale, strict=True):
            self.got.setdefault(self.model.tags[tag].tag, []).append(round(float(value), 6))
        self.unknown += [each.tag for each in got.quarantined]
        self.notes += [each.detail for each in got.rejects]
        return got

    def born(self, metrics, device="", node="N"):
        typed = [each if isinstance(each, Metric) else Metric(*each, DataType.DOUBLE)
                 for each in metrics]  # fmt: skip
        if not device:
            self._seq = 0
            return self.hear((f"NBIRTH/{node}", sparkplug.nbirth(T, typed, 1)))
        self._seq += 1
        return self.hear((f"DBIRTH/{node}/{device}", dbirth(T, typed, self._seq)))


# Folders of one instrument, as Ignition and benthos-umh name them.
FOLDERS = [("Values/FT-1", 41.0), ("Setpoints/FT-1", 30.0),
           Metric("Alarms/FT-1", value=True, datatype=DataType.BOOLEAN)]  # fmt: skip
ALIKE = "end alike, so none is the tag: say in `tags` which of them is"
VALUE = '"Values/FT-1" = "FT-1"'


def test_setpoint_and_alarm_of_the_same_name_do_not_overwrite_the_value():
    host = Host(gateway(tags=VALUE))
    host.born(FOLDERS)
    assert host.got == {"FT-1": [41.0]}
    assert host.unknown == ["Setpoints/FT-1", "Alarms/FT-1"]
    assert host.notes == []


def test_setpoint_does_not_overwrite_the_value_in_data_that_have_aliases_only():
    host = Host(gateway(tags=VALUE))
    host.born([Metric("Values/FT-1", 41.0, DataType.DOUBLE, alias=1),
               Metric("Setpoints/FT-1", 30.0, DataType.DOUBLE, alias=2)])  # fmt: skip
    sent = [Metric("", 42.0, DataType.DOUBLE, alias=1), Metric("", 31.0, DataType.DOUBLE, alias=2)]
    host.hear(("NDATA/N", sparkplug.data(T + 5, sent, 1)))
    assert host.got == {"FT-1": [41.0, 42.0]}


def test_folders_without_a_word_in_the_model_are_no_tag_and_the_birth_says_why():
    host = Host()
    host.born(FOLDERS)
    assert host.got == {}
    assert host.unknown == ["Values/FT-1", "Setpoints/FT-1", "Alarms/FT-1"]
    assert host.notes == [f"Values/FT-1, Setpoints/FT-1, Alarms/FT-1 {ALIKE}"]


def test_setpoint_that_is_another_tag_leaves_the_value_its_name():
    host = Host(gateway(tags='"Setpoints/FT-1" = "FT-2"'))
    host.born(FOLDERS[:2])
    assert host.got == {"FT-1": [41.0], "FT-2": [30.0]}


def test_tag_with_a_full_name_is_taken_by_no_end_though_its_metric_is_missing():
    host = Host(gateway(tags=VALUE))
    host.born(FOLDERS[1:])
    assert host.got == {}
    assert host.unknown == ["Setpoints/FT-1", "Alarms/FT-1"]


def test_tag_that_another_gateway_names_is_taken_by_no_end():
    host = Host(gateway(), gateway("M", tags=VALUE))
    host.born(FOLDERS[1:2])
    assert (host.got, host.unknown) == ({}, ["Setpoints/FT-1"])


def test_metric_called_like_the_tag_comes_before_ends_and_behind_the_name_of_the_gateway():
    host = Host()
    host.born([("FT-1", 40.0), ("Setpoints/FT-1", 30.0)])
    assert host.got == {"FT-1": [40.0]}
    host = Host(gateway(tags=VALUE))
    host.born([("FT-1", 40.0), ("Values/FT-1", 41.0)])
    assert (host.got, host.unknown) == ({"FT-1": [41.0]}, ["FT-1"])


def test_text_and_metrics_of_the_protocol_are_no_rivals_of_a_value():
    host = Host()
    host.born([("Values/FT-1", 41.0), Metric("Notes/FT-1", b"x", DataType.STRING),
               ("Properties/FT-1", 3.0)])  # fmt: skip
    assert host.got == {"FT-1": [41.0]}


def test_equal_names_of_two_devices_are_no_tag_before_the_model_tells_them_apart():
    host = Host()
    host.born([])
    for device, value in (("D1", 41.0), ("D2", 30.0)):
        host.born([("Values/FT-1", value)], device)
    assert host.notes == [f"D1/Values/FT-1, D2/Values/FT-1 {ALIKE}"]
    host.got.clear()
    sent = [Metric("Values/FT-1", 42.0, DataType.DOUBLE)]
    host.hear(("DDATA/N/D1", sparkplug.data(T + 5, sent, 3)))
    assert host.got == {}
    # The end of one device does not make the other one the tag.
    host.hear(("DDEATH/N/D2", ddeath(T + 6, 4)), ("DDATA/N/D1", sparkplug.data(T + 7, sent, 5)))
    assert host.got == {}


def test_equal_names_of_two_devices_in_one_block_write_nothing_at_all():
    host = Host()
    host.hear(
        ("NBIRTH/N", sparkplug.nbirth(T, [], 1)),
        *((f"DBIRTH/N/D{i}", dbirth(T, [Metric("Values/FT-1", i, DataType.INT32)], i))
          for i in (1, 2)),
    )  # fmt: skip
    assert host.got == {}


def test_metric_of_a_device_is_named_by_both_in_the_row_of_its_node():
    host = Host(gateway(tags='"D1/Values/FT-1" = "FT-1", "D2/Values/FT-1" = "FT-2"'))
    host.born([])
    for device, value in (("D1", 41.0), ("D2", 30.0)):
        host.born([("Values/FT-1", value)], device)
    assert (host.got, host.notes) == ({"FT-1": [41.0], "FT-2": [30.0]}, [])
    got = host.hear(("NDEATH/N", sparkplug.ndeath(1)))
    assert [host.model.tags[tag].tag for tag in got.samples.tag] == ["FT-1", "FT-2"]


def test_devices_that_write_one_tag_by_full_names_are_named_in_a_reject():
    host = Host()
    host.born([])
    for device in ("D1", "D2"):
        host.born([("FT-1", 1.0)], device)
    assert host.notes == [
        "D1/FT-1, D2/FT-1 all write one tag: give their devices rows or names of their own"
    ]


def test_next_birth_of_the_node_decides_anew():
    host = Host()
    host.born(FOLDERS)
    host.born(FOLDERS[:1])
    assert host.got == {"FT-1": [41.0]}


def test_death_does_not_end_the_tag_of_another_metric():
    host = Host(gateway(tags=VALUE))
    host.born(FOLDERS[:1])
    host.born(FOLDERS[1:], "D")
    host.hear(("DDEATH/N/D", ddeath(T + 9, 2)))
    assert host.got == {"FT-1": [41.0]}


def test_births_of_a_thousand_devices_with_equal_names_are_told_of_in_few_words():
    host = Host()
    host.born([])
    names = [f"x/{tag.tag}" for tag in host.model.tags if tag.owner == "alpha"]
    for number in range(100):
        host.born([(name, 1.0) for name in names], f"D{number}")
    assert len(host.notes) <= 99 * CLASHES_MAX
    assert max(map(len, host.notes)) < 300


def test_tags_that_are_adopted_keep_the_births_that_were_heard():
    host = Host()
    host.born(FOLDERS)
    host.topics = TopicTable(host.model, host.model.tags, host.topics._sessions)
    host.hear(("NDATA/N", sparkplug.data(T + 5, [Metric("Values/FT-1", 42.0, 10)], 1)))
    assert host.got == {}


def test_node_that_left_the_model_for_a_moment_is_read_by_its_new_births():
    host = Host()
    sessions = host.topics._sessions
    rows = host.model.rows(GatewaySpec)
    host.born(FOLDERS[:1])
    sessions.follow([])
    sessions.follow(rows)
    host.born(FOLDERS)
    assert host.got == {"FT-1": [41.0]}
    assert host.notes == [f"Values/FT-1, Setpoints/FT-1, Alarms/FT-1 {ALIKE}"]


@pytest.mark.parametrize("name", ["Pump/Speed/FT-1", "Pump/FT-1"])
def test_number_inside_a_template_is_named_by_the_folders_it_is_in(name):
    *folders, last = name.split("/")
    metric = Metric(last, 5.0, DataType.DOUBLE)
    for folder in reversed(folders):
        metric = Metric(folder, b"", DataType.TEMPLATE, members=(metric,))
    host = Host()
    host.born([metric._replace(alias=7)])
    changed = metric._replace(name="", alias=7)
    host.hear(("NDATA/N", sparkplug.data(T + 5, [changed], 1)))
    assert host.got == {"FT-1": [5.0, 5.0]}
    assert host.notes == []
