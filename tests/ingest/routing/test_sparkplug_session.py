"""Sparkplug edge nodes, step by step: births, what they explain, gaps, requests."""

import pytest

from ingest.routing.sparkplug_session import DEVICES_MAX, METRICS_MAX
from ingest.wire import sparkplug
from ingest.wire.sparkplug import DataType, Metric
from tests.support.small_edges import BORN, Host, T, at_us, dbirth, ddeath, refusal, row, rows
from twin import quality as q
from twin.model.gateways import GatewaySpec

# --- births and what they explain -------------------------------------------


def test_values_of_a_birth_are_samples_and_the_protocols_own_are_not():
    got = Host().born()
    assert rows(got) == [("Area/FT-1", 0, 1.5, q.GOOD), ("LT-1", 0, -12.0, q.GOOD)]
    assert got.refused == []


def test_alias_means_what_the_birth_said():
    host = Host()
    host.born()
    assert rows(host.said(1, 1, value=3.5, alias=1)) == [("Area/FT-1", 1000, 3.5, q.GOOD)]


def test_negative_number_without_datatype_stays_negative():
    host = Host()
    host.born()
    payload = sparkplug.data(T, [Metric("LT-1", -7, DataType.INT32)], 1)
    assert sparkplug.decode(payload).metrics[0].datatype == 0
    assert rows(host.hear("NDATA", payload)) == [("LT-1", 0, -7.0, q.GOOD)]


def test_birth_forgets_what_the_one_before_it_said():
    host = Host()
    host.born()
    host.born(metrics=[Metric("Other", 1.0, DataType.DOUBLE, alias=1)])
    assert rows(host.said(1, alias=1))[0][0] == "Other"
    assert host.said(2, alias=2).refused == [("no_birth", "alias 2 was not in the BIRTH")]


def test_devices_have_names_and_aliases_of_their_own():
    host = Host()
    host.born()
    for seq, device in enumerate("AB", start=1):
        host.hear("DBIRTH", dbirth(T, [Metric(f"{device}/x", 1, 3, alias=1)], seq),
                  device=device)  # fmt: skip
    for seq, device in enumerate("AB", start=3):
        got = host.hear("DDATA", sparkplug.data(T, [Metric("", 5, 3, alias=1)], seq), device=device)
        assert got.names == [f"{device}/x"]
    assert host.asked(100) == []


def test_alias_of_several_metrics_is_none_of_them():
    host = Host()
    twice = [Metric("a", 1.0, DataType.DOUBLE, alias=0), Metric("b", 2.0, DataType.DOUBLE, alias=0)]
    host.born(metrics=twice)
    assert host.said(1, alias=0).refused == [("bad_shape", "alias 0 stands for several metrics")]
    assert host.hear("NDATA", sparkplug.data(T, [Metric("b", 3.0, 10)], 2)).names == ["b"]
    assert host.asked(100) == []


def test_data_before_any_birth_wait_for_one():
    host = Host()
    assert len(host.asked(0)) == 1
    assert refusal(host, "NDATA", sparkplug.data(T, BORN, 5), 1) == "no_birth"
    assert refusal(host, "DBIRTH", dbirth(T, BORN, 5), 1, device="D") == "no_birth"
    assert host.asked(1) == []
    assert host.asked(11) == ["spBv1.0/G/NCMD/N"]
    host.born(12)
    assert host.said(1, 12, alias=1).names == ["Area/FT-1"]
    assert host.asked(1000) == []


def test_device_without_birth_makes_its_node_be_asked():
    host = Host()
    host.born()
    payload = sparkplug.data(T, [Metric("x", 1, 3)], 1)
    assert refusal(host, "DDATA", payload, device="D") == "no_birth"
    assert host.asked(0) == ["spBv1.0/G/NCMD/N"]


def test_unknown_metric_is_refused_alone_and_asked_for():
    host = Host()
    host.born()
    got = host.hear("NDATA", sparkplug.data(T, [Metric("new", 1, 3), Metric("LT-1", 4, 3)], 1))
    assert (got.names, [reason for reason, _ in got.refused]) == (["LT-1"], ["no_birth"])
    assert host.asked(0) == ["spBv1.0/G/NCMD/N"]


def test_node_has_an_end_to_its_devices():
    host = Host()
    host.born()
    for number in range(DEVICES_MAX):
        host.hear("DBIRTH", dbirth(T, [], number + 1), device=f"D{number}")
    assert refusal(host, "DBIRTH", dbirth(T, [], 0), device="one more") == "too_large"


