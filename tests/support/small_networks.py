"""Small networks with published answers, and random ones."""

import tomllib

import numpy as np

from tests.support.data import data_text

CASES = tomllib.loads(data_text("networks.toml"))
N1, N7, PARK = (CASES[name] for name in ("N1", "N7", "PARK"))
BIASED = CASES["BIASED"] = PARK | CASES["BIASED"]
A_PARK, Y_PARK, S_PARK = (np.array(PARK[key], float) for key in ("incidence", "flow", "sigma"))
PARK_TRUTH = np.array([50, 14, 12, 9, 15, 13.5, 1.5, 9.5, 3, 1])


def arrays(case):
    return [np.array(case[key], dtype=float) for key in ("incidence", "flow", "sigma")]


def without(flow, *streams):
    """Return a copy without the meters of some streams, counted from 1 as in the literature."""
    flow = np.array(flow, dtype=float)
    flow[..., np.array(streams) - 1] = np.nan
    return flow


def numbered(flags):
    """Return the streams of a mask, counted from 1."""
    return set((np.flatnonzero(flags) + 1).tolist())


def random_network(rng, nodes, streams):
    """Return the incidence of a random connected graph and a flow that closes it.

    Every node beyond the first hangs on an earlier one; the rest joins anything, outside included.
    """
    incidence = np.zeros((nodes, streams))
    for stream in range(streams):
        head = stream if stream < nodes else int(rng.integers(-1, nodes))
        tail = int(rng.integers(-1, head)) if stream < nodes else int(rng.integers(-1, nodes))
        if head == tail:
            head, tail = 0, -1
        if head >= 0:
            incidence[head, stream] += 1
        if tail >= 0:
            incidence[tail, stream] -= 1
    truth = rng.uniform(1, 100, streams)
    return incidence, truth - np.linalg.pinv(incidence) @ (incidence @ truth)
