"""The search for inputs: it finds each of each figure, in few runs, and says what it left open."""

import asyncio

import hypothesis.strategies as st
import pytest
from hypothesis import given

from api.explanation.search import search


class Probe:
    """Figures that change with some keys; counts the runs, of which there are so many."""

    def __init__(self, inputs, runs=10_000):
        self.inputs, self.runs, self.most = inputs, 0, runs

    async def __call__(self, keys):
        if self.runs == self.most:
            return None
        self.runs += 1
        return {n: 1.0 for n, some in self.inputs.items() if some & set(keys)}


def dependence(inputs, keys, probe, apart=None):
    apart = apart or {}
    candidates = {n: [k for k in keys if k not in apart.get(n, ())] for n in inputs}
    return asyncio.run(search(candidates, probe, apart))


def inputs_of(findings, figures):
    return {n: {key for key, by in findings.changed.items() if n in by} for n in figures}


@given(st.lists(st.sets(st.integers(0, 39)), min_size=1, max_size=6), st.integers(1, 40))
def test_each_figure_gets_its_own_inputs(sets, count):
    inputs = {n: {key for key in some if key < count} for n, some in enumerate(sets)}
    findings = dependence(inputs, range(count), Probe(inputs))
    assert inputs_of(findings, inputs) == inputs
    assert findings.open == {}


@given(st.lists(st.sets(st.integers(0, 29)), min_size=1, max_size=4))
def test_what_is_known_to_change_a_figure_is_not_searched_for(sets):
    inputs = dict(enumerate(sets))
    apart = {n: sorted(some)[::2] for n, some in inputs.items()}
    findings = dependence(inputs, range(30), Probe(inputs), apart)
    assert inputs_of(findings, inputs) == {n: some - set(apart[n]) for n, some in inputs.items()}


@pytest.mark.parametrize(
    ("figures", "each", "keys", "most"), [(1, 54, 1100, 150), (100, 1, 1000, 60), (49, 9, 224, 80)]
)
def test_neighbours_and_figures_apart_take_few_runs(figures, each, keys, most):
    inputs = {n: {(7 * n + k) % keys for k in range(each)} for n in range(figures)}
    probe = Probe(inputs)
    assert inputs_of(dependence(inputs, range(keys), probe), inputs) == inputs
    assert probe.runs <= most


def test_without_time_all_that_may_count_is_open():
    inputs = {0: {3, 9}, 1: {9}}
    for runs in range(8):
        findings = dependence(inputs, range(16), Probe(inputs, runs))
        named = inputs_of(findings, inputs)
        assert all(inputs[n] <= named[n] | findings.open.get(n, set()) for n in inputs)
