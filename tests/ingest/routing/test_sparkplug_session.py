"""Sparkplug edge nodes, step by step: births, what they explain, gaps, requests."""

import pytest

from ingest.routing.sparkplug_session import DEVICES_MAX
from ingest.wire import sparkplug
from ingest.wire.sparkplug import DataType, Metric
from tests.support.small_edges import BORN, Desk, T, at_us, refusal, row, rows
from twin import quality as q
from twin.model.gateways import GatewaySpec

# --- births and what they explain -------------------------------------------


def test_values_of_a_birth_are_samples_and_the_protocols_own_are_not():
    got = Desk().born()
    assert rows(got) == [("Area/FT-1", 0, 1.5, q.GOOD), ("LT-1", 0, -12.0, q.GOOD)]
    assert got.refused == []


def test_alias_means_what_the_birth_said():
    desk = Desk()
    desk.born()
    assert rows(desk.said(1, 1, value=3.5, alias=1)) == [("Area/FT-1", 1000, 3.5, q.GOOD)]


def test_negative_number_without_datatype_stays_negative():
    desk = Desk()
    desk.born()
    payload = sparkplug.data(T, [Metric("LT-1", -7, DataType.INT32)], 1)
    assert sparkplug.decode(payload).metrics[0].datatype == 0
    assert rows(desk.hear("NDATA", payload)) == [("LT-1", 0, -7.0, q.GOOD)]


def test_birth_forgets_what_the_one_before_it_said():
    desk = Desk()
    desk.born()
    desk.born(metrics=[Metric("Other", 1.0, DataType.DOUBLE, alias=1)])
    assert rows(desk.said(1, alias=1))[0][0] == "Other"
    assert desk.said(2, alias=2).refused == [("no_birth", "alias 2 was not in the BIRTH")]


def test_devices_have_names_and_aliases_of_their_own():
    desk = Desk()
    desk.born()
    for seq, device in enumerate("AB", start=1):
        desk.hear("DBIRTH", sparkplug.dbirth(T, [Metric(f"{device}/x", 1, 3, alias=1)], seq),
                  device=device)  # fmt: skip
    for seq, device in enumerate("AB", start=3):
        got = desk.hear("DDATA", sparkplug.data(T, [Metric("", 5, 3, alias=1)], seq), device=device)
        assert got.names == [f"{device}/x"]
    assert desk.asked(100) == []


def test_alias_of_several_metrics_is_none_of_them():
    desk = Desk()
    twice = [Metric("a", 1.0, DataType.DOUBLE, alias=0), Metric("b", 2.0, DataType.DOUBLE, alias=0)]
    desk.born(metrics=twice)
    assert desk.said(1, alias=0).refused == [("bad_shape", "alias 0 stands for several metrics")]
    assert desk.hear("NDATA", sparkplug.data(T, [Metric("b", 3.0, 10)], 2)).names == ["b"]
    assert desk.asked(100) == []


def test_data_before_any_birth_wait_for_one():
    desk = Desk()
    assert len(desk.asked(0)) == 1
    assert refusal(desk, "NDATA", sparkplug.data(T, BORN, 5), 1) == "no_birth"
    assert refusal(desk, "DBIRTH", sparkplug.dbirth(T, BORN, 5), 1, device="D") == "no_birth"
    assert desk.asked(1) == []
    assert desk.asked(11) == ["spBv1.0/G/NCMD/N"]
    desk.born(12)
    assert desk.said(1, 12, alias=1).names == ["Area/FT-1"]
    assert desk.asked(1000) == []


def test_device_without_birth_makes_its_node_be_asked():
    desk = Desk()
    desk.born()
    payload = sparkplug.data(T, [Metric("x", 1, 3)], 1)
    assert refusal(desk, "DDATA", payload, device="D") == "no_birth"
    assert desk.asked(0) == ["spBv1.0/G/NCMD/N"]


def test_unknown_metric_is_refused_alone_and_asked_for():
    desk = Desk()
    desk.born()
    got = desk.hear("NDATA", sparkplug.data(T, [Metric("new", 1, 3), Metric("LT-1", 4, 3)], 1))
    assert (got.names, [reason for reason, _ in got.refused]) == (["LT-1"], ["no_birth"])
    assert desk.asked(0) == ["spBv1.0/G/NCMD/N"]


def test_node_has_an_end_to_its_devices():
    desk = Desk()
    desk.born()
    for number in range(DEVICES_MAX):
        desk.hear("DBIRTH", sparkplug.dbirth(T, [], number + 1), device=f"D{number}")
    assert refusal(desk, "DBIRTH", sparkplug.dbirth(T, [], 0), device="one more") == "too_large"


# --- the sequence -----------------------------------------------------------


@pytest.mark.parametrize(
    ("sequence", "lost"),
    [
        ([1, 2, 3], False),
        ([1, 3, 2, 4], False),
        ([4, 3, 2, 1, 5], False),
        ([1, 3], True),
        ([2], True),
        ([1, 4, 2], True),
        ([*range(1, 256), 0, 1, 2], False),
        ([*range(1, 255), 0, 255, 1], False),
        ([*range(1, 255), 0, 1], True),
        ([1, 1], True),
        ([1, 2, 3, 2], True),
        ([1, 2, 0, 1, 2], True),
        ([None, None, 1], False),
        ([257, 2], False),
    ],
)
def test_gap_in_the_sequence_asks_for_a_birth_after_a_while(sequence, lost):
    desk = Desk()
    desk.born()
    for seq in sequence:
        assert rows(desk.said(seq, 1, alias=1)) == [("Area/FT-1", 1000, 2.5, q.GOOD)]
    assert desk.asked(2.9) == []
    assert desk.asked(3.0) == ["spBv1.0/G/NCMD/N"] * lost