def test_node_has_an_end_to_its_metrics():
    host = Host()
    host.born()
    metrics = [Metric(f"{i}", 1, 3) for i in range(METRICS_MAX // 10)]
    for number in range(9):
        host.hear("DBIRTH", dbirth(T, metrics, number + 1), device=f"D{number}")
    assert refusal(host, "DBIRTH", dbirth(T, metrics, 10), device="D9") == "too_large"
    payload = sparkplug.data(T, metrics[:1], 11)
    assert refusal(host, "DDATA", payload, device="D9") == "no_birth"
    assert host.hear("DDATA", payload, device="D8").names == ["0"]


# --- the sequence -----------------------------------------------------------


@pytest.mark.parametrize(
    ("sequence", "lost"),
    [([1, 2, 3], False), ([1, 3, 2, 4], False), ([4, 3, 2, 1, 5], False), ([1, 3], True),
     ([2], True), ([1, 4, 2], True), ([*range(1, 256), 0, 1, 2], False),
     ([*range(1, 255), 0, 255, 1], False), ([*range(1, 255), 0, 1], True), ([1, 1], True),
     ([1, 2, 3, 2], True), ([1, 2, 0, 1, 2], True), ([None, None, 1], False), ([257, 2], False)],
)  # fmt: skip
def test_gap_in_the_sequence_asks_for_a_birth_after_a_while(sequence, lost):
    host = Host()
    host.born()
    for seq in sequence:
        assert rows(host.said(seq, 1, alias=1)) == [("Area/FT-1", 1000, 2.5, q.GOOD)]
    assert host.asked(2.9) == []
    assert host.asked(3.0) == ["spBv1.0/G/NCMD/N"] * lost


def test_sequence_goes_on_from_whatever_the_birth_says():
    host = Host()
    host.born(seq=254)
    for seq in (255, 0, 1):
        host.said(seq, 1, alias=1)
    assert host.asked(60) == []


def test_message_that_comes_too_late_does_not_take_the_request_back():
    host = Host(reorder_s=2.0)
    host.born()
    host.said(2, 1, alias=1)
    assert host.asked(3) == ["spBv1.0/G/NCMD/N"]
    host.said(1, 3.5, alias=1)
    assert host.asked(13) == ["spBv1.0/G/NCMD/N"]
    host.born(14)
    assert host.asked(1000) == []


def test_birth_closes_every_gap():
    host = Host()
    host.born()
    host.said(9, 1, alias=1)
    host.born(2)
    assert host.asked(60) == []


def test_without_patience_a_gap_is_a_loss_at_once():
    host = Host(reorder_s=0)
    host.born()
    host.said(2, 1, alias=1)
    assert host.asked(1) == ["spBv1.0/G/NCMD/N"]


def test_birth_and_death_that_changed_places_are_asked_about():
    host = Host()
    host.born()
    assert refusal(host, "DDEATH", ddeath(T, 2), device="D") == "stale_death"
    host.hear("DBIRTH", dbirth(T, BORN, 1), device="D")
    assert host.asked(0.1) == ["spBv1.0/G/NCMD/N"]


# --- requests ---------------------------------------------------------------


def test_every_node_is_asked_once_at_the_start():
    host = Host(row("A"), row("B"), row("B", "D"), GatewaySpec("g", "s", "native"))
    assert len(host.sessions) == 2
    assert host.asked(0) == ["spBv1.0/G/NCMD/A", "spBv1.0/G/NCMD/B"]
    assert host.asked(5000) == []
    (topic, payload), = Host().sessions.requests(at_us(3))  # fmt: skip
    assert payload == sparkplug.rebirth(T + 3000)
    assert topic == "spBv1.0/G/NCMD/N"


def test_node_that_was_born_already_is_not_asked():
    host = Host()
    host.born()
    assert host.asked(0) == []


def test_requests_come_ever_more_seldom_until_a_birth():
    host = Host()
    moments = []
    for second in range(2500):
        if second % 5 == 0:
            assert refusal(host, "NDATA", sparkplug.data(T, [], 1), second) == "no_birth"
        moments += [second] * len(host.asked(second))
    assert moments == [0, 10, 30, 70, 150, 310, 630, 1230, 1830, 2430]
    assert host.sessions.counters["rebirths"] == len(moments)
    host.born(2500)
    host.said(9, 2501, alias=1)
    assert host.asked(2503) == ["spBv1.0/G/NCMD/N"]
    assert host.asked(2512) == []
    assert host.asked(2513) == ["spBv1.0/G/NCMD/N"]


def test_births_that_do_not_help_are_not_asked_for_more_often():
    host = Host()
    moments = []
    for second in range(100):
        moments += [second] * len(host.asked(second))
        host.born(second)
        host.said(1, second, alias=99)
    assert moments == list(range(0, 100, 10))


def test_storm_is_spread_over_calls():
    host = Host(*(row(f"N{i}") for i in range(25)))
    query = [host.asked(0.5 * i) for i in range(4)]
    assert [len(each) for each in query] == [10, 10, 5, 0]
    assert len({topic for each in query for topic in each}) == 25


def test_zero_means_never_ask():
    host = Host(rebirth_s=0)
    assert refusal(host, "NDATA", sparkplug.data(T, [], 1)) == "no_birth"
    assert host.asked(10_000) == []


def test_clock_set_back_does_not_stop_the_requests():
    host = Host()
    assert refusal(host, "NDATA", sparkplug.data(T, [], 1), 5000) == "no_birth"
    assert len(host.asked(5000)) == 1
    assert host.asked(0) == []
    assert len(host.asked(20)) == 1


def test_after_a_reconnection_nodes_have_a_while_before_they_are_asked():
    host = Host(row("A"), row("B"))
    host.sessions.reconnected(at_us(0))
    assert len(host.asked(0)) == 2
    for node in "AB":
        host.born(1, node=node)
    host.sessions.reconnected(at_us(100))
    host.born(105, node="A")
    assert host.asked(109) == []
    assert host.asked(110) == ["spBv1.0/G/NCMD/B"]
    assert host.asked(1000) == []


def test_only_a_denial_of_our_own_state_is_answered():
    host = Host(host_id="me")
    for host_id, online in (("me", True), ("other", False)):
        host.sessions.hear_state(["spBv1.0", "STATE", host_id], sparkplug.state(T, online=online))
        assert not host.sessions.denied
    host.sessions.hear_state(["spBv1.0", "STATE", "me"], sparkplug.state(T, online=False))
    assert host.sessions.denied
