"""Detection of gross errors in the balances of a component, minute by minute.

A calibration error stays, and the balances cannot tell it from the truth. They can tell that a
residual has left its course: the errors that stay are estimated block by block, within the
uncertainty of the meters, and every window that ends now is tested against the estimate made before
it began. A trip moves all flows, and with them the amounts of the errors; how far follows from how
well each error is known, so a trip is no detection. Nor is what flows that move may have left in
pipes and vessels without a level: a test that this may explain is held back [6]_. A bias that comes
more slowly than the estimate follows is found by reconciliation only, once it exceeds the
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
.. [6] S. Cao, R. R. Rhinehart, An efficient method for on-line identification of steady state,
   Journal of Process Control 5 (6), 1995, 363-374, doi:10.1016/0959-1524(95)00009-F.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from twin.arrays import BOOL, F64, I64, MINUTE_S, MINUTE_US
from twin.reconciliation.chi_square import quantile
from twin.reconciliation.monitor import (
    MonitorModel,
    Observation,
    observe,
    rates,
    unknown_variance,
)
from twin.reconciliation.steady import (
    SteadyFilters,
    hold_up_variance,
    moving_streams,
    no_filters,
    steady_state,
)
from twin.reconciliation.uncertainty import errors_of
from twin.reference import load as load_reference
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Sequence


# How far each flow moved in windows, (w, S) [kg/s], by the hold-up time [s] it matters for.
Changes = dict[float, F64] | None
# What rounding leaves of sums that add up to nothing, and far less than a meter sees: [kg], and [1]
# of a variance.
EXACT_KG, EXACT = 1e-3, 1e-12


class Motion(NamedTuple):
    """How flows moved in n minutes."""

    rate: F64  # (n, S) [kg/s] mean of the minute, or the last that is known; NaN before that
    moves: I64  # (n, S) running sum of minutes in which the flow was not steady


class HeldBack(NamedTuple):
    """A minute in which a test is held back: its accumulation may be that of flows that move."""

    time_us: int
    streams: tuple[str, ...]  # that move, those that may hold most first
    test: float  # [1] |z| without what they may hold


@dataclass(frozen=True, slots=True)
class MonitorState:
    """Sums and estimates up to a minute: W windows, B blocks, L + 1 minutes."""

    time_us: int  # end of the last minute
    minutes: int  # since the monitor began, or the last detection
    # (L + 1, ...) running sums of flows, errors and variances; stocks at the end of each minute.
    past: Observation
    block: I64  # (B,) minutes after which each was estimated
    error: F64  # (B, X) [1] errors that stay, in standard uncertainties
    covariance: F64  # (B, X, X) [1]
    motion: Motion  # (L + 1, ...)
    filters: SteadyFilters  # (S,)
    held_back: tuple[HeldBack, ...] = ()  # of the minutes of the last call


@dataclass(frozen=True, slots=True)
class Detection:
    """A change of a residual, and the meters or leaks that may have made it."""

    time_us: int
    since_us: int  # about when it began
    lines: tuple[str, ...]  # ids of the streams, most suspect first
    leaks: tuple[str, ...]  # nodes at which a leak would do the same
    bias: float  # [kg/s] by which the most suspect shows too much
    test: float  # [1] |z| of the most suspect
    shape: str  # "step" or "drift": whether it came at once or goes on growing
    rate: float  # [kg/s^2] by which the bias grows; 0 of a step


def begin_monitor(model: MonitorModel, time_us: int) -> MonitorState:
    """Return the state before the first minute: meters are as good as their uncertainty says.

    Parameters
    ----------
    model : MonitorModel
    time_us : int [µs]
        where the first minute begins

    Returns
    -------
    MonitorState
    """
    nodes, lines, meters = len(model.balance.nodes), len(model.balance.lines), len(model.error_line)
    return MonitorState(
        time_us=time_us,
        minutes=0,
        past=Observation(
            flow=np.zeros((1, lines)),
            stay=np.zeros((1, meters)),
            noise=np.zeros((1, lines)),
            # The tanks before the first minute are not known.
            stock=np.zeros((1, nodes)),
            stock_noise=np.full((1, nodes), np.inf),
        ),
        block=np.zeros(1, np.int64),
        error=np.zeros((1, meters)),
        covariance=np.eye(meters)[None],
        motion=Motion(np.full((1, lines), np.nan), np.zeros((1, lines), np.int64)),
        filters=no_filters((lines,)),
    )


def detect(
    model: MonitorModel, state: MonitorState, amount: F64, covered_s: F64, last: F64
) -> tuple[MonitorState, list[Detection]]:
    """Return the state after some minutes, and the detections in them.

    Parameters
    ----------
    model : MonitorModel
        T tags
    state : MonitorState
        returned by the call before
    amount, covered_s : (n, T) float64 [SI, s]
        sums of each tag over the minutes that follow; NaN = no value
    last : (n, T) float64 [SI]
        last value of each tag in the minute

    Returns
    -------
    state : MonitorState
        with the minutes of this call in which tests were held back
    detections : list of Detection
        in order of time. The errors of detected meters are estimated anew: a bias is detected once.

    Notes
    -----
    A recursive estimate of the errors that stay [4]_, made in blocks, and for each window a
    likelihood ratio of a jump of one meter at its beginning [1]_ [3]_. Minutes that come one by one
    or all at once give the same.
    """
    detections = []
    seen = observe(model, amount, covered_s, last)
    rate = rates(seen)
    steady = steady_state(rate, state.filters)
    state = replace(state, filters=steady.filters, held_back=())
    block = round(parse_quantity(load_reference("monitor")["block"]["length"], "time") / MINUTE_S)
    for row in range(len(amount)):
        minute = Observation(*(column[row] for column in seen))
        state = _append(state, minute, rate[row], ~steady.steady[row])
        detection = _test(model, state)
        if isinstance(detection, HeldBack):
            state = replace(state, held_back=(*state.held_back, detection))
        elif detection is not None:
            detections.append(detection[0])
            state = _restart(model, state, *detection[1:])
            continue
        if state.time_us // MINUTE_US % block == 0:
            state = _estimate(model, state)
    return state, detections


def detectable_bias(model: MonitorModel, state: MonitorState) -> F64:
    """Return the least bias of each line that is detected within the longest window.

    Parameters
    ----------
    model : MonitorModel
        S lines
    state : MonitorState
        of a time of usual operation

    Returns
    -------
    (S,) float64 [1]
        share of what the line carried in that window; inf where no balance shows it, or nothing
        flowed, NaN before there is a whole window

    Notes
    -----
    The probability to detect it is that of the reference table: the test value of a bias is
    normal around its expectation [2]_.
    """
    table = load_reference("monitor")
    longest = max(table["windows"]["minutes"])
    least = np.full(len(model.balance.lines), np.nan)
    if state.minutes <= longest:
        return least
    whiten, _, _ = _windows(model, state, np.array([longest]))
    size = np.linalg.norm(whiten[0] @ model.direction, axis=0)
    margin = model.limit + quantile(2 * table["power"]["probability"] - 1, 1) ** 0.5
    carried = np.abs(state.past.flow[-1] - state.past.flow[-1 - longest])
    for j, lines in enumerate(model.members):
        for s in lines:
            effect = size[j] * carried[s]
            least[s] = margin / effect if effect > 0 else np.inf
    return least


def _append(state: MonitorState, seen: Observation, rate: F64, moves: BOOL) -> MonitorState:
    """Return the state with one more minute."""
    longest = load_reference("monitor")["shape"]["minutes"]
    past = state.past
    now = seen._replace(
        flow=past.flow[-1] + seen.flow,
        stay=past.stay[-1] + seen.stay,
        noise=past.noise[-1] + seen.noise,
    )
    columns = (np.concatenate([c[-longest:], n[None]]) for c, n in zip(past, now, strict=True))
    before = state.motion
    rate = np.where(np.isnan(rate), before.rate[-1], rate)
    return replace(
        state,
        motion=Motion(
            np.concatenate([before.rate[-longest:], rate[None]]),
            np.concatenate([before.moves[-longest:], (before.moves[-1] + moves)[None]]),
        ),
        time_us=state.time_us + MINUTE_US,
        minutes=state.minutes + 1,
        past=Observation(*columns),
    )


def _residuals(
    model: MonitorModel,
    state: MonitorState,
    length: I64,
    changes: Changes = None,
) -> tuple[F64, F64, F64]:
    """Return residuals (w, M) [kg], effects of the errors (w, M, X), random covariance (w, M, M).

    Of windows of these lengths, (w,) [minutes], that end now; with the `_changes` of the flows in
    them the covariance has what pipes and vessels may have taken up.
    """
    incidence = model.balance.incidence
    first = -1 - length
    flow, stay, noise, stock = (column[-1] - column[first] for column in state.past[:4])
    levels = state.past.stock_noise[-1] + state.past.stock_noise[first]
    kept = np.where(np.isfinite(levels), stock, 0.0)
    residual = flow @ incidence.T - kept
    effect = incidence[:, model.error_line] * stay[:, None, :]
    spread = (incidence * noise[:, None, :]) @ incidence.T
    # The uptake of unknown tanks may be many times all flows together.
    held = np.where(np.isfinite(levels), levels, unknown_variance(flow))
    for held_s, change in (changes or {}).items():
        held = held + hold_up_variance(model.balance, change, held_s)
    # Where nothing flows the meters have no noise: a node at rest is as exact as its sums are.
    exact = EXACT_KG**2 + EXACT * spread.diagonal(axis1=1, axis2=2)
    spread += (held + exact)[:, :, None] * np.eye(len(incidence))
    return residual, effect, spread


def _changes(model: MonitorModel, state: MonitorState, length: I64) -> Changes:
    """Return how far flows moved in windows that end now: the greatest change up to now.

    What was held when a window began came before it: changes count from the hold-up time before.
    A flow that was steady all the time has not moved.
    """
    rate, moves = state.motion
    ahead, streams = np.nan_to_num(rate[-1] - rate), np.arange(rate.shape[1])
    changes = dict[float, F64]()
    for held_s in sorted({line.hold_up_s for line in model.balance.lines if line.hold_up_s > 0}):
        first = np.maximum(len(rate) - 1 - length - round(held_s / MINUTE_S), 0)
        at = [begin + np.abs(ahead[begin:]).argmax(axis=0) for begin in first.tolist()]
        changes[held_s] = np.where(moves[-1] > moves[first], ahead[np.stack(at), streams], 0.0)
    return changes


def _process_noise(model: MonitorModel, minutes: I64) -> F64:
    """Return the growth of the covariance of the errors in some minutes, (..., X, X)."""
    time_s = parse_quantity(load_reference("monitor")["drift"]["time"], "time")
    grown = minutes * MINUTE_S / time_s
    return np.asarray(grown[..., None, None] * np.eye(len(model.error_line)))


def _windows(
    model: MonitorModel,
    state: MonitorState,
    length: I64,
    changes: Changes = None,
) -> tuple[F64, F64, I64]:
    """Return the whitening of the residuals of windows, their deviates, and the block before each.

    (w, M, M) [1/kg], (w, M) [1], (w,).
    """
    block = np.searchsorted(state.block, state.minutes - length, side="right") - 1
    residual, effect, spread = _residuals(model, state, length, changes)
    covariance = state.covariance[block]
    covariance = covariance + _process_noise(model, state.minutes - state.block[block])
    spread = spread + effect @ covariance @ effect.transpose(0, 2, 1)
    whiten = np.linalg.inv(np.linalg.cholesky(spread))
    surprise = residual - (effect @ state.error[block][..., None])[..., 0]
    return whiten, (whiten @ surprise[..., None])[..., 0], block


class WorstTest(NamedTuple):
    """The greatest test of a window, and what it was made of."""

    test: F64  # (J,) [1] |z| of each direction
    j: int  # the direction with the greatest
    since: int  # [min] length of the window
    block: int  # before it
    weight: F64  # (M,) [1] makes the bias [kg] of the residuals
    bias: float  # [kg]


def _worst(
    model: MonitorModel,
    state: MonitorState,
    length: I64,
    changes: Changes = None,
) -> WorstTest | None:
    """Return the greatest test of windows that end now; None where it is within the limit."""
    whiten, deviate, block = _windows(model, state, length, changes)
    effect = whiten @ model.direction
    size = np.linalg.norm(effect, axis=1)
    score = np.einsum("wm,wmj->wj", deviate, effect)
    test = np.abs(score) / np.where(size > 0, size, np.inf)
    w, j = (int(each) for each in np.unravel_index(int(test.argmax()), test.shape))
    if not test[w, j] > model.limit:
        return None
    weight = whiten[w].T @ effect[w][:, j] / size[w, j] ** 2
    bias = float(score[w, j] / size[w, j] ** 2)
    return WorstTest(test[w], j, int(length[w]), int(block[w]), weight, bias)


def _test(
    model: MonitorModel, state: MonitorState
) -> tuple[Detection, int, tuple[int, ...]] | HeldBack | None:
    """Return the detection by the windows that end now, the block before it, its lines."""
    table = load_reference("monitor")
    length = np.array(table["windows"]["minutes"])
    length = length[length <= state.minutes]
    if not len(length) or not len(model.members):
        return None
    bare = _worst(model, state, length)
    if bare is None:
        return None
    changes = _changes(model, state, length)
    worst = _worst(model, state, length, changes)
    if worst is None:
        moving = _moving(model, bare, length, changes)
        return HeldBack(state.time_us, moving, float(bare.test[bare.j]))
    test, j, since = worst.test, worst.j, worst.since
    floor = test[j] ** 2 - 2 * np.log(table["likelihood"]["ratio"])
    suspects = [i for i in np.argsort(-test, kind="stable").tolist() if test[i] ** 2 >= floor]
    lines = tuple(s for i in suspects for s in model.members[i])
    nodes, sign = model.balance.nodes, _sign(model, j)
    begun, growth = _course(model, state, worst.weight, worst.block)
    detection = Detection(
        time_us=state.time_us,
        since_us=state.time_us - (begun if growth else since) * MINUTE_US,
        lines=tuple(model.balance.lines[s].id for s in lines),
        leaks=tuple(nodes[model.leaks[i]] for i in suspects if model.leaks[i] >= 0),
        bias=worst.bias / (since * MINUTE_S) * sign,
        test=float(test[j]),
        shape="drift" if growth else "step",
        rate=growth / MINUTE_S**2 * sign,
    )
    at_nodes = np.flatnonzero(model.direction[:, j])
    around = np.flatnonzero(model.balance.incidence[at_nodes].any(axis=0)).tolist()
    return detection, worst.block, lines or tuple(around)


def _course(model: MonitorModel, state: MonitorState, weight: F64, block: int) -> tuple[int, float]:
    """Return how many minutes ago a bias began to grow, and by how much a minute; 0 of a step.

    The biases of single minutes, the residuals times a weight (M,), are compared with those of a
    step and of a straight rise from any minute on: the likelier one counts [2]_.
    """
    incidence = model.balance.incidence
    flow, stay, noise = (np.diff(column, axis=0) for column in state.past[:3])
    levels = state.past.stock_noise[1:] + state.past.stock_noise[:-1]
    stock = np.where(np.isfinite(levels), np.diff(state.past.stock, axis=0), 0.0)
    residual = flow @ incidence.T - stock
    residual -= (stay * state.error[block]) @ incidence[:, model.error_line].T
    bias = residual @ weight
    with np.errstate(invalid="ignore"):
        variance = (
            noise @ (weight @ incidence) ** 2 + np.where(weight != 0, levels, 0.0) @ weight**2
        )
    precision = np.where(np.isfinite(variance) & (variance > 0), 1 / variance, 0.0)
    minute = np.arange(len(bias))
    since = minute - minute[:, None] + 1.0
    shapes = np.stack([since > 0, since.clip(min=0.0)]).astype(np.float64)
    total = max(precision.sum(), np.finfo(np.float64).tiny)
    centred = shapes - (shapes @ precision)[..., None] / total
    product = centred @ (precision * (bias - bias @ precision / total))
    square = (centred**2) @ precision
    known = square > 0
    gain = np.where(known, product**2 / np.where(known, square, 1.0), 0.0)
    begun = int(gain[1].argmax())
    if gain[1, begun] <= gain[0].max():
        return 0, 0.0
    return len(bias) - begun, float(product[1, begun] / square[1, begun])


def _moving(model: MonitorModel, bare: WorstTest, length: I64, changes: Changes) -> tuple[str, ...]:
    """Return the streams that moved at the nodes of a test, within what explains it."""
    assert changes, "without a hold-up time nothing is held back"
    window = int(np.flatnonzero(length == bare.since)[0])
    at_nodes = np.flatnonzero(model.direction[:, bare.j]).tolist()
    return moving_streams(model.balance, changes[max(changes)][window], at_nodes)


def _sign(model: MonitorModel, j: int) -> float:
    """Return the sign with which the first stream of a direction enters the residuals."""
    members = model.members[j]
    if not members:
        return 1.0
    return float(np.sign(model.direction[:, j] @ model.balance.incidence[:, members[0]]))


def _estimate(model: MonitorModel, state: MonitorState) -> MonitorState:
    """Return the state with the errors that stay, estimated by the minutes since the last block."""
    since = state.minutes - state.block[-1:]
    changes = _changes(model, state, since)
    residual, effect, spread = (rows[0] for rows in _residuals(model, state, since, changes))
    covariance = state.covariance[-1] + _process_noise(model, since)[0]
    cross = covariance @ effect.T
    gain = np.linalg.solve(effect @ cross + spread, cross.T).T
    error = state.error[-1] + gain @ (residual - effect @ state.error[-1])
    covariance = covariance - gain @ cross.T
    covariance = (covariance + covariance.T) / 2
    longest = max(load_reference("monitor")["windows"]["minutes"])
    # The longest window needs the block before it.
    keep = max(int(np.searchsorted(state.block, state.minutes - longest, side="right")) - 1, 0)
    return replace(
        state,
        block=np.append(state.block[keep:], state.minutes),
        error=np.concatenate([state.error[keep:], error[None]]),
        covariance=np.concatenate([state.covariance[keep:], covariance[None]]),
    )


def _restart(
    model: MonitorModel, state: MonitorState, block: int, lines: Sequence[int]
) -> MonitorState:
    """Return the state in which the errors of some lines are estimated anew from now on."""
    relative = np.ones(len(model.error_line))
    own = errors_of(model.network, model.meter_tag).relative
    relative[: len(own)] = np.where(own > 0, own, 1.0)
    wide = load_reference("monitor")["suspect"]["relative"] / relative
    suspect = np.isin(model.error_line, lines)
    age = np.array(state.minutes - state.block[block])
    covariance = state.covariance[block] + _process_noise(model, age)
    covariance = covariance + np.diag(np.where(suspect, wide**2, 0.0))
    return replace(
        state,
        minutes=0,
        past=Observation(*(column[-1:] for column in state.past)),
        block=np.zeros(1, np.int64),
        error=state.error[block][None],
        covariance=covariance[None],
    )
