"""Random networks of streams and nodes."""

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.linalg import lsqr


def random_network(streams, nodes, seed=1):
    """Return incidence (sparse), flows measured to about 1 %, and their uncertainties."""
    rng = np.random.default_rng(seed)
    ends = np.array([rng.choice(nodes + max(nodes // 15, 2), 2, replace=False)
                     for _ in range(streams)])  # fmt: skip
    stream = np.tile(np.arange(streams), 2)
    node, sign = ends.T.ravel(), np.repeat([-1.0, 1.0], streams)
    inner = node < nodes
    incidence = csr_array((sign[inner], (node[inner], stream[inner])), shape=(nodes, streams))
    truth = rng.uniform(50, 100, streams)
    truth -= lsqr(incidence, incidence @ truth, atol=1e-14, btol=1e-14)[0]
    sigma = 0.01 * np.abs(truth) + 0.1
    return incidence, truth + rng.normal(size=streams) * sigma, sigma
