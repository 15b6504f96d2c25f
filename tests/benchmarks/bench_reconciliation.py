"""Reconciliation: a day of minutes, one time of a plant and of a region, and two other programs."""

import importlib.util
import json
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from tests.benchmarks.bench_step import best_of
from tests.support.networks import random_network
from twin.reconciliation.linear import reconcile

STREAMS, NODES = 1_000, 300


@pytest.mark.parametrize(
    ("spread", "what", "goal"),
    [(1.0, "nearly all consistent", "goal 3 ×"), (1.5, "none consistent: streams are named", "")],
    ids=["consistent", "inconsistent"],
)
def bench_day(report, spread, what, goal):
    incidence, flow, sigma = random_network(STREAMS, NODES)
    incidence, rng = incidence.toarray(), np.random.default_rng(1)
    balanced = reconcile(incidence, flow, sigma).estimate
    flow = balanced + rng.normal(size=(1440, STREAMS)) * sigma * spread
    square = rng.normal(size=(STREAMS, STREAMS))
    # Both in turns: a neighbour that comes or goes meets both.
    rounds = [
        (
            best_of(lambda: flow @ square, 2)[0],
            best_of(lambda: reconcile(incidence, flow, sigma), 1)[0],
        )
        for _ in range(15)
    ]
    bare, spent = np.min(rounds, axis=0)
    result = reconcile(incidence, flow, sigma)
    assert np.abs(result.estimate @ incidence.T).max() < 1e-6 * np.abs(flow).max()
    assert abs(result.consistent.mean() - (spread == 1.0)) < 0.1
    report(f"reconciliation, 1,440 × {STREAMS:,} streams, {NODES} nodes, {what}",
           f"{spent:.0f} ms", f"{spent / bare:.1f} × the bare product (S, S)", goal)  # fmt: skip


def bench_one_time(report):
    incidence, flow, sigma = random_network(STREAMS, NODES)
    incidence = incidence.toarray()
    shortest, _ = best_of(lambda: reconcile(incidence, flow, sigma))
    report(f"reconciliation with all tests, {STREAMS:,} streams, {NODES} nodes",
           f"{shortest:.1f} ms")  # fmt: skip


def bench_region(report):
    incidence, flow, sigma = random_network(6_000, 2_000)
    shortest, _ = best_of(lambda: reconcile(incidence, flow, sigma), 5)
    tracemalloc.start()
    reconcile(incidence, flow, sigma)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    report("reconciliation with all tests, 6,000 streams, 2,000 nodes", f"{shortest:.0f} ms",
           f"{peak / 1e6:.0f} MB", "goal 1,000 ms, 200 MB")  # fmt: skip


def bench_difflow(report):
    """The same as `bench_one_time` by difflow 0.2, if it is installed."""
    difflow = pytest.importorskip("difflow.reconciliation")
    incidence, flow, sigma = random_network(STREAMS, NODES)
    incidence = incidence.toarray()
    shortest, _ = best_of(
        lambda: difflow.reconcile(lambda x, _params=None: incidence @ x, flow, sigma), 2
    )
    report(f"the same by difflow, {STREAMS:,} streams", f"{shortest:.0f} ms")


BY_NEQSIM = """
import json, sys, time
rows, flow, sigma = json.load(sys.stdin)
from neqsim import jneqsim
java = jneqsim.process.util.reconciliation
engine = java.DataReconciliationEngine()
for s, (value, deviation) in enumerate(zip(flow, sigma)):
    engine.addVariable(java.ReconciliationVariable(f"s{s}", value, deviation))
for row in rows:
    engine.addConstraint(row)
engine.reconcile()
began = time.perf_counter()
engine.reconcile()
spent = time.perf_counter() - began
print(json.dumps([spent, [v.getReconciledValue() for v in engine.getVariables()]]))
"""


def bench_neqsim(report):
    """The same as `bench_one_time` by neqsim 3.26, if it is installed, with Java."""
    if importlib.util.find_spec("neqsim") is None:
        pytest.skip("neqsim is not installed")
    incidence, flow, sigma = random_network(STREAMS, NODES)
    incidence = incidence.toarray()
    # Java gets a process of its own: it does not live with the threads of numpy's libraries.
    child = subprocess.run(
        [sys.executable, "-c", BY_NEQSIM],
        input=json.dumps([incidence.tolist(), flow.tolist(), sigma.tolist()]),
        capture_output=True,
        text=True,
        check=True,
    )
    spent, estimate = json.loads(child.stdout.splitlines()[-1])
    assert np.allclose(estimate, reconcile(incidence, flow, sigma).estimate)
    report(f"the same by neqsim, {STREAMS:,} streams", f"{spent * 1000:.0f} ms")