def test_sequence_goes_on_from_whatever_the_birth_says():
    desk = Desk()
    desk.born(seq=254)
    for seq in (255, 0, 1):
        desk.said(seq, 1, alias=1)
    assert desk.asked(60) == []


def test_message_that_comes_too_late_does_not_take_the_request_back():
    desk = Desk(reorder_s=2.0)
    desk.born()
    desk.said(2, 1, alias=1)
    assert desk.asked(3) == ["spBv1.0/G/NCMD/N"]
    desk.said(1, 3.5, alias=1)
    assert desk.asked(13) == ["spBv1.0/G/NCMD/N"]
    desk.born(14)
    assert desk.asked(1000) == []


def test_birth_closes_every_gap():
    desk = Desk()
    desk.born()
    desk.said(9, 1, alias=1)
    desk.born(2)
    assert desk.asked(60) == []


def test_without_patience_a_gap_is_a_loss_at_once():
    desk = Desk(reorder_s=0)
    desk.born()
    desk.said(2, 1, alias=1)
    assert desk.asked(1) == ["spBv1.0/G/NCMD/N"]


def test_birth_and_death_that_changed_places_are_asked_about():
    desk = Desk()
    desk.born()
    assert refusal(desk, "DDEATH", sparkplug.ddeath(T, 2), device="D") == "stale_death"
    desk.hear("DBIRTH", sparkplug.dbirth(T, BORN, 1), device="D")
    assert desk.asked(0.1) == ["spBv1.0/G/NCMD/N"]


# --- requests ---------------------------------------------------------------


def test_every_node_is_asked_once_at_the_start():
    desk = Desk(row("A"), row("B"), row("B", "D"), GatewaySpec("g", "s", "native"))
    assert len(desk.edges) == 2
    assert desk.asked(0) == ["spBv1.0/G/NCMD/A", "spBv1.0/G/NCMD/B"]
    assert desk.asked(5000) == []
    (topic, payload), = Desk().edges.requests(at_us(3))  # fmt: skip
    assert payload == sparkplug.rebirth(T + 3000)
    assert topic == "spBv1.0/G/NCMD/N"


def test_node_that_was_born_already_is_not_asked():
    desk = Desk()
    desk.born()
    assert desk.asked(0) == []


def test_requests_come_ever_more_seldom_until_a_birth():
    desk = Desk()
    moments = []
    for second in range(2500):
        if second % 5 == 0:
            assert refusal(desk, "NDATA", sparkplug.data(T, [], 1), second) == "no_birth"
        moments += [second] * len(desk.asked(second))
    assert moments == [0, 10, 30, 70, 150, 310, 630, 1230, 1830, 2430]
    assert desk.edges.counters["rebirths"] == len(moments)
    desk.born(2500)
    desk.said(9, 2501, alias=1)
    assert desk.asked(2503) == ["spBv1.0/G/NCMD/N"]
    assert desk.asked(2512) == []
    assert desk.asked(2513) == ["spBv1.0/G/NCMD/N"]


def test_births_that_do_not_help_are_not_asked_for_more_often():
    desk = Desk()
    moments = []
    for second in range(100):
        moments += [second] * len(desk.asked(second))
        desk.born(second)
        desk.said(1, second, alias=99)
    assert moments == list(range(0, 100, 10))


def test_storm_is_spread_over_calls():
    desk = Desk(*(row(f"N{i}") for i in range(25)))
    asked = [desk.asked(0.5 * i) for i in range(4)]
    assert [len(each) for each in asked] == [10, 10, 5, 0]
    assert len({topic for each in asked for topic in each}) == 25


def test_zero_means_never_ask():
    desk = Desk(rebirth_s=0)
    assert refusal(desk, "NDATA", sparkplug.data(T, [], 1)) == "no_birth"
    assert desk.asked(10_000) == []


def test_clock_set_back_does_not_stop_the_requests():
    desk = Desk()
    assert refusal(desk, "NDATA", sparkplug.data(T, [], 1), 5000) == "no_birth"
    assert len(desk.asked(5000)) == 1
    assert desk.asked(0) == []
    assert len(desk.asked(20)) == 1


def test_after_a_reconnection_nodes_have_a_while_before_they_are_asked():
    desk = Desk(row("A"), row("B"))
    desk.edges.reconnected(at_us(0))
    assert len(desk.asked(0)) == 2
    for node in "AB":
        desk.born(1, node=node)
    desk.edges.reconnected(at_us(100))
    desk.born(105, node="A")
    assert desk.asked(109) == []
    assert desk.asked(110) == ["spBv1.0/G/NCMD/B"]
    assert desk.asked(1000) == []


def test_only_a_denial_of_our_own_state_is_answered():
    desk = Desk(host_id="me")
    for host, online in (("me", True), ("other", False)):
        desk.edges.hear_state(["spBv1.0", "STATE", host], sparkplug.state(T, online=online))
        assert not desk.edges.denied
    desk.edges.hear_state(["spBv1.0", "STATE", "me"], sparkplug.state(T, online=False))
    assert desk.edges.denied
