"""Which time is owed: pieces add up like sets; the newest goes first, then the oldest."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ingest.forwarding import owed as o

S = 1_000_000
HOUR = 3600 * S
PIECES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=6)


def members(pieces):
    return {n for start, stop in pieces for n in range(start, stop)}


@given(PIECES, PIECES)
def test_what_is_owed_is_what_was_added_and_not_removed(added, removed):
    owed, expected = [], set()
    for piece in added:
        owed = o.add(owed, piece)
        expected |= members([piece])
    for piece in filter(lambda each: each[0] < each[1], removed):
        owed = o.remove(owed, piece)
        expected -= members([piece])
    assert members(owed) == expected
    # Sorted, and none touches the next.
    assert all(a < b for a, b in owed)
    if not removed:
        assert all(one[1] < other[0] for one, other in pairwise(owed))


def test_the_newest_is_live_and_then_the_oldest_comes():
    owed, until, sent = {"2061": [(0, 3 * HOUR)]}, {"2061": 3 * HOUR}, []
    while (job := o.choose(owed, until, 10, "UTC", lambda _: True)) is not None:
        (cn, start, stop), live = job
        sent.append((start // HOUR, live))
        owed[cn] = o.remove(owed[cn], (start, stop))
        if len(sent) == 2:
            # Another hour is over, and goes before what is still missing.
            owed[cn], until[cn] = o.add(owed[cn], (3 * HOUR, 4 * HOUR)), 4 * HOUR
    assert sent == [(2, True), (0, False), (3, True), (1, False)]


def test_of_two_commands_the_elder_interval_comes():
    owed = {"2061": [(HOUR, 2 * HOUR)], "2051": [(0, HOUR)]}
    until = dict.fromkeys(owed, 9 * HOUR)
    job = o.choose(owed, until, 30, "UTC", lambda _: True)
    assert job == (o.Interval("2051", 0, HOUR // 2), False)


def test_intervals_begin_by_the_calendar_of_the_park():
    at = 1_763_771_405 * S  # 2025-11-22 08:30:05 at +08:00
    hour, day = (o.begin(cn, 10, at, "Asia/Shanghai") for cn in ("2061", "2031"))
    assert (at - hour, at - day) == (1805 * S, 8 * HOUR + 1805 * S)
    assert at - o.begin("2051", 10, at, "Asia/Shanghai") == 5 * S


def test_an_interval_that_has_to_wait_lets_the_next_one_go():
    owed = {"2061": [(0, 3 * HOUR)]}
    until = {"2061": 3 * HOUR}
    first = o.choose(owed, until, 10, "UTC", lambda each: each.start_us < 2 * HOUR)
    assert first == (o.Interval("2061", 0, HOUR), False)
    assert o.choose(owed, until, 10, "UTC", lambda _: False) is None
