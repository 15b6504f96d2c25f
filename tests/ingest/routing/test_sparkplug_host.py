"""What a host does with what it hears, one test for each assertion of Sparkplug 3.0 that asks so.

The name of a test is the id of its assertion, less the ``tck-id`` before it.
"""

import re
from pathlib import Path

import pytest

from ingest.settings import IngestSettings
from ingest.wire import WireError, sparkplug
from ingest.wire.sparkplug import DataType, Metric, Payload
from tests.ingest.transport.test_sparkplug_connection import ASSERTIONS
from tests.support.small_edges import BORN, Host, T, at_us, dbirth, ddeath, refusal, row, rows
from twin import quality as q

GONE = q.BAD | q.NOT_CONNECTED
ASKED = ["spBv1.0/G/NCMD/N"]
X = [Metric("x", 1, DataType.INT32, alias=9)]


@pytest.fixture
def host():
    """A host that knows a node and its device D; the next sequence number is 2."""
    host = Host()
    host.born()
    host.hear("DBIRTH", dbirth(T, X, 1), device="D")
    return host


def command(host, second=0.0):
    ((topic, payload),) = host.sessions.requests(at_us(second))
    return topic, sparkplug.decode(payload)


def asking():
    """Return the request of a host that knows nothing yet."""
    return command(Host(), 5)


# --- deaths (chapter 5) -----------------------------------------------------


def test_operational_behavior_edge_node_termination_host_action_ndeath_node_offline(host):
    host.hear("NDEATH", sparkplug.ndeath(7), 60)
    assert refusal(host, "NDATA", sparkplug.data(T, BORN, 2), 61) == "no_birth"


def test_operational_behavior_edge_node_termination_host_action_ndeath_node_tags_stale(host):
    ended = rows(host.hear("NDEATH", sparkplug.ndeath(7), 60))
    # Our own clock: a death of a node has no time that could be believed.
    assert [(name, ms, code) for name, ms, _, code in ended if name.startswith("/")] == [
        ("/Area/FT-1", 60_000, GONE), ("/LT-1", 60_000, GONE),
    ]  # fmt: skip


def test_operational_behavior_edge_node_termination_host_action_ndeath_devices_offline(host):
    host.hear("NDEATH", sparkplug.ndeath(7), 60)
    host.born(61, bd_seq=8)
    assert refusal(host, "DDATA", sparkplug.data(T, X, 1), 62, device="D") == "no_birth"


def test_operational_behavior_edge_node_termination_host_action_ndeath_devices_tags_stale(host):
    ended = rows(host.hear("NDEATH", sparkplug.ndeath(7), 60))
    assert [(name, ms, code) for name, ms, _, code in ended][-1] == ("D/x", 60_000, GONE)


def test_operational_behavior_edge_node_termination_host_action_ddeath_devices_offline(host):
    host.hear("DDEATH", ddeath(T + 5000, 2), 6, device="D")
    assert refusal(host, "DDATA", sparkplug.data(T, X, 3), 7, device="D") == "no_birth"
    assert host.said(4, 8, alias=1).names == ["Area/FT-1"]


def test_operational_behavior_edge_node_termination_host_action_ddeath_devices_tags_stale(host):
    ended = rows(host.hear("DDEATH", ddeath(T + 5000, 2), 6, device="D"))
    assert [(name, ms, code) for name, ms, _, code in ended] == [("D/x", 5000, GONE)]


def test_payloads_ndeath_bdseq(host):
    assert refusal(host, "NDEATH", sparkplug.ndeath(6), 1) == "stale_death"
    assert len(rows(host.hear("NDEATH", sparkplug.ndeath(7), 2))) == 3


def test_topics_nbirth_bdseq_matching(host):
    host.born(1, bd_seq=8)
    assert refusal(host, "NDEATH", sparkplug.ndeath(7), 2) == "stale_death"


def test_topics_ndeath_seq(host):
    death = sparkplug.decode(sparkplug.ndeath(7))
    assert death.seq is None
    host.hear("NDEATH", sparkplug.ndeath(7), 1)
    assert host.asked(100) == []


# --- the order of messages (chapters 5 and 6) -------------------------------


def test_operational_behavior_host_reordering_param():
    assert IngestSettings(sparkplug_reorder_s=7.5).sparkplug_reorder_s == 7.5


def test_operational_behavior_host_reordering_start(host):
    host.said(3, 1, alias=1)
    assert host.asked(2.9) == []
    assert host.asked(3.0) == ASKED


def test_operational_behavior_host_reordering_rebirth(host):
    host.said(3, 1, alias=1)
    topic, payload = command(host, 3)
    assert [topic] == ASKED
    assert [(m.name, m.value) for m in payload.metrics] == [("Node Control/Rebirth", True)]


def test_operational_behavior_host_reordering_success(host):
    host.said(3, 1, alias=1)
    host.said(2, 2.5, alias=1)
    assert host.asked(100) == []
    host.said(9, 101, alias=1)
    assert host.asked(103) == ASKED


