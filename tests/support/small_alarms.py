"""Alarms of a few tags, and a bench to step them through values and commands.

PYTEST_DONT_REWRITE: tests import it by name.
"""

import numpy as np

from twin import quality as q
from twin.alarms.commands import apply_command, refusal
from twin.alarms.engine import STATES, evaluate, initial_alarm_state
from twin.alarms.rules import Alarm, compile_rules
from twin.arrays import NEVER
from twin.model.park import Tag
from twin.series.samples import Samples

S = 1_000_000
GAP_S = 300


def tag(name, gap_s=GAP_S):
    return Tag(name, "acme", "p/acme", "pressure", "Pa", "gauge", 1.0, 0.0, gap_s=gap_s)


def alarm(name, limit, direction="high", deadband=0.0, on=0.0, off=0.0, *, shelvable=True):
    address = f"acme/{name}"
    return Alarm(
        id=f"{address}.{direction}{limit:g}", tag=address, scope="p/acme", direction=direction,
        limit=limit, deadband=deadband, on_delay_s=on, off_delay_s=off, priority="high",
        shelvable=shelvable, source="", texts={},
    )  # fmt: skip


def rules_of(*result, tags=("PT-1",)):
    return compile_rules(result, [tag(name) for name in tags])


def samples(rows, tags=1):
    """Return samples of (tag, second, value[, quality]), sorted."""
    rows = sorted((*row, q.GOOD)[:4] for row in rows)
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    time_us = np.array([round(s * S) for s in columns[1]], dtype=np.int64)
    return Samples(
        np.array(columns[0], dtype=np.int64),
        time_us,
        np.array(columns[2], dtype=np.float64),
        np.array(columns[3], dtype=np.uint8),
        time_us,
    )


class Bench:
    """Rules under test, with the memory between two steps and the changes so far."""

    def __init__(self, *result, tags=("PT-1",)):
        self.rules = rules_of(*result, tags=tags)
        self.tags = len(tags)
        self.memory = initial_alarm_state(len(result))
        self.changes = []

    def step(self, rows, known_s=None, now_s=None):
        """Evaluate (tag, second, value, quality) and return what changed."""
        known_us = np.full(self.tags, NEVER if known_s is None else round(known_s * S))
        seconds = [row[1] for row in rows]
        now_s = max([*seconds, known_s or 0]) if now_s is None else now_s
        self.memory, changes = evaluate(
            self.rules, self.memory, samples(rows, self.tags), known_us, round(now_s * S)
        )
        return self.note(changes)

    def refusal(self, name, at=0):
        return refusal(name, int(self.memory.state[at]), shelvable=bool(self.rules.shelvable[at]))

    def command(self, name, at=0, now_s=0, until_s=0):
        self.memory, changes = apply_command(
            self.rules, self.memory, name, at, round(now_s * S), round(until_s * S)
        )
        return self.note(changes)

    def note(self, changes):
        result = [
            (a, t / S, STATES[before], STATES[after])
            for a, t, before, after in zip(
                changes.alarm.tolist(),
                changes.time_us.tolist(),
                changes.before.tolist(),
                changes.after.tolist(),
                strict=True,
            )
        ]
        self.changes += result
        return result

    @property
    def state(self):
        return STATES[self.memory.state[0]]


def bench_in(state):
    """Return a bench whose alarm is in a state."""
    bench = Bench(alarm("PT-1", 10.0))
    bench.step([(0, 0, 5.0 if state == "normal" else 11.0)])
    if state == "acknowledged":
        bench.command("acknowledge")
    if state == "returned":
        bench.step([(0, 1, 5.0)])
    assert bench.state == state
    return bench
