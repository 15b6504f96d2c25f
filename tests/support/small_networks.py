"""Small networks with published answers, and random ones."""

import numpy as np

# Narasimhan & Jordache, Data Reconciliation and Gross Error Detection, 2000, example 1-1.
N1 = {
    "incidence": [[1, -1, -1, 0, 0, 0], [0, 1, 0, -1, 0, 0], [0, 0, 1, 0, -1, 0],
                  [0, 0, 0, 1, 1, -1]],
    "flow": [101.91, 64.45, 34.65, 64.20, 36.44, 98.88],
    "sigma": [1.0] * 6,
    "estimate": [100.22, 64.50, 35.72, 64.50, 35.72, 100.22],
    "chi2": 6.4075, "dof": 4, "critical": 9.487729, "single": 2.6310,
    "adjustment": [2.069819, 0.061237, 1.310477, 0.367423, 0.881816, 1.641158],
    "after": [0.57735] * 6,
}  # fmt: skip
# Rosenberg, Mah & Iordache, Evaluation of schemes for detecting and identifying gross errors, 1987.
N7 = {
    "incidence": [[1, -1, 0, 1, 0, 1, 0], [0, 1, -1, 0, 0, 0, 0], [0, 0, 1, -1, -1, 0, 0],
                  [0, 0, 0, 0, 1, -1, -1]],
    "flow": [5.026, 14.722, 14.721, 4.968, 10.088, 5.131, 4.835],
    "sigma": [1.0] * 7,
    "estimate": [4.904952, 14.798619, 14.798619, 4.813762, 9.984857, 5.079905, 4.904952],
    "chi2": 0.06848, "dof": 4, "critical": 9.487729, "single": 2.6828,
    "adjustment": [0.153849, 0.097381, 0.098652, 0.223512, 0.136445, 0.074044, 0.088908],
    "after": [0.617213, 0.617213, 0.617213, 0.723747, 0.654654, 0.723747, 0.617213],
}  # fmt: skip
# A park's chlorine: 1 made, 2-4 users, 5 to liquefaction, 6 liquid, 7 tail gas, 8 evaporated,
# 9 exported, 10 inventory rate.
PARK = {
    "incidence": [[1, -1, -1, -1, -1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, -1, -1, 0, 0, 0],
                  [0, 0, 0, 0, 0, 1, 0, -1, -1, -1]],
    "flow": [50.6, 14.1, 11.9, 9.05, 14.7, 13.6, 1.45, 9.4, 3.02, 0.95],
    "sigma": [0.5, 0.28, 0.24, 0.18, 0.3, 0.27, 0.075, 0.19, 0.03, 0.1],
    "estimate": [50.206420, 14.223427, 11.990681, 9.101008, 14.891304, 13.444405, 1.446899,
                 9.457149, 3.021425, 0.965831],
    "chi2": 1.895230, "dof": 3, "critical": 7.814728, "single": 2.7996,
    "adjustment": [1.048057, 1.048057, 1.048057, 1.048057, 0.741273, 0.683210, 0.181394, 0.461741,
                   0.461741, 0.461741],
    "after": [0.330113, 0.254029, 0.223861, 0.173295, 0.152962, 0.145031, 0.073026, 0.144157,
              0.029841, 0.093939],
}  # fmt: skip
# The same with 2 t/h too much on stream 5.
BIASED = PARK | {
    "flow": [50.6, 14.1, 11.9, 9.05, 16.7, 13.6, 1.45, 9.4, 3.02, 0.95],
    "estimate": [50.517092, 14.126, 11.919102, 9.060745, 15.411246, 13.878833, 1.532413, 9.790827,
                 3.029744, 1.058262],
    "chi2": 26.283008,
    "adjustment": [0.220773, 0.220773, 0.220773, 0.220773, 4.993722, 1.224343, 4.820841, 3.157712,
                   3.157712, 3.157712],
}  # fmt: skip
CASES = {"N1": N1, "N7": N7, "PARK": PARK, "BIASED": BIASED}
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
