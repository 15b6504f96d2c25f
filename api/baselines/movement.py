"""Energy of plants in two periods, what moved it, and how sure that is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from api.baselines.stored import model_of, read_versions
from api.baselines.windows import read_windows
from api.consumption.cost import cost_of, read_prices
from api.consumption.measures import amounts_of
from api.joint import Joint, read_joint
from api.sums import Sums, read_sums
from api.windows import parse_query
from deploy.database.times import to_us
from twin.accounts.accounts import Account
from twin.arrays import BOOL, DAY_US, F64, I64, ratio
from twin.baseline.acceptance import judge
from twin.baseline.bridge import (
    EFFECTS,
    PlantRates,
    Split,
    bridge,
    logarithmic_mean,
    runs_in_both,
    split_intensity,
)
from twin.baseline.model import Baseline, BaselineModel, columns_of_model, outside
from twin.energy.prices import ELECTRICITY
from twin.model.park import TOTAL, inside
from twin.reconciliation.uncertainty import Errors, errors_of, half_width, parts_sigma, weights

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from api.context import Context
    from api.windows import WindowQuery
    from twin.accounts.network import Network

# Longer periods are summed from days.
HOURS_MAX_US = 31 * DAY_US
STEP = 1e-6  # of an amount, by which a slope is measured
LOAD, CONDITIONS, INTENSITY = (EFFECTS.index(n) for n in ("load", "conditions", "intensity"))
TOO_LITTLE = "too little of a period is covered by its meters"
NOT_ACCEPTED = "no accepted baseline of it tells load from conditions"
NO_WINDOWS = "its baseline has no windows that count in both periods"
UNPRICED = "what it is metered by has no price of its own"
# The measure that is a cost, and what it is the cost of.
COST = "electricity_cost"
Span = tuple["datetime", "datetime"]


class Member(NamedTuple):
    """A product of a plant, with the weights of its energy and its mass, (T,)."""

    scope: str
    product: str
    energy: F64
    mass: F64

    @property
    def tags(self) -> I64:
        """The tags it is made of."""
        return np.flatnonzero((self.energy != 0) | (self.mass != 0))


class MemberModel(NamedTuple):
    """What the baseline of a member says of its intensity; without one, why."""

    baseline: str | None
    split: Split
    reason: str


class MeasuredPeriod(NamedTuple):
    """Sums in one period: of all tags, and over the joint time of each member and of the scope."""

    sums: Sums
    joints: list[Joint]


class Movement(NamedTuple):
    """The change of the energy of a scope between two periods [W]; m members that are known."""

    members: list[Member]  # all of them
    known: BOOL  # of all members, then of the scope
    models: list[MemberModel]  # m
    before: PlantRates
    after: PlantRates
    effects: F64  # (7, m)
    other: float
    slope: F64  # (7, m, U, 2) of each effect by the value of each tag in each period, relative
    slope_other: F64  # (U, 2)
    model_sigma: F64  # (7, m)
    errors: Errors  # of U tags
    size: F64  # (U, 2) standard uncertainty of a value as a share of it
    covered_s: F64  # (U, 2)
    periods: tuple[MeasuredPeriod, MeasuredPeriod]
    reasons: list[str]  # of all members, then of the scope: why it is not known

    def width(self, some: F64, *, other: float = 0.0) -> float:
        """Return half the interval of a sum of effects with weights (7, m), and of `other` [W]."""
        slope = np.einsum("em,emuh->uh", some, self.slope) + other * self.slope_other
        window = np.zeros(2, np.int64)
        by_meters = parts_sigma(self.errors, slope * self.size, self.covered_s, window, 1)[0]
        by_models = np.linalg.norm(some * self.model_sigma)
        return float(half_width(np.hypot(by_meters, by_models)))


def members_of(network: Network, path: str, measure: str) -> list[Member]:
    """Return the products of the plants of a scope whose energy and mass are measured."""
    keys = dict.fromkeys((p.scope, p.id) for p in network.park.products if inside(p.scope, path))
    accounts = [(Account(*key, measure), Account(*key, "mass")) for key in keys]
    return [
        Member(e.scope, e.subject, *(weights(network, {each: 1.0}) for each in (e, m)))
        for e, m in accounts
        if e in network.accounts and m in network.accounts
    ]


async def read_movement(
    context: Context, path: str, measure: str, spans: Sequence[Span]
) -> Movement:
    """Return what moved the energy of a scope between two periods; raises StoreError."""
    network = context.model.network
    carrier = ELECTRICITY if measure == COST else measure
    members = members_of(network, path, carrier)
    scope = Member(path, TOTAL, weights(network, {Account(path, TOTAL, carrier): 1.0}),
                   np.zeros(len(network.tags)))  # fmt: skip
    every = [*members, scope]
    periods = [await _read(context, path, span, every) for span in spans]
    before, after = periods
    priced = [(every, [""] * len(every))] * len(periods)
    if measure == COST:
        priced = [await _with_prices(context, each.sums.query, every) for each in periods]
    reasons = [
        "" if one.enough[0] and two.enough[0] else TOO_LITTLE
        for one, two in zip(before.joints, after.joints, strict=True)
    ]
    for _, lacking in priced:
        reasons = [first or second for first, second in zip(reasons, lacking, strict=True)]
    known = np.array([not reason for reason in reasons])
    inner = [at for at, some in enumerate(known[:-1].tolist()) if some]
    models = [await _model(context, members[at], carrier, spans) for at in inner]
    rows = [*inner, len(members)]
    terms = [_terms(each, every, own, rows)
             for each, (own, _) in zip(periods, priced, strict=True)]  # fmt: skip
    kinds = {name: at for at, name in enumerate(dict.fromkeys(m.product for m in members))}
    product = np.array([kinds[members[at].product] for at in inner], np.int64)
    logs = np.array([(m.split.load, m.split.conditions) for m in models]).reshape(-1, 2)

    def moved(factors: F64) -> tuple[F64, float, PlantRates, PlantRates]:
        first, last = (_rates(each, factors[:, at]) for at, each in enumerate(terms))
        price = [_mean_prices(each, factors[:, at]) for at, each in enumerate(terms)]
        moved_price = np.log(price[1]) - np.log(price[0])
        effects, other = bridge(first, last, product, logs[:, 0], logs[:, 1], moved_price)
        return effects, other, first, last

    ones = np.ones((len(before.sums.tags), 2))
    effects, other, *rates = moved(ones)
    slope, slope_other = np.zeros((*effects.shape, *ones.shape)), np.zeros(ones.shape)
    for at in np.ndindex(ones.shape):
        factors = ones.copy()
        factors[at] += STEP
        bumped, bumped_other, *_ = moved(factors)
        slope[..., *at] = (bumped - effects) / STEP
        slope_other[at] = (bumped_other - other) / STEP
    errors = errors_of(network, before.sums.tags)
    amount, covered_s = (
        np.column_stack([getattr(each.sums, name)[0] for each in periods])
        for name in ("amount", "covered_s")
    )
    absolute = ratio(errors.absolute[:, None] * covered_s, np.abs(amount))
    return Movement(
        members, known, models, rates[0], rates[1], effects, other, slope, slope_other,
        _model_sigma(rates[0], rates[1], models), errors,
        np.nan_to_num(np.hypot(absolute, errors.relative[:, None])), covered_s,
        (before, after), reasons,
    )  # fmt: skip


async def _with_prices(
    context: Context, query: WindowQuery, every: Sequence[Member]
) -> tuple[list[Member], list[str]]:
    """Return members whose weights are of costs [CNY/J], in one period, and what has no price."""
    network = query.network
    tags = np.flatnonzero(np.any([each.energy != 0 for each in every], axis=0))
    prices = await read_prices(context, query, tags)
    result, reasons = list[Member](), list[str]()
    for member in every:
        amount = amounts_of(network, member.scope).get(ELECTRICITY, np.zeros(len(network.tags)))
        cost = cost_of(prices, member.scope, ELECTRICITY)
        price = np.divide(
            cost.weight[0], amount, out=np.full_like(amount, np.nan), where=amount != 0
        )
        weight = np.where(member.energy != 0, member.energy * price, 0.0)
        reasons.append(cost.reason or ("" if np.isfinite(weight).all() else UNPRICED))
        result.append(member._replace(energy=np.nan_to_num(weight)))
    return result, reasons


async def _read(context: Context, path: str, span: Span, every: Sequence[Member]) -> MeasuredPeriod:
    """Return the sums of one period as one window."""
    short = to_us(span[1]) - to_us(span[0]) <= HOURS_MAX_US
    query = parse_query(context, path, "hour" if short else "day", *span)
    whole = replace(query, edges=query.edges[[0, -1]])
    groups = [each.tags for each in every]
    sums = await read_sums(context, whole, np.unique(np.concatenate(groups)))
    return MeasuredPeriod(sums, await read_joint(context, sums, groups))


def _terms(
    period: MeasuredPeriod,
    every: Sequence[Member],
    priced: Sequence[Member],
    some: Sequence[int],
) -> F64:
    """Return what each tag adds to some members, (3, m, U).

    Of energy or cost [W, CNY/s], of mass [kg/s], and of energy [W].
    """
    tags = period.sums.tags
    terms = np.zeros((3, len(some), len(tags)))
    for row, at in enumerate(some):
        joint, member = period.joints[at].sums, every[at]
        rate = ratio(joint.amount[0], joint.covered_s[0])
        own = np.searchsorted(tags, joint.tags)
        for kind, weight in enumerate((priced[at].energy, member.mass, member.energy)):
            terms[kind, row, own] = np.nan_to_num(rate) * weight[joint.tags]
    return terms


def _rates(terms: F64, factor: F64) -> PlantRates:
    """Return the rates of members, the last of which is the scope, with tags times a factor."""
    energy, mass, _ = terms @ factor
    return PlantRates(energy[:-1], mass[:-1], float(energy[-1]))


def _mean_prices(terms: F64, factor: F64) -> F64:
    """Return what a unit of energy costs members, without the scope; 1 where there is none."""
    cost, _, energy = (terms @ factor)[:, :-1]
    return np.asarray(np.where((energy > 0) & (cost > 0), ratio(cost, energy), 1.0))


async def _model(
    context: Context, member: Member, measure: str, spans: Sequence[Span]
) -> MemberModel:
    """Return what an accepted baseline of a member says of its intensity in two periods."""
    none = Split(0.0, 0.0, 0.0, 0.0)
    rows = {
        row.id: row for row in context.model.park.rows(Baseline)
        if (row.scope, row.product, row.carrier) == (member.scope, member.product, measure)
    }  # fmt: skip
    for name, stored in (await read_versions(context, list(rows))).items():
        row, model = rows[name], model_of(stored[0])
        if not all(each.met for each in judge(model, row.frequency)):
            continue
        means = [await _means(context, row, model, span) for span in spans]
        if means[0] is None or means[1] is None:
            return MemberModel(None, none, NO_WINDOWS)
        split = split_intensity(row, model, means[0], means[1])
        if split is not None:
            return MemberModel(name, split, "")
    return MemberModel(None, none, NOT_ACCEPTED)


async def _means(context: Context, row: Baseline, model: BaselineModel, span: Span) -> F64 | None:
    """Return the means of the variables of a model in a period; None where no window counts."""
    seen = await read_windows(context, row, *span)
    columns = columns_of_model(model, row.variables, seen.candidates)[seen.usable]
    if not len(columns) or not np.isfinite(columns).all():
        return None
    inner = columns[~outside(model, columns)]
    return None if not len(inner) else np.asarray(inner.mean(axis=0))


def _model_sigma(before: PlantRates, after: PlantRates, models: Sequence[MemberModel]) -> F64:
    """Return the standard uncertainty of effects by the coefficients of models, (7, m) [W]."""
    sigma = np.zeros((len(EFFECTS), len(models)))
    runs = runs_in_both(before, after)
    weight = np.zeros(len(models))
    weight[runs] = logarithmic_mean(after.energy[runs], before.energy[runs])
    sigma[LOAD] = weight * [m.split.load_sigma for m in models]
    sigma[CONDITIONS] = weight * [m.split.conditions_sigma for m in models]
    sigma[INTENSITY] = np.hypot(sigma[LOAD], sigma[CONDITIONS])
    return sigma