def test_payloads_sequence_num_incrementing(host):
    for seq in (*range(2, 256), 0, 1):
        host.said(seq, 1, alias=1)
    assert host.asked(100) == []


@pytest.mark.parametrize("seq", [0, 1, 254, 255])
def test_payloads_sequence_num_req_nbirth(seq):
    host = Host()
    host.born(seq=seq)
    host.said((seq + 1) % 256, 1, alias=1)
    assert host.asked(100) == []


def test_payloads_sequence_num_always_included(host):
    """A message without one is read; what was lost around it nobody can tell."""
    assert rows(host.said(None, 1, alias=1)) == [("Area/FT-1", 1000, 2.5, q.GOOD)]


def test_payloads_ddeath_seq_number(host):
    host.hear("DDEATH", ddeath(T, 3), 1, device="D")
    assert host.asked(3) == ASKED


def test_payloads_dbirth_order(host):
    """Data of a device before its birth cannot be understood, and make the host ask."""
    assert refusal(host, "DDATA", sparkplug.data(T, X, 2), device="E") == "no_birth"
    assert host.asked(0) == ASKED


# --- births and data (chapters 4 and 6) -------------------------------------


def test_topics_nbirth_metric_reqs(host):
    got = host.hear("NDATA", sparkplug.data(T, [Metric("new", 1, DataType.INT32)], 2))
    assert [reason for reason, _ in got.refused] == ["no_birth"]
    assert host.asked(0) == ASKED


def test_operational_behavior_data_publish_nbirth_values():
    host = Host()
    got = host.born(metrics=[Metric("a", None, DataType.DOUBLE, null=True)])
    assert [each[3] for each in rows(got)] == [q.BAD | q.NOT_A_NUMBER]


def test_operational_behavior_data_publish_dbirth_values(host):
    null = [Metric("a", None, DataType.INT32, null=True)]
    got = host.hear("DBIRTH", dbirth(T, null, 2), device="E")
    assert {each[3] for each in rows(got)} == {q.BAD | q.NOT_A_NUMBER}


def test_operational_behavior_data_publish_nbirth_order(host):
    """What is historical may stand anywhere, and does not become the newest."""
    old = Metric("LT-1", 1, DataType.INT32, time_ms=T - 9000, historical=True)
    got = host.hear("NDATA", sparkplug.data(T, [Metric("LT-1", 2, DataType.INT32), old], 2))
    assert got.historical == {1}


def test_payloads_alias_uniqueness():
    host = Host()
    host.born(metrics=[Metric(name, 1.0, DataType.DOUBLE, alias=5) for name in "ab"])
    got = host.said(1, 1, alias=5)
    assert [reason for reason, _ in got.refused] == ["bad_shape"]


def test_payloads_alias_birth_requirement(host):
    assert host.said(2, 1, alias=1).names == ["Area/FT-1"]


def test_payloads_alias_data_cmd_requirement(host):
    payload = sparkplug.data(T, [Metric("", 4, DataType.INT32, alias=9)], 2)
    assert sparkplug.decode(payload).metrics[0].name == ""
    assert host.hear("DDATA", payload, device="D").names == ["x"]


def test_payloads_name_requirement(host):
    assert host.hear("NDATA", sparkplug.data(T, [Metric("LT-1", 4, 3)], 2)).names == ["LT-1"]


def test_payloads_name_birth_data_requirement(host):
    """The time of the metric counts, not that of its message."""
    metric = Metric("LT-1", 4, DataType.INT32, time_ms=T + 1)
    payload = sparkplug.encode(Payload([metric], T + 9, 2), birth=False)
    assert [each[1] for each in rows(host.hear("NDATA", payload))] == [1]


def test_payloads_metric_datatype_req(host):
    """A metric born without one is no number that could be known."""
    message = sparkplug._Message.FromString(sparkplug.nbirth(T, X, 8))
    message.metrics.add(name=b"b", int_value=4)
    got = host.hear("NBIRTH", message.SerializeToString(), 1)
    assert [name for name, *_ in rows(got)] == ["x"]
    assert [reason for reason, _ in got.refused] == ["wrong_type"]


def test_payloads_metric_datatype_not_req(host):
    payload = sparkplug.data(T, [Metric("LT-1", -7, DataType.INT32)], 2)
    assert sparkplug.decode(payload).metrics[0].datatype == 0
    assert [each[2] for each in rows(host.hear("NDATA", payload))] == [-7.0]


@pytest.mark.parametrize(("code", "quality"), [(0, q.BAD), (192, q.GOOD),
                                               (500, q.UNCERTAIN | q.STALE)])  # fmt: skip
def test_payloads_propertyset_quality_value_value(host, code, quality):
    metric = Metric("LT-1", 4, DataType.INT32, quality=code)
    assert [each[3] for each in rows(host.hear("NDATA", sparkplug.data(T, [metric], 2)))] == [
        quality
    ]


def test_payloads_propertyset_keys_array_size(host):
    """Keys without a value are none."""
    message = sparkplug._Message(timestamp=T, seq=2)
    metric = message.metrics.add(name=b"LT-1", int_value=4)
    metric.properties.keys.extend([b"Quality", b"engUnit"])
    assert [each[3] for each in rows(host.hear("NDATA", message.SerializeToString()))] == [q.GOOD]


