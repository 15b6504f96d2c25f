"""The watch over the balances of a component: which meter has begun to show something else.

A calibration error stays, and the balances cannot tell it from the truth. What they can tell is
that a residual has left the course it had: so the errors that stay are learnt, block by block,
within the uncertainty of the meters, and every window that ends now is tested against what was
learnt before it began. A trip moves all flows and with them what the errors amount to; how far it
may do so follows from how well each error is known, so it accuses nobody. A bias that comes more
slowly than it is learnt is not noticed here, but by reconciliation once it is beyond the
uncertainty of its meter.

References
----------
.. [1] A. S. Willsky, H. L. Jones, A generalized likelihood ratio approach to the detection and
   estimation of jumps in linear systems, IEEE Transactions on Automatic Control 21 (1), 1976,
   108-112, doi:10.1109/TAC.1976.1101146.
.. [2] M. Basseville, I. V. Nikiforov, Detection of Abrupt Changes: Theory and Application, Prentice
   Hall 1993, chapters 2 and 7: windows of likelihood ratios, and the rate of false alarms.
.. [3] Narasimhan, Mah: Generalized likelihood ratio method for gross error identification, AIChE
   Journal 33, 1987, 1514-1521, doi:10.1002/aic.690330911.
.. [4] R. E. Kalman, A new approach to linear filtering and prediction problems, Journal of Basic
   Engineering 82 (1), 1960, 35-45, doi:10.1115/1.3662552.
.. [5] JCGM 100:2008 (GUM), 5.1.2 and F.1.2: errors that stay and errors that average.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import F64, I64, MINUTE_S, MINUTE_US
from twin.reconciliation.chi_square import quantile
from twin.reconciliation.monitored import UNKNOWN, Seen, Watch, see
from twin.reconciliation.uncertainty import errors_of
from twin.reference import load as load_reference
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Memory:
    """What was seen and learnt up to a minute: W windows, B blocks, L + 1 minutes."""

    time_us: int  # end of the last minute
    minutes: int  # seen since the watch began, or a meter was named
    flow: F64  # (L + 1, S) [kg] running sum of what the meters have shown
    stay: F64  # (L + 1, X) [kg] running sum of what one standard uncertainty of each meter is
    noise: F64  # (L + 1, S) [kg^2] running sum of the variances that average out
    stock: F64  # (L + 1, M) [kg] in the tanks at the end of each minute
    stock_noise: F64  # (L + 1, M) [kg^2]
    block: I64  # (B,) minutes after which each was learnt
    error: F64  # (B, X) [1] errors that stay, in standard uncertainties
    covariance: F64  # (B, X, X) [1]


@dataclass(frozen=True, slots=True)
class Naming:
    """A change that was noticed, and who may have made it."""

    time_us: int
    since_us: int  # about when it began
    lines: tuple[str, ...]  # ids of the streams, most suspect first
    leaks: tuple[str, ...]  # nodes at which a leak would do the same
    bias: float  # [kg/s] of the most suspect: what it shows too much
    test: float  # [1] |z| of the most suspect


def no_memory(watch: Watch, time_us: int) -> Memory:
    """Return the memory before the first minute: meters are as good as their uncertainty says.

    Parameters
    ----------
    watch : Watch
    time_us : int [µs]
        where the first minute begins

    Returns
    -------
    Memory
    """
    nodes, lines, meters = len(watch.balance.nodes), len(watch.balance.lines), len(watch.error_line)
    return Memory(
        time_us=time_us,
        minutes=0,
        flow=np.zeros((1, lines)),
        stay=np.zeros((1, meters)),
        noise=np.zeros((1, lines)),
        # What was in the tanks before the first minute nobody has seen.
        stock=np.zeros((1, nodes)),
        stock_noise=np.full((1, nodes), np.inf),
        block=np.zeros(1, np.int64),
        error=np.zeros((1, meters)),
        covariance=np.eye(meters)[None],
    )


def advance(
    watch: Watch, memory: Memory, amount: F64, covered_s: F64, last: F64
) -> tuple[Memory, list[Naming]]:
    """Return the memory after some minutes, and what was noticed in them.

    Parameters
    ----------
    watch : Watch
        T tags
    memory : Memory
        what the call before returned
    amount, covered_s : (n, T) float64 [SI, s]
        sums of each tag over the minutes that follow; NaN = no value
    last : (n, T) float64 [SI]
        last value of each tag in the minute

    Returns
    -------
    memory : Memory
    namings : list of Naming
        in order of time. Who was named is learnt anew, so a bias is named once.

    Notes
    -----
    A recursive estimate of the errors that stay [4]_, made in blocks, and for each window a
    likelihood ratio of a jump of one meter at its beginning [1]_ [3]_. Minutes that come one by one
    or all at once give the same.
    """
    namings = []
    seen = see(watch, amount, covered_s, last)
    block = round(parse_quantity(load_reference("watch")["block"]["length"], "time") / MINUTE_S)
    for row in range(len(amount)):
        memory = _remember(memory, Seen(*(column[row] for column in seen)))
        naming = _test(watch, memory)
        if naming is not None:
            namings.append(naming[0])
            memory = _forget(watch, memory, *naming[1:])
        elif memory.time_us // MINUTE_US % block == 0:
            memory = _learn(watch, memory)
    return memory, namings


def noticeable(watch: Watch, memory: Memory) -> F64:
    """Return the least bias of each line that is noticed within the longest window.

    Parameters
    ----------
    watch : Watch
        S lines
    memory : Memory
        of a time at which all runs as usual

    Returns
    -------
    (S,) float64 [1]
        share of what the line carried in that window; inf where no balance shows it, or nothing
        flowed, NaN before there is a whole window

    Notes
    -----
    The probability to notice it is the one of the reference table: the test value of a bias is
    normal around its expectation [2]_.
    """
    table = load_reference("watch")
    longest = max(table["windows"]["minutes"])
    least = np.full(len(watch.balance.lines), np.nan)
    if memory.minutes <= longest:
        return least
    whiten, _, _ = _windows(watch, memory, np.array([longest]))
    size = np.linalg.norm(whiten[0] @ watch.direction, axis=0)
    margin = watch.limit + quantile(2 * table["power"]["probability"] - 1, 1) ** 0.5
    carried = np.abs(memory.flow[-1] - memory.flow[-1 - longest])
    for j, lines in enumerate(watch.members):
        for s in lines:
            shown = size[j] * carried[s]
            least[s] = margin / shown if shown > 0 else np.inf
    return least


def _remember(memory: Memory, seen: Seen) -> Memory:
    """Return the memory with one more minute."""
    longest = max(load_reference("watch")["windows"]["minutes"])

    def longer(past: F64, now: F64) -> F64:
        return np.concatenate([past[-longest:], now[None]])

    return replace(
        memory,
        time_us=memory.time_us + MINUTE_US,
        minutes=memory.minutes + 1,
        flow=longer(memory.flow, memory.flow[-1] + seen.flow),
        stay=longer(memory.stay, memory.stay[-1] + seen.stay),
        noise=longer(memory.noise, memory.noise[-1] + seen.noise),
        stock=longer(memory.stock, seen.stock),
        stock_noise=longer(memory.stock_noise, seen.stock_noise),
    )


def _residuals(watch: Watch, memory: Memory, length: I64) -> tuple[F64, F64, F64]:
    """Return residuals (w, M) [kg], effects of the errors (w, M, X), random covariance (w, M, M).

    Of windows of these lengths, (w,) [minutes], that end now.
    """
    incidence = watch.balance.incidence
    first = -1 - length
    flow = memory.flow[-1] - memory.flow[first]
    levels = memory.stock_noise[-1] + memory.stock_noise[first]
    kept = np.where(np.isfinite(levels), memory.stock[-1] - memory.stock[first], 0.0)
    residual = flow @ incidence.T - kept
    effect = incidence[:, watch.error_line] * (memory.stay[-1] - memory.stay[first])[:, None, :]
    noise = memory.noise[-1] - memory.noise[first]
    spread = (incidence * noise[:, None, :]) @ incidence.T
    # Of tanks that nobody has seen nothing is known: many times all flows together.
    unknown = (UNKNOWN * np.abs(flow).sum(axis=1, keepdims=True) + 1.0) ** 2
    spread += np.where(np.isfinite(levels), levels, unknown)[:, :, None] * np.eye(len(incidence))
    return residual, effect, spread


def _wander(watch: Watch, minutes: I64) -> F64:
    """Return what the covariance of the errors grows by in some minutes, (..., X, X)."""
    time_s = parse_quantity(load_reference("watch")["wander"]["time"], "time")
    grown = minutes * MINUTE_S / time_s
    return np.asarray(grown[..., None, None] * np.eye(len(watch.error_line)))


def _windows(watch: Watch, memory: Memory, length: I64) -> tuple[F64, F64, I64]:
    """Return what makes the residuals of windows independent, them, and the block before each.

    (w, M, M) [1/kg], (w, M) [1], (w,).
    """
    block = np.searchsorted(memory.block, memory.minutes - length, side="right") - 1
    residual, effect, spread = _residuals(watch, memory, length)
    covariance = memory.covariance[block]
    covariance = covariance + _wander(watch, memory.minutes - memory.block[block])
    spread = spread + effect @ covariance @ effect.transpose(0, 2, 1)
    whiten = np.linalg.inv(np.linalg.cholesky(spread))
    surprise = residual - (effect @ memory.error[block][..., None])[..., 0]
    return whiten, (whiten @ surprise[..., None])[..., 0], block


def _test(watch: Watch, memory: Memory) -> tuple[Naming, int, tuple[int, ...]] | None:
    """Return what the windows that end now show, the block before it, and the suspect lines."""
    table = load_reference("watch")
    length = np.array(table["windows"]["minutes"])
    length = length[length <= memory.minutes]
    if not len(length) or not len(watch.members):
        return None
    whiten, deviate, block = _windows(watch, memory, length)
    effect = whiten @ watch.direction
    size = np.linalg.norm(effect, axis=1)
    score = np.einsum("wm,wmj->wj", deviate, effect)
    test = np.abs(score) / np.where(size > 0, size, np.inf)
    w, j = np.unravel_index(int(test.argmax()), test.shape)
    if not test[w, j] > watch.limit:
        return None
    floor = test[w, j] ** 2 - 2 * np.log(table["likelihood"]["ratio"])
    suspects = [i for i in np.argsort(-test[w], kind="stable").tolist() if test[w, i] ** 2 >= floor]
    lines = tuple(s for i in suspects for s in watch.members[i])
    nodes, since = watch.balance.nodes, int(length[w])
    naming = Naming(
        time_us=memory.time_us,
        since_us=memory.time_us - since * MINUTE_US,
        lines=tuple(watch.balance.lines[s].id for s in lines),
        leaks=tuple(nodes[watch.leaks[i]] for i in suspects if watch.leaks[i] >= 0),
        bias=float(score[w, j] / size[w, j] ** 2 / (since * MINUTE_S)) * _sign(watch, int(j)),
        test=float(test[w, j]),
    )
    at_nodes = np.flatnonzero(watch.direction[:, j])
    around = np.flatnonzero(watch.balance.incidence[at_nodes].any(axis=0)).tolist()
    return naming, int(block[w]), lines or tuple(around)


def _sign(watch: Watch, j: int) -> float:
    """Return whether the first stream of a direction adds to the residuals what it shows more."""
    members = watch.members[j]
    if not members:
        return 1.0
    return float(np.sign(watch.direction[:, j] @ watch.balance.incidence[:, members[0]]))


def _learn(watch: Watch, memory: Memory) -> Memory:
    """Return the memory with the errors that stay as the minutes since the last block show them."""
    since = memory.minutes - memory.block[-1:]
    residual, effect, spread = (rows[0] for rows in _residuals(watch, memory, since))
    covariance = memory.covariance[-1] + _wander(watch, since)[0]
    cross = covariance @ effect.T
    gain = np.linalg.solve(effect @ cross + spread, cross.T).T
    error = memory.error[-1] + gain @ (residual - effect @ memory.error[-1])
    covariance = covariance - gain @ cross.T
    covariance = (covariance + covariance.T) / 2
    longest = max(load_reference("watch")["windows"]["minutes"])
    # The block before the longest window is needed still.
    keep = max(int(np.searchsorted(memory.block, memory.minutes - longest, side="right")) - 1, 0)
    return replace(
        memory,
        block=np.append(memory.block[keep:], memory.minutes),
        error=np.concatenate([memory.error[keep:], error[None]]),
        covariance=np.concatenate([memory.covariance[keep:], covariance[None]]),
    )


def _forget(watch: Watch, memory: Memory, block: int, lines: Sequence[int]) -> Memory:
    """Return the memory from which the meters of some lines are learnt anew, beginning now."""
    relative = np.ones(len(watch.error_line))
    own = errors_of(watch.network, watch.meter_tag).relative
    relative[: len(own)] = np.where(own > 0, own, 1.0)
    wide = load_reference("watch")["named"]["relative"] / relative
    named = np.isin(watch.error_line, lines)
    age = np.array(memory.minutes - memory.block[block])
    covariance = memory.covariance[block] + _wander(watch, age)
    covariance = covariance + np.diag(np.where(named, wide**2, 0.0))
    return replace(
        memory,
        minutes=0,
        flow=memory.flow[-1:],
        stay=memory.stay[-1:],
        noise=memory.noise[-1:],
        stock=memory.stock[-1:],
        stock_noise=memory.stock_noise[-1:],
        block=np.zeros(1, np.int64),
        error=memory.error[block][None],
        covariance=covariance[None],
    )
