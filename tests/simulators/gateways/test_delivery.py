"""The times at which messages go out: outages, silence, storms, order and doubles."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.gateways.delivery import (
    Outbox,
    Transmission,
    clock_times,
    connection_losses,
    transmissions,
)
from tests.support.small_gateways import BEGIN, SEED, S, event, gateway


def test_message_has_its_fate_wherever_a_run_begins_and_whoever_else_there_is():
    events = event("reorder", 0, 4000, 0.5), event("duplicate", 0, 4000, 0.5)
    first, other = gateway(*events), gateway(*events, usual="senml")

    def fate(carrier, seed, start):
        box = Outbox(carrier, seed, BEGIN)
        box.scan(np.arange(start, 600) * 5 * S + BEGIN, 5 * S)
        return [s for s in box.take(1 << 61) if s.first_us >= BEGIN + 300 * 5 * S]

    whole = fate(first, SEED, 0)
    assert fate(first, SEED, 0) == whole
    assert fate(first, SEED, 300) == whole
    assert fate(other, SEED, 0) == whole
    assert fate(first, SEED + 1, 0) != whole
    late = [s for s in whole if s.copy == 0 and s.due_us > s.first_us]
    assert 120 <= len(late) <= 180
    assert 420 <= len(whole) <= 480


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["outage", "silence", "reorder", "duplicate", "storm", "skew"]),
            st.integers(0, 900),
            st.integers(1, 900),
            st.floats(0.01, 1.0),
            st.integers(0, 300),
        ),
        max_size=6,
    ),
    st.integers(1, 9),
    st.integers(1, 40),
)
def test_every_scan_goes_out_once_or_twice_unless_the_gateway_was_silent(faults, batch, burst):
    events = [event(k, a, a + n, size, every) for k, a, n, size, every in faults]
    carrier = gateway(*events, batch=batch)
    box = Outbox(carrier, SEED, BEGIN)
    times = BEGIN + np.arange(300) * 4 * S
    got = []
    for start in range(0, len(times), burst):
        box.scan(times[start : start + burst], 4 * S)
        got += box.take(int(times[min(start + burst, 300) - 1]))
    box.close()
    got += box.take(1 << 62)
    assert len(box) == 0
    assert [s.due_us for s in got] == sorted(s.due_us for s in got)
    sent = [s for s in got if s.scans]
    for sending in sent:
        since = (sending.due_us - BEGIN) / S
        assert sending.due_us >= sending.complete_us
        assert not any(e.kind == "outage" and e.start_s <= since < e.stop_s for e in events)
        assert sending.scans <= batch
    once = np.concatenate([s.times_us for s in sent if s.copy == 0] or [np.zeros(0, int)])
    assert len(set(once.tolist())) == len(once)
    silent = [e for e in events if e.kind == "silence"]
    lost = set(times.tolist()) - set(once.tolist())
    assert not lost or silent
    for at in lost:
        # The message it was in was complete while the gateway was silent.
        ends = (at - BEGIN) / S + np.arange(batch) * 4
        assert any(e.start_s <= end < e.stop_s for e in silent for end in ends)


def test_what_an_outage_held_back_comes_in_one_burst_in_order():
    carrier = gateway(event("outage", 100, 200), event("outage", 190, 250))
    box = Outbox(carrier, SEED, BEGIN)
    box.scan(BEGIN + np.arange(30) * 10 * S, 10 * S)
    got = box.take(BEGIN + 290 * S)
    assert [(s.due_us - BEGIN) // S for s in got if not s.scans] == [100, 190]
    burst = [s for s in got if s.due_us == BEGIN + 250 * S]
    assert [(s.first_us - BEGIN) // S for s in burst] == list(range(100, 251, 10))
    assert [s.historical for s in burst] == [True] * 15 + [False]
    # A message complete at the very end of an outage is sent.
    assert len([s for s in got if s.scans]) == 30


def test_storm_breaks_the_connection_again_and_again():
    carrier = gateway(event("storm", 10, 20, 2.5))
    assert connection_losses(carrier, 0, -1, 60 * S) == [10 * S, 12_500_000, 15 * S, 17_500_000]
    assert connection_losses(carrier, 0, 12_500_000, 15 * S) == [15 * S]
    in_parts = [t for a in range(-1, 60) for t in connection_losses(carrier, 0, a * S, (a + 1) * S)]
    assert in_parts == connection_losses(carrier, 0, -1, 60 * S)


def test_clock_that_is_wrong_shows_in_what_is_written_only():
    carrier = gateway(event("skew", 10, 20, -3.5), event("skew", 15, 30, 1.0))
    times = np.array([9, 10, 15, 20, 30]) * S
    assert ((clock_times(carrier, 0, times) - times) / S).tolist() == [0, -3.5, -2.5, 1.0, 0]
    box = Outbox(carrier, SEED, 0)
    box.scan(np.arange(40) * S, S)
    assert [s.due_us // S for s in box.take(40 * S)] == list(range(40))


def test_sending_without_scans_sorts_before_the_message_of_its_time():
    assert Transmission(5, -1) < Transmission(5, 5, 0, 1, 1)
    assert transmissions(gateway(), SEED, 0, Transmission(0, 5, 0, 2, 3)) == [
        Transmission(8, 5, 0, 2, 3)
    ]
