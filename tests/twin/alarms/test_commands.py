"""Orders of an operator: which way they lead, what they are refused for, how shelves end."""

import pytest

from tests.support.small_alarms import Bench, alarm, bench_in
from twin.alarms.commands import COMMANDS, HIDING
from twin.alarms.engine import (
    ACKNOWLEDGED,
    NORMAL,
    OUT_OF_SERVICE,
    RETURNED,
    SHELVED,
    STATES,
    SUPPRESSED,
    UNACKNOWLEDGED,
)
from twin.arrays import NEVER

S = 1_000_000
# (command, state before) -> state after; the condition is on except where the state says it is off.
WAYS = [
    ("acknowledge", "unacknowledged", "acknowledged"),
    ("acknowledge", "returned", "normal"),
    ("shelve", "normal", "shelved"),
    ("shelve", "unacknowledged", "shelved"),
    ("shelve", "acknowledged", "shelved"),
    ("shelve", "returned", "shelved"),
    ("suppress", "acknowledged", "suppressed"),
    ("take_out_of_service", "unacknowledged", "out_of_service"),
]


@pytest.mark.parametrize(("name", "before", "after"), WAYS)
def test_commands_lead_from_state_to_state(name, before, after):
    bench = bench_in(before)
    assert bench.command(name, now_s=7, until_s=100) == [(0, 7.0, before, after)]
    assert bench.memory.since_us.tolist() == [7 * S]


def test_commands_that_make_no_sense_are_refused_with_a_reason():
    bench = bench_in("normal")
    for name in ("acknowledge", "unshelve", "unsuppress", "return_to_service"):
        assert bench.refusal(name) == f"{name.replace('_', ' ')}: the alarm is normal"
        with pytest.raises(AssertionError):
            bench.command(name)
    assert "there is no command 'explode'" in bench.refusal("explode")
    bench.command("take_out_of_service")
    assert "is out of service" in bench.refusal("shelve")


@pytest.mark.parametrize("name", HIDING)
def test_nobody_hides_an_alarm_of_a_gas_detector(name):
    bench = Bench(alarm("PT-1", 10.0, shelvable=False))
    bench.step([(0, 0, 11.0)])
    assert "may not be shelved" in bench.refusal(name)
    assert bench.command("acknowledge") == [(0, 0.0, "unacknowledged", "acknowledged")]


def test_a_shelved_alarm_is_silent_and_comes_back_when_it_is_still_on():
    bench = bench_in("unacknowledged")
    bench.command("shelve", now_s=10, until_s=1_810)
    assert bench.step([(0, 20, 5.0), (0, 30, 12.0)]) == []
    assert bench.step([], now_s=1_809) == []
    assert bench.step([], now_s=1_810) == [(0, 1_810.0, "shelved", "unacknowledged")]
    assert bench.memory.until_us.tolist() == [NEVER]


def test_a_shelved_alarm_that_is_off_by_then_goes_to_normal():
    bench = bench_in("acknowledged")
    bench.command("shelve", now_s=10, until_s=1_810)
    assert bench.step([(0, 20, 5.0)]) == []
    assert bench.step([(0, 2_000, 5.0)]) == [(0, 1_810.0, "shelved", "normal")]


def test_the_end_of_a_shelving_takes_its_place_among_the_turns_of_the_value():
    bench = bench_in("unacknowledged")
    bench.command("shelve", now_s=10, until_s=100)
    bench.step([(0, 50, 5.0), (0, 90, 11.0), (0, 110, 4.0), (0, 120, 13.0)])
    assert bench.changes[-3:] == [
        (0, 100.0, "shelved", "unacknowledged"),
        (0, 110.0, "unacknowledged", "returned"),
        (0, 120.0, "returned", "unacknowledged"),
    ]


def test_unshelving_annunciates_what_is_still_on():
    bench = bench_in("unacknowledged")
    bench.command("shelve", now_s=10, until_s=1_810)
    assert bench.command("unshelve", now_s=20) == [(0, 20.0, "shelved", "unacknowledged")]
    bench.command("shelve", now_s=30, until_s=1_810)
    bench.step([(0, 40, 5.0)])
    assert bench.command("unshelve", now_s=50) == [(0, 50.0, "shelved", "normal")]


def test_shelving_again_moves_the_end():
    bench = bench_in("unacknowledged")
    bench.command("shelve", now_s=10, until_s=100)
    assert bench.command("shelve", now_s=20, until_s=200) == [(0, 20.0, "shelved", "shelved")]
    assert bench.step([], now_s=150) == []
    assert bench.step([], now_s=200) == [(0, 200.0, "shelved", "unacknowledged")]


@pytest.mark.parametrize(
    ("name", "back", "state"),
    [
        ("suppress", "unsuppress", SUPPRESSED),
        ("take_out_of_service", "return_to_service", OUT_OF_SERVICE),
    ],
)
def test_suppressed_and_out_of_service_stay_until_somebody_ends_it(name, back, state):
    bench = bench_in("acknowledged")
    bench.command(name, now_s=5)
    bench.step([(0, 20, 5.0), (0, 30, 12.0)], now_s=1e6)
    assert bench.memory.state.tolist() == [state]
    assert bench.command(back, now_s=40)[0][3] == "unacknowledged"


def test_states_have_the_names_of_their_numbers():
    numbers = (NORMAL, UNACKNOWLEDGED, ACKNOWLEDGED, RETURNED, SHELVED, SUPPRESSED, OUT_OF_SERVICE)
    assert numbers == tuple(range(len(STATES)))
    assert all(len(way) == len(STATES) for way in COMMANDS.values())