def pump(*members):
    return Metric("Pump", b"", DataType.TEMPLATE, 30, members=members)


SPEED, POWER = Metric("Speed", 5.0, DataType.DOUBLE), Metric("Power", 7, DataType.INT16)


def test_payloads_template_instance_members_birth(host):
    got = host.born(1, bd_seq=8, metrics=[pump(SPEED, POWER)])
    assert {name for name, *_ in rows(got)} == {"Pump/Speed", "Pump/Power"}


def test_payloads_template_instance_members_data(host):
    host.born(1, bd_seq=8, metrics=[pump(SPEED, POWER)])
    got = host.hear("NDATA", sparkplug.data(T, [pump(POWER._replace(value=-8))], 1))
    assert [(name, value) for name, _, value, _ in rows(got)] == [("Pump/Power", -8.0)]


def test_payloads_template_instance_members(host):
    host.born(1, bd_seq=8, metrics=[pump(SPEED)])
    got = host.hear("NDATA", sparkplug.data(T, [pump(POWER)], 1))
    assert [reason for reason, _ in got.refused] == ["no_birth"]


def test_payloads_template_definition_is_definition(host):
    message = sparkplug._Message.FromString(sparkplug.nbirth(T, [], 8))
    definition = message.metrics.add(name=b"_types_/Pump", datatype=DataType.TEMPLATE)
    definition.template_value.is_definition = True
    definition.template_value.metrics.add(name=b"Speed", datatype=DataType.DOUBLE)
    got = host.hear("NBIRTH", message.SerializeToString(), 1)
    assert (got.names, got.refused) == ([], [])


def test_case_sensitivity_metric_names(host):
    got = host.born(1, metrics=[Metric("a", 1, 3, alias=1), Metric("A", 2, 3, alias=2)])
    assert [(each[0], each[2]) for each in rows(got)] == [("a", 1.0), ("A", 2.0)]


# --- commands (chapters 4, 5 and 6) -----------------------------------------


def test_operational_behavior_data_commands_ncmd_rebirth_verb():
    topic, _ = asking()
    assert topic.split("/")[2] == "NCMD"


def test_operational_behavior_data_commands_ncmd_rebirth_value():
    _, payload = asking()
    assert [metric.value for metric in payload.metrics] == [True]


def test_operational_behavior_data_commands_ncmd_verb():
    assert [asking()[0]] == ASKED


def test_operational_behavior_data_commands_ncmd_metric_name():
    """It is the metric that every birth of a node must have."""
    birth = sparkplug.decode(sparkplug.nbirth(T, [], 1))
    assert asking()[1].metrics[0].name in {metric.name for metric in birth.metrics}


def test_operational_behavior_data_commands_ncmd_metric_value():
    (metric,) = asking()[1].metrics
    assert (metric.value, metric.datatype) == (True, DataType.BOOLEAN)


def test_topics_ncmd_timestamp():
    assert asking()[1].time_ms == T + 5000


def test_topics_ncmd_payload():
    assert len(asking()[1].metrics) == 1


def test_payloads_ncmd_timestamp():
    assert asking()[1].time_ms == T + 5000


def test_payloads_ncmd_seq():
    assert asking()[1].seq is None


def test_payloads_timestamp_in_UTC():  # noqa: N802
    assert asking()[1].time_ms == at_us(5) // 1000


def test_operational_behavior_data_commands_rebirth_action_3(host):
    """The birth that was asked for has the number of the session that goes on."""
    host.born(1)
    assert len(rows(host.hear("NDEATH", sparkplug.ndeath(7), 2))) == 3


# --- topics (chapter 4) -----------------------------------------------------


def test_topic_structure_namespace_duplicate_device_id_across_edge_node():
    host = Host(*(row(node) for node in "AB"))
    for node in "AB":
        host.born(node=node)
        host.hear("DBIRTH", dbirth(T, X, 1), node=node, device="D")
    host.hear("DDEATH", ddeath(T, 2), 1, node="A", device="D")
    payload = sparkplug.data(T, [Metric("", 4, 3, alias=9)], 2)
    assert host.hear("DDATA", payload, 2, node="B", device="D").names == ["x"]
    with pytest.raises(WireError):
        host.hear("DDATA", payload, 2, node="A", device="D")


def test_table_of_the_documentation_has_the_assertions_that_are_tested_and_no_other():
    path = Path(__file__).resolve().parents[3] / "docs" / "sparkplug-host.md"
    held = path.read_text(encoding="utf-8").partition("## Not held")[0]
    tests = [name for name in globals() if name.startswith("test_") and "_table_" not in name]
    own = {name.removeprefix("test_").replace("_", "-") for name in tests}
    sent = {assertion.removeprefix("tck-id-") for assertion in ASSERTIONS}
    assert set(re.findall(r"(?m)^\| `([\w-]+)` \|", held)) == own | sent
