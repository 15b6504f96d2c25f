"""The monitor of the balances of a component: its model, and its observations of minutes.

References
----------
.. [1] JCGM 100:2008 (GUM), 5.1.2 and F.1.2: errors that stay and errors that average.
.. [2] M. Basseville, I. V. Nikiforov, Detection of Abrupt Changes: Theory and Application, Prentice
   Hall 1993, chapter 2: the rate of false alarms of a test that is repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from twin.accounts.accounts import ELECTRICITY
from twin.accounts.network import Network, remembered
from twin.accounts.tanks import tags_of_tanks, tank_mass
from twin.arrays import DAY_US, F64, I64, MINUTE_S, MINUTE_US, ratio
from twin.reconciliation.balances import Balance, compile_balance, degrees_of_freedom
from twin.reconciliation.chi_square import quantile
from twin.reconciliation.uncertainty import errors_of, level_sigma
from twin.reference import load as load_reference
from twin.uom import parse_quantity

WEEK_MINUTES = 7 * DAY_US // MINUTE_US
# A minute that is covered less than this is no measurement of its meter.
COVERED_S = 0.99 * MINUTE_S
# A flow that is not measured may be many times all flows together.
UNKNOWN = 100.0
# An amount is the difference of two readings, each rounded to a step of the register: its variance
# is that of two rectangular errors, a sixth of the square of the step [1]_.
STEPS_VARIANCE = 6.0


@dataclass(frozen=True, slots=True)
class MonitorModel:
    """A monitored balance: S lines, M nodes, U meters, X errors that stay, J directions."""

    network: Network
    balance: Balance
    meter_line: I64  # (U,) line each meter is of; that of cells has one for each circuit
    meter_tag: I64  # (U,)
    meter_factor: F64  # (U,) [kg/SI]
    common_line: I64  # lines with an error that all their meters share
    error_line: I64  # (X,) line of each error: those of the meters, then the common ones
    tanks: I64  # (K',) tanks at nodes,
    tank_node: I64  # the node of each
    tank_share: F64  # [kg/kg] and the share of the component in each
    direction: F64  # (M, J) [1] effect of a bias of 1 on the residuals
    members: tuple[tuple[int, ...], ...]  # (J,) lines of each direction; without any, a leak
    leaks: tuple[int, ...]  # (J,) node of a leak in this direction, -1 = none
    limit: float  # [1] of |z|

    @property
    def tags(self) -> I64:
        """The tags that it reads, of meters, analysers and tanks, sorted."""
        return np.union1d(self.balance.tags, tags_of_tanks(self.network.tanks, self.tanks))


class Observation(NamedTuple):
    """Flows and stocks of n minutes, and their errors."""

    flow: F64  # (n, S) [kg] by the meters
    stay: F64  # (n, X) [kg] one standard uncertainty of each error that stays
    noise: F64  # (n, S) [kg^2] variance of the errors that average out
    stock: F64  # (n, M) [kg] in the tanks at the end of each minute
    stock_noise: F64  # (n, M) [kg^2] inf where a tank is not known


@remembered
def monitored_components(network: Network, scope: str) -> list[str]:
    """Return the components inside a scope with a balance that checks its meters."""
    media = load_reference("media")
    carried = dict.fromkeys(c for s in network.park.streams for c in media[s.medium]["component"])
    balances = (compile_balance(network, scope, c) for c in (*carried, ELECTRICITY))
    return [balance.component for balance in balances if degrees_of_freedom(balance)]


def compile_monitor(
    network: Network, scope: str, component: str, monitors: int = 1
) -> MonitorModel:
    """Compile the monitor of the balances of a component inside a scope.

    Parameters
    ----------
    network : Network
    scope : str
    component : str
    monitors : int
        monitors that share the false detections which are tolerated

    Returns
    -------
    MonitorModel
        streams with the same effect on all balances are one direction: they cannot be told apart

    Notes
    -----
    The limit is that of independent tests, as many as there are minutes, windows and directions in
    a week of all monitors; windows overlap, so false detections are fewer [2]_.
    """
    balance = compile_balance(network, scope, component)
    meters = [(s, *each) for s, line in enumerate(balance.lines) for each in line.tags]
    meter_line = np.array([s for s, _, _ in meters], dtype=np.int64)
    common = np.array([s for s, line in enumerate(balance.lines) if line.relative], dtype=np.int64)
    stocks = [(k, balance.nodes.index(line.origin)) for line in balance.lines for k in line.tanks
              if line.origin in balance.nodes]  # fmt: skip
    direction, members, leaks = _directions(balance)
    table = load_reference("monitor")
    tests = WEEK_MINUTES * max(len(members), 1) * len(table["windows"]["minutes"]) * monitors
    tanks = np.array([k for k, _ in stocks], dtype=np.int64)
    return MonitorModel(
        network,
        balance,
        meter_line,
        np.array([tag for _, tag, _ in meters], dtype=np.int64),
        np.array([factor for *_, factor in meters], dtype=np.float64),
        common,
        np.concatenate([meter_line, common]),
        tanks,
        np.array([m for _, m in stocks], dtype=np.int64),
        network.tanks.share.get(component, np.zeros(len(network.tanks.tag)))[tanks],
        direction,
        members,
        leaks,
        quantile(1 - table["detection"]["per_week"] / tests, 1) ** 0.5,
    )


def _directions(balance: Balance) -> tuple[F64, tuple[tuple[int, ...], ...], tuple[int, ...]]:
    """Return the distinct effects on the residuals, and the streams and leaks that have them."""
    streams: dict[tuple[float, ...], list[int]] = {}
    for s, line in enumerate(balance.lines):
        if line.tags or line.tanks:
            column = balance.incidence[:, s]
            sign = np.sign(column[np.flatnonzero(column)[0]])
            streams.setdefault(tuple((sign * column).tolist()), []).append(s)
    leaks = dict.fromkeys(streams, -1)
    for m, unit in enumerate(np.eye(len(balance.nodes)).tolist()):
        streams.setdefault(tuple(unit), [])
        leaks[tuple(unit)] = m
    effects = np.array(list(streams), dtype=np.float64).reshape(len(streams), len(balance.nodes))
    return effects.T, tuple(map(tuple, streams.values())), tuple(leaks[each] for each in streams)


def observe(model: MonitorModel, amount: F64, covered_s: F64, last: F64) -> Observation:
    """Return flows and stocks of some minutes, with their errors.

    Parameters
    ----------
    model : MonitorModel
        T tags
    amount, covered_s : (n, T) float64 [SI, s]
        sums of each tag over each minute; NaN = no value
    last : (n, T) float64 [SI]
        last value of each tag in the minute

    Returns
    -------
    Observation
        a flow that is not known is zero, with a variance beyond all others

    Notes
    -----
    Errors that average out are as good as independent from one correlation time to the next [1]_.
    The errors of an analyser are those of its stream's meter, in part.
    Each circuit of cells may be in error by as much as all of them together.
    """
    at, lines = model.meter_tag, np.arange(len(model.balance.lines))
    of_line = (model.meter_line[:, None] == lines).astype(np.float64)
    part = amount[:, at] * model.meter_factor * _purity_ratio(model, amount, covered_s)
    known = (covered_s[:, at] >= COVERED_S) & np.isfinite(part)
    metered = of_line.any(axis=0) | np.array(
        [bool(line.tanks) for line in model.balance.lines], bool
    )
    # A line of which one meter is missing, or that has none, may carry anything.
    missing = (~known @ of_line > 0) | ~metered
    part = np.where(known & ~missing[:, model.meter_line], part, 0.0)
    flow = part @ of_line
    error = errors_of(model.network, at)
    relative = np.array([line.relative for line in model.balance.lines], dtype=np.float64)
    deviation = np.hypot(error.absolute * MINUTE_S * model.meter_factor, error.relative * part)
    deviation = np.where(missing[:, model.meter_line], 0.0, deviation)
    noise = deviation**2 * error.share * error.correlation_s / MINUTE_S
    noise += (_register_steps(model) * model.meter_factor) ** 2 / STEPS_VARIANCE
    stay = deviation**2 * (1 - error.share) + (relative[model.meter_line] * part) ** 2
    analysed, of_analyser, share, correlation_s = _analyser_errors(model)
    noise[:, analysed] += (of_analyser * part[:, analysed]) ** 2 * share * correlation_s / MINUTE_S
    stay[:, analysed] += (of_analyser * part[:, analysed]) ** 2 * (1 - share)
    common = relative[model.common_line] * flow[:, model.common_line]
    return Observation(
        flow,
        np.concatenate([np.sqrt(stay), common], axis=1),
        np.where(missing, unknown_variance(flow), noise @ of_line),
        *_stock(model, last),
    )


def unknown_variance(flow: F64) -> F64:
    """Return the variance of what may be anything beside some flows.

    Parameters
    ----------
    flow : (n, S) float64 [kg]

    Returns
    -------
    (n, 1) float64 [kg^2]
    """
    return np.asarray((UNKNOWN * np.abs(flow).sum(axis=1, keepdims=True) + 1.0) ** 2)


def rates(seen: Observation) -> F64:
    """Return the mean flow of each minute.

    Parameters
    ----------
    seen : Observation
        of n minutes, S lines

    Returns
    -------
    (n, S) float64 [kg/s]
        NaN where it is not known
    """
    known = seen.noise < unknown_variance(seen.flow)
    return np.asarray(np.where(known, seen.flow / MINUTE_S, np.nan))


def _register_steps(model: MonitorModel) -> F64:
    """Return the steps of the registers of counters, (U,) [SI]; 0 for gauges."""
    usual, steps = load_reference("uncertainty")["register"], []
    for tag in (model.network.tags[at] for at in model.meter_tag.tolist()):
        known = tag.kind == "counter" and tag.quantity in usual
        step = parse_quantity(usual[tag.quantity], tag.quantity) if known else 0.0
        steps.append(tag.resolution or step)
    return np.array(steps, np.float64)


def _analyser_errors(model: MonitorModel) -> tuple[I64, F64, F64, F64]:
    """Return the meters with an analyser, and of each analyser its error [1] as `errors_of` does.

    The error is a share of what flows: of the fraction that the factors take the medium to have.
    """
    fractions = [model.balance.lines[s].fraction for s in model.meter_line.tolist()]
    meters = np.array([u for u, each in enumerate(fractions) if each], dtype=np.int64)
    tags = np.array([each[0] for each in fractions if each], dtype=np.int64)
    nominal = np.array([each[1] for each in fractions if each], dtype=np.float64)
    error = errors_of(model.network, tags)
    sigma = np.hypot(error.absolute / nominal, error.relative)
    return meters, sigma, error.share, error.correlation_s


def _purity_ratio(model: MonitorModel, amount: F64, covered_s: F64) -> F64:
    """Return the fraction of each meter's stream over the usual one, (n, U); 1 where not known."""
    purity = np.ones((len(amount), len(model.meter_line)))
    for u, s in enumerate(model.meter_line.tolist()):
        fraction = model.balance.lines[s].fraction
        if fraction is not None:
            tag, nominal = fraction
            mean = ratio(amount[:, tag], covered_s[:, tag])
            purity[:, u] = np.where(np.isfinite(mean), mean / nominal, 1.0)
    return purity


def _stock(model: MonitorModel, last: F64) -> tuple[F64, F64]:
    """Return the stock of each node, (n, M) [kg], and its variance [kg^2]."""
    share = errors_of(model.network, model.network.tanks.tag).share
    mass = tank_mass(model.network.tanks, last)[:, model.tanks] * model.tank_share
    sigma = level_sigma(model.network, last, share)[:, model.tanks] * model.tank_share
    known = np.isfinite(mass)
    of_node = (model.tank_node[:, None] == np.arange(len(model.balance.nodes))).astype(np.float64)
    variance = np.where(known, sigma**2, 0.0) @ of_node
    return np.where(known, mass, 0.0) @ of_node, np.where(~known @ of_node > 0, np.inf, variance)
