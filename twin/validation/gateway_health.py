"""Health of the data of an enterprise as one figure; error of the clock of a gateway.

References
----------
.. [1] United Nations Development Programme, Human Development Report 2010, technical note 1: the
   geometric mean of parts, where a low part is not made good by a high one.
.. [2] D. L. Mills, Internet time synchronization: the Network Time Protocol, IEEE Transactions on
   Communications 39 (10), 1991, 1482-1493: of several delays the smallest tells most about a clock.
"""

from __future__ import annotations

import numpy as np

from twin.arrays import F64
from twin.reference import load as load_reference

# Fewer minima than these say nothing yet.
MINIMA = 5
# A clock is off by the same at any time; what is sent after an outage comes ever less late.
STEADY_S = 5.0
# Values of an interval, a minute or longer, are stamped with its start and sent after its end: by
# rule, at any time before the next end or, of short intervals, within two minutes.
INTERVAL_S, SENT_S = 60.0, 120.0


def data_health(
    timeliness: F64, completeness: F64, duplicates: F64, rejects: F64, skew_s: F64, limit_s: float
) -> F64:
    """Return the health of data, 1 when nothing is wrong and 0 when nothing is right.

    Parameters
    ----------
    timeliness : (...) float64 [1]     share of gateways that send, times that of samples in time
    completeness : (...) float64 [1]   share of tags with a usable value inside its gap limit
    duplicates : (...) float64 [1]     share of samples stored already
    rejects : (...) float64 [1]        share of rejected values
    skew_s : (...) float64 [s]         error of the worst clock
    limit_s : float [s]                error that halves its part; 0 = the clocks do not count

    Returns
    -------
    (...) float64 [1]   NaN where a part is

    Notes
    -----
    The weighted geometric mean [1]_ of timeliness, completeness, 1 - duplicates, 1 - rejects and
    1 / (1 + abs(skew) / limit); the weights are in ``twin/reference/health.toml``.
    """
    parts = {
        "timeliness": timeliness,
        "completeness": completeness,
        "duplicates": 1.0 - duplicates,
        "rejects": 1.0 - rejects,
        "skew": 1.0 / (1.0 + np.abs(skew_s) / limit_s) if limit_s else np.ones_like(skew_s),
    }
    weights = load_reference("health")["weight"]
    powers = [np.power(part, weights[name]["value"]) for name, part in parts.items()]
    return np.asarray(np.prod(powers, axis=0))


def clock_skew(minima_s: F64, step_s: F64) -> tuple[F64, F64]:
    """Return delay and clock error of gateways.

    Parameters
    ----------
    minima_s : (G, R) float64 [s]   smallest time between the newest sample of a message and its
        arrival, in each of several intervals; NaN = none
    step_s : (G, R) float64 [s]     longest step of the newest sample's time in each of them; NaN =
        none

    Returns
    -------
    delay_s : (G,) float64 [s]   median of the minima; NaN while there are too few, or no pause
    skew_s : (G,) float64 [s]    error of the clock, positive when ahead of ours, less the part
        that a delay explains

    Notes
    -----
    A delay is never negative, and the smallest of many is nearly none [2]_. So what arrives before
    its own time tells of a clock that is ahead by at least that much. What arrives after it may
    have been collected: a gateway that sends each hour is an hour late, and one that stamps the
    hour with its start is two hours late before its next. Only what is later than that, and by the
    same all the time, tells of a clock that is behind. The median keeps single mistakes out.
    """
    enough = (~np.isnan(minima_s)).sum(axis=1) >= MINIMA
    enough &= ~np.isnan(step_s).all(axis=1)
    delay, step = np.full((2, len(minima_s)), np.nan)
    steady = np.zeros(len(minima_s), bool)
    if enough.any():
        low, delay[enough], high = np.nanquantile(minima_s[enough], [0.25, 0.5, 0.75], axis=1)
        step[enough] = np.nanmedian(step_s[enough], axis=1)
        steady[enough] = high - low <= STEADY_S
    late = step + np.where(step >= INTERVAL_S, np.maximum(step, SENT_S), 0.0)
    behind = np.where(steady, np.minimum(late - delay, 0.0), 0.0)
    return delay, np.where(enough, np.where(delay < 0, -delay, behind), np.nan)
