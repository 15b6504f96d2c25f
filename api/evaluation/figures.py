"""Indicators of enterprises over a year: ratios of book data, metered energy and pollutants."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from api.emissions.outlets import (
    Ledger,
    OutletHours,
    mass_ci,
    outlet_hours,
    outlets_in,
    positions,
    read_ledger,
)
from api.joint import Joint, read_joint
from api.sums import Sums, read_sums
from twin.accounts.accounts import Account
from twin.arrays import F64, I64, SECOND_US, ratio
from twin.energy.consumption import Basis, coal_equivalent
from twin.evaluation.model import (
    ENERGY,
    POLLUTANTS,
    Indicator,
    Input,
    Rule,
    address_of,
    input_of,
    scale_of,
)
from twin.model.park import TOTAL
from twin.quality import NO_DATA
from twin.reconciliation.uncertainty import half_width, weights
from twin.series import windows as w
from twin.series.coverage import missing
from twin.series.gaps import Pieces, gap_sigma

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from api.context import Context
    from api.windows import WindowQuery
    from twin.accounts.network import Network
    from twin.emissions.outlets import Outlet

NO_TAG = "no data: there is no tag {}"
NO_METERS = "no data: energy: no meter of the enterprise"
NO_OUTLET = "no data: pollutants: no outlet of the enterprise measures {}"
UNCOVERED = "no data: {}: {:.0%} of the time is covered by all inputs"
# Tags that a reason names; `missing` has all.
FEW, MORE = 3, "…"
NOTHING_BELOW = "not known: what it is related to is 0"


class Figure(NamedTuple):
    """An indicator of an enterprise, in its uom; NaN = not known."""

    value: float = np.nan
    half_width: float = np.nan
    share: float = np.nan  # of the time that has passed, covered by both inputs
    quality: int = NO_DATA
    missing: Sequence[str] = ()
    decisive: bool = False
    reason: str = ""


class Terms(NamedTuple):
    """A weighted sum of few of the T tags."""

    tags: I64  # (k,) places
    factor: F64  # (k,)
    all_tags: int  # T

    @classmethod
    def of(cls, weight: F64) -> Terms:
        """Return the terms of the weights of all tags."""
        tags = np.flatnonzero(weight)
        return cls(tags, weight[tags], len(weight))

    @property
    def weight(self) -> F64:
        """The weights of all tags, (T,)."""
        weight = np.zeros(self.all_tags)
        weight[self.tags] = self.factor
        return weight


class Inputs(NamedTuple):
    """The inputs of an indicator of an enterprise."""

    over: Terms
    under: Terms
    scale: float  # what one of the uom is [SI]

    @property
    def tags(self) -> I64:
        """Places of the tags of both."""
        return np.union1d(self.over.tags, self.under.tags)


async def read_figures(
    context: Context, query: WindowQuery, rule: Rule, indicators: Sequence[Indicator]
) -> list[list[Figure]]:
    """Return the indicators of the enterprises of a rule, E lists of I; raises StoreError.

    The query is one window, a year.
    """
    pairs: dict[tuple[int, int], Inputs] = {}
    figures: dict[tuple[int, int], Figure] = {}
    for e, enterprise in enumerate(rule.enterprises):
        for i, row in enumerate(indicators):
            pair = _pair(query, rule, enterprise.id, row)
            if isinstance(pair, str):
                figures[e, i] = Figure(reason=pair)
            else:
                pairs[e, i] = pair
    if pairs:
        tags = np.unique(np.concatenate([pair.tags for pair in pairs.values()]))
        sums = await read_sums(context, query, tags)
        emitted = {at: pair for at, pair in pairs.items() if indicators[at[1]].under == POLLUTANTS}
        plain = {at: pair for at, pair in pairs.items() if at not in emitted}
        joints = await read_joint(context, sums, [pair.tags for pair in plain.values()])
        for (at, pair), joint in zip(plain.items(), joints, strict=True):
            figures[at] = _of_tags(pair, joint)
        figures |= await _of_outlets(context, sums, rule, emitted)
    return [[figures[e, i] for i in range(len(indicators))] for e in range(len(rule.enterprises))]


def _pair(query: WindowQuery, rule: Rule, enterprise: str, row: Indicator) -> Inputs | str:
    """Return the inputs of an indicator, or which of them the model does not have."""
    inputs = [_input(query, rule, enterprise, name) for name in (row.over, row.under)]
    lacking = [each for each in inputs if isinstance(each, str)]
    if lacking:
        return "; ".join(lacking)
    (over, upper), (under, lower) = (each for each in inputs if not isinstance(each, str))
    year_s = float(query.edges[1] - query.edges[0]) / SECOND_US
    return Inputs(over, under, scale_of(row.uom, upper, lower, year_s))


def _input(query: WindowQuery, rule: Rule, enterprise: str, name: str) -> tuple[Terms, Input] | str:
    """Return an input as a sum of tags and its unit, or that the model does not have it.

    Pollutants are no sum of tags: they have no terms, and are read in `_of_outlets`.
    """
    network = query.network
    weight = np.zeros(len(network.tags))
    if name == POLLUTANTS:
        wanted = ", ".join(rule.head.pollutants)
        there = _outlets(network, rule, enterprise)
        return (Terms.of(weight), input_of(None, name)) if there else NO_OUTLET.format(wanted)
    if name == ENERGY:
        heat = weights(network, {Account(enterprise, TOTAL, "coal_equivalent"): 1.0})
        power = weights(network, {Account(enterprise, TOTAL, "electricity"): 1.0})
        # What the basis adds for electricity differs from year to year.
        basis: Basis = "equal" if rule.head.basis == "equal" else "equivalent"
        added = coal_equivalent(np.zeros(1), np.ones(1), basis, query.years)
        weight = heat + added * power
        return (Terms.of(weight), input_of(None, name)) if weight.any() else NO_METERS
    at = network.index.get(address_of(enterprise, name))
    if at is None:
        return NO_TAG.format(address_of(enterprise, name))
    weight[at] = 1.0
    return Terms.of(weight), input_of(network.tags[at], name)


def _outlets(network: Network, rule: Rule, enterprise: str) -> list[Outlet]:
    """Return the outlets of an enterprise that measure a pollutant that counts."""
    wanted = rule.head.pollutants.keys()
    return [each for each in outlets_in(network, enterprise) if wanted & set(each.names)]


def _of_tags(pair: Inputs, joint: Joint) -> Figure:
    """Return an indicator whose inputs are sums of tags, over their joint time."""
    value, width = joint.ratio("", pair.over.weight, pair.under.weight)
    trust = joint.trust(~np.isnan(value))
    return _figure(
        Figure(
            float(value[0]) / pair.scale,
            float(width[0]) / pair.scale,
            float(joint.share[0]),
            int(trust["quality"][0]),
            joint.missing[0],
            bool(joint.decisive[0]),
        ),
        enough=bool(joint.enough[0]),
    )


def _figure(figure: Figure, *, enough: bool) -> Figure:
    """Return a figure, or the reason why it has no value; none where too little is covered."""
    if not enough:
        share = np.nan_to_num(figure.share)
        names = [*figure.missing[:FEW], *([MORE] if len(figure.missing) > FEW else [])]
        reason = UNCOVERED.format(", ".join(names), share)
        return figure._replace(value=np.nan, half_width=np.nan, reason=reason)
    return figure._replace(reason=NOTHING_BELOW if np.isnan(figure.value) else "")


class Emitting(NamedTuple):
    """The hours of the outlets of an enterprise, and sums of other tags over hours and year."""

    ledger: Ledger
    hourly: Sums
    year: Sums
    outlets: list[tuple[Outlet, OutletHours]]
    factors: Mapping[str, float]

    @property
    def counted(self) -> list[tuple[OutletHours, int, float]]:
        """The hours of each pollutant that counts, its number in them and its factor."""
        return [
            (record, p, self.factors[name])
            for outlet, record in self.outlets
            for p, name in enumerate(outlet.names)
            if name in self.factors
        ]


async def _of_outlets(
    context: Context, sums: Sums, rule: Rule, pairs: dict[tuple[int, int], Inputs]
) -> dict[tuple[int, int], Figure]:
    """Return indicators that relate to pollutants, over the hours in which all is known."""
    if not pairs:
        return {}
    of = {e: _outlets(sums.network, rule, rule.enterprises[e].id) for e, _ in pairs}
    every = [outlet for some in of.values() for outlet in some]
    ledger = await read_ledger(context, sums.query, every)
    tags = np.unique(np.concatenate([pair.tags for pair in pairs.values()]))
    hourly = await read_sums(context, ledger.sums.query, tags)
    figures = {}
    for (e, i), pair in pairs.items():
        outlets = [(outlet, outlet_hours(ledger, outlet)) for outlet in of[e]]
        hours = Emitting(ledger, hourly, sums, outlets, rule.head.pollutants)
        figures[e, i] = _per_pollutant(context, hours, pair)
    return figures


def _per_pollutant(context: Context, hours: Emitting, pair: Inputs) -> Figure:
    """Return the ratio of a sum of tags to the mass of pollutants of an enterprise."""
    ledger, hourly = hours.ledger, hours.hourly
    column = np.searchsorted(hourly.tags, pair.tags)
    passed = (ledger.window == 0) & (ledger.elapsed_s > 0)
    joint = passed & (hourly.covered_s[:, column] > 0).all(axis=1)
    mass = np.zeros(len(joint))
    for record, p, factor in hours.counted:
        joint &= record.known[p]
        mass += factor * np.nan_to_num(record.hours.emission[p])
    over, mass = (np.where(joint, part, 0.0) for part in (hourly.weigh(pair.over.weight), mass))
    length_s = np.where(passed, ledger.elapsed_s, 0.0)
    share = ratio((length_s * joint).sum(), length_s.sum())
    total = mass.sum() if mass.any() else np.nan
    value = np.array([over.sum() / total])
    # Errors of outlets are independent; those of one outlet add up: its flow is in all of them.
    window = np.where(joint, 0, -1)
    parts = [
        sum(f * mass_ci(record, p, window, 1)[0] for each, p, f in hours.counted if each is record)
        for _, record in hours.outlets
    ]
    alone, nothing = np.zeros(int(passed.sum()), np.int64), np.array([[0.0, 1.0]])
    pieces = Pieces(
        alone, alone, np.column_stack([over, mass])[passed], (length_s * joint)[passed],
        length_s[passed], nested=False,
    )  # fmt: skip
    terms = nothing[:, ::-1], nothing, value, np.array([total]), share[None]
    width = np.hypot.reduce([
        hourly.ci("", pair.over.weight)[joint].sum() / total,
        *(value[0] * part / total for part in parts),
        half_width(gap_sigma([pieces], *terms))[0],
    ])  # fmt: skip
    figure = Figure(float(value[0]) / pair.scale, float(width) / pair.scale, float(share))
    return _graded(context, hours, pair, figure)


def _graded(context: Context, hours: Emitting, pair: Inputs, figure: Figure) -> Figure:
    """Return a figure of pollutants with quality, missing tags and whether it decides."""
    ledger, year = hours.ledger, hours.year
    at = positions(year.network, (tag for outlet, _ in hours.outlets for tag in outlet.measured_by))
    column = np.searchsorted(ledger.sums.tags, at)
    inner = ledger.window == 0
    covered_s = ledger.sums.covered_s[inner][:, column].sum(axis=0)
    booked = np.searchsorted(year.tags, pair.tags)
    covered_s = np.concatenate([year.covered_s[0, booked], covered_s])[None]
    names = [year.network.tags[tag].address for tag in [*pair.tags.tolist(), *at.tolist()]]
    used = ledger.sums.quality[inner][:, column].ravel()
    quality = np.concatenate([year.quality[0, booked], used])[None]
    share, known = np.array([figure.share]), np.array([not np.isnan(figure.value)])
    lacks = missing(w.shares(covered_s, year.query.elapsed_s), names)[0]
    figure = figure._replace(
        quality=int(w.grade(quality, share, known)[0]),
        missing=lacks,
        decisive=figure.share >= context.settings.verdict_completeness,
    )
    return _figure(figure, enough=figure.share >= context.settings.value_completeness)
