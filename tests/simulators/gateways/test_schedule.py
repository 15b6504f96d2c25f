"""The schedule of a gateway: the past, then the present."""

import numpy as np

from simulators.gateways.delivery import BACKLOG_US, GatewayProgress, Outbox, Schedule, due, fill
from tests.support.small_gateways import BEGIN, SEED, S, event, gateway

NOW_US = 1_763_791_200_000_000


def test_past_goes_out_in_large_messages_at_the_pace_of_its_own_scans():
    carrier = gateway(event("reorder", 0, 7200, 1.0, every=3600))
    plan = Schedule(2 * S, 10 * S, BEGIN + 7200 * S, end_us=BEGIN + 7300 * S)
    box, index = Outbox(carrier, SEED, BEGIN), GatewayProgress(BEGIN - 1)
    got, waiting = [], []
    while True:
        waiting.append(len(box))
        result = fill(plan, box, index, BEGIN + 9000 * S)
        if not result and not len(box) and index.done_us >= plan.end_us:
            break
        got += result
    times = np.concatenate([s.times_us for s in got])
    assert len(times) == len(set(times.tolist())) == 721 + 50
    assert max(s.scans for s in got) == 60
    assert max(waiting) <= 8
    past = [s for s in got if s.step_us == 10 * S]
    assert [s.first_us for s in past] != sorted(s.first_us for s in past)


def test_history_runs_into_live_without_gap_or_future():
    plan = Schedule(interval_us=2 * S, history_interval_us=10 * S, history_until_us=NOW_US)
    progress = GatewayProgress(NOW_US - 3600 * S)
    seen = []
    now_us = NOW_US + 5 * S
    while len(times := due(plan, progress, now_us)):
        seen.extend(times.tolist())
        progress.done_us = int(times[-1])
    assert seen[0] == NOW_US - 3590 * S
    assert seen[-1] == NOW_US + 4 * S
    steps = np.diff(seen)
    assert set(steps[:359]) == {10 * S}
    assert set(steps[359:]) == {2 * S}


def test_a_long_outage_gives_up_the_oldest_scans_and_says_so():
    plan = Schedule(2 * S, 10 * S, 0)
    progress = GatewayProgress(NOW_US - 2 * BACKLOG_US)
    times = due(plan, progress, NOW_US)
    assert times[0] > NOW_US - BACKLOG_US
    assert progress.skipped_s == BACKLOG_US / 1e6
